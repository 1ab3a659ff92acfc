package admin_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestMembers(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id := srv.organization("acme")
		a := srv.call("POST", "/organizations/acme/members", `{"userId":"ulla"}`).is(201)
		member := a.text("id")
		assert.Equal(t, map[string]any{
			"id": member, "organizationId": id, "userId": "ulla", "role": "member", "createdAt": a.text("createdAt"),
			"user": map[string]any{"id": "ulla", "name": "ulla", "email": "ulla@example.com", "image": nil},
		}, a.body)
		assert.Equal(t, []any{a.body}, srv.call("GET", "/organizations/"+id+"/members", "").is(200).body["items"])
		event := srv.latest(id)
		assert.Equal(t, []string{"member.add", "user", "ulla", "alice"}, []string{event.Action, event.TargetType, event.TargetID, event.ActorID})
		assert.Equal(t, map[string]store.Change{"role": {After: "member"}}, event.Changes)
		srv.call("POST", "/organizations/acme/members", `{"userId":"ulla","role":"owner"}`).is(409, "ALREADY_MEMBER")
		srv.call("POST", "/organizations/acme/members", `{"userId":"nobody"}`).is(404, "USER_NOT_FOUND")
		srv.call("POST", "/organizations/nothing/members", `{"userId":"alice"}`).is(404, "ORGANIZATION_NOT_FOUND")
		for range 2 {
			srv.call("POST", "/organizations/acme/members", `{"userId":"alice","role":"owner"}`, header{"Idempotency-Key": "k"}).is(201)
		}
		for _, body := range []string{
			`{}`, `{"userId":""}`, `{"userId":"a\u0000"}`, `{"userId":"root","role":"superadmin"}`, `{"userId":"root","id":"x"}`, `{"userId":"root","organizationId":"x"}`,
		} {
			srv.call("POST", "/organizations/acme/members", body).is(400, "VALIDATION_ERROR")
		}

		// By the member's id and by the person's.
		assert.Equal(t, "admin", srv.call("PATCH", "/organizations/acme/members/"+member+"/role", `{"role":"admin"}`).is(200).text("role"))
		event = srv.latest(id)
		assert.Equal(t, "member.set_role", event.Action)
		assert.Equal(t, map[string]store.Change{"role": {Before: "member", After: "admin"}}, event.Changes)
		assert.Equal(t, "owner", srv.call("PATCH", "/organizations/acme/members/ulla/role", `{"role":"owner"}`).is(200).text("role"))
		for _, body := range []string{`{}`, `{"role":null}`, `{"role":"root"}`, `{"role":"member","userId":"root"}`} {
			srv.call("PATCH", "/organizations/acme/members/ulla/role", body).is(400, "VALIDATION_ERROR")
		}
		srv.call("DELETE", "/organizations/acme/members/"+member, "").is(204)
		srv.call("DELETE", "/organizations/acme/members/ulla", "").is(404, "MEMBER_NOT_FOUND")
		srv.call("DELETE", "/organizations/acme/members/a%00b", "").is(404, "NOT_FOUND")
		srv.call("DELETE", "/organizations/acme/members/alice", "").is(409, "LAST_OWNER")
		srv.call("PATCH", "/organizations/acme/members/alice/role", `{"role":"admin"}`).is(409, "LAST_OWNER")
		assert.Contains(t, srv.call("DELETE", "/users/alice", "", asRoot).is(409, "LAST_OWNER").text("detail"), "acme")
		assert.Equal(t, 1.0, srv.call("GET", "/organizations/acme", "").body["memberCount"])
	})
}

// Whoever is taken out of an organization keeps no grant and no token for it.
func TestRemoveMemberRevokes(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		id, other := srv.organization("acme"), srv.organization("other")
		srv.join("acme", "ulla", store.MemberPlain)
		srv.join("other", "ulla", store.MemberPlain)
		here, elsewhere := srv.grantFor(clientID, "ulla", id), srv.grantFor(clientID, "ulla", other)
		srv.call("PATCH", "/organizations/acme/members/ulla/role", `{"role":"admin"}`).is(200)
		assert.Empty(t, srv.reason(here), "a role shows in the next token")
		srv.call("DELETE", "/organizations/acme/members/ulla", "").is(204)
		assert.Equal(t, []string{store.ReasonMembershipEnded, ""}, []string{srv.reason(here), srv.reason(elsewhere)})
		assert.True(t, srv.revoked(store.RevokedMember, "ulla "+id))
		assert.False(t, srv.revoked(store.RevokedMember, "ulla "+other))
		assert.Equal(t, "member.remove", srv.latest(id).Action)
	})
}

