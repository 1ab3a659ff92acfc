package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption/client"
	"auth-service/store"
	"auth-service/store/storetest"
)

// serveInstead makes this test binary the program itself: a test can kill a process of its own only.
const serveInstead = "TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveInstead) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A victim is the server as a process, to be killed and started again on the same port.
type victim struct {
	*testing.T
	address string
	env     []string
	process *exec.Cmd
	log     *os.File
}

func newVictim(t *testing.T, databaseURL string) *victim {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	v := &victim{T: t, address: listener.Addr().String()}
	require.NoError(t, listener.Close())
	_, port, _ := strings.Cut(v.address, ":")
	dir := t.TempDir()
	v.env = []string{
		serveInstead + "=1", "PATH=" + os.Getenv("PATH"), "AUTH_DATA_DIR=" + dir, "AUTH_DATABASE_URL=" + databaseURL, "AUTH_LISTEN_PORT=" + port,
		"AUTH_PUBLIC_URL=http://" + v.address, "AUTH_ADMIN_EMAIL=root@example.org", "AUTH_ADMIN_PASSWORD=" + matrixPassword, "AUTH_LOG_LEVEL=warn",
		"AUTH_PASSWORD_ARGON2_MEMORY_KIB=64",
	}
	v.log, err = os.Create(dir + "/log")
	require.NoError(t, err)
	t.Cleanup(func() {
		v.kill()
		if text, err := os.ReadFile(v.log.Name()); err == nil && t.Failed() {
			t.Logf("the server said:\n%s", text)
		}
		v.log.Close()
	})
	v.launch()
	return v
}

// launch starts the server and waits until it is ready.
func (v *victim) launch() {
	v.Helper()
	v.process = exec.Command(os.Args[0], "serve")
	v.process.Dir, v.process.Env = v.TempDir(), v.env
	v.process.Stdout, v.process.Stderr = v.log, v.log
	require.NoError(v, v.process.Start())
	v.ready()
}

// ready waits until the server, and the database behind it, answer.
func (v *victim) ready() {
	v.Helper()
	require.Eventually(v, func() bool {
		res, err := http.Get("http://" + v.address + "/health")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
}

// kill ends the server as a power cut does.
func (v *victim) kill() {
	_ = v.process.Process.Kill() // it may have been killed
	_ = v.process.Wait()         // and was not asked how it ended
}

// A task is what a caller sends at once: one record, or a batch that is recorded whole or not at all.
type task []client.Record

// A crash is a run of callers against a server and a database that die under them.
type crash struct {
	*testing.T
	*victim
	shop   *shop
	ledger *sql.DB // past the server
	client *client.Client

	mu           sync.Mutex
	acknowledged map[string]client.Amount // by idempotency key
	refused      map[string]bool          // by the hard quota
}

// A death ends something, and revive brings back what is needed to look at the ledger.
type death struct{ kill, revive func() }

const (
	crashCallers = 24
	crashTasks   = 150 // before each death
	crashLimit   = 100 // of the shop's exports
)

// A killed process must lose nothing that it acknowledged and count nothing twice, whether it is the server or the database,
// or people are billed for what they did not use.
func TestUsageSurvivesKills(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		c := newCrash(t, storetest.NewSQLiteURL(t))
		server := death{c.kill, func() {}}
		c.survive(server, server, server)
	})
	t.Run("postgres", func(t *testing.T) {
		cluster := storetest.NewDurableCluster(t)
		c := newCrash(t, cluster.URL)
		server := death{c.kill, func() {}}
		database := death{func() { cluster.Kill(t) }, func() { cluster.Start(t) }}
		c.survive(server, database, server, database)
	})
}

func newCrash(t *testing.T, databaseURL string) *crash {
	t.Helper()
	c := &crash{T: t, victim: newVictim(t, databaseURL), acknowledged: map[string]client.Amount{}, refused: map[string]bool{}}
	c.shop = newShop(t, &instance{t: t, url: "http://" + c.address, address: c.address})
	var err error
	c.client, err = client.New(client.Options{
		BaseURL: c.shop.url, ClientID: c.shop.clientID, ClientSecret: c.shop.secret, Tries: 1, // what becomes of a try is ours to see
	})
	require.NoError(t, err)
	driver, source := "pgx", databaseURL
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_inttotime=1&_time_integer_format=unix_micro"
	}
	c.ledger, err = sql.Open(driver, source)
	require.NoError(t, err)
	c.ledger.SetMaxIdleConns(-1) // a connection does not survive a killed database
	t.Cleanup(func() { c.ledger.Close() })
	return c
}

