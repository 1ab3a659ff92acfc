package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountMembers(api huma.API) {
	const all, one = "/organizations/{id}/members", "/organizations/{id}/members/{member}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutOrganizations(operation("listMembers", http.MethodGet, all, "List the members of an organization", http.StatusOK, notFound)), h.listMembers)
	huma.Register(api, aboutOrganizations(operation("addMember", http.MethodPost, all, "Make a person a member of an organization", http.StatusCreated, notFound, conflict)), h.addMember)
	huma.Register(api, aboutOrganizations(operation("removeMember", http.MethodDelete, one, "Take a member out of an organization, with their grants for it", http.StatusNoContent, notFound, conflict)), h.removeMember)
	huma.Register(api, aboutOrganizations(operation("setMemberRole", http.MethodPatch, one+"/role", "Change what a member is in an organization", http.StatusOK, notFound, conflict)), h.setMemberRole)
}

// A Member is a person who acts for an organization.
type Member struct {
	ID             string      `json:"id"`
	OrganizationID string      `json:"organizationId"`
	UserID         string      `json:"userId"`
	Role           string      `json:"role" enum:"owner,admin,member"`
	CreatedAt      Moment      `json:"createdAt"`
	User           *MemberUser `json:"user,omitempty" doc:"In lists and for a new member."`
}

// A MemberUser is as much of a person as tells who a member is.
type MemberUser struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Email string  `json:"email"`
	Image *string `json:"image"`
}

func showMember(m *store.Member) Member {
	out := Member{ID: m.ID, OrganizationID: m.OrganizationID, UserID: m.UserID, Role: m.Role, CreatedAt: moment(m.CreatedAt)}
	if u := m.User; u != nil {
		out.User = &MemberUser{ID: u.ID, Name: u.Name, Email: u.Email, Image: orNull(u.Image)}
	}
	return out
}

type listMembersRequest struct {
	OrganizationPath
	PageRequest
	Search string `query:"search" maxLength:"200" doc:"How the person's e-mail address or name begins, or the person's id."`
	Sort   string `query:"sort" enum:"createdAt,-createdAt" default:"createdAt"`
	Role   string `query:"role" enum:"owner,admin,member"`
}

func (h *Handler) listMembers(ctx context.Context, in *listMembersRequest) (*listResponse[Member], error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	paging, bad := in.paging(in.Sort)
	bad.search(in.Search)
	if err := bad.err(); err != nil {
		return nil, err
	}
	q := store.MemberQuery{Paging: paging, Search: strings.TrimSpace(in.Search), Role: in.Role}
	page, err := h.Organizations.Members(ctx, actorIn(ctx).Actor, ref, q)
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showMember, func(m *store.Member) (any, string) { return m.CreatedAt, m.ID }), nil
}

// MemberInput says who becomes a member.
type MemberInput struct {
	UserID string           `json:"userId" minLength:"1" maxLength:"255"`
	Role   Optional[string] `json:"role,omitzero" enum:"owner,admin,member" doc:"Default: member."`
}

type addMemberRequest struct {
	OrganizationPath
	Idempotent
	Body MemberInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *addMemberRequest) Resolve(huma.Context) []error {
	f := faults{}
	f.named("userId", in.Body.UserID)
	return f.findings(in.Body)
}

type addMemberResponse struct {
	Replay
	Body Member
}

func (h *Handler) addMember(ctx context.Context, in *addMemberRequest) (*addMemberResponse, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	role := store.MemberPlain
	in.Body.Role.into(&role, role)
	body, replay, err := once(ctx, h, in.Idempotent, "addMember", []any{ref, in.Body}, func(ctx context.Context) (Member, error) {
		m, err := h.Organizations.AddMember(ctx, actorIn(ctx).Actor, ref, in.Body.UserID, role)
		if err != nil {
			return Member{}, err
		}
		return showMember(m), nil
	})
	return &addMemberResponse{replay, body}, err
}

// MemberPath is the part of a path that names a member of an organization.
type MemberPath struct {
	OrganizationPath
	Member reference `path:"member" maxLength:"255" doc:"The id of the member, or of the person."`
}

// text is that of both references.
func (p *MemberPath) text() (organization, member string, err error) {
	if organization, err = p.ID.text(); err != nil {
		return "", "", err
	}
	member, err = p.Member.text()
	return organization, member, err
}

func (h *Handler) removeMember(ctx context.Context, in *MemberPath) (*struct{}, error) {
	ref, member, err := in.text()
	if err != nil {
		return nil, err
	}
	_, err = h.Organizations.RemoveMember(ctx, actorIn(ctx).Actor, ref, member)
	return nil, err
}

// MemberRole is what a member becomes.
type MemberRole struct {
	Role string `json:"role" enum:"owner,admin,member"`
}

type setMemberRoleRequest struct {
	MemberPath
	Body MemberRole
}

type memberResponse struct{ Body Member }

func (h *Handler) setMemberRole(ctx context.Context, in *setMemberRoleRequest) (*memberResponse, error) {
	ref, member, err := in.text()
	if err != nil {
		return nil, err
	}
	m, err := h.Organizations.SetMemberRole(ctx, actorIn(ctx).Actor, ref, member, in.Body.Role)
	if err != nil {
		return nil, err
	}
	return &memberResponse{showMember(m)}, nil
}
