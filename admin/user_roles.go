package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountUserRoles(api huma.API) {
	const path = "/users/{id}/applications/{appId}/roles"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutRoles(operation("getUserRoles", http.MethodGet, path, "Get the roles of a person in an application", http.StatusOK, notFound, conflict)), h.getUserRoles)
	huma.Register(api, aboutRoles(operation("setUserRoles", http.MethodPut, path, "Replace the roles that a person was given in an application", http.StatusOK, notFound, conflict)), h.setUserRoles)
}

// UserRoles are a person's roles in an application: everywhere, or when they act for one organization.
type UserRoles struct {
	UserID         string   `json:"userId"`
	ApplicationID  string   `json:"applicationId"`
	OrganizationID *string  `json:"organizationId" doc:"Null: everywhere."`
	Roles          []string `json:"roles" doc:"Those that the person was given here."`
	Inherited      []string `json:"inherited" doc:"Those held besides: the default ones and, for an organization, those that the person was given everywhere."`
	Effective      []string `json:"effective" doc:"Both."`
	Permissions    []string `json:"permissions" doc:"Those of the effective roles."`
}

func showUserRoles(a store.Assignee, held *store.HeldRoles) UserRoles {
	return UserRoles{
		UserID: a.UserID, ApplicationID: a.ApplicationID, OrganizationID: orNull(a.OrganizationID),
		Roles: held.Assigned, Inherited: held.Inherited, Effective: held.Effective, Permissions: held.Permissions,
	}
}

type getUserRolesRequest struct {
	UserApplicationPath
	OrganizationID reference `query:"organizationId" maxLength:"255" doc:"The id or the slug of an organization of which the person is a member. Default: everywhere."`
}

type userRolesResponse struct{ Body UserRoles }

func (h *Handler) getUserRoles(ctx context.Context, in *getUserRolesRequest) (*userRolesResponse, error) {
	user, a, organizationID, err := h.acting(ctx, &in.UserApplicationPath, in.OrganizationID)
	if err != nil {
		return nil, err
	}
	at := store.Assignee{UserID: user.ID, ApplicationID: a.ID, OrganizationID: organizationID}
	held, err := h.Store.UserRoles(ctx, at)
	if err != nil {
		return nil, err
	}
	return &userRolesResponse{showUserRoles(at, held)}, nil
}

// UserRolesInput is a set of roles to be given to a person.
type UserRolesInput struct {
	Roles          []string         `json:"roles" maxItems:"200" maxLength:"64" doc:"Keys of the application's roles. They replace those that the person was given here."`
	OrganizationID Optional[string] `json:"organizationId,omitzero" minLength:"1" maxLength:"255" doc:"The id or the slug of an organization of which the person is a member. Null: everywhere."`
}

type setUserRolesRequest struct {
	UserApplicationPath
	Body UserRolesInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *setUserRolesRequest) Resolve(huma.Context) []error {
	f := faults{}
	f.list("roles", in.Body.Roles, maxRoles, keyFault)
	return f.findings(in.Body)
}

func (h *Handler) setUserRoles(ctx context.Context, in *setUserRolesRequest) (out *userRolesResponse, err error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	err = h.inApplication(ctx, in.AppID, func(ctx context.Context, a *store.Application) error {
		if _, err := h.Store.LockUser(ctx, id); err != nil {
			return err
		}
		at := store.Assignee{UserID: id, ApplicationID: a.ID}
		if organization := in.Body.OrganizationID.pointer(); organization != nil {
			if at.OrganizationID, err = h.organizationOf(ctx, reference(*organization), id, h.Store.HoldMember); err != nil {
				return err
			}
		}
		held, err := h.giveUserRoles(ctx, a, at, in.Body.Roles)
		if err == nil {
			out = &userRolesResponse{showUserRoles(at, held)}
		}
		return err
	})
	return out, err
}

// giveUserRoles replaces the roles of a person. The application and the person are locked.
func (h *Handler) giveUserRoles(ctx context.Context, a *store.Application, at store.Assignee, keys []string) (*store.HeldRoles, error) {
	roles, err := h.rolesByKey(ctx, a, keys)
	if err != nil {
		return nil, err
	}
	was, err := h.Store.SetUserRoles(ctx, at, roles)
	if err != nil {
		return nil, err
	}
	held, err := h.Store.UserRoles(ctx, at)
	if err != nil {
		return nil, err
	}
	diff := changedRoles(was, held)
	if diff == nil {
		return held, nil
	}
	event := actorIn(ctx).event("user.set_application_roles", "user", at.UserID, a.ID, diff)
	event.OrganizationID = at.OrganizationID
	return held, h.Store.Audit(ctx, event)
}
