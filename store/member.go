package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Roles that a member has in an organization. Owners and admins manage its members; only owners make and unmake owners.
const (
	MemberOwner = "owner"
	MemberAdmin = "admin"
	MemberPlain = "member"
)

// maxMemberships is how many organizations of a person are listed.
const maxMemberships = 200

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

// A MemberQuery selects one page of an organization's members, who sort by creation whatever Paging says.
type MemberQuery struct {
	Paging
	OrganizationID string
	Search         string // how the person's address or name begins, or the person's id
	Role           string // empty for all
	UserID         string // empty for all
}

// Members returns one page, the persons included, in two statements, however long it is.
func (s *Store) Members(ctx context.Context, q MemberQuery) (*Page[Member], error) {
	l := listing{
		matching: func() *gorm.DB { return s.matchingMembers(ctx, q) }, columns: "members.*", key: "members.id",
		order: byColumn("members.created_at"),
	}
	if q.Search != "" {
		l.gathered = func() *gorm.DB { return l.places(l.matching()) }
	}
	page, err := findPage[Member](ctx, s, q.Paging, l)
	if err == nil {
		err = known(s.loadUsers(ctx, page.Items))
	}
	if err != nil {
		return nil, fmt.Errorf("list members of organization %s: %w", q.OrganizationID, err)
	}
	return page, nil
}

// matchingMembers selects the members that q is about, on all its pages. The filters look at the members of the one
// organization, of whom there is a bounded number; a search compares them with whomever it finds among all people. Roles are
// spelled out so that the planner sees which partial index serves them.
func (s *Store) matchingMembers(ctx context.Context, q MemberQuery) *gorm.DB {
	db := s.db(ctx).Model(&Member{}).Where("members.organization_id = ?", q.OrganizationID)
	switch q.Role {
	case MemberOwner, MemberAdmin, MemberPlain:
		db = db.Where("members.role = '" + q.Role + "'")
	}
	if q.UserID != "" {
		db = db.Where("members.user_id = ?", q.UserID)
	}
	if q.Search != "" {
		db = db.Joins("JOIN (?) AS found ON found.id = members.user_id", s.found(search{"users", "email", q.Search, ""}))
	}
	return db
}

func (s *Store) loadUsers(ctx context.Context, members []Member) error {
	if len(members) == 0 {
		return nil
	}
	ids := make([]string, len(members))
	for i := range members {
		ids[i] = members[i].UserID
	}
	var users []User
	if err := s.db(ctx).Find(&users, "id IN ?", ids).Error; err != nil {
		return err
	}
	byID := map[string]*User{}
	for i := range users {
		byID[users[i].ID] = &users[i]
	}
	for i := range members {
		members[i].User = byID[members[i].UserID]
	}
	return nil
}

// CountMembers counts the members of an organization, looking at no more than limit of them.
func (s *Store) CountMembers(ctx context.Context, organizationID string, limit int) (int64, error) {
	var n int64
	err := s.db(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM members WHERE organization_id = ? LIMIT ?) AS counted", organizationID, limit).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count members of organization %s: %w", organizationID, known(err))
	}
	return n, nil
}

// MembershipsOf returns the person's memberships with the organizations, by their names; the first 200 of them.
func (s *Store) MembershipsOf(ctx context.Context, userID string) ([]Member, error) {
	var rows []Member
	err := s.db(ctx).InnerJoins("Organization").Where("members.user_id = ?", userID).
		Order(s.bytewise(`lower("Organization"."name")`) + ", members.id").Limit(maxMemberships).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("memberships of user %s: %w", userID, known(err))
	}
	return rows, nil
}

// MembershipByRef returns the person's membership, with the organization, in the one whose id or slug is ref (in this
// order, should both match); ErrNotFound also when there is no such organization.
func (s *Store) MembershipByRef(ctx context.Context, userID, ref string) (*Member, error) {
	var m Member
	err := s.db(ctx).InnerJoins("Organization").Order(firstByID(`"Organization"`, ref)).Limit(1).
		Take(&m, `members.user_id = ? AND ("Organization"."id" = ? OR "Organization"."slug" = ?)`, userID, ref, ref).Error
	if err != nil {
		return nil, fmt.Errorf("membership of user %s in %q: %w", userID, ref, known(err))
	}
	return &m, nil
}

// MemberOf returns the membership of the person in the organization, or ErrNotFound.
func (s *Store) MemberOf(ctx context.Context, organizationID, userID string) (*Member, error) {
	return s.member(s.db(ctx), organizationID, userID)
}

// HoldMember is MemberOf for what must not outlive the membership, such as a grant: until the transaction in ctx ends,
// nobody ends it. Whoever holds a session, too, does so afterwards.
func (s *Store) HoldMember(ctx context.Context, organizationID, userID string) (*Member, error) {
	return s.member(s.db(ctx).Clauses(clause.Locking{Strength: "SHARE"}), organizationID, userID)
}

func (s *Store) member(db *gorm.DB, organizationID, userID string) (*Member, error) {
	var m Member
	if err := db.Take(&m, "organization_id = ? AND user_id = ?", organizationID, userID).Error; err != nil {
		return nil, fmt.Errorf("user %s in organization %s: %w", userID, organizationID, known(err))
	}
	return &m, nil
}

// MemberByRef returns the member of the organization whose id, or whose person's id, is ref (in this order, should both
// match); or ErrNotFound, also for members of other organizations.
func (s *Store) MemberByRef(ctx context.Context, organizationID, ref string) (*Member, error) {
	var m Member
	err := s.db(ctx).Order(firstByID("members", ref)).Limit(1).
		Take(&m, "organization_id = ? AND (id = ? OR user_id = ?)", organizationID, ref, ref).Error
	if err != nil {
		return nil, fmt.Errorf("member %q of organization %s: %w", ref, organizationID, known(err))
	}
	return &m, nil
}

