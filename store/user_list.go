package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// A UserQuery selects one page of people, who sort ByCreation, ByEmail or ByName, which folds case.
type UserQuery struct {
	Paging
	Search   string // how the address or the name begins, or the id
	Role     string // empty for all
	Disabled *bool  // nil for all

	OrganizationID string // of one whose members they are; empty for all
	ApplicationID  string // of one in which they have a grant, past or present, a role or a subscription; empty for all
}

// Users returns one page of people.
func (s *Store) Users(ctx context.Context, q UserQuery) (*Page[User], error) {
	l := listing{
		matching: func() *gorm.DB { return s.matchingUsers(ctx, q) }, columns: "users.*", key: "users.id", order: byColumn("users.created_at"),
	}
	switch q.Sort {
	case ByEmail:
		l.order = byColumn(s.bytewise("users.email"))
	case ByName:
		l.order = ordering{s.bytewise("lower(users.name)"), "lower(?)"}
	}
	if q.Search != "" {
		l.others = func() *gorm.DB { return s.filterUsers(s.foundOtherwise(ctx, q.search()), q) }
		l.ranged = q.search().ahead(q.Paging)
	}
	page, err := s.userPage(ctx, q, l)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return page, nil
}

func (s *Store) userPage(ctx context.Context, q UserQuery, l listing) (*Page[User], error) {
	if q.OrganizationID != "" || q.ApplicationID != "" {
		return s.circlePage(ctx, q, l)
	}
	if !q.filtered() {
		l.whole = "users"
	}
	return findPage[User](ctx, s, q.Paging, l)
}

// filtered reports whether q leaves out some of everybody, or of those who have to do with the organization or the application.
func (q UserQuery) filtered() bool { return q.Search != "" || q.Role != "" || q.Disabled != nil }

// matchingUsers selects the people that q is about, on all its pages; of those whom a search finds, the first part.
func (s *Store) matchingUsers(ctx context.Context, q UserQuery) *gorm.DB {
	return s.filterUsers(s.searched(s.db(ctx).Model(&User{}), q.search()), q)
}

func (q UserQuery) search() search { return search{"users", "email", q.Search, q.Sort} }

// filterUsers keeps the people whom q does not leave out; for the organization and the application see circle. Roles are spelled
// out so that the planner sees which partial index serves them.
func (s *Store) filterUsers(db *gorm.DB, q UserQuery) *gorm.DB {
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
	return db
}
