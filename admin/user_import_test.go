package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

const (
	asCSV, asJSONL = "text/csv", "application/jsonl"
	argon2Hash     = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQxMjM0NTY$c29tZWtleTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA"
)

// upload sends a file as alice, unless the headers say who.
func (s *server) upload(query, contentType, body string, headers ...header) *answer {
	s.t.Helper()
	return s.call("POST", "/users/import?"+query, body, append([]header{{"Content-Type": contentType}}, headers...)...)
}

// send sends a file that is no text as alice.
func (s *server) send(req *http.Request, contentType string) *answer {
	s.t.Helper()
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Cookie", "who=alice")
	a := &answer{ResponseRecorder: httptest.NewRecorder(), t: s.t}
	s.echo.ServeHTTP(a.ResponseRecorder, req)
	require.NoError(s.t, json.Unmarshal(a.Body.Bytes(), &a.body))
	return a
}

// counts are created, updated, skipped and refused, and how many lines there were.
func (a *answer) counts() string {
	a.t.Helper()
	return fmt.Sprint(a.body["created"], a.body["updated"], a.body["skipped"], a.body["refused"], a.body["lines"])
}

// refusals are line, code and the fields that are wrong.
func (a *answer) refusals() []string {
	a.t.Helper()
	var out []string
	for _, item := range a.body["errors"].([]any) {
		e := item.(map[string]any)
		line := fmt.Sprint(e["line"], " ", e["code"])
		fields, _ := e["errors"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			line += " " + name
		}
		assert.NotEmpty(a.t, e["message"])
		out = append(out, line)
	}
	return out
}

func (s *server) byEmail(email string) *store.User {
	s.t.Helper()
	u, err := s.store.UserByEmail(s.t.Context(), email)
	require.NoError(s.t, err)
	return u
}

func TestImportUsers(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		table := "\ufeffemail,name,emailVerified,image,role,id,passwordHash,disabled,disabledReason,disabledUntil,createdAt\r\n" +
			"Ada@Example.com, Ada ,true,https://a.example/a.png,user,ada-1,\"" + argon2Hash + "\",,,,2020-02-29T12:00:00Z\r\n" +
			"\r\n" +
			"bob@example.com,,,,,,,true,\"left, for good\",,\r\n" +
			"cleo@example.com,'=Cleo,,,,,,false,,,\r\n"
		a := srv.upload("", asCSV+"; charset=utf-8", table).is(200)
		assert.Equal(t, "3 0 0 0 3", a.counts(), a.Body)
		assert.Equal(t, []any{true, false}, []any{a.body["complete"], a.body["truncatedErrors"]})
		ada := srv.user("ada-1")
		assert.Equal(t, []any{"ada@example.com", "Ada", true, "https://a.example/a.png", "user", argon2Hash}, []any{ada.Email, ada.Name, ada.EmailVerified, ada.Image, ada.Role, ada.PasswordHash})
		assert.Equal(t, time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC), ada.CreatedAt)
		bob := srv.byEmail("bob@example.com")
		assert.Equal(t, []any{"bob", false, "user", "", "left, for good"}, []any{bob.Name, bob.EmailVerified, bob.Role, bob.PasswordHash, bob.DisabledReason})
		assert.True(t, bob.Disabled(time.Now()))
		assert.Equal(t, "=Cleo", srv.byEmail("cleo@example.com").Name)
		assert.False(t, srv.byEmail("cleo@example.com").Disabled(time.Now()))

		objects := `{"email":"dan@example.com","name":"Dan","password":"correct horse battery","role":null}` + "\n\n" + `{"email":"eve@example.com","disabled":true,"disabledUntil":"2999-01-01T00:00:00Z"}`
		a = srv.upload("", asJSONL, objects).is(200)
		assert.Equal(t, "2 0 0 0 2", a.counts(), a.Body)
		assert.Regexp(t, `^\$argon2id\$v=19\$m=64,t=1,p=1\$`, srv.byEmail("dan@example.com").PasswordHash)
		assert.True(t, srv.byEmail("eve@example.com").Disabled(time.Now()))

		// Each person's trail begins with the import, and one event tells of the batch. No event tells a hash.
		trail := srv.trail("ada-1")
		require.Len(t, trail, 1)
		assert.Equal(t, []string{"user.create", "alice"}, []string{trail[0].Action, trail[0].ActorID})
		assert.Equal(t, store.Change{After: "ada@example.com"}, trail[0].Changes["email"])
		assert.Equal(t, map[string]store.Change{"email": {After: "bob@example.com"}, "name": {After: "bob"}, "role": {After: "user"}, "disabled": {After: true},
			"disabledReason": {After: "left, for good"}}, srv.trail(bob.ID)[0].Changes)
		batches, _, _ := srv.events("action=user.import")
		require.Len(t, batches, 2)
		assert.Equal(t, map[string]any{"created": map[string]any{"after": 3.0}}, batches[1]["changes"])
		events, _, _ := srv.events("action=user.")
		assert.Len(t, events, 7)
		assert.NotContains(t, fmt.Sprint(events), "argon2")
	})
}

