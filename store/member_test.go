package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func (f *fixture) join(o *store.Organization, u *store.User, role string) *store.Member {
	f.Helper()
	m := &store.Member{OrganizationID: o.ID, UserID: u.ID, Role: role}
	require.NoError(f, f.CreateMember(f.Context(), m))
	return m
}

func TestMemberships(t *testing.T) {
	installed(t, func(f *fixture) {
		b, a := f.organization("Bravo"), f.organization("alpha")
		owner, plain := f.join(b, f.ada, store.MemberOwner), f.join(a, f.ada, store.MemberPlain)
		eves := f.join(b, f.eve, store.MemberAdmin)

		all, err := f.MembershipsOf(f.Context(), f.ada.ID)
		require.NoError(f, err)
		require.Len(f, all, 2)
		require.Equal(f, []any{plain.ID, a, owner.ID, b}, []any{all[0].ID, all[0].Organization, all[1].ID, all[1].Organization}, "by name, whatever the case")

		got, err := f.MemberOf(f.Context(), b.ID, f.eve.ID)
		require.NoError(f, err)
		require.Equal(f, eves, got)
		for _, ref := range []string{eves.ID, f.eve.ID} {
			got, err = f.MemberByRef(f.Context(), b.ID, ref)
			require.NoError(f, err)
			require.Equal(f, eves, got)
			_, err = f.MemberByRef(f.Context(), a.ID, ref)
			require.ErrorIs(f, err, store.ErrNotFound, "a member of another organization")
		}
		_, err = f.MembershipByRef(f.Context(), f.eve.ID, "alpha")
		require.ErrorIs(f, err, store.ErrNotFound)
		_, err = f.HoldMember(f.Context(), a.ID, f.eve.ID)
		require.ErrorIs(f, err, store.ErrNotFound)

		for userID, want := range map[string]bool{f.ada.ID: true, f.eve.ID: true, "nobody": false} {
			manages, err := f.ManagesOrganization(f.Context(), userID)
			require.NoError(f, err)
			require.Equal(f, want, manages, userID)
		}
		require.NoError(f, f.SetMemberRole(f.Context(), eves, store.MemberPlain))
		manages, err := f.ManagesOrganization(f.Context(), f.eve.ID)
		require.NoError(f, err)
		require.False(f, manages)

		again := &store.Member{OrganizationID: b.ID, UserID: f.eve.ID, Role: store.MemberOwner}
		require.ErrorIs(f, f.CreateMember(f.Context(), again), store.ErrConflict)
		require.NoError(f, f.SetMemberRole(f.Context(), eves, store.MemberOwner))
		another, err := f.OtherOwner(f.Context(), b.ID, f.ada.ID)
		require.NoError(f, err)
		require.True(f, another)
		_, err = f.SoleOwnership(f.Context(), f.ada.ID)
		require.ErrorIs(f, err, store.ErrNotFound)
		require.NoError(f, f.EndMembership(f.Context(), eves))
		require.ErrorIs(f, f.EndMembership(f.Context(), eves), store.ErrNotFound)
		require.ErrorIs(f, f.SetMemberRole(f.Context(), eves, store.MemberPlain), store.ErrNotFound)
		sole, err := f.SoleOwnership(f.Context(), f.ada.ID)
		require.NoError(f, err)
		require.Equal(f, b, sole)
		n, err := f.CountMembers(f.Context(), b.ID, 10)
		require.NoError(f, err)
		require.EqualValues(f, 1, n)
	})
}

// inOrganization binds a grant to the organization, and to no session.
func inOrganization(o *store.Organization) func(*store.Grant) {
	return func(g *store.Grant) { g.OrganizationID, g.Offline = o.ID, true }
}

func (f *fixture) activate(ses *store.Session, o *store.Organization) {
	f.Helper()
	exec(f.T, f.Store, "UPDATE sessions SET active_organization_id = ? WHERE id = ?", o.ID, ses.ID)
}

func (f *fixture) active(ses *store.Session) string {
	f.Helper()
	got, err := f.SessionBySecret(f.Context(), ses.SecretHash, f.at())
	require.NoError(f, err)
	return got.ActiveOrganizationID
}

