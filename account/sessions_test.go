package account_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// What better-auth's client reads, field by field.
func TestBodies(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		require.Equal(t, "null", strings.TrimSpace(b.get("get-session").ok().Body.String()))
		require.Equal(t, "no-store", b.get("get-session").Header().Get("Cache-Control"))

		up := b.post("sign-up/email", object{"name": "Ada", "email": email, "password": password, "image": "https://example.com/a.png"}).ok().json()
		user := up["user"].(object)
		id := user["id"].(string)
		require.Equal(t, object{
			"id": id, "name": "Ada", "email": email, "emailVerified": false, "image": "https://example.com/a.png",
			"createdAt": "2026-11-23T12:00:00.000Z", "updatedAt": "2026-11-23T12:00:00.000Z", "role": "user",
			"banned": false, "banReason": nil, "banExpires": nil, "twoFactorEnabled": false,
		}, user)
		session := object{
			"id": up["token"], "token": up["token"], "userId": id, "expiresAt": "2026-11-30T12:00:00.000Z",
			"createdAt": "2026-11-23T12:00:00.000Z", "updatedAt": "2026-11-23T12:00:00.000Z",
			"ipAddress": "192.0.2.1", "userAgent": "Test/1.0", "activeOrganizationId": nil, "impersonatedBy": nil,
		}
		require.Equal(t, object{"token": up["token"], "user": user}, up)
		require.Equal(t, object{"session": session, "user": user}, b.get("get-session").ok().json())
		var list []object
		require.NoError(t, json.Unmarshal(b.get("list-sessions").ok().Body.Bytes(), &list))
		require.Equal(t, []object{session}, list)
		list = nil
		require.NoError(t, json.Unmarshal(b.get("list-accounts").ok().Body.Bytes(), &list))
		require.Equal(t, []object{{
			"id": id, "providerId": "credential", "accountId": id, "userId": id,
			"createdAt": "2026-11-23T12:00:00.000Z", "updatedAt": "2026-11-23T12:00:00.000Z", "scopes": []any{},
		}}, list)

		in := s.browser().signIn(email, password).ok().json()
		require.Equal(t, object{"redirect": false, "token": in["token"], "user": user}, in)
		require.Equal(t, object{"ok": true}, b.get("ok").ok().json())
		require.Equal(t, object{
			"appName": "Test", "signUpEnabled": true, "passwordMinLength": 8.0, "passwordMaxLength": 128.0, "version": "test",
			"locales": []any{"en", "fr"}, "issuer": public + "/api/auth",
		}, b.get("config").ok().json())
	})
}

// The cookie is out of reach for scripts, other sites, subdomains and plain http; its secret is nowhere else.
func TestTheCookie(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		r := b.signUp(email)
		cookie := cookieNamed(r, sessionCookie)
		require.NotNil(t, cookie)
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		require.NoError(t, err)
		require.Len(t, raw, 32)
		require.True(t, cookie.HttpOnly)
		require.True(t, cookie.Secure)
		require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
		require.Equal(t, "/", cookie.Path)
		require.Empty(t, cookie.Domain)
		require.Equal(t, 30*24*60*60, cookie.MaxAge)

		for _, r := range []response{r, b.get("get-session"), b.get("list-sessions"), b.signIn(email, password)} {
			require.NotContains(t, r.Body.String(), cookie.Value)
			require.NotContains(t, r.Body.String(), b.cookies[sessionCookie])
		}
		rows, err := s.store.UserSessions(t.Context(), r.json()["user"].(object)["id"].(string), s.clock.Now())
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, store.HashSecret(b.cookies[sessionCookie]), rows[0].SecretHash)
		stolen := s.browser() // the id, which lists and tokens show, opens nothing
		stolen.cookies[sessionCookie] = rows[0].ID
		require.False(t, stolen.signedIn())

		s.svc.Sessions.Secure, s.svc.Devices.Secure = false, false // http://localhost
		cookie = cookieNamed(s.browser().signIn(email, password), "auth_session")
		require.NotNil(t, cookie)
		require.False(t, cookie.Secure)
	})
}

// A shared computer: without rememberMe the cookie goes with the browser and the session within a day.
func TestRememberMeFalse(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		b := s.browser()
		r := b.post("sign-in/email", object{"email": email, "password": password, "rememberMe": false}).ok()
		require.Zero(t, cookieNamed(r, sessionCookie).MaxAge)
		for range 23 {
			s.clock.Pass(time.Hour)
			require.True(t, b.signedIn())
		}
		s.clock.Pass(time.Hour)
		require.False(t, b.signedIn())
	})
}

func TestSessionsIdleOutAndEnd(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		idle, seen := s.browser(), s.browser()
		idle.signUp(email)
		seen.signIn(email, password).ok()
		for range 29 {
			s.clock.Pass(24 * time.Hour)
			require.True(t, seen.signedIn())
		}
		require.False(t, idle.signedIn(), "unseen for a week")
		require.Equal(t, "2026-12-23T12:00:00.000Z", seen.get("get-session").json()["session"].(object)["expiresAt"], "not beyond the end")
		s.clock.Pass(24 * time.Hour)
		require.False(t, seen.signedIn(), "after thirty days, however often it was seen")
	})
}

