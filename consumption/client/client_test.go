package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption/client"
)

// A script stands for what lies between the client and the server, and fails as no server does when it is asked to. What the
// client and a real server do together is tested where a real server can be started, in package main.
type script struct {
	mu      sync.Mutex
	tokens  int      // how many were given
	bodies  []string // of the calls
	bearers []string
	at      []time.Time
	answers []func(w http.ResponseWriter) // one for each call, the last one for all further ones
}

// RoundTrip answers without a network, so that the clock of a test bubble governs every wait.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := httptest.NewRecorder()
	if r.URL.Path == "/api/auth/oauth2/token" {
		s.tokens++
		_, _ = io.WriteString(w, `{"access_token":"token-`+strings.Repeat("I", s.tokens)+`","expires_in":600}`)
		return w.Result(), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.bodies = append(s.bodies, string(body))
	s.bearers = append(s.bearers, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	s.at = append(s.at, time.Now())
	answer := s.answers[min(len(s.bodies), len(s.answers))-1]
	if answer == nil {
		return nil, errors.New("connection reset by peer")
	}
	answer(w)
	return w.Result(), nil
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func body(code int, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

var recorded = body(200, `{"id":"1","recorded":true,"key":"api_calls","amount":0.3,"total":10.000001,"period":{"start":null,"end":null},"limit":null,"remaining":null}`)

// scripted runs a test with a clock of its own.
func scripted(t *testing.T, answers []func(http.ResponseWriter), fn func(t *testing.T, c *client.Client, s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: answers}
		c, err := client.New(client.Options{BaseURL: "https://auth.example.com/", ClientID: "crm", ClientSecret: "secret", HTTPClient: &http.Client{Transport: s}})
		require.NoError(t, err)
		fn(t, c, s)
	})
}

// A retry with another key would count what the server has already counted.
func TestTriesKeepTheIdempotencyKey(t *testing.T) {
	broken := []func(http.ResponseWriter){status(502), status(503), status(504), status(429), nil, recorded}
	scripted(t, broken, func(t *testing.T, c *client.Client, s *script) {
		got, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls", Amount: "0.3"})
		require.NoError(t, err)
		assert.Equal(t, client.Amount("10.000001"), got.Total, "as it was written")
		require.Len(t, s.bodies, len(broken))
		for _, body := range s.bodies {
			assert.Equal(t, s.bodies[0], body)
		}
		var sent client.Record
		require.NoError(t, json.Unmarshal([]byte(s.bodies[0]), &sent))
		assert.GreaterOrEqual(t, len(sent.IdempotencyKey), 26)
		assert.Equal(t, 1, s.tokens)
	})
}

func TestRefusalsAreNotTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		check  func(t *testing.T, err error)
	}{
		"over the limit": {body(409, `{"code":"QUOTA_EXCEEDED","detail":"The limit is 10."}`), func(t *testing.T, err error) {
			assert.ErrorIs(t, err, client.ErrQuotaExceeded)
			assert.NotErrorIs(t, err, client.ErrUserNotFound)
			assert.EqualError(t, err, "409 QUOTA_EXCEEDED: The limit is 10.")
		}},
		"bad fields": {body(422, `{"code":"VALIDATION_ERROR","detail":"Some fields are wrong.","errors":{"amount":"Too many places."}}`), func(t *testing.T, err error) {
			var e *client.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, map[string]string{"amount": "Too many places."}, e.Fields)
			assert.Equal(t, 422, e.Status)
			assert.EqualError(t, err, "422 VALIDATION_ERROR: Some fields are wrong. amount: Too many places.")
		}},
		"a fault of the server": {body(500, `{"code":"INTERNAL"}`), func(t *testing.T, err error) { assert.Error(t, err) }},
		"what is no answer":     {body(200, `<html>`), func(t *testing.T, err error) { assert.ErrorContains(t, err, "/api/consumption") }},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, []func(http.ResponseWriter){tt.answer}, func(t *testing.T, c *client.Client, s *script) {
				_, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls"})
				tt.check(t, err)
				assert.Len(t, s.bodies, 1)
			})
		})
	}
}

