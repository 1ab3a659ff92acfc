package oauth

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"auth-service/problem"
	"auth-service/store"
)

var errSignInFirst = problem.New(http.StatusUnauthorized, "UNAUTHORIZED", "Sign in first.")

// connectionBody is one connected application of the person.
type connectionBody struct {
	ClientID    string   `json:"clientId"`
	Name        string   `json:"name"`
	LogoURI     string   `json:"logoUri,omitempty"`
	HomepageURI string   `json:"homepageUri,omitempty"`
	Scopes      []string `json:"scopes"`
	CreatedAt   string   `json:"createdAt"`
	UpdatedAt   string   `json:"updatedAt"`
	LastUsedAt  string   `json:"lastUsedAt,omitempty"`
}

// listConsents lists the applications that the person consented to or is signed in to.
func (p *Provider) listConsents(c echo.Context) error {
	ses, err := p.signedIn(c)
	if err != nil {
		return err
	}
	connections, err := p.Store.ConnectionsOf(c.Request().Context(), ses.UserID)
	if err != nil {
		return err
	}
	body := make([]connectionBody, 0, len(connections))
	for _, x := range connections {
		app := x.Client.Application
		b := connectionBody{ClientID: x.Client.ID, Name: x.Client.Name, LogoURI: app.LogoURI, HomepageURI: app.HomepageURI,
			Scopes: x.Scopes, CreatedAt: timestamp(x.CreatedAt), UpdatedAt: timestamp(x.UpdatedAt)}
		if x.LastUsedAt != nil {
			b.LastUsedAt = timestamp(*x.LastUsedAt)
		}
		body = append(body, b)
	}
	noStore(c.Response().Header())
	return c.JSON(http.StatusOK, body)
}

// removeConsent disconnects an application: the consent goes, and with it every grant and token.
func (p *Provider) removeConsent(c echo.Context) error {
	ses, err := p.signedIn(c)
	if err != nil {
		return err
	}
	clientID := c.Param("clientId")
	if !isText(clientID) {
		return store.ErrNotFound
	}
	event := auditEvent(c, ses.UserID, "consent.remove", "client", clientID)
	ctx := c.Request().Context()
	if client, err := p.clients.get(ctx, clientID); err == nil {
		event.ApplicationID = client.ApplicationID
	}
	err = p.Store.Tx(ctx, func(ctx context.Context) error {
		if err := p.Store.RemoveConnection(ctx, ses.UserID, clientID); err != nil {
			return err
		}
		return p.Store.Audit(ctx, event)
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// signedIn returns the session of a request that needs one.
func (p *Provider) signedIn(c echo.Context) (*store.Session, error) {
	ses, err := p.currentSession(c.Request())
	if err == nil && ses == nil {
		err = errSignInFirst
	}
	return ses, err
}
