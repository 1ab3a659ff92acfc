package problem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/problem"
	"auth-service/store"
)

// details is what a client parses.
type details struct {
	Type, Title, Detail, Code, Message, RequestID string
	Status                                        int
	Errors                                        map[string]string
}

type server struct {
	*echo.Echo
	api huma.API
	log *strings.Builder
}

func newServer() *server {
	s := &server{Echo: echo.New(), log: &strings.Builder{}}
	s.HTTPErrorHandler = problem.Handler(zerolog.New(s.log).Level(zerolog.WarnLevel))
	s.Use(middleware.RequestIDWithConfig(middleware.RequestIDConfig{Generator: func() string { return "req-1" }}))
	s.Use(middleware.BodyLimit("2K"))
	s.api = problem.NewAPI(s.Echo, "Test", "1")
	return s
}

func (s *server) do(t *testing.T, req *http.Request) (*httptest.ResponseRecorder, details) {
	t.Helper()
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	var d details
	if rec.Code >= 400 && req.Method != http.MethodHead {
		require.Equal(t, problem.ContentType, rec.Header().Get("Content-Type"), rec.Body)
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &d), rec.Body)
		assert.Equal(t, rec.Code, d.Status)
		assert.Equal(t, d.Detail, d.Message, "clients of the replaced system read message")
		assert.Equal(t, "about:blank", d.Type)
		assert.Equal(t, "req-1", d.RequestID)
		assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
	}
	return rec, d
}

func jsonRequest(method, target, body string) *http.Request {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	return req
}

// Every kind of error gets its status and code, from a plain handler and from a huma handler alike.
func TestErrorsByKind(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
		logged string
	}{
		{"ours", problem.New(402, "PAY", "Pay first."), 402, "PAY", ""},
		{"ours, wrapped", fmt.Errorf("buy: %w", problem.New(402, "PAY", "Pay first.").Because(errors.New("card"))), 402, "PAY", ""},
		{"fields", problem.Invalid(map[string]string{"name": "Give it a name."}), 400, "VALIDATION_ERROR", ""},
		{"not found", fmt.Errorf("client: %w", store.ErrNotFound), 404, "NOT_FOUND", ""},
		{"conflict", fmt.Errorf("client: %w", store.ErrConflict), 409, "CONFLICT", ""},
		{"database away", fmt.Errorf("client: %w", store.ErrUnavailable), 503, "UNAVAILABLE", "warn"},
		{"too slow", fmt.Errorf("query: %w", context.DeadlineExceeded), 503, "UNAVAILABLE", "warn"},
		{"we gave up", fmt.Errorf("query: %w", context.Canceled), 503, "UNAVAILABLE", "warn"},
		{"throttled", problem.TooMany(1500 * time.Millisecond), 429, "TOO_MANY_REQUESTS", ""},
		{"echo", echo.NewHTTPError(403, "secret words"), 403, "FORBIDDEN", ""},
		{"body over a limit", &http.MaxBytesError{Limit: 1}, 413, "PAYLOAD_TOO_LARGE", ""},
		{"a bug", errors.New("secret words"), 500, "INTERNAL_ERROR", "error"},
		{"mail away", problem.New(502, "MAIL_UNAVAILABLE", "No mail.").Because(errors.New("secret words")), 502, "MAIL_UNAVAILABLE", "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer()
			s.GET("/plain", func(echo.Context) error { return tt.err })
			huma.Register(s.api, huma.Operation{OperationID: "get", Method: "GET", Path: "/huma"},
				func(context.Context, *struct{}) (*struct{}, error) { return nil, tt.err })
			for _, path := range []string{"/plain", "/huma"} {
				s.log.Reset()
				rec, d := s.do(t, httptest.NewRequest("GET", path, nil))
				assert.Equal(t, tt.status, rec.Code, path)
				assert.Equal(t, tt.code, d.Code, path)
				// The cause of an error is for the log; a caller must never see it.
				assert.NotContains(t, rec.Body.String(), "secret words")
				if tt.logged == "" {
					assert.Empty(t, s.log.String(), "the caller's mistakes are not our errors")
				} else {
					assert.Equal(t, 1, strings.Count(s.log.String(), "\n"), "logged once: %s", s.log)
					assert.Contains(t, s.log.String(), `"level":"`+tt.logged+`"`)
					assert.Contains(t, s.log.String(), `"request_id":"req-1"`)
				}
				if strings.Contains(tt.err.Error(), "secret words") && tt.status >= 500 {
					assert.Contains(t, s.log.String(), "secret words")
				}
			}
		})
	}
}

