package store_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

// planRows is enough for PostgreSQL to prefer an index wherever there is one to use.
const planRows = 2000

// fill inserts planRows of each kind that grows, spread over persons, sessions and clients.
func (f *fixture) fill() {
	f.Helper()
	for i := range 60 {
		require.NoError(f, f.CreateClient(f.Context(), newClient(f.crm.ID, fmt.Sprintf("client-%d", i))))
	}
	var (
		users    []store.User
		sessions []store.Session
		grants   []store.Grant
		codes    []store.AuthorizationCode
		consents []store.Consent
		revoked  []store.Revocation
		requests []store.AuthorizationRequest
		keys     []store.SigningKey
	)
	for i := range planRows {
		id, at := fmt.Sprintf("%06d", i), noon.Add(-time.Duration(i)*time.Minute)
		client, gone := fmt.Sprintf("client-%d", i%60), at.Add(-365*day)
		users = append(users, store.User{ID: id, Email: id + "@example.com", Role: store.RoleUser, CreatedAt: at, UpdatedAt: at})
		sessions = append(sessions, store.Session{ID: id, SecretHash: store.HashSecret(id), UserID: id, AuthTime: at, AMR: []string{}, CreatedAt: at,
			LastSeenAt: at, IdleExpiresAt: at.Add(7 * day), ExpiresAt: at.Add(30 * day)})
		grants = append(grants, store.Grant{ID: id, ClientID: client, UserID: id, SessionID: id, Scopes: []string{}, Audiences: []string{}, AMR: []string{},
			AuthTime: at, Salt: []byte{1}, Generation: 1, RotatedAt: at, CreatedAt: at, IdleExpiresAt: at.Add(30 * day), ExpiresAt: at.Add(90 * day)})
		codes = append(codes, store.AuthorizationCode{Signature: []byte(id), ClientID: client, UserID: id, SessionID: id, Scopes: []string{},
			Audiences: []string{}, AMR: []string{}, AuthTime: at, CreatedAt: at, ExpiresAt: at.Add(time.Minute)})
		consents = append(consents, store.Consent{UserID: id, ClientID: client, Scopes: []string{}, CreatedAt: at, UpdatedAt: at})
		revoked = append(revoked, store.Revocation{Kind: store.RevokedGrant, ID: id, IssuedUntil: at, CreatedAt: at, ExpiresAt: noon.Add(day - time.Duration(i)*time.Second)})
		requests = append(requests, store.AuthorizationRequest{ID: id, ClientID: client, GrantedScopes: []string{}, CreatedAt: at, ExpiresAt: at.Add(time.Hour)})
		keys = append(keys, store.SigningKey{ID: id, Alg: "ES256", CreatedAt: gone, ActivatedAt: &gone, RetiredAt: &gone, ExpiresAt: &gone})
	}
	f.fillEntitlements(users)
	db := f.DB(f.Context()).Omit("User", "Session").Session(&gorm.Session{CreateBatchSize: 500})
	for _, rows := range []any{sessions, grants, codes, consents, revoked, requests, keys} {
		require.NoError(f, db.Create(rows).Error)
	}
	if f.Dialect() == "postgres" { // its autovacuum does so in time; SQLite plans without statistics, as it does in production
		exec(f.T, f.Store, "ANALYZE")
	}
}

