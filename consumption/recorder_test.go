package consumption_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// A recorder is a service of an application with some people and two organizations. Its clock stands still unless the test
// moves it: at first it is ten o'clock on a day in the middle of a month.
type recorder struct {
	*testing.T
	*consumption.Service
	store  *store.Store
	url    string
	raw    *sql.DB // past the store, for what tests look at
	clock  *atomic.Int64
	caller consumption.Caller
	acme   *store.Organization
	beta   *store.Organization
}

var opening = time.Date(2026, 5, 14, 10, 0, 0, 0, time.UTC)

func newRecorder(t *testing.T, url string, clock *atomic.Int64) *recorder {
	t.Helper()
	s := storetest.Open(t, url, at(clock))
	r := &recorder{T: t, store: s, url: url, clock: clock}
	driver, path := "pgx", url
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, path = "sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_inttotime=1&_time_integer_format=unix_micro"
	}
	var err error
	r.raw, err = sql.Open(driver, path)
	require.NoError(t, err)
	t.Cleanup(func() { r.raw.Close() })
	r.Service = r.replica(s)
	app := &store.Application{Slug: "shop", Name: "shop"}
	require.NoError(t, s.CreateApplication(t.Context(), app))
	r.caller = consumption.Caller{ApplicationID: app.ID, ClientID: "shop-service"}
	for _, id := range []string{"ann", "bob", "cid"} {
		require.NoError(t, s.CreateUser(t.Context(), &store.User{ID: id, Email: id + "@example.com", Name: id, Role: store.RoleUser, CreatedAt: opening, UpdatedAt: opening}))
	}
	r.acme, r.beta = r.organization("acme"), r.organization("beta")
	return r
}

// another is a second replica on the same database.
func (r *recorder) another() *consumption.Service {
	r.Helper()
	return r.replica(storetest.Open(r.T, r.url, at(r.clock)))
}

func (r *recorder) replica(s *store.Store) *consumption.Service {
	return &consumption.Service{
		Store: s, Now: func() time.Time { return opening.Add(time.Duration(r.clock.Load())) }, Log: zerolog.Nop(),
		MaxAge: 60 * 24 * time.Hour, MaxSkew: 5 * time.Minute,
	}
}

func (r *recorder) organization(slug string) *store.Organization {
	r.Helper()
	o := &store.Organization{Name: slug, Slug: slug, Metadata: map[string]any{}}
	require.NoError(r, r.store.CreateOrganization(r.Context(), o))
	return o
}

func (r *recorder) forward(d time.Duration) { r.clock.Add(int64(d)) }

func (r *recorder) now() time.Time { return opening.Add(time.Duration(r.clock.Load())) }

// eachRecorder runs fn on both engines.
func eachRecorder(t *testing.T, fn func(r *recorder)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(newRecorder(t, storetest.NewSQLiteURL(t), &atomic.Int64{})) })
	t.Run("postgres", func(t *testing.T) { fn(newRecorder(t, storetest.NewPostgresURL(t), &atomic.Int64{})) })
}

func at(clock *atomic.Int64) storetest.Option {
	return func(o *store.Options) {
		o.Now = func() time.Time { return opening.Add(time.Duration(clock.Load())) }
	}
}

// working runs fn while the service gathers what is recorded, and waits until all is written.
func working(ctx context.Context, fn func(), services ...*consumption.Service) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, s := range services {
		running.Go(func() { s.Run(ctx) })
		for !s.Running() {
			runtime.Gosched()
		}
	}
	fn()
	stop()
	running.Wait()
}

// stalled runs fn while nothing can be written to SQLite, and the worker is at a transaction already: what is recorded waits.
func (r *recorder) stalled(fn func()) {
	r.Helper()
	var first sync.WaitGroup
	require.NoError(r, r.store.Tx(r.Context(), func(context.Context) error { // holds SQLite's one write lock
		first.Go(func() { r.record(r.use("1", by("cid"))) })
		eventually(r, r.Taken)
		fn()
		return nil
	}))
	first.Wait()
}

// eventually waits for what others do, but not for ever.
func eventually(t require.TestingT, done func() bool) {
	for end := time.Now().Add(time.Minute); !done(); {
		require.True(t, time.Now().Before(end), "it did not happen within a minute")
		runtime.Gosched()
	}
}

func amount(t require.TestingT, text string) store.Amount {
	a, err := store.ParseAmount(text)
	require.NoError(t, err)
	return a
}

