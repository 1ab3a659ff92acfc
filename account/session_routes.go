package account

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (s *Service) mountSessions(api huma.API) {
	register(api, http.MethodGet, "get-session", "getSession", "Tells who is signed in, or null", s.getSession, orNobody)
	register(api, http.MethodGet, "list-sessions", "listSessions", "Lists the sessions of the person", s.listSessions, signedIn)
	register(api, http.MethodPost, "revoke-session", "revokeSession", "Ends one session of the person", s.revokeSession, signedIn)
	register(api, http.MethodPost, "revoke-sessions", "revokeSessions", "Ends all sessions of the person", s.revokeSessions, signedIn)
	register(api, http.MethodPost, "revoke-other-sessions", "revokeOtherSessions", "Ends all sessions of the person but this", s.revokeOtherSessions, signedIn)
}

type currentBody struct {
	Session sessionBody `json:"session"`
	User    userBody    `json:"user"`
}

// orNobody documents that the answer may be null, which the type of a body cannot say.
var orNobody = option{document: func(op *huma.Operation) {
	media := op.Responses["200"].Content["application/json"]
	media.Schema = &huma.Schema{OneOf: []*huma.Schema{media.Schema, {Type: "null"}}}
}}

// getSession answers null, and not an error, when nobody is signed in.
func (s *Service) getSession(ctx context.Context, _ *struct{}) (*answer[*currentBody], error) {
	ses, err := s.Sessions.Current(exchange(ctx).Request())
	if isNotFound(err) {
		return reply[*currentBody](nil), nil
	}
	if err != nil {
		return nil, err
	}
	return reply(&currentBody{showSession(ses), showUser(ses.User)}), nil
}

func (s *Service) listSessions(ctx context.Context, _ *struct{}) (*answer[[]sessionBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.UserSessions(ctx, ses.UserID, s.now())
	if err != nil {
		return nil, err
	}
	list := make([]sessionBody, len(rows))
	for i := range rows {
		list[i] = showSession(&rows[i])
	}
	return reply(list), nil
}

type revokeSessionRequest struct {
	Token string `json:"token" maxLength:"200" doc:"The id of the session, as lists show it."`
}

// revokeSession ends one session of the person. One that is unknown, or somebody else's, is answered alike and left alone.
func (s *Service) revokeSession(ctx context.Context, in *input[revokeSessionRequest]) (*answer[statusBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	c, id := exchange(ctx), in.Body.Token
	if !plausibleID(id) {
		return reply(statusBody{true}), nil
	}
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		err := s.endSession(ctx, ActorOf(c, ses.UserID), ses.UserID, id)
		if isNotFound(err) {
			return nil
		}
		return err
	})
	if err == nil && id == ses.ID {
		err = s.Sessions.Forget(c)
	}
	if err != nil {
		return nil, err
	}
	return reply(statusBody{true}), nil
}

// plausibleID reports whether the database may be asked for the id: PostgreSQL refuses text with a NUL.
func plausibleID(id string) bool {
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return id != ""
}

func (s *Service) revokeSessions(ctx context.Context, _ *struct{}) (*answer[statusBody], error) {
	return s.revokeAll(ctx, func(*store.Session) string { return "" })
}

func (s *Service) revokeOtherSessions(ctx context.Context, _ *struct{}) (*answer[statusBody], error) {
	return s.revokeAll(ctx, func(current *store.Session) string { return current.ID })
}

// revokeAll ends the sessions of the person except the one that keep names.
func (s *Service) revokeAll(ctx context.Context, keep func(*store.Session) string) (*answer[statusBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	c, kept := exchange(ctx), keep(ses)
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		return s.endSessions(ctx, ActorOf(c, ses.UserID), ses.UserID, kept)
	})
	if err == nil && kept == "" {
		err = s.Sessions.Forget(c)
	}
	if err != nil {
		return nil, err
	}
	return reply(statusBody{true}), nil
}
