package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// authorizePath is where the authorization endpoint is on this server.
const authorizePath = "/api/auth/oauth2/authorize"

// What a request may be waiting for. The sign-in pages have one screen for each.
const (
	needSignIn        = "sign_in"
	needSignUp        = "sign_up"
	needSelectAccount = "select_account"
	needOrganization  = "organization"
	needConsent       = "consent"
)

// pages are the SPA's screens.
var pages = map[string]string{
	needSignIn: "/sign-in", needSignUp: "/register", needSelectAccount: "/select-account",
	needOrganization: "/select-organization", needConsent: "/consent",
}

// silent are the errors that prompt=none gives instead of a screen (OIDC Core §3.1.2.6).
var silent = map[string]*Error{
	needSignIn:        {400, "login_required", "The person must sign in."},
	needSignUp:        {400, "login_required", "The person must sign in."},
	needSelectAccount: {400, "account_selection_required", "The person must choose an account."},
	needOrganization:  {400, "interaction_required", "The person must choose an organization."},
	needConsent:       {400, "consent_required", "The person must consent."},
}

var errUnmetACR = &Error{400, "unmet_authentication_requirements", "The person cannot be authenticated the way the request demands."}

// authorize serves the authorization endpoint (RFC 6749 §3.1). When nothing is needed of the person it answers at once
// and writes nothing but the code; else the request becomes a row and the browser goes to the page that asks.
//
// A form that another site posts here comes without the session cookie, which is SameSite=Lax, so the browser is sent here
// once more by GET, with the cookie.
func (p *Provider) authorize(c echo.Context) error {
	noStore(c.Response().Header())
	form, err := authorizeForm(c.Request())
	if err != nil {
		return p.refuse(c, p.refusable(c, form, err))
	}
	ctx := c.Request().Context()
	a, err := p.readAuthorization(ctx, form)
	if err != nil {
		return p.refuse(c, err)
	}
	ses, err := p.currentSession(c.Request())
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), a})
	}
	if ses == nil && c.Request().Method == http.MethodPost {
		if again := authorizePath + "?" + form.Encode(); len(again) <= maxParameter {
			return c.Redirect(http.StatusSeeOther, again)
		}
	}
	record := &store.AuthorizationRequest{CreatedAt: p.now()} // not written unless somebody must be asked
	stands, err := p.needs(ctx, a, record, ses)
	switch {
	case err != nil:
		return p.refuse(c, &refusal{p.explain(c, err), a})
	case stands.need == "":
		return p.issue(c, a, ses, stands)
	case a.prompts("none"):
		return p.refuse(c, &refusal{silent[stands.need], a})
	}
	return p.ask(c, a, record, stands.need)
}

// authorizeForm takes the parameters of a GET from the query and those of a POST from the body.
func authorizeForm(r *http.Request) (url.Values, error) {
	if r.Method == http.MethodPost {
		return formOf(r)
	}
	return parseForm(r.URL.RawQuery)
}

// refusable finds out whether a request with malformed parameters still names a client and redirect_uri to answer to.
func (p *Provider) refusable(c echo.Context, form url.Values, err error) error {
	e := p.explain(c, err)
	if len(form["client_id"]) != 1 || len(form["redirect_uri"]) != 1 || len(form["state"]) > 1 {
		return &refusal{e, nil}
	}
	client, err := p.clients.get(c.Request().Context(), form.Get("client_id"))
	if err != nil || !matchRedirectURI(client.RedirectURIs, form.Get("redirect_uri")) {
		return &refusal{e, nil}
	}
	a := &authorization{client: client, form: form, redirectURI: form.Get("redirect_uri"), state: form.Get("state"), mode: "query"}
	_ = a.checkMode() // an unknown mode leaves query, in which to say so
	return &refusal{e, a}
}

// currentSession is the browser's session, or nil when nobody is signed in.
func (p *Provider) currentSession(r *http.Request) (*store.Session, error) {
	ses, err := p.Sessions.Current(r)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return ses, err
}

// A standing is what a request still waits for, and once nothing is missing what the person granted.
type standing struct {
	need         string
	granted      []string          // of consentScopes
	organization *store.Membership // that the person acts for; nil for none
}

