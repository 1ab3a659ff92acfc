package admin_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"auth-service/admin"
	"auth-service/store"
	"auth-service/store/storetest"
)

func export(t *testing.T, s *store.Store, references ...string) string {
	t.Helper()
	text, err := admin.ExportPolicy(t.Context(), s, references...)
	require.NoError(t, err)
	return string(text)
}

// What was exported changes nothing where it came from, and makes the same elsewhere.
func TestExport(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := srv.store
		assert.Contains(t, export(t, s), "applications: []\n")
		_, secrets := apply(t, s, policy, admin.PolicyOptions{})
		srv.create(`{"name":"A","type":"m2m","scopes":["b","a"],"metadata":{"z":[1,{"a":null}],"a":1e21}}`)
		srv.call("PATCH", "/applications/crm/clients/crm-web", `{"name":"Front","disabled":true}`).is(200)
		srv.call("PATCH", "/applications/crm", `{"disabled":true,"refreshTokenLifetime":600}`).is(200)
		text := export(t, s)
		assert.Less(t, strings.Index(text, "slug: a\n"), strings.Index(text, "slug: crm\n"))
		assert.True(t, strings.HasPrefix(text, "# "), "it says what it is")
		for _, secret := range secrets { // nor anything that is made of one
			assert.NotContains(t, text, secret.Secret[:8])
		}
		assert.NotContains(t, text, "ecrets:")
		before := len(events(t, s))
		assert.Equal(t, text, export(t, s))
		lines, _ := apply(t, s, text, admin.PolicyOptions{})
		assert.Empty(t, lines)
		assert.Len(t, events(t, s), before)

		elsewhere := newServer(t, storetest.New(t))
		_, secrets = apply(t, elsewhere.store, text, admin.PolicyOptions{})
		assert.Len(t, secrets, 3)
		assert.Equal(t, text, export(t, elsewhere.store))
		for _, path := range []string{"/applications/crm", "/applications/a", "/applications/crm/clients", "/applications/crm/roles?sort=key", "/applications/crm/plans?sort=key"} {
			assert.Equal(t, alike(srv.call("GET", path, "").is(200).body), alike(elsewhere.call("GET", path, "").is(200).body), path)
		}

		one := export(t, s, "crm-web", "crm")
		assert.NotContains(t, one, "slug: a\n")
		assert.Equal(t, 1, strings.Count(one, "slug: crm\n"), "named twice, written once")
		_, err := admin.ExportPolicy(t.Context(), s, "crm", "x", "y")
		assert.ErrorContains(t, err, "There is no application x, y.")
	})
}

// alike leaves out what two databases never have in common.
func alike(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"id", "applicationId", "createdAt", "updatedAt", "secrets"} {
			delete(v, name)
		}
		for name := range v {
			v[name] = alike(v[name])
		}
	case []any:
		for i := range v {
			v[i] = alike(v[i])
		}
	}
	return v
}

// What is written can be read: a file that is larger than that would be found out on the day on which it is needed.
func TestExportTooLarge(t *testing.T) {
	s := storetest.New(t)
	for _, half := range []string{"a", "b"} {
		text := "applications:\n"
		for i := range 140 {
			text += fmt.Sprintf("- {slug: %s%d, name: A, type: m2m, metadata: {a: %q}}\n", half, i, strings.Repeat("x", 16_000))
		}
		apply(t, s, text, admin.PolicyOptions{})
	}
	_, err := admin.ExportPolicy(t.Context(), s)
	assert.ErrorContains(t, err, "Name fewer applications at a time.")
	assert.Contains(t, export(t, s, "a139", "b0"), "slug: a139\n")
}

