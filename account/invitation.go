package account

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"auth-service/problem"
	"auth-service/store"
)

// How short and how long an invitation may be good.
const (
	minInvitation = time.Minute
	maxInvitation = 30 * 24 * time.Hour
)

var (
	errNoInvitation       = problem.New(http.StatusNotFound, "INVITATION_NOT_FOUND", "There is no such invitation, or it is no longer open: ask for a new one.")
	errNotRecipient       = problem.New(http.StatusForbidden, "INVITATION_NOT_YOURS", "This invitation is for another e-mail address: sign in with the account that has it.")
	errAlreadyInvited     = problem.New(http.StatusConflict, "ALREADY_INVITED", "This address has an open invitation already: resend it, or cancel it first.")
	errInvitationLimit    = problem.New(http.StatusConflict, "INVITATION_LIMIT_REACHED", "The organization has as many open invitations as it may have: cancel one first.")
	errInvitationLifetime = problem.Invalid(map[string]string{"expiresIn": "This must be between a minute and 30 days, in seconds."})
)

// Invite offers membership to whoever has an address. An invitation of the address that has expired is no hindrance; one
// that is still open is, unless the offer says to resend it: then it gets the new role and expiry and keeps its id, so that
// the link that was sent goes on working. Only to make an owner takes a new link: those who manage the organization know the
// old one, whether or not they may appoint owners.
func (s *Service) Invite(ctx context.Context, by store.Actor, ref string, offer store.InvitationOffer) (*store.Invitation, error) {
	var invitation *store.Invitation
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		o, own, err := s.managed(ctx, by, ref)
		if err != nil {
			return err
		}
		offer, err := s.checkOffer(offer)
		if err != nil {
			return err
		}
		if err := mayAppoint(own, offer.Role); err != nil {
			return err
		}
		if err := s.notMember(ctx, o.ID, offer.Email); err != nil {
			return err
		}
		invitation, err = s.offer(ctx, by, own, o, offer)
		return err
	})
	if err != nil {
		return nil, err
	}
	return invitation, nil
}

func (s *Service) checkOffer(offer store.InvitationOffer) (store.InvitationOffer, error) {
	var err error
	if offer.Email, err = normalizeEmail(offer.Email); err != nil {
		return offer, err
	}
	if err := checkMemberRole(offer.Role); err != nil {
		return offer, err
	}
	if offer.Lifetime == 0 {
		offer.Lifetime = s.Organizations.InvitationLifetime
	}
	if offer.Lifetime < minInvitation || offer.Lifetime > maxInvitation {
		return offer, errInvitationLifetime
	}
	return offer, nil
}

// notMember refuses to invite a member. The answer tells the organization's managers nothing that its members' list does not,
// and comes as fast for an address that has an account elsewhere as for one that has none.
func (s *Service) notMember(ctx context.Context, organizationID, email string) error {
	switch _, err := s.Store.MemberByEmail(ctx, organizationID, email); {
	case err == nil:
		return errAlreadyMember
	case isNotFound(err):
		return nil
	default:
		return err
	}
}

// offer renews the open invitation of the address, or makes a new one in its place. The organization is locked.
func (s *Service) offer(ctx context.Context, by store.Actor, own string, o *store.Organization, offer store.InvitationOffer) (*store.Invitation, error) {
	pending, err := s.Store.PendingInvitation(ctx, o.ID, offer.Email)
	switch {
	case isNotFound(err):
	case err != nil:
		return nil, err
	case pending.Open(s.now()) && !offer.Resend:
		return nil, errAlreadyInvited
	case pending.Open(s.now()) && (offer.Role != store.MemberOwner || pending.Role == store.MemberOwner):
		if err := mayAppoint(own, pending.Role); err != nil { // it would live longer by the will of who may not offer it
			return nil, err
		}
		return pending, s.renew(ctx, by, pending, offer)
	default: // the database keeps one pending invitation of an address
		if err := s.settle(ctx, by, "invitation.cancel", pending, store.InvitationCanceled); err != nil {
			return nil, err
		}
	}
	return s.insertInvitation(ctx, by, o, offer)
}

func (s *Service) insertInvitation(ctx context.Context, by store.Actor, o *store.Organization, offer store.InvitationOffer) (*store.Invitation, error) {
	n, err := s.Store.CountOpenInvitations(ctx, o.ID, s.Organizations.MaxInvitations)
	if err != nil {
		return nil, err
	}
	if n >= int64(s.Organizations.MaxInvitations) {
		return nil, errInvitationLimit
	}
	invitation := &store.Invitation{OrganizationID: o.ID, Email: offer.Email, Role: offer.Role, ExpiresAt: s.now().Add(offer.Lifetime)}
	if by.Type == store.ActorUser {
		invitation.InviterID = by.ID
	}
	if err := s.Store.CreateInvitation(ctx, invitation); err != nil {
		return nil, err
	}
	return invitation, s.auditInvitation(ctx, by, "invitation.create", &store.Invitation{}, invitation)
}

func (s *Service) renew(ctx context.Context, by store.Actor, i *store.Invitation, offer store.InvitationOffer) error {
	was := *i
	i.Role, i.ExpiresAt = offer.Role, s.now().Add(offer.Lifetime)
	if err := s.Store.RenewInvitation(ctx, i); err != nil {
		return err
	}
	return s.auditInvitation(ctx, by, "invitation.renew", &was, i)
}

