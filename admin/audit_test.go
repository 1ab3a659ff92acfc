package admin_test

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// record writes an event of alice's, with what change makes of it.
func (s *server) record(change func(e *store.AuditEvent)) {
	s.t.Helper()
	e := store.AuditEvent{
		ActorType: store.ActorUser, ActorID: "alice", Action: "note.write", TargetType: "note", TargetID: "n0",
		IP: "192.0.2.1", UserAgent: "test", RequestID: "request-0",
	}
	change(&e)
	require.NoError(s.t, s.store.Audit(s.t.Context(), e))
}

// events returns a page of the audit log.
func (s *server) events(query string, headers ...header) (items []map[string]any, next string, total float64) {
	s.t.Helper()
	a := s.call("GET", "/audit?"+query, "", headers...).is(200)
	for _, item := range a.body["items"].([]any) {
		items = append(items, item.(map[string]any))
	}
	next, _ = a.body["nextCursor"].(string)
	return items, next, a.body["total"].(float64)
}

func targets(items []map[string]any) string {
	var ids []string
	for _, item := range items {
		ids = append(ids, item["target"].(map[string]any)["id"].(string))
	}
	return strings.Join(ids, " ")
}

func (s *server) download(ctx context.Context, w http.ResponseWriter, query string, headers ...header) {
	s.downloadFrom(ctx, w, "/audit/export?"+query, headers...)
}

// downloadFrom sends a request whose answer is not JSON.
func (s *server) downloadFrom(ctx context.Context, w http.ResponseWriter, path string, headers ...header) {
	req := httptest.NewRequest("GET", "/api/admin"+path, nil).WithContext(ctx)
	req.Header.Set("Cookie", "who=alice")
	for _, h := range headers {
		for name, value := range h {
			req.Header.Set(name, value)
		}
	}
	s.echo.ServeHTTP(w, req)
}

func TestAuditEvent(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.record(func(e *store.AuditEvent) {
			e.ApplicationID, e.OrganizationID = "app-1", "org-1"
			e.Changes = map[string]store.Change{"on": {Before: false, After: true}, "name": {After: "New"}, "gone": {Before: 1}}
		})
		items, next, total := srv.events("")
		require.Len(t, items, 1)
		assert.Empty(t, next)
		assert.Equal(t, 1.0, total)
		_, err := time.Parse("2006-01-02T15:04:05.000Z", items[0]["createdAt"].(string))
		require.NoError(t, err)
		assert.NotEmpty(t, items[0]["id"])
		delete(items[0], "id")
		delete(items[0], "createdAt")
		got, err := json.Marshal(items[0])
		require.NoError(t, err)
		assert.JSONEq(t, `{"actor":{"type":"user","id":"alice","name":"alice","email":"alice@example.com"},"action":"note.write",
			"target":{"type":"note","id":"n0"},"applicationId":"app-1","organizationId":"org-1","ip":"192.0.2.1","userAgent":"test","requestId":"request-0",
			"changes":{"on":{"before":false,"after":true},"name":{"after":"New"},"gone":{"before":1}}}`, string(got))
	})
}

