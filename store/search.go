package store

import (
	"context"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// A search finds the rows of a table of which one of two columns begins with the text, whatever its case, or whose id it is.
// "Contains" would read every row, and an index for it (trigrams) is an extension that not everyone may install.
//
// Each column's part is a range of its index. The first part is that of the column by which the list is sorted, if it is by
// either: a page of it is where the range begins. A name and the address that begins like it are mostly of one row, so the
// second part, without the first, has few.
type search struct {
	table string
	lower string // a column whose text is in lower case; the other one is name
	text  string
	sort  string // of the list
}

// unlimited is a LIMIT that leaves nothing out and hides from the planner that rows are sorted later.
const unlimited = "1000000000"

// searched keeps the first part of what the search finds. It keeps all when there is nothing to search for.
func (s *Store) searched(rows *gorm.DB, q search) *gorm.DB {
	if q.text == "" {
		return rows
	}
	first, _ := s.parts(q)
	return rows.Where(first)
}

// foundOtherwise selects the rest. It is unlimited because the planner takes the two columns for independent: it would look for the
// few in the order of the list, which is to read the whole table.
func (s *Store) foundOtherwise(ctx context.Context, q search) *gorm.DB {
	if q.initial() {
		return s.foundByInitial(ctx, q)
	}
	first, second := s.parts(q)
	found := gorm.Expr(strings.ReplaceAll(`SELECT @.* FROM @ WHERE @.id IN (SELECT @.id FROM @ WHERE ? AND NOT (?)
		UNION ALL SELECT @.id FROM @ WHERE @.id = ? AND NOT (?)) LIMIT `+unlimited, "@", q.table), second, first, q.text, first)
	return s.db(ctx).Table("(?) AS "+q.table, found)
}

// initial reports whether q looks for people by one letter or digit. In Turkish the small letter of I is another one than that of
// addresses.
func (q search) initial() bool {
	return q.table == "users" && len(q.text) == 1 && q.text != "I" && strings.Contains("abcdefghijklmnopqrstuvwxyz0123456789", strings.ToLower(q.text))
}

// foundByInitial is foundOtherwise for one letter; no id is as short. The rest would have to be looked for among all names, or all
// addresses, with the letter. Two indexes have those whose name and address begin differently, each in the order of the one column
// by the first letter of the other.
func (s *Store) foundByInitial(ctx context.Context, q search) *gorm.DB {
	const differ = "substr(users.email, 1, 1) <> substr(lower(users.name), 1, 1)"
	letter, rows := strings.ToLower(q.text), s.db(ctx).Table("users")
	switch q.sort {
	case ByName:
		return rows.Where("substr(users.email, 1, 1) = ? AND "+differ, letter)
	case ByEmail:
		return rows.Where("substr(lower(users.name), 1, 1) = ? AND "+differ, letter)
	}
	found := gorm.Expr("SELECT users.* FROM users WHERE substr(lower(users.name), 1, 1) = ? AND "+differ+" LIMIT "+unlimited, letter)
	return s.db(ctx).Table("(?) AS users", found)
}

// ahead reports whether the page before ended before the range of the first part, in the direction of the list. It need not be
// right for every alphabet: see listing.ranged.
func (q search) ahead(p Paging) bool {
	value, text := "", strings.ToLower(q.text)
	if p.After != nil && (p.Sort == ByName || p.Sort == q.lower) {
		value, _ = p.After.Value.(string)
	}
	if value = strings.ToLower(value); p.Descending {
		return value > text+afterAll
	}
	return value != "" && value < text
}

// either is what the rows have in common that the search finds.
func (s *Store) either(q search) clause.Expr {
	first, second := s.parts(q)
	return gorm.Expr("(? OR ? OR "+q.table+".id = ?)", first, second, q.text)
}

// found selects the ids of the rows that the search finds, each once, by the indexes alone.
func (s *Store) found(q search) clause.Expr {
	first, second := s.parts(q)
	return gorm.Expr(strings.ReplaceAll("SELECT @.id FROM @ WHERE ? UNION ALL SELECT @.id FROM @ WHERE ? AND NOT (?) "+
		"UNION ALL SELECT @.id FROM @ WHERE @.id = ? AND NOT (?) AND NOT (?)", "@", q.table), first, second, first, q.text, first, second)
}

func (s *Store) parts(q search) (first, second clause.Expr) {
	lower, name := s.bytewise(q.table+"."+q.lower), s.bytewise("lower("+q.table+".name)")
	folded := strings.ToLower(q.text)
	first = gorm.Expr(lower+" >= ? AND "+lower+" < ?", folded, folded+afterAll)
	second = gorm.Expr(name+" >= lower(?) AND "+name+" < lower(?)", q.text, q.text+afterAll)
	if q.sort == ByName {
		return second, first
	}
	return first, second
}
