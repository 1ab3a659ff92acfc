package admin_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// exported returns the file of an export as alice, unless the headers say who.
func (s *server) exported(query string, headers ...header) string {
	s.t.Helper()
	rec := httptest.NewRecorder()
	s.downloadFrom(s.t.Context(), rec, "/users/export?"+query, headers...)
	require.Equal(s.t, 200, rec.Code, rec.Body)
	return rec.Body.String()
}

func TestExportUsers(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		require.NoError(t, srv.store.DeleteUser(t.Context(), "ulla", time.Now()))
		srv.upload("", asJSONL, `{"id":"ada","email":"ada@example.com","name":"Ada, \"the first\"","image":"https://a.example/a.png","passwordHash":"`+argon2Hash+`","createdAt":"2020-01-02T03:04:05.678Z","updatedAt":"2021-01-02T03:04:05Z"}
{"id":"bob","email":"bob@example.com","disabled":true,"disabledReason":"left","disabledUntil":"2999-01-01T00:00:00Z","createdAt":"2020-01-03T00:00:00Z"}`).is(200)

		rec := httptest.NewRecorder()
		srv.downloadFrom(t.Context(), rec, "/users/export?role=user")
		assert.Equal(t, "text/csv; charset=utf-8; header=present", rec.Header().Get("Content-Type"))
		assert.Regexp(t, `^attachment; filename="users-\d{8}T\d{6}Z\.csv"$`, rec.Header().Get("Content-Disposition"))
		assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
		rows, err := csv.NewReader(rec.Body).ReadAll()
		require.NoError(t, err)
		bob := srv.user("bob")
		assert.Equal(t, [][]string{
			{"id", "email", "emailVerified", "name", "image", "role", "disabled", "disabledReason", "disabledUntil", "createdAt", "updatedAt"},
			{"ada", "ada@example.com", "false", `Ada, "the first"`, "https://a.example/a.png", "user", "false", "", "", "2020-01-02T03:04:05.678Z", "2021-01-02T03:04:05.000Z"},
			{"bob", "bob@example.com", "false", "bob", "", "user", "true", "left", "2999-01-01T00:00:00.000Z", "2020-01-03T00:00:00.000Z", bob.UpdatedAt.Format("2006-01-02T15:04:05.000Z")},
		}, rows)

		lines := strings.Split(strings.TrimSuffix(srv.exported("format=jsonl&role=user"), "\n"), "\n")
		require.Len(t, lines, 2)
		listed := srv.call("GET", "/users?role=user&sort=createdAt", "").is(200).body["items"].([]any)
		for i, line := range lines {
			want, err := json.Marshal(listed[i])
			require.NoError(t, err)
			assert.JSONEq(t, string(want), line, "as in the list")
		}
		for query, want := range map[string]string{"": "ada bob root alice", "disabled=true": "bob", "disabled=false&role=user": "ada", "search=AD": "ada", "role=superadmin": "root", "search=nobody": ""} {
			var got []string
			for line := range strings.Lines(srv.exported("format=jsonl&" + query)) {
				var user struct{ ID string }
				require.NoError(t, json.Unmarshal([]byte(line), &user))
				got = append(got, user.ID)
			}
			assert.ElementsMatch(t, strings.Fields(want), got, query)
		}
		assert.Equal(t, strings.Join(rows[0], ",")+"\n", srv.exported("search=nobody"), "nobody, but the columns")
		for _, query := range []string{"format=xml", "role=owner", "search=a%00", "disabled=1"} {
			srv.call("GET", "/users/export?"+query, "").is(400, "VALIDATION_ERROR")
		}
	})
}

// Hashes can be guessed at elsewhere, those of superadmins, too: only a superadmin takes them out, and the log tells.
func TestExportOfPasswordHashes(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.upload("", asCSV, "id,email,passwordHash\nada,ada@example.com,\""+argon2Hash+"\"\n").is(200)
		for _, who := range []header{{}, bearer("machine"), bearer("delegated")} {
			for _, format := range []string{"csv", "jsonl"} {
				srv.call("GET", "/users/export?includePasswordHashes=true&format="+format, "", who).is(403, "SUPERADMIN_REQUIRED")
				assert.NotContains(t, srv.exported("format="+format, who), "argon2")
			}
		}
		for who, status := range map[*header]int{&asNobody: 401, &asUser: 403} {
			srv.call("GET", "/users/export", "", *who).is(status)
		}
		assert.Contains(t, srv.exported("includePasswordHashes=true&search=ada", asRoot), `"`+argon2Hash+`"`)
		assert.Contains(t, srv.exported("includePasswordHashes=true&format=jsonl&disabled=false", asRoot), `"passwordHash":"`+argon2Hash+`"`)
		assert.NotContains(t, srv.exported("format=jsonl", asRoot), "asswordHash")

		events, _, total := srv.events("action=user.export")
		assert.Equal(t, 9.0, total, "each download, and no refusal")
		assert.Equal(t, map[string]any{"format": map[string]any{"after": "jsonl"}, "disabled": map[string]any{"after": "false"}, "includePasswordHashes": map[string]any{"after": true}}, events[1]["changes"])
		assert.Equal(t, "root", events[1]["actor"].(map[string]any)["id"])
		assert.Equal(t, map[string]any{"format": map[string]any{"after": "jsonl"}, "includePasswordHashes": map[string]any{"after": false}}, events[0]["changes"])
	})
}