func TestAuditFilters(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		begun := ticks.now()
		at := func(minutes int) string {
			return url.QueryEscape(begun.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339))
		}
		for i, change := range []func(e *store.AuditEvent){
			func(e *store.AuditEvent) { e.ActorID = "root" },
			func(e *store.AuditEvent) { e.ActorType, e.ActorID = store.ActorClient, "cl_1" },
			func(e *store.AuditEvent) { e.ActorType, e.ActorID = store.ActorSystem, "" },
			func(e *store.AuditEvent) { e.Action = "session.end" },
			func(e *store.AuditEvent) { e.Action = "session.end_all" },
			func(e *store.AuditEvent) { e.Action = "sessions.end" }, // another noun
			func(e *store.AuditEvent) { e.Action = "session.factor.add" },
			func(e *store.AuditEvent) { e.TargetType = "user" },
			func(e *store.AuditEvent) { e.ApplicationID = "app-1" },
			func(e *store.AuditEvent) { e.OrganizationID = "org-1" },
		} {
			srv.record(func(e *store.AuditEvent) { e.TargetID = fmt.Sprint(i); change(e) })
			ticks.advance(time.Minute)
		}
		for query, want := range map[string]string{
			"":               "9 8 7 6 5 4 3 2 1 0",
			"actorId=root":   "0",
			"actorId=alice":  "9 8 7 6 5 4 3",
			"actorId=nobody": "",
			"actorType=user": "9 8 7 6 5 4 3 0", "actorType=client": "1", "actorType=system": "2",
			"actorType=client&actorId=alice": "",
			"action=session.end":             "3",
			"action=session.":                "6 4 3",
			"action=session.factor.":         "6",
			"action=session.end.":            "",
			"action=session":                 "", // no prefix without the dot
			"action=.":                       "",
			"action=s%25.":                   "", // taken literally
			"action=' OR 1=1 --.":            "",
			"targetType=user":                "7",
			"targetId=4":                     "4",
			"targetType=user&targetId=4":     "",
			"applicationId=app-1":            "8",
			"organizationId=org-1":           "9",
			"from=" + at(8):                  "9 8", // itself included
			"to=" + at(2):                    "1 0", // itself not
			"from=" + at(3) + "&to=" + at(5): "4 3",
			"from=" + at(1) + "&to=" + at(9) + "&actorId=alice&action=session.&targetType=note": "6 4 3",
		} {
			query = strings.ReplaceAll(query, " ", "+")
			items, _, total := srv.events(query)
			assert.Equal(t, want, targets(items), query)
			assert.EqualValues(t, len(items), total, query)
			var walked []string // page by page, the same
			for next, more := "", true; more; more = next != "" {
				var page []map[string]any
				page, next, total = srv.events(query + "&limit=1&cursor=" + next)
				assert.EqualValues(t, len(items), total, query)
				if len(page) > 0 {
					walked = append(walked, targets(page))
				}
			}
			assert.Equal(t, want, strings.Join(walked, " "), query)
			rec := httptest.NewRecorder()
			srv.download(t.Context(), rec, query+"&format=jsonl")
			assert.Equal(t, len(items), strings.Count(rec.Body.String(), "\n"), query)
		}
	}, func(o *store.Options) { o.Now = ticks.now })
}

// Events of one instant have an order, too, and what happens meanwhile moves nothing between pages.
func TestAuditPaging(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		seen := map[any]bool{}
		for range 7 {
			srv.record(func(*store.AuditEvent) {})
		}
		cursor, pages := "", 0
		for ; pages == 0 || cursor != ""; pages++ {
			items, next, total := srv.events("limit=3&cursor=" + cursor)
			assert.EqualValues(t, 7+pages, total)
			for _, item := range items {
				assert.False(t, seen[item["id"]], "twice")
				seen[item["id"]] = true
			}
			cursor = next
			ticks.advance(time.Second)
			srv.record(func(*store.AuditEvent) {})
		}
		assert.Len(t, seen, 7)
		assert.Equal(t, 3, pages)
	}, func(o *store.Options) { o.Now = ticks.now })
}

