package consumption_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
)

// sell makes a plan of an application with one quota.
func (s *server) sell(a *store.Application, plan, feature string, byDefault bool) *store.Plan {
	s.Helper()
	p := &store.Plan{ApplicationID: a.ID, Key: plan, Name: plan, IsDefault: byDefault, Active: true}
	require.NoError(s, json.Unmarshal([]byte("["+feature+"]"), &p.Features))
	require.NoError(s, s.store.CreatePlan(s.Context(), p))
	return p
}

func (s *server) subscribe(p *store.Plan, who store.Subscriber) {
	s.Helper()
	sub := &store.Subscription{ApplicationID: p.ApplicationID, PlanID: p.ID, StartsAt: noon.AddDate(-1, 0, 0)}
	if who.UserID != "" {
		sub.UserID = &who.UserID
	} else {
		sub.OrganizationID = &who.OrganizationID
	}
	require.NoError(s, s.store.SaveSubscription(s.Context(), sub))
}

// organization makes one with members by their roles.
func (s *server) organization(slug string, members map[string]string) *store.Organization {
	s.Helper()
	o := &store.Organization{Slug: slug, Name: slug}
	require.NoError(s, s.store.CreateOrganization(s.Context(), o))
	for id, role := range members {
		require.NoError(s, s.store.CreateMember(s.Context(), &store.Member{OrganizationID: o.ID, UserID: id, Role: role}))
	}
	return o
}

func (s *server) record(body string) *answer {
	s.Helper()
	return s.call("POST", "", body).is(200)
}

// aggregates are those of a report by key.
func (a *answer) aggregates() map[string]map[string]any {
	a.Helper()
	out := map[string]map[string]any{}
	for _, item := range a.is(200).body["aggregates"].([]any) {
		aggregate := item.(map[string]any)
		out[aggregate["key"].(string)] = aggregate
	}
	return out
}

func TestRunningTotals(t *testing.T) {
	eachServer(t, func(s *server) {
		s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":10,"period":"month"},{"key":"seats","type":"limit","value":3},
			{"key":"exports","type":"quota","value":5,"period":"day"}`, true)
		s.record(`{"userId":"ann","key":"calls","amount":2.5,"timestamp":"2026-06-14T09:00:00Z"}`)
		s.record(`{"userId":"ann","key":"calls","amount":1.5}`)
		s.record(`{"userId":"ann","key":"mails"}`)
		s.call("POST", "/reservations", `{"userId":"ann","key":"calls","amount":3}`).is(201)
		s.call("POST", "", `{"userId":"ann","key":"calls"}`, bearer("erp")).is(200) // another application's is no business of crm

		a := s.call("GET", "/ann/crm", "")
		all := a.aggregates()
		assert.JSONEq(s, `{"key":"calls","total":4,"count":2,"firstAt":"2026-06-14T09:00:00.000Z","lastAt":"2026-06-15T12:00:00.000Z","limit":10,"remaining":3,
			"period":{"start":"2026-06-01T00:00:00.000Z","end":"2026-07-01T00:00:00.000Z"},"resetAt":"2026-07-01T00:00:00.000Z","lastResetAt":null,"reserved":3,"buckets":[]}`, text(s, all["calls"]))
		assert.JSONEq(s, `{"key":"mails","total":1,"count":1,"firstAt":"2026-06-15T12:00:00.000Z","lastAt":"2026-06-15T12:00:00.000Z","limit":null,"remaining":null,
			"period":{"start":null,"end":null},"resetAt":null,"lastResetAt":null,"reserved":0,"buckets":[]}`, text(s, all["mails"]))
		assert.JSONEq(s, `{"key":"exports","total":0,"count":0,"firstAt":null,"lastAt":null,"limit":5,"remaining":5,
			"period":{"start":"2026-06-15T00:00:00.000Z","end":"2026-06-16T00:00:00.000Z"},"resetAt":"2026-06-16T00:00:00.000Z","lastResetAt":null,"reserved":0,"buckets":[]}`, text(s, all["exports"]))
		assert.Len(s, all, 3, "a limit is no quota")
		assert.JSONEq(s, text(s, map[string]any{"userId": "ann", "applicationId": s.crm.ID, "organizationId": nil, "from": nil, "to": nil, "granularity": "total"}), text(s, without(a.body, "aggregates")))

		assert.Equal(s, []string{"calls"}, sorted(s.call("GET", "/ann/crm?key=calls", "").aggregates()))
		assert.Equal(s, "0", fmt.Sprint(s.call("GET", "/ann/crm?key=never", "").aggregates()["never"]["total"]), "a key that is named is answered for")
		assert.Equal(s, []string{"calls", "exports"}, sorted(s.call("GET", "/bob/crm", "").aggregates()))
		s.call("GET", "/nobody/crm", "").is(404, "USER_NOT_FOUND")

		s.clock.advance(20 * 24 * time.Hour)
		all = s.call("GET", "/ann/crm", "").aggregates()
		assert.Equal(s, "0", fmt.Sprint(all["calls"]["total"]), "a new month")
		assert.Equal(s, "1", fmt.Sprint(all["mails"]["total"]), "without a quota all time counts")
	})
}

// A period that nobody counted yet, because the plan has just changed to it, is worked out from the history.
func TestRunningTotalsAfterPlanChange(t *testing.T) {
	eachServer(t, func(s *server) {
		p := s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":10,"period":"month"}`, true)
		s.record(`{"userId":"ann","key":"calls","amount":2,"timestamp":"2026-06-13T09:00:00Z"}`)
		s.record(`{"userId":"ann","key":"calls","amount":3}`)
		p.Features[0].Period = store.PeriodDay
		require.NoError(s, s.store.UpdatePlan(s.Context(), p))
		calls := s.call("GET", "/ann/crm", "").aggregates()["calls"]
		assert.Equal(s, "3", fmt.Sprint(calls["total"]))
		assert.Equal(s, "7", fmt.Sprint(calls["remaining"]))
	})
}

