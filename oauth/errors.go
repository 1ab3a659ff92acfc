package oauth

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/ory/fosite"

	"auth-service/store"
)

// An Error is a failure in the protocol's own words (RFC 6749 §5.2 and the RFCs that extend it). Its description goes to
// the caller word for word.
type Error struct {
	Status      int
	Code        string
	Description string
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

func invalidRequest(description string) *Error {
	return &Error{http.StatusBadRequest, "invalid_request", description}
}

func invalidGrant(description string) *Error {
	return &Error{http.StatusBadRequest, "invalid_grant", description}
}

var (
	errInvalidClient = &Error{http.StatusUnauthorized, "invalid_client", "Client authentication failed: unknown client, wrong secret, or a method that the client is not registered for."}
	errInvalidScope  = &Error{http.StatusBadRequest, "invalid_scope", "The client is not registered for one of the requested scopes."}
	errInvalidTarget = &Error{http.StatusBadRequest, "invalid_target", "A requested resource is not an audience of the application."}
	errUnavailable   = &Error{http.StatusServiceUnavailable, "temporarily_unavailable", "The server cannot answer right now. Try again in a moment."}
	errServer        = &Error{http.StatusInternalServerError, "server_error", "The server could not process the request."}
	errInvalidToken  = &Error{http.StatusUnauthorized, "invalid_token", "The access token is expired, revoked, malformed or not one of this server."}
	errNoToken       = &Error{http.StatusUnauthorized, "invalid_token", "The request carries no access token."}
	errCodeRejected  = invalidGrant("The authorization code is unknown, expired, already used, or was issued to another client.")
)

// explain turns any failure into what the caller may know. Server faults are logged in full, and hidden.
func (p *Provider) explain(c echo.Context, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	switch {
	case errors.Is(err, store.ErrUnavailable):
		p.report(c, err)
		return errUnavailable
	case errors.Is(err, fosite.ErrInvalidatedAuthorizeCode):
		// The loser of a race for one code; fosite calls it a server error.
		return errCodeRejected
	}
	var rfc *fosite.RFC6749Error
	if errors.As(err, &rfc) && rfc.StatusCode() < http.StatusInternalServerError {
		return fromFosite(rfc)
	}
	p.report(c, err)
	return errServer
}

// report writes a server fault to the log, under the id that the caller can quote.
func (p *Provider) report(c echo.Context, err error) {
	id := c.Response().Header().Get(echo.HeaderXRequestID)
	p.Log.Error().Err(err).Str("route", c.Path()).Str("request_id", id).Msg("oauth request failed")
}

// fault returns what really went wrong where fosite says no more than "server_error".
func fault(err error) error {
	var rfc *fosite.RFC6749Error
	if errors.As(err, &rfc) && rfc.StatusCode() >= http.StatusInternalServerError && rfc.Unwrap() != nil {
		return rfc.Unwrap()
	}
	return err
}

// fromFosite keeps the codes that the RFCs define and maps fosite's own inventions to them.
func fromFosite(e *fosite.RFC6749Error) *Error {
	description := e.GetDescription()
	switch e.ErrorField {
	case "invalid_request", "unauthorized_client", "invalid_grant", "unsupported_grant_type":
		return &Error{http.StatusBadRequest, e.ErrorField, description}
	case "invalid_scope": // fosite repeats the scope, with characters that RFC 6749 §5.2 forbids
		return errInvalidScope
	case "invalid_client":
		return errInvalidClient
	}
	return invalidRequest(description)
}

// writeError answers a request of a client or resource server (not of a browser).
func (p *Provider) writeError(c echo.Context, err error) error {
	e := p.explain(c, err)
	h := c.Response().Header()
	noStore(h)
	switch {
	case e.Status == http.StatusUnauthorized && e.Code == errInvalidClient.Code:
		h.Set("WWW-Authenticate", `Basic realm="token", charset="UTF-8"`)
	case e.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	return c.JSON(e.Status, errorBody{e.Code, e.Description})
}

type errorBody struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description,omitempty"`
}

// noStore keeps tokens and what reveals them out of every cache (RFC 6749 §5.1).
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}
