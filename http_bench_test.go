package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/config"
	"auth-service/oauth"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// BenchmarkMiddlewares is what each request passes through, together with the reading of a signed access token, without what it is
// sent for. BenchmarkRecordRequest in package consumption has the rest.
func BenchmarkMiddlewares(b *testing.B) {
	s := storetest.New(b)
	cfg := &config.Config{PublicURL: "https://auth.example.com", CORSOrigins: []string{"https://app.example.com"}}
	cfg.Limits.Body, cfg.Log.Level = 1<<20, "info"
	logs, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(b, err)
	defer logs.Close()
	e := newRouter(cfg, newLogger(cfg, logs))
	provider, token := machineToken(b, e, s)
	e.Use(guard(&account.Origins{PublicURL: cfg.PublicURL}))
	e.POST("/api/consumption", func(c echo.Context) error {
		token, _, err := problem.BearerToken(c.Request())
		if err != nil {
			return err
		}
		if _, _, _, err := provider.Authenticate(c.Request().Context(), token); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	url := httptest.NewRequest("POST", "/api/consumption", nil).URL
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}, "Content-Length": {"2"}, "User-Agent": {"shop/1"}}
	w := &discarded{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		e.ServeHTTP(w, &http.Request{
			Method: "POST", URL: url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost", RemoteAddr: "192.0.2.1:1234",
			Header: header, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2,
		})
	}
	require.Equal(b, http.StatusNoContent, w.status)
}

// machineToken makes an application and has a provider sign a token for it.
func machineToken(b *testing.B, e *echo.Echo, s *store.Store) (*oauth.Provider, string) {
	b.Helper()
	origins := &account.Origins{PublicURL: "https://auth.example.com"}
	counters := &store.Counters{Store: s}
	provider, err := oauth.New(b.Context(), oauth.Options{
		PublicURL: origins.PublicURL, Lifetimes: oauth.Lifetimes{AccessToken: time.Hour}, Store: s, Keyring: storetest.Keyring(),
		Sessions: &account.Sessions{Store: s, Counters: counters, Now: time.Now}, SameOrigin: origins.SameOrigin, Counters: counters, Now: time.Now, Log: zerolog.Nop(),
	})
	require.NoError(b, err)
	provider.Mount(e)
	app := &store.Application{Slug: "shop", Name: "Shop"}
	require.NoError(b, s.CreateApplication(b.Context(), app))
	require.NoError(b, s.CreateClient(b.Context(), &store.Client{
		ID: "shop-service", ApplicationID: app.ID, Name: "Shop", Type: store.ClientM2M, TokenEndpointAuthMethod: store.AuthMethodPost,
		GrantTypes: []string{store.GrantClientCredentials}, Scopes: []string{"reports"},
	}))
	_, err = s.RotateClientSecret(b.Context(), "shop-service", &store.ClientSecret{Hash: store.HashSecret("secret")}, 0)
	require.NoError(b, err)
	req := httptest.NewRequest("POST", "/api/auth/oauth2/token", strings.NewReader("grant_type=client_credentials&client_id=shop-service&client_secret=secret"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	require.Equal(b, 200, rec.Code, rec.Body)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(b, json.Unmarshal(rec.Body.Bytes(), &answer))
	return provider, answer.AccessToken
}

// discarded takes an answer.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
