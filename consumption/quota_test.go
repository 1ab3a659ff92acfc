package consumption_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
)

func TestSoftQuotaTells(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10.5", store.PeriodMonth, false, byDefault)
		first := r.record(r.use("8"))
		assert.Equal(r, []any{"8", "10.5", "2.5", false, false, "free"},
			[]any{first.Total.String(), first.Limit.String(), first.Remaining().String(), first.Exceeded, first.Hard, first.Plan})
		assert.Equal(r, []time.Time{time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}, []time.Time{*first.Start, *first.End})
		second := r.record(r.use("3"))
		assert.Equal(r, []any{"11", "0", true}, []any{second.Total.String(), second.Remaining().String(), second.Exceeded})
		r.refuse("QUOTA_EXCEEDED", r.use("1", enforced))
		assert.Equal(r, "11", r.total())

		other := r.use("1", enforced, func(u *consumption.Usage) { u.Key = "seats" })
		assert.Nil(r, r.record(other).Limit, "a limit of something else than use is no quota")
	})
}

func TestCheckWritesNothing(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		check := func(u consumption.Usage) (consumption.Standing, bool) {
			r.Helper()
			standing, allowed, err := r.Check(r.Context(), r.caller.ApplicationID, u)
			require.NoError(r, err)
			return standing, allowed
		}
		standing, allowed := check(r.use("1", enforced))
		assert.True(r, allowed)
		assert.Nil(r, standing.Limit)
		r.plan("free", "10", "", false, byDefault)
		r.record(r.use("8"))
		for _, tt := range []struct {
			amount            string
			enforce           bool
			allowed, exceeded bool
		}{{"2", true, true, false}, {"2.000001", true, false, true}, {"3", false, true, true}} {
			u := r.use(tt.amount)
			u.Enforce = tt.enforce
			standing, allowed := check(u)
			assert.Equal(r, []any{"8", "2", tt.allowed, tt.exceeded, tt.enforce},
				[]any{standing.Total.String(), standing.Remaining().String(), allowed, standing.Exceeded, standing.Hard}, tt.amount)
		}
		_, _, err := r.Check(r.Context(), r.caller.ApplicationID, r.use("1", by("nobody")))
		assert.Equal(r, "USER_NOT_FOUND", codeOf(err))
		assert.Equal(r, 1, r.count("consumption_records"))
	})
}

func (r *recorder) count(table string) (n int) {
	r.Helper()
	require.NoError(r, r.raw.QueryRowContext(r.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

// Parallel callers on two replicas would pass a limit that each of them sees respected.
func TestHardLimitIsNeverPassed(t *testing.T) {
	for _, amounts := range []string{"of one", "at random"} {
		t.Run(amounts, func(t *testing.T) {
			eachRecorder(t, func(r *recorder) {
				r.plan("free", "100", store.PeriodDay, true, byDefault)
				other := r.another()
				var accepted, refused atomic.Int64
				working(r.Context(), func() {
					var running sync.WaitGroup
					for i := range 24 {
						s := []*consumption.Service{r.Service, other}[i%2]
						running.Go(func() {
							random := rand.New(rand.NewPCG(1, uint64(i)))
							for range 10 {
								n := int64(1)
								if amounts == "at random" {
									n = random.Int64N(4) + 1
								}
								u := r.use("1", by([]string{"ann", "bob"}[random.IntN(2)]))
								u.UserID, u.Amount = "ann", store.NewAmount(n)
								out, err := s.Record(r.Context(), r.caller, []consumption.Usage{u})
								if err != nil {
									assert.Equal(r, "QUOTA_EXCEEDED", codeOf(err))
									refused.Add(1)
									continue
								}
								accepted.Add(n)
								assert.LessOrEqual(r, out[0].Total.Compare(*out[0].Limit), 0)
							}
						})
					}
					running.Wait()
				}, r.Service, other)
				assert.Equal(r, store.NewAmount(accepted.Load()).String(), r.total())
				assert.LessOrEqual(r, accepted.Load(), int64(100))
				if amounts == "of one" {
					assert.Equal(r, []int64{100, 140}, []int64{accepted.Load(), refused.Load()})
				}
			})
		})
	}
}

// An application that sends ids of nobody must not fill the tables with them.
func TestNobodyIsNotCounted(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, true, byDefault)
		r.refuse("USER_NOT_FOUND", r.use("1", by("nobody")))
		r.refuse("USER_NOT_FOUND", r.use("11", by("nobody")))
		r.refuse("USER_NOT_FOUND", r.use("1", by("")))
		r.refuse("ORGANIZATION_NOT_FOUND", r.use("1", func(u *consumption.Usage) { u.OrganizationID = "none" }))
		assert.Zero(r, r.count("consumption_counters"))
	})
}