// A setting that a file can say is in every export, and the other way round.
func TestExportHasEverySetting(t *testing.T) {
	s := storetest.New(t)
	apply(t, s, policy, admin.PolicyOptions{})
	var file struct{ Applications []map[string]any }
	require.NoError(t, yaml.Unmarshal([]byte(export(t, s)), &file))
	crm := file.Applications[0]
	for what, pair := range map[string][2]any{
		"application": {crm, admin.ApplicationPolicy{}}, "client": {crm["clients"].([]any)[1], admin.ClientPolicy{}}, "permission": {crm["permissions"].([]any)[0], admin.PermissionInput{}},
		"role": {crm["roles"].([]any)[0], admin.RoleInput{}}, "plan": {crm["plans"].([]any)[0], admin.PlanPolicy{}},
	} {
		var written, read []string
		for name := range pair[0].(map[string]any) {
			written = append(written, name)
		}
		for _, field := range reflect.VisibleFields(reflect.TypeOf(pair[1])) {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				read = append(read, name)
			}
		}
		assert.ElementsMatch(t, read, written, what)
	}
}

// A maker makes random policies in the form in which they are exported.
type maker struct{ *rand.Rand }

func (m maker) yes() bool { return m.IntN(2) == 0 }

func pick[T any](m maker, from ...T) T { return from[m.IntN(len(from))] }

// some returns a part of what it gets, in its order.
func some[T any](m maker, from ...T) []any {
	out := []any{}
	for _, item := range from {
		if m.yes() {
			out = append(out, item)
		}
	}
	return out
}

// name is text that YAML takes for something else where it is not quoted.
func (m maker) name() string {
	return pick(m, "yes", "null", "~", "1e3", "010", "0x1F", "1_000", "2026-01-01", "a: b", "a #b", "#", "'", `"`, "- a", "? a", "<<", "*a", "&a", "!a", "%a", "@a", "`a", "[a", "{a}", ",", "é", "🙂",
		"1e999", ".inf", "=", "a\\nb", strings.Repeat("x ", 49)+"x")
}

// anything is what metadata may hold.
func (m maker) anything(depth int) any {
	switch kind := m.IntN(8); {
	case kind == 0 && depth > 0:
		return []any{m.anything(depth - 1), m.anything(depth - 1)}
	case kind == 1 && depth > 0:
		return map[string]any{m.name(): m.anything(depth - 1), "": m.anything(depth - 1), "a\tb\x7f": 1.0}
	case kind == 2:
		return pick[any](m, 0.0, -1.5, 1e21, 1e-7, 123456789012.0)
	case kind == 3:
		return pick[any](m, true, false, nil)
	}
	return pick(m, m.name(), "", " a", "a ", "a\nb", "\n", "a\n\n", " \n a", "\t", "\x00\x1f\x7f", "\u0085\u2028\ufeff", "\u202e", "a\r\nb", "<&>")
}

func (m maker) described(out map[string]any, key string) map[string]any {
	out["key"], out["name"], out["description"] = key, m.name(), pick[any](m, nil, m.name())
	return out
}

// client makes the settings of a client of the type.
func (m maker) client(kind string, out map[string]any) map[string]any {
	people := kind != store.ClientM2M
	method, grants, uris := store.AuthMethodNone, []any{"authorization_code"}, []any{"https://" + kind + ".example/cb"}
	if kind == store.ClientWeb || !people {
		method = pick(m, store.AuthMethodBasic, store.AuthMethodPost)
	}
	if people {
		grants, uris = append(grants, some(m, "refresh_token")...), append(uris, some(m, "http://localhost:1/a", "https://b.example/?a=%20&b")...)
	} else {
		grants, uris = []any{"client_credentials"}, []any{}
	}
	out["type"], out["redirectUris"], out["grantTypes"], out["tokenEndpointAuthMethod"] = kind, uris, grants, method
	out["postLogoutRedirectUris"] = []any{}
	if people {
		out["postLogoutRedirectUris"] = some(m, "https://a.example/out")
	}
	out["allowedOrigins"], out["scopes"] = some(m, "https://a.example", "https://b.example"), some(m, "openid", "admin", "a:b", "yes")
	out["idTokenSignedResponseAlg"], out["skipConsent"] = pick(m, "RS256", "ES256", "EdDSA"), m.yes()
	out["requirePkce"] = kind != store.ClientWeb || m.yes()
	return out
}

