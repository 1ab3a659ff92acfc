package account_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/problem"
	"auth-service/store"
)

// verified creates somebody who proved to own the address.
func (s *server) verified(email string) *store.User {
	s.t.Helper()
	now := s.clock.Now()
	u := &store.User{ID: store.NewID(), Email: email, EmailVerified: true, Name: email, Role: store.RoleUser, CreatedAt: now, UpdatedAt: now}
	require.NoError(s.t, s.store.CreateUser(s.t.Context(), u))
	return u
}

func (s *server) organization(slug string) *store.Organization {
	s.t.Helper()
	o := &store.Organization{Name: slug}
	require.NoError(s.t, s.svc.CreateOrganization(s.t.Context(), system, o, []string{slug}, ""))
	return o
}

func (s *server) join(o *store.Organization, u *store.User, role string) *store.Member {
	s.t.Helper()
	m, err := s.svc.AddMember(s.t.Context(), system, o.ID, u.ID, role)
	require.NoError(s.t, err)
	return m
}

// A customer is an organization with one person of each role.
type customer struct {
	*store.Organization
	owner, admin, plain *store.User
	ownership           *store.Member
}

func (s *server) customer(slug string) customer {
	s.t.Helper()
	c := customer{
		Organization: s.organization(slug), owner: s.verified("owner@" + slug + ".example"),
		admin: s.verified("admin@" + slug + ".example"), plain: s.verified("plain@" + slug + ".example"),
	}
	c.ownership = s.join(c.Organization, c.owner, store.MemberOwner)
	s.join(c.Organization, c.admin, store.MemberAdmin)
	s.join(c.Organization, c.plain, store.MemberPlain)
	return c
}

// roles returns what the people of the organization are, by the beginning of their address.
func (s *server) roles(o *store.Organization) map[string]string {
	s.t.Helper()
	page, err := s.store.Members(s.t.Context(), store.MemberQuery{OrganizationID: o.ID, Paging: store.Paging{Limit: 100}})
	require.NoError(s.t, err)
	out := map[string]string{}
	for _, m := range page.Items {
		name, _, _ := strings.Cut(m.User.Email, "@")
		out[name] = m.Role
	}
	return out
}

// events lists the audit events of an organization, the latest first.
func (s *server) events(o *store.Organization) []store.AuditEntry {
	s.t.Helper()
	page, err := s.store.AuditEvents(s.t.Context(), store.AuditQuery{Paging: store.Paging{Limit: 200}, OrganizationID: o.ID})
	require.NoError(s.t, err)
	return page.Items
}

func to[T any](v T) *T { return &v }

