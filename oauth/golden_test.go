package oauth_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

var update = flag.Bool("update", false, "write the golden files anew; their diff is an API review")

// golden compares what others parse with testdata/<name>.golden.json.
func (w *world) golden(name string, value any) {
	w.Helper()
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(w, encoder.Encode(value))
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		require.NoError(w, os.WriteFile(path, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(w, err)
	require.Equal(w, string(want), got.String())
}

// masked replaces what differs from run to run by placeholders. Nothing is dropped: a member that appears or vanishes
// shows.
func (w *world) masked(v any, known map[string]string) any {
	switch v := v.(type) {
	case string:
		if name, ok := known[v]; ok && v != "" {
			return "{" + name + "}"
		}
		return strings.ReplaceAll(v, w.server.URL, "{origin}")
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = w.masked(v[i], known)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[name] = w.masked(value, known)
		}
		return w.maskedTimes(out)
	}
	return v
}

// maskedTimes writes exp relative to iat, which is exact, and checks that the other times are of this test.
func (w *world) maskedTimes(v map[string]any) map[string]any {
	seconds := func(name string) int64 { f, _ := v[name].(float64); return int64(f) }
	if exp, iat := seconds("exp"), seconds("iat"); exp != 0 && iat != 0 {
		v["exp"] = fmt.Sprintf("{iat}+%d", exp-iat)
	}
	for _, name := range []string{"iat", "auth_time", "updated_at"} {
		if _, ok := v[name].(float64); ok {
			require.InDelta(w, w.clock.now().Unix(), seconds(name), 60, name)
			v[name] = "{" + name + "}"
		}
	}
	return v
}

// jwt verifies a token by the published key set and returns its header and claims.
func (w *world) jwt(token string) (header, claims map[string]any) {
	w.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	require.NoError(w, err)
	set := w.keySet()
	keys := set.Key(jws.Signatures[0].Protected.KeyID)
	require.Len(w, keys, 1, "the key is published")
	payload, err := jws.Verify(keys[0].Key)
	require.NoError(w, err)
	require.NoError(w, json.Unmarshal(payload, &claims))
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(w, err)
	require.NoError(w, json.Unmarshal(raw, &header))
	header["kid"] = "{kid}"
	return header, claims
}

const jwksPath = "/api/auth/jwks"

func (w *world) keySet() (set jose.JSONWebKeySet) {
	w.Helper()
	require.NoError(w, json.Unmarshal([]byte(w.newBrowser().get(jwksPath).body), &set))
	return set
}

// goldenToken records a signed token. extra names further values that are random by their claim.
func (w *world) goldenToken(name, token string, random ...string) {
	w.Helper()
	header, claims := w.jwt(token)
	known := map[string]string{w.person.ID: "user"}
	for _, claim := range append(random, "jti", "sid", "gid") {
		if value, ok := claims[claim].(string); ok {
			require.NotEmpty(w, value)
			known[value] = claim
		}
	}
	w.golden(name, map[string]any{"header": header, "claims": w.masked(claims, known)})
}

func (w *world) goldenBody(name string, r *reply, known map[string]string) {
	w.Helper()
	header := map[string]string{}
	for _, h := range []string{"Content-Type", "Cache-Control", "Pragma", "WWW-Authenticate"} {
		if v := r.header.Get(h); v != "" {
			header[h] = v
		}
	}
	known[w.person.ID] = "user"
	w.golden(name, map[string]any{"status": r.status, "header": header, "body": w.masked(r.json(), known)})
}

var discoveryPaths = []string{
	"/api/auth/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/api/auth",
	"/.well-known/openid-configuration/api/auth", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
}

// Libraries look in different places: OIDC Discovery §4 appends to the issuer, RFC 8414 §3 inserts, and some know only the root.
func TestDiscoveryDocument(t *testing.T) {
	once(t, func(w *world) {
		b := w.newBrowser()
		first := b.get(discoveryPaths[0])
		for _, path := range discoveryPaths {
			r := b.get(path)
			require.Equal(w, http.StatusOK, r.status, path)
			require.Equal(w, first.body, r.body, path)
			require.Equal(w, "public, max-age=3600", r.header.Get("Cache-Control"))
		}
		w.goldenBody("discovery", first, map[string]string{})

		document := first.json()
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "introspection_endpoint",
			"revocation_endpoint", "end_session_endpoint"} {
			r := b.get(strings.TrimPrefix(document[name].(string), w.server.URL))
			require.NotEqual(w, http.StatusNotFound, r.status, "%s leads somewhere", name)
		}
	})
}

