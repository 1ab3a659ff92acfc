package consumption

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountResets(api huma.API) {
	const notFound = http.StatusNotFound
	person := operation("resetConsumption", http.MethodDelete, "/{userId}/{appId}/{key}", "Begin a person's counter anew", http.StatusOK, notFound)
	organization := operation("resetOrganizationConsumption", http.MethodDelete, "/organizations/{organizationId}/{appId}/{key}",
		"Begin an organization's counter anew", http.StatusOK, notFound)
	person.Description = "For the application itself and administrators. The records and the history stay; the ledger gets an entry."
	organization.Description = person.Description
	huma.Register(api, person, h.resetPerson)
	huma.Register(api, organization, h.resetOrganization)
}

// KeyPath is the part of a path that names what was used.
type KeyPath struct {
	Key string `path:"key" maxLength:"64"`
}

// A Reset is what a counter showed before it began anew.
type Reset struct {
	PreviousTotal Decimal `json:"previousTotal" doc:"In the period that matters for the plan in force."`
	Total         Decimal `json:"total" doc:"Always 0."`
	ResetAt       Moment  `json:"resetAt"`
}

type resetResponse struct{ Body Reset }

type resetPersonRequest struct {
	PersonPath
	KeyPath
	OrganizationID string `query:"organizationId" maxLength:"255" doc:"Only the counter of what the person used for this organization."`
}

func (h *Handler) resetPerson(ctx context.Context, in *resetPersonRequest) (*resetResponse, error) {
	if err := mayReset(ctx); err != nil {
		return nil, err
	}
	account, err := h.personAccount(ctx, &in.PersonPath, in.OrganizationID)
	if err != nil {
		return nil, err
	}
	return h.reset(ctx, account, in.Key)
}

type resetOrganizationRequest struct {
	OrganizationPath
	KeyPath
}

func (h *Handler) resetOrganization(ctx context.Context, in *resetOrganizationRequest) (*resetResponse, error) {
	if err := mayReset(ctx); err != nil {
		return nil, err
	}
	account, err := h.organizationAccount(ctx, &in.OrganizationPath)
	if err != nil {
		return nil, err
	}
	return h.reset(ctx, account, in.Key)
}

// mayReset refuses people: they would give themselves what they have used up.
func mayReset(ctx context.Context) error {
	if r := requesterIn(ctx); !r.Administrator && !r.machine() {
		return errForbidden
	}
	return nil
}

func (h *Handler) reset(ctx context.Context, account store.Account, key string) (*resetResponse, error) {
	f := faults{}
	f.key("path.key", key)
	if err := f.err(); err != nil {
		return nil, err
	}
	if _, err := h.Service.standings(ctx, account, key); err != nil { // nobody's counters are not made
		return nil, err
	}
	previous, at, err := h.Service.Reset(ctx, requesterIn(ctx).Actor, account, key)
	if err != nil {
		return nil, err
	}
	return &resetResponse{Reset{PreviousTotal: Decimal{previous}, ResetAt: Moment{at}}}, nil
}
