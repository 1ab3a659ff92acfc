package store

import (
	"context"
	"fmt"
	"time"
)

// A Webhook is where an application wants to be told of events. There is at most one of each.
type Webhook struct {
	ApplicationID       string `gorm:"primaryKey"`
	URL                 string `gorm:"column:url"`
	Enabled             bool
	Secret              string // sealed
	PreviousSecret      string // sealed; empty when there is none
	PreviousSecretUntil *time.Time
	CreatedAt           time.Time
	UpdatedAt           time.Time
}

// WebhookByApplication returns the application's webhook, or ErrNotFound.
func (s *Store) WebhookByApplication(ctx context.Context, applicationID string) (*Webhook, error) {
	var w Webhook
	if err := s.db(ctx).Take(&w, "application_id = ?", applicationID).Error; err != nil {
		return nil, fmt.Errorf("webhook of application %s: %w", applicationID, known(err))
	}
	return &w, nil
}

// CreateWebhook inserts w with its first secret. It returns ErrConflict when the application has one.
func (s *Store) CreateWebhook(ctx context.Context, w *Webhook, secret []byte) error {
	w.CreatedAt = s.now()
	w.UpdatedAt, w.Secret = w.CreatedAt, s.keyring.Seal(w.sealing(), secret)
	if err := s.db(ctx).Create(w).Error; err != nil {
		return fmt.Errorf("create webhook of application %s: %w", w.ApplicationID, known(err))
	}
	return nil
}

// UpdateWebhook writes where w goes and whether it does. What waits for one that is disabled fails.
func (s *Store) UpdateWebhook(ctx context.Context, w *Webhook) error {
	w.UpdatedAt = s.now()
	res := s.db(ctx).Model(&Webhook{}).Where("application_id = ?", w.ApplicationID).Select("url", "enabled", "updated_at").UpdateColumns(w)
	if err := touched(res); err != nil {
		return fmt.Errorf("update webhook of application %s: %w", w.ApplicationID, err)
	}
	if w.Enabled {
		return nil
	}
	return s.giveUpPending(ctx, w.ApplicationID)
}

// DisableWebhook disables the application's webhook if it is enabled and goes to the URL, and reports whether it did. What waits
// for it fails.
func (s *Store) DisableWebhook(ctx context.Context, applicationID, url string) (bool, error) {
	var disabled bool
	err := s.Tx(ctx, func(ctx context.Context) (err error) {
		disabled, err = s.decide(ctx, "UPDATE webhooks SET enabled = false, updated_at = $1 WHERE application_id = $2 AND url = $3 AND enabled", s.now(), applicationID, url)
		if err != nil || !disabled {
			return err
		}
		return s.giveUpPending(ctx, applicationID)
	})
	if err != nil {
		return false, fmt.Errorf("disable webhook of application %s: %w", applicationID, err)
	}
	return disabled, nil
}

// RotateWebhookSecret makes secret the one that signs. The one until now signs as well for the overlap, or ends at once when
// that is zero. Callers hold the application's lock.
func (s *Store) RotateWebhookSecret(ctx context.Context, w *Webhook, secret []byte, overlap time.Duration) error {
	w.PreviousSecret, w.PreviousSecretUntil = "", nil
	w.UpdatedAt = s.now()
	if overlap > 0 {
		ends := w.UpdatedAt.Add(overlap)
		w.PreviousSecret, w.PreviousSecretUntil = w.Secret, &ends
	}
	w.Secret = s.keyring.Seal(w.sealing(), secret)
	res := s.db(ctx).Model(&Webhook{}).Where("application_id = ?", w.ApplicationID).
		Select("secret", "previous_secret", "previous_secret_until", "updated_at").UpdateColumns(w)
	if err := touched(res); err != nil {
		return fmt.Errorf("rotate secret of the webhook of application %s: %w", w.ApplicationID, err)
	}
	return nil
}

// WebhookSecrets opens what signs now: the current secret and, during a rotation, the one before.
func (s *Store) WebhookSecrets(w *Webhook) ([][]byte, error) {
	sealed := []string{w.Secret}
	if w.PreviousSecretUntil != nil && s.now().Before(*w.PreviousSecretUntil) {
		sealed = append(sealed, w.PreviousSecret)
	}
	out := make([][]byte, len(sealed))
	for i := range sealed {
		var err error
		if out[i], err = s.keyring.Open(w.sealing(), sealed[i]); err != nil {
			return nil, fmt.Errorf("open webhook secret: %w", err)
		}
	}
	return out, nil
}

// sealing is one context for both secrets, because the current one becomes the previous as it is.
func (w *Webhook) sealing() string { return "webhooks/secret/" + w.ApplicationID }

// DeleteWebhook removes the application's webhook. What waits for it fails.
func (s *Store) DeleteWebhook(ctx context.Context, applicationID string) error {
	if err := touched(s.db(ctx).Delete(&Webhook{}, "application_id = ?", applicationID)); err != nil {
		return fmt.Errorf("delete webhook of application %s: %w", applicationID, err)
	}
	return s.giveUpPending(ctx, applicationID)
}
