package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"auth-service/problem"
	"auth-service/store"
)

// Limits of what is stored for one application.
const (
	maxName        = 100
	maxURIs        = 50
	maxScopes      = 64
	maxScopeLength = 128
	maxAudiences   = 20
	maxMetadata    = 16 << 10
	maxClients     = 50
)

// A span is the least and the greatest value of a lifetime, in seconds.
type span struct{ least, most int64 }

var (
	codeSpan    = span{10, 600}
	tokenSpan   = span{60, int64(store.MaxAccessTokenLifetime.Seconds())} // revocations are remembered for as long
	refreshSpan = span{300, 365 * 24 * 3600}
)

var (
	slugPattern     = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	scopePattern    = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)   // RFC 6749 §3.3
	clientIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*$`) // RFC 6749 allows more, URLs and logs do not
	clientTypes     = []string{store.ClientWeb, store.ClientSPA, store.ClientNative, store.ClientM2M}
)

// faults collects what is wrong: a sentence per field that says how to mend it. The first one about a field stays.
type faults map[string]string

func (f faults) add(field, sentence string) {
	if _, twice := f[field]; !twice && sentence != "" {
		f[field] = sentence
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return problem.Invalid(f)
}

// named checks what names another object outside of a path: what a database would choke on is no id.
func (f faults) named(field, ref string) {
	if !store.Printable(ref) {
		f.add(field, "This has control characters: remove them.")
	}
}

// nulls finds the fields of a patch that are null and have no default to go back to.
func nulls(fields map[string]bool) faults {
	f := faults{}
	for field, null := range fields {
		if null {
			f.add(field, "This cannot be null: leave the field out to keep what is there.")
		}
	}
	return f
}

// findings is the form in which huma adds the faults of a body to its own.
func (f faults) findings(body any) []error {
	var out []error
	for _, field := range mistyped(body) {
		out = append(out, &problem.Finding{Field: field, Sentence: "This value has the wrong form."})
	}
	for _, field := range slices.Sorted(maps.Keys(f)) {
		out = append(out, &problem.Finding{Field: field, Sentence: f[field]})
	}
	return out
}

// applicationValues checks each field of the application by itself.
func (f faults) applicationValues(a *store.Application) {
	f.add("name", nameFault(a.Name))
	if a.Slug != "" {
		f.add("slug", slugFault(a.Slug))
	}
	f.list("audiences", a.Audiences, maxAudiences, audienceFault)
	f.oneOf("accessTokenFormat", a.AccessTokenFormat, store.TokenFormatJWT, store.TokenFormatOpaque)
	f.lifetime("codeLifetime", a.CodeLifetime, codeSpan)
	f.lifetime("accessTokenLifetime", a.AccessTokenLifetime, tokenSpan)
	f.lifetime("idTokenLifetime", a.IDTokenLifetime, tokenSpan)
	f.lifetime("refreshTokenIdleLifetime", a.RefreshTokenIdleLifetime, refreshSpan)
	f.lifetime("refreshTokenLifetime", a.RefreshTokenLifetime, refreshSpan)
	for field, uri := range map[string]string{"logoUri": a.LogoURI, "homepageUri": a.HomepageURI, "policyUri": a.PolicyURI, "tosUri": a.TOSURI} {
		if uri != "" {
			f.add(field, linkFault(uri))
		}
	}
	f.add("metadata", metadataFault(a.Metadata))
}

// applicationRules checks fields of the application against one another.
func (f faults) applicationRules(a *store.Application) {
	if a.RefreshTokenIdleLifetime > 0 && a.RefreshTokenLifetime > 0 && a.RefreshTokenIdleLifetime > a.RefreshTokenLifetime {
		f.add("refreshTokenIdleLifetime", "This must not exceed refreshTokenLifetime: lower it or raise the other.")
	}
}

// clientValues checks each field of the client by itself.
func (f faults) clientValues(c *store.Client) {
	f.add("name", nameFault(c.Name))
	f.oneOf("type", c.Type, clientTypes...)
	redirect := func(uri string) string { return redirectFault(uri, c.Type == store.ClientNative) }
	f.list("redirectUris", c.RedirectURIs, maxURIs, redirect)
	f.list("postLogoutRedirectUris", c.PostLogoutRedirectURIs, maxURIs, redirect)
	f.list("allowedOrigins", c.AllowedOrigins, maxURIs, originFault)
	f.list("scopes", c.Scopes, maxScopes, scopeFault)
	f.list("grantTypes", c.GrantTypes, maxScopes, grantTypeFault)
	f.oneOf("tokenEndpointAuthMethod", c.TokenEndpointAuthMethod, store.AuthMethodBasic, store.AuthMethodPost, store.AuthMethodNone)
	f.oneOf("idTokenSignedResponseAlg", c.IDTokenAlg, algRS256, algES256, algEdDSA)
}

// clientRules checks fields of the client against one another, where each makes sense by itself.
func (f faults) clientRules(c *store.Client) {
	if !slices.Contains(clientTypes, c.Type) || slices.ContainsFunc(c.GrantTypes, func(g string) bool { return grantTypeFault(g) != "" }) {
		return
	}
	f.authenticationRules(c)
	if len(c.GrantTypes) == 0 {
		f.add("grantTypes", "A client without a grant type can do nothing: list one, or leave the field out for the default.")
		return
	}
	people := slices.Contains(c.GrantTypes, store.GrantAuthorizationCode)
	f.grantRules(c, people)
	if people && len(c.RedirectURIs) == 0 {
		f.add("redirectUris", "The authorization_code grant needs a redirect URI: add at least one.")
	}
	if !people {
		for field, uris := range map[string][]string{"redirectUris": c.RedirectURIs, "postLogoutRedirectUris": c.PostLogoutRedirectURIs} {
			if len(uris) > 0 {
				f.add(field, "Only a client with the authorization_code grant sends browsers anywhere: remove these URIs.")
			}
		}
	}
}

func (f faults) grantRules(c *store.Client, people bool) {
	has := func(grant string) bool { return slices.Contains(c.GrantTypes, grant) }
	switch {
	case c.Type == store.ClientM2M && (people || has(store.GrantRefreshToken)):
		f.add("grantTypes", "An m2m client acts for nobody: only client_credentials is possible.")
	case (c.Type == store.ClientSPA || c.Type == store.ClientNative) && has(store.GrantClientCredentials):
		f.add("grantTypes", "A client that cannot keep a secret cannot use client_credentials: remove it, or use type web or m2m.")
	case has(store.GrantRefreshToken) && !people:
		f.add("grantTypes", "refresh_token continues an authorization_code: add authorization_code or remove refresh_token.")
	case has(store.GrantClientCredentials) && c.Public():
		f.add("grantTypes", "client_credentials needs a client that authenticates: choose another tokenEndpointAuthMethod or remove it.")
	}
}

func (f faults) authenticationRules(c *store.Client) {
	switch {
	case (c.Type == store.ClientSPA || c.Type == store.ClientNative) && !c.Public():
		f.add("tokenEndpointAuthMethod", "What runs at the user's keeps no secret: use none, or type web.")
	case c.Type == store.ClientM2M && c.Public():
		f.add("tokenEndpointAuthMethod", "An m2m client has to authenticate: use client_secret_basic or client_secret_post.")
	}
	if !c.RequirePKCE && (c.Type != store.ClientWeb || c.Public()) {
		f.add("requirePkce", "Only a confidential web client may go without PKCE: leave this true.")
	}
}

// list checks the number of items, each item, and that none comes twice.
func (f faults) list(field string, items []string, most int, fault func(string) string) {
	if len(items) > most {
		f.add(field, fmt.Sprintf("There are %d entries, and %d at most are possible.", len(items), most))
		return
	}
	for i, item := range items {
		path := fmt.Sprintf("%s[%d]", field, i)
		f.add(path, fault(item))
		if slices.Contains(items[:i], item) {
			f.add(path, "This is listed twice: remove one.")
		}
	}
}

func (f faults) oneOf(field, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		f.add(field, "Choose one of "+strings.Join(choices, ", ")+".")
	}
}

// lifetime accepts 0, which in a row means the configured one. A request says that with null: the schema's minimum refuses 0.
func (f faults) lifetime(field string, seconds int64, within span) {
	if seconds != 0 && (seconds < within.least || seconds > within.most) {
		f.add(field, fmt.Sprintf("Choose between %d and %d seconds, or null for the configured value.", within.least, within.most))
	}
}

func nameFault(name string) string {
	switch length := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return "Give it a name."
	case length > maxName:
		return fmt.Sprintf("The name has %d characters, and %d at most are possible.", length, maxName)
	case !store.Printable(name):
		return "The name has invisible control characters: remove them."
	}
	return ""
}

func slugFault(slug string) string {
	if !slugPattern.MatchString(slug) {
		return "Use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end."
	}
	if uuid.Validate(slug) == nil { // it would stand in for another application's id
		return "A slug must not look like an id: choose a name."
	}
	return ""
}

func clientIDFault(id string) string {
	if len(id) > 64 || !clientIDPattern.MatchString(id) {
		return "Use up to 64 letters, digits and . _ ~ - for a client_id, beginning with a letter or digit."
	}
	return ""
}

func scopeFault(scope string) string {
	if len(scope) > maxScopeLength || !scopePattern.MatchString(scope) {
		return fmt.Sprintf("A scope has 1 to %d visible ASCII characters without spaces, quotation marks and backslashes.", maxScopeLength)
	}
	return ""
}

func grantTypeFault(grant string) string {
	switch grant {
	case store.GrantAuthorizationCode, store.GrantRefreshToken, store.GrantClientCredentials:
		return ""
	}
	return "Choose from authorization_code, refresh_token and client_credentials."
}

func metadataFault(metadata map[string]any) string {
	text, err := json.Marshal(metadata)
	if err != nil {
		return "This cannot be written as JSON."
	}
	if len(text) > maxMetadata {
		return fmt.Sprintf("This is %d bytes of JSON, and %d at most are possible.", len(text), maxMetadata)
	}
	return ""
}
