package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

const reservationColumns = "consumption_reservations.id, consumption_reservations.application_id, consumption_reservations.client_id, " +
	"consumption_reservations.user_id, consumption_reservations.organization_id, consumption_reservations.account_user_id, " +
	"consumption_reservations.account_organization_id, consumption_reservations.key, consumption_reservations.whole, " +
	"consumption_reservations.micros, consumption_reservations.enforce, consumption_reservations.state, consumption_reservations.record_id, " +
	"consumption_reservations.idempotency_key, consumption_reservations.metadata, consumption_reservations.answer, " +
	"consumption_reservations.created_at, consumption_reservations.expires_at"

func (r *ConsumptionReservation) targets() []any {
	return []any{&r.ID, &r.ApplicationID, &r.ClientID, &r.UserID, &r.OrganizationID, &r.Account.UserID,
		&r.Account.OrganizationID, &r.Key, &r.Amount.whole, &r.Amount.micros, &r.Enforce, &r.State, &r.RecordID,
		&r.IdempotencyKey, &r.Metadata, &r.Answer, instant{&r.CreatedAt}, instant{&r.ExpiresAt}}
}

func (r *ConsumptionReservation) values() []any {
	return []any{r.ID, r.ApplicationID, r.ClientID, r.UserID, r.OrganizationID, r.Account.UserID,
		r.Account.OrganizationID, r.Key, r.Amount.whole, r.Amount.micros, r.Enforce, r.State, r.RecordID,
		r.IdempotencyKey, r.Metadata, r.Answer, r.CreatedAt, r.ExpiresAt}
}

// CreateReservation inserts r. It returns ErrConflict when the application has one with the idempotency key.
func (s *Store) CreateReservation(ctx context.Context, r *ConsumptionReservation) error {
	if err := s.insert(ctx, "consumption_reservations", reservationColumns, r.values()); err != nil {
		return fmt.Errorf("create reservation %s: %w", r.ID, err)
	}
	return nil
}

// ReservationByID returns a reservation of the application, or ErrNotFound.
func (s *Store) ReservationByID(ctx context.Context, applicationID, id string) (*ConsumptionReservation, error) {
	return s.reservation(ctx, "SELECT "+reservationColumns+" FROM consumption_reservations WHERE id = $1 AND application_id = $2", id, applicationID)
}

// ReservationByKey returns the application's reservation with the idempotency key, or ErrNotFound.
func (s *Store) ReservationByKey(ctx context.Context, applicationID, idempotencyKey string) (*ConsumptionReservation, error) {
	return s.reservation(ctx, "SELECT "+reservationColumns+` FROM consumption_reservations
 WHERE application_id = $1 AND idempotency_key = $2 AND idempotency_key <> ''`, applicationID, idempotencyKey)
}

// CommitReservation makes an open reservation the record with the id and returns it, or ErrNotFound: then it is not open at the time
// now. Of parallel calls one finds it.
func (s *Store) CommitReservation(ctx context.Context, applicationID, id, recordID string, now time.Time) (*ConsumptionReservation, error) {
	return s.reservation(ctx, `UPDATE consumption_reservations SET state = 'committed', record_id = $3
 WHERE id = $1 AND application_id = $2 AND state = 'open' AND expires_at > $4 RETURNING `+reservationColumns, id, applicationID, recordID, now)
}

func (s *Store) reservation(ctx context.Context, query string, args ...any) (*ConsumptionReservation, error) {
	var r ConsumptionReservation
	if err := s.take(ctx, r.targets(), query, args...); err != nil {
		return nil, fmt.Errorf("reservation %q: %w", args[0], err)
	}
	r.Account.ApplicationID = r.ApplicationID
	return &r, nil
}

// ReleaseReservation gives up a reservation that was not committed and reports whether this call did it.
func (s *Store) ReleaseReservation(ctx context.Context, applicationID, id string) (bool, error) {
	released, err := s.decide(ctx, `UPDATE consumption_reservations SET state = 'released'
 WHERE id = $1 AND application_id = $2 AND state = 'open'`, id, applicationID)
	if err != nil {
		return false, fmt.Errorf("release reservation %s: %w", id, err)
	}
	return released, nil
}

// A Balance names what may be reserved: of a key, from an account.
type Balance struct {
	Account
	Key string
}

// Two queries for each row, because PostgreSQL would rather read all that is reserved than look for little of it twice.
var reservedOf = many(strings.ReplaceAll(`SELECT x.n, (SELECT CAST(sum(r.whole) AS bigint) @held), (SELECT CAST(sum(r.micros) AS bigint) @held) FROM @rows`,
	"@held", `FROM consumption_reservations AS r WHERE r.application_id = x.application_id AND r.account_user_id = x.user_id
 AND r.account_organization_id = x.organization_id AND r.key = x.key AND r.state = 'open' AND r.expires_at > $1`), 1,
	"n bigint", "application_id text", "user_id text", "organization_id text", "key text")

// Reserved returns how much is reserved at the time now. Balances with nothing reserved are left out.
func (s *Store) Reserved(ctx context.Context, balances []Balance, now time.Time) (map[Balance]Amount, error) {
	rows, keys := newAccountRows(len(balances)), make([]string, len(balances))
	for i, b := range balances {
		rows.add(b.Account)
		keys[i] = b.Key
	}
	out := map[Balance]Amount{}
	err := s.queryMany(ctx, reservedOf, []any{now}, append(append([]any{rows.n}, rows.columns()...), keys), func(row scanner) error {
		var n int
		var whole, micros sql.NullInt64
		err := row.Scan(&n, &whole, &micros)
		if whole.Valid {
			out[balances[n]] = Amount{whole.Int64, micros.Int64}.Add(Amount{}) // carries
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sum reservations: %w", err)
	}
	return out, nil
}

// OpenReservations counts what is reserved of a key from an account at the time now, up to limit.
func (s *Store) OpenReservations(ctx context.Context, b Balance, now time.Time, limit int) (n int, err error) {
	err = s.take(ctx, []any{&n}, `SELECT count(*) FROM (SELECT 1 FROM consumption_reservations WHERE application_id = $1 AND account_user_id = $2
 AND account_organization_id = $3 AND key = $4 AND state = 'open' AND expires_at > $5 LIMIT $6) AS x`,
		b.ApplicationID, b.UserID, b.OrganizationID, b.Key, now, limit)
	if err != nil {
		return 0, fmt.Errorf("count reservations: %w", err)
	}
	return n, nil
}
