package account_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func offerTo(email string) store.InvitationOffer {
	return store.InvitationOffer{Email: email, Role: store.MemberPlain}
}

func (s *server) invite(c customer, email string) *store.Invitation {
	s.t.Helper()
	i, err := s.svc.Invite(s.t.Context(), by(c.owner), c.ID, offerTo(email))
	require.NoError(s.t, err)
	return i
}

func TestInvite(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		i := s.invite(c, " Carl@Example.com ")
		assert.Equal(t, []any{"carl@example.com", "member", "pending", c.owner.ID, s.clock.Now().Add(48 * time.Hour)},
			[]any{i.Email, i.Role, i.Status, i.InviterID, i.ExpiresAt})
		_, err := s.svc.Invite(ctx, by(c.admin), "acme", offerTo("CARL@example.com"))
		refusedWith(t, err, http.StatusConflict, "ALREADY_INVITED")

		s.clock.Pass(time.Hour)
		renewed, err := s.svc.Invite(ctx, by(c.admin), "acme", store.InvitationOffer{
			Email: "carl@example.com", Role: store.MemberAdmin, Resend: true, Lifetime: time.Hour,
		})
		require.NoError(t, err)
		assert.Equal(t, []any{i.ID, "admin", s.clock.Now().Add(time.Hour)}, []any{renewed.ID, renewed.Role, renewed.ExpiresAt})
		event := s.events(c.Organization)[0]
		assert.Equal(t, []string{"invitation.renew", "invitation"}, []string{event.Action, event.TargetType})
		assert.Equal(t, map[string]store.Change{
			"role": {Before: "member", After: "admin"}, "expiresAt": {Before: "2026-11-25T12:00:00Z", After: "2026-11-23T14:00:00Z"},
		}, event.Changes)

		// An expired one is no hindrance, and does not come to life again, with or without resend.
		s.clock.Pass(time.Hour)
		again, err := s.svc.Invite(ctx, system, "acme", store.InvitationOffer{Email: "carl@example.com", Role: store.MemberOwner, Resend: true})
		require.NoError(t, err)
		assert.NotEqual(t, i.ID, again.ID)
		assert.Empty(t, again.InviterID)
		old, err := s.store.InvitationByID(ctx, i.ID)
		require.NoError(t, err)
		assert.Equal(t, store.InvitationCanceled, old.Status)

		_, err = s.svc.Invite(ctx, by(c.owner), "acme", offerTo("plain@acme.example"))
		refusedWith(t, err, http.StatusConflict, "ALREADY_MEMBER")
		_, err = s.svc.Invite(ctx, by(c.owner), "acme", offerTo("nonsense"))
		refusedWith(t, err, http.StatusBadRequest, "INVALID_EMAIL")
		_, err = s.svc.Invite(ctx, by(c.owner), "acme", store.InvitationOffer{Email: "d@example.com", Role: "superadmin"})
		refusedWith(t, err, http.StatusBadRequest, "INVALID_MEMBER_ROLE")
		for _, lifetime := range []time.Duration{-time.Hour, time.Second, 31 * 24 * time.Hour} {
			_, err = s.svc.Invite(ctx, system, "acme", store.InvitationOffer{Email: "d@example.com", Role: store.MemberPlain, Lifetime: lifetime})
			refusedWith(t, err, http.StatusBadRequest, "VALIDATION_ERROR")
		}
		s.invite(c, "d@example.com")
		s.invite(c, "e@example.com")
		_, err = s.svc.Invite(ctx, system, "acme", offerTo("f@example.com"))
		refusedWith(t, err, http.StatusConflict, "INVITATION_LIMIT_REACHED")
		s.clock.Pass(49 * time.Hour)
		s.invite(c, "f@example.com")
	})
}

// Parallel invitations of one address make one, and of many no more than may be.
func TestInviteAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.customer("acme")
		codes := s.atOnce(5, func(int) error {
			_, err := s.svc.Invite(t.Context(), system, "acme", offerTo("carl@example.com"))
			return err
		})
		assert.Equal(t, map[string]int{"": 1, "ALREADY_INVITED": 4}, codes)
		codes = s.atOnce(5, func(i int) error {
			_, err := s.svc.Invite(t.Context(), system, "acme", offerTo(string(rune('a'+i))+"@example.com"))
			return err
		})
		assert.Equal(t, map[string]int{"": 2, "INVITATION_LIMIT_REACHED": 3}, codes)
	})
}

