package oauth_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// inspect introspects as c.
func (w *world) inspect(c *store.Client, token string, extra ...string) *reply {
	w.Helper()
	return w.form(introspectPath, c, pairs(append(extra, "token", token)...))
}

// opaque makes the CRM hand out opaque access tokens.
func (w *world) opaque() {
	a, err := w.store.ApplicationByRef(w.Context(), "crm")
	require.NoError(w, err)
	a.AccessTokenFormat = store.TokenFormatOpaque
	require.NoError(w, w.store.UpdateApplication(w.Context(), a))
}

// sign makes a JWS with the real private key of alg, which no attacker has, and a header of choice.
func (w *world) sign(alg, kid, typ string, claims map[string]any) string {
	w.Helper()
	private, err := testKey(alg)
	require.NoError(w, err)
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: private, KeyID: kid}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	require.NoError(w, err)
	payload, err := json.Marshal(claims)
	require.NoError(w, err)
	jws, err := signer.Sign(payload)
	require.NoError(w, err)
	token, err := jws.CompactSerialize()
	require.NoError(w, err)
	return token
}

func segment(v any) string {
	raw, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// hmacToken is the classic key confusion: HS256 with what everybody knows, the public key, as the secret.
func (w *world) hmacToken(secret []byte, kid, typ string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	require.NoError(w, err)
	payload, _ := json.Marshal(claims)
	jws, err := signer.Sign(payload)
	require.NoError(w, err)
	token, err := jws.CompactSerialize()
	require.NoError(w, err)
	return token
}

// secretsFromPublicKey are the spellings in which libraries have taken a public key for a shared secret.
func secretsFromPublicKey(t *testing.T, public crypto.PublicKey) [][]byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	jwk, err := json.Marshal(jose.JSONWebKey{Key: public})
	require.NoError(t, err)
	return [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), jwk}
}

// forgeries are access tokens that differ from a good one in one thing that must be checked (RFC 8725 §2).
func (w *world) forgeries(good tokens) map[string]string {
	claims, kid := w.claims(good.Access), w.kid(good.Access)
	changed := func(name string, value any) map[string]any {
		out := map[string]any{}
		for k, v := range claims {
			out[k] = v
		}
		out[name] = value
		return out
	}
	parts := strings.Split(good.Access, ".")
	rsaKID, edKID := w.kids("RS256")[0], w.kids("EdDSA")[0]
	out := map[string]string{
		"empty signature":                 parts[0] + "." + parts[1] + ".",
		"alg none":                        segment(map[string]any{"alg": "none", "typ": "at+jwt"}) + "." + parts[1] + ".",
		"alg none with the kid":           segment(map[string]any{"alg": "none", "kid": kid, "typ": "at+jwt"}) + "." + parts[1] + ".",
		"alg None":                        segment(map[string]any{"alg": "None", "kid": kid, "typ": "at+jwt"}) + "." + parts[1] + "." + parts[2],
		"claims of another":               parts[0] + "." + segment(changed("sub", "root")) + "." + parts[2],
		"signature of another":            parts[0] + "." + parts[1] + "." + strings.Split(w.machineToken(), ".")[2],
		"kid of an RS256 key":             w.sign("ES256", rsaKID, "at+jwt", claims),
		"kid of an EdDSA key":             w.sign("ES256", edKID, "at+jwt", claims),
		"ES256 kid on an EdDSA signature": w.sign("EdDSA", kid, "at+jwt", claims),
		"kid unknown":                     w.sign("ES256", "nobody", "at+jwt", claims),
		"no kid":                          w.sign("ES256", "", "at+jwt", claims),
		"typ of an ID token":              w.sign("ES256", kid, "JWT", claims),
		"typ of a logout token":           w.sign("ES256", kid, "logout+jwt", claims),
		"another issuer":                  w.sign("ES256", kid, "at+jwt", changed("iss", "https://evil.example/api/auth")),
		"no issuer":                       w.sign("ES256", kid, "at+jwt", changed("iss", nil)),
		"expired":                         w.sign("ES256", kid, "at+jwt", changed("exp", 1)),
		"no expiry":                       w.sign("ES256", kid, "at+jwt", changed("exp", nil)),
		"claims are no object":            parts[0] + "." + segment("text") + "." + parts[2],
		"of an unknown client":            w.sign("ES256", kid, "at+jwt", changed("client_id", "nobody")),
		"an ID token":                     good.ID,
		"a refresh token cut short":       good.Refresh[:len(good.Refresh)-1],
		"two tokens":                      good.Access + " " + good.Access,
		"nonsense":                        "nonsense",
		"dots":                            "..",
		"many dots":                       strings.Repeat(".", 5000),
		"an empty opaque token":           "at_",
	}
	for _, key := range w.keySet().Keys {
		for i, secret := range secretsFromPublicKey(w.T, key.Key) {
			out["HS256 with the public "+key.Algorithm+" key "+key.KeyID+string(rune('a'+i))] = w.hmacToken(secret, key.KeyID, "at+jwt", claims)
		}
	}
	return out
}

