package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

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
