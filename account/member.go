package account

import (
	"context"
	"errors"
	"net/http"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errNoUser        = problem.New(http.StatusNotFound, "USER_NOT_FOUND", "There is no such person.")
	errNoMember      = problem.New(http.StatusNotFound, "MEMBER_NOT_FOUND", "The organization has no such member.")
	errAlreadyMember = problem.New(http.StatusConflict, "ALREADY_MEMBER", "This person is a member of the organization already.")
	errMemberLimit   = problem.New(http.StatusConflict, "MEMBER_LIMIT_REACHED", "The organization has as many members as it may have: remove one first.")
	errMemberRole    = problem.New(http.StatusBadRequest, "INVALID_MEMBER_ROLE", "The role must be owner, admin or member.")
	errLastOwner     = problem.New(http.StatusConflict, "LAST_OWNER", "The organization must keep an owner: appoint another one first.")
)

// errSoleOwner is errLastOwner where it is about a person and not about one organization.
func errSoleOwner(o *store.Organization) error {
	e := *errLastOwner
	e.Detail = "This is the only owner of the organization " + o.Name + ": appoint another one, or delete the organization, first."
	return &e
}

// Members returns one page of the members of an organization that the actor may see.
func (s *Service) Members(ctx context.Context, by store.Actor, ref string, q store.MemberQuery) (*store.Page[store.Member], error) {
	o, _, err := s.seen(ctx, by, ref)
	if err != nil {
		return nil, err
	}
	q.OrganizationID = o.ID
	return s.Store.Members(ctx, q)
}

// AddMember makes a person a member without asking them, which only administrators may; others invite.
func (s *Service) AddMember(ctx context.Context, by store.Actor, ref, userID, role string) (*store.Member, error) {
	if err := s.administrates(ctx, by, ref); err != nil {
		return nil, err
	}
	if err := checkMemberRole(role); err != nil {
		return nil, err
	}
	var m *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.LockUser(ctx, userID)
		if err != nil {
			return unknown(errNoUser, err)
		}
		o, err := s.Store.LockOrganization(ctx, ref)
		if err != nil {
			return unknown(errNoOrganization, err)
		}
		m = &store.Member{OrganizationID: o.ID, UserID: userID, User: user, Role: role}
		return s.insertMember(ctx, by, m)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// insertMember belongs into a transaction that locked the person and then the organization, or just made the organization.
func (s *Service) insertMember(ctx context.Context, by store.Actor, m *store.Member) error {
	n, err := s.Store.CountMembers(ctx, m.OrganizationID, s.Organizations.MaxMembers)
	if err != nil {
		return err
	}
	if err := s.Store.CreateMember(ctx, m); errors.Is(err, store.ErrConflict) {
		return errAlreadyMember.Because(err)
	} else if err != nil {
		return err
	}
	if n >= int64(s.Organizations.MaxMembers) { // after the other answer, which tells more
		return errMemberLimit
	}
	return s.auditMember(ctx, by, "member.add", m, "", m.Role)
}

// SetMemberRole changes what a member, named by their own id or the person's, is in the organization. It shows in the next
// token.
func (s *Service) SetMemberRole(ctx context.Context, by store.Actor, ref, member, role string) (*store.Member, error) {
	var m *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		o, own, err := s.managed(ctx, by, ref)
		if err != nil {
			return err
		}
		if err := checkMemberRole(role); err != nil {
			return err
		}
		if m, err = s.Store.MemberByRef(ctx, o.ID, member); err != nil {
			return unknown(errNoMember, err)
		}
		if err := mayAppoint(own, m.Role, role); err != nil {
			return err
		}
		return s.storeMemberRole(ctx, by, m, role)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *Service) storeMemberRole(ctx context.Context, by store.Actor, m *store.Member, role string) error {
	was := m.Role
	if was == role {
		return nil
	}
	if err := s.keepOwner(ctx, m); err != nil {
		return err
	}
	if err := s.Store.SetMemberRole(ctx, m, role); err != nil {
		return err
	}
	return s.auditMember(ctx, by, "member.set_role", m, was, role)
}

// RemoveMember takes a member, named by their own id or the person's, out of the organization and returns who that was.
func (s *Service) RemoveMember(ctx context.Context, by store.Actor, ref, member string) (*store.Member, error) {
	var m *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		o, own, err := s.managed(ctx, by, ref)
		if err != nil {
			return err
		}
		if m, err = s.Store.MemberByRef(ctx, o.ID, member); err != nil {
			return unknown(errNoMember, err)
		}
		if err := mayAppoint(own, m.Role); err != nil {
			return err
		}
		return s.endMembership(ctx, by, "member.remove", m)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// LeaveOrganization takes the actor out of an organization, whoever manages it, and returns the membership that ended.
func (s *Service) LeaveOrganization(ctx context.Context, by store.Actor, ref string) (*store.Member, error) {
	var m *store.Member
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		o, _, err := s.held(ctx, by, ref)
		if err != nil {
			return err
		}
		if m, err = s.Store.MemberOf(ctx, o.ID, by.ID); err != nil {
			return unknown(errNoMember, err)
		}
		return s.endMembership(ctx, by, "member.leave", m)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// endMembership belongs into a transaction that locked the organization.
func (s *Service) endMembership(ctx context.Context, by store.Actor, action string, m *store.Member) error {
	if err := s.keepOwner(ctx, m); err != nil {
		return err
	}
	if err := s.Store.EndMembership(ctx, m); err != nil {
		return err
	}
	return s.auditMember(ctx, by, action, m, m.Role, "")
}

// keepOwner refuses to take the last owner from an organization. Two owners who remove each other change different rows, so
// it counts on the lock of the organization.
func (s *Service) keepOwner(ctx context.Context, m *store.Member) error {
	if m.Role != store.MemberOwner {
		return nil
	}
	another, err := s.Store.OtherOwner(ctx, m.OrganizationID, m.UserID)
	if err == nil && !another {
		err = errLastOwner
	}
	return err
}

// leaveAll prepares the deletion of a person, with whom the memberships go: it refuses when an organization would be left
// without an owner. It belongs into a transaction that locked the person.
func (s *Service) leaveAll(ctx context.Context, by store.Actor, userID string) error {
	memberships, err := s.Store.LockMemberships(ctx, userID)
	if err != nil || len(memberships) == 0 {
		return err
	}
	o, err := s.Store.SoleOwnership(ctx, userID)
	if err == nil {
		return errSoleOwner(o)
	}
	if !isNotFound(err) {
		return err
	}
	for i := range memberships {
		if err := s.auditMember(ctx, by, "member.remove", &memberships[i], memberships[i].Role, ""); err != nil {
			return err
		}
	}
	return nil
}

// auditMember files the event under the person, and under the organization.
func (s *Service) auditMember(ctx context.Context, by store.Actor, action string, m *store.Member, before, after string) error {
	event := by.Event(action, "user", m.UserID)
	event.OrganizationID, event.Changes = m.OrganizationID, map[string]store.Change{}
	note(event.Changes, "role", before, after)
	return s.Store.Audit(ctx, event)
}

func checkMemberRole(role string) error {
	switch role {
	case store.MemberOwner, store.MemberAdmin, store.MemberPlain:
		return nil
	}
	return errMemberRole
}
