package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm/clause"
)

// Why a grant ended.
const (
	ReasonCodeReplayed    = "code_replayed"
	ReasonRefreshReused   = "refresh_token_reused"
	ReasonRevoked         = "revoked" // RFC 7009, by the client
	ReasonSignedOut       = "signed_out"
	ReasonConsentRemoved  = "consent_removed"
	ReasonUserDisabled    = "user_disabled"
	ReasonUserDeleted     = "user_deleted"
	ReasonPasswordChanged = "password_changed"
	ReasonRoleChanged     = "role_changed"
	ReasonEmailChanged    = "email_changed"
	ReasonClientDisabled  = "client_disabled"
	ReasonClientDeleted   = "client_deleted"

	ReasonMembershipEnded     = "membership_ended"
	ReasonOrganizationDeleted = "organization_deleted"
)

// A Grant is one authorization that a person gave a client. Its refresh tokens are derived from ID, Salt and
// Generation, so none is stored. Without Offline it dies with the browser session.
type Grant struct {
	ID             string `gorm:"primaryKey"`
	ClientID       string
	UserID         string
	User           *User
	SessionID      string
	Session        *Session
	OrganizationID string
	Scopes         []string      `gorm:"serializer:json"`
	Audiences      []string      `gorm:"serializer:json"`
	Claims         ClaimsRequest `gorm:"serializer:json"`
	Offline        bool          // offline_access was granted
	AuthTime       time.Time
	ACR            string   `gorm:"column:acr"`
	AMR            []string `gorm:"column:amr;serializer:json"`
	Salt           []byte
	Generation     int64
	RotatedAt      time.Time
	CreatedAt      time.Time
	IdleExpiresAt  time.Time
	ExpiresAt      time.Time
	RevokedAt      *time.Time
	RevokeReason   string

	// OrganizationLost means that the person is no longer a member of the organization that the grant is bound to.
	OrganizationLost bool          `gorm:"-"`
	Entitlements     *Entitlements `gorm:"-"` // as EntitledGrant resolved them
}

// A ClaimsRequest keeps the names asked for by the claims parameter (OIDC Core §5.5), beyond what the scopes give.
type ClaimsRequest struct {
	IDToken  []string `json:"idToken,omitempty"`
	UserInfo []string `json:"userInfo,omitempty"`
}

// Live reports whether the grant may still yield tokens at the time now, given its User and Session.
func (g *Grant) Live(now time.Time) bool {
	if g.RevokedAt != nil || g.OrganizationLost || !now.Before(g.ExpiresAt) || !now.Before(g.IdleExpiresAt) || g.User == nil || g.User.Disabled(now) {
		return false
	}
	return g.Offline || g.Session.open(now)
}

// CreateGrant inserts g.
func (s *Store) CreateGrant(ctx context.Context, g *Grant) error {
	if err := s.insert(ctx, "grants", grantColumns, g.values()); err != nil {
		return fmt.Errorf("create grant %s: %w", g.ID, err)
	}
	return nil
}

// GrantByID returns the grant with its person and the state of its browser session (nil when gone) in one query, or
// ErrNotFound.
func (s *Store) GrantByID(ctx context.Context, id string) (*Grant, error) {
	g, ses := &Grant{User: &User{}}, joinedSession{}
	err := s.take(ctx, g.joinedTargets(&ses), "SELECT "+joinedGrant+" FROM grants"+joinsOfGrant+" WHERE grants.id = $1", id)
	if err != nil {
		return nil, fmt.Errorf("grant %s: %w", id, err)
	}
	g.Session = ses.session()
	return g, nil
}

// EntitledGrant is GrantByID together with what the person may do and have, still in one query.
func (s *Store) EntitledGrant(ctx context.Context, id string, as Acting) (*Grant, error) {
	g, ses := &Grant{User: &User{}}, joinedSession{}
	var err error
	if g.Entitlements, err = s.takeEntitled(ctx, entitledGrant, g.joinedTargets(&ses), id, as); err != nil {
		return nil, fmt.Errorf("grant %s: %w", id, err)
	}
	g.Session = ses.session()
	return g, nil
}

