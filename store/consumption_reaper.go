package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// A Retention says how long the details of usage stay. Totals stay in any case.
type Retention struct {
	Records time.Duration // of the ledger; zero keeps it
	Hours   time.Duration // of what history says hour by hour: older hours are gathered into days; zero keeps them
}

// reapConsumption deletes old entries of the ledger, gathers old hours, and ends what belonged to deleted applications.
func (s *Store) reapConsumption(ctx context.Context, keep Retention) error {
	if keep.Hours > 0 {
		before, _ := PeriodAt(PeriodDay, s.now().Add(-keep.Hours))
		if err := s.reap(ctx, "consumption_buckets", before, s.GatherHours); err != nil {
			return err
		}
	}
	return s.eachConsumer(ctx, func(applicationID string, exists bool) error {
		if !exists {
			return s.reapConsumer(ctx, applicationID)
		}
		if keep.Records == 0 {
			return nil
		}
		return s.reap(ctx, "consumption_records", s.now().Add(-keep.Records), func(ctx context.Context, before time.Time, limit int) (int64, error) {
			return s.PurgeRecords(ctx, applicationID, before, limit)
		})
	})
}

// eachConsumer calls fn for each application of which anything was counted, and tells whether it still exists. It leaps from one to
// the next in the index, however much lies between them.
func (s *Store) eachConsumer(ctx context.Context, fn func(applicationID string, exists bool) error) error {
	for last := ""; ; {
		var next sql.NullString
		var exists bool
		err := s.take(ctx, []any{&next, &exists}, `SELECT next.application_id, EXISTS (SELECT 1 FROM applications WHERE applications.id = next.application_id)
 FROM (SELECT min(application_id) AS application_id FROM consumption_counters WHERE application_id > $1) AS next`, last)
		if err != nil {
			return fmt.Errorf("list applications with usage: %w", err)
		}
		if !next.Valid {
			return nil
		}
		if err := fn(next.String, exists); err != nil {
			return err
		}
		last = next.String
	}
}

// reapConsumer deletes all usage of an application that does not exist any more. The counters go last, because they lead here;
// reservations end by themselves.
func (s *Store) reapConsumer(ctx context.Context, applicationID string) error {
	for _, table := range []struct{ name, key string }{
		{"consumption_records", "application_id, id"},
		{"consumption_buckets", bucketKey},
		{"consumption_counters", counterKey},
	} {
		err := s.reap(ctx, table.name, s.now(), func(ctx context.Context, _ time.Time, limit int) (int64, error) {
			return s.purge(ctx, table.name, "("+table.key+")", "application_id = ?", applicationID, limit)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// PurgeRecords deletes up to limit entries of the application's ledger that were recorded before the given time. Their ids begin
// with that time, so the primary key finds them.
func (s *Store) PurgeRecords(ctx context.Context, applicationID string, before time.Time, limit int) (int64, error) {
	res, err := s.direct(ctx).ExecContext(ctx, `DELETE FROM consumption_records WHERE application_id = $1 AND id IN
 (SELECT id FROM consumption_records WHERE application_id = $1 AND id < $2 ORDER BY id LIMIT $3)`, applicationID, firstID(before), limit)
	if err != nil {
		return 0, fmt.Errorf("purge consumption_records: %w", known(err))
	}
	n, err := res.RowsAffected()
	return n, known(err)
}

// firstID sorts before all ids that NewID makes from t on, and after those it made in the milliseconds before.
func firstID(t time.Time) string {
	ms := uint64(max(t.UnixMilli(), 0))
	return fmt.Sprintf("%08x-%04x-7000-8000-000000000000", ms>>16, ms&0xffff)
}

// GatherHours adds up to limit buckets of hours that began before the given time to those of their days. What is taken away is what
// is added: the DELETE returns the rows as they are when it has them, also if it had to wait for somebody who added to one. Call it
// in a transaction.
func (s *Store) GatherHours(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	rows, err := s.direct(ctx).QueryContext(ctx, `DELETE FROM consumption_buckets WHERE (`+bucketKey+`) IN
 (SELECT `+bucketKey+` FROM consumption_buckets WHERE width = 'hour' AND starts_at < $1 ORDER BY starts_at LIMIT $2)
 RETURNING application_id, user_id, organization_id, key, starts_at, total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at`,
		before, limit)
	if err != nil {
		return 0, fmt.Errorf("gather hours: %w", known(err))
	}
	defer rows.Close()
	days := map[BucketID]Tally{}
	for rows.Next() {
		id, t := BucketID{Width: BucketDay}, Tally{}
		err := rows.Scan(&id.ApplicationID, &id.UserID, &id.OrganizationID, &id.Key, instant{&id.StartsAt},
			&t.Total.whole, &t.Total.micros, &t.Charged.whole, &t.Charged.micros, &t.Count, moment{&t.FirstAt}, moment{&t.LastAt})
		if err != nil {
			return 0, fmt.Errorf("gather hours: %w", known(err))
		}
		id.StartsAt, _ = PeriodAt(PeriodDay, id.StartsAt)
		sum := days[id]
		sum.Add(t)
		days[id] = sum
		n++
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("gather hours: %w", known(err))
	}
	if n == 0 {
		return 0, nil
	}
	return n, s.AddToBuckets(ctx, days)
}

// PurgeReservations deletes up to limit reservations whose time ran out before the given time.
func (s *Store) PurgeReservations(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "consumption_reservations", "id", "expires_at < ?", before, limit)
}
