package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountUserSessions(api huma.API) {
	const all, one = "/users/{id}/sessions", "/users/{id}/sessions/{sessionId}"
	huma.Register(api, aboutUsers(operation("listUserSessions", http.MethodGet, all, "List the sessions of a person", http.StatusOK, http.StatusNotFound)), h.listUserSessions)
	huma.Register(api, aboutUsers(operation("endUserSessions", http.MethodDelete, all, "End all sessions of a person", http.StatusNoContent, http.StatusNotFound)), h.endUserSessions)
	huma.Register(api, aboutUsers(operation("endUserSession", http.MethodDelete, one, "End one session of a person", http.StatusNoContent, http.StatusNotFound)), h.endUserSession)
}

// A UserSession is one signed-in browser. Its id opens nothing.
type UserSession struct {
	ID         string   `json:"id"`
	UserID     string   `json:"userId"`
	IPAddress  string   `json:"ipAddress"`
	UserAgent  string   `json:"userAgent"`
	ACR        string   `json:"acr"`
	AMR        []string `json:"amr"`
	CreatedAt  Moment   `json:"createdAt"`
	LastSeenAt Moment   `json:"lastSeenAt" doc:"To the minute."`
	ExpiresAt  Moment   `json:"expiresAt" doc:"Unless the person comes back before."`
}

func showUserSession(s *store.Session) UserSession {
	return UserSession{
		ID: s.ID, UserID: s.UserID, IPAddress: s.IP, UserAgent: s.UserAgent, ACR: s.ACR, AMR: list(s.AMR),
		CreatedAt: moment(s.CreatedAt), LastSeenAt: moment(s.LastSeenAt), ExpiresAt: moment(s.IdleExpiresAt),
	}
}

func (h *Handler) listUserSessions(ctx context.Context, in *UserPath) (*listResponse[UserSession], error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	if _, err := h.Store.UserByID(ctx, id); err != nil {
		return nil, err
	}
	rows, err := h.Store.UserSessions(ctx, id, h.Now().UTC())
	if err != nil {
		return nil, err
	}
	return showAll(rows, showUserSession), nil
}

func (h *Handler) endUserSessions(ctx context.Context, in *UserPath) (*struct{}, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	return nil, h.People.EndSessions(ctx, actorIn(ctx).Actor, id)
}

// UserSessionPath is the part of a path that names a session of a person.
type UserSessionPath struct {
	UserPath
	SessionID reference `path:"sessionId" maxLength:"255"`
}

func (h *Handler) endUserSession(ctx context.Context, in *UserSessionPath) (*struct{}, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	sessionID, err := in.SessionID.text()
	if err != nil {
		return nil, err
	}
	return nil, h.People.EndSession(ctx, actorIn(ctx).Actor, id, sessionID)
}
