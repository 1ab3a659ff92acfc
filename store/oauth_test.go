package store_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// A fixture is an OAuth installation at noon: two persons, each with a session, and two clients of different applications.
type fixture struct {
	*testing.T
	*store.Store
	now      atomic.Int64 // after noon
	ada, eve *store.User
	hers     *store.Session // Ada's
	crm, hr  *store.Application
	mu       sync.Mutex
	events   []store.Event
}

// installed runs the test on every engine. The clock stands still unless the test moves it.
func installed(t *testing.T, test func(f *fixture)) {
	var f *fixture
	clock := func(o *store.Options) {
		o.Now = func() time.Time { return noon.Add(time.Duration(f.now.Load())) }
	}
	run := func(t *testing.T, open func(testing.TB, ...storetest.Option) *store.Store) {
		f = &fixture{T: t}
		f.Store = open(t, clock)
		f.ada, f.eve = person(t, f.Store, "ada@example.com", store.RoleUser), person(t, f.Store, "eve@example.com", store.RoleUser)
		f.hers = browserSession(t, f.Store, f.ada.ID, "ada")
		f.crm, f.hr = newApplication(t, f.Store, "crm", "crm-web"), newApplication(t, f.Store, "hr", "hr-web")
		f.Subscribe(func(e store.Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, e)
		})
		test(f)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, storetest.New) })
	t.Run("postgres", func(t *testing.T) { run(t, storetest.NewPostgres) })
}

func (f *fixture) at() time.Time           { return noon.Add(time.Duration(f.now.Load())) }
func (f *fixture) forward(d time.Duration) { f.now.Add(int64(d)) }

// revoked lists the revocations that were published since the last call, as "kind id".
func (f *fixture) revoked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, e := range f.events {
		if e.Kind == store.EventRevocation {
			list = append(list, e.Revocation.Kind+" "+e.Revocation.ID)
		}
	}
	f.events = nil
	return list
}

// grant inserts a grant that idles out in a week and ends in a month.
func (f *fixture) grant(u *store.User, clientID string, change ...func(*store.Grant)) *store.Grant {
	f.Helper()
	now := f.at()
	g := &store.Grant{
		ID: store.NewID(), ClientID: clientID, UserID: u.ID, SessionID: f.hers.ID, Scopes: []string{"openid"}, Audiences: []string{"https://api.example"},
		Claims: store.ClaimsRequest{UserInfo: []string{"email"}}, AuthTime: noon, ACR: "1", AMR: []string{"pwd"}, Salt: []byte("0123456789abcdef"),
		Generation: 1, RotatedAt: now, CreatedAt: now, IdleExpiresAt: now.Add(7 * 24 * time.Hour), ExpiresAt: now.Add(30 * 24 * time.Hour),
	}
	for _, fn := range change {
		fn(g)
	}
	require.NoError(f, f.CreateGrant(f.Context(), g))
	return g
}

func offline(g *store.Grant) { g.Offline = true }

// reasons lists why the grants were revoked, "" for those that live.
func (f *fixture) reasons(grants ...*store.Grant) []string {
	f.Helper()
	var list []string
	for _, g := range grants {
		got, err := f.GrantByID(f.Context(), g.ID)
		require.NoError(f, err)
		require.Equal(f, got.RevokeReason == "", got.RevokedAt == nil)
		require.Equal(f, got.RevokeReason == "" && (g.Offline || got.Session != nil), got.Live(f.at()))
		list = append(list, got.RevokeReason)
	}
	return list
}

// winners counts how many of parallel calls were told that they did it.
func winners(t *testing.T, n int, call func() (bool, error)) (won int64) {
	t.Helper()
	var count atomic.Int64
	for _, err := range together(n, func(int) error {
		ok, err := call()
		if ok {
			count.Add(1)
		}
		return err
	}) {
		require.NoError(t, err)
	}
	return count.Load()
}

