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

// pairs makes form values of names and values in turn; a name may occur again.
func pairs(namesAndValues ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		v.Add(namesAndValues[i], namesAndValues[i+1])
	}
	return v
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// raw posts a form with exactly these parameters and this Authorization header, which may be empty.
func (w *world) raw(path, authorization string, values url.Values) *reply {
	w.Helper()
	if authorization == "" {
		return w.form(path, nil, values)
	}
	return w.form(path, nil, values, "Authorization", authorization)
}

// PKCE stops whoever has the code but not the verifier (RFC 7636 §4.6). A failed attempt neither burns the code nor
// takes the challenge away: fosite's deleted it, so that a second attempt without a verifier went through.
func TestVerifierIsRequired(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		for _, c := range []*store.Client{w.web, w.spa} {
			code := b.code(c)
			for name, given := range map[string]string{
				"missing": "", "wrong": strings.Repeat("wrong", 10), "the challenge itself": challenge(), "too short": verifier[:42],
				"too long": strings.Repeat("v", 129), "bad characters": strings.Repeat("v/", 30), "in upper case": strings.ToUpper(verifier),
			} {
				r := w.redeem(c, code, "code_verifier", given)
				require.Equal(t, "invalid_grant", r.json()["error"], name)
				w.redeem(c, code, "code_verifier", "", "code_challenge_method", "plain").refused(http.StatusBadRequest, "invalid_grant")
			}
			w.alive(w.redeem(c, code).tokens())
		}
	})
}

// A confidential client can be exempt from PKCE; a challenge it sends all the same is enforced, and a verifier without a
// challenge is refused (RFC 9700 §4.8.2, PKCE downgrade). A public client is never exempt.
func TestClientExemptFromPKCE(t *testing.T) {
	once(t, func(w *world) {
		for _, c := range []*store.Client{w.web, w.spa} {
			c.RequirePKCE = false
			require.NoError(t, w.store.UpdateClient(t.Context(), c))
		}
		b := w.signedIn(w.person)
		bare := []string{"code_challenge", "", "code_challenge_method", ""}
		w.redeem(w.web, b.code(w.web), "code_verifier", "").refused(http.StatusBadRequest, "invalid_grant")
		w.redeem(w.web, b.code(w.web, bare...)).refused(http.StatusBadRequest, "invalid_grant")
		w.alive(w.redeem(w.web, b.code(w.web, bare...), "code_verifier", "").tokens())
		w.alive(b.tokens(w.web))
		require.Equal(t, "invalid_request", b.authorize(request(w.spa, bare...)).location.Query().Get("error"))
	})
}

// The redirect_uri of the exchange must be that of the request (RFC 6749 §4.1.3, code injection).
func TestRedirectURIAtTheTokenEndpoint(t *testing.T) {
	once(t, func(w *world) {
		code := w.signedIn(w.person).code(w.spa)
		w.redeem(w.spa, code, "redirect_uri", "http://127.0.0.1:1234/cb").refused(http.StatusBadRequest, "invalid_grant")
		w.redeem(w.spa, code, "redirect_uri", w.spa.RedirectURIs[0]+"/").refused(http.StatusBadRequest, "invalid_grant")
		require.Equal(t, http.StatusOK, w.redeem(w.spa, code).status)

		code = w.signedIn(w.person).code(w.spa)
		require.Equal(t, http.StatusOK, w.redeem(w.spa, code, "redirect_uri", "").status, "PKCE binds the code (OAuth 2.1 §10.2)")

		w.web.RequirePKCE = false
		require.NoError(t, w.store.UpdateClient(t.Context(), w.web))
		code = w.signedIn(w.person).code(w.web, "code_challenge", "", "code_challenge_method", "")
		w.redeem(w.web, code, "redirect_uri", "", "code_verifier", "").refused(http.StatusBadRequest, "invalid_grant")
	})
}

