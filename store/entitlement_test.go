package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// A landscape is what entitlements are made of, for a test that changes it at random: it writes rows as they are, past all rules.
type landscape struct {
	*fixture
	rand          *rand.Rand
	users         []*store.User
	applications  []*store.Application
	organizations []*store.Organization
	grants        map[string]string // id by user and application
}

// role makes a role with permissions, which it makes where they are missing.
func (f *fixture) role(a *store.Application, key string, isDefault bool, permissions ...string) *store.Role {
	f.Helper()
	for _, p := range permissions {
		if _, err := f.PermissionByKey(f.Context(), a.ID, p); err != nil {
			require.NoError(f, f.CreatePermission(f.Context(), &store.Permission{ApplicationID: a.ID, Key: p, Name: p}))
		}
	}
	r := &store.Role{ApplicationID: a.ID, Key: key, Name: key, IsDefault: isDefault, Permissions: permissions}
	require.NoError(f, f.CreateRole(f.Context(), r))
	return r
}

// assign gives the person a role of the application CRM, in an organization unless that is empty.
func (f *fixture) assign(u *store.User, key, organizationID string) {
	f.Helper()
	var r store.Role
	require.NoError(f, f.DB(f.Context()).Take(&r, "application_id = ? AND key = ?", f.crm.ID, key).Error)
	a := &store.RoleAssignment{ID: store.NewID(), ApplicationID: f.crm.ID, RoleID: r.ID, UserID: u.ID, CreatedAt: f.at()}
	if organizationID != "" {
		a.OrganizationID = &organizationID
	}
	f.create(a)
}

func (f *fixture) create(row any) {
	f.Helper()
	require.NoError(f, f.DB(f.Context()).Create(row).Error)
}

func feature(key, kind, value string) store.Feature {
	return store.Feature{Key: key, Type: kind, Value: json.RawMessage(value)}
}

// grantOf makes a grant of the person for the application's first client.
func (f *fixture) grantOf(u *store.User, clientID, organizationID string) string {
	f.Helper()
	id, far := store.NewID(), f.at().Add(1000*day)
	f.create(&store.Grant{ID: id, ClientID: clientID, UserID: u.ID, OrganizationID: organizationID, Scopes: []string{"org"}, Audiences: []string{}, AMR: []string{},
		Offline: true, AuthTime: f.at(), Salt: []byte{1}, Generation: 1, RotatedAt: f.at(), CreatedAt: f.at(), IdleExpiresAt: far, ExpiresAt: far})
	return id
}

