package account

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

var (
	creatingOrganizations = wording{
		errAdministratorsOnly: {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_ORGANIZATION"},
		errSlugTaken:          {http.StatusBadRequest, "ORGANIZATION_ALREADY_EXISTS"},
	}
	checkingSlugs = wording{
		errManagersOnly: {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_ORGANIZATION"},
		errSlugTaken:    {http.StatusBadRequest, "ORGANIZATION_SLUG_ALREADY_TAKEN"},
	}
	updatingOrganizations = wording{
		errNoOrganization: {http.StatusForbidden, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"},
		errNoActive:       {http.StatusBadRequest, "ORGANIZATION_NOT_FOUND"},
		errManagersOnly:   {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_ORGANIZATION"},
		errNoSelfService:  {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_ORGANIZATION"},
		errSlugTaken:      {http.StatusBadRequest, "ORGANIZATION_SLUG_ALREADY_TAKEN"},
	}
	deletingOrganizations = wording{
		errNoOrganization:     {http.StatusBadRequest, "ORGANIZATION_NOT_FOUND"},
		errAdministratorsOnly: {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_ORGANIZATION"},
	}
	openingOrganizations = wording{
		errNoOrganization: {http.StatusForbidden, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"},
	}
)

func (s *Service) mountOrganizations(api huma.API) {
	const get, post = http.MethodGet, http.MethodPost
	registerOrganization(s, api, post, "create", "organizationCreate", "Creates an organization of which the caller is the owner; for administrators", creatingOrganizations, s.organizationCreate)
	registerOrganization(s, api, post, "check-slug", "organizationCheckSlug", "Tells whether a slug is free", checkingSlugs, s.organizationCheckSlug)
	registerOrganization(s, api, post, "update", "organizationUpdate", "Changes an organization", updatingOrganizations, s.organizationUpdate)
	registerOrganization(s, api, post, "delete", "organizationDelete", "Deletes an organization; for administrators", deletingOrganizations, s.organizationDelete)
	registerOrganization(s, api, post, "set-active", "organizationSetActive", "Makes an organization, or none, the active one of the session", openingOrganizations, s.organizationSetActive, orNobody)
	registerOrganization(s, api, get, "list", "organizationList", "Lists the organizations of the person", nil, s.organizationList)
	registerOrganization(s, api, get, "get-full-organization", "organizationGetFull", "Shows an organization with its members and invitations, or null", openingOrganizations, s.organizationGetFull, orNobody)
	registerOrganization(s, api, post, "has-permission", "organizationHasPermission", "Tells whether the person may do something in an organization", openingOrganizations, s.organizationHasPermission)
}

type createOrganizationRequest struct {
	Name        string         `json:"name" maxLength:"100"`
	Slug        string         `json:"slug" maxLength:"63"`
	Logo        nullable       `json:"logo,omitempty" doc:"An https URL."`
	Metadata    map[string]any `json:"metadata,omitempty"`
	KeepCurrent bool           `json:"keepCurrentActiveOrganization,omitempty" doc:"Else the new one becomes the active one of the session."`
}

type createdOrganizationBody struct {
	OrganizationBody
	Members []memberBody `json:"members"`
}

func (s *Service) organizationCreate(ctx context.Context, p *person, in *input[createOrganizationRequest]) (createdOrganizationBody, error) {
	o := &store.Organization{Name: in.Body.Name, Logo: in.Body.Logo.Value, Metadata: in.Body.Metadata}
	var owner *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		err := s.CreateOrganization(ctx, p.Actor, o, []string{in.Body.Slug}, p.ID)
		if err == nil {
			owner, err = s.Store.MemberOf(ctx, o.ID, p.ID)
		}
		if err != nil || in.Body.KeepCurrent {
			return err
		}
		return s.activate(ctx, p, o.ID)
	})
	if err != nil {
		return createdOrganizationBody{}, err
	}
	owner.User = p.session.User
	return createdOrganizationBody{showOrganization(o), []memberBody{showMember(owner)}}, nil
}

// activate makes an organization, or none, the active one of the person's session. It belongs into a transaction that holds
// the membership, so that none ends without the session hearing of it.
func (s *Service) activate(ctx context.Context, p *person, organizationID string) error {
	was, err := s.Store.SwitchOrganization(ctx, p.session.ID, organizationID)
	switch {
	case isNotFound(err): // it ended a moment ago
		return errUnauthorized.Because(err)
	case err != nil || was == organizationID:
		return err
	}
	event := p.Event("session.set_organization", "session", p.session.ID)
	event.OrganizationID, event.Changes = organizationID, map[string]store.Change{}
	if organizationID == "" {
		event.OrganizationID = was
	}
	note(event.Changes, "activeOrganizationId", was, organizationID)
	return s.Store.Audit(ctx, event)
}

type checkSlugRequest struct {
	Slug string `json:"slug" maxLength:"63"`
}

// organizationCheckSlug serves those who may give an organization a slug. Others could ask it for the names of all customers.
func (s *Service) organizationCheckSlug(ctx context.Context, p *person, in *input[checkSlugRequest]) (statusBody, error) {
	var none statusBody
	if err := s.maySlug(ctx, p); err != nil {
		return none, err
	}
	if err := checkOrganization(store.OrganizationPatch{Slug: &in.Body.Slug}); err != nil {
		return none, err
	}
	_, err := s.Store.OrganizationByRef(ctx, in.Body.Slug)
	switch {
	case err == nil:
		return none, errSlugTaken
	case isNotFound(err):
		return statusBody{true}, nil
	}
	return none, err
}

func (s *Service) maySlug(ctx context.Context, p *person) error {
	if p.Administrator {
		return nil
	}
	manages, err := s.Store.ManagesOrganization(ctx, p.ID)
	if err == nil && !(manages && s.Organizations.SelfService) {
		err = errManagersOnly
	}
	return err
}

type updateOrganizationRequest struct {
	Data           organizationData `json:"data"`
	OrganizationID string           `json:"organizationId,omitempty" maxLength:"200"`
}

type organizationData struct {
	Name     *string         `json:"name,omitempty" maxLength:"100"`
	Slug     *string         `json:"slug,omitempty" maxLength:"63"`
	Logo     nullable        `json:"logo,omitempty" doc:"An https URL; null takes it away."`
	Metadata *map[string]any `json:"metadata,omitempty" doc:"Replaces what was there."`
}

func (s *Service) organizationUpdate(ctx context.Context, p *person, in *input[updateOrganizationRequest]) (OrganizationBody, error) {
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return OrganizationBody{}, err
	}
	data := &in.Body.Data
	patch := store.OrganizationPatch{Name: data.Name, Slug: data.Slug, Metadata: data.Metadata}
	if data.Logo.Given {
		patch.Logo = &data.Logo.Value
	}
	o, err := s.UpdateOrganization(ctx, p.Actor, ref, patch)
	if err != nil {
		return OrganizationBody{}, within("data", err)
	}
	return showOrganization(o), nil
}

// within names the fields of a refusal as parts of the object in which the request has them.
func within(object string, err error) error {
	var e *problem.Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return err
	}
	fields := map[string]string{}
	for name, sentence := range e.Fields {
		fields[object+"."+name] = sentence
	}
	told := *e
	told.Fields, told.Detail = fields, problem.Invalid(fields).Detail
	return &told
}

type deleteOrganizationRequest struct {
	OrganizationID string `json:"organizationId" minLength:"1" maxLength:"200"`
}

// organizationDelete never takes the active organization for the one that is meant: that would be too much for a forgotten
// field.
func (s *Service) organizationDelete(ctx context.Context, p *person, in *input[deleteOrganizationRequest]) (OrganizationBody, error) {
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return OrganizationBody{}, err
	}
	o, err := s.Organization(ctx, p.Actor, ref)
	if err == nil {
		err = s.DeleteOrganization(ctx, p.Actor, o.ID)
	}
	if err != nil {
		return OrganizationBody{}, err
	}
	return showOrganization(o), nil
}

type setActiveRequest struct {
	OrganizationID   nullable `json:"organizationId,omitempty" doc:"Null for none."`
	OrganizationSlug string   `json:"organizationSlug,omitempty" maxLength:"200"`
}

// organizationSetActive is for members only, administrators of the server included: what it stores says for whom the person
// acts.
func (s *Service) organizationSetActive(ctx context.Context, p *person, in *input[setActiveRequest]) (*OrganizationBody, error) {
	if in.Body.OrganizationID.Given && in.Body.OrganizationID.Value == "" {
		return nil, s.Store.Tx(ctx, func(ctx context.Context) error { return s.activate(ctx, p, "") })
	}
	ref, err := p.chosen(in.Body.OrganizationID.Value, in.Body.OrganizationSlug)
	if errors.Is(err, errNoActive) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := s.Store.MembershipByRef(ctx, p.ID, ref)
	if err != nil {
		return nil, unknown(errNoOrganization, err)
	}
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.Store.HoldMember(ctx, m.OrganizationID, p.ID); err != nil {
			return unknown(errNoOrganization, err)
		}
		return s.activate(ctx, p, m.OrganizationID)
	})
	if err != nil {
		return nil, err
	}
	body := showOrganization(m.Organization)
	return &body, nil
}

