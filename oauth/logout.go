package oauth

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"auth-service/problem"
	"auth-service/store"
)

// logout is a checked request to end a session (OIDC RP-Initiated Logout 1.0).
type logout struct {
	hint   *hint   // nil without a usable id_token_hint
	client *client // nil when the request names none
	target string  // a registered post_logout_redirect_uri, or empty
	state  string
}

var errLogoutTarget = invalidRequest("The post_logout_redirect_uri is not registered for the client, or the request names no client.")

// endSession serves the end-session endpoint. With an ID token of the session that is to end the person has said so in
// the application; without one, they are asked here, because any page can link to this address.
func (p *Provider) endSession(c echo.Context) error {
	noStore(c.Response().Header())
	media, _, _ := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if c.Request().Method == http.MethodPost && media == "application/json" {
		return p.SameOrigin(p.confirmedEndSession)(c)
	}
	form, err := authorizeForm(c.Request())
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), nil})
	}
	l, err := p.readLogout(c.Request().Context(), form)
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), nil})
	}
	ses, err := p.currentSession(c.Request())
	if err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), nil})
	}
	if l.hint == nil && ses != nil || l.hint != nil && ses != nil && ses.UserID != l.hint.Subject {
		return c.Redirect(http.StatusSeeOther, "/sign-out?"+l.query().Encode())
	}
	if err := p.endHinted(c, l, ses); err != nil {
		return p.refuse(c, &refusal{p.explain(c, err), nil})
	}
	return c.Redirect(http.StatusSeeOther, l.destination())
}

// readLogout checks the parameters. A redirect needs a registered URI of a client that is known by the hint or by name. A
// hint that we cannot verify, forged or older than our keys, counts as none, so the person is asked.
func (p *Provider) readLogout(ctx context.Context, form url.Values) (*logout, error) {
	l := &logout{target: form.Get("post_logout_redirect_uri"), state: form.Get("state")}
	clientID := form.Get("client_id")
	if h, err := p.readHint(ctx, form.Get("id_token_hint")); err == nil {
		if clientID != "" && clientID != h.Audience {
			return nil, invalidRequest("The id_token_hint was issued to another client than client_id.")
		}
		l.hint, clientID = h, h.Audience
	}
	if clientID != "" {
		client, err := p.clients.get(ctx, clientID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		l.client = client
	}
	if l.target != "" && (l.client == nil || !slices.Contains(l.client.PostLogoutRedirectURIs, l.target)) {
		return nil, errLogoutTarget
	}
	return l, nil
}

// query is what the confirmation page sends back.
func (l *logout) query() url.Values {
	q := url.Values{}
	if l.client != nil {
		q.Set("client_id", l.client.ID)
	}
	if l.target != "" {
		q.Set("post_logout_redirect_uri", l.target)
	}
	if l.state != "" {
		q.Set("state", l.state)
	}
	return q
}

func (l *logout) destination() string {
	if l.target == "" {
		return "/signed-out"
	}
	a := &authorization{redirectURI: l.target, mode: "query"}
	if l.state == "" {
		return l.target
	}
	return redirectTo(a, url.Values{"state": {l.state}})
}

// endHinted ends the session that the hint names. It may be another than the browser's, or the browser may have sent no
// cookie, because the form came from the application's site.
func (p *Provider) endHinted(c echo.Context, l *logout, ses *store.Session) error {
	if l.hint == nil && ses == nil {
		return nil
	}
	return p.Store.Tx(c.Request().Context(), func(ctx context.Context) error {
		if l.hint != nil && (ses == nil || ses.ID != l.hint.SessionID) {
			err := p.Store.EndSession(ctx, l.hint.Subject, l.hint.SessionID, store.ReasonSignedOut, p.now())
			if err == nil {
				event := auditEvent(c, l.hint.Subject, "session.end", "session", l.hint.SessionID)
				event.Changes = map[string]store.Change{"reason": {After: store.ReasonSignedOut}}
				err = p.Store.Audit(ctx, event)
			} else if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
			if err := p.Store.RevokeSessionGrants(ctx, []string{l.hint.SessionID}, store.ReasonSignedOut); err != nil {
				return err
			}
		}
		if ses == nil {
			return nil
		}
		return p.Sessions.End(ctx, c, store.ReasonSignedOut)
	})
}

type confirmedLogout struct {
	Confirm               bool   `json:"confirm"`
	ClientID              string `json:"client_id"`
	PostLogoutRedirectURI string `json:"post_logout_redirect_uri"`
	State                 string `json:"state"`
}

var errConfirm = problem.Invalid(map[string]string{"confirm": "Must be true."})

// confirmedEndSession is called by our own page once the person has agreed.
func (p *Provider) confirmedEndSession(c echo.Context) error {
	var body confirmedLogout
	if err := readJSON(c, &body); err != nil {
		return err
	}
	if !body.Confirm {
		return errConfirm
	}
	ctx := c.Request().Context()
	form := url.Values{"client_id": {body.ClientID}, "post_logout_redirect_uri": {body.PostLogoutRedirectURI}, "state": {body.State}}
	l, err := p.readLogout(ctx, form)
	var refused *Error
	if errors.As(err, &refused) {
		return problem.New(http.StatusBadRequest, "INVALID_REDIRECT_URI", refused.Description)
	}
	if err != nil {
		return err
	}
	err = p.Store.Tx(ctx, func(ctx context.Context) error { return p.Sessions.End(ctx, c, store.ReasonSignedOut) })
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"redirectTo": l.destination()})
}
