package admin

import (
	"context"
	"errors"
	"net/http"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errNotMember      = problem.New(http.StatusConflict, "NOT_A_MEMBER", "The person is not a member of this organization. Make them one first.")
	errNoOrganization = problem.New(http.StatusNotFound, "ORGANIZATION_NOT_FOUND", "There is no such organization.")
)

// UserApplicationPath is the part of a path that names a person and an application.
type UserApplicationPath struct {
	UserPath
	AppID reference `path:"appId" maxLength:"255" doc:"The id, the slug or a client_id of the application."`
}

// acting finds the person and the application of a path, and the organization for which the person acts, if one is named.
func (h *Handler) acting(ctx context.Context, in *UserApplicationPath, organization reference) (user *store.User, a *store.Application, organizationID string, err error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, nil, "", err
	}
	if a, err = h.applicationNamed(ctx, in.AppID); err != nil {
		return nil, nil, "", err
	}
	if user, err = h.Store.UserByID(ctx, id); err != nil {
		return nil, nil, "", err
	}
	if organization != "" {
		organizationID, err = h.organizationOf(ctx, organization, id, h.Store.MemberOf)
	}
	return user, a, organizationID, err
}

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
