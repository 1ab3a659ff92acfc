package oauth_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

const consentsPath = "/api/auth/oauth2/consents"

func requestPath(id string) string { return "/api/auth/oauth2/requests/" + id }

// remove sends a DELETE as our own pages do.
func (b *browser) remove(path string) *reply {
	b.Helper()
	return b.do("DELETE", path, nil, "Origin", b.server.URL, "Sec-Fetch-Site", "same-origin")
}

// asked begins an authorization that needs the person, and returns where our pages find it.
func (b *browser) asked(page string, v url.Values) (path string) {
	b.Helper()
	r := b.authorize(v)
	require.Equal(b, http.StatusSeeOther, r.status, r.body)
	require.Equal(b, page, r.location.Path)
	id := r.location.Query().Get("request")
	require.GreaterOrEqual(b, len(id), 32, "nobody guesses it")
	return requestPath(id)
}

// list decodes a JSON array, which is [] when empty and never null.
func (r *reply) list() []any {
	r.Helper()
	var v []any
	require.NoError(r, json.Unmarshal([]byte(r.body), &v), r.body)
	require.NotNil(r, v)
	return v
}

// problem asserts a problem body (RFC 9457) that no cache keeps.
func (r *reply) problem(status int, code string) {
	r.Helper()
	require.Equal(r, status, r.status, r.body)
	require.Equal(r, "application/problem+json", r.header.Get("Content-Type"))
	require.Equal(r, "no-store", r.header.Get("Cache-Control"))
	body := r.json()
	require.Equal(r, code, body["code"])
	require.EqualValues(r, status, body["status"])
	require.NotEmpty(r, body["detail"])
	require.Equal(r, body["detail"], body["message"])
	require.NotEmpty(r, body["requestId"])
}

// answered asserts an answer of a request route and returns the parameters that it sends the client.
func (r *reply) answered() url.Values {
	r.Helper()
	require.Equal(r, http.StatusOK, r.status, r.body)
	require.Equal(r, "no-store", r.header.Get("Cache-Control"))
	require.Nil(r, r.json()["next"])
	target, err := url.Parse(r.json()["redirectTo"].(string))
	require.NoError(r, err)
	require.Equal(r, redirectURI, target.Scheme+"://"+target.Host+target.Path)
	require.Equal(r, "st-1", target.Query().Get("state"))
	require.NotEmpty(r, target.Query().Get("iss"), "RFC 9207")
	return target.Query()
}

func TestRequestIsShownToThePages(t *testing.T) {
	each(t, func(w *world) {
		app, err := w.store.ApplicationByRef(w.Context(), w.web.ApplicationID)
		require.NoError(w, err)
		app.LogoURI, app.HomepageURI = "https://crm.example/logo.png", "https://crm.example/"
		app.PolicyURI, app.TOSURI = "https://crm.example/privacy", "https://crm.example/terms"
		require.NoError(w, w.store.UpdateApplication(w.Context(), app))

		b := w.newBrowser()
		path := b.asked("/sign-in", request(w.web, "login_hint", "ada@example.com", "ui_locales", "fr en", "scope", "openid email invoice:read"))
		known := map[string]string{strings.TrimPrefix(path, requestPath("")): "request"}
		show := func(name string) {
			r := b.get(path)
			expires, err := time.Parse("2006-01-02T15:04:05.000Z", r.json()["expiresAt"].(string))
			require.NoError(w, err)
			require.WithinDuration(w, w.clock.now().Add(time.Hour), expires, time.Minute)
			known[r.json()["expiresAt"].(string)] = "expiresAt"
			w.goldenBody(name, r, known)
		}
		show("request_sign_in")
		b.signIn(w.person)
		show("request_consent")
		require.NoError(w, w.store.SaveConsent(w.Context(), w.person.ID, w.web.ID, []string{"openid"}))
		show("request_consent_partly_granted")
	})
}

