package store

import (
	"context"
	"fmt"
	"time"
)

// Kinds of audit actors.
const (
	ActorUser   = "user"
	ActorClient = "client"
	ActorSystem = "system" // the command line, or the server itself
)

// An AuditEvent records who did what to whom. Changes holds before and after of the fields that changed, secrets left out.
type AuditEvent struct {
	ID             string `gorm:"primaryKey"`
	CreatedAt      time.Time
	ActorType      string
	ActorID        string
	Action         string // noun.verb: "application.create", "session.end"
	TargetType     string
	TargetID       string
	ApplicationID  string
	OrganizationID string
	IP             string `gorm:"column:ip"`
	UserAgent      string
	RequestID      string
	Changes        map[string]Change `gorm:"serializer:json"`
}

// A Change is the value of a field before and after a write.
type Change struct {
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// Audit writes e. Call it in the transaction of the act that it records, so that neither exists without the other.
func (s *Store) Audit(ctx context.Context, e AuditEvent) error {
	e.ID, e.CreatedAt = NewID(), s.now()
	if e.Changes == nil {
		e.Changes = map[string]Change{}
	}
	if err := s.db(ctx).Create(&e).Error; err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, known(err))
	}
	return nil
}

// AuditTrail returns what was done to one target, the latest first.
func (s *Store) AuditTrail(ctx context.Context, targetType, targetID string, limit int) ([]AuditEvent, error) {
	var events []AuditEvent
	err := s.db(ctx).Order("created_at DESC, id DESC").Limit(limit).
		Find(&events, "target_type = ? AND target_id = ?", targetType, targetID).Error
	if err != nil {
		return nil, fmt.Errorf("audit trail of %s %q: %w", targetType, targetID, known(err))
	}
	return events, nil
}
