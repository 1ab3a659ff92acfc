package store

import "time"

// A Role is a set of an application's permissions that people, and clients acting for themselves, can hold.
type Role struct {
	ID            string `gorm:"primaryKey"`
	ApplicationID string
	Key           string
	Name          string
	Description   string
	IsDefault     bool         // everybody holds it
	Permissions   []Permission `gorm:"many2many:role_permissions"`
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// A RoleAssignment gives a person a role: everywhere, or in one organization and only as long as they are its member.
type RoleAssignment struct {
	ID             string `gorm:"primaryKey"`
	ApplicationID  string
	RoleID         string
	UserID         string
	OrganizationID *string // nil: everywhere
	CreatedAt      time.Time
}
