package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// warm opens every connection of the pool, so that there is something to kill.
func warm(t *testing.T, s *store.Store, connections int) {
	t.Helper()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			if err := s.DB(t.Context()).Exec("SELECT pg_sleep(0.05)").Error; err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// killAll ends the server processes of every other connection to the database, as a failover does, and says how many.
func killAll(t *testing.T, url string) (killed int) {
	t.Helper()
	killer := storetest.Open(t, url)
	require.NoError(t, killer.DB(t.Context()).Raw(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&killed).Error)
	return killed
}

// Each pooled connection that died would cost one caller an error, were reads and transactions not sent again.
func TestKilledConnectionsAreNotNoticed(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, s *store.Store, i int) error{
		"reads": func(ctx context.Context, s *store.Store, _ int) error {
			var n int64
			return s.DB(ctx).Model(&thing{}).Count(&n).Error
		},
		"single rows": func(ctx context.Context, s *store.Store, _ int) error {
			var one int
			return s.DB(ctx).Raw("SELECT 1").Row().Scan(&one)
		},
		"pings": func(ctx context.Context, s *store.Store, _ int) error { return s.Ping(ctx) },
		"transactions": func(ctx context.Context, s *store.Store, i int) error {
			return s.Tx(ctx, func(ctx context.Context) error { return create(ctx, s, fmt.Sprint(i)) })
		},
		"begin": func(ctx context.Context, s *store.Store, _ int) error {
			ctx, err := s.BeginTX(ctx)
			if err != nil {
				return err
			}
			return s.Commit(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := storetest.NewPostgresURL(t)
			s := storetest.Open(t, url)
			withThings(t, s)
			warm(t, s, 8)
			require.Equal(t, 8, killAll(t, url))
			for i := range 20 {
				require.NoError(t, call(t.Context(), s, i))
			}
		})
	}
}

// A connection that dies within a transaction takes the whole of it along, so the whole is done again.
func TestTxRunsAgainWhenItsConnectionDies(t *testing.T) {
	url := storetest.NewPostgresURL(t)
	s := storetest.Open(t, url)
	withThings(t, s)
	tries := 0
	require.NoError(t, s.Tx(t.Context(), func(ctx context.Context) error {
		if err := create(ctx, s, "once"); err != nil {
			return err
		}
		if tries++; tries == 1 {
			killAll(t, url)
		}
		return create(ctx, s, "twice")
	}))
	require.Equal(t, 2, tries)
	require.EqualValues(t, 2, count(t, s))
}

// A server process that ends while it works on a read has changed nothing, so the read is sent again.
func TestReadIsSentAgainWhenItsConnectionDies(t *testing.T) {
	s := storetest.NewPostgres(t)
	exec(t, s, "CREATE SEQUENCE calls")
	var calls int
	require.NoError(t, s.DB(t.Context()).Raw("SELECT n FROM (SELECT nextval('calls') AS n) AS c WHERE "+endFirst).Scan(&calls).Error)
	require.Equal(t, 2, calls)
}

// endFirst is a condition that ends its server process at the first call. Sequences are not rolled back, so they remember.
const endFirst = "n > 1 OR pg_terminate_backend(pg_backend_pid()) AND pg_sleep(10) IS NULL"

// After a write nobody knows whether it happened: sending it again could do it twice. The caller gets ErrUnavailable, and
// the pool has recovered for the next.
func TestWriteIsNotSentAgainWhenItsConnectionDies(t *testing.T) {
	s := storetest.NewPostgres(t)
	withThings(t, s)
	exec(t, s, "CREATE SEQUENCE calls")
	err := s.DB(t.Context()).Exec("INSERT INTO things SELECT 'a', n, now() FROM (SELECT nextval('calls') AS n) AS c WHERE " + endFirst).Error
	require.ErrorIs(t, store.Known(err), store.ErrUnavailable)
	require.Zero(t, count(t, s))
	for i := range 10 {
		require.NoError(t, create(t.Context(), s, fmt.Sprint(i)))
	}
}

// A migration by a newer replica changes what a prepared SELECT * returns.
func TestReadsSurviveAMigrationByAnotherReplica(t *testing.T) {
	s := storetest.NewPostgres(t)
	withThings(t, s)
	var before, after thing
	require.NoError(t, create(t.Context(), s, "a"))
	require.NoError(t, s.DB(t.Context()).First(&before).Error)
	exec(t, s, "ALTER TABLE things ADD COLUMN note text")
	require.NoError(t, s.DB(t.Context()).First(&after).Error)
	require.Equal(t, before, after)
}

// So it does for a list, which is not kept prepared, but described.
func TestListsSurviveAMigrationByAnotherReplica(t *testing.T) {
	s := storetest.NewPostgres(t, func(o *store.Options) { o.MaxConnections = 1 })
	list := func() int64 {
		page, err := s.Applications(t.Context(), store.ApplicationQuery{Search: "a", Paging: store.Paging{Limit: 1, CountTo: 10}})
		require.NoError(t, err)
		return page.Total
	}
	require.NoError(t, s.CreateApplication(t.Context(), &store.Application{Slug: "a", Name: "A"}))
	require.Equal(t, int64(1), list())
	exec(t, s, "ALTER TABLE applications ADD COLUMN note text")
	require.Equal(t, int64(1), list())
}

func TestServerRestart(t *testing.T) {
	cluster := storetest.NewCluster(t)
	s := storetest.Open(t, cluster.URL)
	withThings(t, s)
	warm(t, s, 8)
	write := func() error {
		return s.Tx(t.Context(), func(ctx context.Context) error { return create(ctx, s, store.NewID()) })
	}
	require.NoError(t, write())

	cluster.Stop(t)
	start := time.Now()
	require.ErrorIs(t, s.Ping(t.Context()), store.ErrUnavailable)
	require.ErrorIs(t, write(), store.ErrUnavailable)
	_, err := s.BeginTX(t.Context())
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, store.Known(create(t.Context(), s, "a")), store.ErrUnavailable)
	require.Less(t, time.Since(start), 5*time.Second, "callers are told at once")

	cluster.Start(t)
	for range 20 {
		require.NoError(t, s.Ping(t.Context()))
		require.NoError(t, write())
	}
}
