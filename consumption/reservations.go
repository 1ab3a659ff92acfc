package consumption

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

const defaultLifetime = 900 // seconds

func (h *Handler) mountReservations(api huma.API) {
	const all, one = "/reservations", "/reservations/{id}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	reserve := forMachines(operation("reserveConsumption", http.MethodPost, all, "Hold an amount against the limit for a job that begins", http.StatusCreated, notFound, conflict))
	reserve.Description = "It counts against the limit until it is committed, released, or its time runs out. Of whoever is charged, 10000 of one key may be open at once."
	commit := forMachines(operation("commitReservation", http.MethodPost, one+"/commit", "Record what a job used", http.StatusOK, notFound, conflict))
	commit.Description = "Up to what was reserved is recorded whatever became of the plan since; what is left of it is free again. Above it, the rest must fit the limit too, and in the last 5 seconds all of it. A second commit gets the first answer."
	huma.Register(api, reserve, h.reserve)
	huma.Register(api, forMachines(operation("getReservation", http.MethodGet, one, "Get a reservation", http.StatusOK, notFound)), h.reservation)
	huma.Register(api, commit, h.commit)
	huma.Register(api, forMachines(operation("releaseReservation", http.MethodPost, one+"/release", "Give up a reservation", http.StatusNoContent, notFound, conflict)), h.release)
}

// A ReservationInput is a use that a job may come to.
type ReservationInput struct {
	UserID         string   `json:"userId" minLength:"1" maxLength:"255" doc:"Who will have used it."`
	Key            string   `json:"key" minLength:"1" maxLength:"64" doc:"What will have been used."`
	Amount         Quantity `json:"amount,omitempty" doc:"Above 0, up to 1000000000000, with up to 6 decimals, as a number or as text; 1 when it is left out."`
	OrganizationID string   `json:"organizationId,omitempty" maxLength:"255" doc:"For whom the person uses it."`
	ExpiresIn      int64    `json:"expiresIn,omitempty" minimum:"1" maximum:"86400" default:"900" doc:"Seconds for which it is held."`
	Metadata       Metadata `json:"metadata,omitempty" doc:"Anything about it, for the record; up to 4096 bytes of JSON."`
	IdempotencyKey string   `json:"idempotencyKey,omitempty" minLength:"1" maxLength:"255" doc:"1 to 255 visible ASCII characters. The same reservation with the same key is made once."`
	Enforce        bool     `json:"enforce,omitempty" doc:"Refuse what would exceed the limit, also where the plan's quota is not hard."`
}

type reserveRequest struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"The idempotencyKey, if the body has none."`
	Body ReservationInput
	use  Usage
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *reserveRequest) Resolve(huma.Context) []error {
	f := faults{}
	use := UseInput{
		UserID: in.Body.UserID, Key: in.Body.Key, Amount: in.Body.Amount, OrganizationID: in.Body.OrganizationID, Metadata: in.Body.Metadata,
		IdempotencyKey: cmp.Or(in.Body.IdempotencyKey, in.Key), Enforce: &in.Body.Enforce,
	}
	in.use = use.usage(f)
	return f.findings()
}

// A Reservation is an amount that is held against a limit.
type Reservation struct {
	ID        string  `json:"id"`
	Key       string  `json:"key"`
	Amount    Decimal `json:"amount"`
	State     string  `json:"state" enum:"open,committed,released,expired"`
	ExpiresAt Moment  `json:"expiresAt"`
	Duplicate bool    `json:"duplicate" doc:"The idempotency key had been used for this: it was made then."`
	Reserved  Decimal `json:"reserved" doc:"All that is held for running jobs, this one included."`
	Balance
}

func showReservation(r *Reserved) Reservation {
	return Reservation{r.ID, r.Key, Decimal{r.Amount}, r.State, Moment{r.ExpiresAt}, r.Duplicate, Decimal{r.Standing.Reserved}, showBalance(&r.Standing)}
}

type reservationResponse struct{ Body Reservation }

func (h *Handler) reserve(ctx context.Context, in *reserveRequest) (*reservationResponse, error) {
	lifetime := time.Duration(cmp.Or(in.Body.ExpiresIn, defaultLifetime)) * time.Second
	reserved, err := h.Service.Reserve(ctx, requesterIn(ctx).caller(), in.use, lifetime)
	if err != nil {
		return nil, placed(err, false)
	}
	return &reservationResponse{showReservation(reserved)}, nil
}

// ReservationPath names a reservation.
type ReservationPath struct {
	ID string `path:"id" maxLength:"255"`
}

func (in *ReservationPath) id() (string, error) {
	if !store.Printable(in.ID) {
		return "", errReservationNotFound
	}
	return in.ID, nil
}

func (h *Handler) reservation(ctx context.Context, in *ReservationPath) (*reservationResponse, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	reserved, err := h.Service.Reservation(ctx, requesterIn(ctx).application.ID, id)
	if err != nil {
		return nil, err
	}
	return &reservationResponse{showReservation(reserved)}, nil
}

// A CommitInput is what a job used.
type CommitInput struct {
	Amount   Quantity `json:"amount,omitempty" doc:"All that was reserved when it is left out."`
	Metadata Metadata `json:"metadata,omitempty" doc:"In place of the reservation's; up to 4096 bytes of JSON."`
}

type commitRequest struct {
	ReservationPath
	Body     *CommitInput
	amount   *store.Amount
	metadata []byte
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *commitRequest) Resolve(huma.Context) []error {
	f := faults{}
	if in.Body != nil {
		if in.Body.Amount.RawMessage != nil {
			amount := f.quantity("amount", in.Body.Amount)
			in.amount = &amount
		}
		in.metadata = f.metadata("metadata", in.Body.Metadata)
	}
	return f.findings()
}

type commitResponse struct{ Body RecordedUse }

func (h *Handler) commit(ctx context.Context, in *commitRequest) (*commitResponse, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	recorded, err := h.Service.Commit(ctx, requesterIn(ctx).caller(), id, in.amount, in.metadata)
	if err != nil {
		return nil, placed(err, false)
	}
	return &commitResponse{showRecorded(recorded)}, nil
}

func (h *Handler) release(ctx context.Context, in *ReservationPath) (*struct{}, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, h.Service.Release(ctx, requesterIn(ctx).caller(), id)
}