func TestEntitlementsOfAGrant(t *testing.T) {
	installed(t, func(f *fixture) {
		acme, beta := f.organization("acme"), f.organization("beta")
		f.join(acme, f.ada, store.MemberPlain)
		f.role(f.crm, "viewer", true, "read")
		f.role(f.crm, "editor", false, "read", "write")
		f.role(f.crm, "billing", false, "pay", "write")
		f.role(f.hr, "boss", true, "fire")
		f.assign(f.ada, "billing", "")
		f.assign(f.ada, "editor", acme.ID)
		f.assign(f.eve, "editor", "")
		free := &store.Plan{ID: "free", ApplicationID: f.crm.ID, Key: "free", IsDefault: true, Active: true, Features: []store.Feature{feature("seats", "limit", "1")}}
		pro := &store.Plan{ID: "pro", ApplicationID: f.crm.ID, Key: "pro", Active: true,
			Features: []store.Feature{feature("seats", "limit", "10"), feature("export", "boolean", "true"), feature("theme", "string", `"dark"`)}}
		f.create(free)
		f.create(pro)
		require.NoError(f, f.Changed(f.Context(), f.crm.ID))

		grant := f.grantOf(f.ada, "crm-web", "")
		of := func(organization *string) *store.Entitlements {
			g, err := f.EntitledGrant(f.Context(), grant, store.Acting{ApplicationID: f.crm.ID, Organization: organization})
			require.NoError(f, err)
			require.Equal(f, f.ada.Email, g.User.Email)
			return g.Entitlements
		}
		require.Equal(f, &store.Entitlements{Roles: []string{"billing", "viewer"}, Permissions: []string{"pay", "read", "write"}, Plan: "free", Features: free.Features}, of(nil))
		for _, name := range []string{acme.ID, "acme"} {
			require.Equal(f, &store.Entitlements{Roles: []string{"billing", "editor", "viewer"}, Permissions: []string{"pay", "read", "write"}, Plan: "free",
				Features: free.Features, Organization: &store.Membership{ID: acme.ID, Slug: "acme", Role: "member"}}, of(&name), "the role held there counts")
		}
		for _, name := range []string{beta.ID, "beta", "nowhere", ""} {
			require.Equal(f, []string{"billing", "viewer"}, of(&name).Roles, "%q", name)
			require.Nil(f, of(&name).Organization, "another's organization is like none at all")
		}

		f.create(&store.Subscription{ID: "own", ApplicationID: f.crm.ID, PlanID: "pro", UserID: &f.ada.ID, StartsAt: f.at().Add(day), EndsAt: at(f.at().Add(3 * day)),
			Overrides: []store.Feature{feature("seats", "limit", "2.5"), feature("beta", "boolean", "true")}})
		require.Equal(f, "free", of(nil).Plan, "it has not begun")
		f.forward(day)
		require.Equal(f, "pro", of(nil).Plan)
		require.JSONEq(f, `{"seats":2.5,"export":true,"theme":"dark","beta":true}`, string(store.FeatureValues(of(nil).Features)))
		f.create(&store.Subscription{ID: "theirs", ApplicationID: f.crm.ID, PlanID: "pro", OrganizationID: &acme.ID, StartsAt: f.at()})
		require.JSONEq(f, `{"seats":10,"export":true,"theme":"dark"}`, string(store.FeatureValues(of(&acme.ID).Features)), "the organization's comes first, with its own overrides")
		f.forward(2 * day)
		require.Equal(f, "free", of(nil).Plan, "it has ended")

		other, err := f.EntitledGrant(f.Context(), f.grantOf(f.eve, "hr-web", ""), store.Acting{ApplicationID: f.hr.ID})
		require.NoError(f, err)
		require.Equal(f, &store.Entitlements{Roles: []string{"boss"}, Permissions: []string{"fire"}}, other.Entitlements, "another application's are its own")
	})
}

func at(t time.Time) *time.Time { return &t }

func TestRolePaths(t *testing.T) {
	installed(t, func(f *fixture) {
		acme, beta := f.organization("acme"), f.organization("beta")
		f.join(acme, f.ada, store.MemberPlain)
		f.join(beta, f.ada, store.MemberPlain)
		f.role(f.crm, "viewer", true, "read")
		f.role(f.crm, "editor", false, "read", "write")
		f.role(f.hr, "boss", true, "write")
		f.assign(f.ada, "editor", beta.ID)
		f.assign(f.ada, "viewer", "")
		f.assign(f.eve, "editor", "")
		paths, err := f.RolePaths(f.Context(), f.ada.ID, f.crm.ID, acme.ID, "write")
		require.NoError(f, err)
		require.Equal(f, []store.RolePath{
			{Role: "editor", Via: "organization", OrganizationID: beta.ID, AssignedAt: at(f.at()), Grants: true},
			{Role: "viewer", Via: "default", Counts: true},
			{Role: "viewer", Via: "user", AssignedAt: at(f.at()), Counts: true},
		}, paths)
	})
}

// A grant that is bound to an organization ends with the membership, whatever else happens to be left of it.
func TestGrantWithoutMembershipIsDead(t *testing.T) {
	installed(t, func(f *fixture) {
		acme := f.organization("acme")
		f.join(acme, f.ada, store.MemberPlain)
		id := f.grantOf(f.ada, "crm-web", acme.ID)
		live := func() []bool {
			plain, err := f.GrantByID(f.Context(), id)
			require.NoError(f, err)
			entitled, err := f.EntitledGrant(f.Context(), id, store.Acting{ApplicationID: f.crm.ID, Organization: new(string)})
			require.NoError(f, err)
			return []bool{plain.Live(f.at()), entitled.Live(f.at())}
		}
		require.Equal(f, []bool{true, true}, live())
		won, err := f.RotateGrant(f.Context(), id, 1, acme.ID, f.at().Add(day))
		require.NoError(f, err)
		require.True(f, won)
		exec(f.T, f.Store, "DELETE FROM members")
		require.Equal(f, []bool{false, false}, live())
		won, err = f.RotateGrant(f.Context(), id, 2, acme.ID, f.at().Add(day))
		require.NoError(f, err)
		require.False(f, won, "rotated for an organization that the person is not in")
	})
}

