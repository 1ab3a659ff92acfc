package consumption_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// today moves the clock to the real time, by which ids are made.
func (s *server) today() time.Time {
	s.clock.advance(time.Since(s.clock.now()))
	return s.clock.now()
}

func (s *server) lines(query string, headers ...header) []map[string]any {
	s.Helper()
	a := s.call("GET", "/export?format=jsonl&"+query, "", headers...).is(200)
	assert.Equal(s, "application/jsonl", a.Header().Get("Content-Type"))
	var out []map[string]any
	decoder := json.NewDecoder(strings.NewReader(a.Body.String()))
	decoder.UseNumber()
	for decoder.More() {
		var line map[string]any
		require.NoError(s, decoder.Decode(&line))
		out = append(out, line)
	}
	return out
}

func TestExport(t *testing.T) {
	eachServer(t, func(s *server) {
		now := s.today()
		acme := s.organization("acme", nil)
		s.record(`{"userId":"ann","key":"calls","amount":0.1,"metadata":{"formula":"=1+1"},"idempotencyKey":"=cmd"}`)
		s.record(`{"userId":"bob","key":"mails","organizationId":"` + acme.ID + `","timestamp":"` + now.Add(-48*time.Hour).Format(time.RFC3339) + `"}`)
		s.call("DELETE", "/ann/crm/calls", "", signedIn("root")).is(200)
		s.call("POST", "", `{"userId":"ann","key":"calls"}`, bearer("erp")).is(200)

		all := s.lines("")
		require.Len(s, all, 3)
		assert.Equal(s, "used ann calls 0.1 crm-service =cmd", fmt.Sprint(all[0]["kind"], " ", all[0]["userId"], " ", all[0]["key"], " ", all[0]["amount"], " ", all[0]["clientId"], " ", all[0]["idempotencyKey"]))
		assert.Equal(s, map[string]any{"formula": "=1+1"}, all[0]["metadata"])
		assert.Equal(s, "used bob "+acme.ID, fmt.Sprint(all[1]["kind"], " ", all[1]["userId"], " ", all[1]["organizationId"]))
		assert.Equal(s, "reset 0.1 <nil>", fmt.Sprint(all[2]["kind"], " ", all[2]["amount"], " ", all[2]["clientId"]))

		at := func(d time.Duration) string { return url.QueryEscape(now.Add(d).Format(time.RFC3339)) }
		for query, n := range map[string]int{
			"userId=ann": 2, "userId=bob": 1, "userId=eve": 0, "key=mails": 1, "organizationId=" + acme.ID: 1, "userId=ann&key=mails": 0,
			"from=" + at(-time.Hour): 2, "to=" + at(-time.Hour): 1, "from=" + at(-49*time.Hour) + "&to=" + at(-47*time.Hour): 1, "userId=bob&from=" + at(-time.Hour): 0,
			"applicationId=crm": 3, "applicationId=crm-web": 3,
		} {
			assert.Len(s, s.lines(query), n, query)
		}
		assert.Len(s, s.lines("applicationId=erp", signedIn("alice")), 1)
		s.call("GET", "/export", "", signedIn("alice")).is(400, "VALIDATION_ERROR")
		s.call("GET", "/export?applicationId=nothing", "", signedIn("alice")).is(404, "APPLICATION_NOT_FOUND")
		s.call("GET", "/export?from="+at(0)+"&to="+at(0), "").is(400, "VALIDATION_ERROR")
		s.call("GET", "/export?format=xml", "").is(400, "VALIDATION_ERROR")

		a := s.call("GET", "/export", "").is(200)
		assert.Equal(s, "text/csv; charset=utf-8; header=present", a.Header().Get("Content-Type"))
		assert.Regexp(s, `^attachment; filename="consumption-\d{8}T\d{6}Z\.csv"$`, a.Header().Get("Content-Disposition"))
		rows, err := csv.NewReader(strings.NewReader(a.Body.String())).ReadAll()
		require.NoError(s, err)
		require.Len(s, rows, 4)
		assert.Equal(s, []string{"id", "kind", "applicationId", "clientId", "userId", "organizationId", "key", "amount", "occurredAt", "recordedAt", "idempotencyKey", "metadata"}, rows[0])
		// Formula injection: what an application was made to record must not run in the spreadsheet of whoever bills.
		assert.Equal(s, "'=cmd", rows[1][10])
		assert.Equal(s, `{"formula":"=1+1"}`, rows[1][11])

		// What left the house in an administrator's hands is on record.
		events, err := s.store.AuditEvents(s.Context(), store.AuditQuery{Paging: store.Paging{Limit: 10}, Action: "consumption.export"})
		require.NoError(s, err)
		require.Len(s, events.Items, 1)
		assert.Equal(s, s.erp.ID, events.Items[0].ApplicationID)
	})
}

