package consumption_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Everything that is wrong with a use is said at once, by field; the body of a list says in which of them.
func TestFaultsOfUses(t *testing.T) {
	eachServer(t, func(s *server) {
		const amount = "Use a number above 0 and up to 1000000000000 with up to 6 decimals."
		for _, tt := range []struct {
			name, body string
			errors     map[string]any
		}{
			{"nothing", `{}`, map[string]any{"userId": "This field is required.", "key": "This field is required."}},
			{"all at once", `{"userId":"a\u0000","key":"Calls","amount":0,"organizationId":"\u202e","idempotencyKey":"a b","timestamp":"yesterday","metadata":[],"count":1}`,
				map[string]any{
					"userId": "This has control characters: remove them.", "organizationId": "This has control characters: remove them.",
					"key":    "Use 1 to 64 lower-case letters, digits and _ . : - for a key, beginning with a letter or digit.",
					"amount": amount, "idempotencyKey": "Use 1 to 255 visible ASCII characters without spaces.",
					"timestamp": "This must be a date and time such as 2026-01-31T12:00:00Z.", "metadata": "This must be an object.", "count": "This field is not known here.",
				}},
			{"negative", `{"userId":"ann","key":"calls","amount":-1}`, map[string]any{"amount": amount}},
			{"one too small", `{"userId":"ann","key":"calls","amount":0.0000001}`, map[string]any{"amount": amount}},
			{"seven decimals", `{"userId":"ann","key":"calls","amount":"1.0000001"}`, map[string]any{"amount": amount}},
			// A float would round this to the maximum and let it through.
			{"just above the maximum", `{"userId":"ann","key":"calls","amount":1000000000000.000001}`, map[string]any{"amount": amount}},
			{"no number", `{"userId":"ann","key":"calls","amount":"NaN"}`, map[string]any{"amount": amount}},
			{"hexadecimal", `{"userId":"ann","key":"calls","amount":"0x10"}`, map[string]any{"amount": amount}},
			{"a huge exponent", `{"userId":"ann","key":"calls","amount":"1e999999999"}`, map[string]any{"amount": amount}},
			{"a switch", `{"userId":"ann","key":"calls","amount":true}`, map[string]any{"amount": "This value has the wrong form."}},
			{"another case", `{"userid":"ann","key":"calls"}`, map[string]any{"userId": "This field is required.", "userid": "This field is not known here."}},
			// Recorded as of now it would be billed in the wrong month.
			{"the year 1", `{"userId":"ann","key":"calls","timestamp":"0001-01-01T00:00:00Z"}`, map[string]any{"timestamp": "This must be a date and time such as 2026-01-31T12:00:00Z."}},
			{"both forms", `{"userId":"ann","key":"calls","records":[{"userId":"ann","key":"calls"}]}`,
				map[string]any{"records": "Send one use or a list of them: beside records there may be enforce only."}},
			{"no records", `{"records":[]}`, map[string]any{"records": "Expected array length >= 1."}},
			{"a list", `{"records":[{"userId":"ann","key":"calls"},{"key":"calls","amount":"x"},{"userId":"ann","key":""}]}`,
				map[string]any{"records[1].userId": "This field is required.", "records[1].amount": amount, "records[2].key": "Expected length >= 1."}},
			{"null for a use", `{"records":[null]}`, map[string]any{"records[0]": "This must be an object.", "records[0].userId": "This field is required.", "records[0].key": "This field is required."}},
		} {
			s.run(tt.name, func(s *server) {
				a := s.call("POST", "", tt.body).is(422, "VALIDATION_ERROR")
				for field, sentence := range tt.errors {
					assert.Equal(s, sentence, a.errors()[field], field)
				}
				assert.Len(s, a.errors(), len(tt.errors), a.Body)
			})
		}
		s.call("POST", "", `{"userId":`).is(400, "INVALID_JSON")
		s.call("POST", "", "").is(400, "INVALID_JSON")
		a := s.call("POST", "", `{"userId":"ann","key":"calls"}`).is(200)
		assert.Equal(s, "1", fmt.Sprint(a.body["total"]), "nothing of all that was recorded")
	})
}

