package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm/clause"
)

// A Subscription gives a person or an organization, one of the two, a plan of an application for a time. Overrides replace
// features of the plan of the same key and add others. There is at most one per subscriber and application.
type Subscription struct {
	ID             string `gorm:"primaryKey"`
	ApplicationID  string
	PlanID         string
	Plan           *Plan
	UserID         *string
	OrganizationID *string
	Overrides      []Feature `gorm:"serializer:json"`
	StartsAt       time.Time
	EndsAt         *time.Time // nil: until further notice
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// InForce reports whether the subscription counts at the time now.
func (s *Subscription) InForce(now time.Time) bool { return !now.Before(s.StartsAt) && !s.Over(now) }

// Over reports whether the subscription has ended.
func (s *Subscription) Over(now time.Time) bool { return s.EndsAt != nil && !now.Before(*s.EndsAt) }

// A Subscriber is a person, an organization, or a person who acts for an organization. What is empty is not there.
type Subscriber struct{ UserID, OrganizationID string }

// How a subscriber comes by a plan.
const (
	PlanOfOrganization = "organization"
	PlanOfUser         = "user"
	PlanByDefault      = "default"
)

// An EffectivePlan is what a subscriber has of an application at one time.
type EffectivePlan struct {
	Plan     *Plan  // nil: none
	Source   string // one of the three above; empty without a plan
	Features []EffectiveFeature
	// Subscription is the one that gives the plan; nil when it is the default.
	Subscription *Subscription
	// Subscriptions are all that the subscriber has for the application, in force or not: those of the organization first.
	Subscriptions []Subscription
}

// An EffectiveFeature is a feature with where it comes from.
type EffectiveFeature struct {
	Feature
	Overridden bool // by the subscription; else it is the plan's
}

// EffectivePlan finds what the subscriber has of the application at the time now: what the organization's subscription says
// if it is in force, else the person's, else the application's default plan. It takes one statement, or two for the default.
func (s *Store) EffectivePlan(ctx context.Context, applicationID string, who Subscriber, now time.Time) (*EffectivePlan, error) {
	rows, err := s.subscriptionsOf(ctx, applicationID, who)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if row := &rows[i]; row.InForce(now) {
			return &EffectivePlan{
				Plan: row.Plan, Source: row.Source(), Features: mergeFeatures(row.Plan.Features, row.Overrides), Subscription: row, Subscriptions: rows,
			}, nil
		}
	}
	out := &EffectivePlan{Subscriptions: rows}
	plan, err := s.DefaultPlan(ctx, applicationID)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return nil, err
	default:
		out.Plan, out.Source, out.Features = plan, PlanByDefault, mergeFeatures(plan.Features, nil)
	}
	return out, nil
}

// Source is PlanOfOrganization or PlanOfUser.
func (s *Subscription) Source() string {
	if s.OrganizationID != nil {
		return PlanOfOrganization
	}
	return PlanOfUser
}

// mergeFeatures puts the overrides in the place of features with their keys and beside the others.
func mergeFeatures(plan, overrides []Feature) []EffectiveFeature {
	byKey := map[string]EffectiveFeature{}
	for _, f := range plan {
		byKey[f.Key] = EffectiveFeature{Feature: f}
	}
	for _, f := range overrides {
		byKey[f.Key] = EffectiveFeature{Feature: f, Overridden: true}
	}
	out := make([]EffectiveFeature, 0, len(byKey))
	for _, f := range byKey {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b EffectiveFeature) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// subscriptionsOf returns the subscriptions with their plans, the organization's first. The application is in both halves of
// the condition, because the index that is to serve each half begins with the subscriber and ends with the application.
func (s *Store) subscriptionsOf(ctx context.Context, applicationID string, who Subscriber) ([]Subscription, error) {
	var rows []Subscription
	err := s.db(ctx).Joins("Plan").Order("subscriptions.organization_id IS NULL").Find(&rows,
		"(subscriptions.user_id = ? AND subscriptions.application_id = ?) OR (subscriptions.organization_id = ? AND subscriptions.application_id = ?)",
		who.UserID, applicationID, who.OrganizationID, applicationID).Error
	if err != nil {
		return nil, fmt.Errorf("subscriptions for application %s: %w", applicationID, known(err))
	}
	return rows, nil
}

// SubscriptionOf returns the subscription of a person or of an organization with its plan, or ErrNotFound.
func (s *Store) SubscriptionOf(ctx context.Context, applicationID string, who Subscriber) (*Subscription, error) {
	rows, err := s.subscriptionsOf(ctx, applicationID, who)
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("subscription for application %s: %w", applicationID, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &rows[0], nil
}

// SaveSubscription makes sub the subscription of its person or organization, in place of any other for the application. A row
// that exists keeps its id and the time of its creation.
func (s *Store) SaveSubscription(ctx context.Context, sub *Subscription) error {
	sub.ID, sub.CreatedAt = NewID(), s.now()
	sub.UpdatedAt = sub.CreatedAt
	subscriber := "user_id"
	if sub.OrganizationID != nil {
		subscriber = "organization_id"
	}
	again := clause.OnConflict{
		Columns:     []clause.Column{{Name: subscriber}, {Name: "application_id"}},
		TargetWhere: clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: subscriber + " IS NOT NULL"}}},
		DoUpdates:   clause.AssignmentColumns([]string{"plan_id", "overrides", "starts_at", "ends_at", "updated_at"}),
	}
	if err := s.db(ctx).Clauses(again).Omit(clause.Associations).Create(sub).Error; err != nil {
		return fmt.Errorf("save subscription for application %s: %w", sub.ApplicationID, known(err))
	}
	return nil
}

// DeleteSubscription removes a subscription.
func (s *Store) DeleteSubscription(ctx context.Context, id string) error {
	if err := touched(s.db(ctx).Delete(&Subscription{}, "id = ?", id)); err != nil {
		return fmt.Errorf("delete subscription %s: %w", id, err)
	}
	return nil
}

// CountSubscriptions counts the subscriptions to the plan that are in force or will be.
func (s *Store) CountSubscriptions(ctx context.Context, planID string) (int64, error) {
	var n int64
	err := s.db(ctx).Model(&Subscription{}).Where("plan_id = ? AND (ends_at IS NULL OR ends_at > ?)", planID, s.now()).Count(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count subscriptions to plan %s: %w", planID, known(err))
	}
	return n, nil
}