// ManagesOrganization reports whether the person is an owner or admin of any organization.
func (s *Store) ManagesOrganization(ctx context.Context, userID string) (bool, error) {
	var ids []string
	err := s.db(ctx).Model(&Member{}).Where("user_id = ? AND role IN ?", userID, []string{MemberOwner, MemberAdmin}).Limit(1).Pluck("id", &ids).Error
	if err != nil {
		return false, fmt.Errorf("look for organizations that user %s manages: %w", userID, known(err))
	}
	return len(ids) > 0, nil
}

// LockMemberships locks, in one order, the organizations that the person is a member of, and returns the memberships.
// Nobody adds another one meanwhile if the caller has the person from LockUser.
func (s *Store) LockMemberships(ctx context.Context, userID string) ([]Member, error) {
	var ids []string
	err := s.db(ctx).Model(&Organization{}).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").
		Where("id IN (SELECT organization_id FROM members WHERE user_id = ?)", userID).Pluck("id", &ids).Error
	var rows []Member
	if err == nil && len(ids) > 0 { // only now: what the lock waited for may have changed them
		err = s.db(ctx).Order("organization_id").Find(&rows, "user_id = ?", userID).Error
	}
	if err != nil {
		return nil, fmt.Errorf("lock memberships of user %s: %w", userID, known(err))
	}
	return rows, nil
}

// OtherOwner reports whether the organization has an owner beside the person. The answer holds while it is locked.
func (s *Store) OtherOwner(ctx context.Context, organizationID, userID string) (bool, error) {
	var ids []string
	err := s.db(ctx).Model(&Member{}).Where("organization_id = ? AND role = '"+MemberOwner+"' AND user_id <> ?", organizationID, userID).
		Limit(1).Pluck("id", &ids).Error
	if err != nil {
		return false, fmt.Errorf("look for owners of organization %s: %w", organizationID, known(err))
	}
	return len(ids) > 0, nil
}

// SoleOwnership returns an organization of which the person is the only owner, or ErrNotFound. The answer holds behind
// LockMemberships.
func (s *Store) SoleOwnership(ctx context.Context, userID string) (*Organization, error) {
	var o Organization
	err := s.db(ctx).Joins("JOIN members ON members.organization_id = organizations.id").
		Where("members.user_id = ? AND members.role = '"+MemberOwner+"'", userID).
		Where("NOT EXISTS (SELECT 1 FROM members AS others WHERE others.organization_id = organizations.id"+
			" AND others.role = '"+MemberOwner+"' AND others.user_id <> ?)", userID).
		Order("organizations.id").Limit(1).Take(&o).Error
	if err != nil {
		return nil, fmt.Errorf("sole ownership of user %s: %w", userID, known(err))
	}
	return &o, nil
}

// CreateMember inserts m. It returns ErrConflict when the person is a member already; the caller has the person from
// LockUser, so that is the only reason.
func (s *Store) CreateMember(ctx context.Context, m *Member) error {
	m.ID, m.CreatedAt = NewID(), s.now()
	m.UpdatedAt = m.CreatedAt
	already := clause.OnConflict{Columns: []clause.Column{{Name: "organization_id"}, {Name: "user_id"}}, DoNothing: true}
	res := s.db(ctx).Clauses(already).Omit(clause.Associations).Create(m)
	err := known(res.Error)
	if err == nil && res.RowsAffected == 0 {
		err = ErrConflict
	}
	if err != nil {
		return fmt.Errorf("add user %s to organization %s: %w", m.UserID, m.OrganizationID, err)
	}
	return nil
}

// SetMemberRole gives the member another role, or returns ErrNotFound.
func (s *Store) SetMemberRole(ctx context.Context, m *Member, role string) error {
	m.Role, m.UpdatedAt = role, s.now()
	res := s.db(ctx).Model(&Member{}).Where("id = ?", m.ID).Updates(map[string]any{"role": m.Role, "updated_at": m.UpdatedAt})
	return oneRow(res, "set role of member "+m.ID)
}

// EndMembership takes the person out of the organization, with their roles there, the grants and the access tokens for it,
// and the sessions in which it is active. It returns ErrNotFound; the caller runs it in a transaction.
func (s *Store) EndMembership(ctx context.Context, m *Member) error {
	// First: an exchange or a choice of the active organization that is under way holds the member, so what comes of it is
	// there when this is through.
	if err := oneRow(s.db(ctx).Delete(&Member{}, "id = ?", m.ID), "delete member "+m.ID); err != nil {
		return err
	}
	if err := s.RevokeMemberGrants(ctx, m.UserID, m.OrganizationID, ReasonMembershipEnded); err != nil {
		return err
	}
	return s.deactivateOrganization(ctx, m.OrganizationID, m.UserID)
}

// deactivateOrganization makes the organization the active one of no session of the person, or of nobody's when userID is
// empty. The second condition is that of the index, which the planners look for word by word.
func (s *Store) deactivateOrganization(ctx context.Context, organizationID, userID string) error {
	db := s.db(ctx).Model(&Session{}).Where("active_organization_id = ? AND active_organization_id <> ''", organizationID)
	if userID != "" {
		db = db.Where("user_id = ?", userID)
	}
	if err := db.Update("active_organization_id", "").Error; err != nil {
		return fmt.Errorf("deactivate organization %s: %w", organizationID, known(err))
	}
	return nil
}
