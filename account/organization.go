package account

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"auth-service/problem"
	"auth-service/store"
)

// Limits of what an organization holds: characters of the name, bytes of the metadata as JSON.
const (
	maxOrganizationName = 100
	maxMetadata         = 16 << 10
)

var (
	// errNoOrganization is the one answer for organizations that there are not and for those that are none of the actor's
	// business: whether a customer exists is nobody else's to know.
	errNoOrganization     = problem.New(http.StatusNotFound, "ORGANIZATION_NOT_FOUND", "There is no such organization.")
	errAdministratorsOnly = problem.New(http.StatusForbidden, "ADMINISTRATOR_REQUIRED", "Only administrators of this server may do this.")
	errManagersOnly       = problem.New(http.StatusForbidden, "ORGANIZATION_MANAGER_REQUIRED", "Only owners and admins of the organization may do this.")
	errOwnersOnly         = problem.New(http.StatusForbidden, "ORGANIZATION_OWNER_REQUIRED", "Only owners of the organization may appoint owners or act upon them.")
	errNoSelfService      = problem.New(http.StatusForbidden, "SELF_SERVICE_DISABLED", "Organizations are managed by the administrators of this server: ask one of them.")

	errSlugTaken = func() *problem.Error {
		e := problem.New(http.StatusConflict, "SLUG_TAKEN", "Another organization has this slug. Choose another one.")
		e.Fields = map[string]string{"slug": "Another organization has this slug."}
		return e
	}()
)

var slugPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// An OrganizationPolicy is what the operator decides about organizations.
type OrganizationPolicy struct {
	SelfService        bool // owners and admins manage their organization; else only administrators of the server do
	MaxMembers         int
	MaxInvitations     int // open ones
	InvitationLifetime time.Duration
}

// CreateOrganization completes and inserts o, which has name, logo and metadata, with the first of the slugs that is free.
// Its owner is the person with the given id; without one it has no members yet. Only administrators may.
func (s *Service) CreateOrganization(ctx context.Context, by store.Actor, o *store.Organization, slugs []string, ownerID string) error {
	if !by.Administrator {
		return errAdministratorsOnly
	}
	o.Name, o.Slug = strings.TrimSpace(o.Name), slugs[0]
	if err := checkOrganization(store.OrganizationPatch{Name: &o.Name, Slug: &o.Slug, Logo: &o.Logo, Metadata: &o.Metadata}); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		if ownerID != "" {
			if _, err := s.Store.LockUser(ctx, ownerID); err != nil {
				return unknown(errNoUser, err)
			}
		}
		if err := s.insertOrganization(ctx, o, slugs); err != nil {
			return err
		}
		event := by.Event("organization.create", "organization", o.ID)
		event.OrganizationID, event.Changes = o.ID, organizationChanges(&store.Organization{}, o)
		if err := s.Store.Audit(ctx, event); err != nil || ownerID == "" {
			return err
		}
		return s.insertMember(ctx, by, &store.Member{OrganizationID: o.ID, UserID: ownerID, Role: store.MemberOwner})
	})
}

func (s *Service) insertOrganization(ctx context.Context, o *store.Organization, slugs []string) error {
	for _, o.Slug = range slugs {
		if err := s.Store.CreateOrganization(ctx, o); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errSlugTaken
}

// Organization returns an organization that the actor may see: its members may, and administrators.
func (s *Service) Organization(ctx context.Context, by store.Actor, ref string) (*store.Organization, error) {
	o, _, err := s.seen(ctx, by, ref)
	return o, err
}

// UpdateOrganization changes fields of an organization and returns what has become of it.
func (s *Service) UpdateOrganization(ctx context.Context, by store.Actor, ref string, p store.OrganizationPatch) (*store.Organization, error) {
	if p.Name != nil {
		name := strings.TrimSpace(*p.Name)
		p.Name = &name
	}
	var o *store.Organization
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		var err error
		if o, _, err = s.managed(ctx, by, ref); err != nil {
			return err
		}
		if err := checkOrganization(p); err != nil { // after the rights: strangers learn nothing from it
			return err
		}
		was := *o
		patchOrganization(o, p)
		diff := organizationChanges(&was, o)
		if len(diff) == 0 {
			return nil
		}
		if err := s.Store.UpdateOrganization(ctx, o); err != nil {
			return slugTaken(err)
		}
		event := by.Event("organization.update", "organization", o.ID)
		event.OrganizationID, event.Changes = o.ID, diff
		return s.Store.Audit(ctx, event)
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// DeleteOrganization deletes an organization with all that belongs to it, and revokes what relying parties hold for it. Only
// administrators may.
func (s *Service) DeleteOrganization(ctx context.Context, by store.Actor, ref string) error {
	if err := s.administrates(ctx, by, ref); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		o, err := s.Store.LockOrganization(ctx, ref)
		if err != nil {
			return unknown(errNoOrganization, err)
		}
		if err := s.Store.DeleteOrganization(ctx, o.ID); err != nil {
			return err
		}
		event := by.Event("organization.delete", "organization", o.ID)
		event.OrganizationID, event.Changes = o.ID, organizationChanges(o, &store.Organization{})
		return s.Store.Audit(ctx, event)
	})
}

