package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
)

// What is counted a day. Authorizations, tokens and their failures belong to an application, the others to none.
const (
	MetricSignIns        = "sign_ins"
	MetricSignInFailures = "sign_in_failures"
	MetricActiveUsers    = "active_users" // each person once a day
	MetricAuthorizations = "authorizations"
	MetricTokens         = "tokens"
	MetricTokenFailures  = "token_failures" // of no application when the client did not prove which it is
)

// comparedMetrics are those by which applications are compared.
var comparedMetrics = []string{MetricTokens, MetricAuthorizations}

// monthLayout is how a month is written.
const monthLayout = "2006-01"

const (
	// countedPeople is how many people are remembered between two flushes unless the counters say otherwise.
	countedPeople = 50_000
	// statisticBatch is how many rows go into a statement.
	statisticBatch = 500
	// keepStatistics is how long a day can be looked at. It is more than a year, so that a month can be held against the same one a
	// year before.
	keepStatistics = 400 * 24 * time.Hour
)

// allApplications is in the place of an application's id in the rows that sum a day up, so that the figures of a year need not
// read what it has of each. The sums of an application's months are a table of their own.
const allApplications = "*"

// A DailyStatistic is how often something happened on a day.
type DailyStatistic struct {
	Day           string `gorm:"primaryKey"` // in UTC, as in 2026-11-25
	ApplicationID string `gorm:"primaryKey"` // empty for what belongs to no application, allApplications for all of that and of them
	Metric        string `gorm:"primaryKey"`
	Value         int64
}

// Counters count in memory what happens, so that a token costs no write, until Flush adds it to the rows. Several replicas
// add up. A crash loses what was counted since the last flush, and a connection that breaks during the commit may count
// that twice: these are figures to look at, not to bill by. They are safe for concurrent use.
type Counters struct {
	Store *Store
	// People is how many of them are remembered between two flushes; zero means 50,000. More are left out until they are seen again.
	People int

	flushing sync.Mutex
	mu       sync.Mutex
	counts   map[statistic]int64
	seen     map[activity]struct{}
	missed   int
}

// A statistic is what is counted by itself. Its day is a number: as text it would be made anew at each count.
type statistic struct {
	day                   int64
	applicationID, metric string
}

type activity struct {
	day    int64
	userID string
}

// Add counts one of metric, a constant of this package, for an application; empty for none.
func (c *Counters) Add(metric, applicationID string) {
	day := dayOf(c.Store.clock())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[statistic]int64{}
	}
	c.counts[statistic{day, applicationID, metric}]++
}

// Seen notes that the person is active today.
func (c *Counters) Seen(userID string) {
	who := activity{dayOf(c.Store.clock()), userID}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[activity]struct{}{}
	}
	if _, known := c.seen[who]; !known && len(c.seen) >= cmp.Or(c.People, countedPeople) {
		c.missed++
		return
	}
	c.seen[who] = struct{}{}
}

// Flush writes what was counted, in one transaction. When that fails it stays and is written by a later call.
func (c *Counters) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	counts, seen, missed := c.take()
	if missed > 0 {
		c.Store.log.Warn().Int("missed", missed).Int("people", len(seen)).Msg("more people were active than are remembered; the others count when they are seen again")
	}
	if len(counts) == 0 && len(seen) == 0 {
		return nil
	}
	err := c.Store.Tx(ctx, func(ctx context.Context) error { return c.Store.addStatistics(ctx, counts, seen) })
	if err != nil {
		c.restore(counts, seen)
		return fmt.Errorf("flush statistics: %w", err)
	}
	return nil
}

func (c *Counters) take() (counts map[statistic]int64, seen map[activity]struct{}, missed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts, seen, missed = c.counts, c.seen, c.missed
	c.counts, c.seen, c.missed = make(map[statistic]int64, len(counts)), make(map[activity]struct{}, len(seen)), 0
	return counts, seen, missed
}

// restore puts back what was not written.
func (c *Counters) restore(counts map[statistic]int64, seen map[activity]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, value := range counts {
		c.counts[key] += value
	}
	for who := range seen {
		if len(c.seen) >= cmp.Or(c.People, countedPeople) {
			break
		}
		c.seen[who] = struct{}{}
	}
}

