package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

func (f *fixture) webhook(a *store.Application, enabled bool) *store.Webhook {
	f.Helper()
	w := &store.Webhook{ApplicationID: a.ID, URL: "https://" + a.Slug + ".example/hook", Enabled: enabled}
	require.NoError(f, f.CreateWebhook(f.Context(), w, []byte("the first secret of "+a.Slug)))
	return w
}

func (f *fixture) enqueue(a *store.Application, n int) {
	f.Helper()
	e := store.OutboxEvent{ApplicationID: a.ID, Type: store.WebhookThreshold, Payload: fmt.Sprintf(`{"n": %d}`, n)}
	require.NoError(f, f.Enqueue(f.Context(), e))
}

func (f *fixture) claim(except ...string) *store.OutboxEvent {
	f.Helper()
	e, err := f.ClaimOutboxEvent(f.Context(), time.Minute, except)
	if err != nil {
		require.ErrorIs(f, err, store.ErrNotFound)
		return nil
	}
	return e
}

// outbox lists the application's events, the oldest first, as "payload status attempts".
func (f *fixture) outbox(a *store.Application) []string {
	f.Helper()
	page, err := f.OutboxEvents(f.Context(), store.OutboxQuery{ApplicationID: a.ID, Paging: store.Paging{Limit: 200}})
	require.NoError(f, err)
	var out []string
	for _, e := range page.Items {
		out = append(out, fmt.Sprintf("%s %s %d", e.Payload, e.Status, e.Attempts))
	}
	return out
}

func (f *fixture) filled() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if e.Kind == store.EventOutboxFilled {
			n++
		}
	}
	return n
}

// An event exists if and only if that of which it tells was committed, and only where somebody wants to hear it.
func TestEnqueue(t *testing.T) {
	installed(t, func(f *fixture) {
		f.enqueue(f.crm, 0)
		disabled := f.webhook(f.crm, false)
		f.enqueue(f.crm, 1)
		require.Empty(f, f.outbox(f.crm))
		require.Zero(f, f.filled())

		disabled.Enabled = true
		require.NoError(f, f.UpdateWebhook(f.Context(), disabled))
		require.NoError(f, f.Tx(f.Context(), func(ctx context.Context) error {
			require.NoError(f, f.Enqueue(ctx, store.OutboxEvent{ApplicationID: f.crm.ID, Type: store.WebhookTest, Payload: `{"n": 2}`}))
			require.Zero(f, f.filled(), "the sender wakes after the commit")
			return nil
		}))
		require.Equal(f, 1, f.filled())
		require.Error(f, f.Tx(f.Context(), func(ctx context.Context) error {
			require.NoError(f, f.Enqueue(ctx, store.OutboxEvent{ApplicationID: f.crm.ID, Type: store.WebhookTest, Payload: `{"n": 3}`}))
			return errors.New("rolled back")
		}))
		require.Equal(f, 1, f.filled())
		require.Equal(f, []string{`{"n": 2} pending 0`}, f.outbox(f.crm))

		e := f.claim()
		require.Equal(f, &store.OutboxEvent{ID: e.ID, Kind: "webhook", ApplicationID: f.crm.ID, Type: store.WebhookTest, Payload: `{"n": 2}`,
			Status: store.OutboxPending, Attempts: 1, Sending: true, NextAttemptAt: f.at().Add(time.Minute), CreatedAt: f.at()}, e)
	})
}