// What the person consented to once is not asked again, and more is (OIDC Core §3.1.2.4).
func TestConsentIsRemembered(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		path := b.asked("/consent", request(w.web, "scope", "openid email"))
		got := w.redeem(w.web, b.post(path+"/consent", `{"accept":true}`).answered().Get("code")).tokens()
		require.Equal(w, "openid email", got.Scope)
		require.NotEmpty(w, b.authorize(request(w.web, "scope", "openid")).location.Query().Get("code"))
		b.asked("/consent", request(w.web, "scope", "openid email profile"))
		b.asked("/consent", request(w.web, "scope", "openid", "prompt", "consent"))
		b.asked("/consent", request(w.spa, "scope", "openid"))
	})
}

func TestConsentToSomeScopes(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		wanted := request(w.web, "scope", "openid profile email invoice:read", "claims", `{"userinfo":{"picture":null}}`)
		path := b.asked("/consent", wanted)
		b.post(path+"/consent", `{"accept":true,"scopes":["openid","admin"]}`).problem(400, "VALIDATION_ERROR")
		require.Equal(w, "consent", b.get(path).json()["next"], "nothing was recorded")

		got := w.redeem(w.web, b.post(path+"/consent", `{"accept":true,"scopes":["email"]}`).answered().Get("code")).tokens()
		require.Equal(w, "openid email", got.Scope, "openid stays: without it nobody signs in")
		require.Equal(w, "openid email", w.claims(got.Access)["scope"])
		info := w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+got.Access).json()
		require.Contains(w, info, "email")
		require.NotContains(w, info, "name")
		require.NotContains(w, info, "picture", "a claim asked for by name needs its scope's consent, too")

		path = b.asked("/consent", wanted)
		granted := map[any]any{}
		for _, s := range b.get(path).json()["scopes"].([]any) {
			granted[s.(map[string]any)["name"]] = s.(map[string]any)["granted"]
		}
		require.Equal(w, map[any]any{"openid": true, "email": true, "profile": false, "invoice:read": false}, granted)
		b.post(path+"/consent", `{"accept":true,"scopes":["openid","profile"]}`).answered()
		require.NotEmpty(w, b.authorize(request(w.web, "scope", "openid profile")).location.Query().Get("code"))
		b.asked("/consent", request(w.web, "scope", "openid email")) // it was asked about again and left out

		b.post(b.asked("/consent", request(w.web, "scope", "openid invoice:read"))+"/consent", `{"accept":true}`).answered()
		require.NotEmpty(w, b.authorize(request(w.web, "scope", "openid profile invoice:read")).location.Query().Get("code"),
			"what was not asked about stays granted")
	})
}

func TestConsentIsRefused(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		for _, c := range []struct{ route, body string }{{"/consent", `{"accept":false}`}, {"/cancel", `{}`}} {
			path := b.asked("/consent", request(w.web))
			require.Equal(w, "access_denied", b.post(path+c.route, c.body).answered().Get("error"))
			b.get(path).problem(410, "REQUEST_COMPLETED")
			b.post(path+"/consent", `{"accept":true}`).problem(410, "REQUEST_COMPLETED")
		}
		b.post(b.asked("/consent", request(w.web))+"/consent", `{}`).problem(400, "VALIDATION_ERROR")
		require.Empty(w, b.get(consentsPath).list())
	})
}

