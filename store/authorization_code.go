package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/clause"
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
}

// Redeemable reports whether person and session behind the code still stand at the time now.
func (c *AuthorizationCode) Redeemable(now time.Time) bool {
	return c.User != nil && !c.User.Disabled(now) && c.Session.open(now)
}

// CreateAuthorizationCode stores a fresh, unused code.
func (s *Store) CreateAuthorizationCode(ctx context.Context, c *AuthorizationCode) error {
	if err := s.db(ctx).Omit(clause.Associations).Create(c).Error; err != nil {
		return fmt.Errorf("create authorization code: %w", known(err))
	}
	return nil
}

// AuthorizationCodeBySignature returns the code, used or not, with its person and session in one query, or ErrNotFound.
func (s *Store) AuthorizationCodeBySignature(ctx context.Context, signature []byte) (*AuthorizationCode, error) {
	var c AuthorizationCode
	err := s.db(ctx).Joins("User").Joins("Session").Take(&c, "authorization_codes.signature = ?", signature).Error
	if err != nil {
		return nil, fmt.Errorf("authorization code: %w", known(err))
	}
	return &c, nil
}

// ConsumeAuthorizationCode marks the code used and reports whether this call was the first to do so.
// The single conditional UPDATE is what makes a code work at most once under concurrent redemption.
func (s *Store) ConsumeAuthorizationCode(ctx context.Context, signature []byte) (first bool, err error) {
	res := s.db(ctx).Exec("UPDATE authorization_codes SET used_at = ? WHERE signature = ? AND used_at IS NULL", s.now(), signature)
	if res.Error != nil {
		return false, fmt.Errorf("consume authorization code: %w", known(res.Error))
	}
	return res.RowsAffected == 1, nil
}
