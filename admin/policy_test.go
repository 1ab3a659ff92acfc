package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/admin"
	"auth-service/store"
	"auth-service/store/storetest"
)

// policy is a file that says all kinds of things about one application.
const policy = `
applications:
  - slug: crm
    name: CRM
    type: web
    clientId: crm-web
    redirectUris: [https://crm.example/cb]
    audiences: [https://api.crm.example]
    metadata: {tier: gold}
    permissions: [{key: "invoice:read"}, {key: "invoice:void", description: Cancels it.}]
    roles:
      - {key: reader, isDefault: true, permissions: ["invoice:read"]}
      - {key: editor, name: Editor, permissions: ["invoice:void", "invoice:read"]}
    plans:
      - {key: free, name: Free, isDefault: true, features: {seats: 1, export: false}}
      - key: pro
        name: Pro
        price: {amount: 49.50, currency: EUR, interval: month}
        features: [{key: seats, type: limit, value: null}, {key: calls, type: quota, value: 1e4, period: month, hard: true}]
    clients:
      - {clientId: crm-app, type: spa, redirectUris: [https://app.crm.example/cb], disabled: true}
      - {clientId: crm-worker, type: m2m, name: Worker}
`

func parsed(t *testing.T, text string) *admin.Policy {
	t.Helper()
	p, err := admin.ReadPolicy(strings.NewReader(text))
	require.NoError(t, err)
	return p
}

func preview(t *testing.T, s *store.Store, text string, how admin.PolicyOptions) *admin.PolicyDiff {
	t.Helper()
	diff, err := admin.PreviewPolicy(t.Context(), s, admin.System(), parsed(t, text), how)
	require.NoError(t, err)
	return diff
}

// apply applies the text and returns the difference in words, each line after the slug of its application.
func apply(t *testing.T, s *store.Store, text string, how admin.PolicyOptions) ([]string, []admin.NewSecret) {
	t.Helper()
	diff := preview(t, s, text, how)
	secrets, err := admin.ApplyPolicy(t.Context(), s, admin.System(), parsed(t, text), how, diff)
	require.NoError(t, err)
	return words(diff), secrets
}

func words(diff *admin.PolicyDiff) []string {
	lines := []string{}
	for i := range diff.Changes {
		for _, line := range diff.Changes[i].Lines() {
			lines = append(lines, diff.Changes[i].Application+": "+line)
		}
	}
	return lines
}

// wrong returns what keeps the text from being applied, as "line path: sentence".
func wrong(t *testing.T, s *store.Store, text string, how admin.PolicyOptions) []string {
	t.Helper()
	p, err := admin.ReadPolicy(strings.NewReader(text))
	if err == nil {
		_, err = admin.PreviewPolicy(t.Context(), s, admin.System(), p, how)
	}
	return faultsIn(t, err)
}

func faultsIn(t *testing.T, err error) []string {
	t.Helper()
	var invalid *admin.InvalidPolicy
	require.True(t, errors.As(err, &invalid), "%v", err)
	var out []string
	for _, f := range invalid.Faults {
		out = append(out, fmt.Sprintf("%d %s: %s", f.Line, f.Path, f.Sentence))
	}
	return out
}

// events returns the audit log, the latest first.
func events(t *testing.T, s *store.Store) []store.AuditEntry {
	t.Helper()
	page, err := s.AuditEvents(t.Context(), store.AuditQuery{Paging: store.Paging{Limit: 10_000}})
	require.NoError(t, err)
	return page.Items
}

// actions lists what the command line did, the latest first.
func actions(t *testing.T, s *store.Store) []string {
	t.Helper()
	var actions []string
	for _, e := range events(t, s) {
		assert.Equal(t, store.ActorSystem, e.ActorType)
		assert.NotEmpty(t, e.ApplicationID)
		actions = append(actions, e.Action)
	}
	return actions
}