// Each limit holds at its edge and refuses one beyond.
func TestLimitsOfUses(t *testing.T) {
	eachServer(t, func(s *server) {
		use := func(rest string) string { return `{"userId":"ann","key":"calls"` + rest + `}` }
		text := func(n int) string { return strings.Repeat("x", n) }
		list := func(n int) string { return `{"records":[` + strings.Repeat(use("")+",", n-1) + use("") + `]}` }
		for _, tt := range []struct{ name, fits, beyond, field string }{
			{"amount", use(`,"amount":1000000000000`), use(`,"amount":1000000000000.000001`), "amount"},
			{"decimals", use(`,"amount":0.000001`), use(`,"amount":0.0000001`), "amount"},
			{"key", `{"userId":"ann","key":"` + text(64) + `"}`, `{"userId":"ann","key":"` + text(65) + `"}`, "key"},
			{"idempotency key", use(`,"idempotencyKey":"` + text(255) + `"`), use(`,"idempotencyKey":"` + text(256) + `"`), "idempotencyKey"},
			{"metadata", use(`,"metadata":{"a":"` + text(4096-8) + `"}`), use(`,"metadata":{"a":"` + text(4096-7) + `"}`), "metadata"},
			{"metadata without its blanks", use(`,"metadata":{  "a" :  "` + text(4096-8) + `"  }`), use(`,"metadata":{"a":"` + text(4096-7) + `"}`), "metadata"},
			{"records", list(500), list(501), "records"},
		} {
			s.run(tt.name, func(s *server) {
				s.call("POST", "", tt.fits).is(200)
				a := s.call("POST", "", tt.beyond).is(422, "VALIDATION_ERROR")
				assert.Contains(s, a.errors(), tt.field)
			})
		}
		s.call("POST", "", `{"userId":"`+text(255)+`","key":"calls"}`).is(404, "USER_NOT_FOUND")
		s.call("POST", "", `{"userId":"`+text(256)+`","key":"calls"}`).is(422, "VALIDATION_ERROR")
		s.call("POST", "", use(`,"organizationId":"`+text(255)+`"`)).is(404, "ORGANIZATION_NOT_FOUND")
		s.call("POST", "", use(`,"organizationId":"`+text(256)+`"`)).is(422, "VALIDATION_ERROR")
		s.call("POST", "", use("")+strings.Repeat(" ", 1<<20-1-len(use("")))).is(200)
		s.call("POST", "", use("")+strings.Repeat(" ", 1<<20-len(use("")))).is(413, "PAYLOAD_TOO_LARGE")
		s.call("POST", "", use(""), bearer("crm"), header{"Idempotency-Key": text(255)}).is(200)
		s.call("POST", "", use(""), bearer("crm"), header{"Idempotency-Key": text(256)}).is(422)
		s.call("POST", "", list(500), bearer("crm"), header{"Idempotency-Key": text(251)}).is(200)
		s.call("POST", "", list(500), bearer("crm"), header{"Idempotency-Key": text(252)}).is(422)
	})
}

func TestRecord(t *testing.T) {
	eachServer(t, func(s *server) {
		a := s.call("POST", "", `{"userId":"ann","key":"calls","amount":0.1}`).is(200)
		assert.Equal(s, "no-store", a.Header().Get("Cache-Control"))
		assert.NotEmpty(s, a.body["id"])
		s.call("POST", "", `{"userId":"ann","key":"calls","amount":"0.1"}`).is(200)
		a = s.call("POST", "", `{"userId":"ann","key":"calls","amount":1e-1}`).is(200)
		delete(a.body, "id")
		assert.JSONEq(s, `{"recorded":true,"duplicate":false,"key":"calls","amount":0.1,"total":0.3,"period":{"start":null,"end":null},
			"limit":null,"remaining":null,"exceeded":false}`, text(s, a.body))
		assert.Contains(s, a.Body.String(), `"total":0.3,`, "0.30000000000000004 is what floats say")

		a = s.call("POST", "", `{"records":[{"userId":"ann","key":"calls"},{"userId":"bob","key":"calls","amount":2}]}`).is(200)
		records := a.body["records"].([]any)
		require.Len(s, records, 2)
		assert.Equal(s, "1.3", fmt.Sprint(records[0].(map[string]any)["total"]))
		assert.Equal(s, "2", fmt.Sprint(records[1].(map[string]any)["total"]))

		s.call("POST", "", `{"userId":"eve","key":"calls","metadata":null}`).is(200)
		assert.NotContains(s, s.call("GET", "/export?userId=eve&format=jsonl", "").Body.String(), "metadata", "there is none, and it would be no object")
	})
}

