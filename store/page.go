package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
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
	columns  string          // of a row
	key      string          // the column that makes the order total
	order    ordering        // what comes before the key
	whole    string          // the table that makes up the list when nothing is filtered; else empty
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
	total, args := "", []any(nil)
	if q.CountTo > 0 {
		total, args = ", (?) AS total", []any{l.count(db, q)}
	}
	if l.others == nil {
		return l.sorted(l.matching(), q).Offset(q.Offset).Limit(q.Limit+1).Select(l.columns+total, args...)
	}
	// Each part is cut by itself, in the order that its index has.
	table, _, _ := strings.Cut(l.key, ".")
	both := db.Table("(SELECT * FROM (?) AS matching UNION ALL SELECT * FROM (?) AS others) AS "+table,
		l.sorted(l.matching(), q).Select(l.columns), l.sorted(l.others(), q).Select(l.columns))
	return l.sorted(both, q).Offset(q.Offset).Limit(q.Limit+1).Select(l.columns+total, args...)
}

// sorted is what comes after the page before, in the order of the list, as much as fits the page and one more.
func (l listing) sorted(rows *gorm.DB, q Paging) *gorm.DB {
	direction, compare := " ASC", ">"
	if q.Descending {
		direction, compare = " DESC", "<"
	}
	if q.After != nil {
		rows = rows.Where("("+l.order.expression+", "+l.key+") "+compare+" ("+l.order.value+", ?)", q.After.Value, q.After.ID)
	}
	return rows.Order(l.order.expression + direction + ", " + l.key + direction).Limit(q.Offset + q.Limit + 1)
}

// count stops one past CountTo, so that its cost does not grow with the table.
func (l listing) count(db *gorm.DB, q Paging) *gorm.DB {
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

// bytewise makes an expression compare by its bytes, as SQLite does anyway.
func (s *Store) bytewise(expression string) string {
	if s.Dialect() == dialectPostgres {
		return expression + ` COLLATE "C"`
	}
	return expression
}

// beginning keeps the rows of which one of two columns begins with the text, whatever its case, or whose key it is. What the
// first holds is in lower case. Each is a range of an index, if there is one of the column in the form that is compared.
func (s *Store) beginning(db *gorm.DB, text, lower, name, key string) *gorm.DB {
	lower, name = s.bytewise(lower), s.bytewise("lower("+name+")")
	folded := strings.ToLower(text)
	return db.Where("("+lower+" >= ? AND "+lower+" < ? OR "+name+" >= lower(?) AND "+name+" < lower(?) OR "+key+" = ?)",
		folded, folded+afterAll, text, text+afterAll, text)
}

// afterAll sorts behind every text: no text that goes on after a search comes behind the search and this.
const afterAll = "\U0010FFFF"
