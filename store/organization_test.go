package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func (f *fixture) organization(slug string) *store.Organization {
	f.Helper()
	o := &store.Organization{Slug: slug, Name: slug, Metadata: map[string]any{}}
	require.NoError(f, f.CreateOrganization(f.Context(), o))
	return o
}

func (f *fixture) join(o *store.Organization, u *store.User, role string) *store.Member {
	f.Helper()
	m := &store.Member{OrganizationID: o.ID, UserID: u.ID, Role: role}
	require.NoError(f, f.CreateMember(f.Context(), m))
	return m
}

func (f *fixture) invite(o *store.Organization, email string, lifetime time.Duration) *store.Invitation {
	f.Helper()
	i := &store.Invitation{OrganizationID: o.ID, Email: email, Role: store.MemberPlain, ExpiresAt: f.at().Add(lifetime)}
	require.NoError(f, f.CreateInvitation(f.Context(), i))
	return i
}

func TestOrganizationIsReadBackAsWritten(t *testing.T) {
	installed(t, func(f *fixture) {
		o := &store.Organization{Slug: "acme", Name: "Acme", Logo: "https://acme.example/l.png", Metadata: map[string]any{"tier": "gold", "seats": 3.0}}
		require.NoError(f, f.CreateOrganization(f.Context(), o))
		for _, ref := range []string{o.ID, "acme"} {
			got, err := f.OrganizationByRef(f.Context(), ref)
			require.NoError(f, err)
			require.Equal(f, o, got)
		}
		f.forward(time.Second)
		o.Name, o.Slug, o.Logo, o.Metadata = "Acme 2", "acme-2", "", nil
		require.NoError(f, f.UpdateOrganization(f.Context(), o))
		got, err := f.OrganizationByRef(f.Context(), "acme-2")
		require.NoError(f, err)
		o.Metadata = map[string]any{}
		require.Equal(f, o, got)
		require.Equal(f, f.at(), got.UpdatedAt)

		require.ErrorIs(f, f.CreateOrganization(f.Context(), &store.Organization{Slug: "acme-2"}), store.ErrConflict)
		other := f.organization("other")
		other.Slug = "acme-2"
		require.ErrorIs(f, f.UpdateOrganization(f.Context(), other), store.ErrConflict)
		require.NoError(f, f.DeleteOrganization(f.Context(), o.ID))
		require.ErrorIs(f, f.DeleteOrganization(f.Context(), o.ID), store.ErrNotFound)
		require.ErrorIs(f, f.UpdateOrganization(f.Context(), o), store.ErrNotFound)
		_, err = f.OrganizationByRef(f.Context(), "acme-2")
		require.ErrorIs(f, err, store.ErrNotFound)
	})
}