func TestPlanChangesCountAtOnce(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		free := r.plan("free", "5", store.PeriodMonth, true, byDefault)
		pro := r.plan("pro", "50", store.PeriodMonth, true)
		r.record(r.use("5"))
		r.refuse("QUOTA_EXCEEDED", r.use("1"))

		free.Features[0].Value = json.RawMessage("6")
		require.NoError(r, r.store.UpdatePlan(r.Context(), free))
		r.record(r.use("1"))
		r.refuse("QUOTA_EXCEEDED", r.use("1"))

		ends := opening.Add(time.Hour)
		r.subscribe(pro, store.Subscriber{UserID: "ann"}, func(s *store.Subscription) { s.EndsAt = &ends })
		out := r.record(r.use("1"))
		assert.Equal(r, []any{"pro", "50", "7"}, []any{out.Plan, out.Limit.String(), out.Total.String()})

		r.subscribe(pro, store.Subscriber{UserID: "ann"}, func(s *store.Subscription) {
			s.EndsAt, s.Overrides = &ends, []store.Feature{{Key: "calls", Type: store.FeatureQuota, Value: json.RawMessage("8"), Period: store.PeriodMonth, Hard: true}}
		})
		r.record(r.use("1"))
		r.refuse("QUOTA_EXCEEDED", r.use("1"))

		r.subscribe(pro, store.Subscriber{UserID: "ann"}, func(s *store.Subscription) {
			s.EndsAt, s.Overrides = &ends, []store.Feature{{Key: "calls", Type: store.FeatureQuota, Value: json.RawMessage("null"), Period: store.PeriodMonth, Hard: true}}
		})
		out = r.record(r.use("100", enforced))
		assert.Nil(r, out.Limit)
		assert.Equal(r, "108", out.Total.String(), "of all time")

		r.forward(time.Hour) // the subscription ends
		r.refuse("QUOTA_EXCEEDED", r.use("0.000001"))
	})
}

func TestOrganizationIsCharged(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "3", store.PeriodMonth, true, byDefault)
		team := r.plan("team", "10", store.PeriodMonth, true)
		r.subscribe(team, store.Subscriber{OrganizationID: r.acme.ID})

		out := r.record(r.use("4", r.forAcme))
		assert.Equal(r, []any{"4", "10", store.Account{ApplicationID: r.caller.ApplicationID, OrganizationID: r.acme.ID}},
			[]any{out.Total.String(), out.Limit.String(), out.ChargedTo})
		assert.Equal(r, "9", r.record(r.use("5", by("bob"), r.forAcme)).Total.String(), "of all its people together")
		r.refuse("QUOTA_EXCEEDED", r.use("2", r.forAcme))
		assert.Equal(r, "3", r.record(r.use("3")).Total.String(), "what ann uses for acme is not held against her own limit")
		r.refuse("QUOTA_EXCEEDED", r.use("1"))

		// An organization without a subscription leaves the person with their own.
		r.refuse("QUOTA_EXCEEDED", r.use("1", func(u *consumption.Usage) { u.OrganizationID = r.beta.ID }))
		out = r.record(r.use("2", by("bob"), func(u *consumption.Usage) { u.OrganizationID = r.beta.ID }))
		assert.Equal(r, []any{"2", "bob"}, []any{out.Total.String(), out.ChargedTo.UserID})

		app := r.caller.ApplicationID
		for account, want := range map[store.Account][2]string{
			{ApplicationID: app, UserID: "ann"}:                            {"7", "3"},
			{ApplicationID: app, UserID: "ann", OrganizationID: r.acme.ID}: {"4", "0"},
			{ApplicationID: app, OrganizationID: r.acme.ID}:                {"9", "9"},
			{ApplicationID: app, UserID: "bob"}:                            {"7", "2"},
			{ApplicationID: app, OrganizationID: r.beta.ID}:                {"2", "0"},
		} {
			id := store.CounterID{Account: account, Key: "calls", Period: store.PeriodMonth, StartsAt: *out.Start}
			counters, err := r.store.Counters(r.Context(), []store.CounterID{id, id.Head()})
			require.NoError(r, err)
			for id, c := range counters {
				assert.Equal(r, want, [2]string{c.Total.String(), c.Charged.String()}, "%v", id)
			}
			assert.Len(r, counters, 2)
		}
	})
}

// A plan may come with another kind of period than the one before, and go back to that.
func TestPeriodsThatChange(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		quota := func(period string) func() {
			return func() {
				p, err := r.store.DefaultPlan(r.Context(), r.caller.ApplicationID)
				require.NoError(r, err)
				p.Features[0].Period = period
				require.NoError(r, r.store.UpdatePlan(r.Context(), p))
			}
		}
		r.record(r.use("1")) // before there was any plan
		r.plan("free", "1000", store.PeriodDay, true, byDefault)
		for _, step := range []struct {
			name    string
			do      func()
			total   string // after one more use
			checked string // before it
		}{
			{"day", func() {}, "2", "1"},
			{"the next day", func() { r.forward(24 * time.Hour) }, "1", "0"},
			{"month", quota(store.PeriodMonth), "4", "3"},
			{"month, a day later", func() { r.forward(24 * time.Hour) }, "5", "4"},
			{"day again", quota(store.PeriodDay), "2", "1"},
			{"month again", quota(store.PeriodMonth), "7", "6"},
			{"all time", quota(""), "8", "7"},
			{"year", quota(store.PeriodYear), "9", "8"},
			{"year, a month later", func() { r.forward(31 * 24 * time.Hour) }, "10", "9"},
			{"month, a month later", quota(store.PeriodMonth), "2", "1"},
			{"the next year", func() { r.forward(365 * 24 * time.Hour) }, "1", "0"},
		} {
			step.do()
			assert.Equal(r, step.checked, r.total(), step.name)
			require.Equal(r, step.total, r.record(r.use("1")).Total.String(), step.name)
		}
	})
}