// fillEntitlements inserts the people, makes each a member of an organization, and gives them roles and subscriptions.
func (f *fixture) fillEntitlements(users []store.User) {
	f.Helper()
	var (
		applications  []store.Application
		organizations []store.Organization
		members       []store.Member
		permissions   []store.Permission
		roles         []store.Role
		assignments   []store.RoleAssignment
		plans         []store.Plan
		subscriptions []store.Subscription
	)
	for i := range planRows {
		id, user := fmt.Sprintf("%06d", i), users[i].ID
		applications = append(applications, store.Application{ID: "filler-" + id, Slug: "filler-" + id, CreatedAt: noon, UpdatedAt: noon})
		organizations = append(organizations, store.Organization{ID: "e" + id, Slug: "slug-" + id, Name: "Organization " + id, CreatedAt: noon, UpdatedAt: noon})
		members = append(members, store.Member{ID: "e" + id, OrganizationID: "e" + id, UserID: user, Role: store.MemberOwner, CreatedAt: noon, UpdatedAt: noon})
		permissions = append(permissions, store.Permission{ID: id, ApplicationID: f.crm.ID, Key: "permission-" + id, CreatedAt: noon, UpdatedAt: noon})
		roles = append(roles, store.Role{ID: id, ApplicationID: f.crm.ID, Key: "role-" + id, IsDefault: i%500 == 0, CreatedAt: noon, UpdatedAt: noon})
		assignments = append(assignments, store.RoleAssignment{ID: id, ApplicationID: f.crm.ID, RoleID: id, UserID: user, CreatedAt: noon},
			store.RoleAssignment{ID: "o" + id, ApplicationID: f.crm.ID, RoleID: id, UserID: user, OrganizationID: &organizations[i].ID, CreatedAt: noon})
		plans = append(plans, store.Plan{ID: id, ApplicationID: f.crm.ID, Key: "plan-" + id, IsDefault: i == 0, Active: true, CreatedAt: noon, UpdatedAt: noon})
		subscriptions = append(subscriptions, store.Subscription{ID: id, ApplicationID: f.crm.ID, PlanID: id, UserID: &users[i].ID, StartsAt: noon, CreatedAt: noon, UpdatedAt: noon},
			store.Subscription{ID: "o" + id, ApplicationID: f.crm.ID, PlanID: id, OrganizationID: &organizations[i].ID, StartsAt: noon, CreatedAt: noon, UpdatedAt: noon})
	}
	db := f.DB(f.Context()).Session(&gorm.Session{CreateBatchSize: 500})
	for _, rows := range []any{users, applications, organizations, members, permissions, roles, assignments, plans, subscriptions} {
		require.NoError(f, db.Create(rows).Error)
	}
	exec(f.T, f.Store, "INSERT INTO role_permissions (role_id, permission_id) SELECT id, id FROM permissions")
}

// plan says how the engine would run the statement. args are PostgreSQL literals for its parameters; without them it plans
// for any value.
func (f *fixture) plan(statement, args string) string {
	f.Helper()
	if f.Dialect() == "sqlite" {
		return f.explained("EXPLAIN QUERY PLAN "+statement, make([]any, strings.Count(statement, "?")+parameters(statement))...)
	}
	mode := "force_custom_plan"
	if args == "" {
		mode, args = "force_generic_plan", strings.TrimSuffix(strings.Repeat("NULL, ", parameters(statement)), ", ")
	}
	var text string
	require.NoError(f, f.Tx(f.Context(), func(ctx context.Context) error {
		for _, s := range []string{"SET LOCAL plan_cache_mode = " + mode, "PREPARE planned AS " + statement} {
			if _, err := f.Direct(ctx).ExecContext(ctx, s); err != nil {
				return err
			}
		}
		text = f.explainedIn(ctx, "EXPLAIN EXECUTE planned("+args+")")
		_, err := f.Direct(ctx).ExecContext(ctx, "DEALLOCATE planned")
		return err
	}))
	return text
}

var parameter = regexp.MustCompile(`\$\d+`)

func parameters(statement string) int {
	seen := map[string]bool{}
	for _, name := range parameter.FindAllString(statement, -1) {
		seen[name] = true
	}
	return len(seen)
}

func (f *fixture) explained(query string, args ...any) string {
	f.Helper()
	return f.explainedIn(f.Context(), query, args...)
}

func (f *fixture) explainedIn(ctx context.Context, query string, args ...any) string {
	f.Helper()
	rows, err := f.Direct(ctx).QueryContext(ctx, query, args...)
	require.NoError(f, err, query)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(f, err)
	var lines []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		require.NoError(f, rows.Scan(values...))
		lines = append(lines, fmt.Sprint(*values[len(values)-1].(*any)))
	}
	require.NoError(f, rows.Err())
	return strings.Join(lines, "\n")
}