type ownOrganizationBody struct {
	OrganizationBody
	Role string `json:"role" enum:"owner,admin,member" doc:"What the caller is there."`
}

func (s *Service) organizationList(ctx context.Context, p *person, _ *struct{}) ([]ownOrganizationBody, error) {
	memberships, err := s.Store.MembershipsOf(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	list := make([]ownOrganizationBody, len(memberships))
	for i := range memberships {
		list[i] = ownOrganizationBody{showOrganization(memberships[i].Organization), memberships[i].Role}
	}
	return list, nil
}

type fullOrganizationBody struct {
	OrganizationBody
	Invitations []InvitationBody `json:"invitations" doc:"The latest; none for those who do not manage the organization."`
	Members     []memberBody     `json:"members"`
}

type fullOrganizationRequest struct {
	OrganizationID   string `query:"organizationId" maxLength:"200"`
	OrganizationSlug string `query:"organizationSlug" maxLength:"200"`
	MembersLimit     int    `query:"membersLimit" minimum:"0" doc:"At most 100, which is the default."`
}

func (s *Service) organizationGetFull(ctx context.Context, p *person, in *fullOrganizationRequest) (*fullOrganizationBody, error) {
	ref, err := p.chosen(in.OrganizationSlug, in.OrganizationID)
	if errors.Is(err, errNoActive) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, role, err := s.seen(ctx, p.Actor, ref)
	if err != nil {
		return nil, err
	}
	members, err := s.Store.Members(ctx, store.MemberQuery{OrganizationID: o.ID, Paging: store.Paging{Limit: shown(in.MembersLimit)}})
	if err != nil {
		return nil, err
	}
	body := &fullOrganizationBody{OrganizationBody: showOrganization(o), Invitations: []InvitationBody{}, Members: showMembers(members.Items)}
	if s.mayRun(p.Actor, role) != nil {
		return body, nil
	}
	invitations, err := s.invitationsTo(ctx, o, role, latestInvitations())
	if err != nil {
		return nil, err
	}
	body.Invitations = showInvitations(invitations.Items)
	return body, nil
}

// shown is how many of a list are shown when so many are asked for.
func shown(limit int) int {
	if limit <= 0 {
		return maxShown
	}
	return min(limit, maxShown)
}

// administrator stands for the rights of the console where a role in an organization is asked for.
const administrator = "administrator"

// statements are what the roles may do, in the words of the replaced system; but only administrators of the server delete an
// organization, whatever their role in it.
var statements = map[string]map[string][]string{
	administrator:     {"organization": {"update", "delete"}, "member": {"create", "update", "delete"}, "invitation": {"create", "cancel"}},
	store.MemberOwner: {"organization": {"update"}, "member": {"create", "update", "delete"}, "invitation": {"create", "cancel"}},
	store.MemberAdmin: {"organization": {"update"}, "member": {"create", "update", "delete"}, "invitation": {"create", "cancel"}},
}

type hasPermissionRequest struct {
	Permissions    map[string][]string `json:"permissions,omitempty" doc:"Actions by resource: organization, member, invitation."`
	Permission     map[string][]string `json:"permission,omitempty" doc:"The same under its old name."`
	OrganizationID string              `json:"organizationId,omitempty" maxLength:"200"`
}

type hasPermissionBody struct {
	Error   *string `json:"error" doc:"Always null."`
	Success bool    `json:"success"`
}

func (s *Service) organizationHasPermission(ctx context.Context, p *person, in *input[hasPermissionRequest]) (hasPermissionBody, error) {
	var body hasPermissionBody
	asked := in.Body.Permissions
	if asked == nil {
		asked = in.Body.Permission
	}
	if asked == nil {
		return body, problem.Invalid(map[string]string{"permissions": "This field is required."})
	}
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return body, err
	}
	_, role, err := s.seen(ctx, p.Actor, ref)
	if err != nil {
		return body, err
	}
	if p.Administrator {
		role = administrator
	}
	body.Success = s.mayRun(p.Actor, role) == nil && covers(statements[role], asked)
	return body, nil
}

// covers reports whether all that is asked for is allowed. Whoever asks for nothing gets nothing.
func covers(allowed, asked map[string][]string) bool {
	for resource, actions := range asked {
		mine, known := allowed[resource]
		if !known || slices.ContainsFunc(actions, func(action string) bool { return !slices.Contains(mine, action) }) {
			return false
		}
	}
	return len(asked) > 0
}
