package account_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestOrganizationInviteMemberRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.admin)
		b.post("organization/invite-member", object{"email": "carl@example.com", "role": "member"}).refused(http.StatusBadRequest, "ORGANIZATION_NOT_FOUND")
		b.in(c.Organization)
		got := b.post("organization/invite-member", object{"email": " Carl@Example.com ", "role": []string{"member", "admin"}}).ok().json()
		id := got["id"].(string)
		want := object{
			"id": id, "organizationId": c.ID, "email": "carl@example.com", "role": "admin", "status": "pending", "inviterId": c.admin.ID,
			"expiresAt": "2026-11-25T12:00:00.000Z", "createdAt": "2026-11-23T12:00:00.000Z",
		}
		assert.Equal(t, want, got)
		b.post("organization/invite-member", object{"email": "carl@example.com", "role": "member"}).
			refused(http.StatusBadRequest, "USER_IS_ALREADY_INVITED_TO_THIS_ORGANIZATION")
		s.clock.Pass(time.Hour / 2)
		want["role"], want["expiresAt"] = "member", "2026-11-25T12:30:00.000Z"
		assert.Equal(t, want, b.post("organization/invite-member", object{"email": "carl@example.com", "role": "member", "resend": true}).ok().json())
		assert.Equal(t, []object{want}, b.get("organization/list-invitations").list())

		b.post("organization/invite-member", object{"email": c.plain.Email, "role": "member"}).
			refused(http.StatusBadRequest, "USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION")
		b.post("organization/invite-member", object{"email": "nonsense", "role": "member"}).refused(http.StatusBadRequest, "INVALID_EMAIL")
		b.post("organization/invite-member", object{"email": "d@example.com", "role": "owner"}).
			refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USER_WITH_THIS_ROLE")
		b.post("organization/invite-member", object{"email": "d@example.com", "role": "member"}).ok()
		b.post("organization/invite-member", object{"email": "e@example.com", "role": "member"}).ok()
		b.post("organization/invite-member", object{"email": "f@example.com", "role": "member"}).refused(http.StatusForbidden, "INVITATION_LIMIT_REACHED")
		plain := s.as(c.plain).in(c.Organization)
		plain.post("organization/invite-member", object{"email": "f@example.com", "role": "member"}).
			refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION")
		plain.get("organization/list-invitations").refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION")
		s.svc.Organizations.SelfService = false
		b.post("organization/invite-member", object{"email": "f@example.com", "role": "member"}).
			refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION")
		b.get("organization/list-invitations").refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION")
	})
}

func TestOrganizationAcceptInvitationRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c, carl := s.customer("acme"), s.verified("carl@example.com")
		id := s.invite(c, carl.Email).ID
		b := s.as(carl)
		listed := b.get("organization/list-user-invitations").list()
		want := object{
			"id": id, "organizationId": c.ID, "email": carl.Email, "role": "member", "status": "pending", "inviterId": c.owner.ID,
			"expiresAt": "2026-11-25T12:00:00.000Z", "createdAt": "2026-11-23T12:00:00.000Z",
		}
		received := object{"organizationName": "acme"}
		for name, value := range want {
			received[name] = value
		}
		assert.Equal(t, []object{received}, listed)
		received["organizationSlug"], received["inviterEmail"] = "acme", c.owner.Email
		assert.Equal(t, received, b.get("organization/get-invitation?id="+id).ok().json())
		b.get("organization/list-user-invitations?email=owner@acme.example").refused(http.StatusBadRequest, "VALIDATION_ERROR")
		b.get("organization/get-invitation").refused(http.StatusBadRequest, "VALIDATION_ERROR")

		got := b.post("organization/accept-invitation", object{"invitationId": id}).ok().json()
		want["status"] = "accepted"
		assert.Equal(t, object{"invitation": want, "member": shownMemberWith(s.member(c, carl), carl)}, got)
		assert.Equal(t, c.ID, b.active())
		assert.Equal(t, "session.set_organization", s.events(c.Organization)[0].Action)
		b.post("organization/accept-invitation", object{"invitationId": id}).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")
		b.get("organization/get-invitation?id="+id).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")
		assert.Empty(t, b.get("organization/list-user-invitations").list())

		// An invitation outlives its inviter's account.
		s.join(c.Organization, s.verified("e@example.com"), store.MemberOwner) // the fifth
		dora := s.verified("dora@example.com")
		id = s.invite(c, dora.Email).ID
		require.NoError(t, s.svc.DeleteUser(t.Context(), system, c.owner.ID))
		assert.Nil(t, s.as(dora).get("organization/get-invitation?id=" + id).ok().json()["inviterEmail"])
		s.join(c.Organization, s.verified("f@example.com"), store.MemberPlain)
		b = s.as(dora)
		b.post("organization/accept-invitation", object{"invitationId": id}).refused(http.StatusForbidden, "ORGANIZATION_MEMBERSHIP_LIMIT_REACHED")
		assert.Nil(t, b.active())
	})
}

