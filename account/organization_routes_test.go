package account_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// as returns a browser in which the person is signed in.
func (s *server) as(u *store.User) *browser {
	s.t.Helper()
	b, secret, now := s.browser(), store.RandomToken(32), s.clock.Now()
	require.NoError(s.t, s.store.CreateSession(s.t.Context(), &store.Session{
		ID: store.NewID(), SecretHash: store.HashSecret(secret), UserID: u.ID, AuthTime: now, ACR: "1", AMR: []string{"pwd"},
		CreatedAt: now, LastSeenAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
	}))
	b.cookies[sessionCookie] = secret
	return b
}

// operator creates an administrator of the server.
func (s *server) operator() *store.User {
	s.t.Helper()
	u := s.verified("operator@example.com")
	require.NoError(s.t, s.svc.SetRole(s.t.Context(), system, u.ID, store.RoleAdmin))
	return u
}

func (r response) list() (out []object) {
	r.t.Helper()
	require.NoError(r.t, json.Unmarshal(r.ok().Body.Bytes(), &out), r.Body.String())
	return out
}

func (r response) null() {
	r.t.Helper()
	require.Equal(r.t, "null", strings.TrimSpace(r.ok().Body.String()))
}

// shown is how the wire has an organization without logo and metadata.
func shown(o *store.Organization) object {
	return object{"id": o.ID, "name": o.Name, "slug": o.Slug, "logo": nil, "metadata": object{}, "createdAt": "2026-11-23T12:00:00.000Z"}
}

func TestOrganizationCreateRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		operator := s.operator()
		b := s.as(operator)
		got := b.post("organization/create", object{
			"name": " Acme ", "slug": "acme", "logo": "https://acme.example/l.png", "metadata": object{"tier": "gold"},
		}).ok().json()
		o, err := s.store.OrganizationByRef(t.Context(), "acme")
		require.NoError(t, err)
		owner, err := s.store.MemberOf(t.Context(), o.ID, operator.ID)
		require.NoError(t, err)
		assert.Equal(t, object{
			"id": o.ID, "name": "Acme", "slug": "acme", "logo": "https://acme.example/l.png", "metadata": object{"tier": "gold"},
			"createdAt": "2026-11-23T12:00:00.000Z",
			"members": []any{object{
				"id": owner.ID, "organizationId": o.ID, "userId": operator.ID, "role": "owner", "createdAt": "2026-11-23T12:00:00.000Z",
				"user": object{"id": operator.ID, "name": operator.Name, "email": operator.Email, "image": nil},
			}},
		}, got)
		assert.Equal(t, o.ID, b.active())
		assert.Equal(t, "session.set_organization", s.events(o)[0].Action)

		got = b.post("organization/create", object{"name": "Second", "slug": "second", "keepCurrentActiveOrganization": true}).ok().json()
		assert.Equal(t, []any{nil, object{}}, []any{got["logo"], got["metadata"]})
		assert.Equal(t, o.ID, b.active())
		b.post("organization/create", object{"name": "Acme", "slug": "acme"}).refused(http.StatusBadRequest, "ORGANIZATION_ALREADY_EXISTS")
		r := b.post("organization/create", object{"name": " ", "slug": "We ird/../Slug", "logo": "javascript:alert(1)"})
		r.refused(http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Len(t, r.json()["errors"], 3, "every fault at once")
		b.post("organization/create", object{"name": "Acme"}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		b.post("organization/create", object{"name": "A", "slug": "a", "metadata": "text"}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
	})
}

