package consumption

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// A recording is Service.Record.
type recording func(ctx context.Context, c Caller, uses []Usage) ([]Recorded, error)

func (h *Handler) mountRecords(api huma.API, record recording) {
	op := forMachines(operation("recordConsumption", http.MethodPost, "", "Record one use, or up to 500 at once", http.StatusOK, http.StatusNotFound, http.StatusConflict))
	op.Description = "The application is the token's. Of a list all is recorded or nothing. Send each use with an idempotency key and repeat it under " +
		"the same one whenever the answer did not arrive: it never counts twice. A body must be smaller than 1 MiB; limits.body may say less."
	act := func(ctx context.Context, in *recordRequest) (RecordAnswer, error) { return h.record(ctx, in, record) }
	op = problem.Shortcut[recordRequest, RecordAnswer]{Read: readPlain, Act: act}.Before(api, op)
	huma.Register(api, op, func(ctx context.Context, in *recordRequest) (*recordResponse, error) {
		answer, err := act(ctx, in)
		if err != nil {
			return nil, err
		}
		return &recordResponse{answer}, nil
	})
}

// A UseInput is what an application says about one use of it.
type UseInput struct {
	UserID         string   `json:"userId" minLength:"1" maxLength:"255" doc:"Who used it."`
	Key            string   `json:"key" minLength:"1" maxLength:"64" doc:"What was used: ^[a-z0-9][a-z0-9_.:-]{0,63}$, the key of the plan's quota if there is one."`
	Amount         Quantity `json:"amount,omitempty" doc:"Above 0, up to 1000000000000, with up to 6 decimals, as a number or as text; 1 when it is left out. It is never rounded."`
	OrganizationID string   `json:"organizationId,omitempty" maxLength:"255" doc:"For whom the person used it."`
	Timestamp      Instant  `json:"timestamp,omitempty" doc:"When it was used; now when it is left out. It counts in the period around it. At most consumption.max_age ago (7 days) and consumption.max_skew ahead (5 minutes)."`
	Metadata       Metadata `json:"metadata,omitempty" doc:"Anything about it; up to 4096 bytes of JSON."`
	IdempotencyKey string   `json:"idempotencyKey,omitempty" minLength:"1" maxLength:"255" doc:"1 to 255 visible ASCII characters, different for each use. The same use with the same key counts once and gets the first answer again."`
	Enforce        *bool    `json:"enforce,omitempty" doc:"Refuse what would exceed the limit, also where the plan's quota is not hard."`
	ApplicationID  string   `json:"applicationId,omitempty" maxLength:"255" doc:"Only the token's own application: its id, its slug or a client_id."`
}

// usage reads the use.
func (in *UseInput) usage(f faults) Usage {
	f.required("userId", in.UserID)
	f.required("key", in.Key)
	f.named("userId", in.UserID)
	f.named("organizationId", in.OrganizationID)
	f.named("applicationId", in.ApplicationID)
	f.key("key", in.Key)
	f.idempotencyKey("idempotencyKey", in.IdempotencyKey)
	return Usage{
		UserID: in.UserID, OrganizationID: in.OrganizationID, Key: in.Key, Amount: f.quantity("amount", in.Amount), At: f.instant("timestamp", in.Timestamp),
		Metadata: f.metadata("metadata", in.Metadata), IdempotencyKey: in.IdempotencyKey, Enforce: in.Enforce != nil && *in.Enforce,
	}
}

// A RecordInput is one use, or a list of them.
type RecordInput struct {
	UseInput
	Records []UseInput `json:"records,omitempty" minItems:"1" maxItems:"500" doc:"In place of one use: up to 500, which are all recorded or none."`
}

// TransformSchema leaves what a single use must have to Resolve, which knows whether it is one.
func (RecordInput) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Required = nil
	s.Description = "One use, for which userId and key are required; or records, beside which only enforce may be, for all of them."
	return s
}

func (in *RecordInput) single() bool { return in.Records == nil }

