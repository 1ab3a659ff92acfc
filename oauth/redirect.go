package oauth

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// matchRedirectURI reports whether a requested redirect_uri is one of the registered ones: the same string, octet by
// octet (RFC 9700 §2.1), or, for a registered http URI on a loopback IP address, the same but for the port (RFC 8252
// §7.3). The name "localhost" gets no such freedom: it may resolve elsewhere.
func matchRedirectURI(registered []string, requested string) bool {
	if slices.Contains(registered, requested) {
		return true
	}
	rest, ok := withoutLoopbackPort(requested)
	return ok && slices.ContainsFunc(registered, func(uri string) bool {
		known, ok := withoutLoopbackPort(uri)
		return ok && known == rest
	})
}

// withoutLoopbackPort cuts the port out of an http URI on a loopback IP literal. It works on the string, never on decoded
// parts, so that no two spellings of a path are taken for one.
func withoutLoopbackPort(uri string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.Host != rest[:end] {
		return "", false
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil || address != netip.MustParseAddr("127.0.0.1") && address != netip.IPv6Loopback() {
		return "", false
	}
	return address.String() + rest[end:], true
}
