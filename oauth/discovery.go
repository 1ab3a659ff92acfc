package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// metadata is the discovery document (OIDC Discovery §3, RFC 8414 §2, RFC 9207 §3).
type metadata struct {
	Issuer                            string   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	UserinfoEndpoint                  string   `json:"userinfo_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	EndSessionEndpoint                string   `json:"end_session_endpoint"`
	ScopesSupported                   []string `json:"scopes_supported"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	ResponseModesSupported            []string `json:"response_modes_supported"`
	GrantTypesSupported               []string `json:"grant_types_supported"`
	SubjectTypesSupported             []string `json:"subject_types_supported"`
	IDTokenAlgs                       []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods                  []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods          []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethods             []string `json:"revocation_endpoint_auth_methods_supported"`
	CodeChallengeMethods              []string `json:"code_challenge_methods_supported"`
	PromptValues                      []string `json:"prompt_values_supported"`
	ClaimsSupported                   []string `json:"claims_supported"`
	ClaimTypes                        []string `json:"claim_types_supported"`
	ACRValues                         []string `json:"acr_values_supported"`
	UILocales                         []string `json:"ui_locales_supported"`
	ClaimsParameterSupported          bool     `json:"claims_parameter_supported"`
	RequestParameterSupported         bool     `json:"request_parameter_supported"`
	RequestURIParameterSupported      bool     `json:"request_uri_parameter_supported"`
	AuthorizationResponseISSSupported bool     `json:"authorization_response_iss_parameter_supported"`
}

// renderMetadata builds the document once: it depends on nothing but the issuer.
func (p *Provider) renderMetadata() []byte {
	at := func(path string) string { return p.issuer + path }
	confidential := []string{"client_secret_basic", "client_secret_post"}
	b, err := json.Marshal(metadata{
		Issuer: p.issuer, AuthorizationEndpoint: at("/oauth2/authorize"), TokenEndpoint: at("/oauth2/token"),
		UserinfoEndpoint: at("/oauth2/userinfo"), JWKSURI: at("/jwks"), IntrospectionEndpoint: at("/oauth2/introspect"),
		RevocationEndpoint: at("/oauth2/revoke"), EndSessionEndpoint: at("/oauth2/end-session"),
		ScopesSupported:        personScopes,
		ResponseTypesSupported: []string{"code"}, ResponseModesSupported: []string{"query", "fragment", "form_post"},
		GrantTypesSupported:   []string{"authorization_code", "refresh_token", "client_credentials"},
		SubjectTypesSupported: []string{"public"}, IDTokenAlgs: signingAlgs,
		TokenAuthMethods: append(confidential[:2:2], "none"), IntrospectionAuthMethods: confidential,
		RevocationAuthMethods: append(confidential[:2:2], "none"),
		CodeChallengeMethods:  []string{"S256"}, PromptValues: promptValues,
		ClaimsSupported: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid",
			"name", "given_name", "family_name", "picture", "updated_at", "email", "email_verified",
			"roles", "permissions", "plan", "features", "org_id", "org_slug", "org_role"},
		ClaimTypes: []string{"normal"}, ACRValues: []string{"1"}, UILocales: []string{"en", "fr"},
		ClaimsParameterSupported: true, AuthorizationResponseISSSupported: true,
	})
	if err != nil {
		panic(err) // strings and lists of strings always encode
	}
	return b
}

func (p *Provider) discovery(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, p.metadata)
}

// jwks serves the key set (RFC 7517 §5) as it was rendered when the keys last changed.
func (p *Provider) jwks(c echo.Context) error {
	keys, h := p.keys.current.Load(), c.Response().Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(jwksMaxAge.Seconds())))
	h.Set("ETag", keys.etag)
	// A cache may send several, and marks those weak that it compressed (RFC 9110 §13.1.2).
	if strings.Contains(c.Request().Header.Get("If-None-Match"), keys.etag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, "application/jwk-set+json", keys.jwks)
}