// Client authentication is exactly as registered (RFC 6749 §2.3; W18 of the replaced system).
func TestClientAuthentication(t *testing.T) {
	once(t, func(w *world) {
		odd := w.newClient(&store.Client{ID: "odd client", ApplicationID: w.web.ApplicationID, Type: store.ClientM2M,
			TokenEndpointAuthMethod: store.AuthMethodBasic, GrantTypes: []string{store.GrantClientCredentials}})
		oddSecret := "with:colon+plus %41&é"
		_, err := w.store.RotateClientSecret(t.Context(), odd.ID, &store.ClientSecret{Hash: store.HashSecret(oddSecret)}, 0)
		require.NoError(t, err)
		escaped := url.QueryEscape(oddSecret)
		post := w.machine.ID
		for name, test := range map[string]struct {
			authorization string
			body          url.Values
			status        int
			code          string
		}{
			"form-url-decoded, as RFC 6749 §2.3.1 says": {basic("odd+client", escaped), nil, 200, ""},
			"scheme in lower case":                      {strings.Replace(basic("odd%20client", escaped), "Basic", "basic", 1), nil, 200, ""},
			"colon in the secret not escaped":           {basic("odd+client", strings.Replace(escaped, "%3A", ":", 1)), nil, 200, ""},
			"same client_id in the body":                {basic("odd+client", escaped), pairs("client_id", "odd client"), 200, ""},
			"not encoded":                               {basic("odd client", oddSecret), nil, 401, "invalid_client"},
			"more behind a second colon":                {basic("odd+client", escaped+":tail"), nil, 401, "invalid_client"},
			"no secret":                                 {basic("odd+client", ""), nil, 401, "invalid_client"},
			"no colon":                                  {"Basic " + base64.StdEncoding.EncodeToString([]byte("odd+client")), nil, 401, "invalid_client"},
			"no base64":                                 {"Basic !!!", nil, 401, "invalid_client"},
			"nothing behind the scheme":                 {"Basic", nil, 401, "invalid_client"},
			"bad escape":                                {basic("odd+client", "%zz"), nil, 401, "invalid_client"},
			"null character":                            {basic("%00", "x"), nil, 401, "invalid_client"},
			"not UTF-8":                                 {basic("%ff", "x"), nil, 401, "invalid_client"},
			"unknown client":                            {basic("nobody", escaped), nil, 401, "invalid_client"},
			"another scheme":                            {"Bearer " + escaped, nil, 401, "invalid_client"},
			"another client_id in the body":             {basic("odd+client", escaped), pairs("client_id", post), 400, "invalid_request"},
			"two methods at once":                       {basic("odd+client", escaped), pairs("client_id", "odd client", "client_secret", oddSecret), 400, "invalid_request"},
			"basic client by post":                      {"", pairs("client_id", "odd client", "client_secret", oddSecret), 401, "invalid_client"},
			"post client by post":                       {"", pairs("client_id", post, "client_secret", w.secret), 200, ""},
			"post client by basic":                      {basic(post, w.secret), nil, 401, "invalid_client"},
			"post client with a wrong secret":           {"", pairs("client_id", post, "client_secret", w.secret+"x"), 401, "invalid_client"},
			"post client without secret":                {"", pairs("client_id", post), 401, "invalid_client"},
			"public client for itself":                  {"", pairs("client_id", w.spa.ID), 400, "unauthorized_client"},
			"public client with a secret":               {"", pairs("client_id", w.spa.ID, "client_secret", w.secret), 401, "invalid_client"},
			"nobody":                                    {"", nil, 401, "invalid_client"},
		} {
			t.Run(name, func(t *testing.T) {
				body := cloned(test.body)
				body.Set("grant_type", "client_credentials")
				r := w.raw(tokenPath, test.authorization, body)
				require.Equal(t, test.status, r.status, r.body)
				if test.code == "" {
					return
				}
				r.refused(test.status, test.code)
				if test.status == http.StatusUnauthorized { // RFC 6749 §5.2
					require.Contains(t, r.header.Get("WWW-Authenticate"), "Basic realm=")
				}
			})
		}
	})
}

