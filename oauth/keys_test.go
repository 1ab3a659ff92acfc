package oauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"auth-service/oauth"
	"auth-service/store"
	"auth-service/store/storetest"
)

const (
	rotation  = 90 * 24 * time.Hour // as in newProvider
	retention = 30 * 24 * time.Hour
)

var algs = []string{"RS256", "ES256", "EdDSA"}

// replica serves another provider over the same database, and as the same issuer.
func (w *world) replica(change func(*oauth.Options)) (*oauth.Provider, *world) {
	p := w.newProvider(change)
	e := echo.New()
	p.Mount(e)
	other := *w
	other.provider = p
	other.transport = &inProcess{e, w.Context()}
	return p, &other
}

// kids are the published keys of one algorithm, the oldest first.
func (w *world) kids(alg string) []string {
	w.Helper()
	var kids []string
	for _, k := range w.keySet().Keys {
		if k.Algorithm == alg {
			kids = append(kids, k.KeyID)
		}
	}
	return kids
}

func (w *world) machineToken() string {
	w.Helper()
	return w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens().Access
}

func (w *world) kid(token string) string {
	w.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	require.NoError(w, err)
	return jws.Signatures[0].Protected.KeyID
}

// accepts introspects a token of the machine client.
func (w *world) accepts(token string) bool {
	w.Helper()
	return w.form(introspectPath, w.machine, url.Values{"token": {token}}).json()["active"].(bool)
}

// signingKeys returns the raw rows.
func (w *world) signingKeys() []store.SigningKey {
	w.Helper()
	rows, err := w.store.SigningKeys(w.Context())
	require.NoError(w, err)
	return rows
}

func TestKeySetIsCachedByOthers(t *testing.T) {
	once(t, func(w *world) {
		b := w.newBrowser()
		r := b.get(jwksPath)
		require.Equal(w, "application/jwk-set+json", r.header.Get("Content-Type"), "RFC 7517 §8.5.2")
		require.Equal(w, "public, max-age=900", r.header.Get("Cache-Control"))
		etag := r.header.Get("ETag")
		require.NotEmpty(w, etag)
		for _, tag := range []string{etag, "W/" + etag, `"other", ` + etag} {
			again := b.get(jwksPath, "If-None-Match", tag)
			require.Equal(w, http.StatusNotModified, again.status, tag)
			require.Empty(w, again.body)
			require.Equal(w, etag, again.header.Get("ETag"))
		}
		require.Equal(w, http.StatusOK, b.get(jwksPath, "If-None-Match", `"other"`).status)
		require.NoError(w, w.provider.RotateKeys(w.Context(), true))
		require.Equal(w, http.StatusOK, b.get(jwksPath, "If-None-Match", etag).status, "new keys, new tag")
	})
}

func TestKeySizesAndLabels(t *testing.T) {
	once(t, func(w *world) {
		seen := map[string]int{}
		for _, k := range w.keySet().Keys {
			require.True(w, k.Valid())
			require.True(w, k.IsPublic(), "no private part")
			require.Equal(w, "sig", k.Use)
			require.NotEmpty(w, k.KeyID)
			seen[k.Algorithm]++
			switch key := k.Key.(type) {
			case *rsa.PublicKey:
				require.Equal(w, "RS256", k.Algorithm)
				require.GreaterOrEqual(w, key.N.BitLen(), 2048) // RFC 7518 §3.3
			case *ecdsa.PublicKey:
				require.Equal(w, "ES256", k.Algorithm)
				require.Equal(w, "P-256", key.Curve.Params().Name)
			case ed25519.PublicKey:
				require.Equal(w, "EdDSA", k.Algorithm)
			default:
				require.Failf(w, "unknown key", "%T", k.Key)
			}
		}
		require.Equal(w, map[string]int{"RS256": 2, "ES256": 2, "EdDSA": 2}, seen, "an active and a next key of each")
	})
}

