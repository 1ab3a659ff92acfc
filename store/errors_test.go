package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

func TestKnownErrors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		exec(t, s, "INSERT INTO things VALUES ('a', 1, ?)", time.Now())
		exec(t, s, "INSERT INTO parts VALUES ('p', 'a')")
		db := s.DB(t.Context())
		for name, c := range map[string]struct{ err, want error }{
			"no row":             {db.First(&thing{}, "id = ?", "nobody").Error, store.ErrNotFound},
			"primary key taken":  {db.Exec("INSERT INTO things VALUES ('a', 1, ?)", time.Now()).Error, store.ErrConflict},
			"parent is missing":  {db.Exec("INSERT INTO parts VALUES ('q', 'nobody')").Error, store.ErrConflict},
			"parent is in use":   {db.Exec("DELETE FROM things WHERE id = 'a'").Error, store.ErrConflict},
			"already translated": {fmt.Errorf("client: %w", store.ErrNotFound), store.ErrNotFound},
		} {
			require.ErrorIs(t, store.Known(c.err), c.want, name)
		}
		_, err := s.Direct(t.Context()).ExecContext(t.Context(), "INSERT INTO things VALUES ($1, $2, $3)", "a", 1, time.Now())
		require.ErrorIs(t, store.Known(err), store.ErrConflict, "without GORM around it")
		mistake := db.Exec("SELECT nonsense").Error
		require.Equal(t, mistake, store.Known(mistake), "a mistake of ours is not the database's trouble")
		require.NoError(t, store.Known(nil))
	})
}

// A visitor who goes away is not a failing database, and must not count as one in logs and health.
func TestCanceledStaysCanceled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Ping(ctx), context.Canceled)
		require.NotErrorIs(t, s.Ping(ctx), store.ErrUnavailable)
		err := s.Tx(ctx, func(context.Context) error { return nil })
		require.ErrorIs(t, err, context.Canceled)

		ctx, cancel = context.WithCancel(t.Context())
		err = s.Tx(ctx, func(ctx context.Context) error {
			cancel()
			return s.Ping(ctx)
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, store.ErrUnavailable)
	})
}

func TestCancelingEndsARunningStatement(t *testing.T) {
	forever := map[string]string{
		"sqlite":   "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
		"postgres": "SELECT length(pg_sleep(1000)::text)",
	}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for name, run := range map[string]func(ctx context.Context, sql string) error{
			"row": func(ctx context.Context, sql string) error {
				return s.Direct(ctx).QueryRowContext(ctx, sql).Scan(new(int))
			},
			"gorm": func(ctx context.Context, sql string) error { return s.DB(ctx).Raw(sql).Scan(new(int)).Error },
			"tx": func(ctx context.Context, sql string) error {
				return s.Tx(ctx, func(ctx context.Context) error { return s.DB(ctx).Exec(sql).Error })
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			require.ErrorIs(t, store.Known(run(ctx, forever[s.Dialect()])), context.Canceled, name)

			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
			require.ErrorIs(t, store.Known(run(ctx, forever[s.Dialect()])), store.ErrUnavailable, name)
			cancel()
		}
		require.NoError(t, s.Ping(t.Context()))
	})
}

// When all connections are busy for longer than the caller can wait, the answer is "later", not "never".
func TestExhaustedPoolIsUnavailable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		err := s.Tx(t.Context(), func(context.Context) error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			return s.Ping(ctx)
		})
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.NoError(t, s.Ping(t.Context()))
	}, func(o *store.Options) { o.MaxConnections = 1 })
}

func TestFullDiskIsUnavailable(t *testing.T) {
	s := storetest.New(t, func(o *store.Options) { o.MaxConnections = 1 }) // the pragma is the connection's
	withThings(t, s)
	var pages int
	require.NoError(t, s.DB(t.Context()).Raw("PRAGMA page_count").Scan(&pages).Error)
	exec(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	var err error
	for i := range 10_000 {
		if err = s.DB(t.Context()).Create(&thing{ID: fmt.Sprint("thing ", i)}).Error; err != nil {
			break
		}
	}
	require.ErrorIs(t, store.Known(err), store.ErrUnavailable)
	exec(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", pages+100))
	require.NoError(t, s.DB(t.Context()).Create(&thing{ID: "after"}).Error, "it goes on once there is room")
}

// The cause stays in reach of the log, though it says too much for a client.
func TestKnownKeepsTheCause(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		require.NoError(t, s.DB(t.Context()).Create(&thing{ID: "a"}).Error)
		err := store.Known(s.DB(t.Context()).Create(&thing{ID: "a"}).Error)
		require.True(t, errors.Is(err, gorm.ErrDuplicatedKey))
		require.Contains(t, err.Error(), "things")
	})
}
