package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/store/storetest"
)

const trustedOrigin = "https://app.example.com"

// buffer is written to by the server and read by the test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// instance is the whole program, as `serve` runs it.
type instance struct {
	t         *testing.T
	url       string
	address   string
	out, logs *buffer
	stop      context.CancelFunc
	done      chan error
	client    *http.Client
}

func testConfig(t *testing.T, databaseURL string) *config.Config {
	t.Helper()
	t.Chdir(t.TempDir()) // away from a developer's config.yaml
	for _, name := range []string{"HOST", "NODE_ENV", "DATABASE_URL", "POSTGRES_HOST", "ADMIN_PASSWORD"} {
		t.Setenv(name, "")
	}
	t.Setenv("PORT", "0")
	t.Setenv("AUTH_LOG_FORMAT", "json")
	t.Setenv("AUTH_DATABASE_URL", databaseURL)
	t.Setenv("AUTH_CORS_ORIGINS", trustedOrigin)
	t.Setenv("AUTH_PASSWORD_ARGON2_MEMORY_KIB", "64")
	cfg, err := config.Load("")
	require.NoError(t, err)
	return cfg
}

func start(t *testing.T, cfg *config.Config) *instance {
	t.Helper()
	return startLogging(t, cfg, &buffer{})
}

func startLogging(t *testing.T, cfg *config.Config, logs *buffer) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	i := &instance{t: t, out: &buffer{}, logs: logs, stop: stop, done: make(chan error, 1), client: &http.Client{Jar: jar}}
	ready := make(chan string, 1)
	go func() { i.done <- run(ctx, cfg, i.out, i.logs, func(address string) { ready <- address }) }()
	select {
	case i.address = <-ready:
	case err := <-i.done:
		require.NoError(t, err, "the server did not start: %s", i.logs)
	}
	i.url = cfg.PublicURL
	t.Cleanup(func() {
		stop()
		i.client.CloseIdleConnections()
	})
	return i
}

// wait stops the instance and returns what run returned.
func (i *instance) wait() error {
	i.stop()
	return <-i.done
}

type reply struct {
	*http.Response
	body string
}

func (r *reply) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &out), r.body)
	return out
}

func (i *instance) do(method, path, body string, header ...string) *reply {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), method, "http://"+i.address+path, strings.NewReader(body))
	require.NoError(i.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", i.url)
	}
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := i.client.Do(req)
	require.NoError(i.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(i.t, err)
	return &reply{resp, string(b)}
}

var printedPassword = regexp.MustCompile(`password    (\S+)`)

// A fresh installation: the first start prints a password, which signs in; the next start prints nothing and knows the session.
func TestFirstAndSecondStart(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			cfg := testConfig(t, newURL(t))
			first := start(t, cfg)
			password := printedPassword.FindStringSubmatch(first.out.String())
			require.NotNil(t, password, first.out)
			assert.NotContains(t, first.logs.String(), password[1])

			credentials := `{"email":"admin@example.com","password":"` + password[1] + `"}`
			r := first.do("POST", "/api/auth/sign-in/email", credentials)
			require.Equal(t, 200, r.StatusCode, r.body)
			assert.Equal(t, "superadmin", signedIn(t, first)["role"])
			assert.Equal(t, 200, first.do("GET", "/api/admin/applications", "").StatusCode)
			require.NoError(t, first.wait())

			again, err := config.Load("")
			require.NoError(t, err)
			second := start(t, again)
			assert.Empty(t, second.out.String())
			second.client.Jar = first.client.Jar
			assert.Equal(t, "superadmin", signedIn(t, second)["role"])
			require.NoError(t, second.wait())
		})
	}
}

func signedIn(t *testing.T, i *instance) map[string]any {
	t.Helper()
	user, ok := i.do("GET", "/api/auth/get-session", "").json(t)["user"].(map[string]any)
	require.True(t, ok)
	return user
}

func TestConfiguredAdmin(t *testing.T) {
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	cfg.Admin = config.Admin{Email: "root@example.org", Password: "correct horse battery"}
	i := start(t, cfg)
	assert.Empty(t, i.out.String(), "whoever chose the password knows it")
	r := i.do("POST", "/api/auth/sign-in/email", `{"email":"root@example.org","password":"correct horse battery"}`)
	assert.Equal(t, 200, r.StatusCode, r.body)
	require.NoError(t, i.wait())
}

