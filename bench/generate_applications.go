package main

import (
	"fmt"
	"strings"

	"auth-service/store"
)

func (w *world) applicationTable() table {
	columns := strings.Fields(`id slug name disabled audiences access_token_format code_lifetime access_token_lifetime id_token_lifetime
		refresh_token_idle_lifetime refresh_token_lifetime logo_uri homepage_uri policy_uri tos_uri metadata created_at updated_at`)
	return table{"applications", columns, rows(w.applications, func(a int) []any {
		name, slug := w.company(kindApplication, a)
		at := w.at(a, w.applications)
		home := "https://" + slug + ".example"
		return []any{w.application(a), slug, name, a%50 == 49, `["` + home + `/api"]`, store.TokenFormatJWT, 0, 0, 0, 0, 0, home + "/logo.png", home, home + "/privacy",
			home + "/terms", `{"team":"platform"}`, at, at}
	})}
}

func (w *world) clientTable() table {
	columns := strings.Fields(`id application_id name type redirect_uris post_logout_redirect_uris allowed_origins scopes grant_types
		token_endpoint_auth_method id_token_alg skip_consent require_pkce disabled created_at updated_at`)
	return table{"clients", columns, nested(w.applications, w.clients, func(a, c int) []any {
		name, slug := w.company(kindApplication, a)
		at := w.at(a, w.applications)
		kind := [...]string{store.ClientWeb, store.ClientSPA, store.ClientM2M}[c]
		redirects, scopes := `["https://`+slug+`.example/callback"]`, `["openid","profile","email","offline_access","roles","plan","org"]`
		grants, method := `["authorization_code","refresh_token"]`, store.AuthMethodBasic
		switch kind {
		case store.ClientSPA:
			method = store.AuthMethodNone
		case store.ClientM2M:
			redirects, scopes, grants = "[]", `["read","write"]`, `["client_credentials"]`
		}
		return []any{w.client(a, c), w.application(a), fmt.Sprintf("%s (%s)", name, kind), kind, redirects, "[]", "[]", scopes, grants, method, "ES256",
			false, true, false, at, at}
	})}
}

func (w *world) secretTable() table {
	columns := strings.Fields("id client_id hash hint created_at expires_at")
	return table{"client_secrets", columns, rows(w.applications, func(a int) []any {
		client := w.client(a, 0)
		return []any{w.id(kindSecret, a, w.applications), client, store.HashSecret(client), "abcd", w.at(a, w.applications), nil}
	})}
}

var (
	resources = strings.Fields(`account appointment budget campaign contract customer dashboard deal document employee expense export file folder
		invoice lead location message order payment price product project quote report return shipment task team ticket timesheet user vendor webhook`)
	verbs     = strings.Fields("read write delete")
	roleNames = strings.Fields(`viewer editor owner billing support sales manager auditor developer analyst operator publisher reviewer
		approver planner accountant dispatcher trainer guest coordinator`)
)

func (w *world) permissionTable() table {
	columns := strings.Fields("id application_id key name description created_at updated_at")
	return table{"permissions", columns, nested(w.applications, w.permissions, func(a, p int) []any {
		resource, verb := resources[p/len(verbs)], verbs[p%len(verbs)]
		at := w.at(a, w.applications)
		return []any{w.part(kindPermission, a, p), w.application(a), resource + ":" + verb, verb + " " + resource, "May " + verb + " each " + resource + ".", at, at}
	})}
}

func (w *world) roleTable() table {
	columns := strings.Fields("id application_id key name description is_default created_at updated_at")
	return table{"roles", columns, nested(w.applications, w.roles, func(a, r int) []any {
		key := roleNames[r]
		at := w.at(a, w.applications)
		return []any{w.role(a, r), w.application(a), key, strings.ToUpper(key[:1]) + key[1:], "What a " + key + " may do.", r == 0, at, at}
	})}
}

// rolePermissionTable gives each role a third of the permissions.
func (w *world) rolePermissionTable() table {
	third := func(a int) int { return w.roles(a) * (w.permissions(a) / 3) }
	return table{"role_permissions", strings.Fields("role_id permission_id"), nested(w.applications, third, func(a, i int) []any {
		role, nth := i%w.roles(a), i/w.roles(a)
		return []any{w.role(a, role), w.part(kindPermission, a, nth*3+role%3)}
	})}
}

func (w *world) clientRoleTable() table {
	machines := func(a int) int { return w.clients(a) / 3 }
	return table{"client_roles", strings.Fields("client_id role_id"), nested(w.applications, machines, func(a, _ int) []any {
		return []any{w.client(a, 2), w.role(a, 1)}
	})}
}

// assignmentTable gives roles to people, a third of them in an organization. A person's are each of another application, so
// none is given twice.
func (w *world) assignmentTable() table {
	columns := strings.Fields("id application_id role_id user_id organization_id created_at")
	return table{"role_assignments", columns, rows(w.assignments, func(i int) []any {
		var user, a int
		var organization *string
		if i%3 == 0 {
			k, round := i/3%w.organizations, i/3/w.organizations
			id := w.organization(k)
			user, a, organization = w.member(k, round%w.members(k)), w.popular(kindOrganization, k, w.applications)+round, &id
		} else {
			half, nth := w.users/2, i-i/3-1
			user, a = nth%half*2, w.popular(kindUser, nth%half, w.applications)+nth/half
		}
		a %= w.applications
		return []any{w.id(kindAssignment, i, w.assignments), w.application(a), w.role(a, w.pick(kindAssignment, i, w.roles(a))), w.user(user), organization,
			w.at(i, w.assignments)}
	})}
}

func (w *world) planTable() table {
	columns := strings.Fields(`id application_id key name description is_default active price_amount price_currency price_interval features
		created_at updated_at`)
	of := func(int) int { return plansPerApp }
	return table{"plans", columns, nested(w.applications, of, func(a, p int) []any {
		key := [...]string{"free", "pro", "enterprise"}[p]
		at := w.at(a, w.applications)
		return []any{w.plan(a, p), w.application(a), key, strings.ToUpper(key[:1]) + key[1:], "", p == 0, true, [...]string{"0", "19.90", "199.00"}[p], "EUR", "month",
			features(p), at, at}
	})}
}

// features are a few of each type, more of them the dearer the plan is.
func features(p int) string {
	return fmt.Sprintf(`[{"key":"export","type":"boolean","value":%t},{"key":"seats","type":"limit","value":%d},`+
		`{"key":"api_calls","type":"quota","value":%d,"period":"month","hard":true},{"key":"storage_gb","type":"limit","value":%d},`+
		`{"key":"theme","type":"string","value":"dark"}]`, p > 0, []int{3, 25, 1000}[p], []int{1000, 100_000, 10_000_000}[p], []int{1, 50, 2000}[p])
}

// subscriptionTable has one of each organization and one of some people.
func (w *world) subscriptionTable() table {
	columns := strings.Fields("id application_id plan_id user_id organization_id overrides starts_at ends_at created_at updated_at")
	all := w.organizations + w.personalSubscriptions
	return table{"subscriptions", columns, rows(all, func(i int) []any {
		a := w.popular(kindSubscription, i, w.applications)
		var user, organization *string
		if i < w.organizations {
			id := w.organization(i)
			organization = &id
		} else {
			id := w.user((i - w.organizations) * (w.users / w.personalSubscriptions))
			user = &id
		}
		at := w.at(i, all)
		return []any{w.id(kindSubscription, i, all), w.application(a), w.plan(a, 1+i%2), user, organization, `[{"key":"seats","type":"limit","value":40}]`,
			at, nil, at, at}
	})}
}