// needs decides how the request stands. It looks only at rows, so any tab can finish and nothing that the browser sends can
// skip a step.
func (p *Provider) needs(ctx context.Context, a *authorization, record *store.AuthorizationRequest, ses *store.Session) (standing, error) {
	if ses == nil || !a.fresh(record, ses) || a.subject != "" && a.subject != ses.UserID {
		if a.prompts("create") {
			return standing{need: needSignUp}, nil
		}
		return standing{need: needSignIn}, nil
	}
	if len(a.acr) > 0 && !slices.Contains(a.acr, ses.ACR) {
		return standing{}, errUnmetACR
	}
	if a.prompts("select_account") && record.SelectedSessionID != ses.ID && ses.AuthTime.Before(record.CreatedAt) {
		return standing{need: needSelectAccount}, nil
	}
	given, err := p.given(ctx, a, record, ses)
	if err != nil {
		return standing{}, err
	}
	out := standing{organization: given.Organization}
	switch {
	case a.prompts("none") && !a.consented(given): // first: a client that the person never agreed to asks in silence who is a member of what
		out.need = needConsent
	case a.organization != "" && !given.Picked:
		return standing{}, errNotMember
	case given.Several:
		out.need = needOrganization
	case record.ConsentedBy == ses.UserID:
		out.granted = record.GrantedScopes
	case a.prompts("consent"):
		out.need = needConsent
	case !a.consented(given):
		out.need = needConsent
	default:
		out.granted = a.consentScopes()
	}
	return out, nil
}

// consented reports whether the person need not be asked. A request without any scope still needs a yes, once.
func (a *authorization) consented(given *store.Standing) bool {
	return a.client.SkipConsent || given.Consent != nil && containsAll(given.Consent, a.consentScopes())
}

// given reads what the person consented to before, and the organization if the request is about one: as little as decides.
func (p *Provider) given(ctx context.Context, a *authorization, record *store.AuthorizationRequest, ses *store.Session) (*store.Standing, error) {
	switch {
	case slices.Contains(a.scopes, scopeOrg):
		return p.Store.StandingOf(ctx, ses.UserID, a.client.ID, a.pick(record, ses))
	case record.ConsentedBy == ses.UserID, a.prompts("consent"), a.client.SkipConsent:
		return &store.Standing{}, nil
	}
	consent, err := p.Store.ConsentOf(ctx, ses.UserID, a.client.ID)
	return &store.Standing{Consent: consent}, err
}

// fresh reports whether the person signed in recently enough: during this request for prompt=login and create, or not
// longer than max_age before it. max_age=0 therefore means prompt=login (OIDC Core §3.1.2.1).
func (a *authorization) fresh(record *store.AuthorizationRequest, ses *store.Session) bool {
	if !ses.AuthTime.Before(record.CreatedAt) {
		return true
	}
	if a.prompts("login") || a.prompts("create") {
		return false
	}
	return a.maxAge < 0 || record.CreatedAt.Sub(ses.AuthTime) <= a.maxAge
}

// ask writes the request down and sends the browser to the page that asks the person.
func (p *Provider) ask(c echo.Context, a *authorization, record *store.AuthorizationRequest, need string) error {
	record.ID, record.ClientID, record.Form = store.RandomToken(24), a.client.ID, a.form
	record.ExpiresAt = record.CreatedAt.Add(p.Lifetimes.Request)
	if err := p.Store.CreateAuthorizationRequest(c.Request().Context(), record); err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), a})
	}
	page := url.Values{"request": {record.ID}}
	if locales := a.form.Get("ui_locales"); locales != "" {
		page.Set("ui_locales", locales)
	}
	return c.Redirect(http.StatusSeeOther, pages[need]+"?"+page.Encode())
}

// refuse tells the client, when it and its redirect_uri are good, else the person.
func (p *Provider) refuse(c echo.Context, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{p.explain(c, err), nil}
	}
	if r.to != nil {
		return p.answer(c, r.to, url.Values{"error": {r.reason.Code}, "error_description": {r.reason.Description}})
	}
	if !strings.Contains(c.Request().Header.Get("Accept"), "text/html") {
		return c.JSON(r.reason.Status, errorBody{r.reason.Code, r.reason.Description})
	}
	// Only the code goes into the address, not the text: nobody shall put words on our error page.
	page := url.Values{"error": {r.reason.Code}, "id": {c.Response().Header().Get(echo.HeaderXRequestID)}}
	return c.Redirect(http.StatusSeeOther, "/error?"+page.Encode())
}

func containsAll(set, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(set, s) })
}
