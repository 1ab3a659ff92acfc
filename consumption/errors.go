package consumption

import (
	"errors"
	"net/http"
	"strconv"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errUserNotFound         = problem.New(http.StatusNotFound, "USER_NOT_FOUND", "There is no person with this id.")
	errOrganizationNotFound = problem.New(http.StatusNotFound, "ORGANIZATION_NOT_FOUND", "There is no organization with this id.")
	errKeyReused            = problem.New(http.StatusConflict, "IDEMPOTENCY_KEY_REUSED",
		"This idempotency key was used for another person, organization, key or amount. Use a new one for each use, and the same one only to repeat it.")
	errTotalTooLarge = problem.New(http.StatusConflict, "TOTAL_TOO_LARGE", "The total, or that of an hour, would be larger than can be counted: nine quintillion, and a 24th of it.")

	errReservationNotFound  = problem.New(http.StatusNotFound, "RESERVATION_NOT_FOUND", "This application has no reservation with this id.")
	errReservationReleased  = problem.New(http.StatusConflict, "RESERVATION_RELEASED", "The reservation was released. Record what was used by POST /api/consumption.")
	errReservationExpired   = problem.New(http.StatusConflict, "RESERVATION_EXPIRED", "The reservation's time ran out. Record what was used by POST /api/consumption.")
	errReservationCommitted = problem.New(http.StatusConflict, "RESERVATION_COMMITTED", "The reservation was committed: what was used is recorded.")

	errTooManyReservations = problem.New(http.StatusConflict, "TOO_MANY_RESERVATIONS",
		"Of this key 10000 reservations are open already, which is the most. Commit or release some of them.")

	errBusy = problem.New(http.StatusServiceUnavailable, "CONSUMPTION_BUSY", "More is being recorded than the service can take now. Please try again.").
		WithHeader("Retry-After", strconv.Itoa(1))
)

// A UsageError says which of the usages of a call was refused, and why.
type UsageError struct {
	Index int
	Err   error
}

func (e *UsageError) Error() string { return "usage " + strconv.Itoa(e.Index) + ": " + e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// UsageErrors are all that was found wrong with the usages of a call, in their order.
type UsageErrors []*UsageError

func (e UsageErrors) Error() string { return errors.Join(e.Unwrap()...).Error() }

func (e UsageErrors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

// A QuotaError says by how much a use was too much. It is what problem.Of finds in it: 409 QUOTA_EXCEEDED.
type QuotaError struct {
	Key    string
	Amount store.Amount // what was asked for
	Standing
}

var errQuotaExceeded = problem.New(http.StatusConflict, "QUOTA_EXCEEDED", "This would exceed what the plan allows. Nothing was recorded.")

func (e *QuotaError) Error() string { return "quota of " + e.Key + " exceeded" }

func (e *QuotaError) Unwrap() error { return errQuotaExceeded }