// seen returns an organization that the actor may see, and the role that they have in it; administrators of the server are
// everywhere what owners are.
func (s *Service) seen(ctx context.Context, by store.Actor, ref string) (*store.Organization, string, error) {
	switch {
	case by.Administrator:
		o, err := s.Store.OrganizationByRef(ctx, ref)
		return o, store.MemberOwner, unknown(errNoOrganization, err)
	case by.Type != store.ActorUser:
		return nil, "", errNoOrganization
	}
	m, err := s.Store.MembershipByRef(ctx, by.ID, ref)
	if err != nil {
		return nil, "", unknown(errNoOrganization, err)
	}
	return m.Organization, m.Role, nil
}

// held is seen for those who will write: it locks the organization. Strangers are turned away before, so that they cannot
// make members wait; members are looked up again behind the lock, as another one may have removed or demoted them.
func (s *Service) held(ctx context.Context, by store.Actor, ref string) (*store.Organization, string, error) {
	if by.Administrator {
		o, err := s.Store.LockOrganization(ctx, ref)
		return o, store.MemberOwner, unknown(errNoOrganization, err)
	}
	o, _, err := s.seen(ctx, by, ref)
	if err != nil {
		return nil, "", err
	}
	if o, err = s.Store.LockOrganization(ctx, o.ID); err != nil {
		return nil, "", unknown(errNoOrganization, err)
	}
	m, err := s.Store.MemberOf(ctx, o.ID, by.ID)
	if err != nil {
		return nil, "", unknown(errNoOrganization, err)
	}
	return o, m.Role, nil
}

// managed is held for those who manage the organization.
func (s *Service) managed(ctx context.Context, by store.Actor, ref string) (*store.Organization, string, error) {
	o, role, err := s.held(ctx, by, ref)
	if err == nil {
		err = s.mayRun(by, role)
	}
	return o, role, err
}

// mayRun refuses whoever does not manage the organization in which they have the role.
func (s *Service) mayRun(by store.Actor, role string) error {
	switch {
	case by.Administrator:
		return nil
	case role != store.MemberOwner && role != store.MemberAdmin:
		return errManagersOnly
	case !s.Organizations.SelfService:
		return errNoSelfService
	}
	return nil
}

// mayAppoint refuses to all but owners what makes, changes or removes owners.
func mayAppoint(role string, touched ...string) error {
	for _, t := range touched {
		if t == store.MemberOwner && role != store.MemberOwner {
			return errOwnersOnly
		}
	}
	return nil
}

// administrates refuses all but administrators of the server, who are no member as for an unknown organization.
func (s *Service) administrates(ctx context.Context, by store.Actor, ref string) error {
	if by.Administrator {
		return nil
	}
	if _, _, err := s.seen(ctx, by, ref); err != nil {
		return err
	}
	return errAdministratorsOnly
}

// checkOrganization checks only what p names: the rest may have come from the replaced system.
func checkOrganization(p store.OrganizationPatch) error {
	faults := map[string]string{}
	if p.Name != nil {
		switch {
		case *p.Name == "":
			faults["name"] = "This field is required."
		case utf8.RuneCountInString(*p.Name) > maxOrganizationName:
			faults["name"] = "This must have at most 100 characters."
		case !store.Printable(*p.Name):
			faults["name"] = "This must not have control characters."
		}
	}
	if p.Slug != nil {
		switch {
		case !slugPattern.MatchString(*p.Slug):
			faults["slug"] = "Use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end."
		case uuid.Validate(*p.Slug) == nil: // it would stand in for another organization's id
			faults["slug"] = "A slug must not look like an id: choose a name."
		}
	}
	if p.Logo != nil && !isImage(*p.Logo) {
		faults["logo"] = "This must be an https URL."
	}
	if p.Metadata != nil {
		if text, err := json.Marshal(*p.Metadata); err != nil || len(text) > maxMetadata {
			faults["metadata"] = "This must be at most 16 KiB of JSON."
		}
	}
	if len(faults) > 0 {
		return problem.Invalid(faults)
	}
	return nil
}

func patchOrganization(o *store.Organization, p store.OrganizationPatch) {
	if p.Name != nil {
		o.Name = *p.Name
	}
	if p.Slug != nil {
		o.Slug = *p.Slug
	}
	if p.Logo != nil {
		o.Logo = *p.Logo
	}
	if p.Metadata != nil {
		o.Metadata = *p.Metadata
	}
}

// organizationChanges compares what the audit log keeps of an organization, which is all of it.
func organizationChanges(was, is *store.Organization) map[string]store.Change {
	out := map[string]store.Change{}
	note(out, "name", was.Name, is.Name)
	note(out, "slug", was.Slug, is.Slug)
	note(out, "logo", was.Logo, is.Logo)
	if len(was.Metadata)+len(is.Metadata) > 0 && !reflect.DeepEqual(was.Metadata, is.Metadata) {
		out["metadata"] = store.Change{Before: orNothing(was.Metadata), After: orNothing(is.Metadata)}
	}
	return out
}

func orNothing(metadata map[string]any) any {
	if len(metadata) == 0 {
		return nil
	}
	return metadata
}

func slugTaken(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return errSlugTaken
	}
	return err
}

// unknown says in the words of e that what was looked for is not there.
func unknown(e *problem.Error, err error) error {
	if isNotFound(err) {
		return e.Because(err)
	}
	return err
}
