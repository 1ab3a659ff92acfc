package account_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"auth-service/store"
)

// in makes the organization the active one of the browser.
func (b *browser) in(o *store.Organization) *browser {
	b.s.t.Helper()
	b.post("organization/set-active", object{"organizationId": o.ID}).ok()
	return b
}

// active returns the active organization of the browser.
func (b *browser) active() any {
	b.s.t.Helper()
	return b.get("get-session").ok().json()["session"].(object)["activeOrganizationId"]
}

func TestOrganizationSetActiveRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		acme, other := s.customer("acme"), s.organization("other")
		s.join(other, acme.plain, store.MemberOwner)
		b := s.as(acme.plain)
		b.post("organization/set-active", object{}).null()
		b.post("organization/set-active", object{"organizationId": nil}).null()
		assert.Empty(t, s.events(other)[2:], "nothing happened yet")
		assert.Equal(t, shown(acme.Organization), b.post("organization/set-active", object{"organizationId": acme.ID}).ok().json())
		assert.Equal(t, acme.ID, b.active())
		assert.Equal(t, shown(acme.Organization), b.post("organization/set-active", object{}).ok().json())
		assert.Equal(t, shown(other), b.post("organization/set-active", object{"organizationSlug": "other"}).ok().json())
		b.post("organization/set-active", object{"organizationSlug": "other"}).ok()
		events := s.events(other)
		assert.Equal(t, []string{"session.set_organization", "session", acme.plain.ID}, []string{events[0].Action, events[0].TargetType, events[0].ActorID})
		assert.Equal(t, map[string]store.Change{"activeOrganizationId": {Before: acme.ID, After: other.ID}}, events[0].Changes)
		assert.Equal(t, "member.add", events[1].Action, "a change of nothing is recorded")
		b.post("organization/set-active", object{"organizationId": nil, "organizationSlug": "acme"}).null()
		assert.Nil(t, b.active())
		assert.Equal(t, map[string]store.Change{"activeOrganizationId": {Before: other.ID}}, s.events(other)[0].Changes)
	})
}

// W1: a session in which a foreign organization is active would be given tokens for it. Administrators of the server may do
// much with it, but act for it no more than others.
func TestForeignOrganizationIsNotActivated(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		acme, rival := s.customer("acme"), s.customer("rival")
		for _, u := range []*store.User{rival.owner, s.operator(), s.verified("eve@example.com")} {
			b := s.as(u)
			before := b.active()
			for _, body := range []object{
				{"organizationId": acme.ID}, {"organizationId": "acme"}, {"organizationSlug": "acme"}, {"organizationSlug": "unknown"}, {"organizationId": "unknown"},
				{"organizationId": acme.ID, "organizationSlug": "rival"}, {"organizationId": "\x00", "organizationSlug": "rival"},
			} {
				b.post("organization/set-active", body).refused(http.StatusForbidden, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION")
			}
			b.post("update-session", object{"activeOrganizationId": acme.ID, "impersonatedBy": acme.owner.ID}).refused(http.StatusNotFound, "NOT_FOUND")
			assert.Equal(t, before, b.active())
		}
	})
}

// W3: whoever is no longer a member has the organization active in no session.
func TestActiveOrganizationEndsWithTheMembership(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b, owner := s.as(c.plain).in(c.Organization), s.as(c.owner).in(c.Organization)
		owner.post("organization/remove-member", object{"memberIdOrEmail": c.plain.Email}).ok()
		assert.Nil(t, b.active())
		b.get("organization/get-active-member").refused(http.StatusBadRequest, "NO_ACTIVE_ORGANIZATION")
		b = s.as(c.admin).in(c.Organization)
		b.post("organization/leave", object{"organizationId": c.ID}).ok()
		assert.Nil(t, b.active())
	})
}
