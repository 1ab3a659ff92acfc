package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

var errNoServiceRoles = problem.New(http.StatusBadRequest, "NO_CLIENT_CREDENTIALS",
	"This client does not act for itself, so that it cannot hold roles. Give it the grant type client_credentials first.")

func (h *Handler) mountClientRoles(api huma.API) {
	const path, notFound = "/applications/{id}/clients/{clientId}/roles", http.StatusNotFound
	huma.Register(api, aboutRoles(operation("getClientRoles", http.MethodGet, path, "Get the roles that a client holds when it acts for itself", http.StatusOK, notFound)), h.getClientRoles)
	huma.Register(api, aboutRoles(operation("setClientRoles", http.MethodPut, path, "Replace the roles that a client holds when it acts for itself", http.StatusOK, notFound)), h.setClientRoles)
}

// ClientRoles are what a client may do in its application when it acts for itself.
type ClientRoles struct {
	ClientID      string   `json:"clientId"`
	ApplicationID string   `json:"applicationId"`
	Roles         []string `json:"roles"`
	Permissions   []string `json:"permissions" doc:"Those of the roles."`
}

func showClientRoles(c *store.Client, held *store.HeldRoles) ClientRoles {
	return ClientRoles{ClientID: c.ID, ApplicationID: c.ApplicationID, Roles: held.Assigned, Permissions: held.Permissions}
}

type clientRolesResponse struct{ Body ClientRoles }

func (h *Handler) getClientRoles(ctx context.Context, in *ClientPath) (*clientRolesResponse, error) {
	c, err := h.client(ctx, in)
	if err != nil {
		return nil, err
	}
	held, err := h.Store.ClientRoles(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	return &clientRolesResponse{showClientRoles(c, held)}, nil
}

// ClientRolesInput is a set of roles to be given to a client.
type ClientRolesInput struct {
	Roles []string `json:"roles" maxItems:"200" maxLength:"64" doc:"Keys of the application's roles. They replace those that the client has."`
}

type setClientRolesRequest struct {
	ClientPath
	Body ClientRolesInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *setClientRolesRequest) Resolve(huma.Context) []error {
	f := faults{}
	f.list("roles", in.Body.Roles, maxRoles, keyFault)
	return f.findings(in.Body)
}

func (h *Handler) setClientRoles(ctx context.Context, in *setClientRolesRequest) (out *clientRolesResponse, err error) {
	err = h.inClient(ctx, &in.ClientPath, func(ctx context.Context, a *store.Application, c *store.Client) error {
		// A client that lost the grant may still lose its roles, which would else stand in the way of deleting them.
		if len(in.Body.Roles) > 0 && !slices.Contains(c.GrantTypes, store.GrantClientCredentials) {
			return errNoServiceRoles
		}
		held, err := h.giveClientRoles(ctx, a, c, in.Body.Roles)
		if err == nil {
			out = &clientRolesResponse{showClientRoles(c, held)}
		}
		return err
	})
	return out, err
}

// giveClientRoles replaces the roles of a client. The application is locked.
func (h *Handler) giveClientRoles(ctx context.Context, a *store.Application, c *store.Client, keys []string) (*store.HeldRoles, error) {
	roles, err := h.rolesByKey(ctx, a, keys)
	if err != nil {
		return nil, err
	}
	was, err := h.Store.SetClientRoles(ctx, c.ID, roles)
	if err != nil {
		return nil, err
	}
	held, err := h.Store.ClientRoles(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	diff := changedRoles(was, held)
	if diff == nil {
		return held, nil
	}
	return held, h.Store.Audit(ctx, actorIn(ctx).event("client.set_roles", "client", c.ID, a.ID, diff))
}
