package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// A full disk refuses the exchange of a code as a whole: the code stays good, grants that exist stay, and once there is
// room the same exchange works. SQLite reports a page limit exactly as it reports a disk without room.
func TestFullDiskLosesNothing(t *testing.T) {
	s := storetest.New(t, func(o *store.Options) { o.MaxConnections = 1 }) // the limit is a connection's
	ctx, now := t.Context(), time.Now().UTC()
	user := &store.User{ID: store.NewID(), Email: "a@example.com", Role: store.RoleUser, CreatedAt: now, UpdatedAt: now}
	require.NoError(t, s.CreateUser(ctx, user))
	app := &store.Application{ID: store.NewID(), Slug: "app", Name: "App"}
	require.NoError(t, s.CreateApplication(ctx, app))
	require.NoError(t, s.CreateClient(ctx, &store.Client{ID: "client", ApplicationID: app.ID, Name: "Client"}))
	grant := func() *store.Grant {
		return &store.Grant{ID: store.NewID(), ClientID: "client", UserID: user.ID, Generation: 1, Salt: []byte("salt"), RevokeReason: strings.Repeat("x", 4000),
			AuthTime: now, RotatedAt: now, CreatedAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour)}
	}
	session := &store.Session{ID: store.NewID(), SecretHash: []byte("hash"), UserID: user.ID, AuthTime: now, CreatedAt: now, LastSeenAt: now,
		IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour)}
	require.NoError(t, s.CreateSession(ctx, session))
	code := &store.AuthorizationCode{Signature: []byte("signature"), GrantID: store.NewID(), ClientID: "client", UserID: user.ID, SessionID: session.ID,
		AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	require.NoError(t, s.CreateAuthorizationCode(ctx, code))
	kept := grant()
	require.NoError(t, s.CreateGrant(ctx, kept))

	var pages int
	require.NoError(t, s.DB(ctx).Raw("PRAGMA page_count").Scan(&pages).Error)
	limit := func(n int) { require.NoError(t, s.DB(ctx).Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)).Error) }
	limit(pages)
	exchange := func() error {
		return s.Tx(ctx, func(ctx context.Context) error {
			first, err := s.ConsumeAuthorizationCode(ctx, code.Signature, "")
			require.NoError(t, err)
			require.True(t, first)
			for range 3 { // more than fits into the pages that are there
				if err := s.CreateGrant(ctx, grant()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.ErrorIs(t, exchange(), store.ErrUnavailable)
	unused, err := s.AuthorizationCodeBySignature(ctx, code.Signature)
	require.NoError(t, err)
	require.Nil(t, unused.UsedAt, "the code was not spent")
	_, err = s.GrantByID(ctx, kept.ID)
	require.NoError(t, err)

	limit(1_000_000)
	require.NoError(t, exchange())
}
