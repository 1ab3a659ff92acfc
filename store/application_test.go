package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

// newApplication inserts an application with one client of the given id.
func newApplication(t *testing.T, s *store.Store, slug, clientID string) *store.Application {
	t.Helper()
	a := &store.Application{Slug: slug, Name: slug, AccessTokenFormat: store.TokenFormatJWT, Audiences: []string{}, Metadata: map[string]any{}}
	require.NoError(t, s.CreateApplication(t.Context(), a))
	require.NoError(t, s.CreateClient(t.Context(), newClient(a.ID, clientID)))
	return a
}

func newClient(applicationID, id string) *store.Client {
	return &store.Client{
		ID: id, ApplicationID: applicationID, Name: id, Type: store.ClientWeb, RedirectURIs: []string{}, PostLogoutRedirectURIs: []string{},
		AllowedOrigins: []string{}, Scopes: []string{}, GrantTypes: []string{}, TokenEndpointAuthMethod: store.AuthMethodBasic, IDTokenAlg: "RS256",
	}
}

func TestApplicationTotals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for i := range 5 {
			newApplication(t, s, fmt.Sprintf("app-%d", i), fmt.Sprintf("client-%d", i))
		}
		exec(t, s, "ANALYZE")
		for _, tt := range []struct {
			name      string
			query     store.ApplicationQuery
			total     int64
			estimated bool
		}{
			{"counted", store.ApplicationQuery{Paging: store.Paging{CountTo: 5}}, 5, false},
			{"too many to count", store.ApplicationQuery{Paging: store.Paging{CountTo: 3}}, 5, true},
			{"too many matches to count", store.ApplicationQuery{Paging: store.Paging{CountTo: 3}, Search: "app"}, 4, true},
			{"few matches", store.ApplicationQuery{Paging: store.Paging{CountTo: 3}, Search: "app-1"}, 1, false},
			{"page beyond the end", store.ApplicationQuery{Paging: store.Paging{CountTo: 5, Sort: store.ByName, After: &store.Position{Value: "z"}}}, 5, false},
			{"a sort order that is none", store.ApplicationQuery{Paging: store.Paging{CountTo: 5, Sort: "name; DROP TABLE users"}}, 5, false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				tt.query.Limit = 2
				page, err := s.Applications(t.Context(), tt.query)
				require.NoError(t, err)
				assert.Equal(t, tt.total, page.Total)
				assert.Equal(t, tt.estimated, page.Estimated)
			})
		}
	})
}

// One reference may fit several applications in different ways. It must always mean the same one.
func TestApplicationByRefPrecedence(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := newApplication(t, s, "first", "shared")
		b := newApplication(t, s, "shared", "c2")
		c := newApplication(t, s, "third", a.ID) // imported clients may be called anything
		for ref, want := range map[string]string{"first": a.ID, "shared": b.ID, "c2": b.ID, a.ID: a.ID, c.ID: c.ID} {
			got, err := s.ApplicationByRef(t.Context(), ref)
			require.NoError(t, err)
			assert.Equal(t, want, got.ID, ref)
			assert.Len(t, got.Clients, 1)
		}
		_, err := s.ApplicationByRef(t.Context(), "")
		assert.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestUpdateAndDeleteApplicationErrors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := newApplication(t, s, "a", "c1")
		newApplication(t, s, "b", "c2")
		taken := *a
		taken.Slug = "b"
		assert.ErrorIs(t, s.UpdateApplication(t.Context(), &taken), store.ErrConflict)
		gone := *a
		gone.ID = store.NewID()
		assert.ErrorIs(t, s.UpdateApplication(t.Context(), &gone), store.ErrNotFound)
		assert.ErrorIs(t, s.DeleteApplication(t.Context(), gone.ID), store.ErrNotFound)
		assert.ErrorIs(t, s.UpdateClient(t.Context(), newClient(a.ID, "nobody")), store.ErrNotFound)
		assert.ErrorIs(t, s.DeleteClient(t.Context(), "nobody"), store.ErrNotFound)
		assert.ErrorIs(t, s.CreateClient(t.Context(), newClient(a.ID, "c2")), store.ErrConflict)
		assert.ErrorIs(t, s.CreateClient(t.Context(), newClient(gone.ID, "c3")), store.ErrConflict)

		// A client stays with its application, whatever its row says when it is written.
		moved := newClient(gone.ID, "c2")
		require.NoError(t, s.UpdateClient(t.Context(), moved))
		c, err := s.ClientByID(t.Context(), "c2")
		require.NoError(t, err)
		assert.Equal(t, "b", c.Application.Slug)
		assert.Equal(t, moved.UpdatedAt, c.UpdatedAt, "what was returned is what was written")
	})
}

