package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// countedMembers is how many members are looked at for an organization's memberCount.
const countedMembers = 10_000

// Organizations are the rules about organizations, their members and invitations: what a field may hold, who may do what,
// the last owner, what ends with a membership, and the audit trail. They are package account's, which shares them with the
// members' own routes.
type Organizations interface {
	// CreateOrganization completes and inserts o with the first free one of the slugs. ownerID may be empty.
	CreateOrganization(ctx context.Context, by store.Actor, o *store.Organization, slugs []string, ownerID string) error
	Organization(ctx context.Context, by store.Actor, ref string) (*store.Organization, error)
	UpdateOrganization(ctx context.Context, by store.Actor, ref string, p store.OrganizationPatch) (*store.Organization, error)
	DeleteOrganization(ctx context.Context, by store.Actor, ref string) error
	// Members are named by their own id or their person's.
	Members(ctx context.Context, by store.Actor, ref string, q store.MemberQuery) (*store.Page[store.Member], error)
	AddMember(ctx context.Context, by store.Actor, ref, userID, role string) (*store.Member, error)
	SetMemberRole(ctx context.Context, by store.Actor, ref, member, role string) (*store.Member, error)
	RemoveMember(ctx context.Context, by store.Actor, ref, member string) (*store.Member, error)
	Invitations(ctx context.Context, by store.Actor, ref string, q store.InvitationQuery) (*store.Page[store.Invitation], error)
	Invite(ctx context.Context, by store.Actor, ref string, offer store.InvitationOffer) (*store.Invitation, error)
	CancelInvitation(ctx context.Context, by store.Actor, ref, id string) (*store.Invitation, error)
}

func (h *Handler) mountOrganizations(api huma.API) {
	const all, one = "/organizations", "/organizations/{id}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutOrganizations(operation("listOrganizations", http.MethodGet, all, "List organizations", http.StatusOK)), h.listOrganizations)
	huma.Register(api, aboutOrganizations(operation("createOrganization", http.MethodPost, all, "Create an organization", http.StatusCreated, notFound, conflict)), h.createOrganization)
	huma.Register(api, aboutOrganizations(operation("getOrganization", http.MethodGet, one, "Get an organization", http.StatusOK, notFound)), h.getOrganization)
	huma.Register(api, aboutOrganizations(operation("updateOrganization", http.MethodPatch, one, "Change an organization", http.StatusOK, notFound, conflict)), h.updateOrganization)
	huma.Register(api, aboutOrganizations(operation("deleteOrganization", http.MethodDelete, one, "Revoke all grants for an organization and delete it", http.StatusNoContent, notFound)), h.deleteOrganization)
	huma.Register(api, aboutUsers(operation("listUserOrganizations", http.MethodGet, "/users/{id}/organizations", "List the organizations of a person", http.StatusOK, notFound)), h.listUserOrganizations)
}

func aboutOrganizations(op huma.Operation) huma.Operation {
	op.Tags = []string{"Organizations"}
	return op
}

// An Organization is a customer for whom several people act, as lists show it.
type Organization struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Slug      string         `json:"slug"`
	Logo      *string        `json:"logo"`
	Metadata  map[string]any `json:"metadata"`
	CreatedAt Moment         `json:"createdAt"`
	UpdatedAt Moment         `json:"updatedAt"`
}

// An OrganizationDetail is an organization with how many act for it.
type OrganizationDetail struct {
	Organization
	MemberCount int64 `json:"memberCount" doc:"Up to 10,000, which means: at least as many."`
}

func showOrganization(o *store.Organization) Organization {
	metadata := o.Metadata
	if metadata == nil {
		metadata = map[string]any{}
	}
	return Organization{
		ID: o.ID, Name: o.Name, Slug: o.Slug, Logo: orNull(o.Logo), Metadata: metadata, CreatedAt: moment(o.CreatedAt), UpdatedAt: moment(o.UpdatedAt),
	}
}

type listOrganizationsRequest struct {
	PageRequest
	Search string `query:"search" maxLength:"200" doc:"How the name or the slug begins, or the id."`
	Sort   string `query:"sort" enum:"createdAt,-createdAt,name,-name,slug,-slug" default:"-createdAt"`
}

func (h *Handler) listOrganizations(ctx context.Context, in *listOrganizationsRequest) (*listResponse[Organization], error) {
	paging, bad := in.paging(in.Sort)
	bad.search(in.Search)
	if err := bad.err(); err != nil {
		return nil, err
	}
	page, err := h.Store.Organizations(ctx, store.OrganizationQuery{Paging: paging, Search: strings.TrimSpace(in.Search)})
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showOrganization, func(o *store.Organization) (any, string) {
		switch paging.Sort {
		case store.ByName:
			return o.Name, o.ID
		case store.BySlug:
			return o.Slug, o.ID
		}
		return o.CreatedAt, o.ID
	}), nil
}

