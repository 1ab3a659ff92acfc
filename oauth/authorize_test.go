package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// sentBack returns the parameters that the client got in the query, which always hold iss (RFC 9207).
func (r *reply) sentBack() url.Values {
	r.Helper()
	require.Equal(r, http.StatusSeeOther, r.status, r.body)
	require.NotNil(r, r.location)
	require.NotEmpty(r, r.location.Host, "an answer for the client, not a page of ours: %s", r.location)
	require.NotEmpty(r, r.location.Query().Get("iss"))
	require.Equal(r, "no-store", r.header.Get("Cache-Control"))
	return r.location.Query()
}

// consented returns a browser whose person has said yes to the usual scopes.
func (w *world) consented(c *store.Client) *browser {
	require.NoError(w, w.store.SaveConsent(w.Context(), w.person.ID, c.ID, []string{"openid", "profile", "email"}))
	return w.signedIn(w.person)
}

// Faults that the client made are told to it at its redirect_uri (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6).
func TestAuthorizationErrors(t *testing.T) {
	once(t, func(w *world) {
		machine := w.newClient(&store.Client{ID: "no-code", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, TokenEndpointAuthMethod: store.AuthMethodBasic,
			RedirectURIs: []string{redirectURI}, GrantTypes: []string{store.GrantClientCredentials}})
		b := w.consented(w.web)
		long := strings.Repeat("x", 8<<10+1)
		for name, test := range map[string]struct {
			query url.Values
			code  string
		}{
			"no response_type":              {request(w.web, "response_type", ""), "invalid_request"},
			"implicit flow":                 {request(w.web, "response_type", "token"), "unsupported_response_type"},
			"hybrid flow":                   {request(w.web, "response_type", "code id_token"), "unsupported_response_type"},
			"response_type in capitals":     {request(w.web, "response_type", "CODE"), "unsupported_response_type"},
			"unknown response_mode":         {request(w.web, "response_mode", "web_message"), "invalid_request"},
			"grant not registered":          {request(machine), "unauthorized_client"},
			"unknown scope":                 {request(w.web, "scope", "openid admin"), "invalid_scope"},
			"scope in capitals":             {request(w.web, "scope", "OPENID"), "invalid_scope"},
			"request object":                {request(w.web, "request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"},
			"request_uri":                   {request(w.web, "request_uri", "https://evil.example/"), "request_uri_not_supported"},
			"registration":                  {request(w.web, "registration", "{}"), "registration_not_supported"},
			"no PKCE":                       {request(w.web, "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
			"plain PKCE":                    {request(w.web, "code_challenge_method", "plain"), "invalid_request"},
			"PKCE without method, so plain": {request(w.web, "code_challenge_method", ""), "invalid_request"},
			"PKCE method in lower case":     {request(w.web, "code_challenge_method", "s256"), "invalid_request"},
			"challenge too short":           {request(w.web, "code_challenge", "abc"), "invalid_request"},
			"challenge with padding":        {request(w.web, "code_challenge", challenge()[:42]+"="), "invalid_request"},
			"challenge too long":            {request(w.web, "code_challenge", challenge()+"A"), "invalid_request"},
			"foreign resource":              {request(w.web, "resource", "https://api.billing.example"), "invalid_target"},
			"unknown prompt":                {request(w.web, "prompt", "whatever"), "invalid_request"},
			"prompt none and more":          {request(w.web, "prompt", "none login"), "invalid_request"},
			"negative max_age":              {request(w.web, "max_age", "-1"), "invalid_request"},
			"max_age is no number":          {request(w.web, "max_age", "1h"), "invalid_request"},
			"max_age too large":             {request(w.web, "max_age", "99999999999"), "invalid_request"},
			"claims are no JSON":            {request(w.web, "claims", "{"), "invalid_request"},
			"claims are a list":             {request(w.web, "claims", "[]"), "invalid_request"},
			"claims with a wrong member":    {request(w.web, "claims", `{"userinfo":{"email":true}}`), "invalid_request"},
			"sub value is no text":          {request(w.web, "claims", `{"id_token":{"sub":{"value":1}}}`), "invalid_request"},
			"id_token_hint is nonsense":     {request(w.web, "id_token_hint", "x"), "invalid_request"},
			"nonce longer than 8 KiB":       {request(w.web, "nonce", long), "invalid_request"},
			"state longer than 8 KiB":       {request(w.web, "state", long), "invalid_request"},
		} {
			t.Run(name, func(t *testing.T) {
				got := b.authorize(test.query).sentBack()
				require.Equal(t, test.code, got.Get("error"))
				require.NotEmpty(t, got.Get("error_description"))
				require.Equal(t, test.query.Get("state"), got.Get("state"))
				require.NotContains(t, got, "code")
			})
		}
		for _, name := range []string{"scope", "nonce", "code_challenge", "response_mode", "prompt", "max_age", "response_type", "invented"} { // RFC 6749 §3.1
			query := request(w.web)
			query[name] = []string{query.Get(name), "x"}
			got := b.authorize(query).sentBack()
			require.Equal(t, "invalid_request", got.Get("error"), name)
			require.Equal(t, "st-1", got.Get("state"))
		}
	})
}

// The answer comes the way the client asked for, success and error alike.
func TestResponseModes(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		issuer := w.server.URL + "/api/auth"
		for _, extra := range [][]string{{}, {"scope", "admin"}} {
			param, other := "code", "error"
			if len(extra) > 0 {
				param, other = other, param
			}
			check := func(mode string, got url.Values) {
				require.NotEmpty(t, got.Get(param), mode)
				require.NotContains(t, got, other, mode)
				require.Equal(t, "st-1", got.Get("state"), mode)
				require.Equal(t, issuer, got.Get("iss"), mode)
			}
			ask := func(mode string) *reply { return b.authorize(request(w.web, append(extra, "response_mode", mode)...)) }
			check("default", ask("").sentBack())
			check("query", ask("query").sentBack())

			fragment := ask("fragment")
			require.Empty(t, fragment.location.RawQuery)
			got, err := url.ParseQuery(fragment.location.Fragment)
			require.NoError(t, err)
			check("fragment", got)

			action, values := ask("form_post").fields()
			require.Equal(t, redirectURI, action)
			posted := url.Values{}
			for name, value := range values {
				posted.Set(name, value)
			}
			check("form_post", posted)
		}
	})
}

// With form_post every answer is posted, a refusal too: the client's address may take nothing but a POST.
func TestRefusalByFormPost(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		for route, body := range map[string]string{"/consent": `{"accept":false}`, "/cancel": ""} {
			path := b.asked("/consent", request(w.web, "response_mode", "form_post"))
			target := b.post(path+route, body).json()["redirectTo"].(string)
			require.True(t, strings.HasPrefix(target, w.server.URL+path+"/form"), target)
			action, values := b.get(target).fields()
			require.Equal(t, redirectURI, action)
			require.Equal(t, "access_denied", values["error"])
			require.Equal(t, "st-1", values["state"])
			require.NotContains(t, values, "code")
			b.get(path).problem(http.StatusGone, "REQUEST_COMPLETED")
		}
		path := b.asked("/consent", request(w.web, "response_mode", "form_post", "claims", `{"id_token":{"email":null}}`))
		b.get(path + "/form?denied=true").fields()
		b.post(path+"/consent", `{"accept":true}`).problem(http.StatusGone, "REQUEST_COMPLETED")
	})
}

