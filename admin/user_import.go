package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"auth-service/export"
	"auth-service/problem"
	"auth-service/store"
)

const (
	// importBatch is how many lines are written in one transaction.
	importBatch = 500
	// importPatience is how long the next bytes of a body may take, and the answer.
	importPatience = 30 * time.Second
	// importedErrors is how many refused lines are told one by one.
	importedErrors = 1000
)

// Limits of a request.
const (
	maxImportBody      = 64 << 20
	maxImportLines     = 100_000
	maxImportPasswords = 1000 // each is hashed, which takes a core for a while
)

var (
	errTooManyLines = problem.New(http.StatusBadRequest, "TOO_MANY_LINES",
		"There are more lines than one request may have. Nothing was read from here on: send the rest with another request.")
	errTooManyPasswords = problem.New(http.StatusBadRequest, "TOO_MANY_PASSWORDS",
		"More lines have a password in clear than one request may have. Send this one with another request, or the hash instead.")
	errImportType = problem.New(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Send text/csv or application/jsonl.")
	errTooLarge   = problem.New(http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "The body is larger than 64 MiB. Send it in parts.")
)

// An Import brings people from a file into the database.
type Import struct {
	People People
	Actor  Actor
	Format string // export.CSV or export.JSONL
	// OnConflict says what becomes of a line whose address or id somebody has: store.ConflictFail and so on.
	OnConflict string
	DryRun     bool
	// Lines and Passwords are how many lines there may be, and how many of them with a password in clear; zero sets no limit.
	Lines, Passwords int
	// Refused learns of every refused line, and Progress how far it is after each batch. Both may be nil.
	Refused  func(ImportError)
	Progress func(*ImportReport)
}

// An ImportReport tells what became of the lines of a file.
type ImportReport struct {
	Created         int           `json:"created"`
	Updated         int           `json:"updated"`
	Skipped         int           `json:"skipped" doc:"Lines about people who were there and stayed as they were."`
	Refused         int           `json:"refused"`
	Lines           int           `json:"lines" doc:"Lines with a person; all of the above together."`
	Errors          []ImportError `json:"errors" doc:"The first 1,000 refused lines; and the one that could not be read, if there is one."`
	TruncatedErrors bool          `json:"truncatedErrors" doc:"True when more lines were refused than are listed."`
	Complete        bool          `json:"complete" doc:"False when the last error ended the import. The lines before it have been dealt with, the others have not."`
}

// An ImportError is why a line was refused.
type ImportError struct {
	Line    int               `json:"line" doc:"From 1, as an editor counts."`
	Email   string            `json:"email,omitempty"`
	Code    string            `json:"code"`
	Message string            `json:"message"`
	Errors  map[string]string `json:"errors,omitempty" doc:"By field."`
}

// Run imports r batch by batch, each of which stays whatever comes after it. With an error, which is the database's, the
// report tells how far it came; it is nil when the file cannot be read at all.
func (i *Import) Run(ctx context.Context, r io.Reader) (*ImportReport, error) {
	lines, err := readUsers(i.Format, r)
	if err != nil {
		return nil, err
	}
	run := &importRun{Import: i, rules: store.ImportRules{OnConflict: i.OnConflict}, report: &ImportReport{Errors: []ImportError{}}}
	if i.DryRun {
		run.rules.Rehearsal = &store.Rehearsal{}
	}
	for {
		batch, last, end := run.read(lines)
		if err := run.settle(ctx, batch); err != nil {
			return run.report, err
		}
		switch {
		case errors.Is(end, io.EOF):
			run.report.Complete = true
		case end != nil:
			run.end(last, end)
		}
		if i.Progress != nil {
			i.Progress(run.report)
		}
		if end != nil {
			return run.report, nil
		}
	}
}

// An importRun is an Import on its way.
type importRun struct {
	*Import
	rules     store.ImportRules
	report    *ImportReport
	passwords int
}

// read returns the next batch. An error says why none comes after it, and last is the line that could not be read.
func (r *importRun) read(lines userLines) (batch []userLine, last userLine, err error) {
	for len(batch) < importBatch {
		line, err := lines.next()
		if err == nil && r.Lines > 0 && r.report.Lines+len(batch) == r.Lines {
			err = errTooManyLines
		}
		if err != nil {
			return batch, line, err
		}
		if line.person.Password != nil {
			if r.passwords++; r.Passwords > 0 && r.passwords > r.Passwords {
				line.err = errTooManyPasswords
			}
		}
		batch = append(batch, line)
	}
	return batch, last, nil
}

// settle imports a batch and reports what became of its lines. It fails with the first one that nothing was done about.
func (r *importRun) settle(ctx context.Context, batch []userLine) error {
	var people []store.UserImport
	for _, line := range batch {
		if line.err == nil {
			people = append(people, line.person)
		}
	}
	var results []store.Imported
	var err error
	if len(people) > 0 {
		err = stillAllowed(ctx)
	}
	if len(people) > 0 && err == nil {
		results, err = r.People.ImportUsers(ctx, r.Actor.Actor, people, r.rules)
	}
	for _, line := range batch {
		result := store.Imported{Err: line.err}
		if line.err == nil {
			if len(results) == 0 {
				r.end(line, err)
				return err
			}
			result, results = results[0], results[1:]
		}
		r.count(line, result)
	}
	return nil
}

func (r *importRun) count(line userLine, result store.Imported) {
	r.report.Lines++
	switch {
	case result.Err != nil:
		r.report.Refused++
		refusal := describe(line, emailTaken(result.Err))
		if r.Refused != nil {
			r.Refused(refusal)
		}
		if len(r.report.Errors) < importedErrors {
			r.report.Errors = append(r.report.Errors, refusal)
		} else {
			r.report.TruncatedErrors = true
		}
	case result.Outcome == store.ImportCreated:
		r.report.Created++
	case result.Outcome == store.ImportUpdated:
		r.report.Updated++
	default:
		r.report.Skipped++
	}
}

// end reports where the import ended before its time.
func (r *importRun) end(line userLine, err error) {
	refusal := describe(line, err)
	if r.Refused != nil {
		r.Refused(refusal)
	}
	r.report.Errors = append(r.report.Errors, refusal)
}

func describe(line userLine, err error) ImportError {
	p := problem.Of(err)
	out := ImportError{Line: line.number, Code: p.Code, Message: p.Detail, Errors: p.Fields}
	if email := line.person.Email; email != nil && len(*email) <= 254 {
		out.Email = *email
	}
	return out
}

func importOfUsers() huma.Operation {
	op := aboutUsers(operation("importUsers", http.MethodPost, "/users/import", "Create or change many people from a file", http.StatusOK,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType))
	op.Description = "The body is read while it arrives: up to 100,000 lines and 64 MiB, 1,000 lines with a password in clear. Each line is carried out " +
		"whole or not at all, and a line that is refused leaves the others alone. Fields are those of the export, email alone is required, and " +
		"a line with any other field is refused. passwordHash is an Argon2id hash in PHC format. Only a superadmin may give a role above user. " +
		"With onConflict=update a person who has the id, or else the address, gets the fields that the line has; never another id, " +
		"password or createdAt. What is empty or null says nothing."
	text := func(what string) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: what}}
	}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		export.TypeCSV:   text("A line that names the columns, and one for each person, in UTF-8. An apostrophe that the export put before a formula is taken away."),
		export.TypeJSONL: text("One JSON object for each person and line."),
	}}
	return op
}