func TestCreateOrganization(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, ada := t.Context(), s.verified("ada@example.com")
		o := &store.Organization{Name: " Acme ", Logo: "https://acme.example/l.png", Metadata: map[string]any{"tier": "gold"}}
		require.NoError(t, s.svc.CreateOrganization(ctx, system, o, []string{"acme"}, ada.ID))
		got, err := s.svc.Organization(ctx, by(ada), "acme")
		require.NoError(t, err)
		assert.Equal(t, o, got)
		assert.Equal(t, "Acme", got.Name)
		assert.Equal(t, map[string]string{"ada": store.MemberOwner}, s.roles(o))
		events := s.events(o)
		require.Len(t, events, 2)
		assert.Equal(t, []string{"member.add", "user", ada.ID}, []string{events[0].Action, events[0].TargetType, events[0].TargetID})
		assert.Equal(t, map[string]store.Change{"role": {After: "owner"}}, events[0].Changes)
		assert.Equal(t, []string{"organization.create", "organization", o.ID}, []string{events[1].Action, events[1].TargetType, events[1].TargetID})
		assert.Equal(t, map[string]store.Change{
			"name": {After: "Acme"}, "slug": {After: "acme"}, "logo": {After: "https://acme.example/l.png"}, "metadata": {After: map[string]any{"tier": "gold"}},
		}, events[1].Changes)

		second := &store.Organization{Name: "Acme"}
		require.NoError(t, s.svc.CreateOrganization(ctx, system, second, []string{"acme", "acme-2"}, ""))
		assert.Equal(t, "acme-2", second.Slug)
		assert.Empty(t, s.roles(second))
		refusedWith(t, s.svc.CreateOrganization(ctx, system, &store.Organization{Name: "A"}, []string{"acme"}, ""), http.StatusConflict, "SLUG_TAKEN")
		refusedWith(t, s.svc.CreateOrganization(ctx, system, &store.Organization{Name: "A"}, []string{"new"}, "nobody"), http.StatusNotFound, "USER_NOT_FOUND")
		_, err = s.store.OrganizationByRef(ctx, "new")
		require.ErrorIs(t, err, store.ErrNotFound, "half of a failed creation stayed")
		refusedWith(t, s.svc.CreateOrganization(ctx, by(ada), &store.Organization{Name: "A"}, []string{"mine"}, ada.ID), http.StatusForbidden, "ADMINISTRATOR_REQUIRED")

		err = s.svc.CreateOrganization(ctx, system, &store.Organization{
			Name: strings.Repeat("é", 101), Logo: "javascript:alert(1)", Metadata: map[string]any{"x": strings.Repeat("x", 16<<10)},
		}, []string{"-a"}, "")
		refusedWith(t, err, http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Len(t, problem.Of(err).Fields, 4, "every fault at once")
		for _, bad := range []store.Organization{{Name: " "}, {Name: "a\u202eb"}, {Name: "a\x00"}, {Name: "a\xff"}} {
			refusedWith(t, s.svc.CreateOrganization(ctx, system, &bad, []string{"bad"}, ""), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		for _, slug := range []string{"", "A", "a-", "a b", "é", strings.Repeat("a", 64), "0199b0a8-0000-7000-8000-000000000000"} {
			refusedWith(t, s.svc.CreateOrganization(ctx, system, &store.Organization{Name: "A"}, []string{slug}, ""), http.StatusBadRequest, "VALIDATION_ERROR")
		}
	})
}

func TestUpdateOrganization(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		s.organization("other")
		o, err := s.svc.UpdateOrganization(ctx, by(c.admin), "acme", store.OrganizationPatch{
			Name: to(" Acme Inc. "), Slug: to("acme-inc"), Metadata: &map[string]any{"seats": 3.0},
		})
		require.NoError(t, err)
		got, err := s.store.OrganizationByRef(ctx, "acme-inc")
		require.NoError(t, err)
		assert.Equal(t, o, got)
		assert.Equal(t, []any{"Acme Inc.", c.ID, map[string]any{"seats": 3.0}}, []any{got.Name, got.ID, got.Metadata})
		event := s.events(o)[0]
		assert.Equal(t, []string{"organization.update", c.admin.ID, o.ID}, []string{event.Action, event.ActorID, event.TargetID})
		assert.Equal(t, map[string]store.Change{
			"name": {Before: "acme", After: "Acme Inc."}, "slug": {Before: "acme", After: "acme-inc"}, "metadata": {After: map[string]any{"seats": 3.0}},
		}, event.Changes)

		n := len(s.events(o))
		_, err = s.svc.UpdateOrganization(ctx, by(c.owner), o.ID, store.OrganizationPatch{Name: to("Acme Inc."), Metadata: &map[string]any{"seats": 3.0}})
		require.NoError(t, err)
		assert.Len(t, s.events(o), n, "a change of nothing is recorded")
		_, err = s.svc.UpdateOrganization(ctx, by(c.owner), o.ID, store.OrganizationPatch{Slug: to("other")})
		refusedWith(t, err, http.StatusConflict, "SLUG_TAKEN")
		_, err = s.svc.UpdateOrganization(ctx, by(c.owner), o.ID, store.OrganizationPatch{Name: to(""), Slug: to("A"), Logo: to("http://a.example/")})
		refusedWith(t, err, http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Len(t, problem.Of(err).Fields, 3)

		// What came from the replaced system breaks our rules; it must not stand in the way of another change.
		o.Slug, o.Name = "We ird/../Slug", strings.Repeat("x", 200)
		require.NoError(t, s.store.UpdateOrganization(ctx, o))
		_, err = s.svc.UpdateOrganization(ctx, by(c.owner), o.ID, store.OrganizationPatch{Logo: to("https://a.example/l.png")})
		require.NoError(t, err)
	})
}

