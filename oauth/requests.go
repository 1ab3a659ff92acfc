package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errRequestExpired   = problem.New(http.StatusGone, "REQUEST_EXPIRED", "This sign-in took too long. Go back to the application and start again.")
	errRequestCompleted = problem.New(http.StatusGone, "REQUEST_COMPLETED", "This sign-in has been finished, perhaps in another tab.")
	errRequestInvalid   = problem.New(http.StatusBadRequest, "REQUEST_INVALID", "The application that asked is no longer registered this way. Go back to it and start again.")
	errScopes           = problem.Invalid(map[string]string{"scopes": "Name only scopes that the application asked for."})
)

// requestBody is what the sign-in pages learn about a waiting authorization request.
type requestBody struct {
	ID         string         `json:"id"`
	Client     requestClient  `json:"client"`
	Scopes     []requestScope `json:"scopes"`
	Next       *string        `json:"next"`
	RedirectTo string         `json:"redirectTo,omitempty"`
	LoginHint  string         `json:"loginHint,omitempty"`
	UILocales  []string       `json:"uiLocales,omitempty"`
	User       *requestUser   `json:"user"`
	ExpiresAt  string         `json:"expiresAt"`

	// For requests about an organization, while the person chooses one or consents.
	Organizations         []requestOrganization `json:"organizations,omitempty"`
	Organization          *requestOrganization  `json:"organization,omitempty"`
	DefaultOrganizationID *string               `json:"defaultOrganizationId,omitempty"`
}

type requestClient struct {
	ClientID     string `json:"clientId"`
	Name         string `json:"name"`
	LogoURI      string `json:"logoUri,omitempty"`
	HomepageURI  string `json:"homepageUri,omitempty"`
	PolicyURI    string `json:"policyUri,omitempty"`
	TOSURI       string `json:"tosUri,omitempty"`
	RedirectHost string `json:"redirectHost"`
}

type requestScope struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Granted     bool   `json:"granted"` // the person consented to it before
}

type requestUser struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	Image string `json:"image"`
}

// waiting is one open authorization request together with who looks at it.
type waiting struct {
	record  *store.AuthorizationRequest
	request *authorization
	session *store.Session // nil when nobody is signed in
	denied  bool           // the person refuses now

	standing standing // as decide found it
}

// open finds the authorization request that the path names, if it still waits.
func (p *Provider) open(c echo.Context) (*waiting, error) {
	ctx := c.Request().Context()
	noStore(c.Response().Header())
	id := c.Param("id")
	if !isText(id) {
		return nil, store.ErrNotFound
	}
	record, err := p.Store.AuthorizationRequestByID(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case record.CompletedAt != nil:
		return nil, errRequestCompleted
	case !p.now().Before(record.ExpiresAt):
		return nil, errRequestExpired
	}
	a, err := p.readAuthorization(ctx, record.Form)
	var r *refusal
	if errors.As(err, &r) { // it was good when it came; the registration has changed since
		return nil, errRequestInvalid.Because(err)
	}
	if err != nil {
		return nil, err
	}
	ses, err := p.currentSession(c.Request())
	if err != nil {
		return nil, err
	}
	return &waiting{record: record, request: a, session: ses}, nil
}

// showRequest tells the sign-in pages what is needed next, or, once nothing is, where to go.
func (p *Provider) showRequest(c echo.Context) error {
	w, err := p.open(c)
	if err != nil {
		return err
	}
	return p.proceed(c, w)
}

// proceed answers the request when nothing is missing, else says what is.
func (p *Provider) proceed(c echo.Context, w *waiting) error {
	ctx := c.Request().Context()
	d, err := p.decide(ctx, w)
	switch {
	case err != nil:
		return err
	case d.need != "":
		return p.show(c, w, &d.need, "")
	case w.request.mode == "form_post": // a page has to be navigated to, not fetched
		return p.show(c, w, nil, p.formAddress(w))
	}
	params, err := p.close(ctx, w, d)
	if err != nil {
		return err
	}
	return p.show(c, w, nil, redirectTo(w.request, params))
}

// A decision is how a waiting request stands, or why it is refused.
type decision struct {
	standing
	refused *Error
}

