package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"

	"auth-service/account"
	"auth-service/config"
	"auth-service/problem"
	"auth-service/store"
)

// requestTimeout ends the work for a request that takes unreasonably long, such as one that waits for a lock.
const requestTimeout = 30 * time.Second

// importRoute takes a body of any size that is allowed there, and reads it while it arrives.
const importRoute = "/api/admin/users/import"

// streams are the routes that send for as long as somebody reads, or read for as long as somebody sends. Each bounds its own steps.
var streams = []string{"/api/admin/audit/export", "/api/admin/users/export", "/api/consumption/export", importRoute}

// oauthEndpoints are the routes that other sites' pages call or post forms to by design. Each decides by the client's
// credentials or asks the person, never by the cookie alone. Their errors have the shape of RFC 6749.
var oauthEndpoints = []string{
	"/api/auth/oauth2/authorize", "/api/auth/oauth2/token", "/api/auth/oauth2/userinfo", "/api/auth/oauth2/introspect",
	"/api/auth/oauth2/revoke", "/api/auth/oauth2/end-session",
}

// newRouter returns Echo with what every request passes through, the outermost first.
func newRouter(cfg *config.Config, log zerolog.Logger) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = problem.Handler(log, oauthEndpoints...)
	e.IPExtractor = ipExtractor(cfg)
	e.Use(requestID(trusts(cfg)), accessLog(log), catchPanics, deadline(requestTimeout), securityHeaders(https(cfg)))
	e.Use(middleware.BodyLimitWithConfig(middleware.BodyLimitConfig{
		Limit:   strconv.FormatInt(int64(cfg.Limits.Body), 10) + "B",
		Skipper: func(c echo.Context) bool { return c.Path() == importRoute },
	}))
	if len(cfg.CORSOrigins) > 0 {
		e.Use(crossOrigin(cfg.CORSOrigins))
	}
	return e
}

// ipExtractor believes X-Forwarded-For from configured proxies only: whoever else sends it chooses the address that
// throttling and the audit log see.
func ipExtractor(cfg *config.Config) echo.IPExtractor {
	if len(cfg.TrustedProxies) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range cfg.TrustedProxies {
		network := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		options = append(options, echo.TrustIPRange(network))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// trusts reports whether a request comes from one of the configured proxies.
func trusts(cfg *config.Config) func(*http.Request) bool {
	return func(r *http.Request) bool {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && slices.ContainsFunc(cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) })
	}
}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// requestID names the request in the answer and in the log, with the proxy's name for it if there is one.
func requestID(fromProxy func(*http.Request) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			id := c.Request().Header.Get(echo.HeaderXRequestID)
			if id == "" || !saneRequestID.MatchString(id) || !fromProxy(c.Request()) {
				id = store.NewID()
			}
			c.Response().Header().Set(echo.HeaderXRequestID, id)
			return next(c)
		}
	}
}

// accessLog writes one line per request: the route, never the path or query, which hold codes, tokens and addresses.
// Handlers that know them leave client_id and sub in the context.
func accessLog(log zerolog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			begun := time.Now()
			if err := next(c); err != nil {
				c.Error(err) // now, so that the status below is the one that was sent
			}
			event := log.WithLevel(logLevel(c))
			if event == nil {
				return nil
			}
			event.Str("method", c.Request().Method).Str("route", c.Path()).Int("status", c.Response().Status).
				Float64("ms", float64(time.Since(begun).Microseconds())/1000).Int64("bytes", c.Response().Size).Str("ip", c.RealIP()).
				Str("request_id", c.Response().Header().Get(echo.HeaderXRequestID))
			for _, key := range []string{"client_id", "sub"} {
				if value, ok := c.Get(key).(string); ok && value != "" {
					event.Str(key, value)
				}
			}
			event.Msg("request")
			return nil
		}
	}
}

// logLevel keeps what supervisors ask for all day, and the files of the pages, out of the ordinary log.
func logLevel(c echo.Context) zerolog.Level {
	status, route := c.Response().Status, c.Path()
	switch {
	case status >= 500:
		return zerolog.WarnLevel
	case strings.HasPrefix(route, "/health"), route == "" && status < 400: // package ui's files have no route
		return zerolog.DebugLevel
	}
	return zerolog.InfoLevel
}

