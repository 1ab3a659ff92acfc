package account_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

const (
	public   = "https://auth.example.com"
	trusted  = "https://app.example.com"
	email    = "ada@example.com"
	password = "correct horse battery"
)

// clock is the one fake of these tests beside the address of the caller.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server is the account API as main.go puts it together, on a real database.
type server struct {
	t     *testing.T
	store *store.Store
	svc   *account.Service
	clock *clock
	echo  *echo.Echo
	log   *bytes.Buffer
}

// onEach runs fn against SQLite and PostgreSQL.
func onEach(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB, ...storetest.Option) *store.Store{"sqlite": storetest.New, "postgres": storetest.NewPostgres} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			fn(t, newServer(t, open(t, func(o *store.Options) { o.Now = c.Now }), c))
		})
	}
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func newServer(t *testing.T, db *store.Store, c *clock) *server {
	t.Helper()
	log := &bytes.Buffer{}
	s := &server{t: t, store: db, clock: c, echo: echo.New(), log: log}
	s.svc = newService(db, c, zerolog.New(zerolog.SyncWriter(log)))
	s.echo.HTTPErrorHandler = problem.Handler(s.svc.Log)
	s.echo.Use(s.svc.Origins.SameOrigin)
	s.svc.Mount(s.echo, problem.NewAPI(s.echo, "test", "0"))
	return s
}

func newService(db *store.Store, c *clock, log zerolog.Logger) *account.Service {
	counters := &store.Counters{Store: db}
	return &account.Service{
		Store: db,
		Sessions: &account.Sessions{
			Store: db, Secure: true, Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Short: 24 * time.Hour,
			Touch: time.Minute, Counters: counters, Now: c.Now, Log: log,
		},
		Hasher: &account.Hasher{
			Argon2: account.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, Queue: 1000, QueueTimeout: time.Minute,
		},
		Policy: account.PasswordPolicy{MinLength: 8, MaxLength: 128},
		Throttle: &account.Throttle{
			Store:          db,
			ThrottlePolicy: store.ThrottlePolicy{Free: 5, Base: time.Second, Max: 15 * time.Minute, Window: time.Hour},
			Addresses:      &account.AddressLimiter{Rate: 1, Burst: 100, Now: c.Now},
			Now:            c.Now,
		},
		Devices:  &account.Devices{Keyring: storetest.Keyring(), Secure: true},
		Counters: counters,
		Origins:  &account.Origins{PublicURL: public, Trusted: []string{trusted}, Exempt: []string{"/api/auth/oauth2/token"}},

		Organizations: account.OrganizationPolicy{SelfService: true, MaxMembers: 5, MaxInvitations: 3, InvitationLifetime: 48 * time.Hour},
		SignUpEnabled: true, AppName: "Test", Issuer: public + "/api/auth", Version: "test", Now: c.Now, Log: log,
	}
}

// browser keeps cookies and sends what browsers send.
type browser struct {
	s       *server
	cookies map[string]string
	header  http.Header
	address string
}

func (s *server) browser() *browser {
	return &browser{s: s, cookies: map[string]string{}, address: "192.0.2.1", header: http.Header{
		"Origin": {public}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "User-Agent": {"Test/1.0"},
	}}
}

type response struct {
	*httptest.ResponseRecorder
	t *testing.T
}

func (r response) json() map[string]any {
	r.t.Helper()
	var out map[string]any
	require.NoError(r.t, json.Unmarshal(r.Body.Bytes(), &out), r.Body.String())
	return out
}

func (r response) code() string {
	code, _ := r.json()["code"].(string)
	return code
}

// refused asserts status and code of an error.
func (r response) refused(status int, code string) {
	r.t.Helper()
	require.Equal(r.t, status, r.Code, r.Body.String())
	require.Equal(r.t, code, r.code(), r.Body.String())
	require.Equal(r.t, problem.ContentType, r.Header().Get("Content-Type"))
}

func (r response) ok() response {
	r.t.Helper()
	require.Equal(r.t, http.StatusOK, r.Code, r.Body.String())
	return r
}

func (b *browser) request(method, path, contentType string, body io.Reader) *http.Request {
	req := httptest.NewRequestWithContext(b.s.t.Context(), method, "/api/auth/"+path, body)
	req.Header = b.header.Clone()
	if method == http.MethodGet {
		req.Header.Del("Origin")
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.RemoteAddr = b.address + ":40000"
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return req
}

func (b *browser) do(req *http.Request) response {
	rec := httptest.NewRecorder()
	b.s.echo.ServeHTTP(rec, req)
	for _, cookie := range rec.Result().Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie.Value
		}
	}
	return response{rec, b.s.t}
}

func (b *browser) get(path string) response {
	return b.do(b.request(http.MethodGet, path, "", nil))
}

// post sends body as JSON; a string goes as it is.
func (b *browser) post(path string, body any) response {
	b.s.t.Helper()
	raw, isText := body.(string)
	if !isText {
		encoded, err := json.Marshal(body)
		require.NoError(b.s.t, err)
		raw = string(encoded)
	}
	return b.do(b.request(http.MethodPost, path, "application/json", strings.NewReader(raw)))
}

func (b *browser) postForm(path string, form url.Values) response {
	return b.do(b.request(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode())))
}

type object = map[string]any

func (b *browser) signUp(email string) response {
	b.s.t.Helper()
	return b.post("sign-up/email", object{"name": "Ada", "email": email, "password": password}).ok()
}

func (b *browser) signIn(email, password string) response {
	b.s.t.Helper()
	return b.post("sign-in/email", object{"email": email, "password": password})
}

// user returns who get-session says is signed in, or nil.
func (b *browser) user() object {
	b.s.t.Helper()
	r := b.get("get-session").ok()
	if strings.TrimSpace(r.Body.String()) == "null" {
		return nil
	}
	return r.json()["user"].(object)
}

func (b *browser) signedIn() bool { return b.user() != nil }

const sessionCookie = "__Host-auth_session"

func cookieNamed(r response, name string) *http.Cookie {
	for _, c := range r.Result().Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

var (
	system = account.System()
	nop    = zerolog.Nop()
)
