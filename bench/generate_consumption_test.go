package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store/storetest"
)

// What is measured on must be what a server would have written, or the measurement is of something else.
func TestFillUsage(t *testing.T) {
	indexes := map[string]string{"sqlite": sqliteHistory().indexes, "postgres": postgresHistory().indexes}
	for engine, url := range map[string]string{"sqlite": storetest.NewSQLiteURL(t), "postgres": storetest.NewPostgresURL(t)} {
		t.Run(engine, func(t *testing.T) {
			const records = 20_000
			now := time.Date(2026, 3, 15, 12, 30, 0, 0, time.UTC)
			u := &usage{registered: registered{ID: "app", ClientID: "client"}}
			require.NoError(t, fillUsage(t.Context(), io.Discard, url, u, records, now))
			db, _, err := openDatabase(url)
			require.NoError(t, err)
			defer db.Close()
			query := func(sql string) (n int) {
				require.NoError(t, db.QueryRowContext(t.Context(), sql).Scan(&n), sql)
				return n
			}
			assert.Equal(t, usagePeople, query("SELECT count(*) FROM users"))
			assert.Equal(t, records, query("SELECT count(*) FROM consumption_records"))
			assert.Equal(t, records/100, query("SELECT count(*) FROM consumption_records WHERE user_id = '"+usagePerson(busiest)+"'"))
			assert.LessOrEqual(t, query("SELECT max(n) FROM (SELECT user_id, count(DISTINCT starts_at) AS n FROM consumption_buckets WHERE user_id <> '"+
				usagePerson(busiest)+"' GROUP BY user_id) AS hours"), usageDays, "the others use it in one hour of a day")
			used := query("SELECT CAST(1000000 * sum(whole) + sum(micros) AS bigint) FROM consumption_records")
			assert.Equal(t, records*3_250_000, used, "1 to 5, and a half of every other")
			for table, which := range map[string]string{"consumption_buckets": "true", "consumption_counters": "period = ''"} {
				assert.Equal(t, used, query("SELECT CAST(1000000 * sum(charged_whole) + sum(charged_micros) AS bigint) FROM "+table+" WHERE "+which))
				assert.Equal(t, records, query("SELECT sum(count) FROM "+table+" WHERE "+which))
			}
			assert.Equal(t, 2, query("SELECT count(*) FROM ("+indexes[engine]+") AS indexes"), "they are there again")
		})
	}
}
