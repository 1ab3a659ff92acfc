package consumption_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestResetOverHTTP(t *testing.T) {
	eachServer(t, func(s *server) {
		s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":3,"period":"month","hard":true}`, true)
		acme := s.organization("acme", nil)
		s.record(`{"userId":"ann","key":"calls","amount":2.5,"organizationId":"` + acme.ID + `"}`)
		s.call("POST", "", `{"userId":"ann","key":"calls"}`).is(409, "QUOTA_EXCEEDED")
		s.clock.advance(time.Minute)

		a := s.call("DELETE", "/ann/crm/calls", "").is(200)
		assert.JSONEq(s, `{"previousTotal":2.5,"total":0,"resetAt":"2026-06-15T12:01:00.000Z"}`, a.Body.String())
		calls := s.call("GET", "/ann/crm", "").aggregates()["calls"]
		assert.Equal(s, "0 3 2026-06-15T12:01:00.000Z", fmt.Sprint(calls["total"], " ", calls["remaining"], " ", calls["lastResetAt"]))
		s.record(`{"userId":"ann","key":"calls","amount":3}`)

		assert.Equal(s, "2.5", fmt.Sprint(s.call("GET", "/ann/crm?organizationId="+acme.ID, "").aggregates()["calls"]["total"]), "another counter")
		assert.Equal(s, "5.5", fmt.Sprint(s.call("GET", "/ann/crm?granularity=day", "").aggregates()["calls"]["total"]), "history is not changed")
		s.call("DELETE", "/ann/crm/calls?organizationId="+acme.ID, "").is(200)
		s.call("DELETE", "/organizations/"+acme.ID+"/crm/calls", "", signedIn("root")).is(200)
		assert.Equal(s, "0", fmt.Sprint(s.call("GET", "/organizations/"+acme.ID+"/crm", "").aggregates()["calls"]["total"]))
		s.call("DELETE", "/nobody/crm/calls", "").is(404, "USER_NOT_FOUND")
		s.call("DELETE", "/organizations/nothing/crm/calls", "").is(404, "ORGANIZATION_NOT_FOUND")
		s.call("DELETE", "/ann/crm/Calls", "").is(400, "VALIDATION_ERROR")

		// Whoever gives away what is sold is on record.
		events, err := s.store.AuditEvents(s.Context(), store.AuditQuery{Paging: store.Paging{Limit: 10}, Action: "consumption.reset"})
		require.NoError(s, err)
		require.Len(s, events.Items, 3)
		assert.Equal(s, "root", events.Items[0].ActorID)
		assert.Equal(s, "crm-service", events.Items[2].ActorID)
	})
}

// An integration that is refused has to know how much is left and until when.
func TestQuotaExceeded(t *testing.T) {
	eachServer(t, func(s *server) {
		s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":3,"period":"month","hard":true},{"key":"mails","type":"quota","value":1}`, true)
		s.record(`{"userId":"ann","key":"calls","amount":2.5}`)
		a := s.call("POST", "", `{"userId":"ann","key":"calls"}`).is(409, "QUOTA_EXCEEDED")
		for name, value := range map[string]string{"key": "calls", "limit": "3", "total": "2.5", "remaining": "0.5", "resetAt": "2026-07-01T00:00:00.000Z"} {
			assert.Equal(s, value, fmt.Sprint(a.body[name]), name)
		}
		a = s.call("POST", "", `{"records":[{"userId":"bob","key":"calls"},{"userId":"ann","key":"calls"}]}`).is(409, "QUOTA_EXCEEDED")
		assert.Equal(s, []string{"records[1]"}, sorted(a.errors()))
		assert.Equal(s, "0", fmt.Sprint(s.call("GET", "/bob/crm", "").aggregates()["calls"]["total"]), "all or nothing")

		a = s.record(`{"userId":"ann","key":"mails","amount":2}`)
		assert.Equal(s, "true", fmt.Sprint(a.body["exceeded"]), "a soft quota tells")
		s.call("POST", "", `{"userId":"ann","key":"mails","enforce":true}`).is(409, "QUOTA_EXCEEDED")
		s.call("POST", "", `{"enforce":true,"records":[{"userId":"ann","key":"mails"}]}`).is(409, "QUOTA_EXCEEDED")
		s.call("POST", "", `{"enforce":true,"records":[{"userId":"ann","key":"mails","enforce":false}]}`).is(200)

		verdict := s.call("POST", "/check", `{"userId":"ann","key":"calls","amount":0.5}`).is(200).body
		assert.JSONEq(s, `{"allowed":true,"key":"calls","amount":0.5,"total":2.5,"period":{"start":"2026-06-01T00:00:00.000Z","end":"2026-07-01T00:00:00.000Z"},
			"limit":3,"remaining":0.5,"hard":true,"exceeded":false,"plan":"free"}`, text(s, verdict))
		verdict = s.call("POST", "/check", `{"userId":"ann","key":"calls","amount":"0.500001"}`).is(200).body
		assert.Equal(s, "false true", fmt.Sprint(verdict["allowed"], " ", verdict["exceeded"]))
		verdict = s.call("POST", "/check", `{"userId":"ann","key":"mails"}`).is(200).body
		assert.Equal(s, "true true", fmt.Sprint(verdict["allowed"], " ", verdict["exceeded"]))
		s.call("POST", "/check", `{"userId":"nobody","key":"mails"}`).is(404, "USER_NOT_FOUND")
		s.call("POST", "/check", `{"userId":"ann","key":"mails","organizationId":"nothing"}`).is(404, "ORGANIZATION_NOT_FOUND")
		s.call("POST", "/check", `{"userId":"ann"}`).is(422, "VALIDATION_ERROR")
	})
}