// use is one of the key calls by ann.
func (r *recorder) use(a string, change ...func(*consumption.Usage)) consumption.Usage {
	u := consumption.Usage{UserID: "ann", Key: "calls", Amount: amount(r, a)}
	for _, fn := range change {
		fn(&u)
	}
	return u
}

func under(key string) func(*consumption.Usage) {
	return func(u *consumption.Usage) { u.IdempotencyKey = key }
}

func by(id string) func(*consumption.Usage) {
	return func(u *consumption.Usage) { u.UserID = id }
}

func (r *recorder) forAcme(u *consumption.Usage) { u.OrganizationID = r.acme.ID }

func enforced(u *consumption.Usage) { u.Enforce = true }

func usedAt(t time.Time) func(*consumption.Usage) {
	return func(u *consumption.Usage) { u.At = t }
}

// record records one use, which must be accepted.
func (r *recorder) record(u consumption.Usage) consumption.Recorded {
	r.Helper()
	out, err := r.Record(r.Context(), r.caller, []consumption.Usage{u})
	require.NoError(r, err)
	require.Len(r, out, 1)
	return out[0]
}

// refuse records uses, which must be refused with the code, and returns the error.
func (r *recorder) refuse(code string, uses ...consumption.Usage) error {
	r.Helper()
	_, err := r.Record(r.Context(), r.caller, uses)
	require.Equal(r, code, codeOf(err), "%v", err)
	return err
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return problem.Of(err).Code
}

// total is what counts for ann's calls now.
func (r *recorder) total(change ...func(*consumption.Usage)) string {
	r.Helper()
	standing, _, err := r.Check(r.Context(), r.caller.ApplicationID, r.use("1", change...))
	require.NoError(r, err)
	return standing.Total.String()
}

// plan makes a plan with a quota of calls: its limit, its period, whether it is hard.
func (r *recorder) plan(key, limit, period string, hard bool, change ...func(*store.Plan)) *store.Plan {
	r.Helper()
	p := &store.Plan{ApplicationID: r.caller.ApplicationID, Key: key, Name: key, Active: true, Features: []store.Feature{
		{Key: "calls", Type: store.FeatureQuota, Value: json.RawMessage(limit), Period: period, Hard: hard},
		{Key: "seats", Type: store.FeatureLimit, Value: json.RawMessage("1")},
	}}
	for _, fn := range change {
		fn(p)
	}
	require.NoError(r, r.store.CreatePlan(r.Context(), p))
	return p
}

func byDefault(p *store.Plan) { p.IsDefault = true }

func (r *recorder) subscribe(p *store.Plan, who store.Subscriber, change ...func(*store.Subscription)) *store.Subscription {
	r.Helper()
	sub := &store.Subscription{ApplicationID: r.caller.ApplicationID, PlanID: p.ID, StartsAt: opening.Add(-time.Hour)}
	if who.OrganizationID != "" {
		sub.OrganizationID = &who.OrganizationID
	} else {
		sub.UserID = &who.UserID
	}
	for _, fn := range change {
		fn(sub)
	}
	require.NoError(r, r.store.SaveSubscription(r.Context(), sub))
	return sub
}

func TestAmountsAreExact(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		for range 2 {
			r.record(r.use("0.1"))
		}
		assert.Equal(r, "0.3", r.record(r.use("0.1")).Total.String())

		sum, random := big.NewRat(3, 10), rand.New(rand.NewPCG(1, 2))
		for range 20 {
			var uses []consumption.Usage
			for range 10 {
				text := fmt.Sprintf("%d.%06d", random.IntN(1000), random.IntN(999_999)+1)
				exact, _ := new(big.Rat).SetString(text)
				sum.Add(sum, exact)
				uses = append(uses, r.use(text))
			}
			out, err := r.Record(r.Context(), r.caller, uses)
			require.NoError(r, err)
			got, _ := new(big.Rat).SetString(out[9].Total.String())
			require.Equal(r, sum.RatString(), got.RatString())
		}
		exact := amount(r, sum.FloatString(6))
		assert.Equal(r, exact.String(), r.total())
	})
}

func TestTotalsAreAsIfOneAfterTheOther(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		out, err := r.Record(r.Context(), r.caller, []consumption.Usage{
			r.use("1"), r.use("2", by("bob")), r.use("0.5"), r.use("3", by("bob")), r.use("4"),
		})
		require.NoError(r, err)
		var totals []string
		for _, recorded := range out {
			totals = append(totals, recorded.Total.String())
		}
		assert.Equal(r, []string{"1", "2", "1.5", "5", "5.5"}, totals)
		assert.Nil(r, out[0].Limit)
		assert.Nil(r, out[0].Start)
		assert.Nil(r, out[0].Remaining())
	})
}