func TestBadAuditParameters(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(webApplication)
		_, others, _ := srv.names("limit=1")
		encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		for query, field := range map[string]string{
			"actorType=robot": "query.actorType", "actorId=a%00": "query.actorId", "action=%ff": "query.action", "targetId=" + strings.Repeat("a", 256): "query.targetId",
			"targetType=a%0a": "query.targetType", "applicationId=%00": "query.applicationId", "organizationId=%00": "query.organizationId",
			"from=yesterday": "query.from", "to=2026-11-23": "query.to", "from=2026-11-23T12:00:00Z&to=2026-11-23T12:00:00Z": "query.to",
			"limit=0": "query.limit", "limit=201": "query.limit", "format=xml": "query.format",
			"cursor=x": "query.cursor", "cursor=" + others: "query.cursor", // of another list
			"cursor=" + encode(`{"s":"audit:-createdAt","v":"2026-11-23T12:00:00Z","i":"\u0000"}`): "query.cursor",
			"cursor=" + encode(`{"s":"audit:-createdAt","v":"now","i":"x"}`):                       "query.cursor",
		} {
			path := "/audit?"
			if strings.HasPrefix(query, "format") {
				path = "/audit/export?"
			}
			a := srv.call("GET", path+query, "").is(400, "VALIDATION_ERROR")
			assert.NotEmpty(t, a.errors()[field], "%s: %s", query, a.Body)
		}
		// A forged cursor reads from another place of the same list, and no later than the filter says.
		forged := encode(`{"s":"audit:-createdAt","v":"9999-11-23T12:00:00Z","i":"x"}`)
		items, _, _ := srv.events("cursor=" + forged)
		assert.Len(t, items, 2)
		items, _, _ = srv.events("to=2020-01-01T00:00:00Z&cursor=" + forged)
		assert.Empty(t, items)
	})
}

// The log names who works when and from where, and whom they work on: nobody but administrators reads it.
func TestAuditAccess(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.record(func(*store.AuditEvent) {})
		for _, path := range []string{"/audit", "/audit/export?format=jsonl", "/audit/export?format=csv"} {
			for _, tt := range []struct {
				who    header
				status int
				code   string
			}{
				{asNobody, 401, "UNAUTHORIZED"},
				{asUser, 403, "FORBIDDEN"},
				{bearer("nonsense"), 401, "INVALID_TOKEN"},
				{bearer("machine-narrow"), 403, "INSUFFICIENT_SCOPE"},
				{bearer("delegated-user"), 403, "FORBIDDEN"},
			} {
				a := srv.call("GET", path, "", tt.who).is(tt.status, tt.code)
				assert.NotContains(t, a.Body.String(), "note.write")
				assert.Empty(t, a.Header().Get("Content-Disposition"))
			}
			for _, who := range []header{asRoot, {}, bearer("machine"), bearer("delegated")} {
				req := httptest.NewRequest("GET", "/api/admin"+path, nil)
				req.Header.Set("Cookie", "who=alice")
				for name, value := range who {
					req.Header.Set(name, value)
				}
				rec := httptest.NewRecorder()
				srv.echo.ServeHTTP(rec, req)
				assert.Equal(t, 200, rec.Code)
				assert.Contains(t, rec.Body.String(), "note.write")
				assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			}
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} { // not even a superadmin rewrites history
			assert.GreaterOrEqual(t, srv.call(method, "/audit", `{}`, asRoot).Code, 400, method)
		}
		_, _, total := srv.events("")
		assert.Equal(t, 1.0, total)
	})
}

// A page costs one statement for whoever asks and one for the events, however many actors they have.
func TestAuditStatements(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, client := srv.create(webApplication)
		for i := range 20 {
			id := fmt.Sprintf("person-%d", i)
			require.NoError(t, srv.store.CreateUser(t.Context(), &store.User{ID: id, Email: id + "@example.com", Name: "Name of " + id, Role: store.RoleUser, CreatedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC()}))
			srv.record(func(e *store.AuditEvent) { e.ActorID = id })
		}
		srv.record(func(e *store.AuditEvent) { e.ActorType, e.ActorID = store.ActorClient, client })
		srv.record(func(e *store.AuditEvent) { e.ActorType, e.ActorID = store.ActorClient, "person-1" }) // a client of that id, not the person
		srv.record(func(e *store.AuditEvent) { e.ActorType, e.ActorID = store.ActorSystem, "" })
		srv.record(func(e *store.AuditEvent) { e.ActorID = "deleted" })
		ctx, calls := storetest.Trace(t.Context())
		a := srv.callWith(ctx, "GET", "/audit?action=note.write", "").is(200)
		assert.Equal(t, []string{"R users", "R audit_events"}, calls.List(), calls.SQL())
		items := a.body["items"].([]any)
		require.Len(t, items, 24)
		actor := func(i int) any { return items[i].(map[string]any)["actor"] }
		assert.Equal(t, map[string]any{"type": "user", "id": "deleted"}, actor(0))
		assert.Equal(t, map[string]any{"type": "system", "id": ""}, actor(1))
		assert.Equal(t, map[string]any{"type": "client", "id": "person-1"}, actor(2))
		assert.Equal(t, map[string]any{"type": "client", "id": client, "name": "CRM"}, actor(3))
		assert.Equal(t, map[string]any{"type": "user", "id": "person-19", "name": "Name of person-19", "email": "person-19@example.com"}, actor(4))
	})
}

