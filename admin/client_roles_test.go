package admin_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestClientRoles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, web := srv.create(webApplication)
		worker := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201).text("clientId")
		srv.permission("crm", "read", "write")
		srv.role("crm", `{"key":"reader","isDefault":true,"permissions":["read"]}`)
		srv.role("crm", `{"key":"writer","permissions":["write","read"]}`)
		srv.role("crm", `{"key":"idle"}`)
		path := "/applications/crm/clients/" + worker + "/roles"
		shown := func(roles, permissions []any) map[string]any {
			return map[string]any{"clientId": worker, "applicationId": id, "roles": roles, "permissions": permissions}
		}
		assert.Equal(t, shown([]any{}, []any{}), srv.call("GET", path, "").is(200).body, "default roles are people's")
		set := srv.call("PUT", path, `{"roles":["writer","idle"]}`).is(200)
		assert.Equal(t, shown([]any{"idle", "writer"}, []any{"read", "write"}), set.body)
		assert.Equal(t, set.body, srv.call("GET", path, "").body)
		assert.Equal(t, shown([]any{"idle"}, []any{}), srv.call("PUT", path, `{"roles":["idle"]}`).is(200).body)
		srv.call("PUT", path, `{"roles":["writer","idle"]}`).is(200)
		srv.call("PUT", path, `{"roles":["writer","idle"]}`).is(200)
		assert.Equal(t, shown([]any{"reader"}, []any{"read"}), srv.call("PUT", path, `{"roles":["reader"]}`).is(200).body)

		events, err := srv.store.AuditTrail(t.Context(), "client", worker, 10)
		require.NoError(t, err)
		require.Len(t, events, 5) // and none for the set that was there already
		assert.Equal(t, []string{"client.set_roles", id}, []string{events[0].Action, events[0].ApplicationID})
		assert.Equal(t, map[string]store.Change{"roles": {Before: []any{"idle", "writer"}, After: []any{"reader"}}}, events[0].Changes)

		for _, body := range []string{`{}`, `{"roles":null}`, `{"roles":["B"]}`, `{"roles":["reader","reader"]}`, `{"roles":["nothing"]}`, `{"roles":[],"clientId":"x"}`} {
			srv.call("PUT", path, body).is(400, "VALIDATION_ERROR")
		}
		srv.call("GET", "/applications/crm/clients/nothing/roles", "").is(404, "NOT_FOUND")
		srv.call("PUT", "/applications/crm/clients/nothing/roles", `{"roles":[]}`).is(404, "NOT_FOUND")

		one := "/applications/crm/clients/" + web + "/roles"
		srv.call("PUT", one, `{"roles":["reader"]}`).is(400, "NO_CLIENT_CREDENTIALS")
		assert.Equal(t, []any{}, srv.call("GET", one, "").is(200).body["roles"])
		srv.call("PATCH", "/applications/crm/clients/"+web, `{"grantTypes":["authorization_code","client_credentials"]}`).is(200)
		srv.call("PUT", one, `{"roles":["writer"]}`).is(200)
		srv.call("PATCH", "/applications/crm/clients/"+web, `{"grantTypes":null}`).is(200)
		srv.call("DELETE", "/applications/crm/roles/writer", "").is(409, "ROLE_ASSIGNED")
		srv.call("PUT", one, `{"roles":[]}`).is(200) // what it can no longer use can still be taken away
		srv.call("DELETE", "/applications/crm/roles/writer", "").is(204)
	})
}

// IDOR: a client of another application is unknown here, and a role of another application cannot be given to it.
func TestClientRolesOfAnotherApplication(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		_, foreign := srv.create(with("m2m", fields{"slug": "other"}))
		srv.role("crm", `{"key":"editor"}`)
		srv.call("GET", "/applications/crm/clients/"+foreign+"/roles", "").is(404, "NOT_FOUND")
		srv.call("PUT", "/applications/crm/clients/"+foreign+"/roles", `{"roles":["editor"]}`).is(404, "NOT_FOUND")
		srv.call("PUT", "/applications/other/clients/"+foreign+"/roles", `{"roles":["editor"]}`).is(400, "VALIDATION_ERROR")
		assert.Equal(t, []any{}, srv.call("GET", "/applications/other/clients/"+foreign+"/roles", "").is(200).body["roles"])
	})
}

// The ladder: a client with the scope admin acts with a superadmin's leave; only a superadmin changes what it may do.
func TestClientRolesNeedSuperadminForScopeAdmin(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(with("m2m", fields{"slug": "console", "scopes": []string{"admin"}}), asRoot)
		srv.role("console", `{"key":"editor"}`)
		path := "/applications/console/clients/" + clientID + "/roles"
		for _, h := range []header{{}, bearer("machine"), bearer("delegated")} {
			srv.call("PUT", path, `{"roles":["editor"]}`, h).is(403, "SUPERADMIN_REQUIRED")
			srv.call("GET", path, "", h).is(200)
		}
		srv.call("PUT", path, `{"roles":["editor"]}`, asRoot).is(200)
		srv.call("PUT", path, `{"roles":[]}`).is(403, "SUPERADMIN_REQUIRED")
	})
}

// Two administrators who set the roles of one client at once must leave one of the two sets.
func TestParallelClientRoles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		worker := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201).text("clientId")
		path := "/applications/crm/clients/" + worker + "/roles"
		for _, key := range []string{"a", "b", "c", "d"} {
			srv.role("crm", `{"key":"`+key+`"}`)
		}
		for range 6 {
			var wg sync.WaitGroup
			for _, roles := range []string{`["a","b"]`, `["c","d"]`} {
				for range 3 {
					wg.Go(func() { assert.Equal(t, 200, srv.call("PUT", path, `{"roles":`+roles+`}`).Code) })
				}
			}
			wg.Wait()
			assert.Contains(t, [][]any{{"a", "b"}, {"c", "d"}}, srv.call("GET", path, "").body["roles"])
		}
	})
}
