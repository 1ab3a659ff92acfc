package oauth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/problem"
	"auth-service/store"
)

// The organization that a person acts for is bound to the grant, never to the browser session, so that two tabs with two
// organizations keep theirs. It is chosen at authorize, by the client or by the person, and changed by a refresh.

var (
	errNotMember    = &Error{http.StatusBadRequest, "access_denied", "The person is not a member of the organization."}
	errNeedsOrg     = invalidRequest("The parameter 'organization' needs the scope org.")
	errOrganization = problem.Invalid(map[string]string{"organizationId": "Choose one of your organizations."})
)

// checkOrganization reads the organization that the client wants the person to act for.
func (a *authorization) checkOrganization() *Error {
	a.organization = a.form.Get("organization")
	if a.organization != "" && !slices.Contains(a.scopes, scopeOrg) {
		return errNeedsOrg
	}
	return nil
}

// pick says which organization the request would have: the one that the client names, the one that the person chose, or the
// session's default, unless the person is to choose anew.
func (a *authorization) pick(record *store.AuthorizationRequest, ses *store.Session) string {
	switch {
	case a.organization != "":
		return a.organization
	case record.OrganizationID != "" && record.OrganizationBy == ses.UserID: // what somebody else chose is no choice of theirs
		return record.OrganizationID
	case a.prompts("select_account"):
		return ""
	}
	return ses.ActiveOrganizationID
}

// bound is the organization that a grant with these scopes gets; its id is empty for none.
func (s standing) bound() string {
	if s.organization == nil || !slices.Contains(s.granted, scopeOrg) {
		return ""
	}
	return s.organization.ID
}

// actingAt says for which organization a refresh asks, or leaves it with the one of the grant. A token without the scope org
// speaks of none.
func actingAt(c *client, scope, organization string) store.Acting {
	as, none := store.Acting{ApplicationID: c.ApplicationID}, ""
	asked := strings.Fields(scope)
	switch {
	case !slices.Contains(c.Scopes, scopeOrg), len(asked) > 0 && !slices.Contains(asked, scopeOrg):
		as.Organization = &none
	case organization != "":
		as.Organization = &organization
	}
	return as
}

// switched checks a refresh for another organization and returns the one that the grant is then bound to. An organization
// that does not exist is answered like one that is not the person's.
func switched(g *store.Grant, scopes []string, asked string) (string, error) {
	switch {
	case asked == "":
		return g.OrganizationID, nil
	case !slices.Contains(scopes, scopeOrg):
		return "", errNeedsOrg
	case g.Entitlements.Organization == nil:
		return "", errNotMember
	}
	return g.Entitlements.Organization.ID, nil
}

type organizationBody struct {
	OrganizationID string `json:"organizationId"`
}

// chooseOrganization notes for which organization the person goes on.
func (p *Provider) chooseOrganization(c echo.Context) error {
	var body organizationBody
	if err := readJSON(c, &body); err != nil {
		return err
	}
	w, err := p.open(c)
	if err != nil {
		return err
	}
	if w.session == nil || w.request.organization != "" || !slices.Contains(w.request.scopes, scopeOrg) {
		return p.proceed(c, w) // nobody was asked, so nothing is recorded
	}
	if !isText(body.OrganizationID) || body.OrganizationID == "" {
		return errOrganization
	}
	ctx := c.Request().Context()
	chosen, err := p.Store.StandingOf(ctx, w.session.UserID, w.request.client.ID, body.OrganizationID)
	if err != nil {
		return err
	}
	if !chosen.Picked { // not theirs, or none at all: the answer is the same
		return errOrganization
	}
	if err := p.Store.RecordOrganization(ctx, w.record, w.session.UserID, chosen.Organization.ID); err != nil {
		return closedMeanwhile(err)
	}
	return p.proceed(c, w)
}

// requestOrganization is an organization that the person can act for.
type requestOrganization struct {
	ID   string  `json:"id"`
	Name string  `json:"name"`
	Slug string  `json:"slug"`
	Logo *string `json:"logo"`
	Role string  `json:"role"`
}

// showOrganizations adds to a request which organizations there are to choose from, and the one that is chosen.
func (p *Provider) showOrganizations(c echo.Context, w *waiting, body *requestBody) error {
	if w.session == nil || !slices.Contains(w.request.scopes, scopeOrg) || body.Next == nil {
		return nil
	}
	if *body.Next != needOrganization && *body.Next != needConsent {
		return nil
	}
	memberships, err := p.Store.MembershipsOf(c.Request().Context(), w.session.UserID)
	if err != nil {
		return err
	}
	for _, m := range memberships {
		o := requestOrganization{ID: m.OrganizationID, Name: m.Organization.Name, Slug: m.Organization.Slug, Role: m.Role}
		if m.Organization.Logo != "" {
			o.Logo = &m.Organization.Logo
		}
		body.Organizations = append(body.Organizations, o)
		if w.standing.organization != nil && m.OrganizationID == w.standing.organization.ID {
			body.Organization = &o
		}
		if m.OrganizationID == w.session.ActiveOrganizationID {
			body.DefaultOrganizationID = &o.ID
		}
	}
	if w.request.organization != "" && body.Organization != nil { // the client chose, so there is nothing to choose from
		body.Organizations = []requestOrganization{*body.Organization}
	}
	return nil
}
