package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// How an invitation stands.
const (
	InvitationPending  = "pending"
	InvitationAccepted = "accepted"
	InvitationRejected = "rejected"
	InvitationCanceled = "canceled"
)

// isPending is spelled out, and not a parameter, so that the planner sees that the indexes of pending invitations serve it.
const isPending = "invitations.status = '" + InvitationPending + "'"

// maxReceived is how many invitations of a person are listed.
const maxReceived = 200

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

// Open reports whether the invitation can be accepted at the time now.
func (i *Invitation) Open(now time.Time) bool {
	return i.Status == InvitationPending && now.Before(i.ExpiresAt)
}

// An InvitationOffer is what an invitation is asked for with.
type InvitationOffer struct {
	Email    string
	Role     string
	Lifetime time.Duration // zero for the usual one
	Resend   bool          // an open invitation of the address is renewed, instead of being in the way
}

// An InvitationQuery selects one page of an organization's invitations, which sort by creation whatever Paging says.
type InvitationQuery struct {
	Paging
	OrganizationID string
	Search         string // how the address begins, in whatever case
	Status         string // empty for all
	WithoutOwners  bool   // leaves out those that offer the role of an owner
}

// Invitations returns one page.
func (s *Store) Invitations(ctx context.Context, q InvitationQuery) (*Page[Invitation], error) {
	page, err := findPage[Invitation](ctx, s, q.Paging, listing{
		matching: func() *gorm.DB {
			db := s.db(ctx).Model(&Invitation{}).Where("invitations.organization_id = ?", q.OrganizationID)
			if q.Search != "" {
				email, folded := s.bytewise("invitations.email"), strings.ToLower(q.Search)
				db = db.Where(email+" >= ? AND "+email+" < ?", folded, folded+afterAll)
			}
			if q.Status != "" {
				db = db.Where("invitations.status = ?", q.Status)
			}
			if q.WithoutOwners {
				db = db.Where("invitations.role <> '" + MemberOwner + "'")
			}
			return db
		},
		columns: "invitations.*", key: "invitations.id", order: byColumn("invitations.created_at"),
	})
	if err != nil {
		return nil, fmt.Errorf("list invitations of organization %s: %w", q.OrganizationID, err)
	}
	return page, nil
}

// InvitationByID returns the invitation with its organization, or ErrNotFound. The error does not repeat the id, which is
// a secret.
func (s *Store) InvitationByID(ctx context.Context, id string) (*Invitation, error) {
	var i Invitation
	if err := s.db(ctx).InnerJoins("Organization").Take(&i, "invitations.id = ?", id).Error; err != nil {
		return nil, fmt.Errorf("invitation: %w", known(err))
	}
	return &i, nil
}

// PendingInvitation returns the invitation of the address that the organization waits for, expired or not, or ErrNotFound.
func (s *Store) PendingInvitation(ctx context.Context, organizationID, email string) (*Invitation, error) {
	var i Invitation
	if err := s.db(ctx).Take(&i, isPending+" AND organization_id = ? AND email = ?", organizationID, email).Error; err != nil {
		return nil, fmt.Errorf("pending invitation: %w", known(err))
	}
	return &i, nil
}

// OpenInvitations returns the invitations, with their organizations, that whoever has the address can accept.
func (s *Store) OpenInvitations(ctx context.Context, email string) ([]Invitation, error) {
	var rows []Invitation
	err := s.db(ctx).InnerJoins("Organization").Order("invitations.created_at DESC, invitations.id").Limit(maxReceived).
		Find(&rows, isPending+" AND invitations.email = ? AND invitations.expires_at > ?", email, s.now()).Error
	if err != nil {
		return nil, fmt.Errorf("open invitations of an address: %w", known(err))
	}
	return rows, nil
}

// CountOpenInvitations counts those of the organization that can still be accepted, looking at no more than limit of them.
func (s *Store) CountOpenInvitations(ctx context.Context, organizationID string, limit int) (int64, error) {
	var n int64
	err := s.db(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM invitations WHERE "+isPending+" AND organization_id = ? AND expires_at > ? LIMIT ?) AS counted",
		organizationID, s.now(), limit).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count invitations of organization %s: %w", organizationID, known(err))
	}
	return n, nil
}

// CreateInvitation inserts i, pending. It returns ErrConflict when one of the address is pending already.
func (s *Store) CreateInvitation(ctx context.Context, i *Invitation) error {
	i.ID, i.Status, i.CreatedAt = RandomToken(24), InvitationPending, s.now()
	i.UpdatedAt = i.CreatedAt
	if err := s.db(ctx).Omit(clause.Associations).Create(i).Error; err != nil {
		return fmt.Errorf("create invitation to organization %s: %w", i.OrganizationID, known(err))
	}
	return nil
}

// RenewInvitation writes role and expiry of a pending invitation. It returns ErrNotFound when it is no longer pending.
func (s *Store) RenewInvitation(ctx context.Context, i *Invitation) error {
	i.UpdatedAt = s.now()
	res := s.db(ctx).Model(&Invitation{}).Where(isPending+" AND id = ?", i.ID).
		Updates(map[string]any{"role": i.Role, "expires_at": i.ExpiresAt, "updated_at": i.UpdatedAt})
	return oneRow(res, "renew invitation")
}

// SettleInvitation gives a pending invitation its final status. It returns ErrNotFound when it is no longer pending or,
// unless it is being canceled, has expired. The one conditional UPDATE decides: of parallel calls exactly one wins.
func (s *Store) SettleInvitation(ctx context.Context, i *Invitation, status string) error {
	now := s.now()
	alive := now
	if status == InvitationCanceled {
		alive = time.Time{}
	}
	res := s.db(ctx).Model(&Invitation{}).Where(isPending+" AND id = ? AND expires_at > ?", i.ID, alive).
		Updates(map[string]any{"status": status, "updated_at": now})
	if err := oneRow(res, "settle invitation as "+status); err != nil {
		return err
	}
	i.Status, i.UpdatedAt = status, now
	return nil
}

// PurgeInvitations deletes up to limit invitations, whatever became of them, that expired before the given time.
func (s *Store) PurgeInvitations(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "invitations", "id", "expires_at < ?", before, limit)
}