// Whoever is no administrator makes no organization, and learns of no other by trying.
func TestOrganizationsAreCreatedByAdministrators(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.as(s.customer("acme").owner)
		for _, slug := range []string{"new", "acme", "-"} {
			b.post("organization/create", object{"name": "New", "slug": slug}).
				refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_ORGANIZATION")
		}
		_, err := s.store.OrganizationByRef(t.Context(), "new")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestOrganizationCheckSlugRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		for _, b := range []*browser{s.as(c.owner), s.as(c.admin), s.as(s.operator())} {
			assert.Equal(t, object{"status": true}, b.post("organization/check-slug", object{"slug": "free"}).ok().json())
			b.post("organization/check-slug", object{"slug": "acme"}).refused(http.StatusBadRequest, "ORGANIZATION_SLUG_ALREADY_TAKEN")
			b.post("organization/check-slug", object{"slug": "a\x00"}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		}
		s.svc.Organizations.SelfService = false
		s.as(c.owner).post("organization/check-slug", object{"slug": "free"}).refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_ORGANIZATION")
	})
}

// Enumeration of customers: whoever gives no organization its slug cannot ask which slugs there are.
func TestSlugsAreNotProbed(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		for _, u := range []*store.User{s.customer("acme").plain, s.verified("eve@example.com")} {
			for _, slug := range []string{"acme", "free"} {
				s.as(u).post("organization/check-slug", object{"slug": slug}).refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_ORGANIZATION")
			}
		}
	})
}

func TestOrganizationUpdateRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		s.organization("other")
		b := s.as(c.admin)
		b.post("organization/update", object{"data": object{"name": "A"}}).refused(http.StatusBadRequest, "ORGANIZATION_NOT_FOUND")
		want := shown(c.Organization)
		want["name"], want["logo"], want["metadata"] = "Acme Inc.", "https://acme.example/l.png", object{"seats": 3.0}
		assert.Equal(t, want, b.post("organization/update", object{
			"organizationId": c.ID, "data": object{"name": " Acme Inc. ", "logo": "https://acme.example/l.png", "metadata": object{"seats": 3}},
		}).ok().json())
		want["logo"] = nil
		b.in(c.Organization)
		assert.Equal(t, want, b.post("organization/update", object{"data": object{"logo": nil}}).ok().json(), "of the active one")
		b.post("organization/update", object{"data": object{"slug": "other"}}).refused(http.StatusBadRequest, "ORGANIZATION_SLUG_ALREADY_TAKEN")
		r := b.post("organization/update", object{"data": object{"slug": "A", "name": ""}})
		r.refused(http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Contains(t, r.json()["errors"], "data.slug")
		assert.Contains(t, r.json()["errors"], "data.name")
		assert.Contains(t, r.json()["message"], "[data.name]")
		b.post("organization/update", object{}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		s.as(c.plain).in(c.Organization).post("organization/update", object{"data": object{"name": "B"}}).
			refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_ORGANIZATION")
		s.svc.Organizations.SelfService = false
		b.post("organization/update", object{"data": object{"name": "B"}}).refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_ORGANIZATION")
		s.as(s.operator()).post("organization/update", object{"organizationId": c.ID, "data": object{"name": "B"}}).ok()
	})
}