// Nothing that a client or a stranger puts into a request is ever markup or a header of ours (XSS, response splitting).
func TestHostileText(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		for _, state := range []string{
			`"><script>alert(1)</script>`, `</form><form action=//evil.example>`, "a\r\nSet-Cookie: x=y\r\n\r\n<html>", `{{.Params}}`, "é😀 ", "a&code=forged&iss=x#y",
		} {
			for _, scope := range []string{"openid", "nonsense"} {
				page := b.authorize(request(w.web, "response_mode", "form_post", "state", state, "scope", scope))
				_, values := page.fields()
				require.Equal(t, state, values["state"])
				require.Len(t, values, map[string]int{"openid": 3, "nonsense": 4}[scope])
				require.Equal(t, 1, strings.Count(page.body, "<script"))
				require.Equal(t, 1, strings.Count(page.body, "<form"))

				r := b.authorize(request(w.web, "state", state, "scope", scope))
				require.Equal(t, state, r.sentBack().Get("state"))
				require.Len(t, r.location.Query()["code"], map[string]int{"openid": 1, "nonsense": 0}[scope])
				require.Empty(t, r.header.Get("Set-Cookie"))
			}
		}
		query := request(w.web)
		query["<img src=x>\"\r\n\\"] = []string{"1", "2"}
		description := b.authorize(query).sentBack().Get("error_description")
		require.NotContains(t, description, "\n")
		require.NotContains(t, description, `"`) // RFC 6749 §4.1.2.1 allows neither " nor \
		require.NotContains(t, description, `\`)
	})
}

// state and nonce are the client's business: none at all and long ones come back as they were.
func TestState(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		require.NotContains(t, b.authorize(request(w.web, "state", "")).sentBack(), "state")
		require.NotContains(t, b.authorize(request(w.web, "state", "", "scope", "x")).sentBack(), "state")
		for _, state := range []string{"x", "absent", strings.Repeat("x", 8<<10)} {
			require.Equal(t, state, b.authorize(request(w.web, "state", state)).sentBack().Get("state"))
		}
		got := b.tokens(w.web, "nonce", "")
		require.NotContains(t, w.claims(got.ID), "nonce")
		require.Equal(t, "n", w.claims(b.tokens(w.web, "nonce", "n").ID)["nonce"])
		require.NotContains(t, w.claims(w.refresh(w.web, got.Refresh).tokens().ID), "nonce")
	})
}

// Authorization requests may be posted (OIDC Core §3.1.2.1), also from another site, which brings no cookie. Then the
// address does not count.
func TestPostedAuthorizationRequest(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		post := func(query, body url.Values, header ...string) *reply {
			header = append(header, "Content-Type", "application/x-www-form-urlencoded")
			return b.do("POST", authorizePath+"?"+query.Encode(), strings.NewReader(body.Encode()), header...)
		}
		require.NotEmpty(t, post(nil, request(w.web)).sentBack().Get("code"))
		require.Equal(t, http.StatusBadRequest, post(request(w.web), nil).status)
		cookies := b.http.Jar
		b.http.Jar = nil
		r := post(nil, request(w.web), "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site")
		require.Equal(t, authorizePath, r.location.Path, "once more by GET, which brings the cookie")
		require.Equal(t, "/sign-in", b.get(r.location.String()).location.Path)
		b.http.Jar = cookies
		require.NotEmpty(t, b.get(r.location.String()).sentBack().Get("code"))
	})
}

// Without a scope parameter a client asks for all it is registered for, but for access in the person's absence.
func TestDefaultScopes(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		require.Equal(t, "openid profile email invoice:read", b.tokens(w.web, "scope", "").Scope)
		require.Equal(t, "openid email", b.tokens(w.web, "scope", "openid  email openid").Scope)
		none := w.newClient(&store.Client{ID: "plain", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, TokenEndpointAuthMethod: store.AuthMethodBasic,
			RedirectURIs: []string{redirectURI}, Scopes: []string{}})
		got := b.tokens(none, "scope", "")
		require.Empty(t, got.Scope)
		require.Empty(t, got.ID)
		require.NotEmpty(t, b.authorize(request(none, "scope", "")).sentBack().Get("code"), "one yes is enough, even to no scope")
	})
}

// The person is asked for what was not granted before, and only then; a client of the house never asks.
func TestConsentReuse(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		b.code(w.web, "scope", "openid profile email")
		for _, scope := range []string{"openid", "openid email", "email profile openid"} {
			require.NotEmpty(t, b.authorize(request(w.web, "scope", scope)).sentBack().Get("code"), scope)
		}
		path := b.asked("/consent", request(w.web, "scope", "openid email invoice:read"))
		answer := b.post(path+"/consent", `{"accept":true,"scopes":["openid","invoice:read"]}`).answered()
		require.Equal(t, "openid invoice:read", w.redeem(w.web, answer.Get("code")).tokens().Scope)
		require.NotEmpty(t, b.authorize(request(w.web, "scope", "openid invoice:read profile")).sentBack().Get("code"))
		b.asked("/consent", request(w.web, "scope", "openid email")) // this was just taken back
		b.asked("/consent", request(w.web, "prompt", "consent", "scope", "openid"))
		b.asked("/consent", request(w.spa)) // another client of the same application
		path = b.asked("/consent", request(w.web, "scope", "openid email"))
		b.post(path+"/consent", `{"accept":true,"scopes":["openid","offline_access"]}`).problem(http.StatusBadRequest, "VALIDATION_ERROR")

		w.spa.SkipConsent = true
		require.NoError(t, w.store.UpdateClient(t.Context(), w.spa))
		require.NotEmpty(t, b.authorize(request(w.spa)).sentBack().Get("code"))
		b.asked("/consent", request(w.spa, "prompt", "consent"))
	})
}

// prompt says which screens the person must see and, with none, that there must be no screen (OIDC Core §3.1.2.1,
// Initiating User Registration 1.0 for create). Each line is one request of a signed-in person who has consented.
func TestPrompt(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		w.clock.forward(time.Minute)
		for prompt, page := range map[string]string{
			"": "", "none": "", "login": "/sign-in", "consent": "/consent", "select_account": "/select-account", "create": "/register",
			"login consent": "/sign-in", "consent login": "/sign-in", "select_account consent": "/select-account",
			"select_account login": "/sign-in", "login create": "/register", " login  login ": "/sign-in",
		} {
			r := b.authorize(request(w.web, "prompt", prompt))
			if page == "" {
				require.NotEmpty(t, r.sentBack().Get("code"), prompt)
				continue
			}
			require.Equal(t, page, r.location.Path, prompt)
		}
		silent := func(b *browser, extra ...string) string {
			return b.authorize(request(w.web, append(extra, "prompt", "none")...)).sentBack().Get("error")
		}
		require.Equal(t, "login_required", silent(w.newBrowser()))
		require.Equal(t, "login_required", silent(b, "max_age", "1"))
		require.Equal(t, "consent_required", silent(b, "scope", "openid invoice:read"))
		require.Equal(t, "", silent(b))
	})
}

// Steps that one request asks for come one after the other, and only what happens after the request counts: an earlier
// sign-in must not satisfy prompt=login, however recent.
func TestPromptSteps(t *testing.T) {
	each(t, func(w *world) {
		b := w.consented(w.web)
		w.clock.forward(time.Second)
		path := b.asked("/sign-in", request(w.web, "prompt", "login consent select_account"))
		require.Equal(t, "sign_in", b.get(path).json()["next"])
		require.Equal(t, "sign_in", b.post(path+"/consent", `{"accept":true}`).json()["next"], "no step can be skipped")
		require.Equal(t, "sign_in", b.post(path+"/select-account", `{}`).json()["next"])
		w.clock.forward(time.Second)
		again := b.signIn(w.person)
		require.Equal(t, "consent", b.get(path).json()["next"], "who has just signed in has chosen the account")
		got := w.redeem(w.web, b.post(path+"/consent", `{"accept":true}`).answered().Get("code")).tokens()
		require.EqualValues(t, again.AuthTime.Unix(), w.claims(got.ID)["auth_time"])

		path = b.asked("/register", request(w.web, "prompt", "create"))
		require.Equal(t, "sign_up", b.get(path).json()["next"])
		w.clock.forward(time.Second)
		b.signIn(w.newPerson("new@example.com"))
		require.Equal(t, "consent", b.get(path).json()["next"])
	})
}

func TestMaxAge(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		w.clock.forward(90 * time.Second)
		require.NotEmpty(t, b.authorize(request(w.web, "max_age", "100")).sentBack().Get("code"))
		require.NotEmpty(t, b.authorize(request(w.web, "max_age", "2147483647")).sentBack().Get("code"))
		for _, age := range []string{"0", "89"} { // fosite takes 0 for absent
			path := b.asked("/sign-in", request(w.web, "max_age", age))
			require.Equal(t, "sign_in", b.get(path).json()["next"])
			w.clock.forward(time.Second)
			ses := b.signIn(w.person)
			w.clock.forward(10 * time.Minute) // thinking about it does not make the sign-in too old
			got := w.redeem(w.web, b.get(path).answered().Get("code")).tokens()
			require.EqualValues(t, ses.AuthTime.Unix(), w.claims(got.ID)["auth_time"])
		}
	})
}

// An id_token_hint names who must sign in; it may be expired, but it must be an ID token of ours (OIDC Core §3.1.2.1).
func TestIDTokenHint(t *testing.T) {
	once(t, func(w *world) {
		b := w.consented(w.web)
		own := b.tokens(w.web)
		eve := w.newPerson("eve@example.com")
		theirs := w.signedIn(eve).tokens(w.web)
		w.clock.forward(2 * time.Hour)
		ask := func(hint string, extra ...string) *reply {
			return b.authorize(request(w.web, append(extra, "id_token_hint", hint)...))
		}
		require.NotEmpty(t, ask(own.ID, "prompt", "none").sentBack().Get("code"), "expired, and still a hint")
		require.Equal(t, "login_required", ask(theirs.ID, "prompt", "none").sentBack().Get("error"))
		path := b.asked("/sign-in", request(w.web, "id_token_hint", theirs.ID))
		require.Equal(t, "sign_in", b.get(path).json()["next"])
		w.clock.forward(time.Second)
		b.signIn(w.person)
		require.Equal(t, "sign_in", b.get(path).json()["next"], "signing in as somebody else does not do")
		b.signIn(eve)
		require.NotEmpty(t, b.get(path).answered().Get("code"))

		claims := w.claims(own.ID)
		claims["iss"] = "https://evil.example/api/auth"
		for name, hint := range map[string]string{
			"an access token": own.Access, "of another issuer": w.sign("RS256", w.kid(own.ID), "JWT", claims),
			"alg none": segment(map[string]any{"alg": "none", "typ": "JWT"}) + "." + strings.Split(own.ID, ".")[1] + ".", "a refresh token": own.Refresh,
		} {
			require.Equal(t, "invalid_request", ask(hint).sentBack().Get("error"), name)
		}
		require.Equal(t, "invalid_request", ask(own.ID, "claims", `{"id_token":{"sub":{"value":"`+eve.ID+`"}}}`).sentBack().Get("error"), "contradiction")
	})
}

// The claims parameter gets single claims into one of the two places, never more than the scopes that the client is
// registered for and the person grants (OIDC Core §5.5).
func TestClaimsParameter(t *testing.T) {
	once(t, func(w *world) {
		w.web.Scopes = []string{"openid", "email", "profile"}
		require.NoError(t, w.store.UpdateClient(t.Context(), w.web))
		b := w.consented(w.web)
		get := func(claims string) (id, info map[string]any) {
			got := b.tokens(w.web, "scope", "openid", "claims", claims)
			return w.claims(got.ID), w.userinfo(got.Access).json()
		}
		id, info := get(`{"id_token":{"email":null,"email_verified":{"value":true},"auth_time":{"essential":true},"unknown":{"values":[1,{}]}},"userinfo":{"name":{"essential":true}}}`)
		require.Equal(t, w.person.Email, id["email"])
		require.Equal(t, true, id["email_verified"])
		require.NotContains(t, id, "name")
		require.Equal(t, map[string]any{"sub": w.person.ID, "name": w.person.Name}, info)

		path := b.asked("/consent", request(w.web, "scope", "openid", "prompt", "consent", "claims", `{"userinfo":{"email":null,"name":null}}`))
		code := b.post(path+"/consent", `{"accept":true,"scopes":["openid","profile"]}`).answered().Get("code")
		require.Equal(t, map[string]any{"sub": w.person.ID, "name": w.person.Name}, w.userinfo(w.redeem(w.web, code).tokens().Access).json(), "email was left out")

		w.web.Scopes = []string{"openid"}
		require.NoError(t, w.store.UpdateClient(t.Context(), w.web))
		id, info = get(`{"id_token":{"email":null},"userinfo":{"email":null}}`)
		require.NotContains(t, id, "email", "the registration does not have it")
		require.NotContains(t, info, "email")

		ask := func(claims string) url.Values {
			return b.authorize(request(w.web, "scope", "openid", "prompt", "none", "claims", claims)).sentBack()
		}
		require.NotEmpty(t, ask(`{"id_token":{"sub":{"value":"`+w.person.ID+`"}}}`).Get("code"))
		require.Equal(t, "login_required", ask(`{"id_token":{"sub":{"value":"somebody"}}}`).Get("error"))
		require.NotEmpty(t, ask(`{"id_token":{"acr":{"values":["2","1"],"essential":true}}}`).Get("code"))
		require.NotEmpty(t, ask(`{"id_token":{"acr":{"value":"3"}}}`).Get("code"), "voluntary")
		for _, member := range []string{`"value":"2"`, `"values":["2","3"]`, `"value":1`, `"values":[1]`} {
			require.Equal(t, "unmet_authentication_requirements", ask(`{"id_token":{"acr":{"essential":true,`+member+`}}}`).Get("error"), member)
		}
		path = w.newBrowser().asked("/sign-in", request(w.web, "scope", "openid", "claims", `{"id_token":{"acr":{"essential":true,"value":"2"}}}`))
		require.Equal(t, "unmet_authentication_requirements", w.signedIn(w.person).get(path).answered().Get("error"), "after signing in, too")
	})
}
