package admin_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// member makes the person a member of the organization, which is created first, and returns the organization's id.
func (s *server) member(slug, userID string) string {
	s.t.Helper()
	o, err := s.store.OrganizationByRef(s.t.Context(), slug)
	if err != nil {
		o = &store.Organization{Slug: slug, Name: slug}
		require.NoError(s.t, s.store.CreateOrganization(s.t.Context(), o))
	}
	require.NoError(s.t, s.store.CreateMember(s.t.Context(), &store.Member{OrganizationID: o.ID, UserID: userID, Role: store.MemberPlain}))
	return o.ID
}

func (s *server) leave(ctx context.Context, m *store.Member) error {
	return s.store.Tx(ctx, func(ctx context.Context) error { return s.store.EndMembership(ctx, m) })
}

func quoted(keys []string) string {
	if len(keys) == 0 {
		return "[]"
	}
	return `["` + strings.Join(keys, `","`) + `"]`
}

// give replaces the roles of ulla in the application crm; organization is empty for everywhere.
func (s *server) give(organization string, keys ...string) *answer {
	s.t.Helper()
	body := `{"roles":` + quoted(keys) + `}`
	if organization != "" {
		body = fmt.Sprintf(`{"organizationId":%q,"roles":%s}`, organization, quoted(keys))
	}
	return s.call("PUT", "/users/ulla/applications/crm/roles", body)
}

func TestUserRoles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, clientID := srv.create(webApplication)
		acme, umbrella := srv.member("acme", "ulla"), srv.member("umbrella", "ulla")
		srv.permission("crm", "read", "write", "pay", "comment")
		srv.role("crm", `{"key":"reader","isDefault":true,"permissions":["read"]}`)
		srv.role("crm", `{"key":"editor","permissions":["write","read"]}`)
		srv.role("crm", `{"key":"buyer","permissions":["pay"]}`)
		srv.role("crm", `{"key":"author","permissions":["comment"]}`)
		shown := func(organizationID any, roles, inherited, effective, permissions []any) map[string]any {
			return map[string]any{
				"userId": "ulla", "applicationId": id, "organizationId": organizationID,
				"roles": roles, "inherited": inherited, "effective": effective, "permissions": permissions,
			}
		}
		const path = "/users/ulla/applications/crm/roles"
		nothing := shown(nil, []any{}, []any{"reader"}, []any{"reader"}, []any{"read"})
		assert.Equal(t, nothing, srv.call("GET", path, "").is(200).body)

		everywhere := srv.give("", "editor", "author").is(200)
		assert.Equal(t, shown(nil, []any{"author", "editor"}, []any{"reader"}, []any{"author", "editor", "reader"}, []any{"comment", "read", "write"}), everywhere.body)
		for _, ref := range []string{id, "crm", clientID} {
			assert.Equal(t, everywhere.body, srv.call("GET", "/users/ulla/applications/"+ref+"/roles", "").is(200).body)
		}

		there := srv.give("acme", "buyer", "editor").is(200)
		assert.Equal(t, shown(acme, []any{"buyer", "editor"}, []any{"author", "editor", "reader"}, []any{"author", "buyer", "editor", "reader"}, []any{"comment", "pay", "read", "write"}), there.body)
		assert.Equal(t, there.body, srv.call("GET", path+"?organizationId="+acme, "").is(200).body)
		assert.Equal(t, everywhere.body, srv.call("GET", path, "").body, "a role in one organization counts everywhere")
		other := srv.call("GET", path+"?organizationId=umbrella", "").is(200)
		assert.Equal(t, shown(umbrella, []any{}, []any{"author", "editor", "reader"}, []any{"author", "editor", "reader"}, []any{"comment", "read", "write"}), other.body, "a role in one organization counts in another")

		srv.give("", "reader").is(200) // which is a default one, too
		assert.Equal(t, []any{"reader"}, srv.call("GET", path, "").body["effective"])
		assert.Equal(t, []any{"buyer", "editor"}, srv.call("GET", path+"?organizationId=acme", "").body["roles"], "the set of another place was replaced")
		srv.give("").is(200)
		srv.give("acme").is(200)
		assert.Equal(t, nothing, srv.call("GET", path, "").is(200).body)
		srv.give("").is(200)

		alice := srv.call("GET", "/users/alice/applications/crm/roles", "").is(200)
		assert.Equal(t, []any{}, alice.body["roles"], "somebody else has the roles")
		// The roles of an application say nothing about this API, so administrators give them to one another.
		srv.call("PUT", "/users/root/applications/crm/roles", `{"roles":["editor"]}`).is(200)
		assert.Equal(t, []any{"editor"}, srv.call("PUT", "/users/alice/applications/crm/roles", `{"roles":["editor"],"organizationId":null}`).is(200).body["roles"])
		srv.call("POST", "/users", `{"name":"E","email":"e@example.com","role":"admin"}`).is(403, "SUPERADMIN_REQUIRED")
	})
}