func (f *fixture) code(signature string, change ...func(*store.AuthorizationCode)) *store.AuthorizationCode {
	f.Helper()
	now := f.at()
	c := &store.AuthorizationCode{
		Signature: []byte(signature), GrantID: store.NewID(), ClientID: "crm-web", UserID: f.ada.ID, SessionID: f.hers.ID,
		RedirectURI: "https://app.example/cb", Scopes: []string{"openid", "email"}, Audiences: []string{"https://api.example"},
		CodeChallenge: "challenge", Nonce: "nonce", Claims: store.ClaimsRequest{IDToken: []string{"email"}},
		AuthTime: noon, ACR: "1", AMR: []string{"pwd"}, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
	}
	for _, fn := range change {
		fn(c)
	}
	require.NoError(f, f.CreateAuthorizationCode(f.Context(), c))
	return c
}

func TestAuthorizationCodeIsReadBackAsWritten(t *testing.T) {
	installed(t, func(f *fixture) {
		c := f.code("sig")
		got, err := f.AuthorizationCodeBySignature(f.Context(), []byte("sig"))
		require.NoError(f, err)
		require.Equal(f, f.ada, got.User)
		require.Equal(f, f.hers.ID, got.Session.ID)
		require.True(f, got.Redeemable(f.at()))
		got.User, got.Session = nil, nil
		require.Equal(f, c, got)
		_, err = f.AuthorizationCodeBySignature(f.Context(), []byte("other"))
		require.ErrorIs(f, err, store.ErrNotFound)
		require.ErrorIs(f, f.CreateAuthorizationCode(f.Context(), c), store.ErrConflict)
	})
}

// Of parallel redemptions of one code exactly one wins (RFC 6749 §4.1.2).
func TestAuthorizationCodeIsConsumedOnce(t *testing.T) {
	installed(t, func(f *fixture) {
		f.code("sig")
		require.EqualValues(f, 1, winners(f.T, 20, func() (bool, error) { return f.ConsumeAuthorizationCode(f.Context(), []byte("sig"), "") }))
		got, err := f.AuthorizationCodeBySignature(f.Context(), []byte("sig"))
		require.NoError(f, err)
		require.Equal(f, noon, *got.UsedAt, "it stays, so that a replay is recognised")
		first, err := f.ConsumeAuthorizationCode(f.Context(), []byte("unknown"), "")
		require.NoError(f, err)
		require.False(f, first)
	})
}

// A code is worth nothing once its session has ended or its person was disabled.
func TestAuthorizationCodeDiesWithItsSession(t *testing.T) {
	installed(t, func(f *fixture) {
		f.code("sig")
		redeemable := func() bool {
			c, err := f.AuthorizationCodeBySignature(f.Context(), []byte("sig"))
			require.NoError(f, err)
			return c.Redeemable(f.at())
		}
		require.True(f, redeemable())
		exec(f.T, f.Store, "UPDATE users SET disabled_at = ? WHERE id = ?", noon, f.ada.ID)
		require.False(f, redeemable())
		exec(f.T, f.Store, "UPDATE users SET disabled_at = NULL")
		require.True(f, redeemable())
		require.NoError(f, f.EndSession(f.Context(), f.ada.ID, f.hers.ID, store.ReasonSignedOut, noon))
		require.False(f, redeemable())
		first, err := f.ConsumeAuthorizationCode(f.Context(), []byte("sig"), "")
		require.NoError(f, err)
		require.False(f, first, "not even for whoever read it before")
		exec(f.T, f.Store, "DELETE FROM sessions")
		require.False(f, redeemable())
	})
}