func TestBatchIsAllOrNothing(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		err := r.refuse("USER_NOT_FOUND", r.use("1"), r.use("1", by("nobody")), r.use("1", func(u *consumption.Usage) { u.OrganizationID = "none" }))
		var refused consumption.UsageErrors
		require.ErrorAs(r, err, &refused)
		require.Len(r, refused, 2)
		assert.Equal(r, []any{1, "USER_NOT_FOUND"}, []any{refused[0].Index, codeOf(refused[0].Err)})
		assert.Equal(r, []any{2, "ORGANIZATION_NOT_FOUND"}, []any{refused[1].Index, codeOf(refused[1].Err)})
		assert.Equal(r, "0", r.total())

		r.plan("free", "10", store.PeriodDay, true, byDefault)
		err = r.refuse("QUOTA_EXCEEDED", r.use("6"), r.use("1"), r.use("4"), r.use("3"))
		require.ErrorAs(r, err, &refused)
		require.Len(r, refused, 1, "what fits beside the one that does not is not at fault")
		var quota *consumption.QuotaError
		require.ErrorAs(r, refused[0], &quota)
		assert.Equal(r, []string{"4", "0", "10"}, []string{quota.Amount.String(), quota.Total.String(), quota.Remaining().String()})
		assert.Equal(r, 2, refused[0].Index)
		assert.Equal(r, "0", r.total())
	})
}

func TestTimesOfUse(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		for _, tt := range []struct {
			name string
			at   time.Time
			code string
		}{
			{"as old as possible", opening.Add(-60 * 24 * time.Hour), ""},
			{"older", opening.Add(-60*24*time.Hour - time.Microsecond), "TIMESTAMP_TOO_OLD"},
			{"as far ahead as possible", opening.Add(5 * time.Minute), ""},
			{"farther", opening.Add(5*time.Minute + time.Microsecond), "TIMESTAMP_IN_FUTURE"},
		} {
			_, err := r.Record(r.Context(), r.caller, []consumption.Usage{r.use("1"), r.use("1", usedAt(tt.at))})
			require.Equal(r, tt.code, codeOf(err), tt.name)
			if err != nil {
				var one *consumption.UsageError
				require.ErrorAs(r, err, &one)
				assert.Equal(r, 1, one.Index)
				assert.NotEmpty(r, problem.Of(err).Fields["timestamp"])
			}
		}
		assert.Equal(r, "4", r.total())
	})
}

func TestTotalTooLarge(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.exec(`INSERT INTO consumption_counters (application_id, user_id, organization_id, period, starts_at, key, total_whole, total_micros,
 charged_whole, charged_micros, count, notified, periods) VALUES ($1, 'ann', '', '', $2, 'calls', 8999999999999999999, 999999, 0, 0, 1, 0, 0)`,
			r.caller.ApplicationID, store.Epoch)
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 20 { // those who share a transaction with one who goes too far are none the worse for it
				running.Go(func() {
					if i == 10 {
						r.refuse("TOTAL_TOO_LARGE", r.use("1.000001"))
					} else {
						r.record(r.use("1", by("bob")))
					}
				})
			}
			running.Wait()
		}, r.Service)
		assert.Equal(r, "19", r.total(by("bob")))
	})
}

// A counter can begin anew before it is full. An hour that held more than the engine can add up would be a float in SQLite, and whoever
// gathers the hours of all applications would fail at it for ever.
func TestHourTooLarge(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		at := opening.Add(-2 * time.Hour)
		for i := range 2 {
			r.exec(`INSERT INTO consumption_buckets (application_id, user_id, organization_id, key, starts_at, width, total_whole, total_micros,
 charged_whole, charged_micros, count, first_at, last_at) VALUES ($1, 'ann', '', 'calls', $2, 'hour', 374999999999999999, 999999, 0, 0, 1, $2, $2)`,
				r.caller.ApplicationID, at.Add(time.Duration(i)*time.Hour))
		}
		r.refuse("TOTAL_TOO_LARGE", r.use("1.000001", usedAt(at)))
		r.record(r.use("1", usedAt(at)))
		require.NoError(r, r.store.Tx(r.Context(), func(ctx context.Context) error {
			n, err := r.store.GatherHours(ctx, opening.Truncate(24*time.Hour).Add(24*time.Hour), 500)
			assert.EqualValues(r, 2, n)
			return err
		}))
		var total string
		require.NoError(r, r.raw.QueryRowContext(r.Context(), "SELECT total_whole FROM consumption_buckets WHERE width = 'day'").Scan(&total))
		assert.Equal(r, "750000000000000000", total)
	})
}

