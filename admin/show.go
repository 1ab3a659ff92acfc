package admin

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// A Moment is a time as the API writes it: RFC 3339 in UTC with milliseconds.
type Moment struct{ time.Time }

func moment(t time.Time) Moment { return Moment{t.UTC()} }

// MarshalJSON writes all three digits, also when they are zero.
func (m Moment) MarshalJSON() ([]byte, error) {
	return []byte(`"` + m.text() + `"`), nil
}

func (m Moment) text() string { return m.UTC().Format("2006-01-02T15:04:05.000Z") }

// Schema is that of a date-time.
func (Moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

func nullableMoment(t *time.Time) *Moment {
	if t == nil {
		return nil
	}
	m := moment(*t)
	return &m
}

// ClientProperties are what an application's first client shows in the application, and every client by itself.
type ClientProperties struct {
	RedirectURIs             []string `json:"redirectUris"`
	PostLogoutRedirectURIs   []string `json:"postLogoutRedirectUris"`
	AllowedOrigins           []string `json:"allowedOrigins"`
	Scopes                   []string `json:"scopes"`
	GrantTypes               []string `json:"grantTypes" enum:"authorization_code,refresh_token,client_credentials"`
	TokenEndpointAuthMethod  string   `json:"tokenEndpointAuthMethod" enum:"client_secret_basic,client_secret_post,none"`
	IDTokenSignedResponseAlg string   `json:"idTokenSignedResponseAlg" enum:"RS256,ES256,EdDSA"`
	SkipConsent              bool     `json:"skipConsent"`
	RequirePKCE              bool     `json:"requirePkce"`
}

// ApplicationProperties are what an application shows of itself as a whole. Null lifetimes are as configured, null URIs are
// not set.
type ApplicationProperties struct {
	Audiences                []string       `json:"audiences"`
	AccessTokenFormat        string         `json:"accessTokenFormat" enum:"jwt,opaque"`
	CodeLifetime             *int64         `json:"codeLifetime"`
	AccessTokenLifetime      *int64         `json:"accessTokenLifetime"`
	IDTokenLifetime          *int64         `json:"idTokenLifetime"`
	RefreshTokenIdleLifetime *int64         `json:"refreshTokenIdleLifetime"`
	RefreshTokenLifetime     *int64         `json:"refreshTokenLifetime"`
	LogoURI                  *string        `json:"logoUri"`
	HomepageURI              *string        `json:"homepageUri"`
	PolicyURI                *string        `json:"policyUri"`
	TOSURI                   *string        `json:"tosUri"`
	Metadata                 map[string]any `json:"metadata"`
}

// An Application is one of them as lists show it.
type Application struct {
	ID       string `json:"id"`
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
	ClientID string `json:"clientId" doc:"The first client's; type and the fields after it are also that client's."`
	Type     string `json:"type" enum:"web,spa,native,m2m"`
	ClientProperties
	ApplicationProperties
	ClientCount int    `json:"clientCount"`
	CreatedAt   Moment `json:"createdAt"`
	UpdatedAt   Moment `json:"updatedAt"`
}

// An ApplicationDetail is an application with all that belongs to it.
type ApplicationDetail struct {
	Application
	Clients []Client `json:"clients"`
	Counts  Counts   `json:"counts"`
}

// Counts tell how much an application is used.
type Counts struct {
	Clients int   `json:"clients"`
	Grants  int64 `json:"grants" doc:"Authorizations that can still yield tokens."`
	Users   int64 `json:"users" doc:"The people who gave them."`
	AtLeast bool  `json:"atLeast" doc:"True when there are more grants than were counted."`
}

// A Client is one client of an application. There is no field for a secret's hash, so none can leak.
type Client struct {
	ClientID      string `json:"clientId"`
	ApplicationID string `json:"applicationId"`
	Name          string `json:"name"`
	Type          string `json:"type" enum:"web,spa,native,m2m"`
	Disabled      bool   `json:"disabled"`
	ClientProperties
	Secrets   []ClientSecret `json:"secrets"`
	CreatedAt Moment         `json:"createdAt"`
	UpdatedAt Moment         `json:"updatedAt"`
}

// A ClientSecret is what can still be told about a secret.
type ClientSecret struct {
	Hint      string  `json:"hint" doc:"Its first characters."`
	CreatedAt Moment  `json:"createdAt"`
	ExpiresAt *Moment `json:"expiresAt" nullable:"true" doc:"Null for the current one."`
}

func showProperties(c *store.Client) ClientProperties {
	return ClientProperties{
		RedirectURIs: list(c.RedirectURIs), PostLogoutRedirectURIs: list(c.PostLogoutRedirectURIs),
		AllowedOrigins: list(c.AllowedOrigins), Scopes: list(c.Scopes), GrantTypes: list(c.GrantTypes),
		TokenEndpointAuthMethod: c.TokenEndpointAuthMethod, IDTokenSignedResponseAlg: c.IDTokenAlg,
		SkipConsent: c.SkipConsent, RequirePKCE: c.RequirePKCE,
	}
}

func showApplication(a *store.Application) Application {
	first := a.Clients[0] // created with the application; the last one cannot be deleted
	return Application{
		ID: a.ID, Slug: a.Slug, Name: a.Name, Disabled: a.Disabled,
		ClientID: first.ID, Type: first.Type, ClientProperties: showProperties(&first), ApplicationProperties: showApplicationProperties(a),
		ClientCount: len(a.Clients), CreatedAt: moment(a.CreatedAt), UpdatedAt: moment(a.UpdatedAt),
	}
}

func showApplicationProperties(a *store.Application) ApplicationProperties {
	metadata := a.Metadata
	if metadata == nil {
		metadata = map[string]any{}
	}
	return ApplicationProperties{
		Audiences: list(a.Audiences), AccessTokenFormat: a.AccessTokenFormat,
		CodeLifetime: orNull(a.CodeLifetime), AccessTokenLifetime: orNull(a.AccessTokenLifetime), IDTokenLifetime: orNull(a.IDTokenLifetime),
		RefreshTokenIdleLifetime: orNull(a.RefreshTokenIdleLifetime), RefreshTokenLifetime: orNull(a.RefreshTokenLifetime),
		LogoURI: orNull(a.LogoURI), HomepageURI: orNull(a.HomepageURI), PolicyURI: orNull(a.PolicyURI), TOSURI: orNull(a.TOSURI),
		Metadata: metadata,
	}
}

func showClient(c *store.Client) Client {
	out := Client{
		ClientID: c.ID, ApplicationID: c.ApplicationID, Name: c.Name, Type: c.Type, Disabled: c.Disabled,
		ClientProperties: showProperties(c), Secrets: []ClientSecret{}, CreatedAt: moment(c.CreatedAt), UpdatedAt: moment(c.UpdatedAt),
	}
	for _, s := range c.Secrets {
		out.Secrets = append(out.Secrets, ClientSecret{Hint: s.Hint, CreatedAt: moment(s.CreatedAt), ExpiresAt: nullableMoment(s.ExpiresAt)})
	}
	return out
}

func showClients(clients []store.Client) []Client {
	out := make([]Client, len(clients))
	for i := range clients {
		out[i] = showClient(&clients[i])
	}
	return out
}

// list is never null on the wire, whatever an import left in the row.
func list(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func orNull[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}