// ofTables is a plan without the scans of what a part of a search found, which bears the name of its table: SQLite says of
// each where it comes from.
func ofTables(plan, table string) string {
	return strings.Replace(plan+"\n", "SCAN "+table+"\n", "", strings.Count(plan, "CO-ROUTINE "+table+"\n"))
}

// searched are PostgreSQL literals for the parameters of a search.
func searched(text string) string {
	first := "'" + text + "', '" + text + "~', "
	others := first + first + "'" + text + "', " + first
	return first + others + "10001, " + first + "51, " + others + "51, 51"
}

// scans are steps that read a whole table.
var scans = regexp.MustCompile(`(?m)Seq Scan|^\s*SCAN `)

// index is how the engine names an index; "grants key" is that of a primary key.
func (f *fixture) index(name string) string {
	if table, ok := strings.CutSuffix(name, " key"); ok {
		return map[string]string{"sqlite": "sqlite_autoindex_" + table + "_1", "postgres": table + "_pkey"}[f.Dialect()]
	}
	return name
}

// entitledIndexes are those that resolve what a person may do and have, beside the index of the row that they belong to.
func entitledIndexes(row string) []string {
	return []string{row, "users key", "sessions key", "role_assignments_", "applications key", "members_", "organizations key",
		"subscriptions_organization_id", "subscriptions_user_id"}
}

