package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Claim is what to hold for a job whose use is known only when it is done.
type Claim struct {
	UserID         string
	Key            string
	Amount         Amount // 1 when empty
	OrganizationID string
	ExpiresIn      time.Duration // in whole seconds; 15 minutes when 0
	Metadata       map[string]any
	IdempotencyKey string // made for this call when empty
	Enforce        bool
}

// A Reservation counts against the limit until it is committed, released or over.
type Reservation struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"`
	Amount    Amount    `json:"amount"`
	ExpiresAt time.Time `json:"expiresAt"`
	State     string    `json:"state"`
	Duplicate bool      `json:"duplicate"` // it was made before, under the same idempotency key
	Total     Amount    `json:"total"`
	Reserved  Amount    `json:"reserved"` // by all open ones of the account
	Period    Period    `json:"period"`
	Limit     *Amount   `json:"limit"`
	Remaining *Amount   `json:"remaining"`
	Exceeded  bool      `json:"exceeded"`
}

// Reserve holds an amount before it is used. It fails with ErrQuotaExceeded as Record does.
func (c *Client) Reserve(ctx context.Context, claim Claim) (Reservation, error) {
	if claim.IdempotencyKey == "" {
		claim.IdempotencyKey = NewIdempotencyKey()
	}
	body := struct {
		Question
		ExpiresIn      int64          `json:"expiresIn,omitempty"`
		Metadata       map[string]any `json:"metadata,omitempty"`
		IdempotencyKey string         `json:"idempotencyKey"`
	}{
		Question{claim.UserID, claim.Key, claim.Amount, claim.OrganizationID, claim.Enforce},
		int64(claim.ExpiresIn / time.Second), claim.Metadata, claim.IdempotencyKey,
	}
	var answer Reservation
	err := c.call(ctx, http.MethodPost, "/reservations", body, &answer)
	return answer, err
}

// Commit records what was used of a reservation, all of it when amount is empty, and frees the rest. More than was
// reserved has to fit the limit as well. To commit again gives the first answer.
func (c *Client) Commit(ctx context.Context, id string, amount Amount) (Recorded, error) {
	body := struct {
		Amount Amount `json:"amount,omitempty"`
	}{amount}
	var answer Recorded
	err := c.call(ctx, http.MethodPost, "/reservations/"+url.PathEscape(id)+"/commit", body, &answer)
	return answer, err
}

// Release frees all of a reservation. To release again does nothing.
func (c *Client) Release(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/reservations/"+url.PathEscape(id)+"/release", nil, nil)
}
