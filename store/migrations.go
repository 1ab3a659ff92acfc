package store

import (
	"strings"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migrations run in order, each once, each in its own transaction. Append only: a released one is never edited,
// because some database has already run it. They are SQL on purpose: they must not mention the models, which move on.
func migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{
		migration("2026-11-23-people", createPeople),
		migration("2026-11-23-applications", createApplications),
		migration("2026-11-23-oauth", createOAuth),
		migration("2026-11-23-administration", createAdministration),
		migration("2026-11-23-reaping", createReaping),
		migration("2026-11-23-audit", indexAudit),
		migration("2026-11-23-user-lists", createUserLists),
		migration("2026-11-25-organizations", createOrganizations),
		migration("2026-11-25-entitlements", createEntitlements),
		migration("2026-11-25-statistics", createStatistics),
		migration("2026-11-26-covering", coverLists),
		migration("2026-11-26-consumption", createConsumption),
		migration("2026-11-26-webhooks", createWebhooks),
		migration("2026-11-26-policies", versionPolicies),
		migration("2026-11-26-sums", sumStatistics),
		migration("2026-11-26-initials", indexInitials),
		migration("2026-11-26-invitations", indexInvitations),
	}
}

// migration turns portable SQL into a gormigrate step. Three column types differ between the engines and are
// written as TIME, BYTES and JSON; SQLite must see "datetime" so that its driver converts integer times back. So do the noun
// of an audit event's action, written as NOUN, and the collation that orders text by its bytes, SQLite's own, written as
// BYTEWISE. A statement after POSTGRES is for that engine alone.
func migration(id, sql string) *gormigrate.Migration {
	return &gormigrate.Migration{ID: id, Migrate: func(tx *gorm.DB) error {
		types := strings.NewReplacer(" TIME", " timestamptz", " BYTES", " bytea", " JSON", " text",
			" BYTEWISE", ` COLLATE "C"`, "NOUN", auditNoun(dialectPostgres))
		if tx.Name() == "sqlite" {
			types = strings.NewReplacer(" TIME", " datetime", " BYTES", " blob", " JSON", " text",
				" BYTEWISE", "", "NOUN", auditNoun(dialectSQLite))
		}
		for _, statement := range strings.Split(types.Replace(sql), ";\n") {
			statement, postgres := strings.CutPrefix(strings.TrimSpace(statement), "POSTGRES ")
			if statement == "" || postgres && tx.Name() == "sqlite" {
				continue
			}
			if err := tx.Exec(statement).Error; err != nil {
				return err
			}
		}
		return nil
	}}
}

const createPeople = `
CREATE TABLE users (
	id text PRIMARY KEY,
	email text NOT NULL,
	email_verified boolean NOT NULL,
	name text NOT NULL,
	image text NOT NULL,
	role text NOT NULL,
	password_hash text NOT NULL,
	disabled_at TIME,
	disabled_until TIME,
	disabled_reason text NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email);
CREATE INDEX users_created_at ON users (created_at, id);
CREATE INDEX users_role ON users (role) WHERE role <> 'user';

CREATE TABLE sessions (
	id text PRIMARY KEY,
	secret_hash BYTES NOT NULL,
	user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	auth_time TIME NOT NULL,
	acr text NOT NULL,
	amr JSON NOT NULL,
	remember boolean NOT NULL,
	user_agent text NOT NULL,
	ip text NOT NULL,
	active_organization_id text NOT NULL,
	created_at TIME NOT NULL,
	last_seen_at TIME NOT NULL,
	idle_expires_at TIME NOT NULL,
	expires_at TIME NOT NULL,
	ended_at TIME,
	end_reason text NOT NULL
);
CREATE UNIQUE INDEX sessions_secret_hash ON sessions (secret_hash);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE sign_in_throttles (
	id text PRIMARY KEY,
	failures bigint NOT NULL,
	blocked_until TIME,
	updated_at TIME NOT NULL,
	expires_at TIME NOT NULL
);
CREATE INDEX sign_in_throttles_expires_at ON sign_in_throttles (expires_at);
`