// Of all that look at once, on however many replicas, one gets an event; when it dies, another one does, and what the first
// one says too late is not heard.
func TestOutboxEventIsClaimedOnce(t *testing.T) {
	installed(t, func(f *fixture) {
		f.webhook(f.crm, true)
		for n := range 3 {
			f.enqueue(f.crm, n)
		}
		f.forward(time.Second)
		claimed := make([]*store.OutboxEvent, 12)
		for _, err := range together(12, func(n int) (err error) {
			claimed[n], err = f.ClaimOutboxEvent(f.Context(), time.Minute, nil)
			return err
		}) {
			if err != nil {
				require.ErrorIs(f, err, store.ErrNotFound)
			}
		}
		seen := map[string]*store.OutboxEvent{}
		for _, e := range claimed {
			if e != nil {
				require.Nil(f, seen[e.ID], "claimed twice")
				seen[e.ID] = e
			}
		}
		for e := f.claim(); e != nil; e = f.claim() { // one that found a row locked may have gone away with nothing
			require.Nil(f, seen[e.ID], "claimed twice")
			seen[e.ID] = e
		}
		require.Len(f, seen, 3)

		f.forward(time.Minute)
		late := f.claim()
		require.Equal(f, 2, late.Attempts)
		require.ErrorIs(f, f.FinishOutboxEvent(f.Context(), seen[late.ID], store.OutboxOutcome{Status: store.OutboxFailed}), store.ErrNotFound)
		require.NoError(f, f.FinishOutboxEvent(f.Context(), late, store.OutboxOutcome{Status: store.OutboxDelivered, HTTPStatus: 204}))
		require.ErrorIs(f, f.FinishOutboxEvent(f.Context(), late, store.OutboxOutcome{Status: store.OutboxFailed}), store.ErrNotFound)
		got, err := f.OutboxEventByID(f.Context(), f.crm.ID, late.ID)
		require.NoError(f, err)
		require.Equal(f, []any{store.OutboxDelivered, 2, 204, "", false, f.at(), f.at()},
			[]any{got.Status, got.Attempts, got.LastStatus, got.LastError, got.Sending, *got.LastAttemptAt, *got.FinishedAt})
	})
}

func TestOutboxOrder(t *testing.T) {
	installed(t, func(f *fixture) {
		f.webhook(f.crm, true)
		f.webhook(f.hr, true)
		f.enqueue(f.crm, 1)
		f.forward(time.Second)
		f.enqueue(f.crm, 2)
		f.enqueue(f.hr, 3)

		e := f.claim()
		require.Equal(f, `{"n": 1}`, e.Payload)
		long := strings.Repeat("é", 400)
		require.NoError(f, f.FinishOutboxEvent(f.Context(), e, store.OutboxOutcome{Status: store.OutboxPending, NextAttemptAt: f.at().Add(time.Hour), HTTPStatus: 500, Error: long}))
		require.Equal(f, `{"n": 3}`, f.claim(f.crm.ID, "another").Payload, "past the one whose turn it is")
		require.Nil(f, f.claim(f.crm.ID))
		require.Equal(f, `{"n": 2}`, f.claim().Payload)
		require.Nil(f, f.claim(), "the first one waits for an hour")
		f.forward(time.Hour)
		for n := range 3 { // and the leases of the others are over by then
			e := f.claim()
			require.Equal(f, 2, e.Attempts, n)
			if e.Payload == `{"n": 1}` {
				require.Equal(f, long[:600], e.LastError)
				require.Equal(f, 500, e.LastStatus)
			}
		}
	})
}

func TestReplayOutboxEvent(t *testing.T) {
	installed(t, func(f *fixture) {
		f.webhook(f.crm, true)
		f.enqueue(f.crm, 1)
		e := f.claim()
		_, err := f.ReplayOutboxEvent(f.Context(), f.crm.ID, e.ID)
		require.ErrorIs(f, err, store.ErrConflict, "it is being sent")
		_, err = f.ReplayOutboxEvent(f.Context(), f.hr.ID, e.ID)
		require.ErrorIs(f, err, store.ErrNotFound, "another application's")
		require.NoError(f, f.FinishOutboxEvent(f.Context(), e, store.OutboxOutcome{Status: store.OutboxPending, NextAttemptAt: f.at().Add(time.Hour)}))

		for _, status := range []string{store.OutboxPending, store.OutboxFailed, store.OutboxDelivered} {
			before := f.filled()
			got, err := f.ReplayOutboxEvent(f.Context(), f.crm.ID, e.ID)
			require.NoError(f, err, status)
			require.Equal(f, []any{store.OutboxPending, 0, f.at()}, []any{got.Status, got.Attempts, got.NextAttemptAt})
			require.Nil(f, got.FinishedAt)
			require.Equal(f, before+1, f.filled(), "the sender wakes")
			e = f.claim()
			require.Equal(f, 1, e.Attempts)
			next := map[string]string{store.OutboxPending: store.OutboxFailed}[status]
			if next == "" {
				next = store.OutboxDelivered
			}
			require.NoError(f, f.FinishOutboxEvent(f.Context(), e, store.OutboxOutcome{Status: next}))
		}
	})
}

