package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// What a feature is.
const (
	FeatureBoolean = "boolean" // on or off
	FeatureLimit   = "limit"   // how much there may be at once, such as seats
	FeatureQuota   = "quota"   // how much may be used in a period, such as calls
	FeatureString  = "string"
)

// Periods in which a quota is counted; empty is all time.
const (
	PeriodDay   = "day"
	PeriodMonth = "month"
	PeriodYear  = "year"
)

// A Feature is what a plan says about one thing that the application sells.
type Feature struct {
	Key string `json:"key"`
	// Type is one of the Feature constants.
	Type string `json:"type"`
	// Value is true or false, a string, or for limits and quotas an exact decimal without exponent; null is "no limit".
	Value json.RawMessage `json:"value"`
	// Period is when a quota begins anew.
	Period string `json:"period,omitempty"`
	// Hard quotas refuse what would exceed them; others only tell.
	Hard bool `json:"hard,omitempty"`
	// Thresholds of a quota are the percentages of its limit at which the application is told, ascending. Absent they are the
	// usual ones (see NotifyAt); an empty list is none.
	Thresholds []int `json:"thresholds,omitzero"`
}

// NotifyAt returns the percentages of the limit at which the application is told, ascending.
func (f *Feature) NotifyAt() []int {
	if f.Thresholds == nil {
		return []int{80, 100}
	}
	return f.Thresholds
}

// Allows reports whether the feature lets its holder do something: it is true, some text, or has no limit or one above zero.
func (f *Feature) Allows() bool {
	switch string(f.Value) {
	case "false", `""`, "0":
		return false
	}
	return true
}

// A Plan is what an application's subscribers can have: its features, the later ones by key.
type Plan struct {
	ID            string `gorm:"primaryKey"`
	ApplicationID string
	Key           string
	Name          string
	Description   string
	IsDefault     bool // of those without a subscription; at most one of an application
	Active        bool // new subscriptions are possible; those that exist go on in any case
	PriceAmount   string
	PriceCurrency string
	PriceInterval string
	Features      []Feature `gorm:"serializer:json"`
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Plans returns one page of an application's plans.
func (s *Store) Plans(ctx context.Context, q KeyQuery) (*Page[Plan], error) {
	page, err := findPage[Plan](ctx, s, q.Paging, s.keyListing(ctx, "plans", q))
	if err != nil {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	return page, nil
}

// CountPlans counts the application's plans.
func (s *Store) CountPlans(ctx context.Context, applicationID string) (int, error) {
	n, err := s.countKeys(ctx, &Plan{}, applicationID)
	if err != nil {
		return 0, fmt.Errorf("count plans of application %s: %w", applicationID, err)
	}
	return n, nil
}

// PlanByKey returns the application's plan with the key, or ErrNotFound.
func (s *Store) PlanByKey(ctx context.Context, applicationID, key string) (*Plan, error) {
	var p Plan
	if err := s.db(ctx).Take(&p, "application_id = ? AND key = ?", applicationID, key).Error; err != nil {
		return nil, fmt.Errorf("plan %q of application %s: %w", key, applicationID, known(err))
	}
	return &p, nil
}

// DefaultPlan returns the plan of those without a subscription, or ErrNotFound when they have none.
func (s *Store) DefaultPlan(ctx context.Context, applicationID string) (*Plan, error) {
	var p Plan
	if err := s.db(ctx).Take(&p, "application_id = ? AND is_default", applicationID).Error; err != nil {
		return nil, fmt.Errorf("default plan of application %s: %w", applicationID, known(err))
	}
	return &p, nil
}

// CreatePlan inserts p. It returns ErrConflict when the application has a plan with the key, or another default.
func (s *Store) CreatePlan(ctx context.Context, p *Plan) error {
	p.ID, p.CreatedAt = NewID(), s.now()
	p.UpdatedAt = p.CreatedAt
	if err := s.createKey(ctx, p); err != nil {
		return fmt.Errorf("create plan %q of application %s: %w", p.Key, p.ApplicationID, err)
	}
	return s.changed(ctx, p.ApplicationID)
}

// UpdatePlan writes every column of p but its key. It returns ErrConflict when p is to be a second default.
func (s *Store) UpdatePlan(ctx context.Context, p *Plan) error {
	p.UpdatedAt = s.now()
	res := s.db(ctx).Model(&Plan{}).Where("id = ?", p.ID).Select("*").Omit("id", "application_id", "key", "created_at").UpdateColumns(p)
	if err := touched(res); err != nil {
		return fmt.Errorf("update plan %s: %w", p.ID, err)
	}
	return s.changed(ctx, p.ApplicationID)
}

// DeletePlan deletes the plan with all its subscriptions.
func (s *Store) DeletePlan(ctx context.Context, p *Plan) error {
	if err := touched(s.db(ctx).Delete(&Plan{}, "id = ?", p.ID)); err != nil {
		return fmt.Errorf("delete plan %s: %w", p.ID, err)
	}
	return s.changed(ctx, p.ApplicationID)
}
