package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

func (h *Handler) mountExplanations(api huma.API) {
	op := operation("explainEntitlement", http.MethodGet, "/users/{id}/applications/{appId}/explain",
		"Tell why a person has a permission or a feature, or has not", http.StatusOK, http.StatusNotFound, http.StatusConflict)
	op.Tags = []string{"Users"}
	huma.Register(api, op, h.explain)
}

type explainRequest struct {
	UserApplicationPath
	Permission     string    `query:"permission" maxLength:"64" doc:"The key of a permission; either this or feature."`
	Feature        string    `query:"feature" maxLength:"64" doc:"The key of a feature; either this or permission."`
	OrganizationID reference `query:"organizationId" maxLength:"255" doc:"The id or the slug of an organization: when the person acts for it. Default: for none."`
}

// Resolve makes sure that one thing is asked about.
func (in *explainRequest) Resolve(huma.Context) []error {
	f := faults{}
	switch {
	case in.Permission == "" && in.Feature == "":
		f.add("query.permission", "Say what to explain: a permission or a feature.")
	case in.Permission != "" && in.Feature != "":
		f.add("query.feature", "Ask about a permission or a feature, one at a time.")
	case in.Permission != "":
		f.add("query.permission", keyFault(in.Permission))
	default:
		f.add("query.feature", keyFault(in.Feature))
	}
	return f.findings(struct{}{})
}

// An Explanation says whether a token of the person would have a permission or a feature now, and why. Allowed is what the
// token says; Blocked is why there would be no token at all, whatever it would say.
type Explanation struct {
	UserID         string  `json:"userId"`
	ApplicationID  string  `json:"applicationId"`
	OrganizationID *string `json:"organizationId" doc:"Null: the person acts for no organization."`
	Permission     *string `json:"permission"`
	Feature        *string `json:"feature"`
	Allowed        bool    `json:"allowed" doc:"True for a permission that the person has, and for a feature that is true, text, without a limit or with one above zero."`
	Blocked        *string `json:"blocked" enum:"user_disabled,application_disabled" doc:"Why no token is issued at present, whatever it would say; null when it is."`

	Roles []ExplainedRole `json:"roles" doc:"For a permission: every way in which the person holds a role, those that lead to the permission first."`
	Plan  *ExplainedPlan  `json:"plan,omitempty" doc:"For a feature: the plan, absent when there is none."`
	// PassedOver are subscriptions that are not in force, or behind another one.
	PassedOver []ExplainedSubscription `json:"passedOver" doc:"For a feature: subscriptions that do not count now, and why."`
}

// An ExplainedRole is one way to a role: assignment, role, permission.
type ExplainedRole struct {
	Role           string  `json:"role"`
	Via            string  `json:"via" enum:"default,user,organization" doc:"default: everybody holds it. user: given everywhere. organization: given in one."`
	OrganizationID *string `json:"organizationId" doc:"Where it was given."`
	AssignedAt     *Moment `json:"assignedAt" nullable:"true"`
	Counts         bool    `json:"counts" doc:"False for a role of another organization than the one asked about."`
	Grants         bool    `json:"grants" doc:"The role has the permission."`
}

// An ExplainedPlan is the way to a feature: subscription, plan, feature, override.
type ExplainedPlan struct {
	Source   string       `json:"source" enum:"organization,user,default" doc:"Whose subscription gives the plan; default: nobody's, it is the application's default plan."`
	Plan     string       `json:"plan"`
	StartsAt *Moment      `json:"startsAt" nullable:"true" doc:"Of the subscription."`
	EndsAt   *Moment      `json:"endsAt" nullable:"true"`
	InPlan   *Feature     `json:"inPlan,omitempty" doc:"What the plan says; absent when it does not have the feature."`
	Override *Feature     `json:"override,omitempty" doc:"What the subscription says instead."`
	Value    FeatureValue `json:"value" doc:"What the token says; null also when it does not have the feature, and then there is neither inPlan nor override."`
}

