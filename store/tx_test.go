package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

var errBoom = errors.New("boom")

func create(ctx context.Context, s *store.Store, id string) error {
	return s.DB(ctx).Create(&thing{ID: id}).Error
}

func TestTxCommitsAndRollsBackAsAWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		both := func(ctx context.Context) error {
			if err := create(ctx, s, "outer"); err != nil {
				return err
			}
			return s.Tx(ctx, func(ctx context.Context) error { return create(ctx, s, "inner") })
		}
		err := s.Tx(t.Context(), func(ctx context.Context) error {
			require.NoError(t, both(ctx))
			return errBoom
		})
		require.ErrorIs(t, err, errBoom)
		require.Zero(t, count(t, s))

		require.PanicsWithValue(t, "boom", func() {
			_ = s.Tx(t.Context(), func(ctx context.Context) error {
				require.NoError(t, both(ctx))
				panic("boom")
			})
		})
		require.Zero(t, count(t, s))

		require.NoError(t, s.Tx(t.Context(), both))
		require.EqualValues(t, 2, count(t, s))
	})
}

func TestEventsFollowTheOutermostCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		var got []string
		s.Subscribe(func(e store.Event) {
			got = append(got, fmt.Sprint(e.ID, " sees ", count(t, s)))
		})
		s.Publish(t.Context(), store.Event{ID: "outside"})
		require.Equal(t, []string{"outside sees 0"}, got)

		inner := func(ctx context.Context) error {
			s.Publish(ctx, store.Event{ID: "inner"})
			return create(ctx, s, "inner")
		}
		require.ErrorIs(t, s.Tx(t.Context(), func(ctx context.Context) error {
			require.NoError(t, s.Tx(ctx, inner))
			return errBoom
		}), errBoom)
		require.Len(t, got, 1, "a rollback drops its events")

		require.NoError(t, s.Tx(t.Context(), func(ctx context.Context) error {
			s.Publish(ctx, store.Event{ID: "outer"})
			require.NoError(t, s.Tx(ctx, inner))
			require.Len(t, got, 1, "nothing is told before it is true")
			return nil
		}))
		require.Equal(t, []string{"outside sees 0", "outer sees 1", "inner sees 1"}, got)
	})
}

func TestHooksMayHaveHooks(t *testing.T) {
	s := storetest.New(t)
	var got []string
	require.NoError(t, s.Tx(t.Context(), func(ctx context.Context) error {
		s.AfterCommit(ctx, func() {
			s.AfterCommit(ctx, func() { got = append(got, "second") })
			got = append(got, "first")
		})
		return nil
	}))
	require.Equal(t, []string{"second", "first"}, got, "the commit has been: nothing is left to wait for")
}

// The shape that fosite's storage.Transactional asks for.
func TestBeginCommitRollback(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		events := 0
		s.Subscribe(func(store.Event) { events++ })
		begin := func(ctx context.Context) context.Context {
			ctx, err := s.BeginTX(ctx)
			require.NoError(t, err)
			return ctx
		}

		ctx := begin(t.Context())
		require.NoError(t, create(ctx, s, "kept"))
		s.Publish(ctx, store.Event{})
		within := begin(ctx)
		require.NoError(t, create(within, s, "kept too"))
		require.NoError(t, s.Commit(within))
		require.Zero(t, events)
		require.NoError(t, s.Commit(ctx))
		require.Equal(t, 1, events)
		require.NoError(t, s.Rollback(ctx), "fosite rolls back after a commit, too")
		require.ErrorIs(t, s.Commit(ctx), sql.ErrTxDone)
		require.EqualValues(t, 2, count(t, s))

		ctx = begin(t.Context())
		require.NoError(t, create(ctx, s, "dropped"))
		require.NoError(t, s.Rollback(ctx))
		require.EqualValues(t, 2, count(t, s))

		err := s.Tx(t.Context(), func(ctx context.Context) error {
			within := begin(ctx)
			require.NoError(t, create(within, s, "half"))
			require.NoError(t, s.Rollback(within))
			return nil
		})
		require.ErrorContains(t, err, "rolled back", "what an inner part undid must not be committed")
		require.EqualValues(t, 2, count(t, s))

		require.ErrorIs(t, s.Commit(t.Context()), sql.ErrTxDone)
	})
}

