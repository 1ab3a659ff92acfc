package account_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/problem"
	"auth-service/store"
)

func refusedWith(t *testing.T, err error, status int, code string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, problem.Of(err).Code)
	require.Equal(t, status, problem.Of(err).Status)
}

func (s *server) create(email, role string) *store.User {
	s.t.Helper()
	u, err := s.svc.CreateUser(s.t.Context(), system, account.NewUser{Email: email, Name: "N", Password: password, Role: role})
	require.NoError(s.t, err)
	return u
}

func by(u *store.User) store.Actor {
	return store.Actor{Type: store.ActorUser, ID: u.ID, Superadmin: u.Role == store.RoleSuperadmin}
}

func TestCreateUser(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		u, err := s.svc.CreateUser(t.Context(), system, account.NewUser{
			Email: "Root@localhost", Name: "Root", Password: password, Role: store.RoleSuperadmin, EmailVerified: true,
		})
		require.NoError(t, err)
		b := s.browser()
		b.signIn("root@localhost", password).ok()
		require.Equal(t, store.RoleSuperadmin, b.user()["role"])
		require.Equal(t, true, b.user()["emailVerified"])
		trail, err := s.store.AuditTrail(t.Context(), "user", u.ID, 10)
		require.NoError(t, err)
		require.Equal(t, "user.create", trail[0].Action)
		require.Equal(t, store.ActorSystem, trail[0].ActorType)
		require.Equal(t, store.RoleSuperadmin, trail[0].Changes["role"].After)

		_, err = s.svc.CreateUser(t.Context(), system, account.NewUser{Email: "root@LOCALHOST", Name: "Root", Password: password})
		refusedWith(t, err, http.StatusUnprocessableEntity, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")
		_, err = s.svc.CreateUser(t.Context(), system, account.NewUser{Email: "x@example.com", Name: "X", Password: password, Role: "root"})
		refusedWith(t, err, http.StatusBadRequest, "INVALID_ROLE")
		_, err = s.svc.CreateUser(t.Context(), system, account.NewUser{Email: "x@example.com", Name: "X", Password: "short"})
		refusedWith(t, err, http.StatusBadRequest, "PASSWORD_TOO_SHORT")
	})
}

// An internationalized domain and its ASCII form are one address, and so one account.
func TestAddressesAreOneInAllSpellings(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		require.Equal(t, "ada@xn--bcher-kva.example", s.create("ADA@B\u00fccher.example", "").Email)
		for _, same := range []string{"ada@xn--bcher-kva.example", "ada@BU\u0308CHER.example"} {
			_, err := s.svc.CreateUser(t.Context(), system, account.NewUser{Email: same, Name: "N", Password: password})
			refusedWith(t, err, http.StatusUnprocessableEntity, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")
		}
	})
}

// Privilege escalation: the rungs above user are a superadmin's to give and to take, and an administrator's not.
func TestTheLadder(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		root, admin := s.create("root@example.com", store.RoleSuperadmin), s.create("admin@example.com", store.RoleAdmin)
		user, second := s.create("user@example.com", ""), s.create("second@example.com", store.RoleAdmin)
		for _, tt := range []struct {
			actor  *store.User
			target *store.User
			role   string
		}{
			{admin, admin, store.RoleSuperadmin}, {admin, user, store.RoleAdmin}, {admin, second, store.RoleUser},
			{admin, root, store.RoleUser}, {user, user, store.RoleAdmin},
		} {
			refusedWith(t, s.svc.SetRole(ctx, by(tt.actor), tt.target.ID, tt.role), http.StatusForbidden, "SUPERADMIN_REQUIRED")
		}
		_, err := s.svc.CreateUser(ctx, by(admin), account.NewUser{Email: "x@example.com", Name: "X", Password: password, Role: store.RoleAdmin})
		refusedWith(t, err, http.StatusForbidden, "SUPERADMIN_REQUIRED")
		refusedWith(t, s.svc.Disable(ctx, by(admin), root.ID, "", nil), http.StatusForbidden, "SUPERADMIN_REQUIRED")
		refusedWith(t, s.svc.Enable(ctx, by(admin), second.ID), http.StatusForbidden, "SUPERADMIN_REQUIRED")
		refusedWith(t, s.svc.SetRole(ctx, by(root), user.ID, "owner"), http.StatusBadRequest, "INVALID_ROLE")
		refusedWith(t, s.svc.SetRole(ctx, by(root), "nobody", store.RoleAdmin), http.StatusNotFound, "NOT_FOUND")

		require.NoError(t, s.svc.SetRole(ctx, by(root), user.ID, store.RoleAdmin))
		require.NoError(t, s.svc.SetRole(ctx, by(root), second.ID, store.RoleUser))
		require.NoError(t, s.svc.Disable(ctx, by(admin), second.ID, "", nil))
		require.NoError(t, s.svc.Enable(ctx, by(admin), second.ID))
		for id, want := range map[string]string{root.ID: store.RoleSuperadmin, admin.ID: store.RoleAdmin, user.ID: store.RoleAdmin, second.ID: store.RoleUser} {
			u, err := s.store.UserByID(ctx, id)
			require.NoError(t, err)
			require.Equal(t, want, u.Role)
			require.False(t, u.Disabled(s.clock.Now()))
		}
	})
}

