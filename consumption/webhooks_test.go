package consumption_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/outgoing"
	"auth-service/store"
	"auth-service/store/storetest"
)

var webhooksBegin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// A webhookWorld is an installation with a sender. Its clock stands still unless the test moves it.
type webhookWorld struct {
	*testing.T
	*store.Store
	offset *atomic.Int64
}

func (w *webhookWorld) now() time.Time          { return webhooksBegin.Add(time.Duration(w.offset.Load())) }
func (w *webhookWorld) forward(d time.Duration) { w.offset.Add(int64(d)) }
func (w *webhookWorld) clock(o *store.Options)  { o.Now = w.now }

func eachWebhookWorld(t *testing.T, test func(w *webhookWorld)) {
	for name, open := range map[string]func(testing.TB, ...storetest.Option) *store.Store{"sqlite": storetest.New, "postgres": storetest.NewPostgres} {
		t.Run(name, func(t *testing.T) {
			w := &webhookWorld{T: t, offset: new(atomic.Int64)}
			w.Store = open(t, w.clock)
			test(w)
		})
	}
}

// run starts a sender on the store. It ends with the test, or after stop is called.
func (w *webhookWorld) run(s *store.Store, change ...func(*consumption.Webhooks)) (stop func(), ended <-chan struct{}) {
	sender := &consumption.Webhooks{
		Store: s, Client: outgoing.New(outgoing.Options{Timeout: 10 * time.Second, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		Timeout: 10 * time.Second, Poll: 5 * time.Millisecond, Grace: 10 * time.Second, Now: w.now, Log: zerolog.New(zerolog.NewTestWriter(w.T)),
	}
	for _, c := range change {
		c(sender)
	}
	ctx, cancel := context.WithCancel(w.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		sender.Run(ctx)
	}()
	w.Cleanup(func() {
		cancel()
		<-over
	})
	return cancel, over
}

// A receiver is an application with a webhook, and the server behind it.
type receiver struct {
	w           *webhookWorld
	application string
	hook        *store.Webhook
	server      *httptest.Server
	messages    chan message // what was received, in order
}

type message struct {
	header http.Header
	method string
	body   string
}

func (w *webhookWorld) receiver(slug string, answer http.HandlerFunc) *receiver {
	w.Helper()
	r := &receiver{w: w, messages: make(chan message, 1000)}
	r.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		assert.NoError(w, err)
		r.messages <- message{req.Header, req.Method, string(body)}
		answer(rw, req)
	}))
	w.Cleanup(r.server.Close)
	a := &store.Application{Slug: slug, Name: slug}
	require.NoError(w, w.CreateApplication(w.Context(), a))
	r.application, r.hook = a.ID, &store.Webhook{ApplicationID: a.ID, URL: r.server.URL + "/hook", Enabled: true}
	require.NoError(w, w.CreateWebhook(w.Context(), r.hook, []byte("first secret")))
	return r
}

func answering(status int, header ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			rw.Header().Set(header[i], header[i+1])
		}
		rw.WriteHeader(status)
	}
}

func (r *receiver) enqueue(data string) string {
	r.w.Helper()
	e := store.OutboxEvent{ID: store.NewID(), ApplicationID: r.application, Type: store.WebhookThreshold, Payload: data}
	require.NoError(r.w, r.w.Enqueue(r.w.Context(), e))
	return e.ID
}

func (r *receiver) next() message {
	r.w.Helper()
	select {
	case m := <-r.messages:
		return m
	case <-time.After(20 * time.Second):
		require.FailNow(r.w, "nothing was received")
		return message{}
	}
}

// becomes waits until the event stands so, and returns it.
func (r *receiver) becomes(id, status string, attempts int) *store.OutboxEvent {
	r.w.Helper()
	var e *store.OutboxEvent
	require.Eventually(r.w, func() bool {
		var err error
		e, err = r.w.OutboxEventByID(r.w.Context(), r.application, id)
		return err == nil && e.Status == status && e.Attempts == attempts && !e.Sending
	}, 20*time.Second, 2*time.Millisecond, "%s after %d attempts: %+v", status, attempts, e)
	return e
}