// What an organization pays for is charged to it: its people share what is left, and none of them loses what is their own.
func TestTotalsOfOrganizations(t *testing.T) {
	eachServer(t, func(s *server) {
		s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":10,"period":"month"}`, true)
		team := s.sell(s.crm, "team", `{"key":"calls","type":"quota","value":100,"period":"month"}`, false)
		acme := s.organization("acme", map[string]string{"ann": store.MemberPlain, "bob": store.MemberOwner})
		other := s.organization("other", map[string]string{"ann": store.MemberPlain})
		s.subscribe(team, store.Subscriber{OrganizationID: acme.ID})
		s.record(`{"userId":"ann","key":"calls","amount":1}`)
		s.record(`{"userId":"ann","key":"calls","amount":20,"organizationId":"` + acme.ID + `"}`)
		s.record(`{"userId":"bob","key":"calls","amount":30,"organizationId":"` + acme.ID + `"}`)
		s.record(`{"userId":"ann","key":"calls","amount":2,"organizationId":"` + other.ID + `"}`)
		s.call("POST", "/reservations", `{"userId":"bob","key":"calls","amount":5,"organizationId":"`+acme.ID+`"}`).is(201)
		for path, want := range map[string]string{
			"/ann/crm":                                            "total 23 limit 10 remaining 7 reserved 0",
			"/ann/crm?organizationId=" + acme.ID:                  "total 20 limit 100 remaining 45 reserved 5",
			"/ann/crm?organizationId=" + other.ID:                 "total 2 limit 10 remaining 7 reserved 0",
			"/organizations/" + acme.ID + "/crm":                  "total 50 limit 100 remaining 45 reserved 5",
			"/organizations/" + other.ID + "/crm":                 "total 2 limit <nil> remaining <nil> reserved 0",
			"/bob/crm":                                            "total 30 limit 10 remaining 10 reserved 0",
			"/eve/crm?organizationId=" + acme.ID:                  "total 0 limit 100 remaining 45 reserved 5",
			"/ann/crm?granularity=day":                            "total 23 limit 10 remaining 7 reserved 0",
			"/organizations/" + acme.ID + "/crm?granularity=hour": "total 50 limit 100 remaining 45 reserved 5",
		} {
			calls := s.call("GET", path, "").aggregates()["calls"]
			assert.Equal(s, want, fmt.Sprintf("total %v limit %v remaining %v reserved %v", calls["total"], calls["limit"], calls["remaining"], calls["reserved"]), path)
		}
		s.call("GET", "/organizations/nothing/crm", "").is(404, "ORGANIZATION_NOT_FOUND")
	})
}