// Whoever leaves keeps nothing of the organization: no role, no grant, no token, no code, no session in which it is active.
// What they hold elsewhere, and what others hold there, stays.
func TestEndMembershipEndsWhatHangsOnIt(t *testing.T) {
	installed(t, func(f *fixture) {
		acme, other := f.organization("acme"), f.organization("other")
		left := f.join(acme, f.ada, store.MemberPlain)
		f.join(other, f.ada, store.MemberPlain)
		f.join(acme, f.eve, store.MemberPlain)
		role := &store.Role{ID: "role", ApplicationID: f.crm.ID, Key: "editor", CreatedAt: noon, UpdatedAt: noon}
		require.NoError(f, f.DB(f.Context()).Create(role).Error)
		for id, o := range map[string]*string{"1": &acme.ID, "2": &other.ID, "3": nil} {
			require.NoError(f, f.DB(f.Context()).Create(&store.RoleAssignment{
				ID: id, ApplicationID: f.crm.ID, RoleID: "role", UserID: f.ada.ID, OrganizationID: o, CreatedAt: noon,
			}).Error)
		}
		grants := []*store.Grant{
			f.grant(f.ada, "crm-web", inOrganization(acme)), f.grant(f.ada, "hr-web", inOrganization(acme)),
			f.grant(f.ada, "crm-web", inOrganization(other)), f.grant(f.ada, "crm-web", offline), f.grant(f.eve, "crm-web", inOrganization(acme)),
		}
		f.code("acme", func(c *store.AuthorizationCode) { c.OrganizationID = acme.ID })
		f.code("other", func(c *store.AuthorizationCode) { c.OrganizationID = other.ID })
		f.code("eve", func(c *store.AuthorizationCode) { c.OrganizationID, c.UserID = acme.ID, f.eve.ID })
		second, eves := browserSession(f.T, f.Store, f.ada.ID, "second"), browserSession(f.T, f.Store, f.eve.ID, "eve")
		f.activate(f.hers, acme)
		f.activate(second, other)
		f.activate(eves, acme)

		require.NoError(f, f.EndMembership(f.Context(), left))
		ended := store.ReasonMembershipEnded
		require.Equal(f, []string{ended, ended, "", "", ""}, f.reasons(grants...))
		require.ElementsMatch(f, []string{"gid " + grants[0].ID, "gid " + grants[1].ID, "sub+org " + f.ada.ID + " " + acme.ID}, f.revoked())
		require.Equal(f, []string{"", other.ID, acme.ID}, []string{f.active(f.hers), f.active(second), f.active(eves)})
		for signature, want := range map[string]error{"acme": store.ErrNotFound, "other": nil, "eve": nil} {
			_, err := f.AuthorizationCodeBySignature(f.Context(), []byte(signature))
			require.ErrorIs(f, err, want, signature)
		}
		var assigned []string
		require.NoError(f, f.DB(f.Context()).Model(&store.RoleAssignment{}).Order("id").Pluck("id", &assigned).Error)
		require.Equal(f, []string{"2", "3"}, assigned)
		rows, err := f.RevocationsSince(f.Context(), time.Time{})
		require.NoError(f, err)
		for _, r := range rows {
			if r.Kind == store.RevokedMember {
				require.Equal(f, f.at(), r.IssuedUntil, "whoever joins again gets tokens again")
			}
		}
	})
}

// Whoever signs out holds the session and waits for the grants. In the other order the two would wait for each other, until
// PostgreSQL, after a second, gives one of them up.
func TestSessionsAreLockedBeforeGrants(t *testing.T) {
	installed(t, func(f *fixture) {
		acme := f.organization("acme")
		m := f.join(acme, f.ada, store.MemberPlain)
		for _, tt := range []struct {
			first string
			end   func(ctx context.Context) error
		}{
			{"W members", func(ctx context.Context) error { return f.EndMembership(ctx, m) }},
			{"W organizations", func(ctx context.Context) error { return f.DeleteOrganization(ctx, acme.ID) }},
		} {
			f.grant(f.ada, "crm-web", inOrganization(acme))
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, f.Tx(ctx, tt.end))
			require.Equal(f, []string{"BEGIN", tt.first, "W sessions", "W authorization_codes", "W grants", "W revocations", "COMMIT"}, calls.List())
		}
	})
}

