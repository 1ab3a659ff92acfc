package admin_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// organization makes one with the slug for a name and returns its id.
func (s *server) organization(slug string) string {
	s.t.Helper()
	return s.call("POST", "/organizations", `{"name":"`+slug+`"}`).is(201).text("id")
}

// join makes a person a member and returns the member's id.
func (s *server) join(organization, userID, role string) string {
	s.t.Helper()
	return s.call("POST", "/organizations/"+organization+"/members", `{"userId":"`+userID+`","role":"`+role+`"}`).is(201).text("id")
}

// listed returns one property of each item of a list.
func (s *server) listed(path, property string) (values []string, next string, total float64) {
	s.t.Helper()
	a := s.call("GET", path, "").is(200)
	for _, item := range a.body["items"].([]any) {
		values = append(values, item.(map[string]any)[property].(string))
	}
	next, _ = a.body["nextCursor"].(string)
	return values, next, a.body["total"].(float64)
}

// latest is what was done last in an organization.
func (s *server) latest(organizationID string) store.AuditEntry {
	s.t.Helper()
	page, err := s.store.AuditEvents(s.t.Context(), store.AuditQuery{Paging: store.Paging{Limit: 1}, OrganizationID: organizationID})
	require.NoError(s.t, err)
	require.NotEmpty(s.t, page.Items)
	return page.Items[0]
}

func TestCreateOrganization(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		a := srv.call("POST", "/organizations", `{"name":" Café Zürich ","logo":"https://a.example/l.png","metadata":{"tier":"gold"},"ownerId":"ulla"}`).is(201)
		id := a.text("id")
		assert.Equal(t, map[string]any{
			"id": id, "name": "Café Zürich", "slug": "cafe-zurich", "logo": "https://a.example/l.png", "metadata": map[string]any{"tier": "gold"},
			"memberCount": 1.0, "createdAt": a.text("createdAt"), "updatedAt": a.text("updatedAt"),
		}, a.body)
		for _, ref := range []string{id, "cafe-zurich"} {
			assert.Equal(t, a.body, srv.call("GET", "/organizations/"+ref, "").is(200).body)
		}
		userIDs, _, _ := srv.listed("/organizations/cafe-zurich/members?role=owner", "userId")
		assert.Equal(t, []string{"ulla"}, userIDs)

		b := srv.call("POST", "/organizations", `{"name":"Cafe Zurich"}`, bearer("machine")).is(201)
		assert.Equal(t, []any{"cafe-zurich-2", nil, map[string]any{}, 0.0}, []any{b.body["slug"], b.body["logo"], b.body["metadata"], b.body["memberCount"]},
			"whoever creates it is no member of it")
		assert.Equal(t, []string{"organization.create", store.ActorClient}, []string{srv.latest(b.text("id")).Action, srv.latest(b.text("id")).ActorType})
		assert.Equal(t, "organization", srv.call("POST", "/organizations", `{"name":"株式会社","slug":null}`).is(201).text("slug"))
		assert.NotEmpty(t, srv.call("POST", "/organizations", `{"name":"A","slug":"cafe-zurich"}`).is(409, "SLUG_TAKEN").errors()["slug"])
		srv.call("POST", "/organizations", `{"name":"A","ownerId":"nobody"}`).is(404, "USER_NOT_FOUND")

		first := srv.call("POST", "/organizations", `{"name":"Once"}`, header{"Idempotency-Key": "k"}).is(201)
		again := srv.call("POST", "/organizations", `{"name":"Once"}`, header{"Idempotency-Key": "k"}).is(201)
		assert.Equal(t, first.body, again.body)
		_, _, total := srv.listed("/organizations", "id")
		assert.Equal(t, 4.0, total)
		for body, field := range map[string]string{
			`{}`: "name", `{"name":""}`: "name", `{"name":" "}`: "name", `{"name":"a\u202eb"}`: "name", `{"name":"` + strings.Repeat("a", 101) + `"}`: "name",
			`{"name":"a","slug":""}`: "slug", `{"name":"a","slug":"A"}`: "slug", `{"name":"a","slug":"0199b0a8-0000-7000-8000-000000000000"}`: "slug",
			`{"name":"a","logo":"javascript:alert(1)"}`: "logo", `{"name":"a","metadata":"x"}`: "metadata", `{"name":"a","metadata":[]}`: "metadata",
			`{"name":"a","metadata":{"a":"` + strings.Repeat("x", 16<<10) + `"}}`: "metadata",
			`{"name":"a","ownerId":"a\u0000"}`:                                    "ownerId",
			`{"name":"a","id":"x"}`:                                               "id", // mass assignment
			`{"name":"a","createdAt":"2020-01-01T00:00:00Z"}`:                     "createdAt",
			`{"name":"a","memberCount":7}`:                                        "memberCount",
			`{"name":"a","members":[{"userId":"ulla","role":"owner"}]}`:           "members",
		} {
			assert.NotEmpty(t, srv.call("POST", "/organizations", body).is(400, "VALIDATION_ERROR").errors()[field], body)
		}
		assert.Len(t, srv.call("POST", "/organizations", `{"name":" ","slug":"A","logo":"x"}`).is(400, "VALIDATION_ERROR").errors(), 3, "every fault at once")
	})
}