func TestAuthorizationRequest(t *testing.T) {
	installed(t, func(f *fixture) {
		ctx := f.Context()
		r := &store.AuthorizationRequest{ID: "request", ClientID: "crm-web", Form: map[string][]string{"scope": {"openid"}, "resource": {"a", "b"}},
			GrantedScopes: []string{}, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		require.NoError(f, f.CreateAuthorizationRequest(ctx, r))
		read := func() *store.AuthorizationRequest {
			got, err := f.AuthorizationRequestByID(ctx, "request")
			require.NoError(f, err)
			return got
		}
		require.Equal(f, r, read())
		_, err := f.AuthorizationRequestByID(ctx, "other")
		require.ErrorIs(f, err, store.ErrNotFound)

		require.NoError(f, f.RecordAccount(ctx, read(), f.hers.ID))
		require.NoError(f, f.RecordConsent(ctx, read(), f.ada.ID, []string{"openid"}))
		stale := read()
		require.Equal(f, f.hers.ID, stale.SelectedSessionID)
		require.Equal(f, f.ada.ID, stale.ConsentedBy)
		require.Equal(f, []string{"openid"}, stale.GrantedScopes)
		require.Nil(f, stale.CompletedAt)

		require.EqualValues(f, 1, winners(f.T, 20, func() (bool, error) {
			err := f.CompleteAuthorizationRequest(ctx, &store.AuthorizationRequest{ID: "request"})
			if err != nil {
				require.ErrorIs(f, err, store.ErrNotFound)
			}
			return err == nil, nil
		}), "whichever tab finishes it, a request is answered once")
		require.Equal(f, noon, *read().CompletedAt)
		require.ErrorIs(f, f.RecordConsent(ctx, stale, f.eve.ID, []string{"admin"}), store.ErrNotFound)
		require.ErrorIs(f, f.RecordAccount(ctx, stale, "x"), store.ErrNotFound)
		require.Equal(f, f.ada.ID, read().ConsentedBy, "what is finished is not edited")
		require.Equal(f, r.Form, read().Form)
	})
}

func TestGrantIsReadBackAsWritten(t *testing.T) {
	installed(t, func(f *fixture) {
		g := f.grant(f.ada, "crm-web")
		got, err := f.GrantByID(f.Context(), g.ID)
		require.NoError(f, err)
		require.Equal(f, f.ada, got.User)
		require.Equal(f, f.hers.ID, got.Session.ID)
		got.User, got.Session = nil, nil
		require.Equal(f, g, got)
		_, err = f.GrantByID(f.Context(), store.NewID())
		require.ErrorIs(f, err, store.ErrNotFound)
	})
}

// Of parallel refreshes with one token exactly one moves the grant on.
func TestGrantIsRotatedOnce(t *testing.T) {
	installed(t, func(f *fixture) {
		g := f.grant(f.ada, "crm-web")
		f.forward(time.Minute)
		until := f.at().Add(time.Hour)
		require.EqualValues(f, 1, winners(f.T, 20, func() (bool, error) { return f.RotateGrant(f.Context(), g.ID, 1, "", until) }))
		got, err := f.GrantByID(f.Context(), g.ID)
		require.NoError(f, err)
		require.EqualValues(f, 2, got.Generation)
		require.Equal(f, f.at(), got.RotatedAt)
		require.Equal(f, until, got.IdleExpiresAt)

		require.NoError(f, f.RevokeGrant(f.Context(), g.ID, store.ReasonRevoked, store.AuditEvent{}))
		won, err := f.RotateGrant(f.Context(), g.ID, 2, "", until)
		require.NoError(f, err)
		require.False(f, won, "a grant that was ended in the meantime is not revived")
	})
}

func TestGrantLives(t *testing.T) {
	installed(t, func(f *fixture) {
		bound, free := f.grant(f.ada, "crm-web"), f.grant(f.ada, "crm-web", offline)
		live := func(g *store.Grant, now time.Time) bool {
			got, err := f.GrantByID(f.Context(), g.ID)
			require.NoError(f, err)
			return got.Live(now)
		}
		require.True(f, live(bound, noon))
		require.True(f, live(bound, f.hers.ExpiresAt.Add(-1)))
		require.False(f, live(bound, f.hers.ExpiresAt), "bound to the session")
		require.True(f, live(free, f.hers.ExpiresAt))
		require.True(f, live(free, free.IdleExpiresAt.Add(-1)))
		require.False(f, live(free, free.IdleExpiresAt), "idle for too long")
		spent := f.grant(f.ada, "crm-web", offline, func(g *store.Grant) { g.ExpiresAt = noon.Add(time.Hour) })
		require.False(f, live(spent, spent.ExpiresAt), "however often it was refreshed")
		exec(f.T, f.Store, "UPDATE users SET disabled_at = ? WHERE id = ?", noon, f.ada.ID)
		require.False(f, live(free, noon), "its person is disabled")
	})
}

func TestRevokeGrants(t *testing.T) {
	for name, tt := range map[string]struct {
		revoke  func(ctx context.Context, f *fixture) error
		reasons []string // of: Ada crm bound, Ada crm offline, Ada hr, Eve crm
		also    []string // revocations beside those of the grants
	}{
		"of a person": {
			func(ctx context.Context, f *fixture) error {
				return f.RevokeUserGrants(ctx, f.ada.ID, store.ReasonPasswordChanged)
			},
			[]string{store.ReasonPasswordChanged, store.ReasonPasswordChanged, store.ReasonPasswordChanged, ""}, []string{"sub ada"},
		},
		"of a person for a client": {
			func(ctx context.Context, f *fixture) error {
				return f.RevokeUserClientGrants(ctx, f.ada.ID, "crm-web", store.ReasonRevoked)
			},
			[]string{store.ReasonRevoked, store.ReasonRevoked, "", ""}, nil,
		},
		"of a session": {
			func(ctx context.Context, f *fixture) error {
				return f.RevokeSessionGrants(ctx, []string{f.hers.ID, "another"}, store.ReasonSignedOut)
			},
			[]string{store.ReasonSignedOut, "", store.ReasonSignedOut, ""}, nil, // offline_access outlives it
		},
		"of no session": {
			func(ctx context.Context, f *fixture) error {
				return f.RevokeSessionGrants(ctx, nil, store.ReasonSignedOut)
			},
			[]string{"", "", "", ""}, nil,
		},
		"of a client": {
			func(ctx context.Context, f *fixture) error {
				return f.RevokeClientGrants(ctx, "crm-web", store.ReasonClientDisabled)
			},
			[]string{store.ReasonClientDisabled, store.ReasonClientDisabled, "", store.ReasonClientDisabled}, []string{"client crm-web"},
		},
		"of an application": {
			func(ctx context.Context, f *fixture) error {
				return f.RevokeApplicationGrants(ctx, f.crm.ID, store.ReasonClientDeleted)
			},
			[]string{store.ReasonClientDeleted, store.ReasonClientDeleted, "", store.ReasonClientDeleted}, []string{"client crm-web", "client crm-spa"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			installed(t, func(f *fixture) {
				require.NoError(f, f.CreateClient(f.Context(), newClient(f.crm.ID, "crm-spa")))
				grants := []*store.Grant{f.grant(f.ada, "crm-web"), f.grant(f.ada, "crm-web", offline), f.grant(f.ada, "hr-web"),
					f.grant(f.eve, "crm-web", func(g *store.Grant) { g.SessionID = browserSession(f.T, f.Store, f.eve.ID, "eve").ID })}
				earlier := f.grant(f.ada, "crm-web")
				require.NoError(f, f.RevokeGrant(f.Context(), earlier.ID, store.ReasonRefreshReused, store.AuditEvent{}))
				f.revoked()
				require.NoError(f, tt.revoke(f.Context(), f))
				require.Equal(f, tt.reasons, f.reasons(grants...))
				require.Equal(f, []string{store.ReasonRefreshReused}, f.reasons(earlier), "what had ended keeps its reason")

				published := f.revoked()
				for _, also := range tt.also {
					if also == "sub ada" {
						also = "sub " + f.ada.ID
					}
					require.Contains(f, published, also)
				}
				if len(tt.also) == 0 || tt.also[0] == "sub ada" {
					for i, g := range grants {
						require.Equal(f, tt.reasons[i] != "", slices.Contains(published, "gid "+g.ID), "outstanding access tokens of grant %d", i)
					}
				}
				rows, err := f.RevocationsSince(f.Context(), time.Time{})
				require.NoError(f, err)
				require.Len(f, rows, len(published)+1, "other replicas read what was published here")
			})
		})
	}
}

// A code that a client has not exchanged when it is disabled must not become a grant when it is enabled again: to disable is
// to end what it holds.
func TestRevokeClientGrantsEndsCodes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.code("crm")
		f.code("hr", func(c *store.AuthorizationCode) { c.ClientID = "hr-web" })
		require.NoError(f, f.RevokeClientGrants(f.Context(), "crm-web", store.ReasonClientDisabled))
		for signature, want := range map[string]error{"crm": store.ErrNotFound, "hr": nil} {
			_, err := f.AuthorizationCodeBySignature(f.Context(), []byte(signature))
			require.ErrorIs(f, err, want, signature)
		}
	})
}