// survive lets the callers work through one death after the other, each time with what was not acknowledged before, and at
// last without one.
func (c *crash) survive(deaths ...death) {
	c.Helper()
	first := c.tasks(0)
	left := first
	for round, d := range deaths {
		left = c.work(left, d.kill)
		d.revive()
		c.check()
		if c.process.ProcessState != nil {
			c.launch()
		}
		c.ready()
		left = append(left, c.tasks(round+1)...)
	}
	before := len(c.acknowledged)
	require.Empty(c, c.work(append(left, c.known(first)...), nil), "in the end all is acknowledged")
	c.check()
	var total int
	require.NoError(c, c.ledger.QueryRow("SELECT count(*) FROM consumption_records").Scan(&total))
	assert.Equal(c, len(c.acknowledged), total, "there is nothing in the ledger but what was acknowledged")
	assert.Greater(c, len(c.acknowledged), before)
	assert.NotEmpty(c, c.refused, "the hard quota was reached")
}

// tasks are singles and batches of people, for themselves and for an organization, within a soft quota, a hard one and none.
func (c *crash) tasks(round int) []task {
	keys, amounts := []string{"api_calls", "exports", "storage"}, []client.Amount{"0.1", "2.5", "0.000001", "1"}
	out := make([]task, crashTasks)
	for i := range out {
		size := 1
		if i%4 == 0 {
			size = 2 + i%20
		}
		for n := range size {
			j := i + n
			r := client.Record{
				UserID: c.shop.people[j%len(c.shop.people)], Key: keys[j/3%len(keys)], Amount: amounts[j%len(amounts)], IdempotencyKey: fmt.Sprintf("%d-%d-%d", round, i, n),
			}
			if j%5 == 0 {
				r.OrganizationID = c.shop.acme
			}
			out[i] = append(out[i], r)
		}
	}
	return out
}

// known are those tasks that were acknowledged. Sent again, they must not count.
func (c *crash) known(tasks []task) (out []task) {
	for _, t := range tasks {
		if _, ok := c.acknowledged[t[0].IdempotencyKey]; ok {
			out = append(out, t)
		}
	}
	return out
}

