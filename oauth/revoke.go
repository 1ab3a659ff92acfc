package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// revoke serves the revocation endpoint (RFC 7009). A refresh token ends its whole grant, an access token only itself.
// Tokens that are unknown, expired or another client's are answered alike, with 200: the caller is rid of them.
func (p *Provider) revoke(c echo.Context) error {
	form, err := formOf(c.Request())
	p.allowOrigin(c, claimedClient(c.Request(), form))
	if err != nil {
		return p.writeError(c, err)
	}
	ctx := c.Request().Context()
	caller, err := p.identifyClient(ctx, c.Request(), form)
	if err == nil && form.Get("token") == "" {
		err = invalidRequest("The parameter 'token' is missing.")
	}
	if err == nil {
		err = p.revokeToken(ctx, actor(c, store.ActorClient, ""), caller, form.Get("token"))
	}
	if err != nil {
		return p.writeError(c, err)
	}
	logged(c, caller.ID, "")
	noStore(c.Response().Header())
	return c.NoContent(http.StatusOK)
}

func (p *Provider) revokeToken(ctx context.Context, by store.Actor, caller *client, token string) error {
	if t, ok := parseRefreshToken(token); ok {
		return p.revokeRefreshToken(ctx, by, caller, t)
	}
	claims, err := p.verifyAccessToken(ctx, token)
	if errors.Is(err, errInvalidToken) || err == nil && claims.ClientID != caller.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return p.Store.RevokeToken(ctx, claims.ID)
}

// revokeRefreshToken also accepts a past generation: whoever wants the grant gone and proves to be its client is right.
func (p *Provider) revokeRefreshToken(ctx context.Context, by store.Actor, caller *client, t *refreshToken) error {
	g, err := p.Store.GrantByID(ctx, t.grantID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.ClientID != caller.ID || !p.genuine(t, g) || g.RevokedAt != nil {
		return nil
	}
	return p.Store.RevokeGrant(ctx, g.ID, store.ReasonRevoked, revocation(by, caller, g.ID))
}