// Whoever is not signed in cannot say yes, whatever the browser sends, and neither can another site's page.
func TestConsentNeedsThePerson(t *testing.T) {
	each(t, func(w *world) {
		b := w.newBrowser()
		path := b.asked("/sign-in", request(w.web))
		for _, route := range []string{"/consent", "/select-account"} {
			r := b.post(path+route, `{"accept":true}`)
			require.Equal(w, http.StatusOK, r.status)
			require.Equal(w, "sign_in", r.json()["next"])
			require.NotContains(w, r.json(), "redirectTo")
		}
		b.signIn(w.person)
		require.Equal(w, "consent", b.get(path).json()["next"], "the early yes counts for nothing")

		for _, header := range [][]string{
			{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}, {},
		} {
			r := b.do("POST", path+"/consent", strings.NewReader(`{"accept":true}`), append(header, "Content-Type", "application/json")...)
			require.Equal(w, http.StatusForbidden, r.status, "CSRF with %v", header)
		}
		b.do("POST", path+"/consent", strings.NewReader(`{"accept":true}`), "Origin", w.server.URL, "Content-Type", "text/plain").
			problem(415, "UNSUPPORTED_MEDIA_TYPE")
		b.post(path+"/consent", `[`).problem(400, "BAD_REQUEST")
		b.post(path+"/consent", `{"accept":true,"x":"`+strings.Repeat("x", 70<<10)+`"}`).problem(413, "PAYLOAD_TOO_LARGE")
		require.Equal(w, "consent", b.get(path).json()["next"])
	})
}

// Another person who signs in to the browser half way gives no consent by the first one's click.
func TestConsentBelongsToWhoGaveIt(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		path := b.asked("/consent", request(w.web, "prompt", "consent"))
		record, err := w.store.AuthorizationRequestByID(w.Context(), strings.TrimPrefix(path, requestPath("")))
		require.NoError(w, err)
		require.NoError(w, w.store.RecordConsent(w.Context(), record, w.person.ID, []string{"openid"}))
		b.signIn(w.newPerson("eve@example.com"))
		require.Equal(w, "consent", b.get(path).json()["next"])
	})
}

func TestSelectAccount(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		b.tokens(w.web)
		w.clock.forward(time.Second)
		path := b.asked("/select-account", request(w.web, "prompt", "select_account"))
		shown := b.get(path).json()
		require.Equal(w, "select_account", shown["next"])
		require.Equal(w, w.person.Email, shown["user"].(map[string]any)["email"])
		require.NotEmpty(w, b.post(path+"/select-account", `{}`).answered().Get("code"))

		// Choosing in one browser says nothing about whoever signs in next.
		path = b.asked("/select-account", request(w.web, "prompt", "select_account"))
		record, err := w.store.AuthorizationRequestByID(w.Context(), strings.TrimPrefix(path, requestPath("")))
		require.NoError(w, err)
		require.NoError(w, w.store.RecordAccount(w.Context(), record, "another session"))
		require.Equal(w, "select_account", b.get(path).json()["next"])
		w.clock.forward(time.Second)
		b.signIn(w.person)
		require.NotEmpty(w, b.get(path).answered().Get("code"), "who just signed in has chosen")
	})
}

// A request yields one code, whichever tab finishes it.
func TestRequestIsAnsweredOnce(t *testing.T) {
	each(t, func(w *world) {
		b := w.newBrowser()
		path := b.asked("/sign-in", request(w.web))
		require.NoError(w, w.store.SaveConsent(w.Context(), w.person.ID, w.web.ID, []string{"openid", "profile", "email"}))
		b.signIn(w.person)
		codes := 0
		for _, r := range parallel(w.T, 8, func() *reply { return b.get(path) }) {
			if r.status == http.StatusOK {
				require.NotEmpty(w, r.answered().Get("code"))
				codes++
				continue
			}
			r.problem(410, "REQUEST_COMPLETED")
		}
		require.Equal(w, 1, codes)
	})
}

