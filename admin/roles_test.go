package admin_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/admin"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

func (s *server) role(application, body string) *answer {
	s.t.Helper()
	return s.call("POST", "/applications/"+application+"/roles", body).is(201)
}

func TestRoles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		srv.permission("crm", "write", "read", "a:b", "a_b")
		a := srv.role("crm", `{"key":"editor","name":" Editor ","description":"Edits.","isDefault":true,"permissions":["write","a_b","read","a:b"]}`)
		assert.Equal(t, []any{id, "editor", "Editor", "Edits.", true}, []any{a.body["applicationId"], a.body["key"], a.body["name"], a.body["description"], a.body["isDefault"]})
		assert.Equal(t, []any{"a:b", "a_b", "read", "write"}, a.body["permissions"], "sorted by bytes on both engines")
		assert.Equal(t, a.body, srv.call("GET", "/applications/crm/roles/editor", "").is(200).body)
		plain := srv.role("crm", `{"key":"plain"}`)
		assert.Equal(t, []any{"plain", nil, false, []any{}}, []any{plain.body["name"], plain.body["description"], plain.body["isDefault"], plain.body["permissions"]})
		listed := srv.call("GET", "/applications/crm/roles?sort=key", "").is(200).body["items"].([]any)
		assert.Equal(t, []any{a.body, plain.body}, listed)

		patched := srv.call("PATCH", "/applications/crm/roles/editor", `{"name":"Author"}`).is(200)
		assert.Equal(t, []any{"Author", "Edits.", true}, []any{patched.body["name"], patched.body["description"], patched.body["isDefault"]})
		assert.Equal(t, a.body["permissions"], patched.body["permissions"], "PATCH keeps what is absent")
		patched = srv.call("PATCH", "/applications/crm/roles/editor", `{"isDefault":false,"permissions":["write","a:b"]}`).is(200)
		assert.Equal(t, []any{"a:b", "write"}, patched.body["permissions"], "and replaces the set")
		patched = srv.call("PATCH", "/applications/crm/roles/editor", `{"permissions":["read","write"]}`).is(200)
		assert.Equal(t, []any{"read", "write"}, patched.body["permissions"])
		assert.Equal(t, patched.body, srv.call("GET", "/applications/crm/roles/editor", "").body)
		patched = srv.call("PATCH", "/applications/crm/roles/editor", `{"name":null,"description":null,"isDefault":null,"permissions":null}`).is(200)
		assert.Equal(t, []any{"editor", nil, false, []any{}}, []any{patched.body["name"], patched.body["description"], patched.body["isDefault"], patched.body["permissions"]})

		assert.NotEmpty(t, srv.call("POST", "/applications/crm/roles", `{"key":"editor"}`).is(409, "KEY_TAKEN").errors()["key"])
		srv.call("DELETE", "/applications/crm/roles/editor", "").is(204)
		srv.call("GET", "/applications/crm/roles/editor", "").is(404, "NOT_FOUND")
		srv.call("DELETE", "/applications/crm/roles/editor", "").is(404, "NOT_FOUND")
		srv.call("PATCH", "/applications/crm/roles/editor", `{"name":"a"}`).is(404, "NOT_FOUND")
		srv.call("GET", "/applications/crm/roles/a%00b", "").is(404, "NOT_FOUND")
	})
}

// IDOR: the path names an application; a role or a permission of another one is unknown under it, by its key and by its id,
// and cannot be given away.
func TestKeysOfAnotherApplication(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(with("web", fields{"slug": "other"}))
		srv.role("crm", `{"key":"mine"}`)
		permission := srv.call("POST", "/applications/other/permissions", `{"key":"read"}`).is(201)
		role := srv.role("other", `{"key":"editor","permissions":["read"]}`)
		for _, one := range []string{"permissions/read", "permissions/" + permission.text("id"), "roles/editor", "roles/" + role.text("id")} {
			path := "/applications/crm/" + one
			srv.call("GET", path, "").is(404, "NOT_FOUND")
			srv.call("PATCH", path, `{"name":"Taken"}`).is(404, "NOT_FOUND")
			srv.call("DELETE", path, "").is(404, "NOT_FOUND")
			srv.call("DELETE", path+"?force=true", "").is(404, "NOT_FOUND")
		}
		for _, ref := range []string{"read", permission.text("id")} {
			body := fmt.Sprintf(`{"key":"new","permissions":[%q]}`, ref)
			a := srv.call("POST", "/applications/crm/roles", body).is(400, "VALIDATION_ERROR")
			assert.Contains(t, a.errors()["permissions[0]"], ref)
			a = srv.call("PATCH", "/applications/crm/roles/mine", fmt.Sprintf(`{"permissions":[%q]}`, ref)).is(400, "VALIDATION_ERROR")
			assert.Len(t, a.errors(), 1)
		}
		for _, ref := range []string{"editor", role.text("id")} {
			body := fmt.Sprintf(`{"roles":["mine",%q]}`, ref)
			a := srv.call("PUT", "/users/ulla/applications/crm/roles", body).is(400, "VALIDATION_ERROR")
			assert.Contains(t, a.errors()["roles[1]"], ref)
		}
		assert.Equal(t, permission.body, srv.call("GET", "/applications/other/permissions/read", "").body)
		assert.Equal(t, role.body, srv.call("GET", "/applications/other/roles/editor", "").body)
		assert.Equal(t, []any{}, srv.call("GET", "/users/ulla/applications/crm/roles", "").body["roles"])
	})
}

