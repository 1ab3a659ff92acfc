package store_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// fillConsumption records the use of many people at every hour of some days.
func (f *fixture) fillConsumption() {
	f.Helper()
	one := store.NewAmount(1)
	var records []store.ConsumptionRecord
	counters, buckets := map[store.CounterID]store.Tally{}, map[store.BucketID]store.Tally{}
	for i := range planRows {
		user := fmt.Sprintf("%06d", i/10)
		account := store.Account{ApplicationID: f.crm.ID, UserID: user}
		at := noon.Add(-time.Duration(i%50) * time.Hour)
		tally := store.Tally{Total: one, Charged: one, Count: 1, FirstAt: &at, LastAt: &at}
		for _, key := range []string{"calls", "mails"} {
			records = append(records, store.ConsumptionRecord{
				ApplicationID: f.crm.ID, ID: store.NewID(), Kind: store.ConsumptionUsed, UserID: user, Key: key, Amount: one, OccurredAt: at, RecordedAt: at,
			})
			counters[store.CounterID{Account: account, Key: key, StartsAt: store.Epoch}] = tally
			buckets[store.BucketID{Account: account, Key: key, StartsAt: at.Truncate(time.Hour), Width: store.BucketHour}] = tally
		}
	}
	require.NoError(f, f.InsertRecords(f.Context(), records))
	_, err := f.AddToCounters(f.Context(), counters)
	require.NoError(f, err)
	require.NoError(f, f.AddToBuckets(f.Context(), buckets))
	if f.Dialect() == "postgres" {
		exec(f.T, f.Store, "ANALYZE")
	}
}

// A list of values that comes with a statement is read as a whole, and is no table.
var given = regexp.MustCompile(`SCAN (json_each|value|x)\b.*`)

// What people look at while an application waits costs the same whether there are a thousand records or ten million.
func TestReportsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fillConsumption()
		account := store.Account{ApplicationID: f.crm.ID, UserID: "000007"}
		ledger := func(q store.LedgerQuery, after *store.LedgerPosition) func(context.Context) error {
			q.ApplicationID, q.MaxAge = f.crm.ID, 7*day
			return func(ctx context.Context) error {
				_, err := f.Ledger(ctx, q, 500, after)
				return err
			}
		}
		history := func(step string) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := f.ConsumptionHistory(ctx, account, []string{"calls", "mails"}, noon.Add(-30*day), noon, step)
				return err
			}
		}
		at := &store.LedgerPosition{Key: "calls", OccurredAt: noon, ID: store.NewID()}
		for _, tt := range []struct {
			name  string
			run   func(ctx context.Context) error
			index string
		}{
			{"running counters", func(ctx context.Context) error {
				_, err := f.RunningCounters(ctx, account, 200, noon, func(string) string { return store.PeriodMonth })
				return err
			}, "consumption_counters key"},
			{"history", history(""), "consumption_buckets key"},
			{"history by hour", history(store.BucketHour), "consumption_buckets key"},
			{"history by day", history(store.BucketDay), "consumption_buckets key"},
			{"edge of a span", func(ctx context.Context) error {
				_, err := f.ConsumptionInLedger(ctx, account, []string{"calls"}, noon.Add(-time.Hour), noon)
				return err
			}, "consumption_records_user_id"},
			{"ledger", ledger(store.LedgerQuery{}, nil), "consumption_records key"},
			{"ledger goes on", ledger(store.LedgerQuery{}, at), "consumption_records key"},
			{"ledger of a time", ledger(store.LedgerQuery{From: noon, To: noon.Add(day)}, at), "consumption_records key"},
			{"ledger of a person", ledger(store.LedgerQuery{UserID: "000007"}, at), "consumption_records_user_id"},
			{"ledger of a person and key", ledger(store.LedgerQuery{UserID: "000007", Key: "calls", From: noon}, at), "consumption_records_user_id"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), tt.name)
			plan := ""
			for _, statement := range calls.SQL() {
				plan += f.plan(statement, "") + "\n"
			}
			require.Contains(f, plan, f.index(tt.index), "%s: %s", tt.name, calls.SQL())
			require.NotRegexp(f, scans, given.ReplaceAllString(plan, ""), "%s: %s", tt.name, calls.SQL())
		}
	})
}

// Nothing of a ledger is left out where one batch ends and the next one begins, and nothing comes twice.
func TestLedgerInBatches(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fillConsumption()
		now := time.Now() // ids are made by the real clock
		for name, q := range map[string]struct {
			store.LedgerQuery
			n int
		}{
			"all": {store.LedgerQuery{}, 2 * planRows}, "a key": {store.LedgerQuery{Key: "calls"}, planRows}, "a person": {store.LedgerQuery{UserID: "000007"}, 20},
			"a person and key": {store.LedgerQuery{UserID: "000007", Key: "mails"}, 10}, "nobody": {store.LedgerQuery{UserID: "x"}, 0},
			"a time": {store.LedgerQuery{From: noon, To: noon.Add(time.Hour), MaxAge: now.Sub(noon) + day, MaxSkew: day}, 2 * planRows / 50},
			// An id tells when its record was made: what was recorded longer after its use than is possible is not looked for.
			"a time long ago": {store.LedgerQuery{To: noon.Add(time.Hour), MaxAge: time.Hour}, 0},
		} {
			q.ApplicationID = f.crm.ID
			seen := map[string]bool{}
			for after, more := (*store.LedgerPosition)(nil), true; more; {
				page, err := f.Ledger(f.Context(), q.LedgerQuery, 7, after)
				require.NoError(f, err)
				for _, r := range page.Items {
					require.False(f, seen[r.ID], "%s: comes twice", name)
					seen[r.ID] = true
					after = &store.LedgerPosition{Key: r.Key, OccurredAt: r.OccurredAt, ID: r.ID}
				}
				more = page.More
			}
			assert.Len(f, seen, q.n, name)
		}
	})
}

// An application may make up any number of keys for a person. Whoever then asks for all of them, again and again, must not fill the
// memory with them (CWE-770).
func TestRunningCountersAreBounded(t *testing.T) {
	installed(t, func(f *fixture) {
		account := store.Account{ApplicationID: f.crm.ID, UserID: "ann"}
		tallies := map[store.CounterID]store.Tally{}
		for i := range 20 {
			id := store.CounterID{Account: account, Key: fmt.Sprintf("k%02d", i), StartsAt: store.Epoch}
			tallies[id] = store.Tally{Total: store.NewAmount(1), Count: 1}
			id.Period = store.PeriodDay
			id.StartsAt, _ = store.PeriodAt(id.Period, noon)
			tallies[id] = store.Tally{Total: store.NewAmount(2), Count: 1}
		}
		_, err := f.AddToCounters(f.Context(), tallies)
		require.NoError(f, err)
		counters, err := f.RunningCounters(f.Context(), account, 3, noon, func(string) string { return store.PeriodDay })
		require.NoError(f, err)
		require.Len(f, counters, 3)
		for key, c := range counters {
			require.Equal(f, []string{"1", "2"}, []string{c.Head.Total.String(), c.Current.Total.String()}, key)
		}
	})
}
