package oauth_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// entitled gives the CRM roles and plans, and Ada some of them.
func (w *organized) entitled() {
	app := w.client.ApplicationID
	w.role(app, "viewer", true, "invoice:read")
	w.role(app, "editor", false, "invoice:read", "invoice:write")
	w.role(app, "accountant", false, "invoice:pay")
	w.give(store.Assignee{UserID: w.person.ID, ApplicationID: app}, "accountant")
	w.give(store.Assignee{UserID: w.person.ID, ApplicationID: app, OrganizationID: w.acme.ID}, "editor")
	w.plan(app, "free", true, `{"seats":1}`)
	w.plan(app, "pro", false, `{"api_calls":10000.5,"export":true,"seats":10,"theme":"dark","storage":null}`)
	w.subscribe(app, "pro", "", w.acme.ID)
	// Another application's are never said here.
	other := w.machine.ApplicationID
	w.role(other, "root", true, "everything")
	w.plan(other, "gold", true, `{"secret":true}`)
}

func (w *world) role(applicationID, key string, isDefault bool, permissions ...string) {
	w.Helper()
	for _, key := range permissions {
		if known, err := w.store.KnownPermissions(w.Context(), applicationID, []string{key}); err != nil || len(known) == 0 {
			require.NoError(w, w.store.CreatePermission(w.Context(), &store.Permission{ApplicationID: applicationID, Key: key, Name: key}))
		}
	}
	require.NoError(w, w.store.CreateRole(w.Context(), &store.Role{ApplicationID: applicationID, Key: key, Name: key, IsDefault: isDefault, Permissions: permissions}))
}

func (w *world) give(to store.Assignee, keys ...string) {
	w.Helper()
	roles, err := w.store.RolesByKey(w.Context(), to.ApplicationID, keys)
	require.NoError(w, err)
	require.Len(w, roles, len(keys))
	_, err = w.store.SetUserRoles(w.Context(), to, roles)
	require.NoError(w, err)
}

func (w *world) plan(applicationID, key string, isDefault bool, features string) {
	w.Helper()
	var values map[string]json.RawMessage
	require.NoError(w, json.Unmarshal([]byte(features), &values))
	p := &store.Plan{ApplicationID: applicationID, Key: key, Name: key, IsDefault: isDefault, Active: true}
	for key, value := range values {
		p.Features = append(p.Features, store.Feature{Key: key, Type: store.FeatureLimit, Value: value})
	}
	require.NoError(w, w.store.CreatePlan(w.Context(), p))
}

func (w *world) subscribe(applicationID, key, userID, organizationID string) {
	w.Helper()
	p, err := w.store.PlanByKey(w.Context(), applicationID, key)
	require.NoError(w, err)
	s := &store.Subscription{ApplicationID: applicationID, PlanID: p.ID, StartsAt: w.clock.now().UTC()}
	if s.UserID = &userID; organizationID != "" {
		s.UserID, s.OrganizationID = nil, &organizationID
	}
	require.NoError(w, w.store.SaveSubscription(w.Context(), s))
}

// The claims are exactly those of the contract, in every place that has them.
func TestEntitlementClaims(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		w.entitled()
		got := w.tokens(w.signedIn(w.person), "acme", "nonce", "")
		w.goldenEntitled("access_token_entitled", got.Access)
		w.goldenEntitled("id_token_entitled", got.ID, "at_hash")
		info := w.userinfo(got.Access)
		known := map[string]string{w.person.ID: "user", w.acme.ID: "organization"}
		w.goldenBody("userinfo_entitled", info, known)

		access := w.claims(got.Access)
		for _, source := range []map[string]any{w.claims(got.ID), info.json(), w.inspect(w.client, got.Access).json()} {
			for _, claim := range []string{"roles", "permissions", "plan", "features", "org_id", "org_slug", "org_role"} {
				require.Equal(w, access[claim], source[claim], claim)
			}
		}
	})
}

// goldenEntitled is goldenToken for a token of Acme.
func (w *organized) goldenEntitled(name, token string, random ...string) {
	w.Helper()
	require.Equal(w, w.acme.ID, w.claims(token)["org_id"])
	w.goldenToken(name, token, append(random, "org_id")...)
}

