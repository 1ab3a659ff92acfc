package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// company creates an organization with members.
func (s *server) company(slug string, members ...string) string {
	s.t.Helper()
	o := &store.Organization{Slug: slug, Name: slug}
	require.NoError(s.t, s.store.CreateOrganization(s.t.Context(), o))
	for _, id := range members {
		require.NoError(s.t, s.store.CreateMember(s.t.Context(), &store.Member{OrganizationID: o.ID, UserID: id, Role: store.MemberPlain}))
	}
	return o.ID
}

const (
	ullasPlan = "/users/ulla/applications/crm/plan"
	acmesPlan = "/organizations/acme/applications/crm/plan"
)

// entitled makes the application crm with three plans and the organization acme, of which ulla is a member.
func (s *server) entitled() (applicationID, organizationID string) {
	s.t.Helper()
	applicationID, _ = s.create(webApplication)
	s.addPlan("free", `,"isDefault":true`)
	s.call("POST", "/applications/crm/plans", `{"key":"pro","name":"Pro","features":[{"key":"seats","type":"limit","value":10},{"key":"export","type":"boolean","value":true},
		{"key":"calls","type":"quota","value":1000,"period":"month","hard":true,"thresholds":[50]},{"key":"theme","type":"string","value":"dark"}]}`).is(201)
	s.addPlan("team", "")
	return applicationID, s.company("acme", "ulla")
}

// has says what an answer is about: the plan, its source and the features as "key=value", overrides with a star.
func (a *answer) has() string {
	a.t.Helper()
	var body struct {
		Plan, Source *string
		Features     []struct {
			Key, Source string
			Value       json.RawMessage
		}
	}
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &body), a.Body)
	if body.Plan == nil {
		assert.Nil(a.t, body.Source)
		assert.Contains(a.t, a.Body.String(), `"features":[]`)
		return "nothing"
	}
	text := *body.Plan + " " + *body.Source
	for _, f := range body.Features {
		text += " " + f.Key + "=" + string(f.Value) + map[string]string{"plan": "", "override": "*"}[f.Source]
	}
	return text
}

func hours(n int) string {
	return time.Now().UTC().Add(time.Duration(n) * time.Hour).Format(time.RFC3339)
}

func TestUserPlan(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.entitled()
		a := srv.call("GET", ullasPlan, "").is(200)
		assert.Equal(t, fields{
			"plan": "free", "source": "default", "startsAt": nil, "endsAt": nil, "subscription": nil,
			"features": []any{fields{"key": "seats", "type": "limit", "value": 1.0, "source": "plan"}},
		}, a.body)
		srv.call("DELETE", ullasPlan, "").is(404, "NOT_FOUND")

		a = srv.call("PUT", ullasPlan, `{"plan":"pro","startsAt":"2026-01-01T01:00:00.1239+01:00","endsAt":"2999-01-01T00:00:00Z","overrides":{"seats":25,"calls":null,"beta":true}}`).is(200)
		assert.Equal(t, fields{
			"plan": "pro", "source": "user", "startsAt": "2026-01-01T00:00:00.123Z", "endsAt": "2999-01-01T00:00:00.000Z",
			"subscription": fields{
				"plan": "pro", "startsAt": "2026-01-01T00:00:00.123Z", "endsAt": "2999-01-01T00:00:00.000Z",
				"overrides": []any{
					fields{"key": "beta", "type": "boolean", "value": true},
					fields{"key": "calls", "type": "quota", "value": nil, "period": "month", "hard": true, "thresholds": []any{50.0}},
					fields{"key": "seats", "type": "limit", "value": 25.0},
				},
				"createdAt": a.body["subscription"].(fields)["createdAt"], "updatedAt": a.body["subscription"].(fields)["updatedAt"],
			},
			"features": []any{
				fields{"key": "beta", "type": "boolean", "value": true, "source": "override"},
				fields{"key": "calls", "type": "quota", "value": nil, "period": "month", "hard": true, "thresholds": []any{50.0}, "source": "override"},
				fields{"key": "export", "type": "boolean", "value": true, "source": "plan"},
				fields{"key": "seats", "type": "limit", "value": 25.0, "source": "override"},
				fields{"key": "theme", "type": "string", "value": "dark", "source": "plan"},
			},
		}, a.body)
		assert.Equal(t, a.body, srv.call("GET", ullasPlan, "").is(200).body)

		created := a.body["subscription"].(fields)["createdAt"]
		a = srv.call("PUT", ullasPlan, `{"plan":"team"}`).is(200)
		assert.Equal(t, "team user seats=1", a.has(), "PUT replaces")
		assert.Equal(t, []any{nil, created}, []any{a.body["endsAt"], a.body["subscription"].(fields)["createdAt"]})
		starts, err := time.Parse(time.RFC3339, a.text("startsAt"))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), starts, time.Minute)

		srv.call("DELETE", ullasPlan, "").is(204)
		assert.Equal(t, "free default seats=1", srv.call("GET", ullasPlan, "").is(200).has())
		srv.call("DELETE", "/applications/crm/plans/free", "").is(204)
		assert.Equal(t, "nothing", srv.call("GET", ullasPlan, "").is(200).has())
	})
}

