package account_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// counted returns the figures of today by metric, after writing those that are in memory.
func (s *server) counted() map[string]int64 {
	s.t.Helper()
	require.NoError(s.t, s.svc.Counters.(*store.Counters).Flush(s.t.Context()))
	day := s.clock.Now().Format(time.DateOnly)
	rows, err := s.store.DailyStatistics(s.t.Context(), store.StatisticQuery{From: day, To: day})
	require.NoError(s.t, err)
	out := map[string]int64{}
	for _, row := range rows {
		out[row.Metric] = row.Value
	}
	return out
}

func TestSignInsAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		require.Equal(t, map[string]int64{"sign_ins": 1, "active_users": 1}, s.counted())
		b.signIn(email, password).ok()
		b.post("change-password", object{"currentPassword": password, "newPassword": "another battery"}).ok() // a new session, but no sign-in
		require.Equal(t, map[string]int64{"sign_ins": 2, "active_users": 1}, s.counted())

		stranger := s.browser()
		stranger.signIn("nobody@example.com", password).refused(401, "INVALID_EMAIL_OR_PASSWORD")
		for range 5 {
			stranger.signIn(email, "wrong battery").refused(401, "INVALID_EMAIL_OR_PASSWORD")
		}
		stranger.signIn(email, "wrong battery").refused(429, "TOO_MANY_ATTEMPTS")
		stranger.signIn("no address", password).refused(400, "INVALID_EMAIL")
		require.Equal(t, map[string]int64{"sign_ins": 2, "sign_in_failures": 7, "active_users": 1}, s.counted())
	})
}

// Whoever comes back with a session is active without signing in.
func TestSessionsAreActivity(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		s.clock.Pass(24 * time.Hour)
		require.Empty(t, s.counted())
		require.True(t, b.signedIn())
		require.True(t, b.signedIn())
		require.Equal(t, map[string]int64{"active_users": 1}, s.counted())
	})
}
