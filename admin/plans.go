package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// maxPlans is how many plans an application can have.
const maxPlans = 100

var (
	errManyPlans    = problem.New(http.StatusConflict, "TOO_MANY_PLANS", "The application has as many plans as it can have. Delete one first.")
	errPlanInactive = problem.New(http.StatusConflict, "PLAN_INACTIVE", "This plan takes no new subscriptions. Choose another one, or make it active first.")
)

func errPlanInUse(subscriptions int64) error {
	return problem.New(http.StatusConflict, "PLAN_IN_USE",
		fmt.Sprintf("There are %d subscriptions to this plan. Move them first, or delete them too with ?force=true.", subscriptions))
}

func (h *Handler) mountPlans(api huma.API) {
	const all, one = "/applications/{id}/plans", "/applications/{id}/plans/{key}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutPlans(operation("listPlans", http.MethodGet, all, "List the plans of an application", http.StatusOK, notFound)), h.listPlans)
	huma.Register(api, aboutPlans(operation("createPlan", http.MethodPost, all, "Add a plan to an application", http.StatusCreated, notFound, conflict)), h.createPlan)
	huma.Register(api, aboutPlans(operation("deletePlanInCollection", http.MethodDelete, all, "Delete the plan whose key is in the query or in the body", http.StatusNoContent, notFound, conflict)), h.deletePlanInCollection)
	huma.Register(api, aboutPlans(operation("getPlan", http.MethodGet, one, "Get a plan", http.StatusOK, notFound)), h.getPlan)
	huma.Register(api, aboutPlans(operation("updatePlan", http.MethodPatch, one, "Change a plan", http.StatusOK, notFound)), h.updatePlan)
	huma.Register(api, aboutPlans(operation("deletePlan", http.MethodDelete, one, "Delete a plan", http.StatusNoContent, notFound, conflict)), h.deletePlan)
}

func aboutPlans(op huma.Operation) huma.Operation {
	op.Tags = []string{"Plans"}
	return op
}

// A Plan is what an application's subscribers can have.
type Plan struct {
	ID            string          `json:"id"`
	ApplicationID string          `json:"applicationId"`
	Key           string          `json:"key"`
	Name          string          `json:"name"`
	Description   *string         `json:"description"`
	IsDefault     bool            `json:"isDefault" doc:"Of those without a subscription."`
	Active        bool            `json:"active" doc:"New subscriptions are possible; those that exist go on in any case."`
	Price         Optional[Price] `json:"price"`
	Features      []Feature       `json:"features" doc:"By key."`
	CreatedAt     Moment          `json:"createdAt"`
	UpdatedAt     Moment          `json:"updatedAt"`
}

func showPlan(p *store.Plan) Plan {
	return Plan{
		ID: p.ID, ApplicationID: p.ApplicationID, Key: p.Key, Name: p.Name, Description: orNull(p.Description), IsDefault: p.IsDefault, Active: p.Active,
		Price: showPrice(p), Features: showFeatures(p.Features), CreatedAt: moment(p.CreatedAt), UpdatedAt: moment(p.UpdatedAt),
	}
}

func (h *Handler) listPlans(ctx context.Context, in *listKeysRequest) (*listResponse[Plan], error) {
	query, err := h.keyQuery(ctx, in)
	if err != nil {
		return nil, err
	}
	page, err := h.Store.Plans(ctx, query)
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showPlan, func(p *store.Plan) (any, string) {
		return keyPlace(in.Sort, p.Key, p.Name, p.CreatedAt, p.ID)
	}), nil
}

type createPlanRequest struct {
	ApplicationPath
	Idempotent
	Body PlanInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createPlanRequest) Resolve(huma.Context) []error {
	_, f := in.Body.row()
	return f.findings(in.Body)
}

type createPlanResponse struct {
	Replay
	Body Plan
}

func (h *Handler) createPlan(ctx context.Context, in *createPlanRequest) (*createPlanResponse, error) {
	request := []any{in.ID, in.Body}
	body, replay, err := once(ctx, h, in.Idempotent, "createPlan", request, func(ctx context.Context) (out Plan, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			p, err := CreatePlan(ctx, h.Store, actorIn(ctx), a, in.Body)
			if err == nil {
				out = showPlan(p)
			}
			return err
		})
		return out, err
	})
	return &createPlanResponse{replay, body}, err
}

