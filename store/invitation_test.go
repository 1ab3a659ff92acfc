package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func (f *fixture) invite(o *store.Organization, email string, lifetime time.Duration) *store.Invitation {
	f.Helper()
	i := &store.Invitation{OrganizationID: o.ID, Email: email, Role: store.MemberPlain, ExpiresAt: f.at().Add(lifetime)}
	require.NoError(f, f.CreateInvitation(f.Context(), i))
	return i
}

func TestInvitations(t *testing.T) {
	installed(t, func(f *fixture) {
		acme, other := f.organization("acme"), f.organization("other")
		i := f.invite(acme, "carl@example.com", time.Hour)
		require.Len(f, i.ID, 32, "a secret of 192 bits")
		twin := &store.Invitation{OrganizationID: acme.ID, Email: "carl@example.com", ExpiresAt: noon.Add(time.Hour)}
		require.ErrorIs(f, f.CreateInvitation(f.Context(), twin), store.ErrConflict)
		f.forward(time.Second)
		elsewhere := f.invite(other, "carl@example.com", 2*time.Hour)

		got, err := f.InvitationByID(f.Context(), i.ID)
		require.NoError(f, err)
		require.Equal(f, acme, got.Organization)
		got.Organization = nil
		require.Equal(f, i, got)
		open, err := f.OpenInvitations(f.Context(), "carl@example.com")
		require.NoError(f, err)
		require.Equal(f, []string{elsewhere.ID, i.ID}, []string{open[0].ID, open[1].ID})
		require.Equal(f, other, open[0].Organization)

		i.Role, i.ExpiresAt = store.MemberAdmin, f.at().Add(time.Hour)
		require.NoError(f, f.RenewInvitation(f.Context(), i))
		pending, err := f.PendingInvitation(f.Context(), acme.ID, "carl@example.com")
		require.NoError(f, err)
		require.Equal(f, i, pending)

		f.forward(time.Hour) // the first one is over
		require.False(f, i.Open(f.at()))
		n, err := f.CountOpenInvitations(f.Context(), acme.ID, 10)
		require.NoError(f, err)
		require.Zero(f, n)
		require.ErrorIs(f, f.SettleInvitation(f.Context(), i, store.InvitationAccepted), store.ErrNotFound)
		require.ErrorIs(f, f.SettleInvitation(f.Context(), i, store.InvitationRejected), store.ErrNotFound)
		require.NoError(f, f.SettleInvitation(f.Context(), i, store.InvitationCanceled))
		require.Equal(f, store.InvitationCanceled, i.Status)
		require.ErrorIs(f, f.RenewInvitation(f.Context(), i), store.ErrNotFound)
		require.ErrorIs(f, f.SettleInvitation(f.Context(), i, store.InvitationCanceled), store.ErrNotFound)
		f.invite(acme, "carl@example.com", time.Hour)
	})
}

// Of parallel answers to one invitation exactly one counts.
func TestInvitationIsSettledOnce(t *testing.T) {
	installed(t, func(f *fixture) {
		i := f.invite(f.organization("acme"), "carl@example.com", time.Hour)
		statuses := []string{store.InvitationAccepted, store.InvitationRejected, store.InvitationCanceled}
		won := 0
		for _, err := range together(6, func(n int) error {
			mine := *i
			return f.SettleInvitation(f.Context(), &mine, statuses[n%3])
		}) {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(f, err, store.ErrNotFound)
		}
		require.Equal(f, 1, won)
	})
}
