package consumption_test

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
	"auth-service/store/storetest"
)

func (r *recorder) reserve(u consumption.Usage) *consumption.Reserved {
	r.Helper()
	out, err := r.Reserve(r.Context(), r.caller, u, 15*time.Minute)
	require.NoError(r, err)
	return out
}

func TestReservationHoldsAgainstTheLimit(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		r.record(r.use("1"))
		held := r.reserve(r.use("6"))
		assert.Equal(r, []any{store.ReservationOpen, "6", "1", "6", "3", opening.Add(15 * time.Minute)},
			[]any{held.State, held.Amount.String(), held.Total.String(), held.Reserved.String(), held.Remaining().String(), held.ExpiresAt})
		r.refuse("QUOTA_EXCEEDED", r.use("4"))
		_, err := r.Reserve(r.Context(), r.caller, r.use("4"), time.Minute)
		var quota *consumption.QuotaError
		require.ErrorAs(r, err, &quota)
		assert.Equal(r, []string{"1", "6", "3"}, []string{quota.Total.String(), quota.Standing.Reserved.String(), quota.Remaining().String()})
		_, err = r.Reserve(r.Context(), r.caller, r.use("1", by("nobody")), time.Minute)
		assert.Equal(r, "USER_NOT_FOUND", codeOf(err))
		assert.Equal(r, "1", r.record(r.use("2")).Remaining().String())
		_, allowed, err := r.Check(r.Context(), r.caller.ApplicationID, r.use("2"))
		require.NoError(r, err)
		assert.False(r, allowed)

		less := amount(r, "2.5")
		out, err := r.Commit(r.Context(), r.caller, held.ID, &less, nil)
		require.NoError(r, err)
		assert.Equal(r, []any{"2.5", "5.5", "4.5", false}, []any{out.Amount.String(), out.Total.String(), out.Remaining().String(), out.Duplicate})
		again, err := r.Commit(r.Context(), r.caller, held.ID, nil, nil)
		require.NoError(r, err)
		assert.True(r, again.Duplicate)
		again.Duplicate = false
		assert.Equal(r, out, again)
		assert.Equal(r, "RESERVATION_COMMITTED", codeOf(r.Release(r.Context(), r.caller, held.ID)))
		shown, err := r.Reservation(r.Context(), r.caller.ApplicationID, held.ID)
		require.NoError(r, err)
		assert.Equal(r, store.ReservationCommitted, shown.State)
	})
}

func TestCommitAboveTheReservation(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		plan := r.plan("free", "10", store.PeriodMonth, true, byDefault)
		held, other := r.reserve(r.use("5")), r.reserve(r.use("2"))
		more := amount(r, "8.000001")
		_, err := r.Commit(r.Context(), r.caller, held.ID, &more, nil)
		assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err), "what the other job holds is not there for this one")
		shown, err := r.Reservation(r.Context(), r.caller.ApplicationID, held.ID)
		require.NoError(r, err)
		assert.Equal(r, store.ReservationOpen, shown.State)
		more = amount(r, "8")
		out, err := r.Commit(r.Context(), r.caller, held.ID, &more, nil)
		require.NoError(r, err)
		assert.Equal(r, []string{"8", "0"}, []string{out.Total.String(), out.Remaining().String()})

		// What was promised is recorded, even if the plan has been cut and the person deleted since.
		plan.Features[0].Value = json.RawMessage("1")
		require.NoError(r, r.store.UpdatePlan(r.Context(), plan))
		require.NoError(r, r.store.DeleteUser(r.Context(), "ann", r.now()))
		out, err = r.Commit(r.Context(), r.caller, other.ID, nil, json.RawMessage(`{"job":1}`))
		require.NoError(r, err)
		assert.Equal(r, []any{"10", true}, []any{out.Total.String(), out.Exceeded})
	})
}

// A soft quota is enforced for what was reserved so, also for what is committed above it.
func TestEnforcedReservation(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, false, byDefault)
		held := r.reserve(r.use("8", enforced))
		_, err := r.Reserve(r.Context(), r.caller, r.use("3", enforced), time.Minute)
		assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err))
		assert.Equal(r, "1", r.record(r.use("1")).Remaining().String(), "what is held is told, too, where it refuses nobody")
		more := amount(r, "10")
		_, err = r.Commit(r.Context(), r.caller, held.ID, &more, nil)
		assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err))
	})
}