const (
	joinedGrant  = grantColumns + ", " + userColumns + ", " + sessionState + ", grants.organization_id <> '' AND bound.id IS NULL"
	joinsOfGrant = " JOIN users ON users.id = grants.user_id LEFT JOIN sessions ON sessions.id = grants.session_id" +
		" LEFT JOIN members AS bound ON bound.organization_id = grants.organization_id AND bound.user_id = grants.user_id"
)

var entitledGrant = entitled("grants", "grants.id", joinedGrant, joinsOfGrant)

func (g *Grant) joinedTargets(ses *joinedSession) []any {
	return append(slices.Concat(g.targets(), g.User.targets(), ses.targets()), &g.OrganizationLost)
}

// RotateGrant moves the grant from the given refresh generation to the next, binds it to the organization, empty for none,
// and reports whether this call did it. The one conditional UPDATE decides: of parallel refreshes with one token exactly one
// wins, and none where the person is not a member. The membership is held until the grant is written: whoever ends it, and
// then the grants that are bound to it, finds this one.
func (s *Store) RotateGrant(ctx context.Context, id string, generation int64, organizationID string, idleExpiresAt time.Time) (won bool, err error) {
	statement := `UPDATE grants SET generation = generation + 1, rotated_at = $1, idle_expires_at = $2, organization_id = $5
		WHERE id = $3 AND generation = $4 AND revoked_at IS NULL`
	if organizationID != "" {
		statement += " AND EXISTS (SELECT 1 FROM members WHERE members.organization_id = $5 AND members.user_id = grants.user_id" + s.sharing() + ")"
	}
	won, err = s.decide(ctx, statement, s.now(), idleExpiresAt, id, generation, organizationID)
	if err != nil {
		return false, fmt.Errorf("rotate grant %s: %w", id, err)
	}
	return won, nil
}

// SwitchGrant binds the live grant to another organization and reports whether it did: not where the person is not a member.
// It holds the membership as RotateGrant does.
func (s *Store) SwitchGrant(ctx context.Context, id, organizationID string) (won bool, err error) {
	won, err = s.decide(ctx, `UPDATE grants SET organization_id = $2 WHERE id = $1 AND revoked_at IS NULL AND EXISTS (SELECT 1 FROM members
		WHERE members.organization_id = $2 AND members.user_id = grants.user_id`+s.sharing()+`)`, id, organizationID)
	if err != nil {
		return false, fmt.Errorf("switch grant %s: %w", id, err)
	}
	return won, nil
}

// RevokeGrant ends one grant and its outstanding access tokens. An unknown or ended grant is revoked again without harm:
// the code of a grant that was never created may have been replayed. When the grant ends by it, the event is written, too.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string, event AuditEvent) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		ended, err := s.endGrants(ctx, reason, "id = ?", id)
		if err != nil {
			return err
		}
		if err := s.revoke(ctx, Revocation{Kind: RevokedGrant, ID: id}); err != nil || len(ended) == 0 {
			return err
		}
		event.Changes = map[string]Change{"reason": {After: reason}}
		return s.Audit(ctx, event)
	})
}

// RevokeUserGrants ends every grant of the person, and every access token issued until now.
func (s *Store) RevokeUserGrants(ctx context.Context, userID, reason string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		ended, err := s.endGrants(ctx, reason, "user_id = ?", userID)
		if err != nil {
			return err
		}
		return s.revoke(ctx, append(s.outstanding(ended), Revocation{Kind: RevokedUser, ID: userID, IssuedUntil: s.now()})...)
	})
}

// RevokeUserClientGrants ends the grants that the person gave to one client.
func (s *Store) RevokeUserClientGrants(ctx context.Context, userID, clientID, reason string) error {
	return s.endGrantsAndTokens(ctx, reason, "user_id = ? AND client_id = ?", userID, clientID)
}

// RevokeSessionGrants ends the grants that are bound to the sessions. Those with offline_access live on.
func (s *Store) RevokeSessionGrants(ctx context.Context, sessionIDs []string, reason string) error {
	if len(sessionIDs) == 0 {
		return nil
	}
	return s.endGrantsAndTokens(ctx, reason, "session_id IN ? AND NOT offline", sessionIDs)
}