// Two transactions take the same rows in opposite order: PostgreSQL ends one of them, and Tx runs it again.
// SQLite never gets there, because its transactions come one after the other.
func TestTxRunsAgainAfterADeadlock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		require.NoError(t, create(t.Context(), s, "a"))
		require.NoError(t, create(t.Context(), s, "b"))
		var wg sync.WaitGroup
		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			wg.Go(func() {
				for range 3 {
					if err := s.Tx(t.Context(), func(ctx context.Context) error { return increment(ctx, s, order) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var things []thing
		require.NoError(t, s.DB(t.Context()).Order("id").Find(&things).Error)
		require.EqualValues(t, 6, things[0].N)
		require.EqualValues(t, 6, things[1].N)
	})
}

func increment(ctx context.Context, s *store.Store, order []string) error {
	for _, id := range order {
		if err := s.DB(ctx).Exec("UPDATE things SET n = n + 1 WHERE id = ?", id).Error; err != nil {
			return err
		}
		if s.Dialect() == "postgres" { // long enough for the other to take its first row
			if err := s.DB(ctx).Exec("SELECT pg_sleep(0.002)").Error; err != nil {
				return err
			}
		}
	}
	return nil
}

// fosite answers a failed write with an error of its own, which may hide the database's reason.
func TestTxRunsAgainWhenTheReasonIsHidden(t *testing.T) {
	s := storetest.NewPostgres(t)
	tries := 0
	err := s.Tx(t.Context(), func(ctx context.Context) error {
		if tries++; tries > 3 {
			return nil
		}
		if err := raise(ctx, s, "40001"); err != nil {
			return errors.New("server_error")
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 4, tries)
}

func raise(ctx context.Context, s *store.Store, code string) error {
	return s.DB(ctx).Exec("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '" + code + "'; END $$").Error
}

func TestTxGivesUp(t *testing.T) {
	s := storetest.NewPostgres(t)
	tries := 0
	attempt := func(code string) error {
		tries = 0
		return s.Tx(t.Context(), func(ctx context.Context) error {
			tries++
			return raise(ctx, s, code)
		})
	}
	err := attempt("40001")
	require.ErrorIs(t, err, store.ErrUnavailable)
	var cause *pgconn.PgError
	require.ErrorAs(t, err, &cause)
	require.Equal(t, 10, tries)

	require.Error(t, attempt("22012"), "division by zero does not heal")
	require.Equal(t, 1, tries)

	ctx, cancel := context.WithCancel(t.Context())
	tries = 0
	err = s.Tx(ctx, func(ctx context.Context) error {
		tries++
		defer cancel()
		return raise(ctx, s, "40P01")
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, tries)
}

// Another process may hold SQLite's one write lock.
func TestTxWaitsForAnotherProcess(t *testing.T) {
	url := storetest.NewSQLiteURL(t)
	one, other := storetest.Open(t, url), storetest.Open(t, url, func(o *store.Options) { o.MaxConnections = 1 })
	withThings(t, one)
	exec(t, other, "PRAGMA busy_timeout = 1") // so that waiting is Tx's work
	written := make(chan error, 1)
	require.NoError(t, one.Tx(t.Context(), func(ctx context.Context) error {
		impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		write := func(ctx context.Context) error { return create(ctx, other, "b") }
		require.ErrorIs(t, other.Tx(impatient, write), store.ErrUnavailable)
		go func() { written <- other.Tx(t.Context(), write) }()
		return create(ctx, one, "a")
	}))
	require.NoError(t, <-written)
	require.EqualValues(t, 2, count(t, one))
}
