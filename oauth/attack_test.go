package oauth_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/oauth"
	"auth-service/store"
	"auth-service/store/storetest"
)

// parallel sends n requests at once.
func parallel(t *testing.T, n int, send func() *reply) []*reply {
	replies, start := make([]*reply, n), make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			replies[i] = send()
		})
	}
	close(start)
	wg.Wait()
	for _, r := range replies {
		require.NotNil(t, r, "a request failed")
	}
	return replies
}

// successes asserts that every other reply is the one error, and returns the good ones.
func successes(t *testing.T, replies []*reply, otherwise string) []tokens {
	var won []tokens
	for _, r := range replies {
		if r.status == http.StatusOK {
			won = append(won, r.tokens())
			continue
		}
		r.refused(http.StatusBadRequest, otherwise)
	}
	return won
}

func (w *world) userinfo(token string) *reply {
	w.Helper()
	return w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+token)
}

// alive asserts that the access token is good everywhere.
func (w *world) alive(t tokens) {
	w.Helper()
	require.Equal(w, http.StatusOK, w.userinfo(t.Access).status)
	require.True(w, w.active(t.Access), "the access token is introspected as active")
}

// over asserts that nothing of the tokens works any more.
func (w *world) over(c *store.Client, t tokens) {
	w.Helper()
	w.userinfo(t.Access).refused(http.StatusUnauthorized, "invalid_token")
	require.False(w, w.active(t.Access), "the access token is introspected as inactive")
	w.refresh(c, t.Refresh).refused(http.StatusBadRequest, "invalid_grant")
}

// rival is a confidential client of an application that has nothing to do with the others. A suffix tells several apart.
func (w *world) rival(id ...string) *store.Client {
	name := strings.Join(append([]string{"rival"}, id...), "-")
	return w.newClient(&store.Client{ID: name, ApplicationID: w.newApplication(name).ID, Type: store.ClientWeb,
		TokenEndpointAuthMethod: store.AuthMethodBasic, RedirectURIs: []string{redirectURI}})
}

// Fifty requests redeem one code at once. Exactly one is honoured, and because the others are replays its tokens die
// (RFC 6749 §4.1.2; CVE-2026-53518 in the replaced system).
func TestParallelRedemptionsOfACode(t *testing.T) {
	each(t, func(w *world) {
		code := w.signedIn(w.person).code(w.web)
		won := successes(t, parallel(t, 50, func() *reply { return w.redeem(w.web, code) }), "invalid_grant")
		require.Len(t, won, 1)
		w.over(w.web, won[0])
	})
}

// Fifty requests use one refresh token at once within the grace: one new generation is made, which all of them get.
func TestParallelRefreshesShareOneSuccessor(t *testing.T) {
	each(t, func(w *world) {
		first := w.signedIn(w.person).tokens(w.web)
		won := successes(t, parallel(t, 50, func() *reply { return w.refresh(w.web, first.Refresh) }), "invalid_grant")
		require.NotEmpty(t, won)
		for _, other := range won {
			require.Equal(t, won[0].Refresh, other.Refresh)
			require.NotEqual(t, first.Refresh, other.Refresh)
		}
		g, err := w.store.GrantByID(t.Context(), w.claims(first.Access)["gid"].(string))
		require.NoError(t, err)
		require.Equal(t, int64(2), g.Generation)
		require.Equal(t, http.StatusOK, w.refresh(w.web, won[0].Refresh).status, "the successor works")
	})
}

// Without a grace exactly one of fifty wins; the others have reused the token, so the grant ends (RFC 9700 §4.14.2).
func TestParallelRefreshesWithoutGrace(t *testing.T) {
	each(t, func(w *world) {
		first := w.signedIn(w.person).tokens(w.web)
		_, strict := w.replica(func(o *oauth.Options) { o.RefreshGrace = 0 })
		won := successes(t, parallel(t, 50, func() *reply { return strict.refresh(w.web, first.Refresh) }), "invalid_grant")
		require.Len(t, won, 1)
		w.over(w.web, won[0])
	})
}