// No forged, confused or misused token is accepted anywhere, and none is answered by anything but the RFC's words
// (P2 of the replaced system answered a tampered token with an empty 500).
func TestForgedAccessTokens(t *testing.T) {
	once(t, func(w *world) {
		got := w.signedIn(w.person).tokens(w.web)
		w.alive(got)
		claims := w.claims(got.Access)
		w.alive(tokens{Access: w.sign("ES256", w.kid(got.Access), "at+jwt", claims)}) // so the helper makes good tokens
		for name, token := range w.forgeries(got) {
			t.Run(name, func(t *testing.T) {
				r := w.inspect(w.web, token)
				require.Equal(t, http.StatusOK, r.status)
				require.JSONEq(t, `{"active":false}`, r.body, "RFC 7662 §2.2")
				w.userinfo(token).refused(http.StatusUnauthorized, "invalid_token")
				require.Equal(t, http.StatusOK, w.form(revokePath, w.web, pairs("token", token)).status, "RFC 7009 §2.2")
			})
		}
		w.alive(got)
	})
}

// A client learns about tokens of its own application and about those meant for it; of all others nothing (RFC 7662 §4).
func TestWhoMayIntrospect(t *testing.T) {
	each(t, func(w *world) {
		got := w.signedIn(w.person).tokens(w.spa)
		api := w.newClient(&store.Client{ID: "api", ApplicationID: w.newApplication("api", "https://api.crm.example").ID,
			Type: store.ClientM2M, TokenEndpointAuthMethod: store.AuthMethodPost, GrantTypes: []string{}})
		seen := w.inspect(w.web, got.Access)
		require.Equal(t, "no-store", seen.header.Get("Cache-Control"))
		body := seen.json()
		require.Equal(t, true, body["active"])
		require.Equal(t, "Bearer", body["token_type"])
		require.Equal(t, w.person.ID, body["sub"])
		require.Equal(t, w.spa.ID, body["client_id"])
		require.Equal(t, body, w.inspect(api, got.Access).json(), "the audience sees the same")

		refresh := w.inspect(w.web, got.Refresh, "token_type_hint", "nonsense").json()
		require.Equal(t, true, refresh["active"])
		require.NotContains(t, refresh, "token_type", "nobody may take it for an access token")
		require.NotContains(t, refresh, "aud")
		for name, token := range map[string]string{"access": got.Access, "refresh": got.Refresh} {
			require.JSONEq(t, `{"active":false}`, w.inspect(w.rival(name), token).body, name)
		}
		require.JSONEq(t, `{"active":false}`, w.inspect(api, got.Refresh).body, "a refresh token is for its own application alone")
		next := w.refresh(w.spa, got.Refresh).tokens()
		require.JSONEq(t, `{"active":false}`, w.inspect(w.web, got.Refresh).body, "a past generation")
		require.Equal(t, true, w.inspect(w.web, next.Refresh).json()["active"])
	})
}

