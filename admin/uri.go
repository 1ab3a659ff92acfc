package admin

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxURI bounds every URI that is stored. Browsers and proxies stop not far above it.
const maxURI = 2000

// uriCharacters are those that RFC 3986 has. Backslashes, control characters, spaces and letters beyond ASCII are not
// among them: browsers rewrite those, so that what they open is not what was compared.
var uriCharacters = regexp.MustCompile(`^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$`)

// parseURI does what all kinds of URIs here have in common. The fault is a sentence, empty when there is none.
func parseURI(raw string) (u *url.URL, fault string) {
	switch {
	case raw == "":
		return nil, "This URI is empty: remove it or write it out."
	case len(raw) > maxURI:
		return nil, fmt.Sprintf("This URI is longer than %d characters: shorten it.", maxURI)
	case !uriCharacters.MatchString(raw):
		return nil, "This URI has characters that URIs do not have: percent-encode them, and write a host name in its xn-- form."
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || !validPort(u):
		return nil, "This is not a URI: write it like https://app.example.com/callback."
	case u.Scheme == "":
		return nil, "This URI is relative: begin it with https://."
	case u.User != nil || strings.Contains(authority(raw), "@"):
		return nil, "This URI contains a user name or password: remove everything up to the @."
	}
	return u, ""
}

// authority is the part between // and the path, which url.Parse does not keep as it was.
func authority(raw string) string {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.Atoi(u.Port())
	return err == nil && port > 0 && port < 1<<16
}

// loopback names the hosts that never leave the machine (RFC 8252 §7.3, §8.3). Others that resolve to it today may not tomorrow.
func loopback(host string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, strings.ToLower(host))
}

// webFault says what is wrong with u as an address on the web: https, or http on the machine itself.
func webFault(u *url.URL) string {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "This scheme is not allowed: use https."
	case u.Hostname() == "" || u.Opaque != "":
		return "This URI has no host: write it like https://app.example.com/."
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "http is allowed only for localhost, 127.0.0.1 and [::1]: use https."
	}
	return ""
}

// redirectFault says what is wrong with a redirect URI (RFC 6749 §3.1.2, RFC 8252 §7.1, RFC 9700 §4.1).
func redirectFault(raw string, native bool) string {
	u, fault := parseURI(raw)
	switch {
	case fault != "":
		return fault
	case strings.Contains(raw, "#"):
		return "A redirect URI must not have a fragment: remove # and what follows."
	case strings.Contains(raw, "*"):
		return "Redirect URIs are compared character by character, so * stands for nothing: list each URI."
	case u.Scheme == "http" || u.Scheme == "https" || !native:
		return webFault(u)
	case !strings.Contains(strings.Trim(u.Scheme, "."), "."):
		return "A private-use scheme has to be a domain of yours turned around, such as com.example.app:/callback."
	case u.Opaque != "" || u.Host == "" && u.Path == "":
		return "This URI has no path: write it like com.example.app:/callback."
	}
	return ""
}

// linkFault says what is wrong with a URI that people will click or see as a picture. A javascript: URI here would be stored XSS.
func linkFault(raw string) string {
	u, fault := parseURI(raw)
	if fault != "" {
		return fault
	}
	return webFault(u)
}

// originFault says what is wrong with a web origin. It has to be just as browsers send it, since it is compared as a string.
func originFault(raw string) string {
	u, fault := parseURI(raw)
	if fault == "" {
		fault = webFault(u)
	}
	switch {
	case fault != "":
		return fault
	case strings.Contains(raw, "*"):
		return "Origins are compared as they are, so * stands for nothing: list each origin."
	case raw != u.Scheme+"://"+strings.ToLower(u.Host):
		return "An origin is scheme://host or scheme://host:port in lower case and nothing else: remove the rest."
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "Browsers leave the default port out of an origin: remove it."
	}
	return ""
}

// audienceFault says what is wrong with a resource indicator (RFC 8707 §2).
func audienceFault(raw string) string {
	u, fault := parseURI(raw)
	switch {
	case fault != "":
		return fault
	case strings.Contains(raw, "#"):
		return "An audience must not have a fragment: remove # and what follows."
	case u.Opaque == "" && u.Host == "":
		return "An audience is an absolute URI: write it like https://api.example.com or urn:example:api."
	}
	return ""
}
