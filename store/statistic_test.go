package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// statistics are the rows, in their order, without those that sum up others: these are compared with them.
func (f *fixture) statistics() []store.DailyStatistic {
	f.Helper()
	var rows []store.DailyStatistic
	require.NoError(f, f.DB(f.Context()).Order("day, application_id, metric").Find(&rows, "application_id <> '*'").Error)
	for _, sums := range [][2]string{
		{"SELECT day, metric, CAST(sum(value) AS bigint) AS value FROM daily_statistics WHERE application_id <> '*' GROUP BY day, metric",
			"SELECT day, metric, value FROM daily_statistics WHERE application_id = '*'"},
		{"SELECT substr(day, 1, 7) AS day, application_id, metric, CAST(sum(value) AS bigint) AS value FROM daily_statistics " +
			"WHERE application_id <> '*' AND metric IN ('tokens', 'authorizations') GROUP BY substr(day, 1, 7), application_id, metric",
			"SELECT month AS day, application_id, metric, value FROM monthly_statistics"},
	} {
		var want, got []store.DailyStatistic
		require.NoError(f, f.DB(f.Context()).Raw(sums[0]).Scan(&want).Error)
		require.NoError(f, f.DB(f.Context()).Raw(sums[1]).Scan(&got).Error)
		require.ElementsMatch(f, want, got)
	}
	return rows
}

// Replicas add to the same rows, and a day ends at midnight in UTC.
func TestCountersAddUp(t *testing.T) {
	installed(t, func(f *fixture) {
		one, other := &store.Counters{Store: f.Store}, &store.Counters{Store: f.Store}
		for range 3 {
			one.Add(store.MetricTokens, f.crm.ID)
			other.Add(store.MetricTokens, f.crm.ID)
		}
		one.Add(store.MetricSignIns, "")
		require.Empty(f, f.statistics(), "counting writes nothing")
		for _, c := range []*store.Counters{one, other, one} {
			require.NoError(f, c.Flush(f.Context()))
		}
		f.forward(12 * time.Hour)
		other.Add(store.MetricTokens, f.crm.ID)
		require.NoError(f, other.Flush(f.Context()))
		require.Equal(f, []store.DailyStatistic{
			{Day: "2026-11-23", Metric: store.MetricSignIns, Value: 1},
			{Day: "2026-11-23", ApplicationID: f.crm.ID, Metric: store.MetricTokens, Value: 6},
			{Day: "2026-11-24", ApplicationID: f.crm.ID, Metric: store.MetricTokens, Value: 1},
		}, f.statistics())
	})
}

// Each person counts once a day, however often and on however many replicas they are seen.
func TestActiveUsers(t *testing.T) {
	installed(t, func(f *fixture) {
		one, other := &store.Counters{Store: f.Store}, &store.Counters{Store: f.Store}
		flush := func(c *store.Counters, users ...string) {
			for _, id := range users {
				c.Seen(id)
			}
			require.NoError(f, c.Flush(f.Context()))
		}
		flush(one, f.ada.ID, f.ada.ID)
		flush(one, f.ada.ID)
		flush(other, f.ada.ID, f.eve.ID)
		other.Seen(f.eve.ID) // before midnight, written after it
		f.forward(12 * time.Hour)
		flush(other, f.eve.ID)
		f.forward(day)
		flush(one, f.ada.ID)
		require.Equal(f, []store.DailyStatistic{
			{Day: "2026-11-23", Metric: store.MetricActiveUsers, Value: 2},
			{Day: "2026-11-24", Metric: store.MetricActiveUsers, Value: 1},
			{Day: "2026-11-25", Metric: store.MetricActiveUsers, Value: 1},
		}, f.statistics())
		require.EqualValues(f, 2, f.rows("user_activity"))
	})
}

