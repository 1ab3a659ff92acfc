package outgoing_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"auth-service/outgoing"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// get sends a request and returns what there is to tell of it: the status, or the reason of the error.
func get(t *testing.T, c *outgoing.Client, address string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	answer, err := c.Do(r)
	if err != nil {
		return outgoing.Reason(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return outgoing.Reason(err)
	}
	return answer.Status
}

// internal is a server that nobody but us may reach.
func internal(t *testing.T, secure bool) (server *httptest.Server, reached func() bool) {
	var seen bool
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, func() bool { server.Close(); return seen }
}

func trusting(s *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots
}

// Server-side request forgery (OWASP A10): an address inside of our network is refused in whatever form it is written, before
// a byte is sent.
func TestPrivateAddresses(t *testing.T) {
	server, reached := internal(t, true)
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, RootCAs: trusting(server)})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	for what, host := range map[string]string{
		"loopback": "127.0.0.1", "all of loopback": "127.8.8.8", "this host": "0.0.0.0", "IPv6 loopback": "[::1]", "unspecified IPv6": "[::]",
		"private A": "10.0.0.1", "private B": "172.16.0.1", "the end of private B": "172.31.255.255", "private C": "192.168.1.1",
		"carrier-grade NAT": "100.64.0.1", "link-local": "169.254.1.1", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "reserved": "240.0.0.1",
		"benchmarks": "198.18.0.1", "documentation": "192.0.2.1", "6to4 relays": "192.88.99.1",
		"metadata of AWS, GCP and Azure": "169.254.169.254", "metadata of Alibaba": "100.100.100.200", "metadata of Oracle": "192.0.0.192",
		"the wire server of Azure": "168.63.129.16", "metadata of AWS over IPv6": "[fd00:ec2::254]",
		"IPv4-mapped loopback": "[::ffff:127.0.0.1]", "IPv4-mapped metadata": "[::ffff:a9fe:a9fe]", "IPv4-compatible": "[::127.0.0.1]",
		"NAT64": "[64:ff9b::7f00:1]", "local NAT64": "[64:ff9b:1::7f00:1]", "6to4": "[2002:7f00:1::]", "Teredo": "[2001:0:7f00:1::]",
		"unique local": "[fc00::1]", "IPv6 link-local": "[fe80::1]", "IPv6 multicast": "[ff02::1]", "IPv6 documentation": "[2001:db8::1]", "discarded": "[100::1]", "segment routing": "[5f00::1]",
	} {
		assert.Equal(t, "The host is at an address that is not public.", get(t, c, "https://"+host+":"+port), what)
		assert.NotEmpty(t, c.Fault("https://"+host+":"+port), what)
	}
	// Forms of 127.0.0.1 that some resolvers take for a number; here it is enough that none of them gets through.
	for _, host := range []string{"localhost", "LOCALHOST.", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1."} {
		assert.NotContains(t, get(t, c, "https://"+host+":"+port), "200", host)
	}
	assert.False(t, reached())
}

func TestPublicAddresses(t *testing.T) {
	c := outgoing.New(outgoing.Options{})
	for _, host := range []string{"1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "192.0.1.0", "223.255.255.255", "[2606:4700::1111]", "[2001:200::1]"} {
		assert.Empty(t, c.Fault("https://"+host+"/hook"), host)
	}
}

// DNS rebinding: a name whose owner answers with a public address when it is looked at, and with ours when it counts.
func TestRebinding(t *testing.T) {
	server, reached := internal(t, true)
	resolver := &net.Resolver{PreferGo: true, Dial: rebinding(t)}
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, RootCAs: trusting(server), Resolver: resolver})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	first, err := resolver.LookupNetIP(t.Context(), "ip4", "example.com.")
	require.NoError(t, err)
	require.Equal(t, "1.1.1.1", first[0].String(), "whoever checks the name finds nothing wrong")
	assert.Empty(t, c.Fault("https://example.com:"+port))
	assert.Equal(t, "The host is at an address that is not public.", get(t, c, "https://example.com.:"+port))
	assert.False(t, reached())

	// That the name is trusted, and only its address is not: where the operator allows the network, it is reached.
	server, reached = internal(t, true)
	_, port, err = net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	c = outgoing.New(outgoing.Options{Timeout: 5 * time.Second, RootCAs: trusting(server), Resolver: resolver, AllowedNetworks: loopback})
	assert.Equal(t, "200 OK", get(t, c, "https://example.com:"+port))
	assert.True(t, reached())
}

