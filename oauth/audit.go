package oauth

import (
	"context"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// actor is who does something at the other end of the request.
func actor(c echo.Context, kind, id string) store.Actor {
	const limit = 256 // of a header that may be of any length and need not be UTF-8
	agent := c.Request().UserAgent()
	return store.Actor{
		Type: kind, ID: id, IP: c.RealIP(), UserAgent: strings.ToValidUTF8(agent[:min(len(agent), limit)], ""),
		RequestID: c.Response().Header().Get(echo.HeaderXRequestID),
	}
}

// auditEvent is what the person with the given id does.
func auditEvent(c echo.Context, userID, action, targetType, targetID string) store.AuditEvent {
	return actor(c, store.ActorUser, userID).Event(action, targetType, targetID)
}

// revocation is that the client ended a grant of its own, by asking for it or by what it did.
func revocation(by store.Actor, c *client, grantID string) store.AuditEvent {
	by.ID = c.ID
	event := by.Event("grant.revoke", "grant", grantID)
	event.ApplicationID = c.ApplicationID
	return event
}

// endGrant ends a grant because of what the client of this exchange did.
func (p *Provider) endGrant(ctx context.Context, grantID, reason string) error {
	x := exchangeIn(ctx)
	return p.Store.RevokeGrant(ctx, grantID, reason, revocation(x.by, x.client, grantID))
}
