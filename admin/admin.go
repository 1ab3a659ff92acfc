// Package admin is /api/admin, where operators manage applications with their clients, roles and plans, people, and
// organizations. It checks who calls, what they send and what they may change, and writes an audit event with every change.
// What people do to their own account is package account's; what clients then do is oauth's.
//
// Start with Handler. CreateApplication is shared with the command line; so is what creates and changes clients, permissions,
// roles and plans, of which ApplyPolicy makes what a file says.
package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

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
}

// A Handler serves /api/admin.
type Handler struct {
	Store         *store.Store
	People        People
	Organizations Organizations
	Sessions      Sessions
	Tokens        Tokens
	// SameOrigin guards what the session cookie authorizes against other sites' pages. Requests with a bearer token do
	// without: no page can make a browser send one.
	SameOrigin echo.MiddlewareFunc
	PublicURL  string // for links to our pages
	// WebhookFault says in a sentence why no webhook can go to a URL; empty when one can.
	WebhookFault func(url string) string
	Now          func() time.Time
	Log          zerolog.Logger
}

// Mount registers the routes with the API that also has the account routes, so that one document describes all of them.
func (h *Handler) Mount(api huma.API) {
	describeSecurity(api)
	group := huma.NewGroup(api, "/api/admin")
	group.UseMiddleware(h.access(api))
	h.mountApplications(group)
	h.mountClients(group)
	h.mountPermissions(group)
	h.mountRoles(group)
	h.mountClientRoles(group)
	h.mountPlans(group)
	h.mountSubscriptions(group)
	h.mountWebhooks(group)
	h.mountDeliveries(group)
	describeEvents(api)
	h.mountAudit(group)
	h.mountUsers(group)
	h.mountUserSessions(group)
	h.mountUserRoles(group)
	h.mountExplanations(group)
	h.mountOrganizations(group)
	h.mountMembers(group)
	h.mountInvitations(group)
	h.mountStatistics(group)
}

// operation fills in what all routes here have in common.
func operation(id, method, path, summary string, status int, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status,
		Tags:     []string{"Applications"},
		Security: []map[string][]string{{"session": {}}, {"bearer": {scopeAdmin}}},
		Errors:   append([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable}, errors...),
	}
}