// All that is wrong with a line is said at once, and the others go through.
func TestImportRefusesLines(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, client := srv.create(webApplication)
		lines := []struct{ line, want string }{
			{`{"email":"ok@example.com"}`, ""},
			{`{"email":"no address","name":"\u0000","image":"javascript:alert(1)","role":"god","emailVerified":"yes","createdAt":"yesterday"}`,
				"VALIDATION_ERROR createdAt email emailVerified image name role"},
			{`{"name":"X"}`, "VALIDATION_ERROR email"},
			{`{"email":5}`, "VALIDATION_ERROR email"},
			{`[]`, "INVALID_JSON"},
			{`null`, "INVALID_JSON"},
			{`{"email":"x@example.com"`, "INVALID_JSON"},
			{"{\"email\":\"x@example.com\",\"name\":\"\xff\"}", "INVALID_ENCODING"},
			// Mass assignment: fields that exist in the database, or that somebody hopes exist.
			{`{"email":"x@example.com","disabledAt":"2020-01-01T00:00:00Z","Role":"admin","mfa":false}`, "VALIDATION_ERROR Role disabledAt mfa"},
			{`{"email":"x@example.com","id":"no/slash"}`, "VALIDATION_ERROR id"},
			{`{"email":"x@example.com","id":"` + strings.Repeat("a", 65) + `"}`, "VALIDATION_ERROR id"},
			// The tokens of somebody with the id of a client would pass for the client's own (RFC 9068 §5).
			{`{"email":"x@example.com","id":"` + client + `"}`, "VALIDATION_ERROR id"},
			{`{"email":"x@example.com","id":"ulla"}`, "ID_TAKEN"},
			{`{"email":"ULLA@example.com"}`, "EMAIL_TAKEN email"},
			{`{"email":"ok@example.com"}`, "EMAIL_TAKEN email"}, // of the first line
			{`{"email":"x@example.com","password":"short"}`, "VALIDATION_ERROR password"},
			{`{"email":"x@example.com","password":"correct horse","passwordHash":"` + argon2Hash + `"}`, "VALIDATION_ERROR passwordHash"},
			// A hash that costs more than we can pay whenever somebody signs in, or is none.
			{`{"email":"x@example.com","passwordHash":"` + strings.Replace(argon2Hash, "m=64", "m=65537", 1) + `"}`, "VALIDATION_ERROR passwordHash"},
			{`{"email":"x@example.com","passwordHash":"` + strings.Replace(argon2Hash, "t=1", "t=11", 1) + `"}`, "VALIDATION_ERROR passwordHash"},
			{`{"email":"x@example.com","passwordHash":"` + strings.Replace(argon2Hash, "p=1", "p=9", 1) + `"}`, "VALIDATION_ERROR passwordHash"},
			{`{"email":"x@example.com","passwordHash":"` + strings.Replace(argon2Hash, "p=1", "p=1x", 1) + `"}`, "VALIDATION_ERROR passwordHash"},
			{`{"email":"x@example.com","passwordHash":"` + strings.Replace(argon2Hash, "argon2id", "argon2i", 1) + `"}`, "VALIDATION_ERROR passwordHash"},
			{`{"email":"x@example.com","passwordHash":"$2b$10$abcdefghijklmnopqrstuv"}`, "VALIDATION_ERROR passwordHash"},
			{`{"email":"x@example.com","createdAt":"2999-01-01T00:00:00Z"}`, "VALIDATION_ERROR createdAt"},
			{`{"email":"x@example.com","updatedAt":"0001-01-01T00:00:00Z"}`, "VALIDATION_ERROR updatedAt"},
			{`{"email":"x@example.com","disabledReason":"x","disabledUntil":"2999-01-01T00:00:00Z"}`, "VALIDATION_ERROR disabledReason disabledUntil"},
			{`{"email":"x@example.com","disabled":true,"disabledReason":"` + strings.Repeat("x", 501) + `"}`, "VALIDATION_ERROR disabledReason"},
			{`{"email":"last@example.com"}`, ""},
		}
		var body string
		var want []string
		for i, l := range lines {
			body += l.line + "\n"
			if l.want != "" {
				want = append(want, fmt.Sprint(i+1, " ", l.want))
			}
		}
		a := srv.upload("", asJSONL, body).is(200)
		assert.Equal(t, want, a.refusals())
		assert.Equal(t, fmt.Sprint("2 0 0 ", len(want), " ", len(lines)), a.counts())
		assert.Equal(t, true, a.body["complete"])
		first := a.body["errors"].([]any)[11].(map[string]any)
		assert.Equal(t, "x@example.com", first["email"])
		_, _, total := srv.emails("")
		assert.Equal(t, 5.0, total, "the two that are good, and the three who were there")
	})
}

