package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// ErrTotalTooLarge means that a counter cannot count so far.
var ErrTotalTooLarge = errors.New("total is too large")

// The bits of ConsumptionCounter.Periods.
var periodBits = map[string]int64{"": 0, PeriodDay: 1, PeriodMonth: 2, PeriodYear: 4}

// allPeriods in the order of their bits.
var allPeriods = []string{PeriodDay, PeriodMonth, PeriodYear}

// Head is the counter of all time beside this one. Every write of an account's key begins with it: who holds it holds all others.
func (c CounterID) Head() CounterID {
	c.Period, c.StartsAt = "", Epoch
	return c
}

// Compare puts a head before all beside it, and the counters of an account together, so that all who touch several do so in the same order.
func (c CounterID) Compare(d CounterID) int {
	return cmp.Or(cmp.Compare(c.ApplicationID, d.ApplicationID), cmp.Compare(c.UserID, d.UserID), cmp.Compare(c.OrganizationID, d.OrganizationID),
		cmp.Compare(c.Period, d.Period), c.StartsAt.Compare(d.StartsAt), cmp.Compare(c.Key, d.Key))
}

// Add counts what other counted as well.
func (t *Tally) Add(other Tally) {
	t.Total, t.Charged, t.Count = t.Total.Add(other.Total), t.Charged.Add(other.Charged), t.Count+other.Count
	if t.FirstAt == nil || other.FirstAt != nil && other.FirstAt.Before(*t.FirstAt) {
		t.FirstAt = other.FirstAt
	}
	if t.LastAt == nil || other.LastAt != nil && other.LastAt.After(*t.LastAt) {
		t.LastAt = other.LastAt
	}
}

const counterKey = "application_id, user_id, organization_id, period, starts_at, key"

// adding is how a row of a counter or bucket, c, grows by another one, named by the argument. Dividing integers is not portable.
func adding(by string) string {
	sum := func(kind string) string {
		whole, micros := kind+"_whole", kind+"_micros"
		carries := "c." + micros + " + " + by + "." + micros + " >= 1000000 THEN "
		return whole + " = c." + whole + " + " + by + "." + whole + " + CASE WHEN " + carries + "1 ELSE 0 END, " +
			micros + " = c." + micros + " + " + by + "." + micros + " - CASE WHEN " + carries + "1000000 ELSE 0 END, "
	}
	return sum("total") + sum("charged") + "count = c.count + " + by + ".count, " +
		"first_at = CASE WHEN c.first_at IS NULL OR " + by + ".first_at < c.first_at THEN " + by + ".first_at ELSE c.first_at END, " +
		"last_at = CASE WHEN c.last_at IS NULL OR " + by + ".last_at > c.last_at THEN " + by + ".last_at ELSE c.last_at END"
}

// What is written at once is sorted, as a list of rows is worked on in its order: two who write the same rows do not wait for each other
// in a circle.
var counterRowColumns = []string{
	"application_id text", "user_id text", "organization_id text", "period text", "starts_at timestamptz", "key text",
	"total_whole bigint", "total_micros bigint", "charged_whole bigint", "charged_micros bigint", "count bigint",
	"first_at timestamptz", "last_at timestamptz", "periods bigint",
}

var addToCounters = many(`INSERT INTO consumption_counters AS c (`+counterKey+`,
 total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at, periods, notified)
 SELECT x.application_id, x.user_id, x.organization_id, x.period, x.starts_at, x.key,
 x.total_whole, x.total_micros, x.charged_whole, x.charged_micros, x.count, x.first_at, x.last_at, x.periods, 0
 FROM @rows WHERE true
 ON CONFLICT (`+counterKey+`) DO UPDATE SET `+adding("excluded")+`, periods = c.periods | excluded.periods
 RETURNING `+counterColumns, 0, counterRowColumns...)

const counterColumns = counterKey + `, total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at, reset_at, notified, periods`

func (c *ConsumptionCounter) targets() []any {
	return []any{&c.ApplicationID, &c.UserID, &c.OrganizationID, &c.Period, instant{&c.StartsAt}, &c.Key,
		&c.Total.whole, &c.Total.micros, &c.Charged.whole, &c.Charged.micros, &c.Count,
		moment{&c.FirstAt}, moment{&c.LastAt}, moment{&c.ResetAt}, &c.Notified, &c.Periods}
}

