package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// A circle is the people who have to do with an organization or an application.
type circle struct {
	parts  []belonging // everybody in the circle has at least one; each is in the order of people in an index
	probes []belonging // the same, but as few as can be, for asking one person
	size   int64       // how many people; more than can be, if not all were counted
	small  bool        // they were all counted
}

// A belonging is the rows of a table that tie people to something: those that match the condition.
type belonging struct {
	table, where string
	args         []any
}

// circles are those whose people q selects, the smallest first. People of applications are counted up to a number, and members, which
// takes less, up to a multiple of it.
func (s *Store) circles(ctx context.Context, q UserQuery, upTo int64) ([]circle, error) {
	var found []circle
	if q.OrganizationID != "" {
		members := []belonging{{table: "members", where: "members.organization_id = ?", args: []any{q.OrganizationID}}}
		c := circle{parts: members, probes: members}
		if err := s.survey(ctx, &c, upTo*patience); err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	if q.ApplicationID != "" {
		c, err := s.applicationCircle(ctx, q.ApplicationID)
		if err == nil {
			err = s.survey(ctx, &c, upTo)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b circle) int { return cmp.Compare(a.size, b.size) })
	return found, nil
}

// applicationCircle has a part for each client, of which an application has few: the grants of several are not in the order of people.
func (s *Store) applicationCircle(ctx context.Context, id string) (circle, error) {
	var clients []string
	if err := s.db(ctx).Model(&Client{}).Where("application_id = ?", id).Pluck("id", &clients).Error; err != nil {
		return circle{}, fmt.Errorf("clients of application %s: %w", id, known(err))
	}
	own := []belonging{
		{table: "role_assignments", where: "role_assignments.application_id = ?", args: []any{id}},
		{table: "subscriptions", where: "subscriptions.application_id = ?", args: []any{id}},
	}
	c := circle{parts: own, probes: append([]belonging{{"grants", "grants.client_id IN ?", []any{clients}}}, own...)}
	for _, client := range clients {
		c.parts = append(c.parts[:len(c.parts):len(c.parts)], belonging{table: "grants", where: "grants.client_id = ?", args: []any{client}})
	}
	return c, nil
}

// survey counts the people of a circle up to a number. It reads the parts side by side, so that all that ties one person to the
// circle is met at once.
func (s *Store) survey(ctx context.Context, c *circle, upTo int64) error {
	chunk := int(upTo + upTo/4 + 1) // some belong in several ways
	for after, more := "", true; more && c.size <= upTo; {
		var met struct {
			Rows, People int64
			Last         string
		}
		err := s.db(ctx).Table("(?) AS met", c.after(s.db(ctx), after, chunk)).
			Select("count(*) AS rows, count(DISTINCT user_id) AS people, coalesce(max(user_id), '') AS last").Scan(&met).Error
		if err != nil {
			return fmt.Errorf("count people: %w", known(err))
		}
		c.size += met.People
		after, more = met.Last, met.Rows == int64(chunk)
	}
	if c.small = c.size <= upTo; !c.small {
		c.size = math.MaxInt64
	}
	return nil
}

// after selects the user_id of the next so many rows that tie people to the circle, in the order of people. Each part is cut by
// itself, in the order that its index has.
func (c *circle) after(db *gorm.DB, user string, limit int) *gorm.DB {
	var parts []*gorm.DB
	for _, p := range c.parts {
		parts = append(parts, db.Table(p.table).Where(p.where, p.args...).Where("user_id > ?", user).Order("user_id").Limit(limit).Select("user_id"))
	}
	return db.Table("(?) AS parts", united(parts...)).Order("user_id").Limit(limit).Select("user_id")
}

// Ways to ask a row of users whether the person has a belonging.
const (
	// lookedUp looks into an index each time.
	lookedUp = "(SELECT 1 FROM @ WHERE # AND @.user_id = users.id LIMIT 1) IS NOT NULL"
	// remembered lets PostgreSQL read the belongings of everybody in the circle first, which it does if it expects to ask often.
	// Unless IS TRUE followed, it would make a join of it, by which people come out of the order of the list.
	remembered = "EXISTS (SELECT 1 FROM @ WHERE # AND @.user_id = users.id) IS TRUE"
)

// asked keeps the people who are in all the circles, of which only the first is worth to be remembered if it is big.
func asked(rows *gorm.DB, circles []circle, way string) *gorm.DB {
	for i, c := range circles {
		if i > 0 && !c.small {
			way = lookedUp
		}
		var either []string
		var args []any
		for _, p := range c.probes {
			either, args = append(either, strings.NewReplacer("@", p.table, "#", p.where).Replace(way)), append(args, p.args...)
		}
		rows = rows.Where("("+strings.Join(either, " OR ")+")", args...)
	}
	return rows
}

// people selects the ids of everybody in the circle, some of them several times.
func (c *circle) people(db *gorm.DB) clause.Expr {
	var parts []*gorm.DB
	for _, p := range c.parts {
		parts = append(parts, db.Table(p.table).Where(p.where, p.args...).Where("user_id IS NOT NULL").Select("user_id"))
	}
	return united(parts...)
}