func (p *Provider) decide(ctx context.Context, w *waiting) (d decision, err error) {
	if w.denied {
		return decision{refused: errDenied}, nil
	}
	d.standing, err = p.needs(ctx, w.request, w.record, w.session)
	w.standing = d.standing
	if errors.As(err, &d.refused) {
		return d, nil
	}
	return d, err
}

// close ends the request and returns its answer, with a code or an error. The request is closed and its code written
// both or neither: a request yields one answer.
func (p *Provider) close(ctx context.Context, w *waiting, d decision) (params url.Values, err error) {
	err = p.Store.Tx(ctx, func(ctx context.Context) error {
		if err := p.Store.CompleteAuthorizationRequest(ctx, w.record); err != nil {
			return closedMeanwhile(err)
		}
		if d.refused != nil {
			params = url.Values{"error": {d.refused.Code}, "error_description": {d.refused.Description}}
			return nil
		}
		code, err := p.newCode(ctx, w.request, w.session, d.standing)
		params = url.Values{"code": {code}}
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.complete(w.request, params), nil
}

func closedMeanwhile(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errRequestCompleted
	}
	return err
}

// formAddress is that of the page which answers a request with response_mode=form_post.
func (p *Provider) formAddress(w *waiting) string {
	address := p.issuer + "/oauth2/requests/" + w.record.ID + "/form"
	if w.denied {
		address += "?denied=true"
	}
	return address
}

// answerByForm is where response_mode=form_post sends the browser in the end. That the person refused comes with the
// address: whoever knows a request's id holds the browser that may cancel it.
func (p *Provider) answerByForm(c echo.Context) error {
	ctx := c.Request().Context()
	w, err := p.open(c)
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, pageError(err)), nil})
	}
	w.denied = c.QueryParam("denied") != ""
	d, err := p.decide(ctx, w)
	if err == nil && d.need != "" {
		return c.Redirect(http.StatusSeeOther, pages[d.need]+"?"+url.Values{"request": {w.record.ID}}.Encode())
	}
	var params url.Values
	if err == nil {
		params, err = p.close(ctx, w, d)
	}
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, pageError(err)), nil})
	}
	return formPost(c, w.request.redirectURI, params)
}

// pageError gives problems of the request routes a code that the error page knows.
func pageError(err error) error {
	var known *problem.Error
	switch {
	case errors.As(err, &known):
		return &Error{known.Status, strings.ToLower(known.Code), known.Detail}
	case errors.Is(err, store.ErrNotFound):
		return &Error{http.StatusNotFound, "request_expired", errRequestExpired.Detail}
	}
	return err
}

type consentBody struct {
	Accept *bool     `json:"accept"`
	Scopes *[]string `json:"scopes"`
}

var errAccept = problem.Invalid(map[string]string{"accept": "Say true or false."})

// consent records the person's yes, to all or some of the scopes, or answers the client that the person refused.
func (p *Provider) consent(c echo.Context) error {
	var body consentBody
	if err := readJSON(c, &body); err != nil {
		return err
	}
	if body.Accept == nil {
		return errAccept
	}
	w, err := p.open(c)
	if err != nil {
		return err
	}
	if !*body.Accept {
		return p.deny(c, w)
	}
	stands, err := p.needs(c.Request().Context(), w.request, w.record, w.session)
	if err != nil || stands.need != needConsent {
		return p.proceed(c, w) // nobody was asked, so nothing is recorded
	}
	scopes, err := chosen(w.request.consentScopes(), body.Scopes)
	if err != nil {
		return err
	}
	if err := p.recordConsent(c, w, scopes); err != nil {
		return err
	}
	return p.proceed(c, w)
}

// chosen returns the scopes that the person ticked. openid stays: without it there is nobody to sign in.
func chosen(asked []string, ticked *[]string) ([]string, error) {
	if ticked == nil {
		return asked, nil
	}
	for _, scope := range *ticked {
		if !slices.Contains(asked, scope) {
			return nil, errScopes
		}
	}
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool {
		return s != scopeOpenID && !slices.Contains(*ticked, s)
	}), nil
}

