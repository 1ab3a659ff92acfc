package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"time"

	"auth-service/store"
)

// What a history of usage looks like: the busiest of the people has one record of a hundred, in each hour of the days; all
// others use everything in one hour of each day.
const (
	usagePeople   = 10_000
	usageDays     = 60 // before today
	recordColumns = "application_id, id, kind, client_id, user_id, organization_id, key, whole, micros, occurred_at, recorded_at, idempotency_key, metadata, answer"
	tallyColumns  = "total_whole, total_micros, charged_whole, charged_micros, count, first_at, last_at"
)

// usagePerson is the id of somebody who uses the application.
func usagePerson(i int) string { return fmt.Sprintf("01990000-0000-7000-8000-%012d", i%usagePeople) }

// openDatabase opens one for statements of ours, as durable as the server's.
func openDatabase(url string) (db *sql.DB, sqlite bool, err error) {
	path, sqlite := strings.CutPrefix(url, "sqlite:")
	if !sqlite {
		db, err = sql.Open("pgx", url)
		return db, false, err
	}
	db, err = sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	return db, true, err
}

// A usageHistory is a ledger with the counters and buckets that a server would have kept of it, made by the database itself:
// there are no buckets but those that are the sums of the ledger.
type usageHistory struct {
	usage    *usage
	records  int
	now      time.Time
	settings []string
	settle   []string // when all is written

	indexes string                     // query for the ledger's, with what makes them
	numbers func(n int) string         // a table of the numbers i below n
	digits  func(number string) string // twelve of them
	at      func(t time.Time) string
	after   func(t time.Time, seconds string) string
	hour    func(moment string) string // in which it is
}

func postgresHistory() *usageHistory {
	at := func(t time.Time) string { return "timestamptz '" + t.Format(time.RFC3339Nano) + "'" }
	return &usageHistory{
		settings: []string{"SET synchronous_commit = off", "SET work_mem = '256MB'", "SET maintenance_work_mem = '1GB'", "SET timezone = 'UTC'"},
		settle:   []string{"VACUUM (ANALYZE)", "CHECKPOINT"},
		indexes:  "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'consumption_records' AND indexname NOT LIKE '%_pkey'",
		numbers:  func(n int) string { return fmt.Sprintf("generate_series(0, %d) AS numbers (i)", n-1) },
		digits:   func(number string) string { return "right('000000000000' || " + number + ", 12)" },
		at:       at,
		after:    func(t time.Time, seconds string) string { return at(t) + " + interval '1 second' * (" + seconds + ")" },
		hour:     func(moment string) string { return "date_trunc('hour', " + moment + ")" },
	}
}

// sqliteHistory has times as the server writes them there, in microseconds.
func sqliteHistory() *usageHistory {
	at := func(t time.Time) string { return fmt.Sprint(t.UnixMicro()) }
	return &usageHistory{
		settings: []string{"PRAGMA synchronous = OFF", "PRAGMA cache_size = -524288"},
		settle:   []string{"PRAGMA wal_checkpoint(TRUNCATE)"},
		indexes:  "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'consumption_records' AND sql IS NOT NULL",
		numbers: func(n int) string {
			return fmt.Sprintf("(WITH RECURSIVE numbers (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < %d) SELECT i FROM numbers)", n-1)
		},
		digits: func(number string) string { return "substr('000000000000' || " + number + ", -12)" },
		at:     at,
		after:  func(t time.Time, seconds string) string { return at(t) + " + 1000000 * (" + seconds + ")" },
		hour:   func(moment string) string { return moment + " - " + moment + " % 3600000000" },
	}
}

// fillUsage writes people, and so many records of theirs.
func fillUsage(ctx context.Context, out io.Writer, url string, u *usage, records int, now time.Time) error {
	db, sqlite, err := openDatabase(url)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // what is set for a session holds for all
	h := postgresHistory()
	if sqlite {
		h = sqliteHistory()
	}
	h.usage, h.records, h.now = u, records, now.UTC()
	if err := execAll(ctx, db, h.people()); err != nil || records == 0 {
		return err
	}
	drop, create, err := h.ledgerIndexes(ctx, db)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name       string
		statements []string
	}{
		{"without indexes", append(drop, h.settings...)}, {"records", []string{h.ledger()}}, {"indexes", create},
		{"buckets", []string{h.buckets()}}, {"counters", []string{h.heads(), h.months()}}, {"settled", h.settle},
	} {
		began := time.Now()
		if err := execAll(ctx, db, step.statements...); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s in %.1f s\n", step.name, time.Since(began).Seconds())
	}
	return nil
}

