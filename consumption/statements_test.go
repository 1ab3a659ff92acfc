package consumption_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
	"auth-service/store/storetest"
)

// statements names what a call did to the database: the verb, and the first of our tables that matters.
func statements(calls *storetest.Calls) (list []string) {
	for _, sql := range calls.SQL() {
		name := strings.ToUpper(strings.Fields(sql)[0])
		for _, table := range []string{"facts", "counters", "buckets", "records", "reservations"} {
			if strings.Contains(sql, "consumption_"+table) || table == "facts" && strings.Contains(sql, "policy_version") {
				name += " " + table
				break
			}
		}
		list = append(list, name)
	}
	return list
}

// The cost of each path is its statements (design: one transaction). A regression shows here before it does in a benchmark.
func TestStatementsOfEachPath(t *testing.T) {
	eachRecorder(t, func(r *recorder) {
		r.plan("free", "10", store.PeriodMonth, false, byDefault)
		r.record(r.use("1", by("cid"))) // from now on it is known what the plans are
		record := func(uses ...consumption.Usage) func(ctx context.Context) {
			return func(ctx context.Context) {
				_, err := r.Record(ctx, r.caller, uses)
				require.NoError(r, err)
			}
		}
		write := []string{"INSERT counters", "INSERT buckets", "INSERT records"}
		path := func(read ...string) []string { return append(append([]string{"BEGIN"}, read...), "COMMIT") }
		for _, tt := range []struct {
			name string
			do   func(ctx context.Context)
			want []string
		}{
			{"the first use", record(r.use("1")), path(append([]string{"SELECT facts"}, write...)...)},
			{"soft", record(r.use("1")), path(append([]string{"SELECT facts"}, write...)...)},
			{"for an organization", record(r.use("1", r.forAcme)), path(append([]string{"SELECT facts"}, write...)...)},
			{"a batch", record(r.use("1"), r.use("1", by("bob")), r.use("1", r.forAcme)), path(append([]string{"SELECT facts"}, write...)...)},
			{"with an idempotency key", record(r.use("1", under("k"))), path(append([]string{"SELECT facts", "SELECT records"}, write...)...)},
			{"repeated", record(r.use("1", under("k"))), path("SELECT facts", "SELECT records")},
			{"enforced", record(r.use("1", enforced, by("bob"))), path(append([]string{"SELECT facts", "INSERT counters", "SELECT reservations"}, write...)...)},
			{"refused", func(ctx context.Context) {
				_, err := r.Record(ctx, r.caller, []consumption.Usage{r.use("11", enforced)})
				require.Error(r, err)
			}, path("SELECT facts", "INSERT counters", "SELECT reservations")},
			{"check", func(ctx context.Context) {
				_, _, err := r.Check(ctx, r.caller.ApplicationID, r.use("1"))
				require.NoError(r, err)
			}, []string{"SELECT facts", "SELECT counters"}},
		} {
			ctx, calls := storetest.Trace(r.Context())
			tt.do(ctx)
			assert.Equal(r, tt.want, statements(calls), tt.name)
		}
	})
}
