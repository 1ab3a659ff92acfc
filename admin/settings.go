package admin

import (
	"slices"
	"strings"

	"auth-service/store"
)

// scopeAdmin opens this API to a client. Only a superadmin gives it, because it makes the client's holder an admin.
const scopeAdmin = "admin"

// Algorithms of ID tokens.
const (
	algRS256 = "RS256"
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

// ClientSettings is what a request may say about a client. The zero value says nothing.
type ClientSettings struct {
	RedirectURIs             Optional[[]string] `json:"redirectUris,omitzero" maxItems:"50" maxLength:"2000" doc:"Where answers may go, compared character by character. https; http for localhost, 127.0.0.1 and [::1]; a private-use scheme with a dot for native clients."`
	PostLogoutRedirectURIs   Optional[[]string] `json:"postLogoutRedirectUris,omitzero" maxItems:"50" maxLength:"2000" doc:"Where the browser may go after signing out; the same rules."`
	AllowedOrigins           Optional[[]string] `json:"allowedOrigins,omitzero" maxItems:"50" maxLength:"2000" doc:"Further origins whose pages may call the token, userinfo and revocation endpoints."`
	Scopes                   Optional[[]string] `json:"scopes,omitzero" maxItems:"64" maxLength:"128" doc:"What the client may ask for. Default: openid profile email offline_access, and none for m2m."`
	GrantTypes               Optional[[]string] `json:"grantTypes,omitzero" enum:"authorization_code,refresh_token,client_credentials" doc:"Default: authorization_code and refresh_token; client_credentials for m2m."`
	TokenEndpointAuthMethod  Optional[string]   `json:"tokenEndpointAuthMethod,omitzero" enum:"client_secret_basic,client_secret_post,none" doc:"Default: client_secret_basic for web and m2m, none for spa and native."`
	IDTokenSignedResponseAlg Optional[string]   `json:"idTokenSignedResponseAlg,omitzero" enum:"RS256,ES256,EdDSA" doc:"Default: RS256."`
	SkipConsent              Optional[bool]     `json:"skipConsent,omitzero" doc:"True for an application of your own, which needs nobody's consent. Default: false."`
	RequirePKCE              Optional[bool]     `json:"requirePkce,omitzero" doc:"False only for a confidential web client that cannot do PKCE. Default: true."`
}

// ApplicationSettings is what a request may say about an application as a whole.
type ApplicationSettings struct {
	Audiences                Optional[[]string]       `json:"audiences,omitzero" maxItems:"20" maxLength:"2000" doc:"The aud of access tokens, and the resources that may be asked for: absolute URIs. Default: the client_id."`
	AccessTokenFormat        Optional[string]         `json:"accessTokenFormat,omitzero" enum:"jwt,opaque" doc:"Default: jwt."`
	CodeLifetime             Optional[int64]          `json:"codeLifetime,omitzero" minimum:"10" maximum:"600" doc:"Seconds. Null: as configured, like the other lifetimes."`
	AccessTokenLifetime      Optional[int64]          `json:"accessTokenLifetime,omitzero" minimum:"60" maximum:"86400" doc:"Seconds."`
	IDTokenLifetime          Optional[int64]          `json:"idTokenLifetime,omitzero" minimum:"60" maximum:"86400" doc:"Seconds."`
	RefreshTokenIdleLifetime Optional[int64]          `json:"refreshTokenIdleLifetime,omitzero" minimum:"300" maximum:"31536000" doc:"Seconds for which a refresh token may lie unused."`
	RefreshTokenLifetime     Optional[int64]          `json:"refreshTokenLifetime,omitzero" minimum:"300" maximum:"31536000" doc:"Seconds after which the person signs in again in any case."`
	LogoURI                  Optional[string]         `json:"logoUri,omitzero" maxLength:"2000" doc:"An https URL."`
	HomepageURI              Optional[string]         `json:"homepageUri,omitzero" maxLength:"2000" doc:"An https URL."`
	PolicyURI                Optional[string]         `json:"policyUri,omitzero" maxLength:"2000" doc:"An https URL."`
	TOSURI                   Optional[string]         `json:"tosUri,omitzero" maxLength:"2000" doc:"An https URL."`
	Metadata                 Optional[map[string]any] `json:"metadata,omitzero" doc:"Anything of your own, up to 16 KiB of JSON. It replaces what was there."`
}

// newClient returns a client of the type with all defaults.
func newClient(kind string) *store.Client {
	c := &store.Client{
		Type: kind, RedirectURIs: []string{}, PostLogoutRedirectURIs: []string{}, AllowedOrigins: []string{},
		GrantTypes: defaultGrantTypes(kind), TokenEndpointAuthMethod: defaultAuthMethod(kind),
		IDTokenAlg: algRS256, RequirePKCE: true,
	}
	c.Scopes = defaultScopes(c.GrantTypes)
	return c
}

func newApplication() *store.Application {
	return &store.Application{Audiences: []string{}, AccessTokenFormat: store.TokenFormatJWT, Metadata: map[string]any{}}
}

func defaultGrantTypes(kind string) []string {
	if kind == store.ClientM2M {
		return []string{store.GrantClientCredentials}
	}
	return []string{store.GrantAuthorizationCode, store.GrantRefreshToken}
}

func defaultAuthMethod(kind string) string {
	if kind == store.ClientSPA || kind == store.ClientNative {
		return store.AuthMethodNone
	}
	return store.AuthMethodBasic
}

// defaultScopes are those that identify a person, where one takes part.
func defaultScopes(grantTypes []string) []string {
	if !slices.Contains(grantTypes, store.GrantAuthorizationCode) {
		return []string{}
	}
	scopes := []string{"openid", "profile", "email"}
	if slices.Contains(grantTypes, store.GrantRefreshToken) {
		scopes = append(scopes, "offline_access")
	}
	return scopes
}

// create is apply for a new client: its default scopes follow the grant types that the request chose.
func (in *ClientSettings) create(c *store.Client) {
	in.GrantTypes.into(&c.GrantTypes, defaultGrantTypes(c.Type))
	c.Scopes = defaultScopes(c.GrantTypes)
	in.apply(c)
}

// apply merges the settings into c, whose type is final.
func (in *ClientSettings) apply(c *store.Client) {
	in.RedirectURIs.into(&c.RedirectURIs, []string{})
	in.PostLogoutRedirectURIs.into(&c.PostLogoutRedirectURIs, []string{})
	in.AllowedOrigins.into(&c.AllowedOrigins, []string{})
	in.GrantTypes.into(&c.GrantTypes, defaultGrantTypes(c.Type))
	in.Scopes.into(&c.Scopes, defaultScopes(c.GrantTypes))
	in.TokenEndpointAuthMethod.into(&c.TokenEndpointAuthMethod, defaultAuthMethod(c.Type))
	in.IDTokenSignedResponseAlg.into(&c.IDTokenAlg, algRS256)
	in.SkipConsent.into(&c.SkipConsent, false)
	in.RequirePKCE.into(&c.RequirePKCE, true)
}

// apply merges the settings into a.
func (in *ApplicationSettings) apply(a *store.Application) {
	in.Audiences.into(&a.Audiences, []string{})
	in.AccessTokenFormat.into(&a.AccessTokenFormat, store.TokenFormatJWT)
	in.CodeLifetime.into(&a.CodeLifetime, 0)
	in.AccessTokenLifetime.into(&a.AccessTokenLifetime, 0)
	in.IDTokenLifetime.into(&a.IDTokenLifetime, 0)
	in.RefreshTokenIdleLifetime.into(&a.RefreshTokenIdleLifetime, 0)
	in.RefreshTokenLifetime.into(&a.RefreshTokenLifetime, 0)
	in.LogoURI.into(&a.LogoURI, "")
	in.HomepageURI.into(&a.HomepageURI, "")
	in.PolicyURI.into(&a.PolicyURI, "")
	in.TOSURI.into(&a.TOSURI, "")
	in.Metadata.into(&a.Metadata, map[string]any{})
}

// An ApplicationInput makes an application and its first client.
type ApplicationInput struct {
	Name string           `json:"name" minLength:"1" maxLength:"100" doc:"What people see when they sign in."`
	Slug Optional[string] `json:"slug,omitzero" maxLength:"63" doc:"A short name for URLs. Default: made from the name."`
	Type string           `json:"type" enum:"web,spa,native,m2m" doc:"web has a server that keeps a secret, spa runs in the browser, native on a device, m2m acts for nobody."`
	ClientSettings
	ApplicationSettings

	// ClientID is for the command line, which may choose it; a request cannot.
	ClientID string `json:"-"`
}

// rows returns what the input asks for. The slug is empty when it is to be made from the name.
func (in *ApplicationInput) rows() (*store.Application, *store.Client) {
	a, c := newApplication(), newClient(in.Type)
	a.Name = strings.TrimSpace(in.Name)
	in.Slug.into(&a.Slug, "")
	in.ApplicationSettings.apply(a)
	c.ID, c.Name = in.ClientID, a.Name
	in.ClientSettings.create(c)
	return a, c
}

// An ApplicationPatch changes an application, and its first client.
type ApplicationPatch struct {
	Name     Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"What people see when they sign in."`
	Slug     Optional[string] `json:"slug,omitzero" maxLength:"63" doc:"A short name for URLs. Null: made from the name."`
	Type     Optional[string] `json:"type,omitzero" enum:"web,spa,native,m2m" doc:"The type of the first client."`
	Disabled Optional[bool]   `json:"disabled,omitzero" doc:"True ends every grant; nobody gets in until it is false again."`
	ClientSettings
	ApplicationSettings
}

// apply merges the patch into the rows. A first client that is called like the application keeps being so.
func (in *ApplicationPatch) apply(a *store.Application, c *store.Client) {
	together := c.Name == a.Name
	in.Name.into(&a.Name, "")
	a.Name = strings.TrimSpace(a.Name)
	if together {
		c.Name = a.Name
	}
	in.Slug.into(&a.Slug, "")
	in.Type.into(&c.Type, "")
	in.Disabled.into(&a.Disabled, false)
	in.ApplicationSettings.apply(a)
	in.ClientSettings.apply(c)
}

// A ClientInput makes a further client of an application.
type ClientInput struct {
	Name Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"Tells the clients apart. Default: the application's name."`
	Type string           `json:"type" enum:"web,spa,native,m2m" doc:"As for an application."`
	ClientSettings

	// ClientID is for the command line, which may choose it; a request cannot.
	ClientID string `json:"-"`
}

// A ClientPatch changes one client.
type ClientPatch struct {
	Name     Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"Tells the clients apart. Null: the application's name."`
	Type     Optional[string] `json:"type,omitzero" enum:"web,spa,native,m2m" doc:"As for an application."`
	Disabled Optional[bool]   `json:"disabled,omitzero" doc:"True ends the client's grants; it gets nothing until it is false again."`
	ClientSettings
}

func (in *ClientPatch) apply(c *store.Client, applicationName string) {
	in.Name.into(&c.Name, applicationName)
	c.Name = strings.TrimSpace(c.Name)
	in.Type.into(&c.Type, "")
	in.Disabled.into(&c.Disabled, false)
	in.ClientSettings.apply(c)
}
