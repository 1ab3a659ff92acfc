package admin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"auth-service/problem"
	"auth-service/store"
)

var errKeyReused = problem.New(http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED",
	"This Idempotency-Key was used for another request. Choose a new one for each.")

// Idempotent is the header with which a caller makes sure that a POST happens once, however often it is sent.
type Idempotent struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"Any text of your choice. The same request with the same key gets the first answer again, for 24 hours; failed requests do not count."`
}

// Replay marks an answer that was given before.
type Replay struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when this is the first answer again."`
}

// once runs fn, unless the actor made the same request with the same key before: then it returns that answer. The
// request is what the operation was called with, path included. Either way fn's writes are one transaction.
func once[T any](ctx context.Context, h *Handler, in Idempotent, operation string, request any, fn func(ctx context.Context) (T, error)) (out T, replay Replay, err error) {
	if in.Key == "" {
		out, err = fn(ctx)
		return out, replay, err
	}
	text, err := json.Marshal([]any{operation, request})
	if err != nil {
		return out, replay, fmt.Errorf("hash request: %w", err)
	}
	hash := sha256.Sum256(text)
	actor := actorIn(ctx)
	attempt := store.IdempotentRequest{Actor: actor.Type + ":" + actor.ID, Key: in.Key, Hash: hash[:]}
	response, replayed, err := h.Store.Once(ctx, attempt, func(ctx context.Context) ([]byte, error) {
		answer, err := fn(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	})
	if errors.Is(err, store.ErrKeyReused) {
		return out, replay, errKeyReused.Because(err)
	}
	if err != nil {
		return out, replay, err
	}
	if replayed {
		replay.Replayed = "true"
	}
	return out, replay, json.Unmarshal(response, &out)
}