func TestAuditExport(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.record(func(e *store.AuditEvent) {
			e.Changes = map[string]store.Change{"name": {Before: "a,b", After: "\"q\"\nsecond line"}}
		})
		srv.record(func(e *store.AuditEvent) { e.ApplicationID = "app-1" })
		listed, _, _ := srv.events("")

		rec := httptest.NewRecorder()
		srv.download(t.Context(), rec, "format=jsonl")
		require.Equal(t, 200, rec.Code)
		assert.Equal(t, "application/jsonl", rec.Header().Get("Content-Type"))
		assert.Regexp(t, `^attachment; filename="audit-\d{8}T\d{6}Z\.jsonl"$`, rec.Header().Get("Content-Disposition"))
		for i, line := range strings.Split(strings.TrimSuffix(rec.Body.String(), "\n"), "\n") {
			want, err := json.Marshal(listed[i])
			require.NoError(t, err)
			assert.JSONEq(t, string(want), line)
		}

		rec = httptest.NewRecorder()
		srv.download(t.Context(), rec, "") // a table unless told otherwise
		assert.Equal(t, "text/csv; charset=utf-8; header=present", rec.Header().Get("Content-Type"))
		assert.Regexp(t, `^attachment; filename="audit-\d{8}T\d{6}Z\.csv"$`, rec.Header().Get("Content-Disposition"))
		rows, err := csv.NewReader(rec.Body).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 3)
		assert.Equal(t, strings.Split("id createdAt actorType actorId actorName actorEmail action targetType targetId applicationId organizationId ip userAgent requestId changes", " "), rows[0])
		assert.Equal(t, []string{listed[1]["id"].(string), listed[1]["createdAt"].(string), "user", "alice", "alice", "alice@example.com", "note.write", "note", "n0", "", "",
			"192.0.2.1", "test", "request-0", `{"name":{"before":"a,b","after":"\"q\"\nsecond line"}}`}, rows[2])
		assert.Equal(t, "app-1", rows[1][9])

		rec = httptest.NewRecorder()
		srv.download(t.Context(), rec, "actorId=nobody")
		assert.Equal(t, strings.Join(rows[0], ",")+"\n", rec.Body.String(), "no events, but the columns")
	})
}

// CSV injection (OWASP): strangers choose their user agent and their name, and an administrator opens the file in a spreadsheet.
func TestAuditExportRunsNoFormula(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		attacks := []string{`=HYPERLINK("https://evil.example","x")`, "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "＋1", "－1", "＠1"}
		for _, attack := range attacks {
			srv.record(func(e *store.AuditEvent) { e.UserAgent, e.TargetID = attack, attack })
		}
		srv.record(func(e *store.AuditEvent) { e.UserAgent, e.TargetID = "Mozilla/5.0 (a=b) -c @d", "a-b" })
		rec := httptest.NewRecorder()
		srv.download(t.Context(), rec, "format=csv")
		text := rec.Body.String()
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, len(attacks)+2)
		for i, attack := range attacks {
			row := rows[len(rows)-1-i]
			want := "'" + strings.ReplaceAll(attack, "\r\n", "\n")
			assert.Equal(t, want, row[8])
			assert.Equal(t, want, row[12])
		}
		assert.Equal(t, "Mozilla/5.0 (a=b) -c @d", rows[1][12], "what is harmless stays as it is")
		assert.Equal(t, "a-b", rows[1][8])
	})
}