// recordConsent notes the yes in this request and for the next ones: what was granted before stays, but for the scopes
// that the person was asked about again and left out.
func (p *Provider) recordConsent(c echo.Context, w *waiting, scopes []string) error {
	user, client := w.session.UserID, w.request.client.ID
	return p.Store.Tx(c.Request().Context(), func(ctx context.Context) error {
		if err := p.Store.RecordConsent(ctx, w.record, user, scopes); err != nil {
			return closedMeanwhile(err)
		}
		before, err := p.Store.ConsentOf(ctx, user, client)
		if err != nil {
			return err
		}
		asked := w.request.consentScopes()
		all := append([]string{}, scopes...) // never nil: a yes to no scope at all is a yes
		for _, scope := range before {
			if !slices.Contains(asked, scope) {
				all = append(all, scope)
			}
		}
		slices.Sort(all)
		if err := p.Store.SaveConsent(ctx, user, client, all); err != nil {
			return err
		}
		event := auditEvent(c, user, "consent.grant", "client", client)
		event.ApplicationID = w.request.client.ApplicationID
		event.Changes = map[string]store.Change{"scopes": {Before: before, After: all}}
		return p.Store.Audit(ctx, event)
	})
}

// selectAccount notes that the person goes on with the account that is signed in (prompt=select_account).
func (p *Provider) selectAccount(c echo.Context) error {
	w, err := p.open(c)
	if err != nil {
		return err
	}
	if w.session != nil {
		if err := p.Store.RecordAccount(c.Request().Context(), w.record, w.session.ID); err != nil {
			return closedMeanwhile(err)
		}
	}
	return p.proceed(c, w)
}

// cancel gives up: the client learns that the person refused.
func (p *Provider) cancel(c echo.Context) error {
	w, err := p.open(c)
	if err != nil {
		return err
	}
	return p.deny(c, w)
}

var errDenied = &Error{http.StatusForbidden, "access_denied", "The person refused."}

func (p *Provider) deny(c echo.Context, w *waiting) error {
	w.denied = true
	return p.proceed(c, w)
}

// show renders the request for the pages.
func (p *Provider) show(c echo.Context, w *waiting, next *string, target string) error {
	a := w.request
	body := requestBody{
		ID: w.record.ID, Client: showClient(a), Scopes: []requestScope{}, Next: next, RedirectTo: target,
		LoginHint: a.form.Get("login_hint"), UILocales: strings.Fields(a.form.Get("ui_locales")),
		ExpiresAt: timestamp(w.record.ExpiresAt),
	}
	var before []string
	if w.session != nil {
		u := w.session.User
		body.User = &requestUser{u.ID, u.Name, u.Email, u.Image}
	}
	if next != nil && *next == needConsent {
		var err error
		if before, err = p.Store.ConsentOf(c.Request().Context(), w.session.UserID, a.client.ID); err != nil {
			return err
		}
	}
	for _, scope := range a.consentScopes() {
		title, description := scopeInWords(scope)
		body.Scopes = append(body.Scopes, requestScope{scope, title, description, slices.Contains(before, scope)})
	}
	if err := p.showOrganizations(c, w, &body); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, body)
}

func showClient(a *authorization) requestClient {
	app := a.client.Application
	host := a.redirectURI
	if u, err := url.Parse(a.redirectURI); err == nil {
		if host = u.Host; host == "" {
			host = u.Scheme + ":"
		}
	}
	return requestClient{a.client.ID, a.client.Name, app.LogoURI, app.HomepageURI, app.PolicyURI, app.TOSURI, host}
}

// scopeInWords is the English text of a scope; the pages translate the ones they know.
func scopeInWords(scope string) (title, description string) {
	words := map[string][2]string{
		scopeOpenID:  {"Know who you are", "An identifier of your account."},
		scopeProfile: {"See your profile", "Your name and picture."},
		scopeEmail:   {"See your e-mail address", "Your address, and whether it is verified."},
		scopeOffline: {"Stay connected", "Access while you are not using the application, until you remove it."},
		scopeRoles:   {"See your roles", "Your roles and permissions in this application."},
		scopePlan:    {"See your plan", "Your plan and its features in this application."},
		scopeOrg:     {"See your organization", "The organization for which you use the application."},
	}
	if w, ok := words[scope]; ok {
		return w[0], w[1]
	}
	return scope, "A permission that the application defines."
}