func TestKeySetShape(t *testing.T) {
	once(t, func(w *world) {
		r := w.newBrowser().get(jwksPath)
		set := r.json()
		for i, k := range set["keys"].([]any) {
			key := k.(map[string]any)
			for name, size := range map[string]int{"n": 256, "x": 32, "y": 32} {
				if text, ok := key[name].(string); ok {
					raw, err := base64.RawURLEncoding.DecodeString(text)
					require.NoError(w, err)
					key[name] = fmt.Sprintf("{%d bytes}", len(raw))
					require.Len(w, raw, size)
				}
			}
			require.NotEmpty(w, key["kid"])
			key["kid"] = "{kid}"
			require.NotContains(w, key, "d", "no private part")
			set["keys"].([]any)[i] = key
		}
		w.golden("jwks", map[string]any{"status": r.status, "content-type": r.header.Get("Content-Type"), "body": set})
	})
}

// at_hash lets the client see that the access token belongs to the ID token (OIDC Core §3.1.3.6): the left half of the
// hash that the signature's algorithm uses.
func atHash(alg, access string) string {
	sum256, sum512 := sha256.Sum256([]byte(access)), sha512.Sum512([]byte(access))
	half := sum256[:16]
	if alg == "EdDSA" {
		half = sum512[:32]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

func TestIDTokenOfEachAlgorithm(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
			c := w.newClient(&store.Client{ID: "rp-" + strings.ToLower(alg), ApplicationID: w.web.ApplicationID, Type: store.ClientWeb,
				TokenEndpointAuthMethod: store.AuthMethodPost, RedirectURIs: []string{redirectURI}, IDTokenAlg: alg})
			got := b.tokens(c)
			header, claims := w.jwt(got.ID)
			require.Equal(w, alg, header["alg"])
			require.Equal(w, atHash(alg, got.Access), claims["at_hash"])
			w.goldenToken("id_token_"+strings.ToLower(alg), got.ID, "at_hash")
		}
	})
}

func TestIDTokenByScope(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		w.goldenToken("id_token_openid", b.tokens(w.web, "scope", "openid", "nonce", "").ID, "at_hash")
		w.goldenToken("id_token_claims", b.tokens(w.web, "scope", "openid", "claims", `{"id_token":{"email":null},"userinfo":{"picture":null}}`).ID, "at_hash")

		first := b.tokens(w.web)
		w.clock.forward(5 * time.Second)
		fresh := w.refresh(w.web, first.Refresh).tokens()
		require.Equal(w, atHash("RS256", fresh.Access), w.claims(fresh.ID)["at_hash"])
		require.Equal(w, w.claims(first.ID)["auth_time"], w.claims(fresh.ID)["auth_time"], "of the sign-in, not of the refresh (OIDC Core §12.2)")
		w.goldenToken("id_token_refreshed", fresh.ID, "at_hash")
	})
}

var tokenID = regexp.MustCompile(`^[A-Za-z0-9_-]{24}$`)

func TestAccessTokenClaims(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		first := b.tokens(w.web)
		w.goldenToken("access_token_code", first.Access)
		fresh := w.refresh(w.web, first.Refresh, "scope", "openid email").tokens()
		w.goldenToken("access_token_refreshed", fresh.Access)
		machine := w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens()
		w.goldenToken("access_token_client_credentials", machine.Access)

		seen := map[any]bool{}
		for _, token := range []string{first.Access, fresh.Access, machine.Access} {
			jti := w.claims(token)["jti"]
			require.Regexp(w, tokenID, jti)
			require.False(w, seen[jti], "jti is unique")
			seen[jti] = true
		}
		require.Equal(w, w.claims(first.Access)["gid"], w.claims(fresh.Access)["gid"], "one grant")
	})
}

