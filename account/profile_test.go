package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func TestUpdateUser(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		s.clock.Pass(time.Second)
		require.Equal(t, object{"status": true}, b.post("update-user", object{"name": " Ada L. ", "image": "https://example.com/a.png"}).ok().json())
		require.Equal(t, "Ada L.", b.user()["name"])
		require.Equal(t, "https://example.com/a.png", b.user()["image"])
		require.Equal(t, "2026-11-23T12:00:01.000Z", b.user()["updatedAt"])
		b.post("update-user", object{"name": "Ada"}).ok()
		require.Equal(t, "https://example.com/a.png", b.user()["image"], "absent: left")
		b.post("update-user", object{"image": nil}).ok()
		require.Nil(t, b.user()["image"], "null: taken away")
		require.Equal(t, "Ada", b.user()["name"])
	})
}

// Mass assignment, stored scripts, and what PostgreSQL cannot keep.
func TestUpdateUserRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		before := b.user()
		for _, tt := range []struct {
			body object
			code string
		}{
			{object{}, "NO_FIELDS_TO_UPDATE"},
			{object{"phone": "1"}, "NO_FIELDS_TO_UPDATE"},
			{object{"Name": "Eve", "ROLE": "admin"}, "NO_FIELDS_TO_UPDATE"},
			{object{"email": "eve@example.com"}, "EMAIL_CAN_NOT_BE_UPDATED"},
			{object{"name": "Eve", "role": "superadmin"}, "FIELD_NOT_ALLOWED"},
			{object{"name": "Eve", "emailVerified": true}, "FIELD_NOT_ALLOWED"},
			{object{"name": "Eve", "banned": false}, "FIELD_NOT_ALLOWED"},
			{object{"name": "Eve", "twoFactorEnabled": false}, "FIELD_NOT_ALLOWED"},
			{object{"name": ""}, "VALIDATION_ERROR"},
			{object{"name": 7}, "VALIDATION_ERROR"},
			{object{"name": "a\x00b"}, "VALIDATION_ERROR"},
			{object{"image": 7}, "VALIDATION_ERROR"},
			{object{"image": "javascript:alert(1)"}, "VALIDATION_ERROR"},
			{object{"image": "https://example.com/\x00"}, "VALIDATION_ERROR"},
			{object{"image": "https://user:pw@example.com/"}, "VALIDATION_ERROR"},
			{object{"image": "https://example.com/" + strings.Repeat("a", 2048)}, "VALIDATION_ERROR"},
			{object{"image": `https://example.com/"onerror=alert(1)`}, "VALIDATION_ERROR"},
			{object{"image": "//example.com/a.png"}, "VALIDATION_ERROR"},
		} {
			b.post("update-user", tt.body).refused(http.StatusBadRequest, tt.code)
		}
		require.Equal(t, before, b.user(), "nothing changed")
	})
}

// Whoever knew the old password is out: every session, every grant, offline ones too. This browser gets a new session.
func TestChangePassword(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b, other := s.browser(), s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		other.signIn(email, password).ok()
		bound, offline := s.grants(other)
		secret, token := b.cookies[sessionCookie], b.get("get-session").json()["session"].(object)["id"]
		s.clock.Pass(time.Second)

		got := b.post("change-password", object{"currentPassword": password, "newPassword": "another password"}).ok().json()
		require.Equal(t, email, got["user"].(object)["email"])
		require.NotEqual(t, token, got["token"])
		require.NotEqual(t, secret, b.cookies[sessionCookie])
		require.True(t, b.signedIn())
		require.Equal(t, got["token"], b.get("get-session").json()["session"].(object)["id"])
		old := s.browser()
		old.cookies[sessionCookie] = secret
		require.False(t, old.signedIn(), "the session from before is over")
		require.False(t, other.signedIn())
		require.True(t, s.revoked(bound))
		require.True(t, s.revoked(offline))
		revocations, err := s.store.RevocationsSince(t.Context(), time.Time{})
		require.NoError(t, err)
		require.Contains(t, names(revocations), store.RevokedUser+" "+id)

		s.browser().signIn(email, password).refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		s.browser().signIn(email, "another password").ok()
		trail, err := s.store.AuditTrail(t.Context(), "user", id, 10)
		require.NoError(t, err)
		require.Equal(t, "user.change_password", trail[0].Action)
		require.Equal(t, id, trail[0].ActorID)
	})
}

func names(revocations []store.Revocation) (list []string) {
	for _, r := range revocations {
		list = append(list, r.Kind+" "+r.ID)
	}
	return list
}

func TestChangePasswordRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b, other := s.browser(), s.browser()
		b.signUp(email)
		other.signIn(email, password).ok()
		for _, tt := range []struct {
			current, next, code string
		}{
			{"not the password", "another password", "INVALID_PASSWORD"},
			{"", "another password", "INVALID_PASSWORD"},
			{strings.Repeat("a", 1000), "another password", "INVALID_PASSWORD"},
			{password, "short", "PASSWORD_TOO_SHORT"},
			{password, strings.Repeat("a", 129), "PASSWORD_TOO_LONG"},
		} {
			b.post("change-password", object{"currentPassword": tt.current, "newPassword": tt.next}).refused(http.StatusBadRequest, tt.code)
		}
		require.True(t, other.signedIn())
		s.browser().signIn(email, password).ok()
	})
}

// Two changes at once, both knowing the old password: one wins, and the other is told that its password is no longer right.
func TestParallelPasswordChanges(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		one, two := s.browser(), s.browser()
		one.signUp(email)
		two.signIn(email, password).ok()
		results := make(chan response, 2)
		for i, b := range []*browser{one, two} {
			next := []string{"the first password", "the second password"}[i]
			go func() { results <- b.post("change-password", object{"currentPassword": password, "newPassword": next}) }()
		}
		statuses := map[int]int{}
		for range 2 {
			statuses[(<-results).Code]++
		}
		require.Equal(t, 1, statuses[http.StatusOK], statuses)
		require.Equal(t, 1, statuses[http.StatusBadRequest]+statuses[http.StatusUnauthorized], statuses)
		require.NotEqual(t, s.browser().signIn(email, "the first password").Code, s.browser().signIn(email, "the second password").Code)
	})
}

func TestVerifyPassword(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		for range 3 {
			for range 4 {
				b.post("verify-password", object{"password": "not the password"}).refused(http.StatusBadRequest, "INVALID_PASSWORD")
			}
			require.Equal(t, object{"status": true}, b.post("verify-password", object{"password": password}).ok().json())
		}
	})
}

// Deleting wants the password, or a sign-in a moment ago: a browser left open is not enough.
func TestDeleteUser(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b, other := s.browser(), s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		other.signIn(email, password).ok()
		bound, offline := s.grants(other)
		s.clock.Pass(6 * time.Minute)
		b.post("delete-user", "{}").refused(http.StatusBadRequest, "SESSION_EXPIRED")
		b.post("delete-user", object{"password": "not the password"}).refused(http.StatusBadRequest, "INVALID_PASSWORD")
		require.True(t, b.signedIn())

		require.Equal(t, object{"success": true, "message": "User deleted"}, b.post("delete-user", object{"password": password}).ok().json())
		require.Empty(t, b.cookies[sessionCookie])
		require.False(t, b.signedIn())
		require.False(t, other.signedIn())
		_, err := s.store.UserByID(t.Context(), id)
		require.ErrorIs(t, err, store.ErrNotFound)
		for _, grant := range []string{bound, offline} {
			_, err := s.store.GrantByID(t.Context(), grant)
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		revocations, err := s.store.RevocationsSince(t.Context(), time.Time{})
		require.NoError(t, err)
		require.Contains(t, names(revocations), store.RevokedUser+" "+id, "access tokens die, too")
		trail, err := s.store.AuditTrail(t.Context(), "user", id, 10)
		require.NoError(t, err)
		require.Equal(t, "user.delete", trail[0].Action)

		fresh := s.browser()
		fresh.signUp(email)
		s.clock.Pass(4 * time.Minute)
		fresh.do(fresh.request(http.MethodPost, "delete-user", "", nil)).ok()
		require.False(t, fresh.signedIn())
	})
}

func TestTheLastSuperadminCannotLeave(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		require.NoError(t, s.svc.SetRole(t.Context(), system, id, store.RoleSuperadmin))
		b.signIn(email, password).ok()
		bound, _ := s.grants(b)
		b.post("delete-user", object{"password": password}).refused(http.StatusConflict, "LAST_SUPERADMIN")
		require.True(t, b.signedIn())
		require.False(t, s.revoked(bound), "nothing happened")
	})
}

func TestStatementsOfPasswordAndProfile(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		trace := func(path, body string) []string {
			ctx, calls := storetest.Trace(t.Context())
			b.do(b.request(http.MethodPost, path, "application/json", strings.NewReader(body)).WithContext(ctx)).ok()
			return calls.List()
		}
		require.Equal(t, []string{"R sessions", "BEGIN", "W users", "W audit_events", "COMMIT"}, trace("update-user", `{"name":"Ada"}`))
		require.Equal(t, []string{"R sessions", "W sign_in_throttles", "W sign_in_throttles"}, trace("verify-password", `{"password":"`+password+`"}`))
		require.Equal(t, []string{
			"R sessions", "W sign_in_throttles", "BEGIN", "W users", "W sign_in_throttles", "W sessions", "W grants", "W revocations",
			"W audit_events", "W sessions", "W sessions", "W sessions", "W audit_events", "COMMIT",
		}, trace("change-password", `{"currentPassword":"`+password+`","newPassword":"another password"}`))
	})
}