const createApplications = `
CREATE TABLE applications (
	id text PRIMARY KEY,
	slug text NOT NULL,
	name text NOT NULL,
	disabled boolean NOT NULL,
	audiences JSON NOT NULL,
	access_token_format text NOT NULL,
	code_lifetime bigint NOT NULL,
	access_token_lifetime bigint NOT NULL,
	id_token_lifetime bigint NOT NULL,
	refresh_token_idle_lifetime bigint NOT NULL,
	refresh_token_lifetime bigint NOT NULL,
	logo_uri text NOT NULL,
	homepage_uri text NOT NULL,
	policy_uri text NOT NULL,
	tos_uri text NOT NULL,
	metadata JSON NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX applications_slug ON applications (slug);
CREATE INDEX applications_created_at ON applications (created_at, id);
CREATE INDEX applications_name ON applications (name, id);
CREATE INDEX applications_updated_at ON applications (updated_at, id);

CREATE TABLE clients (
	id text PRIMARY KEY,
	application_id text NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	name text NOT NULL,
	type text NOT NULL,
	redirect_uris JSON NOT NULL,
	post_logout_redirect_uris JSON NOT NULL,
	allowed_origins JSON NOT NULL,
	scopes JSON NOT NULL,
	grant_types JSON NOT NULL,
	token_endpoint_auth_method text NOT NULL,
	id_token_alg text NOT NULL,
	skip_consent boolean NOT NULL,
	require_pkce boolean NOT NULL,
	disabled boolean NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE INDEX clients_application_id ON clients (application_id, created_at, id);
CREATE INDEX clients_type ON clients (type, application_id);

CREATE TABLE client_secrets (
	id text PRIMARY KEY,
	client_id text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	hash BYTES NOT NULL,
	hint text NOT NULL,
	created_at TIME NOT NULL,
	expires_at TIME
);
CREATE INDEX client_secrets_client_id ON client_secrets (client_id);
CREATE INDEX client_secrets_expires_at ON client_secrets (expires_at);
`

// A code has no foreign keys: it lives a minute, its exchange joins the rows that it names, and each index
// would be one more write on the hot path. grants_live serves "revoke everything of this user and client".
const createOAuth = `
CREATE TABLE signing_keys (
	id text PRIMARY KEY,
	alg text NOT NULL,
	public_jwk JSON NOT NULL,
	private_key text NOT NULL,
	created_at TIME NOT NULL,
	activated_at TIME,
	retired_at TIME,
	expires_at TIME
);
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (alg) WHERE activated_at IS NULL;
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (alg) WHERE activated_at IS NOT NULL AND retired_at IS NULL;
CREATE INDEX signing_keys_expires_at ON signing_keys (expires_at);

CREATE TABLE authorization_requests (
	id text PRIMARY KEY,
	client_id text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	form JSON NOT NULL,
	consented_by text NOT NULL,
	granted_scopes JSON NOT NULL,
	selected_session_id text NOT NULL,
	created_at TIME NOT NULL,
	expires_at TIME NOT NULL,
	completed_at TIME
);
CREATE INDEX authorization_requests_client_id ON authorization_requests (client_id);
CREATE INDEX authorization_requests_expires_at ON authorization_requests (expires_at);

CREATE TABLE authorization_codes (
	signature BYTES PRIMARY KEY,
	grant_id text NOT NULL,
	client_id text NOT NULL,
	user_id text NOT NULL,
	session_id text NOT NULL,
	redirect_uri text NOT NULL,
	scopes JSON NOT NULL,
	audiences JSON NOT NULL,
	organization_id text NOT NULL,
	code_challenge text NOT NULL,
	nonce text NOT NULL,
	claims JSON NOT NULL,
	auth_time TIME NOT NULL,
	acr text NOT NULL,
	amr JSON NOT NULL,
	created_at TIME NOT NULL,
	expires_at TIME NOT NULL,
	used_at TIME
);
CREATE INDEX authorization_codes_expires_at ON authorization_codes (expires_at);

CREATE TABLE grants (
	id text PRIMARY KEY,
	client_id text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	session_id text NOT NULL,
	organization_id text NOT NULL,
	scopes JSON NOT NULL,
	audiences JSON NOT NULL,
	claims JSON NOT NULL,
	offline boolean NOT NULL,
	auth_time TIME NOT NULL,
	acr text NOT NULL,
	amr JSON NOT NULL,
	salt BYTES NOT NULL,
	generation bigint NOT NULL,
	rotated_at TIME NOT NULL,
	created_at TIME NOT NULL,
	idle_expires_at TIME NOT NULL,
	expires_at TIME NOT NULL,
	revoked_at TIME,
	revoke_reason text NOT NULL
);
CREATE INDEX grants_user_id ON grants (user_id, client_id);
CREATE INDEX grants_client_id ON grants (client_id);
CREATE INDEX grants_session_id ON grants (session_id);
CREATE INDEX grants_expires_at ON grants (expires_at);

CREATE TABLE consents (
	user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	client_id text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	scopes JSON NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL,
	PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client_id ON consents (client_id);

CREATE TABLE revocations (
	kind text NOT NULL,
	id text NOT NULL,
	issued_until TIME NOT NULL,
	created_at TIME NOT NULL,
	expires_at TIME NOT NULL,
	PRIMARY KEY (kind, id)
);
CREATE INDEX revocations_created_at ON revocations (created_at);
CREATE INDEX revocations_expires_at ON revocations (expires_at);
`

