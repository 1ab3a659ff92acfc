package consumption_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/problem"
	"auth-service/store"
)

// twoWays is POST /api/consumption with uses that are kept in place of being recorded. The header Accept says by which way a request
// goes: */* is nearly everybody's, and the other one so rare that the schema reads the request.
type twoWays struct {
	*echo.Echo
	uses []consumption.Usage
	log  strings.Builder
}

func newTwoWays() *twoWays {
	w := &twoWays{Echo: echo.New()}
	w.HTTPErrorHandler = problem.Handler(zerolog.New(&w.log).Level(zerolog.WarnLevel))
	h := &consumption.Handler{Tokens: alwaysShop{}, SameOrigin: sameOrigin, Now: time.Now}
	h.MountRecording(problem.NewAPI(w.Echo, "Test", "0"), func(ctx context.Context, c consumption.Caller, uses []consumption.Usage) ([]consumption.Recorded, error) {
		w.uses = uses
		for i, u := range uses {
			switch u.UserID {
			case "nobody":
				return nil, &consumption.UsageError{Index: i, Err: problem.New(404, "USER_NOT_FOUND", "There is no person with this id.")}
			case "rich":
				return nil, &consumption.QuotaError{Key: u.Key, Amount: u.Amount}
			case "broken":
				return nil, errors.New("a fault of ours")
			case "away":
				return nil, store.ErrUnavailable
			}
		}
		return recordNothing(ctx, c, uses)
	})
	return w
}

type outcome struct {
	status    int
	header    http.Header
	body, log string
	uses      []consumption.Usage
}

