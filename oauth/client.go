package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ory/fosite"

	"auth-service/store"
)

// client is a registered client as fosite wants to see it.
type client struct{ *store.Client }

var (
	_ fosite.Client                         = (*client)(nil)
	_ fosite.ResponseModeClient             = (*client)(nil)
	_ fosite.ClientWithCustomTokenLifespans = (*client)(nil)
)

func (c *client) GetID() string                      { return c.ID }
func (c *client) GetHashedSecret() []byte            { return nil } // authenticateClient compares, fosite never does
func (c *client) GetRedirectURIs() []string          { return c.RedirectURIs }
func (c *client) GetGrantTypes() fosite.Arguments    { return c.GrantTypes }
func (c *client) GetResponseTypes() fosite.Arguments { return fosite.Arguments{"code"} }
func (c *client) GetScopes() fosite.Arguments        { return c.Scopes }
func (c *client) IsPublic() bool                     { return c.Public() }
func (c *client) GetAudience() fosite.Arguments      { return c.Application.Audiences }
func (c *client) GetResponseModes() []fosite.ResponseModeType {
	return []fosite.ResponseModeType{fosite.ResponseModeQuery, fosite.ResponseModeFragment, fosite.ResponseModeFormPost}
}

// GetEffectiveLifespan lets the application shorten or lengthen what the configuration says.
func (c *client) GetEffectiveLifespan(_ fosite.GrantType, token fosite.TokenType, fallback time.Duration) time.Duration {
	seconds := int64(0)
	switch token {
	case fosite.AccessToken:
		seconds = c.Application.AccessTokenLifetime
	case fosite.IDToken:
		seconds = c.Application.IDTokenLifetime
	case fosite.AuthorizeCode:
		seconds = c.Application.CodeLifetime
	}
	if seconds == 0 {
		return fallback
	}
	return time.Duration(seconds) * time.Second
}

// mustUsePKCE is true for all but confidential clients that an administrator exempted by name.
func (c *client) mustUsePKCE() bool { return c.RequirePKCE || c.Public() }

func (c *client) allows(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// registered returns those of the scopes that the client may still have: its registration may have changed since.
func (c *client) registered(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// registeredClaims does so for claims that were granted one by one, each of which stands for a scope.
func (c *client) registeredClaims(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(c.Scopes, claimScopes[name]) })
}

// audience is what a token of this client is for when no resource was asked for.
func (c *client) audience() []string {
	if len(c.Application.Audiences) > 0 {
		return c.Application.Audiences
	}
	return []string{c.ID}
}

// clientCacheTTL bounds how long another replica's change to a client goes unseen.
const clientCacheTTL = 5 * time.Second

// clientCache keeps clients with their applications in memory. A write in this process clears it at once.
type clientCache struct {
	store *store.Store
	now   func() time.Time
	mu    sync.RWMutex
	byID  map[string]cachedClient
	state int // counts clear
}

type cachedClient struct {
	client *client
	until  time.Time
}

func newClientCache(s *store.Store, now func() time.Time) *clientCache {
	return &clientCache{store: s, now: now, byID: map[string]cachedClient{}}
}

// get returns an enabled client, or store.ErrNotFound for unknown and disabled ones alike.
func (c *clientCache) get(ctx context.Context, id string) (*client, error) {
	c.mu.RLock()
	hit, ok := c.byID[id]
	state := c.state
	c.mu.RUnlock()
	if !ok || !c.now().Before(hit.until) {
		if !isText(id) {
			return nil, store.ErrNotFound
		}
		row, err := c.store.ClientByID(ctx, id)
		if err != nil {
			return nil, err // unknown ids are not cached: a stranger could fill the memory with them
		}
		hit = cachedClient{&client{row}, c.now().Add(clientCacheTTL)}
		c.keep(id, hit, state)
	}
	if hit.client.Disabled || hit.client.Application.Disabled {
		return nil, store.ErrNotFound
	}
	return hit.client, nil
}

// keep remembers what was read in the given state of the cache. Was it cleared since, the row may be the one from before
// the change, and a disabled client would live on.
func (c *clientCache) keep(id string, hit cachedClient, state int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == state {
		c.byID[id] = hit
	}
}

func (c *clientCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state++
	clear(c.byID)
}

// authenticateClient is RFC 6749 §2.3 for the methods of the contract. The method that the client registered is the only
// one accepted, and unknown clients are told apart from wrong secrets neither by text nor by work done.
func (p *Provider) authenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	c, err := p.identifyClient(ctx, r, form)
	if err != nil {
		return nil, err
	}
	exchangeIn(ctx).client = c
	grant := form.Get("grant_type")
	if !c.allows(grant) || grant == store.GrantClientCredentials && c.Public() { // RFC 6749 §4.4
		return nil, errUnauthorizedClient
	}
	return c, nil
}

func (p *Provider) identifyClient(ctx context.Context, r *http.Request, form url.Values) (*client, error) {
	given, err := clientCredentials(r, form)
	if err != nil {
		return nil, err
	}
	c, err := p.clients.get(ctx, given.id)
	if errors.Is(err, store.ErrNotFound) {
		matchSecret(nil, given.secret, p.now())
		return nil, errInvalidClient
	}
	if err != nil {
		return nil, err
	}
	if c.TokenEndpointAuthMethod != given.method {
		return nil, errInvalidClient
	}
	if !c.Public() && !matchSecret(c.Secrets, given.secret, p.now()) {
		return nil, errInvalidClient
	}
	return c, nil
}

// credentials are what a request offers to prove which client it comes from.
type credentials struct{ method, id, secret string }

func clientCredentials(r *http.Request, form url.Values) (credentials, error) {
	header := r.Header.Get("Authorization")
	scheme, encoded, _ := strings.Cut(header, " ")
	if header != "" && !strings.EqualFold(scheme, "Basic") {
		return credentials{}, errInvalidClient
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if header == "" {
		switch {
		case id == "":
			return credentials{}, errInvalidClient
		case secret == "":
			return credentials{method: store.AuthMethodNone, id: id}, nil
		}
		return credentials{store.AuthMethodPost, id, secret}, nil
	}
	if secret != "" { // RFC 6749 §2.3: not more than one method in a request
		return credentials{}, invalidRequest("The client must authenticate by one method only.")
	}
	basic, err := parseBasic(encoded)
	if err == nil && id != "" && id != basic.id {
		return credentials{}, invalidRequest("The client_id in the body is not the one that authenticated.")
	}
	return basic, err
}

// parseBasic decodes the Basic scheme: both parts are form-url-encoded first (RFC 6749 §2.3.1), so a colon in the secret
// arrives escaped and a second bare colon belongs to the secret.
func parseBasic(encoded string) (credentials, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return credentials{}, errInvalidClient
	}
	user, pass, found := strings.Cut(string(raw), ":")
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(pass)
	if !found || errID != nil || errSecret != nil || id == "" || secret == "" {
		return credentials{}, errInvalidClient
	}
	return credentials{store.AuthMethodBasic, id, secret}, nil
}

// matchSecret compares with every live secret in constant time. Secrets are random, so SHA-256 is hash enough.
func matchSecret(secrets []store.ClientSecret, given string, now time.Time) bool {
	hash, match := store.HashSecret(given), 0
	for _, s := range secrets {
		if s.ExpiresAt == nil || now.Before(*s.ExpiresAt) {
			match |= subtle.ConstantTimeCompare(hash, s.Hash)
		}
	}
	return match == 1
}
