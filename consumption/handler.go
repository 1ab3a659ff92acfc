package consumption

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"auth-service/problem"
	"auth-service/store"
)

// Sessions finds the browser session of a request, with its user. The error is store.ErrNotFound when nobody is signed in.
type Sessions interface {
	Current(r *http.Request) (*store.Session, error)
}

// Tokens verifies access tokens. The userID is empty when the client acts for itself. A token that is no good is an error; so
// is store.ErrUnavailable, which says nothing about the token.
type Tokens interface {
	Authenticate(ctx context.Context, token string) (userID, clientID string, scopes []string, err error)
	// ApplicationOf returns the application of an enabled client, or store.ErrNotFound. It is asked at each record, so it must not
	// ask the database each time.
	ApplicationOf(ctx context.Context, clientID string) (*store.Application, error)
}

// A Handler serves /api/consumption.
type Handler struct {
	Service  *Service
	Store    *store.Store
	Sessions Sessions
	Tokens   Tokens
	// SameOrigin guards what the session cookie authorizes against other sites' pages. Requests with a bearer token do
	// without: no page can make a browser send one.
	SameOrigin echo.MiddlewareFunc
	// Retention is how long records are kept, and HourlyRetention how long the history is kept by the hour.
	Retention, HourlyRetention time.Duration
	Now                        func() time.Time
	Log                        zerolog.Logger

	exporting exporting
}

// Mount registers the routes with the API that also has the others, so that one document describes all of them.
func (h *Handler) Mount(api huma.API) {
	machines := h.machines(api)
	h.mountRecords(machines, h.Service.Record)
	h.mountChecks(machines)
	h.mountReservations(machines)
	all := huma.NewGroup(api, "/api/consumption")
	all.UseMiddleware(h.admit(api, anybody))
	h.mountReports(all)
	h.mountResets(all)
	h.mountExport(all)
}

// machines is the group of the routes that only applications call.
func (h *Handler) machines(api huma.API) *huma.Group {
	group := huma.NewGroup(api, "/api/consumption")
	group.UseMiddleware(h.admit(api, onlyMachines))
	return group
}

// operation fills in what all routes here have in common.
func operation(id, method, path, summary string, status int, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status, Tags: []string{"Consumption"},
		Security: []map[string][]string{{"session": {}}, {"bearer": {}}},
		Errors:   append([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable}, errors...),
	}
}

// forMachines is the operation of a route that only applications call.
func forMachines(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{"bearer": {}}}
	return problem.Unprocessable(op)
}