func TestUpdateOrganization(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id := srv.organization("acme")
		srv.organization("other")
		a := srv.call("PATCH", "/organizations/acme", `{"name":"Acme Inc.","slug":"acme-inc","logo":"https://a.example/l.png","metadata":{"a":1}}`).is(200)
		assert.Equal(t, []any{id, "Acme Inc.", "acme-inc", "https://a.example/l.png", map[string]any{"a": 1.0}, 0.0},
			[]any{a.body["id"], a.body["name"], a.body["slug"], a.body["logo"], a.body["metadata"], a.body["memberCount"]})
		event := srv.latest(id)
		assert.Equal(t, []string{"organization.update", "alice", id}, []string{event.Action, event.ActorID, event.TargetID})
		assert.Equal(t, map[string]store.Change{
			"name": {Before: "acme", After: "Acme Inc."}, "slug": {Before: "acme", After: "acme-inc"}, "logo": {After: "https://a.example/l.png"},
			"metadata": {After: map[string]any{"a": 1.0}},
		}, event.Changes)
		a = srv.call("PATCH", "/organizations/"+id, `{"logo":null,"metadata":null}`).is(200)
		assert.Equal(t, []any{nil, map[string]any{}}, []any{a.body["logo"], a.body["metadata"]})
		was := srv.latest(id).ID
		srv.call("PATCH", "/organizations/"+id, `{"name":"Acme Inc.","metadata":{}}`).is(200)
		assert.Equal(t, was, srv.latest(id).ID, "a change of nothing is recorded")
		srv.call("PATCH", "/organizations/"+id, `{"slug":"other"}`).is(409, "SLUG_TAKEN")
		srv.call("PATCH", "/organizations/nothing", `{"name":"a"}`).is(404, "ORGANIZATION_NOT_FOUND")
		for _, body := range []string{
			`{"name":null}`, `{"slug":null}`, `{"slug":"A"}`, `{"name":""}`, `{"logo":"http://a.example/"}`, `{"id":"x"}`, `{"ownerId":"ulla"}`,
			`{"updatedAt":"2020-01-01T00:00:00Z"}`,
		} {
			srv.call("PATCH", "/organizations/"+id, body).is(400, "VALIDATION_ERROR")
		}
	})
}

