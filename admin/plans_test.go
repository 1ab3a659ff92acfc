package admin_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/admin"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// addPlan adds a plan to the application crm and returns its id. More is further fields of the JSON.
func (s *server) addPlan(key, more string) string {
	s.t.Helper()
	return s.call("POST", "/applications/crm/plans", `{"key":"`+key+`","name":"`+strings.ToUpper(key)+`","features":{"seats":1}`+more+`}`).is(201).text("id")
}

// audited returns what was done to a target, the latest first.
func (s *server) audited(kind, id string) []store.AuditEvent {
	s.t.Helper()
	events, err := s.store.AuditTrail(s.t.Context(), kind, id, 20)
	require.NoError(s.t, err)
	return events
}

func (s *server) planKeys(query string) (keys []string, next string, total float64) {
	s.t.Helper()
	a := s.call("GET", "/applications/crm/plans?"+query, "").is(200)
	for _, item := range a.body["items"].([]any) {
		keys = append(keys, item.(map[string]any)["key"].(string))
	}
	next, _ = a.body["nextCursor"].(string)
	return keys, next, a.body["total"].(float64)
}

func TestPlanRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, clientID := srv.create(webApplication)
		a := srv.call("POST", "/applications/"+clientID+"/plans", `{"key":"pro","name":" Pro ","description":"For teams","isDefault":true,
			"price":{"amount":49.90,"currency":"EUR","interval":"month"},"features":{"seats":10,"export":true}}`).is(201)
		assert.Equal(t, fields{
			"id": a.text("id"), "applicationId": id, "key": "pro", "name": "Pro", "description": "For teams", "isDefault": true, "active": true,
			"price":     fields{"amount": "49.9", "currency": "EUR", "interval": "month"},
			"features":  []any{fields{"key": "export", "type": "boolean", "value": true}, fields{"key": "seats", "type": "limit", "value": 10.0}},
			"createdAt": a.text("createdAt"), "updatedAt": a.text("updatedAt"),
		}, a.body)
		assert.Equal(t, a.body, srv.call("GET", "/applications/crm/plans/pro", "").is(200).body)

		b := srv.call("POST", "/applications/crm/plans", `{"key":"free","name":"Free","features":[]}`).is(201)
		for field, want := range map[string]any{"description": nil, "isDefault": false, "active": true, "price": nil, "features": []any{}} {
			assert.Contains(t, b.body, field)
			assert.Equal(t, want, b.body[field], field)
		}

		b = srv.call("PATCH", "/applications/crm/plans/pro", `{"name":"Pro 2","price":{"amount":"1e2","currency":"USD","interval":"year"}}`).is(200)
		assert.Equal(t, []any{"Pro 2", "For teams", fields{"amount": "100", "currency": "USD", "interval": "year"}, a.body["features"]},
			[]any{b.body["name"], b.body["description"], b.body["price"], b.body["features"]}, "what is absent stays")
		b = srv.call("PATCH", "/applications/crm/plans/pro", `{"features":{"theme":"dark"}}`).is(200)
		assert.Equal(t, `[{"key":"theme","type":"string","value":"dark"}]`, b.featuresOf(), "features are replaced, not merged")
		b = srv.call("PATCH", "/applications/crm/plans/pro", `{"description":null,"price":null,"features":null,"isDefault":null,"active":null}`).is(200)
		assert.Equal(t, []any{nil, nil, []any{}, false, true}, []any{b.body["description"], b.body["price"], b.body["features"], b.body["isDefault"], b.body["active"]})

		srv.call("DELETE", "/applications/crm/plans/pro", "").is(204)
		srv.call("GET", "/applications/crm/plans/pro", "").is(404, "NOT_FOUND")
		srv.call("PATCH", "/applications/crm/plans/pro", `{"name":"X"}`).is(404, "NOT_FOUND")
		srv.call("DELETE", "/applications/crm/plans/pro", "").is(404, "NOT_FOUND")
		srv.call("GET", "/applications/crm/plans/%00", "").is(404, "NOT_FOUND")
		for _, path := range []string{"", "/free"} {
			srv.call("GET", "/applications/nothing/plans"+path, "").is(404, "NOT_FOUND")
		}
	})
}