func TestPolicyMakesApplications(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := srv.store
		shown := preview(t, s, policy, admin.PolicyOptions{})
		assert.Equal(t, []string{
			"crm: + application crm", "crm: + client crm-app", "crm: + client crm-worker", "crm: + permission invoice:read",
			"crm: + permission invoice:void", "crm: + role editor", "crm: + role reader", "crm: + plan free", "crm: + plan pro",
		}, words(shown))
		srv.call("GET", "/applications/crm", "").is(404)
		assert.Empty(t, actions(t, s), "a preview leaves nothing")

		_, secrets := apply(t, s, policy, admin.PolicyOptions{})
		require.Len(t, secrets, 2, "one for each client that can keep it")
		for i, id := range []string{"crm-web", "crm-worker"} {
			assert.Equal(t, []string{"crm", id}, []string{secrets[i].Application, secrets[i].ClientID})
			c, err := s.ClientByID(t.Context(), id)
			require.NoError(t, err)
			require.Len(t, c.Secrets, 1)
			assert.Equal(t, store.HashSecret(secrets[i].Secret), c.Secrets[0].Hash)
		}
		a := srv.call("GET", "/applications/crm", "").is(200)
		assert.Equal(t, []any{"CRM", "crm-web", "web", []any{"https://crm.example/cb"}}, []any{a.body["name"], a.body["clientId"], a.body["type"], a.body["redirectUris"]})
		assert.Equal(t, []any{[]any{"https://api.crm.example"}, map[string]any{"tier": "gold"}}, []any{a.body["audiences"], a.body["metadata"]})
		worker := srv.call("GET", "/applications/crm/clients/crm-worker", "").is(200)
		assert.Equal(t, []any{"Worker", "m2m", false}, []any{worker.body["name"], worker.body["type"], worker.body["disabled"]})
		app := srv.call("GET", "/applications/crm/clients/crm-app", "").is(200)
		assert.Equal(t, []any{"CRM", true, "none"}, []any{app.body["name"], app.body["disabled"], app.body["tokenEndpointAuthMethod"]})
		editor := srv.call("GET", "/applications/crm/roles/editor", "").is(200)
		assert.Equal(t, []any{"Editor", false, []any{"invoice:read", "invoice:void"}}, []any{editor.body["name"], editor.body["isDefault"], editor.body["permissions"]})
		pro := srv.call("GET", "/applications/crm/plans/pro", "").is(200)
		assert.Equal(t, map[string]any{"amount": "49.5", "currency": "EUR", "interval": "month"}, pro.body["price"])
		assert.Equal(t, []any{
			map[string]any{"key": "calls", "type": "quota", "value": 10000.0, "period": "month", "hard": true}, map[string]any{"key": "seats", "type": "limit", "value": nil},
		}, pro.body["features"])
		assert.Equal(t, []string{"plan.create", "plan.create", "role.create", "role.create", "permission.create", "permission.create",
			"client.create", "client.update", "client.create", "application.create"}, actions(t, s))

		lines, secrets := apply(t, s, policy, admin.PolicyOptions{})
		assert.Empty(t, lines)
		assert.Empty(t, secrets)
		assert.Len(t, actions(t, s), 10, "what changes nothing leaves no trace")
	})
}

