package account_test

import (
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// grants gives a relying party two grants of the person in front of b: one bound to the browser session, one offline.
func (s *server) grants(b *browser) (bound, offline string) {
	s.t.Helper()
	return s.grantsFor(b, &store.Organization{})
}

// grantsFor binds them to an organization, too.
func (s *server) grantsFor(b *browser, o *store.Organization) (bound, offline string) {
	s.t.Helper()
	ctx, now := s.t.Context(), s.clock.Now()
	session := b.get("get-session").ok().json()["session"].(object)
	app := &store.Application{ID: store.NewID(), Slug: store.NewID(), Name: "CRM", Audiences: []string{}}
	require.NoError(s.t, s.store.CreateApplication(ctx, app))
	client := &store.Client{ID: store.NewID(), ApplicationID: app.ID, Name: "CRM", Type: store.ClientWeb}
	require.NoError(s.t, s.store.CreateClient(ctx, client))
	for _, id := range []*string{&bound, &offline} {
		*id = store.NewID()
		require.NoError(s.t, s.store.CreateGrant(ctx, &store.Grant{
			ID: *id, ClientID: client.ID, UserID: session["userId"].(string), SessionID: session["id"].(string), Offline: id == &offline, OrganizationID: o.ID,
			AuthTime: now, Salt: []byte("salt"), RotatedAt: now, CreatedAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
		}))
	}
	return bound, offline
}

func (s *server) revoked(grantID string) bool {
	s.t.Helper()
	g, err := s.store.GrantByID(s.t.Context(), grantID)
	require.NoError(s.t, err)
	return g.RevokedAt != nil
}