func TestPlanFaults(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.addPlan("pro", "")
		price := func(price string) string { return `{"key":"a","name":"A","features":{},"price":` + price + `}` }
		for _, tt := range []struct {
			name, body string
			bad        []string
		}{
			{"nothing", `{}`, []string{"key", "name", "features"}},
			{"everything at once", `{"key":"A","name":" ","description":"\u0000","isDefault":1,"active":"x","price":{"amount":-1,"currency":"eur","interval":"week "},"features":{"seats":null,"A":1}}`,
				[]string{"key", "name", "description", "isDefault", "active", "price.amount", "price.currency", "price.interval", "features.seats", "features.A"}},
			{"long key", `{"key":"` + strings.Repeat("k", 65) + `","name":"A","features":{}}`, []string{"key"}},
			{"long name", `{"key":"a","name":"` + strings.Repeat("ü", 101) + `","features":{}}`, []string{"name"}},
			{"long description", `{"key":"a","name":"A","description":"` + strings.Repeat("ü", 501) + `","features":{}}`, []string{"description"}},
			{"a default that nobody gets", `{"key":"a","name":"A","isDefault":true,"active":false,"features":{}}`, []string{"active"}},
			{"half a price", price(`{}`), []string{"price.amount", "price.currency", "price.interval"}},
			{"a price that is none", price(`5`), []string{"price"}},
			{"amounts", price(`{"amount":"1.1234567","currency":"EUR","interval":"once"}`), []string{"price.amount"}},
			{"text as amount", price(`{"amount":"free","currency":"EUR","interval":"once"}`), []string{"price.amount"}},
			{"empty amount", price(`{"amount":"","currency":"EUR","interval":"once"}`), []string{"price.amount"}},
			{"true as amount", price(`{"amount":true,"currency":"EUR","interval":"once"}`), []string{"price.amount"}},
			{"currencies", price(`{"amount":1,"currency":"EURO","interval":"once"}`), []string{"price.currency"}},
			{"intervals", price(`{"amount":1,"currency":"EUR","interval":"decade"}`), []string{"price.interval"}},
			// Mass assignment: neither what the server makes nor another application's plan can be set.
			{"what is ours", `{"key":"a","name":"A","features":{},"id":"x","applicationId":"x","createdAt":"2026-01-01T00:00:00Z"}`, []string{"id", "applicationId", "createdAt"}},
		} {
			a := srv.call("POST", "/applications/crm/plans", tt.body).is(400, "VALIDATION_ERROR")
			assert.ElementsMatch(t, tt.bad, slices.Collect(maps.Keys(a.errors())), "%s: %s", tt.name, a.Body)
		}
		for body, bad := range map[string][]string{
			`{"key":"x"}`: {"key"}, `{"id":"x","applicationId":"y"}`: {"id", "applicationId"}, `{"name":null}`: {"name"}, `{"name":"","features":{"A":1},"price":{"amount":1}}`: {"name", "features.A", "price.currency", "price.interval"},
			`{"isDefault":true,"active":false}`: {"active"}, `{"features":5}`: {"features"},
		} {
			a := srv.call("PATCH", "/applications/crm/plans/pro", body).is(400, "VALIDATION_ERROR")
			assert.ElementsMatch(t, bad, slices.Collect(maps.Keys(a.errors())), "%s: %s", body, a.Body)
		}
		a := srv.call("POST", "/applications/crm/plans", `{"key":"pro","name":"Again","features":{}}`).is(409, "KEY_TAKEN")
		assert.NotEmpty(t, a.errors()["key"])
		_, _, total := srv.planKeys("")
		assert.Equal(t, 1.0, total)
	})
}