func TestHealth(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	r := i.do("GET", "/health", "")
	assert.Equal(t, 200, r.StatusCode)
	body := r.json(t)
	assert.IsType(t, float64(0), body["uptime"])
	delete(body, "uptime")
	assert.Equal(t, map[string]any{"status": "ok", "version": "dev", "checks": map[string]any{"database": "ok"}}, body)
	assert.Equal(t, 200, i.do("HEAD", "/health", "").StatusCode)
	assert.Equal(t, "ok", i.do("GET", "/health/live", "").json(t)["status"])
	require.NoError(t, i.wait())
}

// A database that is away makes the server unready, not dead: restarting it would not help.
func TestHealthWithoutDatabase(t *testing.T) {
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	db, _, err := open(t.Context(), cfg, zerolog.Nop())
	require.NoError(t, err)
	require.NoError(t, db.Close())
	e := echo.New()
	(&health{Store: db, Started: time.Now()}).Mount(e)

	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("GET", "/health", nil))
	assert.Equal(t, 503, rec.Code)
	assert.Equal(t, "2", rec.Header().Get("Retry-After"))
	assert.Contains(t, rec.Body.String(), `"status":"unavailable"`)
	assert.Contains(t, rec.Body.String(), `"checks":{"database":"unavailable"}`)

	rec = httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("GET", "/health/live", nil))
	assert.Equal(t, 200, rec.Code)
}