// A stolen code that was used before is worth nothing, and its use ends what it had yielded (RFC 6749 §4.1.2), also when
// the code itself has expired by then.
func TestCodeReplayEndsTheGrant(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		bystander := b.tokens(w.web)
		for _, later := range []time.Duration{0, 2 * time.Minute} {
			code := b.code(w.web, "scope", "openid offline_access")
			got := w.redeem(w.web, code).tokens()
			w.alive(got)
			w.clock.forward(later)
			w.redeem(w.web, code).refused(http.StatusBadRequest, "invalid_grant")
			w.over(w.web, got)
		}
		w.alive(bystander)
	})
}

// A refresh token of a past generation yields the same successor within the grace: an answer may have been lost. After
// it, somebody has a copy, so the whole grant ends (RFC 9700 §4.14.2).
func TestRefreshReuse(t *testing.T) {
	each(t, func(w *world) {
		first := w.signedIn(w.person).tokens(w.web)
		second := w.refresh(w.web, first.Refresh).tokens()
		w.clock.forward(9 * time.Second)
		again := w.refresh(w.web, first.Refresh).tokens()
		require.Equal(t, second.Refresh, again.Refresh)
		w.alive(again)

		w.clock.forward(2 * time.Second)
		w.refresh(w.web, first.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		w.over(w.web, again)
	})
}

// Two generations back is reuse even within the grace: the client has proved to own the successor.
func TestRefreshReuseOfAnOldGeneration(t *testing.T) {
	each(t, func(w *world) {
		first := w.signedIn(w.person).tokens(w.web)
		third := w.refresh(w.web, w.refresh(w.web, first.Refresh).tokens().Refresh).tokens()
		w.alive(third)
		w.refresh(w.web, first.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		w.over(w.web, third)
	})
}

// Whoever finds a used code or an old refresh token but is not its client cannot log the person out by replaying it
// (weakness W16 of the replaced system).
func TestAStrangerCannotRevokeByReplay(t *testing.T) {
	each(t, func(w *world) {
		code := w.signedIn(w.person).code(w.web)
		first := w.redeem(w.web, code).tokens()
		second := w.refresh(w.web, first.Refresh).tokens()
		w.clock.forward(time.Minute / 2) // beyond the grace
		rival := w.rival()

		wrong := url.Values{"client_id": {w.web.ID}, "client_secret": {"guess"}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}}
		for grant, values := range map[string]url.Values{
			"authorization_code": {"code": {code}}, "refresh_token": {"refresh_token": {first.Refresh}},
		} {
			for _, c := range []*store.Client{rival, w.spa} {
				values.Set("grant_type", grant)
				values.Set("redirect_uri", redirectURI)
				values.Set("code_verifier", verifier)
				w.form(tokenPath, c, values).refused(http.StatusBadRequest, "invalid_grant")
			}
			for name := range wrong {
				values.Set(name, wrong.Get(name))
			}
			w.form(tokenPath, nil, values).refused(http.StatusUnauthorized, "invalid_client")
			values.Del("client_secret")
			w.form(tokenPath, nil, values).refused(http.StatusUnauthorized, "invalid_client")
		}
		w.alive(second)
		require.Equal(t, http.StatusOK, w.refresh(w.web, second.Refresh).status)
	})
}

// Another client's code, unused, is refused and stays good for its owner: nobody can burn it (RFC 6749 §5.2).
func TestAnotherClientsCode(t *testing.T) {
	each(t, func(w *world) {
		code := w.signedIn(w.person).code(w.web)
		v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}}
		for _, c := range []*store.Client{w.rival(), w.spa} {
			w.form(tokenPath, c, v).refused(http.StatusBadRequest, "invalid_grant")
		}
		got := w.redeem(w.web, code).tokens()
		for _, c := range []*store.Client{w.rival("again"), w.spa} { // and so is another client's refresh token
			w.refresh(c, got.Refresh).refused(http.StatusBadRequest, "invalid_grant")
		}
		w.alive(got)
		require.Equal(t, http.StatusOK, w.refresh(w.web, got.Refresh).status)
	})
}