// In the ID token and userinfo by scope, or by name (OIDC Core §5.5); in the access token always.
func TestEntitlementClaimsByScope(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		w.entitled()
		b := w.signedIn(w.person)
		in := func(claims map[string]any) (out []string) {
			for _, claim := range []string{"roles", "permissions", "plan", "features", "org_id"} {
				if _, there := claims[claim]; there {
					out = append(out, claim)
				}
			}
			return out
		}
		for _, tt := range []struct {
			scope, claims string
			id, info      []string
		}{
			{"openid", "", nil, nil},
			{"openid roles", "", []string{"roles", "permissions"}, []string{"roles", "permissions"}},
			{"openid plan", "", []string{"plan", "features"}, []string{"plan", "features"}},
			{"openid", `{"id_token":{"roles":null},"userinfo":{"plan":null}}`, []string{"roles"}, []string{"plan"}},
			// Only the scope binds an organization: naming the claim must not get around the choice.
			{"openid", `{"id_token":{"org_id":null},"userinfo":{"org_id":{"essential":true}}}`, nil, nil},
		} {
			got := b.tokens(w.client, "scope", tt.scope, "claims", tt.claims)
			require.Equal(w, tt.id, in(w.claims(got.ID)), "%s %s", tt.scope, tt.claims)
			require.Equal(w, tt.info, in(w.userinfo(got.Access).json()), "%s %s", tt.scope, tt.claims)
			access := w.claims(got.Access)
			require.Equal(w, []string{"roles", "permissions", "plan", "features"}, in(access))
			require.Equal(w, []any{"accountant", "viewer"}, access["roles"], "without an organization, without its roles")
			require.Equal(w, "free", access["plan"])
		}
	})
}

// A change shows in the next token, and at userinfo at once.
func TestEntitlementChangesShow(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		w.entitled()
		b := w.signedIn(w.person)
		got := w.tokens(b, "acme")
		expect := func(claim string, want any) {
			w.Helper()
			require.Equal(w, want, w.userinfo(got.Access).json()[claim])
			got = w.refresh(w.client, got.Refresh).tokens()
			require.Equal(w, want, w.claims(got.Access)[claim])
			require.Equal(w, want, w.claims(got.ID)[claim])
			require.Equal(w, want, w.claims(w.tokens(b, "acme").Access)[claim])
		}
		app := w.client.ApplicationID
		w.give(store.Assignee{UserID: w.person.ID, ApplicationID: app, OrganizationID: w.acme.ID})
		expect("roles", []any{"accountant", "viewer"})
		editor, err := w.store.RoleByKey(w.Context(), app, "viewer")
		require.NoError(w, err)
		was := *editor
		editor.Permissions = []string{"invoice:write"}
		require.NoError(w, w.store.UpdateRole(w.Context(), &was, editor))
		expect("permissions", []any{"invoice:pay", "invoice:write"})
		w.clock.forward(time.Second)
		w.subscribe(app, "free", "", w.acme.ID)
		expect("plan", "free")
		expect("features", map[string]any{"seats": 1.0})
		m, err := w.store.MemberOf(w.Context(), w.acme.ID, w.person.ID)
		require.NoError(w, err)
		require.NoError(w, w.store.SetMemberRole(w.Context(), m, store.MemberOwner))
		expect("org_role", "owner")
		renamed, err := w.store.OrganizationByRef(w.Context(), "acme")
		require.NoError(w, err)
		renamed.Slug = "acme-2"
		require.NoError(w, w.store.UpdateOrganization(w.Context(), renamed))
		require.Equal(w, "acme-2", w.claims(w.refresh(w.client, got.Refresh).tokens().Access)["org_slug"])
	})
}

// A token travels in a header, for which servers have limits: past 4 KiB it leaves the permissions out and says so, and userinfo
// has them all.
func TestTooManyPermissionsForAToken(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		app := w.client.ApplicationID
		// "viewer", is 9 bytes; each permission is 67.
		var many []string
		for i := range 61 {
			many = append(many, fmt.Sprintf("p%03d", i)+strings.Repeat("x", 60))
		}
		w.role(app, "viewer", true, many[:61]...) // 61 × 67 + 9 = 4096
		b := w.signedIn(w.person)
		got := w.tokens(b, "acme")
		for _, claims := range []map[string]any{w.claims(got.Access), w.claims(got.ID)} {
			require.Len(w, claims["permissions"], 61)
			require.NotContains(w, claims, "permissions_truncated")
		}
		w.role(app, "x", true, "y")
		got = w.tokens(b, "acme")
		for _, claims := range []map[string]any{w.claims(got.Access), w.claims(got.ID), w.inspect(w.client, got.Access).json()} {
			require.NotContains(w, claims, "permissions")
			require.Equal(w, true, claims["permissions_truncated"])
			require.Equal(w, []any{"viewer", "x"}, claims["roles"])
		}
		info := w.userinfo(got.Access).json()
		require.Len(w, info["permissions"], 62)
		require.NotContains(w, info, "permissions_truncated")
		require.NotContains(w, w.claims(b.tokens(w.client, "scope", "openid").ID), "permissions_truncated", "not without the scope")
	})
}

