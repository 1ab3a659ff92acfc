package store_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// Above CountTo the total is a guess, and a filtered one says no more than "more".
func TestUserTotals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, name := range []string{"a", "b", "c"} {
			person(t, s, name+"@example.com", store.RoleUser)
		}
		for _, tt := range []struct {
			name      string
			query     store.UserQuery
			total     int64
			estimated bool
		}{
			{"as many as are counted", store.UserQuery{Paging: store.Paging{CountTo: 3}}, 3, false},
			{"filtered", store.UserQuery{Paging: store.Paging{CountTo: 1}, Role: store.RoleUser}, 2, true},
			{"page beyond the end", store.UserQuery{Paging: store.Paging{CountTo: 3, Sort: store.ByEmail, After: &store.Position{Value: "z"}}}, 3, false},
			{"nobody", store.UserQuery{Paging: store.Paging{CountTo: 3}, Role: store.RoleAdmin}, 0, false},
		} {
			tt.query.Limit = 2
			page, err := s.Users(t.Context(), tt.query)
			require.NoError(t, err)
			assert.Equal(t, tt.total, page.Total, tt.name)
			assert.Equal(t, tt.estimated, page.Estimated, tt.name)
		}
		page, err := s.Users(t.Context(), store.UserQuery{Paging: store.Paging{CountTo: 1, Limit: 2}})
		require.NoError(t, err)
		assert.True(t, page.Estimated)
		assert.GreaterOrEqual(t, page.Total, int64(2))
	})
}

// Whoever has to do with an application: by a grant, past ones included, a role or a subscription.
func TestUsersOfApplicationsAndOrganizations(t *testing.T) {
	installed(t, func(f *fixture) {
		granted, past, role := person(t, f.Store, "granted@example.com", "user"), person(t, f.Store, "past@example.com", "user"), person(t, f.Store, "role@example.com", "user")
		subscriber := person(t, f.Store, "subscriber@example.com", "user")
		f.grant(granted, "crm-web")
		require.NoError(f, f.RevokeGrant(f.Context(), f.grant(past, "crm-web").ID, store.ReasonRevoked, store.AuditEvent{}))
		f.grant(f.eve, "hr-web")
		for _, row := range []any{
			&store.Role{ID: "r", ApplicationID: f.crm.ID, Key: "r", CreatedAt: noon, UpdatedAt: noon},
			&store.RoleAssignment{ID: "a", ApplicationID: f.crm.ID, RoleID: "r", UserID: role.ID, CreatedAt: noon},
			&store.Plan{ID: "p", ApplicationID: f.crm.ID, Key: "p", CreatedAt: noon, UpdatedAt: noon},
			&store.Subscription{ID: "s", ApplicationID: f.crm.ID, PlanID: "p", UserID: &subscriber.ID, StartsAt: noon, CreatedAt: noon, UpdatedAt: noon},
		} {
			require.NoError(f, f.DB(f.Context()).Create(row).Error)
		}
		acme, other := f.organization("acme"), f.organization("other")
		f.join(acme, f.ada, store.MemberPlain)
		f.join(other, f.eve, store.MemberPlain)
		all := []string{"granted@example.com", "past@example.com", "role@example.com", "subscriber@example.com"}
		for _, tt := range []struct {
			query store.UserQuery
			want  []string
		}{
			{store.UserQuery{ApplicationID: f.crm.ID}, all}, {store.UserQuery{ApplicationID: f.hr.ID}, []string{"eve@example.com"}},
			{store.UserQuery{ApplicationID: "nothing"}, nil}, {store.UserQuery{OrganizationID: acme.ID}, []string{"ada@example.com"}},
			{store.UserQuery{OrganizationID: other.ID, ApplicationID: f.hr.ID}, []string{"eve@example.com"}},
			{store.UserQuery{OrganizationID: acme.ID, ApplicationID: f.hr.ID}, nil}, {store.UserQuery{OrganizationID: "nothing"}, nil},
		} {
			tt.query.Paging = store.Paging{Sort: store.ByEmail, Limit: 10, CountTo: 100}
			page, err := f.Users(f.Context(), tt.query)
			require.NoError(f, err)
			var emails []string
			for _, u := range page.Items {
				emails = append(emails, u.Email)
			}
			assert.Equal(f, tt.want, emails, "%+v", tt.query)
			assert.EqualValues(f, len(tt.want), page.Total)
		}
	})
}

