package store

import (
	"context"
	"time"
)

// SimpleRecord stands in until the recorder is there.
func (s *Store) SimpleRecord(ctx context.Context, app, client, user, org, key string, a Amount, now time.Time) (Amount, error) {
	var total Amount
	_, err := s.direct(ctx).ExecContext(ctx, `INSERT INTO consumption_records (application_id, id, kind, client_id, user_id, organization_id, key, whole, micros,
 occurred_at, recorded_at, idempotency_key, metadata, answer) VALUES ($1, $2, 'used', $3, $4, $5, $6, $7, $8, $9, $9, '', '', '')`,
		app, NewID(), client, user, org, key, a.whole, a.micros, now)
	if err != nil {
		return total, known(err)
	}
	err = s.take(ctx, []any{&total.whole, &total.micros}, `INSERT INTO consumption_counters AS c (application_id, user_id, organization_id, period, starts_at, key,
 total_whole, total_micros, charged_whole, charged_micros, count, notified) VALUES ($1, $2, '', '', $3, $4, $5, $6, $5, $6, 1, 0)
 ON CONFLICT (application_id, user_id, organization_id, period, starts_at, key) DO UPDATE SET
 total_whole = c.total_whole + excluded.total_whole + (c.total_micros + excluded.total_micros) / 1000000,
 total_micros = (c.total_micros + excluded.total_micros) % 1000000, count = c.count + 1
 RETURNING total_whole, total_micros`, app, user, Epoch, key, a.whole, a.micros)
	return total, err
}