func TestUserRoleErrors(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.member("acme", "alice")
		srv.role("crm", `{"key":"editor"}`)
		const path = "/users/ulla/applications/crm/roles"
		for _, tt := range []struct {
			name, body string
			bad        []string
		}{
			{"no roles", `{}`, []string{"roles"}},
			{"null", `{"roles":null}`, []string{"roles"}},
			{"one text", `{"roles":"editor"}`, []string{"roles"}},
			{"not keys", `{"roles":["editor","A b",""]}`, []string{"roles[1]", "roles[2]"}},
			{"twice", `{"roles":["editor","editor"]}`, []string{"roles[1]"}},
			{"unknown ones", `{"roles":["x","editor","y"]}`, []string{"roles[0]", "roles[2]"}},
			{"too many", `{"roles":` + quoted(many(201, "r%d")) + `}`, []string{"roles"}},
			// A script whose variable is empty must not give somebody everywhere what they should have in one organization.
			{"empty organization", `{"roles":["editor"],"organizationId":""}`, []string{"organizationId"}},
			{"number for an organization", `{"roles":[],"organizationId":1}`, []string{"organizationId"}},
			{"whose and of what", `{"roles":[],"userId":"alice","applicationId":"x","permissions":["*"]}`, []string{"userId", "applicationId", "permissions"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				srv.t = t
				a := srv.call("PUT", path, tt.body).is(400, "VALIDATION_ERROR")
				for _, field := range tt.bad {
					assert.NotEmpty(t, a.errors()[field], field)
				}
				assert.Len(t, a.errors(), len(tt.bad), a.errors())
			})
		}
		srv.t = t
		srv.give("acme", "editor").is(409, "NOT_A_MEMBER")
		srv.call("GET", path+"?organizationId=acme", "").is(409, "NOT_A_MEMBER")
		srv.give("nothing", "editor").is(404, "ORGANIZATION_NOT_FOUND")
		srv.give("a\u0085b", "editor").is(404, "NOT_FOUND")
		srv.call("GET", path+"?organizationId=nothing", "").is(404, "ORGANIZATION_NOT_FOUND")
		srv.call("GET", path+"?organizationId=a%00b", "").is(404, "NOT_FOUND")
		for _, path := range []string{"/users/nobody/applications/crm/roles", "/users/a%00b/applications/crm/roles", "/users/ulla/applications/nothing/roles", "/users/ulla/applications/a%00b/roles"} {
			srv.call("GET", path, "").is(404, "NOT_FOUND")
			srv.call("PUT", path, `{"roles":[]}`).is(404, "NOT_FOUND")
		}
		assert.Equal(t, []any{}, srv.call("GET", path, "").body["roles"])
		assert.Empty(t, srv.trail("ulla"))
	})
}

// Who leaves an organization must not find their old roles there when they come back, let alone keep them.
func TestRolesEndWithMembership(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		acme := srv.member("acme", "ulla")
		srv.role("crm", `{"key":"editor"}`)
		srv.give("acme", "editor").is(200)
		m, err := srv.store.MemberOf(t.Context(), acme, "ulla")
		require.NoError(t, err)
		require.NoError(t, srv.leave(t.Context(), m))
		srv.give("acme", "editor").is(409, "NOT_A_MEMBER")
		srv.member("acme", "ulla")
		assert.Equal(t, []any{}, srv.call("GET", "/users/ulla/applications/crm/roles?organizationId=acme", "").is(200).body["roles"])
	})
}

