package consumption_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
)

// A model is what counters and history have to say, worked out from the ledger alone in the simplest way.
type model struct {
	counters map[store.CounterID]store.Tally
	buckets  map[store.BucketID]store.Tally
}

// recompute reads the ledger. Whom a record was charged to is not in it: charged tells.
func (r *recorder) recompute(charged map[string]store.Account) *model {
	r.Helper()
	m := &model{map[store.CounterID]store.Tally{}, map[store.BucketID]store.Tally{}}
	rows, err := r.raw.QueryContext(r.Context(), "SELECT id, kind, user_id, organization_id, key, whole, micros, occurred_at FROM consumption_records ORDER BY id")
	require.NoError(r, err)
	defer rows.Close()
	for rows.Next() {
		var id, kind, user, organization, key string
		var whole, micros int64
		var at time.Time
		require.NoError(r, rows.Scan(&id, &kind, &user, &organization, &key, &whole, &micros, &at))
		a, at := amount(r, fmt.Sprintf("%d.%06d", whole, micros)), at.UTC()
		if kind == store.ConsumptionReset {
			account := store.Account{ApplicationID: r.caller.ApplicationID, UserID: user, OrganizationID: organization}
			for _, c := range countersOf(account, key, at) {
				m.counters[c] = store.Tally{}
			}
			continue
		}
		accounts := []store.Account{{ApplicationID: r.caller.ApplicationID, UserID: user}}
		if organization != "" {
			accounts = append(accounts, store.Account{ApplicationID: r.caller.ApplicationID, UserID: user, OrganizationID: organization},
				store.Account{ApplicationID: r.caller.ApplicationID, OrganizationID: organization})
		}
		require.Contains(r, charged, id)
		for _, account := range accounts {
			t := store.Tally{Total: a, Count: 1, FirstAt: &at, LastAt: &at}
			if account == charged[id] {
				t.Charged = a
			}
			for _, c := range countersOf(account, key, at) {
				sum := m.counters[c]
				sum.Add(t)
				m.counters[c] = sum
			}
			b := store.BucketID{Account: account, Key: key, StartsAt: at.Truncate(time.Hour), Width: store.BucketHour}
			sum := m.buckets[b]
			sum.Add(t)
			m.buckets[b] = sum
		}
	}
	require.NoError(r, rows.Err())
	return m
}

func countersOf(account store.Account, key string, at time.Time) (out []store.CounterID) {
	for _, period := range []string{"", store.PeriodDay, store.PeriodMonth, store.PeriodYear} {
		start, _ := store.PeriodAt(period, at)
		out = append(out, store.CounterID{Account: account, Key: key, Period: period, StartsAt: start})
	}
	return out
}

func shown(t store.Tally) string {
	at := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(t.Total, t.Charged, t.Count, at(t.FirstAt), at(t.LastAt))
}

// compare checks all counters, whether there is a row for them or not, and all history.
func (r *recorder) compare(m *model) {
	r.Helper()
	ids := keys(m.counters)
	got, err := r.store.Counters(r.Context(), ids)
	require.NoError(r, err)
	for _, id := range ids {
		c := got[id]
		if c == nil {
			c = &store.ConsumptionCounter{}
		}
		assert.Equal(r, shown(m.counters[id]), shown(c.Tally), "%v", id)
	}
	buckets := 0
	r.rows("SELECT application_id, user_id, organization_id, period, starts_at, key, count FROM consumption_counters", func(row *sql.Rows) error {
		var id store.CounterID
		var count int64
		err := row.Scan(&id.ApplicationID, &id.UserID, &id.OrganizationID, &id.Period, &id.StartsAt, &id.Key, &count)
		id.StartsAt = id.StartsAt.UTC()
		assert.Equal(r, m.counters[id].Count, count, "%v", id)
		return err
	})
	r.rows(`SELECT application_id, user_id, organization_id, key, starts_at, width,
 total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at FROM consumption_buckets`, func(row *sql.Rows) error {
		var id store.BucketID
		var t store.Tally
		var n [4]int64
		var first, last time.Time
		err := row.Scan(&id.ApplicationID, &id.UserID, &id.OrganizationID, &id.Key, &id.StartsAt, &id.Width, &n[0], &n[1], &n[2], &n[3], &t.Count, &first, &last)
		id.StartsAt = id.StartsAt.UTC()
		t.Total, t.Charged = amount(r, fmt.Sprintf("%d.%06d", n[0], n[1])), amount(r, fmt.Sprintf("%d.%06d", n[2], n[3]))
		t.FirstAt, t.LastAt = &first, &last
		assert.Equal(r, shown(m.buckets[id]), shown(t), "%v", id)
		buckets++
		return err
	})
	assert.Equal(r, len(m.buckets), buckets)
}