// What waits for nobody does not wait: the end of a webhook is the end of its events.
func TestDisabledWebhookGetsNothing(t *testing.T) {
	installed(t, func(f *fixture) {
		w := f.webhook(f.crm, true)
		f.webhook(f.hr, true)
		f.enqueue(f.crm, 1)
		sending := f.claim()
		f.enqueue(f.crm, 2)
		f.enqueue(f.hr, 3)
		w.Enabled = false
		require.NoError(f, f.UpdateWebhook(f.Context(), w))
		require.Equal(f, []string{`{"n": 1} pending 1`, `{"n": 2} failed 0`}, f.outbox(f.crm))
		require.Equal(f, []string{`{"n": 3} pending 0`}, f.outbox(f.hr))
		require.NoError(f, f.FinishOutboxEvent(f.Context(), sending, store.OutboxOutcome{Status: store.OutboxDelivered}), "it was on its way")

		w.Enabled, w.URL = true, "https://elsewhere.example"
		require.NoError(f, f.UpdateWebhook(f.Context(), w))
		got, err := f.WebhookByApplication(f.Context(), f.crm.ID)
		require.NoError(f, err)
		require.Equal(f, w, got)
		f.enqueue(f.crm, 4)
		require.NoError(f, f.DeleteWebhook(f.Context(), f.crm.ID))
		require.Contains(f, f.outbox(f.crm), `{"n": 4} failed 0`)
		require.ErrorIs(f, f.DeleteWebhook(f.Context(), f.crm.ID), store.ErrNotFound)
		require.ErrorIs(f, f.UpdateWebhook(f.Context(), w), store.ErrNotFound)

		require.NoError(f, f.DeleteApplication(f.Context(), f.hr.ID))
		require.Empty(f, f.outbox(f.hr), "an application takes its events along")
		_, err = f.WebhookByApplication(f.Context(), f.hr.ID)
		require.ErrorIs(f, err, store.ErrNotFound)
	})
}

// Whoever reads the database, or can write to it, must not be able to sign in our name.
func TestWebhookSecretsAreSealed(t *testing.T) {
	installed(t, func(f *fixture) {
		w := f.webhook(f.crm, true)
		require.ErrorIs(f, f.CreateWebhook(f.Context(), &store.Webhook{ApplicationID: f.crm.ID}, []byte("x")), store.ErrConflict)
		require.NoError(f, f.RotateWebhookSecret(f.Context(), w, []byte("the second secret"), time.Hour))
		opened := func() (out []string) {
			w, err := f.WebhookByApplication(f.Context(), f.crm.ID)
			require.NoError(f, err)
			require.NotContains(f, w.Secret+w.PreviousSecret, "secret")
			secrets, err := f.WebhookSecrets(w)
			require.NoError(f, err)
			for _, secret := range secrets {
				out = append(out, string(secret))
			}
			return out
		}
		require.Equal(f, []string{"the second secret", "the first secret of crm"}, opened())
		f.forward(time.Hour)
		require.Equal(f, []string{"the second secret"}, opened())
		require.NoError(f, f.RotateWebhookSecret(f.Context(), w, []byte("the third secret"), 0))
		require.Equal(f, []string{"the third secret"}, opened(), "the one before ends at once")

		moved := f.webhook(f.hr, true)
		moved.Secret = w.Secret // an attacker puts a secret that they know into another application's row
		_, err := f.WebhookSecrets(moved)
		require.ErrorIs(f, err, store.ErrSealed)
	})
}

