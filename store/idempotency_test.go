package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

const secretAnswer = `{"clientSecret":"cs_secret"}`

func answering(text string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(text), nil }
}

// The stored answer may hold a client secret: who reads the database must not find it, and who writes to it must not
// be able to give one row's answer to another.
func TestIdempotentAnswersAreSealed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, key := range []string{"k1", "k2"} {
			_, replayed, err := s.Once(t.Context(), store.IdempotentRequest{Actor: "user:a", Key: key, Hash: []byte("h")}, answering(secretAnswer+key))
			require.NoError(t, err)
			assert.False(t, replayed)
		}
		var rows []store.IdempotencyKey
		require.NoError(t, s.DB(t.Context()).Find(&rows).Error)
		require.Len(t, rows, 2)
		for _, row := range rows {
			assert.NotContains(t, row.Response, "cs_secret")
			assert.NotContains(t, row.ID, "k1")
		}
		require.NoError(t, s.DB(t.Context()).Model(&rows[0]).Update("response", rows[1].Response).Error)
		failed := 0
		for _, key := range []string{"k1", "k2"} {
			answer, replayed, err := s.Once(t.Context(), store.IdempotentRequest{Actor: "user:a", Key: key, Hash: []byte("h")}, answering("again"))
			if err != nil {
				assert.ErrorIs(t, err, store.ErrSealed)
				failed++
				continue
			}
			assert.True(t, replayed)
			assert.Equal(t, secretAnswer+key, string(answer))
		}
		assert.Equal(t, 1, failed)
	})
}

// A failure keeps nothing, of the note as of what fn did; and actor and key never run into one another.
func TestOnce(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		request := store.IdempotentRequest{Actor: "user:a", Key: "bc", Hash: []byte("h")}
		boom := errors.New("boom")
		_, _, err := s.Once(t.Context(), request, func(ctx context.Context) ([]byte, error) {
			newApplicationIn(ctx, t, s)
			return nil, boom
		})
		require.ErrorIs(t, err, boom)
		_, err = s.ApplicationByRef(t.Context(), "made-once")
		require.ErrorIs(t, err, store.ErrNotFound)

		_, replayed, err := s.Once(t.Context(), request, answering("1"))
		require.NoError(t, err)
		assert.False(t, replayed)
		for _, other := range []store.IdempotentRequest{{Actor: "user:ab", Key: "c", Hash: []byte("h")}, {Actor: "user:a", Key: "bd", Hash: []byte("h")}} {
			_, replayed, err := s.Once(t.Context(), other, answering("2"))
			require.NoError(t, err)
			assert.False(t, replayed)
		}
		_, _, err = s.Once(t.Context(), store.IdempotentRequest{Actor: "user:a", Key: "bc", Hash: []byte("other")}, answering("3"))
		assert.ErrorIs(t, err, store.ErrKeyReused)

		purged, err := s.PurgeIdempotencyKeys(t.Context(), now().Add(25*time.Hour), 2)
		require.NoError(t, err)
		assert.EqualValues(t, 2, purged)
		purged, err = s.PurgeIdempotencyKeys(t.Context(), now().Add(23*time.Hour), 10)
		require.NoError(t, err)
		assert.Zero(t, purged)
	}, func(o *store.Options) { o.Now = now })
}

func newApplicationIn(ctx context.Context, t *testing.T, s *store.Store) {
	t.Helper()
	a := &store.Application{Slug: "made-once", Name: "x", Audiences: []string{}, Metadata: map[string]any{}}
	require.NoError(t, s.CreateApplication(ctx, a))
}