// The statements of the hot paths, and those that end or clean up many rows, go by an index however many rows there are
// (design: costs stay flat from a thousand to a million users and ten million grants).
func TestHotStatementsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		for _, application := range []string{f.crm.ID, ""} { // whose policy is read once
			_, err := f.EntitledGrant(f.Context(), "000007", store.Acting{ApplicationID: application})
			require.NoError(f, err)
		}
		reap := f.at().Add(-365 * day)
		old := "'2020-01-01', 500"
		for _, tt := range []struct {
			name    string
			run     func(ctx context.Context) error
			indexes []string
			args    string // for PostgreSQL where the plan depends on the values
		}{
			{"session by secret", func(ctx context.Context) error {
				_, err := f.SessionBySecret(ctx, store.HashSecret("000007"), f.at())
				return err
			}, []string{"sessions_secret_hash", "users key"}, ""},
			{"code by signature", func(ctx context.Context) error {
				_, err := f.AuthorizationCodeBySignature(ctx, []byte("000007"))
				return err
			}, []string{"authorization_codes key", "users key", "sessions key"}, ""},
			{"consume code", func(ctx context.Context) error {
				_, err := f.ConsumeAuthorizationCode(ctx, []byte("000007"), "")
				return err
			}, []string{"authorization_codes key", "sessions key"}, ""},
			{"consume code of an organization", func(ctx context.Context) error {
				_, err := f.ConsumeAuthorizationCode(ctx, []byte("000007"), "e000007")
				return err
			}, []string{"authorization_codes key", "sessions key", "members_"}, ""},
			{"grant by id", func(ctx context.Context) error {
				_, err := f.GrantByID(ctx, "000007")
				return err
			}, []string{"grants key", "users key", "sessions key"}, ""},
			{"entitled grant", func(ctx context.Context) error {
				_, err := f.EntitledGrant(ctx, "000007", store.Acting{ApplicationID: f.crm.ID})
				return err
			}, entitledIndexes("grants key"), ""},
			{"entitled grant for another organization", func(ctx context.Context) error {
				slug := "slug-000007"
				_, err := f.EntitledGrant(ctx, "000007", store.Acting{ApplicationID: f.crm.ID, Organization: &slug})
				return err
			}, append(entitledIndexes("grants key"), "organizations key", "organizations_slug"), ""},
			{"entitled code", func(ctx context.Context) error {
				_, err := f.EntitledCode(ctx, []byte("000007"), store.Acting{ApplicationID: f.crm.ID})
				return err
			}, entitledIndexes("authorization_codes key"), ""},
			{"entitled grant without organization", func(ctx context.Context) error {
				_, err := f.EntitledGrant(ctx, "000007", store.Acting{ApplicationID: f.crm.ID, Organization: new(string)})
				return err
			}, []string{"grants key", "users key", "sessions key", "role_assignments_", "applications key", "subscriptions_user_id"}, ""},
			{"entitled grant of an application without roles and plans", func(ctx context.Context) error {
				_, err := f.EntitledGrant(ctx, "000007", store.Acting{Organization: new(string)})
				return err
			}, []string{"grants key", "users key", "sessions key", "applications key"}, ""},
			{"rotate grant for an organization", func(ctx context.Context) error {
				_, err := f.RotateGrant(ctx, "000007", 1, "e000007", f.at())
				return err
			}, []string{"grants key", "members_"}, ""},
			{"rotate grant", func(ctx context.Context) error {
				_, err := f.RotateGrant(ctx, "000007", 1, "", f.at())
				return err
			}, []string{"grants key"}, ""},
			{"consent", func(ctx context.Context) error {
				_, err := f.ConsentOf(ctx, "000007", "client-7")
				return err
			}, []string{"consents key"}, ""},
			{"authorization request", func(ctx context.Context) error {
				_, err := f.AuthorizationRequestByID(ctx, "000007")
				return err
			}, []string{"authorization_requests key"}, ""},
			{"complete authorization request", func(ctx context.Context) error {
				return f.CompleteAuthorizationRequest(ctx, &store.AuthorizationRequest{ID: "000007"})
			}, []string{"authorization_requests key"}, ""},
			{"revocations since", func(ctx context.Context) error {
				_, err := f.RevocationsSince(ctx, f.at().Add(-15*time.Second))
				return err
			}, []string{"revocations_"}, "'2026-11-23 11:59:45+00', '2026-11-23 12:00:00+00'"},
			{"signing keys", func(ctx context.Context) error {
				_, err := f.SigningKeys(ctx)
				return err
			}, []string{"signing_keys_expires_at"}, "'2026-11-23 12:00:00+00'"},
			{"grants of a person", func(ctx context.Context) error {
				return f.RevokeUserGrants(ctx, "000007", store.ReasonRevoked)
			}, []string{"grants_user_id"}, ""},
			{"grants of a person for a client", func(ctx context.Context) error {
				return f.RevokeUserClientGrants(ctx, "000007", "client-7", store.ReasonRevoked)
			}, []string{"grants_"}, ""},
			{"grants of a session", func(ctx context.Context) error {
				return f.RevokeSessionGrants(ctx, []string{"000007"}, store.ReasonSignedOut)
			}, []string{"grants_session_id"}, ""},
			{"grants of a client", func(ctx context.Context) error {
				return f.RevokeClientGrants(ctx, "client-7", store.ReasonClientDisabled)
			}, []string{"authorization_codes_expires_at", "grants_client_id"}, ""},
			{"sessions of a person", func(ctx context.Context) error {
				_, err := f.UserSessions(ctx, "000007", f.at())
				return err
			}, []string{"sessions_user_id"}, ""},
			{"dead codes", func(ctx context.Context) error {
				_, err := f.PurgeAuthorizationCodes(ctx, reap, 500)
				return err
			}, []string{"authorization_codes_expires_at", "authorization_codes key"}, old},
			{"dead requests", func(ctx context.Context) error {
				_, err := f.PurgeAuthorizationRequests(ctx, reap, 500)
				return err
			}, []string{"authorization_requests_expires_at", "authorization_requests key"}, old},
			{"expired grants", func(ctx context.Context) error {
				_, err := f.PurgeExpiredGrants(ctx, reap, 500)
				return err
			}, []string{"grants_expires_at", "grants key"}, old},
			{"revoked grants", func(ctx context.Context) error {
				_, err := f.PurgeRevokedGrants(ctx, reap, 500)
				return err
			}, []string{"grants_revoked_at", "grants key"}, old},
			{"dead revocations", func(ctx context.Context) error {
				_, err := f.PurgeRevocations(ctx, reap, 500)
				return err
			}, []string{"revocations_expires_at", "revocations key"}, old},
			{"dead sessions", func(ctx context.Context) error {
				_, err := f.PurgeSessions(ctx, reap, 500)
				return err
			}, []string{"sessions_expires_at", "sessions_ended_at", "sessions key"}, "'2020-01-01', '2020-01-01', 500"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), tt.name)
			statements := slices.DeleteFunc(calls.SQL(), func(sql string) bool { // what has nothing to search
				return sql == "BEGIN" || sql == "COMMIT" || strings.HasPrefix(sql, "INSERT")
			})
			if tt.args != "" {
				statements = statements[:1]
			}
			plan := ""
			for _, statement := range statements {
				plan += f.plan(statement, tt.args) + "\n"
			}
			for _, name := range tt.indexes {
				require.Contains(f, plan, f.index(name), "%s: %s", tt.name, statements)
			}
			require.NotRegexp(f, scans, plan, "%s: %s", tt.name, statements)
		}

		parameter := map[string]string{"sqlite": "?", "postgres": "$1"}[f.Dialect()]
		require.Regexp(f, scans, f.plan("SELECT id FROM grants WHERE revoke_reason = "+parameter, ""), "this test would see one")
	})
}

