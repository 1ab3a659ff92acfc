package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// How a person comes by a role.
const (
	RoleByDefault      = "default"
	RoleAssigned       = "user"         // everywhere
	RoleInOrganization = "organization" // as a member of one
)

// A RolePath is one way in which a person holds a role, and whether it leads to a permission.
type RolePath struct {
	Role           string
	Via            string     // RoleByDefault, RoleAssigned or RoleInOrganization
	OrganizationID string     // of RoleInOrganization
	AssignedAt     *time.Time // nil by default
	Counts         bool       // for the organization that was asked about: roles held in others don't
	Grants         bool       // the role has the permission
}

// RolePaths returns every way in which the person holds a role of the application, and what each means for one permission and
// one organization, empty for none. They come by the role's key, the default first.
func (s *Store) RolePaths(ctx context.Context, userID, applicationID, organizationID, permission string) ([]RolePath, error) {
	var rows []struct {
		Key            string
		IsDefault      bool
		AssignmentID   *string
		OrganizationID *string
		CreatedAt      *time.Time
		Grants         bool
	}
	err := s.db(ctx).Raw(`SELECT roles.key, roles.is_default, held.id AS assignment_id, held.organization_id, held.created_at,
		EXISTS (SELECT 1 FROM role_permissions JOIN permissions ON permissions.id = role_permissions.permission_id
		WHERE role_permissions.role_id = roles.id AND permissions.key = ?) AS grants
		FROM roles LEFT JOIN role_assignments AS held ON held.role_id = roles.id AND held.user_id = ? AND held.application_id = ?
		WHERE roles.application_id = ? AND (roles.is_default OR held.id IS NOT NULL)`,
		permission, userID, applicationID, applicationID).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("roles of user %s: %w", userID, known(err))
	}
	paths, defaults := []RolePath{}, map[string]bool{}
	for _, r := range rows {
		if r.IsDefault && !defaults[r.Key] {
			defaults[r.Key] = true
			paths = append(paths, RolePath{Role: r.Key, Via: RoleByDefault, Counts: true, Grants: r.Grants})
		}
		switch {
		case r.AssignmentID == nil:
		case r.OrganizationID == nil:
			paths = append(paths, RolePath{Role: r.Key, Via: RoleAssigned, AssignedAt: r.CreatedAt, Counts: true, Grants: r.Grants})
		default:
			paths = append(paths, RolePath{Role: r.Key, Via: RoleInOrganization, OrganizationID: *r.OrganizationID, AssignedAt: r.CreatedAt,
				Counts: *r.OrganizationID == organizationID, Grants: r.Grants})
		}
	}
	slices.SortFunc(paths, func(a, b RolePath) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Via, b.Via), cmp.Compare(a.OrganizationID, b.OrganizationID))
	})
	return paths, nil
}