// IDOR: the plan of one application is not there under another, by key or by id, for any method.
func TestPlansBelongToTheirApplication(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(with("web", fields{"name": "HR"}))
		id := srv.addPlan("pro", "")
		for _, path := range []string{"/applications/hr/plans/pro", "/applications/hr/plans/" + id, "/applications/crm/plans/" + id} {
			srv.call("GET", path, "").is(404, "NOT_FOUND")
			srv.call("PATCH", path, `{"name":"X"}`).is(404, "NOT_FOUND")
			srv.call("DELETE", path+"?force=true", "").is(404, "NOT_FOUND")
		}
		srv.call("DELETE", "/applications/hr/plans?key=pro&force=true", "").is(404, "NOT_FOUND")
		assert.Equal(t, 0.0, srv.call("GET", "/applications/hr/plans", "").is(200).body["total"])
		srv.call("POST", "/applications/hr/plans", `{"key":"pro","name":"Another","features":{}}`).is(201)
		assert.Equal(t, "PRO", srv.call("GET", "/applications/crm/plans/pro", "").is(200).text("name"))
	})
}

func TestListPlans(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, key := range []string{"b", "a-1", "c", "a.1", "a_1"} {
			srv.addPlan(key, "")
		}
		srv.call("PATCH", "/applications/crm/plans/c", `{"name":"100% Épique"}`).is(200)
		for query, want := range map[string][]string{
			"": {"a_1", "a.1", "c", "a-1", "b"}, "sort=createdAt": {"b", "a-1", "c", "a.1", "a_1"},
			"sort=key": {"a-1", "a.1", "a_1", "b", "c"}, "sort=-key": {"c", "b", "a_1", "a.1", "a-1"}, "sort=name": {"c", "a-1", "a.1", "a_1", "b"},
			"search=A": {"a_1", "a.1", "a-1"}, "search=%25": {"c"}, "search=_1": {"a_1"}, "search=%C3%89": {"c"}, "search=nothing": nil,
		} {
			var got []string
			for page := query + "&limit=2"; page != ""; {
				keys, next, total := srv.planKeys(page)
				assert.EqualValues(t, len(want), total, query)
				got = append(got, keys...)
				if page = ""; next != "" {
					page = query + "&limit=2&cursor=" + next
				}
			}
			assert.Equal(t, want, got, query)
		}
		for query, field := range map[string]string{"sort=price": "query.sort", "limit=0": "query.limit", "cursor=x": "query.cursor", "search=%00": "query.search"} {
			assert.NotEmpty(t, srv.call("GET", "/applications/crm/plans?"+query, "").is(400, "VALIDATION_ERROR").errors()[field], query)
		}
	})
}

func TestDeletePlanInCollection(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, key := range []string{"a", "b", "c", "d"} {
			srv.addPlan(key, "")
		}
		srv.call("DELETE", "/applications/crm/plans?key=a", "").is(204)
		srv.call("DELETE", "/applications/crm/plans", `{"key":"b"}`).is(204)
		srv.call("DELETE", "/applications/crm/plans?key=c", `{"key":"c"}`).is(204)
		// Of two keys, either could be the wrong one.
		srv.call("DELETE", "/applications/crm/plans?key=c", `{"key":"d"}`).is(400, "VALIDATION_ERROR")
		srv.call("DELETE", "/applications/crm/plans", "").is(400, "VALIDATION_ERROR")
		srv.call("DELETE", "/applications/crm/plans", `{"key":"d","force":true}`).is(400, "VALIDATION_ERROR")
		srv.call("DELETE", "/applications/crm/plans?key=nothing", "").is(404, "NOT_FOUND")
		keys, _, _ := srv.planKeys("")
		assert.Equal(t, []string{"d"}, keys)
	})
}

