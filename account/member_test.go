package account_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

func TestAddMember(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c, ada := t.Context(), s.customer("acme"), s.verified("ada@example.com")
		m, err := s.svc.AddMember(ctx, system, "acme", ada.ID, store.MemberAdmin)
		require.NoError(t, err)
		assert.Equal(t, []any{c.ID, ada.ID, ada, store.MemberAdmin}, []any{m.OrganizationID, m.UserID, m.User, m.Role})
		_, err = s.svc.AddMember(ctx, system, "acme", ada.ID, store.MemberOwner)
		refusedWith(t, err, http.StatusConflict, "ALREADY_MEMBER")
		assert.Equal(t, store.MemberAdmin, s.roles(c.Organization)["ada"])
		_, err = s.svc.AddMember(ctx, system, "acme", "nobody", store.MemberPlain)
		refusedWith(t, err, http.StatusNotFound, "USER_NOT_FOUND")
		_, err = s.svc.AddMember(ctx, system, "nothing", ada.ID, store.MemberPlain)
		refusedWith(t, err, http.StatusNotFound, "ORGANIZATION_NOT_FOUND")
		for _, role := range []string{"", "superadmin", "owner,admin"} {
			_, err = s.svc.AddMember(ctx, system, "acme", ada.ID, role)
			refusedWith(t, err, http.StatusBadRequest, "INVALID_MEMBER_ROLE")
		}
		s.join(c.Organization, s.verified("e@example.com"), store.MemberPlain) // the fifth
		_, err = s.svc.AddMember(ctx, system, "acme", s.verified("f@example.com").ID, store.MemberPlain)
		refusedWith(t, err, http.StatusConflict, "MEMBER_LIMIT_REACHED")
		assert.Len(t, s.roles(c.Organization), 5)
	})
}

// Parallel additions of one person make one member, and of several persons no more than may be.
func TestAddMembersAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		o, ada := s.organization("acme"), s.verified("ada@example.com")
		codes := s.atOnce(6, func(int) error {
			_, err := s.svc.AddMember(t.Context(), system, "acme", ada.ID, store.MemberPlain)
			return err
		})
		assert.Equal(t, map[string]int{"": 1, "ALREADY_MEMBER": 5}, codes)
		people := make([]*store.User, 6)
		for i := range people {
			people[i] = s.verified(string(rune('a'+i)) + "@example.com")
		}
		codes = s.atOnce(6, func(i int) error {
			_, err := s.svc.AddMember(t.Context(), system, "acme", people[i].ID, store.MemberPlain)
			return err
		})
		assert.Equal(t, map[string]int{"": 4, "MEMBER_LIMIT_REACHED": 2}, codes)
		assert.Len(t, s.roles(o), 5)
	})
}

// atOnce runs fn n times at the same moment and counts the codes of the answers, "" for success.
func (s *server) atOnce(n int, fn func(i int) error) map[string]int {
	s.t.Helper()
	results, start := make(chan error, n), make(chan struct{})
	for i := range n {
		go func() {
			<-start
			results <- fn(i)
		}()
	}
	close(start)
	codes := map[string]int{}
	for range n {
		err, code := <-results, ""
		if err != nil {
			code = problem.Of(err).Code
		}
		codes[code]++
	}
	return codes
}

// Privilege escalation inside an organization: its admins run it, but neither make, change, remove nor invite owners.
func TestTheLadderOfMembers(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		for _, tt := range []struct {
			member *store.User
			role   string
		}{{c.admin, store.MemberOwner}, {c.plain, store.MemberOwner}, {c.owner, store.MemberPlain}, {c.owner, store.MemberOwner}} {
			_, err := s.svc.SetMemberRole(ctx, by(c.admin), "acme", tt.member.ID, tt.role)
			refusedWith(t, err, http.StatusForbidden, "ORGANIZATION_OWNER_REQUIRED")
		}
		_, err := s.svc.RemoveMember(ctx, by(c.admin), "acme", c.owner.ID)
		refusedWith(t, err, http.StatusForbidden, "ORGANIZATION_OWNER_REQUIRED")
		_, err = s.svc.Invite(ctx, by(c.admin), "acme", store.InvitationOffer{Email: "x@example.com", Role: store.MemberOwner})
		refusedWith(t, err, http.StatusForbidden, "ORGANIZATION_OWNER_REQUIRED")
		// Nor by way of an invitation that an owner made.
		byOwner, err := s.svc.Invite(ctx, by(c.owner), "acme", store.InvitationOffer{Email: "x@example.com", Role: store.MemberOwner})
		require.NoError(t, err)
		_, err = s.svc.Invite(ctx, by(c.admin), "acme", store.InvitationOffer{Email: "x@example.com", Role: store.MemberPlain, Resend: true})
		refusedWith(t, err, http.StatusForbidden, "ORGANIZATION_OWNER_REQUIRED")
		_, err = s.svc.CancelInvitation(ctx, by(c.admin), "acme", byOwner.ID)
		refusedWith(t, err, http.StatusForbidden, "ORGANIZATION_OWNER_REQUIRED")
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin", "plain": "member"}, s.roles(c.Organization))

		_, err = s.svc.SetMemberRole(ctx, by(c.admin), "acme", c.plain.ID, store.MemberAdmin)
		require.NoError(t, err)
		_, err = s.svc.SetMemberRole(ctx, by(c.owner), "acme", c.plain.ID, store.MemberOwner)
		require.NoError(t, err)
		_, err = s.svc.SetMemberRole(ctx, by(c.plain), "acme", c.ownership.ID, store.MemberPlain)
		require.NoError(t, err, "an owner demotes another")
		_, err = s.svc.SetMemberRole(ctx, by(c.plain), "acme", c.admin.ID, "root")
		refusedWith(t, err, http.StatusBadRequest, "INVALID_MEMBER_ROLE")
		_, err = s.svc.RemoveMember(ctx, by(c.admin), "acme", c.owner.ID)
		require.NoError(t, err, "who is an owner no longer")
		assert.Equal(t, map[string]string{"plain": "owner", "admin": "admin"}, s.roles(c.Organization))
	})
}