// All of it comes, in batches, and each record once: also where many were used at the same moment.
func TestExportOfMany(t *testing.T) {
	eachServer(t, func(s *server) {
		s.today()
		for i := range 3 {
			s.record(`{"records":[` + strings.Repeat(fmt.Sprintf(`{"userId":"ann","key":"k%d"},`, i), 499) + `{"userId":"bob","key":"calls"}]}`)
		}
		for query, n := range map[string]int{"": 1500, "userId=ann": 1497, "userId=ann&key=k1": 499} {
			lines, seen := s.lines(query), map[any]bool{}
			for _, line := range lines {
				seen[line["id"]] = true
			}
			assert.Len(s, lines, n, query)
			assert.Len(s, seen, n, query)
		}
	})
}

// A download must end when the token behind it is revoked, or else it outlives the rights with which it began.
func TestExportEndsWithItsRights(t *testing.T) {
	eachServer(t, func(s *server) {
		s.today()
		for range 3 {
			s.record(`{"records":[` + strings.Repeat(`{"userId":"ann","key":"calls"},`, 499) + `{"userId":"bob","key":"calls"}]}`)
		}
		server := httptest.NewServer(s.echo)
		defer server.Close()
		req, err := http.NewRequestWithContext(s.Context(), "GET", server.URL+"/api/consumption/export", nil)
		require.NoError(s, err)
		req.Header.Set("Authorization", "Bearer once")
		s.once.Store(1)
		res, err := http.DefaultClient.Do(req)
		require.NoError(s, err)
		defer res.Body.Close()
		require.Equal(s, 200, res.StatusCode)
		_, err = io.ReadAll(res.Body)
		require.Error(s, err, "a part must not look like all of it")
	})
}

// A slowReader takes nothing until it is told to.
type slowReader struct {
	*httptest.ResponseRecorder
	begun, may chan struct{}
}

func (w *slowReader) Write(p []byte) (int, error) {
	w.begun <- struct{}{}
	<-w.may
	return w.ResponseRecorder.Write(p)
}

// An application that begins one export after the other would keep the database busy for all others (CWE-400).
func TestParallelExports(t *testing.T) {
	eachServer(t, func(s *server) {
		s.record(`{"userId":"ann","key":"calls"}`)
		begun, may := make(chan struct{}), make(chan struct{})
		var running sync.WaitGroup
		for range 2 {
			running.Go(func() {
				req := httptest.NewRequest("GET", "/api/consumption/export", nil)
				req.Header.Set("Authorization", "Bearer crm")
				s.echo.ServeHTTP(&slowReader{httptest.NewRecorder(), begun, may}, req)
			})
			<-begun
		}
		a := s.call("GET", "/export", "").is(429, "TOO_MANY_EXPORTS")
		assert.Equal(s, "30", a.Header().Get("Retry-After"))
		s.call("GET", "/export", "", bearer("erp")).is(200)
		close(may)
		running.Wait()
		for range 3 { // those that are refused count for nothing
			s.call("GET", "/export?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "").is(400)
			s.call("GET", "/export", "").is(200)
		}
	})
}
