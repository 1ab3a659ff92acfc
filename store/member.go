package store

import (
	"context"
	"fmt"
	"time"
)

// Roles that a member has in an organization. Owners and admins manage its members; only owners make and unmake owners.
const (
	MemberOwner = "owner"
	MemberAdmin = "admin"
	MemberPlain = "member"
)

// A Member is a person who acts for an organization.
type Member struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Organization   *Organization
	UserID         string
	User           *User
	Role           string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// maxMemberships bounds how many organizations of one person are listed at once.
const maxMemberships = 200

// MembershipsOf returns the memberships of a person with their organizations, by name; no more than 200.
func (s *Store) MembershipsOf(ctx context.Context, userID string) ([]Member, error) {
	var rows []Member
	err := s.db(ctx).Joins("Organization").Order(`lower("Organization"."name"), "Organization"."id"`).Limit(maxMemberships).
		Find(&rows, "members.user_id = ?", userID).Error
	if err != nil {
		return nil, fmt.Errorf("memberships of user %s: %w", userID, known(err))
	}
	return rows, nil
}