const createAdministration = `
CREATE TABLE audit_events (
	id text PRIMARY KEY,
	created_at TIME NOT NULL,
	actor_type text NOT NULL,
	actor_id text NOT NULL,
	action text NOT NULL,
	target_type text NOT NULL,
	target_id text NOT NULL,
	application_id text NOT NULL,
	organization_id text NOT NULL,
	ip text NOT NULL,
	user_agent text NOT NULL,
	request_id text NOT NULL,
	changes JSON NOT NULL
);
CREATE INDEX audit_events_created_at ON audit_events (created_at, id);
CREATE INDEX audit_events_target ON audit_events (target_type, target_id, created_at, id);

CREATE TABLE idempotency_keys (
	id text PRIMARY KEY,
	request_hash BYTES NOT NULL,
	response text NOT NULL,
	created_at TIME NOT NULL,
	expires_at TIME NOT NULL
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
`

// Reap deletes by these; rows that still live are in neither, so the hot paths don't maintain them.
const createReaping = `
CREATE INDEX sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX grants_revoked_at ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
`

// Each filter of the audit log has an index that yields its events in the order of the log, so that a page costs the same
// wherever it is. Most events belong to no application and no organization, and don't maintain those two.
const indexAudit = `
DROP INDEX audit_events_target;
CREATE INDEX audit_events_target_id ON audit_events (target_id, created_at, id);
CREATE INDEX audit_events_target_type ON audit_events (target_type, created_at, id);
CREATE INDEX audit_events_actor_id ON audit_events (actor_id, created_at, id);
CREATE INDEX audit_events_actor_type ON audit_events (actor_type, created_at, id);
CREATE INDEX audit_events_action ON audit_events (action, created_at, id);
CREATE INDEX audit_events_noun ON audit_events ((NOUN), created_at, id);
CREATE INDEX audit_events_application_id ON audit_events (application_id, created_at, id) WHERE application_id <> '';
CREATE INDEX audit_events_organization_id ON audit_events (organization_id, created_at, id) WHERE organization_id <> '';
`

// The lists of people sort and search by these. Ordered by bytes, "begins with" is a range, whatever the database's
// locale; in SQLite users_email is such an index.
const createUserLists = `
POSTGRES CREATE INDEX users_by_email ON users (email BYTEWISE, id);
CREATE INDEX users_by_name ON users (lower(name) BYTEWISE, id);
CREATE INDEX users_disabled ON users (created_at, id) WHERE disabled_at IS NOT NULL;
`

// Whatever a person has in an organization hangs on the membership, so it ends with it. An invitation's id is what its link
// holds, so it is no UUID but cannot be guessed. What is bound to an organization finds it by the partial indexes when the
// organization goes; most grants and sessions have none and don't maintain them.
const createOrganizations = `
CREATE TABLE organizations (
	id text PRIMARY KEY,
	slug text NOT NULL,
	name text NOT NULL,
	logo text NOT NULL,
	metadata JSON NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX organizations_slug ON organizations (slug);
POSTGRES CREATE INDEX organizations_by_slug ON organizations (slug BYTEWISE, id);
CREATE INDEX organizations_by_name ON organizations (lower(name) BYTEWISE, id);
CREATE INDEX organizations_created_at ON organizations (created_at, id);

CREATE TABLE members (
	id text PRIMARY KEY,
	organization_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	role text NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX members_organization_id ON members (organization_id, user_id);
CREATE INDEX members_user_id ON members (user_id, organization_id);
CREATE INDEX members_created_at ON members (organization_id, created_at, id);
CREATE INDEX members_owners ON members (organization_id) WHERE role = 'owner';

CREATE TABLE invitations (
	id text PRIMARY KEY,
	organization_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
	email text NOT NULL,
	role text NOT NULL,
	status text NOT NULL,
	inviter_id text NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL,
	expires_at TIME NOT NULL
);
CREATE UNIQUE INDEX invitations_pending ON invitations (organization_id, email) WHERE status = 'pending';
CREATE INDEX invitations_created_at ON invitations (organization_id, created_at, id);
CREATE INDEX invitations_email ON invitations (email) WHERE status = 'pending';
CREATE INDEX invitations_expires_at ON invitations (expires_at);

ALTER TABLE authorization_requests ADD COLUMN organization_id text NOT NULL DEFAULT '';
ALTER TABLE authorization_requests ADD COLUMN organization_by text NOT NULL DEFAULT '';
CREATE INDEX grants_organization_id ON grants (organization_id) WHERE organization_id <> '';
CREATE INDEX sessions_organization_id ON sessions (active_organization_id) WHERE active_organization_id <> '';
`