// A client that acts for itself has the roles that it was given, and no others: default roles and plans are people's.
func TestServiceRoles(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		app := w.machine.ApplicationID
		w.role(app, "everybody", true, "invoice:read")
		w.role(app, "collector", false, "invoice:read", "invoice:collect")
		w.plan(app, "free", true, `{"seats":1}`)
		machine := func() map[string]any {
			return w.claims(w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens().Access)
		}
		before := machine()
		require.Equal(w, []any{[]any{}, []any{}}, []any{before["roles"], before["permissions"]})
		roles, err := w.store.RolesByKey(w.Context(), app, []string{"collector"})
		require.NoError(w, err)
		_, err = w.store.SetClientRoles(w.Context(), w.machine.ID, roles)
		require.NoError(w, err)
		after := machine()
		require.Equal(w, []any{"collector"}, after["roles"], "the write cleared the cache")
		require.Equal(w, []any{"invoice:collect", "invoice:read"}, after["permissions"])
		require.NotContains(w, after, "plan")
		require.NotContains(w, after, "org_id")
		role, err := w.store.RoleByKey(w.Context(), app, "collector")
		require.NoError(w, err)
		was := *role
		role.Permissions = []string{"invoice:read"}
		require.NoError(w, w.store.UpdateRole(w.Context(), &was, role))
		require.Equal(w, []any{"invoice:read"}, machine()["permissions"], "a role's change did, too")
		require.NoError(w, w.store.DeleteRole(w.Context(), role))
		require.Equal(w, []any{}, machine()["roles"])
	})
}

// However many roles somebody holds, what they may do costs no further statement.
func TestStoreCallsWithManyRoles(t *testing.T) {
	traced(t, func(plain *world, calls func() []string) {
		w := plain.organized()
		w.entitled()
		var keys []string
		for i := range 60 {
			keys = append(keys, fmt.Sprintf("role-%d", i))
			w.role(w.client.ApplicationID, keys[i], false, fmt.Sprintf("permission-%d", i))
		}
		w.give(store.Assignee{UserID: w.person.ID, ApplicationID: w.client.ApplicationID}, keys...)
		b := w.signedIn(w.person)
		w.redeem(w.client, b.code(w.client)).tokens() // client and policy are kept from now on
		code := b.code(w.client, "scope", orgScopes, "organization", "acme")
		calls()
		first := w.redeem(w.client, code).tokens()
		require.Len(w, w.claims(first.Access)["roles"], 62)
		require.Equal(w, []string{"R authorization_codes", "BEGIN", "W authorization_codes", "W grants", "COMMIT"}, calls())
		w.refresh(w.client, first.Refresh).tokens()
		require.Equal(w, []string{"R grants", "W grants"}, calls())
		w.userinfo(first.Access)
		require.Equal(w, []string{"R grants"}, calls())
	})
}

// What a client may no longer ask for it no longer gets, by scope or by the name of a claim, with tokens that it has.
func TestClaimsOfAScopeThatWasTakenAway(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		w.entitled()
		got := w.signedIn(w.person).tokens(w.client, "scope", "openid email roles", "claims", `{"id_token":{"plan":null,"picture":null},"userinfo":{"plan":null}}`)
		require.Contains(w, w.claims(got.ID), "plan")
		require.Contains(w, w.userinfo(got.Access).json(), "roles")
		w.client.Scopes = []string{"openid", "email"}
		require.NoError(w, w.store.UpdateClient(w.Context(), w.client))
		info, id := w.userinfo(got.Access).json(), w.claims(w.refresh(w.client, got.Refresh).tokens().ID)
		for _, claim := range []string{"plan", "roles", "picture"} {
			require.NotContains(w, info, claim)
			require.NotContains(w, id, claim)
		}
		require.Contains(w, info, "email")
	})
}
