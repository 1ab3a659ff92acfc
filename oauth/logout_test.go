package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const bye = "https://app.example/bye"

func (b *browser) endSession(namesAndValues ...string) *reply {
	b.Helper()
	return b.get(endSessionPath + "?" + pairs(namesAndValues...).Encode())
}

// signedOut reports whether the browser's person would have to sign in.
func (b *browser) signedOut() bool {
	b.Helper()
	return b.authorize(request(b.web, "prompt", "none")).sentBack().Get("error") == "login_required"
}

// With the ID token of the session that is to end, it ends at once (RP-Initiated Logout 1.0 §2).
func TestLogoutWithHint(t *testing.T) {
	each(t, func(w *world) {
		for name, send := range map[string]func(b *browser, v url.Values) *reply{
			"GET": func(b *browser, v url.Values) *reply { return b.get(endSessionPath + "?" + v.Encode()) },
			"POST": func(b *browser, v url.Values) *reply {
				return b.do("POST", endSessionPath, strings.NewReader(v.Encode()), "Content-Type", "application/x-www-form-urlencoded")
			},
			"POST from another site, so without the cookie": func(b *browser, v url.Values) *reply {
				return w.form(endSessionPath, nil, v, "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site")
			},
		} {
			t.Run(name, func(t *testing.T) {
				b := w.signedIn(w.person)
				got := b.tokens(w.web)
				w.clock.forward(2 * time.Hour) // the ID token may have expired
				r := send(b, pairs("id_token_hint", got.ID, "post_logout_redirect_uri", bye, "state", `a b&c"`, "client_id", w.web.ID))
				require.Equal(t, http.StatusSeeOther, r.status, r.body)
				require.Equal(t, bye+"?"+pairs("state", `a b&c"`).Encode(), r.header.Get("Location"))
				require.Equal(t, "no-store", r.header.Get("Cache-Control"))
				require.True(t, b.signedOut())
				w.over(w.web, got)
				require.Equal(t, bye, send(b, pairs("id_token_hint", got.ID, "post_logout_redirect_uri", bye)).header.Get("Location"), "twice is no error")
			})
		}
		got := w.signedIn(w.person)
		require.Equal(t, "/signed-out", got.endSession("id_token_hint", got.tokens(w.web).ID).location.String())
	})
}

// Any page can send people to the end-session address. Without a hint that proves the wish, or with that of another
// person, they are asked, and nothing ends (RP-Initiated Logout 1.0 §6).
func TestLogoutIsConfirmed(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		got := b.tokens(w.web)
		theirs := w.signedIn(w.newPerson("eve@example.com")).tokens(w.web)
		claims := w.claims(got.ID)
		claims["iss"] = "https://evil.example"
		for name, hint := range map[string]string{
			"none": "", "of another person": theirs.ID, "nonsense": "x", "an access token": got.Access,
			"of another issuer": w.sign("RS256", w.kid(got.ID), "JWT", claims), "by a key long gone": w.sign("RS256", "gone", "JWT", w.claims(got.ID)),
			"alg none": segment(map[string]any{"alg": "none", "typ": "JWT"}) + "." + strings.Split(got.ID, ".")[1] + ".",
		} {
			r := b.endSession("id_token_hint", hint, "client_id", w.web.ID, "post_logout_redirect_uri", bye, "state", "s")
			require.Equal(t, http.StatusSeeOther, r.status, name)
			require.Equal(t, "/sign-out?"+pairs("client_id", w.web.ID, "post_logout_redirect_uri", bye, "state", "s").Encode(), r.header.Get("Location"), name)
		}
		require.Equal(t, "/sign-out?", b.endSession().header.Get("Location"))
		require.False(t, b.signedOut())
		w.alive(got)
		w.alive(theirs)

		confirm := `{"confirm":true,"client_id":"` + w.web.ID + `","post_logout_redirect_uri":"` + bye + `","state":"s"}`
		for _, header := range [][]string{ // CSRF
			{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, {"Origin", "https://app.example"}, {"Origin", "null"}, {},
		} {
			r := b.do("POST", endSessionPath, strings.NewReader(confirm), append(header, "Content-Type", "application/json")...)
			require.Equal(t, http.StatusForbidden, r.status, "%v", header)
		}
		r := b.do("GET", endSessionPath, strings.NewReader(confirm), "Content-Type", "application/json")
		require.Equal(t, "/sign-out", r.location.Path, "only a POST confirms")
		for _, body := range []string{`{}`, `{"confirm":false}`} {
			b.post(endSessionPath, body).problem(http.StatusBadRequest, "VALIDATION_ERROR")
		}
		b.post(endSessionPath, `{"confirm":"yes"}`).problem(http.StatusBadRequest, "BAD_REQUEST")
		require.False(t, b.signedOut())

		r = b.post(endSessionPath, confirm)
		require.Equal(t, http.StatusOK, r.status, r.body)
		require.Equal(t, bye+"?state=s", r.json()["redirectTo"])
		require.True(t, b.signedOut())
		w.over(w.web, got)
		w.alive(theirs)
	})
}

