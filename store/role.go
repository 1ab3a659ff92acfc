package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Role is a set of an application's permissions that people, and clients acting for themselves, can hold.
type Role struct {
	ID            string `gorm:"primaryKey"`
	ApplicationID string
	Key           string
	Name          string
	Description   string
	IsDefault     bool     // everybody holds it
	Permissions   []string `gorm:"-"` // their keys, sorted; kept in role_permissions
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Roles returns one page of an application's roles with their permissions, in two statements, however long it is.
func (s *Store) Roles(ctx context.Context, q KeyQuery) (*Page[Role], error) {
	page, err := findPage[Role](ctx, s, q.Paging, s.keyListing(ctx, "roles", q))
	if err == nil {
		err = s.loadPermissions(ctx, page.Items)
	}
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	return page, nil
}

// RoleByKey returns the application's role with its permissions, or ErrNotFound.
func (s *Store) RoleByKey(ctx context.Context, applicationID, key string) (*Role, error) {
	rows := make([]Role, 1)
	err := known(s.db(ctx).Take(&rows[0], "application_id = ? AND key = ?", applicationID, key).Error)
	if err == nil {
		err = s.loadPermissions(ctx, rows)
	}
	if err != nil {
		return nil, fmt.Errorf("role %q of application %s: %w", key, applicationID, err)
	}
	return &rows[0], nil
}

func (s *Store) loadPermissions(ctx context.Context, roles []Role) error {
	if len(roles) == 0 {
		return nil
	}
	at := map[string]*Role{}
	ids := make([]string, len(roles))
	for i := range roles {
		roles[i].Permissions = []string{}
		ids[i], at[roles[i].ID] = roles[i].ID, &roles[i]
	}
	var rows []struct{ RoleID, Key string }
	err := s.db(ctx).Table("role_permissions").Joins("JOIN permissions ON permissions.id = role_permissions.permission_id").
		Where("role_permissions.role_id IN ?", ids).Order(s.bytewise("permissions.key")).Select("role_permissions.role_id, permissions.key").Scan(&rows).Error
	for _, row := range rows {
		at[row.RoleID].Permissions = append(at[row.RoleID].Permissions, row.Key)
	}
	return known(err)
}

// RolesByKey returns those of the application's roles that have one of the keys, in the order of their keys and without their
// permissions.
func (s *Store) RolesByKey(ctx context.Context, applicationID string, keys []string) ([]Role, error) {
	var rows []Role
	if len(keys) == 0 {
		return nil, nil
	}
	err := s.db(ctx).Order(s.bytewise("key")).Find(&rows, "application_id = ? AND key IN ?", applicationID, keys).Error
	if err != nil {
		return nil, fmt.Errorf("roles of application %s: %w", applicationID, known(err))
	}
	return rows, nil
}

// CountRoles counts the application's roles.
func (s *Store) CountRoles(ctx context.Context, applicationID string) (int, error) {
	n, err := s.countKeys(ctx, &Role{}, applicationID)
	if err != nil {
		return 0, fmt.Errorf("count roles of application %s: %w", applicationID, err)
	}
	return n, nil
}

// CreateRole inserts r with its permissions, which exist. It returns ErrConflict when the application has a role with the
// key, and then the transaction, which it needs, may go on.
func (s *Store) CreateRole(ctx context.Context, r *Role) error {
	r.ID, r.CreatedAt = NewID(), s.now()
	r.UpdatedAt = r.CreatedAt
	err := s.createKey(ctx, r)
	if err == nil {
		err = s.addPermissions(ctx, r, r.Permissions)
	}
	if err != nil {
		return fmt.Errorf("create role %q of application %s: %w", r.Key, r.ApplicationID, err)
	}
	return s.changed(ctx, r.ApplicationID)
}

// UpdateRole writes all but the key of r, which was as the caller read it under the application's lock.
func (s *Store) UpdateRole(ctx context.Context, was, r *Role) error {
	r.UpdatedAt = s.now()
	err := touched(s.db(ctx).Model(&Role{}).Where("id = ?", r.ID).Select("name", "description", "is_default", "updated_at").UpdateColumns(r))
	if err == nil {
		err = s.removePermissions(ctx, r, missing(was.Permissions, r.Permissions))
	}
	if err == nil {
		err = s.addPermissions(ctx, r, missing(r.Permissions, was.Permissions))
	}
	if err != nil {
		return fmt.Errorf("update role %s: %w", r.ID, err)
	}
	return s.changed(ctx, r.ApplicationID)
}

func (s *Store) addPermissions(ctx context.Context, r *Role, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	return known(s.db(ctx).Exec("INSERT INTO role_permissions (role_id, permission_id) SELECT ?, id FROM permissions WHERE application_id = ? AND key IN ?",
		r.ID, r.ApplicationID, keys).Error)
}

func (s *Store) removePermissions(ctx context.Context, r *Role, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	return known(s.db(ctx).Exec("DELETE FROM role_permissions WHERE role_id = ? AND permission_id IN (SELECT id FROM permissions WHERE application_id = ? AND key IN ?)",
		r.ID, r.ApplicationID, keys).Error)
}

// missing returns what is in some and not in others.
func missing(some, others []string) []string {
	return slices.DeleteFunc(slices.Clone(some), func(s string) bool { return slices.Contains(others, s) })
}

// DeleteRole deletes the role and takes it from all who hold it.
func (s *Store) DeleteRole(ctx context.Context, r *Role) error {
	if err := touched(s.db(ctx).Delete(&Role{}, "id = ?", r.ID)); err != nil {
		return fmt.Errorf("delete role %s: %w", r.ID, err)
	}
	return s.changed(ctx, r.ApplicationID)
}
