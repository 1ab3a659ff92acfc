package account_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func TestSignUpSignInSignOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		got := b.signUp("Ada@Example.com").json()
		require.Equal(t, email, got["user"].(object)["email"])
		require.True(t, b.signedIn())

		require.Equal(t, object{"success": true}, b.post("sign-out", "{}").ok().json())
		require.Empty(t, b.cookies[sessionCookie])
		require.False(t, b.signedIn())
		require.Equal(t, object{"success": true}, b.post("sign-out", "{}").ok().json(), "also when signed out")

		b.signIn(" ADA@example.com ", password).ok()
		require.Equal(t, "Ada", b.user()["name"])
	})
}

// HTML forms work as JSON does, and a field given twice is not guessed at.
func TestFormEncodedSignUpAndSignIn(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		form := url.Values{"name": {"Ada"}, "email": {email}, "password": {password}}
		b.postForm("sign-up/email", form).ok()
		require.True(t, b.signedIn())

		b = s.browser()
		form = url.Values{"email": {email}, "password": {password}, "rememberMe": {"false"}}
		require.Zero(t, cookieNamed(b.postForm("sign-in/email", form).ok(), sessionCookie).MaxAge)

		form["email"] = []string{email, "eve@example.com"}
		r := s.browser().postForm("sign-in/email", form)
		r.refused(http.StatusBadRequest, "VALIDATION_ERROR")
		require.Contains(t, r.json()["errors"], "email")
		s.browser().postForm("sign-up/email", url.Values{"role": {"superadmin"}, "name": {"Eve"}, "email": {"eve@example.com"}, "password": {password}}).
			refused(http.StatusBadRequest, "FIELD_NOT_ALLOWED")
		s.browser().postForm("change-password", form).refused(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
	})
}

// Enumeration by text or status: an unknown address, a wrong password and an account without a password are answered alike.
// Enumeration by time: and after the same work, one hash and the same statements.
func TestSignInDoesNotTellWhoExists(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		now := s.clock.Now()
		require.NoError(t, s.store.CreateUser(t.Context(), &store.User{
			ID: store.NewID(), Email: "nopassword@example.com", Role: store.RoleUser, CreatedAt: now, UpdatedAt: now,
		}))
		type trace struct {
			status, hashes int
			body           string
			calls          []string
		}
		guess := func(address string) trace {
			b := s.browser()
			ctx, calls := storetest.Trace(t.Context())
			before := s.svc.Hasher.Hashed()
			body := `{"email":"` + address + `","password":"not the password"}`
			r := b.do(b.request(http.MethodPost, "sign-in/email", "application/json", strings.NewReader(body)).WithContext(ctx))
			require.Empty(t, r.Header().Values("Set-Cookie"))
			return trace{r.Code, int(s.svc.Hasher.Hashed() - before), r.Body.String(), calls.List()}
		}
		want := guess(email)
		require.Equal(t, http.StatusUnauthorized, want.status)
		require.Equal(t, 1, want.hashes)
		require.Contains(t, want.body, "INVALID_EMAIL_OR_PASSWORD")
		require.Equal(t, want, guess("unknown@example.com"))
		require.Equal(t, want, guess("nopassword@example.com"))

		for range 4 { // until throttled: that must not tell either
			require.Equal(t, guess(email), guess("unknown@example.com"))
		}
		require.Equal(t, http.StatusTooManyRequests, guess("unknown@example.com").status)
		require.Equal(t, guess(email), guess("unknown@example.com"))
	})
}

// A sign-up for an address that is taken cannot be kept silent without mail; but it costs the same hash, has one text
// for all, and changes nothing.
func TestSignUpWithATakenAddress(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		b, before := s.browser(), s.svc.Hasher.Hashed()
		r := b.post("sign-up/email", object{"name": "Eve", "email": "ADA@EXAMPLE.COM", "password": "another password"})
		r.refused(http.StatusUnprocessableEntity, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")
		require.NotContains(t, r.Body.String(), "example.com")
		require.Equal(t, uint64(1), s.svc.Hasher.Hashed()-before)
		require.Empty(t, b.cookies)
		require.False(t, b.signedIn())
		s.browser().signIn(email, "another password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		s.browser().signIn(email, password).ok()
	})
}

// Sign-ups are rationed by address, as each tells whether an address is taken.
func TestSignUpsAreRationedByAddress(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.svc.Throttle.Addresses.Burst = 10
		b := s.browser()
		try := func() response {
			return b.post("sign-up/email", object{"name": "Eve", "email": store.NewID() + "@example.com", "password": password})
		}
		try().ok()
		try().ok()
		r := try()
		r.refused(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS")
		require.Equal(t, "5", r.Header().Get("Retry-After"))
		s.clock.Pass(5 * time.Second)
		try().ok()
		b.address = "192.0.2.2"
		try().ok()
	})
}