// CreatePlan adds a plan to the application, which the caller has locked in the transaction of ctx. Bad input is a
// *problem.Error with a sentence for every bad field.
func CreatePlan(ctx context.Context, s *store.Store, actor Actor, a *store.Application, in PlanInput) (*store.Plan, error) {
	p, f := in.row()
	if err := f.err(); err != nil {
		return nil, err
	}
	n, err := s.CountPlans(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	if n >= maxPlans {
		return nil, errManyPlans
	}
	p.ApplicationID = a.ID
	if p.IsDefault {
		if err := dropDefaultPlan(ctx, s, actor, a); err != nil {
			return nil, err
		}
	}
	if err := s.CreatePlan(ctx, p); errors.Is(err, store.ErrConflict) {
		return nil, errKeyTaken
	} else if err != nil {
		return nil, err
	}
	return p, s.Audit(ctx, actor.event("plan.create", "plan", p.ID, a.ID, changes(nil, showPlan(p))))
}

// dropDefaultPlan makes room for another default: an application has one at most.
func dropDefaultPlan(ctx context.Context, s *store.Store, actor Actor, a *store.Application) error {
	p, err := s.DefaultPlan(ctx, a.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	before := showPlan(p)
	p.IsDefault = false
	return storePlan(ctx, s, actor, before, p)
}

// storePlan writes a changed plan with its audit event, and nothing when nothing has changed.
func storePlan(ctx context.Context, s *store.Store, actor Actor, before Plan, p *store.Plan) error {
	diff := changes(before, showPlan(p))
	if len(diff) == 0 {
		return nil
	}
	if err := s.UpdatePlan(ctx, p); err != nil {
		return err
	}
	return s.Audit(ctx, actor.event("plan.update", "plan", p.ID, p.ApplicationID, diff))
}

type planResponse struct{ Body Plan }

func (h *Handler) getPlan(ctx context.Context, in *KeyPath) (*planResponse, error) {
	applicationID, key, err := h.atKey(ctx, in)
	if err != nil {
		return nil, err
	}
	p, err := h.Store.PlanByKey(ctx, applicationID, key)
	if err != nil {
		return nil, err
	}
	return &planResponse{showPlan(p)}, nil
}

type updatePlanRequest struct {
	KeyPath
	Body PlanPatch
}

// Resolve checks each field that is there by itself. How the fields go together is known once they are merged.
func (in *updatePlanRequest) Resolve(huma.Context) []error {
	f := faults{}
	in.Body.apply(&store.Plan{Key: "any", Name: "any"}, f)
	return f.findings(in.Body)
}

func (h *Handler) updatePlan(ctx context.Context, in *updatePlanRequest) (out *planResponse, err error) {
	err = h.inKey(ctx, in.KeyPath, func(ctx context.Context, a *store.Application, key string) error {
		p, err := UpdatePlan(ctx, h.Store, actorIn(ctx), a, key, in.Body)
		if err == nil {
			out = &planResponse{showPlan(p)}
		}
		return err
	})
	return out, err
}

// UpdatePlan changes a plan of the application, which the caller has locked in the transaction of ctx. Without such a plan
// it returns store.ErrNotFound; bad input is a *problem.Error with a sentence for every bad field.
func UpdatePlan(ctx context.Context, s *store.Store, actor Actor, a *store.Application, key string, in PlanPatch) (*store.Plan, error) {
	p, err := s.PlanByKey(ctx, a.ID, key)
	if err != nil {
		return nil, err
	}
	before, f := showPlan(p), faults{}
	in.apply(p, f)
	f.planRules(p)
	if err := f.err(); err != nil {
		return nil, err
	}
	if p.IsDefault && !before.IsDefault {
		if err := dropDefaultPlan(ctx, s, actor, a); err != nil {
			return nil, err
		}
	}
	return p, storePlan(ctx, s, actor, before, p)
}

type deletePlanRequest struct {
	KeyPath
	Force bool `query:"force" doc:"True deletes the subscriptions to the plan too."`
}

func (h *Handler) deletePlan(ctx context.Context, in *deletePlanRequest) (*struct{}, error) {
	return nil, h.inKey(ctx, in.KeyPath, func(ctx context.Context, a *store.Application, key string) error {
		return DeletePlan(ctx, h.Store, actorIn(ctx), a, key, in.Force)
	})
}

type deletePlanInCollectionRequest struct {
	KeyInCollection
	Force bool `query:"force" doc:"True deletes the subscriptions to the plan too."`
}

func (h *Handler) deletePlanInCollection(ctx context.Context, in *deletePlanInCollectionRequest) (*struct{}, error) {
	return h.deletePlan(ctx, &deletePlanRequest{in.path(), in.Force})
}

// DeletePlan removes a plan of the application, which the caller has locked in the transaction of ctx. Subscriptions that
// have not ended keep it unless force deletes them too. Without such a plan it returns store.ErrNotFound.
func DeletePlan(ctx context.Context, s *store.Store, actor Actor, a *store.Application, key string, force bool) error {
	p, err := s.PlanByKey(ctx, a.ID, key)
	if err != nil {
		return err
	}
	n, err := s.CountSubscriptions(ctx, p.ID)
	if err != nil {
		return err
	}
	if n > 0 && !force {
		return errPlanInUse(n)
	}
	if err := s.DeletePlan(ctx, p); err != nil {
		return err
	}
	diff := changes(showPlan(p), nil)
	if n > 0 {
		diff["subscriptions"] = store.Change{Before: n, After: 0}
	}
	return s.Audit(ctx, actor.event("plan.delete", "plan", p.ID, a.ID, diff))
}

// PlanSettings is what a request may say about a plan besides its name.
type PlanSettings struct {
	Description Optional[string]     `json:"description,omitzero" maxLength:"500" doc:"For people."`
	IsDefault   Optional[bool]       `json:"isDefault,omitzero" doc:"True makes it the plan of those without a subscription, in the place of any other. Default: false."`
	Active      Optional[bool]       `json:"active,omitzero" doc:"False takes no new subscriptions; those that exist go on. Default: true."`
	Price       Optional[PriceInput] `json:"price,omitzero"`
}

// A PlanInput makes a plan.
type PlanInput struct {
	Key  string `json:"key" minLength:"1" maxLength:"64" doc:"What tokens call the plan; it stays as it is."`
	Name string `json:"name" minLength:"1" maxLength:"100"`
	PlanSettings
	Features FeatureSet `json:"features" doc:"Either a list of {key, type, value, period, hard, thresholds}, whose last three only a quota has; or a map from keys to values, in which a number is a limit."`
}

// row returns the plan that the input asks for, and all that is wrong with it.
func (in *PlanInput) row() (*store.Plan, faults) {
	p, f := &store.Plan{Key: in.Key, Name: strings.TrimSpace(in.Name), Active: true, Features: []store.Feature{}}, faults{}
	in.PlanSettings.apply(p, f)
	p.Features = f.features("features", in.Features)
	f.planRules(p)
	return p, f
}

// A PlanPatch changes a plan. Its key stays.
type PlanPatch struct {
	Name Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100"`
	PlanSettings
	Features FeatureSet `json:"features,omitzero" doc:"In either form, as for a new plan. It replaces all that there were."`
}

// apply merges the patch into p and reports what is wrong with its fields.
func (in *PlanPatch) apply(p *store.Plan, f faults) {
	in.Name.into(&p.Name, "")
	p.Name = strings.TrimSpace(p.Name)
	in.PlanSettings.apply(p, f)
	if in.Features.RawMessage != nil {
		p.Features = f.features("features", in.Features)
	}
}

func (in *PlanSettings) apply(p *store.Plan, f faults) {
	in.Description.into(&p.Description, "")
	in.IsDefault.into(&p.IsDefault, false)
	in.Active.into(&p.Active, true)
	f.keyValues(p.Key, p.Name, p.Description)
	if in.Price.Set {
		in.Price.Value.apply(p, f)
	}
}

// planRules checks fields of the plan against one another.
func (f faults) planRules(p *store.Plan) {
	if p.IsDefault && !p.Active {
		f.add("active", "The default plan has to be active: make another one the default first.")
	}
}
