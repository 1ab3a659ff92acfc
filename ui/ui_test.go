package ui_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/ui"
)

const (
	index  = `<!doctype html><title>CIRCLE Auth</title><script type="module" src="/assets/main-abc.js"></script>`
	script = `console.log("hello")`
)

func build() fstest.MapFS {
	return fstest.MapFS{
		".gitkeep":              {},
		"index.html":            {Data: []byte(index)},
		"index.html.br":         {Data: []byte("brotli index")},
		"assets/main-abc.js":    {Data: []byte(script)},
		"assets/main-abc.js.br": {Data: []byte("brotli script")},
		"assets/main-abc.js.gz": {Data: []byte("gzip script")},
		"assets/font-abc.woff2": {Data: []byte("font")},
	}
}

func newServer(h *ui.Handler) *echo.Echo {
	e := echo.New()
	e.GET("/api/auth/config", func(c echo.Context) error { return c.JSON(http.StatusOK, echo.Map{"appName": "x"}) })
	h.Mount(e)
	return e
}

func ask(t *testing.T, srv http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	srv.ServeHTTP(rec, req)
	return rec
}

func TestWhichFileAnswers(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	for _, tt := range []struct {
		name, method, target string
		want                 int
		body                 string
	}{
		{"the root is the app", "GET", "/", 200, index},
		{"a path of the app", "GET", "/admin/applications/crm", 200, index},
		{"a path of the app that ends like a domain", "GET", "/admin/applications/crm.example.com", 200, index},
		{"index.html by its name", "GET", "/index.html", 200, index},
		{"an asset", "GET", "/assets/main-abc.js", 200, script},
		{"HEAD has no body", "HEAD", "/sign-in", 200, ""},
		{"an asset of another build", "GET", "/assets/main-old.js", 404, ""},
		{"the assets folder", "GET", "/assets/", 404, ""},
		{"a file that nobody has", "GET", "/favicon.ico", 404, ""},
		{"the compressed twin by its name", "GET", "/assets/main-abc.js.br", 404, ""},
		{"the placeholder", "GET", "/.gitkeep", 200, index},
		{"dots do not climb", "GET", "/assets/../../ui.go", 200, index},
		{"an API path", "GET", "/api/nothing", 404, ""},
		{"the API root", "GET", "/api", 404, ""},
		{"posting to an unknown API path", "POST", "/api/nothing", 404, ""},
		{"an unknown document", "GET", "/.well-known/nothing", 404, ""},
		{"a path that only begins like the API", "GET", "/apidocs", 200, index},
		{"posting to the app", "POST", "/sign-in", 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := ask(t, srv, tt.method, tt.target)
			assert.Equal(t, tt.want, rec.Code)
			if tt.want == http.StatusOK {
				assert.Equal(t, tt.body, rec.Body.String())
			} else {
				assert.NotContains(t, rec.Body.String(), "<!doctype")
			}
		})
	}
}

func TestOtherRoutesComeFirst(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	assert.JSONEq(t, `{"appName":"x"}`, ask(t, srv, "GET", "/api/auth/config").Body.String())
	assert.Equal(t, http.StatusMethodNotAllowed, ask(t, srv, "POST", "/api/auth/config").Code)
}

func TestCompressedTwin(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	for _, tt := range []struct{ name, target, accept, coding, body string }{
		{"brotli wins", "/assets/main-abc.js", "gzip, deflate, br, zstd", "br", "brotli script"},
		{"gzip when brotli is refused", "/assets/main-abc.js", "gzip, br;q=0", "gzip", "gzip script"},
		{"a refusal with decimals", "/assets/main-abc.js", "br; q=0.000, gzip;q=0.5", "gzip", "gzip script"},
		{"neither", "/assets/main-abc.js", "", "", script},
		{"a name that only contains br", "/assets/main-abc.js", "brx", "", script},
		{"no twin in that coding", "/sign-in", "gzip", "", index},
		{"index.html too", "/sign-in", "br", "br", "brotli index"},
		{"no twin at all", "/assets/font-abc.woff2", "br, gzip", "", "font"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := ask(t, srv, "GET", tt.target, "Accept-Encoding", tt.accept)
			require.Equal(t, http.StatusOK, rec.Code)
			assert.Equal(t, tt.coding, rec.Header().Get("Content-Encoding"))
			assert.Equal(t, tt.body, rec.Body.String())
			assert.Contains(t, rec.Header().Values("Vary"), "Accept-Encoding")
		})
	}
}

