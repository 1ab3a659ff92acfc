package consumption

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"auth-service/outgoing"
	"auth-service/store"
)

const (
	// maxSending is how many deliveries go on at once, and maxSendingEach how many of one application: a slow receiver keeps
	// only its own events waiting.
	maxSending     = 16
	maxSendingEach = 2
	// sendingMargin is how much longer than a request its lease is, for the database.
	sendingMargin = 20 * time.Second
	// maxRetryAfter is how long a receiver can have us wait.
	maxRetryAfter = 10 * time.Hour
)

// retryDelays are the times between one attempt and the next. After the last one an event has failed.
var retryDelays = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

// Webhooks sends what is in the outbox to the applications' webhooks, as Standard Webhooks has it. Each event is sent at least
// once, by one replica at a time; a receiver tells repetitions by webhook-id. Start with Run.
type Webhooks struct {
	Store  *store.Store
	Client *outgoing.Client
	// Timeout is that of the Client.
	Timeout time.Duration
	// Poll is how often to look for what other replicas wrote, and for what is due again.
	Poll time.Duration
	// Grace is how long a stop waits for answers.
	Grace time.Duration
	Now   func() time.Time
	Log   zerolog.Logger

	mu      sync.Mutex
	sending map[string]int // by application
	wake    chan struct{}
	running sync.WaitGroup
}

// Run sends until ctx ends. What is being sent then has a moment to end; the rest is left to the next start, or to another replica.
func (w *Webhooks) Run(ctx context.Context) {
	w.sending, w.wake = map[string]int{}, make(chan struct{}, 1)
	w.Store.Subscribe(func(e store.Event) {
		if e.Kind == store.EventOutboxFilled {
			w.nudge()
		}
	})
	deliveries, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ticker := time.NewTicker(w.Poll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := w.sendDue(ctx, deliveries); err != nil && ctx.Err() == nil {
			w.Log.Warn().Err(err).Msg("webhooks could not be read; tried again later")
		}
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-ticker.C:
		}
	}
	defer time.AfterFunc(w.Grace, cut).Stop()
	w.running.Wait()
}

// nudge has Run look again. It never waits.
func (w *Webhooks) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// sendDue starts a delivery for each event that is due, until there are none or enough are going on.
func (w *Webhooks) sendDue(ctx, deliveries context.Context) error {
	for {
		except, free := w.occupied()
		if !free {
			return nil
		}
		e, err := w.Store.ClaimOutboxEvent(ctx, w.Timeout+sendingMargin, except)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		w.occupy(e.ApplicationID, 1)
		w.running.Go(func() {
			defer w.nudge()
			defer w.occupy(e.ApplicationID, -1)
			w.deliver(deliveries, e)
		})
	}
}

// occupied returns the applications that get nothing more for now, and whether others do.
func (w *Webhooks) occupied() (except []string, free bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := 0
	for application, n := range w.sending {
		if all += n; n >= maxSendingEach {
			except = append(except, application)
		}
	}
	return except, all < maxSending
}

func (w *Webhooks) occupy(application string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sending[application] += n; w.sending[application] == 0 {
		delete(w.sending, application)
	}
}

