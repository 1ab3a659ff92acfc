package account_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// CSRF and login CSRF: what another site's page makes the browser send changes nothing, with the person's cookie and
// without.
func TestSameOrigin(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.svc.Throttle.Addresses.Burst = 1000
		b := s.browser()
		b.signUp(email)
		for name, tt := range map[string]struct {
			header http.Header
			cookie bool
			code   string // empty: accepted
		}{
			"our page":                          {http.Header{"Origin": {public}, "Sec-Fetch-Site": {"same-origin"}}, true, ""},
			"our page, older browser":           {http.Header{"Origin": {public}}, true, ""},
			"our form, older browser":           {http.Header{"Referer": {public + "/sign-in?request=1"}}, true, ""},
			"our form without referrer":         {http.Header{"Origin": {"null"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}}, true, ""},
			"a trusted origin":                  {http.Header{"Origin": {trusted}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}, true, ""},
			"a program":                         {http.Header{}, false, ""},
			"a foreign page":                    {http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}, true, "INVALID_ORIGIN"},
			"a foreign page without the cookie": {http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}, false, "INVALID_ORIGIN"},
			"a foreign page, older browser":     {http.Header{"Origin": {"https://evil.example"}}, false, "INVALID_ORIGIN"},
			"a foreign form (login CSRF)":       {http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, false, "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"},
			"a foreign form hiding its origin":  {http.Header{"Origin": {"null"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, true, "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"},
			"a sandboxed frame":                 {http.Header{"Origin": {"null"}}, true, "MISSING_OR_NULL_ORIGIN"},
			"a sandboxed frame, no cookie":      {http.Header{"Origin": {"null"}}, false, "MISSING_OR_NULL_ORIGIN"},
			"a sibling subdomain":               {http.Header{"Origin": {"https://evil.auth.example.com"}, "Sec-Fetch-Site": {"same-site"}}, true, "INVALID_ORIGIN"},
			"a sibling hiding its origin":       {http.Header{"Sec-Fetch-Site": {"same-site"}}, true, "MISSING_OR_NULL_ORIGIN"},
			"our host over http":                {http.Header{"Origin": {"http://auth.example.com"}}, true, "INVALID_ORIGIN"},
			"our host on another port":          {http.Header{"Origin": {public + ":8443"}}, true, "INVALID_ORIGIN"},
			"our origin as a prefix":            {http.Header{"Origin": {public + ".evil.example"}}, true, "INVALID_ORIGIN"},
			"a foreign referrer":                {http.Header{"Referer": {"https://evil.example/?" + public}}, true, "INVALID_ORIGIN"},
			"a cookie and nothing else":         {http.Header{}, true, "MISSING_OR_NULL_ORIGIN"},
			"a browser that says only its mode": {http.Header{"Sec-Fetch-Mode": {"cors"}}, false, "MISSING_OR_NULL_ORIGIN"},
		} {
			t.Run(name, func(t *testing.T) {
				from := s.browser()
				from.header = tt.header
				if tt.cookie {
					from.cookies[sessionCookie] = b.cookies[sessionCookie]
				}
				for path, body := range map[string]object{
					"sign-in/email": {"email": email, "password": "not the password"}, "sign-up/email": {"name": ""}, "sign-out": {},
					"revoke-other-sessions": {}, "update-user": {},
				} {
					if path == "sign-out" && tt.code == "" {
						continue // it would sign out
					}
					r := from.post(path, body)
					if tt.code == "" {
						require.NotEqual(t, http.StatusForbidden, r.Code, path)
					} else {
						r.refused(http.StatusForbidden, tt.code)
					}
				}
				require.Equal(t, http.StatusOK, from.get("get-session").Code, "reading is not refused")
				_, err := s.store.PurgeAttempts(t.Context(), s.clock.Now().AddDate(1, 0, 0), 100) // the next case starts anew
				require.NoError(t, err)
			})
		}
		require.True(t, b.signedIn())
	})
}

// Endpoints that other sites call by design say so by name; nothing else gets past, whatever its spelling.
func TestOnlyNamedRoutesAreExempt(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		done := func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
		s.echo.POST("/api/auth/oauth2/token", done)
		s.echo.POST("/api/auth/oauth2/requests/:id/consent", done)
		evil := s.browser()
		evil.header = http.Header{"Origin": {"https://evil.example"}}
		require.Equal(t, http.StatusNoContent, evil.post("oauth2/token", "{}").Code)
		evil.post("oauth2/requests/1/consent", "{}").refused(http.StatusForbidden, "INVALID_ORIGIN")
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "PURGE"} {
			r := evil.do(evil.request(method, "oauth2/requests/1/consent", "application/json", strings.NewReader("{}")))
			require.Equal(t, http.StatusForbidden, r.Code, method)
		}
	})
}
