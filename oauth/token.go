package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/ory/fosite"

	"auth-service/store"
)

var (
	errUnsupportedGrant   = &Error{http.StatusBadRequest, "unsupported_grant_type", "The grant_type is not supported. Use authorization_code, refresh_token or client_credentials."}
	errUnauthorizedClient = &Error{http.StatusBadRequest, "unauthorized_client", "The client is not registered for this grant type."}
)

// token serves the token endpoint (RFC 6749 §3.2).
func (p *Provider) token(c echo.Context) error {
	form, err := formOf(c.Request())
	p.allowOrigin(c, claimedClient(c.Request(), form))
	if err == nil {
		err = checkTokenForm(form)
	}
	if err != nil {
		p.Counters.Add(store.MetricTokenFailures, "")
		return p.writeError(c, err)
	}
	request, response, err := p.exchange(c, form)
	if err != nil {
		return p.writeError(c, err)
	}
	logged(c, request.GetClient().GetID(), request.GetSession().GetSubject())
	noStore(c.Response().Header())
	return c.JSON(http.StatusOK, response.ToMap())
}

// checkTokenForm finds what is missing before fosite looks, whose answers for it are not the RFC's.
func checkTokenForm(form url.Values) error {
	required := map[string][]string{
		store.GrantAuthorizationCode: {"code"},
		store.GrantRefreshToken:      {"refresh_token"},
		store.GrantClientCredentials: {},
	}
	grant := form.Get("grant_type")
	if grant == "" {
		return invalidRequest("The parameter 'grant_type' is missing.")
	}
	names, ok := required[grant]
	if !ok {
		return errUnsupportedGrant
	}
	for _, name := range names {
		if form.Get(name) == "" {
			return invalidRequest("The parameter " + quoted(name) + " is missing.")
		}
	}
	return nil
}

// exchange runs the grant through fosite. A serialization failure of the database is tried again from the start: the
// transaction left nothing behind.
func (p *Provider) exchange(c echo.Context, form url.Values) (request fosite.AccessRequester, response fosite.AccessResponder, err error) {
	var caller *client
	r := c.Request()
	err = p.Store.Retry(r.Context(), func(ctx context.Context) (err error) {
		ctx = withExchange(ctx, actor(c, store.ActorClient, ""))
		defer func() { caller = exchangeIn(ctx).client }()
		request, response, err = p.exchangeOnce(ctx, r, form)
		if errors.Is(err, fosite.ErrInvalidatedAuthorizeCode) { // lost the race for one code: the winner's tokens die too
			if err := p.endGrant(ctx, exchangeIn(ctx).code.GrantID, store.ReasonCodeReplayed); err != nil {
				return err
			}
		}
		return err
	})
	p.countExchange(caller, request, err)
	return request, response, err
}

// countExchange counts a failure for the application of a client that proved which it is; a stranger's is nobody's.
func (p *Provider) countExchange(caller *client, request fosite.AccessRequester, err error) {
	switch {
	case err == nil:
		p.Counters.Add(store.MetricTokens, caller.ApplicationID)
		if subject := request.GetSession().GetSubject(); subject != "" {
			p.Counters.Seen(subject)
		}
	case caller != nil:
		p.Counters.Add(store.MetricTokenFailures, caller.ApplicationID)
	default:
		p.Counters.Add(store.MetricTokenFailures, "")
	}
}

func (p *Provider) exchangeOnce(ctx context.Context, r *http.Request, form url.Values) (fosite.AccessRequester, fosite.AccessResponder, error) {
	r = r.WithContext(ctx)
	form.Del("audience") // fosite reads it; here it is an unknown parameter, to be ignored (RFC 6749 §3.2)
	r.Form, r.PostForm = form, form
	request, err := p.fosite.NewAccessRequest(ctx, r, &session{})
	if failed := exchangeIn(ctx).notRevoked; failed != nil {
		return nil, nil, failed
	}
	if err != nil {
		return nil, nil, fault(err)
	}
	if request.GetGrantTypes().ExactOne(store.GrantClientCredentials) {
		if err := grantToMachine(request, form); err != nil {
			return nil, nil, err
		}
	}
	response, err := p.fosite.NewAccessResponse(ctx, request)
	if err != nil {
		return nil, nil, fault(err)
	}
	response.SetTokenType("Bearer")
	return request, response, nil
}

// grantToMachine grants a client what it asked for itself; fosite leaves that to us. Scopes that speak of a person are
// refused, and when no scope is named the client gets the others it is registered for.
func grantToMachine(r fosite.AccessRequester, form url.Values) error {
	c := r.GetClient().(*client)
	asked := strings.Fields(form.Get("scope"))
	if len(asked) == 0 {
		asked = slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return slices.Contains(personScopes, s) })
	}
	for _, scope := range asked {
		if slices.Contains(personScopes, scope) || !slices.Contains(c.Scopes, scope) {
			return errInvalidScope
		}
		r.GrantScope(scope)
	}
	audience, err := narrowedAudience(c, nil, form["resource"])
	if err != nil {
		return err
	}
	for _, resource := range audience {
		r.GrantAudience(resource)
	}
	return nil
}
