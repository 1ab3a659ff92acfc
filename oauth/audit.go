package oauth

import (
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// auditEvent is what the person with the given id does, at the other end of the request.
func auditEvent(c echo.Context, userID, action, targetType, targetID string) store.AuditEvent {
	const limit = 256 // of a header that may be of any length and need not be UTF-8
	agent := c.Request().UserAgent()
	return store.AuditEvent{
		ActorType: store.ActorUser, ActorID: userID, Action: action, TargetType: targetType, TargetID: targetID,
		IP: c.RealIP(), UserAgent: strings.ToValidUTF8(agent[:min(len(agent), limit)], ""),
		RequestID: c.Response().Header().Get(echo.HeaderXRequestID),
	}
}
