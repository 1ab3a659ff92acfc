package account

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

var (
	inviting = wording{
		errNoOrganization:  {http.StatusBadRequest, "MEMBER_NOT_FOUND"},
		errNoActive:        {http.StatusBadRequest, "ORGANIZATION_NOT_FOUND"},
		errManagersOnly:    {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION"},
		errNoSelfService:   {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION"},
		errOwnersOnly:      {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USER_WITH_THIS_ROLE"},
		errAlreadyMember:   {http.StatusBadRequest, "USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION"},
		errAlreadyInvited:  {http.StatusBadRequest, "USER_IS_ALREADY_INVITED_TO_THIS_ORGANIZATION"},
		errInvitationLimit: {http.StatusForbidden, "INVITATION_LIMIT_REACHED"},
	}
	listingInvitations = wording{
		errNoOrganization: {http.StatusForbidden, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"},
		errManagersOnly:   {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION"},
		errNoSelfService:  {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION"},
	}
	cancelingInvitations = wording{
		errNoOrganization: {http.StatusBadRequest, "INVITATION_NOT_FOUND"},
		errNoInvitation:   {http.StatusBadRequest, "INVITATION_NOT_FOUND"},
		errManagersOnly:   {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CANCEL_THIS_INVITATION"},
		errOwnersOnly:     {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CANCEL_THIS_INVITATION"},
		errNoSelfService:  {http.StatusForbidden, "YOU_ARE_NOT_ALLOWED_TO_CANCEL_THIS_INVITATION"},
	}
	answeringInvitations = wording{
		errNoInvitation:  {http.StatusBadRequest, "INVITATION_NOT_FOUND"},
		errNotRecipient:  {http.StatusForbidden, "YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION"},
		errAlreadyMember: {http.StatusBadRequest, "USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION"},
		errMemberLimit:   {http.StatusForbidden, "ORGANIZATION_MEMBERSHIP_LIMIT_REACHED"},
	}
)

func (s *Service) mountInvitations(api huma.API) {
	const get, post = http.MethodGet, http.MethodPost
	registerOrganization(s, api, post, "invite-member", "organizationInviteMember", "Invites somebody to an organization", inviting, s.organizationInviteMember)
	registerOrganization(s, api, get, "list-invitations", "organizationListInvitations", "Lists the latest invitations to an organization", listingInvitations, s.organizationListInvitations)
	registerOrganization(s, api, post, "cancel-invitation", "organizationCancelInvitation", "Withdraws an invitation", cancelingInvitations, s.organizationCancelInvitation)
	registerOrganization(s, api, get, "list-user-invitations", "organizationListUserInvitations", "Lists the open invitations of the person", nil, s.organizationListUserInvitations)
	registerOrganization(s, api, get, "get-invitation", "organizationGetInvitation", "Shows an open invitation to whom it is for", answeringInvitations, s.organizationGetInvitation)
	registerOrganization(s, api, post, "accept-invitation", "organizationAcceptInvitation", "Makes the person a member, and the organization the active one", answeringInvitations, s.organizationAcceptInvitation)
	registerOrganization(s, api, post, "reject-invitation", "organizationRejectInvitation", "Declines an invitation", answeringInvitations, s.organizationRejectInvitation)
}

type inviteMemberRequest struct {
	Email          string     `json:"email" maxLength:"254"`
	Role           memberRole `json:"role"`
	OrganizationID string     `json:"organizationId,omitempty" maxLength:"200"`
	Resend         bool       `json:"resend,omitempty" doc:"Renews an open invitation of the address, which keeps its link unless the new role is owner."`
}

func (s *Service) organizationInviteMember(ctx context.Context, p *person, in *input[inviteMemberRequest]) (InvitationBody, error) {
	ref, err := p.chosen(in.Body.OrganizationID)
	if err != nil {
		return InvitationBody{}, err
	}
	role, err := in.Body.Role.highest()
	if err != nil {
		return InvitationBody{}, err
	}
	i, err := s.Invite(ctx, p.Actor, ref, store.InvitationOffer{Email: in.Body.Email, Role: role, Resend: in.Body.Resend})
	if err != nil {
		return InvitationBody{}, err
	}
	return showInvitation(i), nil
}

type organizationInvitationsRequest struct {
	OrganizationID string `query:"organizationId" maxLength:"200"`
}

func (s *Service) organizationListInvitations(ctx context.Context, p *person, in *organizationInvitationsRequest) ([]InvitationBody, error) {
	ref, err := p.chosen(in.OrganizationID)
	if err != nil {
		return nil, err
	}
	page, err := s.Invitations(ctx, p.Actor, ref, latestInvitations())
	if err != nil {
		return nil, err
	}
	return showInvitations(page.Items), nil
}

func latestInvitations() store.InvitationQuery {
	return store.InvitationQuery{Paging: store.Paging{Descending: true, Limit: maxShown}}
}

type invitationRequest struct {
	InvitationID string `json:"invitationId" maxLength:"200"`
}

// organizationCancelInvitation answers about the invitations of foreign organizations as if there were none.
func (s *Service) organizationCancelInvitation(ctx context.Context, p *person, in *input[invitationRequest]) (InvitationBody, error) {
	i, err := s.Store.InvitationByID(ctx, key(in.Body.InvitationID))
	if err != nil {
		return InvitationBody{}, unknown(errNoInvitation, err)
	}
	if i, err = s.CancelInvitation(ctx, p.Actor, i.OrganizationID, i.ID); err != nil {
		return InvitationBody{}, err
	}
	return showInvitation(i), nil
}

// A ReceivedInvitationBody is an invitation in the list of the invited person.
type ReceivedInvitationBody struct {
	InvitationBody
	OrganizationName string `json:"organizationName"`
}

func (s *Service) organizationListUserInvitations(ctx context.Context, p *person, in *struct {
	Email string `query:"email" doc:"Must be absent: these are the caller's own."`
}) ([]ReceivedInvitationBody, error) {
	if in.Email != "" {
		return nil, problem.Invalid(map[string]string{"query.email": "Leave this out: everybody sees their own invitations."})
	}
	invitations, err := s.ReceivedInvitations(ctx, p.session.User)
	if err != nil {
		return nil, err
	}
	list := make([]ReceivedInvitationBody, len(invitations))
	for i := range invitations {
		list[i] = ReceivedInvitationBody{showInvitation(&invitations[i]), invitations[i].Organization.Name}
	}
	return list, nil
}

type openedInvitationBody struct {
	ReceivedInvitationBody
	OrganizationSlug string  `json:"organizationSlug"`
	InviterEmail     *string `json:"inviterEmail" doc:"Null when no person invited, or they have no account any more."`
}

func (s *Service) organizationGetInvitation(ctx context.Context, p *person, in *struct {
	ID string `query:"id" required:"true" maxLength:"200"`
}) (openedInvitationBody, error) {
	i, err := s.ReceivedInvitation(ctx, p.session.User, key(in.ID))
	if err != nil {
		return openedInvitationBody{}, err
	}
	body := openedInvitationBody{ReceivedInvitationBody{showInvitation(i), i.Organization.Name}, i.Organization.Slug, nil}
	inviter, err := s.Store.UserByID(ctx, i.InviterID)
	switch {
	case err == nil:
		body.InviterEmail = &inviter.Email
	case !isNotFound(err):
		return openedInvitationBody{}, err
	}
	return body, nil
}

type acceptedInvitationBody struct {
	Invitation InvitationBody `json:"invitation"`
	Member     memberBody     `json:"member"`
}

func (s *Service) organizationAcceptInvitation(ctx context.Context, p *person, in *input[invitationRequest]) (acceptedInvitationBody, error) {
	var i *store.Invitation
	var m *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) (err error) {
		if i, m, err = s.AcceptInvitation(ctx, p.Actor, key(in.Body.InvitationID)); err != nil {
			return err
		}
		return s.activate(ctx, p, i.OrganizationID)
	})
	if err != nil {
		return acceptedInvitationBody{}, err
	}
	return acceptedInvitationBody{showInvitation(i), showMember(m)}, nil
}

type rejectedInvitationBody struct {
	Invitation InvitationBody `json:"invitation"`
	Member     any            `json:"member" doc:"Always null."`
}

func (s *Service) organizationRejectInvitation(ctx context.Context, p *person, in *input[invitationRequest]) (rejectedInvitationBody, error) {
	i, err := s.RejectInvitation(ctx, p.Actor, key(in.Body.InvitationID))
	if err != nil {
		return rejectedInvitationBody{}, err
	}
	return rejectedInvitationBody{Invitation: showInvitation(i)}, nil
}