// A role is held everywhere (organization_id is null) or in one organization; the foreign key into members makes the second
// end with the membership. A subscription is a person's or an organization's.
const createEntitlements = `
CREATE TABLE permissions (
	id text PRIMARY KEY,
	application_id text NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	key text NOT NULL,
	name text NOT NULL,
	description text NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX permissions_key ON permissions (application_id, key);

CREATE TABLE roles (
	id text PRIMARY KEY,
	application_id text NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	key text NOT NULL,
	name text NOT NULL,
	description text NOT NULL,
	is_default boolean NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX roles_key ON roles (application_id, key);
CREATE INDEX roles_default ON roles (application_id) WHERE is_default;

CREATE TABLE role_permissions (
	role_id text NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
	permission_id text NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
	PRIMARY KEY (role_id, permission_id)
);
CREATE INDEX role_permissions_permission_id ON role_permissions (permission_id);

CREATE TABLE role_assignments (
	id text PRIMARY KEY,
	application_id text NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	role_id text NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	organization_id text,
	created_at TIME NOT NULL,
	FOREIGN KEY (organization_id, user_id) REFERENCES members (organization_id, user_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX role_assignments_everywhere ON role_assignments (user_id, role_id) WHERE organization_id IS NULL;
CREATE UNIQUE INDEX role_assignments_organization ON role_assignments (organization_id, user_id, role_id) WHERE organization_id IS NOT NULL;
CREATE INDEX role_assignments_user_id ON role_assignments (user_id, application_id);
CREATE INDEX role_assignments_role_id ON role_assignments (role_id);
CREATE INDEX role_assignments_application_id ON role_assignments (application_id, user_id);

CREATE TABLE client_roles (
	client_id text NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
	role_id text NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
	PRIMARY KEY (client_id, role_id)
);
CREATE INDEX client_roles_role_id ON client_roles (role_id);

CREATE TABLE plans (
	id text PRIMARY KEY,
	application_id text NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	key text NOT NULL,
	name text NOT NULL,
	description text NOT NULL,
	is_default boolean NOT NULL,
	active boolean NOT NULL,
	price_amount text NOT NULL,
	price_currency text NOT NULL,
	price_interval text NOT NULL,
	features JSON NOT NULL,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);
CREATE UNIQUE INDEX plans_key ON plans (application_id, key);
CREATE UNIQUE INDEX plans_default ON plans (application_id) WHERE is_default;

CREATE TABLE subscriptions (
	id text PRIMARY KEY,
	application_id text NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	plan_id text NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
	user_id text REFERENCES users (id) ON DELETE CASCADE,
	organization_id text REFERENCES organizations (id) ON DELETE CASCADE,
	overrides JSON NOT NULL,
	starts_at TIME NOT NULL,
	ends_at TIME,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL,
	CHECK ((user_id IS NULL) <> (organization_id IS NULL))
);
CREATE UNIQUE INDEX subscriptions_user_id ON subscriptions (user_id, application_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX subscriptions_organization_id ON subscriptions (organization_id, application_id) WHERE organization_id IS NOT NULL;
CREATE INDEX subscriptions_plan_id ON subscriptions (plan_id);
CREATE INDEX subscriptions_application_id ON subscriptions (application_id, user_id);
`

// A day is text as in 2026-11-25, in UTC. user_activity keeps the last day of each person, so that each is counted once a day.
const createStatistics = `
CREATE TABLE daily_statistics (
	day text NOT NULL,
	application_id text NOT NULL,
	metric text NOT NULL,
	value bigint NOT NULL,
	PRIMARY KEY (day, application_id, metric)
);
CREATE INDEX daily_statistics_application_id ON daily_statistics (application_id, day);
CREATE TABLE user_activity (
	user_id text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	day text NOT NULL
);
`

