package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A RoleAssignment gives a person a role: everywhere, or in one organization and only as long as they are its member.
type RoleAssignment struct {
	ID             string `gorm:"primaryKey"`
	ApplicationID  string
	RoleID         string
	UserID         string
	OrganizationID *string // nil: everywhere
	CreatedAt      time.Time
}

// A clientRole gives a client a role for when it acts for itself.
type clientRole struct{ ClientID, RoleID string }

// An Assignee is a person in one application: everywhere, or when they act for one organization.
type Assignee struct {
	UserID         string
	ApplicationID  string
	OrganizationID string // empty: everywhere
}

// HeldRoles says what somebody may do in an application: keys, sorted, each once.
type HeldRoles struct {
	Assigned    []string // roles that the person was given everywhere or in the organization, whichever was asked for; or a client's
	Inherited   []string // roles held besides: default ones and, in an organization, those given everywhere
	Effective   []string // both
	Permissions []string // of all these roles
}

// A heldRole is one way in which a role is held.
type heldRole struct {
	ID       string
	Key      string
	Assigned bool
}

// UserRoles returns what the person holds, in two statements.
func (s *Store) UserRoles(ctx context.Context, a Assignee) (*HeldRoles, error) {
	var rows []heldRole
	err := s.db(ctx).Raw(`SELECT roles.id, roles.key, FALSE AS assigned FROM roles WHERE roles.application_id = ? AND is_default
		UNION ALL SELECT roles.id, roles.key, coalesce(role_assignments.organization_id, '') = ? AS assigned
		FROM role_assignments JOIN roles ON roles.id = role_assignments.role_id
		WHERE role_assignments.user_id = ? AND role_assignments.application_id = ?
		AND (role_assignments.organization_id IS NULL OR role_assignments.organization_id = ?)`,
		a.ApplicationID, a.OrganizationID, a.UserID, a.ApplicationID, a.OrganizationID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("roles of user %s: %w", a.UserID, known(err))
	}
	return s.heldRoles(ctx, rows)
}

// ClientRoles returns what the client holds when it acts for itself. Default roles are people's.
func (s *Store) ClientRoles(ctx context.Context, clientID string) (*HeldRoles, error) {
	var rows []heldRole
	err := s.db(ctx).Table("client_roles").Joins("JOIN roles ON roles.id = client_roles.role_id").Where("client_roles.client_id = ?", clientID).
		Select("roles.id, roles.key, TRUE AS assigned").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("roles of client %q: %w", clientID, known(err))
	}
	return s.heldRoles(ctx, rows)
}

// heldRoles sorts the roles by how they are held and adds their permissions.
func (s *Store) heldRoles(ctx context.Context, rows []heldRole) (*HeldRoles, error) {
	held := &HeldRoles{Assigned: []string{}, Inherited: []string{}, Effective: []string{}, Permissions: []string{}}
	var ids []string
	for _, row := range rows {
		if row.Assigned {
			held.Assigned = append(held.Assigned, row.Key)
		} else {
			held.Inherited = append(held.Inherited, row.Key)
		}
		held.Effective = append(held.Effective, row.Key)
		ids = append(ids, row.ID)
	}
	for _, keys := range []*[]string{&held.Assigned, &held.Inherited, &held.Effective} {
		slices.Sort(*keys)
		*keys = slices.Compact(*keys)
	}
	if len(ids) == 0 {
		return held, nil
	}
	err := s.db(ctx).Table("role_permissions").Joins("JOIN permissions ON permissions.id = role_permissions.permission_id").
		Where("role_permissions.role_id IN ?", ids).Distinct().Pluck("permissions.key", &held.Permissions).Error
	if err != nil {
		return nil, fmt.Errorf("permissions of roles: %w", known(err))
	}
	slices.Sort(held.Permissions)
	return held, nil
}