// reader takes what it is sent and counts how often it was sent on; it breaks off as a test says.
type reader struct {
	*httptest.ResponseRecorder
	flushes int
	flushed func(n int) error
}

func (r *reader) FlushError() error {
	r.flushes++
	if r.flushed != nil {
		return r.flushed(r.flushes)
	}
	return nil
}

// large fills the log with more than two batches.
func (s *server) large() {
	s.t.Helper()
	require.NoError(s.t, s.store.Tx(s.t.Context(), func(ctx context.Context) error {
		for i := range 1200 {
			e := store.AuditEvent{ActorType: store.ActorUser, ActorID: "alice", Action: "note.write", TargetType: "note", TargetID: fmt.Sprint(i)}
			if err := s.store.Audit(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}))
}

// However long the log, no more than a batch is in memory: each is sent before the next one is read, in one statement.
func TestAuditExportStreams(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.large()
		for _, format := range []string{"csv", "jsonl"} {
			ctx, calls := storetest.Trace(t.Context())
			r := &reader{ResponseRecorder: httptest.NewRecorder()}
			r.flushed = func(n int) error {
				assert.Len(t, calls.List(), 2*n, "statements before batch %d was sent", n) // before each it asks who alice is
				return nil
			}
			srv.download(ctx, r, "format="+format)
			assert.Equal(t, 3, r.flushes)
			assert.Equal(t, []string{"R users", "R audit_events", "R users", "R audit_events", "R users", "R audit_events"}, calls.List())
			seen := map[string]bool{}
			for _, id := range regexp.MustCompile(`(?m)^(?:\{"id":")?([0-9a-f-]{36})`).FindAllStringSubmatch(r.Body.String(), -1) {
				seen[id[1]] = true
			}
			assert.Len(t, seen, 1200)
		}
	})
}

// A reader that goes away ends the reading of the log. The connection is broken, and not ended, so that nobody takes a part for the whole.
func TestAuditExportBreaksOff(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.large()
		for name, leave := range map[string]func(cancel func()) error{
			"connection closed":  func(cancel func()) error { cancel(); return nil },
			"connection refuses": func(func()) error { return errors.New("broken pipe") },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			ctx, calls := storetest.Trace(ctx)
			r := &reader{ResponseRecorder: httptest.NewRecorder(), flushed: func(int) error { return leave(cancel) }}
			assert.PanicsWithValue(t, http.ErrAbortHandler, func() { srv.download(ctx, r, "format=jsonl") }, name)
			assert.Equal(t, 1, r.flushes, name)
			assert.LessOrEqual(t, len(calls.List()), 3, name)
			assert.Equal(t, 500, strings.Count(r.Body.String(), "\n"), name)
			cancel()
		}
	})
}

// breaking is a connection whose request ends when the first batch has been sent.
type breaking struct {
	http.ResponseWriter
	end func()
}

func (b breaking) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b breaking) FlushError() error {
	defer b.end()
	return http.NewResponseController(b.ResponseWriter).Flush()
}

// Whoever downloads over a real connection gets all of it, or an error.
func TestAuditExportIsWholeOrFails(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.large()
		for _, whole := range []bool{true, false} {
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				if !whole {
					w = breaking{w, cancel}
				}
				srv.echo.ServeHTTP(w, r.WithContext(ctx))
			}))
			req, err := http.NewRequestWithContext(t.Context(), "GET", site.URL+"/api/admin/audit/export?format=jsonl", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer machine")
			resp, err := site.Client().Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, resp.Body.Close())
			site.Close()
			assert.Equal(t, 200, resp.StatusCode)
			if whole {
				require.NoError(t, err)
				assert.Equal(t, 1200, strings.Count(string(body), "\n"))
			} else {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		}
	})
}

