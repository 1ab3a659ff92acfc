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
		for _, tt := range []struct {
			name    string
			run     func(ctx context.Context) error
			indexes []string
			args    string // PostgreSQL's
			walks   string // the table of a list that is walked in its order
		}{
			{"by creation", func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging("")})
				return err
			}, []string{"organizations_created_at"}, "10001, 51", "organizations"},
			{"by slug", func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(store.BySlug)})
				return err
			}, []string{bySlug[f.Dialect()]}, "10001, 51", "organizations"},
			{"by name", func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(store.ByName)})
				return err
			}, []string{"organizations_by_name"}, "10001, 51", "organizations"},
			{"search", func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(""), Search: "s000007"})
				return err
			}, []string{bySlug[f.Dialect()], "organizations_by_name", "organizations key"}, searched("s000007"), ""},
			{"search by slug", func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(store.BySlug), Search: "s000007"})
				return err
			}, []string{bySlug[f.Dialect()], "organizations_by_name", "organizations key"}, searched("s000007"), ""},
			{"search by name", func(ctx context.Context) error {
				_, err := f.Organizations(ctx, store.OrganizationQuery{Paging: paging(store.ByName), Search: "s000007"})
				return err
			}, []string{bySlug[f.Dialect()], "organizations_by_name", "organizations key"}, searched("s000007"), ""},
			{"organization", func(ctx context.Context) error {
				_, err := f.OrganizationByRef(ctx, "s000007")
				return err
			}, []string{"organizations key", "organizations_slug"}, "", ""},
			{"members", func(ctx context.Context) error {
				_, err := f.Members(ctx, store.MemberQuery{Paging: later, OrganizationID: "000001"})
				return err
			}, []string{"members_"}, "'000001', 10001, '000001', '2026-11-23', 'x', 51", ""},
			{"owners", func(ctx context.Context) error {
				_, err := f.Members(ctx, store.MemberQuery{Paging: paging(""), OrganizationID: "000777", Role: store.MemberOwner})
				return err
			}, []string{"members_owners"}, "'000777', 10001, '000777', 51", ""},
			{"search for members", func(ctx context.Context) error {
				_, err := f.Members(ctx, store.MemberQuery{Paging: paging(""), OrganizationID: "000001", Search: "000007"})
				return err
			}, []string{"members_", "users key"}, "'000007', '000007~', '000007', '000007~', '000007', '000007~', '000007', '000007', '000007~', '000007', '000007~', '000001', 10001, 51", ""},
			{"members from an offset", func(ctx context.Context) error {
				q := store.MemberQuery{Paging: paging(""), OrganizationID: "000001"}
				q.Offset = 20
				_, err := f.Members(ctx, q)
				return err
			}, []string{"members_"}, "'000001', 10001, '000001', 51, 20", ""},
			{"member of a list", func(ctx context.Context) error {
				_, err := f.Members(ctx, store.MemberQuery{Paging: paging(""), OrganizationID: "000001", UserID: "000007"})
				return err
			}, []string{"members_"}, "'000001', '000007', 10001, '000001', '000007', 51", ""},
			{"managed organizations", func(ctx context.Context) error {
				_, err := f.ManagesOrganization(ctx, "000007")
				return err
			}, []string{"members_user_id"}, "'000007', 'owner', 'admin', 1", ""},
			{"membership by slug", func(ctx context.Context) error {
				_, err := f.MembershipByRef(ctx, "000007", "s000007")
				return err
			}, []string{"members_"}, "", ""},
			{"memberships", func(ctx context.Context) error {
				_, err := f.MembershipsOf(ctx, "000007")
				return err
			}, []string{"members_user_id", "organizations key"}, "'000007', 200", ""},
			{"member", func(ctx context.Context) error {
				_, err := f.MemberOf(ctx, "000001", "000007")
				return err
			}, []string{"members_"}, "'000001', '000007', 1", ""},
			{"member by reference", func(ctx context.Context) error {
				_, err := f.MemberByRef(ctx, "000001", "000007")
				return err
			}, []string{"members"}, "'000001', '000007', '000007', '000007', 1", ""},
			{"another owner", func(ctx context.Context) error {
				_, err := f.OtherOwner(ctx, "000777", "000777")
				return err
			}, []string{"members_owners"}, "'000777', '000777', 1", ""},
			{"sole ownership", func(ctx context.Context) error {
				_, err := f.SoleOwnership(ctx, "000007")
				return err
			}, []string{"members_user_id", "members_owners"}, "'000007', '000007', 1", ""},
			{"lock memberships", func(ctx context.Context) error {
				_, err := f.LockMemberships(ctx, "000007")
				return err
			}, []string{"members_user_id", "organizations key"}, "'000007'", ""},
			{"invitations", func(ctx context.Context) error {
				_, err := f.Invitations(ctx, store.InvitationQuery{Paging: later, OrganizationID: "000001"})
				return err
			}, []string{"invitations_created_at"}, "'000001', 10001, '000001', '2026-11-23', 'x', 51", "invitations"},
			{"pending invitation", func(ctx context.Context) error {
				_, err := f.PendingInvitation(ctx, "000001", "000007@example.com")
				return err
			}, []string{"invitations_"}, "'000001', '000007@example.com', 1", ""},
			{"open invitations of an address", func(ctx context.Context) error {
				_, err := f.OpenInvitations(ctx, "000007@example.com")
				return err
			}, []string{"invitations_email"}, "'000007@example.com', '2020-01-01', 200", ""},
			{"dead invitations", func(ctx context.Context) error {
				_, err := f.PurgeInvitations(ctx, noon.Add(-365*day), 500)
				return err
			}, []string{"invitations_expires_at", "invitations key"}, "'2020-01-01', 500", ""},
			{"codes and grants of a member", func(ctx context.Context) error {
				return f.RevokeMemberGrants(ctx, "000007", "000007", store.ReasonRevoked)
			}, []string{"authorization_codes_expires_at"}, "'2030-01-01', '000007', '000007'", ""},
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
				assert.NotRegexp(f, `(?m)Seq Scan|^\s*SCAN `+"(members|organizations|users|invitations|grants|authorization_codes)"+`( USING COVERING|$)`, ofTables(plan, "organizations"), "%s: %s", tt.name, statement)
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
