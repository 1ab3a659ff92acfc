package account

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"auth-service/problem"
)

var (
	errNoOrigin  = problem.New(http.StatusForbidden, "MISSING_OR_NULL_ORIGIN", "The request does not say which site it comes from.")
	errOrigin    = problem.New(http.StatusForbidden, "INVALID_ORIGIN", "Requests from this site are not accepted.")
	errLoginForm = problem.New(http.StatusForbidden, "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",
		"A form on another site cannot sign you in. Please use our own page.")
	errCallbackURL = problem.New(http.StatusForbidden, "INVALID_CALLBACK_URL", "The callbackURL must be a path here or belong to a trusted site.")
)

// Origins are the sites whose pages may act here on behalf of the person in front of the browser.
type Origins struct {
	PublicURL string   // our own
	Trusted   []string // cors_origins; matched exactly, so "*" matches nothing
	// Exempt are routes, as registered with Echo, that other sites call by design and that decide by something else than
	// the cookie alone: the OAuth endpoints.
	Exempt []string
}

// SameOrigin refuses requests that change something and that a page of another site made the browser send: with the
// person's cookie (CSRF), or without, to sign the person in as somebody else (login CSRF). Programs that are no
// browsers send neither a cookie nor Origin nor Sec-Fetch headers; nobody can be tricked through them.
func (o *Origins) SameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := o.check(c.Request(), c.Path()); err != nil {
			return err
		}
		return next(c)
	}
}

func (o *Origins) check(r *http.Request, route string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if slices.Contains(o.Exempt, route) {
		return nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	origin := r.Header.Get("Origin")
	if origin == "" { // older browsers leave it out of same-site form posts
		origin = originOf(r.Referer())
	}
	switch {
	case o.trusts(origin):
		return nil
	case site == "cross-site" && r.Header.Get("Sec-Fetch-Mode") == "navigate":
		return errLoginForm
	case origin != "" && origin != "null":
		return errOrigin
	case site == "same-origin": // no script can forge it: the Sec- prefix is the browser's alone
		return nil
	case origin == "" && site == "" && r.Header.Get("Sec-Fetch-Mode") == "" && r.Header.Get("Cookie") == "":
		return nil
	}
	return errNoOrigin
}

func (o *Origins) trusts(origin string) bool {
	if origin == "" || origin == "null" {
		return false
	}
	return origin == originOf(o.PublicURL) || slices.Contains(o.Trusted, origin)
}

// originOf returns the origin of an absolute http or https URL as browsers write it, or nothing.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// CheckCallback refuses a callbackURL that would make us an open redirector: it has to be a path here or belong to a
// trusted origin. Browsers read \ as /, drop tabs and newlines, and servers decode what is encoded, so none of those
// may be there to make "/…" mean "//evil.example".
func (o *Origins) CheckCallback(raw string) error {
	if raw == "" {
		return nil
	}
	if len(raw) > 2048 || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return errCallbackURL
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" {
		return errCallbackURL
	}
	if u.Scheme == "" && u.Host == "" {
		if !strings.HasPrefix(raw, "/") || !plainPath(u.EscapedPath()) {
			return errCallbackURL
		}
		return nil
	}
	if !o.trusts(originOf(raw)) {
		return errCallbackURL
	}
	return nil
}

// plainPath reports whether no amount of decoding and resolving turns the path into one that begins anew with "//".
func plainPath(path string) bool {
	for range 4 {
		if strings.Contains(path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
			return false
		}
		for _, segment := range strings.Split(path, "/") {
			if segment == ".." || segment == "." {
				return false
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return true
		}
		path = decoded
	}
	return false // encoded more often than anybody does in good faith
}
