// Package client lets an application record what its people use, and ask before they use more, at /api/consumption of its
// auth-service. It imports nothing but the standard library.
//
// Start with New and Record. Whatever fails for a while (a lost connection, a timeout, 429, 502, 503, 504) is tried again
// with the idempotency key of the first try, so nothing is counted twice and an answer that was lost is given again.
// Amounts are decimals in text: a float64 cannot hold 0.1.
package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are what a Client needs, and how patient it is.
type Options struct {
	BaseURL      string // the server's origin, such as https://auth.example.com
	ClientID     string // of a client of the application that may use client credentials and authenticates by client_secret_basic
	ClientSecret string
	HTTPClient   *http.Client // one that keeps up to 100 connections when nil

	Timeout    time.Duration // for one try; 10 s when 0
	Tries      int           // for one call, the first one included; 8 when 0
	Backoff    time.Duration // the longest wait before the second try, twice as long before each further one; 100 ms when 0
	MaxBackoff time.Duration // the longest wait of all, unless the server asks for more; 10 s when 0
}

// A Client talks to one server for one application. It may be used by several goroutines at once.
type Client struct {
	options Options
	base    string
	tokens  tokens
}

// New checks the options; it does not call the server.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("base URL %q: it must begin with https://", u.Redacted())
	}
	if o.ClientID == "" || o.ClientSecret == "" {
		return nil, errors.New("the client id and its secret are both needed")
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute,
		}}
	}
	set(&o.Timeout, 10*time.Second)
	set(&o.Tries, 8)
	set(&o.Backoff, 100*time.Millisecond)
	set(&o.MaxBackoff, 10*time.Second)
	return &Client{options: o, base: strings.TrimRight(o.BaseURL, "/"), tokens: tokens{turn: make(chan struct{}, 1)}}, nil
}

// set gives an option that was left out its default.
func set[T ~int | ~int64](option *T, value T) {
	if *option == 0 {
		*option = value
	}
}

// What the server takes at once, unless it is configured to take less.
const (
	batchRecords = 500
	batchBytes   = 1 << 20
)

// A Record is one use of something by somebody.
type Record struct {
	UserID         string         `json:"userId"`
	Key            string         `json:"key"`
	Amount         Amount         `json:"amount,omitempty"` // 1 when empty
	OrganizationID string         `json:"organizationId,omitempty"`
	Timestamp      time.Time      `json:"timestamp,omitzero"` // when it happened; when it arrives, if zero
	Metadata       map[string]any `json:"metadata,omitempty"`
	IdempotencyKey string         `json:"idempotencyKey,omitempty"` // made for this call when empty
	Enforce        bool           `json:"enforce,omitempty"`        // refuse it above the limit, even if the quota is a soft one
}

// Recorded is what the server says of a record: where its account stands in the period.
type Recorded struct {
	ID        string  `json:"id"`
	Recorded  bool    `json:"recorded"`
	Duplicate bool    `json:"duplicate"` // it was recorded before, and this is the answer of that time
	Key       string  `json:"key"`
	Amount    Amount  `json:"amount"`
	Total     Amount  `json:"total"`
	Period    Period  `json:"period"`
	Limit     *Amount `json:"limit"`     // nil when there is none
	Remaining *Amount `json:"remaining"` // nil when there is no limit
	Exceeded  bool    `json:"exceeded"`
}

// A Period is that of a quota; one for all time has neither end.
type Period struct {
	Start *time.Time `json:"start"`
	End   *time.Time `json:"end"`
}

// NewIdempotencyKey makes a key that nobody else will make. Keep it with what is recorded if that has to survive a restart
// of the application; the name of what is recorded, such as an invoice's id, serves as well.
func NewIdempotencyKey() string { return rand.Text() }

// Record counts one use once, however often it takes to tell the server. It fails with ErrQuotaExceeded when a hard limit,
// or any if the record says so, stands in the way; then nothing is counted.
func (c *Client) Record(ctx context.Context, r Record) (Recorded, error) {
	if r.IdempotencyKey == "" {
		r.IdempotencyKey = NewIdempotencyKey()
	}
	var answer Recorded
	err := c.call(ctx, http.MethodPost, "", r, &answer)
	return answer, err
}

// RecordAll counts several uses, up to 500 of them at a time; what goes together is recorded whole or not at all. Records
// without an idempotency key get one, in the given list: after an error the same list can be given again, and what was
// recorded is not counted twice. The answers are in the order of the records; with an error, they are those before it.
func (c *Client) RecordAll(ctx context.Context, records []Record) ([]Recorded, error) {
	texts := make([]json.RawMessage, len(records))
	for i := range records {
		if records[i].IdempotencyKey == "" {
			records[i].IdempotencyKey = NewIdempotencyKey()
		}
		text, err := json.Marshal(records[i])
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		texts[i] = text
	}
	answers := make([]Recorded, 0, len(records))
	for len(answers) < len(texts) {
		batch := batchOf(texts[len(answers):])
		var answer struct{ Records []Recorded }
		err := c.call(ctx, http.MethodPost, "", map[string]any{"records": batch}, &answer)
		if err == nil && len(answer.Records) != len(batch) {
			err = fmt.Errorf("%d records were answered by %d", len(batch), len(answer.Records))
		}
		if err != nil {
			return answers, fmt.Errorf("records %d to %d: %w", len(answers), len(answers)+len(batch)-1, err)
		}
		answers = append(answers, answer.Records...)
	}
	return answers, nil
}

// batchOf returns as many as go into one request, at least one.
func batchOf(texts []json.RawMessage) []json.RawMessage {
	const frame = len(`{"records":[]}`)
	size := frame
	for i, text := range texts {
		size += len(text) + len(",")
		if i > 0 && (i == batchRecords || size > batchBytes) {
			return texts[:i]
		}
	}
	return texts
}

// A Question asks whether somebody may use so much.
type Question struct {
	UserID         string `json:"userId"`
	Key            string `json:"key"`
	Amount         Amount `json:"amount,omitempty"` // 1 when empty
	OrganizationID string `json:"organizationId,omitempty"`
	Enforce        bool   `json:"enforce,omitempty"` // as if the quota were a hard one
}

// An Allowance answers a Question. Total and Remaining are as they are now, without the amount.
type Allowance struct {
	Allowed   bool    `json:"allowed"`
	Key       string  `json:"key"`
	Amount    Amount  `json:"amount"`
	Total     Amount  `json:"total"`
	Period    Period  `json:"period"`
	Limit     *Amount `json:"limit"`
	Remaining *Amount `json:"remaining"`
	Hard      bool    `json:"hard"`
	Exceeded  bool    `json:"exceeded"` // with the amount, it would be
	Plan      string  `json:"plan"`
}

// Check counts nothing and holds nothing: until the use is recorded, others may use up what is left. Reserve holds it.
func (c *Client) Check(ctx context.Context, q Question) (Allowance, error) {
	var answer Allowance
	err := c.call(ctx, http.MethodPost, "/check", q, &answer)
	return answer, err
}
