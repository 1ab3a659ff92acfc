package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// What the buckets of a Query can be.
const (
	Total = "total"
	Hour  = "hour"
	Day   = "day"
	Month = "month"
)

// A Query asks for somebody's usage: where their counters stand or, with a range or a granularity, what they used when.
type Query struct {
	UserID         string
	OrganizationID string // only what they used for it
	Key            string // all of them when empty
	From, To       time.Time
	Granularity    string // Total when empty
}

// Usage answers a Query, with one aggregate per key.
type Usage struct {
	UserID         string      `json:"userId"`
	ApplicationID  string      `json:"applicationId"`
	OrganizationID string      `json:"organizationId"`
	From           *time.Time  `json:"from"`
	To             *time.Time  `json:"to"`
	Granularity    string      `json:"granularity"`
	Aggregates     []Aggregate `json:"aggregates"`
}

// An Aggregate is the usage of one key.
type Aggregate struct {
	Key         string     `json:"key"`
	Total       Amount     `json:"total"`
	Count       int64      `json:"count"`
	FirstAt     *time.Time `json:"firstAt"`
	LastAt      *time.Time `json:"lastAt"`
	Limit       *Amount    `json:"limit"`
	Remaining   *Amount    `json:"remaining"`
	Period      Period     `json:"period"`
	ResetAt     *time.Time `json:"resetAt"` // when the quota begins anew
	LastResetAt *time.Time `json:"lastResetAt"`
	Reserved    Amount     `json:"reserved"`
	Buckets     []Bucket   `json:"buckets"` // those without use are left out
}

// A Bucket is an hour, a day or a month in UTC.
type Bucket struct {
	Start time.Time `json:"start"`
	Total Amount    `json:"total"`
	Count int64     `json:"count"`
}

// Usage reads what somebody used of this application.
func (c *Client) Usage(ctx context.Context, q Query) (Usage, error) {
	values := url.Values{}
	for name, value := range map[string]string{
		"key": q.Key, "organizationId": q.OrganizationID, "granularity": q.Granularity, "from": stamp(q.From), "to": stamp(q.To),
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	path := "/" + url.PathEscape(q.UserID) + "/" + url.PathEscape(c.options.ClientID)
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	var answer Usage
	err := c.call(ctx, http.MethodGet, path, nil, &answer)
	return answer, err
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
