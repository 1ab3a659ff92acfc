package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// browserSession inserts a session that idles out in an hour and ends in two.
func browserSession(t *testing.T, s *store.Store, userID, secret string) *store.Session {
	t.Helper()
	ses := &store.Session{
		ID: store.NewID(), SecretHash: store.HashSecret(secret), UserID: userID, AuthTime: noon, ACR: "1", AMR: []string{"pwd"},
		Remember: true, UserAgent: "Test/1.0", IP: "192.0.2.1", CreatedAt: noon, LastSeenAt: noon,
		IdleExpiresAt: noon.Add(time.Hour), ExpiresAt: noon.Add(2 * time.Hour),
	}
	require.NoError(t, s.CreateSession(t.Context(), ses))
	return ses
}

func TestSessionBySecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := person(t, s, "a@example.com", store.RoleUser)
		ses := browserSession(t, s, u.ID, "secret")
		find := func(secret string, now time.Time) (*store.Session, error) {
			return s.SessionBySecret(t.Context(), store.HashSecret(secret), now)
		}
		got, err := find("secret", noon)
		require.NoError(t, err)
		ses.User = u
		require.Equal(t, ses, got, "with its person")

		_, err = find("other", noon)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = find("secret", ses.IdleExpiresAt)
		require.ErrorIs(t, err, store.ErrNotFound, "idled out")
		require.NoError(t, s.TouchSession(t.Context(), ses.ID, noon, noon, noon.Add(24*time.Hour)))
		_, err = find("secret", ses.ExpiresAt)
		require.ErrorIs(t, err, store.ErrNotFound, "however often it is seen")

		require.NoError(t, s.EndSession(t.Context(), u.ID, ses.ID, "why", noon))
		_, err = find("secret", noon)
		require.ErrorIs(t, err, store.ErrNotFound, "ended")
	})
}

// A page fires many requests at once; one of them writes that the session was seen, the others find it done.
func TestTouchSessionWritesOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := person(t, s, "a@example.com", store.RoleUser)
		ses := browserSession(t, s, u.ID, "secret")
		touch := func(i int) error {
			now := noon.Add(time.Minute + time.Duration(i)*time.Second)
			return s.TouchSession(t.Context(), ses.ID, now, now.Add(-time.Minute), now.Add(time.Hour))
		}
		require.NoError(t, touch(1))
		require.NoError(t, touch(2))
		got, err := s.SessionBySecret(t.Context(), ses.SecretHash, noon)
		require.NoError(t, err)
		require.Equal(t, noon.Add(61*time.Second), got.LastSeenAt)
		require.Equal(t, noon.Add(time.Hour+61*time.Second), got.IdleExpiresAt)

		require.NoError(t, s.EndSession(t.Context(), u.ID, ses.ID, "why", noon))
		require.NoError(t, touch(600))
		var row store.Session
		require.NoError(t, s.DB(t.Context()).Take(&row, "id = ?", ses.ID).Error)
		require.Equal(t, got.LastSeenAt, row.LastSeenAt, "an ended one is left alone")
		require.Equal(t, "why", row.EndReason)
		require.Equal(t, noon, *row.EndedAt)
	})
}

func TestEndingSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		ada, eve := person(t, s, "ada@example.com", store.RoleUser), person(t, s, "eve@example.com", store.RoleUser)
		one, two, three := browserSession(t, s, ada.ID, "1"), browserSession(t, s, ada.ID, "2"), browserSession(t, s, ada.ID, "3")
		hers := browserSession(t, s, eve.ID, "eve")

		require.ErrorIs(t, s.EndSession(ctx, eve.ID, one.ID, "why", noon), store.ErrNotFound, "another person's")
		require.NoError(t, s.EndSession(ctx, ada.ID, one.ID, "why", noon))
		require.ErrorIs(t, s.EndSession(ctx, ada.ID, one.ID, "again", noon), store.ErrNotFound)

		live, err := s.UserSessions(ctx, ada.ID, noon)
		require.NoError(t, err)
		require.Equal(t, []string{three.ID, two.ID}, []string{live[0].ID, live[1].ID}, "the latest first")
		require.Len(t, live, 2)

		ids, err := s.EndUserSessions(ctx, ada.ID, three.ID, "why", noon)
		require.NoError(t, err)
		require.Equal(t, []string{two.ID}, ids)

		ended, err := s.EndSessionBySecret(ctx, store.HashSecret("3"), "why", noon)
		require.NoError(t, err)
		require.Equal(t, three.ID, ended.ID)
		require.Equal(t, ada.ID, ended.UserID)
		_, err = s.EndSessionBySecret(ctx, store.HashSecret("3"), "why", noon)
		require.ErrorIs(t, err, store.ErrNotFound)

		live, err = s.UserSessions(ctx, eve.ID, noon)
		require.NoError(t, err)
		require.Equal(t, hers.ID, live[0].ID, "Eve's stands")
		live, err = s.UserSessions(ctx, eve.ID, hers.IdleExpiresAt)
		require.NoError(t, err)
		require.Empty(t, live)
	})
}

func TestPurgeSessionsInBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := person(t, s, "a@example.com", store.RoleUser)
		for _, secret := range []string{"1", "2", "3"} {
			browserSession(t, s, u.ID, secret)
		}
		end := noon.Add(2 * time.Hour)
		for _, step := range []struct {
			before time.Time
			want   int64
		}{{end, 0}, {end.Add(1 * time.Microsecond), 2}, {end.Add(1 * time.Microsecond), 1}} {
			n, err := s.PurgeSessions(t.Context(), step.before, 2)
			require.NoError(t, err)
			require.Equal(t, step.want, n)
		}
	})
}