// IdempotentUse is the header that may stand for the idempotency key.
type IdempotentUse struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"The idempotencyKey of a use that has none of its own. In a list it is followed by a slash and the place, from 0, and has 251 characters at most."`
}

type recordRequest struct {
	IdempotentUse
	Body RecordInput
	uses []Usage
}

// Resolve reads the uses and reports what the schema cannot know together with what it finds.
func (in *recordRequest) Resolve(huma.Context) []error {
	f := faults{}
	if in.Body.single() {
		in.Body.IdempotencyKey = cmp.Or(in.Body.IdempotencyKey, in.Key)
		in.uses = []Usage{in.Body.usage(f)}
	} else {
		in.uses = in.list(f)
	}
	return f.findings()
}

func (in *recordRequest) list(f faults) []Usage {
	beside := in.Body.UseInput
	beside.Enforce = nil
	if !reflect.ValueOf(beside).IsZero() {
		f.add("records", "Send one use or a list of them: beside records there may be enforce only.")
	}
	own := faults{}
	out := make([]Usage, len(in.Body.Records))
	for i := range in.Body.Records {
		use := in.Body.Records[i]
		if in.Key != "" && use.IdempotencyKey == "" {
			use.IdempotencyKey = in.Key + "/" + strconv.Itoa(i)
		}
		if use.Enforce == nil {
			use.Enforce = in.Body.Enforce
		}
		out[i] = use.usage(own)
		f.move(own, i)
	}
	return out
}

func place(i int) string { return fmt.Sprintf("records[%d]", i) }

// A RecordedUse is what became of a use.
type RecordedUse struct {
	ID        string  `json:"id" doc:"Of the entry in the ledger."`
	Recorded  bool    `json:"recorded"`
	Duplicate bool    `json:"duplicate" doc:"The idempotency key had been used for this: it counted then, and this is the first answer."`
	Key       string  `json:"key"`
	Amount    Decimal `json:"amount"`
	Balance
}

func showRecorded(r *Recorded) RecordedUse {
	return RecordedUse{r.ID, true, r.Duplicate, r.Key, Decimal{r.Amount}, showBalance(&r.Standing)}
}

// RecordedUses is what became of a list of them.
type RecordedUses struct {
	Records []RecordedUse `json:"records" doc:"In the order of the request."`
}

// A RecordAnswer is either of the two, as the request was.
type RecordAnswer struct {
	recorded []Recorded
	single   bool
}

// MarshalJSON shows one use without a list around it.
func (r RecordAnswer) MarshalJSON() ([]byte, error) {
	out := RecordedUses{make([]RecordedUse, len(r.recorded))}
	for i := range r.recorded {
		out.Records[i] = showRecorded(&r.recorded[i])
	}
	if r.single {
		return json.Marshal(&out.Records[0])
	}
	return json.Marshal(&out)
}

// AppendJSON is MarshalJSON in one go.
func (r RecordAnswer) AppendJSON(to []byte) []byte {
	if r.single {
		return r.recorded[0].appendJSON(to)
	}
	to = append(to, `{"records":[`...)
	for i := range r.recorded {
		if i > 0 {
			to = append(to, ',')
		}
		to = r.recorded[i].appendJSON(to)
	}
	return append(to, "]}"...)
}

// Schema is that of either.
func (RecordAnswer) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[RecordedUse](), true, ""), r.Schema(reflect.TypeFor[RecordedUses](), true, ""),
	}}
}

type recordResponse struct{ Body RecordAnswer }

func (h *Handler) record(ctx context.Context, in *recordRequest, record recording) (RecordAnswer, error) {
	caller := requesterIn(ctx)
	if err := h.own(ctx, caller, &in.Body); err != nil {
		return RecordAnswer{}, err
	}
	recorded, err := record(ctx, caller.caller(), in.uses)
	if err != nil {
		return RecordAnswer{}, placed(err, !in.Body.single())
	}
	return RecordAnswer{recorded, in.Body.single()}, nil
}

// own refuses uses of which the body says that they are of another application.
func (h *Handler) own(ctx context.Context, caller *requester, in *RecordInput) error {
	records := in.Records
	if in.single() {
		records = []UseInput{in.UseInput}
	}
	for i := range records {
		ref := records[i].ApplicationID
		if ref == "" {
			continue
		}
		if own, err := h.names(ctx, ref, caller.application); err != nil {
			return err
		} else if !own {
			return placed(&UsageError{i, errForeign}, !in.single())
		}
	}
	return nil
}

// names reports whether ref is the id, the slug or a client_id of the application.
func (h *Handler) names(ctx context.Context, ref string, a *store.Application) (bool, error) {
	if ref == a.ID || ref == a.Slug {
		return true, nil
	}
	if !store.Printable(ref) {
		return false, nil
	}
	other, err := h.Tokens.ApplicationOf(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && other.ID == a.ID, err
}

// fieldOf is the field of a use that an error is about.
var fieldOf = map[string]string{
	errUserNotFound.Code: "userId", errOrganizationNotFound.Code: "organizationId", errKeyReused.Code: "idempotencyKey", errForeign.Code: "applicationId",
}

// placed says where in the request what was refused is. What a list names, and is not there, makes it unprocessable: its address is.
func placed(err error, list bool) error {
	var all UsageErrors
	if one := (*UsageError)(nil); !errors.As(err, &all) && errors.As(err, &one) {
		all = UsageErrors{one}
	}
	if len(all) == 0 {
		return refused(err)
	}
	var out *problem.Error
	fields := map[string]string{}
	for _, e := range all {
		p := problem.Of(refused(e.Err))
		if p.Status >= http.StatusInternalServerError {
			return err
		}
		if out == nil || out.Status == http.StatusConflict {
			out = p
		}
		path := ""
		if list {
			path = place(e.Index)
		}
		for field, sentence := range sentences(p) {
			fields[join(path, field)] = sentence
		}
	}
	delete(fields, "") // the detail says it
	moved := *out
	moved.Fields = fields
	if list && moved.Status == http.StatusNotFound {
		moved.Status = http.StatusUnprocessableEntity
	}
	return &moved
}

// sentences are what an error says by field of the use; under no field when it is about all of it.
func sentences(p *problem.Error) map[string]string {
	if len(p.Fields) > 0 {
		return p.Fields
	}
	return map[string]string{fieldOf[p.Code]: p.Detail}
}

func join(path, field string) string {
	if path == "" || field == "" {
		return path + field
	}
	return path + "." + field
}

// refused puts numbers to a quota that was exceeded.
func refused(err error) error {
	var quota *QuotaError
	if !errors.As(err, &quota) {
		return err
	}
	full := *problem.Of(err)
	full.Members = map[string]any{
		"key": quota.Key, "limit": quota.Limit, "total": quota.Total, "remaining": quota.Remaining(), "resetAt": nullableMoment(quota.End),
	}
	return &full
}
