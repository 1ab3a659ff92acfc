// Package ui serves the single-page app that people see: sign-in, account and console. The build of frontend/ is embedded in
// the binary, so there is nothing to deploy beside it. It knows nothing of the API; whatever is under /api or /.well-known
// belongs to others. Start with Handler.
package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// all: because the placeholder that lets a checkout without a build compile starts with a dot.
//
//go:embed all:dist
var embedded embed.FS

// Dist returns the build that was embedded when the binary was made; it is empty when there was none.
func Dist() fs.FS {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic("ui: " + err.Error()) // the name is a constant, checked by the compiler's embed directive
	}
	return dist
}

const (
	// No nonce and no hash: the build has neither inline scripts nor inline styles, so index.html stays a static file. Images
	// may come from any https host, because applications and people show logos and pictures that live elsewhere.
	contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; font-src 'self'; " +
		"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'"

	permissionsPolicy = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), " +
		"midi=(), payment=(), usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)"

	immutable = "public,max-age=31536000,immutable"
	notBuilt  = "The web interface is not part of this build.\n\nRun `make build` (or `make run`) and start the server again.\n"
)

// contentTypes is fixed here, because the mime tables of the machine that happens to run the server may say otherwise.
var contentTypes = map[string]string{
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".ico":         "image/x-icon",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".map":         "application/json",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
	".woff2":       "font/woff2",
}

// A Handler serves the app's files, and index.html for the paths that the app routes itself.
type Handler struct {
	Dist fs.FS // Dist() in the server
	// HTTPS says that people reach the server by https, and browsers must not try anything else (RFC 6797).
	HTTPS bool

	tags sync.Map // of the files that were asked for so far; the build never changes while it is served
}

// Mount makes the app answer every path that no other route answers. It is a middleware and not a catch-all route, because
// such a route would hide Echo's 405 for the known paths of others behind its own 404.
func (h *Handler) Mount(e *echo.Echo) {
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := next(c); !errors.Is(err, echo.ErrNotFound) {
				return err
			}
			return h.serve(c)
		}
	})
}

func (h *Handler) serve(c echo.Context) error {
	name := path.Clean("/" + c.Request().URL.Path)
	if below(name, "/api") || below(name, "/.well-known") {
		return echo.ErrNotFound
	}
	if method := c.Request().Method; method != http.MethodGet && method != http.MethodHead {
		c.Response().Header().Set(echo.HeaderAllow, "GET, HEAD")
		return echo.ErrMethodNotAllowed
	}
	err := h.serveFile(c, strings.TrimPrefix(name, "/"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A page of an older build asks for its own chunks. It must learn that they are gone; index.html in place of a script
	// would end in a MIME error, and caches would keep it under the script's name.
	if name != "/index.html" && (below(name, "/assets") || contentTypes[path.Ext(name)] != "") {
		return echo.ErrNotFound
	}
	h.protectPage(c.Response().Header(), name)
	return h.serveIndex(c)
}

func below(name, root string) bool {
	return name == root || strings.HasPrefix(name, root+"/")
}

// serveFile answers with a file of the build. Names that the build has for itself (placeholders, compressed twins) do not exist.
func (h *Handler) serveFile(c echo.Context, name string) error {
	if name == "index.html" || contentTypes[path.Ext(name)] == "" || !fs.ValidPath(name) {
		return fs.ErrNotExist
	}
	cacheControl := "no-cache"
	if strings.HasPrefix(name, "assets/") { // Vite puts a hash of the content into these names
		cacheControl = immutable
	}
	return h.send(c, name, cacheControl)
}

func (h *Handler) serveIndex(c echo.Context) error {
	err := h.send(c, "index.html", "no-cache")
	if errors.Is(err, fs.ErrNotExist) {
		return c.String(http.StatusServiceUnavailable, notBuilt)
	}
	return err
}

// send answers with the smallest form of the file that the browser takes. http.ServeContent does the rest: HEAD, ranges, and
// 304 from the ETag.
func (h *Handler) send(c echo.Context, name, cacheControl string) error {
	file, coding, err := h.open(name, c.Request().Header.Get(echo.HeaderAcceptEncoding))
	if err != nil {
		return err
	}
	defer file.Close()
	tag, err := h.entityTag(name+" "+coding, file)
	if err != nil {
		return fmt.Errorf("read %s of the web interface: %w", name, err)
	}
	header := c.Response().Header()
	h.protect(header)
	header.Set(echo.HeaderContentType, contentTypes[path.Ext(name)])
	header.Set(echo.HeaderCacheControl, cacheControl)
	header.Set("ETag", tag)
	header.Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
	if coding != "" {
		header.Set(echo.HeaderContentEncoding, coding)
	}
	http.ServeContent(c.Response(), c.Request(), name, time.Time{}, file)
	return nil
}

// A seekable is a file as embed.FS and fstest.MapFS hand it out.
type seekable interface {
	io.ReadSeeker
	io.Closer
}

// open finds the file in the first coding that the browser accepts and the build has; brotli is about a sixth smaller than gzip.
func (h *Handler) open(name, accepted string) (seekable, string, error) {
	for _, twin := range []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !accepts(accepted, twin.coding) {
			continue
		}
		if file, err := h.openPlain(name + twin.suffix); err == nil {
			return file, twin.coding, nil
		}
	}
	file, err := h.openPlain(name)
	return file, "", err
}

func (h *Handler) openPlain(name string) (seekable, error) {
	file, err := h.Dist.Open(name)
	if err != nil {
		return nil, err
	}
	content, ok := file.(seekable)
	if !ok {
		file.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} // a folder
	}
	return content, nil
}

// accepts reads Accept-Encoding (RFC 9110 §12.5.3). Only an explicit q=0 refuses; a wildcard is not worth the trouble, since
// browsers name what they take.
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			weight, _ := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
			return strings.Trim(weight, "0.") != "" || weight == ""
		}
	}
	return false
}

// entityTag hashes the very bytes that go out, so each coding has a tag of its own (RFC 9110 §8.8.3.3). It does so once.
func (h *Handler) entityTag(key string, file io.ReadSeeker) (string, error) {
	if tag, ok := h.tags.Load(key); ok {
		return tag.(string), nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:15]) + `"`
	h.tags.Store(key, tag)
	return tag, nil
}

// protect is for every file. The page's own policies are not repeated on its scripts and styles, where browsers ignore them
// and each would add a kilobyte to a first visit.
func (h *Handler) protect(header http.Header) {
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	if h.HTTPS {
		header.Set(echo.HeaderStrictTransportSecurity, "max-age=31536000")
	}
}

// protectPage is for index.html under any of its paths. The pages of a sign-in keep their opener: an application may have
// opened them as a popup and waits for it to come back, which same-origin would prevent for good.
func (h *Handler) protectPage(header http.Header, name string) {
	h.protect(header)
	if below(name, "/account") || below(name, "/admin") {
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	header.Set(echo.HeaderContentSecurityPolicy, contentSecurityPolicy)
	header.Set(echo.HeaderReferrerPolicy, "same-origin") // no-referrer would also blank the Origin that our own writes are checked by
	header.Set("Permissions-Policy", permissionsPolicy)
}