func TestMemberEvents(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		for range 2 { // the second changes nothing
			m, err := s.svc.SetMemberRole(ctx, by(c.owner), "acme", c.plain.ID, store.MemberAdmin)
			require.NoError(t, err)
			require.Equal(t, store.MemberAdmin, m.Role)
		}
		_, err := s.svc.RemoveMember(ctx, by(c.owner), "acme", c.plain.ID)
		require.NoError(t, err)
		_, err = s.svc.LeaveOrganization(ctx, by(c.admin), "acme")
		require.NoError(t, err)
		var told [][4]string
		for _, e := range s.events(c.Organization)[:3] {
			before, _ := e.Changes["role"].Before.(string)
			after, _ := e.Changes["role"].After.(string)
			told = append(told, [4]string{e.Action, e.TargetID, before, after})
		}
		assert.Equal(t, [][4]string{
			{"member.leave", c.admin.ID, "admin", ""}, {"member.remove", c.plain.ID, "admin", ""}, {"member.set_role", c.plain.ID, "member", "admin"},
		}, told)
	})
}

// Without an owner nobody could run the organization any more.
func TestLastOwner(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), s.customer("acme")
		for _, actor := range []store.Actor{by(c.owner), system} {
			_, err := s.svc.SetMemberRole(ctx, actor, "acme", c.owner.ID, store.MemberAdmin)
			refusedWith(t, err, http.StatusConflict, "LAST_OWNER")
			_, err = s.svc.RemoveMember(ctx, actor, "acme", c.owner.ID)
			refusedWith(t, err, http.StatusConflict, "LAST_OWNER")
		}
		_, err := s.svc.LeaveOrganization(ctx, by(c.owner), "acme")
		refusedWith(t, err, http.StatusConflict, "LAST_OWNER")
		err = s.svc.DeleteUser(ctx, system, c.owner.ID)
		refusedWith(t, err, http.StatusConflict, "LAST_OWNER")
		assert.Contains(t, problem.Of(err).Detail, "acme")
		_, err = s.svc.SetMemberRole(ctx, by(c.owner), "acme", c.owner.ID, store.MemberOwner)
		require.NoError(t, err)

		_, err = s.svc.SetMemberRole(ctx, by(c.owner), "acme", c.plain.ID, store.MemberOwner)
		require.NoError(t, err)
		require.NoError(t, s.svc.DeleteUser(ctx, system, c.owner.ID))
		events := s.events(c.Organization)
		assert.Equal(t, []string{"member.remove", c.owner.ID}, []string{events[0].Action, events[0].TargetID})
		assert.Equal(t, map[string]string{"plain": "owner", "admin": "admin"}, s.roles(c.Organization))
	})
}

