package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func TestRoleIsReadBackAsWritten(t *testing.T) {
	installed(t, func(f *fixture) {
		f.role(f.hr, "editor", false, "read", "secret")
		r := f.role(f.crm, "editor", false, "read", "write")
		got, err := f.RoleByKey(f.Context(), f.crm.ID, "editor")
		require.NoError(f, err)
		require.Equal(f, r, got)
		require.ErrorIs(f, f.CreateRole(f.Context(), &store.Role{ApplicationID: f.crm.ID, Key: "editor"}), store.ErrConflict)
		require.ErrorIs(f, f.CreatePermission(f.Context(), &store.Permission{ApplicationID: f.crm.ID, Key: "read"}), store.ErrConflict)

		// A permission of another application's stays there, whatever the caller asks for.
		next := *r
		next.Permissions = []string{"write", "secret"}
		require.NoError(f, f.UpdateRole(f.Context(), r, &next))
		got, err = f.RoleByKey(f.Context(), f.crm.ID, "editor")
		require.NoError(f, err)
		require.Equal(f, []string{"write"}, got.Permissions)

		require.NoError(f, f.DeleteRole(f.Context(), r))
		require.ErrorIs(f, f.DeleteRole(f.Context(), r), store.ErrNotFound)
		require.ErrorIs(f, f.UpdateRole(f.Context(), r, r), store.ErrNotFound)
		_, err = f.RoleByKey(f.Context(), f.crm.ID, "editor")
		require.ErrorIs(f, err, store.ErrNotFound)
		_, err = f.RoleByKey(f.Context(), f.hr.ID, "editor")
		require.NoError(f, err)
	})
}

// What a person holds in one application, or in one organization, says nothing about another.
func TestHeldRolesAreOfOnePlace(t *testing.T) {
	installed(t, func(f *fixture) {
		ctx := f.Context()
		organizations := map[string]string{"": ""}
		for _, slug := range []string{"acme", "umbrella"} {
			o := f.organization(slug)
			f.join(o, f.ada, store.MemberPlain)
			organizations[slug] = o.ID
		}
		give := func(u *store.User, a *store.Application, organization string, keys ...string) []string {
			roles, err := f.RolesByKey(ctx, a.ID, keys)
			require.NoError(f, err)
			was, err := f.SetUserRoles(ctx, store.Assignee{UserID: u.ID, ApplicationID: a.ID, OrganizationID: organizations[organization]}, roles)
			require.NoError(f, err)
			return was
		}
		held := func(u *store.User, a *store.Application, organization string) store.HeldRoles {
			h, err := f.UserRoles(ctx, store.Assignee{UserID: u.ID, ApplicationID: a.ID, OrganizationID: organizations[organization]})
			require.NoError(f, err)
			return *h
		}
		f.role(f.crm, "editor", false, "write", "read")
		f.role(f.crm, "buyer", false, "pay", "read")
		f.role(f.hr, "editor", false, "hire")
		require.Empty(f, give(f.ada, f.crm, "", "editor"))
		require.Empty(f, give(f.ada, f.crm, "acme", "buyer", "editor"))
		require.Equal(f, []string{"buyer", "editor"}, give(f.ada, f.crm, "acme", "buyer"))
		require.Empty(f, give(f.eve, f.hr, "", "editor"))

		none := []string{}
		require.Equal(f, store.HeldRoles{[]string{"editor"}, none, []string{"editor"}, []string{"read", "write"}}, held(f.ada, f.crm, ""))
		require.Equal(f, store.HeldRoles{[]string{"buyer"}, []string{"editor"}, []string{"buyer", "editor"}, []string{"pay", "read", "write"}}, held(f.ada, f.crm, "acme"))
		require.Equal(f, store.HeldRoles{none, []string{"editor"}, []string{"editor"}, []string{"read", "write"}}, held(f.ada, f.crm, "umbrella"))
		require.Equal(f, store.HeldRoles{none, none, none, none}, held(f.ada, f.hr, ""))
		require.Equal(f, store.HeldRoles{none, none, none, none}, held(f.eve, f.crm, ""))
		require.Equal(f, []string{"hire"}, held(f.eve, f.hr, "").Permissions)

		clerk := f.role(f.hr, "clerk", true)
		require.Equal(f, store.HeldRoles{[]string{"editor"}, []string{"clerk"}, []string{"clerk", "editor"}, []string{"hire"}}, held(f.eve, f.hr, ""))
		require.Empty(f, held(f.eve, f.crm, "").Inherited)

		require.NoError(f, f.DeleteUser(ctx, f.ada.ID, noon))
		n, err := f.CountRoleHolders(ctx, clerk.ID, 10)
		require.NoError(f, err)
		require.Equal(f, store.RoleHolders{}, n)
	})
}

