package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errInsufficientScope = problem.InsufficientScope(scopeAdmin)
	errForbidden         = problem.New(http.StatusForbidden, "FORBIDDEN", "Only administrators may do this.")
)

type (
	actorKey struct{}
	againKey struct{}
)

// actorIn returns who is acting. The middleware has put it there, so it is missing only by our mistake.
func actorIn(ctx context.Context) Actor { return ctx.Value(actorKey{}).(Actor) }

// stillAllowed asks again who is acting. What goes on for as long as somebody sends or reads must not outlive the rights with
// which it began. About the command line there is nobody to ask.
func stillAllowed(ctx context.Context) error {
	if again, ok := ctx.Value(againKey{}).(func() error); ok {
		return again()
	}
	return nil
}

// access lets administrators through and tells the handlers who they are.
func (h *Handler) access(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		enter := func(c echo.Context) error {
			actor, err := h.authenticate(c)
			if err != nil {
				return err
			}
			c.Response().Header().Set("Cache-Control", "no-store") // answers hold secrets
			next(huma.WithValue(huma.WithValue(ctx, actorKey{}, actor), againKey{}, func() error {
				now, err := h.authenticate(c)
				if err == nil && actor.Superadmin && !now.Superadmin {
					err = errForbidden
				}
				return err
			}))
			return nil
		}
		c := humaecho.Unwrap(ctx)
		if c.Request().Header.Get("Authorization") == "" {
			enter = h.SameOrigin(enter)
		}
		if err := enter(c); err != nil {
			huma.WriteErr(api, ctx, problem.Of(err).Status, "", err)
		}
	}
}

// authenticate prefers the token: a request that carries one must not fall back on whoever is signed in.
func (h *Handler) authenticate(c echo.Context) (Actor, error) {
	r := c.Request()
	if token, sent, err := problem.BearerToken(r); err != nil {
		return Actor{}, err
	} else if sent {
		return h.bearer(c, token)
	}
	session, err := h.Sessions.Current(r)
	if errors.Is(err, store.ErrNotFound) {
		return Actor{}, problem.Unauthorized
	}
	if err != nil {
		return Actor{}, err
	}
	return h.person(c, session.User)
}

func (h *Handler) bearer(c echo.Context, token string) (Actor, error) {
	ctx := c.Request().Context()
	userID, clientID, scopes, err := h.Tokens.Authenticate(ctx, token)
	switch {
	case errors.Is(err, store.ErrUnavailable), err != nil && ctx.Err() != nil:
		return Actor{}, err
	case err != nil:
		return Actor{}, problem.InvalidToken.Because(err)
	case !slices.Contains(scopes, scopeAdmin):
		return Actor{}, errInsufficientScope
	case userID == "":
		return requester(c, store.ActorClient, clientID), nil
	}
	user, err := h.Store.UserByID(ctx, userID)
	if errors.Is(err, store.ErrNotFound) {
		return Actor{}, problem.InvalidToken.Because(err)
	}
	if err != nil {
		return Actor{}, err
	}
	return h.person(c, user)
}

// person admits administrators as they are now, whatever they were when the session began or the token was issued.
func (h *Handler) person(c echo.Context, user *store.User) (Actor, error) {
	if !user.Administrator() || user.Disabled(h.Now()) {
		return Actor{}, errForbidden
	}
	actor := requester(c, store.ActorUser, user.ID)
	actor.Superadmin = user.Role == store.RoleSuperadmin
	return actor, nil
}

// requester is somebody whom this API let in.
func requester(c echo.Context, kind, id string) Actor {
	return Actor{store.Actor{
		Type: kind, ID: id, Administrator: true, IP: c.RealIP(), UserAgent: storable(c.Request().UserAgent()),
		RequestID: storable(c.Response().Header().Get(echo.HeaderXRequestID)),
	}}
}

// storable cuts a header to what the database keeps: it may be of any length and need not be UTF-8.
func storable(text string) string {
	const limit = 256
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