func TestDefaultPlan(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		free, pro := srv.addPlan("free", `,"isDefault":true`), srv.addPlan("pro", "")
		srv.call("PATCH", "/applications/crm/plans/pro", `{"isDefault":true}`).is(200)
		assert.Equal(t, false, srv.call("GET", "/applications/crm/plans/free", "").body["isDefault"])
		for id, want := range map[string]store.Change{pro: {Before: false, After: true}, free: {Before: true, After: false}} {
			event := srv.audited("plan", id)[0]
			assert.Equal(t, "plan.update", event.Action)
			assert.Equal(t, map[string]store.Change{"isDefault": want}, event.Changes)
		}
		team := srv.addPlan("team", `,"isDefault":true`)
		assert.Equal(t, false, srv.call("GET", "/applications/crm/plans/pro", "").body["isDefault"])
		assert.Equal(t, true, srv.audited("plan", team)[0].Changes["isDefault"].After)
		assert.Equal(t, store.Change{Before: true, After: false}, srv.audited("plan", pro)[0].Changes["isDefault"])

		srv.call("PATCH", "/applications/crm/plans/team", `{"active":false}`).is(400, "VALIDATION_ERROR")
		srv.call("PATCH", "/applications/crm/plans/team", `{"active":false,"isDefault":false}`).is(200)
		srv.call("PATCH", "/applications/crm/plans/team", `{"isDefault":true}`).is(400, "VALIDATION_ERROR")
		srv.call("POST", "/applications/crm/plans", `{"key":"free","name":"X","isDefault":true,"features":{}}`).is(409, "KEY_TAKEN")
		_, err := srv.store.DefaultPlan(t.Context(), srv.call("GET", "/applications/crm", "").text("id"))
		assert.ErrorIs(t, err, store.ErrNotFound, "an application can do without")
	})
}

// Two plans that become the default in the same moment are different rows: without the application's lock both would find
// the place free, and one request would fail for no fault of its own.
func TestParallelDefaults(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		keys := []string{"a", "b", "c", "d", "e", "f"}
		for _, key := range keys {
			srv.addPlan(key, "")
		}
		for range 3 {
			var wg sync.WaitGroup
			for _, key := range keys {
				wg.Go(func() {
					a := srv.call("PATCH", "/applications/crm/plans/"+key, `{"isDefault":true}`)
					assert.Equal(t, 200, a.Code, a.Body)
				})
			}
			wg.Wait()
			page, err := srv.store.Plans(t.Context(), store.KeyQuery{Paging: store.Paging{Limit: 10}, ApplicationID: id})
			require.NoError(t, err)
			defaults := slices.DeleteFunc(page.Items, func(p store.Plan) bool { return !p.IsDefault })
			assert.Len(t, defaults, 1)
		}
	})
}

func TestPlanLimit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, key := range many(100, "p%d") {
			srv.addPlan(key, "")
		}
		srv.call("POST", "/applications/crm/plans", `{"key":"more","name":"More","features":{}}`).is(409, "TOO_MANY_PLANS")
		srv.call("DELETE", "/applications/crm/plans/p0", "").is(204)
		srv.addPlan("more", "")
	})
}

func TestIdempotentPlans(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(with("web", fields{"name": "HR"}))
		const pro = `{"key":"pro","name":"Pro","price":{"amount":1,"currency":"EUR","interval":"once"},"features":{"n":9007199254740990.1}}`
		first := srv.call("POST", "/applications/crm/plans", pro, key("k")).is(201)
		again := srv.call("POST", "/applications/crm/plans", pro, key("k")).is(201)
		assert.Equal(t, first.Body.String(), again.Body.String(), "also the number that no float can hold")
		assert.Equal(t, "true", again.Header().Get("Idempotent-Replayed"))
		srv.call("POST", "/applications/crm/plans", strings.Replace(pro, "0.1}", "0.2}", 1), key("k")).is(422, "IDEMPOTENCY_KEY_REUSED")
		srv.call("POST", "/applications/hr/plans", pro, key("k")).is(422, "IDEMPOTENCY_KEY_REUSED")
	})
}

