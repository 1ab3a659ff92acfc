package account

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// countedMembers is up to how many members a list counts.
const countedMembers = 100_000

var (
	listingMembers = wording{
		errNoOrganization: {http.StatusForbidden, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"},
		errNoMember:       {http.StatusForbidden, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"},
	}
	ownMembership = wording{
		errNoOrganization: {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errNoMember:       {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errLastOwner:      {http.StatusBadRequest, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER"},
	}
	updatingMembers = wording{
		errNoOrganization: {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errNoMember:       {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errManagersOnly:   {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER"},
		errOwnersOnly:     {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER"},
		errNoSelfService:  {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER"},
		errLastOwner:      {http.StatusBadRequest, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_WITHOUT_AN_OWNER"},
	}
	removingMembers = wording{ // with 403 where the replaced system says 401, at which clients believe that the session is over
		errNoOrganization: {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errNoMember:       {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errManagersOnly:   {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER"},
		errOwnersOnly:     {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER"},
		errNoSelfService:  {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER"},
		errLastOwner:      {http.StatusBadRequest, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER"},
	}
)

func (s *Service) mountMembers(api huma.API) {
	const get, post = http.MethodGet, http.MethodPost
	registerOrganization(s, api, get, "list-members", "organizationListMembers", "Lists the members of an organization", listingMembers, s.organizationListMembers)
	registerOrganization(s, api, get, "get-active-member", "organizationGetActiveMember", "Shows the person as a member of the active organization", ownMembership, s.organizationGetActiveMember)
	registerOrganization(s, api, get, "get-active-member-role", "organizationGetActiveMemberRole", "Tells what somebody is in an organization", listingMembers, s.organizationGetActiveMemberRole)
	registerOrganization(s, api, post, "update-member-role", "organizationUpdateMemberRole", "Gives a member another role", updatingMembers, s.organizationUpdateMemberRole)
	registerOrganization(s, api, post, "remove-member", "organizationRemoveMember", "Takes a member out of an organization", removingMembers, s.organizationRemoveMember)
	registerOrganization(s, api, post, "leave", "organizationLeave", "Takes the person out of an organization", ownMembership, s.organizationLeave)
}

type organizationMembersRequest struct {
	OrganizationID   string `query:"organizationId" maxLength:"200"`
	OrganizationSlug string `query:"organizationSlug" maxLength:"200"`
	Limit            int    `query:"limit" minimum:"0" doc:"At most 100, which is the default."`
	Offset           int    `query:"offset" minimum:"0" maximum:"100000"`
	SortBy           string `query:"sortBy" enum:"createdAt"`
	SortDirection    string `query:"sortDirection" enum:"asc,desc"`
	FilterField      string `query:"filterField" enum:"role,userId"`
	FilterValue      string `query:"filterValue" maxLength:"200"`
	FilterOperator   string `query:"filterOperator" enum:"eq"`
}

type organizationMembersBody struct {
	Members []memberBody `json:"members"`
	Total   int64        `json:"total"`
}

func (s *Service) organizationListMembers(ctx context.Context, p *person, in *organizationMembersRequest) (organizationMembersBody, error) {
	ref, err := p.chosen(in.OrganizationSlug, in.OrganizationID)
	if err != nil {
		return organizationMembersBody{}, err
	}
	q, err := in.query()
	if err != nil {
		return organizationMembersBody{}, err
	}
	page, err := s.Members(ctx, p.Actor, ref, q)
	if err != nil {
		return organizationMembersBody{}, err
	}
	return organizationMembersBody{showMembers(page.Items), page.Total}, nil
}

func (in *organizationMembersRequest) query() (store.MemberQuery, error) {
	q := store.MemberQuery{Paging: store.Paging{
		Descending: in.SortDirection == "desc", Offset: in.Offset, Limit: shown(in.Limit), CountTo: countedMembers,
	}}
	fault := ""
	switch in.FilterField {
	case "role":
		if q.Role = in.FilterValue; checkMemberRole(q.Role) != nil {
			fault = errMemberRole.Detail
		}
	case "userId":
		if q.UserID = key(in.FilterValue); q.UserID == "" { // which would be no filter
			fault = "This must be the id of a person."
		}
	}
	if fault != "" {
		return q, problem.Invalid(map[string]string{"query.filterValue": fault})
	}
	return q, nil
}

func (s *Service) organizationGetActiveMember(ctx context.Context, p *person, _ *struct{}) (memberBody, error) {
	ref, err := p.chosen()
	if err != nil {
		return memberBody{}, err
	}
	m, err := s.Store.MemberOf(ctx, ref, p.ID)
	if err != nil {
		return memberBody{}, unknown(errNoMember, err)
	}
	m.User = p.session.User
	return showMember(m), nil
}

type memberRoleRequest struct {
	UserID           string `query:"userId" maxLength:"200" doc:"The caller's own when absent."`
	OrganizationID   string `query:"organizationId" maxLength:"200"`
	OrganizationSlug string `query:"organizationSlug" maxLength:"200"`
}

type memberRoleBody struct {
	Role string `json:"role" enum:"owner,admin,member"`
}

func (s *Service) organizationGetActiveMemberRole(ctx context.Context, p *person, in *memberRoleRequest) (memberRoleBody, error) {
	ref, err := p.chosen(in.OrganizationSlug, in.OrganizationID)
	if err != nil {
		return memberRoleBody{}, err
	}
	o, err := s.Organization(ctx, p.Actor, ref)
	if err != nil {
		return memberRoleBody{}, err
	}
	userID := p.ID
	if in.UserID != "" {
		userID = key(in.UserID)
	}
	m, err := s.Store.MemberOf(ctx, o.ID, userID)
	if err != nil {
		return memberRoleBody{}, unknown(errNoMember, err)
	}
	return memberRoleBody{m.Role}, nil
}

type updateMemberRoleRequest struct {
	Role           memberRole `json:"role"`
	MemberID       string     `json:"memberId" maxLength:"200" doc:"The id of the member, or of the person."`
	OrganizationID string     `json:"organizationId,omitempty" maxLength:"200"`
}

func (s *Service) organizationUpdateMemberRole(ctx context.Context, p *person, in *input[updateMemberRoleRequest]) (memberBody, error) {
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return memberBody{}, err
	}
	role, err := in.Body.Role.highest()
	if err != nil {
		return memberBody{}, err
	}
	m, err := s.SetMemberRole(ctx, p.Actor, ref, key(in.Body.MemberID), role)
	if err != nil {
		return memberBody{}, err
	}
	return showMember(m), nil
}

type removeMemberRequest struct {
	MemberIDOrEmail string `json:"memberIdOrEmail" maxLength:"254" doc:"The id of the member, or the id or address of the person."`
	OrganizationID  string `json:"organizationId,omitempty" maxLength:"200"`
}

type removedMemberBody struct {
	Member memberBody `json:"member"`
}

func (s *Service) organizationRemoveMember(ctx context.Context, p *person, in *input[removeMemberRequest]) (removedMemberBody, error) {
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return removedMemberBody{}, err
	}
	member, err := s.memberNamed(ctx, in.Body.MemberIDOrEmail)
	if err != nil {
		return removedMemberBody{}, err
	}
	m, err := s.RemoveMember(ctx, p.Actor, ref, member)
	if err != nil {
		return removedMemberBody{}, err
	}
	return removedMemberBody{showMember(m)}, nil
}

// memberNamed returns the id of the person whose address is given, or the id that is given. Nobody's is empty and for the
// rules to refuse, after the rights, so that the answer to an outsider tells nothing about the address.
func (s *Service) memberNamed(ctx context.Context, idOrEmail string) (string, error) {
	if !strings.Contains(idOrEmail, "@") {
		return key(idOrEmail), nil
	}
	email, err := normalizeEmail(idOrEmail)
	if err != nil {
		return "", nil
	}
	user, err := s.Store.UserByEmail(ctx, email)
	if isNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return user.ID, nil
}

type leaveOrganizationRequest struct {
	OrganizationID string `json:"organizationId" minLength:"1" maxLength:"200"`
}

func (s *Service) organizationLeave(ctx context.Context, p *person, in *input[leaveOrganizationRequest]) (memberBody, error) {
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return memberBody{}, err
	}
	m, err := s.LeaveOrganization(ctx, p.Actor, ref)
	if err != nil {
		return memberBody{}, err
	}
	return showMember(m), nil
}
