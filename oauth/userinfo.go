package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// userinfo serves the UserInfo endpoint (OIDC Core §5.3). The token comes in the header or, in a POST, in the body;
// never in the query, where it would be logged (OAuth 2.1 §5.1).
func (p *Provider) userinfo(c echo.Context) error {
	token, err := bearer(c.Request())
	if err == nil && token == "" {
		err = errNoToken
	}
	if err != nil {
		return p.writeBearerError(c, err)
	}
	ctx := c.Request().Context()
	claims, err := p.readAccessToken(ctx, token)
	if err != nil {
		return p.writeBearerError(c, err)
	}
	p.allowOrigin(c, claims.ClientID) // also of a dead token: its script has to learn that it is
	if err := p.alive(ctx, claims); err != nil {
		return p.writeBearerError(c, err)
	}
	if !claims.has(scopeOpenID) {
		return p.writeBearerError(c, &Error{http.StatusForbidden, "insufficient_scope", "The access token was not granted the scope openid."})
	}
	g, client, err := p.grantBehind(ctx, claims)
	if err != nil {
		return p.writeBearerError(c, err)
	}
	body := personClaims(g.User, entitledBy(g.Entitlements), client.registered(claims.scopes()), client.registeredClaims(g.Claims.UserInfo))
	body["sub"] = g.UserID
	logged(c, claims.ClientID, g.UserID)
	noStore(c.Response().Header())
	return c.JSON(http.StatusOK, body)
}

// grantBehind returns the client and the live grant of a token, with what the person may do and have now for the organization of the token:
// the grant may have moved on to another one.
func (p *Provider) grantBehind(ctx context.Context, claims *accessClaims) (*store.Grant, *client, error) {
	c, err := p.clients.get(ctx, claims.ClientID)
	if err != nil {
		return nil, nil, err
	}
	g, err := p.Store.EntitledGrant(ctx, claims.GrantID, store.Acting{ApplicationID: c.ApplicationID, Organization: &claims.OrgID})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil, errInvalidToken
	case err != nil:
		return nil, nil, err
	case !g.Live(p.now()), claims.OrgID != "" && g.Entitlements.Organization == nil:
		return nil, nil, errInvalidToken
	}
	return g, c, nil
}

// bearer takes the access token from a request (RFC 6750 §2.1, §2.2).
func bearer(r *http.Request) (string, error) {
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	if header != "" && !strings.EqualFold(scheme, "Bearer") {
		return "", errInvalidToken
	}
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return token, nil
	}
	form, err := formOf(r)
	if err != nil {
		return "", err
	}
	inBody := form.Get("access_token")
	if token != "" && inBody != "" {
		return "", invalidRequest("The access token must be sent by one method only.")
	}
	return token + inBody, nil
}

// writeBearerError is RFC 6750 §3: the reason stands in WWW-Authenticate, too. A request without any token learns only
// which scheme to use.
func (p *Provider) writeBearerError(c echo.Context, err error) error {
	e := p.explain(c, err)
	challenge := `Bearer realm="userinfo"`
	if e != errNoToken {
		challenge += `, error="` + e.Code + `", error_description="` + e.Description + `"`
		if e.Code == "insufficient_scope" {
			challenge += `, scope="` + scopeOpenID + `"`
		}
	}
	h := c.Response().Header()
	noStore(h)
	switch {
	case e.Status < http.StatusInternalServerError:
		h.Set("WWW-Authenticate", challenge)
	case e.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	return c.JSON(e.Status, errorBody{e.Code, e.Description})
}
