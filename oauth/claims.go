package oauth

import (
	"slices"
	"strings"

	"auth-service/store"
)

// The scopes that this server gives a meaning of its own. Any other scope of a client is the application's.
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeOffline = "offline_access"
)

// personScopes speak of a person, so a client that acts for itself never gets them.
var personScopes = []string{scopeOpenID, scopeProfile, scopeEmail, scopeOffline, "roles", "plan", "org"}

// claimScopes names the scope that stands for each claim, for requests by the claims parameter (OIDC Core §5.4, §5.5).
var claimScopes = map[string]string{
	"name": scopeProfile, "given_name": scopeProfile, "family_name": scopeProfile, "picture": scopeProfile, "updated_at": scopeProfile,
	"email": scopeEmail, "email_verified": scopeEmail,
}

// personClaims are the claims about u that the scopes give, and those named one by one.
func personClaims(u *store.User, scopes, names []string) map[string]any {
	all := map[string]any{"name": u.Name, "updated_at": u.UpdatedAt.Unix(), "email": u.Email, "email_verified": u.EmailVerified}
	if u.Image != "" {
		all["picture"] = u.Image
	}
	if given, family, ok := splitName(u.Name); ok {
		all["given_name"], all["family_name"] = given, family
	}
	claims := map[string]any{}
	for name, value := range all {
		if slices.Contains(scopes, claimScopes[name]) || slices.Contains(names, name) {
			claims[name] = value
		}
	}
	return claims
}

// splitName guesses that the last word is the family name, as the replaced service did; one word says nothing.
func splitName(name string) (given, family string, ok bool) {
	i := strings.LastIndexByte(strings.TrimSpace(name), ' ')
	if i < 0 {
		return "", "", false
	}
	name = strings.TrimSpace(name)
	return strings.TrimSpace(name[:i]), name[i+1:], true
}