func TestDeleteOrganization(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		id, other := srv.organization("acme"), srv.organization("other")
		srv.join("acme", "ulla", store.MemberOwner)
		here, elsewhere := srv.grantFor(clientID, "ulla", id), srv.grantFor(clientID, "ulla", other)
		srv.call("DELETE", "/organizations/acme", "").is(204)
		srv.call("GET", "/organizations/"+id, "").is(404, "ORGANIZATION_NOT_FOUND")
		srv.call("DELETE", "/organizations/"+id, "").is(404, "ORGANIZATION_NOT_FOUND")
		assert.True(t, srv.revoked(store.RevokedOrganization, id), "access tokens for the organization live on")
		assert.Equal(t, []string{store.ReasonOrganizationDeleted, ""}, []string{srv.reason(here), srv.reason(elsewhere)})
		event := srv.latest(id)
		assert.Equal(t, "organization.delete", event.Action)
		assert.Equal(t, store.Change{Before: "acme"}, event.Changes["name"])
		assert.Equal(t, "ulla", srv.user("ulla").ID)
		for _, path := range []string{"", "/members", "/invitations"} {
			srv.call("GET", "/organizations/a%00b"+path, "").is(404)
		}
	})
}

// grantFor gives the client a live grant of the person for an organization.
func (s *server) grantFor(clientID, userID, organizationID string) string {
	s.t.Helper()
	g := s.grant(clientID, userID)
	g.ID, g.OrganizationID = store.NewID(), organizationID
	require.NoError(s.t, s.store.CreateGrant(s.t.Context(), g))
	return g.ID
}

// reason tells why a grant was revoked.
func (s *server) reason(grantID string) string {
	s.t.Helper()
	g, err := s.store.GrantByID(s.t.Context(), grantID)
	require.NoError(s.t, err)
	return g.RevokeReason
}

// Every order, walked page by page, shows each organization once, in that order, also where the values are equal.
func TestOrganizationPaging(t *testing.T) {
	ticks := &clock{}
	each(t, func(t *testing.T, srv *server) {
		for i, name := range []string{"Zed", "bob", "Bob", "élan", "Adam"} {
			srv.call("POST", "/organizations", fmt.Sprintf(`{"name":%q,"slug":%q}`, name, []string{"c", "a-a", "aa", "b", "a"}[i])).is(201)
			if i%2 == 1 {
				ticks.advance(time.Millisecond) // others are created in the same instant
			}
		}
		for sort, want := range map[string][]string{
			"":          {"Adam", "élan", "Bob", "bob", "Zed"},
			"createdAt": {"Zed", "bob", "Bob", "élan", "Adam"},
			"name":      {"Adam", "bob", "Bob", "Zed", "élan"}, // by bytes on both engines, whatever the locale; case folded
			"-name":     {"élan", "Zed", "Bob", "bob", "Adam"},
			"slug":      {"Adam", "bob", "Bob", "élan", "Zed"},
			"-slug":     {"Zed", "élan", "Bob", "bob", "Adam"},
		} {
			for _, limit := range []int{1, 2, 200} {
				assert.Equal(t, want, srv.walk("/organizations", "name", sort, limit, 5), "%s by %d", sort, limit)
			}
		}
	}, func(o *store.Options) { o.Now = ticks.now })
}

// walk collects a property of all items of a list, page by page.
func (s *server) walk(path, property, sort string, limit int, total float64) (all []string) {
	s.t.Helper()
	query := url.Values{"limit": {fmt.Sprint(limit)}}
	if sort != "" {
		query.Set("sort", sort)
	}
	for pages := 0; ; pages++ {
		require.Less(s.t, pages, 20)
		values, next, counted := s.listed(path+"?"+query.Encode(), property)
		assert.Equal(s.t, total, counted)
		all = append(all, values...)
		if next == "" {
			return all
		}
		query.Set("cursor", next)
	}
}

