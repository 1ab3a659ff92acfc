// Package problem is how our JSON APIs say no: RFC 9457 problem details with a stable code for programs and one sentence
// for people. Handlers return errors and never write one; Handler is the single place that does. OAuth endpoints write
// their own errors, in the shape of RFC 6749 §5.2. Start with New and Handler.
package problem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// statusClientGone is what the log shows when the caller hung up before the answer; nobody receives it.
const statusClientGone = 499

const codeValidation = "VALIDATION_ERROR"

// An Error is a failure that its caller is allowed to understand.
type Error struct {
	Status int
	Code   string            // stable, UPPER_SNAKE, for programs
	Detail string            // one safe sentence, for people
	Fields map[string]string // field path to a sentence: "name", "redirectUris[2]", "query.limit", "path.id"
	// Members are what else a program needs to know (RFC 9457 §3.2). Their names must not be those that every problem has.
	Members map[string]any

	header http.Header
	cause  error // for the log only
}

// New returns an Error. Detail goes to the caller word for word: put nothing secret in it.
func New(status int, code, detail string) *Error {
	return &Error{Status: status, Code: code, Detail: detail}
}

// Invalid reports request fields that need another value: 400 VALIDATION_ERROR, as clients of the replaced system expect.
func Invalid(fields map[string]string) *Error {
	e := New(http.StatusBadRequest, codeValidation, "The request has fields that need another value.")
	e.Fields = fields
	if len(fields) == 0 {
		return e
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	e.Detail = "[" + names[0] + "] " + fields[names[0]]
	if rest := len(names) - 1; rest > 0 {
		e.Detail += fmt.Sprintf(" (and %d more)", rest)
	}
	return e
}

// TooMany tells the caller to come back after the given time (429, RFC 6585 §4).
func TooMany(after time.Duration) *Error {
	return New(http.StatusTooManyRequests, "TOO_MANY_REQUESTS", "Too many requests. Please try again later.").retryAfter(after)
}

// Unavailable tells the caller that the server cannot answer now and is worth asking again (503).
func Unavailable(after time.Duration) *Error {
	return New(http.StatusServiceUnavailable, "UNAVAILABLE", "The service is briefly unavailable. Please try again.").retryAfter(after)
}

// Because attaches the internal cause, which is logged and never sent.
func (e *Error) Because(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// WithHeader adds a response header, such as WWW-Authenticate.
func (e *Error) WithHeader(name, value string) *Error {
	c := *e
	c.header = e.header.Clone()
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Add(name, value)
	return &c
}

// retryAfter rounds up: a caller that waits exactly as long as told must not be refused again.
func (e *Error) retryAfter(after time.Duration) *Error {
	seconds := max(1, int(math.Ceil(after.Seconds())))
	return e.WithHeader("Retry-After", strconv.Itoa(seconds))
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Detail
}

func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is match an Error with the same status and code, whatever its cause.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Status == e.Status && t.Code == e.Code
}

// Of finds what may be said about err. Whatever is not listed here is a bug or an outage: 500 that explains nothing.
func Of(err error) *Error {
	var e *Error
	var he *echo.HTTPError
	var be *echo.BindingError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, store.ErrUnavailable):
		return Unavailable(2 * time.Second).Because(err)
	case errors.Is(err, store.ErrNotFound):
		return New(http.StatusNotFound, "NOT_FOUND", "There is nothing with this address or id.").Because(err)
	case errors.Is(err, store.ErrConflict):
		return New(http.StatusConflict, "CONFLICT", "This clashes with something that exists already.").Because(err)
	case errors.Is(err, context.Canceled):
		return New(statusClientGone, "CLIENT_CLOSED_REQUEST", "The caller did not wait for the answer.").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable(2 * time.Second).Because(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ofStatus(http.StatusRequestTimeout).Because(err)
	case errors.As(err, &tooLarge):
		return ofStatus(http.StatusRequestEntityTooLarge).Because(err)
	case errors.As(err, &he):
		return ofStatus(he.Code).Because(err)
	case errors.As(err, &be), errors.Is(err, io.ErrUnexpectedEOF):
		return ofStatus(http.StatusBadRequest).Because(err)
	}
	return ofStatus(http.StatusInternalServerError).Because(err)
}

// ofStatus gives the errors of the router and of the HTTP layer their code and sentence.
func ofStatus(status int) *Error {
	switch status {
	case http.StatusBadRequest:
		return New(status, "BAD_REQUEST", "The request could not be understood.")
	case http.StatusUnauthorized:
		return New(status, "UNAUTHORIZED", "Sign in first.")
	case http.StatusForbidden:
		return New(status, "FORBIDDEN", "You are not allowed to do this.")
	case http.StatusNotFound:
		return New(status, "NOT_FOUND", "There is nothing with this address or id.")
	case http.StatusMethodNotAllowed:
		return New(status, "METHOD_NOT_ALLOWED", "This address does not answer to this method.")
	case http.StatusNotAcceptable:
		return New(status, "NOT_ACCEPTABLE", "The answer is JSON, which the Accept header excludes.")
	case http.StatusRequestTimeout:
		return New(status, "REQUEST_TIMEOUT", "The request took too long to arrive.")
	case http.StatusRequestEntityTooLarge:
		return New(status, "PAYLOAD_TOO_LARGE", "The request body is too large.")
	case http.StatusUnsupportedMediaType:
		return New(status, "UNSUPPORTED_MEDIA_TYPE", "The Content-Type of the request is not one that this address reads.")
	case http.StatusTooManyRequests:
		return TooMany(time.Second)
	case http.StatusServiceUnavailable:
		return Unavailable(2 * time.Second)
	}
	if status >= 400 && status < 500 {
		return New(status, "REQUEST_FAILED", "The request was refused.")
	}
	return New(http.StatusInternalServerError, "INTERNAL_ERROR", "Something went wrong on our side. Please quote the request id when you report it.")
}