// OrganizationInput is an organization to be created.
type OrganizationInput struct {
	Name     string                   `json:"name" minLength:"1" maxLength:"100"`
	Slug     Optional[string]         `json:"slug,omitzero" maxLength:"63" doc:"A short name for URLs and tokens. Default: made from the name."`
	Logo     Optional[string]         `json:"logo,omitzero" maxLength:"2048" doc:"An https URL."`
	Metadata Optional[map[string]any] `json:"metadata,omitzero" doc:"Anything of your own, up to 16 KiB of JSON."`
	OwnerID  Optional[string]         `json:"ownerId,omitzero" maxLength:"255" doc:"The id of the person who becomes its first owner. Default: nobody."`
}

type createOrganizationRequest struct {
	Idempotent
	Body OrganizationInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createOrganizationRequest) Resolve(huma.Context) []error {
	f := faults{}
	f.named("ownerId", in.Body.OwnerID.Value)
	return f.findings(in.Body)
}

type createOrganizationResponse struct {
	Replay
	Body OrganizationDetail
}

func (h *Handler) createOrganization(ctx context.Context, in *createOrganizationRequest) (*createOrganizationResponse, error) {
	slugs := []string{in.Body.Slug.Value}
	if !in.Body.Slug.Set || in.Body.Slug.Null {
		slugs = slugCandidates(slugOf(in.Body.Name, "organization"))
	}
	owner := in.Body.OwnerID.Value
	body, replay, err := once(ctx, h, in.Idempotent, "createOrganization", in.Body, func(ctx context.Context) (out OrganizationDetail, err error) {
		o := &store.Organization{Name: in.Body.Name, Logo: in.Body.Logo.Value, Metadata: in.Body.Metadata.Value}
		if err := h.Organizations.CreateOrganization(ctx, actorIn(ctx).Actor, o, slugs, owner); err != nil {
			return out, err
		}
		out.Organization = showOrganization(o)
		if owner != "" {
			out.MemberCount = 1
		}
		return out, nil
	})
	return &createOrganizationResponse{replay, body}, err
}

// OrganizationPath is the part of a path that names an organization.
type OrganizationPath struct {
	ID reference `path:"id" maxLength:"255" doc:"The id or the slug of the organization."`
}

type organizationResponse struct{ Body OrganizationDetail }

func (h *Handler) getOrganization(ctx context.Context, in *OrganizationPath) (*organizationResponse, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	o, err := h.Organizations.Organization(ctx, actorIn(ctx).Actor, ref)
	if err != nil {
		return nil, err
	}
	return h.organizationDetail(ctx, o)
}

func (h *Handler) organizationDetail(ctx context.Context, o *store.Organization) (*organizationResponse, error) {
	n, err := h.Store.CountMembers(ctx, o.ID, countedMembers)
	if err != nil {
		return nil, err
	}
	return &organizationResponse{OrganizationDetail{showOrganization(o), n}}, nil
}

// OrganizationPatch is what a request may change about an organization.
type OrganizationPatch struct {
	Name     Optional[string]         `json:"name,omitzero" minLength:"1" maxLength:"100"`
	Slug     Optional[string]         `json:"slug,omitzero" maxLength:"63" doc:"A short name for URLs and tokens."`
	Logo     Optional[string]         `json:"logo,omitzero" maxLength:"2048" doc:"An https URL; null takes it away."`
	Metadata Optional[map[string]any] `json:"metadata,omitzero" doc:"It replaces what was there."`
}

func (in *OrganizationPatch) patch() store.OrganizationPatch {
	p := store.OrganizationPatch{Name: in.Name.pointer(), Slug: in.Slug.pointer()}
	if in.Logo.Set {
		p.Logo = &in.Logo.Value // "" for null
	}
	if in.Metadata.Set {
		p.Metadata = &in.Metadata.Value
	}
	return p
}

type updateOrganizationRequest struct {
	OrganizationPath
	Body OrganizationPatch
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *updateOrganizationRequest) Resolve(huma.Context) []error {
	return nulls(map[string]bool{"name": in.Body.Name.Null, "slug": in.Body.Slug.Null}).findings(in.Body)
}

func (h *Handler) updateOrganization(ctx context.Context, in *updateOrganizationRequest) (*organizationResponse, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	o, err := h.Organizations.UpdateOrganization(ctx, actorIn(ctx).Actor, ref, in.Body.patch())
	if err != nil {
		return nil, err
	}
	return h.organizationDetail(ctx, o)
}

func (h *Handler) deleteOrganization(ctx context.Context, in *OrganizationPath) (*struct{}, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	return nil, h.Organizations.DeleteOrganization(ctx, actorIn(ctx).Actor, ref)
}

// A Membership is an organization with what a person is in it.
type Membership struct {
	ID           string       `json:"id"`
	UserID       string       `json:"userId"`
	Role         string       `json:"role" enum:"owner,admin,member"`
	CreatedAt    Moment       `json:"createdAt"`
	Organization Organization `json:"organization"`
}

func showMembership(m *store.Member) Membership {
	return Membership{ID: m.ID, UserID: m.UserID, Role: m.Role, CreatedAt: moment(m.CreatedAt), Organization: showOrganization(m.Organization)}
}

func (h *Handler) listUserOrganizations(ctx context.Context, in *UserPath) (*listResponse[Membership], error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	if _, err := h.Store.UserByID(ctx, id); err != nil {
		return nil, err
	}
	rows, err := h.Store.MembershipsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return showAll(rows, showMembership), nil
}
