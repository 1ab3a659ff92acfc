package consumption

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"auth-service/problem"
	"auth-service/store"
)

var errApplicationNotFound = problem.New(http.StatusNotFound, "APPLICATION_NOT_FOUND", "There is no such application.")

// PersonPath names a person and an application.
type PersonPath struct {
	UserID string `path:"userId" maxLength:"255"`
	AppID  string `path:"appId" maxLength:"255" doc:"The id, the slug or a client_id of the application."`
}

// OrganizationPath names an organization and an application.
type OrganizationPath struct {
	OrganizationID string `path:"organizationId" maxLength:"255"`
	AppID          string `path:"appId" maxLength:"255" doc:"The id, the slug or a client_id of the application."`
}

// personAccount finds whose usage a path is about, if it is for whoever calls to see. To everybody else it is the same whether or
// not anything of it is there.
func (h *Handler) personAccount(ctx context.Context, in *PersonPath, organizationID string) (store.Account, error) {
	r := requesterIn(ctx)
	if !store.Printable(in.UserID) || !store.Printable(organizationID) {
		return store.Account{}, errUserNotFound
	}
	if !r.Administrator && !r.machine() {
		if r.userID != in.UserID {
			return store.Account{}, errForbidden
		}
		if organizationID != "" {
			if err := h.member(ctx, organizationID, r.userID, store.MemberOwner, store.MemberAdmin, store.MemberPlain); err != nil {
				return store.Account{}, err
			}
		}
	}
	application, err := h.applicationFor(ctx, r, in.AppID)
	if err != nil {
		return store.Account{}, err
	}
	return store.Account{ApplicationID: application.ID, UserID: in.UserID, OrganizationID: organizationID}, nil
}

// organizationAccount does so for an organization as a whole.
func (h *Handler) organizationAccount(ctx context.Context, in *OrganizationPath) (store.Account, error) {
	r := requesterIn(ctx)
	if !store.Printable(in.OrganizationID) {
		return store.Account{}, errOrganizationNotFound
	}
	if !r.Administrator && !r.machine() {
		if err := h.member(ctx, in.OrganizationID, r.userID, store.MemberOwner, store.MemberAdmin); err != nil {
			return store.Account{}, err
		}
	}
	application, err := h.applicationFor(ctx, r, in.AppID)
	if err != nil {
		return store.Account{}, err
	}
	return store.Account{ApplicationID: application.ID, OrganizationID: in.OrganizationID}, nil
}

// member refuses whoever has none of the roles in the organization.
func (h *Handler) member(ctx context.Context, organizationID, userID string, roles ...string) error {
	m, err := h.Store.MemberOf(ctx, organizationID, userID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !slices.Contains(roles, m.Role) {
		return errForbidden
	}
	return err
}

// applicationFor finds the application that a path names: any for administrators and for people who are signed in here, the
// token's own for whoever comes with a token.
func (h *Handler) applicationFor(ctx context.Context, r *requester, ref string) (*store.Application, error) {
	if !r.Administrator && r.application != nil {
		own, err := h.names(ctx, ref, r.application)
		if err == nil && !own {
			err = errForeign
		}
		return r.application, err
	}
	if !store.Printable(ref) {
		return nil, errApplicationNotFound
	}
	a, err := h.Store.ApplicationByRef(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		err = errApplicationNotFound
	}
	return a, err
}
