package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// reapBatch keeps each deletion so short that nobody waits for it.
	reapBatch = 500
	// keepExpired is how long dead rows stay, for clocks that differ and for whoever has to find out what happened. It is
	// far above the half hour for which a used authorization code must be recognised (RFC 6749 §4.1.2).
	keepExpired = 24 * time.Hour
	// keepEnded is how long the history of sessions, grants, invitations and webhooks stays.
	keepEnded = 30 * 24 * time.Hour
)

// Reap deletes rows that died long enough ago, in batches. Nothing depends on it: what has expired is refused whether or
// not it is gone. Every replica may run it at any time; deleting what another has deleted is no harm.
func (s *Store) Reap(ctx context.Context, usage Retention) error {
	for _, kind := range []struct {
		table string
		keep  time.Duration
		purge func(ctx context.Context, before time.Time, limit int) (int64, error)
	}{
		{"authorization_codes", keepExpired, s.PurgeAuthorizationCodes},
		{"authorization_requests", keepExpired, s.PurgeAuthorizationRequests},
		{"grants", keepExpired, s.PurgeExpiredGrants},
		{"grants", keepEnded, s.PurgeRevokedGrants},
		{"revocations", keepExpired, s.PurgeRevocations},
		{"signing_keys", keepExpired, s.PurgeSigningKeys},
		{"client_secrets", keepExpired, s.PurgeClientSecrets},
		{"idempotency_keys", keepExpired, s.PurgeIdempotencyKeys},
		{"sign_in_throttles", keepExpired, s.PurgeAttempts},
		{"sessions", keepEnded, s.PurgeSessions},
		{"invitations", keepEnded, s.PurgeInvitations},
		{"outbox", keepEnded, s.PurgeOutbox},
		{"daily_statistics", keepStatistics, s.PurgeStatistics},
		{"monthly_statistics", keepStatistics, s.PurgeMonthlyStatistics},
		{"consumption_reservations", keepEnded, s.PurgeReservations},
	} {
		if err := s.reap(ctx, kind.table, s.now().Add(-kind.keep), kind.purge); err != nil {
			return err
		}
	}
	return s.reapConsumption(ctx, usage)
}

// reap purges one kind until a batch is not full. Each batch is a transaction of its own, because replicas that reap at
// the same moment may collide, and Tx tries again.
func (s *Store) reap(ctx context.Context, table string, before time.Time, purge func(context.Context, time.Time, int) (int64, error)) error {
	var total int64
	for {
		var n int64
		err := s.Tx(ctx, func(ctx context.Context) (err error) {
			n, err = purge(ctx, before, reapBatch)
			return err
		})
		if err != nil {
			return fmt.Errorf("reap %s: %w", table, err)
		}
		if total += n; n < reapBatch {
			break
		}
	}
	if total > 0 {
		s.log.Info().Str("table", table).Int64("rows", total).Msg("dead rows deleted")
	}
	return nil
}

// PurgeAuthorizationCodes deletes up to limit codes, used or not, that expired before the given time. A code that is
// replayed later than that is merely unknown.
func (s *Store) PurgeAuthorizationCodes(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "authorization_codes", "signature", "expires_at < ?", before, limit)
}

// PurgeAuthorizationRequests deletes up to limit requests that expired before the given time, finished or not.
func (s *Store) PurgeAuthorizationRequests(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "authorization_requests", "id", "expires_at < ?", before, limit)
}

// PurgeExpiredGrants deletes up to limit grants whose absolute lifetime ended before the given time.
func (s *Store) PurgeExpiredGrants(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "grants", "id", "expires_at < ?", before, limit)
}

// PurgeRevokedGrants deletes up to limit grants that were revoked before the given time.
func (s *Store) PurgeRevokedGrants(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "grants", "id", "revoked_at IS NOT NULL AND revoked_at < ?", before, limit)
}

// PurgeRevocations deletes up to limit revocations of which no token was alive at the given time.
func (s *Store) PurgeRevocations(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "revocations", "(kind, id)", "expires_at < ?", before, limit)
}

// PurgeSigningKeys deletes up to limit keys, private part included, that ceased to be published before the given time.
func (s *Store) PurgeSigningKeys(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "signing_keys", "id", "expires_at < ?", before, limit)
}

// purge deletes rows that are dead. The arguments but the last two are constants of this file.
func (s *Store) purge(ctx context.Context, table, key, dead string, before any, limit int) (int64, error) {
	columns := strings.Trim(key, "()")
	res := s.db(ctx).Exec("DELETE FROM "+table+" WHERE "+key+" IN (SELECT "+columns+" FROM "+table+" WHERE "+dead+" LIMIT ?)", before, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge %s: %w", table, known(res.Error))
	}
	return res.RowsAffected, nil
}
