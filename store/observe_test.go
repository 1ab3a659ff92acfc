package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/clause"

	"auth-service/store"
	"auth-service/store/storetest"
)

func TestTraceListsEveryCall(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		ctx, calls := storetest.Trace(t.Context())
		require.NoError(t, s.Tx(ctx, func(ctx context.Context) error {
			require.NoError(t, create(ctx, s, "a"))
			var found thing
			require.NoError(t, s.DB(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).First(&found, "id = ?", "a").Error)
			require.NoError(t, s.DB(ctx).Model(&found).Update("n", 2).Error)
			return s.Tx(ctx, func(ctx context.Context) error { return s.DB(ctx).Delete(&found).Error })
		}))
		_ = s.Tx(ctx, func(context.Context) error { return errBoom })
		require.NoError(t, s.Ping(ctx))
		require.Equal(t, []string{
			"BEGIN", "W things", "R things", "W things", "W things", "COMMIT", "BEGIN", "ROLLBACK", "R",
		}, calls.List())
		require.Contains(t, calls.SQL()[2], "SELECT")
		calls.Reset()
		require.NoError(t, create(t.Context(), s, "untraced"))
		require.Empty(t, calls.List())
	})
}

func TestDescribe(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT * FROM `clients` WHERE id = ?":                                       "R clients",
		`SELECT s.id FROM "sessions" s JOIN users u ON u.id = s.user_id FOR UPDATE`:  "R sessions",
		"SELECT * FROM (SELECT 1 FROM grants) AS g":                                  "R grants",
		"SELECT (SELECT count(*) FROM members), id FROM users":                       "R users",
		"SELECT (SELECT count(*) FROM members), (SELECT count(*) FROM users)":        "R members",
		`INSERT INTO "grants" ("id") VALUES ($1) ON CONFLICT ("id") DO UPDATE SET x`: "W grants",
		"insert into counters(id) values (1)":                                        "W counters",
		"UPDATE grants SET generation = generation + 1 WHERE id = ? RETURNING *":     "W grants",
		"DELETE FROM sessions WHERE expires_at < ?":                                  "W sessions",
		"WITH gone AS (DELETE FROM codes WHERE x RETURNING id) SELECT * FROM gone":   "W codes",
		"\n\tWITH recent AS (SELECT id FROM users) SELECT * FROM recent":             "R users",
		"COMMIT": "COMMIT",
		"SELECT": "R",
	} {
		require.Equal(t, want, store.Describe(query).String(), query)
	}
}

func BenchmarkPing(b *testing.B) {
	s := storetest.New(b)
	traced, calls := storetest.Trace(b.Context())
	for name, ctx := range map[string]context.Context{"plain": b.Context(), "traced": traced} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, s.Ping(ctx))
			}
			calls.Reset()
		})
	}
}