// A database that is away from the start is a problem with a status, not an empty file.
func TestAuditExportWithoutDatabase(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		ctx, cancel := context.WithTimeout(t.Context(), 0) // it does not answer in time
		defer cancel()
		rec := httptest.NewRecorder()
		srv.download(ctx, rec, "", bearer("machine"))
		assert.Equal(t, 503, rec.Code)
		assert.Empty(t, rec.Header().Get("Content-Disposition"))
		assert.Contains(t, rec.Header().Get("Content-Type"), "application/problem+json")
	})
}

// telling are names of fields that could hold what must not be in the log. Settings with such names hold no secrets.
var telling = regexp.MustCompile(`(?i)secret|password|hash|token|cookie|private|seed`)

var settings = map[string]bool{
	"tokenEndpointAuthMethod": true, "idTokenSignedResponseAlg": true, "accessTokenFormat": true, "accessTokenLifetime": true,
	"idTokenLifetime": true, "refreshTokenIdleLifetime": true, "refreshTokenLifetime": true, "previousSecretExpiresAt": true,
}

// Every write here makes an event, and no event tells a secret, by any name.
func TestWritesAreAuditedWithoutSecrets(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		var secrets []string
		keep := func(a *answer) *answer { secrets = append(secrets, a.text("clientSecret")); return a }
		a := keep(srv.call("POST", "/applications", webApplication).is(201))
		id, clientID := a.text("id"), a.text("clientId")
		app := "/applications/" + id
		srv.call("PATCH", app, `{"name":"Other","accessTokenLifetime":300,"accessTokenFormat":"opaque","tokenEndpointAuthMethod":"client_secret_post","refreshTokenLifetime":86400,"idTokenLifetime":600,"idTokenSignedResponseAlg":"ES256","refreshTokenIdleLifetime":3600}`).is(200)
		keep(srv.call("POST", app+"/rotate-secret", `{"graceSeconds":60}`).is(200))
		second := keep(srv.call("POST", app+"/clients", `{"name":"Worker","type":"m2m"}`, header{"Idempotency-Key": "k"}).is(201)).text("clientId")
		srv.call("PATCH", app+"/clients/"+second, `{"name":"Robot","tokenEndpointAuthMethod":"client_secret_post"}`).is(200)
		keep(srv.call("POST", app+"/clients/"+second+"/rotate-secret", `{}`).is(200))
		srv.call("DELETE", app+"/clients/"+second, "").is(204)
		srv.call("PATCH", app, `{"disabled":true}`).is(200)
		srv.call("DELETE", app, "").is(204)

		items, _, _ := srv.events("applicationId=" + id + "&limit=200")
		var got []string
		for i := len(items) - 1; i >= 0; i-- {
			item := items[i]
			got = append(got, item["action"].(string))
			assert.Equal(t, "alice", item["actor"].(map[string]any)["id"])
			assert.NotEmpty(t, item["requestId"])
			assert.NotEmpty(t, item["ip"])
			assertUntelling(t, item["changes"])
		}
		assert.Equal(t, []string{"application.create", "application.update", "client.rotate_secret", "client.create", "client.update",
			"client.rotate_secret", "client.delete", "application.update", "application.delete"}, got)
		items, _, _ = srv.events("targetId=" + clientID)
		assert.Len(t, items, 1, "the rotation of the first client")

		rec := httptest.NewRecorder()
		srv.download(t.Context(), rec, "format=jsonl")
		require.Len(t, secrets, 4)
		for _, secret := range secrets {
			assert.NotContains(t, rec.Body.String(), secret)
			assert.NotContains(t, rec.Body.String(), secret[:12])
			assert.NotContains(t, rec.Body.String(), base64.StdEncoding.EncodeToString(store.HashSecret(secret)))
		}
	})
}

// assertUntelling looks at every name in what JSON holds.
func assertUntelling(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			assert.True(t, settings[name] || !telling.MatchString(name), name)
			assertUntelling(t, inner)
		}
	case []any:
		for _, inner := range v {
			assertUntelling(t, inner)
		}
	}
}