func (r *recorder) rows(query string, scan func(*sql.Rows) error) {
	r.Helper()
	rows, err := r.raw.QueryContext(r.Context(), query)
	require.NoError(r, err)
	defer rows.Close()
	for rows.Next() {
		require.NoError(r, scan(rows))
	}
	require.NoError(r, rows.Err())
}

func keys[K comparable, V any](of map[K]V) (out []K) {
	for k := range of {
		out = append(out, k)
	}
	return out
}

// After whatever happened, in whatever order, counters and history say what the ledger says.
func TestCountersAreWhatTheLedgerSays(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachRecorder(t, func(r *recorder) {
				random := rand.New(rand.NewPCG(seed, 7))
				other := r.another()
				charged := map[string]store.Account{}
				var mu sync.Mutex
				working(r.Context(), func() {
					for range 25 {
						r.disturb(random, other)
						var running sync.WaitGroup
						for i := range 4 {
							s := []*consumption.Service{r.Service, other}[i%2]
							mine := rand.New(rand.NewPCG(random.Uint64(), 1))
							running.Go(func() {
								for range 3 {
									for _, recorded := range r.happen(s, mine) {
										mu.Lock()
										charged[recorded.ID] = recorded.ChargedTo
										mu.Unlock()
									}
								}
							})
						}
						running.Wait()
					}
				}, r.Service, other)
				r.compare(r.recompute(charged))
			})
		})
	}
}

// disturb changes what decides about counting: the time, plans, subscriptions; or it resets something.
func (r *recorder) disturb(random *rand.Rand, s *consumption.Service) {
	r.forward(time.Duration(random.IntN(40)) * time.Hour)
	period := []string{"", store.PeriodDay, store.PeriodMonth, store.PeriodYear}[random.IntN(4)]
	switch random.IntN(5) {
	case 0:
		p, err := r.store.DefaultPlan(r.Context(), r.caller.ApplicationID)
		if err != nil {
			r.plan("free", "300", period, false, byDefault)
			return
		}
		p.Features[0].Period, p.Features[0].Hard = period, random.IntN(2) == 0
		require.NoError(r, r.store.UpdatePlan(r.Context(), p))
	case 1:
		p := r.plan(fmt.Sprint("plan-", random.Uint64()), "200", period, random.IntN(2) == 0)
		who := store.Subscriber{UserID: []string{"ann", "bob"}[random.IntN(2)]}
		if random.IntN(2) == 0 {
			who = store.Subscriber{OrganizationID: r.acme.ID}
		}
		r.subscribe(p, who, func(sub *store.Subscription) {
			ends := r.now().Add(time.Duration(random.IntN(100)) * time.Hour)
			sub.EndsAt = &ends
			if random.IntN(3) == 0 {
				sub.Overrides = []store.Feature{{Key: "calls", Type: store.FeatureQuota, Value: json.RawMessage("null")}}
			}
		})
	case 2:
		account := store.Account{ApplicationID: r.caller.ApplicationID, UserID: []string{"ann", "bob"}[random.IntN(2)]}
		switch random.IntN(3) {
		case 0:
			account.OrganizationID = r.acme.ID
		case 1:
			account.UserID, account.OrganizationID = "", r.acme.ID
		}
		_, _, err := s.Reset(r.Context(), operator, account, "calls")
		require.NoError(r, err)
	}
}

// happen records something, or reserves it and commits that.
func (r *recorder) happen(s *consumption.Service, random *rand.Rand) []consumption.Recorded {
	var uses []consumption.Usage
	for range random.IntN(4) + 1 {
		u := r.use(fmt.Sprintf("%d.%d", random.IntN(10), random.IntN(999_999)+1), by([]string{"ann", "bob"}[random.IntN(2)]))
		if random.IntN(2) == 0 {
			u.OrganizationID = []string{r.acme.ID, r.beta.ID}[random.IntN(2)]
		}
		if random.IntN(4) == 0 {
			u.At = r.now().Add(-time.Duration(random.IntN(59*24)) * time.Hour)
		}
		if random.IntN(4) == 0 {
			u.IdempotencyKey = fmt.Sprint(random.IntN(200))
		}
		u.Enforce = random.IntN(5) == 0
		uses = append(uses, u)
	}
	if random.IntN(5) == 0 {
		held, err := s.Reserve(r.Context(), r.caller, uses[0], time.Minute)
		if err != nil {
			return nil
		}
		less := amount(r, "0.5")
		out, err := s.Commit(r.Context(), r.caller, held.ID, &less, nil)
		if !assert.NoError(r, err) {
			return nil
		}
		return []consumption.Recorded{*out}
	}
	out, err := s.Record(r.Context(), r.caller, uses)
	if err != nil {
		assert.True(r, strings.Contains("QUOTA_EXCEEDED IDEMPOTENCY_KEY_REUSED", codeOf(err)), "%v", err)
	}
	return out
}
