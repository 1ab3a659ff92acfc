package consumption

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/export"
	"auth-service/problem"
	"auth-service/store"
)

// leastLateness is how long after its use a record is looked for, whatever is allowed now.
const leastLateness = 31 * day

// maxExports is how many exports of one application go on at once: each may have the database go through all of a ledger.
const maxExports = 2

var errTooManyExports = problem.New(http.StatusTooManyRequests, "TOO_MANY_EXPORTS", "Two exports of this application go on already. Wait until one of them ends.").
	WithHeader("Retry-After", strconv.Itoa(30))

// An exporting counts the exports that go on, by application.
type exporting struct {
	mu sync.Mutex
	of map[string]int
}

func (e *exporting) begin(applicationID string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of[applicationID] >= maxExports {
		return false
	}
	if e.of == nil {
		e.of = map[string]int{}
	}
	e.of[applicationID]++
	return true
}

func (e *exporting) end(applicationID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of[applicationID]--; e.of[applicationID] == 0 {
		delete(e.of, applicationID)
	}
}

func (h *Handler) mountExport(api huma.API) {
	op := operation("exportConsumption", http.MethodGet, "/export", "Download the records, the first to come first", http.StatusOK, http.StatusNotFound, http.StatusTooManyRequests)
	op.Description = "For the application itself and administrators. In the order in which they were recorded; those of one person by key and by when it was used. " +
		"What was reset is in it, as what it is. Two of an application go on at once."
	op.Responses = export.Responses("records", "LedgerEntry", ledgerColumns)
	api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[LedgerEntry](), true, "") // no answer but its lines has it
	huma.Register(api, op, h.export)
}

type exportRequest struct {
	ApplicationID  string    `query:"applicationId" maxLength:"255" doc:"The id, the slug or a client_id. An application may leave it out for its own; administrators name one."`
	UserID         string    `query:"userId" maxLength:"255"`
	OrganizationID string    `query:"organizationId" maxLength:"255"`
	Key            string    `query:"key" maxLength:"64"`
	From           time.Time `query:"from" doc:"The earliest moment at which it was used, itself included."`
	To             time.Time `query:"to" doc:"The moment before which it was used."`
	Format         string    `query:"format" enum:"csv,jsonl" default:"csv" doc:"A table with one line per record, or one LedgerEntry as JSON per line."`
}

// A LedgerEntry is a record as the ledger has it, or the mark that a counter began anew.
type LedgerEntry struct {
	ID             string    `json:"id"`
	Kind           string    `json:"kind" enum:"used,reset"`
	ApplicationID  string    `json:"applicationId"`
	ClientID       *string   `json:"clientId" nullable:"true"`
	UserID         *string   `json:"userId" nullable:"true"`
	OrganizationID *string   `json:"organizationId" nullable:"true"`
	Key            string    `json:"key"`
	Amount         Decimal   `json:"amount"`
	OccurredAt     Moment    `json:"occurredAt"`
	RecordedAt     Moment    `json:"recordedAt"`
	IdempotencyKey *string   `json:"idempotencyKey" nullable:"true"`
	Metadata       *Metadata `json:"metadata,omitempty"`
}

func showEntry(r *store.ConsumptionRecord) LedgerEntry {
	out := LedgerEntry{
		ID: r.ID, Kind: r.Kind, ApplicationID: r.ApplicationID, ClientID: orNull(r.ClientID), UserID: orNull(r.UserID), OrganizationID: orNull(r.OrganizationID),
		Key: r.Key, Amount: Decimal{r.Amount}, OccurredAt: Moment{r.OccurredAt}, RecordedAt: Moment{r.RecordedAt}, IdempotencyKey: orNull(r.IdempotencyKey),
	}
	if r.Metadata != "" {
		out.Metadata = &Metadata{json.RawMessage(r.Metadata)}
	}
	return out
}

var ledgerColumns = []string{"id", "kind", "applicationId", "clientId", "userId", "organizationId", "key", "amount", "occurredAt", "recordedAt", "idempotencyKey", "metadata"}

func ledgerCells(e *LedgerEntry) ([]string, error) {
	cells := []string{e.ID, e.Kind, e.ApplicationID, orEmpty(e.ClientID), orEmpty(e.UserID), orEmpty(e.OrganizationID), e.Key, e.Amount.String(),
		e.OccurredAt.text(), e.RecordedAt.text(), orEmpty(e.IdempotencyKey), ""}
	if e.Metadata != nil {
		cells[len(cells)-1] = string(e.Metadata.RawMessage)
	}
	return cells, nil
}