// PostgreSQL is away when the server starts, comes, goes and comes back: the start waits with a line in the log, outages
// are answered with 503 in the shape of each API, and everything recovers by itself.
func TestPostgreSQLComesAndGoes(t *testing.T) {
	cluster := storetest.NewCluster(t)
	cluster.Stop(t)
	cfg := testConfig(t, cluster.URL)
	started := make(chan *instance, 1)
	logs := &buffer{}
	go func() { started <- startLogging(t, cfg, logs) }()
	require.Eventually(t, func() bool { return strings.Contains(logs.String(), "database") }, 30*time.Second, 10*time.Millisecond,
		"the operator is told what the start waits for")
	cluster.Start(t)
	i := <-started

	signIn := func() *reply {
		return i.do("POST", "/api/auth/sign-in/email", `{"email":"nobody@example.com","password":"wrong password"}`)
	}
	require.Equal(t, 401, signIn().StatusCode)
	cluster.Stop(t)
	down := signIn()
	require.Equal(t, 503, down.StatusCode, down.body)
	require.Equal(t, "UNAVAILABLE", down.json(t)["code"])
	require.NotEmpty(t, down.Header.Get("Retry-After"))
	token := i.do("POST", "/api/auth/oauth2/token", "grant_type=client_credentials&client_id=a&client_secret=b", "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, 503, token.StatusCode, token.body)
	require.Equal(t, "temporarily_unavailable", token.json(t)["error"])
	require.Equal(t, 503, i.do("GET", "/health", "").StatusCode)
	require.Equal(t, 200, i.do("GET", "/health/live", "").StatusCode)
	require.Equal(t, 200, i.do("GET", "/api/auth/jwks", "").StatusCode, "what is in memory is served")

	cluster.Start(t)
	require.Equal(t, 401, signIn().StatusCode)
	require.Equal(t, 200, i.do("GET", "/health", "").StatusCode)
	require.NoError(t, i.wait())
}

func TestErrorShapes(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
	}{
		{"unknown path", "GET", "/api/nothing", "", nil, 404, "NOT_FOUND"},
		{"unknown path, written to", "POST", "/api/auth/nothing", "{}", nil, 404, "NOT_FOUND"},
		{"the root of the API", "GET", "/api", "", nil, 404, "NOT_FOUND"},
		{"unknown document", "GET", "/.well-known/nothing", "", nil, 404, "NOT_FOUND"},
		{"wrong method", "DELETE", "/api/auth/sign-in/email", "", []string{"Origin", i.url}, 405, "METHOD_NOT_ALLOWED"},
		{"wrong method of the pages", "POST", "/sign-in", "{}", nil, 405, "METHOD_NOT_ALLOWED"},
		{"wrong content type", "POST", "/api/auth/sign-in/email", "{}", []string{"Content-Type", "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"broken JSON", "POST", "/api/auth/sign-in/email", "{", nil, 400, "INVALID_JSON"},
		{"missing fields", "POST", "/api/auth/sign-in/email", "{}", nil, 400, "VALIDATION_ERROR"},
		{"too large", "POST", "/api/auth/sign-in/email", `{"email":"` + strings.Repeat("a", 2<<20) + `"}`, nil, 413, "PAYLOAD_TOO_LARGE"},
		{"nobody signed in", "GET", "/api/admin/applications", "", nil, 401, "UNAUTHORIZED"},
		// CSRF: another site makes the browser sign in, or write (OWASP ASVS 4.2.2).
		{"from another site", "POST", "/api/auth/sign-in/email", "{}", []string{"Origin", "https://evil.example"}, 403, "INVALID_ORIGIN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i.t = t
			r := i.do(tt.method, tt.path, tt.body, tt.header...)
			assert.Equal(t, tt.status, r.StatusCode)
			assert.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
			body := r.json(t)
			assert.Equal(t, tt.code, body["code"])
			assert.Equal(t, body["detail"], body["message"])
			assert.Equal(t, r.Header.Get("X-Request-Id"), body["requestId"])
			assert.NotEmpty(t, body["requestId"])
			assert.Equal(t, tt.status == 405, r.Header.Get("Allow") != "")
		})
	}
	require.NoError(t, i.wait())
}

func TestOAuthErrorShape(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	r := i.do("GET", "/api/auth/oauth2/token", "")
	assert.Equal(t, 405, r.StatusCode)
	assert.Contains(t, r.Header.Get("Allow"), "POST")
	assert.Equal(t, "invalid_request", r.json(t)["error"])
	r = i.do("POST", "/api/auth/oauth2/token", strings.Repeat("a", 2<<20), "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, 413, r.StatusCode)
	assert.Equal(t, "invalid_request", r.json(t)["error"])
	require.NoError(t, i.wait())
}

func TestDocument(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	r := i.do("GET", "/api/openapi.json", "")
	assert.Equal(t, 200, r.StatusCode)
	document := r.json(t)
	assert.Equal(t, "3.1.0", document["openapi"])
	paths, _ := document["paths"].(map[string]any)
	assert.Contains(t, paths, "/api/auth/sign-in/email")
	assert.Contains(t, paths, "/api/admin/applications")
	assert.Contains(t, paths, "/api/auth/oauth2/token")
	assert.Equal(t, "text/html; charset=utf-8", i.do("GET", "/api/docs", "").Header.Get("Content-Type"))
	require.NoError(t, i.wait())
}

func TestCrossOrigin(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	for _, tt := range []struct {
		path, origin string
		allowed      bool
	}{
		{"/api/auth/get-session", trustedOrigin, true},
		{"/api/admin/applications", trustedOrigin, true},
		{"/api/auth/get-session", "https://evil.example", false},
		{"/api/auth/get-session", "null", false},
		{"/api/auth/oauth2/authorize?client_id=x", trustedOrigin, false}, // a script has no business there
	} {
		header := i.do("GET", tt.path, "", "Origin", tt.origin).Header
		if tt.allowed {
			assert.Equal(t, tt.origin, header.Get("Access-Control-Allow-Origin"), tt.path)
			assert.Equal(t, "true", header.Get("Access-Control-Allow-Credentials"))
		} else {
			assert.Empty(t, header.Get("Access-Control-Allow-Origin"), tt.path)
		}
	}
	preflight := i.do("OPTIONS", "/api/admin/applications", "", "Origin", trustedOrigin, "Access-Control-Request-Method", "POST")
	assert.Equal(t, 204, preflight.StatusCode)
	assert.Contains(t, preflight.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
	jwks := i.do("GET", "/api/auth/jwks", "", "Origin", "https://anybody.example").Header
	assert.Equal(t, []string{"*"}, jwks.Values("Access-Control-Allow-Origin"))
	require.NoError(t, i.wait())
}

// halfSent is a request whose body the server is waiting for.
type halfSent struct {
	conn   net.Conn
	reader *bufio.Reader
}

const halfBody = `{"email":"a@b.example","password":"12345678"}`

// sendHalf returns when the handler reads the body.
func sendHalf(t *testing.T, i *instance) *halfSent {
	t.Helper()
	return sendHead(t, i, "POST /api/auth/sign-in/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nOrigin: "+i.url+"\r\nContent-Length: 45\r\n")
}

// sendHead returns when the handler reads the body: the server says so with 100 Continue.
func sendHead(t *testing.T, i *instance, head string) *halfSent {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", i.address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, head+"Expect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	return &halfSent{conn, reader}
}

// A stop, as every upgrade makes one, breaks off nobody's request and takes no new ones.
func TestGracefulStop(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	request := sendHalf(t, i)
	i.stop()
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", i.address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "a stopping server takes no new connections")
	select {
	case err := <-i.done:
		t.Fatalf("stopped while a request was running: %v", err)
	default:
	}
	_, err := io.WriteString(request.conn, halfBody)
	require.NoError(t, err)
	resp, err := http.ReadResponse(request.reader, nil)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 401, resp.StatusCode, "the request got its answer")
	require.NoError(t, <-i.done)
}

// What was counted since the last flush is written when the server stops.
func TestStopWritesStatistics(t *testing.T) {
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	cfg.Admin = config.Admin{Email: "root@example.org", Password: "correct horse battery"}
	i := start(t, cfg)
	require.Equal(t, 200, i.do("POST", "/api/auth/sign-in/email", `{"email":"root@example.org","password":"correct horse battery"}`).StatusCode)
	require.Equal(t, 400, i.do("POST", "/api/auth/oauth2/token", "grant_type=password", "Content-Type", "application/x-www-form-urlencoded").StatusCode)
	require.NoError(t, i.wait())

	cfg, err := config.Load("")
	require.NoError(t, err)
	again := start(t, cfg)
	again.client.Jar = i.client.Jar
	days, _ := again.do("GET", "/api/admin/stats", "").json(t)["days"].([]any)
	require.Len(t, days, 30)
	sum := map[string]float64{}
	for _, day := range days {
		for name, value := range day.(map[string]any) {
			if n, ok := value.(float64); ok {
				sum[name] += n
			}
		}
	}
	assert.Equal(t, map[string]float64{"signIns": 1, "signInFailures": 0, "activeUsers": 1, "tokens": 0, "tokenFailures": 1}, sum)
	require.NoError(t, again.wait())
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	cfg.ShutdownTimeout = 20 * time.Millisecond
	i := start(t, cfg)
	sendHalf(t, i)
	assert.ErrorContains(t, i.wait(), "still running after 20ms")
}

func TestPortTaken(t *testing.T) {
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	cfg.Listen.Port = taken.Addr().(*net.TCPAddr).Port
	err = run(t.Context(), cfg, io.Discard, io.Discard, func(string) { t.Error("ready") })
	assert.ErrorContains(t, err, "listen on 127.0.0.1:")
}

// The log has what an operator needs and nothing that opens a door (OWASP ASVS 7.1.1).
func TestRequestLog(t *testing.T) {
	i := start(t, testConfig(t, storetest.NewSQLiteURL(t)))
	i.do("POST", "/api/auth/sign-in/email?token=hunter2", `{"email":"ada@example.com","password":"hunter2hunter2"}`,
		"Authorization", "Bearer hunter2", "Cookie", "auth_session=hunter2", "X-Request-Id", "chosen-by-a-stranger", "X-Forwarded-For", "203.0.113.9")
	i.do("GET", "/nowhere/hunter2", "")
	require.NoError(t, i.wait())
	assert.NotContains(t, i.logs.String(), "hunter2")
	assert.NotContains(t, i.logs.String(), "ada@example.com")

	var line map[string]any
	for text := range strings.Lines(i.logs.String()) {
		if strings.Contains(text, `"message":"request"`) && strings.Contains(text, `"method":"POST"`) {
			require.NoError(t, json.Unmarshal([]byte(text), &line))
		}
	}
	assert.Equal(t, "/api/auth/sign-in/email", line["route"])
	assert.EqualValues(t, 401, line["status"])
	assert.Equal(t, "127.0.0.1", line["ip"], "only configured proxies are believed")
	assert.NotEqual(t, "chosen-by-a-stranger", line["request_id"])
	assert.Positive(t, line["bytes"])
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, line["time"])
}

func TestTrustedProxies(t *testing.T) {
	cfg := config.Default()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	cfg.Log.Format = "json"
	for _, tt := range []struct {
		name, peer, forwarded, id, wantIP string
		wantID                            bool
	}{
		{"through a proxy", "10.0.0.1:5", "203.0.113.9", "proxy-id-1", "203.0.113.9", true},
		{"through two", "10.0.0.1:5", "203.0.113.9, 10.9.9.9", "proxy-id-1", "203.0.113.9", true},
		{"a caller who claims to be another", "10.0.0.1:5", "198.51.100.1, 203.0.113.9", "proxy-id-1", "203.0.113.9", true},
		{"over IPv6", "[fd00::1]:5", "2001:db8::9", "proxy-id-1", "2001:db8::9", true},
		{"from elsewhere", "203.0.113.7:5", "198.51.100.1", "proxy-id-1", "203.0.113.7", false},
		{"from a private address that is no proxy", "192.168.0.1:5", "198.51.100.1", "proxy-id-1", "192.168.0.1", false},
		{"an id that is none", "10.0.0.1:5", "203.0.113.9", "a\tb <script>", "203.0.113.9", false},
		{"an id that is too long", "10.0.0.1:5", "203.0.113.9", strings.Repeat("a", 65), "203.0.113.9", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newRouter(cfg, zerolog.Nop())
			var ip string
			e.GET("/", func(c echo.Context) error { ip = c.RealIP(); return c.NoContent(204) })
			req := httptest.NewRequest("GET", "/", nil)
			req.RemoteAddr = tt.peer
			req.Header.Set("X-Forwarded-For", tt.forwarded)
			req.Header.Set("X-Request-Id", tt.id)
			rec := httptest.NewRecorder()
			e.ServeHTTP(rec, req)
			assert.Equal(t, tt.wantIP, ip)
			assert.Equal(t, tt.wantID, rec.Header().Get("X-Request-Id") == tt.id)
			assert.NotEmpty(t, rec.Header().Get("X-Request-Id"))
		})
	}
}

// A panic is a bug: the operator reads the stack once, the caller learns nothing.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	e := newRouter(config.Default(), zerolog.New(&log).Level(zerolog.ErrorLevel))
	e.GET("/", func(echo.Context) error { panic("secret words") })
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, 500, rec.Code)
	assert.Contains(t, rec.Body.String(), `"code":"INTERNAL_ERROR"`)
	assert.NotContains(t, rec.Body.String(), "secret words")
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.Contains(t, log.String(), "secret words")
	assert.Contains(t, log.String(), "main_test.go")
}