// A lost answer is asked for again under the same key, whichever way the key was sent: nothing counts twice.
func TestRepetitionsOverHTTP(t *testing.T) {
	eachServer(t, func(s *server) {
		const use = `{"userId":"ann","key":"calls"}`
		under := func(key string) header { return header{"Idempotency-Key": key} }
		first := s.call("POST", "", use, bearer("crm"), under("once")).is(200)
		again := s.call("POST", "", use, bearer("crm"), under("once")).is(200)
		assert.Equal(s, true, again.body["duplicate"])
		assert.Equal(s, without(first.body, "duplicate"), without(again.body, "duplicate"), "the first answer")
		s.call("POST", "", `{"userId":"ann","key":"calls","idempotencyKey":"once"}`, bearer("crm"), under("another")).is(200)
		a := s.call("POST", "", `{"userId":"ann","key":"calls","amount":2}`, bearer("crm"), under("once")).is(409, "IDEMPOTENCY_KEY_REUSED")
		assert.Contains(s, a.errors(), "idempotencyKey")
		s.call("POST", "", use, bearer("erp"), under("once")).is(200) // keys are an application's own

		list := `{"records":[` + use + `,{"userId":"ann","key":"calls","idempotencyKey":"own"},` + use + `]}`
		s.call("POST", "", list, bearer("crm"), under("list")).is(200)
		s.call("POST", "", list, bearer("crm"), under("list")).is(200)
		s.call("POST", "", `{"userId":"ann","key":"calls","idempotencyKey":"list/2"}`).is(200)
		a = s.call("POST", "", `{"records":[`+use+`,{"userId":"bob","key":"calls","idempotencyKey":"own"}]}`).is(409, "IDEMPOTENCY_KEY_REUSED")
		assert.Equal(s, []string{"records[1].idempotencyKey"}, sorted(a.errors()))
		assert.Equal(s, "4", fmt.Sprint(s.call("GET", "/ann/crm", "").aggregates()["calls"]["total"]))
	})
}

func TestTimesOfUsesOverHTTP(t *testing.T) {
	eachServer(t, func(s *server) {
		at := func(d time.Duration) string {
			return `{"userId":"ann","key":"calls","timestamp":"` + noon.Add(d).Format(time.RFC3339Nano) + `"}`
		}
		const age, skew = 7 * 24 * time.Hour, 5 * time.Minute
		s.call("POST", "", at(-age)).is(200)
		s.call("POST", "", at(skew)).is(200)
		for code, use := range map[string]string{"TIMESTAMP_TOO_OLD": at(-age - time.Microsecond), "TIMESTAMP_IN_FUTURE": at(skew + time.Microsecond)} {
			a := s.call("POST", "", use).is(422, code)
			assert.Equal(s, []string{"timestamp"}, sorted(a.errors()))
			a = s.call("POST", "", `{"records":[`+at(0)+`,`+use+`,`+use+`]}`).is(422, code)
			assert.Equal(s, []string{"records[1].timestamp", "records[2].timestamp"}, sorted(a.errors()))
		}
	})
}

// An application speaks of its own usage and of no other's, whatever the body says.
func TestForeignApplication(t *testing.T) {
	eachServer(t, func(s *server) {
		for _, own := range []string{"crm", "crm-web", s.crm.ID} {
			s.call("POST", "", `{"userId":"ann","key":"calls","applicationId":"`+own+`"}`).is(200)
		}
		for _, foreign := range []string{"erp", "erp-service", s.erp.ID, "nothing"} {
			a := s.call("POST", "", `{"userId":"eve","key":"calls","applicationId":"`+foreign+`"}`).is(403, "FOREIGN_APPLICATION")
			assert.Contains(s, a.errors(), "applicationId")
			a = s.call("POST", "", `{"records":[{"userId":"eve","key":"calls"},{"userId":"eve","key":"calls","applicationId":"`+foreign+`"}]}`).is(403, "FOREIGN_APPLICATION")
			assert.Contains(s, a.errors(), "records[1].applicationId")
		}
		a := s.call("POST", "", `{"userId":"eve","key":"calls"}`).is(200)
		assert.Equal(s, "1", fmt.Sprint(a.body["total"]))
	})
}

// What a list names and is not there is unprocessable: the list has an address, and that is there.
func TestUnknownPeople(t *testing.T) {
	eachServer(t, func(s *server) {
		a := s.call("POST", "", `{"userId":"nobody","key":"calls"}`).is(404, "USER_NOT_FOUND")
		assert.Contains(s, a.errors(), "userId")
		a = s.call("POST", "", `{"records":[{"userId":"ann","key":"calls"},{"userId":"nobody","key":"calls"}]}`).is(422, "USER_NOT_FOUND")
		assert.Contains(s, a.errors(), "records[1].userId")
		a = s.call("POST", "", `{"userId":"ann","key":"calls"}`).is(200)
		assert.Equal(s, "1", fmt.Sprint(a.body["total"]), "nothing of the list was recorded")
	})
}