func TestAcceptInvitation(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c, carl := t.Context(), s.customer("acme"), s.verified("carl@example.com")
		i := s.invite(c, carl.Email)
		list, err := s.svc.ReceivedInvitations(ctx, carl)
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, []string{i.ID, "acme"}, []string{list[0].ID, list[0].Organization.Slug})

		got, m, err := s.svc.AcceptInvitation(ctx, by(carl), i.ID)
		require.NoError(t, err)
		assert.Equal(t, store.InvitationAccepted, got.Status)
		assert.Equal(t, []string{c.ID, carl.ID, "member"}, []string{m.OrganizationID, m.UserID, m.Role})
		assert.Equal(t, "member", s.roles(c.Organization)["carl"])
		events := s.events(c.Organization)
		assert.Equal(t, []string{"member.add", "invitation.accept"}, []string{events[0].Action, events[1].Action})
		assert.Equal(t, map[string]store.Change{"status": {Before: "pending", After: "accepted"}}, events[1].Changes)
		list, err = s.svc.ReceivedInvitations(ctx, carl)
		require.NoError(t, err)
		assert.Empty(t, list)

		// The link works once: whoever was removed again cannot come back by it.
		_, err = s.svc.RemoveMember(ctx, by(c.owner), "acme", carl.ID)
		require.NoError(t, err)
		_, _, err = s.svc.AcceptInvitation(ctx, by(carl), i.ID)
		refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")

		i = s.invite(c, carl.Email)
		s.join(c.Organization, carl, store.MemberAdmin)
		_, _, err = s.svc.AcceptInvitation(ctx, by(carl), i.ID)
		refusedWith(t, err, http.StatusConflict, "ALREADY_MEMBER")
		assert.Equal(t, "admin", s.roles(c.Organization)["carl"])

		s.join(c.Organization, s.verified("e@example.com"), store.MemberPlain) // the fifth
		dora := s.verified("dora@example.com")
		i = s.invite(c, dora.Email)
		_, _, err = s.svc.AcceptInvitation(ctx, by(dora), i.ID)
		refusedWith(t, err, http.StatusConflict, "MEMBER_LIMIT_REACHED")
		_, err = s.svc.RemoveMember(ctx, system, "acme", carl.ID)
		require.NoError(t, err)
		_, _, err = s.svc.AcceptInvitation(ctx, by(dora), i.ID)
		require.NoError(t, err, "a refused acceptance used the invitation up")
	})
}

// What has ended lets nobody in: canceled, rejected or expired.
func TestDeadInvitations(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c, carl := t.Context(), s.customer("acme"), s.verified("carl@example.com")
		for _, tt := range []struct {
			name string
			end  func(id string) error
		}{
			{"canceled", func(id string) error {
				_, err := s.svc.CancelInvitation(ctx, by(c.admin), "acme", id)
				return err
			}},
			{"rejected", func(id string) error {
				_, err := s.svc.RejectInvitation(ctx, by(carl), id)
				return err
			}},
			{"expired", func(string) error {
				s.clock.Pass(48 * time.Hour)
				return nil
			}},
		} {
			i := s.invite(c, carl.Email)
			require.NoError(t, tt.end(i.ID), tt.name)
			_, _, err := s.svc.AcceptInvitation(ctx, by(carl), i.ID)
			refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")
			_, err = s.svc.RejectInvitation(ctx, by(carl), i.ID)
			refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")
			_, err = s.svc.ReceivedInvitation(ctx, carl, i.ID)
			refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")
			list, err := s.svc.ReceivedInvitations(ctx, carl)
			require.NoError(t, err)
			assert.Empty(t, list, tt.name)
		}
		_, _, err := s.svc.AcceptInvitation(ctx, by(carl), "")
		refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")
		assert.NotContains(t, s.roles(c.Organization), "carl")
		actions := map[string]int{}
		for _, e := range s.events(c.Organization) {
			actions[e.Action]++
		}
		assert.Equal(t, []int{1, 1}, []int{actions["invitation.cancel"], actions["invitation.reject"]})
	})
}

// A link that went astray: only the account with the address that was invited can use it.
func TestInvitationOfAnother(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c, eve := t.Context(), s.customer("acme"), s.verified("eve@example.com")
		i := s.invite(c, "carl@example.com")
		_, _, err := s.svc.AcceptInvitation(ctx, by(eve), i.ID)
		refusedWith(t, err, http.StatusForbidden, "INVITATION_NOT_YOURS")
		_, err = s.svc.RejectInvitation(ctx, by(eve), i.ID)
		refusedWith(t, err, http.StatusForbidden, "INVITATION_NOT_YOURS")
		_, err = s.svc.ReceivedInvitation(ctx, eve, i.ID)
		refusedWith(t, err, http.StatusForbidden, "INVITATION_NOT_YOURS")
		assert.NotContains(t, s.roles(c.Organization), "eve")
		got, err := s.store.InvitationByID(ctx, i.ID)
		require.NoError(t, err)
		assert.True(t, got.Open(s.clock.Now()))
	})
}

// Pre-registration: whoever registers a foreign address without proving to own it must not be handed its invitations. Who
// has the link got it at that address, and comes in.
func TestUnverifiedAddressSeesNoInvitations(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		i := s.invite(c, email)
		b := s.browser()
		squatter, err := s.store.UserByID(ctx, b.signUp(email).json()["user"].(object)["id"].(string))
		require.NoError(t, err)
		list, err := s.svc.ReceivedInvitations(ctx, squatter)
		require.NoError(t, err)
		assert.Empty(t, list)
		_, err = s.svc.ReceivedInvitation(ctx, squatter, i.ID)
		require.NoError(t, err)
		_, _, err = s.svc.AcceptInvitation(ctx, by(squatter), i.ID)
		require.NoError(t, err)
	})
}

