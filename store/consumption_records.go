package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

var insertRecords = many(`INSERT INTO consumption_records (application_id, id, kind, client_id, user_id, organization_id, key, whole, micros,
 occurred_at, recorded_at, idempotency_key, metadata, answer)
 SELECT x.application_id, x.id, x.kind, x.client_id, x.user_id, x.organization_id, x.key, x.whole, x.micros,
 x.occurred_at, x.recorded_at, x.idempotency_key, x.metadata, x.answer FROM @rows`, 0,
	"application_id text", "id text", "kind text", "client_id text", "user_id text", "organization_id text", "key text", "whole bigint", "micros bigint",
	"occurred_at timestamptz", "recorded_at timestamptz", "idempotency_key text", "metadata text", "answer text")

// InsertRecords appends to the ledger, and sorts the records for it. It returns ErrConflict when one of the idempotency keys is there already.
func (s *Store) InsertRecords(ctx context.Context, records []ConsumptionRecord) error {
	// by their idempotency keys, so that two who insert the same ones do not wait for each other in a circle
	slices.SortFunc(records, func(a, b ConsumptionRecord) int {
		return cmp.Or(cmp.Compare(a.IdempotencyKey, b.IdempotencyKey), cmp.Compare(a.ID, b.ID))
	})
	n := len(records)
	text := func(of func(*ConsumptionRecord) string) []string {
		out := make([]string, n)
		for i := range records {
			out[i] = of(&records[i])
		}
		return out
	}
	whole, micros := make([]int64, n), make([]int64, n)
	occurred, recorded := make([]time.Time, n), make([]time.Time, n)
	for i := range records {
		r := &records[i]
		whole[i], micros[i], occurred[i], recorded[i] = r.Amount.whole, r.Amount.micros, r.OccurredAt, r.RecordedAt
	}
	return s.execMany(ctx, insertRecords, nil, []any{
		text(func(r *ConsumptionRecord) string { return r.ApplicationID }), text(func(r *ConsumptionRecord) string { return r.ID }),
		text(func(r *ConsumptionRecord) string { return r.Kind }), text(func(r *ConsumptionRecord) string { return r.ClientID }),
		text(func(r *ConsumptionRecord) string { return r.UserID }), text(func(r *ConsumptionRecord) string { return r.OrganizationID }),
		text(func(r *ConsumptionRecord) string { return r.Key }), whole, micros, occurred, recorded,
		text(func(r *ConsumptionRecord) string { return r.IdempotencyKey }), text(func(r *ConsumptionRecord) string { return r.Metadata }),
		text(func(r *ConsumptionRecord) string { return r.Answer }),
	}, func(err error) error { return fmt.Errorf("insert %d records: %w", n, err) })
}

// RecordByID returns as much of a record of the application as FactsAndRecords does, or ErrNotFound.
func (s *Store) RecordByID(ctx context.Context, applicationID, id string) (*ConsumptionRecord, error) {
	r := ConsumptionRecord{ApplicationID: applicationID, ID: id}
	err := s.take(ctx, []any{&r.IdempotencyKey, &r.UserID, &r.OrganizationID, &r.Key, &r.Amount.whole, &r.Amount.micros, &r.Answer},
		`SELECT idempotency_key, user_id, organization_id, key, whole, micros, answer FROM consumption_records
 WHERE application_id = $1 AND id = $2`, applicationID, id)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", id, err)
	}
	return &r, nil
}