// What a file leaves out stays, what it says is so afterwards, and what its lists do not name goes.
func TestPolicyChanges(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := srv.store
		srv.create(`{"name":"Other","type":"web","redirectUris":["https://other.example/cb"]}`)
		srv.permission("other", "kept")
		apply(t, s, policy, admin.PolicyOptions{})
		for _, tt := range []struct {
			name, text string
			how        admin.PolicyOptions
			want       []string
		}{
			{"nothing is said", `applications: [{slug: crm}, {slug: other}]`, admin.PolicyOptions{}, []string{}},
			{"settings", `applications: [{slug: crm, name: "CRM 2", codeLifetime: 30, audiences: ["urn:a:b"], metadata: {tier: tin, n: [1]}, redirectUris: [https://crm.example/cb, "https://crm.example/b"]}]`, admin.PolicyOptions{}, []string{
				`crm: ~ application crm: audiences + "urn:a:b", - "https://api.crm.example"`, `crm: ~ application crm: codeLifetime none → 30`, `crm: ~ application crm: metadata.n none → [1]`,
				`crm: ~ application crm: metadata.tier "gold" → "tin"`, `crm: ~ application crm: name "CRM" → "CRM 2"`, `crm: ~ application crm: redirectUris + "https://crm.example/b"`,
				`crm: ~ client crm-web: name "CRM" → "CRM 2"`,
			}},
			{"another order", `applications: [{slug: crm, redirectUris: ["https://crm.example/b", https://crm.example/cb]}]`, admin.PolicyOptions{}, []string{
				`crm: ~ application crm: redirectUris ["https://crm.example/cb","https://crm.example/b"] → ["https://crm.example/b","https://crm.example/cb"]`,
			}},
			{"null goes back to the default", `applications: [{slug: crm, codeLifetime: null, plans: [{key: free}, {key: pro, price: null}]}]`, admin.PolicyOptions{}, []string{
				`crm: ~ application crm: codeLifetime 30 → none`, `crm: ~ plan pro: price {"amount":"49.5","currency":"EUR","interval":"month"} → none`,
			}},
			{"clients, the first one too", `applications: [{slug: crm, clients: [{clientId: crm-web, name: Front, disabled: true}, {clientId: crm-app, disabled: false}]}]`, admin.PolicyOptions{}, []string{
				`crm: ~ client crm-web: disabled false → true`, `crm: ~ client crm-web: name "CRM 2" → "Front"`, `crm: ~ client crm-app: disabled true → false`,
			}},
			{"another default plan, the old one closed", `applications: [{slug: crm, plans: [{key: free, active: false}, {key: pro, isDefault: true, features: {seats: 2, theme: dark}}]}]`, admin.PolicyOptions{}, []string{
				`crm: ~ plan free: active true → false`, `crm: ~ plan free: isDefault true → false`,
				`crm: ~ plan pro: features.calls 10000 per month at most → none`, `crm: ~ plan pro: features.seats unlimited → 2`, `crm: ~ plan pro: features.theme none → "dark"`, `crm: ~ plan pro: isDefault false → true`,
			}},
			{"thresholds", `applications: [{slug: crm, plans: [{key: free}, {key: pro, features: [{key: calls, type: quota, value: 5, thresholds: [90, 50]}, {key: mails, type: quota, value: 5, thresholds: []}]}]}]`, admin.PolicyOptions{}, []string{
				`crm: ~ plan pro: features.calls none → 5 in all told at 50% 90%`, `crm: ~ plan pro: features.mails none → 5 in all without thresholds`, `crm: ~ plan pro: features.seats 2 → none`, `crm: ~ plan pro: features.theme "dark" → none`,
			}},
			{"lists kept", `applications: [{slug: crm, permissions: [{key: "invoice:send"}], roles: [], plans: []}]`, admin.PolicyOptions{Keep: true}, []string{`crm: + permission invoice:send`}},
			{"a permission less, in the roles too", `applications: [{slug: crm, permissions: [{key: "invoice:read"}, {key: "invoice:send"}]}]`, admin.PolicyOptions{}, []string{
				`crm: - permission invoice:void`, `crm: ~ role editor: permissions - "invoice:void"`,
			}},
			{"all of them", `applications: [{slug: crm, permissions: [], roles: [], plans: []}]`, admin.PolicyOptions{}, []string{
				`crm: - permission invoice:read`, `crm: - permission invoice:send`, `crm: - role editor`, `crm: - role reader`, `crm: - plan free`, `crm: - plan pro`,
			}},
		} {
			lines, secrets := apply(t, s, tt.text, tt.how)
			assert.Equal(t, tt.want, lines, tt.name)
			assert.Empty(t, secrets, tt.name)
			assert.Empty(t, words(preview(t, s, tt.text, tt.how)), tt.name)
		}
		srv.call("GET", "/applications/other/permissions/kept", "").is(200)
	})
}