func TestSignUpCanBeTurnedOff(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		s.svc.SignUpEnabled = false
		for _, address := range []string{email, "new@example.com"} {
			s.browser().post("sign-up/email", object{"name": "Ada", "email": address, "password": password}).
				refused(http.StatusBadRequest, "EMAIL_PASSWORD_SIGN_UP_DISABLED")
		}
	})
}

func TestSignUpRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.svc.Throttle.Addresses.Burst = 1000
		with := func(field string, value any) object {
			body := object{"name": "Ada", "email": email, "password": password}
			body[field] = value
			return body
		}
		for name, tt := range map[string]struct {
			body any
			code string
		}{
			"a short password":             {with("password", "1234567"), "PASSWORD_TOO_SHORT"},
			"seven characters in 28 bytes": {with("password", strings.Repeat("\U0001F512", 7)), "PASSWORD_TOO_SHORT"},
			"a long password":              {with("password", strings.Repeat("a", 129)), "PASSWORD_TOO_LONG"},
			"no address":                   {with("email", "ada"), "INVALID_EMAIL"},
			"a display name":               {with("email", "Ada <ada@example.com>"), "INVALID_EMAIL"},
			"a header injection":           {with("email", "ada@example.com\r\nBcc: eve@example.com"), "INVALID_EMAIL"},
			"a look-alike local part":      {with("email", "\u0430da@example.com"), "INVALID_EMAIL"},
			"a NUL in the address":         {with("email", "ada\x00@example.com"), "INVALID_EMAIL"},
			"a quoted local part":          {with("email", `"a b"@example.com`), "INVALID_EMAIL"},
			"a domain literal":             {with("email", "ada@[127.0.0.1]"), "INVALID_EMAIL"},
			"two addresses":                {with("email", "ada@example.com,eve@example.com"), "INVALID_EMAIL"},
			"no name":                      {with("name", "  "), "VALIDATION_ERROR"},
			"a NUL in the name":            {with("name", "A\x00da"), "VALIDATION_ERROR"},
			"a long name":                  {with("name", strings.Repeat("a", 201)), "VALIDATION_ERROR"},
			"a script as picture":          {with("image", "javascript:alert(1)"), "VALIDATION_ERROR"},
			"a data URL as picture":        {with("image", "data:text/html,x"), "VALIDATION_ERROR"},
			"a picture over http":          {with("image", "http://example.com/a.png"), "VALIDATION_ERROR"},
			"a number as name":             {with("name", 7), "VALIDATION_ERROR"},
			"a list as password":           {with("password", []string{password}), "VALIDATION_ERROR"},
			"an object as address":         {with("email", object{"$ne": ""}), "VALIDATION_ERROR"},
			"null as password":             {with("password", nil), "VALIDATION_ERROR"},
			"text for rememberMe":          {with("rememberMe", "yes"), "VALIDATION_ERROR"},
			"a missing field":              {object{"name": "Ada", "email": email}, "VALIDATION_ERROR"},
			"a list":                       {"[]", "VALIDATION_ERROR"},
			"null":                         {"null", "VALIDATION_ERROR"},
			"half a body":                  {`{"name":"Ada","email":`, "INVALID_JSON"},
			"two bodies":                   {`{"name":"Ada"}{"name":"Eve"}`, "INVALID_JSON"},
			"nothing":                      {"", "INVALID_JSON"},
		} {
			t.Run(name, func(t *testing.T) {
				b := s.browser()
				r := b.post("sign-up/email", tt.body)
				r.refused(http.StatusBadRequest, tt.code)
				require.NotContains(t, r.Body.String(), password, "an error must not repeat what was sent")
				require.Empty(t, b.cookies)
			})
		}
		rows, err := s.store.ListUsers(t.Context(), "", 10)
		require.NoError(t, err)
		require.Empty(t, rows, "nothing was created")
	})
}

// The password's length is counted in characters, and one typed in another normal form is the same.
func TestPasswordsAreComparedNormalized(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		const composed, decomposed = "Zo\u00eb liked it", "Zoe\u0308 liked it"
		s.browser().post("sign-up/email", object{"name": "Zoë", "email": email, "password": composed}).ok()
		s.browser().signIn(email, decomposed).ok()
		long := strings.Repeat("\U0001F512", 128)
		s.browser().post("sign-up/email", object{"name": "Zoë", "email": "b@example.com", "password": long}).ok()
		s.browser().signIn("b@example.com", long).ok()
	})
}