// deliver tries the event once and writes how that ended.
func (w *Webhooks) deliver(ctx context.Context, e *store.OutboxEvent) {
	outcome, gone, err := w.attempt(ctx, e)
	if err != nil {
		w.Log.Error().Err(err).Str("event", e.ID).Msg("a webhook could not be called; tried again later")
		outcome = w.later(e, store.OutboxOutcome{Error: "The event could not be sent because of a fault on our side."}, 0)
	}
	if outcome.Status == store.OutboxFailed {
		w.Log.Warn().Str("event", e.ID).Str("application", e.ApplicationID).Int("attempts", e.Attempts).Str("reason", outcome.Error).Msg("an event was given up; it can be replayed")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendingMargin/2)
	defer cancel()
	err = w.Store.Tx(ctx, func(ctx context.Context) error {
		if gone != nil {
			if err := w.disable(ctx, gone); err != nil {
				return err
			}
		}
		return w.Store.FinishOutboxEvent(ctx, e, outcome)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) { // not found: it took so long that somebody else went on
		w.Log.Warn().Err(err).Str("event", e.ID).Msg("the outcome of a webhook could not be written; it may be called again")
	}
}

// attempt sends the event. The webhook is returned when its receiver says that it is gone.
func (w *Webhooks) attempt(ctx context.Context, e *store.OutboxEvent) (outcome store.OutboxOutcome, gone *store.Webhook, err error) {
	hook, err := w.Store.WebhookByApplication(ctx, e.ApplicationID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !hook.Enabled {
		return store.OutboxOutcome{Status: store.OutboxFailed, Error: store.NoWebhook}, nil, nil
	}
	if err != nil {
		return outcome, nil, err
	}
	secrets, err := w.Store.WebhookSecrets(hook)
	if err != nil {
		return outcome, nil, err
	}
	r, err := w.request(ctx, e, hook.URL, secrets)
	if err != nil {
		return outcome, nil, err
	}
	answer, err := w.Client.Do(r)
	switch {
	case err != nil && ctx.Err() != nil: // we stop
		return store.OutboxOutcome{Status: store.OutboxPending, NextAttemptAt: w.Now(), Error: "The server was stopped before there was an answer."}, nil, nil
	case err != nil:
		return w.later(e, store.OutboxOutcome{Error: outgoing.Reason(err)}, 0), nil, nil
	}
	_ = answer.Body.Close() // the status says it all
	if answer.StatusCode == http.StatusGone {
		gone = hook
	}
	return w.judge(e, answer), gone, nil
}

// request is the message. It is the same at each attempt, but for its time and what signs it.
func (w *Webhooks) request(ctx context.Context, e *store.OutboxEvent, url string, secrets [][]byte) (*http.Request, error) {
	body, err := json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp string          `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}{e.Type, e.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z"), json.RawMessage(e.Payload)})
	if err != nil {
		return nil, fmt.Errorf("message of event %s: %w", e.ID, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil { // whose text has the URL, and that may hold a secret
		return nil, fmt.Errorf("request for event %s: the URL of the webhook cannot be used", e.ID)
	}
	at := w.Now()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "auth-service")
	r.Header.Set("Webhook-Id", e.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("Webhook-Signature", sign(secrets, e.ID, at, body))
	return r, nil
}

// judge tells by the answer what becomes of the event.
func (w *Webhooks) judge(e *store.OutboxEvent, answer *http.Response) store.OutboxOutcome {
	status := answer.StatusCode
	outcome := store.OutboxOutcome{HTTPStatus: status, Error: fmt.Sprintf("The host answered with the status %d.", status)}
	switch {
	case status >= 200 && status < 300:
		return store.OutboxOutcome{Status: store.OutboxDelivered, HTTPStatus: status}
	case status == http.StatusGone:
		outcome.Status = store.OutboxFailed
		outcome.Error = "The host answered with the status 410, which disabled the webhook."
		return outcome
	case status >= 300 && status < 400:
		outcome.Error = fmt.Sprintf("The host answered with a redirect (the status %d), which is not followed.", status)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return w.later(e, outcome, w.retryAfter(answer.Header.Get("Retry-After")))
	}
	return w.later(e, outcome, 0)
}

// later leaves the event for another attempt, after at least so long, unless this was the last one. Up to a fifth is added to the
// delay, so that what failed together does not come back together.
func (w *Webhooks) later(e *store.OutboxEvent, outcome store.OutboxOutcome, least time.Duration) store.OutboxOutcome {
	if e.Attempts > len(retryDelays) {
		outcome.Status = store.OutboxFailed
		return outcome
	}
	delay := max(retryDelays[e.Attempts-1], least)
	outcome.Status, outcome.NextAttemptAt = store.OutboxPending, w.Now().Add(delay+rand.N(delay/5))
	return outcome
}

// retryAfter reads the header, which holds seconds or a date (RFC 9110 §10.2.3). What cannot be read says nothing.
func (w *Webhooks) retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter.Seconds()))) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(w.Now()), 0), maxRetryAfter)
}

// disable ends a webhook whose receiver wants nothing any more, unless somebody has sent it elsewhere in the meantime.
func (w *Webhooks) disable(ctx context.Context, gone *store.Webhook) error {
	disabled, err := w.Store.DisableWebhook(ctx, gone.ApplicationID, gone.URL)
	if err != nil || !disabled {
		return err
	}
	event := store.Actor{Type: store.ActorSystem}.Event("webhook.disable", "webhook", gone.ApplicationID)
	event.ApplicationID = gone.ApplicationID
	event.Changes = map[string]store.Change{"enabled": {Before: true, After: false}}
	return w.Store.Audit(ctx, event)
}