// An imported id may read like a slug: it names one organization, whatever others are called.
func TestOrganizationIDBeatsSlug(t *testing.T) {
	installed(t, func(f *fixture) {
		imported, namesake := f.organization("first"), f.organization("second")
		exec(f.T, f.Store, "UPDATE organizations SET id = ? WHERE id = ?", "twice", imported.ID)
		exec(f.T, f.Store, "UPDATE organizations SET slug = ? WHERE id = ?", "twice", namesake.ID)
		imported.ID = "twice"
		f.join(imported, f.ada, store.MemberPlain)
		f.join(namesake, f.ada, store.MemberPlain)
		o, err := f.OrganizationByRef(f.Context(), "twice")
		require.NoError(f, err)
		require.Equal(f, "first", o.Slug)
		m, err := f.MembershipByRef(f.Context(), f.ada.ID, "twice")
		require.NoError(f, err)
		require.Equal(f, "first", m.Organization.Slug)
	})
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

// bound binds a grant, or a code, to the organization.
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

// A deleted organization leaves nobody with a token for it.
func TestDeleteOrganizationEndsWhatHangsOnIt(t *testing.T) {
	installed(t, func(f *fixture) {
		acme, other := f.organization("acme"), f.organization("other")
		f.join(acme, f.ada, store.MemberOwner)
		f.join(acme, f.eve, store.MemberPlain)
		f.join(other, f.ada, store.MemberPlain)
		f.invite(acme, "carl@example.com", time.Hour)
		grants := []*store.Grant{
			f.grant(f.ada, "crm-web", inOrganization(acme)), f.grant(f.eve, "hr-web", inOrganization(acme)), f.grant(f.ada, "crm-web", inOrganization(other)),
		}
		f.code("acme", func(c *store.AuthorizationCode) { c.OrganizationID = acme.ID })
		f.activate(f.hers, acme)
		require.NoError(f, f.DeleteOrganization(f.Context(), acme.ID))
		ended := store.ReasonOrganizationDeleted
		require.Equal(f, []string{ended, ended, ""}, f.reasons(grants...))
		require.Equal(f, []string{"org " + acme.ID}, f.revoked())
		require.Empty(f, f.active(f.hers))
		require.Zero(f, f.rows("authorization_codes"))
		require.Zero(f, f.rows("invitations"))
		require.EqualValues(f, 1, f.rows("members"))
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
			exchange := func() error {
				return f.Tx(f.Context(), func(ctx context.Context) error {
					if _, err := f.HoldMember(ctx, acme.ID, f.ada.ID); err != nil {
						return err
					}
					if first, err := f.ConsumeAuthorizationCode(ctx, []byte(signature)); err != nil || !first {
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

func TestInvitations(t *testing.T) {
	installed(t, func(f *fixture) {
		acme, other := f.organization("acme"), f.organization("other")
		i := f.invite(acme, "carl@example.com", time.Hour)
		require.Len(f, i.ID, 32, "a secret of 192 bits")
		twin := &store.Invitation{OrganizationID: acme.ID, Email: "carl@example.com", ExpiresAt: noon.Add(time.Hour)}
		require.ErrorIs(f, f.CreateInvitation(f.Context(), twin), store.ErrConflict)
		f.forward(time.Second)
		elsewhere := f.invite(other, "carl@example.com", 2*time.Hour)

		got, err := f.InvitationByID(f.Context(), i.ID)
		require.NoError(f, err)
		require.Equal(f, acme, got.Organization)
		got.Organization = nil
		require.Equal(f, i, got)
		open, err := f.OpenInvitations(f.Context(), "carl@example.com")
		require.NoError(f, err)
		require.Equal(f, []string{elsewhere.ID, i.ID}, []string{open[0].ID, open[1].ID})
		require.Equal(f, other, open[0].Organization)

		i.Role, i.ExpiresAt = store.MemberAdmin, f.at().Add(time.Hour)
		require.NoError(f, f.RenewInvitation(f.Context(), i))
		pending, err := f.PendingInvitation(f.Context(), acme.ID, "carl@example.com")
		require.NoError(f, err)
		require.Equal(f, i, pending)

		f.forward(time.Hour) // the first one is over
		require.False(f, i.Open(f.at()))
		n, err := f.CountOpenInvitations(f.Context(), acme.ID, 10)
		require.NoError(f, err)
		require.Zero(f, n)
		require.ErrorIs(f, f.SettleInvitation(f.Context(), i, store.InvitationAccepted), store.ErrNotFound)
		require.ErrorIs(f, f.SettleInvitation(f.Context(), i, store.InvitationRejected), store.ErrNotFound)
		require.NoError(f, f.SettleInvitation(f.Context(), i, store.InvitationCanceled))
		require.Equal(f, store.InvitationCanceled, i.Status)
		require.ErrorIs(f, f.RenewInvitation(f.Context(), i), store.ErrNotFound)
		require.ErrorIs(f, f.SettleInvitation(f.Context(), i, store.InvitationCanceled), store.ErrNotFound)
		f.invite(acme, "carl@example.com", time.Hour)
	})
}

// Of parallel answers to one invitation exactly one counts.
func TestInvitationIsSettledOnce(t *testing.T) {
	installed(t, func(f *fixture) {
		i := f.invite(f.organization("acme"), "carl@example.com", time.Hour)
		statuses := []string{store.InvitationAccepted, store.InvitationRejected, store.InvitationCanceled}
		won := 0
		for _, err := range together(6, func(n int) error {
			mine := *i
			return f.SettleInvitation(f.Context(), &mine, statuses[n%3])
		}) {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(f, err, store.ErrNotFound)
		}
		require.Equal(f, 1, won)
	})
}

// fillOrganizations makes many of them, one with many members and invitations.
func (f *fixture) fillOrganizations() {
	f.Helper()
	f.fill()
	for _, sql := range []string{
		"INSERT INTO organizations (id, slug, name, logo, metadata, created_at, updated_at) SELECT id, 's' || id, 'N' || id, '', '{}', created_at, created_at FROM users",
		"INSERT INTO members (id, organization_id, user_id, role, created_at, updated_at) SELECT id, '000001', id, CASE WHEN id < '000003' THEN 'owner' ELSE 'member' END, created_at, created_at FROM users WHERE id < '000100'",
		"INSERT INTO members (id, organization_id, user_id, role, created_at, updated_at) SELECT 'o' || id, id, id, 'owner', created_at, created_at FROM users WHERE id > '000001'",
		"INSERT INTO invitations (id, organization_id, email, role, status, inviter_id, created_at, updated_at, expires_at)" +
			" SELECT id, '000001', email, 'member', CASE WHEN id < '000100' THEN 'pending' ELSE 'accepted' END, '', created_at, created_at, created_at FROM users WHERE id < '000200'",
		"INSERT INTO invitations (id, organization_id, email, role, status, inviter_id, created_at, updated_at, expires_at)" +
			" SELECT 'o' || id, id, email, 'member', 'pending', '', created_at, created_at, created_at FROM users WHERE id > '000001'",
		"UPDATE grants SET organization_id = id WHERE id < '000050'",
		"UPDATE sessions SET active_organization_id = id WHERE id < '000050'",
	} {
		exec(f.T, f.Store, sql)
	}
	if f.Dialect() == "postgres" {
		exec(f.T, f.Store, "ANALYZE")
	}
}

// Each order, each filter and each look-up has an index, however many organizations, members and invitations there are.
func TestOrganizationStatementsUseIndexes(t *testing.T) {
	paging := func(sort string) store.Paging { return store.Paging{Sort: sort, Limit: 50, CountTo: 10_000} }
	later := paging(store.ByCreation)
	later.After = &store.Position{Value: noon, ID: "x"}
	bySlug := map[string]string{"sqlite": "organizations_slug", "postgres": "organizations_by_slug"}
	installed(t, func(f *fixture) {
		f.fillOrganizations()
		in := func(run func(ctx context.Context) error) func(ctx context.Context) error { return run }
		for _, tt := range []struct {
			name    string
			run     func(ctx context.Context) error
			indexes []string
			args    string // PostgreSQL's
			walks   string // the table of a list that is walked in its order
		}{
			{"by creation", in(func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging("")})
				return err
			}), []string{"organizations_created_at"}, "10001, 51", "organizations"},
			{"by slug", in(func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(store.BySlug)})
				return err
			}), []string{bySlug[f.Dialect()]}, "10001, 51", "organizations"},
			{"by name", in(func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(store.ByName)})
				return err
			}), []string{"organizations_by_name"}, "10001, 51", "organizations"},
			{"search", in(func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(""), Search: "s000007"})
				return err
			}), []string{bySlug[f.Dialect()], "organizations_by_name", "organizations key"},
				"'s000007', 's000007~', 's000007', 's000007~', 's000007', 10001, 's000007', 's000007~', 's000007', 's000007~', 's000007', 51", ""},
			{"organization", in(func(ctx context.Context) error {
				_, err := f.OrganizationByRef(ctx, "s000007")
				return err
			}), []string{"organizations key", "organizations_slug"}, "", ""},
			{"members", in(func(ctx context.Context) error {
				_, err := f.Members(ctx, store.MemberQuery{Paging: later, OrganizationID: "000001"})
				return err
			}), []string{"members_"}, "'000001', 10001, '000001', '2026-11-23', 'x', 51", ""},
			{"owners", in(func(ctx context.Context) error {
				_, err := f.Members(ctx, store.MemberQuery{Paging: paging(""), OrganizationID: "000777", Role: store.MemberOwner})
				return err
			}), []string{"members_owners"}, "'000777', 10001, '000777', 51", ""},
			{"membership by slug", in(func(ctx context.Context) error {
				_, err := f.MembershipByRef(ctx, "000007", "s000007")
				return err
			}), []string{"members_"}, "", ""},
			{"memberships", in(func(ctx context.Context) error {
				_, err := f.MembershipsOf(ctx, "000007")
				return err
			}), []string{"members_user_id", "organizations key"}, "'000007', 200", ""},
			{"member", in(func(ctx context.Context) error {
				_, err := f.MemberOf(ctx, "000001", "000007")
				return err
			}), []string{"members_"}, "'000001', '000007', 1", ""},
			{"member by reference", in(func(ctx context.Context) error {
				_, err := f.MemberByRef(ctx, "000001", "000007")
				return err
			}), []string{"members"}, "'000001', '000007', '000007', '000007', 1", ""},
			{"another owner", in(func(ctx context.Context) error {
				_, err := f.OtherOwner(ctx, "000777", "000777")
				return err
			}), []string{"members_owners"}, "'000777', '000777', 1", ""},
			{"sole ownership", in(func(ctx context.Context) error {
				_, err := f.SoleOwnership(ctx, "000007")
				return err
			}), []string{"members_user_id", "members_owners"}, "'000007', '000007', 1", ""},
			{"lock memberships", in(func(ctx context.Context) error {
				_, err := f.LockMemberships(ctx, "000007")
				return err
			}), []string{"members_user_id", "organizations key"}, "'000007'", ""},
			{"invitations", in(func(ctx context.Context) error {
				_, err := f.Invitations(ctx, store.InvitationQuery{Paging: later, OrganizationID: "000001"})
				return err
			}), []string{"invitations_created_at"}, "'000001', 10001, '000001', '2026-11-23', 'x', 51", "invitations"},
			{"pending invitation", in(func(ctx context.Context) error {
				_, err := f.PendingInvitation(ctx, "000001", "000007@example.com")
				return err
			}), []string{"invitations_"}, "'000001', '000007@example.com', 1", ""},
			{"open invitations of an address", in(func(ctx context.Context) error {
				_, err := f.OpenInvitations(ctx, "000007@example.com")
				return err
			}), []string{"invitations_email"}, "'000007@example.com', '2020-01-01', 200", ""},
			{"dead invitations", in(func(ctx context.Context) error {
				_, err := f.PurgeInvitations(ctx, noon.Add(-365*day), 500)
				return err
			}), []string{"invitations_expires_at", "invitations key"}, "'2020-01-01', 500", ""},
			{"codes and grants of a member", in(func(ctx context.Context) error {
				return f.RevokeMemberGrants(ctx, "000007", "000007", store.ReasonRevoked)
			}), []string{"authorization_codes_expires_at"}, "'2030-01-01', '000007', '000007'", ""},
		} {
			ctx, calls := storetest.Trace(f.Context())
			if err := tt.run(ctx); err != nil {
				require.ErrorIs(f, err, store.ErrNotFound, tt.name)
			}
			statement := calls.SQL()[0]
			if statement == "BEGIN" {
				statement = calls.SQL()[1]
			}
			plan := f.plan(statement, tt.args)
			for _, name := range tt.indexes {
				assert.Contains(f, plan, f.index(name), "%s: %s", tt.name, statement)
			}
			if tt.walks != "" {
				assert.NotRegexp(f, `TEMP B-TREE|Sort `, plan, "%s: the rows are sorted", tt.name)
			} else {
				assert.NotRegexp(f, `(?m)Seq Scan|^\s*SCAN `+"(members|organizations|users|invitations|grants|authorization_codes)"+`( USING COVERING|$)`, plan, "%s: %s", tt.name, statement)
			}
		}
		for name, tt := range map[string]struct {
			run   func(ctx context.Context) error
			table string
			index string
		}{
			"grants of a member":          {func(ctx context.Context) error { return f.RevokeMemberGrants(ctx, "000008", "000008", "x") }, "grants", "grants_"},
			"grants of an organization":   {func(ctx context.Context) error { return f.RevokeOrganizationGrants(ctx, "000009", "x") }, "grants", "grants_organization_id"},
			"sessions of an organization": {func(ctx context.Context) error { return f.DeleteOrganization(ctx, "000010") }, "sessions", "sessions_organization_id"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), name)
			for i, call := range calls.List() {
				if call == "W "+tt.table {
					plan := f.plan(calls.SQL()[i], "")
					assert.Contains(f, plan, tt.index, name)
					assert.NotRegexp(f, scans, plan, name)
				}
			}
		}
	})
}