func TestDeleteOrganization(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		refusedWith(t, s.svc.DeleteOrganization(ctx, by(c.owner), c.ID), http.StatusForbidden, "ADMINISTRATOR_REQUIRED")
		require.NoError(t, s.svc.DeleteOrganization(ctx, system, "acme"))
		refusedWith(t, s.svc.DeleteOrganization(ctx, system, "acme"), http.StatusNotFound, "ORGANIZATION_NOT_FOUND")
		event := s.events(c.Organization)[0]
		assert.Equal(t, "organization.delete", event.Action)
		assert.Equal(t, store.Change{Before: "acme"}, event.Changes["slug"])
		_, err := s.store.UserByID(ctx, c.owner.ID)
		require.NoError(t, err, "the people stay")
	})
}

// everything tries all that can be tried with an organization, and a member of it, and returns the answers.
func (s *server) everything(ctx context.Context, actor store.Actor, ref, member, invitation string) map[string]error {
	answers := map[string]error{}
	_, answers["see"] = s.svc.Organization(ctx, actor, ref)
	_, answers["see members"] = s.svc.Members(ctx, actor, ref, store.MemberQuery{Paging: store.Paging{Limit: 10}})
	_, answers["see invitations"] = s.svc.Invitations(ctx, actor, ref, store.InvitationQuery{Paging: store.Paging{Limit: 10}})
	_, answers["update"] = s.svc.UpdateOrganization(ctx, actor, ref, store.OrganizationPatch{Name: to("Taken over")})
	answers["delete"] = s.svc.DeleteOrganization(ctx, actor, ref)
	_, answers["add"] = s.svc.AddMember(ctx, actor, ref, actor.ID, store.MemberOwner)
	_, answers["set role"] = s.svc.SetMemberRole(ctx, actor, ref, member, store.MemberAdmin)
	_, answers["remove"] = s.svc.RemoveMember(ctx, actor, ref, member)
	_, answers["invite"] = s.svc.Invite(ctx, actor, ref, store.InvitationOffer{Email: "new@example.com", Role: store.MemberPlain})
	_, answers["cancel"] = s.svc.CancelInvitation(ctx, actor, ref, invitation)
	_, answers["leave"] = s.svc.LeaveOrganization(ctx, actor, ref) // at last
	return answers
}

// Cross-tenant access: whoever is no member learns nothing of an organization and changes nothing in it, and cannot tell it
// from one that does not exist. A client without the console's rights is nobody's member, whatever its id.
func TestStrangersSeeNoOrganization(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, acme, rival := t.Context(), s.customer("acme"), s.customer("rival")
		invitation, err := s.svc.Invite(ctx, by(acme.owner), "acme", store.InvitationOffer{Email: "carl@example.com", Role: store.MemberPlain})
		require.NoError(t, err)
		before := len(s.events(acme.Organization))
		for _, actor := range []store.Actor{by(rival.owner), by(rival.plain), {Type: store.ActorClient, ID: acme.owner.ID}} {
			for _, ref := range []string{acme.ID, "acme", "no-such-organization"} {
				for what, err := range s.everything(ctx, actor, ref, acme.ownership.ID, invitation.ID) {
					require.Error(t, err, what)
					assert.Equal(t, []any{404, "ORGANIZATION_NOT_FOUND", "There is no such organization."},
						[]any{problem.Of(err).Status, problem.Of(err).Code, problem.Of(err).Detail}, what)
				}
			}
		}
		assert.Len(t, s.events(acme.Organization), before)
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin", "plain": "member"}, s.roles(acme.Organization))
	})
}