func TestContentTypeIsTheFilesNotTheTwins(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	for target, want := range map[string]string{
		"/sign-in":               "text/html; charset=utf-8",
		"/assets/main-abc.js":    "text/javascript; charset=utf-8",
		"/assets/font-abc.woff2": "font/woff2",
	} {
		assert.Equal(t, want, ask(t, srv, "GET", target, "Accept-Encoding", "br").Header().Get("Content-Type"), target)
	}
}

// The second visit must move nothing but index.html, and that only when it changed.
func TestCaching(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	assert.Equal(t, "public,max-age=31536000,immutable", ask(t, srv, "GET", "/assets/main-abc.js").Header().Get("Cache-Control"))
	assert.Empty(t, ask(t, srv, "GET", "/assets/main-old.js").Header().Get("Cache-Control"), "a missing asset must not be remembered")

	first := ask(t, srv, "GET", "/sign-in")
	assert.Equal(t, "no-cache", first.Header().Get("Cache-Control"))
	again := ask(t, srv, "GET", "/account", "If-None-Match", first.Header().Get("ETag"))
	assert.Equal(t, http.StatusNotModified, again.Code)
	assert.Empty(t, again.Body.String())

	other := ask(t, srv, "GET", "/sign-in", "Accept-Encoding", "br", "If-None-Match", first.Header().Get("ETag"))
	assert.Equal(t, http.StatusOK, other.Code, "another coding is another representation")

	changed := build()
	changed["index.html"] = &fstest.MapFile{Data: []byte(index + "<!-- next release -->")}
	next := ask(t, newServer(&ui.Handler{Dist: changed}), "GET", "/sign-in", "If-None-Match", first.Header().Get("ETag"))
	assert.Equal(t, http.StatusOK, next.Code)
}

// Clickjacking (RFC 9700 §4.16), script injection, sniffing and downgrade: the browser is told with every page.
func TestSecurityHeaders(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	for _, target := range []string{"/", "/consent", "/index.html", "/no/such/page"} {
		header := ask(t, srv, "GET", target).Header()
		policy := header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			assert.Contains(t, policy, directive, target)
		}
		assert.NotContains(t, policy, "unsafe", target)
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), target)
		assert.Equal(t, "same-origin", header.Get("Referrer-Policy"), target)
		assert.Contains(t, header.Get("Permissions-Policy"), "camera=()", target)
		assert.Empty(t, header.Get("Strict-Transport-Security"), "http://localhost must stay reachable")
	}
	assert.Equal(t, "nosniff", ask(t, srv, "GET", "/assets/main-abc.js").Header().Get("X-Content-Type-Options"))

	secure := newServer(&ui.Handler{Dist: build(), HTTPS: true})
	for _, target := range []string{"/consent", "/assets/main-abc.js"} {
		assert.Equal(t, "max-age=31536000", ask(t, secure, "GET", target).Header().Get("Strict-Transport-Security"), target)
	}
}

func TestWithoutBuild(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: fstest.MapFS{".gitkeep": {}}})
	rec := ask(t, srv, "GET", "/sign-in")
	assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
	assert.Contains(t, rec.Body.String(), "make build")
	assert.Equal(t, http.StatusNotFound, ask(t, srv, "GET", "/assets/main-abc.js").Code)
}

// The policy allows no inline code, so a build that has some would not run: in the browser it would be a blank page.
func TestEmbeddedBuildNeedsNothingInline(t *testing.T) {
	dist := ui.Dist()
	page, err := fs.ReadFile(dist, "index.html")
	if err != nil {
		rec := ask(t, newServer(&ui.Handler{Dist: dist}), "GET", "/")
		require.Equal(t, http.StatusServiceUnavailable, rec.Code, "a checkout without a build says so")
		return
	}
	assert.NotRegexp(t, regexp.MustCompile(`<style|\sstyle=|\son\w+=|<script>`), string(page))
	for _, match := range regexp.MustCompile(`(?:src|href)="/([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		_, err := fs.Stat(dist, match[1])
		assert.NoError(t, err)
		if strings.HasSuffix(match[1], ".js") {
			_, err = fs.Stat(dist, match[1]+".br")
			assert.NoError(t, err, "scripts are compressed at build time")
		}
	}
}

// A page of another site that opened the console cannot reach into its window; but an application that opened the sign-in
// as a popup must be able to hear from it when it comes back.
func TestOpener(t *testing.T) {
	srv := newServer(&ui.Handler{Dist: build()})
	for target, want := range map[string]string{
		"/admin/applications": "same-origin", "/account": "same-origin", "/accounting": "", "/sign-in?request=x": "", "/consent": "", "/error": "",
	} {
		assert.Equal(t, want, ask(t, srv, "GET", target).Header().Get("Cross-Origin-Opener-Policy"), target)
	}
}