func TestReservationsEnd(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		held := r.reserve(r.use("10"))
		require.NoError(r, r.Release(r.Context(), r.caller, held.ID))
		require.NoError(r, r.Release(r.Context(), r.caller, held.ID))
		_, err := r.Commit(r.Context(), r.caller, held.ID, nil, nil)
		assert.Equal(r, "RESERVATION_RELEASED", codeOf(err))

		held = r.reserve(r.use("10"))
		r.refuse("QUOTA_EXCEEDED", r.use("1"))
		r.forward(15*time.Minute - time.Microsecond)
		r.refuse("QUOTA_EXCEEDED", r.use("1"))
		r.forward(time.Microsecond)
		shown, err := r.Reservation(r.Context(), r.caller.ApplicationID, held.ID)
		require.NoError(r, err)
		assert.Equal(r, consumption.ReservationExpired, shown.State)
		_, err = r.Commit(r.Context(), r.caller, held.ID, nil, nil)
		assert.Equal(r, "RESERVATION_EXPIRED", codeOf(err))
		r.record(r.use("1"))
		require.NoError(r, r.Release(r.Context(), r.caller, held.ID))
	})
}

// An id is no secret: whoever learns one of another application gets nothing of it, and ends nothing.
func TestForeignReservation(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		held := r.reserve(r.use("1"))
		foreign := consumption.Caller{ApplicationID: "other", ClientID: "other-service"}
		_, err := r.Reservation(r.Context(), foreign.ApplicationID, held.ID)
		assert.Equal(r, "RESERVATION_NOT_FOUND", codeOf(err))
		_, err = r.Commit(r.Context(), foreign, held.ID, nil, nil)
		assert.Equal(r, "RESERVATION_NOT_FOUND", codeOf(err))
		assert.Equal(r, "RESERVATION_NOT_FOUND", codeOf(r.Release(r.Context(), foreign, held.ID)))
		_, err = r.Commit(r.Context(), r.caller, held.ID, nil, nil)
		assert.NoError(r, err)
	})
}

func TestRepeatedReservation(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		first := r.reserve(r.use("6", under("job")))
		again := r.reserve(r.use("6", under("job")))
		assert.True(r, again.Duplicate)
		again.Duplicate = false
		assert.Equal(r, first, again)
		_, err := r.Reserve(r.Context(), r.caller, r.use("5", under("job")), time.Minute)
		assert.Equal(r, "IDEMPOTENCY_KEY_REUSED", codeOf(err))
		r.record(r.use("1", under("job"))) // records have keys of their own

		ids := sync.Map{}
		other := r.another()
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 16 {
				s := []*consumption.Service{r.Service, other}[i%2]
				running.Go(func() {
					out, err := s.Reserve(r.Context(), r.caller, r.use("1", under("parallel")), time.Minute)
					if assert.NoError(r, err) {
						ids.Store(out.ID, true)
					}
				})
			}
			running.Wait()
		}, r.Service, other)
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		assert.Equal(r, 1, n)
	})
}

// Many who reserve, commit, release and record at the same time never hold or use more than the limit together, and each
// reservation becomes one record at most.
func TestParallelReservations(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "40", store.PeriodMonth, true, byDefault)
		other := r.another()
		var used atomic.Int64
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 16 {
				running.Go(func() {
					for n := range 6 {
						s := []*consumption.Service{r.Service, other}[(i+n)%2]
						held, err := s.Reserve(r.Context(), r.caller, r.use("3"), time.Minute)
						if err != nil {
							assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err))
							continue
						}
						if n%3 == 0 {
							assert.NoError(r, s.Release(r.Context(), r.caller, held.ID))
							continue
						}
						two := store.NewAmount(2)
						var committing sync.WaitGroup
						for _, s := range []*consumption.Service{r.Service, other} {
							committing.Go(func() {
								out, err := s.Commit(r.Context(), r.caller, held.ID, &two, nil)
								if assert.NoError(r, err) && !out.Duplicate {
									used.Add(2)
								}
							})
						}
						committing.Wait()
					}
				})
				running.Go(func() {
					for range 3 {
						out, err := r.Record(r.Context(), r.caller, []consumption.Usage{r.use("1")})
						if err != nil {
							assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err))
							continue
						}
						used.Add(1)
						assert.LessOrEqual(r, out[0].Total.Compare(*out[0].Limit), 0)
					}
				})
			}
			running.Wait()
		}, r.Service, other)
		assert.LessOrEqual(r, used.Load(), int64(40))
		assert.Equal(r, store.NewAmount(used.Load()).String(), r.total())
	})
}

