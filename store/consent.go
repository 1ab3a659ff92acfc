package store

import (
	"context"
	"fmt"
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
	var rows []Consent
	if err := s.db(ctx).Limit(1).Find(&rows, "user_id = ? AND client_id = ?", userID, clientID).Error; err != nil {
		return nil, fmt.Errorf("consent: %w", known(err))
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0].Scopes, nil
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
	err := s.db(ctx).Select("client_id, scopes, created_at, rotated_at").Order("rotated_at DESC").
		Find(&grants, "user_id = ? AND revoked_at IS NULL AND idle_expires_at > ?", userID, s.now()).Error
	if err != nil {
		return nil, fmt.Errorf("grants: %w", known(err))
	}
	for _, g := range grants {
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
	return connections, nil
}

// RemoveConnection deletes the person's consent to the client and ends its grants. It returns ErrNotFound when the
// person has neither.
func (s *Store) RemoveConnection(ctx context.Context, userID, clientID string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		res := s.db(ctx).Delete(&Consent{}, "user_id = ? AND client_id = ?", userID, clientID)
		if res.Error != nil {
			return fmt.Errorf("delete consent: %w", known(res.Error))
		}
		ended, err := s.endGrants(ctx, ReasonConsentRemoved, "user_id = ? AND client_id = ?", userID, clientID)
		if err != nil {
			return err
		}
		if res.RowsAffected == 0 && len(ended) == 0 {
			return fmt.Errorf("connection with %q: %w", clientID, ErrNotFound)
		}
		return s.revoke(ctx, ended...)
	})
}