// Nothing waits without an end.
func TestDeadline(t *testing.T) {
	e := newRouter(config.Default(), zerolog.Nop())
	e.GET("/", func(c echo.Context) error {
		<-c.Request().Context().Done()
		return c.Request().Context().Err()
	}, deadline(time.Millisecond))
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, 503, rec.Code)
	assert.NotEmpty(t, rec.Header().Get("Retry-After"))
}

// A download takes as long as its reader needs.
func TestStreamsHaveNoDeadline(t *testing.T) {
	e := newRouter(config.Default(), zerolog.Nop())
	for path, want := range map[string]bool{
		"/api/admin/audit/export": false, "/api/admin/users/export": false, "/api/admin/users/import": false, "/api/admin/audit": true,
		"/api/consumption/export": false, "/api/consumption": true,
	} {
		e.GET(path, func(c echo.Context) error {
			_, bounded := c.Request().Context().Deadline()
			assert.Equal(t, want, bounded, path)
			return c.NoContent(http.StatusNoContent)
		})
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		assert.Equal(t, 204, rec.Code)
	}
}

// A file of people may be larger than other bodies, and come as slowly as its sender is; see package admin for its limits.
func TestLargeImport(t *testing.T) {
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	cfg.Admin = config.Admin{Email: "root@example.org", Password: "correct horse battery"}
	cfg.Limits.Body = 1024
	i := start(t, cfg)
	require.Equal(t, 200, i.do("POST", "/api/auth/sign-in/email", `{"email":"root@example.org","password":"correct horse battery"}`).StatusCode)
	file := "email\n" + strings.Repeat("no address\n", 1000)
	r := i.do("POST", "/api/admin/users/import", file, "Content-Type", "text/csv")
	require.Equal(t, 200, r.StatusCode, r.body)
	assert.EqualValues(t, 1000, r.json(t)["refused"])
	assert.Equal(t, 413, i.do("POST", "/api/admin/applications", file, "Content-Type", "text/csv").StatusCode)
	require.NoError(t, i.wait())
}

