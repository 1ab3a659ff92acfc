package oauth_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/oauth"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// A world is a running provider over a real database, with one person and three clients. Only the clock is a fake, and
// it only moves when a test moves it.
type world struct {
	*testing.T
	store    *store.Store
	provider *oauth.Provider
	server   *httptest.Server
	clock    *clock
	counters *store.Counters
	person   *store.User
	web      *store.Client // confidential, client_secret_basic
	spa      *store.Client // public, same application as web
	machine  *store.Client // client credentials, another application
	secret   string        // of web and machine

	transport http.RoundTripper // of new browsers; nil for the network
}

type clock struct{ offset, stopped atomic.Int64 }

func (c *clock) now() time.Time {
	now := time.Now()
	if at := c.stopped.Load(); at != 0 {
		now = time.Unix(0, at)
	}
	return now.Add(time.Duration(c.offset.Load()))
}

func (c *clock) forward(d time.Duration) { c.offset.Add(int64(d)) }

// stop keeps caches from running out while a busy machine takes its time.
func (c *clock) stop() { c.stopped.Store(time.Now().UnixNano()) }

const redirectURI = "https://app.example/callback"

// each runs the test on every engine.
func each(t *testing.T, test func(w *world)) {
	clock := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(newWorld(t, s, clock)) }, withClock(clock))
}

// once runs the test on SQLite, for what does not depend on the database.
func once(t *testing.T, test func(w *world)) {
	clock := &clock{}
	test(newWorld(t, storetest.New(t, withClock(clock)), clock))
}

func withClock(c *clock) storetest.Option { return func(o *store.Options) { o.Now = c.now } }

func newWorld(t *testing.T, s *store.Store, c *clock) *world {
	w := &world{T: t, store: s, clock: c, counters: &store.Counters{Store: s}, secret: "cs_" + store.RandomToken(32)}
	e := echo.New()
	e.HTTPErrorHandler = problem.Handler(zerolog.Nop())
	e.Use(middleware.RequestID())
	w.server = httptest.NewServer(e)
	t.Cleanup(w.server.Close)
	w.provider = w.newProvider(nil)
	w.provider.Mount(e)
	w.populate()
	return w
}

// newProvider makes a provider over the same database: a second one is another replica.
func (w *world) newProvider(change func(*oauth.Options)) *oauth.Provider {
	o := w.options()
	if change != nil {
		change(&o)
	}
	p, err := oauth.New(w.Context(), o)
	require.NoError(w, err)
	return p
}

func (w *world) options() oauth.Options {
	origins := &account.Origins{PublicURL: w.server.URL}
	return oauth.Options{
		PublicURL: w.server.URL, CORSOrigins: []string{"https://console.example"},
		Lifetimes: oauth.Lifetimes{Code: time.Minute, AccessToken: 10 * time.Minute, IDToken: time.Hour,
			RefreshIdle: 30 * 24 * time.Hour, RefreshAbsolute: 90 * 24 * time.Hour, Request: time.Hour},
		RefreshGrace: 10 * time.Second,
		Keys:         oauth.KeyPolicy{Rotation: 90 * 24 * time.Hour, Retention: 30 * 24 * time.Hour, Generate: testKey},
		Store:        w.store, Keyring: storetest.Keyring(), Sessions: w.sessions(), SameOrigin: origins.SameOrigin, Counters: w.counters,
		Now: w.clock.now, Log: zerolog.Nop(),
	}
}

func (w *world) sessions() *account.Sessions {
	return &account.Sessions{Store: w.store, Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Short: 24 * time.Hour,
		Touch: time.Minute, Counters: w.counters, Now: w.clock.now, Log: zerolog.Nop()}
}

// testKey makes one key per algorithm and process: RSA keys take long, above all under the race detector.
var testKey = func() func(alg string) (crypto.Signer, error) {
	var mu sync.Mutex
	keys := map[string]crypto.Signer{}
	return func(alg string) (crypto.Signer, error) {
		mu.Lock()
		defer mu.Unlock()
		if keys[alg] == nil {
			key, err := oauth.GenerateKey(alg)
			if err != nil {
				return nil, err
			}
			keys[alg] = key
		}
		return keys[alg], nil
	}
}()