// An exchange of a code that is under way when the membership ends either comes to nothing or has its grant ended: it must
// not leave a grant that lives.
func TestEndMembershipWaitsForAnExchange(t *testing.T) {
	installed(t, func(f *fixture) {
		acme := f.organization("acme")
		for round := range 8 {
			m := f.join(acme, f.ada, store.MemberPlain)
			signature := "sig" + string(rune('a'+round))
			c := f.code(signature, func(c *store.AuthorizationCode) { c.OrganizationID = acme.ID })
			first, err := f.ConsumeAuthorizationCode(f.Context(), []byte(signature), "")
			require.NoError(f, err)
			require.False(f, first, "without its organization it would not be held")
			exchange := func() error {
				return f.Tx(f.Context(), func(ctx context.Context) error {
					if _, err := f.HoldMember(ctx, acme.ID, f.ada.ID); err != nil {
						return err
					}
					if first, err := f.ConsumeAuthorizationCode(ctx, []byte(signature), acme.ID); err != nil || !first {
						return store.ErrNotFound
					}
					return f.CreateGrant(ctx, &store.Grant{
						ID: c.GrantID, ClientID: c.ClientID, UserID: c.UserID, SessionID: c.SessionID, OrganizationID: acme.ID, Salt: []byte{1}, Generation: 1,
						AuthTime: noon, RotatedAt: noon, CreatedAt: noon, IdleExpiresAt: noon.Add(day), ExpiresAt: noon.Add(day),
					})
				})
			}
			end := func() error {
				return f.Tx(f.Context(), func(ctx context.Context) error { return f.EndMembership(ctx, m) })
			}
			errs := together(2, func(i int) error { return []func() error{exchange, end}[(i+round)%2]() })
			require.NoError(f, errs[(1+round)%2])
			if exchanged := errs[round%2]; exchanged != nil {
				require.ErrorIs(f, exchanged, store.ErrNotFound)
				continue
			}
			g, err := f.GrantByID(f.Context(), c.GrantID)
			require.NoError(f, err)
			require.Equal(f, store.ReasonMembershipEnded, g.RevokeReason)
		}
	})
}

func TestMembersByOffset(t *testing.T) {
	installed(t, func(f *fixture) {
		o := f.organization("acme")
		first := f.join(o, f.ada, store.MemberOwner)
		f.forward(time.Second)
		second := f.join(o, f.eve, store.MemberPlain)
		for _, tt := range []struct {
			name  string
			query store.MemberQuery
			want  []string
			more  bool
			total int64
		}{
			{"from the start", store.MemberQuery{Paging: store.Paging{Limit: 1}}, []string{first.ID}, true, 2},
			{"skipping one", store.MemberQuery{Paging: store.Paging{Limit: 1, Offset: 1}}, []string{second.ID}, false, 2},
			{"from the end", store.MemberQuery{Paging: store.Paging{Limit: 1, Offset: 1, Descending: true}}, []string{first.ID}, false, 2},
			{"behind the end", store.MemberQuery{Paging: store.Paging{Limit: 1, Offset: 2}}, nil, false, 2},
			{"of one person", store.MemberQuery{Paging: store.Paging{Limit: 1}, UserID: f.eve.ID}, []string{second.ID}, false, 1},
		} {
			tt.query.OrganizationID, tt.query.CountTo = o.ID, 100
			page, err := f.Members(f.Context(), tt.query)
			require.NoError(f, err, tt.name)
			var ids []string
			for _, m := range page.Items {
				ids = append(ids, m.ID)
			}
			require.Equal(f, []any{tt.want, tt.more, tt.total}, []any{ids, page.More, page.Total}, tt.name)
		}
	})
}

func TestSwitchOrganization(t *testing.T) {
	installed(t, func(f *fixture) {
		o := f.organization("acme")
		for _, step := range []struct{ next, was string }{{o.ID, ""}, {o.ID, o.ID}, {"", o.ID}, {"", ""}, {o.ID, ""}} {
			was, err := f.SwitchOrganization(f.Context(), f.hers.ID, step.next)
			require.NoError(f, err)
			require.Equal(f, []string{step.was, step.next}, []string{was, f.active(f.hers)})
		}
		require.NoError(f, f.EndSession(f.Context(), f.ada.ID, f.hers.ID, "x", f.at()))
		_, err := f.SwitchOrganization(f.Context(), f.hers.ID, "")
		require.ErrorIs(f, err, store.ErrNotFound)
	})
}

// A switch to an organization that is under way when the membership ends must not outlive it.
func TestEndMembershipWaitsForASwitch(t *testing.T) {
	installed(t, func(f *fixture) {
		acme := f.organization("acme")
		for round := range 8 {
			m := f.join(acme, f.ada, store.MemberPlain)
			change := func() error {
				return f.Tx(f.Context(), func(ctx context.Context) error {
					if _, err := f.HoldMember(ctx, acme.ID, f.ada.ID); err != nil {
						return err
					}
					_, err := f.SwitchOrganization(ctx, f.hers.ID, acme.ID)
					return err
				})
			}
			end := func() error {
				return f.Tx(f.Context(), func(ctx context.Context) error { return f.EndMembership(ctx, m) })
			}
			errs := together(2, func(i int) error { return []func() error{change, end}[(i+round)%2]() })
			require.NoError(f, errs[(1+round)%2])
			if changed := errs[round%2]; changed != nil {
				require.ErrorIs(f, changed, store.ErrNotFound)
			}
			require.Empty(f, f.active(f.hers))
		}
	})
}