// A revocation by person or client covers what was issued until then, and nothing after: who signs in again gets in.
func TestRevocationOfAPersonHasAnEnd(t *testing.T) {
	installed(t, func(f *fixture) {
		require.NoError(f, f.RevokeUserGrants(f.Context(), f.ada.ID, store.ReasonPasswordChanged))
		require.NoError(f, f.RevokeClientGrants(f.Context(), "hr-web", store.ReasonClientDisabled))
		require.NoError(f, f.RevokeToken(f.Context(), "jti-1"))
		rows, err := f.RevocationsSince(f.Context(), time.Time{})
		require.NoError(f, err)
		until := map[string]time.Time{}
		for _, r := range rows {
			until[r.Kind] = r.IssuedUntil
			require.Equal(f, noon.Add(store.MaxAccessTokenLifetime), r.ExpiresAt)
		}
		require.Equal(f, map[string]time.Time{"sub": noon, "client": noon, "jti": noon.Add(store.MaxAccessTokenLifetime)}, until)
	})
}

// Caches must not hear of what did not happen, nor before it has.
func TestRevocationIsPublishedAfterTheCommit(t *testing.T) {
	installed(t, func(f *fixture) {
		g := f.grant(f.ada, "crm-web")
		f.revoked()
		err := f.Tx(f.Context(), func(ctx context.Context) error {
			require.NoError(f, f.RevokeGrant(ctx, g.ID, store.ReasonRevoked, store.AuditEvent{}))
			require.NoError(f, f.RevokeToken(ctx, "jti-1"))
			return errBoom
		})
		require.ErrorIs(f, err, errBoom)
		require.Empty(f, f.revoked())
		require.Equal(f, []string{""}, f.reasons(g))
		rows, err := f.RevocationsSince(f.Context(), time.Time{})
		require.NoError(f, err)
		require.Empty(f, rows)

		require.NoError(f, f.Tx(f.Context(), func(ctx context.Context) error {
			require.NoError(f, f.RevokeGrant(ctx, g.ID, store.ReasonRevoked, store.AuditEvent{}))
			require.Empty(f, f.revoked(), "not yet")
			return nil
		}))
		require.Equal(f, []string{"gid " + g.ID}, f.revoked())
	})
}

