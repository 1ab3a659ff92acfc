package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// A redirect_uri counts only as it was registered, octet by octet (RFC 9700 §2.1, §4.1). All others are open redirectors
// or leak codes, so nothing is sent to them, no error either.
func TestRedirectURIMutations(t *testing.T) {
	once(t, func(w *world) {
		c := w.newClient(&store.Client{ID: "native", ApplicationID: w.web.ApplicationID, Type: store.ClientNative, TokenEndpointAuthMethod: store.AuthMethodNone,
			SkipConsent: true, RedirectURIs: []string{"https://app.example/callback", "https://app.example/with?query=1", "http://127.0.0.1:1234/cb",
				"http://[::1]/cb", "http://localhost:1234/cb", "com.example.app:/cb"}})
		b := w.signedIn(w.person)
		try := func(uri string) *reply {
			v := request(c)
			v["redirect_uri"] = []string{uri}
			return b.authorize(v)
		}
		for _, uri := range append(c.RedirectURIs,
			"http://127.0.0.1/cb", "http://127.0.0.1:9/cb", "http://127.0.0.1:65535/cb", "http://[::1]:1234/cb", // RFC 8252 §7.3
		) {
			r := try(uri)
			require.Equal(t, http.StatusSeeOther, r.status, uri)
			require.True(t, strings.HasPrefix(r.header.Get("Location"), uri), r.header.Get("Location"))
			require.NotEmpty(t, r.location.Query().Get("code"), uri)
		}
		for _, uri := range []string{
			"", "https://app.example/", "https://app.example", "https://app.example/callback/", "https://app.example/callback/..",
			"https://app.example/callback/../evil", "https://app.example/CALLBACK", "https://APP.example/callback", "HTTPS://app.example/callback",
			"https://app.example/callback?", "https://app.example/callback?x=1", "https://app.example/callback#", "https://app.example/callback#x",
			"https://app.example/c%61llback", "https://app.example/callback%00", "https://app.example/callback%0d%0aX: y", " https://app.example/callback",
			"https://app.example/callback ", "https://app.example:443/callback", "https://app.example:8443/callback", "http://app.example/callback",
			"https://user@app.example/callback", "https://app.example@evil.example/callback", "https://app.example.evil.example/callback",
			"https://evil.app.example/callback", "https://app.example./callback", `https://app.example\@evil.example/callback`, "//app.example/callback", "/callback",
			"https://app.example/with", "https://app.example/with?query=2", "https://app.example/with?query=1&query=1",
			"http://127.0.0.1:1234/CB", "http://127.0.0.1:1234/cb/", "http://127.0.0.1:1234/c%62", "http://127.0.0.1:1234/cb?x", "http://127.0.0.1:1234/cb#x",
			"http://user@127.0.0.1:1234/cb", "http://127.0.0.1:1234@evil.example/cb", "http://127.0.0.1:x/cb", "http://127.0.0.2:1234/cb", "http://127.1/cb",
			"http://2130706433/cb", "http://0177.0.0.1/cb", "http://127.0.0.1.evil.example/cb", "https://127.0.0.1:1234/cb", "http://[::ffff:127.0.0.1]/cb", "http://[::1%25lo]/cb",
			"http://localhost:9/cb", "http://localhost/cb", "http://LOCALHOST:1234/cb", "com.example.app:/cb/", "com.example.app://cb", "COM.example.app:/cb",
			"javascript:alert(1)", "data:text/html,x",
		} {
			r := try(uri)
			require.Equal(t, http.StatusBadRequest, r.status, uri)
			require.Nil(t, r.location, uri)
			require.Equal(t, "invalid_redirect_uri", r.json()["error"], uri)
		}
	})
}

// The name localhost may resolve to anywhere, so a registered loopback address does not cover it, nor the reverse.
func TestLocalhostIsNotTheLoopbackAddress(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		r := b.authorize(request(w.spa, "redirect_uri", "http://localhost:1234/cb"))
		require.Equal(t, "invalid_redirect_uri", r.json()["error"])
	})
}

