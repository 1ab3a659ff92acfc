package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"auth-service/store"
)

// authorization is a request at the authorization endpoint whose every parameter has been checked.
type authorization struct {
	client      *client
	form        url.Values
	redirectURI string
	mode        string // query, fragment or form_post
	state       string
	scopes      []string
	resources   []string
	challenge   string
	nonce       string
	prompt      []string
	maxAge      time.Duration // negative when absent
	subject     string        // who must sign in, by id_token_hint or the claims parameter; empty for anyone
	claims      store.ClaimsRequest
	acr         []string // of which one is essential (OIDC Core §5.5.1.1)
	// organization is the id or slug of the one that the client wants the person to act for; empty for any.
	organization string
}

// A refusal is why a request was refused, and whether its client may be told: only a client and redirect_uri that were
// found good get an answer, else the server would redirect people to wherever a stranger wishes.
type refusal struct {
	reason *Error
	to     *authorization // nil: show the error here
}

func (r *refusal) Error() string { return r.reason.Error() }
func (r *refusal) Unwrap() error { return r.reason }

const (
	maxParameter = 8 << 10 // of state, nonce and the like
	maxScopes    = 64
)

// readAuthorization checks the parameters of an authorization request (RFC 6749 §4.1.1, OIDC Core §3.1.2.1, RFC 7636,
// RFC 8707).
func (p *Provider) readAuthorization(ctx context.Context, form url.Values) (*authorization, error) {
	c, err := p.clients.get(ctx, form.Get("client_id"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &refusal{&Error{400, "invalid_client", "No enabled client has this client_id."}, nil}
	}
	if err != nil {
		return nil, err
	}
	uri := form.Get("redirect_uri")
	if !matchRedirectURI(c.RedirectURIs, uri) {
		return nil, &refusal{&Error{400, "invalid_redirect_uri", "The redirect_uri is not registered for this client, character by character."}, nil}
	}
	a := &authorization{client: c, form: form, redirectURI: uri, mode: "query", state: form.Get("state"), maxAge: -1}
	for _, check := range []func() *Error{
		a.checkMode, a.checkUnsupported, a.checkResponseType, a.checkLengths, a.checkScopes, a.checkOrganization, a.checkResources,
		a.checkPKCE, a.checkPrompt, a.checkMaxAge, a.checkClaims,
		func() *Error { return p.checkHint(ctx, a) },
	} {
		if err := check(); err != nil {
			return nil, &refusal{err, a}
		}
	}
	return a, nil
}

func (a *authorization) checkMode() *Error {
	switch mode := a.form.Get("response_mode"); mode {
	case "":
	case "query", "fragment", "form_post":
		a.mode = mode
	default:
		return invalidRequest("The response_mode is not supported. Use query, fragment or form_post.")
	}
	return nil
}

// checkUnsupported refuses what would change the meaning of the request if it were ignored, in the words of OIDC Core §6.
func (a *authorization) checkUnsupported() *Error {
	for _, name := range []string{"request", "request_uri", "registration"} {
		if a.form.Get(name) != "" {
			return &Error{400, name + "_not_supported", "The parameter " + quoted(name) + " is not supported."}
		}
	}
	return nil
}

func (a *authorization) checkResponseType() *Error {
	switch a.form.Get("response_type") {
	case "":
		return invalidRequest("The parameter 'response_type' is missing. Use response_type=code.")
	case "code":
	default:
		return &Error{400, "unsupported_response_type", "Only response_type=code is supported."}
	}
	if !a.client.allows(store.GrantAuthorizationCode) {
		return &Error{400, "unauthorized_client", "The client is not registered for the authorization_code grant."}
	}
	return nil
}

func (a *authorization) checkLengths() *Error {
	a.nonce = a.form.Get("nonce")
	for name, values := range a.form {
		if len(values[0]) > maxParameter {
			return invalidRequest("The parameter " + quoted(name) + " is longer than 8 KiB.")
		}
	}
	return nil
}

// checkScopes compares case-sensitively. Without a scope parameter the client asks for all it is registered for, except
// access while the person is away.
func (a *authorization) checkScopes() *Error {
	asked := strings.Fields(a.form.Get("scope"))
	if len(asked) == 0 {
		asked = slices.DeleteFunc(slices.Clone(a.client.Scopes), func(s string) bool { return s == scopeOffline })
	}
	for _, scope := range asked {
		if !slices.Contains(a.client.Scopes, scope) || len(asked) > maxScopes {
			return errInvalidScope
		}
		if !slices.Contains(a.scopes, scope) {
			a.scopes = append(a.scopes, scope)
		}
	}
	return nil
}

func (a *authorization) checkResources() *Error {
	for _, resource := range a.form["resource"] {
		if !slices.Contains(a.client.Application.Audiences, resource) {
			return errInvalidTarget
		}
		if !slices.Contains(a.resources, resource) {
			a.resources = append(a.resources, resource)
		}
	}
	return nil
}

// checkPKCE requires S256 (RFC 7636, RFC 9700 §2.1.1). A client exempt from PKCE that sends a challenge is held to it.
func (a *authorization) checkPKCE() *Error {
	a.challenge = a.form.Get("code_challenge")
	method := a.form.Get("code_challenge_method")
	switch {
	case a.challenge == "" && method == "" && !a.client.mustUsePKCE():
		return nil
	case a.challenge == "":
		return invalidRequest("The parameter 'code_challenge' is missing. This server requires PKCE with S256.")
	case method != "S256":
		return invalidRequest("The code_challenge_method must be S256.")
	case len(a.challenge) != 43 || strings.Trim(a.challenge, base64URLAlphabet) != "":
		return invalidRequest("The code_challenge is not the base64url text of a SHA-256 hash.")
	}
	return nil
}

const base64URLAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (a *authorization) checkPrompt() *Error {
	a.prompt = strings.Fields(a.form.Get("prompt"))
	for _, value := range a.prompt {
		if !slices.Contains(promptValues, value) {
			return invalidRequest("The prompt value " + quoted(value) + " is not supported.")
		}
	}
	if a.prompts("none") && len(a.prompt) > 1 {
		return invalidRequest("prompt=none cannot be combined with other values.")
	}
	return nil
}

var promptValues = []string{"none", "login", "consent", "select_account", "create"}

func (a *authorization) prompts(value string) bool { return slices.Contains(a.prompt, value) }

func (a *authorization) checkMaxAge() *Error {
	text := a.form.Get("max_age")
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds < 0 {
		return invalidRequest("The max_age must be a number of seconds, zero or more.")
	}
	a.maxAge = time.Duration(seconds) * time.Second
	return nil
}

// checkClaims reads the claims parameter (OIDC Core §5.5). A claim can be had only where its scope is registered, so the
// parameter gets nobody more than scopes would. Unknown claims are ignored, as the specification says.
func (a *authorization) checkClaims() *Error {
	text := a.form.Get("claims")
	if text == "" {
		return nil
	}
	type member struct {
		Essential bool  `json:"essential"`
		Value     any   `json:"value"` // a string for the claims that are read below
		Values    []any `json:"values"`
	}
	var asked struct {
		IDToken  map[string]*member `json:"id_token"`
		UserInfo map[string]*member `json:"userinfo"`
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return invalidRequest("The parameter 'claims' is not the JSON that OpenID Connect Core §5.5 describes.")
	}
	for name := range asked.IDToken {
		a.claims.IDToken = a.withClaim(a.claims.IDToken, name)
	}
	for name := range asked.UserInfo {
		a.claims.UserInfo = a.withClaim(a.claims.UserInfo, name)
	}
	slices.Sort(a.claims.IDToken)
	slices.Sort(a.claims.UserInfo)
	if sub := asked.IDToken["sub"]; sub != nil && sub.Value != nil {
		if a.subject, _ = sub.Value.(string); a.subject == "" {
			return invalidRequest("The value of the claim 'sub' must be a string.")
		}
	}
	if acr := asked.IDToken["acr"]; acr != nil && acr.Essential {
		if acr.Value != nil {
			acr.Values = append(acr.Values, acr.Value)
		}
		for _, value := range acr.Values {
			text, _ := value.(string) // what is no string is an acr that nobody can have
			a.acr = append(a.acr, text)
		}
	}
	return nil
}

func (a *authorization) withClaim(names []string, name string) []string {
	scope, known := claimScopes[name]
	if !known || !slices.Contains(a.client.Scopes, scope) {
		return names
	}
	if scope == scopeOrg && !slices.Contains(a.scopes, scope) { // only the scope binds an organization to the grant
		return names
	}
	return append(names, name)
}

// checkHint reads the id_token_hint: the person it names must be the one who signs in (OIDC Core §3.1.2.1).
func (p *Provider) checkHint(ctx context.Context, a *authorization) *Error {
	text := a.form.Get("id_token_hint")
	if text == "" {
		return nil
	}
	h, err := p.readHint(ctx, text)
	if err != nil || a.subject != "" && a.subject != h.Subject {
		return invalidRequest("The id_token_hint was not issued by this server, or names another person than the claims parameter.")
	}
	a.subject = h.Subject
	return nil
}

// consentScopes are what the person is asked about: the scopes, and those that stand for claims asked for one by one.
func (a *authorization) consentScopes() []string {
	scopes := slices.Clone(a.scopes)
	for _, name := range slices.Concat(a.claims.IDToken, a.claims.UserInfo) {
		if scope := claimScopes[name]; !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// within drops the claims whose scope the person did not grant.
func within(c store.ClaimsRequest, scopes []string) store.ClaimsRequest {
	granted := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(scopes, claimScopes[name]) })
	}
	return store.ClaimsRequest{IDToken: granted(c.IDToken), UserInfo: granted(c.UserInfo)}
}
