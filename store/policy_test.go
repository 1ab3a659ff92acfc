package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// replicated runs test on two stores of one database of each engine: f's and another replica's.
func replicated(t *testing.T, test func(f *fixture, other *store.Store)) {
	run := func(url func(testing.TB) string) func(t *testing.T) {
		return func(t *testing.T) {
			f := &fixture{T: t}
			clock := func(o *store.Options) { o.Now = f.at }
			at := url(t)
			f.Store = storetest.Open(t, at, clock)
			f.ada, f.eve = person(t, f.Store, "ada@example.com", store.RoleUser), person(t, f.Store, "eve@example.com", store.RoleUser)
			f.crm = newApplication(t, f.Store, "crm", "crm-web")
			test(f, storetest.Open(t, at, clock))
		}
	}
	t.Run("sqlite", run(storetest.NewSQLiteURL))
	t.Run("postgres", run(storetest.NewPostgresURL))
}

// An attacker whose right was taken away must not keep it where another replica issues the next token: what is kept in memory
// of roles and plans counts only as long as the row that the token comes from says so.
func TestPolicyChangesOfAnotherReplica(t *testing.T) {
	replicated(t, func(f *fixture, other *store.Store) {
		editor := f.role(f.crm, "editor", false, "read", "write")
		f.assign(f.ada, "editor", "")
		grant := f.grantOf(f.ada, "crm-web", "")
		says := func(roles, permissions []string, plan string) {
			f.Helper()
			g, err := f.EntitledGrant(f.Context(), grant, store.Acting{ApplicationID: f.crm.ID})
			require.NoError(f, err)
			assert.Equal(f, roles, g.Entitlements.Roles)
			assert.Equal(f, permissions, g.Entitlements.Permissions)
			assert.Equal(f, plan, g.Entitlements.Plan+string(store.FeatureValues(g.Entitlements.Features)))
		}
		change := func(fn func(ctx context.Context) error) {
			f.Helper()
			require.NoError(f, other.Tx(f.Context(), fn))
		}
		says([]string{"editor"}, []string{"read", "write"}, "{}")

		less := *editor
		less.Permissions = []string{"read"}
		change(func(ctx context.Context) error { return other.UpdateRole(ctx, editor, &less) })
		says([]string{"editor"}, []string{"read"}, "{}")
		everybody := &store.Role{ApplicationID: f.crm.ID, Key: "everybody", IsDefault: true, Permissions: []string{"write"}}
		change(func(ctx context.Context) error { return other.CreateRole(ctx, everybody) })
		says([]string{"editor", "everybody"}, []string{"read", "write"}, "{}")
		write, err := other.PermissionByKey(f.Context(), f.crm.ID, "write")
		require.NoError(f, err)
		change(func(ctx context.Context) error { return other.DeletePermission(ctx, write) })
		says([]string{"editor", "everybody"}, []string{"read"}, "{}")
		change(func(ctx context.Context) error { return other.DeleteRole(ctx, editor) })
		says([]string{"everybody"}, []string{}, "{}")

		free := &store.Plan{ApplicationID: f.crm.ID, Key: "free", IsDefault: true, Active: true, Features: []store.Feature{feature("seats", "limit", "2")}}
		change(func(ctx context.Context) error { return other.CreatePlan(ctx, free) })
		says([]string{"everybody"}, []string{}, `free{"seats":2}`)
		free.Features = []store.Feature{feature("seats", "limit", "1")}
		change(func(ctx context.Context) error { return other.UpdatePlan(ctx, free) })
		says([]string{"everybody"}, []string{}, `free{"seats":1}`)
		change(func(ctx context.Context) error { return other.DeletePlan(ctx, free) })
		says([]string{"everybody"}, []string{}, "{}")

		rolledBack := errors.New("rolled back")
		require.ErrorIs(f, other.Tx(f.Context(), func(ctx context.Context) error {
			require.NoError(f, other.CreateRole(ctx, &store.Role{ApplicationID: f.crm.ID, Key: "never", IsDefault: true}))
			_, err := other.EntitledGrant(ctx, grant, store.Acting{ApplicationID: f.crm.ID}) // which keeps what is not committed
			require.NoError(f, err)
			return rolledBack
		}), rolledBack)
		g, err := other.EntitledGrant(f.Context(), grant, store.Acting{ApplicationID: f.crm.ID})
		require.NoError(f, err)
		require.Equal(f, []string{"everybody"}, g.Entitlements.Roles)
	})
}