// A clock that is ahead records in the period to come, in which the jobs that run now end: together they would pass its limit.
func TestReservationHoldsInThePeriodToCome(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodDay, true, byDefault)
		r.forward(14*time.Hour - time.Minute)
		held := r.reserve(r.use("10"))
		r.refuse("QUOTA_EXCEEDED", r.use("1", usedAt(r.now().Add(2*time.Minute))))
		r.record(r.use("10", usedAt(r.now().Add(-24*time.Hour)))) // no job ends in a period that is over
		r.forward(2 * time.Minute)
		out, err := r.Commit(r.Context(), r.caller, held.ID, nil, nil)
		require.NoError(r, err)
		assert.False(r, out.Exceeded)
	})
}

// A commit that begins in time and then waits for one who records after that time would count what the other was given already:
// together they would pass a hard limit.
func TestCommitThatWaitsBeyondItsTime(t *testing.T) {
	r := newRecorder(t, storetest.NewPostgresURL(t), &atomic.Int64{}) // SQLite has one writer, who reads the time when it is their turn
	r.plan("free", "10", store.PeriodDay, true, byDefault)
	held := r.reserve(r.use("10"))
	lock, err := r.raw.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer lock.Rollback()
	_, err = lock.ExecContext(t.Context(), "SELECT 1 FROM consumption_counters WHERE application_id = $1 FOR UPDATE", r.caller.ApplicationID)
	require.NoError(t, err)
	committed := make(chan error, 1)
	go func() {
		_, err := r.Commit(t.Context(), r.caller, held.ID, nil, nil)
		committed <- err
	}()
	for waiting := 0; waiting == 0; {
		require.NoError(t, r.raw.QueryRowContext(t.Context(),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting))
	}
	r.forward(15 * time.Minute)
	require.NoError(t, lock.Rollback())
	require.Equal(t, "RESERVATION_EXPIRED", codeOf(<-committed))
	assert.Equal(t, "10", r.record(r.use("10")).Total.String())
}

// An application that reserves and never ends what it reserved would have each record of the account add up more and more, in the
// transactions that it shares with others (CWE-400).
func TestReservationsAreBounded(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "1000000", store.PeriodMonth, true, byDefault)
		first := r.reserve(r.use("1"))
		r.exec(`INSERT INTO consumption_reservations (id, application_id, client_id, user_id, organization_id, account_user_id, account_organization_id,
 key, whole, micros, enforce, state, record_id, idempotency_key, metadata, answer, created_at, expires_at)
 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9998)
 SELECT 'r' || i, application_id, client_id, user_id, organization_id, account_user_id, account_organization_id,
 key, whole, micros, enforce, state, record_id, idempotency_key, metadata, answer, created_at, expires_at FROM n CROSS JOIN consumption_reservations`)
		r.reserve(r.use("1"))
		_, err := r.Reserve(r.Context(), r.caller, r.use("1"), time.Minute)
		assert.Equal(r, "TOO_MANY_RESERVATIONS", codeOf(err))
		r.reserve(r.use("1", by("bob")))
		require.NoError(r, r.Release(r.Context(), r.caller, first.ID))
		r.reserve(r.use("1"))
		r.forward(15 * time.Minute)
		r.reserve(r.use("1"))
	})
}

// Of two replicas one may take the time of a reservation to be over before the other one does. Together they must not give its amount to
// two.
func TestReservationWhileClocksDiffer(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		held, alone := r.reserve(r.use("10")), r.reserve(r.use("10", by("bob")))
		r.forward(15*time.Minute - time.Second)
		ahead := r.another()
		ahead.Now = func() time.Time { return r.now().Add(2 * time.Second) }
		_, err := ahead.Record(r.Context(), r.caller, []consumption.Usage{r.use("1")})
		require.NoError(r, err)
		_, err = r.Commit(r.Context(), r.caller, held.ID, nil, nil)
		assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err))
		less := amount(r, "9")
		_, err = r.Commit(r.Context(), r.caller, held.ID, &less, nil)
		require.NoError(r, err)
		assert.Equal(r, "10", r.total())
		_, err = r.Commit(r.Context(), r.caller, alone.ID, nil, nil)
		require.NoError(r, err)
	})
}
