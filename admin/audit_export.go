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
	// exportBatch is how many events are in memory at a time.
	exportBatch = 500
	// exportPatience is how long the database may take for a batch, and the reader to take it.
	exportPatience = 30 * time.Second
)

const (
	typeCSV   = "text/csv"
	typeJSONL = "application/jsonl"
)

type exportAuditRequest struct {
	AuditFilter
	Format string `query:"format" enum:"csv,jsonl" default:"csv" doc:"A table with one line per event, or one AuditEvent as JSON per line."`
}

func exportResponses() map[string]*huma.Response {
	text := func(what string) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: what}}
	}
	return map[string]*huma.Response{"200": {
		Description: "All events that the filters select, however many. A download that breaks off is not complete.",
		Content: map[string]*huma.MediaType{
			typeCSV: text("One line per event, after one with the names of the columns: " + strings.Join(auditColumns, ", ") +
				". A value that a spreadsheet would run as a formula has an apostrophe before it."),
			typeJSONL: text("One AuditEvent per line, as in the list."),
		},
		Headers: map[string]*huma.Param{"Content-Disposition": {
			Description: "attachment, with the name of a file.", Schema: &huma.Schema{Type: huma.TypeString},
		}},
	}}
}

// exportAudit sends everything that the filters select. The first batch is read before anything is sent, so that what
// goes wrong at once is answered as a problem.
func (h *Handler) exportAudit(ctx context.Context, in *exportAuditRequest) (*huma.StreamResponse, error) {
	query, bad := in.query()
	if err := bad.err(); err != nil {
		return nil, err
	}
	query.Limit = exportBatch
	first, err := h.auditBatch(ctx, query)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		name := "audit-" + h.Now().UTC().Format("20060102T150405Z") + "." + in.Format
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		ctx.SetHeader("Content-Type", exportType(in.Format))
		if err := h.streamAudit(ctx, in.Format, query, first); err != nil {
			h.Log.Warn().Err(err).Msg("audit export broke off")
			// The status has been sent. Ending here would make a part of the log look like all of it; this breaks the connection.
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

func exportType(format string) string {
	if format == "csv" {
		return typeCSV + "; charset=utf-8; header=present"
	}
	return typeJSONL
}

func (h *Handler) auditBatch(ctx context.Context, query store.AuditQuery) (*store.Page[store.AuditEntry], error) {
	ctx, cancel := context.WithTimeout(ctx, exportPatience)
	defer cancel()
	return h.Store.AuditEvents(ctx, query)
}

// streamAudit sends batch after batch until there are no more, or nobody who reads them. No batch is read before the one
// before it is on its way, and no transaction stays open for a slow reader.
func (h *Handler) streamAudit(ctx huma.Context, format string, query store.AuditQuery, page *store.Page[store.AuditEntry]) error {
	connection := http.NewResponseController(humaecho.Unwrap(ctx).Response().Writer)
	write := auditWriter(format, ctx.BodyWriter())
	for {
		_ = connection.SetWriteDeadline(time.Now().Add(exportPatience)) // by the real clock; connections without one have no slow readers
		if err := write(showAuditEvents(page.Items)); err != nil {
			return fmt.Errorf("send audit events: %w", err)
		}
		if err := connection.Flush(); err != nil {
			return fmt.Errorf("send audit events: %w", err)
		}
		if !page.More {
			return nil
		}
		last := &page.Items[len(page.Items)-1]
		query.After = &store.Position{Value: last.CreatedAt, ID: last.ID}
		var err error
		if page, err = h.auditBatch(ctx.Context(), query); err != nil {
			return err
		}
	}
}

func showAuditEvents(entries []store.AuditEntry) []AuditEvent {
	out := make([]AuditEvent, len(entries))
	for i := range entries {
		out[i] = showAuditEvent(&entries[i])
	}
	return out
}

// auditWriter returns what writes batches of events to w in a format.
func auditWriter(format string, w io.Writer) func([]AuditEvent) error {
	if format == "csv" {
		return auditTable(csv.NewWriter(w))
	}
	lines := json.NewEncoder(w)
	return func(events []AuditEvent) error {
		for i := range events {
			if err := lines.Encode(&events[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

var auditColumns = []string{"id", "createdAt", "actorType", "actorId", "actorName", "actorEmail", "action", "targetType", "targetId",
	"applicationId", "organizationId", "ip", "userAgent", "requestId", "changes"}

func auditTable(table *csv.Writer) func([]AuditEvent) error {
	header := auditColumns
	return func(events []AuditEvent) error {
		if header != nil {
			_ = table.Write(header) // an error stays until Flush
			header = nil
		}
		for i := range events {
			row, err := auditRow(&events[i])
			if err != nil {
				return err
			}
			_ = table.Write(row)
		}
		table.Flush()
		return table.Error()
	}
}

func auditRow(e *AuditEvent) ([]string, error) {
	changes, err := json.Marshal(e.Changes)
	if err != nil {
		return nil, err
	}
	created, err := e.CreatedAt.MarshalJSON()
	if err != nil {
		return nil, err
	}
	row := []string{e.ID, strings.Trim(string(created), `"`), e.Actor.Type, e.Actor.ID, e.Actor.Name, e.Actor.Email, e.Action, e.Target.Type, e.Target.ID,
		orEmpty(e.ApplicationID), orEmpty(e.OrganizationID), e.IP, e.UserAgent, e.RequestID, string(changes)}
	for i := range row {
		row[i] = inert(row[i])
	}
	return row, nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// inert keeps spreadsheets from running a cell as a formula, which strangers could write: the user agent, or the name that
// they signed up with. They look past leading blanks, and take the wide forms for the plain ones.
func inert(cell string) string {
	if first := strings.TrimLeft(cell, " \u00a0\u3000"); first != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(first)[0]) {
		return "'" + cell
	}
	return cell
}