func (w *world) populate() {
	w.person = w.newPerson("ada@example.com")
	product := w.newApplication("crm", "https://api.crm.example")
	w.web = w.newClient(&store.Client{ID: "crm-web", ApplicationID: product.ID, Type: store.ClientWeb,
		TokenEndpointAuthMethod: store.AuthMethodBasic, RedirectURIs: []string{redirectURI},
		PostLogoutRedirectURIs: []string{"https://app.example/bye"}})
	w.spa = w.newClient(&store.Client{ID: "crm-spa", ApplicationID: product.ID, Type: store.ClientSPA,
		TokenEndpointAuthMethod: store.AuthMethodNone, RedirectURIs: []string{"https://spa.example/cb", "http://127.0.0.1:1234/cb"},
		AllowedOrigins: []string{"https://other.spa.example"}, IDTokenAlg: "EdDSA"})
	w.machine = w.newClient(&store.Client{ID: "billing", ApplicationID: w.newApplication("billing", "https://api.billing.example").ID,
		Type: store.ClientM2M, TokenEndpointAuthMethod: store.AuthMethodPost,
		GrantTypes: []string{store.GrantClientCredentials}, Scopes: []string{"invoice:read", "invoice:write"}})
}

func (w *world) newPerson(email string) *store.User {
	u := &store.User{ID: store.NewID(), Email: email, EmailVerified: true, Name: "Ada King Lovelace", Image: "https://img.example/ada.png",
		Role: store.RoleUser, CreatedAt: w.clock.now().UTC(), UpdatedAt: w.clock.now().UTC()}
	require.NoError(w, w.store.CreateUser(w.Context(), u))
	return u
}

func (w *world) newApplication(slug string, audiences ...string) *store.Application {
	a := &store.Application{ID: store.NewID(), Slug: slug, Name: "The " + slug, Audiences: audiences,
		AccessTokenFormat: store.TokenFormatJWT, Metadata: map[string]any{}}
	require.NoError(w, w.store.CreateApplication(w.Context(), a))
	return a
}

// newClient fills in what most clients have.
func (w *world) newClient(c *store.Client) *store.Client {
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email", "offline_access", "invoice:read"}
	}
	if c.GrantTypes == nil {
		c.GrantTypes = []string{store.GrantAuthorizationCode, store.GrantRefreshToken}
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = "RS256"
	}
	c.Name, c.RequirePKCE = "Client "+c.ID, true
	require.NoError(w, w.store.CreateClient(w.Context(), c))
	if !c.Public() {
		_, err := w.store.RotateClientSecret(w.Context(), c.ID, &store.ClientSecret{Hash: store.HashSecret(w.secret)}, 0)
		require.NoError(w, err)
	}
	return c
}

// A browser is somebody's: it keeps cookies and does not follow redirects to other sites.
type browser struct {
	*world
	http *http.Client
}