// Somebody who is deleted between the request and the flush must not keep the figures of all others from being written.
func TestActiveUserIsDeleted(t *testing.T) {
	installed(t, func(f *fixture) {
		c := &store.Counters{Store: f.Store}
		for _, id := range []string{f.ada.ID, f.eve.ID, "never was there"} {
			c.Seen(id)
		}
		require.NoError(f, f.DeleteUser(f.Context(), f.eve.ID, noon))
		require.NoError(f, c.Flush(f.Context()))
		require.Equal(f, []store.DailyStatistic{{Day: "2026-11-23", Metric: store.MetricActiveUsers, Value: 1}}, f.statistics())
		require.NoError(f, f.DeleteUser(f.Context(), f.ada.ID, noon))
		require.Zero(f, f.rows("user_activity"))
	})
}

// What cannot be written now is written later, with what came meanwhile.
func TestFlushFails(t *testing.T) {
	installed(t, func(f *fixture) {
		c := &store.Counters{Store: f.Store}
		count := func() {
			c.Add(store.MetricTokens, f.crm.ID)
			c.Seen(f.ada.ID)
		}
		count()
		gone, cancel := context.WithCancel(f.Context())
		cancel()
		require.ErrorIs(f, c.Flush(gone), context.Canceled)
		count()
		require.NoError(f, c.Flush(f.Context()))
		require.Equal(f, []store.DailyStatistic{
			{Day: "2026-11-23", Metric: store.MetricActiveUsers, Value: 1},
			{Day: "2026-11-23", ApplicationID: f.crm.ID, Metric: store.MetricTokens, Value: 2},
		}, f.statistics())
		ctx, calls := storetest.Trace(f.Context())
		require.NoError(f, c.Flush(ctx))
		require.Empty(f, calls.List(), "there is nothing left to write")
	})
}

// Nothing is lost or counted twice while requests count and replicas flush at the same time.
func TestCountersTogether(t *testing.T) {
	installed(t, func(f *fixture) {
		replicas := []*store.Counters{{Store: f.Store}, {Store: f.Store}}
		for _, err := range together(8, func(i int) error {
			c := replicas[i%2]
			for range 50 {
				c.Add(store.MetricTokens, f.crm.ID)
				c.Add(store.MetricAuthorizations, f.crm.ID)
				c.Seen(f.ada.ID)
				c.Seen(f.eve.ID)
				if err := c.Flush(f.Context()); err != nil {
					return err
				}
			}
			return nil
		}) {
			require.NoError(f, err)
		}
		require.Equal(f, []store.DailyStatistic{
			{Day: "2026-11-23", Metric: store.MetricActiveUsers, Value: 2},
			{Day: "2026-11-23", ApplicationID: f.crm.ID, Metric: store.MetricAuthorizations, Value: 400},
			{Day: "2026-11-23", ApplicationID: f.crm.ID, Metric: store.MetricTokens, Value: 400},
		}, f.statistics())
	})
}

// A crowd, or a database that is away for long, must not fill the memory. Who was left out counts when seen again.
func TestCountersAreBounded(t *testing.T) {
	installed(t, func(f *fixture) {
		c := &store.Counters{Store: f.Store, People: 1}
		c.Seen(f.ada.ID)
		c.Seen(f.eve.ID)
		c.Seen(f.ada.ID)
		require.NoError(f, c.Flush(f.Context()))
		require.EqualValues(f, 1, f.rows("user_activity"))
		c.Seen(f.eve.ID)
		require.NoError(f, c.Flush(f.Context()))
		require.EqualValues(f, 2, f.rows("user_activity"))
	})
}

// However many people and applications, a flush takes one statement for each 500 of them.
func TestFlushStatements(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		c := &store.Counters{Store: f.Store}
		for i := range 1001 {
			c.Seen(fmt.Sprintf("%06d", i))
		}
		for i := range 501 {
			c.Add(store.MetricTokens, fmt.Sprint(i))
		}
		ctx, calls := storetest.Trace(f.Context())
		require.NoError(f, c.Flush(ctx))
		require.Equal(f, []string{"BEGIN", "W user_activity", "W user_activity", "W user_activity", "W daily_statistics", "W daily_statistics",
			"W monthly_statistics", "W monthly_statistics", "COMMIT"}, calls.List())
	})
}

