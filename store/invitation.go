package store

import "time"

// How an invitation stands.
const (
	InvitationPending  = "pending"
	InvitationAccepted = "accepted"
	InvitationRejected = "rejected"
	InvitationCanceled = "canceled"
)

// An Invitation offers membership of an organization to whoever has the address. Its ID is random and part of the link that
// the invited person gets: only the organization's managers, and people who proved to own the address, see it otherwise.
type Invitation struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	Organization   *Organization
	Email          string // in lower case
	Role           string
	Status         string
	InviterID      string // a user's id; empty when a client or the command line invited
	CreatedAt      time.Time
	UpdatedAt      time.Time
	ExpiresAt      time.Time
}