// A NUL or broken UTF-8 in the place of an id is a name that nothing has, and not a failure of the database; nor does the
// active organization step in for it.
func TestOrganizationRoutesRefuseWhatTheDatabaseCannotKeep(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.owner).in(c.Organization)
		b.post("organization/update", object{"organizationId": "a\x00", "data": object{}}).refused(http.StatusForbidden, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION")
		b.get("organization/get-full-organization?organizationSlug=%ff").refused(http.StatusForbidden, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION")
		b.get("organization/list-members?filterField=userId&filterValue=%00").refused(http.StatusBadRequest, "VALIDATION_ERROR")
		b.get("organization/get-active-member-role?userId=%00").refused(http.StatusForbidden, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION")
		b.get("organization/get-invitation?id=%00").refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")
		b.post("organization/cancel-invitation", object{"invitationId": "\x00"}).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")
		b.post("organization/remove-member", object{"memberIdOrEmail": "\x00"}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		b.post("organization/remove-member", object{"memberIdOrEmail": "\x00@example.com"}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		b.post("organization/update-member-role", object{"memberId": "\x00", "role": "admin"}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		b.post("organization/update", object{"data": object{"name": "a\x00"}}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		metadata := object{"\x00": "\x00"} // which is JSON
		assert.Equal(t, metadata, b.post("organization/update", object{"data": object{"metadata": metadata}}).ok().json()["metadata"])
		assert.Equal(t, metadata, b.get("organization/get-full-organization").ok().json()["metadata"])
	})
}

func TestOrganizationDeleteRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.owner).in(c.Organization)
		b.post("organization/delete", object{"organizationId": c.ID}).refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_ORGANIZATION")
		operator := s.as(s.operator())
		operator.post("organization/delete", object{}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		operator.post("organization/delete", object{"organizationId": ""}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Equal(t, shown(c.Organization), operator.post("organization/delete", object{"organizationId": c.ID}).ok().json())
		operator.post("organization/delete", object{"organizationId": c.ID}).refused(http.StatusBadRequest, "ORGANIZATION_NOT_FOUND")
		assert.Nil(t, b.active())
	})
}

func TestOrganizationListRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		acme, other := s.customer("acme"), s.organization("other")
		s.join(other, acme.plain, store.MemberAdmin)
		s.organization("third")
		first, second := shown(acme.Organization), shown(other)
		first["role"], second["role"] = "member", "admin"
		assert.Equal(t, []object{first, second}, s.as(acme.plain).get("organization/list").list())
		assert.Equal(t, []object{}, s.as(s.operator()).get("organization/list").list())
	})
}

func TestOrganizationGetFullRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		i := s.invite(c, "carl@example.com")
		b := s.as(c.admin)
		b.get("organization/get-full-organization").null()
		for _, query := range []string{"?organizationId=" + c.ID, "?organizationSlug=acme&organizationId=unknown"} {
			got := b.get("organization/get-full-organization" + query).ok().json()
			assert.Len(t, got["members"], 3)
			assert.Equal(t, []any{object{
				"id": i.ID, "organizationId": c.ID, "email": "carl@example.com", "role": "member", "status": "pending", "inviterId": c.owner.ID,
				"expiresAt": "2026-11-25T12:00:00.000Z", "createdAt": "2026-11-23T12:00:00.000Z",
			}}, got["invitations"])
			delete(got, "members")
			delete(got, "invitations")
			assert.Equal(t, shown(c.Organization), got)
		}
		for limit, want := range map[string]int{"1": 1, "0": 3, "1000000": 3} {
			assert.Len(t, b.in(c.Organization).get("organization/get-full-organization?membersLimit=" + limit).ok().json()["members"], want)
		}
		b.get("organization/get-full-organization?membersLimit=x").refused(http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Len(t, s.as(s.operator()).get("organization/get-full-organization?organizationSlug=acme").ok().json()["invitations"], 1)

		// The ids of invitations are the secrets of their links: none of them for who does not manage them.
		got := s.as(c.plain).get("organization/get-full-organization?organizationSlug=acme").ok().json()
		assert.Equal(t, []any{}, got["invitations"])
		assert.Len(t, got["members"], 3)
		s.svc.Organizations.SelfService = false
		assert.Equal(t, []any{}, b.get("organization/get-full-organization?organizationSlug=acme").ok().json()["invitations"])
	})
}