// The organization's subscription goes before the person's, and each counts only between its dates.
func TestEffectivePlan(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, acme := srv.entitled()
		other := srv.company("other", "alice")
		for _, tt := range []struct {
			name, user, organization  string // their subscriptions; empty for none
			alone, member, asCustomer string // what ulla has, what she has for acme, and what acme has
		}{
			{"none", "", "", "free default seats=1", "free default seats=1", "free default seats=1"},
			{"the person's", `{"plan":"team"}`, "", "team user seats=1", "team user seats=1", "free default seats=1"},
			{"the organization's", "", `{"plan":"team","overrides":{"seats":7}}`, "free default seats=1", "team organization seats=7*", "team organization seats=7*"},
			{"both", `{"plan":"free","overrides":{"seats":3}}`, `{"plan":"team"}`, "free user seats=3*", "team organization seats=1", "team organization seats=1"},
			{"both, the organization's is over", `{"plan":"team"}`, `{"plan":"pro","startsAt":"2020-01-01T00:00:00Z","endsAt":"` + hours(-1) + `"}`, "team user seats=1", "team user seats=1", "free default seats=1"},
			{"both, the organization's has not begun", `{"plan":"team"}`, `{"plan":"pro","startsAt":"` + hours(1) + `"}`, "team user seats=1", "team user seats=1", "free default seats=1"},
			{"both, neither in force", `{"plan":"team","startsAt":"` + hours(1) + `","endsAt":"` + hours(2) + `"}`, `{"plan":"pro","startsAt":"` + hours(1) + `"}`, "free default seats=1", "free default seats=1", "free default seats=1"},
		} {
			for path, body := range map[string]string{ullasPlan: tt.user, acmesPlan: tt.organization} {
				if body == "" {
					srv.call("DELETE", path, "")
				} else {
					srv.call("PUT", path, body).is(200)
				}
			}
			assert.Equal(t, tt.alone, srv.call("GET", ullasPlan, "").is(200).has(), tt.name)
			for _, ref := range []string{acme, "acme"} {
				a := srv.call("GET", ullasPlan+"?organizationId="+ref, "").is(200)
				assert.Equal(t, tt.member, a.has(), tt.name)
				assert.Equal(t, tt.user == "", a.body["subscription"] == nil, "%s: the subscription is the person's: %s", tt.name, a.Body)
				a = srv.call("GET", "/organizations/"+ref+"/applications/crm/plan", "").is(200)
				assert.Equal(t, tt.asCustomer, a.has(), tt.name)
				assert.Equal(t, tt.organization == "", a.body["subscription"] == nil, "%s: %s", tt.name, a.Body)
			}
		}
		// Who is not a member cannot act for an organization, whatever it pays for.
		for _, ref := range []string{other, "other"} {
			srv.call("GET", ullasPlan+"?organizationId="+ref, "").is(409, "NOT_A_MEMBER")
		}
		srv.call("GET", ullasPlan+"?organizationId=nothing", "").is(404, "ORGANIZATION_NOT_FOUND")
		srv.call("GET", ullasPlan+"?organizationId=%00", "").is(404, "NOT_FOUND")
		for path, code := range map[string]string{
			"/users/nobody/applications/crm/plan": "NOT_FOUND", "/users/%00/applications/crm/plan": "NOT_FOUND",
			"/users/ulla/applications/nothing/plan": "NOT_FOUND", "/users/ulla/applications/%00/plan": "NOT_FOUND",
			"/organizations/nothing/applications/crm/plan": "ORGANIZATION_NOT_FOUND", "/organizations/%00/applications/crm/plan": "NOT_FOUND",
			"/organizations/acme/applications/nothing/plan": "NOT_FOUND", "/organizations/ulla/applications/crm/plan": "ORGANIZATION_NOT_FOUND",
			"/users/acme/applications/crm/plan": "NOT_FOUND",
		} {
			srv.call("GET", path, "").is(404, code)
			srv.call("DELETE", path, "").is(404, code)
			srv.call("PUT", path, `{"plan":"pro"}`).is(404, code)
		}
	})
}

