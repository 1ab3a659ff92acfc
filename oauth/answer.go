package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// issue writes the code for what the person granted and sends it to the client.
func (p *Provider) issue(c echo.Context, a *authorization, ses *store.Session, stands standing) error {
	logged(c, a.client.ID, ses.UserID)
	code, err := p.newCode(c.Request().Context(), a, ses, stands)
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), a})
	}
	return p.answer(c, a, url.Values{"code": {code}})
}

// stateSentinel stands for an absent state: fosite refuses requests without one, OAuth 2.1 does not.
const stateSentinel = "absent"

// newCode lets fosite issue the code for a request that readAuthorization found good.
func (p *Provider) newCode(ctx context.Context, a *authorization, ses *store.Session, stands standing) (string, error) {
	scopes := slices.DeleteFunc(slices.Clone(a.scopes), func(s string) bool { return !slices.Contains(stands.granted, s) })
	form := url.Values{
		"client_id": {a.client.ID}, "redirect_uri": {a.redirectURI}, "response_type": {"code"}, "state": {stateSentinel},
		"scope": {strings.Join(scopes, " ")}, "nonce": {a.nonce},
	}
	if a.challenge != "" {
		form.Set("code_challenge", a.challenge)
		form.Set("code_challenge_method", "S256")
	}
	r := (&http.Request{Method: http.MethodGet, URL: &url.URL{}, Form: form, Header: http.Header{}}).WithContext(ctx)
	request, err := p.fosite.NewAuthorizeRequest(ctx, r)
	if err != nil {
		return "", fault(err)
	}
	for _, scope := range scopes {
		request.GrantScope(scope)
	}
	for _, resource := range a.resources {
		request.GrantAudience(resource)
	}
	request.SetID(store.NewID()) // the id of the grant to be
	response, err := p.fosite.NewAuthorizeResponse(ctx, request, &session{
		user: ses.User, sessionID: ses.ID, authTime: ses.AuthTime, acr: ses.ACR, amr: ses.AMR,
		nonce: a.nonce, challenge: a.challenge, claims: within(a.claims, stands.granted), orgID: stands.bound(),
	})
	if err != nil {
		return "", fault(err)
	}
	p.Store.AfterCommit(ctx, func() { p.Counters.Add(store.MetricAuthorizations, a.client.ApplicationID) })
	return response.GetCode(), nil
}

// answer sends parameters to the client in the mode it asked for, always with state, when it sent one, and iss (RFC 9207).
func (p *Provider) answer(c echo.Context, a *authorization, params url.Values) error {
	params = p.complete(a, params)
	if a.mode == "form_post" {
		return formPost(c, a.redirectURI, params)
	}
	return c.Redirect(http.StatusSeeOther, redirectTo(a, params))
}

func (p *Provider) complete(a *authorization, params url.Values) url.Values {
	params.Set("iss", p.issuer)
	if a.state != "" {
		params.Set("state", a.state)
	}
	return params
}

// redirectTo appends params to the redirect_uri, whose own query stays as it was registered.
func redirectTo(a *authorization, params url.Values) string {
	separator := "?"
	switch {
	case a.mode == "fragment":
		separator = "#"
	case strings.HasSuffix(a.redirectURI, "?"):
		separator = ""
	case strings.Contains(a.redirectURI, "?"):
		separator = "&"
	}
	return a.redirectURI + separator + params.Encode()
}

// The page of response_mode=form_post submits itself; without script the person presses the button. Its policy allows
// exactly its one script. It names no form-action: browsers hold that against every redirect after the post, too, and
// where the client sends the person from its callback is the client's business.
const formPostScript = "document.forms[0].submit()"

var formPostPage = template.Must(template.New("form_post").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>…</title></head><body>
<form method="post" action="{{.Action}}">
{{range $name, $values := .Params}}<input type="hidden" name="{{$name}}" value="{{index $values 0}}">
{{end}}<noscript><button type="submit">Continue</button></noscript>
</form><script>` + formPostScript + `</script></body></html>
`))

func formPost(c echo.Context, action string, params url.Values) error {
	hash := sha256.Sum256([]byte(formPostScript))
	h := c.Response().Header()
	noStore(h)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+
		"'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return formPostPage.Execute(c.Response(), map[string]any{
		"Action": template.URL(action), // registered by an administrator; private-use schemes are meant
		"Params": map[string][]string(params),
	})
}
