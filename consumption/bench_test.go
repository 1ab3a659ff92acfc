package consumption_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
	"auth-service/store/storetest"
)

// BenchmarkRecord records as many callers do at once, on databases that keep what they are told, beside the commits of one row
// that the same database does for as many. Read it before you change the statements of a settlement. LINES in the environment tries another number of them.
func BenchmarkRecord(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			m := newMeasurement(b, engine)
			for _, c := range []struct {
				name    string
				callers int
				batch   int
				change  func(u *consumption.Usage, n int)
			}{
				{"single", 64, 1, func(u *consumption.Usage, n int) {}},
				{"single alone", 1, 1, func(u *consumption.Usage, n int) {}},
				{"single with a key", 64, 1, func(u *consumption.Usage, n int) { u.IdempotencyKey = strconv.Itoa(n) }},
				{"single hard", 64, 1, func(u *consumption.Usage, n int) { u.Key = "hard" }},
				{"single for an organization", 64, 1, func(u *consumption.Usage, n int) { u.OrganizationID = m.acme.ID }},
				{"hot", 64, 1, func(u *consumption.Usage, n int) { u.UserID = "user-0" }},
				{"hot and hard", 64, 1, func(u *consumption.Usage, n int) { u.UserID, u.Key = "user-0", "hard" }},
				{"batch of 100", 16, 100, func(u *consumption.Usage, n int) {}},
				{"batch of 100 with keys", 16, 100, func(u *consumption.Usage, n int) { u.IdempotencyKey = "b" + strconv.Itoa(n) }},
				{"batch of 100 for one person", 16, 100, func(u *consumption.Usage, n int) { u.UserID = "user-1" }},
				{"batch of 500", 8, 500, func(u *consumption.Usage, n int) {}},
			} {
				b.Run(c.name, func(b *testing.B) { m.record(b, c.callers, c.batch, c.change) })
			}
			b.Run("commit", m.commits)
		})
	}
}

type measurement struct {
	*consumption.Service
	raw    *sql.DB
	caller consumption.Caller
	acme   *store.Organization
	used   atomic.Int64
	pid    int
}

const people = 1000

func newMeasurement(b *testing.B, engine string) *measurement {
	b.Helper()
	dir, err := os.MkdirTemp("", "consume") // short: its path becomes the name of a socket
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	m, url, driver, path := &measurement{}, "sqlite:"+filepath.Join(dir, "a.db"), "sqlite", "file:"+filepath.Join(dir, "a.db")+"?_pragma=busy_timeout(60000)&_txlock=immediate&_pragma=synchronous(full)"
	if engine == "postgres" {
		at, pid, stop, err := storetest.StartDurable(dir)
		require.NoError(b, err)
		b.Cleanup(stop)
		url, driver, path, m.pid = at, "pgx", at, pid
	}
	s, err := store.Open(b.Context(), store.Options{URL: url, Keyring: storetest.Keyring(), Log: zerolog.Nop()})
	require.NoError(b, err)
	b.Cleanup(func() { s.Close() })
	require.NoError(b, s.Migrate(b.Context()))
	m.raw, err = sql.Open(driver, path)
	require.NoError(b, err)
	b.Cleanup(func() { m.raw.Close() })
	m.raw.SetMaxOpenConns(64)
	m.raw.SetMaxIdleConns(64)
	if engine == "sqlite" {
		m.raw.SetMaxOpenConns(1)
	}
	_, err = m.raw.ExecContext(b.Context(), "CREATE TABLE floor (id text PRIMARY KEY, body text)")
	require.NoError(b, err)
	app := &store.Application{Slug: "shop", Name: "shop"}
	require.NoError(b, s.CreateApplication(b.Context(), app))
	require.NoError(b, s.CreatePlan(b.Context(), &store.Plan{ApplicationID: app.ID, Key: "free", Name: "free", IsDefault: true, Active: true, Features: []store.Feature{
		{Key: "calls", Type: store.FeatureQuota, Value: json.RawMessage("1000000"), Period: store.PeriodMonth},
		{Key: "hard", Type: store.FeatureQuota, Value: json.RawMessage("1000000000"), Period: store.PeriodMonth, Hard: true},
	}}))
	for i := range people {
		id := fmt.Sprint("user-", i)
		require.NoError(b, s.CreateUser(b.Context(), &store.User{ID: id, Email: id + "@example.com", Name: id, Role: store.RoleUser, CreatedAt: opening, UpdatedAt: opening}))
	}
	m.acme = &store.Organization{Name: "acme", Slug: "acme", Metadata: map[string]any{}}
	require.NoError(b, s.CreateOrganization(b.Context(), m.acme))
	m.caller = consumption.Caller{ApplicationID: app.ID, ClientID: "shop-service"}
	m.Service = &consumption.Service{Store: s, Now: time.Now, Log: zerolog.Nop()}
	if n, err := strconv.Atoi(os.Getenv("LINES")); err == nil {
		m.Lines = n
	}
	return m
}

func (m *measurement) record(b *testing.B, callers, batch int, change func(*consumption.Usage, int)) {
	working(b.Context(), func() {
		m.measure(b, callers, batch, func(ctx context.Context) error {
			uses := make([]consumption.Usage, batch)
			for i := range uses {
				n := int(m.used.Add(1))
				uses[i] = consumption.Usage{UserID: fmt.Sprint("user-", n*7919%people), Key: "calls", Amount: store.NewAmount(1)}
				change(&uses[i], n)
			}
			_, err := m.Record(ctx, m.caller, uses)
			return err
		})
	}, m.Service)
}

// commits is the floor: as many callers, each with a transaction that writes one row.
func (m *measurement) commits(b *testing.B) {
	m.measure(b, 64, 1, func(ctx context.Context) error {
		_, err := m.raw.ExecContext(ctx, "INSERT INTO floor VALUES ($1, $2)", store.NewID(), strings.Repeat("x", 100))
		return err
	})
}

// measure calls fn b.N times, by so many callers at once.
func (m *measurement) measure(b *testing.B, callers, each int, fn func(ctx context.Context) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	own, servers := m.cpu(b)
	b.ResetTimer()
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				if err := fn(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	ownAfter, serversAfter := m.cpu(b)
	n := float64(b.N * each)
	b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(ownAfter-own)/n/1000, "own-µs/record")
	b.ReportMetric(float64(serversAfter-servers)/n/1000, "pg-µs/record")
}

// cpu is what this process and the database server have used so far, in nanoseconds.
func (m *measurement) cpu(b *testing.B) (own, servers int64) {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	if m.pid != 0 {
		servers = treeCPU(b, m.pid)
	}
	return usage.Utime.Nano() + usage.Stime.Nano(), servers
}

// treeCPU adds up the processes of a PostgreSQL server. Those that end meanwhile are missed; a pool keeps its own.
func treeCPU(b *testing.B, pid int) (total int64) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if self := strings.Split(path, "/")[2]; fields[1] != strconv.Itoa(pid) && self != strconv.Itoa(pid) {
			continue
		}
		for _, ticks := range fields[11:13] {
			n, _ := strconv.ParseInt(ticks, 10, 64)
			total += n * 10_000_000
		}
	}
	return total
}