// Privilege escalation: neither an admin nor a machine makes or touches administrators with a file.
func TestImportKeepsTheLadder(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		file := "email,role,name\nx@example.com,superadmin,X\ny@example.com,admin,Y\nroot@example.com,,Mallory\nroot@example.com,user,root\nulla@example.com,admin,Ulla\nz@example.com,user,Z\n"
		for _, who := range []header{{}, bearer("machine"), bearer("delegated")} {
			a := srv.upload("onConflict=update", asCSV, file, who).is(200)
			assert.Equal(t, []string{"2 SUPERADMIN_REQUIRED", "3 SUPERADMIN_REQUIRED", "4 SUPERADMIN_REQUIRED", "5 SUPERADMIN_REQUIRED", "6 SUPERADMIN_REQUIRED"}, a.refusals())
			assert.Equal(t, "ulla", srv.user("ulla").Name, "a refused line changes nothing")
			assert.Equal(t, "root", srv.user("root").Name)
		}
		a := srv.upload("", asCSV, file, asRoot).is(200)
		assert.Equal(t, []string{"4 EMAIL_TAKEN email", "5 EMAIL_TAKEN email", "6 EMAIL_TAKEN email", "7 EMAIL_TAKEN email"}, a.refusals())
		assert.Equal(t, "superadmin", srv.byEmail("x@example.com").Role)
		assert.Equal(t, "admin", srv.byEmail("y@example.com").Role)
	})
}

// What is refused when some of it has been written leaves the other lines of the batch alone, and itself nothing behind.
func TestImportRefusesHalfALine(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		file := `{"email":"new@example.com"}
{"email":"root@example.com","name":"Changed","role":"user"}
{"email":"root@example.com","name":"Changed","disabled":true}
{"email":"ulla@example.com","name":"Ulla U"}`
		a := srv.upload("onConflict=update", asJSONL, file, asRoot).is(200)
		assert.Equal(t, []string{"2 LAST_SUPERADMIN", "3 CANNOT_DISABLE_SELF"}, a.refusals())
		assert.Equal(t, "1 1 0 2 4", a.counts())
		assert.Equal(t, []any{"root", "superadmin"}, []any{srv.user("root").Name, srv.user("root").Role})
		assert.Empty(t, srv.trail("root"))
		assert.Equal(t, "Ulla U", srv.user("ulla").Name)
		assert.Len(t, srv.trail("ulla"), 1)
		assert.Len(t, srv.trail(srv.byEmail("new@example.com").ID), 1)
	})
}