// signature is that of a secret, by the words of the standard.
func (m *message) signature(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s.%s", m.header.Get("webhook-id"), m.header.Get("webhook-timestamp"), m.body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestWebhookIsDelivered(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		r := w.receiver("crm", answering(204))
		w.run(w.Store, func(s *consumption.Webhooks) { s.Poll = time.Hour }) // only the commit can wake it
		w.forward(1500 * time.Millisecond)
		id := r.enqueue(`{"threshold": 80, "total": 0.30}`)
		m := r.next()
		assert.Equal(w, "POST", m.method)
		assert.Equal(w, `{"type":"consumption.threshold","timestamp":"2026-11-26T12:00:01.500Z","data":{"threshold":80,"total":0.30}}`, m.body)
		assert.Equal(w, []string{"application/json", id, "1795694401", m.signature("first secret")},
			[]string{m.header.Get("content-type"), m.header.Get("webhook-id"), m.header.Get("webhook-timestamp"), m.header.Get("webhook-signature")})
		e := r.becomes(id, store.OutboxDelivered, 1)
		assert.Equal(w, []any{204, "", w.now()}, []any{e.LastStatus, e.LastError, *e.FinishedAt})

		// A rotation: for as long as both secrets hold, a receiver with either accepts what is sent.
		require.NoError(w, w.RotateWebhookSecret(w.Context(), r.hook, []byte("second secret"), time.Hour))
		r.enqueue(`{}`)
		m = r.next()
		assert.Equal(w, m.signature("second secret")+" "+m.signature("first secret"), m.header.Get("webhook-signature"))
		w.forward(time.Hour)
		r.enqueue(`{}`)
		m = r.next()
		assert.Equal(w, m.signature("second secret"), m.header.Get("webhook-signature"))
	})
}

// A receiver that is away for a day misses nothing; one that stays away is not called for ever.
func TestWebhookIsRetried(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		r := w.receiver("crm", answering(500))
		w.run(w.Store)
		id := r.enqueue(`{"n":1}`)
		first := r.next()
		delays := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour}
		for i, delay := range delays {
			e := r.becomes(id, store.OutboxPending, i+1)
			wait := e.NextAttemptAt.Sub(w.now())
			assert.True(w, wait >= delay && wait < delay*6/5, "%s after attempt %d", wait, i+1)
			assert.Equal(w, []any{500, "The host answered with the status 500."}, []any{e.LastStatus, e.LastError})
			w.forward(wait - time.Microsecond)
			assert.Empty(w, r.messages, "too early")
			w.forward(time.Microsecond)
			again := r.next()
			assert.Equal(w, first.body, again.body)
			assert.Equal(w, first.header.Get("webhook-id"), again.header.Get("webhook-id"))
			assert.Equal(w, fmt.Sprint(w.now().Unix()), again.header.Get("webhook-timestamp"), "else it would seem to be a replay by somebody else")
			assert.Equal(w, again.signature("first secret"), again.header.Get("webhook-signature"))
		}
		e := r.becomes(id, store.OutboxFailed, 8)
		assert.Equal(w, w.now(), *e.FinishedAt)
		_, err := w.ReplayOutboxEvent(w.Context(), r.application, id)
		require.NoError(w, err)
		r.next()
		r.becomes(id, store.OutboxPending, 1)
	})
}

func TestWebhookAnswers(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		w.run(w.Store)
		elsewhere := w.receiver("elsewhere", answering(200))
		for i, tt := range []struct {
			name        string
			answer      http.HandlerFunc
			status      string
			error       string
			least, most time.Duration
		}{
			{"busy for so long", answering(429, "Retry-After", "3600"), store.OutboxPending, "The host answered with the status 429.", time.Hour, 2 * time.Hour},
			{"busy until then", answering(503, "Retry-After", w.now().Add(time.Hour).Format(http.TimeFormat)), store.OutboxPending, "The host answered with the status 503.", time.Hour, 2 * time.Hour},
			{"busy for a shorter time than ours", answering(429, "Retry-After", "1"), store.OutboxPending, "The host answered with the status 429.", 5 * time.Second, 6 * time.Second},
			// A receiver must not be able to keep us busy with its events for years.
			{"busy for ever", answering(429, "Retry-After", "999999999999"), store.OutboxPending, "The host answered with the status 429.", 10 * time.Hour, 12 * time.Hour},
			{"busy for less than ever", answering(503, "Retry-After", "-5"), store.OutboxPending, "The host answered with the status 503.", 5 * time.Second, 6 * time.Second},
			{"busy in words", answering(503, "Retry-After", "soon"), store.OutboxPending, "The host answered with the status 503.", 5 * time.Second, 6 * time.Second},
			{"not busy", answering(500, "Retry-After", "3600"), store.OutboxPending, "The host answered with the status 500.", 5 * time.Second, 6 * time.Second},
			{"redirect", answering(302, "Location", elsewhere.server.URL), store.OutboxPending, "The host answered with a redirect (the status 302), which is not followed.", 5 * time.Second, 6 * time.Second},
			{"accepted", answering(202), store.OutboxDelivered, "", 0, 0},
			{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, store.OutboxPending, "The host closed the connection.", 5 * time.Second, 6 * time.Second},
			// What the receiver says is kept nowhere: it may hold anything.
			{"talkative", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "secret", 400) }, store.OutboxPending, "The host answered with the status 400.", 5 * time.Second, 6 * time.Second},
		} {
			r := w.receiver(fmt.Sprint("crm-", i), tt.answer)
			e := r.becomes(r.enqueue(`{}`), tt.status, 1)
			assert.Equal(w, tt.error, e.LastError, tt.name)
			if wait := e.NextAttemptAt.Sub(w.now()); tt.status == store.OutboxPending {
				assert.True(w, wait >= tt.least && wait <= tt.most, "%s: %s", tt.name, wait)
			}
		}
		assert.Empty(w, elsewhere.messages)
	})
}

