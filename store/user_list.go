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
	}
	everybody := q
	everybody.Paging = Paging{}
	if everybody == (UserQuery{}) {
		l.whole = "users"
	}
	page, err := findPage[User](ctx, s, q.Paging, l)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return page, nil
}

// matchingUsers selects the people that q is about, on all its pages; of those whom a search finds, the first part.
func (s *Store) matchingUsers(ctx context.Context, q UserQuery) *gorm.DB {
	return s.filterUsers(s.searched(s.db(ctx).Model(&User{}), q.search()), q)
}

func (q UserQuery) search() search { return search{"users", "email", q.Search, q.Sort} }

// filterUsers keeps the people whom q does not leave out. Roles are spelled out so that the planner sees which partial index
// serves them. An organization has a bounded number of members, so they come first and are sorted; an application may have
// most people, so each of them is asked for it.
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
	if q.OrganizationID != "" {
		db = db.Where("users.id IN (SELECT user_id FROM members WHERE organization_id = ?)", q.OrganizationID)
	}
	if q.ApplicationID != "" {
		db = db.Where("(EXISTS (SELECT 1 FROM grants WHERE grants.user_id = users.id"+
			" AND grants.client_id IN (SELECT id FROM clients WHERE clients.application_id = ?))"+
			" OR EXISTS (SELECT 1 FROM role_assignments WHERE role_assignments.user_id = users.id AND role_assignments.application_id = ?)"+
			" OR EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.user_id = users.id AND subscriptions.application_id = ?))",
			q.ApplicationID, q.ApplicationID, q.ApplicationID)
	}
	return db
}
