package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// A scenario is one path of the server beside the floor that does its unavoidable part.
type scenario struct {
	name  string
	floor string // path of the floor server
	steps func(b *bed) ([]step, error)
}

var scenarios = []scenario{
	{"discovery", "/static", func(b *bed) ([]step, error) {
		return b.same(get("/api/auth/.well-known/openid-configuration", "")), nil
	}},
	{"client_credentials", "/sign", func(b *bed) ([]step, error) { return b.same(form(tokenPath, b.m2m.machine("client_credentials"))), nil }},
	{"introspect", "/verify", introspection},
	{"userinfo", "/verify+read", userinfo},
	{"get-session", "/read", func(b *bed) ([]step, error) {
		return b.perCaller(func(i int) (step, error) { return expect(200, get("/api/auth/get-session", b.cookies[i])), nil })
	}},
	{"authorize", "/read+commit", func(b *bed) ([]step, error) {
		return b.perCaller(func(i int) (step, error) {
			return func(c *caller) error { _, err := b.authorize(c, i, b.web); return err }, nil
		})
	}},
	{"code flow", "/flow", func(b *bed) ([]step, error) { return codeFlow(b, b.web) }},
	{"code flow, RS256 ID token", "/flow", func(b *bed) ([]step, error) { return codeFlow(b, b.rsa) }},
	{"refresh", "/commit+sign", func(b *bed) ([]step, error) { return refresh(b, b.web) }},
	{"password sign-in", "/argon2", func(b *bed) ([]step, error) {
		return b.perCaller(func(i int) (step, error) {
			return expect(200, raw("POST", "/api/auth/sign-in/email", "application/json", "", credentials(i))), nil
		})
	}},
}

// A bed is a server with the people and clients that the scenarios need.
type bed struct {
	address  string
	callers  int
	admin    *http.Client
	cookies  []string // of one signed-in person per caller
	web, rsa registered
	m2m      registered
}

type registered struct {
	ID           string `json:"id"` // of the application
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	scope        string // that its people ask for, when it is not the usual one
}

const (
	tokenPath   = "/api/auth/oauth2/token"
	redirectURI = "https://app.example/cb"
	password    = "correct horse battery staple"
	adminEmail  = "bench@example.com"
)

var verifier = strings.Repeat("bench-verifier-", 4)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func email(i int) string { return fmt.Sprintf("person%d@example.com", i) }

func credentials(i int) string { return fmt.Sprintf(`{"email":%q,"password":%q}`, email(i), password) }

// prepare registers people and clients through the server's own API.
func prepare(address string, callers int) (*bed, error) {
	b := &bed{address: address, callers: callers}
	var err error
	if b.admin, err = b.sign("in", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, password)); err != nil {
		return nil, err
	}
	const web = `,"type":"web","skipConsent":true,"redirectUris":["` + redirectURI + `"],"scopes":["openid","profile","email","offline_access"],
		"grantTypes":["authorization_code","refresh_token"],"tokenEndpointAuthMethod":"client_secret_post"`
	for target, body := range map[*registered]string{
		&b.web: `{"name":"bench web","idTokenSignedResponseAlg":"ES256"` + web + `}`,
		&b.rsa: `{"name":"bench rsa","idTokenSignedResponseAlg":"RS256"` + web + `}`,
		&b.m2m: `{"name":"bench m2m","type":"m2m","scopes":["read"],"tokenEndpointAuthMethod":"client_secret_post"}`,
	} {
		if err := b.call(b.admin, "/api/admin/applications", body, target); err != nil {
			return nil, err
		}
	}
	for i := range callers {
		body := fmt.Sprintf(`{"name":"Person %d","email":%q,"password":%q}`, i, email(i), password)
		person, err := b.sign("up", body)
		if err != nil {
			return nil, err
		}
		b.cookies = append(b.cookies, b.cookie(person))
	}
	return b, nil
}

// cookie is the header that a browser sends to the server.
func (b *bed) cookie(browser *http.Client) string {
	var pairs []string
	for _, cookie := range browser.Jar.Cookies(&url.URL{Scheme: "http", Host: b.address, Path: "/"}) {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(pairs, "; ")
}

// sign signs a person up or in and returns the browser that did it.
func (b *bed) sign(how, body string) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar}
	return client, b.call(client, "/api/auth/sign-"+how+"/email", body, nil)
}