func TestImportOntoWhoIsThere(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.person("bob", store.RoleUser)
		srv.person("cleo", store.RoleUser)
		hash := srv.user("bob").PasswordHash
		file := `{"email":"bob@example.com","name":"Bob","passwordHash":"` + argon2Hash + `","createdAt":"2020-01-01T00:00:00Z"}
{"id":"cleo","email":"cleopatra@example.com"}
{"email":"ulla@example.com","name":"ulla"}
{"email":"new@example.com","name":"First"}
{"email":"new@example.com","name":"Second"}
{"id":"other","email":"bob@example.com"}
{"id":"cleo","email":"bob@example.com"}`
		a := srv.upload("onConflict=skip", asJSONL, file).is(200)
		assert.Equal(t, "1 0 6 0 7", a.counts(), a.Body)
		assert.Equal(t, "bob", srv.user("bob").Name)
		assert.Equal(t, "First", srv.byEmail("new@example.com").Name)

		srv.session("bob")
		srv.session("cleo")
		a = srv.upload("onConflict=update", asJSONL, file).is(200)
		assert.Equal(t, []string{"6 ID_DIFFERS", "7 EMAIL_TAKEN email"}, a.refusals())
		assert.Equal(t, "0 3 2 2 7", a.counts(), "one is as she was, and one as the last import left them")
		bob := srv.user("bob")
		assert.Equal(t, []any{"Bob", hash}, []any{bob.Name, bob.PasswordHash}, "nobody's password is replaced by a file")
		assert.NotEqual(t, 2020, bob.CreatedAt.Year())
		assert.Equal(t, 1, srv.signedIn("bob"))
		assert.Equal(t, "cleopatra@example.com", srv.user("cleo").Email)
		assert.Zero(t, srv.signedIn("cleo"), "a new address ends sessions, as elsewhere")
		assert.Equal(t, "Second", srv.byEmail("new@example.com").Name)
		assert.Empty(t, srv.trail("ulla"), "a change of nothing is recorded")
		assert.Equal(t, "user.update", srv.trail("bob")[0].Action)

		a = srv.upload("onConflict=update", asCSV, "email,disabled,disabledReason\nbob@example.com,true,left\nbob@example.com,true,left\nbob@example.com,,\n").is(200)
		assert.Equal(t, "0 1 2 0 3", a.counts(), a.Body)
		assert.Zero(t, srv.signedIn("bob"))
		assert.Equal(t, "left", srv.user("bob").DisabledReason)
		a = srv.upload("onConflict=update", asCSV, "email,disabled\nbob@example.com,false\n").is(200)
		assert.Equal(t, "0 1 0 0 1", a.counts(), a.Body)
		assert.False(t, srv.user("bob").Disabled(time.Now()))

		srv.upload("onConflict=update", asCSV, "email\nbob@example.com\n").is(200)
		events, _, _ := srv.events("action=user.import")
		assert.Len(t, events, 4, "nothing changed, so nothing is recorded")
	})
}

// rows counts what there is.
func (s *server) rows() (users, events float64) {
	s.t.Helper()
	_, _, users = s.emails("")
	_, _, events = s.events("")
	return users, events
}

// A dry run says what would happen, also to lines about people of other lines and batches, and writes nothing.
func TestImportDryRun(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		var file strings.Builder
		for i := range 600 {
			fmt.Fprintf(&file, "{\"email\":\"u%d@example.com\",\"id\":\"u%d\",\"password\":\"correct horse\"}\n", i, i)
		}
		file.WriteString(`{"email":"U1@example.com","name":"Other"}
{"email":"u2@example.com","id":"u2"}
{"email":"ulla@example.com","name":"Other"}
{"email":"root@example.com","name":"Other"}
{"email":"nobody"}`)
		users, events := srv.rows()
		for conflict, want := range map[string]string{"fail": "600 0 0 5 605", "skip": "600 0 4 1 605", "update": "600 2 1 2 605"} {
			a := srv.upload("dryRun=true&onConflict="+conflict, asJSONL, file.String()).is(200)
			assert.Equal(t, want, a.counts(), conflict)
			now, recorded := srv.rows()
			assert.Equal(t, []float64{users, events}, []float64{now, recorded}, conflict)
		}
		assert.Equal(t, "ulla", srv.user("ulla").Name)
		for _, conflict := range []string{"skip", "fail"} {
			rehearsed := srv.upload("dryRun=true&onConflict="+conflict, asJSONL, file.String()).is(200)
			assert.Equal(t, rehearsed.body, srv.upload("onConflict="+conflict, asJSONL, file.String()).is(200).body, "what happens is what was foretold")
		}
	})
}

// tenThousand is a file with as many people.
func tenThousand() string {
	var file strings.Builder
	file.WriteString("id,email,name\n")
	for i := range 10_000 {
		fmt.Fprintf(&file, "u%05d,u%05d@example.com,Name %d\n", i, i, i)
	}
	return file.String()
}

// A batch of 500 lines is one transaction of two inserts of people and events.
func TestImportStatements(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		ctx, calls := storetest.Trace(t.Context())
		file := tenThousand()
		assert.Equal(t, "10000 0 0 0 10000", srv.callWith(ctx, "POST", "/users/import", file, header{"Content-Type": asCSV}).is(200).counts())
		made := calls.List()
		assert.Equal(t, []string{"R users", "R users", "R clients", "BEGIN", "W users", "W audit_events", "COMMIT"}, made[:7]) // who alice is, also before each batch
		assert.Len(t, made, 1+20*6)

		calls.Reset()
		assert.Equal(t, "0 0 10000 0 10000", srv.callWith(ctx, "POST", "/users/import?onConflict=update", file, header{"Content-Type": asCSV}).is(200).counts())
		assert.Equal(t, []string{"R users", "R users", "R clients", "BEGIN", "W users", "R users", "COMMIT"}, calls.List()[:7])
		assert.Len(t, calls.List(), 1+20*6)
	})
}

