package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// An Organization is a customer for whom several people act.
type Organization struct {
	ID        string `gorm:"primaryKey"`
	Slug      string
	Name      string
	Logo      string         // an https URL, or empty
	Metadata  map[string]any `gorm:"serializer:json"`
	CreatedAt time.Time
	UpdatedAt time.Time
}

// An OrganizationPatch is what may change about an organization; nil leaves a field as it is.
type OrganizationPatch struct {
	Name, Slug, Logo *string
	Metadata         *map[string]any
}

// An OrganizationQuery selects one page of organizations, which sort ByCreation, BySlug or ByName, which folds case.
type OrganizationQuery struct {
	Paging
	Search string // how the name or the slug begins, or the id
}

// Organizations returns one page of organizations.
func (s *Store) Organizations(ctx context.Context, q OrganizationQuery) (*Page[Organization], error) {
	l := listing{
		matching: func() *gorm.DB { return s.searched(s.db(ctx).Model(&Organization{}), q.search()) }, columns: "organizations.*", key: "organizations.id",
		order: byColumn("organizations.created_at"),
	}
	switch q.Sort {
	case BySlug:
		l.order = byColumn(s.bytewise("organizations.slug"))
	case ByName:
		l.order = ordering{s.bytewise("lower(organizations.name)"), "lower(?)"}
	}
	if q.Search == "" {
		l.whole = "organizations"
	} else {
		l.others = func() *gorm.DB { return s.foundOtherwise(ctx, q.search()) }
		l.ranged = q.search().ahead(q.Paging)
	}
	page, err := findPage[Organization](ctx, s, q.Paging, l)
	if err != nil {
		return nil, fmt.Errorf("list organizations: %w", err)
	}
	return page, nil
}

func (q OrganizationQuery) search() search { return search{"organizations", "slug", q.Search, q.Sort} }

// OrganizationByRef returns the organization whose id or slug is ref (in this order, should both match), or ErrNotFound.
func (s *Store) OrganizationByRef(ctx context.Context, ref string) (*Organization, error) {
	return s.organizationByRef(s.db(ctx), ref)
}

// LockOrganization is OrganizationByRef for those who will write to it, its members or its invitations: until their
// transaction ends, no one else gets past this call for the same organization. Whoever locks a person, too, does so before.
func (s *Store) LockOrganization(ctx context.Context, ref string) (*Organization, error) {
	return s.organizationByRef(s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}), ref)
}

func (s *Store) organizationByRef(db *gorm.DB, ref string) (*Organization, error) {
	var o Organization
	if err := db.Order(firstByID("organizations", ref)).Limit(1).Take(&o, "id = ? OR slug = ?", ref, ref).Error; err != nil {
		return nil, fmt.Errorf("organization %q: %w", ref, known(err))
	}
	return &o, nil
}

// firstByID puts the row whose id is ref before others that ref may also name.
func firstByID(table, ref string) clause.OrderBy {
	return clause.OrderBy{Expression: clause.Expr{SQL: "CASE WHEN " + table + ".id = ? THEN 0 ELSE 1 END", Vars: []any{ref}}}
}

// CreateOrganization inserts o. It returns ErrConflict when the slug is taken, and then the transaction may go on to try
// another.
func (s *Store) CreateOrganization(ctx context.Context, o *Organization) error {
	o.ID, o.CreatedAt = NewID(), s.now()
	o.UpdatedAt = o.CreatedAt
	taken := clause.OnConflict{Columns: []clause.Column{{Name: "slug"}}, DoNothing: true}
	res := s.db(ctx).Clauses(taken).Create(o)
	if res.Error != nil {
		return fmt.Errorf("create organization %q: %w", o.Slug, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("create organization %q: %w", o.Slug, ErrConflict)
	}
	return nil
}

// UpdateOrganization writes every column of o. It returns ErrConflict when the slug is another organization's.
func (s *Store) UpdateOrganization(ctx context.Context, o *Organization) error {
	o.UpdatedAt = s.now()
	res := s.db(ctx).Model(&Organization{}).Where("id = ?", o.ID).Select("*").Omit("id", "created_at").UpdateColumns(o)
	return oneRow(res, "update organization "+o.ID)
}

// DeleteOrganization removes the organization with its members, invitations and subscriptions, ends the grants and the
// access tokens for it, and makes it the active one of no session. It returns ErrNotFound; the caller runs it in a
// transaction.
func (s *Store) DeleteOrganization(ctx context.Context, id string) error {
	if err := oneRow(s.db(ctx).Delete(&Organization{}, "id = ?", id), "delete organization "+id); err != nil { // first, as in EndMembership
		return err
	}
	if err := s.deactivateOrganization(ctx, id, ""); err != nil {
		return err
	}
	return s.RevokeOrganizationGrants(ctx, id, ReasonOrganizationDeleted)
}

// oneRow is the outcome of a write to one row: ErrNotFound when it is not there.
func oneRow(res *gorm.DB, attempt string) error {
	if err := touched(res); err != nil {
		return fmt.Errorf("%s: %w", attempt, err)
	}
	return nil
}
