package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountInvitations(api huma.API) {
	const all, one = "/organizations/{id}/invitations", "/organizations/{id}/invitations/{invitation}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutOrganizations(operation("listInvitations", http.MethodGet, all, "List the invitations to an organization", http.StatusOK, notFound)), h.listInvitations)
	huma.Register(api, aboutOrganizations(operation("createInvitation", http.MethodPost, all, "Invite somebody to an organization", http.StatusCreated, notFound, conflict)), h.createInvitation)
	huma.Register(api, aboutOrganizations(operation("cancelInvitation", http.MethodDelete, one, "Cancel an invitation", http.StatusNoContent, notFound)), h.cancelInvitation)
}

// An Invitation offers membership of an organization to whoever has the address.
type Invitation struct {
	ID             string  `json:"id" doc:"A secret: who knows it and has an account with the address can accept."`
	OrganizationID string  `json:"organizationId"`
	Email          string  `json:"email"`
	Role           string  `json:"role" enum:"owner,admin,member"`
	Status         string  `json:"status" enum:"pending,accepted,rejected,canceled"`
	InviterID      *string `json:"inviterId" doc:"The person who invited; null for a client or the command line."`
	CreatedAt      Moment  `json:"createdAt"`
	ExpiresAt      Moment  `json:"expiresAt"`
	AcceptURL      *string `json:"acceptUrl" doc:"The page to send to the invited person. Null when the invitation can no longer be accepted."`
}

func (h *Handler) showInvitation(i *store.Invitation) Invitation {
	out := Invitation{
		ID: i.ID, OrganizationID: i.OrganizationID, Email: i.Email, Role: i.Role, Status: i.Status, InviterID: orNull(i.InviterID),
		CreatedAt: moment(i.CreatedAt), ExpiresAt: moment(i.ExpiresAt),
	}
	if i.Open(h.Now()) {
		page := h.PublicURL + "/accept-invitation?id=" + url.QueryEscape(i.ID)
		out.AcceptURL = &page
	}
	return out
}

type listInvitationsRequest struct {
	OrganizationPath
	PageRequest
	Search string `query:"search" maxLength:"200" doc:"How the e-mail address begins."`
	Sort   string `query:"sort" enum:"createdAt,-createdAt" default:"-createdAt"`
	Status string `query:"status" enum:"pending,accepted,rejected,canceled" doc:"Pending ones may have expired."`
}

func (h *Handler) listInvitations(ctx context.Context, in *listInvitationsRequest) (*listResponse[Invitation], error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	paging, bad := in.paging(in.Sort)
	bad.search(in.Search)
	if err := bad.err(); err != nil {
		return nil, err
	}
	page, err := h.Organizations.Invitations(ctx, actorIn(ctx).Actor, ref, store.InvitationQuery{Paging: paging, Search: strings.TrimSpace(in.Search), Status: in.Status})
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, h.showInvitation, func(i *store.Invitation) (any, string) { return i.CreatedAt, i.ID }), nil
}

// InvitationInput is an invitation to be made.
type InvitationInput struct {
	Email     string           `json:"email" maxLength:"254"`
	Role      Optional[string] `json:"role,omitzero" enum:"owner,admin,member" doc:"Default: member."`
	Resend    bool             `json:"resend,omitempty" doc:"True gives an open invitation of the address the new role and expiry. Its link stays the same, unless the new role is owner."`
	ExpiresIn int64            `json:"expiresIn,omitempty" minimum:"60" maximum:"2592000" doc:"Seconds. Default: as configured."`
}

type createInvitationRequest struct {
	OrganizationPath
	Idempotent
	Body InvitationInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createInvitationRequest) Resolve(huma.Context) []error { return faults{}.findings(in.Body) }

type createInvitationResponse struct {
	Replay
	Body Invitation
}

func (h *Handler) createInvitation(ctx context.Context, in *createInvitationRequest) (*createInvitationResponse, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	offer := store.InvitationOffer{
		Email: in.Body.Email, Role: store.MemberPlain, Resend: in.Body.Resend, Lifetime: time.Duration(in.Body.ExpiresIn) * time.Second,
	}
	in.Body.Role.into(&offer.Role, offer.Role)
	body, replay, err := once(ctx, h, in.Idempotent, "createInvitation", []any{ref, in.Body}, func(ctx context.Context) (Invitation, error) {
		i, err := h.Organizations.Invite(ctx, actorIn(ctx).Actor, ref, offer)
		if err != nil {
			return Invitation{}, err
		}
		return h.showInvitation(i), nil
	})
	return &createInvitationResponse{replay, body}, err
}

// InvitationPath is the part of a path that names an invitation to an organization.
type InvitationPath struct {
	OrganizationPath
	Invitation reference `path:"invitation" maxLength:"255"`
}

func (h *Handler) cancelInvitation(ctx context.Context, in *InvitationPath) (*struct{}, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	id, err := in.Invitation.text()
	if err != nil {
		return nil, err
	}
	_, err = h.Organizations.CancelInvitation(ctx, actorIn(ctx).Actor, ref, id)
	return nil, err
}