func TestOrganizationRejectAndCancelRoutes(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c, carl := s.customer("acme"), s.verified("carl@example.com")
		b, id := s.as(carl), s.invite(c, carl.Email).ID
		got := b.post("organization/reject-invitation", object{"invitationId": id}).ok().json()
		assert.Equal(t, []any{"rejected", id, nil}, []any{got["invitation"].(object)["status"], got["invitation"].(object)["id"], got["member"]})
		b.post("organization/reject-invitation", object{"invitationId": id}).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")

		admin := s.as(c.admin)
		id = s.invite(c, carl.Email).ID
		got = admin.post("organization/cancel-invitation", object{"invitationId": id}).ok().json()
		assert.Equal(t, []any{"canceled", id}, []any{got["status"], got["id"]})
		admin.post("organization/cancel-invitation", object{"invitationId": id}).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")
		b.post("organization/accept-invitation", object{"invitationId": id}).refused(http.StatusBadRequest, "INVITATION_NOT_FOUND")

		offer := store.InvitationOffer{Email: carl.Email, Role: store.MemberOwner}
		owners, err := s.svc.Invite(t.Context(), by(c.owner), c.ID, offer)
		require.NoError(t, err)
		for _, u := range []*store.User{c.admin, c.plain} {
			s.as(u).post("organization/cancel-invitation", object{"invitationId": owners.ID}).
				refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CANCEL_THIS_INVITATION")
		}
	})
}

// W20: whoever registers a foreign address without proving to own it is not handed its invitations. And a link that went
// astray serves nobody but whom it was sent to.
func TestForeignInvitationsAreNotHandedOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		id := s.invite(c, email).ID
		squatter := s.browser()
		squatter.signUp(email)
		assert.Equal(t, []object{}, squatter.get("organization/list-user-invitations").list())

		for _, u := range []*store.User{s.verified("eve@example.com"), c.plain, s.operator()} {
			b := s.as(u)
			b.get("organization/get-invitation?id="+id).refused(http.StatusForbidden, "YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION")
			for _, path := range []string{"accept-invitation", "reject-invitation"} {
				b.post("organization/"+path, object{"invitationId": id}).refused(http.StatusForbidden, "YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION")
			}
			assert.Nil(t, b.active())
		}
		i, err := s.store.InvitationByID(t.Context(), id)
		require.NoError(t, err)
		assert.True(t, i.Open(s.clock.Now()))
		assert.Len(t, s.roles(c.Organization), 3)
	})
}

// W8: an invitation that is accepted in parallel makes one member, and one answer says so.
func TestAcceptInvitationRouteOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c, carl := s.customer("acme"), s.verified("carl@example.com")
		id := s.invite(c, carl.Email).ID
		browsers := make([]*browser, 6)
		for i := range browsers {
			browsers[i] = s.as(carl)
		}
		results := make(chan response, len(browsers))
		for _, b := range browsers {
			go func() { results <- b.post("organization/accept-invitation", object{"invitationId": id}) }()
		}
		statuses := map[int]int{}
		for range browsers {
			statuses[(<-results).Code]++
		}
		assert.Equal(t, map[int]int{http.StatusOK: 1, http.StatusBadRequest: 5}, statuses)
		assert.Len(t, s.roles(c.Organization), 4)
		active := 0
		for _, b := range browsers {
			if b.active() != nil {
				active++
			}
		}
		assert.Equal(t, 1, active, "the session that accepted")
	})
}