// What is due is found among all that was ever sent by an index, and so is each list of the console.
func TestOutboxUsesIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.webhook(f.crm, true)
		var events []store.OutboxEvent
		for i := range planRows {
			at := noon.Add(-time.Duration(i) * time.Minute)
			e := store.OutboxEvent{ID: fmt.Sprintf("%06d", i), Kind: "webhook", ApplicationID: fmt.Sprintf("application-%d", i%60), Type: store.WebhookThreshold,
				Payload: "{}", Status: store.OutboxDelivered, CreatedAt: at, NextAttemptAt: at, FinishedAt: &at}
			if i%100 == 0 {
				e.Status, e.FinishedAt = store.OutboxPending, nil
			}
			events = append(events, e)
		}
		require.NoError(f, f.DB(f.Context()).Session(&gorm.Session{CreateBatchSize: 500}).Create(events).Error)
		if f.Dialect() == "postgres" {
			exec(f.T, f.Store, "ANALYZE")
		}
		list := func(status, kind string) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				q := store.OutboxQuery{ApplicationID: "application-7", Status: status, Type: kind, Paging: store.Paging{Limit: 50, Descending: true}}
				_, err := f.OutboxEvents(ctx, q)
				return err
			}
		}
		for _, tt := range []struct {
			name  string
			run   func(ctx context.Context) error
			index string
			args  string
		}{
			{"claim", func(ctx context.Context) error { _, err := f.ClaimOutboxEvent(ctx, time.Minute, nil); return err }, "outbox_due", ""},
			{"claim past others", func(ctx context.Context) error {
				_, err := f.ClaimOutboxEvent(ctx, time.Minute, []string{"application-1", "application-2"})
				return err
			}, "outbox_due", ""},
			{"give up", func(ctx context.Context) error {
				return f.UpdateWebhook(ctx, &store.Webhook{ApplicationID: f.crm.ID})
			}, "outbox_", ""},
			{"all of an application", list("", ""), "outbox_", ""},
			{"pending ones", list(store.OutboxPending, ""), "outbox_", ""},
			{"those of a type", list("", store.WebhookTest), "outbox_", ""},
			{"purge", func(ctx context.Context) error {
				_, err := f.PurgeOutbox(ctx, noon.Add(-365*day), 500)
				return err
			}, "outbox_finished_at", "'2020-01-01', 500"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), tt.name)
			plan := ""
			for _, statement := range calls.SQL() {
				plan += f.plan(statement, tt.args) + "\n"
			}
			require.Contains(f, plan, tt.index, tt.name)
			require.NotRegexp(f, "(Seq Scan on|SCAN) outbox", plan, tt.name)
		}
	})
}

func TestReapOutbox(t *testing.T) {
	installed(t, func(f *fixture) {
		f.webhook(f.crm, true)
		for n := range 3 {
			f.enqueue(f.crm, n)
			f.forward(time.Second)
		}
		for _, status := range []string{store.OutboxDelivered, store.OutboxFailed} {
			require.NoError(f, f.FinishOutboxEvent(f.Context(), f.claim(), store.OutboxOutcome{Status: status}))
		}
		f.forward(30*day - time.Second)
		require.NoError(f, f.Reap(f.Context(), store.Retention{}))
		require.Len(f, f.outbox(f.crm), 3)
		f.forward(2 * time.Second)
		require.NoError(f, f.Reap(f.Context(), store.Retention{}))
		require.Equal(f, []string{`{"n": 2} pending 0`}, f.outbox(f.crm), "what waits stays")
	})
}
