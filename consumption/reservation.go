package consumption

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"auth-service/store"
)

// maxReservations is how many of an account and key are open at most. Each use of it that may be refused adds them up.
const maxReservations = 10_000

// clocksDiffer is how far apart the clocks of replicas may be. For so long before its time runs out a reservation is no promise any
// more, and what is committed must fit the limit: to another replica the time may be over already, and the amount free.
const clocksDiffer = 5 * time.Second

// Reserve holds an amount against the limit until it is committed, released, or its lifetime is over.
func (s *Service) Reserve(ctx context.Context, c Caller, u Usage, lifetime time.Duration) (*Reserved, error) {
	var out *Reserved
	err := s.submit(ctx, &job{account: shardOf(c, &u), alone: func(ctx context.Context) (err error) {
		out, err = s.reserve(ctx, c, u, lifetime)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) reserve(ctx context.Context, c Caller, u Usage, lifetime time.Duration) (*Reserved, error) {
	if u.IdempotencyKey != "" {
		first, err := s.Store.ReservationByKey(ctx, c.ApplicationID, u.IdempotencyKey)
		if err == nil {
			return s.repeatReservation(first, &u)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	now := s.now()
	row := &store.ConsumptionReservation{
		ID: store.NewID(), ApplicationID: c.ApplicationID, ClientID: c.ClientID, UserID: u.UserID, OrganizationID: u.OrganizationID,
		Key: u.Key, Amount: u.Amount, Enforce: u.Enforce, State: store.ReservationOpen, IdempotencyKey: u.IdempotencyKey,
		Metadata: string(u.Metadata), CreatedAt: now, ExpiresAt: now.Add(lifetime),
	}
	u.At, u.IdempotencyKey = now, ""
	r := &request{caller: c, uses: []Usage{u}, reserving: row}
	if err := s.settle(ctx, []*request{r}); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, only(r.err)
	}
	return s.showReservation(row)
}

// reserve writes the reservation in place of a record.
func (w *settlement) reserve(ctx context.Context) error {
	u := w.uses[0]
	open, err := w.store.OpenReservations(ctx, u.balance(), w.now, maxReservations)
	if err != nil {
		return err
	}
	if open >= maxReservations {
		return errTooManyReservations
	}
	standing := w.standing(u, w.held[u.counter].Charged)
	standing.Reserved = standing.Reserved.Add(u.Amount)
	u.reserving.Account, u.reserving.Answer = u.account, writeAnswer(&standing)
	return w.store.CreateReservation(ctx, u.reserving)
}

// only takes the error out of those of a call with one use.
func only(err error) error {
	var refused *UsageError
	if errors.As(err, &refused) {
		return refused.Err
	}
	return err
}

func (s *Service) repeatReservation(first *store.ConsumptionReservation, u *Usage) (*Reserved, error) {
	if first.UserID != u.UserID || first.OrganizationID != u.OrganizationID || first.Key != u.Key || first.Amount != u.Amount {
		return nil, errKeyReused
	}
	out, err := s.showReservation(first)
	if err != nil {
		return nil, err
	}
	out.Duplicate = true
	return out, nil
}

func (s *Service) showReservation(r *store.ConsumptionReservation) (*Reserved, error) {
	standing, err := readAnswer(r.Answer, r.ApplicationID, r.UserID, r.OrganizationID)
	if err != nil {
		return nil, err
	}
	out := &Reserved{ID: r.ID, Key: r.Key, Amount: r.Amount, State: r.State, ExpiresAt: r.ExpiresAt, Standing: standing}
	if r.State == store.ReservationOpen && !s.now().Before(r.ExpiresAt) {
		out.State = ReservationExpired
	}
	return out, nil
}

// Reservation returns one of the application's reservations.
func (s *Service) Reservation(ctx context.Context, applicationID, id string) (*Reserved, error) {
	r, err := s.Store.ReservationByID(ctx, applicationID, id)
	if err != nil {
		return nil, noReservation(err)
	}
	return s.showReservation(r)
}

func noReservation(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errReservationNotFound.Because(err)
	}
	return err
}

// Commit records what a reservation was for: all of it when amount is nil. What is less is free again; what is more must fit
// the limit as well. Metadata replaces the reservation's unless it is nil. A second commit gets the answer of the first.
func (s *Service) Commit(ctx context.Context, c Caller, id string, amount *store.Amount, metadata json.RawMessage) (*Recorded, error) {
	r, err := s.Store.ReservationByID(ctx, c.ApplicationID, id)
	if err != nil {
		return nil, noReservation(err)
	}
	var out *Recorded
	err = s.submit(ctx, &job{account: r.Account, alone: func(ctx context.Context) (err error) {
		out, err = s.commit(ctx, c, id, amount, metadata)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// commit takes the reservation first: of parallel ones a single one finds it open. A refusal rolls that back.
func (s *Service) commit(ctx context.Context, c Caller, id string, amount *store.Amount, metadata json.RawMessage) (*Recorded, error) {
	recordID := store.NewID()
	row, err := s.Store.CommitReservation(ctx, c.ApplicationID, id, recordID, s.now())
	if errors.Is(err, store.ErrNotFound) {
		return s.committed(ctx, c.ApplicationID, id)
	} else if err != nil {
		return nil, err
	}
	u := Usage{UserID: row.UserID, OrganizationID: row.OrganizationID, Key: row.Key, Amount: row.Amount, Enforce: row.Enforce, Metadata: metadata}
	if amount != nil {
		u.Amount = *amount
	}
	if metadata == nil {
		u.Metadata = json.RawMessage(row.Metadata)
	}
	r := &request{caller: c, uses: []Usage{u}, promised: &promise{row.Amount, recordID}}
	if row.ExpiresAt.Sub(s.now()) < clocksDiffer {
		r.promised.amount = store.Amount{}
	}
	if err := s.settle(ctx, []*request{r}); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, only(r.err)
	}
	if !s.now().Before(row.ExpiresAt) { // while it waited for the counter: whoever held that may have counted on what was free again
		return nil, errReservationExpired
	}
	return &r.out[0], nil
}

// committed says why a reservation cannot be committed, or gives the answer of the commit that came first.
func (s *Service) committed(ctx context.Context, applicationID, id string) (*Recorded, error) {
	row, err := s.Store.ReservationByID(ctx, applicationID, id)
	if err != nil {
		return nil, noReservation(err)
	}
	switch row.State {
	case store.ReservationReleased:
		return nil, errReservationReleased
	case store.ReservationOpen:
		return nil, errReservationExpired
	}
	record, err := s.Store.RecordByID(ctx, applicationID, row.RecordID)
	if err != nil {
		return nil, err
	}
	return firstAnswer(record)
}

// Release gives up a reservation. One that was released or whose time ran out is none the worse for it.
func (s *Service) Release(ctx context.Context, c Caller, id string) error {
	released, err := s.Store.ReleaseReservation(ctx, c.ApplicationID, id)
	if err != nil || released {
		return err
	}
	row, err := s.Store.ReservationByID(ctx, c.ApplicationID, id)
	if err != nil {
		return noReservation(err)
	}
	if row.State == store.ReservationCommitted {
		return errReservationCommitted
	}
	return nil
}