func TestLateEvents(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "5", store.PeriodMonth, true, byDefault)
		r.record(r.use("5"))
		april := time.Date(2026, 4, 30, 23, 59, 59, 999_999_000, time.UTC)
		out := r.record(r.use("4", usedAt(april)))
		assert.Equal(r, []any{"4", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}, []any{out.Total.String(), *out.Start})
		r.refuse("QUOTA_EXCEEDED", r.use("2", usedAt(april)))
		assert.Equal(r, "5", r.record(r.use("1", usedAt(april))).Total.String())
		assert.Equal(r, "5", r.total())
		r.refuse("QUOTA_EXCEEDED", r.use("1"))
	})
}

func (r *recorder) announced() (payloads []string) {
	r.Helper()
	rows, err := r.raw.QueryContext(r.Context(), "SELECT payload FROM outbox WHERE type = 'consumption.threshold' ORDER BY id")
	require.NoError(r, err)
	defer rows.Close()
	for rows.Next() {
		var payload string
		require.NoError(r, rows.Scan(&payload))
		payloads = append(payloads, payload)
	}
	require.NoError(r, rows.Err())
	return payloads
}

func (r *recorder) thresholds() (out []string) {
	r.Helper()
	for _, payload := range r.announced() {
		var data struct {
			UserID, OrganizationID *string
			Threshold              int
			Total                  json.Number
		}
		require.NoError(r, json.Unmarshal([]byte(payload), &data))
		out = append(out, fmt.Sprintf("%d at %s", data.Threshold, data.Total))
	}
	return out
}

func (r *recorder) webhook() {
	r.Helper()
	r.exec(`INSERT INTO webhooks (application_id, url, enabled, secret, previous_secret, created_at, updated_at) VALUES ($1, 'https://shop.example/hook', true, '', '', $2, $2)`,
		r.caller.ApplicationID, opening)
}

func TestThresholdsAreAnnouncedOnce(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.webhook()
		p := r.plan("free", "10", store.PeriodMonth, false, byDefault)
		r.record(r.use("7.999999"))
		assert.Empty(r, r.announced())
		r.record(r.use("0.000001"))
		r.record(r.use("1"))
		assert.Equal(r, []string{"80 at 8"}, r.thresholds())
		assert.JSONEq(r, fmt.Sprintf(`{"applicationId": %q, "userId": "ann", "organizationId": null, "key": "calls", "threshold": 80, "limit": 10, "total": 8,
			"period": {"start": "2026-05-01T00:00:00.000Z", "end": "2026-06-01T00:00:00.000Z"}}`, r.caller.ApplicationID), r.announced()[0])
		r.record(r.use("5"))
		r.record(r.use("5"))
		assert.Equal(r, []string{"80 at 8", "100 at 14"}, r.thresholds())

		r.forward(31 * 24 * time.Hour) // the next month
		r.record(r.use("10"))
		assert.Equal(r, []string{"80 at 8", "100 at 14", "80 at 10", "100 at 10"}, r.thresholds())

		p.Features[0].Thresholds = []int{}
		require.NoError(r, r.store.UpdatePlan(r.Context(), p))
		r.record(r.use("10", by("bob")))
		p.Features[0].Thresholds = []int{50, 300}
		require.NoError(r, r.store.UpdatePlan(r.Context(), p))
		r.record(r.use("1", by("bob")))
		assert.Equal(r, []string{"50 at 11"}, r.thresholds()[4:])
	})
}

func TestThresholdsOfAnOrganizationAndAllTime(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.webhook()
		r.subscribe(r.plan("team", "10", "", true), store.Subscriber{OrganizationID: r.acme.ID})
		r.record(r.use("10", r.forAcme))
		require.Len(r, r.announced(), 2)
		assert.JSONEq(r, fmt.Sprintf(`{"applicationId": %q, "userId": null, "organizationId": %q, "key": "calls", "threshold": 100, "limit": 10, "total": 10,
			"period": {"start": null, "end": null}}`, r.caller.ApplicationID, r.acme.ID), r.announced()[1])
	})
}

// Two replicas that cross a threshold at the same moment would both announce it.
func TestParallelThresholds(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.webhook()
		r.plan("free", "100", store.PeriodMonth, false, byDefault)
		other := r.another()
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 16 {
				s := []*consumption.Service{r.Service, other}[i%2]
				running.Go(func() {
					for range 10 {
						_, err := s.Record(context.WithoutCancel(r.Context()), r.caller, []consumption.Usage{r.use("1")})
						assert.NoError(r, err)
					}
				})
			}
			running.Wait()
		}, r.Service, other)
		assert.Equal(r, "160", r.total())
		assert.Len(r, r.thresholds(), 2)
	})
}