func TestSubscriptionFaults(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.entitled()
		srv.create(with("web", fields{"name": "HR"}))
		foreign := srv.call("POST", "/applications/hr/plans", `{"key":"hr-only","name":"X","features":{}}`).is(201).text("id")
		for _, path := range []string{ullasPlan, acmesPlan} {
			for _, tt := range []struct {
				name, body string
				bad        []string
			}{
				{"nothing", `{}`, []string{"plan"}},
				{"everything at once", `{"plan":5,"startsAt":"yesterday","endsAt":1,"overrides":{"A":1,"b":[]}}`, []string{"plan", "startsAt", "endsAt", "overrides.A", "overrides.b"}},
				{"unknown plan and wrong dates", `{"plan":"nothing","startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}`, []string{"plan", "endsAt"}},
				// IDOR: an application's plans are for its own subscribers.
				{"another application's plan", `{"plan":"hr-only"}`, []string{"plan"}},
				{"another application's plan by id", `{"plan":"` + foreign + `"}`, []string{"plan"}},
				{"ends when it starts", `{"plan":"pro","startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}`, []string{"endsAt"}},
				{"ends within the millisecond", `{"plan":"pro","startsAt":"2026-01-01T00:00:00.0001Z","endsAt":"2026-01-01T00:00:00.0002Z"}`, []string{"endsAt"}},
				{"ends before it starts now", `{"plan":"pro","endsAt":"` + hours(-1) + `"}`, []string{"endsAt"}},
				{"year 0", `{"plan":"pro","startsAt":"0000-01-01T00:00:00Z"}`, []string{"startsAt"}},
				{"year 10000", `{"plan":"pro","endsAt":"9999-12-31T23:59:59-01:00"}`, []string{"endsAt"}},
				{"values of another type", `{"plan":"pro","overrides":{"seats":true,"export":1,"calls":"x","theme":null,"new":null}}`, []string{"overrides.seats", "overrides.export", "overrides.calls", "overrides.theme", "overrides.new"}},
				{"a list of another type", `{"plan":"pro","overrides":[{"key":"seats","type":"quota","value":1},{"key":"calls","type":"limit","value":1},{"key":"export","type":"string","value":"x"},{"key":"theme","type":"boolean","value":1}]}`,
					[]string{"overrides[3].value"}}, // what is wrong by itself comes first
				{"a list of another type, well-formed", `{"plan":"pro","overrides":[{"key":"seats","type":"quota","value":1},{"key":"calls","type":"limit","value":1},{"key":"export","type":"string","value":"x"},{"key":"new","type":"limit","value":1}]}`,
					[]string{"overrides[0].type", "overrides[1].type", "overrides[2].type"}},
				{"201 overrides", `{"plan":"pro","overrides":` + manyFeatures(201) + `}`, []string{"overrides"}},
				// Mass assignment: a subscription stays with its subscriber and its application.
				{"what is ours", `{"plan":"pro","id":"x","userId":"alice","organizationId":"x","applicationId":"x","createdAt":"2026-01-01T00:00:00Z"}`, []string{"id", "userId", "organizationId", "applicationId", "createdAt"}},
			} {
				a := srv.call("PUT", path, tt.body).is(400, "VALIDATION_ERROR")
				assert.ElementsMatch(t, tt.bad, slices.Collect(maps.Keys(a.errors())), "%s: %s", tt.name, a.Body)
			}
			assert.Nil(t, srv.call("GET", path, "").is(200).body["subscription"])
		}
		a := srv.call("PUT", ullasPlan, `{"plan":"pro","overrides":[{"key":"calls","type":"quota","value":5,"period":"day"},{"key":"extra","type":"quota","value":0.1}]}`).is(200)
		assert.Equal(t, fields{"key": "calls", "type": "quota", "value": 5.0, "period": "day", "source": "override"}, a.body["features"].([]any)[0], "the list form says all of it")
		srv.call("PUT", ullasPlan, `{"plan":"pro","startsAt":null,"endsAt":null,"overrides":null}`).is(200)
	})
}

