package account

import (
	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// System is the actor behind the command line and the first start. It may do anything.
func System() store.Actor {
	return store.Actor{Type: store.ActorSystem, Administrator: true, Superadmin: true}
}

// ActorOf is the person with the given id, at the other end of the request, who acts for themselves.
func ActorOf(c echo.Context, userID string) store.Actor {
	return store.Actor{
		Type: store.ActorUser, ID: userID, IP: c.RealIP(), UserAgent: userAgent(c.Request()),
		RequestID: c.Response().Header().Get(echo.HeaderXRequestID),
	}
}
