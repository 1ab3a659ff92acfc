package store

import (
	"context"
	"fmt"
	"time"
)

// A Permission is something that an application can allow, by a key of the application's choice such as invoice:read.
type Permission struct {
	ID            string `gorm:"primaryKey"`
	ApplicationID string
	Key           string
	Name          string
	Description   string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Permissions returns one page of an application's permissions.
func (s *Store) Permissions(ctx context.Context, q KeyQuery) (*Page[Permission], error) {
	page, err := findPage[Permission](ctx, s, q.Paging, s.keyListing(ctx, "permissions", q))
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return page, nil
}

// PermissionByKey returns the application's permission, or ErrNotFound.
func (s *Store) PermissionByKey(ctx context.Context, applicationID, key string) (*Permission, error) {
	var p Permission
	if err := s.db(ctx).Take(&p, "application_id = ? AND key = ?", applicationID, key).Error; err != nil {
		return nil, fmt.Errorf("permission %q of application %s: %w", key, applicationID, known(err))
	}
	return &p, nil
}

// KnownPermissions returns those of the keys that are permissions of the application, sorted.
func (s *Store) KnownPermissions(ctx context.Context, applicationID string, keys []string) ([]string, error) {
	found := []string{}
	if len(keys) == 0 {
		return found, nil
	}
	err := s.db(ctx).Model(&Permission{}).Where("application_id = ? AND key IN ?", applicationID, keys).Order(s.bytewise("key")).Pluck("key", &found).Error
	if err != nil {
		return nil, fmt.Errorf("permissions of application %s: %w", applicationID, known(err))
	}
	return found, nil
}

// CountPermissions counts the application's permissions.
func (s *Store) CountPermissions(ctx context.Context, applicationID string) (int, error) {
	n, err := s.countKeys(ctx, &Permission{}, applicationID)
	if err != nil {
		return 0, fmt.Errorf("count permissions of application %s: %w", applicationID, err)
	}
	return n, nil
}

// CreatePermission inserts p. It returns ErrConflict when the application has a permission with the key, and then the
// transaction may go on.
func (s *Store) CreatePermission(ctx context.Context, p *Permission) error {
	p.ID, p.CreatedAt = NewID(), s.now()
	p.UpdatedAt = p.CreatedAt
	if err := s.createKey(ctx, p); err != nil {
		return fmt.Errorf("create permission %q of application %s: %w", p.Key, p.ApplicationID, err)
	}
	s.publish(ctx, Event{Kind: EventApplicationChanged, ID: p.ApplicationID})
	return nil
}

// UpdatePermission writes the name and the description.
func (s *Store) UpdatePermission(ctx context.Context, p *Permission) error {
	p.UpdatedAt = s.now()
	res := s.db(ctx).Model(&Permission{}).Where("id = ?", p.ID).Select("name", "description", "updated_at").UpdateColumns(p)
	if err := touched(res); err != nil {
		return fmt.Errorf("update permission %s: %w", p.ID, err)
	}
	s.publish(ctx, Event{Kind: EventApplicationChanged, ID: p.ApplicationID})
	return nil
}

// DeletePermission deletes the permission and takes it out of its roles.
func (s *Store) DeletePermission(ctx context.Context, p *Permission) error {
	if err := touched(s.db(ctx).Delete(&Permission{}, "id = ?", p.ID)); err != nil {
		return fmt.Errorf("delete permission %s: %w", p.ID, err)
	}
	return s.changed(ctx, p.ApplicationID)
}

// RolesWithPermission returns the keys of the roles that have the permission, sorted.
func (s *Store) RolesWithPermission(ctx context.Context, id string) ([]string, error) {
	keys := []string{}
	err := s.db(ctx).Model(&Role{}).Joins("JOIN role_permissions ON role_permissions.role_id = roles.id").
		Where("role_permissions.permission_id = ?", id).Order(s.bytewise("roles.key")).Pluck("roles.key", &keys).Error
	if err != nil {
		return nil, fmt.Errorf("roles with permission %s: %w", id, known(err))
	}
	return keys, nil
}