func TestUnknownPermissionsAreNamed(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.permission("crm", "read")
		a := srv.call("POST", "/applications/crm/roles", `{"key":"editor","permissions":["write","read","delete"]}`).is(400, "VALIDATION_ERROR")
		assert.Equal(t, map[string]any{
			"permissions[0]": "The application has no permission write: create it first, or leave it out.",
			"permissions[2]": "The application has no permission delete: create it first, or leave it out.",
		}, a.errors())
		srv.call("GET", "/applications/crm/roles/editor", "").is(404)
	})
}

func TestDeleteAssignedRole(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		worker := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201).text("clientId")
		one := "/applications/crm/roles/editor"
		for name, assign := range map[string]func(roles string){
			"to a person": func(roles string) {
				srv.call("PUT", "/users/ulla/applications/crm/roles", `{"roles":[`+roles+`]}`).is(200)
			},
			"to a client": func(roles string) {
				srv.call("PUT", "/applications/crm/clients/"+worker+"/roles", `{"roles":[`+roles+`]}`).is(200)
			},
		} {
			for _, all := range []string{one + "?", "/applications/crm/roles?key=editor&"} {
				id := srv.role("crm", `{"key":"editor"}`).text("id")
				assign(`"editor"`)
				srv.call("DELETE", all, "").is(409, "ROLE_ASSIGNED")
				srv.call("DELETE", all+"force=false", "").is(409, "ROLE_ASSIGNED")
				srv.call("DELETE", all+"force=maybe", "").is(400, "VALIDATION_ERROR")
				srv.call("DELETE", all+"force=true", "").is(204)
				events, err := srv.store.AuditTrail(t.Context(), "role", id, 10)
				require.NoError(t, err)
				require.Len(t, events, 2, name)
				assert.Equal(t, 1.0, events[0].Changes["assignments"].Before.(float64)+events[0].Changes["clients"].Before.(float64))
				srv.role("crm", `{"key":"editor"}`)
				assert.Equal(t, []any{}, srv.call("GET", "/users/ulla/applications/crm/roles", "").body["roles"], "an assignment survived its role")
				assert.Equal(t, []any{}, srv.call("GET", "/applications/crm/clients/"+worker+"/roles", "").body["roles"])
				assign(`"editor"`)
				assign("")
				srv.call("DELETE", all, "").is(204)
			}
		}
	})
}

func TestRoleAudit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		applicationID, _ := srv.create(webApplication)
		srv.permission("crm", "read", "write")
		id := srv.role("crm", `{"key":"editor","permissions":["read"]}`).text("id")
		srv.call("PATCH", "/applications/crm/roles/editor", `{"isDefault":true,"permissions":["write","read"]}`).is(200)
		srv.call("PATCH", "/applications/crm/roles/editor", `{"permissions":["read","write"]}`).is(200) // the same set
		srv.call("DELETE", "/applications/crm/roles/editor", "").is(204)
		events, err := srv.store.AuditTrail(t.Context(), "role", id, 10)
		require.NoError(t, err)
		require.Len(t, events, 3)
		slices.Reverse(events)
		assert.Equal(t, []string{"role.create", "alice", applicationID}, []string{events[0].Action, events[0].ActorID, events[0].ApplicationID})
		assert.Equal(t, store.Change{After: []any{"read"}}, events[0].Changes["permissions"])
		assert.Equal(t, "role.update", events[1].Action)
		assert.Equal(t, map[string]store.Change{
			"isDefault": {Before: false, After: true}, "permissions": {Before: []any{"read"}, After: []any{"read", "write"}},
		}, events[1].Changes)
		assert.Equal(t, "role.delete", events[2].Action)
		assert.Equal(t, store.Change{Before: "editor"}, events[2].Changes["key"])
	})
}