func TestCountRoleHoldersStopsAtLimit(t *testing.T) {
	installed(t, func(f *fixture) {
		r := f.role(f.crm, "editor", false)
		for i := range 5 {
			u := person(f.T, f.Store, fmt.Sprintf("%d@example.com", i), store.RoleUser)
			_, err := f.SetUserRoles(f.Context(), store.Assignee{UserID: u.ID, ApplicationID: f.crm.ID}, []store.Role{*r})
			require.NoError(f, err)
		}
		_, err := f.SetClientRoles(f.Context(), "crm-web", []store.Role{*r})
		require.NoError(f, err)
		for limit, want := range map[int]store.RoleHolders{10: {Assignments: 5, Clients: 1}, 3: {Assignments: 3, Clients: 1}} {
			got, err := f.CountRoleHolders(f.Context(), r.ID, limit)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
	})
}

// fillRoles inserts what takes the planner of PostgreSQL to an index: applications with permissions and roles each, and roles
// of every person.
func (f *fixture) fillRoles() {
	f.Helper()
	var applications []store.Application
	var permissions []store.Permission
	var roles []store.Role
	for i := range 60 {
		id := fmt.Sprintf("application-%d", i)
		applications = append(applications, store.Application{ID: id, Slug: id, CreatedAt: noon, UpdatedAt: noon})
		for j := range 50 {
			key := fmt.Sprintf("k%02d", j)
			permissions = append(permissions, store.Permission{ID: id + key, ApplicationID: id, Key: key, Name: key, CreatedAt: noon, UpdatedAt: noon})
			roles = append(roles, store.Role{ID: id + key, ApplicationID: id, Key: key, Name: key, IsDefault: j == 0, CreatedAt: noon, UpdatedAt: noon})
		}
	}
	var assignments []store.RoleAssignment
	for i := range planRows {
		r := roles[i%len(roles)]
		assignments = append(assignments, store.RoleAssignment{ID: fmt.Sprint(i), ApplicationID: r.ApplicationID, RoleID: r.ID, UserID: fmt.Sprintf("%06d", i), CreatedAt: noon})
	}
	for _, rows := range []any{applications, permissions, roles, assignments} {
		require.NoError(f, f.DB(f.Context()).CreateInBatches(rows, 500).Error)
	}
	exec(f.T, f.Store, "INSERT INTO role_permissions (role_id, permission_id) SELECT roles.id, permissions.id FROM roles JOIN permissions ON permissions.application_id = roles.application_id WHERE permissions.key < 'k10'")
	exec(f.T, f.Store, "INSERT INTO client_roles (client_id, role_id) SELECT clients.id, roles.id FROM clients, roles WHERE roles.application_id = 'application-7'")
	if f.Dialect() == "postgres" {
		exec(f.T, f.Store, "ANALYZE")
	}
}

// Lists, and what a person or a client holds, cost the same however many applications, roles and people there are.
func TestRoleStatementsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		f.fillRoles()
		const application = "application-7"
		list := func(q store.KeyQuery) store.KeyQuery {
			q.ApplicationID, q.Limit, q.CountTo = application, 50, 10_000
			return q
		}
		permissions := func(q store.KeyQuery) func(ctx context.Context) error {
			return func(ctx context.Context) error { _, err := f.Permissions(ctx, list(q)); return err }
		}
		after := store.Paging{After: &store.Position{Value: "k", ID: "x"}}
		byKey, byName := after, after
		byKey.Sort, byName.Sort = store.ByKey, store.ByName
		const first, next = "'application-7', 10001, 'application-7', 51", "'application-7', 10001, 'application-7', 'k', 'x', 51"
		for _, tt := range []struct {
			name      string
			run       func(ctx context.Context) error
			statement int
			index     string
			tables    string // of which not all is read
			args      string // PostgreSQL's
		}{
			{"permissions", permissions(store.KeyQuery{}), 0, "permissions_key", "permissions", first},
			{"permissions by key", permissions(store.KeyQuery{Paging: byKey}), 0, "permissions_key", "permissions", next},
			{"permissions by name", permissions(store.KeyQuery{Paging: byName}), 0, "permissions_key", "permissions", next},
			{"search", permissions(store.KeyQuery{Search: "k1"}), 0, "permissions_key", "permissions",
				"'application-7', 'k1%', '%k1%', '%k1%', 10001, 'application-7', 'k1%', '%k1%', '%k1%', 51"},
			{"roles", func(ctx context.Context) error {
				_, err := f.Roles(ctx, list(store.KeyQuery{}))
				return err
			}, 0, "roles_key", "roles", first},
			{"permissions of roles", func(ctx context.Context) error {
				_, err := f.Roles(ctx, list(store.KeyQuery{}))
				return err
			}, 1, "role_permissions key", "role_permissions", ""},
			{"one permission", func(ctx context.Context) error {
				_, err := f.PermissionByKey(ctx, application, "k07")
				return err
			}, 0, "permissions_key", "permissions", ""},
			{"known permissions", func(ctx context.Context) error {
				_, err := f.KnownPermissions(ctx, application, []string{"k07", "k08"})
				return err
			}, 0, "permissions_key", "permissions", ""},
			{"roles with a permission", func(ctx context.Context) error {
				_, err := f.RolesWithPermission(ctx, application+"k07")
				return err
			}, 0, "role_permissions_permission_id", "role_permissions", ""},
			{"roles of a person", func(ctx context.Context) error {
				_, err := f.UserRoles(ctx, store.Assignee{UserID: "000007", ApplicationID: application})
				return err
			}, 0, "role_assignments_", "role_assignments|roles", ""},
			{"permissions of a person", func(ctx context.Context) error {
				_, err := f.UserRoles(ctx, store.Assignee{UserID: "000007", ApplicationID: application})
				return err
			}, 1, "role_permissions key", "role_permissions", ""},
			{"set roles of a person", func(ctx context.Context) error {
				_, err := f.SetUserRoles(ctx, store.Assignee{UserID: "000367", ApplicationID: application}, nil)
				return err
			}, 0, "role_assignments_", "role_assignments", ""},
			{"take roles from a person", func(ctx context.Context) error {
				_, err := f.SetUserRoles(ctx, store.Assignee{UserID: "000368", ApplicationID: application}, nil)
				return err
			}, 1, "role_assignments_", "role_assignments", ""},
			{"roles of a client", func(ctx context.Context) error {
				_, err := f.ClientRoles(ctx, "client-7")
				return err
			}, 0, "client_roles key", "client_roles", ""},
			{"people with a role", func(ctx context.Context) error {
				_, err := f.CountRoleHolders(ctx, application+"k07", 10)
				return err
			}, 0, "role_assignments_role_id", "role_assignments|client_roles", "'application-7k07', 10, 'application-7k07', 10"},
			{"policy", func(ctx context.Context) error {
				_, err := f.EntitledGrant(ctx, "000007", store.Acting{ApplicationID: application})
				return err
			}, 0, "role_permissions key", "applications|roles|role_permissions|permissions|plans", "'application-7', 'application-7', 'application-7'"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), tt.name)
			require.Greater(f, len(calls.SQL()), tt.statement, tt.name)
			plan := f.plan(calls.SQL()[tt.statement], tt.args)
			assert.Contains(f, plan, f.index(tt.index), "%s: %s", tt.name, calls.SQL()[tt.statement])
			assert.NotRegexp(f, `(?m)Seq Scan on (`+tt.tables+`)\b|^\s*SCAN (`+tt.tables+`)\b`, plan, "%s: %s", tt.name, calls.SQL()[tt.statement])
		}
	})
}