func TestSecurityHeaders(t *testing.T) {
	for url, want := range map[string]string{"http://localhost": "", "https://auth.example.com": "max-age=31536000"} {
		cfg := config.Default()
		cfg.PublicURL = url
		rec := httptest.NewRecorder()
		newRouter(cfg, zerolog.Nop()).ServeHTTP(rec, httptest.NewRequest("GET", "/api/x", nil))
		assert.Equal(t, want, rec.Header().Get("Strict-Transport-Security"))
		assert.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"))
		assert.Equal(t, "default-src 'none'; frame-ancestors 'none'", rec.Header().Get("Content-Security-Policy"))
	}
}

// command runs the program with arguments, as a shell would.
func command(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := &cli{in: strings.NewReader(stdin), out: &out, err: io.Discard}
	root := c.command()
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestCommands(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			testConfig(t, newURL(t))
			for _, tt := range []struct {
				name, stdin string
				args        []string
				want, fails string
			}{
				{"create", "correct horse\nmore", []string{"user", "create", "--email", "Ada@Example.com", "--role", "superadmin"}, "created ada@example.com", ""},
				{"create twice", "correct horse", []string{"user", "create", "--email", "ada@example.com"}, "", "cannot be used"},
				{"short password", "short\n", []string{"user", "create", "--email", "bob@example.com"}, "", "too short"},
				{"no password", "", []string{"user", "create", "--email", "bob@example.com"}, "", "no password"},
				{"generated password", "", []string{"user", "create", "--email", "bob@example.com", "--generate-password"}, "password: ", ""},
				{"unknown role", "", []string{"user", "create", "--email", "eve@example.com", "--generate-password", "--role", "god"}, "", "role"},
				{"list", "", []string{"user", "list"}, "ada@example.com  Ada   superadmin", ""},
				{"last superadmin", "", []string{"user", "set-role", "ada@example.com", "user"}, "", "last superadmin"},
				{"promote", "", []string{"user", "set-role", "BOB@example.com", "superadmin"}, "bob@example.com is now superadmin", ""},
				{"demote", "", []string{"user", "set-role", "ada@example.com", "user"}, "ada@example.com is now user", ""},
				{"nobody", "", []string{"user", "set-role", "eve@example.com", "admin"}, "", "nobody with the address"},
				{"confidential client", "", []string{"client", "create", "--name", "CRM", "--redirect-uri", "https://crm.example/cb"}, "client_secret: ", ""},
				{"public client", "", []string{"client", "create", "--name", "App", "--type", "spa", "--redirect-uri", "https://app.example/cb"}, "client_id:     ", ""},
				{"client without a redirect URI", "", []string{"client", "create", "--name", "CRM"}, "", "redirectUris"},
				{"keys before the first start", "", []string{"keys", "list"}, "KID", ""},
				{"keys just published", "", []string{"keys", "rotate"}, "", "published for less than"},
				{"keys by force", "", []string{"keys", "rotate", "--force", "ES256"}, "retired", ""},
				{"keys of no kind", "", []string{"keys", "rotate", "HS256"}, "", "HS256"},
				{"migrated", "", []string{"migrate", "--check"}, "the database is up to date", ""},
				{"configuration", "", []string{"config", "check"}, "password.argon2.memory_kib: 64\n", ""},
				{"version", "", []string{"version"}, "dev\n", ""},
				{"unknown", "", []string{"user", "delete"}, "", "unknown command"},
			} {
				out, err := command(t, tt.stdin, tt.args...)
				if tt.fails != "" {
					if assert.Error(t, err, tt.name) {
						assert.Contains(t, explain(err), tt.fails, tt.name)
					}
					continue
				}
				require.NoError(t, err, tt.name)
				assert.Contains(t, out, tt.want, tt.name)
				assert.NotContains(t, out, "correct horse", tt.name)
			}
		})
	}
}