// Replicas' clocks differ. One that is behind must not shorten what another wrote, or tokens would come back to life.
func TestRevocationIsNeverShortened(t *testing.T) {
	installed(t, func(f *fixture) {
		read := func() store.Revocation {
			rows, err := f.RevocationsSince(f.Context(), time.Time{})
			require.NoError(f, err)
			require.Len(f, rows, 1)
			return rows[0]
		}
		revoke := func() { require.NoError(f, f.RevokeUserGrants(f.Context(), f.ada.ID, store.ReasonUserDisabled)) }
		revoke()
		first := read()
		f.forward(-time.Minute)
		revoke()
		require.Equal(f, first, read())
		f.forward(2 * time.Minute)
		revoke()
		require.Equal(f, noon.Add(time.Minute), read().IssuedUntil)
		require.Equal(f, noon.Add(time.Minute), read().CreatedAt, "so that replicas which read only the new ones find it")
		require.Equal(f, noon.Add(time.Minute+store.MaxAccessTokenLifetime), read().ExpiresAt)
	})
}

func TestRevocationsSince(t *testing.T) {
	installed(t, func(f *fixture) {
		ids := func(since time.Time) (list []string) {
			rows, err := f.RevocationsSince(f.Context(), since)
			require.NoError(f, err)
			for _, r := range rows {
				list = append(list, r.ID)
			}
			return list
		}
		require.NoError(f, f.RevokeToken(f.Context(), "old"))
		f.forward(time.Hour)
		require.NoError(f, f.RevokeToken(f.Context(), "new"))
		require.ElementsMatch(f, []string{"old", "new"}, ids(time.Time{}))
		require.Equal(f, []string{"new"}, ids(noon))
		f.forward(store.MaxAccessTokenLifetime - time.Hour)
		require.Equal(f, []string{"new"}, ids(time.Time{}), "no token that the other names is alive")
	})
}