func TestOrganizationSearch(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		var id string
		for name, slug := range map[string]string{"Acme 100%": "first", "ACME B": "second", "Badacme": "acme-third", "Éva": "fourth"} {
			a := srv.call("POST", "/organizations", fmt.Sprintf(`{"name":%q,"slug":%q}`, name, slug)).is(201)
			if slug == "fourth" {
				id = a.text("id")
			}
		}
		for search, want := range map[string][]string{
			"acme": {"acme-third", "first", "second"}, " ACME": {"acme-third", "first", "second"}, "acme b": {"second"}, "fir": {"first"},
			"Év": {"fourth"}, id: {"fourth"}, "100": nil, "%": nil, "a_me": nil, "' OR 1=1 --": nil,
		} {
			slugs, next, total := srv.listed("/organizations?sort=slug&search="+url.QueryEscape(search), "slug")
			assert.Equal(t, want, slugs, search)
			assert.Empty(t, next)
			assert.EqualValues(t, len(want), total, search)
		}
		for query, field := range map[string]string{
			"sort=members": "query.sort", "search=a%00b": "query.search", "limit=0": "query.limit", "cursor=x": "query.cursor",
		} {
			assert.NotEmpty(t, srv.call("GET", "/organizations?"+query, "").is(400, "VALIDATION_ERROR").errors()[field], query)
		}
	})
}

func TestOrganizationsOfUsers(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		b, a := srv.organization("beta"), srv.organization("alpha")
		srv.organization("gamma")
		srv.join("beta", "ulla", store.MemberOwner)
		srv.join("alpha", "ulla", store.MemberPlain)
		srv.join("alpha", "alice", store.MemberAdmin)
		got := srv.call("GET", "/users/ulla/organizations", "").is(200)
		var told [][3]any
		for _, item := range got.body["items"].([]any) {
			m := item.(map[string]any)
			organization := m["organization"].(map[string]any)
			told = append(told, [3]any{organization["id"], organization["slug"], m["role"]})
		}
		assert.Equal(t, [][3]any{{a, "alpha", "member"}, {b, "beta", "owner"}}, told)
		srv.call("GET", "/users/nobody/organizations", "").is(404, "NOT_FOUND")
		srv.call("GET", "/users/a%00b/organizations", "").is(404, "NOT_FOUND")

		for ref, want := range map[string][]string{"alpha": {"alice", "ulla"}, a: {"alice", "ulla"}, "beta": {"ulla"}, "gamma": nil} {
			emails, _, total := srv.emails("sort=email&organizationId=" + ref)
			assert.Equal(t, want, emails, ref)
			assert.EqualValues(t, len(want), total)
		}
		emails, _, _ := srv.emails("sort=email&organizationId=alpha&role=user")
		assert.Equal(t, []string{"ulla"}, emails)
		srv.call("GET", "/users?organizationId=nothing", "").is(404, "ORGANIZATION_NOT_FOUND")
		srv.call("GET", "/users?applicationId=nothing", "").is(404, "NOT_FOUND")
		for _, field := range []string{"organizationId", "applicationId"} {
			assert.NotEmpty(t, srv.call("GET", "/users?"+field+"=a%00b", "").is(400, "VALIDATION_ERROR").errors()["query."+field])
		}
	})
}

// People of an application are those with a grant, past ones included; roles and subscriptions are tested in package store.
func TestUsersOfApplications(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, clientID := srv.create(webApplication)
		_, otherClient := srv.create(with("web", fields{"name": "Other"}))
		for _, who := range []string{"granted", "past", "elsewhere"} {
			srv.person(who, store.RoleUser)
		}
		srv.grant(clientID, "granted")
		require.NoError(t, srv.store.RevokeGrant(t.Context(), srv.grant(clientID, "past").ID, store.ReasonRevoked))
		srv.grant(otherClient, "elsewhere")
		for ref, want := range map[string][]string{
			id: {"granted", "past"}, "crm": {"granted", "past"}, clientID: {"granted", "past"}, "other": {"elsewhere"}, "crm&search=past": {"past"},
		} {
			emails, _, total := srv.emails("sort=email&applicationId=" + ref)
			assert.Equal(t, want, emails, ref)
			assert.EqualValues(t, len(want), total, ref)
		}
	})
}