func TestIntrospectionNeedsAConfidentialClient(t *testing.T) {
	once(t, func(w *world) {
		token := w.machineToken()
		w.inspect(w.spa, token).refused(http.StatusUnauthorized, "invalid_client") // anybody can say to be a public client
		w.inspect(nil, token).refused(http.StatusUnauthorized, "invalid_client")
		w.raw(introspectPath, "Bearer "+token, pairs("token", token)).refused(http.StatusUnauthorized, "invalid_client")
		w.raw(introspectPath, basic(w.web.ID, "guess"), pairs("token", token)).refused(http.StatusUnauthorized, "invalid_client")
		w.form(introspectPath, w.web, nil).refused(http.StatusBadRequest, "invalid_request")
		w.inspect(w.web, token, "token", "x").refused(http.StatusBadRequest, "invalid_request")
		w.newBrowser().do("POST", introspectPath+"?token="+token, strings.NewReader("{}"), "Content-Type", "application/json").
			refused(http.StatusBadRequest, "invalid_request")
		require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().get(introspectPath).status)
	})
}

// Both formats of access tokens behave alike at userinfo, introspection and revocation.
func TestRevocation(t *testing.T) {
	for _, format := range []string{store.TokenFormatJWT, store.TokenFormatOpaque} {
		t.Run(format, func(t *testing.T) {
			each(t, func(w *world) {
				if format == store.TokenFormatOpaque {
					w.opaque()
				}
				b := w.signedIn(w.person)
				got := b.tokens(w.web)
				require.Equal(t, format == store.TokenFormatOpaque, strings.HasPrefix(got.Access, "at_"))
				w.alive(got)
				revoke := func(c *store.Client, token string, extra ...string) {
					r := w.form(revokePath, c, pairs(append(extra, "token", token)...))
					require.Equal(t, http.StatusOK, r.status, r.body)
					require.Empty(t, r.body)
				}
				rival := w.rival()
				for _, c := range []*store.Client{rival, w.spa} { // another client's tokens are not theirs to end
					revoke(c, got.Access)
					revoke(c, got.Refresh)
				}
				revoke(w.web, "unknown", "token_type_hint", "nonsense")
				w.alive(got)

				revoke(w.web, got.Access, "token_type_hint", "refresh_token") // a wrong hint costs nothing (RFC 7009 §2.1)
				w.userinfo(got.Access).refused(http.StatusUnauthorized, "invalid_token")
				require.False(t, w.active(got.Access))
				next := w.refresh(w.web, got.Refresh).tokens()
				w.alive(next)

				revoke(w.web, got.Refresh) // of the past generation: its client wants the grant gone
				w.over(w.web, next)
				revoke(w.web, next.Refresh)

				spa := b.tokens(w.spa) // a public client revokes its own by naming itself
				revoke(w.spa, spa.Refresh)
				w.over(w.spa, spa)
			})
		})
	}
}

func TestRevocationErrors(t *testing.T) {
	once(t, func(w *world) {
		w.form(revokePath, w.web, nil).refused(http.StatusBadRequest, "invalid_request")
		w.form(revokePath, nil, pairs("token", "x")).refused(http.StatusUnauthorized, "invalid_client")
		w.form(revokePath, nil, pairs("token", "x", "client_id", w.web.ID)).refused(http.StatusUnauthorized, "invalid_client")
		w.form(revokePath, w.web, pairs("token", "x", "token", "y")).refused(http.StatusBadRequest, "invalid_request")
		require.Equal(t, http.StatusMethodNotAllowed, w.newBrowser().get(revokePath+"?token=x").status)
	})
}

