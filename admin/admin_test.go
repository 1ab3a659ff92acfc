package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/admin"
	"auth-service/outgoing"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// sessions signs in whoever the cookie "who" names. The real ones are tested in package account.
type sessions struct{ store *store.Store }

func (s sessions) Current(r *http.Request) (*store.Session, error) {
	cookie, err := r.Cookie("who")
	if err != nil {
		return nil, store.ErrNotFound
	}
	if cookie.Value == "database-away" {
		return nil, store.ErrUnavailable
	}
	user, err := s.store.UserByID(r.Context(), cookie.Value)
	if err != nil {
		return nil, err
	}
	return &store.Session{ID: "session-" + user.ID, UserID: user.ID, User: user}, nil
}

type token struct {
	user, client string // no user: the client acts for itself
	scopes       []string
}

// tokens are the access tokens that this test issued. The real ones are tested in package oauth.
type tokens map[string]token

func (t tokens) Authenticate(_ context.Context, raw string) (string, string, []string, error) {
	if raw == "database-away" {
		return "", "", nil, store.ErrUnavailable
	}
	found, ok := t[raw]
	if !ok {
		return "", "", nil, errors.New("unknown token")
	}
	return found.user, found.client, found.scopes, nil
}

// sameOrigin stands for account.Origins.
func sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().Header.Get("Sec-Fetch-Site") == "cross-site" && c.Request().Method != http.MethodGet {
			return problem.New(http.StatusForbidden, "INVALID_ORIGIN", "Requests from this site are not accepted.")
		}
		return next(c)
	}
}

type server struct {
	t      *testing.T
	store  *store.Store
	echo   *echo.Echo
	tokens tokens
}

// clock moves only when a test moves it.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.offset.Load()))
}
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func newServer(t *testing.T, s *store.Store) *server {
	t.Helper()
	srv := &server{t: t, store: s, echo: echo.New(), tokens: tokens{
		"machine":        {"", "cl_machine", []string{"admin"}},
		"machine-narrow": {"", "cl_machine", []string{"reports"}},
		"delegated":      {"alice", "cl_console", []string{"openid", "admin"}},
		"delegated-root": {"root", "cl_console", []string{"openid", "admin"}},
		"delegated-user": {"ulla", "cl_console", []string{"openid", "admin"}},
		"delegated-gone": {"nobody", "cl_console", []string{"openid", "admin"}},
	}}
	srv.echo.HTTPErrorHandler = problem.Handler(zerolog.Nop())
	srv.echo.Use(middleware.RequestID())
	people := &account.Service{
		Store:  s,
		Hasher: &account.Hasher{Argon2: account.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, Queue: 100, QueueTimeout: time.Minute},
		Policy: account.PasswordPolicy{MinLength: 8, MaxLength: 128}, Now: time.Now,
		Organizations: account.OrganizationPolicy{MaxMembers: 10, MaxInvitations: 5, InvitationLifetime: 48 * time.Hour},
	}
	h := &admin.Handler{Store: s, People: people, Organizations: people, PublicURL: "https://auth.example.com", Sessions: sessions{s}, Tokens: srv.tokens, SameOrigin: sameOrigin, Now: time.Now,
		WebhookFault: outgoing.New(outgoing.Options{}).Fault}
	h.Mount(problem.NewAPI(srv.echo, "Test", "0"))
	for id, role := range map[string]string{"root": store.RoleSuperadmin, "alice": store.RoleAdmin, "ulla": store.RoleUser} {
		require.NoError(t, s.CreateUser(t.Context(), &store.User{
			ID: id, Email: id + "@example.com", Name: id, Role: role, CreatedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC(),
		}))
	}
	return srv
}

// each runs fn against the API on both engines.
func each(t *testing.T, fn func(t *testing.T, srv *server), options ...storetest.Option) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) { fn(t, newServer(t, s)) }, options...)
}

type answer struct {
	*httptest.ResponseRecorder
	t    *testing.T
	body map[string]any
}

type header map[string]string

// call sends a request as alice, an admin, unless the headers say who.
func (s *server) call(method, path, body string, headers ...header) *answer {
	return s.callWith(s.t.Context(), method, path, body, headers...)
}

func (s *server) callWith(ctx context.Context, method, path, body string, headers ...header) *answer {
	s.t.Helper()
	req := httptest.NewRequest(method, "/api/admin"+path, strings.NewReader(body)).WithContext(ctx)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Cookie", "who=alice")
	for _, h := range headers {
		for name, value := range h {
			req.Header.Set(name, value)
			if value == "" {
				req.Header.Del(name)
			}
		}
	}
	rec := httptest.NewRecorder()
	s.echo.ServeHTTP(rec, req)
	a := &answer{ResponseRecorder: rec, t: s.t}
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &a.body); err != nil {
			s.t.Errorf("%s %s: %v: %s", method, path, err, rec.Body)
		}
	}
	return a
}

// is fails the test unless the answer has the status and, for problems, the code.
func (a *answer) is(status int, code ...string) *answer {
	a.t.Helper()
	require.Equal(a.t, status, a.Code, a.Body)
	if len(code) > 0 {
		require.Equal(a.t, code[0], a.body["code"], a.Body)
	}
	return a
}

// text returns a string of the answer.
func (a *answer) text(name string) string {
	a.t.Helper()
	text, ok := a.body[name].(string)
	require.True(a.t, ok, "%s in %s", name, a.Body)
	return text
}

// errors returns the sentences by field.
func (a *answer) errors() map[string]any {
	errors, _ := a.body["errors"].(map[string]any)
	return errors
}

var asRoot, asUser, asNobody = header{"Cookie": "who=root"}, header{"Cookie": "who=ulla"}, header{"Cookie": ""}

func bearer(token string) header { return header{"Cookie": "", "Authorization": "Bearer " + token} }

const webApplication = `{"name":"CRM","type":"web","redirectUris":["https://crm.example/cb"]}`

// create makes an application and returns its id and client_id.
func (s *server) create(body string, headers ...header) (id, clientID string) {
	s.t.Helper()
	a := s.call("POST", "/applications", body, headers...).is(201)
	return a.text("id"), a.text("clientId")
}