// A database that is away must not look like being signed out: the browser would throw its cookie away.
func TestNobodyIsSignedOutByAnOutage(t *testing.T) {
	c := newClock()
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(name, func(t *testing.T) {
			address := url(t)
			s := newServer(t, storetest.Open(t, address), c)
			b := s.browser()
			b.signUp(email)
			away := newServer(t, closed(t, address), c)
			for _, r := range []response{
				b.at(away).get("get-session"), b.at(away).get("list-sessions"), b.at(away).post("sign-out", "{}"), b.at(away).signIn(email, password),
			} {
				require.GreaterOrEqual(t, r.Code, 500, r.Body.String())
				require.Empty(t, r.Result().Cookies())
			}
			require.True(t, b.at(s).signedIn())
		})
	}
}

// at moves the browser to another server with the same cookies.
func (b *browser) at(s *server) *browser {
	moved := *b
	moved.s = s
	return &moved
}

// closed returns a store whose connections are gone.
func closed(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: url, Keyring: storetest.Keyring()})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return s
}

// Several parts of the server ask who is signed in during one request; they share one look-up.
func TestCurrentAsksOncePerRequest(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		ctx, calls := storetest.Trace(t.Context())
		req := b.request(http.MethodGet, "get-session", "", nil).WithContext(ctx)
		for range 3 {
			ses, err := s.svc.Sessions.Current(req)
			require.NoError(t, err)
			require.Equal(t, email, ses.User.Email)
		}
		require.Equal(t, []string{"R sessions"}, calls.List())

		calls.Reset()
		nobody := s.browser().request(http.MethodGet, "get-session", "", nil).WithContext(ctx)
		_, err := s.svc.Sessions.Current(nobody)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Empty(t, calls.List(), "no cookie, no query")
	})
}

func TestRevokeSessions(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		one, two, three := s.browser(), s.browser(), s.browser()
		one.signUp(email)
		tokenTwo := two.signIn(email, password).ok().json()["token"]
		three.signIn(email, password).ok()
		bound, offline := s.grants(two)

		require.Equal(t, object{"status": true}, one.post("revoke-session", object{"token": tokenTwo}).ok().json())
		require.False(t, two.signedIn())
		require.True(t, one.signedIn())
		require.True(t, s.revoked(bound), "the grant bound to the session dies with it")
		require.False(t, s.revoked(offline), "one with offline_access lives on")

		require.Equal(t, object{"status": true}, one.post("revoke-other-sessions", "{}").ok().json())
		require.False(t, three.signedIn())
		require.True(t, one.signedIn())

		three.signIn(email, password).ok()
		require.Equal(t, object{"status": true}, one.post("revoke-sessions", "{}").ok().json())
		require.False(t, three.signedIn())
		require.False(t, one.signedIn())
		require.Empty(t, one.cookies[sessionCookie])

		own := s.browser()
		token := own.signIn(email, password).json()["token"]
		own.post("revoke-session", object{"token": token}).ok()
		require.Empty(t, own.cookies[sessionCookie])
		require.False(t, own.signedIn())
	})
}

// Foreign session revocation: naming somebody else's session does nothing, and is answered like an unknown one.
func TestNobodyEndsAnothersSession(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ada, eve := s.browser(), s.browser()
		token := ada.signUp(email).json()["token"].(string)
		eve.signUp("eve@example.com")
		unknown := eve.post("revoke-session", object{"token": store.NewID()}).ok().Body.String()
		for _, guess := range []string{token, ada.cookies[sessionCookie], "", "%", "a\x00b", "' OR 1=1 --"} {
			require.Equal(t, unknown, eve.post("revoke-session", object{"token": guess}).ok().Body.String(), guess)
		}
		require.True(t, ada.signedIn())
		require.True(t, eve.signedIn())
		for _, path := range []string{"revoke-session", "revoke-sessions", "revoke-other-sessions", "change-password", "verify-password", "update-user", "delete-user"} {
			body := object{"token": token, "password": password, "currentPassword": password, "newPassword": password, "name": "Eve"}
			s.browser().post(path, body).refused(http.StatusUnauthorized, "UNAUTHORIZED")
		}
		for _, path := range []string{"list-sessions", "list-accounts"} {
			s.browser().get(path).refused(http.StatusUnauthorized, "UNAUTHORIZED")
		}
		require.True(t, ada.signedIn())
	})
}

// Ended sessions stay on record, with what ended them, and each ending is in the audit log.
func TestEndedSessionsAreKept(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["token"].(string)
		b.header.Set("X-Request-Id", "ignored")
		b.post("sign-out", "{}").ok()
		trail, err := s.store.AuditTrail(t.Context(), "session", id, 10)
		require.NoError(t, err)
		require.Len(t, trail, 2)
		require.Equal(t, "session.end", trail[0].Action)
		require.Equal(t, store.ReasonSignedOut, trail[0].Changes["reason"].After)
		require.Equal(t, "192.0.2.1", trail[0].IP)
		require.Equal(t, "session.create", trail[1].Action)
	})
}

// The database keeps UTF-8 alone, and not all that a header may hold is.
func TestOddUserAgents(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		for _, agent := range []string{"", "\xff\xfe", strings.Repeat("é", 1000)} {
			b := s.browser()
			b.header.Set("User-Agent", agent)
			b.signIn(email, password).ok()
			got := b.get("get-session").json()["session"].(object)["userAgent"].(string)
			require.LessOrEqual(t, len(got), 256)
		}
	})
}