// Every form that a body of the reference has gets an answer, the one of the reference (P12).
func TestOrganizationHasPermissionRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		ask := func(b *browser, asked object) bool {
			got := b.post("organization/has-permission", object{"permissions": asked, "organizationId": c.ID}).ok().json()
			assert.Nil(t, got["error"])
			return got["success"].(bool)
		}
		owner, admin, plain, operator := s.as(c.owner), s.as(c.admin), s.as(c.plain), s.as(s.operator())
		for _, tt := range []struct {
			asked                  object
			operator, owner, admin bool
		}{
			{object{"organization": []string{"update"}}, true, true, true},
			{object{"organization": []string{"update", "delete"}}, true, false, false},
			{object{"member": []string{"create", "update", "delete"}, "invitation": []string{"create", "cancel"}}, true, true, true},
			{object{"member": []string{"update"}, "organization": []string{"delete"}}, true, false, false},
			{object{"member": []string{}}, true, true, true},
			{object{"member": []string{"read"}}, false, false, false},
			{object{"billing": []string{"update"}}, false, false, false},
			{object{"billing": []string{}}, false, false, false},
			{object{}, false, false, false},
		} {
			assert.Equal(t, []bool{tt.owner, tt.admin, false, tt.operator}, []bool{ask(owner, tt.asked), ask(admin, tt.asked), ask(plain, tt.asked), ask(operator, tt.asked)}, tt.asked)
		}
		update := object{"organization": []string{"update"}}
		owner.post("organization/has-permission", object{"permission": update}).refused(http.StatusBadRequest, "NO_ACTIVE_ORGANIZATION")
		assert.Equal(t, object{"error": nil, "success": true}, owner.in(c.Organization).post("organization/has-permission", object{"permission": update}).ok().json())
		owner.post("organization/has-permission", object{}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		owner.post("organization/has-permission", object{"permissions": object{"organization": "update"}}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		s.svc.Organizations.SelfService = false
		assert.Equal(t, []bool{false, true}, []bool{ask(owner, update), ask(operator, update)})
	})
}

// Mass assignment: what a body has beside the fields of the route counts for nothing.
func TestOrganizationMassAssignment(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		acme, rival, operator, carl := s.customer("acme"), s.customer("rival"), s.operator(), s.verified("carl@example.com")
		b := s.as(operator)
		got := b.post("organization/create", object{
			"name": "New", "slug": "new", "id": "chosen", "createdAt": "2000-01-01T00:00:00Z", "role": "superadmin", "userId": rival.owner.ID,
			"organizationId": acme.ID, "members": []object{{"userId": rival.owner.ID, "role": "owner"}},
		}).ok().json()
		assert.NotContains(t, []any{"chosen", acme.ID}, got["id"])
		assert.Equal(t, "2026-11-23T12:00:00.000Z", got["createdAt"])
		assert.Equal(t, operator.ID, got["members"].([]any)[0].(object)["userId"])

		owner := s.as(acme.owner)
		assert.Equal(t, shown(acme.Organization), owner.post("organization/update", object{
			"organizationId": acme.ID, "id": rival.ID,
			"data": object{"id": rival.ID, "organizationId": rival.ID, "createdAt": "2000-01-01T00:00:00Z", "updatedAt": "2000-01-01T00:00:00Z", "NAME": "x"},
		}).ok().json())
		i := owner.post("organization/invite-member", object{
			"organizationId": acme.ID, "email": carl.Email, "role": "member", "id": "chosen", "status": "accepted", "inviterId": acme.plain.ID,
			"expiresAt": "2100-01-01T00:00:00Z", "createdAt": "2000-01-01T00:00:00Z", "expiresIn": 2_000_000, "teamId": "x",
		}).ok().json()
		assert.NotEqual(t, "chosen", i["id"])
		assert.Equal(t, []any{"pending", acme.owner.ID, "2026-11-25T12:00:00.000Z", "2026-11-23T12:00:00.000Z"}, []any{i["status"], i["inviterId"], i["expiresAt"], i["createdAt"]})
		m := s.as(carl).post("organization/accept-invitation", object{
			"invitationId": i["id"], "role": "owner", "organizationId": rival.ID, "userId": rival.owner.ID, "id": "chosen", "createdAt": "2000-01-01T00:00:00Z",
		}).ok().json()["member"].(object)
		assert.Equal(t, []any{acme.ID, carl.ID, "member", "2026-11-23T12:00:00.000Z"}, []any{m["organizationId"], m["userId"], m["role"], m["createdAt"]})
		m = owner.post("organization/update-member-role", object{
			"organizationId": acme.ID, "memberId": m["id"], "role": "admin", "id": "chosen", "userId": rival.owner.ID, "createdAt": "2000-01-01T00:00:00Z",
		}).ok().json()
		assert.Equal(t, []any{acme.ID, carl.ID, "admin", "2026-11-23T12:00:00.000Z"}, []any{m["organizationId"], m["userId"], m["role"], m["createdAt"]})
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin", "plain": "member"}, s.roles(rival.Organization))
		b.post("organization/set-active", object{"organizationId": nil, "userId": acme.owner.ID, "sessionId": "x", "activeOrganizationId": acme.ID}).null()
		assert.Nil(t, b.active())
	})
}