// Only a registered post_logout_redirect_uri of the client that the request names is ever a target (open redirectors).
func TestLogoutTargets(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		web, spa := b.tokens(w.web), b.tokens(w.spa)
		for name, query := range map[string]url.Values{
			"not registered":            pairs("id_token_hint", web.ID, "post_logout_redirect_uri", "https://evil.example/"),
			"more than registered":      pairs("id_token_hint", web.ID, "post_logout_redirect_uri", bye+"/"),
			"another client's":          pairs("id_token_hint", spa.ID, "post_logout_redirect_uri", bye),
			"a redirect_uri":            pairs("id_token_hint", web.ID, "post_logout_redirect_uri", redirectURI),
			"no client":                 pairs("post_logout_redirect_uri", bye),
			"unknown client":            pairs("client_id", "nobody", "post_logout_redirect_uri", bye),
			"null character":            pairs("client_id", "\x00", "post_logout_redirect_uri", bye),
			"hint of another client":    pairs("id_token_hint", spa.ID, "client_id", w.web.ID, "post_logout_redirect_uri", bye),
			"hint nobody can verify":    pairs("id_token_hint", "x", "post_logout_redirect_uri", bye),
			"two hints":                 pairs("id_token_hint", web.ID, "id_token_hint", spa.ID),
			"script":                    pairs("id_token_hint", web.ID, "post_logout_redirect_uri", "javascript:alert(1)"),
			"more than 64 KiB of state": pairs("id_token_hint", web.ID, "state", strings.Repeat("x", 65<<10)),
		} {
			path := endSessionPath + "?" + query.Encode()
			b.get(path).refused(http.StatusBadRequest, "invalid_request")
			page := b.get(path, "Accept", "text/html")
			require.Equal(t, "/error", page.location.Path, name)
			require.Equal(t, "invalid_request", page.location.Query().Get("error"), name)
			if target := query.Get("post_logout_redirect_uri"); target != "" && query.Get("id_token_hint") == "" {
				body := `{"confirm":true,"client_id":"nobody","post_logout_redirect_uri":"` + target + `"}`
				b.post(endSessionPath, body).problem(http.StatusBadRequest, "INVALID_REDIRECT_URI")
			}
		}
		b.post(endSessionPath, `{"confirm":true,"client_id":"\u0000","post_logout_redirect_uri":"x"}`).problem(http.StatusBadRequest, "INVALID_REDIRECT_URI")
		require.False(t, b.signedOut(), "a bad request ends nothing")
	})
}

// Ending one session leaves the person's other ones alone, and a hint of an older session ends that one.
func TestLogoutOfOneSession(t *testing.T) {
	each(t, func(w *world) {
		here, there := w.signedIn(w.person), w.signedIn(w.person)
		mine, other := here.tokens(w.web), there.tokens(w.web)
		require.Equal(t, "/signed-out", here.endSession("id_token_hint", mine.ID).location.Path)
		require.True(t, here.signedOut())
		require.False(t, there.signedOut())
		w.over(w.web, mine)
		w.alive(other)

		nobody := w.newBrowser()
		require.Equal(t, "/signed-out", nobody.endSession().location.Path)
		require.False(t, there.signedOut())
		require.Equal(t, "/signed-out", nobody.endSession("id_token_hint", other.ID).location.Path)
		require.True(t, there.signedOut())
		w.over(w.web, other)
		ended := w.claims(other.ID)["sid"].(string)
		require.Equal(t, []string{"session.end session " + ended}, w.audited("session", ended), "once, also by a browser without the cookie")
	})
}
