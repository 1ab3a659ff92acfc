package account_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func (s *server) member(c customer, u *store.User) *store.Member {
	s.t.Helper()
	m, err := s.store.MemberOf(s.t.Context(), c.ID, u.ID)
	require.NoError(s.t, err)
	return m
}

// shownMember is how the wire has a member.
func shownMember(m *store.Member) object {
	return object{"id": m.ID, "organizationId": m.OrganizationID, "userId": m.UserID, "role": m.Role, "createdAt": m.CreatedAt.Format("2006-01-02T15:04:05.000Z")}
}

func shownMemberWith(m *store.Member, u *store.User) object {
	body := shownMember(m)
	body["user"] = object{"id": u.ID, "name": u.Name, "email": u.Email, "image": nil}
	return body
}

func TestOrganizationListMembersRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		o := s.organization("acme")
		people := make([]*store.User, 3)
		var want []any
		for i, role := range []string{store.MemberPlain, store.MemberOwner, store.MemberPlain} {
			s.clock.Pass(time.Second)
			people[i] = s.verified(string(rune('a'+i)) + "@example.com")
			want = append(want, shownMemberWith(s.join(o, people[i], role), people[i]))
		}
		b := s.as(people[0])
		b.get("organization/list-members").refused(http.StatusBadRequest, "NO_ACTIVE_ORGANIZATION")
		assert.Equal(t, object{"members": want, "total": 3.0}, b.get("organization/list-members?organizationSlug=acme").ok().json())
		b.in(o)
		for query, tt := range map[string]struct {
			members []any
			total   float64
		}{
			"":                  {want, 3},
			"?limit=2":          {want[:2], 3},
			"?limit=2&offset=2": {want[2:], 3},
			"?offset=3":         {[]any{}, 3},
			"?limit=100000":     {want, 3},
			"?sortBy=createdAt&sortDirection=desc&limit=1":           {want[2:], 3},
			"?filterField=role&filterOperator=eq&filterValue=member": {[]any{want[0], want[2]}, 2},
			"?filterField=role&filterValue=admin":                    {[]any{}, 0},
			"?filterField=userId&filterValue=" + people[1].ID:        {want[1:2], 1},
		} {
			assert.Equal(t, object{"members": tt.members, "total": tt.total}, b.get("organization/list-members"+query).ok().json(), query)
		}
		for _, query := range []string{
			"?limit=-1", "?limit=x", "?offset=-1", "?offset=100001", "?sortBy=email", "?sortDirection=up", "?filterField=email&filterValue=a",
			"?filterField=role&filterValue=root", "?filterField=role", "?filterField=userId", "?filterField=role&filterOperator=contains&filterValue=owner",
		} {
			b.get("organization/list-members"+query).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		}
	})
}

func TestOrganizationActiveMemberRoutes(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.plain)
		b.get("organization/get-active-member").refused(http.StatusBadRequest, "NO_ACTIVE_ORGANIZATION")
		b.get("organization/get-active-member-role").refused(http.StatusBadRequest, "NO_ACTIVE_ORGANIZATION")
		b.in(c.Organization)
		assert.Equal(t, shownMemberWith(s.member(c, c.plain), c.plain), b.get("organization/get-active-member").ok().json())
		for query, role := range map[string]string{"": "member", "?userId=" + c.owner.ID: "owner", "?organizationSlug=acme&userId=" + c.admin.ID: "admin"} {
			assert.Equal(t, object{"role": role}, b.get("organization/get-active-member-role"+query).ok().json())
		}
		operator := s.as(s.operator())
		assert.Equal(t, object{"role": "owner"}, operator.get("organization/get-active-member-role?organizationId="+c.ID+"&userId="+c.owner.ID).ok().json())
		operator.get("organization/get-active-member-role?organizationId="+c.ID).refused(http.StatusForbidden, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION")
	})
}

func TestOrganizationUpdateMemberRoleRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b, plain := s.as(c.owner).in(c.Organization), s.member(c, c.plain)
		for _, tt := range []struct {
			member string
			role   any
			want   string
		}{
			{plain.ID, "admin", "admin"},
			{c.plain.ID, "member", "member"},
			{plain.ID, []string{"member", "admin"}, "admin"},
			{plain.ID, "member, owner,admin", "owner"},
			{plain.ID, []string{"member"}, "member"},
		} {
			want := shownMember(plain)
			want["role"] = tt.want
			got := b.post("organization/update-member-role", object{"memberId": tt.member, "role": tt.role, "organizationId": c.ID}).ok().json()
			assert.Equal(t, want, got, tt.role)
			assert.Equal(t, tt.want, s.roles(c.Organization)["plain"])
		}
		b.post("organization/update-member-role", object{"memberId": "nobody", "role": "admin"}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		b.post("organization/update-member-role", object{"memberId": c.ownership.ID, "role": "admin"}).
			refused(http.StatusBadRequest, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_WITHOUT_AN_OWNER")
		for _, by := range []*store.User{c.plain, c.admin} {
			s.as(by).post("organization/update-member-role", object{"memberId": plain.ID, "role": []string{"owner", "member"}, "organizationId": c.ID}).
				refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER")
		}
		s.svc.Organizations.SelfService = false
		b.post("organization/update-member-role", object{"memberId": plain.ID, "role": "admin"}).
			refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER")
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin", "plain": "member"}, s.roles(c.Organization))
	})
}

// W24: a role that nobody defined must not be stored, in whatever form it comes and beside whichever others.
func TestUnknownMemberRoleIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.owner).in(c.Organization)
		for _, role := range []any{"superadmin", "Owner", "", ",", "admin,root", []string{"admin", "root"}, []string{""}, []string{}} {
			b.post("organization/update-member-role", object{"memberId": c.plain.ID, "role": role}).refused(http.StatusBadRequest, "ROLE_NOT_FOUND")
			b.post("organization/invite-member", object{"email": "carl@example.com", "role": role}).refused(http.StatusBadRequest, "ROLE_NOT_FOUND")
		}
		for _, role := range []any{nil, 7, object{"owner": true}, []any{7}, []any{[]string{"owner"}}} {
			b.post("organization/update-member-role", object{"memberId": c.plain.ID, "role": role}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		}
		b.post("organization/update-member-role", object{"memberId": c.plain.ID}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Equal(t, "member", s.roles(c.Organization)["plain"])
		assert.Empty(t, b.get("organization/list-invitations").list())
	})
}

func TestOrganizationRemoveMemberRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		b := s.as(c.owner).in(c.Organization)
		for _, named := range []func(m *store.Member) string{
			func(m *store.Member) string { return m.ID },
			func(m *store.Member) string { return m.UserID },
			func(*store.Member) string { return " PLAIN@acme.example " },
		} {
			m := s.member(c, c.plain)
			got := b.post("organization/remove-member", object{"memberIdOrEmail": named(m), "organizationId": c.ID}).ok().json()
			assert.Equal(t, object{"member": shownMember(m)}, got)
			b.post("organization/remove-member", object{"memberIdOrEmail": named(m)}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
			s.join(c.Organization, c.plain, store.MemberPlain)
		}
		for _, nobody := range []string{"", "@", "nobody", "nobody@example.com", s.verified("outsider@example.com").Email} {
			b.post("organization/remove-member", object{"memberIdOrEmail": nobody}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		}
		b.post("organization/remove-member", object{"memberIdOrEmail": c.owner.Email}).
			refused(http.StatusBadRequest, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER")
		for by, member := range map[*store.User]*store.User{c.plain: c.admin, c.admin: c.owner} {
			s.as(by).post("organization/remove-member", object{"memberIdOrEmail": member.ID, "organizationId": c.ID}).
				refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER")
		}
		s.svc.Organizations.SelfService = false
		b.post("organization/remove-member", object{"memberIdOrEmail": c.plain.ID}).refused(http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER")
		assert.Len(t, s.roles(c.Organization), 3)
	})
}

func TestOrganizationLeaveRoute(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		c := s.customer("acme")
		s.svc.Organizations.SelfService = false // everybody may go
		b, m := s.as(c.plain).in(c.Organization), s.member(c, c.plain)
		b.post("organization/leave", object{}).refused(http.StatusBadRequest, "VALIDATION_ERROR")
		assert.Equal(t, shownMember(m), b.post("organization/leave", object{"organizationId": c.ID}).ok().json())
		assert.Nil(t, b.active())
		b.post("organization/leave", object{"organizationId": c.ID}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")
		s.as(s.operator()).post("organization/leave", object{"organizationId": c.ID}).refused(http.StatusBadRequest, "MEMBER_NOT_FOUND")

		// An organization that nobody owns is nobody's to run any more: the last owner stays, and is asked to appoint another.
		owner := s.as(c.owner)
		r := owner.post("organization/leave", object{"organizationId": c.ID})
		r.refused(http.StatusBadRequest, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER")
		assert.Contains(t, r.json()["message"], "appoint another one")
		assert.Equal(t, map[string]string{"owner": "owner", "admin": "admin"}, s.roles(c.Organization))
	})
}