// Whoever answers 410 wants to hear no more: the webhook is disabled, and the log of the console says by whom and when.
func TestWebhookThatIsGone(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		status := http.StatusInternalServerError
		r := w.receiver("crm", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })
		w.run(w.Store)
		waiting := r.enqueue(`{"n":1}`)
		r.becomes(waiting, store.OutboxPending, 1)
		status = http.StatusGone
		e := r.becomes(r.enqueue(`{"n":2}`), store.OutboxFailed, 1)
		assert.Equal(w, "The host answered with the status 410, which disabled the webhook.", e.LastError)
		assert.Equal(w, store.NoWebhook, r.becomes(waiting, store.OutboxFailed, 1).LastError)
		hook, err := w.WebhookByApplication(w.Context(), r.application)
		require.NoError(w, err)
		assert.False(w, hook.Enabled)
		trail, err := w.AuditTrail(w.Context(), "webhook", r.application, 10)
		require.NoError(w, err)
		require.Len(w, trail, 1)
		assert.Equal(w, []any{"webhook.disable", store.ActorSystem, map[string]store.Change{"enabled": {Before: true, After: false}}}, []any{trail[0].Action, trail[0].ActorType, trail[0].Changes})

		// The old receiver must not end the webhook that an operator has moved to a new one in the meantime.
		var moved *receiver
		moved = w.receiver("moved", func(rw http.ResponseWriter, _ *http.Request) {
			moved.hook.URL = "https://elsewhere.example"
			assert.NoError(w, w.UpdateWebhook(context.Background(), moved.hook))
			rw.WriteHeader(http.StatusGone)
		})
		moved.becomes(moved.enqueue(`{}`), store.OutboxFailed, 1)
		hook, err = w.WebhookByApplication(w.Context(), moved.application)
		require.NoError(w, err)
		assert.True(w, hook.Enabled)
	})
}

// Server-side request forgery (OWASP A10): whoever may set a webhook must not reach what only this server reaches.
func TestWebhookToAPrivateAddress(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		r := w.receiver("crm", answering(200))
		r.hook.URL = strings.Replace(r.server.URL, "http:", "https:", 1)
		require.NoError(w, w.UpdateWebhook(w.Context(), r.hook))
		w.run(w.Store, func(s *consumption.Webhooks) { s.Client = outgoing.New(outgoing.Options{Timeout: 10 * time.Second}) })
		e := r.becomes(r.enqueue(`{}`), store.OutboxPending, 1)
		assert.Equal(w, "The host is at an address that is not public.", e.LastError)
		assert.Empty(w, r.messages)
	})
}

// A receiver that does not answer keeps its own events waiting, and nobody else's.
func TestSlowReceiver(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		release := make(chan struct{})
		slow := w.receiver("slow", func(http.ResponseWriter, *http.Request) { <-release })
		ids := make([]string, 30)
		for i := range ids {
			ids[i] = slow.enqueue(`{}`)
		}
		w.forward(time.Second)
		w.run(w.Store)
		slow.next()
		slow.next()
		quick := w.receiver("quick", answering(200))
		for range 20 {
			quick.becomes(quick.enqueue(`{}`), store.OutboxDelivered, 1)
		}
		assert.Empty(w, slow.messages, "two at once are enough for a receiver")
		close(release)
		for _, id := range ids {
			slow.becomes(id, store.OutboxDelivered, 1)
		}
	})
}

