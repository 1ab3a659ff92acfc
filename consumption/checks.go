package consumption

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (h *Handler) mountChecks(api huma.API) {
	op := forMachines(operation("checkConsumption", http.MethodPost, "/check", "Ask whether a use would be recorded now", http.StatusOK, http.StatusNotFound))
	op.Description = "Nothing is written, so somebody else may be quicker: what must not be exceeded is a hard quota, or is recorded with enforce."
	huma.Register(api, op, h.check)
}

// A CheckInput is a use that may come.
type CheckInput struct {
	UserID         string   `json:"userId" minLength:"1" maxLength:"255" doc:"Who would use it."`
	Key            string   `json:"key" minLength:"1" maxLength:"64" doc:"What would be used."`
	Amount         Quantity `json:"amount,omitempty" doc:"Above 0, up to 1000000000000, with up to 6 decimals, as a number or as text; 1 when it is left out."`
	OrganizationID string   `json:"organizationId,omitempty" maxLength:"255" doc:"For whom the person would use it."`
	Enforce        bool     `json:"enforce,omitempty" doc:"Ask as if the quota were hard."`
}

type checkRequest struct {
	Body CheckInput
	use  Usage
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *checkRequest) Resolve(huma.Context) []error {
	f := faults{}
	use := UseInput{UserID: in.Body.UserID, Key: in.Body.Key, Amount: in.Body.Amount, OrganizationID: in.Body.OrganizationID, Enforce: &in.Body.Enforce}
	in.use = use.usage(f)
	return f.findings()
}

// A Verdict says whether a use would be recorded.
type Verdict struct {
	Allowed   bool     `json:"allowed" doc:"False when the quota is hard and the use would exceed it."`
	Key       string   `json:"key"`
	Amount    Decimal  `json:"amount"`
	Total     Decimal  `json:"total" doc:"As it is now, without this use."`
	Period    Period   `json:"period"`
	Limit     *Decimal `json:"limit" nullable:"true"`
	Remaining *Decimal `json:"remaining" nullable:"true" doc:"As it is now, without this use."`
	Hard      bool     `json:"hard"`
	Exceeded  bool     `json:"exceeded" doc:"The total would be above the limit."`
	Plan      *string  `json:"plan" nullable:"true" doc:"The key of the plan that says so. Null without one."`
}

type checkResponse struct{ Body Verdict }

func (h *Handler) check(ctx context.Context, in *checkRequest) (*checkResponse, error) {
	standing, allowed, err := h.Service.Check(ctx, requesterIn(ctx).application.ID, in.use)
	if err != nil {
		return nil, placed(err, false)
	}
	b := showBalance(&standing)
	out := Verdict{
		Allowed: allowed, Key: in.use.Key, Amount: Decimal{in.use.Amount}, Total: b.Total, Period: b.Period, Limit: b.Limit, Remaining: b.Remaining,
		Hard: standing.Hard, Exceeded: standing.Exceeded, Plan: orNull(standing.Plan),
	}
	return &checkResponse{out}, nil
}
