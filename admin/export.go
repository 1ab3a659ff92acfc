package admin

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

	"auth-service/store"
)

const (
	// exportBatch is how many rows are in memory at a time.
	exportBatch = 500
	// exportPatience is how long the database may take for a batch, and the reader to take it.
	exportPatience = 30 * time.Second
)

// The formats of what is exported and imported.
const (
	FormatCSV   = "csv"
	FormatJSONL = "jsonl"
)

const (
	typeCSV   = "text/csv"
	typeJSONL = "application/jsonl"
)

// An export sends a list, however long, as a table or as one object per line. R is a row of the store, T what it looks like.
type export[R, T any] struct {
	page    func(ctx context.Context, limit int, after *store.Position) (*store.Page[R], error)
	at      func(*R) store.Position
	show    func(*R) T
	columns []string
	cells   func(*T) ([]string, error)
}

// A receiver takes an export. begin and end are around each batch.
type receiver struct {
	io.Writer
	begin func()
	end   func() error
}

// batch reads the rows after a position; nil for the first ones.
func (e *export[R, T]) batch(ctx context.Context, after *store.Position) (*store.Page[R], error) {
	ctx, cancel := context.WithTimeout(ctx, exportPatience)
	defer cancel()
	return e.page(ctx, exportBatch, after)
}

// answer sends the export as a file that is called name and the time. The first batch has been read before anything is
// sent, so that what goes wrong at once is answered as a problem.
func (e *export[R, T]) answer(h *Handler, name, format string, first *store.Page[R]) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		file := name + "-" + h.Now().UTC().Format("20060102T150405Z") + "." + format
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+file+`"`)
		ctx.SetHeader("Content-Type", exportType(format))
		connection := http.NewResponseController(humaecho.Unwrap(ctx).Response().Writer)
		to := receiver{ctx.BodyWriter(), func() {
			_ = connection.SetWriteDeadline(time.Now().Add(exportPatience)) // by the real clock; connections without one have no slow readers
		}, connection.Flush}
		if err := e.write(ctx.Context(), format, to, first); err != nil {
			h.Log.Warn().Err(err).Str("export", name).Msg("export broke off")
			// The status has been sent. Ending here would make a part of the list look like all of it; this breaks the connection.
			panic(http.ErrAbortHandler)
		}
	}}
}

func exportType(format string) string {
	if format == FormatCSV {
		return typeCSV + "; charset=utf-8; header=present"
	}
	return typeJSONL
}

// write sends batch after batch until there are no more, or nobody who reads them. No batch is read before the one before
// it is on its way, and no transaction stays open for a slow reader.
func (e *export[R, T]) write(ctx context.Context, format string, to receiver, page *store.Page[R]) error {
	send := e.lines(to)
	if format == FormatCSV {
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
		if err := stillAllowed(ctx); err != nil {
			return err
		}
		after := e.at(&page.Items[len(page.Items)-1])
		var err error
		if page, err = e.batch(ctx, &after); err != nil {
			return err
		}
	}
}

func (e *export[R, T]) lines(w io.Writer) func([]R) error {
	lines := json.NewEncoder(w)
	return func(rows []R) error {
		for i := range rows {
			if err := lines.Encode(e.show(&rows[i])); err != nil {
				return err
			}
		}
		return nil
	}
}

func (e *export[R, T]) table(w io.Writer) func([]R) error {
	table, header := csv.NewWriter(w), e.columns
	return func(rows []R) error {
		if header != nil {
			_ = table.Write(header) // an error stays until Flush
			header = nil
		}
		for i := range rows {
			shown := e.show(&rows[i])
			cells, err := e.cells(&shown)
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

// exportResponses documents an export of things such as events, each of which is shown as the schema with the given name.
func exportResponses(things, schema string, columns []string) map[string]*huma.Response {
	text := func(what string) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: what}}
	}
	return map[string]*huma.Response{"200": {
		Description: "All " + things + " that the filters select, however many. A download that breaks off is not complete.",
		Content: map[string]*huma.MediaType{
			typeCSV: text("One line for each, after one with the names of the columns: " + strings.Join(columns, ", ") +
				". A value that a spreadsheet would run as a formula has an apostrophe before it."),
			typeJSONL: text("One " + schema + " per line, as in the list."),
		},
		Headers: map[string]*huma.Param{"Content-Disposition": {
			Description: "attachment, with the name of a file.", Schema: &huma.Schema{Type: huma.TypeString},
		}},
	}}
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// inert keeps spreadsheets from running a cell as a formula, which strangers could write: the user agent, or the name that
// they signed up with. An apostrophe that is there already gets another one, so that original finds back.
func inert(cell string) string {
	if formula(cell) {
		return "'" + cell
	}
	return cell
}

// original undoes inert. What inert would not have written stays as it is.
func original(cell string) string {
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