// What oauth keeps in memory obeys at once: each write tells it, once it is committed.
func TestRoleEvents(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		worker := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201).text("clientId")
		var events []store.Event
		srv.store.Subscribe(func(e store.Event) { events = append(events, e) })
		changed, clientChanged := []store.Event{{Kind: store.EventApplicationChanged, ID: id}}, []store.Event{{Kind: store.EventClientChanged, ID: worker}}
		for _, tt := range []struct {
			method, path, body string
			want               []store.Event
		}{
			{"POST", "/permissions", `{"key":"read"}`, changed},
			{"POST", "/permissions", `{"key":"read"}`, nil},
			{"PATCH", "/permissions/read", `{"name":"Read"}`, changed},
			{"PATCH", "/permissions/read", `{"name":"Read"}`, nil},
			{"POST", "/roles", `{"key":"editor","permissions":["read"]}`, changed},
			{"PATCH", "/roles/editor", `{"permissions":[]}`, changed},
			{"PATCH", "/roles/editor", `{"permissions":[]}`, nil},
			{"PUT", "/clients/" + worker + "/roles", `{"roles":["editor"]}`, clientChanged},
			{"PUT", "/clients/" + worker + "/roles", `{"roles":["editor"]}`, nil},
			{"PUT", "/clients/" + worker + "/roles", `{"roles":[]}`, clientChanged},
			{"DELETE", "/roles/editor", ``, changed},
			{"DELETE", "/permissions/read", ``, changed},
		} {
			events = nil
			srv.call(tt.method, "/applications/crm"+tt.path, tt.body)
			assert.Equal(t, tt.want, events, tt.method+" "+tt.path+" "+tt.body)
		}
	})
}

// The command line goes through the same rules, many changes in one transaction.
func TestRolesForCommandLine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		id, _ := srv.create(webApplication)
		apply := func(fn func(ctx context.Context, a *store.Application) error) error {
			return s.Tx(t.Context(), func(ctx context.Context) error {
				a, err := s.LockApplication(ctx, id)
				require.NoError(t, err)
				return fn(ctx, a)
			})
		}
		err := apply(func(ctx context.Context, a *store.Application) error {
			for _, key := range []string{"read", "write"} {
				if _, err := admin.CreatePermission(ctx, s, admin.System(), a, admin.PermissionInput{Key: key}); err != nil {
					return err
				}
			}
			in := admin.RoleInput{Key: "editor", IsDefault: admin.Set(true), Permissions: admin.Set([]string{"read", "write"})}
			if _, err := admin.CreateRole(ctx, s, admin.System(), a, in); err != nil {
				return err
			}
			_, err := admin.UpdateRole(ctx, s, admin.System(), a, "editor", admin.RolePatch{Name: admin.Set("Editor")})
			return err
		})
		require.NoError(t, err)
		assert.Equal(t, []any{"read", "write"}, srv.call("GET", "/applications/crm/roles/editor", "").is(200).body["permissions"])

		err = apply(func(ctx context.Context, a *store.Application) error {
			require.NoError(t, admin.DeletePermission(ctx, s, admin.System(), a, "read"))
			require.NoError(t, admin.DeleteRole(ctx, s, admin.System(), a, "editor", false))
			_, err := admin.UpdatePermission(ctx, s, admin.System(), a, "write", admin.PermissionPatch{Name: admin.Set(" ")})
			require.Equal(t, "VALIDATION_ERROR", problem.Of(err).Code)
			_, err = admin.CreateRole(ctx, s, admin.System(), a, admin.RoleInput{Key: "A", Permissions: admin.Set([]string{"B"})})
			return err
		})
		assert.Len(t, problem.Of(err).Fields, 2)
		srv.call("GET", "/applications/crm/roles/editor", "").is(200)
	})
}