// IDOR: a path that goes through one organization must not reach the members and invitations of another.
func TestMembersOfAnotherOrganization(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.organization("acme")
		srv.organization("rival")
		member := srv.join("acme", "ulla", store.MemberPlain)
		invitation := srv.call("POST", "/organizations/acme/invitations", `{"email":"x@example.com"}`).is(201).text("id")
		for _, ref := range []string{member, "ulla"} {
			srv.call("DELETE", "/organizations/rival/members/"+ref, "").is(404, "MEMBER_NOT_FOUND")
			srv.call("PATCH", "/organizations/rival/members/"+ref+"/role", `{"role":"owner"}`).is(404, "MEMBER_NOT_FOUND")
		}
		srv.call("DELETE", "/organizations/rival/invitations/"+invitation, "").is(404, "INVITATION_NOT_FOUND")
		for _, list := range []string{"members", "invitations"} {
			ids, _, total := srv.listed("/organizations/rival/"+list, "id")
			assert.Empty(t, ids)
			assert.Zero(t, total)
			_, _, total = srv.listed("/organizations/acme/"+list, "id")
			assert.Equal(t, 1.0, total)
		}
	})
}

func TestMemberList(t *testing.T) {
	ticks := &clock{}
	each(t, func(t *testing.T, srv *server) {
		srv.organization("acme")
		srv.organization("other")
		for i, who := range []struct{ id, email, name, role string }{
			{"1", "zoe.100%", "Ada Lovelace", "owner"}, {"2", "adam", "Éva", "admin"}, {"3", "badam", "ADA B", "member"}, {"4", "dan", "Dan", "member"},
		} {
			now := time.Now().UTC()
			require.NoError(t, srv.store.CreateUser(t.Context(), &store.User{ID: who.id, Email: who.email + "@example.com", Name: who.name, Role: "user", CreatedAt: now, UpdatedAt: now}))
			srv.join("acme", who.id, who.role)
			if i%2 == 1 {
				ticks.advance(time.Millisecond)
			}
		}
		srv.person("ada", store.RoleUser)
		srv.join("other", "ada", store.MemberPlain)
		for _, limit := range []int{1, 3, 200} {
			assert.Equal(t, []string{"1", "2", "3", "4"}, srv.walk("/organizations/acme/members", "userId", "", limit, 4))
			assert.Equal(t, []string{"4", "3", "2", "1"}, srv.walk("/organizations/acme/members", "userId", "-createdAt", limit, 4))
		}
		for query, want := range map[string][]string{
			"search=ada": {"1", "2", "3"}, "search=+ADA": {"1", "2", "3"}, "search=2": {"2"}, "search=" + url.QueryEscape("Év"): {"2"},
			"search=" + url.QueryEscape("%"): nil, "search=" + url.QueryEscape("' OR 1=1 --"): nil, "search=Lovelace": nil,
			"role=member": {"3", "4"}, "role=owner": {"1"}, "role=member&search=ada": {"3"},
		} {
			ids, _, total := srv.listed("/organizations/acme/members?"+query, "userId")
			assert.Equal(t, want, ids, query)
			assert.EqualValues(t, len(want), total, query)
		}
		for query, field := range map[string]string{
			"sort=role": "query.sort", "role=root": "query.role", "search=a%00b": "query.search", "limit=201": "query.limit", "cursor=x": "query.cursor",
		} {
			assert.NotEmpty(t, srv.call("GET", "/organizations/acme/members?"+query, "").is(400, "VALIDATION_ERROR").errors()[field], query)
		}
		srv.call("GET", "/organizations/nothing/members", "").is(404, "ORGANIZATION_NOT_FOUND")
	}, func(o *store.Options) { o.Now = ticks.now })
}

// Two administrators who remove, or demote, the two owners of an organization in the same moment.
func TestLastOwnerAgainstTwoRequests(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.person("a", store.RoleUser)
		srv.person("b", store.RoleUser)
		for round := range 6 {
			slug := fmt.Sprintf("round-%d", round)
			srv.organization(slug)
			srv.join(slug, "a", store.MemberOwner)
			srv.join(slug, "b", store.MemberOwner)
			codes := make(chan int, 2)
			for i, who := range []string{"a", "b"} {
				go func() {
					if (round>>i)&1 == 0 {
						codes <- srv.call("DELETE", "/organizations/"+slug+"/members/"+who, "").Code
					} else {
						codes <- srv.call("PATCH", "/organizations/"+slug+"/members/"+who+"/role", `{"role":"member"}`).Code
					}
				}()
			}
			got := []int{<-codes, <-codes}
			assert.Contains(t, got, 409, "round %d", round)
			owners, _, _ := srv.listed("/organizations/"+slug+"/members?role=owner", "userId")
			assert.Len(t, owners, 1, "round %d", round)
		}
	})
}
