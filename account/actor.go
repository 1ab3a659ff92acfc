package account

import (
	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// An Actor is who does something, for the audit log and for the ladder of roles.
type Actor struct {
	Type      string // store.ActorUser, ActorClient or ActorSystem
	ID        string
	Role      string // of a person
	IP        string
	UserAgent string
	RequestID string
}

// System is the actor behind the command line and the first start. It may do anything.
func System() Actor { return Actor{Type: store.ActorSystem} }

// ActorOf is the person with the given id, at the other end of the request.
func ActorOf(c echo.Context, userID string) Actor {
	return Actor{
		Type: store.ActorUser, ID: userID, IP: c.RealIP(), UserAgent: userAgent(c.Request()),
		RequestID: c.Response().Header().Get(echo.HeaderXRequestID),
	}
}

// mayAppoint reports whether the actor may grant, change or remove the roles above that of a user.
func (a Actor) mayAppoint() bool {
	return a.Type == store.ActorSystem || a.Role == store.RoleSuperadmin
}

func (a Actor) event(action, targetType, targetID string) store.AuditEvent {
	return store.AuditEvent{
		ActorType: a.Type, ActorID: a.ID, Action: action, TargetType: targetType, TargetID: targetID,
		IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID,
	}
}