func TestRequestThatIsNoMore(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		path := b.asked("/consent", request(w.web))
		changed := b.asked("/consent", request(w.web))
		for _, suffix := range []string{"", "/consent", "/select-account", "/cancel"} {
			method := func(p string) *reply {
				if suffix == "" {
					return b.get(p)
				}
				return b.post(p+suffix, `{"accept":true}`)
			}
			method(requestPath("unknown")).problem(404, "NOT_FOUND")
		}

		w.web.RedirectURIs = []string{"https://app.example/moved"}
		require.NoError(w, w.store.UpdateClient(w.Context(), w.web))
		b.get(changed).problem(400, "REQUEST_INVALID")
		b.post(changed+"/cancel", `{}`).problem(400, "REQUEST_INVALID")
		w.web.RedirectURIs = []string{redirectURI}
		require.NoError(w, w.store.UpdateClient(w.Context(), w.web))

		w.clock.forward(time.Hour)
		b.get(path).problem(410, "REQUEST_EXPIRED")
		b.post(path+"/consent", `{"accept":true}`).problem(410, "REQUEST_EXPIRED")
		b.post(path+"/cancel", `{}`).problem(410, "REQUEST_EXPIRED")
	})
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// fields reads the form of a page that posts itself.
func (r *reply) fields() (action string, values map[string]string) {
	r.Helper()
	require.Equal(r, http.StatusOK, r.status, r.body)
	require.Contains(r, r.header.Get("Content-Type"), "text/html")
	require.Equal(r, "no-store", r.header.Get("Cache-Control"))
	require.Contains(r, r.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'sha256-")
	require.NotContains(r, r.header.Get("Content-Security-Policy"), "unsafe")
	match := regexp.MustCompile(`<form method="post" action="([^"]*)">`).FindStringSubmatch(r.body)
	require.NotNil(r, match, r.body)
	values = map[string]string{}
	for _, m := range hidden.FindAllStringSubmatch(r.body, -1) {
		values[m[1]] = html.UnescapeString(m[2])
	}
	return html.UnescapeString(match[1]), values
}

func TestAnswerByForm(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		hostile := `"><script>alert(1)</script>`
		path := b.asked("/consent", request(w.web, "response_mode", "form_post", "state", hostile))
		early := b.get(path + "/form")
		require.Equal(w, "/consent", early.location.Path, "the form waits for the person")

		answer := b.post(path+"/consent", `{"accept":true}`)
		require.Equal(w, w.server.URL+path+"/form", answer.json()["redirectTo"], "the page has to be navigated to, not fetched")
		require.Nil(w, answer.json()["next"])
		page := b.get(path + "/form")
		action, values := page.fields()
		require.Equal(w, redirectURI, action)
		require.NotContains(w, page.header.Get("Content-Security-Policy"), "form-action", "the client's callback may redirect anywhere")
		require.NotContains(w, page.body, "<script>alert", "what the client sent is text")
		require.Equal(w, hostile, values["state"])
		require.Equal(w, w.server.URL+"/api/auth", values["iss"])
		require.Len(w, values, 3)
		w.redeem(w.web, values["code"]).tokens()

		again := b.get(path+"/form", "Accept", "text/html")
		require.Equal(w, "/error", again.location.Path)
		require.Equal(w, "request_completed", again.location.Query().Get("error"))
		require.Equal(w, "request_expired", b.get(requestPath("unknown")+"/form", "Accept", "text/html").location.Query().Get("error"))

		action, values = b.authorize(request(w.web, "response_mode", "form_post")).fields()
		require.Equal(w, redirectURI, action, "at once, when nobody must be asked")
		require.NotEmpty(w, values["code"])

		path = b.asked("/consent", request(w.web, "response_mode", "form_post", "prompt", "consent"))
		denied := b.post(path+"/cancel", `{}`).json()["redirectTo"].(string)
		action, values = b.get(denied).fields()
		require.Equal(w, redirectURI, action, "a refusal comes by form, too")
		require.Equal(w, "access_denied", values["error"])
		require.NotContains(w, values, "code")
		b.get(path).problem(410, "REQUEST_COMPLETED")
	})
}

