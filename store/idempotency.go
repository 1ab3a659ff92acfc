package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// idempotencyLifetime is how long an answer can be had again.
const idempotencyLifetime = 24 * time.Hour

// ErrKeyReused means that an idempotency key came back with another request than the first.
var ErrKeyReused = errors.New("idempotency key was used for another request")

// An IdempotencyKey remembers the answer to a request, so that who did not receive it can ask again without acting twice.
type IdempotencyKey struct {
	ID          string `gorm:"primaryKey"` // a hash of actor and key
	RequestHash []byte
	Response    string // sealed: it may hold a client secret
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// An IdempotentRequest is one attempt at something that must happen once.
type IdempotentRequest struct {
	Actor string // keys of different actors never meet
	Key   string // as the actor chose it
	Hash  []byte // of everything that makes the request what it is
}

func (r IdempotentRequest) id() string {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(r.Actor))))
	h.Write([]byte(r.Actor))
	h.Write([]byte(r.Key))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Once runs fn in a transaction together with the note that r was done, so that both happen or neither. A later attempt
// gets the first one's response instead; one that comes in the meantime waits. ErrKeyReused when the hash differs.
// When fn fails nothing is kept, and the key may be used again.
func (s *Store) Once(ctx context.Context, r IdempotentRequest, fn func(ctx context.Context) (response []byte, err error)) (response []byte, replayed bool, err error) {
	id := r.id()
	err = s.Tx(ctx, func(ctx context.Context) error {
		won, err := s.claimIdempotencyKey(ctx, id, r.Hash)
		if err != nil {
			return err
		}
		if !won {
			replayed = true
			response, err = s.idempotentResponse(ctx, id, r.Hash)
			return err
		}
		replayed = false
		if response, err = fn(ctx); err != nil {
			return err
		}
		sealed := s.keyring.Seal(idempotencyContext(id), response)
		return known(s.db(ctx).Model(&IdempotencyKey{ID: id}).Update("response", sealed).Error)
	})
	if err != nil {
		return nil, false, fmt.Errorf("idempotent request: %w", err)
	}
	return response, replayed, nil
}

// claimIdempotencyKey inserts the row, or takes over an expired one, and reports whether it did. Of parallel callers one wins: on
// PostgreSQL the others wait here for its end, on SQLite they wait at BEGIN.
func (s *Store) claimIdempotencyKey(ctx context.Context, id string, hash []byte) (bool, error) {
	now := s.now()
	res := s.db(ctx).Exec(`INSERT INTO idempotency_keys (id, request_hash, response, created_at, expires_at) VALUES (?, ?, '', ?, ?)
		ON CONFLICT (id) DO UPDATE SET request_hash = excluded.request_hash, response = '', created_at = excluded.created_at, expires_at = excluded.expires_at
		WHERE idempotency_keys.expires_at <= excluded.created_at`, id, hash, now, now.Add(idempotencyLifetime))
	if res.Error != nil {
		return false, fmt.Errorf("claim idempotency key: %w", known(res.Error))
	}
	return res.RowsAffected == 1, nil
}

func (s *Store) idempotentResponse(ctx context.Context, id string, hash []byte) ([]byte, error) {
	var k IdempotencyKey
	if err := s.db(ctx).Take(&k, "id = ?", id).Error; err != nil {
		return nil, fmt.Errorf("read idempotency key: %w", known(err))
	}
	if !bytes.Equal(k.RequestHash, hash) {
		return nil, ErrKeyReused
	}
	return s.keyring.Open(idempotencyContext(id), k.Response)
}

func idempotencyContext(id string) string { return "idempotency_keys/response/" + id }

// PurgeIdempotencyKeys deletes up to limit keys that expired before the given time.
func (s *Store) PurgeIdempotencyKeys(ctx context.Context, before time.Time, limit int) (int64, error) {
	res := s.db(ctx).Exec("DELETE FROM idempotency_keys WHERE id IN (SELECT id FROM idempotency_keys WHERE expires_at < ? LIMIT ?)", before, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge idempotency keys: %w", known(res.Error))
	}
	return res.RowsAffected, nil
}