func (r *recorder) exec(query string, args ...any) {
	r.Helper()
	for i, arg := range args {
		if t, ok := arg.(time.Time); ok && r.store.Dialect() == "sqlite" {
			args[i] = t.UnixMicro()
		}
	}
	_, err := r.raw.ExecContext(r.Context(), query, args...)
	require.NoError(r, err)
}

func TestRepetitions(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		first := r.record(r.use("4", under("a")))
		r.record(r.use("5"))
		again := r.record(r.use("4.000", under("a")))
		assert.True(r, again.Duplicate)
		again.Duplicate = false
		assert.Equal(r, first, again, "the first answer, and not how it stands now")
		assert.Equal(r, "9", r.total())

		out, err := r.Record(r.Context(), r.caller, []consumption.Usage{r.use("1", under("b")), r.use("1", under("b"))})
		require.NoError(r, err)
		assert.Equal(r, []any{false, true, out[0].ID, "10"}, []any{out[0].Duplicate, out[1].Duplicate, out[1].ID, out[1].Total.String()})

		for name, other := range map[string]consumption.Usage{
			"amount": r.use("5", under("a")), "person": r.use("4", under("a"), by("bob")), "organization": r.use("4", under("a"), r.forAcme),
			"key": r.use("4", under("a"), func(u *consumption.Usage) { u.Key = "bytes" }),
		} {
			require.Equal(r, "IDEMPOTENCY_KEY_REUSED", codeOf(r.refuse("IDEMPOTENCY_KEY_REUSED", other)), name)
		}
		r.refuse("IDEMPOTENCY_KEY_REUSED", r.use("0.1", under("c"), by("bob")), r.use("0.2", under("c"), by("bob")))
		assert.Equal(r, "0", r.total(by("bob")))

		// What was refused left its key free.
		r.refuse("QUOTA_EXCEEDED", r.use("1", under("d")))
		r.forward(31 * 24 * time.Hour)
		assert.False(r, r.record(r.use("1", under("d"))).Duplicate)

		// A repetition after the person has gone is still the same record.
		require.NoError(r, r.store.DeleteUser(r.Context(), "ann", r.now()))
		assert.True(r, r.record(r.use("4", under("a"))).Duplicate)
		r.refuse("USER_NOT_FOUND", r.use("4"))
	})
}

// A caller who does not get an answer sends again, perhaps to another replica while the first is still at it.
func TestParallelRepetitionsCountOnce(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		other := r.another()
		counted := atomic.Int64{}
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 32 {
				s := []*consumption.Service{r.Service, other}[i%2]
				running.Go(func() {
					for n := range 10 {
						out, err := s.Record(r.Context(), r.caller, []consumption.Usage{
							r.use("1", under(strconv.Itoa(n))), r.use("0.5", under(strconv.Itoa(n+1000)), by("bob"), r.forAcme),
						})
						if !assert.NoError(r, err) {
							return
						}
						for _, recorded := range out {
							if !recorded.Duplicate {
								counted.Add(1)
							}
						}
					}
				})
			}
			running.Wait()
		}, r.Service, other)
		assert.Equal(r, []any{int64(20), "10", "5"}, []any{counted.Load(), r.total(), r.total(by("bob"))})
	})
}

// Whoever stops waiting for an answer does not stop the others.
func TestCallerWhoLeaves(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 50 {
				running.Go(func() {
					ctx, cancel := context.WithCancel(r.Context())
					if i%2 == 0 {
						cancel()
					}
					defer cancel()
					_, err := r.Record(ctx, r.caller, []consumption.Usage{r.use("1", under(strconv.Itoa(i)))})
					if i%2 == 1 || !errors.Is(err, context.Canceled) {
						assert.NoError(r, err)
					}
				})
			}
			running.Wait()
			for i := range 50 {
				r.record(r.use("1", under(strconv.Itoa(i))))
			}
		}, r.Service)
		assert.Equal(r, "50", r.total())
	})
}

