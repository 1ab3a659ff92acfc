package store

import (
	"context"
	"fmt"
	"time"
)

// An AuthorizationRequest is a validated request at the authorization endpoint that waits for the person. Nothing of
// it can be edited from the browser; Form is what the client sent.
type AuthorizationRequest struct {
	ID                string `gorm:"primaryKey"`
	ClientID          string
	Form              map[string][]string `gorm:"serializer:json"`
	ConsentedBy       string              // user id of who consented in this request
	GrantedScopes     []string            `gorm:"serializer:json"`
	SelectedSessionID string              // the session that was chosen at prompt=select_account
	OrganizationID    string              // the organization that was chosen
	OrganizationBy    string              // user id of who chose it
	CreatedAt         time.Time
	ExpiresAt         time.Time
	CompletedAt       *time.Time
}

// CreateAuthorizationRequest inserts r.
func (s *Store) CreateAuthorizationRequest(ctx context.Context, r *AuthorizationRequest) error {
	if err := s.db(ctx).Create(r).Error; err != nil {
		return fmt.Errorf("create authorization request: %w", known(err))
	}
	return nil
}

// AuthorizationRequestByID returns the request, finished and expired ones included, or ErrNotFound.
func (s *Store) AuthorizationRequestByID(ctx context.Context, id string) (*AuthorizationRequest, error) {
	var r AuthorizationRequest
	if err := s.db(ctx).Take(&r, "id = ?", id).Error; err != nil {
		return nil, fmt.Errorf("authorization request: %w", known(err))
	}
	return &r, nil
}

// RecordConsent notes in the open request which scopes the person granted; ErrNotFound when it is finished by now.
func (s *Store) RecordConsent(ctx context.Context, r *AuthorizationRequest, userID string, scopes []string) error {
	r.ConsentedBy, r.GrantedScopes = userID, scopes
	return s.updateOpenRequest(ctx, r, "consented_by", "granted_scopes")
}

// RecordAccount notes in the open request which session the person chose; ErrNotFound when it is finished by now.
func (s *Store) RecordAccount(ctx context.Context, r *AuthorizationRequest, sessionID string) error {
	r.SelectedSessionID = sessionID
	return s.updateOpenRequest(ctx, r, "selected_session_id")
}

// RecordOrganization notes in the open request for which organization the person goes on; ErrNotFound when it is finished by now.
func (s *Store) RecordOrganization(ctx context.Context, r *AuthorizationRequest, userID, organizationID string) error {
	r.OrganizationBy, r.OrganizationID = userID, organizationID
	return s.updateOpenRequest(ctx, r, "organization_by", "organization_id")
}

// CompleteAuthorizationRequest closes the request, or returns ErrNotFound when another answer was first: a request
// yields one code, whichever tab finishes it.
func (s *Store) CompleteAuthorizationRequest(ctx context.Context, r *AuthorizationRequest) error {
	now := s.now()
	r.CompletedAt = &now
	return s.updateOpenRequest(ctx, r, "completed_at")
}

func (s *Store) updateOpenRequest(ctx context.Context, r *AuthorizationRequest, columns ...string) error {
	res := s.db(ctx).Model(r).Where("completed_at IS NULL").Select(columns).Updates(r)
	if res.Error == nil && res.RowsAffected == 0 {
		return fmt.Errorf("authorization request: %w", ErrNotFound)
	}
	if res.Error != nil {
		return fmt.Errorf("update authorization request: %w", known(res.Error))
	}
	return nil
}