func TestReservations(t *testing.T) {
	eachServer(t, func(s *server) {
		s.sell(s.crm, "free", `{"key":"calls","type":"quota","value":10,"period":"month","hard":true}`, true)
		a := s.call("POST", "/reservations", `{"userId":"ann","key":"calls","amount":6,"metadata":{"job":1}}`).is(201)
		id := a.body["id"].(string)
		want := `{"id":"` + id + `","key":"calls","amount":6,"state":"open","expiresAt":"2026-06-15T12:15:00.000Z","duplicate":false,"reserved":6,"total":0,
			"period":{"start":"2026-06-01T00:00:00.000Z","end":"2026-07-01T00:00:00.000Z"},"limit":10,"remaining":4,"exceeded":false}`
		assert.JSONEq(s, want, a.Body.String())
		assert.JSONEq(s, want, s.call("GET", "/reservations/"+id, "").is(200).Body.String())
		s.call("POST", "/reservations", `{"userId":"ann","key":"calls","amount":5}`).is(409, "QUOTA_EXCEEDED")

		a = s.call("POST", "/reservations/"+id+"/commit", `{"amount":"2.5"}`).is(200)
		assert.Equal(s, "2.5 2.5 7.5 false", fmt.Sprint(a.body["amount"], " ", a.body["total"], " ", a.body["remaining"], " ", a.body["duplicate"]))
		again := s.call("POST", "/reservations/"+id+"/commit", "").is(200)
		assert.Equal(s, a.body["id"], again.body["id"])
		assert.Equal(s, true, again.body["duplicate"])
		s.call("POST", "/reservations/"+id+"/release", "").is(409, "RESERVATION_COMMITTED")

		id = s.call("POST", "/reservations", `{"userId":"ann","key":"calls","expiresIn":1}`, bearer("crm"), header{"Idempotency-Key": "job-2"}).is(201).body["id"].(string)
		again = s.call("POST", "/reservations", `{"userId":"ann","key":"calls","expiresIn":1,"idempotencyKey":"job-2"}`).is(201)
		assert.Equal(s, id, again.body["id"], "the header stands for the key")
		s.call("POST", "/reservations/"+id+"/commit", "{}", bearer("erp")).is(404, "RESERVATION_NOT_FOUND")
		s.call("POST", "/reservations/"+id+"/release", "").is(204)
		s.call("POST", "/reservations/"+id+"/release", "").is(204)
		s.call("POST", "/reservations/"+id+"/commit", "").is(409, "RESERVATION_RELEASED")
		id = s.call("POST", "/reservations", `{"userId":"ann","key":"calls","expiresIn":1}`).is(201).body["id"].(string)
		s.clock.advance(2 * time.Second)
		s.call("POST", "/reservations/"+id+"/commit", "").is(409, "RESERVATION_EXPIRED")
		assert.Equal(s, "expired", s.call("GET", "/reservations/"+id, "").body["state"])

		for body, status := range map[string]int{
			`{"userId":"ann","key":"calls","expiresIn":86400}`: 201, `{"userId":"ann","key":"calls","expiresIn":86401}`: 422, `{"userId":"ann","key":"calls","expiresIn":0}`: 422,
			`{"userId":"ann","key":"calls","amount":0}`: 422, `{"userId":"nobody","key":"calls"}`: 404,
		} {
			s.call("POST", "/reservations", body).is(status)
		}
		s.call("POST", "/reservations/"+id+"/commit", `{"amount":-1}`).is(422, "VALIDATION_ERROR")
	})
}
