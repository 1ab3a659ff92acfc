package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Error is what the server answered instead of what was asked for.
type Error struct {
	Status    int
	Code      string            // stable, such as QUOTA_EXCEEDED
	Message   string            // a sentence for people
	Fields    map[string]string // what is wrong with which field, such as records[3].amount
	RequestID string            // finds the request in the server's log

	RetryAfter time.Duration // when to come back, if the server said so
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s: %s", e.Status, e.Code, e.Message)
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		fmt.Fprintf(&b, " %s: %s", field, e.Fields[field])
	}
	return b.String()
}

// Is compares with one of the errors below, for errors.Is.
func (e *Error) Is(target error) bool {
	c, ok := target.(code)
	return ok && string(c) == e.Code
}

// A code is an error that says nothing but which one it is.
type code string

func (c code) Error() string { return string(c) }

// What the server refuses, for errors.Is.
const (
	ErrQuotaExceeded        = code("QUOTA_EXCEEDED")
	ErrUserNotFound         = code("USER_NOT_FOUND")
	ErrOrganizationNotFound = code("ORGANIZATION_NOT_FOUND")
	ErrIdempotencyKeyReused = code("IDEMPOTENCY_KEY_REUSED") // for something else than this record
	ErrReservationNotFound  = code("RESERVATION_NOT_FOUND")  // or another application's
	ErrReservationExpired   = code("RESERVATION_EXPIRED")    // what was used is to be recorded by Record
	ErrReservationReleased  = code("RESERVATION_RELEASED")
	ErrReservationCommitted = code("RESERVATION_COMMITTED")
)

// failure reads a problem (RFC 9457) or, from the token endpoint, an OAuth error. What a proxy answers is neither.
func failure(res *http.Response, body []byte) *Error {
	e := &Error{Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After")), RequestID: res.Header.Get("X-Request-Id")}
	var p struct {
		Code, Detail string
		Errors       map[string]string
		Error        string `json:"error"`
		Description  string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &p) // what it has not, it lacks
	e.Code, e.Message, e.Fields = p.Code, p.Detail, p.Errors
	if e.Code == "" {
		e.Code, e.Message = p.Error, p.Description
	}
	if e.Message == "" {
		e.Message = http.StatusText(res.StatusCode)
	}
	return e
}

// retryAfter reads both forms of the header (RFC 9110 §10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return time.Until(at)
	}
	return 0
}
