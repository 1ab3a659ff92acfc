package problem

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
)

// ContentType is the media type of every error body (RFC 9457 §3).
const ContentType = "application/problem+json"

// problem is an Error on the wire. The OpenAPI document takes the schema "Problem" from it.
type problem struct {
	Type      string            `json:"type" doc:"Always about:blank: code tells problems apart." example:"about:blank"`
	Title     string            `json:"title" doc:"The status in words." example:"Bad Request"`
	Status    int               `json:"status" doc:"The HTTP status." example:"400"`
	Detail    string            `json:"detail" doc:"What went wrong, in one sentence for people."`
	Code      string            `json:"code" doc:"What went wrong, for programs; never changes." example:"VALIDATION_ERROR"`
	Message   string            `json:"message" doc:"The same as detail, for clients that look for it here."`
	Errors    map[string]string `json:"errors,omitempty" doc:"One sentence per field that needs another value."`
	RequestID string            `json:"requestId,omitempty" doc:"Quote it when you report the problem."`

	err     error // what huma found or a handler returned; see newHumaError
	members map[string]any
}

func show(e *Error, requestID string) problem {
	title := http.StatusText(e.Status)
	if e.Status == statusClientGone {
		title = "Client Closed Request"
	}
	return problem{
		Type: "about:blank", Title: title, Status: e.Status, Detail: e.Detail,
		Code: e.Code, Message: e.Detail, Errors: e.Fields, RequestID: requestID, members: e.Members,
	}
}

// MarshalJSON adds the members behind those that every problem has.
func (p problem) MarshalJSON() ([]byte, error) {
	type plain problem
	text, err := json.Marshal(plain(p))
	if err != nil || len(p.members) == 0 {
		return text, err
	}
	members, err := json.Marshal(p.members)
	if err != nil {
		return nil, err
	}
	return append(append(text[:len(text)-1], ','), members[1:]...), nil
}

// Handler is the server's only error writer outside the OAuth endpoints: handlers return errors, this renders them.
// A server fault is logged here, once, with its cause; the caller sees none of it. On oauthRoutes, which write their own
// errors, it renders what happens before they are reached (a wrong method, a body that is too large) in their shape.
func Handler(log zerolog.Logger, oauthRoutes ...string) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		e := Of(err)
		if e.Status == statusClientGone && c.Request().Context().Err() == nil {
			// The caller is still there: it was us who gave up, for instance because the server stops.
			e = Unavailable(2 * time.Second).Because(err)
		}
		requestID := c.Response().Header().Get(echo.HeaderXRequestID)
		report(log, e, err, c, requestID)
		if c.Response().Committed {
			return
		}
		var content any = show(e, requestID)
		contentType := ContentType
		if slices.Contains(oauthRoutes, c.Path()) {
			content, contentType = showOAuth(e), echo.MIMEApplicationJSON
		}
		if err := write(c, e, contentType, content); err != nil {
			log.Debug().Err(err).Str("request_id", requestID).Msg("the error could not be sent")
		}
	}
}

// report writes what an operator has to see: bugs as errors, outages as warnings. A caller who hung up is neither.
func report(log zerolog.Logger, e *Error, err error, c echo.Context, requestID string) {
	level := zerolog.DebugLevel
	switch {
	case e.Status == http.StatusServiceUnavailable:
		level = zerolog.WarnLevel
	case e.Status >= 500:
		level = zerolog.ErrorLevel
	}
	log.WithLevel(level).Err(err).Str("method", c.Request().Method).Str("route", c.Path()).Int("status", e.Status).
		Str("code", e.Code).Str("request_id", requestID).Msg("request failed")
}

// showOAuth is the shape of RFC 6749 §5.2.
func showOAuth(e *Error) map[string]string {
	code := "invalid_request"
	switch {
	case e.Status == http.StatusServiceUnavailable:
		code = "temporarily_unavailable"
	case e.Status >= 500:
		code = "server_error"
	}
	return map[string]string{"error": code, "error_description": e.Detail}
}

func write(c echo.Context, e *Error, contentType string, content any) error {
	header := c.Response().Header()
	for name, values := range e.header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header.Set("Cache-Control", "no-store")
	if c.Request().Method == http.MethodHead {
		header.Set(echo.HeaderContentType, contentType)
		return c.NoContent(e.Status)
	}
	b, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return c.Blob(e.Status, contentType, b)
}