// Counting must not read ten million grants to show a number.
func TestCountGrantsStopsAtLimit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := newApplication(t, s, "a", "c1")
		now := time.Now().UTC()
		require.NoError(t, s.CreateUser(t.Context(), &store.User{ID: "u", Email: "u@example.com", Role: store.RoleUser, CreatedAt: now, UpdatedAt: now}))
		grant := func(ends time.Time) {
			require.NoError(t, s.CreateGrant(t.Context(), &store.Grant{
				ID: store.NewID(), ClientID: "c1", UserID: "u", Scopes: []string{}, Audiences: []string{}, AMR: []string{}, Salt: []byte{1},
				AuthTime: now, RotatedAt: now, CreatedAt: now, IdleExpiresAt: ends, ExpiresAt: now.Add(time.Hour),
			}))
		}
		for range 4 {
			grant(now.Add(time.Hour))
		}
		grant(now.Add(-time.Second)) // lay unused for too long
		a, err := s.ApplicationByRef(t.Context(), a.ID)
		require.NoError(t, err)
		n, err := s.CountGrants(t.Context(), a, 100)
		require.NoError(t, err)
		assert.Equal(t, store.GrantCounts{Grants: 4, Users: 1}, n)
		n, err = s.CountGrants(t.Context(), a, 3)
		require.NoError(t, err)
		assert.EqualValues(t, 3, n.Grants)
	})
}

// Each order and each filter has an index: a page of a long list must not sort or read all of it.
func TestApplicationQueryPlans(t *testing.T) {
	s := storetest.New(t)
	for _, tt := range []struct {
		name  string
		query store.ApplicationQuery
		want  string
	}{
		{"by creation", store.ApplicationQuery{Paging: store.Paging{Descending: true}}, "applications_created_at"},
		{"by name", store.ApplicationQuery{Paging: store.Paging{Sort: store.ByName}}, "applications_name"},
		{"by update", store.ApplicationQuery{Paging: store.Paging{Sort: store.ByUpdate}}, "applications_updated_at"},
		{"a later page", store.ApplicationQuery{Paging: store.Paging{Sort: store.ByName, After: &store.Position{Value: "m", ID: "x"}}}, "applications_name"},
		{"of a type", store.ApplicationQuery{Type: store.ClientSPA}, "clients_"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.query.Limit, tt.query.CountTo = 50, 10_000
			plan := explain(t, s, s.PageOf(t.Context(), tt.query))
			assert.Contains(t, plan, tt.want)
			assert.NotContains(t, plan, "TEMP B-TREE", "the rows are sorted")
		})
	}
	assert.Contains(t, explain(t, s, s.DB(t.Context()).Where("target_type = ? AND target_id = ?", "a", "b").Order("created_at DESC, id DESC").Model(&store.AuditEvent{})), "audit_events_target")
	assert.Contains(t, explain(t, s, s.DB(t.Context()).Where("expires_at < ?", time.Now()).Model(&store.IdempotencyKey{})), "idempotency_keys_expires_at")
}

// explain returns SQLite's plan for a query.
func explain(t *testing.T, s *store.Store, query *gorm.DB) string {
	t.Helper()
	statement := query.Session(&gorm.Session{DryRun: true}).Find(&[]map[string]any{}).Statement
	var steps []struct{ Detail string }
	require.NoError(t, s.DB(t.Context()).Raw("EXPLAIN QUERY PLAN "+statement.SQL.String(), statement.Vars...).Scan(&steps).Error)
	plan := ""
	for _, step := range steps {
		plan += step.Detail + "\n"
	}
	return plan
}