// Issuing a token counts, so counting must cost next to nothing.
func TestCountingAllocatesNothing(t *testing.T) {
	c := &store.Counters{Store: storetest.New(t)}
	count := func() {
		c.Add(store.MetricTokens, "application")
		c.Seen("user")
	}
	count()
	assert.Zero(t, testing.AllocsPerRun(1000, count))
}

func BenchmarkCounters(b *testing.B) {
	c := &store.Counters{Store: storetest.New(b)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(store.MetricTokens, "application")
			c.Seen("user")
		}
	})
}

// The figures of a year must be those that all its days add up to, wherever it begins and ends.
func TestApplicationStatistics(t *testing.T) {
	const days = 100
	installed(t, func(f *fixture) {
		c := &store.Counters{Store: f.Store}
		tokens := map[string]int64{}
		f.forward(-days * day)
		for i := range days + 1 {
			for range i%3 + 1 {
				c.Add(store.MetricTokens, f.crm.ID)
				tokens[f.at().Format(time.DateOnly)]++
			}
			c.Add(store.MetricAuthorizations, f.hr.ID)
			c.Add(store.MetricTokens, f.hr.ID)
			c.Add(store.MetricTokens, "gone")
			c.Add(store.MetricTokenFailures, f.hr.ID)
			f.forward(day)
		}
		f.forward(-day)
		require.NoError(f, c.Flush(f.Context()))
		require.NotEmpty(f, f.statistics())
		last := f.at()
		for from := range days + 10 {
			for to := from; to >= 0; to-- {
				if (from+to)%7 > 0 && to > 3 {
					continue // it takes its time
				}
				q := store.StatisticQuery{From: last.AddDate(0, 0, -from).Format(time.DateOnly), To: last.AddDate(0, 0, -to).Format(time.DateOnly)}
				want := store.ApplicationUsage{ApplicationID: f.crm.ID, Name: f.crm.Name}
				for i := to; i <= from; i++ {
					want.Tokens += tokens[last.AddDate(0, 0, -i).Format(time.DateOnly)]
				}
				all, err := f.ApplicationStatistics(f.Context(), q, 10)
				require.NoError(f, err)
				q.ApplicationID = f.crm.ID
				one, err := f.ApplicationStatistics(f.Context(), q, 10)
				require.NoError(f, err)
				if want.Tokens == 0 {
					require.Empty(f, one)
					continue
				}
				require.Equal(f, []store.ApplicationUsage{want}, one, "%+v", q)
				require.Contains(f, all, want, "%+v", q)
				require.Len(f, all, 2, "those that are gone are left out")
			}
		}
	})
}