// A use is what a test knows of a record.
type used struct {
	person, organization, key string
	micros                    int64
	at                        time.Time
}

// scatter records random uses in the last days and returns them.
func (s *server) scatter(n int, organizations ...string) []used {
	var all []used
	var uses []consumption.Usage
	for range n {
		u := used{
			person: []string{"ann", "bob"}[rand.N(2)], key: []string{"calls", "mails"}[rand.N(2)], micros: 1 + rand.Int64N(3_000_000),
			at: s.clock.now().Add(-rand.N(6 * 24 * time.Hour)).Truncate(time.Microsecond), organization: append(organizations, "")[rand.N(len(organizations)+1)],
		}
		if rand.N(4) == 0 { // at the edge of an hour
			u.at = u.at.Truncate(time.Hour)
		}
		amount, err := store.ParseAmount(fmt.Sprintf("%d.%06d", u.micros/1_000_000, u.micros%1_000_000))
		require.NoError(s, err)
		all = append(all, u)
		uses = append(uses, consumption.Usage{UserID: u.person, OrganizationID: u.organization, Key: u.key, Amount: amount, At: u.at})
	}
	for batch := range slices.Chunk(uses, 100) {
		_, err := s.service.Record(s.Context(), consumption.Caller{ApplicationID: s.crm.ID, ClientID: "crm-service"}, batch)
		require.NoError(s, err)
	}
	return all
}

// expected is what a report should say of the uses.
func expected(all []used, match func(used) bool, from, to time.Time, step func(time.Time) time.Time) map[string]string {
	type sum struct {
		micros, count int64
		first, last   time.Time
		steps         map[time.Time][2]int64
	}
	sums := map[string]*sum{}
	for _, u := range all {
		if !match(u) {
			continue
		}
		k := sums[u.key]
		if k == nil {
			k = &sum{steps: map[time.Time][2]int64{}}
			sums[u.key] = k
		}
		if u.at.Before(from) || !u.at.Before(to) {
			continue
		}
		if k.count == 0 || u.at.Before(k.first) {
			k.first = u.at
		}
		if k.count == 0 || u.at.After(k.last) {
			k.last = u.at
		}
		k.micros, k.count = k.micros+u.micros, k.count+1
		if step != nil {
			was := k.steps[step(u.at)]
			k.steps[step(u.at)] = [2]int64{was[0] + u.micros, was[1] + 1}
		}
	}
	out := map[string]string{}
	for key, k := range sums {
		text := fmt.Sprintf("%d in %d", k.micros, k.count)
		if k.count > 0 {
			text += " from " + k.first.Format("01-02T15:04:05.000") + " to " + k.last.Format("01-02T15:04:05.000")
		}
		for _, start := range slices.SortedFunc(maps.Keys(k.steps), time.Time.Compare) {
			text += fmt.Sprintf("; %s: %d in %d", start.Format("01-02T15"), k.steps[start][0], k.steps[start][1])
		}
		out[key] = text
	}
	return out
}

func reported(t require.TestingT, a *answer) map[string]string {
	out := map[string]string{}
	micros := func(v any) string {
		amount, err := store.ParseAmount(fmt.Sprint(v))
		require.NoError(t, err)
		whole, fraction := amount.String(), ""
		if at := slices.Index([]byte(whole), '.'); at >= 0 {
			whole, fraction = whole[:at], whole[at+1:]
		}
		n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
		require.NoError(t, err)
		return fmt.Sprint(n)
	}
	for key, aggregate := range a.aggregates() {
		text := micros(aggregate["total"]) + " in " + fmt.Sprint(aggregate["count"])
		if aggregate["firstAt"] != nil {
			text += " from " + aggregate["firstAt"].(string)[5:23] + " to " + aggregate["lastAt"].(string)[5:23]
		}
		for _, item := range aggregate["buckets"].([]any) {
			bucket := item.(map[string]any)
			text += "; " + bucket["start"].(string)[5:13] + ": " + micros(bucket["total"]) + " in " + fmt.Sprint(bucket["count"])
		}
		out[key] = text
	}
	return out
}

