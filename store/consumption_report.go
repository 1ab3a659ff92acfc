package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A RunningCounter is what counts of a key at one time: all time, and the period that matters, which may be the same one.
type RunningCounter struct {
	Head    *ConsumptionCounter
	Current *ConsumptionCounter // nil: nothing in the period
}

// runningCounters finds the counters of one account for all time and for the periods around now, of so many keys.
var runningCounters = func() string {
	periods := []string{"", PeriodDay, PeriodMonth, PeriodYear}
	parts := make([]string, len(periods))
	for i, period := range periods {
		parts[i] = fmt.Sprintf("SELECT * FROM (SELECT %s FROM consumption_counters AS c WHERE c.application_id = $1 AND c.user_id = $2"+
			" AND c.organization_id = $3 AND c.period = '%s' AND c.starts_at = $%d ORDER BY c.key LIMIT $8) AS x", selectedCounter, period, 4+i)
	}
	return strings.Join(parts, " UNION ALL ")
}()

// RunningCounters returns what counts of each key that the account ever used, of up to limit keys: where there are more, those of
// periods are not complete. period names the one that matters for a key.
func (s *Store) RunningCounters(ctx context.Context, account Account, limit int, now time.Time, period func(key string) string) (map[string]RunningCounter, error) {
	args := []any{account.ApplicationID, account.UserID, account.OrganizationID, Epoch}
	for _, kind := range allPeriods {
		start, _ := PeriodAt(kind, now)
		args = append(args, start)
	}
	args = append(args, limit)
	found := map[CounterID]*ConsumptionCounter{}
	err := s.queryRows(ctx, runningCounters, args, func(row scanner) error {
		var c ConsumptionCounter
		err := row.Scan(c.targets()...)
		found[c.CounterID] = &c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read running counters: %w", err)
	}
	var ids []CounterID
	for id := range found {
		if id == id.Head() {
			kind := period(id.Key)
			start, _ := PeriodAt(kind, now)
			ids = append(ids, CounterID{Account: account, Key: id.Key, Period: kind, StartsAt: start})
		}
	}
	current, err := s.completed(ctx, found, ids)
	if err != nil {
		return nil, err
	}
	out := map[string]RunningCounter{}
	for _, id := range ids {
		out[id.Key] = RunningCounter{Head: found[id.Head()], Current: current[id]}
	}
	return out, nil
}

// A ConsumptionSlice is a part of the history of a key, from its start on. What of it was charged is not told.
type ConsumptionSlice struct {
	Key      string
	StartsAt time.Time
	Tally
}

// historyBetween adds up buckets by the step in which they start.
func historyBetween(sqliteStep, postgresStep string) manyStatement {
	m := many(`SELECT b.key, @step, CAST(sum(b.total_whole) AS bigint), CAST(sum(b.total_micros) AS bigint), CAST(sum(b.count) AS bigint),
 min(b.first_at), max(b.last_at)
 FROM @rows CROSS JOIN consumption_buckets AS b
 WHERE b.application_id = $1 AND b.user_id = $2 AND b.organization_id = $3 AND b.key = x.key AND b.starts_at >= $4 AND b.starts_at < $5
 GROUP BY 1, 2 ORDER BY 1, 2`, 5, "key text")
	return manyStatement{sqlite: strings.Replace(m.sqlite, "@step", sqliteStep, 1), postgres: strings.Replace(m.postgres, "@step", postgresStep, 1)}
}

// histories are the statements by step; the empty one adds everything up. SQLite keeps a time as microseconds.
var histories = map[string]manyStatement{
	"":         historyBetween("CAST($4 AS integer)", "$4::timestamptz"),
	BucketHour: historyBetween("b.starts_at - b.starts_at % 3600000000", "date_trunc('hour', b.starts_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"),
	BucketDay:  historyBetween("b.starts_at - b.starts_at % 86400000000", "date_trunc('day', b.starts_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"),
}

// ConsumptionHistory adds up what the buckets that start from from up to, and without, to hold of the keys, step by step: BucketHour,
// BucketDay, or empty for one sum, which starts at from. Steps without use are left out.
func (s *Store) ConsumptionHistory(ctx context.Context, account Account, keys []string, from, to time.Time, step string) ([]ConsumptionSlice, error) {
	args := []any{account.ApplicationID, account.UserID, account.OrganizationID, from, to}
	return s.slices(ctx, histories[step], args, keys)
}

// One person's use in a short time, of which the buckets tell only together with what was before or after it.
var ledgerBetween = many(`SELECT x.key, min(r.occurred_at), CAST(sum(r.whole) AS bigint), CAST(sum(r.micros) AS bigint), count(*),
 min(r.occurred_at), max(r.occurred_at)
 FROM @rows CROSS JOIN consumption_records AS r
 WHERE r.application_id = $1 AND r.user_id = $2 AND ($3 = '' OR r.organization_id = $3) AND r.key = x.key
 AND r.occurred_at >= $4 AND r.occurred_at < $5 AND r.kind = 'used' GROUP BY x.key`, 5, "key text")

// ConsumptionInLedger adds up what a person used from from up to, and without, to, record by record: for parts of an
// hour.
func (s *Store) ConsumptionInLedger(ctx context.Context, account Account, keys []string, from, to time.Time) ([]ConsumptionSlice, error) {
	args := []any{account.ApplicationID, account.UserID, account.OrganizationID, from, to}
	return s.slices(ctx, ledgerBetween, args, keys)
}

func (s *Store) slices(ctx context.Context, m manyStatement, args []any, keys []string) ([]ConsumptionSlice, error) {
	var out []ConsumptionSlice
	err := s.queryMany(ctx, m, args, []any{keys}, func(row scanner) error {
		var t ConsumptionSlice
		err := row.Scan(&t.Key, instant{&t.StartsAt}, &t.Total.whole, &t.Total.micros, &t.Count, moment{&t.FirstAt}, moment{&t.LastAt})
		t.Total = t.Total.Add(Amount{}) // the sum of millionths is carried here
		out = append(out, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return out, nil
}

// A LedgerQuery selects entries of an application's ledger.
type LedgerQuery struct {
	ApplicationID  string
	UserID         string    // empty for all
	OrganizationID string    // empty for all
	Key            string    // empty for all
	From, To       time.Time // when it was used: from From up to, and without, To; zero for no bound
	// MaxAge and MaxSkew are how much later or earlier than it was used something can have been recorded. They turn From and To into
	// a range of ids.
	MaxAge, MaxSkew time.Duration
}

// A LedgerPosition is the place of an entry in the order of a ledger.
type LedgerPosition struct {
	Key        string
	OccurredAt time.Time
	ID         string
}

const ledgerColumns = "application_id, id, kind, client_id, user_id, organization_id, key, whole, micros, occurred_at, recorded_at, " +
	"idempotency_key, metadata"

func (r *ConsumptionRecord) listed() []any {
	return []any{&r.ApplicationID, &r.ID, &r.Kind, &r.ClientID, &r.UserID, &r.OrganizationID, &r.Key, &r.Amount.whole, &r.Amount.micros,
		instant{&r.OccurredAt}, instant{&r.RecordedAt}, &r.IdempotencyKey, &r.Metadata}
}

// Ledger returns up to limit entries after a position, nil for the first ones: in the order in which they were recorded, or, of one
// person, by key and by when it was used. It takes one statement, which reads no more of the ledger than the bounds in time hold
// and, of one person, only theirs.
func (s *Store) Ledger(ctx context.Context, q LedgerQuery, limit int, after *LedgerPosition) (*Page[ConsumptionRecord], error) {
	query, args := q.statement(after)
	args = append(args, limit+1)
	page := &Page[ConsumptionRecord]{}
	err := s.queryRows(ctx, fmt.Sprintf("%s LIMIT $%d", query, len(args)), args, func(row scanner) error {
		var r ConsumptionRecord
		err := row.Scan(r.listed()...)
		page.Items = append(page.Items, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger of application %s: %w", q.ApplicationID, err)
	}
	if page.More = len(page.Items) > limit; page.More {
		page.Items = page.Items[:limit]
	}
	return page, nil
}

func (q LedgerQuery) statement(after *LedgerPosition) (query string, args []any) {
	var conditions []string
	only := func(condition string, values ...any) {
		for _, value := range values {
			args = append(args, value)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		conditions = append(conditions, condition)
	}
	order := "id"
	only("application_id = ?", q.ApplicationID)
	if q.UserID != "" {
		order = "key, occurred_at, id"
		only("user_id = ?", q.UserID)
	}
	if q.Key != "" {
		only("key = ?", q.Key)
	}
	if q.OrganizationID != "" {
		only("organization_id = ?", q.OrganizationID)
	}
	if !q.From.IsZero() {
		only("occurred_at >= ?", q.From)
	}
	if !q.To.IsZero() {
		only("occurred_at < ?", q.To)
	}
	switch {
	case after != nil && q.UserID != "":
		only("(key, occurred_at, id) > (?, ?, ?)", after.Key, after.OccurredAt, after.ID)
	case after != nil:
		only("id > ?", after.ID)
	case q.UserID == "" && !q.From.IsZero():
		only("id >= ?", firstID(q.From.Add(-q.MaxSkew)))
	}
	if q.UserID == "" && !q.To.IsZero() {
		only("id < ?", firstID(q.To.Add(q.MaxAge+time.Millisecond)))
	}
	return "SELECT " + ledgerColumns + " FROM consumption_records WHERE " + strings.Join(conditions, " AND ") + " ORDER BY " + order, args
}