// During a rotation the old secret is good until the overlap ends, without a restart and without a second longer.
func TestRotatedSecret(t *testing.T) {
	each(t, func(w *world) {
		try := func(secret string) int {
			return w.raw(tokenPath, "", pairs("grant_type", "client_credentials", "client_id", w.machine.ID, "client_secret", secret)).status
		}
		require.Equal(t, http.StatusOK, try(w.secret))
		next := &store.ClientSecret{Hash: store.HashSecret("the next one")}
		_, err := w.store.RotateClientSecret(t.Context(), w.machine.ID, next, time.Minute)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, try(w.secret), "in the overlap")
		require.Equal(t, http.StatusOK, try("the next one"))
		w.clock.forward(time.Minute)
		require.Equal(t, http.StatusUnauthorized, try(w.secret), "after the overlap")
		require.Equal(t, http.StatusOK, try("the next one"))
		_, err = w.store.RotateClientSecret(t.Context(), w.machine.ID, &store.ClientSecret{Hash: store.HashSecret("the last one")}, 0)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, try("the next one"), "without an overlap")
	})
}

// Every failure at the token endpoint has the code, status and headers of RFC 6749 §5.2.
func TestTokenErrors(t *testing.T) {
	once(t, func(w *world) {
		code := w.signedIn(w.person).code(w.web)
		exchange := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier}
		for name, test := range map[string]struct {
			body url.Values
			code string
		}{
			"no grant_type":             {pairs("code", "x"), "invalid_request"},
			"unknown grant_type":        {pairs("grant_type", "password", "username", "a", "password", "b"), "unsupported_grant_type"},
			"two grant types in one":    {pairs("grant_type", "authorization_code refresh_token"), "unsupported_grant_type"},
			"grant not registered":      {pairs("grant_type", "client_credentials"), "unauthorized_client"},
			"no code":                   {pairs("grant_type", "authorization_code", "redirect_uri", redirectURI), "invalid_request"},
			"unknown code":              {pairs("grant_type", "authorization_code", "code", "ac_x", "redirect_uri", redirectURI, "code_verifier", verifier), "invalid_grant"},
			"no refresh token":          {pairs("grant_type", "refresh_token"), "invalid_request"},
			"malformed refresh token":   {pairs("grant_type", "refresh_token", "refresh_token", "rt_x"), "invalid_grant"},
			"code as refresh token":     {pairs("grant_type", "refresh_token", "refresh_token", code), "invalid_grant"},
			"foreign resource":          {pairs(append(exchange, "resource", "https://api.billing.example")...), "invalid_target"},
			"one of two is foreign":     {pairs(append(exchange, "resource", "https://api.crm.example", "resource", "https://x.example")...), "invalid_target"},
			"parameter twice":           {pairs(append(exchange, "code", code)...), "invalid_request"},
			"parameter twice, once nil": {pairs(append(exchange, "redirect_uri", "")...), "invalid_request"},
			"unknown parameter twice":   {pairs(append(exchange, "x", "1", "x", "2")...), "invalid_request"},
			"null character":            {pairs(append(exchange, "x", "\x00")...), "invalid_request"},
			"not UTF-8":                 {pairs(append(exchange, "x", "\xff")...), "invalid_request"},
		} {
			t.Run(name, func(t *testing.T) {
				r := w.form(tokenPath, w.web, test.body)
				r.refused(http.StatusBadRequest, test.code)
				require.Empty(t, r.header.Get("WWW-Authenticate"))
				require.Equal(t, "application/json", r.header.Get("Content-Type"))
			})
		}
		r := w.form(tokenPath, w.web, pairs(exchange...))
		require.Equal(t, http.StatusOK, r.status, "no failed attempt has spent the code")
		require.Equal(t, "no-store", r.header.Get("Cache-Control"))
		require.Equal(t, "no-cache", r.header.Get("Pragma"))
	})
}

