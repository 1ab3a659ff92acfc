// Package outgoing sends requests to addresses that strangers choose: webhooks, and whatever else a client's metadata names. It
// reaches public addresses only, over https, with a deadline and a bound on what it reads, so that nobody uses this server
// to look into the network that it is in (OWASP A10: server-side request forgery).
//
// Start with New and Client.Do.
package outgoing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	// maxBody is how much of an answer is read, and maxHeader how much of its header.
	maxBody   = 1 << 20
	maxHeader = 64 << 10
	// maxURL is how many characters a URL has at most.
	maxURL = 2000
)

var (
	// ErrAddress means that the host is at an address where we send nothing.
	ErrAddress = errors.New("the address is not public")
	// ErrScheme means that the URL is not https.
	ErrScheme = errors.New("the scheme is not https")
	// ErrTooLarge means that the answer goes on behind what we read of one.
	ErrTooLarge = errors.New("the answer is too large")
)

// Options say what a Client may do.
type Options struct {
	// Timeout ends an exchange, from the look-up of the name to the last byte of the answer.
	Timeout time.Duration
	// AllowedNetworks are private networks that may be reached all the same, over http, too.
	AllowedNetworks []netip.Prefix
	// RootCAs are who is believed about https; nil for those of the system.
	RootCAs *x509.CertPool
	// Resolver looks up names; nil for that of the system.
	Resolver *net.Resolver
}

// A Client sends requests. It is safe for concurrent use.
type Client struct {
	allowed       []netip.Prefix
	secure, plain *http.Client
}

// New returns a client with connections of its own.
func New(o Options) *Client {
	c := &Client{allowed: o.AllowedNetworks}
	c.secure = c.over(c.reachable, o)
	c.plain = c.over(c.listed, o)
	return c
}

// over returns a client that connects to the admitted addresses only.
func (c *Client) over(admit func(netip.Addr) bool, o Options) *http.Client {
	dialer := &net.Dialer{Timeout: o.Timeout, Resolver: o.Resolver, Control: func(_, address string, _ syscall.RawConn) error {
		// Here the name is resolved and nothing is sent yet. A check of the name before, or of a look-up of our own, would
		// not bind the look-up that the connection is made by (DNS rebinding).
		at, err := netip.ParseAddrPort(address)
		if err != nil || !admit(at.Addr().Unmap()) {
			return ErrAddress
		}
		return nil
	}}
	return &http.Client{
		Timeout: o.Timeout,
		// A redirect would be a second address of the stranger's choice, and change the method of a POST.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // a proxy would resolve the name in our place, out of sight
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout, MaxResponseHeaderBytes: maxHeader,
			DisableCompression: true, // a few bytes could become many
			MaxIdleConns:       32, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
	}
}

// Do sends a request and returns the answer, whatever its status; also when that is a redirect, which it does not follow. The
// caller closes the body, whose reading fails with ErrTooLarge behind the first MiB. See Reason for errors.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	client := c.secure
	switch r.URL.Scheme {
	case "https":
	case "http":
		if len(c.allowed) == 0 {
			return nil, ErrScheme
		}
		client = c.plain
	default:
		return nil, ErrScheme
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("outgoing request: %w", err)
	}
	answer.Body = &capped{ReadCloser: answer.Body, left: maxBody}
	return answer, nil
}

// reachable reports whether requests may go to the address over https.
func (c *Client) reachable(a netip.Addr) bool { return public(a) || c.listed(a) }

// listed reports whether the operator allows the address.
func (c *Client) listed(a netip.Addr) bool {
	for _, network := range c.allowed {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Fault says in a sentence why no request can ever go to the URL; empty when one may. The names of hosts are left to the moment
// of sending: who answers for them can change at any time.
func (c *Client) Fault(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case len(raw) > maxURL:
		return fmt.Sprintf("The URL has %d characters, and %d at most are possible.", len(raw), maxURL)
	case err != nil || u.Hostname() == "" || strings.ContainsAny(raw, " \t\r\n"):
		return "Use a URL such as https://crm.example.com/hooks."
	case u.User != nil:
		return "Leave out the user and the password: they would be stored and shown."
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return "Leave out the # and what follows: it is never sent."
	case u.Scheme == "http" && len(c.allowed) > 0, u.Scheme == "https":
	default:
		return "Use https."
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		if u.Scheme == "https" && strings.EqualFold(u.Hostname(), "localhost") && len(c.allowed) == 0 {
			return "Use a host that can be reached from outside."
		}
		return ""
	}
	admit := c.reachable
	if u.Scheme == "http" {
		admit = c.listed
	}
	if !admit(address.Unmap()) {
		return "This address is not public, and the configuration (outgoing.allowed_networks) does not allow it."
	}
	return ""
}

// Reason puts the error of a request into a sentence for whoever chose the address.
func Reason(err error) string {
	var network net.Error
	var name *net.DNSError
	var header tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrAddress):
		return "The host is at an address that is not public."
	case errors.Is(err, ErrScheme):
		return "The URL is not https."
	case errors.Is(err, ErrTooLarge):
		return "The answer is too large."
	case errors.As(err, &verification):
		return "The certificate of the host is not valid."
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return "The host does not speak TLS."
	case errors.As(err, &name) && name.IsNotFound:
		return "There is no host of this name."
	case errors.As(err, &name):
		return "The name of the host could not be resolved."
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "The host did not answer in time."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "The host refused the connection."
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "The host closed the connection."
	}
	return "The host could not be reached."
}

// capped is a body of which no more than so much is read.
type capped struct {
	io.ReadCloser
	left int64
}

func (b *capped) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