func (m maker) features() []any {
	return some(m,
		map[string]any{"key": "a.b", "type": "boolean", "value": m.yes()},
		map[string]any{"key": "calls", "type": "quota", "value": pick[any](m, nil, 0.5, 9007199254740991), "period": pick(m, "day", "month", "year"), "hard": true, "thresholds": pick(m, []any{}, []any{50, 90})},
		map[string]any{"key": "seats", "type": "limit", "value": pick[any](m, nil, 0, 10)},
		map[string]any{"key": "theme", "type": "string", "value": m.name()},
		map[string]any{"key": "total", "type": "quota", "value": 1},
	)
}

func (m maker) application(slug string) map[string]any {
	a := m.client(pick(m, store.ClientWeb, store.ClientSPA, store.ClientNative, store.ClientM2M), map[string]any{
		"slug": slug, "name": m.name(), "clientId": slug + "-first", "disabled": m.yes(), "audiences": some(m, "urn:a:b", "https://a.example/"), "accessTokenFormat": pick(m, "jwt", "opaque"),
		"metadata": map[string]any{}, "permissions": []any{}, "roles": []any{}, "plans": []any{},
	})
	for _, field := range []string{"codeLifetime", "accessTokenLifetime", "idTokenLifetime", "refreshTokenIdleLifetime", "refreshTokenLifetime"} {
		a[field] = pick[any](m, nil, 300)
	}
	for _, field := range []string{"logoUri", "homepageUri", "policyUri", "tosUri"} {
		a[field] = pick[any](m, nil, "https://a.example/#x")
	}
	if m.yes() {
		a["metadata"] = map[string]any{"a": m.anything(3), m.name(): m.anything(2)}
	}
	a["clients"] = []any{
		map[string]any{"clientId": slug + "-first", "name": m.name(), "disabled": m.yes()},
		m.client(pick(m, store.ClientWeb, store.ClientM2M), map[string]any{"clientId": slug + "-second", "name": m.name(), "disabled": m.yes()}),
	}
	keys := some(m, "1", "a", "invoice:read", "null", "x_y")
	for _, key := range keys {
		a["permissions"] = append(a["permissions"].([]any), m.described(map[string]any{}, key.(string)))
	}
	for _, key := range some(m, "0", "editor", "true") {
		a["roles"] = append(a["roles"].([]any), m.described(map[string]any{"isDefault": m.yes(), "permissions": some(m, keys...)}, key.(string)))
	}
	plans := some(m, "free", "no", "pro")
	standard := m.IntN(4)
	for i, key := range plans {
		price := pick[any](m, nil, map[string]any{"amount": pick(m, "0", "9.99"), "currency": "EUR", "interval": "month"})
		p := m.described(map[string]any{"isDefault": i == standard, "active": i == standard || m.yes(), "price": price, "features": m.features()}, key.(string))
		a["plans"] = append(a["plans"].([]any), p)
	}
	return a
}

func (m maker) policy() map[string]any {
	applications := []any{}
	for _, slug := range some(m, "alpha", "beta", "gamma") {
		applications = append(applications, m.application(slug.(string)))
	}
	return map[string]any{"applications": applications}
}

// Whatever there was before: after a policy was applied there is what it says, and to apply it again changes nothing.
func TestAnyPolicy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seed := rand.Uint64()
		m := maker{rand.New(rand.NewPCG(seed, 0))}
		for round := range 20 {
			want := m.policy()
			text, err := json.Marshal(want)
			require.NoError(t, err)
			where := fmt.Sprintf("seed %d, round %d: %s", seed, round, text)
			apply(t, s, string(text), admin.PolicyOptions{})
			written := len(events(t, s))

			var slugs []string
			for _, a := range want["applications"].([]any) {
				slugs = append(slugs, a.(map[string]any)["slug"].(string))
			}
			if len(slugs) == 0 {
				continue
			}
			exported := export(t, s, slugs...)
			var got any
			require.NoError(t, yaml.Unmarshal([]byte(exported), &got), where)
			back, err := json.Marshal(got)
			require.NoError(t, err, where)
			require.JSONEq(t, string(text), string(back), where)
			for _, again := range []string{string(text), exported} {
				lines, secrets := apply(t, s, again, admin.PolicyOptions{})
				require.Empty(t, lines, where)
				require.Empty(t, secrets, where)
			}
			require.Len(t, events(t, s), written, where)
		}
	})
}
