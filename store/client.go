package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm/clause"
)

// Client types: what kind of program holds the client_id.
const (
	ClientWeb    = "web"
	ClientSPA    = "spa"
	ClientNative = "native"
	ClientM2M    = "m2m"
)

// Client authentication methods (OIDC Core §9).
const (
	AuthMethodBasic = "client_secret_basic"
	AuthMethodPost  = "client_secret_post"
	AuthMethodNone  = "none"
)

// Grant types a client may be registered for.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// A Client is an OAuth client registration of an application.
type Client struct {
	ID                      string `gorm:"primaryKey"` // client_id
	ApplicationID           string
	Application             *Application
	Name                    string
	Type                    string
	RedirectURIs            []string `gorm:"column:redirect_uris;serializer:json"`
	PostLogoutRedirectURIs  []string `gorm:"column:post_logout_redirect_uris;serializer:json"`
	AllowedOrigins          []string `gorm:"serializer:json"`
	Scopes                  []string `gorm:"serializer:json"`
	GrantTypes              []string `gorm:"serializer:json"`
	TokenEndpointAuthMethod string
	IDTokenAlg              string `gorm:"column:id_token_alg"` // RS256, ES256 or EdDSA
	SkipConsent             bool
	RequirePKCE             bool `gorm:"column:require_pkce"`
	Disabled                bool
	Secrets                 []ClientSecret
	CreatedAt               time.Time
	UpdatedAt               time.Time

	// Entitlements are the service roles of a client that acts for itself, as ClientByID read them.
	Entitlements *Entitlements `gorm:"-"`
}

// Public reports whether the client cannot keep a secret and authenticates by PKCE alone.
func (c *Client) Public() bool { return c.TokenEndpointAuthMethod == AuthMethodNone }

// A ClientSecret is one secret of a confidential client. During a rotation two are valid at once.
type ClientSecret struct {
	ID        string `gorm:"primaryKey"`
	ClientID  string
	Hash      []byte // SHA-256; the secret has 256 bits of entropy
	Hint      string // the first characters, so that an operator can tell two secrets apart
	CreatedAt time.Time
	ExpiresAt *time.Time
}

