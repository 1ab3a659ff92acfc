package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/clause"
)

// MaxAccessTokenLifetime bounds what an application may ask for, and so how long a revocation must be remembered.
const MaxAccessTokenLifetime = 24 * time.Hour

// What a revocation names.
const (
	RevokedGrant  = "gid"    // every token of one grant
	RevokedToken  = "jti"    // one access token
	RevokedUser   = "sub"    // every token of a person that was issued until then
	RevokedClient = "client" // every token of a client that was issued until then

	RevokedMember       = "sub+org" // every token of a person for an organization that was issued until then; see MemberRevocationID
	RevokedOrganization = "org"     // every token for an organization
)

// MemberRevocationID is the ID of a revocation of the kind RevokedMember.
func MemberRevocationID(userID, organizationID string) string { return userID + " " + organizationID }

// A Revocation says that access tokens, which nobody stores, are no longer good: those of kind and ID that were issued
// until IssuedUntil. After ExpiresAt no such token is alive and the row may go.
type Revocation struct {
	Kind        string `gorm:"primaryKey"`
	ID          string `gorm:"primaryKey"`
	IssuedUntil time.Time
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// RevokeToken revokes the one access token whose jti is given.
func (s *Store) RevokeToken(ctx context.Context, jti string) error {
	return s.revoke(ctx, Revocation{Kind: RevokedToken, ID: jti})
}

// revoke writes revocations in one statement and tells this process's caches once the transaction commits.
// A row without IssuedUntil covers tokens of all times.
func (s *Store) revoke(ctx context.Context, rows ...Revocation) error {
	if len(rows) == 0 {
		return nil
	}
	now := s.now()
	for i := range rows {
		rows[i].CreatedAt, rows[i].ExpiresAt = now, now.Add(MaxAccessTokenLifetime)
		if rows[i].IssuedUntil.IsZero() {
			rows[i].IssuedUntil = rows[i].ExpiresAt
		}
	}
	again := clause.OnConflict{ // a replica whose clock is behind must not shorten what another wrote
		Columns:   []clause.Column{{Name: "kind"}, {Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"issued_until", "created_at", "expires_at"}),
		Where:     clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "excluded.issued_until > revocations.issued_until"}}},
	}
	if err := s.db(ctx).Clauses(again).CreateInBatches(rows, 500).Error; err != nil {
		return fmt.Errorf("write revocations: %w", known(err))
	}
	for i := range rows {
		s.publish(ctx, Event{Kind: EventRevocation, ID: rows[i].ID, Revocation: &rows[i]})
	}
	return nil
}

// RevocationsSince returns the unexpired revocations written after t; the zero time returns all of them.
func (s *Store) RevocationsSince(ctx context.Context, t time.Time) ([]Revocation, error) {
	var rows []Revocation
	if err := s.db(ctx).Find(&rows, "created_at > ? AND expires_at > ?", t, s.now()).Error; err != nil {
		return nil, fmt.Errorf("read revocations: %w", known(err))
	}
	return rows, nil
}