// What somebody holds was given to them in their old role, so it ends with it.
func TestRoleChangeSignsOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		bound, offline := s.grants(b)
		require.NoError(t, s.svc.SetRole(t.Context(), system, id, store.RoleUser))
		require.True(t, b.signedIn(), "no change")
		require.NoError(t, s.svc.SetRole(t.Context(), system, id, store.RoleAdmin))
		require.False(t, b.signedIn())
		require.True(t, s.revoked(bound))
		require.True(t, s.revoked(offline))
		trail, err := s.store.AuditTrail(t.Context(), "user", id, 1)
		require.NoError(t, err)
		require.Equal(t, store.Change{Before: "user", After: "admin"}, trail[0].Changes["role"])
	})
}

func TestDisableEndsEverything(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		bound, offline := s.grants(b)
		self := store.Actor{Type: store.ActorUser, ID: id, Superadmin: true}
		refusedWith(t, s.svc.Disable(t.Context(), self, id, "", nil), http.StatusConflict, "CANNOT_DISABLE_SELF")
		require.True(t, b.signedIn())
		require.NoError(t, s.svc.Disable(t.Context(), system, id, "left", nil))
		require.True(t, s.revoked(bound))
		require.True(t, s.revoked(offline))
		require.NoError(t, s.svc.Enable(t.Context(), system, id))
		require.False(t, b.signedIn(), "what ended stays ended")
		s.browser().signIn(email, password).ok()
	})
}

// Two superadmins who demote each other at the same moment: one stays.
func TestTwoSuperadminsDemoteEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		a, b := s.create("a@example.com", store.RoleSuperadmin), s.create("b@example.com", store.RoleSuperadmin)
		results := make(chan error, 2)
		for actor, target := range map[*store.User]*store.User{a: b, b: a} {
			go func() { results <- s.svc.SetRole(t.Context(), by(actor), target.ID, store.RoleUser) }()
		}
		one, two := <-results, <-results
		if one == nil {
			one, two = two, one
		}
		require.NoError(t, two)
		refusedWith(t, one, http.StatusConflict, "LAST_SUPERADMIN")
	})
}

func TestDisableUntil(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		root, other := s.create("root@example.com", store.RoleSuperadmin), s.create("other@example.com", store.RoleSuperadmin)
		until := s.clock.Now().Add(time.Hour)
		require.NoError(t, s.svc.Disable(t.Context(), by(root), other.ID, "holiday", &until))
		refusedWith(t, s.svc.SetRole(t.Context(), by(root), root.ID, store.RoleUser), http.StatusConflict, "LAST_SUPERADMIN")
		s.clock.Pass(time.Hour)
		require.NoError(t, s.svc.SetRole(t.Context(), by(root), root.ID, store.RoleUser), "the other is back")
	})
}