// The code sent to one loopback port is redeemed with that very URI, whatever port was registered.
func TestLoopbackPortIsPartOfTheExchange(t *testing.T) {
	once(t, func(w *world) {
		b := w.signedIn(w.person)
		code := b.code(w.spa, "redirect_uri", "http://127.0.0.1:55001/cb")
		w.redeem(w.spa, code, "redirect_uri", "http://127.0.0.1:55002/cb").refused(http.StatusBadRequest, "invalid_grant")
		require.Equal(t, http.StatusOK, w.redeem(w.spa, code, "redirect_uri", "http://127.0.0.1:55001/cb").status)
	})
}

// What goes wrong before client and redirect_uri are known is shown here: to a browser as a page whose address holds our
// own words alone, so that nobody can put text on it, to programs as JSON.
func TestErrorsThatStayHere(t *testing.T) {
	once(t, func(w *world) {
		w.web.Disabled = true
		require.NoError(t, w.store.UpdateClient(t.Context(), w.web))
		const marker = "<script>evil</script>"
		for name, test := range map[string]struct {
			query url.Values
			code  string
		}{
			"no client":             {pairs("redirect_uri", redirectURI), "invalid_client"},
			"unknown client":        {pairs("client_id", marker, "redirect_uri", redirectURI, "state", marker), "invalid_client"},
			"disabled client":       {request(w.web), "invalid_client"},
			"null character":        {pairs("client_id", "\x00"), "invalid_request"},
			"not UTF-8":             {pairs("client_id", "\xff"), "invalid_request"},
			"no redirect_uri":       {pairs("client_id", w.spa.ID), "invalid_redirect_uri"},
			"foreign redirect_uri":  {request(w.spa, "redirect_uri", "https://evil.example/"+marker), "invalid_redirect_uri"},
			"redirect_uri twice":    {pairs("client_id", w.spa.ID, "redirect_uri", w.spa.RedirectURIs[0], "redirect_uri", "https://evil.example"), "invalid_request"},
			"client_id twice":       {pairs("client_id", w.spa.ID, "client_id", w.web.ID, "redirect_uri", w.spa.RedirectURIs[0]), "invalid_request"},
			"parameter named so":    {pairs(marker, "1", marker, "2"), "invalid_request"},
			"more than 64 KiB":      {request(w.spa, "state", strings.Repeat("x", 65<<10)), "invalid_request"},
			"state twice":           {pairs("client_id", w.spa.ID, "redirect_uri", w.spa.RedirectURIs[0], "state", "a", "state", "b"), "invalid_request"},
			"foreign, mode of form": {request(w.spa, "redirect_uri", "https://evil.example/", "response_mode", "form_post"), "invalid_redirect_uri"},
		} {
			t.Run(name, func(t *testing.T) {
				path := authorizePath + "?" + test.query.Encode()
				r := w.newBrowser().get(path)
				require.Equal(t, http.StatusBadRequest, r.status)
				require.Equal(t, test.code, r.json()["error"])
				require.Equal(t, "application/json", r.header.Get("Content-Type"))
				require.Equal(t, "no-store", r.header.Get("Cache-Control"))

				page := w.newBrowser().get(path, "Accept", "text/html,application/xhtml+xml")
				require.Equal(t, http.StatusSeeOther, page.status)
				require.Equal(t, "/error", page.location.Path)
				require.Empty(t, page.location.Host)
				query := page.location.Query()
				require.Equal(t, test.code, query.Get("error"))
				require.NotEmpty(t, query.Get("id"))
				require.Len(t, query, 2)
			})
		}
		post := w.newBrowser().do("POST", authorizePath, strings.NewReader(`{"client_id":"crm-spa"}`), "Content-Type", "application/json")
		require.Equal(t, "invalid_request", post.json()["error"])
		require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().do("PUT", authorizePath+"?"+request(w.spa).Encode(), nil).status)
	})
}
