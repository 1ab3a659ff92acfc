package oauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// allowed reports whether a script of the origin may read the answer. Credentials are never allowed: these endpoints
// look at no cookie.
func (r *reply) allowed(origin string) bool {
	r.Helper()
	require.Empty(r, r.header.Get("Access-Control-Allow-Credentials"))
	switch got := r.header.Values("Access-Control-Allow-Origin"); {
	case len(got) == 0:
		return false
	default:
		require.Len(r, got, 1, "browsers refuse two values")
		require.Contains(r, []string{"*", origin}, got[0], "no other origin is named")
		return true
	}
}

func TestPublicDocumentsAreReadableEverywhere(t *testing.T) {
	once(t, func(w *world) {
		for _, path := range append([]string{jwksPath}, discoveryPaths...) {
			r := w.newBrowser().get(path, "Origin", "https://anyone.example")
			require.Equal(w, "*", r.header.Get("Access-Control-Allow-Origin"), path)
			require.True(w, r.allowed("https://anyone.example"))
			r = w.newBrowser().do("OPTIONS", path, nil, "Origin", "https://anyone.example", "Access-Control-Request-Method", "GET")
			require.Equal(w, http.StatusNoContent, r.status)
			require.True(w, r.allowed("https://anyone.example"))
		}
	})
}

// origins of the SPA client: of its redirect URIs, of its allowedOrigins, and the configured ones. All others are strangers.
var (
	spaOrigins = []string{"https://spa.example", "http://127.0.0.1:1234", "https://other.spa.example", "https://console.example"}
	strangers  = []string{"https://evil.example", "https://app.example", "http://spa.example", "https://spa.example:8443", "https://spa.example.evil.example",
		"https://sub.spa.example", "http://127.0.0.1:4321", "null"}
)

func TestAnswersAreReadableForTheClientsOrigins(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		got := b.tokens(w.spa)
		bad := url.Values{"grant_type": {"authorization_code"}, "code": {"ac_x"}, "redirect_uri": {w.spa.RedirectURIs[0]}, "code_verifier": {verifier}}
		calls := map[string]func(origin string) *reply{
			"token error": func(o string) *reply { return w.form(tokenPath, w.spa, bad, "Origin", o) },
			"token error before the client is known to be real": func(o string) *reply {
				return w.form(tokenPath, w.spa, url.Values{"grant_type": {"password"}}, "Origin", o)
			},
			"revoke":       func(o string) *reply { return w.form(revokePath, w.spa, url.Values{"token": {"x"}}, "Origin", o) },
			"revoke error": func(o string) *reply { return w.form(revokePath, w.spa, url.Values{}, "Origin", o) },
			"userinfo":     func(o string) *reply { return b.get(userinfoPath, "Authorization", "Bearer "+got.Access, "Origin", o) },
			"userinfo error": func(o string) *reply {
				return b.get(userinfoPath, "Authorization", "Bearer "+w.revokedToken(), "Origin", o)
			},
		}
		for name, call := range calls {
			for _, origin := range spaOrigins {
				r := call(origin)
				require.True(w, r.allowed(origin), "%s from %s", name, origin)
				require.Contains(w, r.header.Values("Vary"), "Origin", "or a cache gives one origin's answer to another")
			}
			for _, origin := range strangers {
				r := call(origin)
				require.False(w, r.allowed(origin), "%s from %s", name, origin)
				require.Contains(w, r.header.Values("Vary"), "Origin")
			}
			require.Empty(w, call("").header.Get("Access-Control-Allow-Origin"), "%s without an origin", name)
		}
		for _, origin := range spaOrigins {
			r := w.form(tokenPath, w.spa, url.Values{"grant_type": {"authorization_code"}, "code": {b.code(w.spa)},
				"redirect_uri": {w.spa.RedirectURIs[0]}, "code_verifier": {verifier}}, "Origin", origin)
			r.tokens()
			require.True(w, r.allowed(origin))
		}
	})
}

// revokedToken returns an access token of the SPA that was revoked.
func (w *world) revokedToken() string {
	w.Helper()
	token := w.signedIn(w.person).tokens(w.spa).Access
	require.Equal(w, http.StatusOK, w.form(revokePath, w.spa, url.Values{"token": {token}}).status)
	return token
}

