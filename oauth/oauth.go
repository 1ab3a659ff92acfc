// Package oauth is the OAuth 2.1 authorization server and OpenID Provider: the endpoints that relying parties call, and
// the routes under /oauth2/requests by which the sign-in pages drive an authorization request. Who the person is comes
// from package account through the Sessions interface; which applications exist is managed by package admin.
//
// Start with Mount, then authorize.go and token.go. The engine is fosite: its handlers decide each grant over the
// storage in storage.go; what fosite lacks or gets wrong is replaced in the file of that name (refresh.go, client.go,
// accesstoken.go, redirect.go, errors.go).
package oauth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/ory/fosite"
	"github.com/rs/zerolog"

	"auth-service/store"
)

// Sessions tells who is signed in to this browser and ends that.
type Sessions interface {
	// Current returns the browser session with its User, or store.ErrNotFound when nobody is signed in.
	Current(r *http.Request) (*store.Session, error)
	// End ends the browser's session with the grants bound to it, and takes the cookie away. It joins a transaction in ctx.
	End(ctx context.Context, c echo.Context, reason string) error
}

// Counters keep the statistics. They are called while requests run, so they neither wait nor fail.
type Counters interface {
	Add(metric, applicationID string)
	Seen(userID string)
}

// Options are what a Provider is made of.
type Options struct {
	PublicURL   string // scheme://host[:port], without a slash at the end
	CORSOrigins []string
	Lifetimes   Lifetimes
	// RefreshGrace is how long a used refresh token still yields the same successor. Zero forbids it.
	RefreshGrace time.Duration
	Keys         KeyPolicy

	Store    *store.Store
	Keyring  *store.Keyring
	Sessions Sessions
	Counters Counters
	// SameOrigin guards the routes that the sign-in pages call with the session cookie.
	SameOrigin echo.MiddlewareFunc
	Now        func() time.Time
	Log        zerolog.Logger
}

// Lifetimes are the defaults; an application may set its own.
type Lifetimes struct {
	Code            time.Duration
	AccessToken     time.Duration
	IDToken         time.Duration
	RefreshIdle     time.Duration
	RefreshAbsolute time.Duration
	Request         time.Duration // how long a sign-in page may stay open
}

// KeyPolicy says how signing keys are made and replaced.
type KeyPolicy struct {
	Rotation  time.Duration // how long a key signs
	Retention time.Duration // how long a retired key stays published
	// Generate makes a private key for an algorithm; nil means GenerateKey.
	Generate func(alg string) (crypto.Signer, error)
}

// A Provider serves the OAuth 2.1 and OpenID Connect endpoints of one issuer.
type Provider struct {
	Options
	issuer      string
	fosite      *fosite.Fosite
	clients     *clientCache
	keys        *keySet
	revocations *revocationList
	metadata    []byte
}

// New builds the provider and loads, or on the first start makes, its signing keys.
func New(ctx context.Context, o Options) (*Provider, error) {
	p := &Provider{Options: o, issuer: o.PublicURL + "/api/auth"}
	p.clients = newClientCache(o.Store, o.Now)
	p.keys = &keySet{store: o.Store, keyring: o.Keyring, policy: o.Keys, now: o.Now, log: o.Log}
	p.revocations = newRevocationList(o.Store, o.Now, p.clients.clear)
	p.fosite = p.compose()
	p.metadata = p.renderMetadata()
	if err := p.keys.load(ctx); err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	if err := p.revocations.load(ctx); err != nil {
		return nil, fmt.Errorf("load revocations: %w", err)
	}
	o.Store.Subscribe(p.obey)
	return p, nil
}

// obey keeps this process's memory in step with what it just wrote. Other replicas poll, see Run.
func (p *Provider) obey(e store.Event) {
	switch e.Kind {
	case store.EventRevocation:
		p.revocations.add(*e.Revocation)
	case store.EventClientChanged, store.EventApplicationChanged:
		p.clients.clear()
	}
}

// Maintain reads what other replicas wrote and lets the next key of each algorithm sign once the active one has signed
// long enough.
func (p *Provider) Maintain(ctx context.Context) error {
	return errors.Join(p.revocations.poll(ctx), p.keys.maintain(ctx))
}

// Run polls for the revocations of other replicas every second and maintains the rest less often, until ctx ends.
func (p *Provider) Run(ctx context.Context) {
	poll, keys := time.NewTicker(time.Second), time.NewTicker(30*time.Second)
	defer poll.Stop()
	defer keys.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			err = p.revocations.poll(ctx)
		case <-keys.C:
			err = p.Maintain(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.Log.Warn().Err(err).Msg("oauth state could not be refreshed; it is kept as it was")
		}
	}
}

// Mount registers the protocol endpoints, whose addresses the metadata document repeats.
func (p *Provider) Mount(e *echo.Echo) {
	read := []string{http.MethodGet, http.MethodHead}
	for _, path := range []string{
		"/api/auth/.well-known/openid-configuration", "/api/auth/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration/api/auth", "/.well-known/oauth-authorization-server/api/auth",
		"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
	} {
		e.Match(read, path, p.discovery, anyOrigin)
		e.OPTIONS(path, noContent, anyOrigin)
	}
	g := e.Group("/api/auth")
	g.Match(read, "/jwks", p.jwks, anyOrigin)
	g.OPTIONS("/jwks", noContent, anyOrigin)

	g.GET("/oauth2/authorize", p.authorize)
	g.POST("/oauth2/authorize", p.authorize)
	g.POST("/oauth2/token", p.token, p.clientOrigins)
	g.GET("/oauth2/userinfo", p.userinfo, p.clientOrigins)
	g.POST("/oauth2/userinfo", p.userinfo, p.clientOrigins)
	g.POST("/oauth2/revoke", p.revoke, p.clientOrigins)
	for _, path := range []string{"/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke"} {
		g.OPTIONS(path, p.preflight)
	}
	g.POST("/oauth2/introspect", p.introspect)
	g.GET("/oauth2/end-session", p.endSession)
	g.POST("/oauth2/end-session", p.endSession)

	g.GET("/oauth2/requests/:id", p.showRequest)
	g.GET("/oauth2/requests/:id/form", p.answerByForm)
	g.POST("/oauth2/requests/:id/consent", p.consent, p.SameOrigin)
	g.POST("/oauth2/requests/:id/select-account", p.selectAccount, p.SameOrigin)
	g.POST("/oauth2/requests/:id/organization", p.chooseOrganization, p.SameOrigin)
	g.POST("/oauth2/requests/:id/cancel", p.cancel, p.SameOrigin)

	g.GET("/oauth2/consents", p.listConsents)
	g.DELETE("/oauth2/consents/:clientId", p.removeConsent, p.SameOrigin)
}

// logged leaves for the access log whom a request was for.
func logged(c echo.Context, clientID, sub string) {
	c.Set("client_id", clientID)
	c.Set("sub", sub)
}

func (p *Provider) now() time.Time { return p.Now().UTC() }
