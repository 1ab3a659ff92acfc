package store

import "time"

// An Organization is a customer for whom several people act.
type Organization struct {
	ID        string `gorm:"primaryKey"`
	Slug      string
	Name      string
	Logo      string         // an https URL, or empty
	Metadata  map[string]any `gorm:"serializer:json"`
	CreatedAt time.Time
	UpdatedAt time.Time
}