// rebinding is a name server whose first answer is 1.1.1.1 and whose others are 127.0.0.1.
func rebinding(t *testing.T) func(ctx context.Context, network, address string) (net.Conn, error) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { socket.Close() })
	go func() {
		answer, buffer := [4]byte{1, 1, 1, 1}, make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buffer[:n]) != nil {
				continue
			}
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true}, Questions: query.Questions}
			if q := query.Questions[0]; q.Type == dnsmessage.TypeA {
				header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				reply.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: answer}}}
				answer = [4]byte{127, 0, 0, 1}
			}
			packed, _ := reply.Pack()
			_, _ = socket.WriteTo(packed, from)
		}
	}()
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}
}

// A public host redirects to a private one, or from https to http: the redirect is the answer.
func TestRedirectsAreNotFollowed(t *testing.T) {
	target, reached := internal(t, false)
	server := httptest.NewTLSServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, RootCAs: trusting(server), AllowedNetworks: loopback})
	assert.Equal(t, "307 Temporary Redirect", get(t, c, server.URL))
	assert.False(t, reached())
}

// Without TLS whoever is on the way reads and changes what is sent. Only what the operator lists may do without.
func TestSchemes(t *testing.T) {
	server, reached := internal(t, false)
	public := outgoing.New(outgoing.Options{Timeout: 5 * time.Second})
	assert.Equal(t, "The URL is not https.", get(t, public, server.URL))
	elsewhere := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	assert.Equal(t, "The host is at an address that is not public.", get(t, elsewhere, server.URL))
	assert.Equal(t, "The host is at an address that is not public.", get(t, elsewhere, "http://1.1.1.1"), "http is for listed networks, not for public ones")
	for _, address := range []string{"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "//127.0.0.1/"} {
		assert.Equal(t, "The URL is not https.", get(t, elsewhere, address), address)
	}
	here := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: loopback})
	assert.Equal(t, "200 OK", get(t, here, server.URL))
	assert.True(t, reached())
}

// A certificate that nobody vouches for, or that is another host's, is a man in the middle.
func TestCertificates(t *testing.T) {
	server, reached := internal(t, true)
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: loopback})
	assert.Equal(t, "The certificate of the host is not valid.", get(t, c, server.URL))
	c = outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: loopback, RootCAs: trusting(server)})
	assert.Equal(t, "The certificate of the host is not valid.", get(t, c, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)))
	assert.False(t, reached())
	plain, _ := internal(t, false)
	assert.Equal(t, "The host does not speak TLS.", get(t, c, strings.Replace(plain.URL, "http:", "https:", 1)))
}

// A proxy of the environment would look the name up where we don't see it, and reach what we must not.
func TestNoProxy(t *testing.T) {
	proxy, reached := internal(t, false)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: loopback})
	assert.NotContains(t, get(t, c, "http://127.0.0.3:1"), "200")
	assert.NotContains(t, get(t, c, "https://10.0.0.1:1"), "200")
	assert.False(t, reached())
}