// The figures of a year read no more of the days than what is not a whole month, and those of an application read its rows.
func TestStatisticsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		rows, months := []store.DailyStatistic{}, []map[string]any{}
		for i := range 5 * planRows {
			day := noon.Add(-time.Duration(i%400) * day).Format(time.DateOnly)
			rows = append(rows, store.DailyStatistic{Day: day, ApplicationID: fmt.Sprint(i), Metric: store.MetricTokens, Value: 1})
			months = append(months, map[string]any{"month": day[:7], "application_id": fmt.Sprint(i), "metric": store.MetricTokens, "value": 1})
		}
		db := f.DB(f.Context())
		require.NoError(f, db.CreateInBatches(rows, 500).Error)
		require.NoError(f, db.Table("monthly_statistics").CreateInBatches(months, 500).Error)
		if f.Dialect() == "postgres" {
			exec(f.T, f.Store, "ANALYZE")
		}
		daily := func(ctx context.Context, q store.StatisticQuery) error {
			_, err := f.DailyStatistics(ctx, q)
			return err
		}
		usage := func(ctx context.Context, q store.StatisticQuery) error {
			_, err := f.ApplicationStatistics(ctx, q, 50)
			return err
		}
		const metrics = "'tokens', 'authorizations', "
		for _, tt := range []struct {
			name    string
			run     func(ctx context.Context, q store.StatisticQuery) error
			query   store.StatisticQuery
			indexes []string
			args    string
		}{
			{"a year of everything", daily, store.StatisticQuery{From: "2025-11-24", To: "2026-11-23"}, []string{"daily_statistics_application_id"}, "'*', '2025-11-24', '2026-11-23'"},
			{"a year of one application", daily, store.StatisticQuery{From: "2025-11-24", To: "2026-11-23", ApplicationID: "7"}, []string{"daily_statistics_application_id"},
				"'7', '2025-11-24', '2026-11-23'"},
			{"a year of applications", usage, store.StatisticQuery{From: "2025-11-28", To: "2026-11-22"}, []string{"daily_statistics key"},
				"'tokens', 'authorizations', '2025-11-28', '2025-11-30', " + metrics + "'2025-12', '2026-10', " + metrics + "'2026-11-01', '2026-11-22', " + metrics + "50"},
			{"a year of an application", usage, store.StatisticQuery{From: "2025-11-28", To: "2026-11-23", ApplicationID: "7"},
				[]string{"daily_statistics_application_id", "monthly_statistics_application_id"},
				"'tokens', 'authorizations', '2025-11-28', '2025-11-30', " + metrics + "'7', '2025-12', '2026-11', " + metrics + "'7', '2026-12-01', '2026-11-23', " + metrics + "'7', 50"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx, tt.query))
			plan := f.plan(calls.SQL()[0], tt.args)
			for _, index := range tt.indexes {
				assert.Contains(f, plan, f.index(index), tt.name)
			}
			assert.NotRegexp(f, `Seq Scan on daily_statistics|SCAN daily_statistics`, plan, tt.name)
		}
	})
}

// What was counted before there were sums is in them.
func TestMigrateSumsStatistics(t *testing.T) {
	eachEmpty(t, func(t *testing.T, url string) {
		f := &fixture{T: t, Store: storetest.Open(t, url)}
		require.NoError(t, f.MigrateList(t.Context(), store.MigrationsBefore("2026-11-26-sums")))
		exec(t, f.Store, `INSERT INTO daily_statistics (day, application_id, metric, value) VALUES ('2026-10-31', 'a', 'tokens', 1), ('2026-11-01', 'a', 'tokens', 2),
			('2026-11-02', 'a', 'tokens', 4), ('2026-11-02', 'b', 'tokens', 8), ('2026-11-02', '', 'sign_ins', 16), ('2026-11-02', 'b', 'authorizations', 32)`)
		require.NoError(t, f.Migrate(t.Context()))
		require.Len(t, f.statistics(), 6)
		days, err := f.DailyStatistics(t.Context(), store.StatisticQuery{From: "2026-11-02", To: "2026-11-02"})
		require.NoError(t, err)
		require.Equal(t, []store.DailyStatistic{
			{Day: "2026-11-02", Metric: "authorizations", Value: 32}, {Day: "2026-11-02", Metric: "sign_ins", Value: 16}, {Day: "2026-11-02", Metric: "tokens", Value: 12},
		}, days)
	})
}

// Above countTo the numbers are a guess, as the totals of lists are.
func TestSizes(t *testing.T) {
	installed(t, func(f *fixture) {
		sizes, err := f.Sizes(f.Context(), 2)
		require.NoError(f, err)
		assert.Equal(f, store.Sizes{Users: store.Size{Rows: 2}, Applications: store.Size{Rows: 2}}, sizes)
		sizes, err = f.Sizes(f.Context(), 1)
		require.NoError(f, err)
		assert.True(f, sizes.Users.Estimated)
		assert.GreaterOrEqual(f, sizes.Users.Rows, int64(2))
		assert.Equal(f, store.Size{}, sizes.Organizations)
	})
}