// Roles that somebody holds and plans that somebody pays for are not lost by a line that is missing in a file.
func TestPolicyInUse(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := srv.store
		apply(t, s, policy, admin.PolicyOptions{})
		srv.call("PUT", "/users/ulla/applications/crm/roles", `{"roles":["editor"]}`).is(200)
		srv.call("PUT", "/applications/crm/clients/crm-worker/roles", `{"roles":["editor"]}`).is(200)
		srv.call("PUT", "/users/ulla/applications/crm/plan", `{"plan":"pro"}`).is(200)
		const text = "applications:\n  - slug: crm\n    name: Renamed\n    roles: []\n    plans: []\n"
		assert.Equal(t, []string{
			"4 applications[0].roles.editor: This role is not listed, which deletes it, but it was given to people 1 times, and to 1 clients. Take it from them first, list it, or use --force.",
			"5 applications[0].plans.pro: This plan is not listed, which deletes it, but there are 1 subscriptions to it. Move them first, list it, or use --force.",
		}, wrong(t, s, text, admin.PolicyOptions{}))
		assert.Equal(t, "CRM", srv.call("GET", "/applications/crm", "").text("name"), "all or nothing")

		lines, _ := apply(t, s, text, admin.PolicyOptions{Force: true})
		assert.Equal(t, []string{
			`crm: ~ application crm: name "CRM" → "Renamed"`, `crm: ~ client crm-web: name "CRM" → "Renamed"`,
			"crm: - role editor (given to people 1 times, and to 1 clients)", "crm: - role reader", "crm: - plan free", "crm: - plan pro (with 1 subscriptions)",
		}, lines)
		srv.call("GET", "/applications/crm/roles/editor", "").is(404)
	})
}

// What was agreed to is what happens: whoever changes an application between the question and the answer stops the policy.
func TestPolicyMoved(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		s := srv.store
		apply(t, s, policy, admin.PolicyOptions{})
		const text = `applications: [{slug: crm, name: CRM 2, roles: [{key: reader}]}]`
		agreed := preview(t, s, text, admin.PolicyOptions{})
		srv.role("crm", `{"key":"precious"}`)
		_, err := admin.ApplyPolicy(t.Context(), s, admin.System(), parsed(t, text), admin.PolicyOptions{}, agreed)
		assert.ErrorContains(t, err, "POLICY_MOVED")
		srv.call("GET", "/applications/crm/roles/precious", "").is(200)
		assert.Equal(t, "CRM", srv.call("GET", "/applications/crm", "").text("name"))
	})
}

// A file with nothing to change costs as many statements for many roles as for one.
func TestPolicyStatements(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		text := "applications: [{slug: crm, name: CRM, type: m2m, permissions: [{key: p}], roles: ["
		for i := range 50 {
			text += fmt.Sprintf("{key: r%d, permissions: [p]},", i)
		}
		text += "]}]"
		apply(t, srv.store, text, admin.PolicyOptions{})
		ctx, calls := storetest.Trace(t.Context())
		_, err := admin.PreviewPolicy(ctx, srv.store, admin.System(), parsed(t, text), admin.PolicyOptions{})
		require.NoError(t, err)
		definition := []string{"R applications", "R clients", "R permissions", "R roles", "R role_permissions", "R plans"}
		want := append(append(append([]string{"BEGIN"}, definition...), definition...), "ROLLBACK")
		assert.Equal(t, want, calls.List())
	})
}

// Two who apply at once do not mix what they say.
func TestPolicyAppliedTwiceAtOnce(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		apply(t, srv.store, policy, admin.PolicyOptions{})
		texts := []string{`applications: [{slug: crm, name: One, roles: [{key: one}]}]`, `applications: [{slug: crm, name: Two, roles: [{key: two}]}]`}
		var agreed []*admin.PolicyDiff
		for _, text := range texts {
			agreed = append(agreed, preview(t, srv.store, text, admin.PolicyOptions{}))
		}
		results := make(chan error, len(texts))
		for i, text := range texts {
			p := parsed(t, text)
			go func() {
				_, err := admin.ApplyPolicy(context.WithoutCancel(t.Context()), srv.store, admin.System(), p, admin.PolicyOptions{}, agreed[i])
				results <- err
			}()
		}
		applied := 0
		for range texts {
			if err := <-results; err == nil {
				applied++
			} else {
				assert.ErrorContains(t, err, "POLICY_MOVED")
			}
		}
		assert.Equal(t, 1, applied)
		name, roles := srv.call("GET", "/applications/crm", "").text("name"), srv.call("GET", "/applications/crm/roles", "").body["items"].([]any)
		require.Len(t, roles, 1)
		assert.Equal(t, strings.ToLower(name), roles[0].(map[string]any)["key"])
	})
}