// A search finds whoever it is about once, by whatever it finds them, in every order and on every page.
func TestUserSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ann := store.NewID()
		for _, u := range []store.User{
			{ID: ann, Name: "Both", Email: ann + "@example.com"}, {Name: "Maria Both", Email: "maria.both@example.com"},
			{Name: "maria by name", Email: "a@example.com"}, {Name: "By address", Email: "maria@example.com"}, {Name: "Nobody", Email: "n@example.com"},
		} {
			u.ID, u.Role, u.CreatedAt, u.UpdatedAt = cmp.Or(u.ID, store.NewID()), store.RoleUser, noon, noon
			require.NoError(t, s.CreateUser(t.Context(), &u))
		}
		for sort, want := range map[string][]string{
			store.ByCreation: {"Maria Both", "maria by name", "By address"},
			store.ByEmail:    {"maria by name", "Maria Both", "By address"},
			store.ByName:     {"By address", "Maria Both", "maria by name"},
		} {
			for _, search := range []string{"Maria", "m"} {
				q := store.UserQuery{Search: search, Paging: store.Paging{Sort: sort, Limit: 1, CountTo: 10}}
				require.Equal(t, want, walk(t, s, q), "%s by %s", search, sort)
				q.Descending = true
				backwards := slices.Clone(want)
				slices.Reverse(backwards)
				require.Equal(t, backwards, walk(t, s, q), "%s by %s", search, sort)
			}

			for search, total := range map[string]int64{"m": 3, "M": 3, "b": 2, "I": 0} {
				page, err := s.Users(t.Context(), store.UserQuery{Search: search, Paging: store.Paging{Sort: sort, Limit: 10, CountTo: 10}})
				require.NoError(t, err)
				require.Len(t, page.Items, int(total), "%s by %s", search, sort)
				require.Equal(t, total, page.Total)
			}
			page, err := s.Users(t.Context(), store.UserQuery{Search: ann, Paging: store.Paging{Sort: sort, Limit: 10, CountTo: 10}})
			require.NoError(t, err)
			require.Len(t, page.Items, 1, "whose id is found is found once, also when an address begins with it")
			require.Equal(t, int64(1), page.Total)
		}
	})
}

// walk returns the names of three people on pages of one.
func walk(t *testing.T, s *store.Store, q store.UserQuery) (names []string) {
	t.Helper()
	for more := true; more; {
		page, err := s.Users(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, int64(3), page.Total)
		more = page.More
		u := page.Items[0]
		names = append(names, u.Name)
		q.After = &store.Position{Value: map[string]any{store.ByCreation: u.CreatedAt, store.ByEmail: u.Email, store.ByName: u.Name}[q.Sort], ID: u.ID}
	}
	return names
}

// A page of what is found by the address, before those who are found by the name, must not read all the names in between.
func TestSearchEntersTheIndexAtItsRange(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		if f.Dialect() == "sqlite" {
			return // listing.matched is about PostgreSQL
		}
		for _, tt := range []struct {
			name string
			page store.Paging
			args string
		}{
			{"from before", store.Paging{Sort: store.ByName, After: &store.Position{Value: "a", ID: "x"}}, "'a'"},
			{"from behind, backwards", store.Paging{Sort: store.ByName, After: &store.Position{Value: "z", ID: "x"}, Descending: true}, "'z'"},
		} {
			q := store.UserQuery{Search: "mm", Paging: tt.page}
			q.Limit, q.CountTo = 50, 10_000
			ctx, calls := storetest.Trace(f.Context())
			_, err := f.Users(ctx, q)
			require.NoError(f, err)
			const first, others = "'mm', 'mm~', ", "'mm', 'mm~', 'mm', 'mm~', 'mm', 'mm', 'mm~', "
			at := tt.args + ", 'x', "
			plan := f.plan(calls.SQL()[0], first+others+"10001, "+first+at+"51, "+others+at+"51, "+at+"51")
			assert.NotRegexp(f, `Index Cond: .*ROW\(`, plan, "%s: %s", tt.name, calls.SQL()[0])
			assert.NotContains(f, plan, "Seq Scan on users", tt.name)
		}
	})
}

// PostgreSQL would keep a list's statement prepared and soon plan it without looking at what is searched for: a search that
// takes two milliseconds then takes ten seconds.
func TestListsAreNotKeptPrepared(t *testing.T) {
	s := storetest.NewPostgres(t, func(o *store.Options) { o.MaxConnections = 1 })
	for range 10 {
		_, err := s.Users(t.Context(), store.UserQuery{Search: "a", Paging: store.Paging{Limit: 1, CountTo: 1}})
		require.NoError(t, err)
		_, err = s.AuditEvents(t.Context(), store.AuditQuery{Action: "user.create", Paging: store.Paging{Limit: 1, CountTo: 1}})
		require.NoError(t, err)
		_, err = s.Applications(t.Context(), store.ApplicationQuery{Search: "a", Paging: store.Paging{Limit: 1, CountTo: 1}})
		require.NoError(t, err)
	}
	var kept []string
	require.NoError(t, s.DB(t.Context()).Raw("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%AS total%' AND statement NOT LIKE '%pg_prepared%'").Scan(&kept).Error)
	require.Empty(t, kept)
}