// More than can be queued is refused at once, and not after the database has had its time.
func TestBusy(t *testing.T) {
	r := newRecorder(t, storetest.NewSQLiteURL(t), &atomic.Int64{})
	batch := slices.Repeat([]consumption.Usage{r.use("1")}, 500)
	working(t.Context(), func() {
		var running sync.WaitGroup
		r.stalled(func() {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			busy := make(chan struct{}, 40)
			for range 40 {
				running.Go(func() {
					if _, err := r.Record(ctx, r.caller, batch); codeOf(err) == "CONSUMPTION_BUSY" {
						busy <- struct{}{}
					}
				})
			}
			for range 20 { // an application may have half of the room, so the other twenty wait
				<-busy
			}
			eventually(t, func() bool { return r.Waiting() == 10_000 })
		})
		running.Wait()
	}, r.Service)
	assert.Equal(t, "10000", r.total(), "what waited is written before Run returns")
}

// One application that sends more than can be recorded must not take the room of all others (CWE-770): they would be told that the
// service is busy for as long as it goes on.
func TestOneApplicationDoesNotFillTheQueue(t *testing.T) {
	r := newRecorder(t, storetest.NewSQLiteURL(t), &atomic.Int64{})
	app := &store.Application{Slug: "other", Name: "other"}
	require.NoError(t, r.store.CreateApplication(t.Context(), app))
	other := consumption.Caller{ApplicationID: app.ID, ClientID: "other-service"}
	batch := slices.Repeat([]consumption.Usage{r.use("1")}, 500)
	working(t.Context(), func() {
		var running sync.WaitGroup
		r.stalled(func() {
			for range 20 {
				running.Go(func() {
					_, err := r.Record(t.Context(), r.caller, batch)
					assert.NoError(t, err)
				})
			}
			eventually(t, func() bool { return r.WaitingOf(r.caller.ApplicationID) == 10_000 })
			_, err := r.Record(t.Context(), r.caller, batch)
			assert.Equal(t, "CONSUMPTION_BUSY", codeOf(err))
			_, err = r.Reserve(t.Context(), r.caller, r.use("1"), time.Minute)
			assert.Equal(t, "CONSUMPTION_BUSY", codeOf(err))
			running.Go(func() {
				out, err := r.Record(t.Context(), other, batch)
				assert.NoError(t, err)
				assert.Len(t, out, len(batch))
			})
			eventually(t, func() bool { return r.WaitingOf(app.ID) == 500 })
		})
		running.Wait()
	}, r.Service)
	assert.Zero(t, r.Waiting())
}

// An application whose counter can take no more sends to it again and again: each time all who share a transaction with it are
// recorded anew, but together, or one caller would slow down every other one (CWE-400).
func TestOneWhoIsRefusedCostsLittle(t *testing.T) {
	r := newRecorder(t, storetest.NewSQLiteURL(t), &atomic.Int64{})
	r.exec(`INSERT INTO consumption_counters (application_id, user_id, organization_id, period, starts_at, key, total_whole, total_micros,
 charged_whole, charged_micros, count, notified, periods) VALUES ($1, 'ann', '', '', $2, 'calls', 9000000000000000000, 0, 0, 0, 1, 0, 0)`,
		r.caller.ApplicationID, store.Epoch)
	const callers = 128
	ctx, calls := storetest.Trace(t.Context())
	working(ctx, func() {
		var running sync.WaitGroup
		r.stalled(func() {
			for i := range callers {
				running.Go(func() {
					if i == 50 {
						r.refuse("TOTAL_TOO_LARGE", r.use("1"))
					} else {
						r.record(r.use("1", by("bob")))
					}
				})
			}
			eventually(t, func() bool { return r.Waiting() == callers })
		})
		running.Wait()
	}, r.Service)
	assert.Equal(t, strconv.Itoa(callers-1), r.total(by("bob")))
	transactions := 0
	for _, statement := range calls.SQL() {
		if strings.HasPrefix(strings.ToUpper(statement), "BEGIN") {
			transactions++
		}
	}
	assert.Less(t, transactions, 20)
}

// Behind a pooler that hands a connection from transaction to transaction nothing may stay prepared.
func TestRecordingThroughAPooler(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe", "describe_exec"} {
		t.Run(mode, func(t *testing.T) {
			url := storetest.NewPostgresURL(t)
			separator := map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")]
			r := newRecorder(t, url+separator+"default_query_exec_mode="+mode, &atomic.Int64{})
			r.plan("free", "10", store.PeriodMonth, true, byDefault)
			working(t.Context(), func() {
				r.record(r.use("1.5", under(`a"b'c\`)))
				assert.True(t, r.record(r.use("1.5", under(`a"b'c\`))).Duplicate)
				r.record(r.use("1", r.forAcme))
				r.refuse("QUOTA_EXCEEDED", r.use("9"))
			}, r.Service)
			assert.Equal(t, "2.5", r.total())
		})
	}
}
