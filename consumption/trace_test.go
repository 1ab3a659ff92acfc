package consumption_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/consumption"
	"auth-service/oauth"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// quickKey makes keys that need not be strong.
func quickKey(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// signed puts the real tokens of package oauth in the place of the test's and returns one of crm's service.
func (s *server) signed() header {
	s.Helper()
	const secret = "a secret of a test"
	_, err := s.store.RotateClientSecret(s.Context(), "crm-service", &store.ClientSecret{Hash: store.HashSecret(secret)}, 0)
	require.NoError(s, err)
	counters := &store.Counters{Store: s.store}
	provider, err := oauth.New(s.Context(), oauth.Options{
		PublicURL: "https://auth.example.com", Lifetimes: oauth.Lifetimes{AccessToken: time.Hour}, Store: s.store, Keyring: storetest.Keyring(),
		Keys:     oauth.KeyPolicy{Rotation: 90 * 24 * time.Hour, Retention: 30 * 24 * time.Hour, Generate: quickKey},
		Counters: counters, SameOrigin: (&account.Origins{}).SameOrigin, Now: s.clock.now, Log: zerolog.Nop(),
	})
	require.NoError(s, err)
	provider.Mount(s.echo)
	req := httptest.NewRequest("POST", "/api/auth/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("crm-service", strings.ReplaceAll(secret, " ", "%20"))
	rec := httptest.NewRecorder()
	s.echo.ServeHTTP(rec, req)
	require.Equal(s, 200, rec.Code, rec.Body)
	var granted struct {
		Token string `json:"access_token"`
	}
	require.NoError(s, json.Unmarshal(rec.Body.Bytes(), &granted))
	s.remount(provider)
	return bearer(granted.Token)
}

// A record is the hottest request there is: before it is recorded nothing is read but what is in memory.
func TestStoreCalls(t *testing.T) {
	eachServer(t, func(s *server) {
		s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":100,"period":"month"}`, true)
		token := s.signed()
		ctx, trace := storetest.Trace(s.Context())
		calls := func() []string {
			list := trace.List()
			trace.Reset()
			return list
		}
		usage := consumption.Usage{UserID: "ann", Key: "calls", Amount: store.NewAmount(1)}
		for range 2 {
			_, err := s.service.Record(ctx, consumption.Caller{ApplicationID: s.crm.ID, ClientID: "crm-service"}, []consumption.Usage{usage})
			require.NoError(s, err)
		}
		trace.Reset()
		_, err := s.service.Record(ctx, consumption.Caller{ApplicationID: s.crm.ID, ClientID: "crm-service"}, []consumption.Usage{usage})
		require.NoError(s, err)
		recorder := calls()
		require.NotEmpty(s, recorder)
		s.callIn(ctx, "POST", "", `{"userId":"ann","key":"calls"}`, token).is(200)
		require.Equal(s, recorder, calls(), "the recorder's statements and no more")
		s.callIn(ctx, "POST", "", `{"userId":"ann","key":"calls","applicationId":"crm"}`, token).is(200)
		require.Equal(s, recorder, calls(), "its own name is known without looking it up")
		s.callIn(ctx, "POST", "", `{"userId":"ann","key":"Calls"}`, token).is(422)
		require.Empty(s, calls(), "what is refused reads nothing")

		_, _, err = s.service.Check(ctx, s.crm.ID, usage)
		require.NoError(s, err)
		checks := calls()
		s.callIn(ctx, "POST", "/check", `{"userId":"ann","key":"calls"}`, token).is(200)
		require.Equal(s, checks, calls())

		facts, counters := checks[0], "R consumption_counters" // a check begins with the plan in force
		s.callIn(ctx, "GET", "/ann/crm", "", token).is(200)
		require.Equal(s, []string{facts, counters}, calls(), "running totals of all keys are one look-up beside the plan in force")
		s.callIn(ctx, "GET", "/ann/crm?granularity=day", "", token).is(200)
		require.Len(s, calls(), 3, "history adds one, however long it is")
		s.callIn(ctx, "GET", "/ann/crm?from=2026-06-14T00:00:01Z&to=2026-06-15T00:00:00Z", "", token).is(200)
		require.Len(s, calls(), 4, "an edge adds one")
	})
}

// remount serves the routes anew, with other tokens.
func (s *server) remount(tokens consumption.Tokens) {
	fresh := newRouter(s.log)
	s.echo = fresh
	s.handler.Tokens = tokens
	s.handler.Mount(problem.NewAPI(fresh, "Test", "0"))
}