// addStatistics belongs into a transaction. Rows are written in their order, so that replicas wait for one another and
// don't deadlock.
func (s *Store) addStatistics(ctx context.Context, counted map[statistic]int64, seen map[activity]struct{}) error {
	counts := map[statistic]int64{} // another map, since the transaction may run again
	maps.Copy(counts, counted)
	byDay := map[int64][]string{}
	for who := range seen {
		byDay[who.day] = append(byDay[who.day], who.userID)
	}
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		n, err := s.noteActive(ctx, day, byDay[day])
		if err != nil {
			return err
		}
		if n > 0 {
			counts[statistic{day, "", MetricActiveUsers}] += n
		}
	}
	days, months := map[sum]int64{}, map[sum]int64{}
	for key, value := range counts {
		day := dayText(key.day)
		days[sum{day, key.applicationID, key.metric}] += value
		days[sum{day, allApplications, key.metric}] += value
		if slices.Contains(comparedMetrics, key.metric) {
			months[sum{day[:len(monthLayout)], key.applicationID, key.metric}] += value
		}
	}
	if err := s.addSums(ctx, "daily_statistics", "day", days); err != nil {
		return err
	}
	return s.addSums(ctx, "monthly_statistics", "month", months)
}

// A sum is what has a row by itself in the statistics of days and of months.
type sum struct{ period, applicationID, metric string }

func (s *Store) addSums(ctx context.Context, table, period string, sums map[sum]int64) error {
	rows := slices.SortedFunc(maps.Keys(sums), func(a, b sum) int {
		return cmp.Or(cmp.Compare(a.period, b.period), cmp.Compare(a.applicationID, b.applicationID), cmp.Compare(a.metric, b.metric))
	})
	for batch := range slices.Chunk(rows, statisticBatch) {
		var values []any
		for _, row := range batch {
			values = append(values, row.period, row.applicationID, row.metric, sums[row])
		}
		key := "(" + period + ", application_id, metric"
		err := s.db(ctx).Exec("INSERT INTO "+table+" "+key+", value) VALUES (?, ?, ?, ?)"+strings.Repeat(", (?, ?, ?, ?)", len(batch)-1)+
			" ON CONFLICT "+key+") DO UPDATE SET value = "+table+".value + excluded.value", values...).Error
		if err != nil {
			return fmt.Errorf("add statistics: %w", known(err))
		}
	}
	return nil
}

// noteActive returns for how many of the people this is the first sign of life on the day. Most have been seen today, and
// reading that is all they cost. Who was deleted meanwhile is left out.
func (s *Store) noteActive(ctx context.Context, number int64, userIDs []string) (n int64, err error) {
	day := dayText(number)
	slices.Sort(userIDs)
	for batch := range slices.Chunk(userIDs, statisticBatch) {
		res := s.db(ctx).Exec(`INSERT INTO user_activity (user_id, day) SELECT id, CAST(? AS text) FROM users WHERE id IN ?
			AND NOT EXISTS (SELECT 1 FROM user_activity AS seen WHERE seen.user_id = users.id AND seen.day >= ?) ORDER BY id
			ON CONFLICT (user_id) DO UPDATE SET day = excluded.day WHERE user_activity.day < excluded.day`, day, batch, day)
		if res.Error != nil {
			return 0, fmt.Errorf("note active users: %w", known(res.Error))
		}
		n += res.RowsAffected
	}
	return n, nil
}

const secondsPerDay = 24 * 60 * 60

func dayOf(t time.Time) int64 { return t.Unix() / secondsPerDay }

func dayText(day int64) string { return time.Unix(day*secondsPerDay, 0).UTC().Format(time.DateOnly) }

// A StatisticQuery selects days, both ends included, and one application or, when that is empty, everything.
type StatisticQuery struct {
	From, To      string
	ApplicationID string
}

// DailyStatistics returns the sums of each day and metric, without the application.
func (s *Store) DailyStatistics(ctx context.Context, q StatisticQuery) ([]DailyStatistic, error) {
	var rows []DailyStatistic
	err := s.db(ctx).Select("day, metric, value").Order("day, metric").
		Find(&rows, "application_id = ? AND day BETWEEN ? AND ?", cmp.Or(q.ApplicationID, allApplications), q.From, q.To).Error
	if err != nil {
		return nil, fmt.Errorf("daily statistics: %w", known(err))
	}
	return rows, nil
}

// ApplicationUsage is how often an application was used.
type ApplicationUsage struct {
	ApplicationID  string
	Name           string
	Tokens         int64
	Authorizations int64
}

