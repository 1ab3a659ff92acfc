package consumption_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
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

// issued are the access tokens of a test. The real ones are tested in package oauth.
type issued map[string]token

type tokens struct {
	store *store.Store
	issued
	once *atomic.Int64 // how often the token "once" is still good
}

func (t tokens) Authenticate(ctx context.Context, raw string) (string, string, []string, error) {
	if raw == "database-away" {
		return "", "", nil, store.ErrUnavailable
	}
	found, ok := t.issued[raw]
	if !ok || raw == "once" && t.once.Add(-1) < 0 {
		return "", "", nil, errors.New("unknown token")
	}
	return found.user, found.client, found.scopes, nil
}

func (t tokens) ApplicationOf(ctx context.Context, clientID string) (*store.Application, error) {
	c, err := t.store.ClientByID(ctx, clientID)
	if err == nil && (c.Disabled || c.Application.Disabled) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c.Application, nil
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

// ticker is a clock that moves only when a test moves it.
type ticker struct{ offset atomic.Int64 }

// noon is when each test begins: in the middle of a day, a month and a year.
var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func (c *ticker) now() time.Time          { return noon.Add(time.Duration(c.offset.Load())) }
func (c *ticker) advance(d time.Duration) { c.offset.Add(int64(d)) }

// A server is /api/consumption with two applications, crm and erp, and some people.
type server struct {
	*testing.T
	store    *store.Store
	echo     *echo.Echo
	clock    *ticker
	service  *consumption.Service
	handler  *consumption.Handler
	tokens   issued
	once     *atomic.Int64
	crm, erp *store.Application
	log      *strings.Builder
}

func newServer(t *testing.T, s *store.Store, clock *ticker) *server {
	t.Helper()
	srv := &server{T: t, store: s, clock: clock, log: &strings.Builder{}, once: &atomic.Int64{}}
	srv.tokens = issued{
		"crm": {"", "crm-service", nil}, "erp": {"", "erp-service", nil}, "console": {"", "crm-console", []string{"admin"}},
		"ann-at-crm": {"ann", "crm-web", []string{"openid"}}, "ann-at-erp": {"ann", "erp-service", []string{"openid"}},
		"alice-at-erp": {"alice", "erp-service", []string{"openid", "admin"}}, "alice-narrow": {"alice", "erp-service", []string{"openid"}},
		"off": {"", "crm-off", nil}, "once": {"", "crm-service", nil},
	}
	srv.echo = newRouter(srv.log)
	srv.service = &consumption.Service{Store: s, Now: clock.now, MaxAge: 7 * 24 * time.Hour, MaxSkew: 5 * time.Minute}
	srv.handler = &consumption.Handler{
		Service: srv.service, Store: s, Sessions: sessions{s}, Tokens: tokens{s, srv.tokens, srv.once}, SameOrigin: sameOrigin,
		Retention: 400 * 24 * time.Hour, HourlyRetention: 90 * 24 * time.Hour, Now: clock.now,
	}
	srv.handler.Mount(problem.NewAPI(srv.echo, "Test", "0"))
	for id, role := range map[string]string{"root": store.RoleSuperadmin, "alice": store.RoleAdmin, "ann": store.RoleUser, "bob": store.RoleUser, "eve": store.RoleUser} {
		srv.person(id, role)
	}
	srv.crm = srv.application("crm", "crm-service", "crm-web", "crm-console", "crm-off")
	srv.erp = srv.application("erp", "erp-service")
	off, err := s.ClientByID(t.Context(), "crm-off")
	require.NoError(t, err)
	off.Disabled = true
	require.NoError(t, s.UpdateClient(t.Context(), off))
	return srv
}

func newRouter(log *strings.Builder) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = problem.Handler(zerolog.New(log).Level(zerolog.WarnLevel))
	e.Use(middleware.RequestID())
	return e
}

func (s *server) person(id, role string) {
	s.Helper()
	require.NoError(s, s.store.CreateUser(s.Context(), &store.User{ID: id, Email: id + "@example.com", Name: id, Role: role, CreatedAt: noon, UpdatedAt: noon}))
}

// run is a subtest of the same server.
func (s *server) run(name string, fn func(s *server)) {
	s.Run(name, func(t *testing.T) {
		sub := *s
		sub.T = t
		fn(&sub)
	})
}

// application makes one with clients of these ids.
func (s *server) application(slug string, clients ...string) *store.Application {
	s.Helper()
	a := &store.Application{Slug: slug, Name: slug}
	require.NoError(s, s.store.CreateApplication(s.Context(), a))
	for _, id := range clients {
		require.NoError(s, s.store.CreateClient(s.Context(), &store.Client{ID: id, ApplicationID: a.ID, Name: id, Type: store.ClientM2M, TokenEndpointAuthMethod: store.AuthMethodBasic, GrantTypes: []string{store.GrantClientCredentials}}))
	}
	return a
}

// eachServer runs fn against the API on both engines.
func eachServer(t *testing.T, fn func(s *server)) {
	t.Helper()
	clock := &ticker{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		clock.offset.Store(0)
		fn(newServer(t, s, clock))
	}, func(o *store.Options) { o.Now = clock.now })
}

type answer struct {
	*httptest.ResponseRecorder
	*server
	body map[string]any
}

type header map[string]string

func bearer(token string) header { return header{"Authorization": "Bearer " + token} }
func signedIn(id string) header  { return header{"Cookie": "who=" + id} }

// call sends a request with the token of crm's service, unless the headers say who.
func (s *server) call(method, path, body string, headers ...header) *answer {
	s.Helper()
	return s.callIn(s.Context(), method, path, body, headers...)
}

func (s *server) callIn(ctx context.Context, method, path, body string, headers ...header) *answer {
	s.Helper()
	req := httptest.NewRequest(method, "/api/consumption"+path, strings.NewReader(body)).WithContext(ctx)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if len(headers) == 0 {
		headers = []header{bearer("crm")}
	}
	for _, h := range headers {
		for name, value := range h {
			req.Header.Set(name, value)
		}
	}
	rec := httptest.NewRecorder()
	s.echo.ServeHTTP(rec, req)
	a := &answer{ResponseRecorder: rec, server: s}
	if strings.Contains(rec.Header().Get("Content-Type"), "json") && !strings.Contains(rec.Header().Get("Content-Type"), "jsonl") {
		decoder := json.NewDecoder(strings.NewReader(rec.Body.String()))
		decoder.UseNumber()
		require.NoError(s, decoder.Decode(&a.body), "%s %s: %s", method, path, rec.Body)
	}
	return a
}

// is fails the test unless the answer has the status and, for problems, the code.
func (a *answer) is(status int, code ...string) *answer {
	a.Helper()
	require.Equal(a, status, a.Code, "%s\n%s", a.Body, a.log)
	if len(code) > 0 {
		require.Equal(a, code[0], a.body["code"], a.Body)
	}
	return a
}

// errors returns the sentences by field.
func (a *answer) errors() map[string]any {
	errors, _ := a.body["errors"].(map[string]any)
	return errors
}

// text is v as JSON.
func text(t require.TestingT, v any) string {
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return string(out)
}

func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
