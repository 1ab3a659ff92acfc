package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store/storetest"
)

// with returns the JSON of a good application in which some fields are replaced; a nil field is left out.
func with(kind string, fields map[string]any) string {
	body := map[string]any{"name": "Any", "type": kind}
	if kind != "m2m" {
		body["redirectUris"] = []string{"https://app.example/cb"}
	}
	maps.Copy(body, fields)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

type fields = map[string]any

func many(n int, format string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}

func TestValidation(t *testing.T) {
	srv := newServer(t, storetest.New(t)) // nothing of this reaches the database
	for _, tt := range []struct {
		name   string
		kind   string
		fields fields
		bad    []string // the fields that are reported; none when the body is good
	}{
		{"no name", "web", fields{"name": nil}, []string{"name"}},
		{"blank name", "web", fields{"name": "  \t"}, []string{"name"}},
		{"long name", "web", fields{"name": strings.Repeat("ü", 101)}, []string{"name"}},
		{"longest name", "web", fields{"name": strings.Repeat("ü", 100)}, nil},
		{"NUL in the name, which PostgreSQL does not keep", "web", fields{"name": "a\x00b"}, []string{"name"}},
		// A right-to-left override makes "moc.elgoog" read as google.com on the consent screen.
		{"text direction in the name", "web", fields{"name": "\u202emoc.elgoog"}, []string{"name"}},
		{"no type", "web", fields{"type": nil}, []string{"type"}},
		{"unknown type", "web", fields{"type": "machine"}, []string{"type"}},
		{"capital in the slug", "web", fields{"slug": "CRM"}, []string{"slug"}},
		{"hyphen at the slug's end", "web", fields{"slug": "crm-"}, []string{"slug"}},
		{"long slug", "web", fields{"slug": strings.Repeat("a", 64)}, []string{"slug"}},
		{"longest slug", "web", fields{"slug": strings.Repeat("a", 63)}, nil},
		// It would be found in the place of the application whose id it is.
		{"an id as slug", "web", fields{"slug": "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"}, []string{"slug"}},
		{"an e-mail address as slug", "web", fields{"slug": "a@b"}, []string{"slug"}},

		{"long redirect URI", "web", fields{"redirectUris": []string{"https://app.example/" + strings.Repeat("a", 2000)}}, []string{"redirectUris[0]"}},
		{"50 redirect URIs", "web", fields{"redirectUris": many(50, "https://app.example/%d")}, nil},
		{"51 redirect URIs", "web", fields{"redirectUris": many(51, "https://app.example/%d")}, []string{"redirectUris"}},
		{"a redirect URI twice", "web", fields{"redirectUris": []string{"https://a.example/", "https://a.example/"}}, []string{"redirectUris[1]"}},
		{"no redirect URI", "web", fields{"redirectUris": []string{}}, []string{"redirectUris"}},
		{"post-logout URIs obey the same rules", "web", fields{"postLogoutRedirectUris": []string{"http://app.example/", "https://ok.example/"}}, []string{"postLogoutRedirectUris[0]"}},

		{"origins", "spa", fields{"allowedOrigins": []string{"https://a.example", "http://localhost:5173", "https://a.example:8443"}}, nil},
		{"bad origins", "spa", fields{"allowedOrigins": []string{"https://a.example/", "*", "null", "https://*.example", "HTTPS://a.example", "https://A.example", "https://a.example:443", "http://a.example", "https://a.example?x", "https://a@b.example", "a.example"}},
			[]string{"allowedOrigins[0]", "allowedOrigins[1]", "allowedOrigins[2]", "allowedOrigins[3]", "allowedOrigins[4]", "allowedOrigins[5]", "allowedOrigins[6]", "allowedOrigins[7]", "allowedOrigins[8]", "allowedOrigins[9]", "allowedOrigins[10]"}},

		{"scopes", "web", fields{"scopes": []string{"openid", "urn:x:y", "https://api.example/read", "a/b!#"}}, nil},
		{"bad scopes", "web", fields{"scopes": []string{"", "a b", `a"b`, `a\b`, "é", strings.Repeat("a", 129), "ok", "ok"}},
			[]string{"scopes[0]", "scopes[1]", "scopes[2]", "scopes[3]", "scopes[4]", "scopes[5]", "scopes[7]"}},
		{"64 scopes", "web", fields{"scopes": many(64, "s%d")}, nil},
		{"65 scopes", "web", fields{"scopes": many(65, "s%d")}, []string{"scopes"}},

		{"no grant type", "web", fields{"grantTypes": []string{}}, []string{"grantTypes"}},
		{"password grant", "web", fields{"grantTypes": []string{"password"}}, []string{"grantTypes[0]"}},
		{"implicit grant", "spa", fields{"grantTypes": []string{"implicit"}}, []string{"grantTypes[0]"}},
		{"refresh_token alone", "web", fields{"grantTypes": []string{"refresh_token"}, "redirectUris": nil}, []string{"grantTypes"}},
		{"all grants for web", "web", fields{"grantTypes": []string{"authorization_code", "refresh_token", "client_credentials"}}, nil},
		{"client_credentials alone for web", "web", fields{"grantTypes": []string{"client_credentials"}, "redirectUris": nil}, nil},
		{"client_credentials alone with a redirect URI", "web", fields{"grantTypes": []string{"client_credentials"}}, []string{"redirectUris"}},
		// A public client would get tokens for knowing its client_id, which is no secret.
		{"client_credentials for a public web client", "web", fields{"grantTypes": []string{"authorization_code", "client_credentials"}, "tokenEndpointAuthMethod": "none"}, []string{"grantTypes"}},
		{"client_credentials for spa", "spa", fields{"grantTypes": []string{"authorization_code", "client_credentials"}}, []string{"grantTypes"}},
		{"client_credentials for native", "native", fields{"grantTypes": []string{"authorization_code", "client_credentials"}}, []string{"grantTypes"}},
		{"m2m", "m2m", nil, nil},
		{"code for m2m", "m2m", fields{"grantTypes": []string{"authorization_code"}, "redirectUris": []string{"https://a.example/"}}, []string{"grantTypes"}},
		{"redirect URIs for m2m", "m2m", fields{"redirectUris": []string{"https://a.example/"}, "postLogoutRedirectUris": []string{"https://a.example/"}}, []string{"redirectUris", "postLogoutRedirectUris"}},

		{"public web client", "web", fields{"tokenEndpointAuthMethod": "none"}, nil},
		{"client_secret_post", "web", fields{"tokenEndpointAuthMethod": "client_secret_post"}, nil},
		{"unknown authentication", "web", fields{"tokenEndpointAuthMethod": "private_key_jwt"}, []string{"tokenEndpointAuthMethod"}},
		{"spa with a secret", "spa", fields{"tokenEndpointAuthMethod": "client_secret_basic"}, []string{"tokenEndpointAuthMethod"}},
		{"native with a secret", "native", fields{"tokenEndpointAuthMethod": "client_secret_post"}, []string{"tokenEndpointAuthMethod"}},
		{"m2m without a secret", "m2m", fields{"tokenEndpointAuthMethod": "none"}, []string{"tokenEndpointAuthMethod", "grantTypes"}},

		// Without PKCE a public client's intercepted code is as good as a token (RFC 9700 §2.1.1).
		{"no PKCE for confidential web", "web", fields{"requirePkce": false}, nil},
		{"no PKCE for public web", "web", fields{"requirePkce": false, "tokenEndpointAuthMethod": "none"}, []string{"requirePkce"}},
		{"no PKCE for spa", "spa", fields{"requirePkce": false}, []string{"requirePkce"}},
		{"no PKCE for native", "native", fields{"requirePkce": false}, []string{"requirePkce"}},

		{"ID token algorithms", "web", fields{"idTokenSignedResponseAlg": "EdDSA"}, nil},
		{"alg none", "web", fields{"idTokenSignedResponseAlg": "none"}, []string{"idTokenSignedResponseAlg"}},
		{"alg HS256", "web", fields{"idTokenSignedResponseAlg": "HS256"}, []string{"idTokenSignedResponseAlg"}},
		{"token format", "web", fields{"accessTokenFormat": "paseto"}, []string{"accessTokenFormat"}},

		{"audiences", "web", fields{"audiences": []string{"https://api.example", "urn:example:api", "http://internal:8080/x?y"}}, nil},
		{"bad audiences", "web", fields{"audiences": []string{"api", "https://a.example#b", "https://a.example#", "/api", "https://a b", "https:///x"}},
			[]string{"audiences[0]", "audiences[1]", "audiences[2]", "audiences[3]", "audiences[4]", "audiences[5]"}},
		{"20 audiences", "web", fields{"audiences": many(20, "urn:a:%d")}, nil},
		{"21 audiences", "web", fields{"audiences": many(21, "urn:a:%d")}, []string{"audiences"}},

		{"shortest lifetimes", "web", fields{"codeLifetime": 10, "accessTokenLifetime": 60, "idTokenLifetime": 60, "refreshTokenIdleLifetime": 300, "refreshTokenLifetime": 300}, nil},
		{"longest lifetimes", "web", fields{"codeLifetime": 600, "accessTokenLifetime": 86400, "idTokenLifetime": 86400, "refreshTokenIdleLifetime": 31536000, "refreshTokenLifetime": 31536000}, nil},
		{"too short", "web", fields{"codeLifetime": 9, "accessTokenLifetime": 59, "idTokenLifetime": 0, "refreshTokenIdleLifetime": -1, "refreshTokenLifetime": 299},
			[]string{"codeLifetime", "accessTokenLifetime", "idTokenLifetime", "refreshTokenIdleLifetime", "refreshTokenLifetime"}},
		// Revocations are kept for as long as the longest access token may live.
		{"too long", "web", fields{"codeLifetime": 601, "accessTokenLifetime": 86401, "idTokenLifetime": 86401, "refreshTokenIdleLifetime": 31536001, "refreshTokenLifetime": 31536001},
			[]string{"codeLifetime", "accessTokenLifetime", "idTokenLifetime", "refreshTokenIdleLifetime", "refreshTokenLifetime"}},
		{"fractions", "web", fields{"codeLifetime": 60.5}, []string{"codeLifetime"}},
		{"a whole number that Go does not read as one", "web", fields{"codeLifetime": json.RawMessage("1e2")}, []string{"codeLifetime"}},
		{"idle beyond absolute", "web", fields{"refreshTokenIdleLifetime": 3600, "refreshTokenLifetime": 1800}, []string{"refreshTokenIdleLifetime"}},

		{"links", "web", fields{"logoUri": "https://a.example/logo.svg", "homepageUri": "http://localhost:8080/", "policyUri": "https://a.example/p#x", "tosUri": nil}, nil},
		// Stored XSS: these are links and images on the consent screen.
		{"script in links", "web", fields{"logoUri": "javascript:alert(1)", "homepageUri": "JavaScript://a.example/%0aalert(1)", "policyUri": "data:text/html,x", "tosUri": "vbscript:x"},
			[]string{"logoUri", "homepageUri", "policyUri", "tosUri"}},
		{"markup in links", "web", fields{"logoUri": `https://a.example/"onerror="x`, "homepageUri": "https://a.example/<script>"}, []string{"logoUri", "homepageUri"}},
		{"plain http and relative links", "web", fields{"logoUri": "http://a.example/", "homepageUri": "/x", "policyUri": "//a.example/", "tosUri": "https://user:pw@a.example/"},
			[]string{"logoUri", "homepageUri", "policyUri", "tosUri"}},

		{"metadata", "web", fields{"metadata": fields{"a": fields{"b": []any{1, "x", nil}}}}, nil},
		{"metadata as list", "web", fields{"metadata": []any{1}}, []string{"metadata"}},
		{"large metadata", "web", fields{"metadata": fields{"a": strings.Repeat("x", 16<<10)}}, []string{"metadata"}},

		{"wrong types", "web", fields{"name": 7, "redirectUris": "https://a.example/", "skipConsent": "yes", "scopes": fields{}, "slug": "A"},
			[]string{"name", "redirectUris", "skipConsent", "scopes", "slug"}},
		{"wrong types in a list", "web", fields{"redirectUris": []any{5, "https://a.example/", "http://a.example/"}}, []string{"redirectUris[0]", "redirectUris[2]"}},
		// Mass assignment: what a request must not choose.
		{"fields of the row", "web", fields{"id": "x", "clientId": "x", "clientSecret": "x", "createdAt": "2026-01-01T00:00:00Z", "disabled": false, "applicationId": "x", "secrets": []any{}},
			[]string{"id", "clientId", "clientSecret", "createdAt", "disabled", "applicationId", "secrets"}},
		{"another case", "web", fields{"SkipConsent": true}, []string{"SkipConsent"}},
		{"all at once", "spa", fields{"name": "", "slug": "-", "redirectUris": []string{"ftp://x", "https://ok.example/"}, "scopes": []string{"a b"}, "grantTypes": []string{"client_credentials"}, "logoUri": "x", "codeLifetime": 1, "what": 1},
			[]string{"name", "slug", "redirectUris[0]", "scopes[0]", "grantTypes", "logoUri", "codeLifetime", "what"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv.t = t
			a := srv.call("POST", "/applications", with(tt.kind, tt.fields))
			if tt.bad == nil {
				a.is(201)
				return
			}
			a.is(400, "VALIDATION_ERROR")
			sentences := a.errors()
			for _, field := range tt.bad {
				assert.NotEmpty(t, sentences[field], "%s in %v", field, sentences)
			}
			if tt.name != "all at once" { // its redirect URI has no taker any more, which is reported, too
				assert.Len(t, sentences, len(tt.bad), sentences)
			}
		})
	}
}

func TestRedirectURIs(t *testing.T) {
	srv := newServer(t, storetest.New(t))
	for _, tt := range []struct {
		uri   string
		kinds string // for which it is good
	}{
		{"https://app.example/cb", "web spa native"},
		{"https://app.example/cb?tenant=a%20b&x=1", "web spa native"},
		{"https://app.example:8443/", "web spa native"},
		{"https://app.example", "web spa native"},
		{"http://localhost:3000/cb", "web spa native"},
		{"http://127.0.0.1/cb", "web spa native"},
		{"http://[::1]:9999/cb", "web spa native"},
		{"com.example.app:/cb", "native"},
		{"com.example.app://cb", "native"},
		{"http://app.example/cb", ""},              // the code would travel in clear
		{"http://localhost.evil.example/cb", ""},   // not loopback
		{"http://127.0.0.1.evil.example/cb", ""},   // not loopback
		{"http://127.0.0.2/cb", ""},                // only the one that RFC 8252 names
		{"http://localhost@evil.example/cb", ""},   // the host comes after the @
		{"https://user@app.example/cb", ""},        // user information
		{"https://@app.example/cb", ""},            // empty user information
		{"https://app.example/cb#", ""},            // empty fragment (RFC 6749 §3.1.2)
		{"https://app.example/cb#x", ""},           // fragment
		{"https://*.example/cb", ""},               // wildcard
		{"https://app.example/*", ""},              // wildcard
		{"https://", ""},                           // no host
		{"https:app.example", ""},                  // no host
		{"https:///cb", ""},                        // no host
		{"//app.example/cb", ""},                   // relative
		{"/cb", ""},                                // relative
		{"", ""},                                   // nothing
		{"https://app.example:0/", ""},             // no such port
		{"https://app.example:99999/", ""},         // no such port
		{"https://app.example:/", ""},              // no port
		{"https://app.example\\@evil.example", ""}, // browsers read \ as /
		{"https://app.example/a b", ""},            // space
		{"https://app.example/\n", ""},             // browsers drop it
		{"https://bücher.example/", ""},            // not ASCII
		{"https://app.example/%zz", ""},            // broken encoding
		{"javascript:alert(1)", ""},                // runs on our page with form_post
		{"data:text/html,x", ""},
		{"file:///etc/passwd", ""},
		{"myapp:/cb", ""},          // any app can claim a scheme without a domain (RFC 8252 §7.1)
		{"com.example.app:", ""},   // no path
		{"com.example.app:cb", ""}, // opaque
		{".app:/cb", ""},
	} {
		for _, kind := range []string{"web", "spa", "native"} {
			t.Run(kind+" "+tt.uri, func(t *testing.T) {
				srv.t = t
				a := srv.call("POST", "/applications", with(kind, fields{"redirectUris": []string{tt.uri}}))
				if strings.Contains(tt.kinds, kind) {
					a.is(201)
					require.Equal(t, []any{tt.uri}, a.body["redirectUris"])
				} else {
					a.is(400, "VALIDATION_ERROR")
					require.Len(t, a.errors(), 1)
					require.NotEmpty(t, a.errors()["redirectUris[0]"])
				}
			})
		}
	}
}

// What a patch leaves in a state that no create would accept is refused, and nothing of it is kept.
func TestPatchValidation(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		for _, tt := range []struct {
			name, body string
			bad        []string
		}{
			{"nothing to call it", `{"name":null}`, []string{"name"}},
			{"no slug", `{"slug":null}`, []string{"slug"}},
			{"no type", `{"type":null}`, []string{"type"}},
			{"each by itself", `{"name":"\u0000","redirectUris":["http://a.example"],"codeLifetime":1,"logoUri":"javascript:1"}`, []string{"name", "redirectUris[0]", "codeLifetime", "logoUri"}},
			{"no redirect URI left", `{"redirectUris":[]}`, []string{"redirectUris"}},
			{"cleared redirect URIs", `{"redirectUris":null}`, []string{"redirectUris"}},
			{"a type that the rest does not fit", `{"type":"spa"}`, []string{"tokenEndpointAuthMethod"}},
			{"private-use scheme for web", `{"redirectUris":["com.example.app:/cb"]}`, []string{"redirectUris[0]"}},
			{"public without PKCE", `{"tokenEndpointAuthMethod":"none","requirePkce":false}`, []string{"requirePkce"}},
			{"fields of the row", `{"id":"x","clientId":"y","createdAt":null}`, []string{"id", "clientId", "createdAt"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				srv.t = t
				before := srv.call("GET", "/applications/"+id, "").Body.String()
				a := srv.call("PATCH", "/applications/"+id, tt.body).is(400, "VALIDATION_ERROR")
				for _, field := range tt.bad {
					assert.NotEmpty(t, a.errors()[field], "%s in %v", field, a.errors())
				}
				assert.Len(t, a.errors(), len(tt.bad), a.errors())
				assert.Equal(t, before, srv.call("GET", "/applications/"+id, "").Body.String())
			})
		}
	})
}
