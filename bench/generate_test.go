package main

import (
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store/storetest"
)

// The database checks each foreign key and each unique index as it is filled.
func TestFill(t *testing.T) {
	w := newWorld(0.001, 1_000_000, 1)
	first, again, other := filled(t, w), filled(t, newWorld(0.001, 1_000_000, 1)), filled(t, newWorld(0.001, 1_000_000, 2))
	count := func(query string) (n int) {
		require.NoError(t, first.QueryRow(t.Context(), query).Scan(&n), query)
		return n
	}
	for query, want := range map[string]int{
		"SELECT count(*) FROM users":            w.users,
		"SELECT count(*) FROM organizations":    w.organizations,
		"SELECT count(*) FROM applications":     w.applications,
		"SELECT count(*) FROM role_assignments": w.assignments,
		"SELECT count(*) FROM grants":           w.grants,
		"SELECT count(*) FROM audit_events":     w.events,
		"SELECT count(*) FROM invitations":      w.invitations,
		"SELECT count(*) FROM subscriptions":    w.organizations + w.personalSubscriptions,
		"SELECT count(*) FROM daily_statistics": statisticDays * (6 + 4 + 3*w.busy()),
		"SELECT count(*) FROM user_activity WHERE user_id NOT IN (SELECT user_id FROM sessions)":                                                                                                                       0,
		"SELECT max(n) FROM (SELECT count(*) AS n FROM members GROUP BY organization_id) AS sizes":                                                                                                                     w.members(0),
		"SELECT count(*) FROM organizations WHERE id NOT IN (SELECT organization_id FROM members WHERE role = 'owner')":                                                                                                0,
		"SELECT count(*) FROM applications WHERE id NOT IN (SELECT application_id FROM roles WHERE is_default)":                                                                                                        0,
		"SELECT count(*) FROM sessions WHERE expires_at < now()":                                                                                                                                                       0,
		"SELECT count(*) FROM role_permissions JOIN roles ON roles.id = role_id WHERE NOT EXISTS (SELECT FROM permissions WHERE permissions.id = permission_id AND permissions.application_id = roles.application_id)": 0,
	} {
		assert.Equal(t, want, count(query), query)
	}
	assert.InEpsilon(t, w.memberships, count("SELECT count(*) FROM members"), 0.1)
	assert.InEpsilon(t, w.assignments/3, count("SELECT count(*) FROM role_assignments WHERE organization_id IS NOT NULL"), 0.01)

	for _, table := range []string{"users", "members", "role_assignments", "grants", "audit_events"} {
		assert.Equal(t, ids(t, first, table), ids(t, again, table), "the same seed gives the same %s", table)
		assert.NotEqual(t, ids(t, first, table), ids(t, other, table), "another seed gives other %s", table)
	}
}

func filled(t *testing.T, w *world) *pgx.Conn {
	t.Helper()
	url := storetest.NewPostgresURL(t)
	require.NoError(t, fill(t.Context(), io.Discard, url, w))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })
	return conn
}

// ids is the hash of all ids of a table.
func ids(t *testing.T, conn *pgx.Conn, table string) (sum string) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT md5(string_agg(id, ',' ORDER BY id)) FROM "+table).Scan(&sum))
	return sum
}
