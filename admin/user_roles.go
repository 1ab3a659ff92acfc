package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

var errNotMember = problem.New(http.StatusConflict, "NOT_A_MEMBER", "The person is not a member of this organization. Make them one first.")

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

// UserApplicationPath is the part of a path that names a person and an application.
type UserApplicationPath struct {
	UserPath
	AppID reference `path:"appId" maxLength:"255" doc:"The id, the slug or a client_id of the application."`
}

type getUserRolesRequest struct {
	UserApplicationPath
	OrganizationID reference `query:"organizationId" maxLength:"255" doc:"The id or the slug of an organization of which the person is a member. Default: everywhere."`
}

type userRolesResponse struct{ Body UserRoles }

func (h *Handler) getUserRoles(ctx context.Context, in *getUserRolesRequest) (*userRolesResponse, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	ref, err := in.AppID.text()
	if err != nil {
		return nil, err
	}
	a, err := h.Store.ApplicationByRef(ctx, ref)
	if err != nil {
		return nil, err
	}
	if _, err := h.Store.UserByID(ctx, id); err != nil {
		return nil, err
	}
	at := store.Assignee{UserID: id, ApplicationID: a.ID}
	if in.OrganizationID != "" {
		if at.OrganizationID, err = h.organizationOf(ctx, in.OrganizationID, id, h.Store.MemberOf); err != nil {
			return nil, err
		}
	}
	held, err := h.Store.UserRoles(ctx, at)
	if err != nil {
		return nil, err
	}
	return &userRolesResponse{showUserRoles(at, held)}, nil
}

var errNoOrganization = problem.New(http.StatusNotFound, "ORGANIZATION_NOT_FOUND", "There is no such organization.")

// organizationNamed returns the organization with the id or slug.
func organizationNamed(ctx context.Context, s *store.Store, ref string) (*store.Organization, error) {
	return noOrganization(s.OrganizationByRef(ctx, ref))
}

// noOrganization says what it was that a look-up did not find.
func noOrganization(o *store.Organization, err error) (*store.Organization, error) {
	if errors.Is(err, store.ErrNotFound) {
		err = errNoOrganization
	}
	return o, err
}

// organizationOf returns the id of the organization, of which the person has to be a member by the look-up given.
func (h *Handler) organizationOf(ctx context.Context, ref reference, userID string, member func(ctx context.Context, organizationID, userID string) (*store.Member, error)) (string, error) {
	text, err := ref.text()
	if err != nil {
		return "", err
	}
	o, err := organizationNamed(ctx, h.Store, text)
	if err != nil {
		return "", err
	}
	if _, err := member(ctx, o.ID, userID); errors.Is(err, store.ErrNotFound) {
		return "", errNotMember
	} else if err != nil {
		return "", err
	}
	return o.ID, nil
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