// Each order and each filter has an index: a page of a long list must neither sort nor read all of it, a search reads what
// it finds.
func TestUserListsUseIndexes(t *testing.T) {
	yes := true
	byEmail := map[string]string{"sqlite": "users_email", "postgres": "users_by_email"}
	installed(t, func(f *fixture) {
		f.fill()
		const count, limit = "10001", "51"
		for _, tt := range []struct {
			name    string
			query   store.UserQuery
			indexes []string
			args    string // PostgreSQL's
			search  bool
		}{
			{"by creation", store.UserQuery{Paging: store.Paging{Descending: true}}, []string{"users_created_at"}, count + "," + limit, false},
			{"by address", store.UserQuery{Paging: store.Paging{Sort: store.ByEmail}}, []string{byEmail[f.Dialect()]}, count + "," + limit, false},
			{"by name", store.UserQuery{Paging: store.Paging{Sort: store.ByName}}, []string{"users_by_name"}, count + "," + limit, false},
			{"a later page", store.UserQuery{Paging: store.Paging{Sort: store.ByName, Descending: true, After: &store.Position{Value: "m", ID: "x"}}}, []string{"users_by_name"}, count + ", 'm', 'x'," + limit, false},
			{"a later page by address", store.UserQuery{Paging: store.Paging{Sort: store.ByEmail, After: &store.Position{Value: "m", ID: "x"}}}, []string{byEmail[f.Dialect()]}, count + ", '001000', 'x'," + limit, false},
			{"disabled", store.UserQuery{Disabled: &yes}, []string{"users_disabled"}, "'2026-11-23', " + count + ", '2026-11-23', " + limit, true},
			{"administrators", store.UserQuery{Role: store.RoleAdmin}, []string{"users_role"}, count + "," + limit, true},
			{"search", store.UserQuery{Search: "000007"}, []string{byEmail[f.Dialect()], "users_by_name", "users key"}, searched("000007"), true},
			{"search by address", store.UserQuery{Search: "000007", Paging: store.Paging{Sort: store.ByEmail}}, []string{byEmail[f.Dialect()], "users_by_name", "users key"}, searched("000007"), true},
			{"search by name", store.UserQuery{Search: "000007", Paging: store.Paging{Sort: store.ByName, Descending: true}}, []string{byEmail[f.Dialect()], "users_by_name", "users key"}, searched("000007"), true},
			{"search for one letter", store.UserQuery{Search: "x"}, []string{byEmail[f.Dialect()], "users_by_name_initial"},
				"'x', 'x~', 'x', 10001, 'x', 'x~', 51, 'x', 51, 51", true},
			{"search by address for one letter", store.UserQuery{Search: "x", Paging: store.Paging{Sort: store.ByEmail, Descending: true}},
				[]string{byEmail[f.Dialect()], "users_by_name_initial"}, "'x', 'x~', 'x', 10001, 'x', 'x~', 51, 'x', 51, 51", true},
			{"search by name for one letter", store.UserQuery{Search: "x", Paging: store.Paging{Sort: store.ByName, After: &store.Position{Value: "m", ID: "x"}}},
				[]string{"users_by_name", "users_by_initial"}, "'x', 'x~', 'x', 10001, 'x', 'x~', 'm', 'x', 51, 'x', 'm', 'x', 51, 'm', 'x', 51", true},
		} {
			tt.query.Limit, tt.query.CountTo = 50, 10_000
			ctx, calls := storetest.Trace(f.Context())
			_, err := f.Users(ctx, tt.query)
			require.NoError(f, err, tt.name)
			statement := calls.SQL()[0]
			plan := f.plan(statement, tt.args)
			for _, name := range tt.indexes {
				assert.Contains(f, plan, f.index(name), "%s: %s", tt.name, statement)
			}
			if tt.search {
				assert.NotRegexp(f, `(?m)Seq Scan on users|SCAN users( USING COVERING|$)`, ofTables(plan, "users"), "%s: %s", tt.name, statement)
			} else {
				assert.NotRegexp(f, `TEMP B-TREE|Sort `, plan, "%s: the rows are sorted", tt.name)
			}
		}

		ctx, calls := storetest.Trace(f.Context())
		_, err := f.LockUser(ctx, "000007")
		require.NoError(f, err)
		plan := f.plan(calls.SQL()[0], map[string]string{"postgres": "'000007', '000007'"}[f.Dialect()])
		assert.NotRegexp(f, scans, plan, "lock a user")
	})
}