// SetUserRoles makes the roles, which are the application's, those that the person was given there, and returns the keys of
// those until now, sorted. Callers hold the locks of the application and of the person, else two of them would mix their sets.
func (s *Store) SetUserRoles(ctx context.Context, a Assignee, roles []Role) ([]string, error) {
	const there = "role_assignments.user_id = ? AND role_assignments.application_id = ? AND coalesce(role_assignments.organization_id, '') = ?"
	until, err := s.givenRoles(ctx, "role_assignments", there, a.UserID, a.ApplicationID, a.OrganizationID)
	if err != nil {
		return nil, fmt.Errorf("roles of user %s: %w", a.UserID, err)
	}
	if taken := missing(roleIDs(until), roleIDs(roles)); len(taken) > 0 {
		err = s.db(ctx).Where(there, a.UserID, a.ApplicationID, a.OrganizationID).Delete(&RoleAssignment{}, "role_id IN ?", taken).Error
	}
	var rows []RoleAssignment
	for _, id := range missing(roleIDs(roles), roleIDs(until)) {
		row := RoleAssignment{ID: NewID(), ApplicationID: a.ApplicationID, RoleID: id, UserID: a.UserID, CreatedAt: s.now()}
		if a.OrganizationID != "" {
			row.OrganizationID = &a.OrganizationID
		}
		rows = append(rows, row)
	}
	if err == nil && len(rows) > 0 {
		err = s.db(ctx).Create(&rows).Error
	}
	if err != nil {
		return nil, fmt.Errorf("set roles of user %s: %w", a.UserID, known(err))
	}
	return roleKeys(until), nil
}

// SetClientRoles does so for what the client holds when it acts for itself. Callers hold the lock of the application.
func (s *Store) SetClientRoles(ctx context.Context, clientID string, roles []Role) ([]string, error) {
	until, err := s.givenRoles(ctx, "client_roles", "client_roles.client_id = ?", clientID)
	if err != nil {
		return nil, fmt.Errorf("roles of client %q: %w", clientID, err)
	}
	taken := missing(roleIDs(until), roleIDs(roles))
	if len(taken) > 0 {
		err = s.db(ctx).Delete(&clientRole{}, "client_id = ? AND role_id IN ?", clientID, taken).Error
	}
	var rows []clientRole
	for _, id := range missing(roleIDs(roles), roleIDs(until)) {
		rows = append(rows, clientRole{clientID, id})
	}
	if err == nil && len(rows) > 0 {
		err = s.db(ctx).Create(&rows).Error
	}
	if err != nil {
		return nil, fmt.Errorf("set roles of client %q: %w", clientID, known(err))
	}
	if len(taken)+len(rows) > 0 {
		s.publish(ctx, Event{Kind: EventClientChanged, ID: clientID})
	}
	return roleKeys(until), nil
}

// givenRoles returns ID and Key of the roles in a table of assignments, in the order of their keys.
func (s *Store) givenRoles(ctx context.Context, table, where string, args ...any) ([]Role, error) {
	var rows []Role
	err := s.db(ctx).Table(table).Joins("JOIN roles ON roles.id = "+table+".role_id").Where(where, args...).
		Order(s.bytewise("roles.key")).Select("roles.id, roles.key").Scan(&rows).Error
	return rows, known(err)
}

func roleIDs(roles []Role) []string {
	out := make([]string, len(roles))
	for i := range roles {
		out[i] = roles[i].ID
	}
	return out
}

func roleKeys(roles []Role) []string {
	out := make([]string, len(roles))
	for i := range roles {
		out[i] = roles[i].Key
	}
	return out
}

// RoleHolders tells who was given a role.
type RoleHolders struct {
	Assignments int64 // a person counts once for each organization, and once more for everywhere
	Clients     int64
}

// CountRoleHolders counts to whom the role was given, no more than limit of each.
func (s *Store) CountRoleHolders(ctx context.Context, id string, limit int) (RoleHolders, error) {
	var n RoleHolders
	err := s.db(ctx).Raw(`SELECT (SELECT count(*) FROM (SELECT 1 FROM role_assignments WHERE role_id = ? LIMIT ?) AS people) AS assignments,
		(SELECT count(*) FROM (SELECT 1 FROM client_roles WHERE role_id = ? LIMIT ?) AS machines) AS clients`, id, limit, id, limit).Scan(&n).Error
	if err != nil {
		return n, fmt.Errorf("count holders of role %s: %w", id, known(err))
	}
	return n, nil
}
