package consumption_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
	"auth-service/store/storetest"
)

const day = 24 * time.Hour

// atRealTime moves the clock past the time that the ids of records tell, which no test can move.
func (r *recorder) atRealTime(after time.Duration) {
	r.clock.Store(int64(time.Since(opening) + after))
}

func TestTotalsSurvivePruning(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.atRealTime(0)
		r.plan("free", "100", "", true, byDefault)
		for i := range 30 {
			r.record(r.use("0.5", usedAt(r.now().Add(-time.Duration(i)*7*time.Hour)), r.forAcme))
		}
		keep := store.Retention{Records: 400 * day, Hours: 90 * day}
		history := func() (out []string) {
			for id, t := range r.days() {
				out = append(out, fmt.Sprint(id, shown(t)))
			}
			return out
		}
		before := history()
		r.atRealTime(89 * day)
		require.NoError(r, r.store.Reap(r.Context(), keep))
		hours := r.count("consumption_buckets")
		r.atRealTime(110 * day)
		require.NoError(r, r.store.Reap(r.Context(), keep))
		assert.Less(r, r.count("consumption_buckets"), hours)
		assert.ElementsMatch(r, before, history())
		assert.Equal(r, 30, r.count("consumption_records"))

		r.atRealTime(399 * day)
		r.record(r.use("1"))
		require.NoError(r, r.store.Reap(r.Context(), keep))
		assert.Equal(r, 31, r.count("consumption_records"))
		r.atRealTime(401 * day)
		require.NoError(r, r.store.Reap(r.Context(), keep))
		assert.Zero(r, r.count("consumption_records"), "all were written just now")
		assert.Equal(r, "16", r.total())
		require.NoError(r, r.store.Reap(r.Context(), store.Retention{}), "zero keeps all")
		assert.Equal(r, "17", r.record(r.use("1")).Total.String())
	})
}

type dayOf struct {
	store.Account
	Start time.Time
}

// days sums history by day.
func (r *recorder) days() map[dayOf]store.Tally {
	r.Helper()
	out := map[dayOf]store.Tally{}
	r.rows(`SELECT application_id, user_id, organization_id, starts_at, total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at
 FROM consumption_buckets`, func(row *sql.Rows) error {
		var id dayOf
		var t store.Tally
		var n [4]int64
		var first, last time.Time
		err := row.Scan(&id.ApplicationID, &id.UserID, &id.OrganizationID, &id.Start, &n[0], &n[1], &n[2], &n[3], &t.Count, &first, &last)
		id.Start, _ = store.PeriodAt(store.PeriodDay, id.Start)
		t.Total, t.Charged = amount(r, fmt.Sprintf("%d.%06d", n[0], n[1])), amount(r, fmt.Sprintf("%d.%06d", n[2], n[3]))
		t.FirstAt, t.LastAt = &first, &last
		sum := out[id]
		sum.Add(t)
		out[id] = sum
		return err
	})
	return out
}

// Replicas gather the same hours at the same time, while late events add to them.
func TestGatheringLosesNothing(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		other := storetest.Open(r.T, r.url, at(r.clock))
		service := r.replica(other)
		charged, mu := map[string]store.Account{}, sync.Mutex{}
		working(r.Context(), func() {
			var running sync.WaitGroup
			for i := range 6 {
				running.Go(func() {
					random := rand.New(rand.NewPCG(3, uint64(i)))
					for range 30 {
						var uses []consumption.Usage
						for range 5 {
							u := r.use(fmt.Sprintf("0.%06d", random.IntN(999_999)+1), by([]string{"ann", "bob"}[random.IntN(2)]))
							u.At = opening.Add(-time.Duration(random.IntN(10*24)) * time.Hour)
							uses = append(uses, u)
						}
						out, err := []*consumption.Service{r.Service, service}[i%2].Record(r.Context(), r.caller, uses)
						if !assert.NoError(r, err) {
							return
						}
						mu.Lock()
						for _, recorded := range out {
							charged[recorded.ID] = recorded.ChargedTo
						}
						mu.Unlock()
						if i < 4 {
							s := []*store.Store{r.store, other}[i%2]
							assert.NoError(r, s.Reap(r.Context(), store.Retention{Hours: 12 * time.Hour}))
						}
					}
				})
			}
			running.Wait()
		}, r.Service, service)
		want := map[dayOf]store.Tally{}
		for id, t := range r.recompute(charged).buckets {
			start, _ := store.PeriodAt(store.PeriodDay, id.StartsAt)
			sum := want[dayOf{id.Account, start}]
			sum.Add(t)
			want[dayOf{id.Account, start}] = sum
		}
		got := r.days()
		assert.Len(r, got, len(want))
		for id, t := range want {
			assert.Equal(r, shown(t), shown(got[id]), "%v", id)
		}
	})
}

func TestUsageOfDeletedApplicationsGoes(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		gone := r.caller
		for range 3 {
			r.record(r.use("1", r.forAcme))
		}
		app := &store.Application{Slug: "kept", Name: "kept"}
		require.NoError(r, r.store.CreateApplication(r.Context(), app))
		r.caller.ApplicationID = app.ID
		r.record(r.use("1"))
		require.NoError(r, r.store.Reap(r.Context(), store.Retention{}))
		assert.Equal(r, 4, r.count("consumption_records"))
		require.NoError(r, r.store.DeleteApplication(r.Context(), gone.ApplicationID))
		require.NoError(r, r.store.Reap(r.Context(), store.Retention{}))
		for table, n := range map[string]int{"records": 1, "counters": 1, "buckets": 1} {
			assert.Equal(r, n, r.count("consumption_"+table), table)
		}
		assert.Equal(r, "1", r.total())
	})
}