// Invitations returns one page of the invitations to an organization that the actor manages. Their ids are the secrets of
// the links, so other members do not see them.
func (s *Service) Invitations(ctx context.Context, by store.Actor, ref string, q store.InvitationQuery) (*store.Page[store.Invitation], error) {
	o, own, err := s.seen(ctx, by, ref)
	if err == nil {
		err = s.mayRun(by, own)
	}
	if err != nil {
		return nil, err
	}
	return s.invitationsTo(ctx, o, own, q)
}

// invitationsTo returns those that a manager sees who is in the organization what own says. Who is no owner does not see those
// that make one: with an account that they registered for the invited address they would become owners themselves.
func (s *Service) invitationsTo(ctx context.Context, o *store.Organization, own string, q store.InvitationQuery) (*store.Page[store.Invitation], error) {
	q.OrganizationID, q.WithoutOwners = o.ID, mayAppoint(own, store.MemberOwner) != nil
	return s.Store.Invitations(ctx, q)
}

// CancelInvitation withdraws a pending invitation to an organization that the actor manages.
func (s *Service) CancelInvitation(ctx context.Context, by store.Actor, ref, id string) (*store.Invitation, error) {
	var invitation *store.Invitation
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		o, own, err := s.managed(ctx, by, ref)
		if err != nil {
			return err
		}
		if invitation, err = s.Store.InvitationByID(ctx, id); err != nil {
			return unknown(errNoInvitation, err)
		}
		if invitation.OrganizationID != o.ID { // another customer's is none of theirs
			return errNoInvitation
		}
		if err := mayAppoint(own, invitation.Role); err != nil {
			return err
		}
		return s.settle(ctx, by, "invitation.cancel", invitation, store.InvitationCanceled)
	})
	if err != nil {
		return nil, err
	}
	return invitation, nil
}

// ReceivedInvitations lists the open invitations of a person, with the organizations. Whoever did not prove to own their
// address has none here: anybody can register a foreign address, and would be handed its invitations.
func (s *Service) ReceivedInvitations(ctx context.Context, user *store.User) ([]store.Invitation, error) {
	if !user.EmailVerified {
		return nil, nil
	}
	return s.Store.OpenInvitations(ctx, user.Email)
}

// ReceivedInvitation returns an open invitation, with the organization, to the person whose address it is for. To know its id
// is to have got the link, so an unverified address is enough.
func (s *Service) ReceivedInvitation(ctx context.Context, user *store.User, id string) (*store.Invitation, error) {
	invitation, err := s.Store.InvitationByID(ctx, id)
	switch {
	case err != nil:
		return nil, unknown(errNoInvitation, err)
	case invitation.Email != user.Email:
		return nil, errNotRecipient
	case !invitation.Open(s.now()):
		return nil, errNoInvitation
	}
	return invitation, nil
}

// AcceptInvitation makes the actor a member, once, as the invitation says, whatever has become of the inviter's rights: those
// who manage the organization cancel what they do not stand by.
func (s *Service) AcceptInvitation(ctx context.Context, by store.Actor, id string) (*store.Invitation, *store.Member, error) {
	var invitation *store.Invitation
	var m *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.LockUser(ctx, by.ID)
		if err != nil {
			return unknown(errNoUser, err)
		}
		if invitation, err = s.ReceivedInvitation(ctx, user, id); err != nil {
			return err
		}
		if _, err := s.Store.LockOrganization(ctx, invitation.OrganizationID); err != nil {
			return unknown(errNoInvitation, err)
		}
		if err := s.settle(ctx, by, "invitation.accept", invitation, store.InvitationAccepted); err != nil {
			return err
		}
		m = &store.Member{OrganizationID: invitation.OrganizationID, UserID: user.ID, User: user, Role: invitation.Role}
		return s.insertMember(ctx, by, m)
	})
	if err != nil {
		return nil, nil, err
	}
	return invitation, m, nil
}

// RejectInvitation declines an invitation for the actor.
func (s *Service) RejectInvitation(ctx context.Context, by store.Actor, id string) (*store.Invitation, error) {
	var invitation *store.Invitation
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.UserByID(ctx, by.ID)
		if err != nil {
			return unknown(errNoUser, err)
		}
		if invitation, err = s.ReceivedInvitation(ctx, user, id); err != nil {
			return err
		}
		return s.settle(ctx, by, "invitation.reject", invitation, store.InvitationRejected)
	})
	if err != nil {
		return nil, err
	}
	return invitation, nil
}

// settle gives an invitation its final status, if nobody else did.
func (s *Service) settle(ctx context.Context, by store.Actor, action string, i *store.Invitation, status string) error {
	was := *i
	if err := s.Store.SettleInvitation(ctx, i, status); err != nil {
		return unknown(errNoInvitation, err)
	}
	return s.auditInvitation(ctx, by, action, &was, i)
}

// auditInvitation names the invitation by a fingerprint: logs travel, and the id is the secret of a link.
func (s *Service) auditInvitation(ctx context.Context, by store.Actor, action string, was, is *store.Invitation) error {
	event := by.Event(action, "invitation", hex.EncodeToString(store.HashSecret(is.ID)[:16]))
	event.OrganizationID, event.Changes = is.OrganizationID, map[string]store.Change{}
	note(event.Changes, "email", was.Email, is.Email)
	note(event.Changes, "role", was.Role, is.Role)
	note(event.Changes, "status", was.Status, is.Status)
	note(event.Changes, "expiresAt", expiry(was), expiry(is))
	return s.Store.Audit(ctx, event)
}

func expiry(i *store.Invitation) string {
	if i.ExpiresAt.IsZero() {
		return ""
	}
	return stamp(&i.ExpiresAt)
}
