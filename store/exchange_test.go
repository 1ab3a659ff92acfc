package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// only one connection: whoever leaves it in a transaction, or keeps it, would be noticed by the next.
func alone(o *store.Options) { o.MaxConnections = 1 }

// What waits for the COMMIT fails with it, as a whole, and in its own words.
func TestWhatFailsLaterUndoesEverything(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		account := store.Account{ApplicationID: "a", UserID: "ann"}
		record := store.ConsumptionRecord{ApplicationID: "a", ID: "1", Kind: store.ConsumptionUsed, UserID: "ann", Key: "calls", Amount: store.NewAmount(1), OccurredAt: noon, RecordedAt: noon, IdempotencyKey: "k"}
		write := func(key store.CounterID) error {
			return s.Tx(t.Context(), func(ctx context.Context) error {
				if _, err := s.AddToCounters(ctx, map[store.CounterID]store.Tally{key: used(1, noon)}); err != nil {
					return err
				}
				return s.InsertRecords(ctx, []store.ConsumptionRecord{record})
			})
		}
		id := store.CounterID{Account: account, Key: "calls", StartsAt: store.Epoch}
		require.NoError(t, write(id))
		err := write(id)
		require.ErrorIs(t, err, store.ErrConflict)
		require.ErrorContains(t, err, "insert 1 records")
		counters, err := s.Counters(t.Context(), []store.CounterID{id})
		require.NoError(t, err)
		assert.EqualValues(t, 1, counters[id].Count)

		hour := store.BucketID{Account: account, Key: "calls", StartsAt: noon, Width: store.BucketHour}
		err = s.Tx(t.Context(), func(ctx context.Context) error {
			return s.AddToBuckets(ctx, map[store.BucketID]store.Tally{hour: {Total: store.NewAmount(400_000_000_000_000_000), Count: 1, FirstAt: &noon, LastAt: &noon}})
		})
		require.ErrorIs(t, err, store.ErrTotalTooLarge)
	}, alone)
}

// A transaction that was ended from without, and one in which nothing ran, leave their connection to the next.
func TestTransactionsLeaveTheirConnection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		free := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			require.NoError(t, s.Ping(ctx))
		}
		require.NoError(t, s.Tx(t.Context(), func(context.Context) error { return nil }))
		free()
		require.ErrorIs(t, s.Tx(t.Context(), func(context.Context) error { return errBoom }), errBoom)
		free()

		ctx, cancel := context.WithCancel(t.Context())
		ctx, err := s.BeginTX(ctx)
		require.NoError(t, err)
		require.NoError(t, create(ctx, s, "forgotten"))
		cancel()
		free()
		require.Error(t, s.Commit(ctx))
		require.Zero(t, count(t, s))

		ctx, cancel = context.WithCancel(t.Context())
		require.Error(t, s.Tx(ctx, func(ctx context.Context) error {
			require.NoError(t, create(ctx, s, "left"))
			cancel()
			return nil
		}))
		free()
		require.Zero(t, count(t, s))
	}, alone)
}

// PostgreSQL answers the COMMIT of a transaction that failed with a ROLLBACK, which is not an error to it.
func TestCommitOfWhatFailedIsAnError(t *testing.T) {
	s := storetest.NewPostgres(t, alone)
	withThings(t, s)
	err := s.Tx(t.Context(), func(ctx context.Context) error {
		require.NoError(t, create(ctx, s, "a"))
		require.Error(t, create(ctx, s, "a"))
		return nil // as if it did not matter
	})
	require.ErrorIs(t, err, pgx.ErrTxCommitRollback)
	require.Zero(t, count(t, s))
}

// When not even BEGIN arrived, whoever goes on must not do so outside of the transaction.
func TestNothingRunsAfterAnExchangeThatFailed(t *testing.T) {
	s := storetest.NewPostgres(t, alone)
	withThings(t, s)
	exec(t, s, "ALTER TABLE consumption_counters RENAME TO elsewhere")
	err := s.Tx(t.Context(), func(ctx context.Context) error {
		_, err := s.Counters(ctx, []store.CounterID{{Key: "calls", StartsAt: store.Epoch}})
		require.ErrorContains(t, err, "consumption_counters")
		require.Error(t, create(ctx, s, "outside"))
		var n int
		require.Error(t, s.Direct(ctx).QueryRowContext(ctx, "SELECT 1").Scan(&n))
		return nil
	})
	require.ErrorContains(t, err, "consumption_counters")
	require.Zero(t, count(t, s))
	require.NoError(t, create(t.Context(), s, "the next"))
}