// The roles that somebody holds and what these roles allow must be of one moment, or a token could say what never was true: that
// who lost one role and got another has the rights of both.
func TestPolicyChangesInBetween(t *testing.T) {
	replicated(t, func(f *fixture, other *store.Store) {
		f.role(f.crm, "old", false, "read")
		f.assign(f.ada, "old", "")
		grant := f.grantOf(f.ada, "crm-web", "")
		changed := false
		var seen []string
		ctx := store.Observe(f.Context(), func(call store.Call) {
			seen = append(seen, call.String())
			if call.Table != "grants" || changed { // that is, after the policy was read
				return
			}
			changed = true
			assert.NoError(f, other.Tx(f.Context(), func(ctx context.Context) error {
				role := &store.Role{ApplicationID: f.crm.ID, Key: "new", Permissions: []string{"read"}}
				if err := other.CreateRole(ctx, role); err != nil {
					return err
				}
				old, err := other.RoleByKey(ctx, f.crm.ID, "old")
				if err != nil {
					return err
				}
				if _, err := other.SetUserRoles(ctx, store.Assignee{UserID: f.ada.ID, ApplicationID: f.crm.ID}, []store.Role{*role}); err != nil {
					return err
				}
				return other.DeleteRole(ctx, old)
			}))
		})
		g, err := f.EntitledGrant(ctx, grant, store.Acting{ApplicationID: f.crm.ID})
		require.NoError(f, err)
		require.True(f, changed)
		require.Equal(f, []string{"new"}, g.Entitlements.Roles)
		require.Equal(f, []string{"R applications", "R grants", "R applications", "R grants"}, seen)
	})
}

// A token costs one statement, and two more after a change. What was written by hand is seen within a minute.
func TestPoliciesAreKept(t *testing.T) {
	installed(t, func(f *fixture) {
		f.role(f.crm, "everybody", true, "read")
		grant := f.grantOf(f.ada, "crm-web", "")
		costs := func() (calls, roles []string) {
			ctx, trace := storetest.Trace(f.Context())
			g, err := f.EntitledGrant(ctx, grant, store.Acting{ApplicationID: f.crm.ID})
			require.NoError(f, err)
			return trace.List(), g.Entitlements.Roles
		}
		calls, _ := costs()
		require.Equal(f, []string{"R applications", "R grants"}, calls)
		calls, _ = costs()
		require.Equal(f, []string{"R grants"}, calls)
		f.assign(f.ada, "everybody", "")
		calls, roles := costs()
		require.Equal(f, []string{"R grants"}, calls, "what people have is read each time")
		require.Equal(f, []string{"everybody"}, roles)
		f.role(f.crm, "more", true)
		calls, _ = costs()
		require.Equal(f, []string{"R grants", "R applications", "R grants"}, calls)

		exec(f.T, f.Store, "DELETE FROM roles WHERE key = 'more'")
		f.forward(time.Minute - time.Microsecond)
		_, roles = costs()
		require.Equal(f, []string{"everybody", "more"}, roles)
		f.forward(time.Microsecond)
		_, roles = costs()
		require.Equal(f, []string{"everybody"}, roles)
	})
}

func TestKeptPoliciesAreBounded(t *testing.T) {
	require.Equal(t, 7, store.KeptPolicies(7))
	require.Equal(t, 1000, store.KeptPolicies(1001))
}

// A role of more permissions than fit a word, and the order of keys, which is by bytes.
func TestPolicyOfManyPermissions(t *testing.T) {
	installed(t, func(f *fixture) {
		var all []string
		for i := range 130 {
			all = append(all, fmt.Sprintf("p%03d", i))
		}
		f.role(f.crm, "z", false, append([]string{"p_9", "p.9"}, all[:70]...)...)
		f.role(f.crm, "a", false, all[60:]...)
		f.assign(f.ada, "z", "")
		f.assign(f.ada, "a", "")
		g, err := f.EntitledGrant(f.Context(), f.grantOf(f.ada, "crm-web", ""), store.Acting{ApplicationID: f.crm.ID})
		require.NoError(f, err)
		require.Equal(f, []string{"a", "z"}, g.Entitlements.Roles)
		require.Equal(f, append(append([]string{"p.9"}, all...), "p_9"), g.Entitlements.Permissions)
	})
}
