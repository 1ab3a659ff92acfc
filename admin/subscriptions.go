package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountSubscriptions(api huma.API) {
	const users, organizations = "/users/{id}/applications/{appId}/plan", "/organizations/{id}/applications/{appId}/plan"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutPlans(operation("getUserPlan", http.MethodGet, users, "Get what a person has of an application", http.StatusOK, notFound, conflict)), h.getUserPlan)
	huma.Register(api, aboutPlans(operation("setUserPlan", http.MethodPut, users, "Give a person a plan", http.StatusOK, notFound, conflict)), h.setUserPlan)
	huma.Register(api, aboutPlans(operation("removeUserPlan", http.MethodDelete, users, "End a person's subscription", http.StatusNoContent, notFound)), h.removeUserPlan)
	huma.Register(api, aboutPlans(operation("getOrganizationPlan", http.MethodGet, organizations, "Get what an organization has of an application", http.StatusOK, notFound)), h.getOrganizationPlan)
	huma.Register(api, aboutPlans(operation("setOrganizationPlan", http.MethodPut, organizations, "Give an organization a plan", http.StatusOK, notFound, conflict)), h.setOrganizationPlan)
	huma.Register(api, aboutPlans(operation("removeOrganizationPlan", http.MethodDelete, organizations, "End an organization's subscription", http.StatusNoContent, notFound)), h.removeOrganizationPlan)
}

// A Subscription is what was agreed with a subscriber.
type Subscription struct {
	Plan      string    `json:"plan" doc:"Its key."`
	StartsAt  Moment    `json:"startsAt"`
	EndsAt    *Moment   `json:"endsAt" nullable:"true" doc:"Null: until further notice."`
	Overrides []Feature `json:"overrides" doc:"They replace features of the plan, or add others."`
	CreatedAt Moment    `json:"createdAt"`
	UpdatedAt Moment    `json:"updatedAt"`
}

func showSubscription(s *store.Subscription) Subscription {
	return Subscription{
		Plan: s.Plan.Key, StartsAt: moment(s.StartsAt), EndsAt: nullableMoment(s.EndsAt), Overrides: showFeatures(s.Overrides),
		CreatedAt: moment(s.CreatedAt), UpdatedAt: moment(s.UpdatedAt),
	}
}

// An EffectiveFeature is a feature that a subscriber has, with where it comes from.
type EffectiveFeature struct {
	Feature
	Source string `json:"source" enum:"plan,override"`
}

// An EffectivePlan is what a subscriber has of an application now.
type EffectivePlan struct {
	Plan         *string                `json:"plan" doc:"The key of the plan; null without one."`
	Source       *string                `json:"source" enum:"organization,user,default" doc:"Whose subscription it is; null without a plan."`
	StartsAt     *Moment                `json:"startsAt" nullable:"true" doc:"Of the subscription that gives the plan."`
	EndsAt       *Moment                `json:"endsAt" nullable:"true"`
	Subscription Optional[Subscription] `json:"subscription" doc:"The subscriber's own, also while it is not in force; null when there is none."`
	Features     []EffectiveFeature     `json:"features" doc:"By key."`
}

// showEffectivePlan shows p with the subscription that is owner's own.
func showEffectivePlan(p *store.EffectivePlan, owner store.Subscriber) EffectivePlan {
	out := EffectivePlan{Source: orNull(p.Source), Subscription: Optional[Subscription]{Null: true}, Features: []EffectiveFeature{}}
	if p.Plan != nil {
		out.Plan = &p.Plan.Key
	}
	if s := p.Subscription; s != nil {
		starts := moment(s.StartsAt)
		out.StartsAt, out.EndsAt = &starts, nullableMoment(s.EndsAt)
	}
	for i := range p.Subscriptions {
		if s := &p.Subscriptions[i]; (s.UserID != nil) == (owner.UserID != "") {
			out.Subscription = Set(showSubscription(s))
		}
	}
	for i := range p.Features {
		feature := EffectiveFeature{showFeature(&p.Features[i].Feature), "plan"}
		if p.Features[i].Overridden {
			feature.Source = "override"
		}
		out.Features = append(out.Features, feature)
	}
	return out
}

// OrganizationApplicationPath is the part of a path that names an organization and an application.
type OrganizationApplicationPath struct {
	ID    reference `path:"id" maxLength:"255" doc:"The id or the slug of the organization."`
	AppID reference `path:"appId" maxLength:"255" doc:"The id, the slug or a client_id of the application."`
}

type effectivePlanResponse struct{ Body EffectivePlan }

type getUserPlanRequest struct {
	UserApplicationPath
	OrganizationID reference `query:"organizationId" maxLength:"255" doc:"The id or the slug of an organization: what the person has when they act for it."`
}