func (w *twoWays) send(accept, body string, headers http.Header) outcome {
	w.uses = nil
	w.log.Reset()
	req := httptest.NewRequest("POST", "/api/consumption", strings.NewReader(body))
	req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer token"}, "Accept": {accept}}
	for name, values := range headers {
		req.Header[name] = values
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	return outcome{rec.Code, rec.Header(), rec.Body.String(), w.log.String(), w.uses}
}

// same sends a request both ways, which must come to the same.
func (w *twoWays) same(t *testing.T, body string, headers http.Header) {
	t.Helper()
	want, got := w.send("application/json;q=0.9", body, headers), w.send("*/*", body, headers)
	w.send("*/*", strings.Repeat("x", len(body)), nil) // would be seen in uses that still refer to their body
	require.Equal(t, want, got, "%.2000q", body)
}

// What needs no schema is read as the schema would have it, to the last byte of the answer.
func TestPlainRequests(t *testing.T) {
	w := newTwoWays()
	text := strings.Repeat("x", 250)
	for name, body := range map[string]string{
		"least":      `{"userId":"ann","key":"calls"}`,
		"blanks":     " \t\r\n{ \"key\" : \"calls\"\n,\t\"userId\"\r:\"ann\" } \n",
		"all":        `{"userId":"ann","key":"a.b:c-d_e","amount":1.5,"organizationId":"acme","timestamp":"2026-06-15T12:00:00.123456789+02:00","metadata":{"a":[1,-2.5,{"b":null}],"c":"\"}é"},"idempotencyKey":"k~!","enforce":true,"applicationId":"shop"}`,
		"text":       `{"userId":"ann","key":"calls","amount":"0.000001","enforce":false,"metadata":{}}`,
		"zero point": `{"userId":"ann","key":"calls","amount":0.5}`,
		"most":       `{"userId":"ann","key":"calls","amount":1000000000000.000000}`,
		"long":       `{"userId":"` + text + `xxxxx","key":"` + text[:64] + `","idempotencyKey":"` + text + `"}`,
		"one":        `{"records":[{"userId":"ann","key":"calls"}]}`,
		"several":    `{"enforce":true,"records":[ {"userId":"ann","key":"calls"}, {"key":"calls","userId":"bob","enforce":false,"amount":2,"idempotencyKey":"own"} ]}`,
		"most uses":  `{"records":[` + strings.Repeat(`{"userId":"ann","key":"calls"},`, 499) + `{"userId":"ann","key":"calls"}]}`,
		"refused":    `{"userId":"nobody","key":"calls"}`, "refused in a list": `{"records":[{"userId":"ann","key":"calls"},{"userId":"nobody","key":"calls"}]}`,
		"too much": `{"userId":"rich","key":"calls"}`, "broken": `{"userId":"broken","key":"calls"}`, "away": `{"userId":"away","key":"calls"}`,
	} {
		t.Run(name, func(t *testing.T) {
			assert.True(t, consumption.ReadPlain(body))
			for _, headers := range []http.Header{nil, {"Idempotency-Key": {"key"}}, {"Idempotency-Key": {text + "xxxxx"}}, {"Idempotency-Key": {"a b"}}, {"Idempotency-Key": {text + "xxxxxx"}}} {
				w.same(t, body, headers)
			}
		})
	}
}

// What is wrong, or only unusual, is left to the schema, so that it is refused in its words, or taken as it takes it.
func TestUnusualRequests(t *testing.T) {
	w := newTwoWays()
	use := func(rest string) string { return `{"userId":"ann","key":"calls"` + rest + `}` }
	digits := strings.Repeat("9", 400)
	for _, body := range []string{
		"", " ", "null", "{}", "[]", `"x"`, "{", `{"userId"`, `{"userId":`, `{"userId":"ann`, use("") + "x", use("") + use(""), "\ufeff" + use(""), use(",") + "", use(`,"x":1`), use(`,"x"`),
		use(`,"userId":"bob"`), use(`,"amount":1,"amount":2`), use(`,"enforce":true,"enforce":false`), use(`,"metadata":{},"metadata":{"a":1}`), use(`,"key":""`),
		`{"userId":"a\u006en","key":"calls"}`, `{"user\u0049d":"ann","key":"calls"}`, `{"UserId":"ann","key":"calls"}`, `{"userId":"änn","key":"calls"}`, "{\"userId\":\"\xff\",\"key\":\"calls\"}",
		"{\"userId\":\"a\x00n\",\"key\":\"calls\"}", "{\"userId\":\"a\nn\",\"key\":\"calls\"}", `{"userId":null,"key":"calls"}`, `{"userId":5,"key":"calls"}`, `{"userId":"","key":"calls"}`, `{"userId":"ann","key":"Calls"}`,
		`{"userId":"` + strings.Repeat("é", 200) + `","key":"calls"}`, `{"userId":"` + strings.Repeat("x", 256) + `","key":"calls"}`, `{"userId":"ann","key":"` + strings.Repeat("x", 65) + `"}`,
		use(`,"amount":0`), use(`,"amount":01`), use(`,"amount":1.`), use(`,"amount":.5`), use(`,"amount":-1`), use(`,"amount":1e2`), use(`,"amount":1E400`), use(`,"amount":` + digits), use(`,"amount":0.0000001`),
		use(`,"amount":""`), use(`,"amount":"x"`), use(`,"amount":null`), use(`,"amount":true`), use(`,"amount":[1]`), use(`,"amount":1 2`), use(`,"amount":1000000000000.000001`), use(`,"amount":"1e2"`), use(`,"amount":1_0`),
		use(`,"timestamp":""`), use(`,"timestamp":"yesterday"`), use(`,"timestamp":null`), use(`,"timestamp":1`), use(`,"timestamp":"0001-01-01T00:00:00Z"`), use(`,"timestamp":"2026-06-15t12:00:00Z"`),
		use(`,"metadata":null`), use(`,"metadata":[]`), use(`,"metadata":"x"`), use(`,"metadata":{"a":1e5}`), use(`,"metadata":{"a":1e999}`), use(`,"metadata":{"a":-` + digits + `}`), use(`,"metadata":{"a":01}`), use(`,"metadata":{"a"}`),
		use(`,"metadata":{"a":]}`), use(`,"metadata":{"a":[}`), use(`,"metadata":{"a":1`), use(`,"metadata":{"a":"\x"}`), use(`,"metadata":{"a":"\`), use(",\"metadata\":{\"a\":\"\xff\"}"), use(",\"metadata\":{\"a\":\"\n\"}"), use(`,"metadata":{}}`),
		use(`,"metadata":{"a":"` + strings.Repeat("x", 4089) + `"}`), use(`,"metadata":` + strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001)), use(`,"metadata":{"true":true,"e":false}`),
		use(`,"idempotencyKey":""`), use(`,"idempotencyKey":"a b"`), use(`,"idempotencyKey":null`), use(`,"enforce":null`), use(`,"enforce":"true"`), use(`,"enforce":truex`), use(`,"enforce":tru`), use(`,"organizationId":""`),
		use(`,"records":[` + use("") + `]`), use(`,"records":null`), `{"records":[]}`, `{"records":null}`, `{"records":[null]}`, `{"records":[{}]}`, `{"records":{}}`, `{"records":[` + use("") + `,]}`, `{"records":[` + use("") + use("") + `]}`,
		`{"records":[` + use("") + `],"records":[` + use("") + `]}`, `{"records":[` + use(`,"records":[]`) + `]}`, `{"records":[` + use("") + `],"userId":"ann"}`, `{"records":[` + use("") + `],"organizationId":""}`,
		`{"records":[` + use("") + `,` + use(`,"amount":0`) + `,{"key":""}]}`, `{"records":[` + strings.Repeat(use("")+",", 500) + use("") + `]}`, `{"enforce":true}`,
		use(strings.Repeat(" ", 1<<20-31)), use(strings.Repeat(" ", 1<<20-30)), use(strings.Repeat(" ", 1<<20)), `{"userId":"\u202e","key":"calls","applicationId":"\u0000"}`, `{"userId":"ann\u007f","key":"calls"}`, "{\"userId\":\"ann\x7f\",\"key\":\"calls\"}",
	} {
		w.same(t, body, nil)
	}
	for _, headers := range []http.Header{
		{"Content-Type": {"text/plain"}}, {"Content-Type": {""}}, {"Content-Type": {"application/json; charset=utf-8"}}, {"Content-Type": {"application/json;charset=x"}}, {"Content-Type": {"application/xml"}},
		{"Authorization": {"Basic x"}}, {"Authorization": {"Bearer x", "Bearer y"}},
	} {
		w.same(t, use(""), headers)
	}
}

// Requests that were garbled at random places come to the same both ways.
func TestGarbledRequests(t *testing.T) {
	w := newTwoWays()
	bodies := []string{
		`{"userId":"ann","key":"calls","amount":10.50,"organizationId":"acme","timestamp":"2026-06-15T12:00:00Z","metadata":{"a":[1,2.5,true],"b":{"c":"d"}},"idempotencyKey":"k","enforce":true}`,
		`{"records":[{"userId":"ann","key":"calls","amount":"2"},{"userId":"bob","key":"calls","enforce":false}],"enforce":true}`,
	}
	pieces := []string{"", `"`, `\`, "{", "}", "[", "]", ",", ":", " ", "0", "1", "9", "-", ".", "e", "E", "null", "true", "{}", `""`, `"userId"`, `"key"`, `"records"`, "\x00", "é", "\xff", "\\u0041", "A"}
	for range 20_000 {
		body := bodies[rand.N(len(bodies))]
		for range 1 + rand.N(2) {
			begin := rand.N(len(body) + 1)
			body = body[:begin] + pieces[rand.N(len(pieces))] + body[min(len(body), begin+rand.N(3)):]
		}
		want, got := w.send("application/json;q=0.9", body, nil), w.send("*/*", body, nil)
		if !consumption.ReadPlain(body) { // then both went the same way, and huma does not always say the same of unknown names with a dot
			want.body, got.body = "", ""
		}
		require.Equal(t, want, got, "%q", body)
	}
}

// The caller of a list that is too slow, or hangs up, is told what everybody is told.
func TestBodyCutOff(t *testing.T) {
	w := newTwoWays()
	for _, fault := range []error{context.Canceled, http.ErrBodyReadAfterClose, &http.MaxBytesError{Limit: 5}, os.ErrDeadlineExceeded, errors.New("connection reset")} {
		for _, begin := range []string{"", `{"userId":"ann","key":"calls"}`} {
			var outcomes []outcome
			for _, accept := range []string{"application/json;q=0.9", "*/*"} {
				w.log.Reset()
				req := httptest.NewRequest("POST", "/api/consumption", &failing{strings.NewReader(begin), fault})
				req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer token"}, "Accept": {accept}}
				rec := httptest.NewRecorder()
				w.ServeHTTP(rec, req)
				outcomes = append(outcomes, outcome{status: rec.Code, header: rec.Header(), body: rec.Body.String(), log: w.log.String()})
			}
			require.Equal(t, outcomes[0], outcomes[1], fault)
			require.GreaterOrEqual(t, outcomes[0].status, 400)
		}
	}
}

// failing is a body that ends with an error.
type failing struct {
	begin *strings.Reader
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	if n, _ := f.begin.Read(p); n > 0 {
		return n, nil
	}
	return 0, f.err
}

// An answer in one go is what encoding/json makes of it.
func TestAnswersInOneGo(t *testing.T) {
	amounts := []store.Amount{{}, store.NewAmount(1), store.NewAmount(99), store.NewAmount(1 << 62), amount(t, "0.000001"), amount(t, "12.5"), amount(t, "1000000000000")}
	texts := []string{"", "calls", "0199f1c2-7a3b-7c4d-8e5f-000000000000", `"\`, "<&>", "\x00\n\x7f", "é\u2028", "\xff"}
	moments := []*time.Time{nil, {}, new(noon), new(noon.Add(123456789)), new(noon.In(time.FixedZone("", 3600)))}
	pick := func() *store.Amount {
		if rand.N(4) == 0 {
			return nil
		}
		return &amounts[rand.N(len(amounts))]
	}
	for range 2000 {
		recorded := make([]consumption.Recorded, 1+rand.N(3))
		for i := range recorded {
			recorded[i] = consumption.Recorded{
				ID: texts[rand.N(len(texts))], Duplicate: rand.N(2) == 0, Key: texts[rand.N(len(texts))], Amount: amounts[rand.N(len(amounts))],
				Standing: consumption.Standing{
					Total: amounts[rand.N(len(amounts))], Reserved: amounts[rand.N(2)], Start: moments[rand.N(len(moments))], End: moments[rand.N(len(moments))], Limit: pick(), Exceeded: rand.N(2) == 0,
				},
			}
		}
		answer := consumption.AnswerOf(recorded, len(recorded) == 1 && rand.N(2) == 0)
		var want bytes.Buffer
		require.NoError(t, huma.DefaultJSONFormat.Marshal(&want, answer))
		require.Equal(t, want.String(), string(slices.Concat(answer.AppendJSON(nil), []byte("\n"))))
	}
}