// Only a form in the body of a POST is read: what stands in the address ends up in logs (RFC 6749 §2.3.1, §3.2).
func TestTokenRequestShape(t *testing.T) {
	once(t, func(w *world) {
		good := pairs("grant_type", "client_credentials", "client_id", w.machine.ID, "client_secret", w.secret)
		b := w.newBrowser()
		form := "application/x-www-form-urlencoded"
		send := func(method, query, media, body string) *reply {
			return b.do(method, tokenPath+query, strings.NewReader(body), "Content-Type", media)
		}
		require.Equal(t, http.StatusOK, send("POST", "", form+"; charset=UTF-8", good.Encode()).status)
		send("POST", "?"+good.Encode(), form, "").refused(http.StatusBadRequest, "invalid_request")
		query := cloned(good)
		query.Del("grant_type")
		send("POST", "?"+query.Encode(), form, "grant_type=client_credentials").refused(http.StatusUnauthorized, "invalid_client")
		for name, r := range map[string]*reply{
			"JSON":           send("POST", "", "application/json", `{"grant_type":"client_credentials"}`),
			"text":           send("POST", "", "text/plain", good.Encode()),
			"no media type":  send("POST", "", "", good.Encode()),
			"multipart":      send("POST", "", "multipart/form-data; boundary=x", "--x--"),
			"bad escape":     send("POST", "", form, good.Encode()+"&x=%zz"),
			"more than 64 K": send("POST", "", form, good.Encode()+"&x="+strings.Repeat("x", 64<<10)),
		} {
			require.Equal(t, "invalid_request", r.json()["error"], name)
			require.Equal(t, http.StatusBadRequest, r.status, name)
		}
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
			r := send(method, "?"+good.Encode(), form, good.Encode())
			require.Equal(t, http.StatusMethodNotAllowed, r.status, method)
			require.Contains(t, r.header.Get("Allow"), "POST")
		}
	})
}

// A client that acts for itself gets none of the scopes that speak of a person, and by default all others (W18).
func TestClientCredentialsScopes(t *testing.T) {
	once(t, func(w *world) {
		c := w.newClient(&store.Client{ID: "both", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, TokenEndpointAuthMethod: store.AuthMethodBasic,
			GrantTypes: []string{store.GrantClientCredentials, store.GrantRefreshToken},
			Scopes:     []string{"openid", "profile", "email", "offline_access", "org", "roles", "plan", "invoice:read", "invoice:write"}})
		ask := func(extra ...string) *reply {
			return w.form(tokenPath, c, pairs(append(extra, "grant_type", "client_credentials")...))
		}
		got := ask().tokens()
		require.Equal(t, "invoice:read invoice:write", got.Scope)
		require.Empty(t, got.Refresh, "RFC 6749 §4.4.3")
		require.Empty(t, got.ID)
		claims := w.claims(got.Access)
		require.Equal(t, c.ID, claims["sub"])
		for _, name := range []string{"sid", "gid", "auth_time", "acr", "amr"} {
			require.NotContains(t, claims, name)
		}
		w.userinfo(got.Access).refused(http.StatusForbidden, "insufficient_scope")

		require.Equal(t, "invoice:read", ask("scope", "invoice:read").tokens().Scope)
		for _, scope := range append(c.Scopes[:7:7], "admin", "INVOICE:READ", "invoice:read admin", `in"valid`) {
			ask("scope", scope).refused(http.StatusBadRequest, "invalid_scope")
		}
		require.Equal(t, []any{"https://api.crm.example"}, w.claims(ask("resource", "https://api.crm.example").tokens().Access)["aud"])
		ask("resource", "https://api.billing.example").refused(http.StatusBadRequest, "invalid_target")
		ask("resource", "not a URL").refused(http.StatusBadRequest, "invalid_target")
		w.spa.GrantTypes = []string{store.GrantClientCredentials}
		require.NoError(t, w.store.UpdateClient(t.Context(), w.spa))
		w.form(tokenPath, w.spa, pairs("grant_type", "client_credentials")).refused(http.StatusBadRequest, "unauthorized_client") // RFC 6749 §4.4
		require.Equal(t, http.StatusOK, ask("audience", "https://elsewhere.example").status, "unknown parameters are ignored (RFC 6749 §3.2)")
	})
}