// What stays down is not called for ever, and not by everybody at the same moment.
func TestWaitsGrowAndEnd(t *testing.T) {
	scripted(t, []func(http.ResponseWriter){status(503)}, func(t *testing.T, c *client.Client, s *script) {
		_, err := c.Check(t.Context(), client.Question{UserID: "ada", Key: "api_calls"})
		assert.ErrorContains(t, err, "given up after 8 tries: 503")
		require.Len(t, s.at, 8)
		longest := 100 * time.Millisecond
		for i := range s.at[1:] {
			assert.LessOrEqual(t, s.at[i+1].Sub(s.at[i]), longest)
			longest = min(2*longest, 10*time.Second)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, value := range map[string]string{"seconds": "7", "a date": "Sat, 01 Jan 2000 00:00:07 GMT"} { // where a bubble's clock begins
		t.Run(name, func(t *testing.T) {
			scripted(t, []func(http.ResponseWriter){status(429, "Retry-After", value), recorded}, func(t *testing.T, c *client.Client, s *script) {
				_, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls"})
				require.NoError(t, err)
				waited := s.at[1].Sub(s.at[0])
				assert.GreaterOrEqual(t, waited, 7*time.Second)
				assert.LessOrEqual(t, waited, 7100*time.Millisecond)
			})
		})
	}
}

func TestLongRetryAfterIsTold(t *testing.T) {
	scripted(t, []func(http.ResponseWriter){status(429, "Retry-After", "3600")}, func(t *testing.T, c *client.Client, s *script) {
		_, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls"})
		var e *client.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, time.Hour, e.RetryAfter)
		assert.Len(t, s.bodies, 1)
	})
}

func TestContextEndsTheTries(t *testing.T) {
	scripted(t, []func(http.ResponseWriter){status(503, "Retry-After", "30")}, func(t *testing.T, c *client.Client, s *script) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.Record(ctx, client.Record{UserID: "ada", Key: "api_calls"})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		assert.Len(t, s.bodies, 1)
	})
}

func TestRevokedTokenIsReplacedOnce(t *testing.T) {
	scripted(t, []func(http.ResponseWriter){status(401), recorded}, func(t *testing.T, c *client.Client, s *script) {
		_, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls"})
		require.NoError(t, err)
		assert.Equal(t, []string{"token-I", "token-II"}, s.bearers)
		assert.Equal(t, s.bodies[0], s.bodies[1])
	})
	scripted(t, []func(http.ResponseWriter){status(401)}, func(t *testing.T, c *client.Client, s *script) {
		_, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls"})
		assert.ErrorContains(t, err, "401")
		assert.Len(t, s.bodies, 2)
	})
}

func TestTokenIsShared(t *testing.T) {
	scripted(t, []func(http.ResponseWriter){recorded}, func(t *testing.T, c *client.Client, s *script) {
		callers := func() {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					_, err := c.Record(t.Context(), client.Record{UserID: "ada", Key: "api_calls"})
					assert.NoError(t, err)
				})
			}
			wg.Wait()
		}
		callers()
		assert.Equal(t, 1, s.tokens)
		time.Sleep(9 * time.Minute) // of the bubble's clock
		callers()
		assert.Equal(t, 2, s.tokens, "a minute before it expires, there is a new one")
	})
}

// all answers a batch.
func all(w http.ResponseWriter, batch int) {
	_, _ = io.WriteString(w, `{"records":[`+strings.Repeat(`{"id":"1"},`, batch-1)+`{"id":"1"}]}`)
}

func TestBatchesAreSplit(t *testing.T) {
	many := make([]client.Record, 1100)
	for i := range many {
		many[i] = client.Record{UserID: "ada", Key: "api_calls"}
	}
	many[7].IdempotencyKey = "mine"
	answer := func(w http.ResponseWriter) { all(w, 500) }
	scripted(t, []func(http.ResponseWriter){answer, answer, status(409)}, func(t *testing.T, c *client.Client, s *script) {
		answers, err := c.RecordAll(t.Context(), many)
		assert.ErrorContains(t, err, "records 1000 to 1099: 409")
		assert.Len(t, answers, 1000, "those before it")
		keys := map[string]bool{}
		for i, batch := range s.batches(t) {
			assert.Len(t, batch, []int{500, 500, 100}[i])
			for _, r := range batch {
				keys[r.IdempotencyKey] = true
			}
		}
		assert.Len(t, keys, len(many))
		assert.Equal(t, "mine", many[7].IdempotencyKey)
		assert.True(t, keys[many[0].IdempotencyKey], "the caller has the keys, to give the list again")
	})
}

// 500 records with all the metadata that they may have are more than the server reads.
func TestBatchesFitIntoARequest(t *testing.T) {
	many := make([]client.Record, 400)
	for i := range many {
		many[i] = client.Record{UserID: "ada", Key: "api_calls", Metadata: map[string]any{"note": strings.Repeat("x", 4000)}}
	}
	scripted(t, []func(http.ResponseWriter){func(w http.ResponseWriter) { all(w, 255) }, status(409)}, func(t *testing.T, c *client.Client, s *script) {
		_, err := c.RecordAll(t.Context(), many)
		assert.ErrorContains(t, err, "records 255 to 399: 409")
		assert.Equal(t, 2, len(s.bodies))
		assert.LessOrEqual(t, len(s.bodies[0]), 1<<20)
	})
}

// batches are the lists of records that were sent.
func (s *script) batches(t *testing.T) (out [][]client.Record) {
	t.Helper()
	for _, body := range s.bodies {
		var batch struct{ Records []client.Record }
		require.NoError(t, json.Unmarshal([]byte(body), &batch))
		out = append(out, batch.Records)
	}
	return out
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]client.Options{
		"no address":   {ClientID: "crm", ClientSecret: "s"},
		"a bare host":  {BaseURL: "auth.example.com", ClientID: "crm", ClientSecret: "s"},
		"no client id": {BaseURL: "https://auth.example.com", ClientSecret: "s"},
		"no secret":    {BaseURL: "https://auth.example.com", ClientID: "crm"},
	} {
		_, err := client.New(o)
		assert.Error(t, err, name)
	}
}