// A waiting time is rounded up, so that a caller who waits as told is served (RFC 6585 §4, RFC 9110 §10.2.3).
// A program that was refused may need more than a code, such as how much is left.
func TestMembers(t *testing.T) {
	full := problem.New(409, "QUOTA_EXCEEDED", "Not enough is left.")
	full.Members = map[string]any{"limit": 10, "resetAt": nil}
	s := newServer()
	s.GET("/", func(echo.Context) error { return full })
	rec, d := s.do(t, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, "QUOTA_EXCEEDED", d.Code)
	assert.Contains(t, rec.Body.String(), `"limit":10,"resetAt":null}`)
}

func TestRetryAfter(t *testing.T) {
	for err, want := range map[error]string{
		problem.TooMany(1500 * time.Millisecond): "2",
		problem.TooMany(0):                       "1",
		store.ErrUnavailable:                     "2",
	} {
		s := newServer()
		huma.Register(s.api, huma.Operation{OperationID: "get", Method: "GET", Path: "/"},
			func(context.Context, *struct{}) (*struct{}, error) { return nil, err })
		rec, _ := s.do(t, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, []string{want}, rec.Header().Values("Retry-After"))
	}
}

// Somebody who closes the tab is not an incident.
func TestCallerGone(t *testing.T) {
	s := newServer()
	ctx, cancel := context.WithCancel(t.Context())
	s.GET("/", func(c echo.Context) error {
		cancel()
		return fmt.Errorf("query: %w", c.Request().Context().Err())
	})
	rec, _ := s.do(t, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	assert.Equal(t, 499, rec.Code)
	assert.Empty(t, s.log.String())
}

func TestHead(t *testing.T) {
	s := newServer()
	s.HEAD("/", func(echo.Context) error { return store.ErrNotFound })
	rec, _ := s.do(t, httptest.NewRequest("HEAD", "/", nil))
	assert.Equal(t, 404, rec.Code)
	assert.Empty(t, rec.Body.String())
}

func TestRouter(t *testing.T) {
	s := newServer()
	s.POST("/api/things", func(c echo.Context) error { return c.NoContent(204) })
	rec, d := s.do(t, httptest.NewRequest("GET", "/api/nothing", nil))
	assert.Equal(t, 404, rec.Code)
	assert.Equal(t, "NOT_FOUND", d.Code)

	rec, d = s.do(t, httptest.NewRequest("DELETE", "/api/things", nil))
	assert.Equal(t, 405, rec.Code)
	assert.Equal(t, "METHOD_NOT_ALLOWED", d.Code)
	assert.Equal(t, "OPTIONS, POST", rec.Header().Get("Allow"))
}

// Clients of the OAuth endpoints parse one shape, also when the endpoint itself was never reached (RFC 6749 §5.2).
func TestOAuthRoutes(t *testing.T) {
	for name, tt := range map[string]struct {
		method string
		err    error
		status int
		code   string
	}{
		"wrong method": {"GET", nil, 405, "invalid_request"},
		"too large":    {"POST", echo.ErrStatusRequestEntityTooLarge, 413, "invalid_request"},
		"bug":          {"POST", errors.New("secret words"), 500, "server_error"},
		"outage":       {"POST", store.ErrUnavailable, 503, "temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			e := echo.New()
			e.HTTPErrorHandler = problem.Handler(zerolog.Nop(), "/token")
			e.POST("/token", func(echo.Context) error { return tt.err })
			rec := httptest.NewRecorder()
			e.ServeHTTP(rec, httptest.NewRequest(tt.method, "/token", nil))
			assert.Equal(t, tt.status, rec.Code)
			assert.Equal(t, "application/json", rec.Header().Get("Content-Type"))
			assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			var got map[string]string
			require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &got))
			assert.Equal(t, tt.code, got["error"])
			assert.NotEmpty(t, got["error_description"])
			assert.NotContains(t, rec.Body.String(), "secret words")
			assert.Len(t, got, 2)
		})
	}
}

func TestErrorsCompareByCode(t *testing.T) {
	wrong := problem.New(400, "INVALID_PASSWORD", "No.")
	assert.ErrorIs(t, wrong.Because(errors.New("x")), wrong)
	assert.NotErrorIs(t, problem.New(400, "OTHER", "No."), wrong)
	cause := errors.New("x")
	assert.ErrorIs(t, wrong.Because(cause), cause)
	assert.Empty(t, problem.Of(wrong.WithHeader("A", "b")).Fields)
}