// catchPanics turns a panic into an error, which the error handler logs with the stack and answers without.
func catchPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler {
					panic(r)
				}
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

// deadline bounds the work for one request. What waits for longer gets 503 by way of the context.
func deadline(limit time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if slices.Contains(streams, c.Path()) {
				return next(c)
			}
			ctx, cancel := context.WithTimeout(c.Request().Context(), limit)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}

// securityHeaders are for answers that are no pages; package ui sets its own, less strict ones. All answers share the values.
func securityHeaders(https bool) echo.MiddlewareFunc {
	headers := http.Header{
		"X-Content-Type-Options":  {"nosniff"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		"Referrer-Policy":         {"same-origin"}, // no-referrer would blank the Origin by which writes are checked
	}
	if https {
		headers.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			maps.Copy(c.Response().Header(), headers)
			return next(c)
		}
	}
}

// crossOrigin lets pages of the configured origins use the APIs with the person's cookie. The OAuth endpoints decide for
// themselves, by the client, and authorize is never for scripts.
func crossOrigin(origins []string) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins: origins, AllowCredentials: true, MaxAge: 600,
		AllowMethods:  []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
		AllowHeaders:  []string{"Authorization", "Content-Type", "Idempotency-Key"},
		ExposeHeaders: []string{echo.HeaderXRequestID, "Retry-After"},
		Skipper: func(c echo.Context) bool {
			path := c.Request().URL.Path
			return !strings.HasPrefix(path, "/api/") || path == "/api/auth/jwks" || strings.Contains(path, "/.well-known/") ||
				slices.Contains(oauthEndpoints, path)
		},
	})
}

// guard refuses what pages of other sites make a browser send. /api/admin and /api/consumption check for themselves, since a
// bearer token is as good there as a cookie and no page can make a browser send one.
func guard(origins *account.Origins) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		checked := origins.SameOrigin(next)
		return func(c echo.Context) error {
			if strings.HasPrefix(c.Path(), "/api/admin/") || strings.HasPrefix(c.Path(), "/api/consumption") {
				return next(c)
			}
			return checked(c)
		}
	}
}

// health answers load balancers and supervisors.
type health struct {
	Store   *store.Store
	Started time.Time
}

func (h *health) Mount(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodHead}, "/health", h.check)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/health/live", h.live)
}

type healthBody struct {
	Status  string            `json:"status"`
	Version string            `json:"version"`
	Uptime  int64             `json:"uptime"` // seconds
	Checks  map[string]string `json:"checks,omitempty"`
}

// check is for whoever decides whether to send requests here.
func (h *health) check(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	status, body := http.StatusOK, h.body()
	body.Checks = map[string]string{"database": "ok"}
	if err := h.Store.Ping(ctx); err != nil {
		status, body.Status, body.Checks["database"] = http.StatusServiceUnavailable, "unavailable", "unavailable"
		c.Response().Header().Set("Retry-After", "2")
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(status, body)
}

// live is for whoever decides whether to restart this process, which does not help when the database is away.
func (h *health) live(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, h.body())
}

func (h *health) body() healthBody {
	return healthBody{Status: "ok", Version: version, Uptime: int64(time.Since(h.Started).Seconds())}
}

func newLogger(cfg *config.Config, w io.Writer) zerolog.Logger {
	if cfg.Log.Format == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !isTerminal(w)}
	}
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		level = zerolog.InfoLevel // config.Load has checked it
	}
	const milliseconds = "2006-01-02T15:04:05.000Z"
	return zerolog.New(w).Level(level).Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(milliseconds))
	}))
}

// httpErrorLog takes what net/http has to say, which is about connections and not about requests.
func httpErrorLog(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(connectionLog{log}, "", 0)
}

type connectionLog struct{ log zerolog.Logger }

func (l connectionLog) Write(line []byte) (int, error) {
	l.log.Warn().Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}
