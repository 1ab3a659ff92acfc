package store

import "time"

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
