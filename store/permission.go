package store

import "time"

// A Permission is something that an application can allow, by a key of the application's choice such as invoice:read.
type Permission struct {
	ID            string `gorm:"primaryKey"`
	ApplicationID string
	Key           string
	Name          string
	Description   string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}