// An opaque token is sealed: no byte of it can be changed, and no other secret of ours passes for one.
func TestTamperedOpaqueToken(t *testing.T) {
	once(t, func(w *world) {
		w.opaque()
		got := w.signedIn(w.person).tokens(w.web)
		w.alive(got)
		for i := len("at_"); i < len(got.Access); i += 7 {
			other := byte('A')
			if got.Access[i] == other {
				other = 'B'
			}
			forged := got.Access[:i] + string(other) + got.Access[i+1:]
			require.JSONEq(t, `{"active":false}`, w.inspect(w.web, forged).body, "byte %d", i)
		}
		keys := w.signingKeys()
		require.JSONEq(t, `{"active":false}`, w.inspect(w.web, "at_"+keys[0].PrivateKey).body, "sealed for another purpose")
	})
}

// The token comes in the header or in the body of a POST, never in the address (RFC 6750 §2.3, OAuth 2.1 §5.1), and what
// is wrong is said in WWW-Authenticate (RFC 6750 §3).
func TestUserinfoRequests(t *testing.T) {
	once(t, func(w *world) {
		got := w.signedIn(w.person).tokens(w.web)
		b, form := w.newBrowser(), "application/x-www-form-urlencoded"
		body := url.Values{"access_token": {got.Access}}.Encode()
		post := func(body, media string, header ...string) *reply {
			return b.do("POST", userinfoPath, strings.NewReader(body), append(header, "Content-Type", media)...)
		}
		for name, r := range map[string]*reply{
			"GET": w.userinfo(got.Access), "scheme in lower case": b.get(userinfoPath, "Authorization", "bearer "+got.Access),
			"POST with the header": post("", "", "Authorization", "Bearer "+got.Access), "POST with the body": post(body, form),
		} {
			require.Equal(t, http.StatusOK, r.status, name)
			require.Equal(t, w.person.ID, r.json()["sub"], name)
			require.Equal(t, "no-store", r.header.Get("Cache-Control"), name)
		}
		for name, test := range map[string]struct {
			*reply
			status    int
			challenge string
		}{
			"nothing sent":            {b.get(userinfoPath), 401, `Bearer realm="userinfo"`},
			"token in the address":    {b.get(userinfoPath + "?" + body), 401, `Bearer realm="userinfo"`},
			"empty token":             {b.get(userinfoPath, "Authorization", "Bearer "), 401, `Bearer realm="userinfo"`},
			"bad token":               {w.userinfo("x"), 401, `error="invalid_token"`},
			"bad token in the body":   {post("access_token=x", form), 401, `error="invalid_token"`},
			"token without scheme":    {b.get(userinfoPath, "Authorization", got.Access), 401, `error="invalid_token"`},
			"another scheme":          {b.get(userinfoPath, "Authorization", "DPoP "+got.Access), 401, `error="invalid_token"`},
			"header and body":         {post(body, form, "Authorization", "Bearer "+got.Access), 400, `error="invalid_request"`},
			"token twice in the body": {post(body+"&"+body, form), 400, `error="invalid_request"`},
			"JSON body":               {post(`{"access_token":"x"}`, "application/json"), 400, `error="invalid_request"`},
		} {
			require.Equal(t, test.status, test.reply.status, name)
			require.Contains(t, test.header.Get("WWW-Authenticate"), test.challenge, name)
			if !strings.Contains(test.challenge, "error") {
				require.Equal(t, test.challenge, test.header.Get("WWW-Authenticate"), name)
			}
		}
		require.Equal(t, http.StatusMethodNotAllowed, b.do("DELETE", userinfoPath, nil).status)
	})
}

// Confused deputy: who imports a person under the id of a client must not make one act as the other.
func TestTokensTellPeopleFromClients(t *testing.T) {
	each(t, func(w *world) {
		namesake := &store.User{ID: w.machine.ID, Email: "namesake@example.com", Role: store.RoleUser, CreatedAt: w.clock.now().UTC(), UpdatedAt: w.clock.now().UTC()}
		require.NoError(w, w.store.CreateUser(w.Context(), namesake))
		for token, want := range map[string]string{
			w.signedIn(namesake).tokens(w.web).Access: namesake.ID,
			w.machineToken(): "",
		} {
			userID, _, _, err := w.provider.Authenticate(w.Context(), token)
			require.NoError(w, err)
			require.Equal(w, want, userID)
		}
	})
}
