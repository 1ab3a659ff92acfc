package oauth

import (
	"encoding/json"
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
	scopeRoles   = "roles"
	scopePlan    = "plan"
	scopeOrg     = "org"
)

// personScopes speak of a person, so a client that acts for itself never gets them.
var personScopes = []string{scopeOpenID, scopeProfile, scopeEmail, scopeOffline, scopeRoles, scopePlan, scopeOrg}

// claimScopes names the scope that stands for each claim, for requests by the claims parameter (OIDC Core §5.4, §5.5).
var claimScopes = map[string]string{
	"name": scopeProfile, "given_name": scopeProfile, "family_name": scopeProfile, "picture": scopeProfile, "updated_at": scopeProfile,
	"email": scopeEmail, "email_verified": scopeEmail,
	"roles": scopeRoles, "permissions": scopeRoles, "plan": scopePlan, "features": scopePlan,
	"org_id": scopeOrg, "org_slug": scopeOrg, "org_role": scopeOrg,
}

// maxEntitlements is how many bytes of roles and permissions a token holds, as JSON. Above it the permissions are left out:
// a token travels in a header, for which servers have limits.
const maxEntitlements = 4 << 10

// entitled are the claims about what somebody may do and have at the application (contract.md "Claims"). Both lists are
// there also when they are empty, so that whoever reads them need not ask.
type entitled struct {
	Roles                []string        `json:"roles,omitzero"`
	Permissions          []string        `json:"permissions,omitzero"`
	PermissionsTruncated bool            `json:"permissions_truncated,omitempty"` // there are permissions, but too many: userinfo has them
	Plan                 string          `json:"plan,omitempty"`
	Features             json.RawMessage `json:"features,omitempty"`
	OrgID                string          `json:"org_id,omitempty"`
	OrgSlug              string          `json:"org_slug,omitempty"`
	OrgRole              string          `json:"org_role,omitempty"`
}

func entitledBy(e *store.Entitlements) entitled {
	if e == nil {
		return entitled{}
	}
	claims := entitled{Roles: e.Roles, Permissions: e.Permissions, Plan: e.Plan}
	if e.Plan != "" {
		claims.Features = store.FeatureValues(e.Features)
	}
	if e.Organization != nil {
		claims.OrgID, claims.OrgSlug, claims.OrgRole = e.Organization.ID, e.Organization.Slug, e.Organization.Role
	}
	return claims
}

// inToken leaves the permissions out where they would make a token too large.
func (c entitled) inToken() entitled {
	size := 0
	for _, key := range c.Roles {
		size += len(`"",`) + len(key)
	}
	for _, key := range c.Permissions {
		size += len(`"",`) + len(key)
	}
	if size > maxEntitlements {
		c.Permissions, c.PermissionsTruncated = nil, true
	}
	return c
}

// personClaims are the claims about u, and about what u may do and have, that the scopes give, and those named one by one.
func personClaims(u *store.User, e entitled, scopes, names []string) map[string]any {
	all := map[string]any{"name": u.Name, "updated_at": u.UpdatedAt.Unix(), "email": u.Email, "email_verified": u.EmailVerified}
	if u.Image != "" {
		all["picture"] = u.Image
	}
	if given, family, ok := splitName(u.Name); ok {
		all["given_name"], all["family_name"] = given, family
	}
	e.into(all)
	claims := map[string]any{}
	for name, value := range all {
		if slices.Contains(scopes, claimScopes[name]) || slices.Contains(names, name) {
			claims[name] = value
		}
	}
	if e.PermissionsTruncated && (slices.Contains(scopes, scopeRoles) || slices.Contains(names, "permissions")) {
		claims["permissions_truncated"] = true
	}
	return claims
}

// into adds the claims that there are.
func (c entitled) into(all map[string]any) {
	if c.Roles != nil {
		all["roles"] = c.Roles
	}
	if c.Permissions != nil {
		all["permissions"] = c.Permissions
	}
	if c.Plan != "" {
		all["plan"], all["features"] = c.Plan, c.Features
	}
	if c.OrgID != "" {
		all["org_id"], all["org_slug"], all["org_role"] = c.OrgID, c.OrgSlug, c.OrgRole
	}
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
