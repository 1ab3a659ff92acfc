package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// anyOrigin lets scripts of every site read public documents. No credentials are involved.
func anyOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Max-Age", "86400")
		return next(c)
	}
}

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// preflight answers for the endpoints that browser applications call. A preflight names no client, so every origin may
// send its request; whether it may read the answer is decided when the client is known. No cookie is ever involved.
func (p *Provider) preflight(c echo.Context) error {
	h := c.Response().Header()
	if origin := c.Request().Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, DPoP")
		h.Set("Access-Control-Max-Age", "600")
	}
	h.Add("Vary", "Origin")
	return c.NoContent(http.StatusNoContent)
}

// clientOrigins lets a configured origin read the answer, whichever client it calls for.
func (p *Provider) clientOrigins(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Add("Vary", "Origin")
		if origin := c.Request().Header.Get("Origin"); slices.Contains(p.CORSOrigins, origin) {
			c.Response().Header().Set("Access-Control-Allow-Origin", origin)
		}
		return next(c)
	}
}

// claimedClient is the client that a request says it comes from, whether or not it can prove it.
func claimedClient(r *http.Request, form url.Values) string {
	scheme, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Basic") {
		if basic, err := parseBasic(encoded); err == nil {
			return basic.id
		}
	}
	return form.Get("client_id")
}

// allowOrigin lets the calling script read the answer when its origin belongs to the client: one of its redirect URIs or
// allowed origins. Errors must be readable, too, so it is called before the client has authenticated.
func (p *Provider) allowOrigin(c echo.Context, clientID string) {
	origin := c.Request().Header.Get("Origin")
	if origin == "" || clientID == "" {
		return
	}
	client, err := p.clients.get(c.Request().Context(), clientID)
	if err != nil {
		return // the request itself will say why
	}
	if slices.Contains(client.AllowedOrigins, origin) || slices.ContainsFunc(client.RedirectURIs, func(uri string) bool { return originOf(uri) == origin }) {
		c.Response().Header().Set("Access-Control-Allow-Origin", origin)
	}
}

// originOf is the origin of an http or https URI as browsers write it: in lower case, without a default port (RFC 6454 §6).
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return ""
	}
	return u.Scheme + "://" + host
}
