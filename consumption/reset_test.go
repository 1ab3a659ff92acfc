package consumption_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
)

var operator = store.Actor{Type: store.ActorUser, ID: "root", IP: "192.0.2.1"}

func (r *recorder) reset(account store.Account) string {
	r.Helper()
	account.ApplicationID = r.caller.ApplicationID
	previous, at, err := r.Reset(r.Context(), operator, account, "calls")
	require.NoError(r, err)
	assert.Equal(r, r.now(), at)
	return previous.String()
}

func TestReset(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.webhook()
		plan := r.plan("free", "10", store.PeriodMonth, true, byDefault)
		r.record(r.use("10"))
		r.refuse("QUOTA_EXCEEDED", r.use("1"))
		assert.Equal(r, "10", r.reset(store.Account{UserID: "ann"}))
		assert.Equal(r, "0", r.total())
		assert.Equal(r, "0", r.reset(store.Account{UserID: "ann"}))
		assert.Equal(r, "9", r.record(r.use("9")).Total.String())
		assert.Equal(r, []string{"80 at 10", "100 at 10", "80 at 9"}, r.thresholds(), "thresholds begin anew, too")

		var kinds string
		require.NoError(r, r.raw.QueryRowContext(r.Context(), `SELECT string_agg(kind || ' ' || whole, ', ') FROM
 (SELECT kind, whole FROM consumption_records ORDER BY id) AS entries`).Scan(&kinds))
		assert.Equal(r, "used 10, reset 10, reset 0, used 9", kinds)
		trail, err := r.store.AuditTrail(r.Context(), "user", "ann", 10)
		require.NoError(r, err)
		require.Len(r, trail, 2)
		assert.Equal(r, []any{"consumption.reset", "root", r.caller.ApplicationID}, []any{trail[1].Action, trail[1].ActorID, trail[1].ApplicationID})
		assert.Equal(r, map[string]store.Change{"calls": {Before: 10.0, After: 0.0}}, trail[1].Changes)

		// No other period brings the old use back, nor does a late event, and history keeps it.
		for _, period := range []string{store.PeriodDay, store.PeriodYear, "", store.PeriodMonth} {
			plan.Features[0].Period = period
			require.NoError(r, r.store.UpdatePlan(r.Context(), plan))
			assert.Equal(r, "9", r.total(), period)
		}
		assert.Equal(r, "10", r.record(r.use("1", usedAt(opening.Add(-time.Hour)))).Total.String())
		id := store.CounterID{Account: store.Account{ApplicationID: r.caller.ApplicationID, UserID: "ann"}, Key: "calls", Period: store.PeriodMonth,
			StartsAt: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
		history, err := r.store.HistoryOf(r.Context(), []store.CounterID{id})
		require.NoError(r, err)
		assert.Equal(r, "20", history[id].Total.String())
	})
}

func TestResetOfWhatWasNeverUsed(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		assert.Equal(r, "0", r.reset(store.Account{UserID: "ann"}))
		assert.Equal(r, "1", r.record(r.use("1")).Total.String())
	})
}

// The counters of a period that no plan has looked at are made by the reset, with what was used before in the answer only.
func TestResetBeforeAnyPeriodWasCounted(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.record(r.use("4"))
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		assert.Equal(r, "4", r.reset(store.Account{UserID: "ann"}))
		assert.Equal(r, "1", r.record(r.use("1")).Total.String())
	})
}

func TestResetOfAnOrganization(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.subscribe(r.plan("team", "10", store.PeriodYear, true), store.Subscriber{OrganizationID: r.acme.ID})
		r.record(r.use("4", r.forAcme))
		r.record(r.use("5", by("bob"), r.forAcme))
		assert.Equal(r, "4", r.reset(store.Account{UserID: "ann", OrganizationID: r.acme.ID}))
		assert.Equal(r, "9", r.total(r.forAcme), "what ann used for it is not what all used")
		assert.Equal(r, "9", r.reset(store.Account{OrganizationID: r.acme.ID}))
		assert.Equal(r, "0", r.total(r.forAcme))
		assert.Equal(r, "10", r.record(r.use("10", r.forAcme)).Total.String())
		trail, err := r.store.AuditTrail(r.Context(), "organization", r.acme.ID, 10)
		require.NoError(r, err)
		assert.Len(r, trail, 1)
		assert.Equal(r, r.acme.ID, trail[0].OrganizationID)
	})
}

// A reset while others record loses nothing of what comes after it, and keeps nothing of what came before.
func TestParallelReset(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "100000", store.PeriodMonth, false, byDefault)
		other, account := r.another(), store.Account{ApplicationID: r.caller.ApplicationID, UserID: "ann"}
		sum := store.Amount{}
		working(r.Context(), func() {
			done := make(chan struct{}, 8)
			for i := range 8 {
				s := []*consumption.Service{r.Service, other}[i%2]
				go func() {
					for range 20 {
						_, err := s.Record(r.Context(), r.caller, []consumption.Usage{r.use("1")})
						assert.NoError(r, err)
					}
					done <- struct{}{}
				}()
			}
			for range 10 {
				previous, _, err := other.Reset(r.Context(), operator, account, "calls")
				assert.NoError(r, err)
				sum = sum.Add(previous)
			}
			for range 8 {
				<-done
			}
		}, r.Service, other)
		sum = sum.Add(amount(r, r.total()))
		assert.Equal(r, "160", sum.String())
	})
}
