package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// An AuthorizationCode is an issued code with all that its exchange needs, kept by the SHA-256 of the code.
// GrantID is the id that the grant will get.
type AuthorizationCode struct {
	Signature      []byte `gorm:"primaryKey"`
	GrantID        string
	ClientID       string
	UserID         string
	User           *User
	SessionID      string
	Session        *Session
	RedirectURI    string   `gorm:"column:redirect_uri"`
	Scopes         []string `gorm:"serializer:json"`
	Audiences      []string `gorm:"serializer:json"`
	OrganizationID string
	CodeChallenge  string // S256; empty only for clients exempt from PKCE
	Nonce          string
	Claims         ClaimsRequest `gorm:"serializer:json"`
	AuthTime       time.Time
	ACR            string   `gorm:"column:acr"`
	AMR            []string `gorm:"column:amr;serializer:json"`
	CreatedAt      time.Time
	ExpiresAt      time.Time
	UsedAt         *time.Time

	// Entitlements are what the person may do and have, as EntitledCode resolved them.
	Entitlements *Entitlements `gorm:"-"`
}

// Redeemable reports whether person and session behind the code still stand at the time now. That the membership does, too,
// ConsumeAuthorizationCode makes sure.
func (c *AuthorizationCode) Redeemable(now time.Time) bool {
	return c.User != nil && !c.User.Disabled(now) && c.Session.open(now)
}

// CreateAuthorizationCode stores a fresh, unused code.
func (s *Store) CreateAuthorizationCode(ctx context.Context, c *AuthorizationCode) error {
	if err := s.insert(ctx, "authorization_codes", codeColumns, c.values()); err != nil {
		return fmt.Errorf("create authorization code: %w", err)
	}
	return nil
}

// EntitledCode returns the code, used or not, with its person, the state of its session, and what the person may do and have,
// in one query; or ErrNotFound.
func (s *Store) EntitledCode(ctx context.Context, signature []byte, as Acting) (*AuthorizationCode, error) {
	c, ses := &AuthorizationCode{User: &User{}}, joinedSession{}
	var err error
	c.Entitlements, err = s.takeEntitled(ctx, entitledCode, slices.Concat(c.targets(), c.User.targets(), ses.targets()), signature, as)
	if err != nil {
		return nil, fmt.Errorf("authorization code: %w", err)
	}
	c.Session = ses.session()
	return c, nil
}

var entitledCode = entitled("authorization_codes", "authorization_codes.signature", codeColumns+", "+userColumns+", "+sessionState,
	" JOIN users ON users.id = authorization_codes.user_id LEFT JOIN sessions ON sessions.id = authorization_codes.session_id"+
		" LEFT JOIN members AS bound ON bound.organization_id = authorization_codes.organization_id AND bound.user_id = authorization_codes.user_id")

// ConsumeAuthorizationCode marks the code, which is bound to the organization or, when that is empty, to none, used and reports
// whether this call was the first to do so, while the session and the membership behind it still stood. The single conditional UPDATE is what makes a code work at most once under
// concurrent redemption. It holds on to both until its transaction ends: whoever ends sessions and then grants, after a
// password change say, waits for it and so finds the grant that comes of the code.
func (s *Store) ConsumeAuthorizationCode(ctx context.Context, signature []byte, organizationID string) (first bool, err error) {
	member := ""
	if organizationID != "" {
		member = " AND EXISTS (SELECT 1 FROM members WHERE members.organization_id = $3 AND members.user_id = authorization_codes.user_id" + s.sharing() + ")"
	}
	first, err = s.decide(ctx, "UPDATE authorization_codes SET used_at = $1 WHERE signature = $2 AND used_at IS NULL AND organization_id = $3"+member+
		" AND EXISTS (SELECT 1 FROM sessions WHERE sessions.id = authorization_codes.session_id AND sessions.ended_at IS NULL"+s.sharing()+")",
		s.now(), signature, organizationID)
	if err != nil {
		return false, fmt.Errorf("consume authorization code: %w", err)
	}
	return first, nil
}

// dropAuthorizationCodes deletes the codes that match and could still be exchanged. The index on expires_at finds them
// among those of the last minute.
func (s *Store) dropAuthorizationCodes(ctx context.Context, where string, args ...any) error {
	err := s.db(ctx).Where("expires_at > ? AND used_at IS NULL", s.now()).Where(where, args...).Delete(&AuthorizationCode{}).Error
	if err != nil {
		return fmt.Errorf("delete authorization codes: %w", known(err))
	}
	return nil
}