// What a search finds by one index is compared with the other's column and with the filters, and the count of the disabled
// looks at the end of their time. With these columns in the index neither reads the table, which is slow at a million people.
// The noun is an expression of the action, and PostgreSQL counts by the index alone only if that is in it too. The people of an
// application are counted and gathered by indexes alone. A grant keeps its client and its person, so that a refresh touches no index.
const coverLists = `
POSTGRES DROP INDEX users_by_email;
POSTGRES CREATE INDEX users_by_email ON users (email BYTEWISE, id, name, role, disabled_at, disabled_until);
DROP INDEX users_by_name;
CREATE INDEX users_by_name ON users (lower(name) BYTEWISE, id, name, email, role, disabled_at, disabled_until);
DROP INDEX users_disabled;
CREATE INDEX users_disabled ON users (created_at, id, disabled_until, role) WHERE disabled_at IS NOT NULL;
DROP INDEX audit_events_noun;
CREATE INDEX audit_events_noun ON audit_events ((NOUN), created_at, id, action);
DROP INDEX grants_client_id;
CREATE INDEX grants_client_id ON grants (client_id, user_id);
`

// No foreign keys: the ledger outlives the people in it, and a key would lock the row of a person at each of their records. What
// ends with an application is purged in the background. An amount is two integers, see Amount. The period of a counter is that of
// a quota, or empty for all time, which starts at the epoch; organization_id is empty for what a person used in all, and user_id
// for what all people of an organization used. Periods is for the counters of all time: the periods that are counted beside. No hour
// holds more than a 24th of what a counter may, so that there is room for all of them in their day, however often the counter began
// anew. Keys compare by their bytes, which is quicker than by a language. The counters and buckets leave room in their pages, so that
// an update stays in its page.
const createConsumption = `
CREATE TABLE consumption_records (
	application_id text BYTEWISE NOT NULL,
	id text BYTEWISE NOT NULL,
	kind text NOT NULL,
	client_id text NOT NULL,
	user_id text BYTEWISE NOT NULL,
	organization_id text BYTEWISE NOT NULL,
	key text BYTEWISE NOT NULL,
	whole bigint NOT NULL,
	micros bigint NOT NULL,
	occurred_at TIME NOT NULL,
	recorded_at TIME NOT NULL,
	idempotency_key text BYTEWISE NOT NULL,
	metadata text NOT NULL,
	answer text NOT NULL,
	PRIMARY KEY (application_id, id)
);
CREATE UNIQUE INDEX consumption_records_idempotency_key ON consumption_records (application_id, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX consumption_records_user_id ON consumption_records (application_id, user_id, key, occurred_at);

CREATE TABLE consumption_counters (
	application_id text BYTEWISE NOT NULL,
	user_id text BYTEWISE NOT NULL,
	organization_id text BYTEWISE NOT NULL,
	period text BYTEWISE NOT NULL,
	starts_at TIME NOT NULL,
	key text BYTEWISE NOT NULL,
	total_whole bigint NOT NULL CHECK (total_whole BETWEEN 0 AND 9000000000000000000),
	total_micros bigint NOT NULL,
	charged_whole bigint NOT NULL CHECK (charged_whole BETWEEN 0 AND 9000000000000000000),
	charged_micros bigint NOT NULL,
	count bigint NOT NULL,
	first_at TIME,
	last_at TIME,
	reset_at TIME,
	notified bigint NOT NULL,
	periods bigint NOT NULL,
	PRIMARY KEY (application_id, user_id, organization_id, period, starts_at, key)
);
POSTGRES ALTER TABLE consumption_counters SET (fillfactor = 70);

CREATE TABLE consumption_buckets (
	application_id text BYTEWISE NOT NULL,
	user_id text BYTEWISE NOT NULL,
	organization_id text BYTEWISE NOT NULL,
	key text BYTEWISE NOT NULL,
	starts_at TIME NOT NULL,
	width text BYTEWISE NOT NULL,
	total_whole bigint NOT NULL CHECK (width = 'day' OR total_whole <= 375000000000000000),
	total_micros bigint NOT NULL,
	charged_whole bigint NOT NULL,
	charged_micros bigint NOT NULL,
	count bigint NOT NULL,
	first_at TIME NOT NULL,
	last_at TIME NOT NULL,
	PRIMARY KEY (application_id, user_id, organization_id, key, starts_at, width)
);
CREATE INDEX consumption_buckets_hours ON consumption_buckets (starts_at) WHERE width = 'hour';
POSTGRES ALTER TABLE consumption_buckets SET (fillfactor = 70);

CREATE TABLE consumption_reservations (
	id text PRIMARY KEY,
	application_id text NOT NULL,
	client_id text NOT NULL,
	user_id text NOT NULL,
	organization_id text NOT NULL,
	account_user_id text NOT NULL,
	account_organization_id text NOT NULL,
	key text NOT NULL,
	whole bigint NOT NULL,
	micros bigint NOT NULL,
	enforce boolean NOT NULL,
	state text NOT NULL,
	record_id text NOT NULL,
	idempotency_key text NOT NULL,
	metadata text NOT NULL,
	answer text NOT NULL,
	created_at TIME NOT NULL,
	expires_at TIME NOT NULL
);
CREATE UNIQUE INDEX consumption_reservations_idempotency_key ON consumption_reservations (application_id, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX consumption_reservations_account ON consumption_reservations (application_id, account_user_id, account_organization_id, key, expires_at) WHERE state = 'open';
CREATE INDEX consumption_reservations_expires_at ON consumption_reservations (expires_at);
`