// However many replicas send, each event is sent once.
func TestReplicasShareTheOutbox(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(name, func(t *testing.T) {
			w, address := &webhookWorld{T: t, offset: new(atomic.Int64)}, url(t)
			w.Store = storetest.Open(t, address, w.clock)
			var receivers []*receiver
			for i := range 4 {
				receivers = append(receivers, w.receiver(fmt.Sprint("crm-", i), answering(200)))
			}
			for range 3 {
				w.run(storetest.Open(t, address, w.clock))
			}
			seen := map[string]bool{}
			for i := range 40 {
				receivers[i%4].enqueue(`{}`)
			}
			for i := range 40 {
				m := receivers[i%4].next()
				require.False(w, seen[m.header.Get("webhook-id")], "sent twice")
				seen[m.header.Get("webhook-id")] = true
			}
			for _, r := range receivers {
				page, err := w.OutboxEvents(t.Context(), store.OutboxQuery{ApplicationID: r.application, Paging: store.Paging{Limit: 100}})
				require.NoError(t, err)
				for _, e := range page.Items {
					r.becomes(e.ID, store.OutboxDelivered, 1)
				}
				assert.Empty(w, r.messages)
			}
		})
	}
}

// A replica that dies while it sends leaves the event to another one, which begins when the first can no longer be at it.
func TestSenderThatDies(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		r := w.receiver("crm", answering(200))
		id := r.enqueue(`{}`)
		_, err := w.ClaimOutboxEvent(w.Context(), 30*time.Second, nil) // and that was the last that was heard of it
		require.NoError(w, err)
		w.run(w.Store)
		other := w.receiver("other", answering(200))
		other.becomes(other.enqueue(`{}`), store.OutboxDelivered, 1)
		assert.Empty(w, r.messages, "the lease holds")
		w.forward(30 * time.Second)
		assert.Equal(w, id, new(r.next()).header.Get("webhook-id"))
		r.becomes(id, store.OutboxDelivered, 2)
	})
}

func TestSenderStops(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		release := make(chan struct{})
		r := w.receiver("crm", func(http.ResponseWriter, *http.Request) { <-release })
		stop, ended := w.run(w.Store, func(s *consumption.Webhooks) { s.Poll = time.Hour })
		first, second := r.enqueue(`{}`), r.enqueue(`{}`) // as many as go on at once, so that no look at the outbox that goes on takes what follows
		r.next()
		r.next()
		stop()
		left := r.enqueue(`{}`)
		close(release)
		<-ended
		r.becomes(first, store.OutboxDelivered, 1)
		r.becomes(second, store.OutboxDelivered, 1)
		r.becomes(left, store.OutboxPending, 0)
	})
}

// Who does not answer cannot hold up a stop: the event is left to the next start, or to another replica.
func TestStopDoesNotWaitForEver(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		release := make(chan struct{})
		defer close(release)
		r := w.receiver("crm", func(http.ResponseWriter, *http.Request) { <-release })
		stop, ended := w.run(w.Store, func(s *consumption.Webhooks) { s.Grace = time.Millisecond })
		id := r.enqueue(`{}`)
		r.next()
		stop()
		<-ended
		e := r.becomes(id, store.OutboxPending, 1)
		assert.Equal(w, w.now(), e.NextAttemptAt)
		assert.Equal(w, "The server was stopped before there was an answer.", e.LastError)
	})
}

// Events for an application whose webhook was disabled while they were written end by themselves.
func TestEventWithoutAWebhook(t *testing.T) {
	eachWebhookWorld(t, func(w *webhookWorld) {
		r := w.receiver("crm", answering(200))
		id := r.enqueue(`{}`)
		r.hook.Enabled = false
		require.NoError(w, w.UpdateWebhook(w.Context(), r.hook))
		_, err := w.ReplayOutboxEvent(w.Context(), r.application, id)
		require.NoError(w, err)
		w.run(w.Store)
		assert.Equal(w, store.NoWebhook, r.becomes(id, store.OutboxFailed, 1).LastError)
		assert.Empty(w, r.messages)
	})
}