// A grant that has not been refreshed for longer than any access token lives has none outstanding: nothing to remember.
func TestOldGrantsNeedNoRevocation(t *testing.T) {
	installed(t, func(f *fixture) {
		old := f.grant(f.ada, "crm-web", offline)
		f.forward(store.MaxAccessTokenLifetime)
		fresh := f.grant(f.ada, "crm-web", offline)
		f.revoked()
		require.NoError(f, f.RevokeUserClientGrants(f.Context(), f.ada.ID, "crm-web", store.ReasonRevoked))
		require.Equal(f, []string{store.ReasonRevoked, store.ReasonRevoked}, f.reasons(old, fresh))
		require.Equal(f, []string{"gid " + fresh.ID}, f.revoked())
	})
}

func TestConsent(t *testing.T) {
	installed(t, func(f *fixture) {
		ctx := f.Context()
		scopes, err := f.ConsentOf(ctx, f.ada.ID, "crm-web")
		require.NoError(f, err)
		require.Nil(f, scopes)
		require.NoError(f, f.SaveConsent(ctx, f.ada.ID, "crm-web", []string{}))
		scopes, err = f.ConsentOf(ctx, f.ada.ID, "crm-web")
		require.NoError(f, err)
		require.NotNil(f, scopes, "a yes to no scope at all is a yes")
		require.Empty(f, scopes)
		f.forward(time.Minute)
		require.NoError(f, f.SaveConsent(ctx, f.ada.ID, "crm-web", []string{"openid", "email"}))
		scopes, err = f.ConsentOf(ctx, f.ada.ID, "crm-web")
		require.NoError(f, err)
		require.Equal(f, []string{"openid", "email"}, scopes)
		for _, other := range [][2]string{{f.eve.ID, "crm-web"}, {f.ada.ID, "hr-web"}} {
			scopes, err = f.ConsentOf(ctx, other[0], other[1])
			require.NoError(f, err)
			require.Nil(f, scopes)
		}
		connections, err := f.ConnectionsOf(ctx, f.ada.ID)
		require.NoError(f, err)
		require.Equal(f, noon, connections[0].CreatedAt)
		require.Equal(f, f.at(), connections[0].UpdatedAt)
	})
}

func TestConnectionsOf(t *testing.T) {
	installed(t, func(f *fixture) {
		ctx := f.Context()
		ids := func(u *store.User) []string {
			connections, err := f.ConnectionsOf(ctx, u.ID)
			require.NoError(f, err)
			list := []string{}
			for _, c := range connections {
				require.NotNil(f, c.Client.Application)
				list = append(list, c.Client.ID)
			}
			return list
		}
		require.Empty(f, ids(f.ada))
		require.NoError(f, f.SaveConsent(ctx, f.ada.ID, "crm-web", []string{"openid"}))
		f.forward(time.Minute)
		f.grant(f.ada, "hr-web", offline) // of a trusted client: no consent was asked
		require.Equal(f, []string{"hr-web", "crm-web"}, ids(f.ada), "the most recent first")
		require.Empty(f, ids(f.eve))

		f.forward(time.Minute)
		f.grant(f.ada, "crm-web", offline)
		connections, err := f.ConnectionsOf(ctx, f.ada.ID)
		require.NoError(f, err)
		require.Len(f, connections, 2)
		crm := connections[0]
		require.Equal(f, "crm-web", crm.Client.ID)
		require.Equal(f, []string{"openid"}, crm.Scopes)
		require.Equal(f, noon, crm.CreatedAt)
		require.Equal(f, f.at(), *crm.LastUsedAt)

		require.NoError(f, f.RevokeUserClientGrants(ctx, f.ada.ID, "hr-web", store.ReasonRevoked))
		require.Equal(f, []string{"crm-web"}, ids(f.ada), "a consent without a live grant is listed, an ended grant is not")
		f.forward(time.Minute)
		f.grant(f.ada, "hr-web")
		require.Equal(f, []string{"hr-web", "crm-web"}, ids(f.ada))
		require.NoError(f, f.EndSession(ctx, f.ada.ID, f.hers.ID, store.ReasonSignedOut, f.at()))
		require.Equal(f, []string{"crm-web"}, ids(f.ada), "nor one whose session is over")
	})
}