// The outbox has no foreign key: it would have whoever writes an event wait for those who change the application. What
// waits is in outbox_due, with the column by which some are passed over, and little else is ever in it.
const createWebhooks = `
CREATE TABLE webhooks (
	application_id text PRIMARY KEY REFERENCES applications (id) ON DELETE CASCADE,
	url text NOT NULL,
	enabled boolean NOT NULL,
	secret text NOT NULL,
	previous_secret text NOT NULL,
	previous_secret_until TIME,
	created_at TIME NOT NULL,
	updated_at TIME NOT NULL
);

CREATE TABLE outbox (
	id text PRIMARY KEY,
	kind text NOT NULL,
	application_id text NOT NULL,
	type text NOT NULL,
	payload JSON NOT NULL,
	status text NOT NULL,
	attempts bigint NOT NULL,
	sending boolean NOT NULL,
	next_attempt_at TIME NOT NULL,
	last_attempt_at TIME,
	last_status bigint NOT NULL,
	last_error text NOT NULL,
	created_at TIME NOT NULL,
	finished_at TIME
);
CREATE INDEX outbox_due ON outbox (next_attempt_at, id, application_id) WHERE status = 'pending';
CREATE INDEX outbox_application_id ON outbox (application_id, created_at, id);
CREATE INDEX outbox_status ON outbox (application_id, status, created_at, id);
CREATE INDEX outbox_type ON outbox (application_id, type, created_at, id);
CREATE INDEX outbox_finished_at ON outbox (finished_at) WHERE finished_at IS NOT NULL;
`

// The version is another one after each change of the roles and plans, so that what is kept of them in memory can be told from
// what is old.
const versionPolicies = `
ALTER TABLE applications ADD COLUMN policy_version text NOT NULL DEFAULT '';
`

// A day is summed up in a row of its own, whose application is *, and the months of each application in another table.
const sumStatistics = `
INSERT INTO daily_statistics (day, application_id, metric, value)
	SELECT day, '*', metric, CAST(sum(value) AS bigint) FROM daily_statistics GROUP BY day, metric;
CREATE TABLE monthly_statistics (
	month text NOT NULL,
	application_id text NOT NULL,
	metric text NOT NULL,
	value bigint NOT NULL,
	PRIMARY KEY (month, application_id, metric)
);
CREATE INDEX monthly_statistics_application_id ON monthly_statistics (application_id, month);
INSERT INTO monthly_statistics (month, application_id, metric, value)
	SELECT substr(day, 1, 7), application_id, metric, CAST(sum(value) AS bigint) FROM daily_statistics
	WHERE application_id <> '*' AND metric IN ('tokens', 'authorizations') GROUP BY substr(day, 1, 7), application_id, metric;
`

// Whom a search for one letter finds by only one of address and name, in the order of the other. Most people are in neither.
const indexInitials = `
CREATE INDEX users_by_initial ON users (substr(email, 1, 1), lower(name) BYTEWISE, id, name, email, role, disabled_at, disabled_until)
	WHERE substr(email, 1, 1) <> substr(lower(name), 1, 1);
CREATE INDEX users_by_name_initial ON users (substr(lower(name), 1, 1), email BYTEWISE, id, name, role, disabled_at, disabled_until)
	WHERE substr(email, 1, 1) <> substr(lower(name), 1, 1);
`

const indexInvitations = `
CREATE INDEX invitations_by_email ON invitations (organization_id, email BYTEWISE);
`
