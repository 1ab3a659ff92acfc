package oauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// introspection is the answer of RFC 7662 §2.2. Whatever is not active says nothing else.
type introspection struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type,omitempty"`
	*accessClaims
}

// introspect serves the introspection endpoint for confidential clients. They see tokens of their own application, and
// tokens that are meant for it; of all others they learn nothing.
func (p *Provider) introspect(c echo.Context) error {
	form, err := formOf(c.Request())
	if err != nil {
		return p.writeError(c, err)
	}
	ctx := c.Request().Context()
	caller, err := p.identifyClient(ctx, c.Request(), form)
	if err == nil && caller.Public() {
		err = errInvalidClient // anybody can claim to be a public client
	}
	if err == nil && form.Get("token") == "" {
		err = invalidRequest("The parameter 'token' is missing.")
	}
	if err != nil {
		return p.writeError(c, err)
	}
	logged(c, caller.ID, "")
	answer, err := p.inspect(ctx, caller, form.Get("token"))
	if err != nil {
		return p.writeError(c, err)
	}
	noStore(c.Response().Header())
	return c.JSON(http.StatusOK, answer)
}

// inspect tells the kinds of token apart by their form, so token_type_hint has nothing to add.
func (p *Provider) inspect(ctx context.Context, caller *client, token string) (introspection, error) {
	if t, ok := parseRefreshToken(token); ok {
		return p.inspectRefreshToken(ctx, caller, t)
	}
	claims, err := p.verifyAccessToken(ctx, token)
	if errors.Is(err, errInvalidToken) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	seen, err := p.mayInspect(ctx, caller, claims)
	if err != nil || !seen {
		return introspection{}, err
	}
	return introspection{Active: true, TokenType: "Bearer", accessClaims: claims}, nil
}

func (p *Provider) mayInspect(ctx context.Context, caller *client, claims *accessClaims) (bool, error) {
	for _, audience := range caller.Application.Audiences {
		if slices.Contains(claims.Audience, audience) {
			return true, nil
		}
	}
	return p.sameApplication(ctx, caller, claims.ClientID)
}

func (p *Provider) sameApplication(ctx context.Context, caller *client, clientID string) (bool, error) {
	if caller.ID == clientID {
		return true, nil
	}
	other, err := p.clients.get(ctx, clientID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && other.ApplicationID == caller.ApplicationID, err
}

// inspectRefreshToken reads the grant: a refresh token lives only there.
func (p *Provider) inspectRefreshToken(ctx context.Context, caller *client, t *refreshToken) (introspection, error) {
	g, err := p.Store.GrantByID(ctx, t.grantID)
	if errors.Is(err, store.ErrNotFound) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	seen, err := p.sameApplication(ctx, caller, g.ClientID)
	if err != nil || !seen || !p.genuine(t, g) || !g.Live(p.now()) || t.generation != g.Generation {
		return introspection{}, err
	}
	return introspection{Active: true, accessClaims: &accessClaims{
		Issuer: p.issuer, Subject: g.UserID, ClientID: g.ClientID, AZP: g.ClientID, Scope: strings.Join(g.Scopes, " "),
		SessionID: g.SessionID, GrantID: g.ID, IssuedAt: g.RotatedAt.Unix(), ExpiresAt: g.IdleExpiresAt.Unix(),
	}}, nil
}