// foreignKeys lists the foreign keys of the schema: the table that has one, and its columns.
var foreignKeys = map[string]string{
	"sqlite": `SELECT m.name, group_concat(f."from", ',') FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table' GROUP BY m.name, f.id`,
	"postgres": `SELECT conrelid::regclass::text, (SELECT string_agg(attname, ',' ORDER BY place) FROM unnest(conkey) WITH ORDINALITY AS k (number, place)
		JOIN pg_attribute ON attrelid = conrelid AND attnum = number) FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`,
}

// Whoever deletes a row makes the engine look, for each foreign key on its table, for the rows that go with it. Without an
// index that reads all of a table: to delete one plan would take as long as there are subscriptions.
func TestForeignKeysAreIndexed(t *testing.T) {
	installed(t, func(f *fixture) {
		var keys []struct{ Table, Columns string }
		rows, err := f.Direct(f.Context()).QueryContext(f.Context(), foreignKeys[f.Dialect()])
		require.NoError(f, err)
		for rows.Next() {
			keys = append(keys, struct{ Table, Columns string }{})
			require.NoError(f, rows.Scan(&keys[len(keys)-1].Table, &keys[len(keys)-1].Columns))
		}
		require.NoError(f, rows.Close())
		require.Greater(f, len(keys), 20)
		for _, key := range keys {
			columns := strings.Split(key.Columns, ",")
			plan := f.orphans(key.Table, columns)
			for _, column := range columns {
				require.Regexp(f, `(SEARCH|Index Cond:).*\b`+column+` ?= ?\(?[?']`, plan, "%s (%s)", key.Table, key.Columns)
			}
		}
	})
}

// orphans says how the engine would find what goes with a deleted row if it can, however few rows there are.
func (f *fixture) orphans(table string, columns []string) (plan string) {
	f.Helper()
	statement := "DELETE FROM " + table + " WHERE " + strings.Join(columns, " = 'x' AND ") + " = 'x'"
	if f.Dialect() == "sqlite" {
		return f.explained("EXPLAIN QUERY PLAN " + statement)
	}
	require.NoError(f, f.Tx(f.Context(), func(ctx context.Context) error {
		if _, err := f.Direct(ctx).ExecContext(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
			return err
		}
		plan = f.explainedIn(ctx, "EXPLAIN "+statement)
		return nil
	}))
	return plan
}
