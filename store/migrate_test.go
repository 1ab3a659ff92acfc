package store_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

// eachEmpty runs fn on an empty database of each engine that no migration has touched.
func eachEmpty(t *testing.T, fn func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, "sqlite:"+filepath.Join(t.TempDir(), "empty.db")) })
	t.Run("postgres", func(t *testing.T) { fn(t, emptyPostgres(t)) })
}

func emptyPostgres(t *testing.T) string {
	url := storetest.NewPostgresURL(t)
	s := storetest.Open(t, url)
	exec(t, s, "DROP SCHEMA public CASCADE")
	exec(t, s, "CREATE SCHEMA public")
	return url
}

// steps creates a table by a slow and a quick migration, and counts how often each runs.
func steps(runs *atomic.Int32) []*gormigrate.Migration {
	step := func(id, sql string) *gormigrate.Migration {
		return &gormigrate.Migration{ID: id, Migrate: func(tx *gorm.DB) error {
			runs.Add(1)
			if tx.Name() == "postgres" {
				if err := tx.Exec("SELECT pg_sleep(0.05)").Error; err != nil {
					return err
				}
			}
			return tx.Exec(sql).Error
		}}
	}
	return []*gormigrate.Migration{
		step("1", "CREATE TABLE steps (id text PRIMARY KEY)"),
		step("2", "ALTER TABLE steps ADD COLUMN note text"),
	}
}

// inParallel runs migrate on six stores at once, as six replicas that start together.
func inParallel(t *testing.T, url string, migrate func(ctx context.Context, s *store.Store) error) {
	var wg sync.WaitGroup
	for range 6 {
		s := storetest.Open(t, url)
		wg.Go(func() {
			if err := migrate(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMigrateByManyReplicasAtOnce(t *testing.T) {
	eachEmpty(t, func(t *testing.T, url string) {
		inParallel(t, url, func(ctx context.Context, s *store.Store) error { return s.Migrate(ctx) })
		pending, err := storetest.Open(t, url).PendingMigrations(t.Context())
		require.NoError(t, err)
		require.Empty(t, pending)
	})
}

func TestMigrateRunsEachOnce(t *testing.T) {
	eachEmpty(t, func(t *testing.T, url string) {
		var runs atomic.Int32
		inParallel(t, url, func(ctx context.Context, s *store.Store) error { return s.MigrateList(ctx, steps(&runs)) })
		require.EqualValues(t, 2, runs.Load())
	})
}

// Databases that speak PostgreSQL's protocol without advisory locks get a lock row instead.
func TestMigrateUnderLockRow(t *testing.T) {
	var runs atomic.Int32
	url := emptyPostgres(t)
	inParallel(t, url, func(ctx context.Context, s *store.Store) error {
		return s.MigrateUnderLockRow(ctx, steps(&runs))
	})
	require.EqualValues(t, 2, runs.Load())
	var held int
	require.NoError(t, storetest.Open(t, url).DB(t.Context()).Raw("SELECT count(*) FROM migration_lock").Scan(&held).Error)
	require.Zero(t, held)
}

func TestMigrateTakesTheLockRowOfADeadReplica(t *testing.T) {
	var runs atomic.Int32
	s := storetest.Open(t, emptyPostgres(t))
	require.NoError(t, s.MigrateUnderLockRow(t.Context(), steps(&runs)[:1]))
	exec(t, s, "INSERT INTO migration_lock VALUES (1, 'dead', now() + interval '100 milliseconds')")
	require.NoError(t, s.MigrateUnderLockRow(t.Context(), steps(&runs)))
	require.EqualValues(t, 2, runs.Load())
}

func TestPendingMigrations(t *testing.T) {
	eachEmpty(t, func(t *testing.T, url string) {
		s, list := storetest.Open(t, url), steps(new(atomic.Int32))
		pending, err := s.PendingList(t.Context(), list)
		require.NoError(t, err)
		require.Equal(t, []string{"1", "2"}, pending)
		require.NoError(t, s.MigrateList(t.Context(), list[:1]))
		pending, err = s.PendingList(t.Context(), list)
		require.NoError(t, err)
		require.Equal(t, []string{"2"}, pending)
	})
}

// An old binary must not write to a schema of which it knows nothing.
func TestMigrateRefusesANewerDatabase(t *testing.T) {
	eachEmpty(t, func(t *testing.T, url string) {
		s, list := storetest.Open(t, url), steps(new(atomic.Int32))
		require.NoError(t, s.MigrateList(t.Context(), list))
		_, err := s.PendingList(t.Context(), list[:1])
		require.ErrorIs(t, err, store.ErrNewerSchema)
		require.ErrorContains(t, err, "(2)")
		require.ErrorIs(t, s.MigrateList(t.Context(), list[:1]), store.ErrNewerSchema)
	})
}

func TestFailedMigrationLeavesNothingHalf(t *testing.T) {
	eachEmpty(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		list := append(steps(new(atomic.Int32))[:1], &gormigrate.Migration{ID: "2", Migrate: func(tx *gorm.DB) error {
			if err := tx.Exec("CREATE TABLE half (id text)").Error; err != nil {
				return err
			}
			return tx.Exec("CREATE TABLE steps (id text)").Error // exists
		}})
		err := s.MigrateList(t.Context(), list)
		require.ErrorContains(t, err, "migration 2")
		require.False(t, s.DB(t.Context()).Migrator().HasTable("half"))
		pending, err := s.PendingList(t.Context(), list)
		require.NoError(t, err)
		require.Equal(t, "2", strings.Join(pending, " "), "what went before stays done")
	})
}