func TestPlanAudit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		applicationID, _ := srv.create(webApplication)
		var events []store.Event
		srv.store.Subscribe(func(e store.Event) { events = append(events, e) })
		id := srv.addPlan("pro", "")
		srv.call("PATCH", "/applications/crm/plans/pro", `{"features":{"seats":2},"active":false}`, bearer("machine")).is(200)
		srv.call("PATCH", "/applications/crm/plans/pro", `{"features":[{"key":"seats","type":"limit","value":2.0}],"name":"PRO"}`).is(200) // changes nothing
		srv.call("PATCH", "/applications/crm/plans/pro", `{"name":""}`).is(400)
		srv.call("DELETE", "/applications/crm/plans/pro", "").is(204)

		trail := srv.audited("plan", id)
		slices.Reverse(trail)
		require.Len(t, trail, 3)
		seats := func(n float64) []any { return []any{fields{"key": "seats", "type": "limit", "value": n}} }
		assert.Equal(t, []string{"plan.create", store.ActorUser, applicationID}, []string{trail[0].Action, trail[0].ActorType, trail[0].ApplicationID})
		assert.Equal(t, store.Change{After: "pro"}, trail[0].Changes["key"])
		assert.Equal(t, []string{"plan.update", store.ActorClient, applicationID}, []string{trail[1].Action, trail[1].ActorType, trail[1].ApplicationID})
		assert.Equal(t, map[string]store.Change{"features": {Before: seats(1), After: seats(2)}, "active": {Before: true, After: false}}, trail[1].Changes)
		assert.Equal(t, "plan.delete", trail[2].Action)
		assert.Equal(t, store.Change{Before: seats(2)}, trail[2].Changes["features"])

		// What oauth keeps in memory obeys at once.
		require.Len(t, events, 3)
		for _, e := range events {
			assert.Equal(t, store.Event{Kind: store.EventApplicationChanged, ID: applicationID}, e)
		}
	})
}

func TestPlanAccess(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.addPlan("pro", "")
		for _, tt := range []struct{ method, path, body string }{
			{"GET", "/applications/crm/plans", ""}, {"POST", "/applications/crm/plans", `{"key":"a","name":"A","features":{}}`}, {"DELETE", "/applications/crm/plans?key=pro", ""},
			{"GET", "/applications/crm/plans/pro", ""}, {"PATCH", "/applications/crm/plans/pro", `{"name":"X"}`}, {"DELETE", "/applications/crm/plans/pro", ""},
			{"GET", "/users/ulla/applications/crm/plan", ""}, {"PUT", "/users/ulla/applications/crm/plan", `{"plan":"pro"}`}, {"DELETE", "/users/ulla/applications/crm/plan", ""},
			{"GET", "/organizations/acme/applications/crm/plan", ""}, {"PUT", "/organizations/acme/applications/crm/plan", `{"plan":"pro"}`}, {"DELETE", "/organizations/acme/applications/crm/plan", ""},
		} {
			srv.call(tt.method, tt.path, tt.body, asNobody).is(401)
			srv.call(tt.method, tt.path, tt.body, asUser).is(403)
			srv.call(tt.method, tt.path, tt.body, bearer("machine-narrow")).is(403)
		}
	})
}

