package admin_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/store/storetest"
)

// A file that cannot be read on is imported up to there, and says where that is.
func TestImportOfBrokenFiles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		const good = "email,name\na@example.com,A\n"
		long := strings.Repeat("x", 70_000)
		for name, tt := range map[string]struct{ kind, body, want string }{
			"quotation mark inside":       {asCSV, good + "b@example.com,B\"B\nc@example.com,C\n", "3 BROKEN_LINE"},
			"quotation mark never closed": {asCSV, good + "\nb@example.com,\"B\nc@example.com,C\n", "4 BROKEN_LINE"},
			"the same, and a large file":  {asCSV, good + "b@example.com,\"B\n" + strings.Repeat("c@example.com,C\n", 10_000), "3 LINE_TOO_LONG"},
			"a line too long":             {asCSV, good + "b@example.com," + long + "\nc@example.com,C\n", "3 LINE_TOO_LONG"},
			"an object too long":          {asJSONL, `{"email":"a@example.com","name":"A"}` + "\n" + `{"email":"b@example.com","name":"` + long + `"}` + "\n{}\n", "2 LINE_TOO_LONG"},
		} {
			a := srv.upload("onConflict=skip", tt.kind, tt.body).is(200)
			assert.Equal(t, []string{tt.want}, a.refusals(), name)
			assert.Equal(t, false, a.body["complete"], name)
			assert.Equal(t, 1.0, a.body["lines"], name)
			assert.Equal(t, "A", srv.byEmail("a@example.com").Name)
		}
		a := srv.upload("", asCSV, "email,name\nb@example.com\nc@example.com,C,C\nd@example.com,\xff\ne@example.com,E\n").is(200)
		assert.Equal(t, []string{"2 FIELD_COUNT", "3 FIELD_COUNT", "4 INVALID_ENCODING"}, a.refusals())
		assert.Equal(t, "1 0 0 3 4", a.counts())

		for body, field := range map[string]string{
			"": "columns", "name\nX\n": "columns.email", "email,email\n": "columns.email", "email;name\n": "columns.email",
			"email,password_hash\nx@example.com,x\n": "columns.password_hash", "email,disabledAt\n": "columns.disabledAt", // mass assignment
		} {
			assert.NotEmpty(t, srv.upload("", asCSV, body).is(400, "VALIDATION_ERROR").errors()[field], body)
		}
		srv.upload("", asCSV, "email,\"x\n").is(400, "BROKEN_LINE")
		srv.upload("", asCSV, strings.Repeat("x", 100_000)).is(400, "LINE_TOO_LONG")
		assert.Equal(t, "0 0 0 0 0", srv.upload("", asCSV, "email\n").is(200).counts())
		assert.Equal(t, "0 0 0 0 0", srv.upload("", asJSONL, "\n").is(200).counts())
		srv.upload("", "application/json", `{"email":"x@example.com"}`).is(415, "UNSUPPORTED_MEDIA_TYPE")
		srv.upload("", "", "email\nx@example.com").is(415, "UNSUPPORTED_MEDIA_TYPE")
		srv.upload("onConflict=replace", asCSV, good).is(400, "VALIDATION_ERROR")
		for who, status := range map[*header]int{&asNobody: 401, &asUser: 403, {"Sec-Fetch-Site": "cross-site"}: 403} {
			srv.upload("", asCSV, "email\nx@example.com\n", *who).is(status)
		}
		_, _, total := srv.emails("search=x@")
		assert.Zero(t, total)
	})
}

// A password is taken as it is written. Without the apostrophe that it begins with, its owner could not sign in, and a shorter
// one could.
func TestImportTakesPasswordsToTheLetter(t *testing.T) {
	srv := newServer(t, storetest.New(t))
	const password = "'=correct horse"
	assert.Equal(t, "1 0 0 0 1", srv.upload("", asCSV, "email,name,password\na@example.com,'=A,"+password+"\n").is(200).counts())
	user, hasher := srv.byEmail("a@example.com"), &account.Hasher{}
	assert.Equal(t, "=A", user.Name)
	ok, _, err := hasher.Verify(t.Context(), user.PasswordHash, password)
	require.NoError(t, err)
	assert.True(t, ok)
}

// endless is a body that goes on and on.
type endless struct {
	line string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.line[e.at:])
	e.at = (e.at + n) % len(e.line)
	return n, nil
}

// A request cannot keep us busy for ever: its lines, its bytes and its slow hashes are limited.
func TestImportLimits(t *testing.T) {
	srv := newServer(t, storetest.New(t))
	send := func(body io.Reader, length int64) *answer {
		req := httptest.NewRequest("POST", "/api/admin/users/import?dryRun=true", body)
		req.ContentLength = length
		return srv.send(req, asJSONL)
	}
	a := send(&endless{line: strings.Repeat("{}\n", 10_000)}, -1).is(200)
	assert.Equal(t, "0 0 0 100000 100000", a.counts())
	assert.Equal(t, []any{false, true}, []any{a.body["complete"], a.body["truncatedErrors"]})
	refusals := a.refusals()
	require.Len(t, refusals, 1001)
	assert.Equal(t, "100001 TOO_MANY_LINES", refusals[1000])

	a = send(&endless{line: `{"` + strings.Repeat("x", 60_000) + "\":1}\n"}, -1).is(200)
	refusals = a.refusals()
	assert.Contains(t, refusals[len(refusals)-1], "PAYLOAD_TOO_LARGE")
	assert.Equal(t, false, a.body["complete"])
	send(strings.NewReader("{}"), 64<<20+1).is(413, "PAYLOAD_TOO_LARGE")

	var many strings.Builder
	for i := range 1002 {
		fmt.Fprintf(&many, "{\"email\":\"u%d@example.com\",\"password\":\"correct horse\"}\n", i)
	}
	a = srv.upload("dryRun=true", asJSONL, many.String()).is(200)
	assert.Equal(t, []string{"1001 TOO_MANY_PASSWORDS", "1002 TOO_MANY_PASSWORDS"}, a.refusals())
}
