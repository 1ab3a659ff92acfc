package oauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// A relying party that nobody here wrote signs a person in, reads userinfo, refreshes and signs out.
func TestRelyingPartySignsAPersonIn(t *testing.T) {
	each(t, func(w *world) {
		ctx := oidc.ClientContext(t.Context(), w.server.Client())
		provider, err := oidc.NewProvider(ctx, w.server.URL+"/api/auth")
		require.NoError(t, err)
		config := oauth2.Config{ClientID: w.web.ID, ClientSecret: w.secret, RedirectURL: redirectURI, Endpoint: provider.Endpoint(),
			Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}}
		proof := oauth2.GenerateVerifier()

		b := w.signedIn(w.person)
		page := b.get(config.AuthCodeURL("state-1", oauth2.S256ChallengeOption(proof), oidc.Nonce("nonce-1")))
		require.Equal(t, "/consent", page.location.Path)
		answer := b.post("/api/auth/oauth2/requests/"+page.location.Query().Get("request")+"/consent", `{"accept":true}`)
		back, err := url.Parse(answer.json()["redirectTo"].(string))
		require.NoError(t, err)
		require.Equal(t, "state-1", back.Query().Get("state"))
		require.Equal(t, w.server.URL+"/api/auth", back.Query().Get("iss"), "RFC 9207")

		token, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(proof))
		require.NoError(t, err)
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: w.web.ID}).Verify(ctx, raw)
		require.NoError(t, err)
		require.Equal(t, w.person.ID, id.Subject)
		require.Equal(t, "nonce-1", id.Nonce)
		require.NoError(t, id.VerifyAccessToken(token.AccessToken))

		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		require.NoError(t, err)
		require.Equal(t, w.person.Email, info.Email)

		token.Expiry = w.clock.now().Add(-1)
		fresh, err := config.TokenSource(ctx, token).Token()
		require.NoError(t, err)
		require.NotEqual(t, token.AccessToken, fresh.AccessToken)
		require.NotEqual(t, token.RefreshToken, fresh.RefreshToken)

		out := b.get(endSessionPath + "?" + url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}}.Encode())
		require.Equal(t, http.StatusSeeOther, out.status)
		require.Equal(t, "https://app.example/bye?state=s", out.location.String())
		require.Equal(t, "/sign-in", b.authorize(request(w.web)).location.Path, "the browser is signed out")
	})
}

// A machine client gets its token and another service checks it.
func TestMachineClientGetsAToken(t *testing.T) {
	each(t, func(w *world) {
		r := w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}, "scope": {"invoice:read"}})
		got := r.tokens()
		require.Equal(t, "Bearer", got.Type)
		require.Equal(t, 600, got.Expires)
		require.Equal(t, "invoice:read", got.Scope)
		require.Empty(t, got.Refresh)
		claims := w.claims(got.Access)
		require.Equal(t, w.machine.ID, claims["sub"])
		require.Equal(t, []any{"https://api.billing.example"}, claims["aud"])

		seen := w.form(introspectPath, w.machine, url.Values{"token": {got.Access}}).json()
		require.Equal(t, true, seen["active"])
		require.False(t, w.active(got.Access), "a client of another application learns nothing of it")
	})
}