func (b *bed) call(client *http.Client, path, body string, into any) error {
	r, err := http.NewRequest(http.MethodPost, "http://"+b.address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "http://"+b.address)
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// raw writes an HTTP/1.1 request.
func raw(method, path, media, headers, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, headers)
	if media != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", media, len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

func get(path, cookie string) []byte {
	headers := ""
	if cookie != "" {
		headers = "Cookie: " + cookie + "\r\n"
	}
	return raw("GET", path, "", headers, "")
}

func form(path string, values url.Values) []byte {
	return raw("POST", path, "application/x-www-form-urlencoded", "", values.Encode())
}

// expect makes a step of a request that never changes.
func expect(status int, request []byte) step {
	return func(c *caller) error {
		a, err := c.send(request)
		if err == nil && a.status != status {
			err = fmt.Errorf("%s: status %d: %s", bytes.SplitN(request, []byte("\r\n"), 2)[0], a.status, a.body)
		}
		return err
	}
}

func (b *bed) same(request []byte) []step {
	steps, _ := b.perCaller(func(int) (step, error) { return expect(http.StatusOK, request), nil })
	return steps
}

func (b *bed) perCaller(make func(i int) (step, error)) ([]step, error) {
	var steps []step
	for i := range b.callers {
		one, err := make(i)
		if err != nil {
			return nil, err
		}
		steps = append(steps, one)
	}
	return steps, nil
}

// machine is what a client sends for itself.
func (r registered) machine(grant string) url.Values {
	return url.Values{"grant_type": {grant}, "client_id": {r.ClientID}, "client_secret": {r.ClientSecret}}
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (b *bed) tokens(c *caller, request []byte) (tokens, error) {
	var t tokens
	a, err := c.send(request)
	if err != nil {
		return t, err
	}
	if a.status != http.StatusOK {
		return t, fmt.Errorf("token endpoint: status %d: %s", a.status, a.body)
	}
	return t, json.Unmarshal(a.body, &t)
}

// authorize gets a code for the caller's person, who has consented by registration.
func (b *bed) authorize(c *caller, i int, client registered) (string, error) {
	query := url.Values{"client_id": {client.ClientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"s"}, "nonce": {"n"},
		"scope": {cmp.Or(client.scope, "openid profile email offline_access")}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	a, err := c.send(get("/api/auth/oauth2/authorize?"+query.Encode(), b.cookies[i]))
	if err != nil {
		return "", err
	}
	location, err := url.Parse(a.location)
	if err != nil || location.Query().Get("code") == "" {
		return "", fmt.Errorf("authorize: status %d, location %q", a.status, a.location)
	}
	return location.Query().Get("code"), nil
}

func (b *bed) flow(c *caller, i int, client registered) (tokens, error) {
	code, err := b.authorize(c, i, client)
	if err != nil {
		return tokens{}, err
	}
	return b.tokens(c, form(tokenPath, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI},
		"code_verifier": {verifier}, "client_id": {client.ClientID}, "client_secret": {client.ClientSecret}}))
}

func codeFlow(b *bed, client registered) ([]step, error) {
	return b.perCaller(func(i int) (step, error) {
		return func(c *caller) error { _, err := b.flow(c, i, client); return err }, nil
	})
}

func refresh(b *bed, client registered) ([]step, error) {
	setUp := &caller{address: b.address}
	defer setUp.close()
	return b.perCaller(func(i int) (step, error) {
		t, err := b.flow(setUp, i, client)
		return func(c *caller) (err error) {
			t, err = b.tokens(c, form(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh},
				"client_id": {client.ClientID}, "client_secret": {client.ClientSecret}}))
			return err
		}, err
	})
}

func introspection(b *bed) ([]step, error) {
	c := &caller{address: b.address}
	defer c.close()
	t, err := b.tokens(c, form(tokenPath, b.m2m.machine("client_credentials")))
	if err != nil {
		return nil, err
	}
	values := b.m2m.machine("")
	values.Del("grant_type")
	values.Set("token", t.Access)
	return b.same(form("/api/auth/oauth2/introspect", values)), nil
}

func userinfo(b *bed) ([]step, error) {
	c := &caller{address: b.address}
	defer c.close()
	return b.perCaller(func(i int) (step, error) {
		t, err := b.flow(c, i, b.web)
		return expect(http.StatusOK, raw("GET", "/api/auth/oauth2/userinfo", "", "Authorization: Bearer "+t.Access+"\r\n", "")), err
	})
}
