// Package consumption counts what people use of each application, for whom, and how much is left of what they have paid for.
// It trusts an application about its own usage and about nothing else; what a plan allows is package admin's to say.
//
// Start with Service.Record, which writes the ledger and all counters in one transaction, and Handler, which is /api/consumption.
package consumption

import (
	"encoding/json"
	"time"

	"auth-service/store"
)

// A Usage is what an application says about one use of it.
type Usage struct {
	UserID         string
	OrganizationID string // empty: for the person themself
	Key            string
	Amount         store.Amount    // above zero
	At             time.Time       // when it was used; zero for now
	Metadata       json.RawMessage // an object, or nil
	IdempotencyKey string          // empty: each call counts
	Enforce        bool            // refuse what would exceed the limit, as a hard quota does
}

// A Caller is the client that speaks for an application.
type Caller struct{ ApplicationID, ClientID string }

// A Standing is how an account stands with a key: what counts in the period that matters, and what is left.
type Standing struct {
	Total      store.Amount  // held against the limit
	Reserved   store.Amount  // by jobs that are still running
	Start, End *time.Time    // of the period; nil for all time
	Limit      *store.Amount // nil: none
	Hard       bool
	Plan       string // the key of the plan that says so; empty for none
	Exceeded   bool   // the total is above the limit
	ChargedTo  store.Account
}

// Remaining is what is left of the limit, nil without one.
func (s Standing) Remaining() *store.Amount {
	if s.Limit == nil {
		return nil
	}
	left := s.Limit.Minus(s.Total.Add(s.Reserved))
	return &left
}

// A Recorded is what became of a Usage.
type Recorded struct {
	ID        string
	Duplicate bool // its idempotency key had been used; this is the first answer
	Key       string
	Amount    store.Amount
	Standing
}

// A Reserved is an amount that is held against a limit for a job that is still running.
type Reserved struct {
	ID        string
	Key       string
	Amount    store.Amount
	State     string // store.ReservationOpen and so on, or ReservationExpired
	ExpiresAt time.Time
	Duplicate bool // its idempotency key had been used; this is the first answer
	Standing       // when it was made; its Reserved includes this one
}

// ReservationExpired is the state of a reservation whose time ran out while it was open.
const ReservationExpired = "expired"