func execAll(ctx context.Context, db *sql.DB, statements ...string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// ledgerIndexes are dropped and made anew, which is much faster than to keep them.
func (h *usageHistory) ledgerIndexes(ctx context.Context, db *sql.DB) (drop, create []string, err error) {
	rows, err := db.QueryContext(ctx, h.indexes)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, definition string
		if err := rows.Scan(&name, &definition); err != nil {
			return nil, nil, err
		}
		drop, create = append(drop, "DROP INDEX "+name), append(create, definition)
	}
	return drop, create, rows.Err()
}

func (h *usageHistory) people() string {
	at := h.at(h.now.AddDate(-1, 0, 0))
	return `INSERT INTO users (id, email, email_verified, name, image, role, password_hash, disabled_reason, created_at, updated_at)
		SELECT '01990000-0000-7000-8000-' || ` + h.digits("i") + `, 'usage' || i || '@example.com', true, 'Usage ' || i, '', 'user', '', '', ` + at + `, ` + at + `
		FROM ` + h.numbers(usagePeople)
}

func (h *usageHistory) ledger() string {
	first := h.now.Truncate(day).AddDate(0, 0, -usageDays)
	moment := h.after(first, fmt.Sprintf("i * %d / %d * 86400 + hour * 3600 + i %% 3600", usageDays, h.records))
	return `INSERT INTO consumption_records (` + recordColumns + `)
		SELECT '` + h.usage.ID + `', '01980000-0000-7000-8000-' || ` + h.digits("i") + `, 'used', '` + h.usage.ClientID + `', '01990000-0000-7000-8000-' || ` + h.digits("person") + `, '',
			CASE nth % 3 WHEN 0 THEN 'api_calls' WHEN 1 THEN 'exports' ELSE 'storage_gb' END, 1 + i % 5, 500000 * (i % 2), ` + moment + `, ` + moment + `, 'fill-' || i, '', ''
		FROM (SELECT i, person, nth, CASE person WHEN 0 THEN nth / 3 % 24 ELSE person % 24 END AS hour
			FROM (SELECT i, CASE i % 100 WHEN 0 THEN 0 ELSE 1 + i % ` + others + ` END AS person, CASE i % 100 WHEN 0 THEN i / 100 ELSE i / ` + others + ` END AS nth
				FROM ` + h.numbers(h.records) + `) AS people) AS uses
		ORDER BY i`
}

const others = "9999" // of the people but the busiest

func (h *usageHistory) buckets() string {
	sums := sumOf("whole", "micros")
	return `INSERT INTO consumption_buckets (application_id, user_id, organization_id, key, starts_at, width, ` + tallyColumns + `)
		SELECT application_id, user_id, '', key, hour, 'hour', ` + sums + `, ` + sums + `, count(*), min(occurred_at), max(occurred_at)
		FROM (SELECT *, ` + h.hour("occurred_at") + ` AS hour FROM consumption_records WHERE application_id = '` + h.usage.ID + `') AS records
		GROUP BY application_id, user_id, key, hour ORDER BY user_id, key, hour`
}

// sumOf adds amounts.
func sumOf(whole, micros string) string {
	return fmt.Sprintf("CAST(sum(%s) + CAST(sum(%s) AS bigint) / 1000000 AS bigint), CAST(sum(%s) AS bigint) %% 1000000", whole, micros, micros)
}

// heads are the counters of all time.
func (h *usageHistory) heads() string {
	const monthly = "CASE key WHEN 'api_calls' THEN 2 ELSE 0 END"
	return h.counters("''", h.at(store.Epoch), monthly, "")
}

// months are those of this month's quota.
func (h *usageHistory) months() string {
	first := h.at(time.Date(h.now.Year(), h.now.Month(), 1, 0, 0, 0, 0, time.UTC))
	return h.counters("'month'", first, "0", " AND key = 'api_calls' AND starts_at >= "+first)
}

func (h *usageHistory) counters(period, startsAt, periods, which string) string {
	sums := sumOf("total_whole", "total_micros")
	return `INSERT INTO consumption_counters (application_id, user_id, organization_id, period, starts_at, key, ` + tallyColumns + `, notified, periods)
		SELECT application_id, user_id, '', ` + period + `, ` + startsAt + `, key, ` + sums + `, ` + sums + `, sum(count), min(first_at), max(last_at), 0, ` + periods + `
		FROM consumption_buckets WHERE application_id = '` + h.usage.ID + `'` + which + ` GROUP BY application_id, user_id, key`
}