func TestTokenResponses(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		answer := func(name string, r *reply) tokens {
			got := r.tokens()
			w.goldenBody(name, r, map[string]string{got.Access: "access_token", got.Refresh: "refresh_token", got.ID: "id_token"})
			return got
		}
		first := answer("token_code", w.redeem(w.web, b.code(w.web)))
		require.True(w, strings.HasPrefix(first.Refresh, "rt_"))
		answer("token_refresh", w.refresh(w.web, first.Refresh))
		answer("token_client_credentials", w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}))
		plain := w.newClient(&store.Client{ID: "plain", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, RedirectURIs: []string{redirectURI},
			TokenEndpointAuthMethod: store.AuthMethodBasic, GrantTypes: []string{store.GrantAuthorizationCode}, Scopes: []string{"invoice:read"}})
		answer("token_oauth_only", w.redeem(plain, b.code(plain, "scope", "invoice:read")))
	})
}

func TestUserinfoByScope(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		for name, extra := range map[string][]string{
			"openid": {"scope", "openid"}, "profile": {"scope", "openid profile"}, "email": {"scope", "openid email"},
			"claims": {"scope", "openid", "claims", `{"id_token":{"email":null},"userinfo":{"picture":null}}`},
		} {
			got := b.tokens(w.web, extra...)
			w.goldenBody("userinfo_"+name, w.newBrowser().get(userinfoPath, "Authorization", "Bearer "+got.Access), map[string]string{})
		}
	})
}

func TestIntrospectionAnswers(t *testing.T) {
	each(t, func(w *world) {
		b := w.signedIn(w.person)
		got := b.tokens(w.web, "scope", "openid offline_access")
		claims := w.claims(got.Access)
		known := map[string]string{claims["jti"].(string): "jti", claims["sid"].(string): "sid", claims["gid"].(string): "gid"}
		w.goldenBody("introspect_access_token", w.form(introspectPath, w.web, url.Values{"token": {got.Access}}), known)
		w.goldenBody("introspect_refresh_token", w.form(introspectPath, w.web, url.Values{"token": {got.Refresh}}), known)
		machine := w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens()
		w.goldenBody("introspect_client_credentials", w.form(introspectPath, w.machine, url.Values{"token": {machine.Access}}),
			map[string]string{w.claims(machine.Access)["jti"].(string): "jti"})
		w.goldenBody("introspect_inactive", w.form(introspectPath, w.web, url.Values{"token": {machine.Access}}), known)
	})
}

// Error bodies are RFC 6749 §5.2, 6750 §3 and, for our own pages, RFC 9457.
func TestErrorBodies(t *testing.T) {
	once(t, func(w *world) {
		b := w.newBrowser()
		offline := w.signedIn(w.person).tokens(w.web, "scope", "profile")
		unknown := &store.Client{ID: "nobody", TokenEndpointAuthMethod: store.AuthMethodPost}
		code := url.Values{"grant_type": {"authorization_code"}, "code": {"ac_x"}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}}
		for name, r := range map[string]*reply{
			"invalid_client":         w.form(tokenPath, unknown, code),
			"invalid_grant":          w.form(tokenPath, w.web, code),
			"invalid_refresh_token":  w.refresh(w.web, "rt_x"),
			"invalid_request":        w.form(tokenPath, w.web, url.Values{}),
			"unsupported_grant_type": w.form(tokenPath, w.web, url.Values{"grant_type": {"password"}}),
			"unauthorized_client":    w.form(tokenPath, w.machine, code),
			"invalid_scope":          w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}),
			"invalid_target":         w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}, "resource": {"https://other.example"}}),
			"userinfo_no_token":      b.get(userinfoPath),
			"userinfo_invalid_token": b.get(userinfoPath, "Authorization", "Bearer x"),
			"userinfo_scope":         b.get(userinfoPath, "Authorization", "Bearer "+offline.Access),
			"introspect_no_client":   w.form(introspectPath, nil, url.Values{"token": {"x"}}),
			"revoke_no_token":        w.form(revokePath, w.web, url.Values{}),
			"authorize_client":       b.authorize(request(w.web, "client_id", "nobody")),
			"authorize_redirect_uri": b.authorize(request(w.web, "redirect_uri", "https://evil.example/")),
			"request_unknown":        b.get(requestPath("nobody")),
			"consents_signed_out":    b.get(consentsPath),
		} {
			w.goldenBody("error_"+name, r, map[string]string{requestID(r): "requestId"})
		}
	})
}

func requestID(r *reply) string { id, _ := r.json()["requestId"].(string); return id }