// A relying party that caches the key set must know a key before the first token that it signs.
func TestNextKeyIsPublishedBeforeItSigns(t *testing.T) {
	each(t, func(w *world) {
		before := map[string][]string{}
		for _, alg := range algs {
			before[alg] = w.kids(alg)
			require.Len(w, before[alg], 2)
		}
		old := w.machineToken()
		require.Contains(w, before["ES256"], w.kid(old))

		w.clock.forward(rotation - time.Minute)
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.Equal(w, w.kid(old), w.kid(w.machineToken()), "not due yet")

		w.clock.forward(time.Minute)
		require.NoError(w, w.provider.Maintain(w.Context()))
		fresh := w.machineToken()
		require.NotEqual(w, w.kid(old), w.kid(fresh))
		require.Contains(w, before["ES256"], w.kid(fresh), "the key that was listed already")
		for _, alg := range algs {
			after := w.kids(alg)
			require.Len(w, after, 3, "retired, active, next")
			require.Subset(w, after, before[alg])
		}
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.Equal(w, w.kid(fresh), w.kid(w.machineToken()), "rotated once")
		require.Len(w, w.kids("ES256"), 3)
	})
}

// A process that was off for long finds its keys overdue, but a next key that nobody has seen must not sign at once.
func TestRotationWaitsForPublication(t *testing.T) {
	once(t, func(w *world) {
		w.clock.forward(rotation)
		require.NoError(w, w.provider.Maintain(w.Context()))
		first := w.kid(w.machineToken())
		w.clock.forward(time.Second)
		eager := w.newProvider(func(o *oauth.Options) { o.Keys.Rotation = time.Millisecond })
		require.NoError(w, eager.Maintain(w.Context()))
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.Equal(w, first, w.kid(w.machineToken()), "the next key is a second old")
		w.clock.forward(15 * time.Minute) // the key set's max-age
		require.NoError(w, eager.Maintain(w.Context()))
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.NotEqual(w, first, w.kid(w.machineToken()))
	})
}

func TestRetiredKeyVerifiesUntilRetentionEnds(t *testing.T) {
	each(t, func(w *world) {
		got := w.signedIn(w.person).tokens(w.web)
		retired := w.kid(got.ID)
		require.NoError(w, w.provider.RotateKeys(w.Context(), true))
		require.True(w, w.active(got.Access), "signed by a retired key")
		require.Contains(w, w.kids("RS256"), retired)

		hint := endSessionPath + "?id_token_hint=" + got.ID
		w.clock.forward(retention - time.Minute)
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.Contains(w, w.kids("RS256"), retired)
		require.Equal(w, "/signed-out", w.signedIn(w.person).get(hint).location.Path, "an expired ID token is still a hint")

		w.clock.forward(time.Minute)
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.NotContains(w, w.kids("RS256"), retired)
		require.Len(w, w.kids("RS256"), 2)
		require.Equal(w, "/sign-out", w.signedIn(w.person).get(hint).location.Path, "nobody can tell who signed it, so the person is asked")
	})
}

// Somebody has stolen a signing key, and the operator removes it. A token that was accepted before must not be remembered as a
// good one, nor may what was made of it.
func TestTokensEndWithTheirKey(t *testing.T) {
	each(t, func(w *world) {
		token := w.machineToken()
		require.True(w, w.accepts(token))
		require.True(w, w.accepts(token), "from memory")
		require.False(w, w.accepts(token[:len(token)-4]+"AAAA"), "with another signature")
		require.NoError(w, w.provider.RotateKeys(w.Context(), true))
		require.True(w, w.accepts(token), "its key is retired only")
		_, err := w.store.PurgeSigningKeys(w.Context(), w.clock.now().AddDate(1, 0, 0), 10)
		require.NoError(w, err)
		require.NoError(w, w.provider.Maintain(w.Context()))
		require.False(w, w.accepts(token))
	})
}

// An application may let its tokens live for a day, longer than an operator keeps keys. They must not die of a rotation.
func TestRetiredKeyOutlivesTheLongestToken(t *testing.T) {
	once(t, func(w *world) {
		p, other := w.replica(func(o *oauth.Options) { o.Keys.Retention = time.Minute })
		app, err := w.store.ApplicationByRef(w.Context(), w.machine.ApplicationID)
		require.NoError(w, err)
		app.AccessTokenLifetime = int64(store.MaxAccessTokenLifetime / time.Second)
		require.NoError(w, w.store.UpdateApplication(w.Context(), app))
		token := other.machineToken()
		require.NoError(w, p.RotateKeys(w.Context(), true))
		w.clock.forward(store.MaxAccessTokenLifetime - time.Minute)
		require.NoError(w, p.Maintain(w.Context()))
		require.True(w, other.accepts(token))
		require.Contains(w, other.kids("ES256"), w.kid(token))
	})
}