// IDOR: the managers of one organization name the members and invitations of another.
func TestForeignMembersAreOutOfReach(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, acme, rival := t.Context(), s.customer("acme"), s.customer("rival")
		invitation, err := s.svc.Invite(ctx, by(acme.owner), "acme", store.InvitationOffer{Email: "carl@example.com", Role: store.MemberPlain})
		require.NoError(t, err)
		for _, actor := range []store.Actor{by(rival.owner), system} {
			for _, member := range []string{acme.ownership.ID, acme.owner.ID, acme.plain.ID, "", "nobody"} {
				_, err := s.svc.SetMemberRole(ctx, actor, "rival", member, store.MemberPlain)
				refusedWith(t, err, http.StatusNotFound, "MEMBER_NOT_FOUND")
				_, err = s.svc.RemoveMember(ctx, actor, "rival", member)
				refusedWith(t, err, http.StatusNotFound, "MEMBER_NOT_FOUND")
			}
			_, err = s.svc.CancelInvitation(ctx, actor, "rival", invitation.ID)
			refusedWith(t, err, http.StatusNotFound, "INVITATION_NOT_FOUND")
		}
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin", "plain": "member"}, s.roles(acme.Organization))
		got, err := s.store.InvitationByID(ctx, invitation.ID)
		require.NoError(t, err)
		assert.True(t, got.Open(s.clock.Now()))
	})
}

// Plain members see the organization and its members, but not the invitations, whose ids are secrets, and run nothing.
func TestPlainMembersRunNothing(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		invitation, err := s.svc.Invite(ctx, by(c.owner), "acme", store.InvitationOffer{Email: "carl@example.com", Role: store.MemberPlain})
		require.NoError(t, err)
		for what, err := range s.everything(ctx, by(c.plain), "acme", c.ownership.ID, invitation.ID) {
			switch what {
			case "see", "see members", "leave":
				require.NoError(t, err, what)
			case "delete", "add":
				refusedWith(t, err, http.StatusForbidden, "ADMINISTRATOR_REQUIRED")
			case "set role", "remove", "update", "invite", "cancel", "see invitations":
				refusedWith(t, err, http.StatusForbidden, "ORGANIZATION_MANAGER_REQUIRED")
			}
		}
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin"}, s.roles(c.Organization))
	})
}

// Without self-service those who manage an organization see it, may leave it, and ask the administrators for the rest.
func TestNoSelfService(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		s.svc.Organizations.SelfService = false
		for what, err := range s.everything(ctx, by(c.admin), "acme", c.plain.ID, "x") {
			switch what {
			case "see", "see members", "leave":
				require.NoError(t, err, what)
			case "delete", "add":
				refusedWith(t, err, http.StatusForbidden, "ADMINISTRATOR_REQUIRED")
			default:
				refusedWith(t, err, http.StatusForbidden, "SELF_SERVICE_DISABLED")
			}
		}
		_, err := s.svc.SetMemberRole(ctx, system, "acme", c.plain.ID, store.MemberAdmin)
		require.NoError(t, err)
	})
}

// Somebody who is demoted or removed while their request waits for the organization must not get through with the rights
// they had.
func TestRightsAreReadBehindTheLock(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		for round := range 6 {
			_, err := s.svc.SetMemberRole(t.Context(), system, c.ID, c.admin.ID, store.MemberAdmin)
			require.NoError(t, err)
			codes := s.atOnce(2, func(i int) error {
				if i == 0 {
					_, err := s.svc.SetMemberRole(t.Context(), by(c.owner), c.ID, c.admin.ID, store.MemberPlain)
					return err
				}
				_, err := s.svc.UpdateOrganization(t.Context(), by(c.admin), c.ID, store.OrganizationPatch{Name: to(fmt.Sprint(round))})
				return err
			})
			require.Equal(t, 2, codes[""]+codes["ORGANIZATION_MANAGER_REQUIRED"], codes)
			last := s.events(c.Organization)[0]
			require.Equal(t, []string{"member.set_role", c.owner.ID}, []string{last.Action, last.ActorID}, "an update by who was no longer an admin")
		}
	})
}
