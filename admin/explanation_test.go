package admin_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestExplain(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		acme := srv.call("POST", "/organizations", `{"name":"Acme","slug":"acme","ownerId":"ulla"}`).is(201).text("id")
		srv.call("POST", "/organizations", `{"name":"Beta","slug":"beta"}`).is(201)
		for _, key := range []string{"read", "write"} {
			srv.call("POST", "/applications/crm/permissions", `{"key":"`+key+`"}`).is(201)
		}
		srv.call("POST", "/applications/crm/roles", `{"key":"viewer","isDefault":true,"permissions":["read"]}`).is(201)
		srv.call("POST", "/applications/crm/roles", `{"key":"editor","permissions":["read","write"]}`).is(201)
		srv.call("PUT", "/users/ulla/applications/crm/roles", `{"roles":["editor"],"organizationId":"acme"}`).is(200)
		const route = "/users/ulla/applications/crm/explain?"

		a := srv.call("GET", route+"permission=write", "").is(200)
		assert.Equal(t, false, a.body["allowed"])
		assert.Equal(t, []any{
			map[string]any{"role": "editor", "via": "organization", "organizationId": acme, "assignedAt": at(a.body["roles"], 0, "assignedAt"), "counts": false, "grants": true},
			map[string]any{"role": "viewer", "via": "default", "organizationId": nil, "assignedAt": nil, "counts": true, "grants": false},
		}, a.body["roles"], "what would lead to it comes first")
		a = srv.call("GET", route+"permission=write&organizationId=acme", "").is(200)
		assert.Equal(t, []any{true, acme, true}, []any{a.body["allowed"], a.body["organizationId"], at(a.body["roles"], 0, "counts")})
		assert.Equal(t, true, srv.call("GET", route+"permission=read", "").is(200).body["allowed"])
		assert.Equal(t, false, srv.call("GET", route+"permission=unheard-of", "").is(200).body["allowed"])

		assert.NotContains(t, srv.call("GET", route+"feature=seats", "").is(200).body, "plan", "no plan at all")
		srv.call("POST", "/applications/crm/plans", `{"key":"free","name":"Free","isDefault":true,"features":{"seats":1,"export":false}}`).is(201)
		srv.call("POST", "/applications/crm/plans", `{"key":"pro","name":"Pro","features":{"seats":10,"export":true}}`).is(201)
		srv.call("PUT", "/organizations/acme/applications/crm/plan", `{"plan":"pro","overrides":{"seats":25}}`).is(200)
		srv.call("PUT", "/users/ulla/applications/crm/plan", `{"plan":"pro","startsAt":"2020-01-01T00:00:00Z","endsAt":"2020-02-01T00:00:00Z"}`).is(200)
		a = srv.call("GET", route+"feature=seats", "").is(200)
		assert.Equal(t, []any{true, "default", "free", 1.0}, []any{a.body["allowed"], at(a.body["plan"], "source"), at(a.body["plan"], "plan"), at(a.body["plan"], "value")})
		assert.Equal(t, "ended", at(a.body["passedOver"], 0, "because"))
		a = srv.call("GET", route+"feature=seats&organizationId="+acme, "").is(200)
		assert.Equal(t, []any{"organization", "pro", 25.0, 10.0, 25.0}, []any{at(a.body["plan"], "source"), at(a.body["plan"], "plan"),
			at(a.body["plan"], "value"), at(a.body["plan"], "inPlan", "value"), at(a.body["plan"], "override", "value")})
		a = srv.call("GET", route+"feature=export", "").is(200)
		assert.Equal(t, []any{false, false}, []any{a.body["allowed"], at(a.body["plan"], "value")})
		a = srv.call("GET", route+"feature=teleport", "").is(200)
		assert.Equal(t, []any{false, nil}, []any{a.body["allowed"], at(a.body["plan"], "value")})
		assert.NotContains(t, a.body["plan"], "inPlan")

		srv.call("POST", "/users/ulla/disable", `{}`).is(200)
		assert.Equal(t, "user_disabled", srv.call("GET", route+"permission=read", "").is(200).body["blocked"])
		srv.call("GET", route+"permission=read&organizationId=beta", "").is(409, "NOT_A_MEMBER")
		srv.call("GET", route+"permission=read&organizationId=nowhere", "").is(404)
		srv.call("GET", "/users/nobody/applications/crm/explain?feature=a", "").is(404)
		srv.call("GET", "/users/ulla/applications/nothing/explain?feature=a", "").is(404)
		for _, query := range []string{"", "permission=a&feature=b", "permission=A", "feature=%00", "feature=a%20b"} {
			srv.call("GET", route+query, "").is(400, "VALIDATION_ERROR")
		}
	})
}

// at follows names and indexes into a JSON value.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case int:
			value = value.([]any)[step]
		case string:
			value = value.(map[string]any)[step]
		}
	}
	return value
}

// A token travels in headers: features, which every token holds, must not make it larger than servers take.
func TestFeaturesFitIntoAToken(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		features := func(n int) string {
			out := ""
			for i := range n {
				out += fmt.Sprintf(`,"f%d":"%0500d"`, i, 0)
			}
			return "{" + out[1:] + "}"
		}
		srv.call("POST", "/applications/crm/plans", `{"key":"large","name":"Large","features":`+features(8)+`}`).is(201)
		a := srv.call("POST", "/applications/crm/plans", `{"key":"larger","name":"Larger","features":`+features(9)+`}`).is(400, "VALIDATION_ERROR")
		require.NotEmpty(t, a.errors()["features"])
		a = srv.call("PUT", "/users/ulla/applications/crm/plan", `{"plan":"large","overrides":`+features(9)+`}`).is(400, "VALIDATION_ERROR")
		require.NotEmpty(t, a.errors()["overrides"])
		_, err := srv.store.PlanByKey(t.Context(), srv.call("GET", "/applications/crm", "").text("id"), "larger")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}