// CSV injection (OWASP): strangers sign up with formulas as their names, which come back as they were when the file is imported.
func TestExportOfUsersRunsNoFormula(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		names := []string{`=HYPERLINK("https://evil.example","x")`, "+1", "-1", "@SUM(A1)", "＝1", "'=1", "' +1", "''@1", "'quoted'", "a=b", "O'Neill"}
		for i, name := range names {
			line, err := json.Marshal(map[string]string{"id": fmt.Sprint("u", i), "email": fmt.Sprintf("-u%d@example.com", i), "name": name})
			require.NoError(t, err)
			assert.Equal(t, "1 0 0 0 1", srv.upload("", asJSONL, string(line)).is(200).counts())
		}
		file := srv.exported("role=user&search=-")
		rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, len(names)+1)
		for i, name := range names {
			assert.Equal(t, fmt.Sprintf("'-u%d@example.com", i), rows[i+1][1])
			if i < 8 {
				assert.Equal(t, "'"+name, rows[i+1][3])
			} else {
				assert.Equal(t, name, rows[i+1][3], "what is harmless stays as it is")
			}
		}
		assert.Equal(t, fmt.Sprint("0 0 ", len(names), " 0 ", len(names)), srv.upload("onConflict=update", asCSV, file).is(200).counts(), "nothing has changed")
	})
}

// However many people, no more than a batch is in memory: each is sent before the next one is read, in one statement.
func TestExportOfUsersStreams(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.upload("", asCSV, strings.Join(strings.SplitAfter(tenThousand(), "\n")[:1201], "")).is(200)
		ctx, calls := storetest.Trace(t.Context())
		r := &reader{ResponseRecorder: httptest.NewRecorder()}
		r.flushed = func(n int) error {
			assert.Len(t, calls.List(), 1+2*n, "statements before batch %d was sent", n) // who alice is, each time, and that she exports
			return nil
		}
		srv.downloadFrom(ctx, r, "/users/export?format=jsonl")
		assert.Equal(t, 3, r.flushes)
		assert.Equal(t, []string{"R users", "R users", "W audit_events", "R users", "R users", "R users", "R users"}, calls.List())
		assert.Equal(t, 1203, strings.Count(r.Body.String(), "\n"))
	})
}

// Whoever reads slowly and is demoted meanwhile must not read on. The connection is broken, as what they have is a part.
func TestExportsEndWithTheRights(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.upload("", asCSV, strings.Join(strings.SplitAfter(tenThousand(), "\n")[:1201], "")).is(200)
		srv.large()
		for _, path := range []string{"/users/export?format=jsonl", "/audit/export?format=jsonl"} {
			srv.call("PATCH", "/users/alice", `{"role":"admin"}`, asRoot).is(200)
			r := &reader{ResponseRecorder: httptest.NewRecorder(), flushed: func(int) error {
				srv.call("PATCH", "/users/alice", `{"role":"user"}`, asRoot).is(200)
				return nil
			}}
			assert.PanicsWithValue(t, http.ErrAbortHandler, func() { srv.downloadFrom(t.Context(), r, path) }, path)
			assert.Equal(t, 1, r.flushes, path)
		}
	})
}

// What one server exports another one imports, in both formats, so that an export of that is the same.
func TestExportsComeBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		srv.upload("", asJSONL, `{"email":"ada@example.com","name":"=1+1","emailVerified":true,"image":"https://a.example/a.png","passwordHash":"`+argon2Hash+`","createdAt":"2020-01-02T03:04:05.678Z"}
{"email":"bob@example.com","name":"Bob, \"B\" '","role":"admin","disabled":true,"disabledReason":"left","disabledUntil":"2999-01-01T00:00:00.123Z"}
{"email":"cleo@example.com","name":"Kleopatra Φιλοπάτωρ","disabled":true}`, asRoot).is(200)
		for format, kind := range map[string]string{"csv": asCSV, "jsonl": asJSONL} {
			other := storetest.New
			if s.Dialect() == "postgres" {
				other = storetest.NewPostgres
			}
			target := newServer(t, other(t))
			for _, id := range []string{"alice", "ulla"} {
				require.NoError(t, target.store.DeleteUser(t.Context(), id, time.Now()))
			}
			query := "includePasswordHashes=true&format=" + format
			file := srv.exported(query, asRoot)
			a := target.upload("", kind, file, asRoot).is(200)
			assert.Equal(t, "5 0 0 1 6", a.counts(), a.Body) // root is there already
			assert.Equal(t, withoutRoot(file), withoutRoot(target.exported(query, asRoot)), format)
		}
	})
}

// withoutRoot returns the other lines, sorted: whoever came within one millisecond may come back in another order.
func withoutRoot(file string) []string {
	lines := slices.Sorted(strings.Lines(file))
	return slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "root@example.com") })
}