// export sends the ledger of an application.
func (h *Handler) export(ctx context.Context, in *exportRequest) (*huma.StreamResponse, error) {
	f := faults{}
	f.named("query.userId", in.UserID)
	f.named("query.organizationId", in.OrganizationID)
	if in.Key != "" {
		f.key("query.key", in.Key)
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		f.add("query.to", "This must be later than from.")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	application, err := h.mayExport(ctx, requesterIn(ctx), in.ApplicationID)
	if err != nil {
		return nil, err
	}
	if !h.exporting.begin(application.ID) {
		return nil, errTooManyExports
	}
	answer, err := h.download(ctx, in, application.ID)
	if err != nil {
		h.exporting.end(application.ID)
		return nil, err
	}
	send := answer.Body
	answer.Body = func(ctx huma.Context) {
		defer h.exporting.end(application.ID)
		send(ctx)
	}
	return answer, nil
}

// download reads the beginning of the ledger and says who wanted it.
func (h *Handler) download(ctx context.Context, in *exportRequest, applicationID string) (*huma.StreamResponse, error) {
	ledger := h.ledger(in, applicationID)
	first, err := ledger.First(ctx)
	if err != nil {
		return nil, err
	}
	if r := requesterIn(ctx); r.Administrator { // their own is no news to applications
		event := r.Event("consumption.export", "application", applicationID)
		event.ApplicationID, event.OrganizationID = applicationID, in.OrganizationID
		event.Changes = exported(in)
		if err := h.Store.Audit(ctx, event); err != nil {
			return nil, err
		}
	}
	return ledger.Answer(export.File{Name: "consumption", Format: in.Format, Now: h.Now, Log: h.Log}, first), nil
}

// exported tells what was exported.
func exported(in *exportRequest) map[string]store.Change {
	out := map[string]store.Change{"format": {After: in.Format}}
	for name, value := range map[string]string{"userId": in.UserID, "key": in.Key} {
		if value != "" {
			out[name] = store.Change{After: value}
		}
	}
	for name, at := range map[string]time.Time{"from": in.From, "to": in.To} {
		if !at.IsZero() {
			out[name] = store.Change{After: Moment{at}}
		}
	}
	return out
}

var errNameApplication = problem.Invalid(map[string]string{"query.applicationId": "Name the application whose records to download."})

// mayExport finds the application whose ledger somebody wants, if it is theirs to have.
func (h *Handler) mayExport(ctx context.Context, r *requester, ref string) (*store.Application, error) {
	switch {
	case !r.Administrator && !r.machine():
		return nil, errForbidden
	case ref != "":
		return h.applicationFor(ctx, r, ref)
	case !r.machine():
		return nil, errNameApplication
	}
	return r.application, nil
}

func (h *Handler) ledger(in *exportRequest, applicationID string) *export.Export[store.ConsumptionRecord, LedgerEntry] {
	query := store.LedgerQuery{
		ApplicationID: applicationID, UserID: in.UserID, OrganizationID: in.OrganizationID, Key: in.Key, From: in.From.UTC(), To: in.To.UTC(),
		MaxAge: max(h.Service.MaxAge, leastLateness), MaxSkew: time.Hour, // the configuration may have allowed more when they were recorded
	}
	return &export.Export[store.ConsumptionRecord, LedgerEntry]{
		Page: func(ctx context.Context, limit int, after *store.Position) (*store.Page[store.ConsumptionRecord], error) {
			var at *store.LedgerPosition
			if after != nil {
				place := after.Value.(store.LedgerPosition)
				at = &place
			}
			return h.Store.Ledger(ctx, query, limit, at)
		},
		At: func(r *store.ConsumptionRecord) store.Position {
			return store.Position{Value: store.LedgerPosition{Key: r.Key, OccurredAt: r.OccurredAt, ID: r.ID}, ID: r.ID}
		},
		Show: showEntry, Columns: ledgerColumns, Cells: ledgerCells,
		Allowed: func(ctx context.Context) error {
			now, err := stillKnown(ctx)
			if err == nil {
				_, err = h.mayExport(ctx, now, applicationID)
			}
			return err
		},
	}
}
