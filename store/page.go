package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// What lists sort by, in store and out of it.
const (
	ByCreation = "created_at"
	ByName     = "name"
	ByUpdate   = "updated_at"
	ByEmail    = "email"
	BySlug     = "slug"
	ByKey      = "key"
)

// Paging selects one page of a list.
type Paging struct {
	Sort       string // one of the By constants that the list knows; else it sorts as its documentation says
	Descending bool
	After      *Position // where the page before ended; nil for the first one
	Offset     int       // how many to skip instead, which costs as much as showing them: for lists that are known to be short
	Limit      int
	CountTo    int64 // up to how many matches are counted exactly; 0 for no Total
}

// A Position is the place of a row in the order of a list: the value that it is sorted by, and its id.
type Position struct {
	Value any // a time.Time or a string, as the list's Sort demands
	ID    string
}

// A Page is what a list shows at once.
type Page[T any] struct {
	Items     []T
	More      bool
	Total     int64
	Estimated bool // there are more than CountTo, and Total is a guess
}

// A listing is the SQL of a list. Its parts become statements, so none may hold what a caller sent.
type listing struct {
	// matching selects the rows of all pages, in a new query at each call.
	matching func() *gorm.DB
	others   func() *gorm.DB // selects rows that matching lacks, of the same table; nil for none
	// gathered selects, in place of both, the id of each row and its place in the order: for rows that are better all found than
	// looked for in that order. Else it is nil.
	gathered func() *gorm.DB
	columns  string   // of a row
	key      string   // the column that makes the order total
	order    ordering // what comes before the key
	whole    string   // the table that makes up the list when nothing is filtered; else empty
	// ranged means that matching selects a range of the order, and that all of it comes after the page before.
	ranged bool
}

// An ordering is an expression of a row's columns, with the form that a value of the cursor takes to compare with it.
type ordering struct{ expression, value string }

func byColumn(column string) ordering { return ordering{column, "?"} }

// findPage returns one page in one statement, or in two when there is no row to carry the total or too many to count.
func findPage[T any](ctx context.Context, s *Store, q Paging, l listing) (*Page[T], error) {
	var rows []counted[T]
	if err := l.cut(s.db(ctx), q).WithContext(planned(ctx)).Find(&rows).Error; err != nil {
		return nil, known(err)
	}
	return completePage(ctx, s, q, l, rows)
}

// counted is a row together with how many there are.
type counted[T any] struct {
	Row   T `gorm:"embedded"`
	Total int64
}

// cut selects the rows of a page, and one more that tells whether there is another page.
func (l listing) cut(db *gorm.DB, q Paging) *gorm.DB {
	if l.gathered != nil {
		return l.gather(db, q)
	}
	total, args := "", []any(nil)
	if q.CountTo > 0 {
		total, args = ", (?) AS total", []any{l.count(db, q)}
	}
	if l.others == nil {
		return l.matched(q).Offset(q.Offset).Limit(q.Limit+1).Select(l.columns+total, args...)
	}
	// Each part is cut by itself, in the order that its index has.
	table, _, _ := strings.Cut(l.key, ".")
	both := db.Table("(?) AS "+table, united(l.matched(q).Select(l.columns), l.sorted(l.others(), q).Select(l.columns)))
	return l.sorted(both, q).Offset(q.Offset).Limit(q.Limit+1).Select(l.columns+total, args...)
}

// gather finds the rows of all pages once, and counts and sorts no more than their places.
func (l listing) gather(db *gorm.DB, q Paging) *gorm.DB {
	columns, args := l.columns, []any{l.gathered()}
	if q.CountTo > 0 {
		columns += ", (?) AS total"
		args = append(args, db.Table("(?) AS counted", db.Table("found").Select("1").Limit(int(q.CountTo)+1)).Select("count(*)"))
	}
	places := listing{key: "found.id", order: ordering{"found.place", l.order.value}}
	args = append(args, places.sorted(db.Table("found"), q).Offset(q.Offset).Select("found.id, found.place"))
	table, _, _ := strings.Cut(l.key, ".")
	return db.Raw("WITH found AS MATERIALIZED (?) SELECT "+columns+" FROM (?) AS page JOIN "+table+" ON "+l.key+" = page.id ORDER BY "+q.inOrder("page.place", "page.id"), args...)
}

// places selects of rows what gathered does.
func (l listing) places(rows *gorm.DB) *gorm.DB {
	return rows.Select(l.key + " AS id, " + l.order.expression + " AS place")
}

// ahead is the places of what comes after the page before, as many as fit the page and one more. It does without Offset.
func (l listing) ahead(db *gorm.DB, q Paging) *gorm.DB {
	first := l.places(l.matched(q))
	if l.others == nil {
		return first
	}
	return db.Table("(?) AS found", united(first, l.places(l.sorted(l.others(), q)))).
		Order(q.inOrder("found.place", "found.id")).Limit(q.Limit + 1).Select("found.id, found.place")
}