func TestStatementsOfOrganizationRoutes(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c, carl := s.customer("acme"), s.verified("carl@example.com")
		owner := s.as(c.owner).in(c.Organization)
		trace := func(b *browser, method, path string, body object) []string {
			ctx, calls := storetest.Trace(t.Context())
			raw, err := json.Marshal(body)
			require.NoError(t, err)
			b.do(b.request(method, "organization/"+path, "application/json", strings.NewReader(string(raw))).WithContext(ctx)).ok()
			return calls.List()
		}
		const get, post = http.MethodGet, http.MethodPost
		assert.Equal(t, []string{"R sessions", "R members"}, trace(owner, get, "list", nil))
		assert.Equal(t, []string{"R sessions", "R members", "R members", "R users", "R invitations"}, trace(owner, get, "get-full-organization", nil))
		assert.Equal(t, []string{"R sessions", "R members", "R members", "R users"}, trace(owner, get, "list-members", nil))
		assert.Equal(t, []string{"R sessions", "R members"}, trace(owner, get, "get-active-member", nil))
		assert.Equal(t, []string{"R sessions", "R members", "R members"}, trace(owner, get, "get-active-member-role", nil))
		assert.Equal(t, []string{"R sessions", "R members"}, trace(owner, post, "has-permission", object{"permissions": object{"member": []string{"create"}}}))
		assert.Equal(t, []string{"R sessions", "R members", "R organizations"}, trace(owner, post, "check-slug", object{"slug": "free"}))
		assert.Equal(t, []string{"R sessions", "R members", "BEGIN", "R members", "R sessions", "COMMIT"}, trace(owner, post, "set-active", object{}))
		assert.Equal(t, []string{"R sessions", "BEGIN", "R sessions", "W sessions", "W audit_events", "COMMIT"}, trace(owner, post, "set-active", object{"organizationId": nil}))
		owner.in(c.Organization)
		assert.Equal(t, []string{
			"R sessions", "BEGIN", "R members", "R organizations", "R members", "R members", "R invitations", "R invitations",
			"W invitations", "W audit_events", "COMMIT",
		}, trace(owner, post, "invite-member", object{"email": carl.Email, "role": "member"}))
		assert.Equal(t, []string{"R sessions", "R members", "R invitations"}, trace(owner, get, "list-invitations", nil))
		theirs := s.as(carl)
		assert.Equal(t, []string{"R sessions", "R invitations"}, trace(theirs, get, "list-user-invitations", nil))
		id := theirs.get("organization/list-user-invitations").list()[0]["id"]
		assert.Equal(t, []string{"R sessions", "R invitations", "R users"}, trace(theirs, get, "get-invitation?id="+id.(string), nil))
		assert.Equal(t, []string{
			"R sessions", "BEGIN", "R users", "R invitations", "R organizations", "W invitations", "W audit_events", "R members", "W members",
			"W audit_events", "R sessions", "W sessions", "W audit_events", "COMMIT",
		}, trace(theirs, post, "accept-invitation", object{"invitationId": id}))
	})
}