func TestMigrateCommand(t *testing.T) {
	testConfig(t, "sqlite:"+filepath.Join(t.TempDir(), "new.db"))
	out, err := command(t, "", "migrate", "--check")
	assert.ErrorContains(t, err, "migrations are pending")
	assert.Contains(t, out, "pending: ")
	out, err = command(t, "", "migrate")
	require.NoError(t, err)
	assert.Contains(t, out, "migrated\n")
	_, err = command(t, "", "migrate", "--check")
	require.NoError(t, err)
}

func TestConfigurationIsChecked(t *testing.T) {
	testConfig(t, "sqlite:x.db")
	require.NoError(t, os.WriteFile("bad.yaml", []byte("colour: red\nlisten: {port: x}\n"), 0o600))
	t.Setenv("PORT", "")
	for _, args := range [][]string{{"config", "check"}, {"serve"}, {}} {
		_, err := command(t, "", append(args, "--config", "bad.yaml")...)
		var invalid *config.Invalid
		require.True(t, errors.As(err, &invalid), "%v", err)
		assert.Len(t, invalid.Faults, 2)
	}
}

// Names come from people and end on an operator's terminal, where escape sequences would be obeyed.
func TestPrintable(t *testing.T) {
	assert.Equal(t, "Zoë ?[2J?", printable("Zoë \x1b[2J\u009b"))
}