// What an administrator is told about a permission or a feature is what the token says, in whatever state.
func TestExplanationsEqualTokens(t *testing.T) {
	const states = 1500 // on each engine
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	installed(t, func(f *fixture) {
		l := newLandscape(f, seed)
		for state := range states {
			l.change()
			l.compare(fmt.Sprintf("seed %d, state %d", seed, state))
		}
	})
}

var (
	landscapePermissions = []string{"p0", "p1", "p2", "p3"}
	landscapeRoles       = []string{"r0", "r1", "r2", "r3", "r4"}
	landscapePlans       = []string{"a", "b", "c"}
	landscapeFeatures    = []string{"f0", "f1", "f2"}
)

func newLandscape(f *fixture, seed uint64) *landscape {
	l := &landscape{fixture: f, rand: rand.New(rand.NewPCG(seed, 1)), users: []*store.User{f.ada, f.eve}, applications: []*store.Application{f.crm, f.hr}, grants: map[string]string{}}
	for i := range 3 {
		l.organizations = append(l.organizations, f.organization(fmt.Sprintf("org-%d", i)))
	}
	for i, a := range l.applications {
		for _, key := range landscapeRoles {
			f.role(a, key, false, landscapePermissions[l.rand.IntN(len(landscapePermissions))])
		}
		for _, key := range landscapePlans {
			f.create(&store.Plan{ID: key + a.ID, ApplicationID: a.ID, Key: key, Active: true, Features: l.features()})
		}
		for _, u := range l.users {
			l.grants[u.ID+a.ID] = f.grantOf(u, []string{"crm-web", "hr-web"}[i], "")
		}
	}
	return l
}

func pick[T any](l *landscape, from []T) T { return from[l.rand.IntN(len(from))] }

func (l *landscape) features() []store.Feature {
	out := []store.Feature{}
	for _, key := range landscapeFeatures {
		if l.rand.IntN(3) > 0 {
			out = append(out, pick(l, []store.Feature{feature(key, "boolean", "true"), feature(key, "boolean", "false"), feature(key, "limit", "0"),
				feature(key, "limit", "7.5"), feature(key, "quota", "null"), feature(key, "string", `"x"`), feature(key, "string", `""`)}))
		}
	}
	return out
}

// change does one thing that changes what somebody may do or have, and what the rules would have done beside it.
func (l *landscape) change() {
	l.Helper()
	u, a, o := pick(l, l.users), pick(l, l.applications), pick(l, l.organizations)
	defer func() { require.NoError(l, l.Changed(l.Context(), a.ID)) }()
	var r store.Role
	require.NoError(l, l.DB(l.Context()).Take(&r, "application_id = ? AND key = ?", a.ID, pick(l, landscapeRoles)).Error)
	var p store.Permission
	missing := l.DB(l.Context()).Limit(1).Find(&p, "application_id = ? AND key = ?", a.ID, pick(l, landscapePermissions)).RowsAffected == 0
	run := func(sql string, args ...any) { require.NoError(l, l.DB(l.Context()).Exec(sql, args...).Error, sql) }
	switch l.rand.IntN(9) {
	case 0:
		run("INSERT INTO members (id, organization_id, user_id, role, created_at, updated_at) VALUES (?, ?, ?, 'member', ?, ?) ON CONFLICT DO NOTHING", store.NewID(), o.ID, u.ID, l.at(), l.at())
	case 1:
		run("DELETE FROM members WHERE organization_id = ? AND user_id = ?", o.ID, u.ID)
	case 2:
		run("INSERT INTO role_assignments (id, application_id, role_id, user_id, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", store.NewID(), a.ID, r.ID, u.ID, l.at())
	case 3:
		run(`INSERT INTO role_assignments (id, application_id, role_id, user_id, organization_id, created_at) SELECT ?, ?, ?, user_id, organization_id, created_at
			FROM members WHERE user_id = ? AND organization_id = ? ON CONFLICT DO NOTHING`, store.NewID(), a.ID, r.ID, u.ID, o.ID)
	case 4:
		run("DELETE FROM role_assignments WHERE role_id = ? AND user_id = ?", r.ID, u.ID)
	case 5:
		run("UPDATE roles SET is_default = NOT is_default WHERE id = ?", r.ID)
	case 6:
		if missing || l.DB(l.Context()).Exec("DELETE FROM role_permissions WHERE role_id = ? AND permission_id = ?", r.ID, p.ID).RowsAffected > 0 {
			return
		}
		run("INSERT INTO role_permissions (role_id, permission_id) VALUES (?, ?)", r.ID, p.ID)
	case 7:
		run("UPDATE plans SET is_default = FALSE WHERE application_id = ?", a.ID)
		if l.rand.IntN(3) > 0 {
			run("UPDATE plans SET is_default = TRUE WHERE id = ?", pick(l, landscapePlans)+a.ID)
		}
	case 8:
		l.subscribe(u, a, o)
	}
}