// Whatever the span and its steps, a report says of the person what adding up the records says, to the millionth.
func TestHistoryIsExact(t *testing.T) {
	eachServer(t, func(s *server) {
		acme := s.organization("acme", nil)
		all := s.scatter(400, acme.ID)
		steps := map[string]func(time.Time) time.Time{
			"total": nil, "hour": func(t time.Time) time.Time { return t.Truncate(time.Hour) }, "day": func(t time.Time) time.Time { return t.Truncate(24 * time.Hour) },
			"month": func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) },
		}
		for range 60 {
			from := noon.Add(-rand.N(8 * 24 * time.Hour)).Truncate(time.Microsecond)
			to := from.Add(1 + rand.N(noon.Sub(from))).Truncate(time.Microsecond)
			switch rand.N(4) {
			case 0:
				from = from.Truncate(time.Hour)
			case 1:
				to = from.Add(1 + rand.N(2*time.Hour)).Truncate(time.Microsecond) // both edges in or near one hour
			}
			if !from.Before(to) {
				continue
			}
			for granularity, step := range steps {
				query := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}, "granularity": {granularity}}
				for path, match := range map[string]func(used) bool{
					"/ann/crm?": func(u used) bool { return u.person == "ann" },
					"/ann/crm?organizationId=" + acme.ID + "&": func(u used) bool { return u.person == "ann" && u.organization != "" },
				} {
					a := s.call("GET", path+query.Encode(), "")
					assert.Equal(s, expected(all, match, from, to, step), reported(s, a), "%s by %s", path, query)
					assert.Equal(s, from.Format("2006-01-02T15:04:05.000Z"), a.body["from"])
				}
				// An organization's hours are whole, and the answer says so.
				a := s.call("GET", "/organizations/"+acme.ID+"/crm?"+query.Encode(), "").is(200)
				hours := [2]time.Time{from.Truncate(time.Hour), to.Truncate(time.Hour)}
				if hours[1].Before(to) {
					hours[1] = hours[1].Add(time.Hour)
				}
				assert.Equal(s, hours[0].Format("2006-01-02T15:04:05.000Z"), a.body["from"])
				if to.Before(noon) {
					assert.Equal(s, hours[1].Format("2006-01-02T15:04:05.000Z"), a.body["to"])
				}
				assert.Equal(s, expected(all, func(u used) bool { return u.organization != "" }, hours[0], hours[1], step), reported(s, a), query)
			}
		}
	})
}

// History outlives resets, and the hours of which it was made.
func TestOldHistory(t *testing.T) {
	eachServer(t, func(s *server) {
		all := s.scatter(200)
		s.call("DELETE", "/ann/crm/calls", "").is(200)
		match := func(u used) bool { return u.person == "ann" }
		whole := func(from, to time.Time) url.Values {
			return url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}, "granularity": {"day"}}
		}
		days := func(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }
		from, to := noon.Add(-5*24*time.Hour-time.Minute), noon.Add(-30*time.Hour)
		a := s.call("GET", "/ann/crm?"+whole(from, to).Encode(), "")
		assert.Equal(s, expected(all, match, from, to, days), reported(s, a))

		s.clock.advance(200 * 24 * time.Hour) // days, and the ledger for their edges
		keep := store.Retention{Hours: s.handler.HourlyRetention}
		require.NoError(s, s.store.Reap(s.Context(), keep))
		a = s.call("GET", "/ann/crm?"+whole(from, to).Encode(), "")
		assert.Equal(s, expected(all, match, from, to, days), reported(s, a))
		hours := whole(from, to)
		hours.Set("granularity", "hour")
		a = s.call("GET", "/ann/crm?"+hours.Encode(), "").is(400, "VALIDATION_ERROR")
		assert.Contains(s, a.errors(), "query.from")

		s.clock.advance(300 * 24 * time.Hour) // days alone
		keep.Records = time.Nanosecond
		require.NoError(s, s.store.Reap(s.Context(), keep))
		a = s.call("GET", "/ann/crm?"+whole(from, to).Encode(), "")
		assert.Equal(s, days(from).Format("2006-01-02T15:04:05.000Z"), a.body["from"])
		assert.Equal(s, days(to).Add(24*time.Hour).Format("2006-01-02T15:04:05.000Z"), a.body["to"])
		assert.Equal(s, expected(all, match, days(from), days(to).Add(24*time.Hour), days), reported(s, a))
	})
}