// The client is known before it has proved to be it: by the body, or by the user of the Basic scheme (RFC 6749 §2.3.1).
func TestAnswersToFailedAuthenticationAreReadable(t *testing.T) {
	once(t, func(w *world) {
		app := w.newApplication("escaped")
		c := w.newClient(&store.Client{ID: "a:b c", ApplicationID: app.ID, Type: store.ClientWeb,
			TokenEndpointAuthMethod: store.AuthMethodBasic, RedirectURIs: []string{"https://Portal.example:443/cb"}})
		w.secret = "wrong"
		for _, path := range []string{tokenPath, revokePath} {
			form := url.Values{"grant_type": {"client_credentials"}, "token": {"x"}}
			r := w.form(path, c, form, "Origin", "https://portal.example")
			r.refused(401, "invalid_client")
			require.True(w, r.allowed("https://portal.example"), "by the Basic user; browsers write the origin in lower case, without the default port")
			require.False(w, w.form(path, c, form, "Origin", "https://app.example").allowed("https://app.example"))

			byBody := *w.web
			byBody.TokenEndpointAuthMethod = store.AuthMethodPost
			r = w.form(path, &byBody, form, "Origin", "https://app.example")
			r.refused(401, "invalid_client")
			require.True(w, r.allowed("https://app.example"))

			unknown := &store.Client{ID: "nobody", TokenEndpointAuthMethod: store.AuthMethodNone}
			require.False(w, w.form(path, unknown, form, "Origin", "https://app.example").allowed("https://app.example"))
			garbled := w.newBrowser().do("POST", path, strings.NewReader("grant_type=x"), "Origin", "https://portal.example",
				"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("no colon")), "Content-Type", "application/x-www-form-urlencoded")
			require.False(w, garbled.allowed("https://portal.example"))
		}
	})
}

// An expired token is how scripts learn that they must refresh, so they must be able to read that answer.
func TestExpiryIsReadableAtUserinfo(t *testing.T) {
	once(t, func(w *world) {
		got := w.signedIn(w.person).tokens(w.spa)
		w.clock.forward(time.Hour)
		r := w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+got.Access, "Origin", "https://spa.example")
		r.refused(401, "invalid_token")
		require.True(w, r.allowed("https://spa.example"))
		require.False(w, w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+got.Access, "Origin", "https://evil.example").allowed("https://evil.example"))
		require.False(w, w.newBrowser().get(userinfoPath, "Authorization", "Bearer x", "Origin", "https://spa.example").allowed("https://spa.example"))
	})
}

// A preflight cannot name the client, so it says yes; whether the answer is readable is decided by the request itself.
func TestPreflights(t *testing.T) {
	once(t, func(w *world) {
		ask := func(path, method string) *reply {
			return w.newBrowser().do("OPTIONS", path, nil, "Origin", "https://spa.example",
				"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type")
		}
		for path, method := range map[string]string{tokenPath: "POST", userinfoPath: "GET", revokePath: "POST"} {
			r := ask(path, method)
			require.Equal(w, http.StatusNoContent, r.status, path)
			require.True(w, r.allowed("https://spa.example"), path)
			require.Contains(w, r.header.Get("Access-Control-Allow-Methods"), method)
			require.Contains(w, r.header.Get("Access-Control-Allow-Headers"), "Authorization")
			require.Contains(w, r.header.Get("Access-Control-Allow-Headers"), "Content-Type")
			require.Contains(w, r.header.Values("Vary"), "Origin")
		}
		for path, method := range map[string]string{authorizePath: "GET", introspectPath: "POST", endSessionPath: "POST",
			requestPath("x"): "GET", requestPath("x") + "/consent": "POST", consentsPath: "GET"} {
			require.False(w, ask(path, method).allowed("https://spa.example"), path)
		}
	})
}

// What the session cookie opens is for our own pages alone, and introspection is for servers.
func TestNothingElseIsReadableAcrossOrigins(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		path := b.asked("/consent", request(w.spa))
		for _, origin := range append(spaOrigins, strangers...) {
			for name, r := range map[string]*reply{
				"authorize":   b.get(authorizePath+"?"+request(w.spa).Encode(), "Origin", origin),
				"request":     b.get(path, "Origin", origin),
				"consents":    b.get(consentsPath, "Origin", origin),
				"introspect":  w.form(introspectPath, w.web, url.Values{"token": {"x"}}, "Origin", origin),
				"end-session": b.get(endSessionPath, "Origin", origin),
			} {
				require.False(w, r.allowed(origin), "%s from %s", name, origin)
			}
		}
	})
}