// Disabling a person, a client or an application, or deleting one, ends everything at once (W4 of the replaced system).
func TestDisablingEndsEverythingAtOnce(t *testing.T) {
	ends := map[string]func(w *world) error{
		"user disabled": func(w *world) error {
			if err := w.store.DisableUser(w.Context(), w.person.ID, "test", nil, w.clock.now()); err != nil {
				return err
			}
			return w.store.RevokeUserGrants(w.Context(), w.person.ID, store.ReasonUserDisabled)
		},
		"user deleted": func(w *world) error {
			if err := w.store.RevokeUserGrants(w.Context(), w.person.ID, store.ReasonUserDeleted); err != nil {
				return err
			}
			return w.store.DeleteUser(w.Context(), w.person.ID, w.clock.now())
		},
		"client disabled, with nothing revoked": func(w *world) error {
			w.spa.Disabled = true
			return w.store.UpdateClient(w.Context(), w.spa)
		},
		"client deleted, with nothing revoked": func(w *world) error { return w.store.DeleteClient(w.Context(), w.spa.ID) },
		"application disabled, with nothing revoked": func(w *world) error {
			a, err := w.store.ApplicationByRef(w.Context(), "crm")
			if err != nil {
				return err
			}
			a.Disabled = true
			return w.store.UpdateApplication(w.Context(), a)
		},
		"application deleted": func(w *world) error {
			if err := w.store.RevokeApplicationGrants(w.Context(), w.spa.ApplicationID, store.ReasonClientDeleted); err != nil {
				return err
			}
			return w.store.DeleteApplication(w.Context(), w.spa.ApplicationID)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				// A resource server that is not part of the application, so that it outlives it.
				api := w.newClient(&store.Client{ID: "api", ApplicationID: w.newApplication("api", "https://api.crm.example").ID,
					Type: store.ClientM2M, TokenEndpointAuthMethod: store.AuthMethodPost, GrantTypes: []string{}})
				active := func(token string) any {
					return w.form(introspectPath, api, url.Values{"token": {token}}).json()["active"]
				}
				b := w.signedIn(w.person)
				got, code := b.tokens(w.spa, "scope", "openid offline_access"), b.code(w.spa, "scope", "openid offline_access")
				require.Equal(t, true, active(got.Access))
				require.Equal(t, http.StatusOK, w.userinfo(got.Access).status)

				require.NoError(t, end(w))
				require.Equal(t, false, active(got.Access))
				w.userinfo(got.Access).refused(http.StatusUnauthorized, "invalid_token")
				for _, r := range []*reply{w.refresh(w.spa, got.Refresh), w.redeem(w.spa, code)} {
					require.Contains(t, []any{"invalid_grant", "invalid_client"}, r.json()["error"], r.body)
				}
			})
		})
	}
}

// A password change ends sessions and grants. An exchange of a code that runs at the same moment must not slip a grant
// past it: either the exchange fails or its tokens are dead.
func TestEndingSessionsRacesWithAnExchange(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		b.tokens(w.web, "scope", "openid offline_access") // consents
		for range 15 {
			code := b.code(w.web, "scope", "openid offline_access")
			replies := make(chan *reply, 1)
			go func() { replies <- w.redeem(w.web, code) }()
			require.NoError(t, w.signOutEverywhere())
			if r := <-replies; r.status == http.StatusOK {
				w.refresh(w.web, r.tokens().Refresh).refused(http.StatusBadRequest, "invalid_grant")
			} else {
				r.refused(http.StatusBadRequest, "invalid_grant")
			}
			b.signIn(w.person)
		}
	})
}