// A registration without the refresh_token grant gets no refresh token, whatever the scope (W18).
func TestRefreshTokenNeedsTheGrantType(t *testing.T) {
	once(t, func(w *world) {
		c := w.newClient(&store.Client{ID: "short", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, TokenEndpointAuthMethod: store.AuthMethodBasic,
			RedirectURIs: []string{redirectURI}, GrantTypes: []string{store.GrantAuthorizationCode}})
		got := w.signedIn(w.person).tokens(c, "scope", "openid offline_access")
		require.Empty(t, got.Refresh)
		w.alive(got)

		other := w.signedIn(w.person).tokens(w.web)
		w.web.GrantTypes = []string{store.GrantAuthorizationCode}
		require.NoError(t, w.store.UpdateClient(t.Context(), w.web))
		w.refresh(w.web, other.Refresh).refused(http.StatusBadRequest, "unauthorized_client")
	})
}

// A refresh may narrow the scopes for one access token, never widen them (RFC 6749 §6), and an exchange has no say in
// them at all. What the registration loses a grant loses, too.
func TestScopesCannotBeWidened(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		got := w.redeem(w.web, b.code(w.web, "scope", "openid email offline_access"), "scope", "openid profile invoice:read").tokens()
		require.Equal(t, "openid email offline_access", got.Scope)
		for _, scope := range []string{"profile", "openid profile", "invoice:read", "admin", "OPENID", "openid email offline_access admin"} {
			w.refresh(w.web, got.Refresh, "scope", scope).refused(http.StatusBadRequest, "invalid_scope")
		}
		narrow := w.refresh(w.web, got.Refresh, "scope", "openid").tokens()
		require.Equal(t, "openid", narrow.Scope)
		require.Equal(t, map[string]any{"sub": w.person.ID}, w.userinfo(narrow.Access).json())
		require.NotContains(t, w.claims(narrow.ID), "email")
		without := w.refresh(w.web, narrow.Refresh, "scope", "email").tokens()
		require.Empty(t, without.ID, "an ID token needs openid")
		w.userinfo(without.Access).refused(http.StatusForbidden, "insufficient_scope")
		full := w.refresh(w.web, without.Refresh).tokens()
		require.Equal(t, "openid email offline_access", full.Scope, "the grant kept its scopes")

		code := b.code(w.web, "scope", "openid email")
		w.web.Scopes = []string{"openid", "offline_access"}
		require.NoError(t, w.store.UpdateClient(t.Context(), w.web))
		require.Equal(t, "openid offline_access", w.refresh(w.web, full.Refresh).tokens().Scope)
		require.Equal(t, "openid", w.redeem(w.web, code).tokens().Scope)
	})
}

// Resources are bound to the authorization: the exchange and each refresh may take a part of them, never another one
// (RFC 8707 §2.2; W14 of the replaced system).
func TestResources(t *testing.T) {
	once(t, func(w *world) {
		a, err := w.store.ApplicationByRef(t.Context(), "crm")
		require.NoError(t, err)
		a.Audiences = []string{"https://a.example", "https://b.example", "https://c.example"}
		require.NoError(t, w.store.UpdateApplication(t.Context(), a))
		aud := func(token string) any { return w.claims(token)["aud"] }
		b := w.signedIn(w.person)
		require.Equal(t, []any{"https://a.example", "https://b.example", "https://c.example"}, aud(b.tokens(w.web).Access))

		v := request(w.web)
		v["resource"] = []string{"https://a.example", "https://b.example", "https://a.example"}
		redeem := func(resource string) *reply {
			return w.redeem(w.web, b.authorize(v).location.Query().Get("code"), "resource", resource)
		}
		redeem("https://c.example").refused(http.StatusBadRequest, "invalid_target")
		require.Equal(t, []any{"https://b.example"}, aud(redeem("https://b.example").tokens().Access))
		got := redeem("").tokens()
		require.Equal(t, []any{"https://a.example", "https://b.example"}, aud(got.Access))
		w.refresh(w.web, got.Refresh, "resource", "https://c.example").refused(http.StatusBadRequest, "invalid_target")
		got = w.refresh(w.web, got.Refresh, "resource", "https://a.example").tokens()
		require.Equal(t, []any{"https://a.example"}, aud(got.Access))
		got = w.refresh(w.web, got.Refresh).tokens()
		require.Equal(t, []any{"https://a.example", "https://b.example"}, aud(got.Access), "the grant kept its resources")

		a.Audiences = []string{"https://a.example"}
		require.NoError(t, w.store.UpdateApplication(t.Context(), a))
		w.refresh(w.web, got.Refresh).refused(http.StatusBadRequest, "invalid_target")
		require.Equal(t, []any{"https://a.example"}, aud(w.refresh(w.web, got.Refresh, "resource", "https://a.example").tokens().Access))
	})
}