// Mass assignment: nobody makes themselves an administrator, confirmed or unbanned by naming the column.
func TestSignUpSetsNoReservedFields(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for field, value := range map[string]any{
			"role": "superadmin", "emailVerified": true, "banned": false, "banReason": "x", "banExpires": "2030-01-01T00:00:00Z",
			"twoFactorEnabled": true, "id": "me", "createdAt": "2000-01-01T00:00:00Z", "updatedAt": "2000-01-01T00:00:00Z",
		} {
			body := object{"name": "Eve", "email": email, "password": password, field: value}
			s.browser().post("sign-up/email", body).refused(http.StatusBadRequest, "FIELD_NOT_ALLOWED")
		}
		b := s.browser()
		r := b.post("sign-up/email", object{
			"name": "Eve", "email": email, "password": password, "ROLE": "superadmin", "EMAIL": "root@example.com",
			"passwordHash": "x", "disabled_at": nil, "phone": "unknown fields are ignored",
		}).ok()
		user := r.json()["user"].(object)
		require.Equal(t, store.RoleUser, user["role"])
		require.Equal(t, email, user["email"])
		require.Equal(t, false, user["emailVerified"])
	})
}

// Session fixation: a session that was there before the sign-in, planted or not, is not the one that is signed in.
func TestSignInReplacesThePlantedSession(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		eve := s.browser()
		eve.signUp("eve@example.com")
		planted := eve.cookies[sessionCookie]

		victim := s.browser()
		victim.cookies[sessionCookie] = planted
		victim.signIn(email, password).ok()
		require.NotEqual(t, planted, victim.cookies[sessionCookie])
		require.Equal(t, email, victim.user()["email"])
		require.False(t, eve.signedIn(), "the old session has ended")

		victim.cookies[sessionCookie] = strings.Repeat("A", 43) // of the right form, known to nobody
		victim.signIn(email, password).ok()
		require.NotEqual(t, strings.Repeat("A", 43), victim.cookies[sessionCookie])
	})
}

// Who confirms the password again stays signed in to the applications that the session is bound to, and the old cookie is
// worth nothing: a copy of it, planted or stolen, does not become the newer sign-in.
func TestSignInAgainRenewsTheSession(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		before := b.get("get-session").ok().json()["session"].(map[string]any)
		bound, _ := s.grants(b)
		thief := s.browser()
		thief.cookies[sessionCookie] = b.cookies[sessionCookie]

		b.signIn(email, password).ok()
		after := b.get("get-session").ok().json()["session"].(map[string]any)
		require.Equal(t, before["id"], after["id"], "sid goes on")
		require.False(t, s.revoked(bound))
		require.False(t, thief.signedIn(), "the secret is new")
	})
}

// Open redirect: callbackURL leads only to us and to trusted origins, however it is written.
func TestCallbackURL(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.svc.Throttle.Addresses.Burst = 1000
		s.browser().signUp(email)
		for _, ok := range []string{"/", "/account?tab=1#top", "/a%20b", public + "/account", trusted + "/home", "HTTPS://APP.example.com:443/x"} {
			r := s.browser().post("sign-in/email", object{"email": email, "password": password, "callbackURL": ok}).ok()
			require.Equal(t, true, r.json()["redirect"], ok)
			require.Equal(t, ok, r.json()["url"])
			require.Equal(t, ok, r.Header().Get("Location"))
		}
		for _, evil := range []string{
			"//evil.example", "/\\evil.example", "\\\\evil.example", "/%5cevil.example", "/%2fevil.example", "/%252f%252fevil.example",
			"/..//evil.example", "/./%2e%2e//evil.example", "/a/..%2f%2fevil.example", "/\t/evil.example", "/\n/evil.example", " //evil.example",
			"https://evil.example", "https:evil.example", "https:/evil.example", "https:///evil.example", "javascript:alert(1)", "data:text/html,x",
			"https://app.example.com@evil.example/", "https://app.example.com:x@evil.example", "https://user@app.example.com/",
			"https://app.example.com.evil.example", "https://evil-app.example.com", "https://app.example.com:8443", "http://app.example.com",
			"evil.example", "account", "/%zz", "/%25252525252fevil", strings.Repeat("/a", 1025),
		} {
			for _, path := range []string{"sign-in/email", "sign-up/email"} {
				r := s.browser().post(path, object{"name": "Eve", "email": email, "password": password, "callbackURL": evil})
				require.GreaterOrEqual(t, r.Code, 400, "%s %q", path, evil)
				if len(evil) <= 2048 {
					r.refused(http.StatusForbidden, "INVALID_CALLBACK_URL")
				}
			}
		}
	})
}

