package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	apiPath   = "/api/consumption"
	answerMax = 16 << 20    // more than any answer has
	waitMax   = time.Minute // what the server asks for beyond that is for the caller to decide
)

// call sends a request until there is an answer that further tries would not change. The body is made once, so that each
// try carries the same idempotency keys.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	renewed := false
	for try := 1; ; try++ {
		err := c.try(ctx, method, path, text, answer)
		if unauthorized(err) && !renewed { // the token was revoked, or the server's keys are new ones
			renewed = true
			err = c.try(ctx, method, path, text, answer)
		}
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if try == c.options.Tries {
			return fmt.Errorf("given up after %d tries: %w", try, err)
		}
		if err := sleep(ctx, c.wait(try, err)); err != nil {
			return err
		}
	}
}

// try sends the request once, with a token that it first gets if there is none.
func (c *Client) try(ctx context.Context, method, path string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+apiPath+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	err = c.send(r, answer)
	if unauthorized(err) {
		c.tokens.forget(token)
	}
	return err
}

// A lost error is that of a request to which no whole answer came: whether the server did what it was asked to is unknown.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

func (c *Client) send(r *http.Request, answer any) error {
	res, err := c.options.HTTPClient.Do(r)
	if err != nil {
		return lost{err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err != nil {
		return lost{err}
	}
	if res.StatusCode >= 300 {
		return failure(res, body)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("the answer of %s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

// passing reports whether the same request may well succeed soon.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return errors.As(err, new(lost))
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e.RetryAfter <= waitMax
	}
	return false
}

func unauthorized(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusUnauthorized && !errors.As(err, new(refused))
}

// wait is how long to wait after a try that failed: anything up to a limit that doubles each time, so that callers who
// failed together do not come back together. What the server asks for is added to it, not taken as the moment to come.
func (c *Client) wait(try int, err error) time.Duration {
	limit := min(c.options.Backoff, c.options.MaxBackoff)
	for range try - 1 {
		limit = min(2*limit, c.options.MaxBackoff)
	}
	asked := time.Duration(0)
	if e := (*Error)(nil); errors.As(err, &e) {
		asked = max(e.RetryAfter, 0)
	}
	return asked + rand.N(limit+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