func (w *world) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(w, err)
	return &browser{w, &http.Client{Jar: jar, Transport: w.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signedIn returns a browser with a fresh session of the person.
func (w *world) signedIn(u *store.User) *browser {
	b := w.newBrowser()
	b.signIn(u)
	return b
}

// signIn puts a session row behind the browser's cookie, as package account does after the right password.
func (b *browser) signIn(u *store.User, change ...func(*store.Session)) *store.Session {
	secret, now := store.RandomToken(32), b.clock.now().UTC()
	ses := &store.Session{ID: store.NewID(), SecretHash: store.HashSecret(secret), UserID: u.ID, AuthTime: now, ACR: "1", AMR: []string{"pwd"},
		Remember: true, CreatedAt: now, LastSeenAt: now, IdleExpiresAt: now.Add(7 * 24 * time.Hour), ExpiresAt: now.Add(30 * 24 * time.Hour)}
	for _, fn := range change {
		fn(ses)
	}
	require.NoError(b, b.store.CreateSession(b.Context(), ses))
	home, _ := url.Parse(b.server.URL)
	b.http.Jar.SetCookies(home, []*http.Cookie{{Name: b.sessions().CookieName(), Value: secret, Path: "/"}})
	return ses
}

// A reply is an HTTP answer read to its end.
type reply struct {
	*testing.T
	status   int
	header   http.Header
	body     string
	location *url.URL // nil without
}

func (r *reply) json() map[string]any {
	r.Helper()
	var v map[string]any
	require.NoError(r, json.Unmarshal([]byte(r.body), &v), r.body)
	return v
}

func (b *browser) do(method, path string, body io.Reader, header ...string) *reply {
	b.Helper()
	target := path
	if !strings.HasPrefix(path, "http") {
		target = b.server.URL + path
	}
	r, err := http.NewRequestWithContext(b.Context(), method, target, body)
	require.NoError(b, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := b.http.Do(r)
	require.NoError(b, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(b, err)
	out := &reply{T: b.T, status: res.StatusCode, header: res.Header, body: string(text)}
	if l := res.Header.Get("Location"); l != "" {
		out.location, err = url.Parse(l)
		require.NoError(b, err)
	}
	return out
}

func (b *browser) get(path string, header ...string) *reply { return b.do("GET", path, nil, header...) }

// post sends JSON as our own pages do.
func (b *browser) post(path, body string) *reply {
	return b.do("POST", path, strings.NewReader(body), "Content-Type", "application/json", "Origin", b.server.URL, "Sec-Fetch-Site", "same-origin")
}

// form sends what relying parties send: no cookies, form-encoded. A client may be nil to send no authentication.
func (w *world) form(path string, c *store.Client, values url.Values, header ...string) *reply {
	w.Helper()
	values = cloned(values)
	if c != nil {
		switch c.TokenEndpointAuthMethod {
		case store.AuthMethodBasic:
			token := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ID) + ":" + url.QueryEscape(w.secret)))
			header = append(header, "Authorization", "Basic "+token)
		case store.AuthMethodPost:
			values.Set("client_id", c.ID)
			values.Set("client_secret", w.secret)
		default:
			values.Set("client_id", c.ID)
		}
	}
	return w.newBrowser().do("POST", path, strings.NewReader(values.Encode()), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

func cloned(v url.Values) url.Values {
	out := url.Values{}
	for name, values := range v {
		out[name] = append([]string(nil), values...)
	}
	return out
}

const (
	authorizePath  = "/api/auth/oauth2/authorize"
	tokenPath      = "/api/auth/oauth2/token"
	userinfoPath   = "/api/auth/oauth2/userinfo"
	introspectPath = "/api/auth/oauth2/introspect"
	revokePath     = "/api/auth/oauth2/revoke"
	endSessionPath = "/api/auth/oauth2/end-session"
)

var verifier = strings.Repeat("v3rifier-", 6)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request returns good authorization parameters; pairs of extra names and values replace or, when empty, remove some.
func request(c *store.Client, extra ...string) url.Values {
	v := url.Values{"client_id": {c.ID}, "redirect_uri": {c.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid profile email"},
		"state": {"st-1"}, "nonce": {"n-1"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(extra); i += 2 {
		if v.Del(extra[i]); extra[i+1] != "" {
			v.Set(extra[i], extra[i+1])
		}
	}
	return v
}

func (b *browser) authorize(v url.Values) *reply {
	b.Helper()
	return b.get(authorizePath + "?" + v.Encode())
}

// code goes through authorization, consenting when asked, and returns the code.
func (b *browser) code(c *store.Client, extra ...string) string {
	b.Helper()
	r := b.authorize(request(c, extra...))
	require.Equal(b, http.StatusSeeOther, r.status, r.body)
	target := r.location
	if id := target.Query().Get("request"); target.Host == "" && id != "" {
		require.Equal(b, "/consent", target.Path)
		answer := b.post("/api/auth/oauth2/requests/"+id+"/consent", `{"accept":true}`)
		require.Equal(b, http.StatusOK, answer.status, answer.body)
		var err error
		target, err = url.Parse(answer.json()["redirectTo"].(string))
		require.NoError(b, err)
	}
	code := target.Query().Get("code")
	require.NotEmpty(b, code, target.String())
	return code
}

// redeem exchanges a code.
func (w *world) redeem(c *store.Client, code string, extra ...string) *reply {
	w.Helper()
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURIs[0]}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(extra); i += 2 {
		if v.Del(extra[i]); extra[i+1] != "" {
			v.Set(extra[i], extra[i+1])
		}
	}
	return w.form(tokenPath, c, v)
}

func (w *world) refresh(c *store.Client, token string, extra ...string) *reply {
	w.Helper()
	v := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i+1 < len(extra); i += 2 {
		v.Set(extra[i], extra[i+1])
	}
	return w.form(tokenPath, c, v)
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
}

func (r *reply) tokens() tokens {
	r.Helper()
	require.Equal(r, http.StatusOK, r.status, r.body)
	var t tokens
	require.NoError(r, json.Unmarshal([]byte(r.body), &t))
	return t
}

// tokens goes through the whole code flow.
func (b *browser) tokens(c *store.Client, extra ...string) tokens {
	b.Helper()
	return b.redeem(c, b.code(c, extra...)).tokens()
}

// refused asserts an OAuth error body.
func (r *reply) refused(status int, code string) {
	r.Helper()
	require.Equal(r, status, r.status, r.body)
	require.Equal(r, code, r.json()["error"], r.body)
	require.NotEmpty(r, r.json()["error_description"])
	require.Equal(r, "no-store", r.header.Get("Cache-Control"))
}

// active introspects as the web client.
func (w *world) active(token string) bool {
	w.Helper()
	r := w.form(introspectPath, w.web, url.Values{"token": {token}})
	require.Equal(w, http.StatusOK, r.status, r.body)
	return r.json()["active"].(bool)
}

// claims decodes a JWT without checking it.
func (w *world) claims(token string) map[string]any {
	w.Helper()
	parts := strings.Split(token, ".")
	require.Len(w, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(w, err)
	var v map[string]any
	require.NoError(w, json.Unmarshal(raw, &v))
	return v
}