// The number of statements must not depend on the number of plans, features or subscriptions.
func TestPlanStoreCalls(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, key := range many(7, "p%d") {
			srv.addPlan(key, "")
		}
		srv.call("PATCH", "/applications/crm/plans/p0", `{"isDefault":true,"features":`+manyFeatures(200)+`}`).is(200)
		srv.company("acme", "ulla")
		const session = "R users" // stands for that of account.Sessions
		application := []string{"R applications", "R clients", "R client_secrets"}
		read := func(calls ...string) []string { return slices.Concat([]string{session}, calls) }
		write := func(calls ...string) []string {
			return slices.Concat([]string{session, "BEGIN"}, application, calls, []string{"COMMIT"})
		}
		for _, tt := range []struct {
			method, path, body string
			want               []string
		}{
			{"GET", "/applications/crm/plans", "", read(append(application, "R plans")...)},
			{"GET", "/applications/crm/plans/p0", "", read(append(application, "R plans")...)},
			{"POST", "/applications/crm/plans", `{"key":"a","name":"A","isDefault":true,"features":` + manyFeatures(200) + `}`,
				write("R plans", "R plans", "W plans", "W applications", "W audit_events", "W plans", "W applications", "W audit_events")},
			{"PATCH", "/applications/crm/plans/p1", `{"features":` + manyFeatures(200) + `}`, write("R plans", "W plans", "W applications", "W audit_events")},
			{"PATCH", "/applications/crm/plans/p2", `{}`, write("R plans")},
			{"PUT", "/users/ulla/applications/crm/plan", `{"plan":"p1","overrides":` + manyFeatures(200) + `}`,
				write("R users", "R subscriptions", "R plans", "W subscriptions", "W audit_events", "R subscriptions")},
			{"GET", "/users/ulla/applications/crm/plan", "", read("R applications", "R clients", "R client_secrets", "R users", "R subscriptions")},
			{"GET", "/users/ulla/applications/crm/plan?organizationId=acme", "", read("R applications", "R clients", "R client_secrets", "R users", "R organizations", "R members", "R subscriptions")},
			{"GET", "/organizations/acme/applications/crm/plan", "", read("R organizations", "R applications", "R clients", "R client_secrets", "R subscriptions", "R plans")},
			{"DELETE", "/users/ulla/applications/crm/plan", "", write("R users", "R subscriptions", "W subscriptions", "W audit_events")},
			{"DELETE", "/applications/crm/plans/p3", "", write("R plans", "R subscriptions", "W plans", "W applications", "W audit_events")},
		} {
			ctx, calls := storetest.Trace(t.Context())
			a := srv.callWith(ctx, tt.method, tt.path, tt.body)
			require.Less(t, a.Code, 300, "%s: %s", tt.path, a.Body)
			assert.Equal(t, tt.want, calls.List(), tt.method+" "+tt.path)
		}
	})
}

// The command line goes through the same rules, in one transaction.
func TestPlansForCommandLine(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		in := func(fn func(ctx context.Context, a *store.Application) error) error {
			return srv.store.Tx(t.Context(), func(ctx context.Context) error {
				a, err := srv.store.LockApplication(ctx, "crm")
				require.NoError(t, err)
				return fn(ctx, a)
			})
		}
		set := func(text string) (f admin.FeatureSet) {
			f.RawMessage = []byte(text)
			return f
		}
		require.NoError(t, in(func(ctx context.Context, a *store.Application) error {
			p, err := admin.CreatePlan(ctx, srv.store, admin.System(), a, admin.PlanInput{Key: "pro", Name: "Pro", Features: set(` {"seats": 1e1} `)})
			require.NoError(t, err)
			assert.Equal(t, "10", string(p.Features[0].Value))
			_, err = admin.UpdatePlan(ctx, srv.store, admin.System(), a, "pro", admin.PlanPatch{Name: admin.Set("Pro 2")})
			return err
		}))
		a := srv.call("GET", "/applications/crm/plans/pro", "").is(200)
		assert.Equal(t, "Pro 2", a.text("name"))
		assert.Equal(t, store.ActorSystem, srv.audited("plan", a.text("id"))[0].ActorType)
		for _, text := range []string{"", "{", `{"a":1} x`, `[1`, `{"a"`, `nonsense`} {
			err := in(func(ctx context.Context, a *store.Application) error {
				_, err := admin.UpdatePlan(ctx, srv.store, admin.System(), a, "pro", admin.PlanPatch{Features: set(text)})
				return err
			})
			if text == "" { // is "none"
				require.NoError(t, err)
				continue
			}
			assert.Contains(t, problem.Of(err).Fields, "features", text)
		}
		require.NoError(t, in(func(ctx context.Context, a *store.Application) error {
			return admin.DeletePlan(ctx, srv.store, admin.System(), a, "pro", false)
		}))
		err := in(func(ctx context.Context, a *store.Application) error {
			return admin.DeletePlan(ctx, srv.store, admin.System(), a, "pro", false)
		})
		assert.ErrorIs(t, err, store.ErrNotFound, fmt.Sprint(err))
	})
}