func (l *landscape) subscribe(u *store.User, a *store.Application, o *store.Organization) {
	l.Helper()
	s := &store.Subscription{ID: store.NewID(), ApplicationID: a.ID, PlanID: pick(l, landscapePlans) + a.ID, Overrides: l.features(),
		StartsAt: l.at().Add(time.Duration(l.rand.IntN(3)-1) * time.Hour)}
	if l.rand.IntN(2) > 0 {
		s.EndsAt = at(l.at().Add(time.Duration(l.rand.IntN(3)) * time.Hour))
	}
	column, id := "user_id", u.ID
	s.UserID = &u.ID
	if l.rand.IntN(2) > 0 {
		column, id = "organization_id", o.ID
		s.UserID, s.OrganizationID = nil, &o.ID
	}
	require.NoError(l, l.DB(l.Context()).Delete(&store.Subscription{}, column+" = ? AND application_id = ?", id, a.ID).Error)
	if l.rand.IntN(4) > 0 {
		l.create(s)
	}
	l.forward(time.Duration(l.rand.IntN(3)) * 20 * time.Minute)
}

// compare asks about everything that somebody may do or have, both ways.
func (l *landscape) compare(state string) {
	l.Helper()
	u, a, organization := pick(l, l.users), pick(l, l.applications), ""
	if l.rand.IntN(3) > 0 {
		organization = pick(l, l.organizations).ID
	}
	g, err := l.EntitledGrant(l.Context(), l.grants[u.ID+a.ID], store.Acting{ApplicationID: a.ID, Organization: &organization})
	require.NoError(l, err)
	token := g.Entitlements
	if organization != "" && token.Organization == nil {
		organization = "" // no token is issued for it; one without it says what follows
	}
	for _, permission := range landscapePermissions {
		paths, err := l.RolePaths(l.Context(), u.ID, a.ID, organization, permission)
		require.NoError(l, err)
		allowed := slices.ContainsFunc(paths, func(p store.RolePath) bool { return p.Counts && p.Grants })
		require.Equal(l, slices.Contains(token.Permissions, permission), allowed, "%s: %s of %+v", state, permission, paths)
		var roles []string
		for _, p := range paths {
			if p.Counts && !slices.Contains(roles, p.Role) {
				roles = append(roles, p.Role)
			}
		}
		require.ElementsMatch(l, token.Roles, roles, state)
	}
	plan, err := l.EffectivePlan(l.Context(), a.ID, store.Subscriber{UserID: u.ID, OrganizationID: organization}, l.at())
	require.NoError(l, err)
	if plan.Plan == nil {
		require.Empty(l, token.Plan, state)
		return
	}
	require.Equal(l, token.Plan, plan.Plan.Key, "%s: %+v", state, plan)
	var features []store.Feature
	for _, f := range plan.Features {
		features = append(features, f.Feature)
	}
	require.Equal(l, string(store.FeatureValues(token.Features)), string(store.FeatureValues(features)), "%s: %+v", state, plan)
}

// A token says what may be used, and not when somebody else is told of it.
func TestFeatureValues(t *testing.T) {
	quota := store.Feature{Key: "calls", Type: store.FeatureQuota, Value: []byte("1000"), Period: store.PeriodMonth, Hard: true, Thresholds: []int{50}}
	require.Equal(t, `{"calls":1000}`, string(store.FeatureValues([]store.Feature{quota})))
	require.Equal(t, []int{50}, quota.NotifyAt())
	quota.Thresholds = []int{}
	require.Empty(t, quota.NotifyAt())
	quota.Thresholds = nil
	require.Equal(t, []int{80, 100}, quota.NotifyAt())
}