func TestRotateKeysByHand(t *testing.T) {
	each(t, func(w *world) {
		first := w.kid(w.machineToken())
		require.ErrorContains(w, w.provider.RotateKeys(w.Context(), false), "published for less than 15m")
		require.ErrorContains(w, w.provider.RotateKeys(w.Context(), true, "HS256"), "HS256")
		require.Equal(w, first, w.kid(w.machineToken()))

		w.clock.forward(15 * time.Minute)
		require.NoError(w, w.provider.RotateKeys(w.Context(), false, "ES256"))
		second := w.kid(w.machineToken())
		require.NotEqual(w, first, second)
		require.Len(w, w.kids("RS256"), 2, "the others were not named")

		require.NoError(w, w.provider.RotateKeys(w.Context(), true), "a leaked key is replaced at once")
		require.NotEqual(w, second, w.kid(w.machineToken()))
		require.Len(w, w.kids("RS256"), 3)
		require.Len(w, w.kids("ES256"), 4)
	})
}

// Replicas that start together on an empty database must agree on one active and one next key, or tokens of one would
// not verify at the other.
func TestReplicasStartOnAnEmptyDatabase(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			c := &clock{}
			address := newURL(t)
			w := &world{T: t, clock: c, server: httptest.NewUnstartedServer(nil)}
			t.Cleanup(w.server.Close)
			const replicas = 4
			providers, failed := make([]*oauth.Provider, replicas), make([]error, replicas)
			var wg sync.WaitGroup
			for i := range replicas {
				w.store = storetest.Open(t, address, withClock(c))
				o := w.options()
				wg.Go(func() { providers[i], failed[i] = oauth.New(t.Context(), o) })
			}
			wg.Wait()
			for _, err := range failed {
				require.NoError(t, err)
			}
			state := map[string]int{}
			for _, k := range w.signingKeys() {
				require.Nil(t, k.RetiredAt)
				state[k.Alg+map[bool]string{true: " next", false: " active"}[k.ActivatedAt == nil]]++
			}
			require.Equal(t, map[string]int{"RS256 active": 1, "RS256 next": 1, "ES256 active": 1, "ES256 next": 1, "EdDSA active": 1, "EdDSA next": 1}, state)
			var first string
			for _, p := range providers {
				e := echo.New()
				p.Mount(e)
				rec := httptest.NewRecorder()
				e.ServeHTTP(rec, httptest.NewRequest("GET", jwksPath, nil))
				first = max(first, rec.Body.String())
				require.Equal(t, first, rec.Body.String(), "all publish the same set")
			}
		})
	}
}

// Replicas whose timers fire together rotate once: a second step would let a key sign that nobody has seen.
func TestReplicasRotateOnce(t *testing.T) {
	each(t, func(w *world) {
		providers := []*oauth.Provider{w.provider, w.newProvider(nil), w.newProvider(nil)}
		w.clock.forward(rotation)
		var wg sync.WaitGroup
		for _, p := range providers {
			wg.Go(func() {
				if err := p.Maintain(w.Context()); err != nil {
					w.Error(err)
				}
			})
		}
		wg.Wait()
		for _, alg := range algs {
			rows := slices.DeleteFunc(w.signingKeys(), func(k store.SigningKey) bool { return k.Alg != alg })
			require.Len(w, rows, 3, alg)
			require.NotNil(w, rows[0].RetiredAt)
			require.True(w, rows[1].ActivatedAt != nil && rows[1].RetiredAt == nil)
			require.Nil(w, rows[2].ActivatedAt)
		}
	})
}

// A token signed by a key that another replica made a moment ago is good here as well. The key set is read again for it,
// but made-up kids must not become queries at will.
func TestUnknownKidReadsTheKeySetAgain(t *testing.T) {
	each(t, func(w *world) {
		w.clock.stop()
		p, other := w.replica(nil)
		w.clock.forward(time.Minute)
		for range 2 { // the second key to sign was not published when w.provider loaded
			require.NoError(w, p.RotateKeys(w.Context(), true, "ES256"))
		}
		token := other.machineToken()
		require.NotContains(w, w.kids("ES256"), w.kid(token), "not known here yet")

		ctx, calls := storetest.Trace(w.Context())
		w.transport = &inProcess{w.server.Config.Handler, ctx}
		w.accepts("x")
		calls.Reset()
		require.True(w, w.accepts(token))
		require.Equal(w, []string{"R signing_keys"}, calls.List())
		require.Contains(w, w.kids("ES256"), w.kid(token))

		calls.Reset()
		forged := unknownKid(token)
		for range 10 {
			require.False(w, w.accepts(forged))
		}
		require.Empty(w, calls.List(), "the set was read just now")

		w.clock.forward(6 * time.Second)
		w.accepts("x") // the client's cache has run out as well
		calls.Reset()
		for _, r := range parallel(w.T, 10, func() *reply { return w.form(introspectPath, w.machine, url.Values{"token": {forged}}) }) {
			require.JSONEq(w, `{"active":false}`, r.body)
		}
		require.Equal(w, []string{"R signing_keys"}, calls.List(), "ten at once read once")
	})
}