// Whether somebody has been shut out is told only to whoever knows the password.
func TestDisabledPeople(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		until := s.clock.Now().Add(time.Hour)
		require.NoError(t, s.svc.Disable(t.Context(), system, id, "left", &until))

		require.False(t, b.signedIn(), "the session is over")
		b.get("list-sessions").refused(http.StatusUnauthorized, "UNAUTHORIZED")
		s.browser().signIn(email, "not the password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		r := s.browser().signIn(email, password)
		r.refused(http.StatusForbidden, "BANNED_USER")
		require.Empty(t, r.Result().Cookies())
		require.NotContains(t, r.Body.String(), "left")

		s.clock.Pass(time.Hour)
		s.browser().signIn(email, password).ok()
	})
}

// A person who was disabled without their session being ended, by a restored backup or by hand, is signed out all the same.
func TestCurrentRefusesTheDisabled(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		require.NoError(t, s.store.DisableUser(t.Context(), id, "", nil, s.clock.Now()))
		require.False(t, b.signedIn())
		require.NoError(t, s.store.EnableUser(t.Context(), id, s.clock.Now()))
		require.True(t, b.signedIn())
	})
}

// A password that was changed while a sign-in verified the old one must not yield a session; one whose hash was only made
// anew, by another sign-in after the parameters changed, must.
func TestSignInWhileTheHashChanges(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		id := s.browser().signUp(email).json()["user"].(object)["id"].(string)
		signIn := func(meanwhile string) response {
			b, changed := s.browser(), false
			ctx := store.Observe(t.Context(), func(call store.Call) {
				if call.String() != "BEGIN" || changed { // verified, but not signed in yet
					return
				}
				changed = true
				user, err := s.store.UserByID(context.Background(), id)
				require.NoError(t, err)
				hash, err := s.svc.Hasher.Hash(t.Context(), meanwhile)
				require.NoError(t, err)
				require.NoError(t, s.store.SetPassword(context.Background(), id, user.PasswordHash, hash, s.clock.Now()))
			})
			body := strings.NewReader(`{"email":"` + email + `","password":"` + password + `"}`)
			r := b.do(b.request(http.MethodPost, "sign-in/email", "application/json", body).WithContext(ctx))
			require.True(t, changed)
			require.Equal(t, r.Code == http.StatusOK, b.signedIn())
			return r
		}
		signIn(password).ok()
		signIn("another password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		s.browser().signIn(email, "another password").ok()
	})
}

// The statements of the hot paths. One more is a decision, not an accident.
func TestStatements(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		trace := func(method, path, body string) []string {
			ctx, calls := storetest.Trace(t.Context())
			contentType := ""
			if body != "" {
				contentType = "application/json"
			}
			b.do(b.request(method, path, contentType, strings.NewReader(body)).WithContext(ctx)).ok()
			return calls.List()
		}
		signIn := `{"email":"` + email + `","password":"` + password + `"}`
		require.Equal(t, []string{"BEGIN", "W users", "W audit_events", "W sessions", "W audit_events", "COMMIT"},
			trace("POST", "sign-up/email", `{"name":"Ada","email":"`+email+`","password":"`+password+`"}`))
		require.Equal(t, []string{"R sessions"}, trace("GET", "get-session", ""))
		s.clock.Pass(s.svc.Sessions.Touch)
		require.Equal(t, []string{"R sessions", "W sessions"}, trace("GET", "get-session", ""))
		require.Equal(t, []string{"R sessions"}, trace("GET", "get-session", ""))
		require.Equal(t, []string{"R sessions", "R sessions"}, trace("GET", "list-sessions", ""))
		require.Equal(t, []string{"BEGIN", "W sessions", "W grants", "W audit_events", "COMMIT"}, trace("POST", "sign-out", "{}"))
		require.Empty(t, trace("POST", "sign-out", "{}"))
		require.Empty(t, trace("GET", "get-session", ""))
		require.Equal(t, []string{
			"R users", "W sign_in_throttles", "BEGIN", "R users", "W sign_in_throttles", "W sessions", "W audit_events", "COMMIT",
		}, trace("POST", "sign-in/email", signIn))
		require.Empty(t, trace("GET", "ok", ""))
		require.Empty(t, trace("GET", "config", ""))
	})
}