// work lets the callers do the tasks until there are no more, or until kill has been called, which is when a third of them
// is done. It returns those that were not acknowledged.
func (c *crash) work(tasks []task, kill func()) (left []task) {
	c.Helper()
	todo := make(chan task, len(tasks))
	for _, t := range tasks {
		todo <- t
	}
	close(todo)
	var done atomic.Int64
	var dead atomic.Bool
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range crashCallers {
		callers.Go(func() {
			for t := range todo {
				if !dead.Load() && c.send(t, &dead) {
					if kill != nil && done.Add(1) == int64(len(tasks)/3) {
						dead.Store(true)
						kill() // with the other callers' tasks under way
					}
					continue
				}
				mu.Lock()
				left = append(left, t)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	return left
}

// send reports whether the server has settled the task.
func (c *crash) send(t task, dead *atomic.Bool) bool {
	answers, err := c.record(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	var e *client.Error
	switch {
	case errors.Is(err, client.ErrQuotaExceeded):
		for _, r := range t {
			c.refused[r.IdempotencyKey] = true
		}
	case err == nil:
		for i, r := range t {
			assert.Equal(c, r.Amount, answers[i].Amount)
			c.acknowledged[r.IdempotencyKey] = r.Amount
		}
	case errors.As(err, &e) && e.Status != http.StatusServiceUnavailable, !dead.Load():
		assert.NoError(c, err, "only a death may come between")
		return false
	default:
		return false
	}
	return true
}

func (c *crash) record(t task) ([]client.Recorded, error) {
	if len(t) > 1 {
		return c.client.RecordAll(c.Context(), t)
	}
	answer, err := c.client.Record(c.Context(), t[0])
	return []client.Recorded{answer}, err
}

// A tally is what an account used of a key in a period, or in the hour of a bucket, in micros. Charged is what is held
// against a limit of the account's own.
type (
	tallied struct {
		user, organization, key, period string
		start                           int64
	}
	tally struct{ total, charged, count int64 }
)

const hour = "hour"

// check compares the ledger with what was acknowledged, and the counters and buckets with the ledger.
func (c *crash) check() {
	c.Helper()
	found, want := c.read()
	for key, amount := range c.acknowledged {
		assert.Equal(c, string(amount), found[key], "%s was acknowledged", key)
	}
	for key := range c.refused {
		assert.NotContains(c, found, key, "it was refused")
	}
	for id, t := range want {
		if id.key == "exports" {
			assert.LessOrEqual(c, t.charged, int64(crashLimit*1_000_000), "%+v", id)
		}
	}
	heads := c.compare(want, "", `SELECT user_id, organization_id, key, period, starts_at, total_whole, total_micros, charged_whole, charged_micros, count FROM consumption_counters`)
	hours := c.compare(want, hour, `SELECT user_id, organization_id, key, width, starts_at, total_whole, total_micros, charged_whole, charged_micros, count FROM consumption_buckets`)
	for id := range want {
		assert.True(c, heads[id] || hours[id] || id.period != "" && id.period != hour, "nothing counts %+v", id)
	}
}

// read returns the amounts of the ledger by idempotency key, and what they add up to.
func (c *crash) read() (found map[string]string, sums map[tallied]tally) {
	c.Helper()
	rows, err := c.ledger.QueryContext(c.Context(), "SELECT idempotency_key, user_id, organization_id, key, whole, micros, occurred_at FROM consumption_records")
	require.NoError(c, err)
	defer rows.Close()
	found, sums = map[string]string{}, map[tallied]tally{}
	for rows.Next() {
		var idempotencyKey, user, organization, key string
		var whole, micros int64
		var at time.Time
		require.NoError(c, rows.Scan(&idempotencyKey, &user, &organization, &key, &whole, &micros, &at))
		assert.NotContains(c, found, idempotencyKey, "it is there once")
		found[idempotencyKey] = strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%06d", whole, micros), "0"), ".")
		accounts := [][2]string{{user, ""}}
		if organization != "" {
			accounts = append(accounts, [2]string{user, organization}, [2]string{"", organization})
		}
		for i, account := range accounts {
			for _, period := range []string{"", store.PeriodDay, store.PeriodMonth, store.PeriodYear, hour} {
				start, _ := store.PeriodAt(period, at)
				if period == hour {
					start = at.Truncate(time.Hour)
				}
				id := tallied{account[0], account[1], key, period, start.UnixMicro()}
				t := sums[id]
				t.total, t.count = t.total+whole*1_000_000+micros, t.count+1
				if i == len(accounts)-1 { // the organization, if there is one, else the person
					t.charged += whole*1_000_000 + micros
				}
				sums[id] = t
			}
		}
	}
	require.NoError(c, rows.Err())
	return found, sums
}

// compare checks each row of counters or buckets, and returns which of the periods there are.
func (c *crash) compare(want map[tallied]tally, period, query string) map[tallied]bool {
	c.Helper()
	rows, err := c.ledger.QueryContext(c.Context(), query)
	require.NoError(c, err)
	defer rows.Close()
	there := map[tallied]bool{}
	for rows.Next() {
		var id tallied
		var got tally
		var start time.Time
		var total, charged int64
		require.NoError(c, rows.Scan(&id.user, &id.organization, &id.key, &id.period, &start, &total, &got.total, &charged, &got.charged, &got.count))
		id.start = start.UnixMicro()
		got.total, got.charged = got.total+total*1_000_000, got.charged+charged*1_000_000
		assert.Equal(c, want[id], got, "%+v", id)
		if id.period == period {
			there[id] = true
		}
	}
	require.NoError(c, rows.Err())
	return there
}