// Enumeration of accounts by time: to invite an address that has one takes the database what it takes for one that has none.
func TestInvitingTellsNoAccount(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c, known := s.customer("acme"), s.verified("known@example.com")
		var work [][]string
		for _, address := range []string{known.Email, "nobody@example.com"} {
			ctx, calls := storetest.Trace(t.Context())
			_, err := s.svc.Invite(ctx, by(c.admin), "acme", offerTo(address))
			require.NoError(t, err)
			work = append(work, calls.List())
		}
		assert.Equal(t, work[0], work[1])
	})
}

// Privilege escalation: an admin of an organization who learns the link of an invitation that makes an owner registers the
// invited address, which proves nothing, and accepts.
func TestAdminsDoNotSeeWhoBecomesOwner(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		known := s.invite(c, "dora@example.com")
		for address, resend := range map[string]bool{email: false, "dora@example.com": true} {
			_, err := s.svc.Invite(ctx, by(c.owner), "acme", store.InvitationOffer{Email: address, Role: store.MemberOwner, Resend: resend})
			require.NoError(t, err)
		}
		offered := func(b *browser) map[string]any {
			out := map[string]any{}
			full := b.get("organization/get-full-organization?organizationId=" + c.ID).ok().json()["invitations"].([]any)
			list := b.get("organization/list-invitations?organizationId=" + c.ID).list()
			require.Len(t, list, len(full))
			for i, shown := range list {
				assert.Equal(t, full[i], any(shown))
				if shown["status"] == "pending" {
					out[shown["email"].(string)] = shown["role"]
				}
			}
			return out
		}
		both := map[string]any{email: "owner", "dora@example.com": "owner"}
		assert.Equal(t, both, offered(s.as(c.owner)))
		assert.Equal(t, both, offered(s.as(s.operator())))
		assert.Empty(t, offered(s.as(c.admin)))

		// The admin knows this link from when it offered less.
		_, _, err := s.svc.AcceptInvitation(ctx, by(s.verified("dora@example.com")), known.ID)
		refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")
		assert.NotContains(t, s.roles(c.Organization), "dora")
	})
}

// An invitation is used once, however many requests come at the same moment, and makes one member.
func TestAcceptInvitationOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c, carl := s.customer("acme"), s.verified("carl@example.com")
		i := s.invite(c, carl.Email)
		codes := s.atOnce(6, func(int) error {
			_, _, err := s.svc.AcceptInvitation(t.Context(), by(carl), i.ID)
			return err
		})
		assert.Equal(t, map[string]int{"": 1, "INVITATION_NOT_FOUND": 5}, codes)
		assert.Len(t, s.roles(c.Organization), 4)
	})
}

// Accepted and canceled, or rejected, in the same moment: what is answered is what holds.
func TestAcceptAgainstCancel(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c, carl := t.Context(), s.customer("acme"), s.verified("carl@example.com")
		for range 6 {
			i := s.invite(c, carl.Email)
			var accepted bool
			codes := s.atOnce(3, func(n int) error {
				var err error
				switch n {
				case 0:
					_, _, err = s.svc.AcceptInvitation(ctx, by(carl), i.ID)
					accepted = err == nil
				case 1:
					_, err = s.svc.CancelInvitation(ctx, by(c.owner), "acme", i.ID)
				case 2:
					_, err = s.svc.RejectInvitation(ctx, by(carl), i.ID)
				}
				return err
			})
			assert.Equal(t, map[string]int{"": 1, "INVITATION_NOT_FOUND": 2}, codes)
			_, member := s.roles(c.Organization)["carl"]
			assert.Equal(t, accepted, member)
			if member {
				_, err := s.svc.RemoveMember(ctx, system, "acme", carl.ID)
				require.NoError(t, err)
			}
		}
	})
}

// Logs travel further than the links: an id in them would let their readers in.
func TestInvitationIDsAreNotAudited(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		i := s.invite(c, "carl@example.com")
		event := s.events(c.Organization)[0]
		assert.Equal(t, "invitation.create", event.Action)
		assert.Len(t, event.TargetID, 32)
		assert.NotContains(t, event.TargetID, i.ID)
		assert.Equal(t, map[string]store.Change{
			"email": {After: "carl@example.com"}, "role": {After: "member"}, "status": {After: "pending"}, "expiresAt": {After: "2026-11-25T12:00:00Z"},
		}, event.Changes)
		_, err := s.svc.CancelInvitation(t.Context(), by(c.owner), "acme", i.ID)
		require.NoError(t, err)
		assert.Equal(t, event.TargetID, s.events(c.Organization)[0].TargetID, "one invitation, one fingerprint")
	})
}
