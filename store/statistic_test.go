package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

// statistics are the rows, in their order.
func (f *fixture) statistics() []store.DailyStatistic {
	f.Helper()
	var rows []store.DailyStatistic
	require.NoError(f, f.DB(f.Context()).Order("day, application_id, metric").Find(&rows).Error)
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
		require.Equal(f, []string{"BEGIN", "W user_activity", "W user_activity", "W user_activity", "W daily_statistics", "W daily_statistics", "COMMIT"}, calls.List())
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

// The figures of a month read that month, and those of an application read its rows.
func TestStatisticsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		var rows []store.DailyStatistic
		for i := range planRows {
			day := noon.Add(-time.Duration(i%400) * day).Format(time.DateOnly)
			rows = append(rows, store.DailyStatistic{Day: day, ApplicationID: fmt.Sprint(i), Metric: store.MetricTokens, Value: 1})
		}
		require.NoError(f, f.DB(f.Context()).Session(&gorm.Session{CreateBatchSize: 500}).Create(rows).Error)
		if f.Dialect() == "postgres" {
			exec(f.T, f.Store, "ANALYZE")
		}
		for _, tt := range []struct {
			name, application, index, args string
		}{
			{"a month of everything", "", "daily_statistics key", ""},
			{"a year of one application", "7", "daily_statistics_application_id", ", '7'"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			q := store.StatisticQuery{From: "2026-11-22", To: "2026-11-23", ApplicationID: tt.application}
			if tt.application != "" {
				q.From = "2025-11-24"
			}
			_, err := f.DailyStatistics(ctx, q)
			require.NoError(f, err)
			plan := f.plan(calls.SQL()[0], "'"+q.From+"', '"+q.To+"'"+tt.args)
			assert.Contains(f, plan, f.index(tt.index), tt.name)
			assert.NotRegexp(f, scans, plan, tt.name)
		}
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
