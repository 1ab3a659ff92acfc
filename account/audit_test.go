package account_test

import (
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// Everything that people do to their accounts is in the audit log, and no field of it could hold a secret.
func TestWritesAreAudited(t *testing.T) {
	telling := regexp.MustCompile(`(?i)secret|password|hash|token|cookie|private|seed`)
	onEach(t, func(t *testing.T, s *server) {
		b, other := s.browser(), s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		b.post("update-user", object{"name": "Ada L.", "image": "https://ada.example/a.png"}).ok()
		b.post("change-password", object{"currentPassword": password, "newPassword": "the new password"}).ok()
		there := other.signIn(email, "the new password").ok().json()["token"]
		b.post("revoke-session", object{"token": there}).ok()
		other.signIn(email, "the new password").ok()
		b.post("revoke-other-sessions", object{}).ok()
		for tries := 0; ; tries++ {
			require.Less(t, tries, 10)
			if s.browser().signIn(email, "a wrong password").Code == http.StatusTooManyRequests {
				break
			}
		}
		b.post("sign-out", object{}).ok()
		for _, role := range []string{store.RoleAdmin, store.RoleUser} {
			require.NoError(t, s.svc.SetRole(t.Context(), system, id, role))
		}
		require.NoError(t, s.svc.Disable(t.Context(), system, id, "because", nil))
		require.NoError(t, s.svc.Enable(t.Context(), system, id))
		s.clock.Pass(time.Hour)
		b.signIn(email, "the new password").ok()
		b.post("delete-user", object{"password": "the new password"}).ok()

		page, err := s.store.AuditEvents(t.Context(), store.AuditQuery{Paging: store.Paging{Limit: 100}})
		require.NoError(t, err)
		slices.Reverse(page.Items)
		var actions []string
		for _, e := range page.Items {
			actions = append(actions, e.Action)
			for field := range e.Changes {
				assert.NotRegexp(t, telling, field, e.Action)
			}
			if e.ActorType != store.ActorSystem {
				assert.Equal(t, "192.0.2.1", e.IP, e.Action)
				assert.Equal(t, "Test/1.0", e.UserAgent, e.Action)
			}
			assert.Empty(t, e.ActorEmail, "who is deleted leaves no address here")
		}
		assert.Equal(t, []string{
			"user.create", "session.create", "user.update", "user.change_password", "session.create", // the last one is this browser's new session
			"session.create", "session.end", "session.create", "session.end_all", "sign_in.throttle", "session.end",
			"user.set_role", "user.set_role", "user.disable", "user.enable", "session.create", "user.delete",
		}, actions)
	})
}