// With offline_access a grant outlives the browser session; without, it dies with it (contract).
func TestSignOutEndsWhatIsBoundToTheSession(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		bound, offline := b.tokens(w.web), b.tokens(w.web, "scope", "openid offline_access")
		code, offlineCode := b.code(w.web), b.code(w.web, "scope", "openid offline_access")
		r := b.post(endSessionPath, `{"confirm":true}`)
		require.Equal(t, http.StatusOK, r.status, r.body)

		w.over(w.web, bound)
		w.alive(offline)
		require.Equal(t, http.StatusOK, w.refresh(w.web, offline.Refresh).status)
		for _, c := range []string{code, offlineCode} { // a session that ended must not begin anything
			w.redeem(w.web, c).refused(http.StatusBadRequest, "invalid_grant")
		}
	})
}

// The lifetimes of an application win over those of the configuration, in what is announced and in what is enforced.
func TestLifetimesOfAnApplication(t *testing.T) {
	each(t, func(w *world) {
		a, err := w.store.ApplicationByRef(t.Context(), "crm")
		require.NoError(t, err)
		a.CodeLifetime, a.AccessTokenLifetime, a.IDTokenLifetime, a.RefreshTokenIdleLifetime, a.RefreshTokenLifetime = 20, 300, 120, 1000, 2500
		require.NoError(t, w.store.UpdateApplication(t.Context(), a))
		b := w.signedIn(w.person)
		late, intime := b.code(w.web), b.code(w.web)
		w.clock.forward(19 * time.Second)
		got := w.redeem(w.web, intime).tokens()
		w.clock.forward(time.Second)
		w.redeem(w.web, late).refused(http.StatusBadRequest, "invalid_grant")

		require.Equal(t, 300, got.Expires)
		lives := func(token string) float64 { c := w.claims(token); return c["exp"].(float64) - c["iat"].(float64) }
		require.Equal(t, 300.0, lives(got.Access))
		require.Equal(t, 120.0, lives(got.ID))
		w.clock.forward(290 * time.Second)
		w.alive(got)
		w.clock.forward(10 * time.Second)
		w.userinfo(got.Access).refused(http.StatusUnauthorized, "invalid_token")
		require.False(t, w.active(got.Access))

		for range 2 { // each refresh begins the idle time anew
			w.clock.forward(690 * time.Second)
			got = w.refresh(w.web, got.Refresh).tokens()
			require.Equal(t, 300, got.Expires)
		}
		w.clock.forward(900 * time.Second) // idle for less than 1,000 s, but 2,580 s after the exchange
		w.refresh(w.web, got.Refresh).refused(http.StatusBadRequest, "invalid_grant")

		idle := b.tokens(w.web)
		w.clock.forward(1000 * time.Second)
		w.refresh(w.web, idle.Refresh).refused(http.StatusBadRequest, "invalid_grant")
	})
}

// Without settings of its own an application gets the configured lifetimes.
func TestConfiguredLifetimes(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		code := b.code(w.web, "scope", "openid offline_access")
		w.clock.forward(time.Minute)
		w.redeem(w.web, code).refused(http.StatusBadRequest, "invalid_grant")
		got := b.tokens(w.web, "scope", "openid offline_access")
		require.Equal(t, 600, got.Expires)
		for range 3 {
			w.clock.forward(29 * 24 * time.Hour)
			got = w.refresh(w.web, got.Refresh).tokens()
		}
		w.clock.forward(3 * 24 * time.Hour)
		w.refresh(w.web, got.Refresh).refused(http.StatusBadRequest, "invalid_grant")
	})
}