// AddToCounters adds to each of the counters, creating those that do not exist, and returns them all with their new values. It
// holds them until the transaction ends; an empty tally is for holding alone. ErrTotalTooLarge when a counter would
// overflow: then nothing more can be done in the transaction.
//
// A counter of a period comes with its head, unless that is held already.
func (s *Store) AddToCounters(ctx context.Context, tallies map[CounterID]Tally) (map[CounterID]*ConsumptionCounter, error) {
	rows := newCounterRows(tallies)
	out := make(map[CounterID]*ConsumptionCounter, len(tallies))
	err := s.queryMany(ctx, addToCounters, nil, rows.columns(), func(row scanner) error {
		var c ConsumptionCounter
		err := row.Scan(c.targets()...)
		out[c.CounterID] = &c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("add to counters: %w", tooLarge(err))
	}
	return out, nil
}

// tooLarge recognises the one CHECK that a counter has, and a bucket.
func tooLarge(err error) error {
	if postgresCode(err) == "23514" || errors.Is(sqliteDialector{}.Translate(err), gorm.ErrCheckConstraintViolated) {
		return fmt.Errorf("%w: %w", ErrTotalTooLarge, err)
	}
	return err
}

var addToExisting = many(`UPDATE consumption_counters AS c SET `+adding("x")+` FROM @rows
 WHERE c.application_id = x.application_id AND c.user_id = x.user_id AND c.organization_id = x.organization_id
 AND c.period = x.period AND c.starts_at = x.starts_at AND c.key = x.key`, 0, counterRowColumns...)

// AddToExistingCounters adds to those of the counters that exist. Their heads must be held.
func (s *Store) AddToExistingCounters(ctx context.Context, tallies map[CounterID]Tally) error {
	return s.execMany(ctx, addToExisting, nil, newCounterRows(tallies).columns(), func(err error) error {
		return fmt.Errorf("add to counters: %w", tooLarge(err))
	})
}

// counterRows are counters with what is added to them as rows of a statement of many.
type counterRows struct {
	accountRows
	periods, keys                                               []string
	starts                                                      []time.Time
	totalWhole, totalMicros, chargedWhole, chargedMicros, count []int64
	first, last                                                 []*time.Time
	bits                                                        []int64
}

func newCounterRows(tallies map[CounterID]Tally) *counterRows {
	r := &counterRows{accountRows: *newAccountRows(len(tallies))}
	sorted := slices.SortedFunc(maps.Keys(tallies), CounterID.Compare)
	bits := map[CounterID]int64{}
	for id := range tallies {
		if id.Period != "" {
			bits[id.Head()] |= periodBits[id.Period]
		}
	}
	for _, id := range sorted {
		r.add(id.Account)
		r.periods, r.starts, r.keys = append(r.periods, id.Period), append(r.starts, id.StartsAt), append(r.keys, id.Key)
		r.tally(tallies[id])
		r.bits = append(r.bits, bits[id])
	}
	return r
}

func (r *counterRows) tally(t Tally) {
	r.totalWhole, r.totalMicros = append(r.totalWhole, t.Total.whole), append(r.totalMicros, t.Total.micros)
	r.chargedWhole, r.chargedMicros = append(r.chargedWhole, t.Charged.whole), append(r.chargedMicros, t.Charged.micros)
	r.count, r.first, r.last = append(r.count, t.Count), append(r.first, t.FirstAt), append(r.last, t.LastAt)
}

func (r *counterRows) columns() []any {
	return []any{r.applications, r.users, r.organizations, r.periods, r.starts, r.keys,
		r.totalWhole, r.totalMicros, r.chargedWhole, r.chargedMicros, r.count, r.first, r.last, r.bits}
}

var countersByID = many(`SELECT `+selectedCounter+` FROM @rows `+join("CROSS", "consumption_counters", "c", `c.application_id = x.application_id AND c.user_id = x.user_id
 AND c.organization_id = x.organization_id AND c.period = x.period AND c.starts_at = x.starts_at AND c.key = x.key`), 0,
	counterRowColumns[:6]...)

const selectedCounter = "c.application_id, c.user_id, c.organization_id, c.period, c.starts_at, c.key, c.total_whole, c.total_micros, " +
	"c.charged_whole, c.charged_micros, c.count, c.first_at, c.last_at, c.reset_at, c.notified, c.periods"

// Counters returns the counters with these ids as they are now. One of a period in which nothing was recorded since its kind
// of period came into use is worked out from history; one for which there is nothing at all is left out.
func (s *Store) Counters(ctx context.Context, ids []CounterID) (map[CounterID]*ConsumptionCounter, error) {
	wanted := map[CounterID]Tally{}
	for _, id := range ids {
		wanted[id], wanted[id.Head()] = Tally{}, Tally{}
	}
	rows := newCounterRows(wanted)
	found := map[CounterID]*ConsumptionCounter{}
	err := s.queryMany(ctx, countersByID, nil, rows.columns()[:6], func(row scanner) error {
		var c ConsumptionCounter
		err := row.Scan(c.targets()...)
		found[c.CounterID] = &c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	return s.completed(ctx, found, ids)
}

// completed returns those of the counters that were found, and works out from history which of the others there would be. Their
// heads are among those found.
func (s *Store) completed(ctx context.Context, found map[CounterID]*ConsumptionCounter, ids []CounterID) (map[CounterID]*ConsumptionCounter, error) {
	var missing []CounterID
	out := make(map[CounterID]*ConsumptionCounter, len(ids))
	for _, id := range ids {
		switch {
		case found[id] != nil:
			out[id] = found[id]
		case found[id.Head()] != nil && found[id.Head()].reaches(id.StartsAt):
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	history, err := s.HistoryOf(ctx, missing)
	if err != nil {
		return nil, err
	}
	for id, t := range history {
		out[id] = &ConsumptionCounter{CounterID: id, Tally: t}
	}
	return out, nil
}

// reaches reports whether anything may have been used since t. After a reset the head does not tell.
func (c *ConsumptionCounter) reaches(t time.Time) bool {
	return c.ResetAt != nil || c.LastAt != nil && !c.LastAt.Before(t)
}

var historyOf = many(`SELECT x.n, CAST(sum(b.total_whole) AS bigint), CAST(sum(b.total_micros) AS bigint),
 CAST(sum(b.charged_whole) AS bigint), CAST(sum(b.charged_micros) AS bigint), CAST(sum(b.count) AS bigint), min(b.first_at), max(b.last_at)
 FROM @rows `+join("CROSS", "consumption_buckets", "b", `b.application_id = x.application_id AND b.user_id = x.user_id
 AND b.organization_id = x.organization_id AND b.key = x.key AND b.starts_at >= x.starts_at AND b.starts_at < x.ends_at`)+" GROUP BY x.n", 0,
	"n bigint", "application_id text", "user_id text", "organization_id text", "key text", "starts_at timestamptz", "ends_at timestamptz")

// HistoryOf returns what the buckets hold of each counter's period. Periods without use are left out.
func (s *Store) HistoryOf(ctx context.Context, ids []CounterID) (map[CounterID]Tally, error) {
	rows := newAccountRows(len(ids))
	keys, starts, ends := make([]string, len(ids)), make([]time.Time, len(ids)), make([]time.Time, len(ids))
	for i, id := range ids {
		rows.add(id.Account)
		keys[i] = id.Key
		starts[i], ends[i] = PeriodAt(id.Period, id.StartsAt)
	}
	out := map[CounterID]Tally{}
	err := s.queryMany(ctx, historyOf, nil, append(append([]any{rows.n}, rows.columns()...), keys, starts, ends), func(row scanner) error {
		var n int
		var t Tally
		err := row.Scan(&n, &t.Total.whole, &t.Total.micros, &t.Charged.whole, &t.Charged.micros, &t.Count, moment{&t.FirstAt}, moment{&t.LastAt})
		if err != nil {
			return err
		}
		t.Total, t.Charged = t.Total.Add(Amount{}), t.Charged.Add(Amount{}) // the sums of millionths are carried here
		out[ids[n]] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return out, nil
}

var resetCounters = many(`UPDATE consumption_counters AS c SET total_whole = 0, total_micros = 0, charged_whole = 0, charged_micros = 0, count = 0,
 first_at = NULL, last_at = NULL, reset_at = $1, notified = 0 FROM @rows
 WHERE c.application_id = x.application_id AND c.user_id = x.user_id AND c.organization_id = x.organization_id
 AND c.period = x.period AND c.starts_at = x.starts_at AND c.key = x.key`, 1,
	counterRowColumns[:6]...)

// ResetCounters begins the counters, which are held, anew.
func (s *Store) ResetCounters(ctx context.Context, ids []CounterID, now time.Time) error {
	tallies := map[CounterID]Tally{}
	for _, id := range ids {
		tallies[id] = Tally{}
	}
	return s.execMany(ctx, resetCounters, []any{now}, newCounterRows(tallies).columns()[:6], func(err error) error {
		return fmt.Errorf("reset counters: %w", err)
	})
}

// NotifyCounter notes that the thresholds up to percent were announced, and reports whether this call did it. The one
// conditional UPDATE decides.
func (s *Store) NotifyCounter(ctx context.Context, id CounterID, percent int64) (bool, error) {
	first, err := s.decide(ctx, `UPDATE consumption_counters SET notified = $1 WHERE application_id = $2 AND user_id = $3
 AND organization_id = $4 AND period = $5 AND starts_at = $6 AND key = $7 AND notified < $1`,
		percent, id.ApplicationID, id.UserID, id.OrganizationID, id.Period, id.StartsAt, id.Key)
	if err != nil {
		return false, fmt.Errorf("note announced threshold: %w", err)
	}
	return first, nil
}

const bucketKey = "application_id, user_id, organization_id, key, starts_at, width"

var addToBuckets = many(`INSERT INTO consumption_buckets AS c (`+bucketKey+`,
 total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at)
 SELECT x.application_id, x.user_id, x.organization_id, x.key, x.starts_at, x.width,
 x.total_whole, x.total_micros, x.charged_whole, x.charged_micros, x.count, x.first_at, x.last_at
 FROM @rows WHERE true
 ON CONFLICT (`+bucketKey+`) DO UPDATE SET `+adding("excluded"), 0,
	"application_id text", "user_id text", "organization_id text", "width text", "starts_at timestamptz", "key text",
	"total_whole bigint", "total_micros bigint", "charged_whole bigint", "charged_micros bigint", "count bigint",
	"first_at timestamptz", "last_at timestamptz")

// Compare orders buckets, for the same reason as counters are ordered.
func (b BucketID) Compare(d BucketID) int {
	return cmp.Or(cmp.Compare(b.ApplicationID, d.ApplicationID), cmp.Compare(b.UserID, d.UserID), cmp.Compare(b.OrganizationID, d.OrganizationID),
		cmp.Compare(b.Key, d.Key), b.StartsAt.Compare(d.StartsAt), cmp.Compare(b.Width, d.Width))
}

// AddToBuckets adds to history. ErrTotalTooLarge when an hour would hold too much: then nothing more can be done in the transaction.
func (s *Store) AddToBuckets(ctx context.Context, tallies map[BucketID]Tally) error {
	r := counterRows{accountRows: *newAccountRows(len(tallies))}
	for _, id := range slices.SortedFunc(maps.Keys(tallies), BucketID.Compare) {
		r.add(id.Account)
		r.periods, r.starts, r.keys = append(r.periods, id.Width), append(r.starts, id.StartsAt), append(r.keys, id.Key)
		r.tally(tallies[id])
	}
	return s.execMany(ctx, addToBuckets, nil, r.columns()[:13], func(err error) error {
		return fmt.Errorf("add to history: %w", tooLarge(err))
	})
}

// OtherPeriods returns what is counted beside a head, apart from one period.
func (c *ConsumptionCounter) OtherPeriods(counted string) []string {
	return slices.DeleteFunc(slices.Clone(allPeriods), func(period string) bool {
		return period == counted || c.Periods&periodBits[period] == 0
	})
}
