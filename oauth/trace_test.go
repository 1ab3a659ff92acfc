package oauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// inProcess calls the router without a network, so that a test can give the request's context a tracer.
type inProcess struct {
	handler http.Handler
	ctx     context.Context
}

func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(p.ctx)
	r.RequestURI, r.Host, r.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "192.0.2.1:1234"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// traced runs the test on every engine. calls returns what the requests since the last call of it did to the database;
// clients are in the cache as they are on a server that has run for a second.
func traced(t *testing.T, test func(w *world, calls func() []string)) {
	each(t, func(w *world) {
		w.clock.stop()
		ctx, trace := storetest.Trace(w.Context())
		w.transport = &inProcess{w.server.Config.Handler, ctx}
		for _, c := range []*store.Client{w.web, w.spa, w.machine} {
			w.form(introspectPath, c, url.Values{"token": {"x"}})
		}
		trace.Reset()
		test(w, func() []string {
			list := trace.List()
			trace.Reset()
			return list
		})
	})
}

// The lists are those of the table in the design: a path that asks the database more often than it must fails here, not
// in production.

func TestStoreCallsOfDocuments(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		for _, path := range append(slices.Clone(discoveryPaths), jwksPath) {
			require.Equal(w, http.StatusOK, w.newBrowser().get(path).status, path)
		}
		require.Empty(w, calls())
	})
}

func TestStoreCallsOfClientCredentials(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		token := w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens()
		require.Empty(w, calls())
		require.Equal(w, true, w.form(introspectPath, w.machine, url.Values{"token": {token.Access}}).json()["active"])
		require.Empty(w, calls(), "introspection of a JWT")

		w.clock.forward(6 * time.Second) // the cache's time to live
		w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens()
		require.Equal(w, []string{"R clients", "R client_secrets", "R client_roles"}, calls(), "the cached client is read again")
		w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens()
		require.Empty(w, calls())
	})
}

func TestStoreCallsOfAuthorize(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		require.Equal(w, "/sign-in", w.newBrowser().authorize(request(w.web)).location.Path)
		require.Equal(w, []string{"W authorization_requests"}, calls(), "nobody is signed in")

		b := w.signedIn(w.person)
		calls()
		page := b.authorize(request(w.web)).location
		require.Equal(w, "/consent", page.Path)
		require.Equal(w, []string{"R sessions", "R consents", "W authorization_requests"}, calls(), "the person must be asked")

		path := requestPath(page.Query().Get("request"))
		require.Equal(w, "consent", b.get(path).json()["next"])
		require.Equal(w, []string{"R authorization_requests", "R sessions", "R consents", "R consents"}, calls(), "the page asks what is needed")
		require.NotEmpty(w, b.post(path+"/consent", `{"accept":true}`).json()["redirectTo"])
		require.Equal(w, []string{
			"R authorization_requests", "R sessions", "R consents",
			"BEGIN", "W authorization_requests", "R consents", "W consents", "W audit_events", "COMMIT",
			"BEGIN", "W authorization_requests", "W authorization_codes", "COMMIT",
		}, calls(), "the person says yes")

		require.NotEmpty(w, b.authorize(request(w.web)).location.Query().Get("code"))
		require.Equal(w, []string{"R sessions", "R consents", "W authorization_codes"}, calls(), "session and consent exist")

		require.Equal(w, "consent_required", b.authorize(request(w.spa, "prompt", "none")).location.Query().Get("error"))
		require.Equal(w, []string{"R sessions", "R consents"}, calls(), "a refusal writes nothing")
		require.Equal(w, http.StatusBadRequest, b.authorize(request(w.web, "redirect_uri", "https://evil.example/")).status)
		require.Empty(w, calls(), "nor does a bad request, which does not even read")
	})
}