func TestConsentsAreListed(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		w.newBrowser().get(consentsPath).problem(401, "UNAUTHORIZED")
		b.tokens(w.web, "scope", "openid email")
		w.clock.forward(time.Minute)
		trusted := w.newClient(&store.Client{ID: "intranet", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, SkipConsent: true,
			TokenEndpointAuthMethod: store.AuthMethodBasic, RedirectURIs: []string{redirectURI}})
		b.tokens(trusted, "scope", "openid offline_access")

		r := b.get(consentsPath)
		require.Equal(w, http.StatusOK, r.status)
		require.Equal(w, "no-store", r.header.Get("Cache-Control"))
		known := map[string]string{}
		for _, m := range regexp.MustCompile(`"[a-zA-Z]+At":"([^"]*)"`).FindAllStringSubmatch(r.body, -1) {
			at, err := time.Parse("2006-01-02T15:04:05.000Z", m[1])
			require.NoError(w, err)
			require.WithinDuration(w, w.clock.now(), at, 2*time.Minute)
			known[m[1]] = "time"
		}
		w.golden("consents", w.masked(r.list(), known))

		other := w.signedIn(w.newPerson("eve@example.com"))
		require.Empty(w, other.get(consentsPath).list())
	})
}

// audited returns what the person did to the target, the latest first. Each event says from where.
func (w *world) audited(targetType, targetID string) []string {
	w.Helper()
	page, err := w.store.AuditEvents(w.Context(), store.AuditQuery{Paging: store.Paging{Limit: 10}, ActorID: w.person.ID, TargetType: targetType, TargetID: targetID})
	require.NoError(w, err)
	var events []string
	for _, e := range page.Items {
		require.Equal(w, store.ActorUser, e.ActorType)
		require.NotEmpty(w, e.IP)
		require.NotEmpty(w, e.UserAgent)
		require.NotEmpty(w, e.RequestID)
		if e.TargetType == "client" {
			require.Equal(w, w.web.ApplicationID, e.ApplicationID)
		}
		events = append(events, e.Action+" "+e.TargetType+" "+e.TargetID)
	}
	return events
}

// Removing an application ends what it holds, on every path (contract: consents).
func TestConsentIsRemoved(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		got := b.tokens(w.web, "scope", "openid offline_access")
		kept := b.tokens(w.spa)
		eve := w.signedIn(w.newPerson("eve@example.com"))
		hers := eve.tokens(w.web)

		require.Equal(w, http.StatusForbidden, b.do("DELETE", consentsPath+"/"+w.web.ID, nil, "Origin", "https://evil.example").status, "CSRF")
		w.newBrowser().remove(consentsPath+"/"+w.web.ID).problem(401, "UNAUTHORIZED")
		require.True(w, w.active(got.Access))

		r := b.remove(consentsPath + "/" + w.web.ID)
		require.Equal(w, http.StatusNoContent, r.status)
		require.Empty(w, r.body)
		require.False(w, w.active(got.Access))
		require.False(w, w.active(got.Refresh))
		w.refresh(w.web, got.Refresh).refused(400, "invalid_grant")
		w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+got.Access).refused(401, "invalid_token")
		b.asked("/consent", request(w.web))
		b.remove(consentsPath+"/"+w.web.ID).problem(404, "NOT_FOUND")
		b.remove(consentsPath+"/unknown").problem(404, "NOT_FOUND")
		require.Equal(w, []string{"consent.remove client " + w.web.ID, "consent.grant client " + w.web.ID}, w.audited("client", w.web.ID))

		require.True(w, w.active(kept.Access), "the person's other applications stay")
		require.True(w, w.active(hers.Access), "and so do other people")
	})
}

// A trusted client has no consent row, and its grant may be older than any access token. It must go all the same.
func TestOldConnectionWithoutConsentIsRemoved(t *testing.T) {
	each(t, func(w *world) {
		trusted := w.newClient(&store.Client{ID: "intranet", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, SkipConsent: true,
			TokenEndpointAuthMethod: store.AuthMethodBasic, RedirectURIs: []string{redirectURI}})
		b := w.signedIn(w.person)
		got := b.tokens(trusted, "scope", "openid offline_access")
		w.clock.forward(3 * 24 * time.Hour)
		require.Len(w, b.get(consentsPath).list(), 1)
		require.Equal(w, http.StatusNoContent, b.remove(consentsPath+"/"+trusted.ID).status)
		w.refresh(trusted, got.Refresh).refused(400, "invalid_grant")
		require.Empty(w, b.get(consentsPath).list())
	})
}