// ClientByID returns the client with its application, secrets and, where it acts for itself, service roles; or ErrNotFound.
func (s *Store) ClientByID(ctx context.Context, id string) (*Client, error) {
	var c Client
	err := s.db(ctx).Joins("Application").Preload("Secrets").Take(&c, "clients.id = ?", id).Error
	if err == nil && slices.Contains(c.GrantTypes, GrantClientCredentials) {
		c.Entitlements, err = s.serviceEntitlements(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("client %q: %w", id, known(err))
	}
	return &c, nil
}

// serviceEntitlements are what a client may do when it acts for itself. Default roles are for people, and so are plans.
func (s *Store) serviceEntitlements(ctx context.Context, clientID string) (*Entitlements, error) {
	var roles, permissions sql.NullString
	err := s.take(ctx, []any{&roles, &permissions}, `SELECT
		(SELECT string_agg(roles.key, ' ') FROM client_roles JOIN roles ON roles.id = client_roles.role_id WHERE client_roles.client_id = $1),
		(SELECT string_agg(permissions.key, ' ') FROM permissions WHERE permissions.id IN (SELECT role_permissions.permission_id
		FROM client_roles CROSS JOIN role_permissions WHERE role_permissions.role_id = client_roles.role_id AND client_roles.client_id = $1))`, clientID)
	return &Entitlements{Roles: keysIn(roles.String), Permissions: keysIn(permissions.String)}, err
}

// CreateClient inserts c without secrets. It returns ErrConflict when the client_id is taken, if only as the slug of another
// application.
func (s *Store) CreateClient(ctx context.Context, c *Client) error {
	if err := s.freeName(ctx, "SELECT 1 FROM applications WHERE slug = ? AND id <> ?", c.ID, c.ApplicationID); err != nil {
		return fmt.Errorf("create client %q: %w", c.ID, err)
	}
	c.CreatedAt = s.now()
	c.UpdatedAt = c.CreatedAt
	taken := clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoNothing: true}
	res := s.db(ctx).Clauses(taken).Omit(clause.Associations).Create(c)
	if res.Error != nil {
		return fmt.Errorf("create client %q: %w", c.ID, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("create client %q: %w", c.ID, ErrConflict)
	}
	s.publish(ctx, Event{Kind: EventClientChanged, ID: c.ID}) // somebody may remember that there was none
	return nil
}

// UpdateClient writes every column of c, and none of its secrets.
func (s *Store) UpdateClient(ctx context.Context, c *Client) error {
	c.UpdatedAt = s.now()
	res := s.db(ctx).Model(&Client{}).Where("id = ?", c.ID).Select("*").Omit(clause.Associations, "id", "application_id", "created_at").UpdateColumns(c)
	if res.Error != nil {
		return fmt.Errorf("update client %q: %w", c.ID, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("update client %q: %w", c.ID, ErrNotFound)
	}
	s.publish(ctx, Event{Kind: EventClientChanged, ID: c.ID})
	return nil
}

// DeleteClient removes the client with its secrets, consents and grants. Access tokens live on unless the caller revokes
// the grants first, in the same transaction.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	res := s.db(ctx).Delete(&Client{}, "id = ?", id)
	if res.Error != nil {
		return fmt.Errorf("delete client %q: %w", id, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("delete client %q: %w", id, ErrNotFound)
	}
	s.publish(ctx, Event{Kind: EventClientChanged, ID: id})
	return nil
}

// RotateClientSecret makes next the client's secret. The one until now stays good for the overlap, or ends at once when
// that is zero; older ones end in any case, so there are never more than two. It returns when the previous secret ends,
// nil when it has. Callers hold the application's lock, else two rotations would not see each other.
func (s *Store) RotateClientSecret(ctx context.Context, clientID string, next *ClientSecret, overlap time.Duration) (*time.Time, error) {
	next.ID, next.ClientID, next.CreatedAt, next.ExpiresAt = NewID(), clientID, s.now(), nil
	var ends *time.Time
	err := s.Tx(ctx, func(ctx context.Context) error {
		var err error
		if ends, err = s.retireSecrets(ctx, clientID, overlap); err != nil {
			return err
		}
		if err := s.db(ctx).Create(next).Error; err != nil {
			return known(err)
		}
		s.publish(ctx, Event{Kind: EventClientChanged, ID: clientID})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rotate secret of client %q: %w", clientID, err)
	}
	return ends, nil
}

// retireSecrets gives the current secret, the one without an end, the overlap that it has left, and deletes the others.
func (s *Store) retireSecrets(ctx context.Context, clientID string, overlap time.Duration) (*time.Time, error) {
	if overlap <= 0 {
		return nil, known(s.db(ctx).Delete(&ClientSecret{}, "client_id = ?", clientID).Error)
	}
	if err := s.db(ctx).Delete(&ClientSecret{}, "client_id = ? AND expires_at IS NOT NULL", clientID).Error; err != nil {
		return nil, known(err)
	}
	ends := s.now().Add(overlap)
	res := s.db(ctx).Model(&ClientSecret{}).Where("client_id = ?", clientID).Update("expires_at", ends)
	if res.Error != nil || res.RowsAffected == 0 {
		return nil, known(res.Error)
	}
	return &ends, nil
}

// DeleteClientSecrets removes every secret of a client, which became public.
func (s *Store) DeleteClientSecrets(ctx context.Context, clientID string) error {
	if err := s.db(ctx).Delete(&ClientSecret{}, "client_id = ?", clientID).Error; err != nil {
		return fmt.Errorf("delete secrets of client %q: %w", clientID, known(err))
	}
	s.publish(ctx, Event{Kind: EventClientChanged, ID: clientID})
	return nil
}

// PurgeClientSecrets deletes up to limit secrets whose overlap ended before the given time. They are refused without
// that; it keeps the table small.
func (s *Store) PurgeClientSecrets(ctx context.Context, before time.Time, limit int) (int64, error) {
	res := s.db(ctx).Exec("DELETE FROM client_secrets WHERE id IN (SELECT id FROM client_secrets WHERE expires_at < ? LIMIT ?)", before, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge client secrets: %w", known(res.Error))
	}
	return res.RowsAffected, nil
}
