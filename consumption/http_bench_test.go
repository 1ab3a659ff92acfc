package consumption_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/problem"
	"auth-service/store"
)

// BenchmarkRecordRequest is what a request costs around the recording itself, from the route to the written answer: uses are answered
// at once, and whoever calls is known. Package main has the middlewares and the real tokens.
func BenchmarkRecordRequest(b *testing.B) {
	e := echo.New()
	e.HTTPErrorHandler = problem.Handler(zerolog.Nop())
	h := &consumption.Handler{Tokens: alwaysShop{}, SameOrigin: sameOrigin, Now: time.Now}
	h.MountRecording(problem.NewAPI(e, "Test", "0"), recordNothing)
	plain := func(i int) string { return fmt.Sprintf(`{"userId":%q,"key":"calls"}`, userID(i)) }
	full := func(i int) string {
		return fmt.Sprintf(`{"userId":%q,"key":"calls","amount":1.5,"organizationId":%q,"timestamp":"2026-06-15T12:00:00.123Z",`+
			`"metadata":{"path":"/v1/things","status":200},"idempotencyKey":"b-%d"}`, userID(i), userID(i), i)
	}
	list := func(n int, of func(int) string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = of(i)
		}
		return `{"records":[` + strings.Join(all, ",") + `]}`
	}
	for _, c := range []struct{ name, body string }{
		{"single", plain(0)}, {"single with all fields", full(0)}, {"batch of 100", list(100, plain)}, {"batch of 100 with all fields", list(100, full)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			w := &written{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				w.bytes = 0
				e.ServeHTTP(w, recordRequest(c.body))
			}
			require.Equal(b, 200, w.status)
			b.ReportMetric(float64(w.bytes), "B/answer")
		})
	}
}

func userID(i int) string { return fmt.Sprintf("0199f1c2-7a3b-7c4d-8e5f-%012d", i) }

func recordRequest(body string) *http.Request {
	return &http.Request{
		Method: "POST", URL: recordURL, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost", RemoteAddr: "192.0.2.1:1234",
		Header: recordHeader, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

var (
	recordURL    = httptest.NewRequest("POST", "/api/consumption", nil).URL
	recordHeader = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer token"}, "Content-Length": {strconv.Itoa(50)}, "User-Agent": {"shop/1"}}
)

// written takes an answer and keeps of it how long it was.
type written struct {
	header        http.Header
	status, bytes int
}

func (w *written) Header() http.Header             { return w.header }
func (w *written) WriteHeader(status int)          { w.status = status }
func (w *written) Write(b []byte) (int, error)     { w.bytes += len(b); return len(b), nil }
func (w *written) SetReadDeadline(time.Time) error { return nil }

// alwaysShop knows whoever calls.
type alwaysShop struct{}

func (alwaysShop) Authenticate(context.Context, string) (string, string, []string, error) {
	return "", "shop-service", nil, nil
}

func (alwaysShop) ApplicationOf(context.Context, string) (*store.Application, error) {
	return &store.Application{ID: "shop", Slug: "shop"}, nil
}

// recordNothing answers as a quota of a month does.
func recordNothing(_ context.Context, _ consumption.Caller, uses []consumption.Usage) ([]consumption.Recorded, error) {
	start, end, limit := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), store.NewAmount(1_000_000)
	out := make([]consumption.Recorded, len(uses))
	for i, u := range uses {
		out[i] = consumption.Recorded{ID: "0199f1c2-7a3b-7c4d-8e5f-000000000000", Key: u.Key, Amount: u.Amount, Standing: consumption.Standing{
			Total: store.NewAmount(12345), Start: &start, End: &end, Limit: &limit, Plan: "free",
		}}
	}
	return out, nil
}