// unknownKid names a key in the token's header that does not exist.
func unknownKid(token string) string {
	parts := strings.Split(token, ".")
	parts[0] = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"made-up","typ":"at+jwt"}`))
	return strings.Join(parts, ".")
}

// A copy of the database alone must not let anybody sign (design: private keys are sealed).
func TestPrivateKeysAreSealed(t *testing.T) {
	each(t, func(w *world) {
		rows := w.signingKeys()
		require.Len(w, rows, 6)
		for _, row := range rows {
			require.True(w, strings.HasPrefix(row.PrivateKey, "v1."), "sealed")
			raw, err := base64.RawURLEncoding.DecodeString(row.PrivateKey[strings.LastIndexByte(row.PrivateKey, '.')+1:])
			require.NoError(w, err)
			der, err := storetest.Keyring().Open("signing_keys/private_key/"+row.ID, row.PrivateKey)
			require.NoError(w, err, "it is the key that is sealed there")
			require.NotEmpty(w, der)
			require.False(w, bytes.Contains(raw, der[:16]))
			require.NotContains(w, row.PublicJWK, `"d"`)
			_, err = storetest.Keyring().Open("signing_keys/private_key/"+rows[0].ID+"x", row.PrivateKey)
			require.ErrorIs(w, err, store.ErrSealed, "and it opens in its own row alone")
		}
	})
}

// The secret of the configuration can be replaced: what the previous one sealed still opens, and tokens still verify.
func TestKeysOutliveTheSecret(t *testing.T) {
	each(t, func(w *world) {
		token := w.machineToken()
		grant := w.signedIn(w.person).tokens(w.web)
		rotated := store.NewKeyring("a new secret, long enough to be one", "a secret for tests, which protects nothing at all")
		p, other := w.replica(func(o *oauth.Options) { o.Keyring = rotated })
		require.True(w, other.accepts(token))
		require.Equal(w, w.kid(token), w.kid(other.machineToken()), "the same key signs")
		other.refresh(w.web, grant.Refresh).tokens()

		require.NoError(w, p.RotateKeys(w.Context(), true))
		for _, row := range w.signingKeys() {
			if row.ActivatedAt == nil {
				require.True(w, rotated.Current(row.PrivateKey), "new keys are sealed under the new secret")
			}
		}

		lost := w.options()
		lost.Keyring = store.NewKeyring("a new secret, and the previous one forgotten")
		_, err := oauth.New(w.Context(), lost)
		require.ErrorIs(w, err, store.ErrUnknownKey, "a clear message, no new keys behind the operator's back")
	})
}

// A key that cannot be made stops the start, with a reason.
func TestKeyGenerationFails(t *testing.T) {
	w := &world{T: t, clock: &clock{}, server: httptest.NewUnstartedServer(nil)}
	t.Cleanup(w.server.Close)
	w.store = storetest.New(t, withClock(w.clock))
	o := w.options()
	o.Keys.Generate = func(alg string) (crypto.Signer, error) { return oauth.GenerateKey("HS256") }
	_, err := oauth.New(t.Context(), o)
	require.ErrorContains(t, err, "make RS256 key")
	require.Empty(t, w.signingKeys())
}

func TestGeneratedKeys(t *testing.T) {
	for alg, check := range map[string]func(crypto.Signer) bool{
		"RS256": func(k crypto.Signer) bool { key, ok := k.(*rsa.PrivateKey); return ok && key.N.BitLen() == 2048 },
		"ES256": func(k crypto.Signer) bool {
			key, ok := k.(*ecdsa.PrivateKey)
			return ok && key.Curve.Params().Name == "P-256"
		},
		"EdDSA": func(k crypto.Signer) bool { _, ok := k.(ed25519.PrivateKey); return ok },
	} {
		key, err := oauth.GenerateKey(alg)
		require.NoError(t, err)
		require.True(t, check(key), alg)
	}
}