// RevokeClientGrants ends every grant of the client, with those that would come of codes not yet exchanged, and every access
// token issued to it until now.
func (s *Store) RevokeClientGrants(ctx context.Context, clientID, reason string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		// Before the grants: an exchange that is under way holds its code, so its grant is there when this is through.
		if err := s.dropAuthorizationCodes(ctx, "client_id = ?", clientID); err != nil {
			return err
		}
		if _, err := s.endGrants(ctx, reason, "client_id = ?", clientID); err != nil {
			return err
		}
		return s.revoke(ctx, Revocation{Kind: RevokedClient, ID: clientID, IssuedUntil: s.now()})
	})
}

// RevokeApplicationGrants does for every client of the application what RevokeClientGrants does for one.
func (s *Store) RevokeApplicationGrants(ctx context.Context, applicationID, reason string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		var ids []string
		if err := s.db(ctx).Model(&Client{}).Where("application_id = ?", applicationID).Pluck("id", &ids).Error; err != nil {
			return fmt.Errorf("clients of application %s: %w", applicationID, known(err))
		}
		for _, id := range ids {
			if err := s.RevokeClientGrants(ctx, id, reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// RevokeMemberGrants ends the grants of the person for the organization, with those that would come of codes not yet
// exchanged, and every access token for it that was issued until now. Call it when the membership has ended: an exchange
// that is under way holds the member.
func (s *Store) RevokeMemberGrants(ctx context.Context, userID, organizationID, reason string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		const theirs = "user_id = ? AND organization_id = ?"
		// Before the grants: an exchange that is under way holds its code, so its grant is there when this is through.
		if err := s.dropAuthorizationCodes(ctx, theirs, userID, organizationID); err != nil {
			return err
		}
		ended, err := s.endGrants(ctx, reason, theirs, userID, organizationID)
		if err != nil {
			return err
		}
		return s.revoke(ctx, append(s.outstanding(ended), Revocation{
			Kind: RevokedMember, ID: MemberRevocationID(userID, organizationID), IssuedUntil: s.now(),
		})...)
	})
}

// RevokeOrganizationGrants does for everybody what RevokeMemberGrants does for one member, and for access tokens of all times:
// the organization does not come back. The condition on the empty id is that of the index.
func (s *Store) RevokeOrganizationGrants(ctx context.Context, organizationID, reason string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		if err := s.dropAuthorizationCodes(ctx, "organization_id = ?", organizationID); err != nil {
			return err
		}
		if _, err := s.endGrants(ctx, reason, "organization_id = ? AND organization_id <> ''", organizationID); err != nil {
			return err
		}
		return s.revoke(ctx, Revocation{Kind: RevokedOrganization, ID: organizationID})
	})
}

func (s *Store) endGrantsAndTokens(ctx context.Context, reason, where string, args ...any) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		ended, err := s.endGrants(ctx, reason, where, args...)
		if err != nil {
			return err
		}
		return s.revoke(ctx, s.outstanding(ended)...)
	})
}

// endGrants marks the live grants that match as revoked and returns them, with ID and RotatedAt alone.
func (s *Store) endGrants(ctx context.Context, reason, where string, args ...any) ([]Grant, error) {
	var ended []Grant
	err := s.db(ctx).Model(&ended).Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "rotated_at"}}}).
		Where("revoked_at IS NULL").Where(where, args...).
		Updates(map[string]any{"revoked_at": s.now(), "revoke_reason": reason}).Error
	if err != nil {
		return nil, fmt.Errorf("revoke grants: %w", known(err))
	}
	return ended, nil
}

// outstanding returns a revocation for each of the grants that may still have a live access token.
func (s *Store) outstanding(ended []Grant) []Revocation {
	var revocations []Revocation
	for _, g := range ended {
		if s.now().Sub(g.RotatedAt) < MaxAccessTokenLifetime {
			revocations = append(revocations, Revocation{Kind: RevokedGrant, ID: g.ID})
		}
	}
	return revocations
}

// open reports whether the browser session still stands; a nil session does not.
func (s *Session) open(now time.Time) bool {
	return s != nil && s.EndedAt == nil && now.Before(s.ExpiresAt)
}