// Two owners who act on one another, or leave, in the same moment change different rows: one of them must stay, whatever the
// two requests are.
func TestLastOwnerStaysWhenTwoGo(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		departures := []func(actor, target *store.User, o *store.Organization) error{
			func(actor, target *store.User, o *store.Organization) error {
				_, err := s.svc.SetMemberRole(ctx, by(actor), o.ID, target.ID, store.MemberPlain)
				return err
			},
			func(actor, target *store.User, o *store.Organization) error {
				_, err := s.svc.RemoveMember(ctx, by(actor), o.ID, target.ID)
				return err
			},
			func(_, target *store.User, o *store.Organization) error {
				_, err := s.svc.LeaveOrganization(ctx, by(target), o.ID)
				return err
			},
			func(_, target *store.User, _ *store.Organization) error {
				return s.svc.DeleteUser(ctx, system, target.ID)
			},
		}
		for round := range 16 {
			slug := "round-" + time.Duration(round).String()
			o, a, b := s.organization(slug), s.verified("a@"+slug+".example"), s.verified("b@"+slug+".example")
			s.join(o, a, store.MemberOwner)
			s.join(o, b, store.MemberOwner)
			pairs := [][2]*store.User{{a, b}, {b, a}}
			codes := s.atOnce(2, func(i int) error {
				return departures[(round/4*i+round%4*(1-i))%4](pairs[i][0], pairs[i][1], o)
			})
			assert.Equal(t, 1, codes[""], "round %d: %v", round, codes)
			owners := 0
			for _, role := range s.roles(o) {
				if role == store.MemberOwner {
					owners++
				}
			}
			assert.Equal(t, 1, owners, "round %d: %v", round, codes)
		}
	})
}

// Somebody is made an owner, and the other owner leaves relying on it, while an administrator deletes that very person.
func TestNewOwnerIsDeletedMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		for round := range 6 {
			c := s.customer("round-" + time.Duration(round).String())
			codes := s.atOnce(2, func(i int) error {
				if i == 0 {
					return s.svc.DeleteUser(ctx, system, c.plain.ID)
				}
				if _, err := s.svc.SetMemberRole(ctx, system, c.ID, c.plain.ID, store.MemberOwner); err != nil {
					return err
				}
				_, err := s.svc.LeaveOrganization(ctx, by(c.owner), c.ID)
				return err
			})
			owners := 0
			for _, role := range s.roles(c.Organization) {
				if role == store.MemberOwner {
					owners++
				}
			}
			assert.Equal(t, 1, owners, "round %d: %v", round, codes)
		}
	})
}

// Whoever holds a superadmin may go on to wait for an organization, so a deletion, which holds those of the person, must not
// wait for superadmins in turn. (SQLite has one writer at a time.)
func TestDeletionOfAMemberWaitsForNoSuperadmin(t *testing.T) {
	c := newClock()
	s := newServer(t, storetest.NewPostgres(t, func(o *store.Options) { o.Now = c.Now }), c)
	root, acme := s.create("root@example.com", store.RoleSuperadmin), s.customer("acme")
	require.NoError(t, s.store.Tx(t.Context(), func(ctx context.Context) error {
		if _, err := s.store.LockUser(ctx, root.ID); err != nil {
			return err
		}
		meanwhile, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return s.svc.DeleteUser(meanwhile, system, acme.plain.ID)
	}))
}

// A browser left open, a person who is the only one to run a customer: leaving for good needs somebody to take over.
func TestSoleOwnerCannotDeleteThemselves(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		o := s.organization("acme")
		m, err := s.svc.AddMember(t.Context(), system, o.ID, id, store.MemberOwner)
		require.NoError(t, err)
		r := b.post("delete-user", object{"password": password})
		r.refused(http.StatusConflict, "LAST_OWNER")
		require.Contains(t, r.json()["message"], "acme")
		require.True(t, b.signedIn())
		s.join(o, s.verified("next@example.com"), store.MemberOwner)
		b.post("delete-user", object{"password": password}).ok()
		assert.Equal(t, map[string]string{"next": "owner"}, s.roles(o))
		event := s.events(o)[0]
		assert.Equal(t, []string{"member.remove", id, id}, []string{event.Action, event.ActorID, event.TargetID})
		assert.Equal(t, store.Change{Before: "owner"}, event.Changes["role"], m.ID)
	})
}

// Membership ends with all that was held for the organization, whichever way it ends.
func TestMembershipEndsWithItsGrants(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		for way, end := range map[string]func(u *store.User, o *store.Organization) error{
			"removed": func(u *store.User, o *store.Organization) error {
				_, err := s.svc.RemoveMember(ctx, system, o.ID, u.ID)
				return err
			},
			"left": func(u *store.User, o *store.Organization) error {
				_, err := s.svc.LeaveOrganization(ctx, by(u), o.ID)
				return err
			},
			"deleted": func(_ *store.User, o *store.Organization) error { return s.svc.DeleteOrganization(ctx, system, o.ID) },
		} {
			b, o := s.browser(), s.organization(way)
			id := b.signUp(way + "@example.com").json()["user"].(object)["id"].(string)
			u, err := s.store.UserByID(ctx, id)
			require.NoError(t, err)
			s.join(o, u, store.MemberPlain)
			_, here := s.grantsFor(b, o)
			_, elsewhere := s.grants(b)
			require.NoError(t, end(u, o), way)
			assert.True(t, s.revoked(here), way)
			assert.False(t, s.revoked(elsewhere), way)
			assert.True(t, b.signedIn(), "the session stays")
		}
	})
}