// signOutEverywhere does what package account does when a password changes.
func (w *world) signOutEverywhere() error {
	return w.store.Tx(w.Context(), func(ctx context.Context) error {
		if _, err := w.store.EndUserSessions(ctx, w.person.ID, "", store.ReasonPasswordChanged, w.clock.now()); err != nil {
			return err
		}
		return w.store.RevokeUserGrants(ctx, w.person.ID, store.ReasonPasswordChanged)
	})
}

// What one replica revokes the others obey after their next poll, whoever made the token, and they notice a disabled
// client as well.
func TestReplicasObeyRevocations(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			clock, address := &clock{}, newURL(t)
			w := newWorld(t, storetest.Open(t, address, withClock(clock)), clock)
			far := storetest.Open(t, address, withClock(clock))
			_, other := w.replica(func(o *oauth.Options) { o.Store = far })

			got := w.signedIn(w.person).tokens(w.web, "scope", "openid offline_access")
			other.alive(got)
			w.form(revokePath, w.web, url.Values{"token": {got.Access}})
			require.NoError(t, other.provider.Maintain(t.Context()))
			require.False(t, other.active(got.Access), "one token")

			got = w.refresh(w.web, got.Refresh).tokens()
			other.alive(got)
			require.NoError(t, w.store.RevokeUserGrants(t.Context(), w.person.ID, store.ReasonPasswordChanged))
			require.NoError(t, other.provider.Maintain(t.Context()))
			other.over(w.web, got)

			machine := other.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}})
			require.Equal(t, http.StatusOK, machine.status)
			w.machine.Disabled = true
			require.NoError(t, w.store.UpdateClient(t.Context(), w.machine))
			require.NoError(t, w.store.RevokeClientGrants(t.Context(), w.machine.ID, store.ReasonClientDisabled))
			require.NoError(t, other.provider.Maintain(t.Context()))
			other.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).refused(http.StatusUnauthorized, "invalid_client")
		})
	}
}

// Whoever disconnects an application ends all it had, a code that it has not exchanged yet included.
func TestDisconnectingEndsPendingCodes(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		got := b.tokens(w.web, "scope", "openid offline_access")
		code, other := b.code(w.web, "scope", "openid offline_access"), b.code(w.spa)
		require.Equal(t, http.StatusNoContent, b.remove(consentsPath+"/"+w.web.ID).status)
		w.over(w.web, got)
		w.redeem(w.web, code).refused(http.StatusBadRequest, "invalid_grant")
		w.alive(w.redeem(w.spa, other).tokens())
		b.asked("/consent", request(w.web))
	})
}

// Two tabs of one browser wait for the same sign-in; each request is answered by itself, in either order.
func TestTwoTabs(t *testing.T) {
	each(t, func(w *world) {
		require.NoError(t, w.store.SaveConsent(t.Context(), w.person.ID, w.web.ID, []string{"openid", "profile", "email"}))
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			b := w.newBrowser()
			tabs := []string{b.asked("/sign-in", request(w.web)), b.asked("/sign-in", request(w.web, "nonce", "second"))}
			w.clock.forward(time.Minute)
			b.signIn(w.person)
			for _, i := range order {
				got := w.redeem(w.web, b.get(tabs[i]).answered().Get("code")).tokens()
				require.Equal(t, []any{"n-1", "second"}[i], w.claims(got.ID)["nonce"])
				b.get(tabs[i]).problem(http.StatusGone, "REQUEST_COMPLETED")
			}
		}
	})
}