// ids selects the keys of the rows of all pages.
func (l listing) ids() clause.Expr {
	if l.others == nil {
		return united(l.matching().Select(l.key))
	}
	return united(l.matching().Select(l.key), l.others().Select(l.key))
}

// matched is sorted of matching. PostgreSQL enters an index where a comparison of two columns says, even if the range begins far
// behind it: in a ranged list it must not take that for a condition of an index.
func (l listing) matched(q Paging) *gorm.DB {
	rows := l.matching()
	if l.ranged && q.After != nil {
		rows, q.After = rows.Where("("+l.after(q)+") IS TRUE", q.After.Value, q.After.ID), nil
	}
	return l.sorted(rows, q)
}

// sorted is what comes after the page before, in the order of the list, as much as fits the page and one more.
func (l listing) sorted(rows *gorm.DB, q Paging) *gorm.DB {
	if q.After != nil {
		rows = rows.Where(l.after(q), q.After.Value, q.After.ID)
	}
	return rows.Order(q.inOrder(l.order.expression, l.key)).Limit(q.Offset + q.Limit + 1)
}

// after is the condition for what comes after a position.
func (l listing) after(q Paging) string {
	compare := ">"
	if q.Descending {
		compare = "<"
	}
	return "(" + l.order.expression + ", " + l.key + ") " + compare + " (" + l.order.value + ", ?)"
}

// inOrder is the ORDER BY of a list that is sorted by an expression.
func (q Paging) inOrder(expression, key string) string {
	direction := " ASC"
	if q.Descending {
		direction = " DESC"
	}
	return expression + direction + ", " + key + direction
}

// count stops one past CountTo, so that its cost does not grow with the table.
func (l listing) count(db *gorm.DB, q Paging) *gorm.DB {
	if l.gathered != nil {
		return db.Table("(?) AS matching", db.Table("(?) AS found", l.gathered()).Select("1").Limit(int(q.CountTo)+1)).Select("count(*)")
	}
	rows := l.matching().Select("1")
	if l.others != nil {
		rows = db.Table("(? UNION ALL ?) AS found", rows, l.others().Select("1")).Select("1")
	}
	return db.Table("(?) AS matching", rows.Limit(int(q.CountTo)+1)).Select("count(*)")
}

// completePage takes the rows that cut selected apart and adds what they could not tell: the total where the page is empty and
// so has no row to carry it, or where it is too large to count.
func completePage[T any](ctx context.Context, s *Store, q Paging, l listing, rows []counted[T]) (*Page[T], error) {
	page := &Page[T]{More: len(rows) > q.Limit}
	for i := range rows[:min(len(rows), q.Limit)] {
		page.Items, page.Total = append(page.Items, rows[i].Row), rows[i].Total
	}
	if q.CountTo == 0 || len(rows) == 0 && q.After == nil && q.Offset == 0 {
		return page, nil
	}
	if len(rows) == 0 {
		if err := l.count(s.db(ctx), q).WithContext(planned(ctx)).Scan(&page.Total).Error; err != nil {
			return nil, known(err)
		}
	}
	if page.Total <= q.CountTo {
		return page, nil
	}
	page.Estimated = true
	if l.whole == "" {
		return page, nil
	}
	size, err := s.tableSize(ctx, l.whole)
	page.Total = max(page.Total, size)
	return page, err
}

// tableSize guesses the number of rows from what the engine knows without counting.
func (s *Store) tableSize(ctx context.Context, table string) (int64, error) {
	query := "SELECT coalesce(max(rowid), 0) FROM " + table
	if s.Dialect() == dialectPostgres {
		query = "SELECT reltuples::bigint FROM pg_class WHERE oid = '" + table + "'::regclass"
	}
	var size int64
	if err := s.db(ctx).Raw(query).Scan(&size).Error; err != nil {
		return 0, fmt.Errorf("guess the size of %s: %w", table, known(err))
	}
	return size, nil
}

// united is all that the parts select, each of which may be sorted and cut by itself.
func united(parts ...*gorm.DB) clause.Expr {
	var sql []string
	var args []any
	for _, part := range parts {
		sql, args = append(sql, "SELECT * FROM (?) AS part"), append(args, part)
	}
	return gorm.Expr(strings.Join(sql, " UNION ALL "), args...)
}

// bytewise makes an expression compare by its bytes, as SQLite does anyway.
func (s *Store) bytewise(expression string) string {
	if s.Dialect() == dialectPostgres {
		return expression + ` COLLATE "C"`
	}
	return expression
}

// afterAll sorts behind every text: no text that goes on after a search comes behind the search and this.
const afterAll = "\U0010FFFF"