// The number of statements must not depend on the number of rows.
func TestOrganizationStoreCalls(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		id := srv.organization("acme")
		for i := range 5 {
			who := fmt.Sprintf("u%d", i)
			srv.person(who, store.RoleUser)
			srv.join("acme", who, store.MemberOwner)
			srv.organization(who)
			srv.join(who, "ulla", store.MemberPlain)
			srv.grantFor(clientID, who, id)
		}
		const session = "R users" // stands for that of account.Sessions
		const o, m, i, audit = "R organizations", "R members", "R invitations", "W audit_events"
		invitation := srv.call("POST", "/organizations/acme/invitations", `{"email":"x@example.com"}`).is(201).text("id")
		for _, tt := range []struct {
			method, path, body string
			want               []string
		}{
			{"GET", "/organizations", "", []string{session, o}},
			{"GET", "/organizations?search=u&sort=name&limit=2", "", []string{session, o}},
			{"POST", "/organizations", `{"name":"N"}`, []string{session, "BEGIN", "W organizations", audit, "COMMIT"}},
			{"POST", "/organizations", `{"name":"O","ownerId":"ulla"}`, []string{session, "BEGIN", "R users", "W organizations", audit, m, "W members", audit, "COMMIT"}},
			{"GET", "/organizations/acme", "", []string{session, o, m}},
			{"PATCH", "/organizations/acme", `{"name":"Acme"}`, []string{session, "BEGIN", o, "W organizations", audit, "COMMIT", m}},
			{"PATCH", "/organizations/acme", `{"name":"Acme"}`, []string{session, "BEGIN", o, "COMMIT", m}},
			{"GET", "/organizations/acme/members", "", []string{session, o, m, "R users"}},
			{"GET", "/organizations/acme/members?search=u&role=owner&limit=2", "", []string{session, o, m, "R users"}},
			{"POST", "/organizations/acme/members", `{"userId":"alice"}`, []string{session, "BEGIN", "R users", o, m, "W members", audit, "COMMIT"}},
			{"PATCH", "/organizations/acme/members/u0/role", `{"role":"admin"}`, []string{session, "BEGIN", o, m, m, "W members", audit, "COMMIT"}},
			{"DELETE", "/organizations/acme/members/u1", "", []string{session, "BEGIN", o, m, m, "W members", "W authorization_codes", "W grants", "W revocations", "W sessions", audit, "COMMIT"}},
			{"GET", "/organizations/acme/invitations", "", []string{session, o, i}},
			{"POST", "/organizations/acme/invitations", `{"email":"y@example.com"}`, []string{session, "BEGIN", o, "R users", i, i, "W invitations", audit, "COMMIT"}},
			{"POST", "/organizations/acme/invitations", `{"email":"y@example.com","resend":true}`, []string{session, "BEGIN", o, "R users", i, "W invitations", audit, "COMMIT"}},
			{"DELETE", "/organizations/acme/invitations/" + invitation, "", []string{session, "BEGIN", o, i, "W invitations", audit, "COMMIT"}},
			{"GET", "/users/ulla/organizations", "", []string{session, "R users", m}},
			{"GET", "/users?organizationId=acme&applicationId=crm", "", []string{session, o, "R applications", "R clients", "R client_secrets", m, "R clients", "R role_assignments", "R users"}},
			{"DELETE", "/users/u2", "", []string{session, "BEGIN", "R users", o, m, o, audit, "W grants", "W revocations", "R users", "W users", audit, "COMMIT"}},
			{"DELETE", "/organizations/acme", "", []string{session, "BEGIN", o, "W organizations", "W authorization_codes", "W grants", "W revocations", "W sessions", audit, "COMMIT"}},
		} {
			ctx, calls := storetest.Trace(t.Context())
			a := srv.callWith(ctx, tt.method, tt.path, tt.body)
			require.Less(t, a.Code, 300, "%s %s: %s", tt.method, tt.path, a.Body)
			assert.Equal(t, tt.want, calls.List(), tt.method+" "+tt.path)
		}
	})
}