func TestStoreCallsOfTokens(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		b := w.signedIn(w.person)
		w.redeem(w.web, b.code(w.web)).tokens() // the policy is kept from now on
		code := b.code(w.web)
		calls()
		first := w.redeem(w.web, code).tokens()
		require.Equal(w, []string{"R authorization_codes", "BEGIN", "W authorization_codes", "W grants", "COMMIT"}, calls(), "code exchange")

		second := w.refresh(w.web, first.Refresh).tokens()
		require.Equal(w, []string{"R grants", "W grants"}, calls(), "refresh: one statement decides and writes, so it needs no transaction")
		require.Equal(w, second.Refresh, w.refresh(w.web, first.Refresh).tokens().Refresh)
		require.Equal(w, []string{"R grants"}, calls(), "the grace writes nothing")

		require.True(w, w.active(second.Access))
		require.Empty(w, calls(), "introspection of a JWT")
		require.True(w, w.active(second.Refresh))
		require.Equal(w, []string{"R grants"}, calls(), "introspection of a refresh token")
		require.Equal(w, http.StatusOK, w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+second.Access).status)
		require.Equal(w, []string{"R grants"}, calls(), "userinfo reads the grant with its person and session at once")
		require.Equal(w, http.StatusUnauthorized, w.newBrowser().get(userinfoPath, "Authorization", "Bearer x").status)
		require.Empty(w, calls(), "what is not even a token costs no query")

		require.Equal(w, http.StatusOK, w.form(revokePath, w.web, url.Values{"token": {second.Access}}).status)
		require.Equal(w, []string{"W revocations"}, calls(), "an access token")
		require.Equal(w, http.StatusOK, w.form(revokePath, w.web, url.Values{"token": {second.Refresh}}).status)
		require.Equal(w, []string{"R grants", "BEGIN", "W grants", "W revocations", "W audit_events", "COMMIT"}, calls(), "a refresh token")
		require.Equal(w, http.StatusOK, w.form(revokePath, w.web, url.Values{"token": {"unknown"}}).status)
		require.Empty(w, calls())
	})
}

// What a thief can cause is bounded, too: a replay ends the grant, once.
func TestStoreCallsOfReplays(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		b := w.signedIn(w.person)
		code := b.code(w.web)
		first := w.redeem(w.web, code).tokens()
		w.refresh(w.web, first.Refresh).tokens()
		w.clock.forward(time.Minute)
		w.redeem(w.web, b.code(w.web)).tokens() // the client is cached again, and the policy kept
		calls()
		w.refresh(w.web, first.Refresh).refused(400, "invalid_grant")
		require.Equal(w, []string{"R grants", "BEGIN", "W grants", "W revocations", "W audit_events", "COMMIT"}, calls(), "reuse after the grace")
		w.refresh(w.web, first.Refresh).refused(400, "invalid_grant")
		require.Equal(w, []string{"R grants"}, calls(), "the grant has ended")
		w.redeem(w.web, code).refused(400, "invalid_grant")
		require.Equal(w, []string{"R authorization_codes", "BEGIN", "W grants", "W revocations", "COMMIT"}, calls(), "replayed code")
		w.redeem(w.web, "ac_unknown").refused(400, "invalid_grant")
		require.Equal(w, []string{"R authorization_codes"}, calls())
	})
}

func TestStoreCallsOfEndSession(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		b := w.signedIn(w.person)
		hint := b.tokens(w.web).ID
		calls()
		require.Equal(w, "/sign-out", b.get(endSessionPath).location.Path)
		require.Equal(w, []string{"R sessions"}, calls(), "who is asked first has lost nothing yet")
		require.Equal(w, "/signed-out", b.get(endSessionPath+"?id_token_hint="+hint).location.Path)
		require.Equal(w, []string{"R sessions", "BEGIN", "W sessions", "W grants", "W revocations", "W audit_events", "COMMIT"}, calls())
		require.Equal(w, "/signed-out", b.get(endSessionPath).location.Path)
		require.Empty(w, calls(), "the cookie is gone")
	})
}

func TestStoreCallsOfConsents(t *testing.T) {
	traced(t, func(w *world, calls func() []string) {
		b := w.signedIn(w.person)
		b.tokens(w.web)
		calls()
		require.Equal(w, http.StatusOK, b.get(consentsPath).status)
		require.Equal(w, []string{"R sessions", "R consents", "R grants", "R clients"}, calls())
		require.Equal(w, http.StatusNoContent, b.remove(consentsPath+"/"+w.web.ID).status)
		require.Equal(w, []string{"R sessions", "BEGIN", "W consents", "W authorization_codes", "W grants", "W revocations", "W audit_events", "COMMIT"}, calls())
	})
}