func TestUserRoleAudit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		acme := srv.member("acme", "ulla")
		srv.role("crm", `{"key":"editor"}`)
		srv.role("crm", `{"key":"author"}`)
		srv.give("", "editor").is(200)
		srv.give("acme", "editor", "author").is(200)
		srv.give("acme", "author", "editor").is(200) // changes nothing, so there is nothing to record
		srv.give("").is(200)
		events := srv.trail("ulla")
		require.Len(t, events, 3)
		for i, want := range []struct {
			organization  string
			before, after []any
		}{{"", []any{"editor"}, []any{}}, {acme, []any{}, []any{"author", "editor"}}, {"", []any{}, []any{"editor"}}} {
			assert.Equal(t, []string{"user.set_application_roles", "alice", id, want.organization}, []string{events[i].Action, events[i].ActorID, events[i].ApplicationID, events[i].OrganizationID})
			assert.Equal(t, map[string]store.Change{"roles": {Before: want.before, After: want.after}}, events[i].Changes)
		}
	})
}

// Two administrators who set the roles of one person at once must leave one of the two sets, not a mixture of both.
func TestParallelUserRoles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.member("acme", "ulla")
		keys := many(20, "r%02d")
		for _, key := range keys {
			srv.role("crm", fmt.Sprintf(`{"key":%q}`, key))
		}
		for round := range 6 {
			organization := []string{"", "acme"}[round%2]
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() { assert.Equal(t, 200, srv.give(organization, keys[i*3:i*3+3]...).Code) })
			}
			wg.Wait()
			path := "/users/ulla/applications/crm/roles"
			if organization != "" {
				path += "?organizationId=" + organization
			}
			left := srv.call("GET", path, "").is(200).body["roles"].([]any)
			require.Len(t, left, 3)
			at := 0
			for keys[at] != left[0] {
				at++
			}
			assert.Zero(t, at%3)
			assert.Equal(t, []any{keys[at], keys[at+1], keys[at+2]}, left)
		}
	})
}

// A role that is deleted while it is given to somebody is either held, and then not deleted, or unknown.
func TestRoleDeletedWhileGiven(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for range 8 {
			srv.role("crm", `{"key":"editor"}`)
			var given, deleted int
			var wg sync.WaitGroup
			wg.Go(func() { given = srv.give("", "editor").Code })
			wg.Go(func() { deleted = srv.call("DELETE", "/applications/crm/roles/editor", "").Code })
			wg.Wait()
			assert.Contains(t, [][2]int{{200, 409}, {400, 204}}, [2]int{given, deleted})
			if deleted == 409 {
				srv.give("").is(200)
				srv.call("DELETE", "/applications/crm/roles/editor", "").is(204)
			}
		}
	})
}

// A membership that ends while roles are given for it takes them along: it cannot end between the look at it and the writing.
func TestMembershipEndsWhileRolesAreGiven(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.role("crm", `{"key":"editor"}`)
		m, err := srv.store.MemberOf(t.Context(), srv.member("acme", "ulla"), "ulla")
		require.NoError(t, err)
		ended := make(chan error, 1)
		ctx := store.Observe(t.Context(), func(call store.Call) {
			if call.String() != "W role_assignments" {
				return
			}
			go func() { ended <- srv.leave(context.Background(), m) }()
			select {
			case err := <-ended:
				ended <- err
			case <-time.After(100 * time.Millisecond): // it waits, as it should
			}
		})
		srv.callWith(ctx, "PUT", "/users/ulla/applications/crm/roles", `{"roles":["editor"],"organizationId":"acme"}`).is(200)
		require.NoError(t, <-ended)
		srv.call("DELETE", "/applications/crm/roles/editor", "").is(204) // nobody holds it
	})
}
