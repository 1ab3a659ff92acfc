package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The rows that every request reads are read by hand: GORM's reflection and query building cost as much as the query
// itself. A columns list and its targets method belong together; TestHandReadRowsAreWhole compares both with the model.

const userColumns = "users.id, users.email, users.email_verified, users.name, users.image, users.role, users.password_hash, " +
	"users.disabled_at, users.disabled_until, users.disabled_reason, users.created_at, users.updated_at"

func (u *User) targets() []any {
	return []any{&u.ID, &u.Email, &u.EmailVerified, &u.Name, &u.Image, &u.Role, &u.PasswordHash,
		&u.DisabledAt, &u.DisabledUntil, &u.DisabledReason, &u.CreatedAt, &u.UpdatedAt}
}

func (u *User) values() []any {
	return []any{u.ID, u.Email, u.EmailVerified, u.Name, u.Image, u.Role, u.PasswordHash,
		u.DisabledAt, u.DisabledUntil, u.DisabledReason, u.CreatedAt, u.UpdatedAt}
}

const sessionColumns = "sessions.id, sessions.secret_hash, sessions.user_id, sessions.auth_time, sessions.acr, sessions.amr, " +
	"sessions.remember, sessions.user_agent, sessions.ip, sessions.active_organization_id, sessions.created_at, " +
	"sessions.last_seen_at, sessions.idle_expires_at, sessions.expires_at, sessions.ended_at, sessions.end_reason"

func (s *Session) targets() []any {
	return []any{&s.ID, &s.SecretHash, &s.UserID, &s.AuthTime, &s.ACR, fromJSON{&s.AMR},
		&s.Remember, &s.UserAgent, &s.IP, &s.ActiveOrganizationID, &s.CreatedAt,
		&s.LastSeenAt, &s.IdleExpiresAt, &s.ExpiresAt, &s.EndedAt, &s.EndReason}
}

const grantColumns = "grants.id, grants.client_id, grants.user_id, grants.session_id, grants.organization_id, grants.scopes, " +
	"grants.audiences, grants.claims, grants.offline, grants.auth_time, grants.acr, grants.amr, grants.salt, grants.generation, " +
	"grants.rotated_at, grants.created_at, grants.idle_expires_at, grants.expires_at, grants.revoked_at, grants.revoke_reason"

func (g *Grant) targets() []any {
	return []any{&g.ID, &g.ClientID, &g.UserID, &g.SessionID, &g.OrganizationID, fromJSON{&g.Scopes},
		fromJSON{&g.Audiences}, fromJSON{&g.Claims}, &g.Offline, &g.AuthTime, &g.ACR, fromJSON{&g.AMR}, &g.Salt, &g.Generation,
		&g.RotatedAt, &g.CreatedAt, &g.IdleExpiresAt, &g.ExpiresAt, &g.RevokedAt, &g.RevokeReason}
}

func (g *Grant) values() []any {
	return []any{g.ID, g.ClientID, g.UserID, g.SessionID, g.OrganizationID, toJSON(g.Scopes),
		toJSON(g.Audiences), toJSON(g.Claims), g.Offline, g.AuthTime, g.ACR, toJSON(g.AMR), g.Salt, g.Generation,
		g.RotatedAt, g.CreatedAt, g.IdleExpiresAt, g.ExpiresAt, g.RevokedAt, g.RevokeReason}
}

const codeColumns = "authorization_codes.grant_id, authorization_codes.signature, authorization_codes.client_id, " +
	"authorization_codes.user_id, authorization_codes.session_id, authorization_codes.redirect_uri, authorization_codes.scopes, " +
	"authorization_codes.audiences, authorization_codes.organization_id, authorization_codes.code_challenge, " +
	"authorization_codes.nonce, authorization_codes.claims, authorization_codes.auth_time, authorization_codes.acr, " +
	"authorization_codes.amr, authorization_codes.created_at, authorization_codes.expires_at, authorization_codes.used_at"

func (c *AuthorizationCode) targets() []any {
	return []any{&c.GrantID, &c.Signature, &c.ClientID,
		&c.UserID, &c.SessionID, &c.RedirectURI, fromJSON{&c.Scopes},
		fromJSON{&c.Audiences}, &c.OrganizationID, &c.CodeChallenge,
		&c.Nonce, fromJSON{&c.Claims}, &c.AuthTime, &c.ACR,
		fromJSON{&c.AMR}, &c.CreatedAt, &c.ExpiresAt, &c.UsedAt}
}

func (c *AuthorizationCode) values() []any {
	return []any{c.GrantID, c.Signature, c.ClientID,
		c.UserID, c.SessionID, c.RedirectURI, toJSON(c.Scopes),
		toJSON(c.Audiences), c.OrganizationID, c.CodeChallenge,
		c.Nonce, toJSON(c.Claims), c.AuthTime, c.ACR,
		toJSON(c.AMR), c.CreatedAt, c.ExpiresAt, c.UsedAt}
}

// sessionState is as much of a joined browser session as tells whether it still stands; all NULL when it is gone.
const sessionState = "sessions.id, sessions.expires_at, sessions.ended_at"

type joinedSession struct {
	id        sql.NullString
	expiresAt sql.NullTime
	endedAt   sql.NullTime
}

func (j *joinedSession) targets() []any { return []any{&j.id, &j.expiresAt, &j.endedAt} }

func (j *joinedSession) session() *Session {
	if !j.id.Valid {
		return nil
	}
	s := &Session{ID: j.id.String, ExpiresAt: j.expiresAt.Time}
	if j.endedAt.Valid {
		s.EndedAt = &j.endedAt.Time
	}
	return s
}

// take runs a query for one row, with parameters $1 and so on, and fills the targets, or returns ErrNotFound.
func (s *Store) take(ctx context.Context, targets []any, query string, args ...any) error {
	err := s.direct(ctx).QueryRowContext(ctx, query, args...).Scan(targets...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return known(err)
}

// insert writes one row of the columns, which name the table themselves.
func (s *Store) insert(ctx context.Context, table, columns string, values []any) error {
	var query strings.Builder
	query.WriteString("INSERT INTO " + table + " (" + strings.ReplaceAll(columns, table+".", "") + ") VALUES ($1")
	for i := 2; i <= len(values); i++ {
		query.WriteString(", $" + strconv.Itoa(i))
	}
	query.WriteByte(')')
	_, err := s.direct(ctx).ExecContext(ctx, query.String(), values...)
	return known(err)
}

// decide runs a statement, with parameters $1 and so on, that changes one row or none, and reports whether it did.
func (s *Store) decide(ctx context.Context, statement string, args ...any) (bool, error) {
	res, err := s.direct(ctx).ExecContext(ctx, statement, args...)
	if err != nil {
		return false, known(err)
	}
	rows, err := res.RowsAffected()
	return rows == 1, known(err)
}

// fromJSON scans a JSON column into what it points at.
type fromJSON struct{ into any }

func (j fromJSON) Scan(value any) error {
	switch text := value.(type) {
	case []byte:
		return json.Unmarshal(text, j.into)
	case string:
		return json.Unmarshal([]byte(text), j.into)
	}
	return fmt.Errorf("JSON column holds %T", value)
}

// orNothing scans what may be NULL, which leaves its target as it is.
type orNothing struct{ fromJSON }

func (o orNothing) Scan(value any) error {
	if value == nil {
		return nil
	}
	return o.fromJSON.Scan(value)
}

// toJSON is the text of lists of strings and of structs of them, which always encode. No list is the empty list.
func toJSON(v any) string {
	if list, ok := v.([]string); ok && list == nil {
		return "[]"
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
