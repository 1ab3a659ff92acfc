package account_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// An attempt is one route, called with the ids of somebody else's organization, and how it is refused.
type attempt struct {
	path   string // below organization/
	query  object // of a GET, or
	body   object // of a POST
	status int
	code   string
}

func (a attempt) by(b *browser) response {
	if a.body != nil {
		return b.post("organization/"+a.path, a.body)
	}
	q := url.Values{}
	for name, value := range a.query {
		q.Set(name, value.(string))
	}
	return b.get("organization/" + a.path + "?" + q.Encode())
}

// attempts is every route that an organization can be named to.
func attempts(ref string, victim *store.Member, victimEmail string) []attempt {
	const stranger, outsider = "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION", "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"
	return []attempt{
		{"update", nil, object{"organizationId": ref, "data": object{"name": "Taken over"}}, 403, stranger},
		{"update", nil, object{"organizationId": ref, "data": object{"slug": "-"}}, 403, stranger},
		{"delete", nil, object{"organizationId": ref}, 400, "ORGANIZATION_NOT_FOUND"},
		{"set-active", nil, object{"organizationId": ref}, 403, stranger},
		{"set-active", nil, object{"organizationSlug": ref}, 403, stranger},
		{"get-full-organization", object{"organizationId": ref}, nil, 403, stranger},
		{"get-full-organization", object{"organizationSlug": ref}, nil, 403, stranger},
		{"has-permission", nil, object{"organizationId": ref, "permissions": object{"member": []string{"create"}}}, 403, stranger},
		{"list-members", object{"organizationId": ref}, nil, 403, outsider},
		{"list-members", object{"organizationSlug": ref, "filterField": "userId", "filterValue": victim.UserID}, nil, 403, outsider},
		{"get-active-member-role", object{"organizationId": ref, "userId": victim.UserID}, nil, 403, outsider},
		{"get-active-member-role", object{"organizationSlug": ref}, nil, 403, outsider},
		{"update-member-role", nil, object{"organizationId": ref, "memberId": victim.ID, "role": "member"}, 400, "MEMBER_NOT_FOUND"},
		{"remove-member", nil, object{"organizationId": ref, "memberIdOrEmail": victim.ID}, 400, "MEMBER_NOT_FOUND"},
		{"remove-member", nil, object{"organizationId": ref, "memberIdOrEmail": victim.UserID}, 400, "MEMBER_NOT_FOUND"},
		{"remove-member", nil, object{"organizationId": ref, "memberIdOrEmail": victimEmail}, 400, "MEMBER_NOT_FOUND"},
		{"leave", nil, object{"organizationId": ref}, 400, "MEMBER_NOT_FOUND"},
		{"invite-member", nil, object{"organizationId": ref, "email": "eve@example.com", "role": "owner"}, 400, "MEMBER_NOT_FOUND"},
		{"invite-member", nil, object{"organizationId": ref, "email": victimEmail, "role": "member"}, 400, "MEMBER_NOT_FOUND"},
		{"list-invitations", object{"organizationId": ref}, nil, 403, outsider},
	}
}

// Cross-tenant access, by every route: whoever is no member, of no organization or of another one that is active in their
// session, gets for a foreign organization what they get for one that does not exist, to the word, and changes nothing.
func TestTenantsAreIsolated(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		acme, rival := s.customer("acme"), s.customer("rival")
		invitation := s.invite(acme, "carl@example.com")
		owner, plain := s.as(rival.owner).in(rival.Organization), s.as(rival.plain).in(rival.Organization)
		before, events := s.snapshot(acme), len(s.events(acme.Organization))
		for _, b := range []*browser{owner, plain, s.as(s.verified("eve@example.com"))} {
			active, unknown := b.active(), attempts("no-such-organization", acme.ownership, acme.owner.Email)
			for _, ref := range []string{acme.ID, "acme"} {
				for i, a := range attempts(ref, acme.ownership, acme.owner.Email) {
					got := a.by(b)
					got.refused(a.status, a.code)
					assert.Equal(t, unknown[i].by(b).json()["message"], got.json()["message"], a.path)
				}
			}
			for _, id := range []string{invitation.ID, "no-such-invitation"} {
				b.post("organization/cancel-invitation", object{"invitationId": id}).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")
			}
			assert.Equal(t, active, b.active())
		}

		// By way of their own organization, with the ids of the other one.
		for _, named := range []object{{}, {"organizationId": rival.ID}} {
			for _, member := range []string{acme.ownership.ID, acme.owner.ID} {
				owner.post("organization/update-member-role", with(named, object{"memberId": member, "role": "member"})).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
				owner.post("organization/remove-member", with(named, object{"memberIdOrEmail": member})).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
			}
		}
		owner.post("organization/remove-member", object{"memberIdOrEmail": acme.owner.Email}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		owner.get("organization/get-active-member-role?userId="+acme.owner.ID).refused(http.StatusForbidden, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION")
		assert.Empty(t, owner.get("organization/list-members?filterField=userId&filterValue=" + acme.owner.ID).ok().json()["members"])
		assert.Equal(t, before, s.snapshot(acme))
		assert.Len(t, s.events(acme.Organization), events)
	})
}

func with(a, b object) object {
	out := object{}
	for _, part := range []object{a, b} {
		for name, value := range part {
			out[name] = value
		}
	}
	return out
}

// snapshot is all that there is of a customer.
func (s *server) snapshot(c customer) []any {
	s.t.Helper()
	o, err := s.store.OrganizationByRef(s.t.Context(), c.ID)
	require.NoError(s.t, err)
	page, err := s.store.Invitations(s.t.Context(), store.InvitationQuery{OrganizationID: c.ID, Paging: store.Paging{Limit: 100}})
	require.NoError(s.t, err)
	return []any{o, s.roles(o), page.Items}
}

// Without a session there is nothing to be had, whatever is named.
func TestOrganizationRoutesWantASession(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		id, b := s.invite(c, "carl@example.com").ID, s.browser()
		for _, a := range append(attempts(c.ID, c.ownership, c.owner.Email),
			attempt{path: "create", body: object{"name": "New", "slug": "new"}}, attempt{path: "check-slug", body: object{"slug": "acme"}},
			attempt{path: "list"}, attempt{path: "get-active-member"}, attempt{path: "list-user-invitations"},
			attempt{path: "get-invitation", query: object{"id": id}}, attempt{path: "accept-invitation", body: object{"invitationId": id}},
			attempt{path: "reject-invitation", body: object{"invitationId": id}}, attempt{path: "cancel-invitation", body: object{"invitationId": id}},
		) {
			a.by(b).refused(http.StatusUnauthorized, "UNAUTHORIZED")
		}
	})
}

// CSRF: a page of another site makes the browser of an owner send what it likes, with the cookie.
func TestOrganizationRoutesAreSameOrigin(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.owner)
		before := s.snapshot(c)
		b.header = http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}
		for _, a := range attempts(c.ID, s.member(c, c.plain), c.plain.Email) {
			if a.body != nil {
				a.by(b).refused(http.StatusForbidden, "INVALID_ORIGIN")
			}
		}
		assert.Equal(t, before, s.snapshot(c))
	})
}
