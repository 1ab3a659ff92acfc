package store

import "time"

// What an entry of the ledger is.
const (
	ConsumptionUsed  = "used"
	ConsumptionReset = "reset" // the counters began anew; the amount is what they showed
)

// A ConsumptionRecord is an entry of the ledger: append only, and never changed. Its person may have been deleted since.
type ConsumptionRecord struct {
	ApplicationID  string
	ID             string // sorts by the time of recording
	Kind           string
	ClientID       string // which client of the application recorded it; empty for an administrator's reset
	UserID         string // empty where an organization's total was reset
	OrganizationID string // empty: for the person themself
	Key            string
	Amount         Amount    // columns whole and micros
	OccurredAt     time.Time // when it was used
	RecordedAt     time.Time
	IdempotencyKey string // unique in the application unless empty
	Metadata       string // a JSON object, or empty
	Answer         string // what the caller was told, as JSON, for a repetition under the same idempotency key
}

// An Account is whose usage is counted: a person's in an application, a person's for an organization, or an organization's as a
// whole. What is empty is not there; a person's account holds all that they used, for whomever.
type Account struct{ ApplicationID, UserID, OrganizationID string }

// A CounterID names one counter of an account: of one key in one calendar period (UTC).
type CounterID struct {
	Account
	Key      string
	Period   string    // PeriodDay, PeriodMonth, PeriodYear; empty for all time
	StartsAt time.Time // of the period; Epoch for all time
}

// Epoch is where all time starts.
var Epoch = time.Unix(0, 0).UTC()

// A Tally is what was counted. Charged is the part of Total that is held against the account's own limit: what a person uses on
// an organization's subscription is in the person's total, but charged to the organization.
type Tally struct {
	Total, Charged  Amount
	Count           int64
	FirstAt, LastAt *time.Time // when it was used; nil when nothing was
}

// A ConsumptionCounter is a running total since the start of its period, or since the last reset in it.
type ConsumptionCounter struct {
	CounterID
	Tally
	ResetAt  *time.Time
	Notified int64 // the highest threshold, in percent of the limit, that was announced
	Periods  int64 // of the counter of all time: bits of the periods that are counted beside, or were
}

// How long the part of history is that a bucket holds.
const (
	BucketHour = "hour"
	BucketDay  = "day" // into which old hours are gathered
)

// A ConsumptionBucket is a part of an account's history of a key. Resets do not change it.
type ConsumptionBucket struct {
	BucketID
	Tally
}

// A BucketID names the part of an account's history of a key that an hour or a day holds.
type BucketID struct {
	Account
	Key      string
	StartsAt time.Time
	Width    string
}

// The states of a reservation. One that is open when its time runs out holds nothing any more.
const (
	ReservationOpen      = "open"
	ReservationCommitted = "committed"
	ReservationReleased  = "released"
)

// A ConsumptionReservation holds an amount against a limit for a job that is still running.
type ConsumptionReservation struct {
	ID             string
	ApplicationID  string
	ClientID       string
	UserID         string
	OrganizationID string
	Account        Account // whose limit it is held against
	Key            string
	Amount         Amount
	Enforce        bool // what is committed above the amount is refused if it exceeds the limit
	State          string
	RecordID       string // of the record that it became
	IdempotencyKey string
	Metadata       string
	Answer         string // what the caller was told, as JSON
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// PeriodAt returns the calendar period (UTC) around t: from start up to, and without, end. All time, the empty period, starts at
// the Epoch and has no end, which is zero.
func PeriodAt(period string, t time.Time) (start, end time.Time) {
	t = t.UTC()
	year, month, day := t.Date()
	switch period {
	case PeriodDay:
		start = time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 0, 1)
	case PeriodMonth:
		start = time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 1, 0)
	case PeriodYear:
		start = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(1, 0, 0)
	}
	return Epoch, time.Time{}
}
