package consumption

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

// scopeAdmin makes an administrator of a client, or lets a token act with the rights of the one behind it.
const scopeAdmin = "admin"

var (
	errMachineOnly = problem.New(http.StatusForbidden, "MACHINE_ONLY",
		"Only an application may do this, with a token of the client_credentials grant; this one is a person's.")
	errForeign = problem.New(http.StatusForbidden, "FOREIGN_APPLICATION",
		"The token belongs to another application. Use a client of the one that this is about.")
	errForbidden = problem.New(http.StatusForbidden, "FORBIDDEN", "This usage is not yours to see or to change.")
)

// A requester is who calls: an application, a person, or an administrator, who may be either.
type requester struct {
	store.Actor
	application *store.Application // of the token; nil for a session
	clientID    string
	userID      string // empty when an application calls
	again       func() (*requester, error)
}

func (r *requester) machine() bool { return r.userID == "" }

// caller is the application that calls.
func (r *requester) caller() Caller {
	return Caller{ApplicationID: r.application.ID, ClientID: r.clientID}
}

type requesterKey struct{}

// requesterIn returns who calls. The middleware has put it there, so it is missing only by our mistake.
func requesterIn(ctx context.Context) *requester { return ctx.Value(requesterKey{}).(*requester) }

// stillKnown asks again who calls. What goes on for as long as somebody reads must not outlive the rights with which it began.
func stillKnown(ctx context.Context) (*requester, error) {
	return requesterIn(ctx).again()
}

// admit tells the handlers who calls, unless may refuses.
func (h *Handler) admit(api huma.API, may func(*requester) error) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		enter := func(c echo.Context) error {
			r, err := h.authenticate(c)
			if err == nil {
				err = may(r)
			}
			if err != nil {
				return err
			}
			c.Response().Header().Set("Cache-Control", "no-store") // answers are about one person, or one application
			r.again = func() (*requester, error) { return h.authenticate(c) }
			next(huma.WithValue(ctx, requesterKey{}, r))
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

func onlyMachines(r *requester) error {
	if !r.machine() {
		return errMachineOnly
	}
	return nil
}

func anybody(*requester) error { return nil }

// authenticate prefers the token: a request that carries one must not fall back on whoever is signed in.
func (h *Handler) authenticate(c echo.Context) (*requester, error) {
	r := c.Request()
	if token, sent, err := problem.BearerToken(r); err != nil {
		return nil, err
	} else if sent {
		return h.bearer(c, token)
	}
	session, err := h.Sessions.Current(r)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.Unauthorized
	}
	if err != nil {
		return nil, err
	}
	return h.person(c, session.User, true), nil
}

func (h *Handler) bearer(c echo.Context, token string) (*requester, error) {
	ctx := c.Request().Context()
	userID, clientID, scopes, err := h.Tokens.Authenticate(ctx, token)
	var application *store.Application
	if err == nil {
		application, err = h.Tokens.ApplicationOf(ctx, clientID)
	}
	switch {
	case errors.Is(err, store.ErrUnavailable), err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, problem.InvalidToken.Because(err)
	}
	c.Set("client_id", clientID) // for the access log
	console := slices.Contains(scopes, scopeAdmin)
	var r *requester
	switch {
	case userID == "":
		r = requesterOf(c, store.ActorClient, clientID)
		r.Administrator = console
	case !console:
		r = h.person(c, &store.User{ID: userID}, false)
	default:
		user, err := h.Store.UserByID(ctx, userID)
		if errors.Is(err, store.ErrNotFound) {
			return nil, problem.InvalidToken.Because(err)
		}
		if err != nil {
			return nil, err
		}
		r = h.person(c, user, true)
	}
	r.application, r.clientID = application, clientID
	return r, nil
}

// person is somebody in a browser, or whom a token speaks for. Administrators are those who are so now, whatever they were when
// the session began or the token was issued.
func (h *Handler) person(c echo.Context, user *store.User, console bool) *requester {
	c.Set("sub", user.ID)
	r := requesterOf(c, store.ActorUser, user.ID)
	r.userID = user.ID
	r.Administrator = console && user.Administrator() && !user.Disabled(h.Now())
	return r
}

func requesterOf(c echo.Context, kind, id string) *requester {
	return &requester{Actor: store.Actor{
		Type: kind, ID: id, IP: c.RealIP(), UserAgent: storable(c.Request().UserAgent()),
		RequestID: storable(c.Response().Header().Get(echo.HeaderXRequestID)),
	}}
}

// storable cuts a header to what the database keeps: it may be of any length and need not be UTF-8.
func storable(text string) string {
	const limit = 256
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