// An ExplainedSubscription is one that does not give the plan.
type ExplainedSubscription struct {
	Source   string  `json:"source" enum:"organization,user"`
	Plan     string  `json:"plan"`
	StartsAt Moment  `json:"startsAt"`
	EndsAt   *Moment `json:"endsAt" nullable:"true"`
	Because  string  `json:"because" enum:"not_begun,ended,organization_first"`
}

type explanationResponse struct{ Body Explanation }

func (h *Handler) explain(ctx context.Context, in *explainRequest) (*explanationResponse, error) {
	user, a, organizationID, err := h.acting(ctx, &in.UserApplicationPath, in.OrganizationID)
	if err != nil {
		return nil, err
	}
	who := store.Subscriber{UserID: user.ID, OrganizationID: organizationID}
	out := Explanation{UserID: user.ID, ApplicationID: a.ID, OrganizationID: orNull(who.OrganizationID), Roles: []ExplainedRole{}, PassedOver: []ExplainedSubscription{}}
	switch {
	case user.Disabled(h.Now()):
		out.Blocked = ptrTo("user_disabled")
	case a.Disabled:
		out.Blocked = ptrTo("application_disabled")
	}
	if in.Permission != "" {
		out.Permission, err = &in.Permission, h.explainPermission(ctx, &out, who, in.Permission)
	} else {
		out.Feature, err = &in.Feature, h.explainFeature(ctx, &out, who, in.Feature)
	}
	if err != nil {
		return nil, err
	}
	return &explanationResponse{out}, nil
}

func ptrTo[T any](value T) *T { return &value }

func (h *Handler) explainPermission(ctx context.Context, out *Explanation, who store.Subscriber, permission string) error {
	paths, err := h.Store.RolePaths(ctx, who.UserID, out.ApplicationID, who.OrganizationID, permission)
	if err != nil {
		return err
	}
	for _, p := range paths {
		out.Roles = append(out.Roles, ExplainedRole{
			Role: p.Role, Via: p.Via, OrganizationID: orNull(p.OrganizationID), AssignedAt: nullableMoment(p.AssignedAt), Counts: p.Counts, Grants: p.Grants,
		})
		out.Allowed = out.Allowed || p.Counts && p.Grants
	}
	leads := func(r ExplainedRole) int {
		switch {
		case r.Counts && r.Grants:
			return 0
		case r.Grants:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out.Roles, func(a, b ExplainedRole) int { return leads(a) - leads(b) })
	return nil
}

func (h *Handler) explainFeature(ctx context.Context, out *Explanation, who store.Subscriber, key string) error {
	now := h.Now()
	effective, err := h.Store.EffectivePlan(ctx, out.ApplicationID, who, now)
	if err != nil {
		return err
	}
	for i := range effective.Subscriptions {
		s := &effective.Subscriptions[i]
		if s != effective.Subscription {
			out.PassedOver = append(out.PassedOver, ExplainedSubscription{
				Source: s.Source(), Plan: s.Plan.Key, StartsAt: moment(s.StartsAt), EndsAt: nullableMoment(s.EndsAt), Because: passedOver(s, now),
			})
		}
	}
	if effective.Plan == nil {
		return nil
	}
	out.Plan = &ExplainedPlan{Source: effective.Source, Plan: effective.Plan.Key, Value: FeatureValue{json.RawMessage("null")}}
	out.Plan.InPlan = featureIn(effective.Plan.Features, key)
	if s := effective.Subscription; s != nil {
		out.Plan.StartsAt, out.Plan.EndsAt, out.Plan.Override = ptrTo(moment(s.StartsAt)), nullableMoment(s.EndsAt), featureIn(s.Overrides, key)
	}
	for _, f := range effective.Features {
		if f.Key == key {
			out.Plan.Value, out.Allowed = FeatureValue{f.Value}, f.Allows()
		}
	}
	return nil
}

func featureIn(features []store.Feature, key string) *Feature {
	i := slices.IndexFunc(features, func(f store.Feature) bool { return f.Key == key })
	if i < 0 {
		return nil
	}
	return ptrTo(showFeature(&features[i]))
}

func passedOver(s *store.Subscription, now time.Time) string {
	switch {
	case s.Over(now):
		return "ended"
	case !s.InForce(now):
		return "not_begun"
	}
	return "organization_first"
}
