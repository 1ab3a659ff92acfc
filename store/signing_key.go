package store

import (
	"context"
	"fmt"
	"time"
)

// A SigningKey is one key pair of the key set. It is published before it signs (ActivatedAt nil), signs until RetiredAt,
// and is listed until ExpiresAt, when the last token it signed is dead.
type SigningKey struct {
	ID          string `gorm:"primaryKey"` // kid
	Alg         string
	PublicJWK   string `gorm:"column:public_jwk"`
	PrivateKey  string // PKCS #8, sealed
	CreatedAt   time.Time
	ActivatedAt *time.Time
	RetiredAt   *time.Time
	ExpiresAt   *time.Time
}

// SigningKeys returns every key that must be published at this time, oldest first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	var keys []SigningKey
	if err := s.db(ctx).Order("created_at, id").Find(&keys, "expires_at IS NULL OR expires_at > ?", s.now()).Error; err != nil {
		return nil, fmt.Errorf("signing keys: %w", known(err))
	}
	return keys, nil
}

// CreateSigningKey inserts a key. ErrConflict means that another replica made that key first: an algorithm has at most
// one active and one next key, which the database guarantees.
func (s *Store) CreateSigningKey(ctx context.Context, k *SigningKey) error {
	if err := s.db(ctx).Create(k).Error; err != nil {
		return fmt.Errorf("create signing key: %w", known(err))
	}
	return nil
}

// RotateSigningKey retires the active key of alg and lets the published next one sign; successor becomes the new next.
// The retired key stays listed for keep. It returns ErrConflict when the active key is no longer the one named: another
// replica rotated first. The event is written with it.
func (s *Store) RotateSigningKey(ctx context.Context, alg, active string, successor *SigningKey, keep time.Duration, event AuditEvent) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		now := s.now()
		res := s.db(ctx).Model(&SigningKey{}).Where("id = ? AND retired_at IS NULL", active).
			Updates(map[string]any{"retired_at": now, "expires_at": now.Add(keep)})
		if res.Error == nil && res.RowsAffected == 0 {
			return fmt.Errorf("rotate %s: %w", alg, ErrConflict)
		}
		if res.Error == nil {
			res = s.db(ctx).Model(&SigningKey{}).Where("alg = ? AND activated_at IS NULL", alg).Update("activated_at", now)
		}
		if res.Error != nil {
			return fmt.Errorf("rotate %s: %w", alg, known(res.Error))
		}
		if err := s.CreateSigningKey(ctx, successor); err != nil {
			return err
		}
		return s.Audit(ctx, event)
	})
}