// Columns are written by code of ours, so they are compared with what comes back through pgx's.
func TestColumnsOfManyRows(t *testing.T) {
	s := storetest.NewPostgres(t)
	at := []time.Time{noon, time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", 3600))}
	texts, numbers, bools, maybe := []string{"", "a", `"{},\ é🚀NULL`, "null"}, []int64{0, -1, 1 << 62, -1 << 63}, []bool{true, false, false, true}, []*time.Time{nil, &at[0], &at[1], nil}
	n := 0
	rows, err := s.Direct(t.Context()).QueryContext(t.Context(), "SELECT * FROM unnest($1::text[], $2::bigint[], $3::boolean[], $4::timestamptz[], $5::timestamptz[])", texts, numbers, bools, at, maybe)
	require.NoError(t, err)
	defer rows.Close()
	for ; rows.Next(); n++ {
		var text string
		var number int64
		var yes bool
		var when time.Time
		var perhaps *time.Time
		require.NoError(t, rows.Scan(&text, &number, &yes, &when, &perhaps))
		assert.Equal(t, []any{texts[n], numbers[n], bools[n], at[n].UTC()}, []any{text, number, yes, when.UTC()})
		assert.Equal(t, maybe[n] == nil, perhaps == nil)
		assert.True(t, perhaps == nil || perhaps.Equal(*maybe[n]))
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 4, n)

	var length int
	for _, none := range []any{[]string{}, []string(nil)} {
		require.NoError(t, s.Direct(t.Context()).QueryRowContext(t.Context(), "SELECT coalesce(cardinality($1::text[]), 0)", none).Scan(&length))
		require.Zero(t, length)
	}
}

// Whoever hangs up in a transaction that spans calls leaves no lock behind, although nobody takes their connection next.
func TestTransactionThatWasLeftHoldsNoLock(t *testing.T) {
	s := storetest.NewPostgres(t, func(o *store.Options) { o.MaxConnections = 2 })
	withThings(t, s)
	require.NoError(t, create(t.Context(), s, "wanted"))
	take := func(ctx context.Context) error {
		return s.DB(ctx).Exec("UPDATE things SET id = id WHERE id = 'wanted'").Error
	}
	ctx, hangUp := context.WithCancel(t.Context())
	left, err := s.BeginTX(ctx)
	require.NoError(t, err)
	require.NoError(t, take(left))
	other, err := s.BeginTX(t.Context())
	require.NoError(t, err)
	hangUp()
	pool, err := s.DB(t.Context()).DB()
	require.NoError(t, err)
	require.Eventually(t, func() bool { return pool.Stats().InUse == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Rollback(left))
	require.NoError(t, s.Rollback(other)) // its connection is the next one's

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, take(ctx))
}

// A row that is read after something that waited says what was wrong with that.
func TestRowAfterWhatFailedLater(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		write := func() error {
			return s.Tx(t.Context(), func(ctx context.Context) error {
				record := store.ConsumptionRecord{ApplicationID: "a", ID: store.NewID(), Kind: store.ConsumptionUsed, UserID: "ann", Key: "calls", Amount: store.NewAmount(1), OccurredAt: noon, RecordedAt: noon, IdempotencyKey: "k"}
				if err := s.InsertRecords(ctx, []store.ConsumptionRecord{record}); err != nil {
					return err
				}
				_, err := s.RecordByID(ctx, "a", record.ID)
				return err
			})
		}
		require.NoError(t, write())
		err := write()
		require.ErrorIs(t, err, store.ErrConflict)
		require.NotErrorIs(t, err, context.Canceled)
	}, alone)
}

// Who ends while an exchange waits for a lock undoes what is theirs, and leaves nothing to the next.
func TestExchangeThatIsCutOff(t *testing.T) {
	s := storetest.NewPostgres(t, func(o *store.Options) { o.MaxConnections = 2 })
	withThings(t, s)
	id := store.CounterID{Account: store.Account{ApplicationID: "a", UserID: "ann"}, Key: "calls", StartsAt: store.Epoch}
	add := func(ctx context.Context) error {
		_, err := s.AddToCounters(ctx, map[store.CounterID]store.Tally{id: used(1, noon)})
		return err
	}
	require.NoError(t, s.Tx(t.Context(), func(ctx context.Context) error {
		require.NoError(t, add(ctx))
		for range 5 {
			short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			err := s.Tx(short, func(ctx context.Context) error {
				_ = add(ctx)
				_ = create(ctx, s, "outside")
				return add(ctx)
			})
			cancel()
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		return nil
	}))
	require.Zero(t, count(t, s))
	counters, err := s.Counters(t.Context(), []store.CounterID{id})
	require.NoError(t, err)
	assert.EqualValues(t, 1, counters[id].Count)
}