type importUsersRequest struct {
	DryRun     bool   `query:"dryRun" doc:"Find out everything and write nothing."`
	OnConflict string `query:"onConflict" enum:"fail,skip,update" default:"fail" doc:"What becomes of a line whose address or id somebody has: it is refused, passed over, or changes that person."`

	format     string
	body       io.Reader
	connection *http.ResponseController
}

// Resolve takes the body as it arrives.
func (in *importUsersRequest) Resolve(ctx huma.Context) []error {
	c := humaecho.Unwrap(ctx)
	request := c.Request()
	if request.ContentLength > maxImportBody {
		return []error{errTooLarge}
	}
	kind, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == export.TypeCSV:
		in.format = export.CSV
	case err == nil && kind == export.TypeJSONL:
		in.format = export.JSONL
	default:
		return []error{errImportType}
	}
	in.connection = http.NewResponseController(c.Response().Writer)
	in.body = &patient{http.MaxBytesReader(c.Response().Writer, request.Body, maxImportBody), in.connection}
	return nil
}

// patient waits for the next bytes of a body, but not for ever. The deadline of the server is about all of a body; and when
// one runs out between two reads, the server takes its caller for gone.
type patient struct {
	io.Reader
	connection *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.connection.SetReadDeadline(time.Now().Add(importPatience)) // by the real clock; connections without one have no slow senders
	defer func() { _ = p.connection.SetReadDeadline(time.Time{}) }()
	n, err := p.Reader.Read(b)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		err = errTooLarge
	}
	return n, err
}

type importUsersResponse struct{ Body ImportReport }

func (h *Handler) importUsers(ctx context.Context, in *importUsersRequest) (*importUsersResponse, error) {
	people := &Import{
		People: h.People, Actor: actorIn(ctx), Format: in.format, OnConflict: in.OnConflict, DryRun: in.DryRun,
		Lines: maxImportLines, Passwords: maxImportPasswords,
	}
	report, err := people.Run(ctx, in.body)
	_, _ = io.Copy(io.Discard, in.body) // whoever still sends would not see the answer
	_ = in.connection.SetWriteDeadline(time.Now().Add(importPatience))
	if err != nil && (report == nil || report.Lines == 0) {
		return nil, err
	}
	if err != nil {
		h.Log.Error().Err(err).Int("lines", report.Lines).Msg("import of users broke off")
	}
	return &importUsersResponse{*report}, nil
}