// A page of another site cannot write with the person's cookie (CSRF), however the browser labels the request.
func TestCrossSiteWrites(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		got := b.tokens(w.web)
		path := b.asked("/consent", request(w.web, "prompt", "consent"))
		for _, write := range [][2]string{
			{"POST", path + "/consent"}, {"POST", path + "/select-account"}, {"POST", path + "/cancel"}, {"DELETE", consentsPath + "/" + w.web.ID}, {"POST", endSessionPath},
		} {
			for _, header := range [][]string{
				{"Origin", "https://evil.example"}, {"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}, {"Origin", "null"},
				{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Referer", "https://evil.example/"}, {},
				{"Origin", b.server.URL + ".evil.example"}, {"Origin", "https://" + strings.TrimPrefix(b.server.URL, "http://")},
			} {
				r := b.do(write[0], write[1], strings.NewReader(`{"accept":true,"confirm":true}`), append(header, "Content-Type", "application/json")...)
				require.Equal(t, http.StatusForbidden, r.status, "%v %v", write, header)
			}
		}
		require.Equal(t, "consent", b.get(path).json()["next"])
		w.alive(got)
		require.Len(t, b.get(consentsPath).list(), 1)
	})
}

// PostgreSQL refuses null characters and bytes that are not UTF-8. Nobody may cause a server fault with them.
func TestBytesThatAreNoText(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		for _, bytes := range []string{"%00", "%ff", "a%00b", "%c0%80"} {
			b.get(requestPath(bytes)).problem(http.StatusNotFound, "NOT_FOUND")
			b.post(requestPath(bytes)+"/consent", `{"accept":true}`).problem(http.StatusNotFound, "NOT_FOUND")
			require.Equal(t, "request_expired", b.get(requestPath(bytes)+"/form", "Accept", "text/html").location.Query().Get("error"))
			require.Equal(t, http.StatusNotFound, b.remove(consentsPath+"/"+bytes).status)
			require.Equal(t, "invalid_request", b.get(authorizePath + "?client_id=" + bytes).json()["error"])
			require.Equal(t, http.StatusBadRequest, b.get(endSessionPath+"?client_id="+bytes).status)
			r := b.do("POST", tokenPath, strings.NewReader("grant_type=client_credentials&client_secret=x&client_id="+bytes), "Content-Type", "application/x-www-form-urlencoded")
			r.refused(http.StatusBadRequest, "invalid_request")
			raw, err := url.PathUnescape(bytes)
			require.NoError(t, err)
			w.raw(introspectPath, basic(url.QueryEscape(raw), "x"), pairs("token", "x")).refused(http.StatusUnauthorized, "invalid_client")
		}
		require.Equal(t, http.StatusBadRequest, b.post(endSessionPath, `{"confirm":true,"client_id":"\u0000","post_logout_redirect_uri":"x"}`).status)
	})
}

// What a replay ended is on record, once: whoever looks into a theft sees which client's grant it was, and when.
func TestReplaysAreAudited(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		code := b.code(w.web)
		replayed := w.redeem(w.web, code).tokens()
		w.redeem(w.web, code).refused(400, "invalid_grant")
		w.redeem(w.web, code).refused(400, "invalid_grant")
		reused := b.tokens(w.web)
		w.refresh(w.web, reused.Refresh).tokens()
		w.clock.forward(time.Minute)
		w.refresh(w.web, reused.Refresh).refused(400, "invalid_grant")
		revoked := b.tokens(w.web)
		w.form(revokePath, w.web, url.Values{"token": {revoked.Refresh}})
		for reason, t := range map[string]tokens{store.ReasonCodeReplayed: replayed, store.ReasonRefreshReused: reused, store.ReasonRevoked: revoked} {
			events, err := w.store.AuditTrail(w.Context(), "grant", w.claims(t.Access)["gid"].(string), 10)
			require.NoError(w, err)
			require.Len(w, events, 1, reason)
			e := events[0]
			require.Equal(w, []string{"grant.revoke", store.ActorClient, w.web.ID, w.web.ApplicationID}, []string{e.Action, e.ActorType, e.ActorID, e.ApplicationID})
			require.Equal(w, map[string]store.Change{"reason": {After: reason}}, e.Changes)
			require.NotEmpty(w, e.IP)
		}
	})
}
