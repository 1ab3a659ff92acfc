package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// ByEmail is what lists of people sort by, beside ByCreation and ByName.
const ByEmail = "email"

// A UserQuery selects one page of people.
type UserQuery struct {
	Search     string // how the address or the name begins, or the id
	Role       string // empty for all
	Disabled   *bool  // nil for all
	Sort       string // ByCreation (also when empty), ByEmail or ByName, which folds case
	Descending bool
	After      *Position // where the page before ended; nil for the first one
	Limit      int
	CountTo    int64 // up to how many matches are counted exactly
}

// A UserPage is what a UserQuery finds.
type UserPage struct {
	Users     []User
	More      bool
	Total     int64
	Estimated bool // there are more than CountTo, and Total is a guess
}

type countedUser struct {
	User
	Total int64
}

// Users returns one page in one statement, or two when there is no row to carry the total or too many to count.
func (s *Store) Users(ctx context.Context, q UserQuery) (*UserPage, error) {
	var rows []countedUser
	if err := s.pageOfUsers(ctx, q).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list users: %w", known(err))
	}
	out := &UserPage{More: len(rows) > q.Limit}
	for _, row := range rows[:min(len(rows), q.Limit)] {
		out.Users, out.Total = append(out.Users, row.User), row.Total
	}
	if len(rows) == 0 && q.After != nil {
		if err := s.countUsers(ctx, q).Scan(&out.Total).Error; err != nil {
			return nil, fmt.Errorf("count users: %w", known(err))
		}
	}
	if out.Total > q.CountTo {
		out.Estimated = true
		if q.Search == "" && q.Role == "" && q.Disabled == nil {
			size, err := s.tableSize(ctx, "users")
			if err != nil {
				return nil, fmt.Errorf("guess the number of users: %w", known(err))
			}
			out.Total = max(out.Total, size)
		}
	}
	return out, nil
}

// pageOfUsers selects the rows of a page, and one more that tells whether there is another page.
func (s *Store) pageOfUsers(ctx context.Context, q UserQuery) *gorm.DB {
	order, value := "users.created_at", "?"
	switch q.Sort {
	case ByEmail:
		order = s.bytewise("users.email")
	case ByName:
		order, value = s.bytewise("lower(users.name)"), "lower(?)"
	}
	direction, compare := " ASC", ">"
	if q.Descending {
		direction, compare = " DESC", "<"
	}
	page := s.matchingUsers(ctx, q).Select("users.*, (?) AS total", s.countUsers(ctx, q))
	if q.After != nil {
		page = page.Where("("+order+", users.id) "+compare+" ("+value+", ?)", q.After.Value, q.After.ID)
	}
	return page.Order(order + direction + ", users.id" + direction).Limit(q.Limit + 1)
}

// matchingUsers selects the people that q is about, on all its pages. Roles are spelled out so that the planner sees
// which partial index serves them. A search is a union of ranges, each of one index: users_by_email (users_email in
// SQLite), users_by_name and the key. "Contains" would read every row, and an index for it (trigrams) is an extension that not everyone may install.
func (s *Store) matchingUsers(ctx context.Context, q UserQuery) *gorm.DB {
	db := s.db(ctx).Model(&User{})
	switch q.Role {
	case RoleAdmin, RoleSuperadmin:
		db = db.Where("users.role = '" + q.Role + "' AND users.role <> '" + RoleUser + "'")
	case RoleUser:
		db = db.Where("users.role = '" + RoleUser + "'")
	}
	if q.Disabled != nil {
		const disabled = "users.disabled_at IS NOT NULL AND (users.disabled_until IS NULL OR users.disabled_until > ?)"
		const enabled = "(users.disabled_at IS NULL OR users.disabled_until <= ?)"
		if *q.Disabled {
			db = db.Where(disabled, s.now())
		} else {
			db = db.Where(enabled, s.now())
		}
	}
	if q.Search != "" {
		const last = "\U0010FFFF" // no text that goes on after the search comes behind it
		email, name := s.bytewise("users.email"), s.bytewise("lower(users.name)")
		folded := strings.ToLower(q.Search)
		db = db.Where("("+email+" >= ? AND "+email+" < ? OR "+name+" >= lower(?) AND "+name+" < lower(?) OR users.id = ?)",
			folded, folded+last, q.Search, q.Search+last, q.Search)
	}
	return db
}

// countUsers stops one past CountTo, so that its cost does not grow with the table.
func (s *Store) countUsers(ctx context.Context, q UserQuery) *gorm.DB {
	some := s.matchingUsers(ctx, q).Select("1").Limit(int(q.CountTo) + 1)
	return s.db(ctx).Table("(?) AS matching", some).Select("count(*)")
}

// bytewise makes an expression compare by its bytes, as SQLite does anyway.
func (s *Store) bytewise(expression string) string {
	if s.Dialect() == dialectPostgres {
		return expression + ` COLLATE "C"`
	}
	return expression
}