func TestRemoveConnection(t *testing.T) {
	installed(t, func(f *fixture) {
		ctx := f.Context()
		require.NoError(f, f.SaveConsent(ctx, f.ada.ID, "crm-web", []string{"openid"}))
		mine, other, eves := f.grant(f.ada, "crm-web", offline), f.grant(f.ada, "hr-web", offline), f.grant(f.eve, "crm-web", offline)
		f.code("pending")
		f.code("eves", func(c *store.AuthorizationCode) { c.UserID = f.eve.ID })
		f.revoked()
		require.NoError(f, f.RemoveConnection(ctx, f.ada.ID, "crm-web"))
		require.Equal(f, []string{store.ReasonConsentRemoved, "", ""}, f.reasons(mine, other, eves))
		require.Equal(f, []string{"gid " + mine.ID}, f.revoked())
		scopes, err := f.ConsentOf(ctx, f.ada.ID, "crm-web")
		require.NoError(f, err)
		require.Nil(f, scopes)
		_, err = f.AuthorizationCodeBySignature(ctx, []byte("pending"))
		require.ErrorIs(f, err, store.ErrNotFound, "a code that is under way would bring it back")
		_, err = f.AuthorizationCodeBySignature(ctx, []byte("eves"))
		require.NoError(f, err)
		require.ErrorIs(f, f.RemoveConnection(ctx, f.ada.ID, "crm-web"), store.ErrNotFound)

		f.forward(3 * 24 * time.Hour) // beyond any access token
		require.NoError(f, f.RemoveConnection(ctx, f.ada.ID, "hr-web"), "a grant without consent, long unused")
		require.Equal(f, []string{store.ReasonConsentRemoved}, f.reasons(other))
	})
}

func (f *fixture) key(alg, id string, active bool) *store.SigningKey {
	k := &store.SigningKey{ID: id, Alg: alg, PublicJWK: "{}", PrivateKey: "sealed", CreatedAt: f.at()}
	if active {
		k.ActivatedAt = &k.CreatedAt
	}
	return k
}

// An algorithm has at most one active and one next key, whatever replicas do at once.
func TestSigningKeysAreSingle(t *testing.T) {
	installed(t, func(f *fixture) {
		for _, active := range []bool{true, false} {
			require.EqualValues(f, 1, winners(f.T, 8, func() (bool, error) {
				err := f.CreateSigningKey(f.Context(), f.key("ES256", store.NewID(), active))
				if err != nil {
					require.ErrorIs(f, err, store.ErrConflict)
				}
				return err == nil, nil
			}))
		}
		require.NoError(f, f.CreateSigningKey(f.Context(), f.key("RS256", "rsa", true)))
		keys, err := f.SigningKeys(f.Context())
		require.NoError(f, err)
		require.Len(f, keys, 3)
	})
}

func TestSigningKeyRotation(t *testing.T) {
	installed(t, func(f *fixture) {
		ctx := f.Context()
		require.NoError(f, f.CreateSigningKey(ctx, f.key("ES256", "a", true)))
		require.NoError(f, f.CreateSigningKey(ctx, f.key("ES256", "b", false)))
		require.NoError(f, f.CreateSigningKey(ctx, f.key("RS256", "r", true)))
		f.forward(time.Minute)
		require.EqualValues(f, 1, winners(f.T, 8, func() (bool, error) {
			err := f.RotateSigningKey(ctx, "ES256", "a", f.key("ES256", store.NewID(), false), time.Hour, store.AuditEvent{})
			if err != nil {
				require.ErrorIs(f, err, store.ErrConflict)
			}
			return err == nil, nil
		}), "replicas whose timers fire together rotate once")
		keys, err := f.SigningKeys(ctx)
		require.NoError(f, err)
		require.Len(f, keys, 4)
		byID := map[string]store.SigningKey{}
		for _, k := range keys {
			byID[k.ID] = k
		}
		require.Equal(f, f.at(), *byID["a"].RetiredAt)
		require.Equal(f, f.at().Add(time.Hour), *byID["a"].ExpiresAt)
		require.Equal(f, f.at(), *byID["b"].ActivatedAt)
		require.Nil(f, byID["b"].RetiredAt)
		require.Nil(f, byID["r"].RetiredAt, "another algorithm's")
		require.Nil(f, keys[3].ActivatedAt, "the successor waits")

		f.forward(time.Hour)
		keys, err = f.SigningKeys(ctx)
		require.NoError(f, err)
		require.Len(f, keys, 3)
		require.NotContains(f, []string{keys[0].ID, keys[1].ID, keys[2].ID}, "a")
	})
}
