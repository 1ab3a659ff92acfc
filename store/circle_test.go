package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// A crowd is people at random, of whom some have to do with an application or an organization, for a test that lists them.
type crowd struct {
	*fixture
	rand  *rand.Rand
	users []store.User
	in    map[string]map[string]bool // the ids of the people of each application and organization
	org   *store.Organization
}

func choice[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (f *fixture) crowd(seed uint64, n int) *crowd {
	f.Helper()
	c := &crowd{fixture: f, rand: rand.New(rand.NewPCG(seed, 1)), in: map[string]map[string]bool{}, users: []store.User{*f.ada, *f.eve}}
	c.org = f.organization("acme")
	require.NoError(f, f.CreateClient(f.Context(), newClient(f.crm.ID, "crm-spa")))
	for _, id := range []string{f.crm.ID, f.hr.ID, c.org.ID} {
		c.in[id] = map[string]bool{}
	}
	for i := range n {
		u := store.User{ID: store.NewID(), Role: choice(c.rand, "user", "user", "admin"), CreatedAt: noon.Add(time.Duration(c.rand.IntN(n/2)) * time.Minute), UpdatedAt: noon}
		u.Name = choice(c.rand, "Ab", "ab", "aB", "b", "Ba") + choice(c.rand, "", "a", "b")
		u.Email = fmt.Sprintf("%s%d@example.com", choice(c.rand, "ab", "a", "b", "ba", strings.ToLower(u.Name)), i)
		if c.rand.IntN(3) == 0 {
			u.DisabledAt, u.DisabledUntil = &noon, choice(c.rand, nil, &noon, new(noon.Add(day)))
		}
		require.NoError(f, f.CreateUser(f.Context(), &u))
		c.users = append(c.users, u)
	}
	return c
}

// tie has the people who match, by chance, get grants, roles, subscriptions and memberships, also several of them.
func (c *crowd) tie(chance float64, match func(u *store.User) bool) {
	for _, a := range []*store.Application{c.crm, c.hr} {
		c.create(&store.Role{ID: a.ID, ApplicationID: a.ID, Key: "r", CreatedAt: noon, UpdatedAt: noon})
		c.create(&store.Plan{ID: a.ID, ApplicationID: a.ID, Key: "p", CreatedAt: noon, UpdatedAt: noon})
		c.create(&store.Subscription{ID: store.NewID(), ApplicationID: a.ID, PlanID: a.ID, OrganizationID: &c.org.ID, StartsAt: noon, CreatedAt: noon, UpdatedAt: noon})
	}
	clients := map[string][]string{c.crm.ID: {"crm-web", "crm-spa"}, c.hr.ID: {"hr-web"}}
	for i := range c.users {
		u := &c.users[i]
		for id, ids := range clients {
			for _, way := range c.rand.Perm(5)[:c.rand.IntN(4)] {
				if !match(u) || c.rand.Float64() > chance {
					continue
				}
				c.in[id][u.ID] = true
				switch way {
				case 0:
					c.create(&store.RoleAssignment{ID: store.NewID(), ApplicationID: id, RoleID: id, UserID: u.ID, CreatedAt: noon})
				case 1:
					c.create(&store.Subscription{ID: store.NewID(), ApplicationID: id, PlanID: id, UserID: &u.ID, StartsAt: noon, CreatedAt: noon, UpdatedAt: noon})
				default:
					c.grant(u, choice(c.rand, ids...))
				}
			}
		}
		if match(u) && c.rand.Float64() < chance {
			c.in[c.org.ID][u.ID] = true
			c.join(c.org, u, store.MemberPlain)
		}
	}
}

func (c *crowd) query() store.UserQuery {
	q := store.UserQuery{
		Paging: store.Paging{Sort: choice(c.rand, store.ByCreation, store.ByEmail, store.ByName), Descending: choice(c.rand, true, false),
			Limit: choice(c.rand, 1, 3, 100), CountTo: choice[int64](c.rand, 0, 1, 4, 10, 20, 40, 1000)},
		Search: choice(c.rand, "", "", "", "a", "AB", "b", "nobody", choice(c.rand, c.users...).ID), Role: choice(c.rand, "", "", "user", "admin"),
		Disabled: choice(c.rand, nil, nil, new(true), new(false)),
	}
	q.ApplicationID, q.OrganizationID = choice(c.rand, "", c.crm.ID, c.hr.ID, "nothing"), choice(c.rand, "", "", c.org.ID)
	return q
}

// matches is what q means, said plainly.
func (c *crowd) matches(u *store.User, q store.UserQuery) bool {
	text := strings.ToLower(q.Search)
	return (q.Role == "" || u.Role == q.Role) && (q.Disabled == nil || *q.Disabled == u.Disabled(c.at())) &&
		(q.ApplicationID == "" || c.in[q.ApplicationID][u.ID]) && (q.OrganizationID == "" || c.in[q.OrganizationID][u.ID]) &&
		(q.Search == "" || u.ID == q.Search || strings.HasPrefix(u.Email, text) || strings.HasPrefix(strings.ToLower(u.Name), text))
}

func place(u *store.User, sort string) string {
	return map[string]string{store.ByCreation: u.CreatedAt.Format(time.RFC3339), store.ByEmail: u.Email, store.ByName: strings.ToLower(u.Name)}[sort]
}

// expected are the ids of those who match, in the order of the list.
func (c *crowd) expected(q store.UserQuery) []string {
	users := slices.DeleteFunc(slices.Clone(c.users), func(u store.User) bool { return !c.matches(&u, q) })
	slices.SortFunc(users, func(a, b store.User) int {
		order := cmp.Or(cmp.Compare(place(&a, q.Sort), place(&b, q.Sort)), cmp.Compare(a.ID, b.ID))
		if q.Descending {
			return -order
		}
		return order
	})
	var ids []string
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}

// However many people have to do with an application or an organization, however they lie in the order of the list, and whatever
// else is filtered: all pages together show each of them once, in order, and a total that is no guess is right.
func TestPeopleOfCircles(t *testing.T) {
	for name, tie := range map[string]func(c *crowd){
		"few":  func(c *crowd) { c.tie(0.1, func(*store.User) bool { return true }) },
		"many": func(c *crowd) { c.tie(0.9, func(*store.User) bool { return true }) },
		"together": func(c *crowd) {
			c.tie(0.8, func(u *store.User) bool { return u.CreatedAt.After(noon.Add(20 * time.Minute)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			installed(t, func(f *fixture) {
				c := f.crowd(7, 60)
				tie(c)
				for range 150 {
					q := c.query()
					want := c.expected(q)
					require.Equal(f, want, c.all(q, len(want)), "%+v", q)
				}
			})
		})
	}
}

// all are the ids on all pages.
func (c *crowd) all(q store.UserQuery, total int) []string {
	var got []string
	for more := true; more; {
		page, err := c.Users(c.Context(), q)
		require.NoError(c, err)
		if !page.Estimated && q.CountTo > 0 {
			require.EqualValues(c, total, page.Total, "%+v", q)
			require.LessOrEqual(c, page.Total, q.CountTo, "%+v", q)
		}
		bounded := max(len(c.in[q.ApplicationID]), len(c.in[q.OrganizationID]), total)
		if q.ApplicationID == "" && q.OrganizationID == "" {
			bounded = total
		}
		require.False(c, page.Estimated && int64(bounded) <= q.CountTo, "a guess where there was no need: %+v", q)
		for i := range page.Items {
			got = append(got, page.Items[i].ID)
		}
		if more = page.More; more {
			require.Len(c, page.Items, q.Limit)
			last := &page.Items[q.Limit-1]
			q.After = &store.Position{ID: last.ID, Value: map[string]any{store.ByCreation: last.CreatedAt, store.ByEmail: last.Email, store.ByName: last.Name}[q.Sort]}
		}
	}
	return got
}

// Several grants of a person count once, also where they are more than are read at a time.
func TestPeopleAreCountedOnce(t *testing.T) {
	installed(t, func(f *fixture) {
		for range 20 {
			f.grant(f.ada, "crm-web")
		}
		f.grant(f.eve, "crm-web")
		page, err := f.Users(f.Context(), store.UserQuery{ApplicationID: f.crm.ID, Paging: store.Paging{Sort: store.ByEmail, Limit: 10, CountTo: 2}})
		require.NoError(f, err)
		require.Equal(f, []any{int64(2), false, 2}, []any{page.Total, page.Estimated, len(page.Items)})
	})
}

// To count a circle, to gather it and to walk the list of everybody are each done by indexes.
func TestCirclesUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fillOrganizations()
		exec(f.T, f.Store, "UPDATE grants SET client_id = 'hr-web' WHERE id < '000003'")
		if f.Dialect() == "postgres" {
			exec(f.T, f.Store, "ANALYZE")
		}
		hr := "'" + f.hr.ID + "', "
		byOrganization, byApplication := store.UserQuery{OrganizationID: "000001"}, store.UserQuery{ApplicationID: f.hr.ID}
		for _, tt := range []struct {
			name      string
			query     store.UserQuery
			countTo   int64
			statement int
			indexes   []string
			args      string // PostgreSQL's
		}{
			{"count members", byOrganization, 10_000, 0, []string{"members_"}, "'000001', '', 37501, 37501"},
			{"gather members", store.UserQuery{OrganizationID: "000007"}, 10_000, 1, []string{"members_", "users key"}, "'000007', 10001, 6"},
			{"walk for members", byOrganization, 200, 1, []string{"users_created_at", "members_"}, "600, '000001', 6"},
			{"count people", byApplication, 10_000, 1, []string{"role_assignments_application_id", "subscriptions_application_id", "grants_client_id"},
				strings.Repeat(hr+"'', 12501, ", 2) + "'hr-web', '', 12501, 12501"},
			{"gather people", byApplication, 10_000, 2, []string{"role_assignments_application_id", "subscriptions_application_id", "grants_client_id", "users key"},
				hr + hr + "'hr-web', 10001, 6"},
			{"look people up on a walk", byApplication, 2, 2, []string{"users_created_at", "grants_", "role_assignments_", "subscriptions_"}, "1, 'hr-web', " + hr + hr + "6"},
			{"walk for people", byApplication, 2, 3, []string{"users_created_at", "grants_", "role_assignments_", "subscriptions_"}, "6, 'hr-web', " + hr + hr + "6"},
		} {
			tt.query.Paging = store.Paging{Limit: 5, CountTo: tt.countTo}
			ctx, calls := storetest.Trace(f.Context())
			_, err := f.Users(ctx, tt.query)
			require.NoError(f, err, tt.name)
			require.Greater(f, len(calls.SQL()), tt.statement, tt.name)
			statement := calls.SQL()[tt.statement]
			plan := f.plan(statement, tt.args)
			for _, name := range tt.indexes {
				assert.Contains(f, plan, f.index(name), "%s: %s", tt.name, statement)
			}
			assert.NotRegexp(f, `(?m)Seq Scan on (users|members|grants|role_assignments|subscriptions)|^\s*SCAN (members|grants|role_assignments|subscriptions)$`, plan, "%s: %s", tt.name, statement)
		}
	})
}