func TestSpans(t *testing.T) {
	eachServer(t, func(s *server) {
		s.record(`{"userId":"ann","key":"calls"}`)
		at := func(d time.Duration) string { return url.QueryEscape(noon.Add(d).Format(time.RFC3339Nano)) }
		const day = 24 * time.Hour
		for _, tt := range []struct{ query, field string }{
			{"granularity=hour&from=" + at(-31*day), ""},
			{"granularity=hour&from=" + at(-31*day-time.Microsecond), "query.from"},
			{"granularity=day&from=" + at(-400*day), ""},
			{"granularity=day&from=" + at(-400*day-time.Microsecond), "query.from"},
			{"granularity=month&from=" + at(-3653*day), ""},
			{"granularity=month&from=" + at(-3653*day-time.Microsecond), "query.from"},
			{"from=" + at(-3653*day), ""},
			{"from=" + at(-3653*day-time.Microsecond), "query.from"},
			{"from=" + at(-time.Microsecond), ""},
			{"from=" + at(0), "query.to"},
			{"to=" + at(0), "query.from"},
			{"from=" + at(0) + "&to=" + at(-1), "query.to"},
			{"granularity=week", "query.granularity"},
			{"from=yesterday", "query.from"},
			{"key=Calls", "query.key"},
			{"granularity=hour&to=" + at(-100*day), "query.from"}, // older than hours are kept
			{"granularity=day&from=0001-01-01T00:00:00Z&to=0001-02-01T00:00:00Z", ""},
			{"granularity=day&from=9999-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", ""},
		} {
			a := s.call("GET", "/ann/crm?"+tt.query, "")
			if tt.field == "" {
				a.is(200)
				continue
			}
			a.is(400, "VALIDATION_ERROR")
			assert.Contains(s, a.errors(), tt.field, tt.query)
		}
		for granularity, from := range map[string]string{"hour": "2026-06-14T13:00:00.000Z", "day": "2026-05-17T00:00:00.000Z", "month": "2025-07-01T00:00:00.000Z"} {
			a := s.call("GET", "/ann/crm?granularity="+granularity, "").is(200)
			assert.Equal(s, from, a.body["from"])
			assert.Equal(s, "2026-06-15T13:00:00.000Z", a.body["to"])
			assert.Equal(s, "1", fmt.Sprint(a.aggregates()["calls"]["total"]), "what is used now is in it")
		}
	})
}

// However many keys an application makes up, an answer stays an answer.
func TestManyKeys(t *testing.T) {
	eachServer(t, func(s *server) {
		for i := range 200 {
			s.record(fmt.Sprintf(`{"userId":"ann","key":"k%d"}`, i))
		}
		assert.Len(s, s.call("GET", "/ann/crm?granularity=day", "").aggregates(), 200)
		s.record(`{"userId":"ann","key":"one-more"}`)
		a := s.call("GET", "/ann/crm", "").is(400, "VALIDATION_ERROR")
		assert.Contains(s, a.errors(), "query.key")
		assert.Len(s, s.call("GET", "/ann/crm?key=one-more", "").aggregates(), 1)
	})
}

func without(body map[string]any, name string) map[string]any {
	out := map[string]any{}
	for key, value := range body {
		if key != name {
			out[key] = value
		}
	}
	return out
}