func (h *Handler) getUserPlan(ctx context.Context, in *getUserPlanRequest) (*effectivePlanResponse, error) {
	user, a, organizationID, err := h.acting(ctx, &in.UserApplicationPath, in.OrganizationID)
	if err != nil {
		return nil, err
	}
	person := store.Subscriber{UserID: user.ID}
	return h.effectivePlan(ctx, a, store.Subscriber{UserID: user.ID, OrganizationID: organizationID}, person)
}

func (h *Handler) getOrganizationPlan(ctx context.Context, in *OrganizationApplicationPath) (*effectivePlanResponse, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	organization, err := organizationNamed(ctx, h.Store, ref)
	if err != nil {
		return nil, err
	}
	who := store.Subscriber{OrganizationID: organization.ID}
	a, err := h.applicationNamed(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	return h.effectivePlan(ctx, a, who, who)
}

// effectivePlan answers what who has of the application, together with owner's own subscription.
func (h *Handler) effectivePlan(ctx context.Context, a *store.Application, who, owner store.Subscriber) (*effectivePlanResponse, error) {
	p, err := h.Store.EffectivePlan(ctx, a.ID, who, h.Now())
	if err != nil {
		return nil, err
	}
	return &effectivePlanResponse{showEffectivePlan(p, owner)}, nil
}

// SubscriptionInput gives somebody a plan.
type SubscriptionInput struct {
	Plan      string           `json:"plan" minLength:"1" maxLength:"64" doc:"The key of a plan of the application."`
	StartsAt  Optional[string] `json:"startsAt,omitzero" format:"date-time" doc:"To the millisecond. Default: as before when the plan stays, else now."`
	EndsAt    Optional[string] `json:"endsAt,omitzero" format:"date-time" doc:"The moment from which the subscription no longer counts. Default: never."`
	Overrides FeatureSet       `json:"overrides,omitzero" doc:"In the forms of a plan's features; in the map form a value is of the plan's type. Default: none."`
}

// setPlanRequest is the body of both routes.
type setPlanRequest struct{ Body SubscriptionInput }

// Resolve reports what can be known without the plan.
func (in *setPlanRequest) Resolve(huma.Context) []error {
	f := faults{}
	f.moment("startsAt", in.Body.StartsAt)
	f.moment("endsAt", in.Body.EndsAt)
	f.proposals("overrides", in.Body.Overrides)
	return f.findings(in.Body)
}

// moment reads a time to the millisecond, as we show it, so that it can be sent back. It is nil when there is none.
func (f faults) moment(field string, text Optional[string]) *time.Time {
	if !text.Set || text.Null {
		return nil
	}
	at, err := time.Parse(time.RFC3339, text.Value)
	if at = at.UTC(); err != nil || at.Year() < 1 || at.Year() > 9999 {
		f.add(field, "This must be a date and time such as 2026-01-31T12:00:00Z.")
		return nil
	}
	at = at.Truncate(time.Millisecond)
	return &at
}

type setUserPlanRequest struct {
	UserApplicationPath
	setPlanRequest
}

func (h *Handler) setUserPlan(ctx context.Context, in *setUserPlanRequest) (*effectivePlanResponse, error) {
	return h.setPlan(ctx, in.AppID, h.lockUser(in.ID), &in.Body)
}

type setOrganizationPlanRequest struct {
	OrganizationApplicationPath
	setPlanRequest
}

func (h *Handler) setOrganizationPlan(ctx context.Context, in *setOrganizationPlanRequest) (*effectivePlanResponse, error) {
	return h.setPlan(ctx, in.AppID, h.lockOrganization(in.ID), &in.Body)
}

// setPlan subscribes whom lock yields, and answers what they have then.
func (h *Handler) setPlan(ctx context.Context, application reference, lock lockSubscriber, in *SubscriptionInput) (out *effectivePlanResponse, err error) {
	err = h.inSubscriber(ctx, application, lock, func(ctx context.Context, a *store.Application, who store.Subscriber) error {
		if err := h.subscribe(ctx, a, who, in); err != nil {
			return err
		}
		p, err := h.Store.EffectivePlan(ctx, a.ID, who, h.Now())
		if err == nil {
			out = &effectivePlanResponse{showEffectivePlan(p, who)}
		}
		return err
	})
	return out, err
}

// A lockSubscriber finds and locks whoever a path names.
type lockSubscriber func(ctx context.Context) (store.Subscriber, error)

func (h *Handler) lockUser(ref reference) lockSubscriber {
	return func(ctx context.Context) (store.Subscriber, error) {
		id, err := ref.text()
		if err != nil {
			return store.Subscriber{}, err
		}
		_, err = h.Store.LockUser(ctx, id)
		return store.Subscriber{UserID: id}, err
	}
}

func (h *Handler) lockOrganization(ref reference) lockSubscriber {
	return func(ctx context.Context) (store.Subscriber, error) {
		text, err := ref.text()
		if err != nil {
			return store.Subscriber{}, err
		}
		organization, err := noOrganization(h.Store.LockOrganization(ctx, text))
		if err != nil {
			return store.Subscriber{}, err
		}
		return store.Subscriber{OrganizationID: organization.ID}, nil
	}
}

// inSubscriber runs fn in a transaction that has locked the application, whose plans then stay as they are, and the subscriber.
func (h *Handler) inSubscriber(ctx context.Context, application reference, lock lockSubscriber, fn func(ctx context.Context, a *store.Application, who store.Subscriber) error) error {
	return h.inApplication(ctx, application, func(ctx context.Context, a *store.Application) error {
		who, err := lock(ctx)
		if err != nil {
			return err
		}
		return fn(ctx, a, who)
	})
}

// subscribe replaces the subscription. The application and the subscriber are locked.
func (h *Handler) subscribe(ctx context.Context, a *store.Application, who store.Subscriber, in *SubscriptionInput) error {
	was, err := h.Store.SubscriptionOf(ctx, a.ID, who)
	if errors.Is(err, store.ErrNotFound) {
		was, err = &store.Subscription{}, nil
	}
	if err != nil {
		return err
	}
	plan, err := h.Store.PlanByKey(ctx, a.ID, in.Plan)
	f := faults{}
	if errors.Is(err, store.ErrNotFound) {
		f.add("plan", "The application has no plan with this key.")
		plan, err = &store.Plan{}, nil
	}
	if err != nil {
		return err
	}
	next := h.subscription(f, in, plan, was)
	if err := f.err(); err != nil {
		return err
	}
	if continues := was.PlanID == plan.ID && !was.Over(h.Now()); !plan.Active && !continues {
		return errPlanInactive
	}
	next.ApplicationID, next.UserID, next.OrganizationID = a.ID, orNull(who.UserID), orNull(who.OrganizationID)
	return h.storeSubscription(ctx, who, was, next)
}

// subscription reads the input. Whoever stays with a plan has it since the same time, so that to repeat a request changes nothing.
func (h *Handler) subscription(f faults, in *SubscriptionInput, plan *store.Plan, was *store.Subscription) *store.Subscription {
	next := &store.Subscription{PlanID: plan.ID, Plan: plan, EndsAt: f.moment("endsAt", in.EndsAt)}
	if plan.ID != "" { // else nobody knows what the overrides are about
		next.Overrides = f.overrides("overrides", in.Overrides, plan.Features)
	}
	switch starts := f.moment("startsAt", in.StartsAt); {
	case starts != nil:
		next.StartsAt = *starts
	case !in.StartsAt.Set && was.PlanID == plan.ID:
		next.StartsAt = was.StartsAt
	default:
		next.StartsAt = h.Now().UTC().Truncate(time.Millisecond)
	}
	if next.EndsAt != nil && !next.EndsAt.After(next.StartsAt) {
		f.add("endsAt", "A subscription ends after it starts: choose a later time, or an earlier startsAt.")
	}
	return next
}

// storeSubscription writes next in the place of was, unless the two are the same. A new subscription has no plan to come from.
func (h *Handler) storeSubscription(ctx context.Context, who store.Subscriber, was, next *store.Subscription) error {
	action, diff := "subscription.create", changes(nil, showSubscription(next))
	if was.Plan != nil {
		action, diff = "subscription.update", changes(showSubscription(was), showSubscription(next))
	}
	if len(diff) == 0 {
		return nil
	}
	if err := h.Store.SaveSubscription(ctx, next); err != nil {
		return err
	}
	return h.Store.Audit(ctx, subscriptionEvent(actorIn(ctx), action, who, next.ApplicationID, diff))
}

// subscriptionEvent is about the subscriber, so that what was agreed with them is in their trail.
func subscriptionEvent(actor Actor, action string, who store.Subscriber, applicationID string, diff map[string]store.Change) store.AuditEvent {
	e := actor.event(action, "user", who.UserID, applicationID, diff)
	if who.OrganizationID != "" {
		e.TargetType, e.TargetID, e.OrganizationID = "organization", who.OrganizationID, who.OrganizationID
	}
	return e
}

func (h *Handler) removeUserPlan(ctx context.Context, in *UserApplicationPath) (*struct{}, error) {
	return nil, h.inSubscriber(ctx, in.AppID, h.lockUser(in.ID), h.unsubscribe)
}

func (h *Handler) removeOrganizationPlan(ctx context.Context, in *OrganizationApplicationPath) (*struct{}, error) {
	return nil, h.inSubscriber(ctx, in.AppID, h.lockOrganization(in.ID), h.unsubscribe)
}

func (h *Handler) unsubscribe(ctx context.Context, a *store.Application, who store.Subscriber) error {
	was, err := h.Store.SubscriptionOf(ctx, a.ID, who)
	if err != nil {
		return err
	}
	if err := h.Store.DeleteSubscription(ctx, was.ID); err != nil {
		return err
	}
	return h.Store.Audit(ctx, subscriptionEvent(actorIn(ctx), "subscription.delete", who, a.ID, changes(showSubscription(was), nil)))
}