// ApplicationStatistics returns the applications that got the most tokens, up to limit of them. Those that are gone are left out.
func (s *Store) ApplicationStatistics(ctx context.Context, q StatisticQuery, limit int) ([]ApplicationUsage, error) {
	head, months, tail, err := q.spans(s.now())
	if err != nil {
		return nil, fmt.Errorf("statistics of applications: %w", err)
	}
	part := func(table, period string, of span) *gorm.DB {
		db := s.db(ctx).Table(table).Where(period+" BETWEEN ? AND ? AND metric IN ?", of.from, of.to, comparedMetrics).Select("application_id, metric, value")
		if q.ApplicationID != "" {
			db = db.Where("application_id = ?", q.ApplicationID)
		}
		return db
	}
	parts := united(part("daily_statistics", "day", head), part("monthly_statistics", "month", months), part("daily_statistics", "day", tail))
	var rows []ApplicationUsage
	err = s.db(ctx).Table("(?) AS used", parts).Joins("JOIN applications ON applications.id = used.application_id").
		Select(`used.application_id, applications.name,
			CAST(sum(CASE WHEN used.metric = ? THEN used.value ELSE 0 END) AS bigint) AS tokens,
			CAST(sum(CASE WHEN used.metric = ? THEN used.value ELSE 0 END) AS bigint) AS authorizations`, MetricTokens, MetricAuthorizations).
		Group("used.application_id, applications.name").Order("tokens DESC, used.application_id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("statistics of applications: %w", known(err))
	}
	return rows, nil
}

// A span is days or months, both ends included. In an empty one nothing lies between the ends.
type span struct{ from, to string }

// spans cuts the days into the whole months among them, and the days before and behind. The month of today is whole without those
// that are still to come.
func (q StatisticQuery) spans(now time.Time) (head, months, tail span, err error) {
	from, err := time.Parse(time.DateOnly, q.From)
	if err != nil {
		return head, months, tail, err
	}
	to, err := time.Parse(time.DateOnly, q.To)
	if err != nil {
		return head, months, tail, err
	}
	first, end := firstOfMonth(from), firstOfMonth(to) // end comes after the last whole month
	if first.Before(from) {
		first = first.AddDate(0, 1, 0)
	}
	if next := end.AddDate(0, 1, 0); !to.Before(next.AddDate(0, 0, -1)) || q.To >= now.Format(time.DateOnly) {
		end = next
	}
	if !first.Before(end) {
		return span{q.From, q.To}, months, tail, nil
	}
	before := func(t time.Time, layout string) string { return t.AddDate(0, 0, -1).Format(layout) }
	return span{q.From, before(first, time.DateOnly)}, span{first.Format(monthLayout), before(end, monthLayout)}, span{end.Format(time.DateOnly), q.To}, nil
}

func firstOfMonth(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// A Size is how many rows there are; Estimated when there are more than are counted.
type Size struct {
	Rows      int64
	Estimated bool
}

// Sizes tell how many there are of what grows.
type Sizes struct{ Users, Organizations, Applications Size }

// Sizes counts up to countTo of each in one statement, and takes a guess where there are more, as the total of a list does.
func (s *Store) Sizes(ctx context.Context, countTo int64) (Sizes, error) {
	var out Sizes
	count := func(table string) *gorm.DB {
		return s.db(ctx).Table("(?) AS counted", s.db(ctx).Table(table).Select("1").Limit(int(countTo)+1)).Select("count(*)")
	}
	var rows struct{ Users, Organizations, Applications int64 }
	err := s.db(ctx).Raw("SELECT (?) AS users, (?) AS organizations, (?) AS applications", count("users"), count("organizations"), count("applications")).Scan(&rows).Error
	if err != nil {
		return out, fmt.Errorf("count rows: %w", known(err))
	}
	out.Users.Rows, out.Organizations.Rows, out.Applications.Rows = rows.Users, rows.Organizations, rows.Applications
	for _, table := range []struct {
		name string
		size *Size
	}{{"users", &out.Users}, {"organizations", &out.Organizations}, {"applications", &out.Applications}} {
		if table.size.Rows <= countTo {
			continue
		}
		size, err := s.tableSize(ctx, table.name)
		if err != nil {
			return out, err
		}
		table.size.Rows, table.size.Estimated = max(table.size.Rows, size), true
	}
	return out, nil
}

// PurgeStatistics deletes up to limit rows of days before that of the given time.
func (s *Store) PurgeStatistics(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "daily_statistics", "(day, application_id, metric)", "day < ?", before.UTC().Format(time.DateOnly), limit)
}

// PurgeMonthlyStatistics deletes up to limit sums of months before that of the given time.
func (s *Store) PurgeMonthlyStatistics(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "monthly_statistics", "(month, application_id, metric)", "month < ?", before.UTC().Format(monthLayout), limit)
}
