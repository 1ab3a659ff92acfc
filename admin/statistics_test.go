package admin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// count adds n to a figure of today, by the clock of the store.
func (s *server) count(metric, applicationID string, n int) {
	s.t.Helper()
	c := &store.Counters{Store: s.store}
	for range n {
		c.Add(metric, applicationID)
	}
	require.NoError(s.t, c.Flush(s.t.Context()))
}

func TestStatistics(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ticks.offset.Store(0)
		srv := newServer(t, s)
		crm, crmClient := srv.create(`{"name":"CRM","slug":"crm","type":"web","redirectUris":["https://crm.example/cb"]}`)
		shop, _ := srv.create(`{"name":"Shop","type":"web","redirectUris":["https://shop.example/cb"]}`)
		ticks.advance(-24 * time.Hour)
		srv.count(store.MetricTokens, crm, 2)
		ticks.advance(24 * time.Hour)
		srv.count(store.MetricTokens, crm, 3)
		srv.count(store.MetricTokens, shop, 7)
		srv.count(store.MetricTokens, "deleted", 1)
		srv.count(store.MetricAuthorizations, crm, 4)
		srv.count(store.MetricTokenFailures, shop, 1)
		srv.count(store.MetricTokenFailures, "", 2)
		srv.count(store.MetricSignIns, "", 5)
		srv.count(store.MetricSignInFailures, "", 6)
		srv.count(store.MetricActiveUsers, "", 3)
		ticks.advance(24 * time.Hour)
		srv.count(store.MetricSignIns, "", 9) // after the range

		day := func(day string, signIns, failures, active any, tokens, tokenFailures int) map[string]any {
			return map[string]any{"day": day, "signIns": signIns, "signInFailures": failures, "activeUsers": active, "tokens": float64(tokens), "tokenFailures": float64(tokenFailures)}
		}
		usage := func(id, name string, tokens, authorizations int) map[string]any {
			return map[string]any{"applicationId": id, "name": name, "tokens": float64(tokens), "authorizations": float64(authorizations)}
		}
		totals := map[string]any{"users": 3.0, "usersIsEstimate": false, "organizations": 0.0, "organizationsIsEstimate": false, "applications": 2.0, "applicationsIsEstimate": false}
		assert.Equal(t, map[string]any{
			"from": "2026-11-21", "to": "2026-11-23", "totals": totals,
			"days":         []any{day("2026-11-21", 0.0, 0.0, 0.0, 0, 0), day("2026-11-22", 0.0, 0.0, 0.0, 2, 0), day("2026-11-23", 5.0, 6.0, 3.0, 11, 3)},
			"applications": []any{usage(shop, "Shop", 7, 0), usage(crm, "CRM", 5, 4)},
		}, srv.call("GET", "/stats?from=2026-11-21&to=2026-11-23", "").is(200).body)
		for _, ref := range []string{crm, "crm", crmClient} {
			assert.Equal(t, map[string]any{
				"from": "2026-11-22", "to": "2026-11-23", "totals": totals,
				"days":         []any{day("2026-11-22", nil, nil, nil, 2, 0), day("2026-11-23", nil, nil, nil, 3, 0)},
				"applications": []any{usage(crm, "CRM", 5, 4)},
			}, srv.call("GET", "/stats?from=2026-11-22&to=2026-11-23&applicationId="+ref, "").is(200).body)
		}
	}, func(o *store.Options) { o.Now = ticks.now })
}

func TestStatisticDays(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		for query, want := range map[string]int{
			"from=2024-01-01&to=2024-12-31": 366, "from=2026-11-23&to=2026-11-23": 1, "to=2026-03-01": 30, "from=9999-12-31&to=9999-12-31": 1,
		} {
			assert.Len(t, srv.call("GET", "/stats?"+query, "").is(200).body["days"], want, query)
		}
		a := srv.call("GET", "/stats", "").is(200)
		assert.Len(t, a.body["days"], 30)
		today, err := time.Parse(time.DateOnly, a.text("to"))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().UTC(), today.Add(12*time.Hour), 13*time.Hour)
		assert.Equal(t, today.AddDate(0, 0, -29).Format(time.DateOnly), a.text("from"))
		for query, field := range map[string]string{
			"from=2026-11-24&to=2026-11-23": "query.from", "from=2025-01-01&to=2026-01-02": "query.from", "from=yesterday": "query.from",
			"to=2026-02-30": "query.to", "to=2026-11-23T12:00:00Z": "query.to", "from=0001-01-01": "query.from",
		} {
			a := srv.call("GET", "/stats?"+query, "").is(400, "VALIDATION_ERROR")
			assert.NotEmpty(t, a.errors()[field], "%s: %s", query, a.Body)
		}
		srv.call("GET", "/stats?applicationId=nothing", "").is(404, "NOT_FOUND")
		srv.call("GET", "/stats?applicationId=a%00", "").is(404, "NOT_FOUND")
		for who, status := range map[*header]int{&asNobody: 401, &asUser: 403} {
			srv.call("GET", "/stats", "", *who).is(status)
		}
		srv.call("GET", "/stats", "", bearer("machine")).is(200)
	})
}

// The page costs the same however many applications there are, and lists 50 of them.
func TestStatisticStatements(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		c := &store.Counters{Store: srv.store}
		for i := range 60 {
			a := &store.Application{Slug: fmt.Sprint(i), Name: fmt.Sprint(i)}
			require.NoError(t, srv.store.CreateApplication(t.Context(), a))
			for range 1 + i%7 {
				c.Add(store.MetricTokens, a.ID)
			}
		}
		require.NoError(t, c.Flush(t.Context()))
		ctx, calls := storetest.Trace(t.Context())
		a := srv.callWith(ctx, "GET", "/stats", "").is(200)
		assert.Equal(t, []string{"R users", "R daily_statistics", "R daily_statistics", "R users"}, calls.List(), calls.SQL())
		ranked := a.body["applications"].([]any)
		require.Len(t, ranked, 50)
		assert.Equal(t, 7.0, ranked[0].(map[string]any)["tokens"])
		assert.Equal(t, 2.0, ranked[49].(map[string]any)["tokens"])
	})
}
