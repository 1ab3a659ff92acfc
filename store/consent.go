package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm/clause"
)

// A Consent is the person's yes to a client, with the scopes it covers.
type Consent struct {
	UserID    string   `gorm:"primaryKey"`
	ClientID  string   `gorm:"primaryKey"`
	Scopes    []string `gorm:"serializer:json"`
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A Connection is a client that a person uses: by consent, by a live grant, or both.
type Connection struct {
	Client     *Client
	Scopes     []string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	LastUsedAt *time.Time
}

// ConsentOf returns the scopes the person consented to for the client; none when there is no consent.
func (s *Store) ConsentOf(ctx context.Context, userID, clientID string) ([]string, error) {
	var scopes []string
	err := s.take(ctx, []any{fromJSON{&scopes}}, "SELECT scopes FROM consents WHERE user_id = $1 AND client_id = $2", userID, clientID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	return scopes, nil
}

// A Standing is how a person stands at a client when they sign in: the scopes that they consented to, and the organization
// that they would act for.
type Standing struct {
	Consent []string // nil when there is none
	// Organization is the one asked for if it is one of theirs, and Picked says so; else their only one. It is nil when they
	// have none, or, with Several, when they have to choose.
	Organization *Membership
	Picked       bool
	Several      bool
}

// StandingOf resolves, in one query, the consent of the person to the client and the organization that the person acts for,
// when one of the given id or slug is asked for; empty asks for none.
func (s *Store) StandingOf(ctx context.Context, userID, clientID, organization string) (*Standing, error) {
	rows, err := s.direct(ctx).QueryContext(ctx, `SELECT consents.scopes, organizations.id, organizations.slug, members.role FROM users
		LEFT JOIN consents ON consents.user_id = users.id AND consents.client_id = $2
		LEFT JOIN members ON members.user_id = users.id LEFT JOIN organizations ON organizations.id = members.organization_id
		WHERE users.id = $1 ORDER BY CASE WHEN organizations.id = $3 THEN 0 WHEN organizations.slug = $3 THEN 1 ELSE 2 END, organizations.id LIMIT 2`,
		userID, clientID, organization)
	if err != nil {
		return nil, fmt.Errorf("standing: %w", known(err))
	}
	defer rows.Close()
	var out Standing
	for i := 0; rows.Next(); i++ {
		var id, slug, role sql.NullString
		if err := rows.Scan(orNothing{fromJSON{&out.Consent}}, &id, &slug, &role); err != nil {
			return nil, fmt.Errorf("standing: %w", known(err))
		}
		switch {
		case i > 0:
			out.Several = !out.Picked
		case id.Valid:
			out.Organization = &Membership{id.String, slug.String, role.String}
			out.Picked = organization != "" && (id.String == organization || slug.String == organization)
		}
	}
	if out.Several {
		out.Organization = nil
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("standing: %w", known(err))
	}
	return &out, nil
}

// SaveConsent replaces the scopes of the person's consent to the client.
func (s *Store) SaveConsent(ctx context.Context, userID, clientID string, scopes []string) error {
	now := s.now()
	c := Consent{UserID: userID, ClientID: clientID, Scopes: scopes, CreatedAt: now, UpdatedAt: now}
	again := clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "client_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"scopes", "updated_at"}),
	}
	if err := s.db(ctx).Clauses(again).Create(&c).Error; err != nil {
		return fmt.Errorf("save consent: %w", known(err))
	}
	return nil
}

// ConnectionsOf lists the clients that the person consented to or has a live grant with, most recent first.
func (s *Store) ConnectionsOf(ctx context.Context, userID string) ([]Connection, error) {
	byClient := map[string]*Connection{}
	var consents []Consent
	if err := s.db(ctx).Order("updated_at DESC").Find(&consents, "user_id = ?", userID).Error; err != nil {
		return nil, fmt.Errorf("consents: %w", known(err))
	}
	var order []string
	for _, c := range consents {
		byClient[c.ClientID] = &Connection{Scopes: c.Scopes, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
		order = append(order, c.ClientID)
	}
	var grants []Grant
	now := s.now()
	err := s.db(ctx).Joins("Session").Order("grants.rotated_at DESC").
		Find(&grants, "grants.user_id = ? AND grants.revoked_at IS NULL AND grants.idle_expires_at > ?", userID, now).Error
	if err != nil {
		return nil, fmt.Errorf("grants: %w", known(err))
	}
	for _, g := range grants {
		if !g.Offline && !g.Session.open(now) {
			continue
		}
		c, ok := byClient[g.ClientID]
		if !ok {
			c = &Connection{Scopes: g.Scopes, CreatedAt: g.CreatedAt, UpdatedAt: g.CreatedAt}
			byClient[g.ClientID] = c
			order = append(order, g.ClientID)
		}
		if c.LastUsedAt == nil {
			used := g.RotatedAt
			c.LastUsedAt = &used
		}
	}
	return s.withClients(ctx, order, byClient)
}

func (s *Store) withClients(ctx context.Context, order []string, byClient map[string]*Connection) ([]Connection, error) {
	connections := []Connection{}
	if len(order) == 0 {
		return connections, nil
	}
	var clients []Client
	if err := s.db(ctx).Joins("Application").Find(&clients, "clients.id IN ?", order).Error; err != nil {
		return nil, fmt.Errorf("clients: %w", known(err))
	}
	for i := range clients {
		byClient[clients[i].ID].Client = &clients[i]
	}
	for _, id := range order {
		if c := byClient[id]; c.Client != nil {
			connections = append(connections, *c)
		}
	}
	slices.SortStableFunc(connections, func(a, b Connection) int { return b.recent().Compare(a.recent()) })
	return connections, nil
}

// recent is when the person last had to do with the client.
func (c *Connection) recent() time.Time {
	if c.LastUsedAt != nil && c.LastUsedAt.After(c.UpdatedAt) {
		return *c.LastUsedAt
	}
	return c.UpdatedAt
}

// RemoveConnection deletes the person's consent to the client and ends its grants, with those that would come of codes
// not yet exchanged. It returns ErrNotFound when the person has neither consent nor grant.
func (s *Store) RemoveConnection(ctx context.Context, userID, clientID string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		res := s.db(ctx).Delete(&Consent{}, "user_id = ? AND client_id = ?", userID, clientID)
		if res.Error != nil {
			return fmt.Errorf("delete consent: %w", known(res.Error))
		}
		// Before the grants: an exchange that is under way holds its code, so its grant is there when this is through.
		if err := s.dropAuthorizationCodes(ctx, "user_id = ? AND client_id = ?", userID, clientID); err != nil {
			return err
		}
		ended, err := s.endGrants(ctx, ReasonConsentRemoved, "user_id = ? AND client_id = ?", userID, clientID)
		if err != nil {
			return err
		}
		if res.RowsAffected == 0 && len(ended) == 0 {
			return fmt.Errorf("connection with %q: %w", clientID, ErrNotFound)
		}
		return s.revoke(ctx, s.outstanding(ended)...)
	})
}
