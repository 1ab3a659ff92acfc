package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
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

const (
	// countedPeople is how many people are remembered between two flushes unless the counters say otherwise.
	countedPeople = 50_000
	// statisticBatch is how many rows go into a statement.
	statisticBatch = 500
	// keepStatistics is how long a day can be looked at. It is more than a year, so that a month can be held against the same one a
	// year before.
	keepStatistics = 400 * 24 * time.Hour
)

// A DailyStatistic is how often something happened on a day.
type DailyStatistic struct {
	Day           string `gorm:"primaryKey"` // in UTC, as in 2026-11-25
	ApplicationID string `gorm:"primaryKey"` // empty for what belongs to no application
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
	rows := make([]DailyStatistic, 0, len(counts))
	for key, value := range counts {
		rows = append(rows, DailyStatistic{dayText(key.day), key.applicationID, key.metric, value})
	}
	slices.SortFunc(rows, func(a, b DailyStatistic) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.ApplicationID, b.ApplicationID), cmp.Compare(a.Metric, b.Metric))
	})
	add := clause.OnConflict{
		Columns:   []clause.Column{{Name: "day"}, {Name: "application_id"}, {Name: "metric"}},
		DoUpdates: clause.Assignments(map[string]any{"value": gorm.Expr("daily_statistics.value + excluded.value")}),
	}
	for batch := range slices.Chunk(rows, statisticBatch) {
		if err := s.db(ctx).Clauses(add).Create(&batch).Error; err != nil {
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

func (s *Store) matchingStatistics(ctx context.Context, q StatisticQuery) *gorm.DB {
	db := s.db(ctx).Model(&DailyStatistic{}).Where("daily_statistics.day BETWEEN ? AND ?", q.From, q.To)
	if q.ApplicationID != "" {
		db = db.Where("daily_statistics.application_id = ?", q.ApplicationID)
	}
	return db
}

// DailyStatistics returns the sums of each day and metric, without the application.
func (s *Store) DailyStatistics(ctx context.Context, q StatisticQuery) ([]DailyStatistic, error) {
	var rows []DailyStatistic
	err := s.matchingStatistics(ctx, q).Select("daily_statistics.day, daily_statistics.metric, CAST(sum(daily_statistics.value) AS bigint) AS value").
		Group("daily_statistics.day, daily_statistics.metric").Order("daily_statistics.day, daily_statistics.metric").Find(&rows).Error
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
	var rows []ApplicationUsage
	err := s.matchingStatistics(ctx, q).Joins("JOIN applications ON applications.id = daily_statistics.application_id").
		Where("daily_statistics.metric IN ?", []string{MetricTokens, MetricAuthorizations}).
		Select(`daily_statistics.application_id, applications.name,
			CAST(sum(CASE WHEN daily_statistics.metric = ? THEN daily_statistics.value ELSE 0 END) AS bigint) AS tokens,
			CAST(sum(CASE WHEN daily_statistics.metric = ? THEN daily_statistics.value ELSE 0 END) AS bigint) AS authorizations`, MetricTokens, MetricAuthorizations).
		Group("daily_statistics.application_id, applications.name").Order("tokens DESC, daily_statistics.application_id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("statistics of applications: %w", known(err))
	}
	return rows, nil
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
