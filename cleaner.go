package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"auth-service/store"
)

const (
	cleanEvery = 10 * time.Minute
	// cleanBatch keeps each deletion so short that nobody waits for it.
	cleanBatch = 500
	// keepExpired is how long dead rows stay, for clocks that differ and for whoever has to find out what happened.
	keepExpired = 24 * time.Hour
)

// cleaner deletes rows that have expired. Nothing depends on it: what has expired is refused whether or not it is gone.
// Every replica runs one; deleting what another has deleted is no harm.
type cleaner struct {
	Store *store.Store
	Log   zerolog.Logger
}

// Run cleans until ctx ends, at intervals that keep replicas apart.
func (c *cleaner) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(cleanEvery/2 + rand.N(cleanEvery)):
			c.clean(ctx)
		}
	}
}

func (c *cleaner) clean(ctx context.Context) {
	for _, kind := range []struct {
		name  string
		purge func(ctx context.Context, before time.Time, limit int) (int64, error)
	}{
		{"sessions", c.Store.PurgeSessions},
		{"sign_in_throttles", c.Store.PurgeAttempts},
		{"client_secrets", c.Store.PurgeClientSecrets},
		{"idempotency_keys", c.Store.PurgeIdempotencyKeys},
	} {
		if err := c.purge(ctx, kind.name, kind.purge); err != nil {
			if ctx.Err() == nil {
				c.Log.Warn().Err(err).Str("table", kind.name).Msg("expired rows could not be deleted; tried again later")
			}
			return
		}
	}
}

func (c *cleaner) purge(ctx context.Context, name string, purge func(context.Context, time.Time, int) (int64, error)) error {
	var total int64
	for {
		n, err := purge(ctx, time.Now().Add(-keepExpired), cleanBatch)
		if err != nil {
			return err
		}
		total += n
		if n < cleanBatch {
			break
		}
	}
	if total > 0 {
		c.Log.Info().Str("table", name).Int64("rows", total).Msg("expired rows deleted")
	}
	return nil
}