func TestInactivePlan(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.entitled()
		srv.call("PUT", ullasPlan, `{"plan":"pro"}`).is(200)
		srv.call("PUT", acmesPlan, `{"plan":"pro","startsAt":"2020-01-01T00:00:00Z","endsAt":"2021-01-01T00:00:00Z"}`).is(200)
		srv.call("PATCH", "/applications/crm/plans/pro", `{"active":false}`).is(200)
		assert.Equal(t, "pro", srv.call("GET", ullasPlan, "").text("plan"), "those that exist go on")
		srv.call("PUT", ullasPlan, `{"plan":"pro","endsAt":"2999-01-01T00:00:00Z"}`).is(200)
		srv.call("PUT", "/users/alice/applications/crm/plan", `{"plan":"pro"}`).is(409, "PLAN_INACTIVE")
		srv.call("PUT", acmesPlan, `{"plan":"pro","startsAt":"2020-01-01T00:00:00Z"}`).is(409, "PLAN_INACTIVE") // that one was over
		srv.call("PUT", ullasPlan, `{"plan":"team"}`).is(200)
		srv.call("PUT", ullasPlan, `{"plan":"pro"}`).is(409, "PLAN_INACTIVE")
	})
}

func TestDeleteSubscribedPlan(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.entitled()
		id := srv.call("GET", "/applications/crm/plans/pro", "").text("id")
		srv.call("PUT", ullasPlan, `{"plan":"pro"}`).is(200)
		srv.call("PUT", acmesPlan, `{"plan":"pro","startsAt":"`+hours(1)+`"}`).is(200)
		for _, path := range []string{"/applications/crm/plans/pro", "/applications/crm/plans/pro?force=false", "/applications/crm/plans?key=pro"} {
			srv.call("DELETE", path, "").is(409, "PLAN_IN_USE")
		}
		assert.Equal(t, "pro", srv.call("GET", ullasPlan, "").text("plan"))
		srv.call("DELETE", "/applications/crm/plans?key=pro&force=true", "").is(204)
		assert.Equal(t, store.Change{Before: 2.0, After: 0.0}, srv.audited("plan", id)[0].Changes["subscriptions"])
		for _, path := range []string{ullasPlan, acmesPlan} {
			a := srv.call("GET", path, "").is(200)
			assert.Equal(t, "free default seats=1", a.has())
			assert.Nil(t, a.body["subscription"])
		}

		// One that is over holds nothing back.
		srv.call("PUT", ullasPlan, `{"plan":"team","startsAt":"2020-01-01T00:00:00Z","endsAt":"2021-01-01T00:00:00Z"}`).is(200)
		srv.call("DELETE", "/applications/crm/plans/team", "").is(204)
	})
}