// A receiver that never ends its answer, or never begins it, or sends a header without end, must not hold us up or fill our memory.
func TestSlowAndEndlessAnswers(t *testing.T) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
			<-ended
		case "/stalled":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-ended
		case "/endless":
			for _, err := w.Write(make([]byte, 64<<10)); err == nil; _, err = w.Write(make([]byte, 64<<10)) {
			}
		case "/header":
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1<<10))
			}
		case "/largest":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/larger":
			_, _ = w.Write(make([]byte, 1<<20+1))
		}
	}))
	defer server.Close()
	defer close(ended)
	quick := outgoing.New(outgoing.Options{Timeout: 50 * time.Millisecond, AllowedNetworks: loopback})
	for _, path := range []string{"/silent", "/stalled"} {
		assert.Equal(t, "The host did not answer in time.", get(t, quick, server.URL+path), path)
	}
	c := outgoing.New(outgoing.Options{Timeout: 10 * time.Second, AllowedNetworks: loopback})
	assert.Equal(t, "200 OK", get(t, c, server.URL+"/largest"))
	assert.Equal(t, "The answer is too large.", get(t, c, server.URL+"/larger"))
	assert.Equal(t, "The answer is too large.", get(t, c, server.URL+"/endless"))
	assert.Equal(t, "The host could not be reached.", get(t, c, server.URL+"/header"))
}

// A compressed answer is not unpacked: a few bytes would become gigabytes.
func TestNoCompression(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Accept-Encoding"))
	}))
	defer server.Close()
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: loopback})
	assert.Equal(t, "200 OK", get(t, c, server.URL))
}

func TestReasons(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	c := outgoing.New(outgoing.Options{Timeout: 5 * time.Second, AllowedNetworks: loopback})
	assert.Equal(t, "The host refused the connection.", get(t, c, "http://"+closed.Addr().String()))
	for err, want := range map[error]string{
		&url.Error{Err: io.EOF}:                                    "The host closed the connection.",
		&net.DNSError{IsNotFound: true}:                            "There is no host of this name.",
		&net.DNSError{IsTimeout: true}:                             "The name of the host could not be resolved.",
		context.DeadlineExceeded:                                   "The host did not answer in time.",
		&url.Error{Err: &net.OpError{Err: os.ErrDeadlineExceeded}}: "The host did not answer in time.",
		fmt.Errorf("no route to https://user:secret@host"):         "The host could not be reached.",
	} {
		assert.Equal(t, want, outgoing.Reason(err))
	}
}

func TestFaults(t *testing.T) {
	public := outgoing.New(outgoing.Options{})
	within := outgoing.New(outgoing.Options{AllowedNetworks: loopback})
	for _, tt := range []struct{ url, public, within string }{
		{"https://crm.example.com/hooks?a=b", "", ""},
		{"http://crm.example.com/hooks", "Use https.", ""},
		{"http://127.0.0.1:8080/hooks", "Use https.", ""},
		{"http://1.1.1.1/hooks", "Use https.", "This address is not public, and the configuration (outgoing.allowed_networks) does not allow it."},
		{"https://127.0.0.1/hooks", "This address is not public, and the configuration (outgoing.allowed_networks) does not allow it.", ""},
		{"https://localhost/hooks", "Use a host that can be reached from outside.", ""},
		{"https://ada:secret@crm.example.com", "Leave out the user and the password: they would be stored and shown.", "Leave out the user and the password: they would be stored and shown."},
		{"https://crm.example.com/#", "Leave out the # and what follows: it is never sent.", "Leave out the # and what follows: it is never sent."},
		{"https://crm.example.com/#a", "Leave out the # and what follows: it is never sent.", "Leave out the # and what follows: it is never sent."},
		{"https://" + strings.Repeat("a", 2000), "The URL has 2008 characters, and 2000 at most are possible.", "The URL has 2008 characters, and 2000 at most are possible."},
		{"ftp://crm.example.com", "Use https.", "Use https."},
	} {
		assert.Equal(t, tt.public, public.Fault(tt.url), tt.url)
		assert.Equal(t, tt.within, within.Fault(tt.url), tt.url)
	}
	for _, address := range []string{"", "crm", "/hooks", "https://", "https:///hooks", "https://crm.example.com/ hooks", "https://crm.example.com/\n", "https://[::1/", "https://a:b:c/"} {
		assert.Equal(t, "Use a URL such as https://crm.example.com/hooks.", public.Fault(address), address)
	}
}