// The number of statements must not depend on the number of rows.
func TestRoleStoreCalls(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		worker := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201).text("clientId")
		keys := many(50, "k%02d")
		for _, key := range keys {
			require.NoError(t, srv.store.CreatePermission(t.Context(), &store.Permission{ApplicationID: id, Key: key, Name: key}))
			require.NoError(t, srv.store.CreateRole(t.Context(), &store.Role{ApplicationID: id, Key: key, Name: key, Permissions: []string{key}}))
		}
		srv.member("acme", "ulla")
		all, half := quoted(keys), quoted(keys[25:])
		application := []string{"R users", "R applications", "R clients", "R client_secrets"} // the first stands for that of account.Sessions
		locked := []string{"R users", "BEGIN", "R applications", "R clients", "R client_secrets"}
		one := "/applications/crm/roles/"
		for _, tt := range []struct {
			method, path, body string
			before             []string
			want               []string
		}{
			{"GET", "/applications/crm/permissions", "", application, []string{"R permissions"}},
			{"GET", "/applications/crm/permissions?search=k&sort=name&limit=3", "", application, []string{"R permissions"}},
			{"GET", "/applications/crm/permissions/k00", "", application, []string{"R permissions"}},
			{"POST", "/applications/crm/permissions", `{"key":"new"}`, locked, []string{"R permissions", "W permissions", "W audit_events", "COMMIT"}},
			{"PATCH", "/applications/crm/permissions/new", `{"name":"N"}`, locked, []string{"R permissions", "W permissions", "W audit_events", "COMMIT"}},
			{"PATCH", "/applications/crm/permissions/new", `{"name":"N"}`, locked, []string{"R permissions", "COMMIT"}},
			{"DELETE", "/applications/crm/permissions/new", ``, locked, []string{"R permissions", "R roles", "W permissions", "W applications", "W audit_events", "COMMIT"}},
			{"GET", "/applications/crm/roles", "", application, []string{"R roles", "R role_permissions"}},
			{"GET", one + "k00", "", application, []string{"R roles", "R role_permissions"}},
			{"POST", "/applications/crm/roles", `{"key":"new","permissions":` + all + `}`, locked, []string{"R permissions", "R roles", "W roles", "W role_permissions", "W applications", "W audit_events", "COMMIT"}},
			{"PATCH", one + "new", `{"permissions":` + half + `}`, locked, []string{"R roles", "R role_permissions", "R permissions", "W roles", "W role_permissions", "W applications", "W audit_events", "COMMIT"}},
			{"PATCH", one + "new", `{"permissions":` + quoted(keys[:26]) + `}`, locked, []string{"R roles", "R role_permissions", "R permissions", "W roles", "W role_permissions", "W role_permissions", "W applications", "W audit_events", "COMMIT"}},
			{"DELETE", one + "new", ``, locked, []string{"R roles", "R role_permissions", "R role_assignments", "W roles", "W applications", "W audit_events", "COMMIT"}},

			{"GET", "/users/ulla/applications/crm/roles", ``, application, []string{"R users", "R roles"}},
			{"PUT", "/users/ulla/applications/crm/roles", `{"roles":` + all + `}`, locked,
				[]string{"R users", "R roles", "R role_assignments", "W role_assignments", "R roles", "R role_permissions", "W audit_events", "COMMIT"}},
			{"PUT", "/users/ulla/applications/crm/roles", `{"roles":` + all + `}`, locked,
				[]string{"R users", "R roles", "R role_assignments", "R roles", "R role_permissions", "COMMIT"}},
			{"PUT", "/users/ulla/applications/crm/roles", `{"organizationId":"acme","roles":` + all + `}`, locked,
				[]string{"R users", "R organizations", "R members", "R roles", "R role_assignments", "W role_assignments", "R roles", "R role_permissions", "W audit_events", "COMMIT"}},
			{"PUT", "/users/ulla/applications/crm/roles", `{"organizationId":"acme","roles":[]}`, locked,
				[]string{"R users", "R organizations", "R members", "R role_assignments", "W role_assignments", "R roles", "R role_permissions", "W audit_events", "COMMIT"}},
			{"GET", "/users/ulla/applications/crm/roles?organizationId=acme", ``, application, []string{"R users", "R organizations", "R members", "R roles", "R role_permissions"}},

			{"PUT", "/applications/crm/clients/" + worker + "/roles", `{"roles":` + all + `}`, locked,
				[]string{"R roles", "R client_roles", "W client_roles", "R client_roles", "R role_permissions", "W audit_events", "COMMIT"}},
			{"PUT", "/applications/crm/clients/" + worker + "/roles", `{"roles":["k00"]}`, locked,
				[]string{"R roles", "R client_roles", "W client_roles", "R client_roles", "R role_permissions", "W audit_events", "COMMIT"}},
			{"GET", "/applications/crm/clients/" + worker + "/roles", ``, application, []string{"R client_roles", "R role_permissions"}},
		} {
			ctx, calls := storetest.Trace(t.Context())
			a := srv.callWith(ctx, tt.method, tt.path, tt.body)
			require.Less(t, a.Code, 300, a.Body)
			assert.Equal(t, append(slices.Clone(tt.before), tt.want...), calls.List(), tt.method+" "+tt.path+" "+tt.body)
		}
	})
}