func TestSubscriptionAudit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		applicationID, acme := srv.entitled()
		for path, target := range map[string][2]string{ullasPlan: {"user", "ulla"}, acmesPlan: {"organization", acme}} {
			srv.call("PUT", path, `{"plan":"pro","endsAt":"2999-01-01T00:00:00Z"}`).is(200)
			srv.call("PUT", path, `{"plan":"pro","endsAt":"2999-01-01T00:00:00Z"}`).is(200) // changes nothing
			srv.call("PUT", path, `{"plan":"pro","overrides":{"seats":20}}`).is(200)
			srv.call("PUT", path, `{"plan":"nothing"}`).is(400)
			srv.call("DELETE", path, "").is(204)
			trail := srv.audited(target[0], target[1])
			slices.Reverse(trail)
			require.Len(t, trail, 3)
			for i, action := range []string{"subscription.create", "subscription.update", "subscription.delete"} {
				organization := map[string]string{"organization": acme}[target[0]]
				assert.Equal(t, []string{action, "alice", applicationID, organization}, []string{trail[i].Action, trail[i].ActorID, trail[i].ApplicationID, trail[i].OrganizationID})
			}
			assert.Equal(t, store.Change{After: "pro"}, trail[0].Changes["plan"])
			assert.Equal(t, map[string]store.Change{
				"endsAt": {Before: "2999-01-01T00:00:00.000Z"}, "overrides": {Before: []any{}, After: []any{fields{"key": "seats", "type": "limit", "value": 20.0}}},
			}, trail[1].Changes)
			assert.Equal(t, store.Change{Before: "pro"}, trail[2].Changes["plan"])
		}
	})
}

// Whoever pays twice in one moment has one subscription, and it is one of the two.
func TestParallelSubscriptions(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.entitled()
		for _, path := range []string{ullasPlan, acmesPlan} {
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					a := srv.call("PUT", path, fmt.Sprintf(`{"plan":"%s","overrides":{"seats":%d}}`, []string{"pro", "team"}[i%2], 100+i))
					assert.Equal(t, 200, a.Code, a.Body)
				})
			}
			wg.Wait()
			a := srv.call("GET", path, "").is(200)
			assert.Contains(t, a.has(), "seats=10")
			assert.Len(t, a.body["subscription"].(fields)["overrides"], 1)
		}
		n := 0
		for _, key := range []string{"pro", "team"} {
			if a := srv.call("DELETE", "/applications/crm/plans/"+key, ""); a.Code == 409 {
				var subscriptions int
				_, err := fmt.Sscanf(strings.TrimPrefix(a.text("detail"), "There are "), "%d", &subscriptions)
				require.NoError(t, err)
				n += subscriptions
			}
		}
		assert.Equal(t, 2, n, "one for each")
	})
}

// A plan that goes while somebody subscribes to it must leave neither an error nor a subscription to nothing.
func TestSubscribeWhilePlanGoes(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.entitled()
		for round := range 5 {
			key := fmt.Sprintf("brief%d", round)
			srv.addPlan(key, "")
			var subscribed, deleted *answer
			var wg sync.WaitGroup
			wg.Go(func() { subscribed = srv.call("PUT", ullasPlan, `{"plan":"`+key+`"}`) })
			wg.Go(func() { deleted = srv.call("DELETE", "/applications/crm/plans/"+key, "") })
			wg.Wait()
			assert.Contains(t, []string{"200 409", "400 204"}, fmt.Sprint(subscribed.Code, " ", deleted.Code), "%s %s", subscribed.Body, deleted.Body)
		}
	})
}
