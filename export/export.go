// Package export sends lists, however long, as files: a table for spreadsheets, or one JSON object per line. It knows nothing of
// what is in them, or of who may have it. Start with Export.
package export

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/rs/zerolog"

	"auth-service/store"
)

const (
	// batchSize is how many rows are in memory at a time.
	batchSize = 500
	// patience is how long the database may take for a batch, and the reader to take it.
	patience = 30 * time.Second
)

// The formats of what is exported and imported.
const (
	CSV   = "csv"
	JSONL = "jsonl"
)

// The media types of the formats.
const (
	TypeCSV   = "text/csv"
	TypeJSONL = "application/jsonl"
)

// An Export sends a list, however long, as a table or as one object per line. R is a row of the store, T what it looks like.
type Export[R, T any] struct {
	// Page reads the rows after a position; nil for the first ones.
	Page    func(ctx context.Context, limit int, after *store.Position) (*store.Page[R], error)
	At      func(*R) store.Position
	Show    func(*R) T
	Columns []string
	Cells   func(*T) ([]string, error)
	// Allowed is asked before each batch but the first one: what goes on for as long as somebody reads must not outlive the rights
	// with which it began. Nil where there is nobody to ask about.
	Allowed func(ctx context.Context) error
}

// A receiver takes an export. begin and end are around each batch.
type receiver struct {
	io.Writer
	begin func()
	end   func() error
}

// A File is how an export is answered: under which name, to which the time is added, and in which format.
type File struct {
	Name, Format string
	Now          func() time.Time
	Log          zerolog.Logger
}

// First reads the first batch. Read it before anything is sent, so that what goes wrong at once is answered as a problem.
func (e *Export[R, T]) First(ctx context.Context) (*store.Page[R], error) { return e.batch(ctx, nil) }

func (e *Export[R, T]) batch(ctx context.Context, after *store.Position) (*store.Page[R], error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return e.Page(ctx, batchSize, after)
}

// Answer sends the export, of which the first batch has been read, as a file.
func (e *Export[R, T]) Answer(f File, first *store.Page[R]) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		name := f.Name + "-" + f.Now().UTC().Format("20060102T150405Z") + "." + f.Format
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		ctx.SetHeader("Content-Type", contentType(f.Format))
		connection := http.NewResponseController(humaecho.Unwrap(ctx).Response().Writer)
		to := receiver{ctx.BodyWriter(), func() {
			_ = connection.SetWriteDeadline(time.Now().Add(patience)) // by the real clock; connections without one have no slow readers
		}, connection.Flush}
		if err := e.write(ctx.Context(), f.Format, to, first); err != nil {
			f.Log.Warn().Err(err).Str("export", f.Name).Msg("export broke off")
			// The status has been sent. Ending here would make a part of the list look like all of it; this breaks the connection.
			panic(http.ErrAbortHandler)
		}
	}}
}

// Write sends the export, of which the first batch has been read, to w. What was written before an error is a part.
func (e *Export[R, T]) Write(ctx context.Context, format string, w io.Writer, first *store.Page[R]) error {
	return e.write(ctx, format, receiver{w, func() {}, func() error { return nil }}, first)
}

func contentType(format string) string {
	if format == CSV {
		return TypeCSV + "; charset=utf-8; header=present"
	}
	return TypeJSONL
}

// write sends batch after batch until there are no more, or nobody who reads them. No batch is read before the one before
// it is on its way, and no transaction stays open for a slow reader.
func (e *Export[R, T]) write(ctx context.Context, format string, to receiver, page *store.Page[R]) error {
	send := e.lines(to)
	if format == CSV {
		send = e.table(to)
	}
	for {
		to.begin()
		if err := send(page.Items); err != nil {
			return fmt.Errorf("send export: %w", err)
		}
		if err := to.end(); err != nil {
			return fmt.Errorf("send export: %w", err)
		}
		if !page.More {
			return nil
		}
		if e.Allowed != nil {
			if err := e.Allowed(ctx); err != nil {
				return err
			}
		}
		after := e.At(&page.Items[len(page.Items)-1])
		var err error
		if page, err = e.batch(ctx, &after); err != nil {
			return err
		}
	}
}

func (e *Export[R, T]) lines(w io.Writer) func([]R) error {
	lines := json.NewEncoder(w)
	return func(rows []R) error {
		for i := range rows {
			if err := lines.Encode(e.Show(&rows[i])); err != nil {
				return err
			}
		}
		return nil
	}
}

func (e *Export[R, T]) table(w io.Writer) func([]R) error {
	table, header := csv.NewWriter(w), e.Columns
	return func(rows []R) error {
		if header != nil {
			_ = table.Write(header) // an error stays until Flush
			header = nil
		}
		for i := range rows {
			shown := e.Show(&rows[i])
			cells, err := e.Cells(&shown)
			if err != nil {
				return err
			}
			for i := range cells {
				cells[i] = inert(cells[i])
			}
			_ = table.Write(cells)
		}
		table.Flush()
		return table.Error()
	}
}

// Responses documents an export of things such as events, each of which is shown as the schema with the given name.
func Responses(things, schema string, columns []string) map[string]*huma.Response {
	text := func(what string) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: what}}
	}
	return map[string]*huma.Response{"200": {
		Description: "All " + things + " that the filters select, however many. A download that breaks off is not complete.",
		Content: map[string]*huma.MediaType{
			TypeCSV: text("One line for each, after one with the names of the columns: " + strings.Join(columns, ", ") +
				". A value that a spreadsheet would run as a formula has an apostrophe before it."),
			TypeJSONL: text("One " + schema + " per line."),
		},
		Headers: map[string]*huma.Param{"Content-Disposition": {
			Description: "attachment, with the name of a file.", Schema: &huma.Schema{Type: huma.TypeString},
		}},
	}}
}

// inert keeps spreadsheets from running a cell as a formula, which strangers could write: the user agent, or the name that
// they signed up with. An apostrophe that is there already gets another one, so that Original finds back.
func inert(cell string) string {
	if formula(cell) {
		return "'" + cell
	}
	return cell
}

// Original undoes that. What the export would not have written stays as it is.
func Original(cell string) string {
	if rest, marked := strings.CutPrefix(cell, "'"); marked && formula(rest) {
		return rest
	}
	return cell
}

// formula reports whether a spreadsheet might run a cell. They look past leading blanks, and take the wide forms for the plain ones.
func formula(cell string) bool {
	first := strings.TrimLeft(cell, "' \u00a0\u3000")
	return first != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(first)[0])
}