// sending is a part of a body before which something happens.
type sending func()

func (s sending) Read([]byte) (int, error) {
	s()
	return 0, io.EOF
}

// A body may arrive for hours. Whoever begins to send one and is disabled, or demoted, must not go on to make superadmins.
func TestImportEndsWithTheRights(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		var first strings.Builder
		for i := range 500 {
			fmt.Fprintf(&first, "{\"email\":\"u%d@example.com\"}\n", i)
		}
		for i, role := range []string{store.RoleUser, store.RoleAdmin} {
			srv.call("PATCH", "/users/alice", `{"role":"superadmin"}`, asRoot).is(200)
			rest := strings.Repeat("\n", 70_000) + fmt.Sprintf(`{"email":"eve%d@example.com","role":"superadmin"}`, i)
			body := io.MultiReader(strings.NewReader(first.String()), sending(func() {
				srv.call("PATCH", "/users/alice", `{"role":"`+role+`"}`, asRoot).is(200)
			}), strings.NewReader(rest))
			a := srv.send(httptest.NewRequest("POST", "/api/admin/users/import?onConflict=skip", body), asJSONL)
			assert.Equal(t, 500.0, a.is(200).body["lines"], a.Body)
			assert.Equal(t, []string{"70501 FORBIDDEN"}, a.refusals())
			assert.Equal(t, false, a.body["complete"])
			_, err := srv.store.UserByEmail(t.Context(), fmt.Sprintf("eve%d@example.com", i))
			assert.ErrorIs(t, err, store.ErrNotFound)
		}
	})
}

// failing is a body that breaks off, as a connection does.
type failing struct {
	io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

// Whoever is killed, hangs up or loses the database in the middle leaves whole batches behind, with their events.
func TestImportBreaksOff(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		lines := strings.SplitAfter(tenThousand(), "\n")
		body := failing{strings.NewReader(strings.Join(lines[:1701], "")), io.ErrUnexpectedEOF}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		commits := 0
		ctx = store.Observe(ctx, func(c store.Call) {
			if c.Kind == "COMMIT" {
				commits++
			}
			if commits == 3 && c.Table == "audit_events" { // in the midst of the fourth batch
				cancel()
			}
		})
		req := httptest.NewRequest("POST", "/api/admin/users/import", body).WithContext(ctx)
		req.Header.Set("Content-Type", asCSV)
		req.Header.Set("Cookie", "who=alice")
		srv.echo.ServeHTTP(httptest.NewRecorder(), req)
		_, _, total := srv.emails("search=u0")
		assert.Equal(t, 1500.0, total)
		_, _, created := srv.events("action=user.create")
		assert.Equal(t, 1500.0, created)
		_, _, batches := srv.events("action=user.import")
		assert.Equal(t, 3.0, batches)

		req = httptest.NewRequest("POST", "/api/admin/users/import?onConflict=skip", body) // from the start, without what broke off
		req.Body = io.NopCloser(failing{strings.NewReader(strings.Join(lines[:1701], "")), io.ErrUnexpectedEOF})
		a := srv.send(req, asCSV)
		assert.Equal(t, "200 0 1500 0 1700", a.is(200).counts(), a.Body)
		assert.Equal(t, []string{"1702 BAD_REQUEST"}, a.refusals())
		assert.Equal(t, false, a.body["complete"])
	})
}

// Two files with the same people at the same time: each person is created once, and no file fails.
func TestImportsTogether(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		lines := strings.SplitAfter(tenThousand(), "\n")[:1001]
		backwards := append([]string{lines[0]}, lines[1:]...)
		slices.Reverse(backwards[1:])
		var wg sync.WaitGroup
		answers := make([]*answer, 4)
		for i, file := range []string{strings.Join(lines, ""), strings.Join(backwards, ""), strings.Join(lines, ""), strings.Join(backwards, "")} {
			wg.Go(func() { answers[i] = srv.upload("onConflict=update", asCSV, file) })
		}
		wg.Wait()
		created := 0.0
		for _, a := range answers {
			created += a.is(200).body["created"].(float64)
			assert.Equal(t, 0.0, a.body["refused"], a.Body)
			assert.Equal(t, 1000.0, a.body["lines"])
		}
		assert.Equal(t, 1000.0, created)
	})
}
