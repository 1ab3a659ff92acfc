package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

var policies = map[string]store.ThrottlePolicy{
	"usual":       {Free: 5, Base: time.Second, Max: 15 * time.Minute, Window: time.Hour},
	"one wait":    {Free: 2, Base: time.Minute, Max: time.Minute, Window: time.Hour},
	"none free":   {Free: 0, Base: time.Second, Max: 4 * time.Second, Window: time.Hour},
	"short reset": {Free: 1, Base: time.Hour, Max: 3 * time.Hour, Window: time.Minute},
}

// The waits that callers are told must be those that the database keeps, attempt by attempt.
func TestThrottleLadder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for name, p := range policies {
			now := noon
			want := time.Duration(0)
			for n := 1; n <= p.Free+14; n++ {
				if n == max(p.Free, 1) {
					want = min(p.Base, p.Max)
				} else if n > p.Free {
					want = min(2*want, p.Max)
				}
				admitted, wait, err := s.ReserveAttempt(t.Context(), name, p, now)
				require.NoError(t, err)
				require.True(t, admitted, "%s: attempt %d", name, n)
				require.Equal(t, want, wait, "%s: after attempt %d", name, n)
				if wait == 0 {
					continue
				}
				admitted, left, err := s.ReserveAttempt(t.Context(), name, p, now.Add(wait-time.Microsecond))
				require.NoError(t, err)
				require.False(t, admitted, "%s: too early after attempt %d", name, n)
				require.Equal(t, time.Second, left, "rounded up")
				now = now.Add(wait)
			}
			_, wait, err := s.ReserveAttempt(t.Context(), name, p, now.Add(p.Window+p.Max))
			require.NoError(t, err)
			if p.Free > 1 {
				require.Zero(t, wait, "%s: forgotten after a rest", name)
			} else {
				require.Equal(t, p.Base, wait, "%s: forgotten after a rest", name)
			}
		}
	})
}

// Parallel guesses must not slip between the check and the count, on one replica or on two.
func TestThrottleAdmitsNoMoreInParallel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := policies["usual"]
		for _, round := range []struct {
			now  time.Time
			want int64
		}{{noon, 5}, {noon.Add(time.Second), 1}, {noon.Add(3 * time.Second), 1}} {
			var admitted atomic.Int64
			for _, err := range together(40, func(int) error {
				ok, _, err := s.ReserveAttempt(t.Context(), "key", p, round.now)
				if ok {
					admitted.Add(1)
				}
				return err
			}) {
				require.NoError(t, err)
			}
			require.Equal(t, round.want, admitted.Load())
		}
	})
}

func TestThrottleResetAndRelease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p, ctx := policies["usual"], t.Context()
		reserve := func() (bool, time.Duration) {
			ok, wait, err := s.ReserveAttempt(ctx, "key", p, noon)
			require.NoError(t, err)
			return ok, wait
		}
		for range 5 {
			reserve()
		}
		require.NoError(t, s.ReleaseAttempt(ctx, "key", noon))
		ok, wait := reserve()
		require.True(t, ok, "one was given back")
		require.Equal(t, time.Second, wait, "and no more than one")
		ok, _ = reserve()
		require.False(t, ok)

		require.NoError(t, s.ResetAttempts(ctx, "key"))
		ok, wait = reserve()
		require.True(t, ok)
		require.Zero(t, wait)
		require.NoError(t, s.ReleaseAttempt(ctx, "unknown", noon))
	})
}

func TestPurgeAttempts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p := policies["usual"]
		for _, key := range []string{"a", "b"} {
			_, _, err := s.ReserveAttempt(t.Context(), key, p, noon)
			require.NoError(t, err)
		}
		n, err := s.PurgeAttempts(t.Context(), noon.Add(p.Max+p.Window), 10)
		require.NoError(t, err)
		require.Zero(t, n, "not before its time")
		n, err = s.PurgeAttempts(t.Context(), noon.Add(p.Max+p.Window+time.Second), 10)
		require.NoError(t, err)
		require.Equal(t, int64(2), n)
	})
}
