package oauth

import (
	"context"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
)

// engineConfig is fosite's configuration with the one setting that depends on the client.
type engineConfig struct{ *fosite.Config }

// GetEnforcePKCE requires PKCE of every client but those explicitly exempt (confidential ones, for certification).
func (c engineConfig) GetEnforcePKCE(ctx context.Context) bool {
	var requester fosite.Requester
	switch r := ctx.Value(fosite.AuthorizeRequestContextKey).(type) {
	case fosite.Requester:
		requester = r
	default:
		requester, _ = ctx.Value(fosite.AccessRequestContextKey).(fosite.Requester)
	}
	if requester == nil {
		return true
	}
	client, ok := requester.GetClient().(*client)
	return !ok || client.mustUsePKCE()
}

// compose builds fosite by hand, so that only the grants named here exist. Order matters: the code is found before the
// handlers that add to it run.
func (p *Provider) compose() *fosite.Fosite {
	config := engineConfig{&fosite.Config{
		AccessTokenLifespan:                p.Lifetimes.AccessToken,
		AuthorizeCodeLifespan:              p.Lifetimes.Code,
		IDTokenLifespan:                    p.Lifetimes.IDToken,
		RefreshTokenLifespan:               p.Lifetimes.RefreshIdle,
		IDTokenIssuer:                      p.issuer,
		AccessTokenIssuer:                  p.issuer,
		TokenURL:                           p.issuer + "/oauth2/token",
		EnforcePKCEForPublicClients:        true,
		OmitRedirectScopeParam:             true,
		MinParameterEntropy:                1, // state and nonce are the client's business; see also stateSentinel
		RefreshTokenScopes:                 []string{},
		ScopeStrategy:                      fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:           fosite.ExactAudienceMatchingStrategy,
		ClientAuthenticationStrategy:       p.authenticateClient,
		RedirectSecureChecker:              func(context.Context, *url.URL) bool { return true }, // matchRedirectURI decided
		AllowedPromptValues:                []string{"none", "login", "consent", "select_account", "create"},
		SendDebugMessagesToClients:         false,
		TokenEntropy:                       32,
		VerifiableCredentialsNonceLifespan: time.Minute,
		// The getters of these fill them in lazily, which is a data race under load; nothing here uses them.
		ClientSecretsHasher: &fosite.BCrypt{Config: &fosite.Config{}},
		JWKSFetcherStrategy: noJWKS{},
	}}
	storage, tokens := &storage{p}, &tokenStrategy{p}
	ids := &openid.IDTokenHandleHelper{IDTokenStrategy: &idTokenStrategy{p}}
	code := &oauth2.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: tokens, RefreshTokenStrategy: tokens, AuthorizeCodeStrategy: tokens,
		CoreStorage: storage, TokenRevocationStorage: storage, Config: config,
	}
	oidc := &openid.OpenIDConnectExplicitHandler{
		OpenIDConnectRequestStorage:   storage,
		OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(nil, config),
		Config:                        config, IDTokenHandleHelper: ids,
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: tokens, Storage: storage, Config: config}
	machine := &oauth2.ClientCredentialsGrantHandler{
		HandleHelper: &oauth2.HandleHelper{AccessTokenStrategy: tokens, AccessTokenStorage: storage, Config: config},
		Config:       config,
	}
	config.AuthorizeEndpointHandlers = fosite.AuthorizeEndpointHandlers{code, oidc, proof}
	config.TokenEndpointHandlers = fosite.TokenEndpointHandlers{
		code, &refreshHandler{p, tokens}, machine, oidc, &openid.OpenIDConnectRefreshHandler{IDTokenHandleHelper: ids, Config: config}, proof,
	}
	return fosite.NewOAuth2Provider(storage, config)
}

// noJWKS stands where fosite would fetch keys of clients; no registered method uses any.
type noJWKS struct{}

func (noJWKS) Resolve(context.Context, string, bool) (*jose.JSONWebKeySet, error) {
	return nil, fosite.ErrInvalidClient
}
