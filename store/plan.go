package store

import (
	"encoding/json"
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
	// Value is true or false, a string, or for limits and quotas a number as it was written; null is "no limit".
	Value json.RawMessage `json:"value"`
	// Period is when a quota begins anew.
	Period string `json:"period,omitempty"`
	// Hard quotas refuse what would exceed them; others only tell.
	Hard bool `json:"hard,omitempty"`
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
