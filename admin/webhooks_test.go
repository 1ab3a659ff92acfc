package admin_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

const hook = "/applications/crm/webhook"

// secretOf returns the secret of an answer as it signs.
func (a *answer) secretOf() string {
	a.t.Helper()
	text, found := strings.CutPrefix(a.text("secret"), "whsec_")
	require.True(a.t, found)
	secret, err := base64.StdEncoding.DecodeString(text)
	require.NoError(a.t, err)
	require.Len(a.t, secret, 32)
	return string(secret)
}

func (s *server) signing() (out []string) {
	s.t.Helper()
	a, err := s.store.ApplicationByRef(s.t.Context(), "crm")
	require.NoError(s.t, err)
	w, err := s.store.WebhookByApplication(s.t.Context(), a.ID)
	require.NoError(s.t, err)
	secrets, err := s.store.WebhookSecrets(w)
	require.NoError(s.t, err)
	for _, secret := range secrets {
		out = append(out, string(secret))
	}
	return out
}

// actionsOf lists what was done to the webhook, the oldest first.
func (s *server) actionsOf(id string) (out []string) {
	events := s.audited("webhook", id)
	for i := range events {
		out = append(out, events[len(events)-1-i].Action)
	}
	return out
}

func TestWebhook(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, clientID := srv.create(webApplication)
		srv.call("GET", hook, "").is(404)
		srv.call("DELETE", hook, "").is(404)
		srv.call("POST", hook+"/rotate-secret", "").is(404)
		srv.call("PUT", "/applications/none/webhook", `{"url":"https://crm.example/hook"}`).is(404)

		made := srv.call("PUT", hook, `{"url":"https://crm.example/hook"}`).is(200)
		assert.Equal(t, "no-store", made.Header().Get("Cache-Control"))
		assert.Equal(t, []string{made.secretOf()}, srv.signing())
		assert.Equal(t, []any{id, "https://crm.example/hook", true, nil}, []any{made.body["applicationId"], made.body["url"], made.body["enabled"], made.body["previousSecretExpiresAt"]})
		got := srv.call("GET", "/applications/"+clientID+"/webhook", "").is(200)
		assert.NotContains(t, got.body, "secret", "it is shown once")

		changed := srv.call("PUT", hook, `{"url":"https://crm.example/other","enabled":false}`).is(200)
		assert.Equal(t, []any{nil, "https://crm.example/other", false, made.body["createdAt"]}, []any{changed.body["secret"], changed.body["url"], changed.body["enabled"], changed.body["createdAt"]})
		assert.Equal(t, []string{made.secretOf()}, srv.signing())
		srv.call("PUT", hook, `{"url":"https://crm.example/other","enabled":false}`).is(200)
		update := srv.audited("webhook", id)[0]
		assert.Equal(t, map[string]store.Change{"url": {Before: "https://crm.example/hook", After: "https://crm.example/other"}, "enabled": {Before: true, After: false}}, update.Changes)
		assert.Equal(t, []string{id, "alice"}, []string{update.ApplicationID, update.ActorID})
		assert.Equal(t, true, srv.call("PUT", hook, `{"url":"https://crm.example/other"}`).is(200).body["enabled"], "PUT replaces")

		srv.call("DELETE", hook, "").is(204)
		srv.call("GET", hook, "").is(404)
		assert.Equal(t, []string{"webhook.create", "webhook.update", "webhook.update", "webhook.delete"}, srv.actionsOf(id), "what changes nothing leaves no trace")
		again := srv.call("PUT", hook, `{"url":"https://crm.example/hook"}`).is(200)
		assert.NotEqual(t, made.secretOf(), again.secretOf())
	})
}

// Server-side request forgery (OWASP A10) begins with an address: what is never sent to is not stored either.
func TestWebhookFaults(t *testing.T) {
	srv := newServer(t, storetest.New(t)) // nothing of this reaches the database
	srv.create(webApplication)
	for _, url := range []string{
		"", "crm", "/hook", "http://crm.example/hook", "ftp://crm.example", "javascript:alert(1)", "https://", "https://ada:secret@crm.example", "https://crm.example/#a",
		"https://127.0.0.1/hook", "https://10.0.0.1", "https://169.254.169.254/latest/meta-data", "https://[::1]", "https://[::ffff:10.0.0.1]", "https://localhost",
		"https://crm.example/\\u0000", "https://crm.example/" + strings.Repeat("a", 2000),
	} {
		a := srv.call("PUT", hook, `{"url":"`+url+`"}`).is(400, "VALIDATION_ERROR")
		assert.Len(t, a.errors(), 1, url)
		assert.NotEmpty(t, a.errors()["url"], url)
	}
	for _, body := range []string{`{}`, `{"url":1}`, `{"url":"https://crm.example","secret":"whsec_x"}`, `{"url":"https://crm.example","enabled":"yes"}`} {
		srv.call("PUT", hook, body).is(400, "VALIDATION_ERROR")
	}
	srv.call("GET", hook, "").is(404)
	srv.call("PUT", hook, `{"url":"https://crm.example/hook","enabled":null}`).is(200)
}

func TestWebhookSecretRotation(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		id, _ := srv.create(webApplication)
		first := srv.call("PUT", hook, `{"url":"https://crm.example/hook"}`, key("made")).is(200)
		assert.Equal(t, first.body, srv.call("PUT", hook, `{"url":"https://crm.example/hook"}`, key("made")).is(200).body, "the secret included: whoever lost the answer needs it")

		second := srv.call("POST", hook+"/rotate-secret", `{"graceSeconds":3600}`, key("k")).is(200)
		assert.Equal(t, second.body, srv.call("POST", hook+"/rotate-secret", `{"graceSeconds":3600}`, key("k")).is(200).body)
		assert.Equal(t, []string{second.secretOf(), first.secretOf()}, srv.signing())
		assert.Equal(t, ticks.now().Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), second.body["previousSecretExpiresAt"])
		ticks.advance(time.Hour)
		assert.Equal(t, []string{second.secretOf()}, srv.signing())

		third := srv.call("POST", hook+"/rotate-secret", "").is(200)
		assert.Nil(t, third.body["previousSecretExpiresAt"])
		assert.Equal(t, []string{third.secretOf()}, srv.signing(), "a secret that leaked ends at once")
		srv.call("POST", hook+"/rotate-secret", `{"graceSeconds":2592001}`).is(400, "VALIDATION_ERROR")
		assert.Equal(t, []string{"webhook.create", "webhook.rotate_secret", "webhook.rotate_secret"}, srv.actionsOf(id))
		events, err := s.AuditTrail(t.Context(), "webhook", id, 10)
		require.NoError(t, err)
		assert.NotContains(t, fmt.Sprint(events), "whsec_")
	}, func(o *store.Options) { o.Now = ticks.now })
}

func TestDeliveries(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		srv.create(with("web", nil))
		srv.call("POST", hook+"/test", "").is(409, "WEBHOOK_DISABLED")
		srv.call("PUT", hook, `{"url":"https://crm.example/hook","enabled":false}`).is(200)
		srv.call("POST", hook+"/test", "").is(409, "WEBHOOK_DISABLED")
		srv.call("PUT", hook, `{"url":"https://crm.example/hook"}`).is(200)
		assert.Equal(t, 0.0, srv.call("GET", hook+"/deliveries", "").is(200).body["total"])

		sent := srv.call("POST", hook+"/test", "", key("k")).is(201)
		assert.Equal(t, sent.body, srv.call("POST", hook+"/test", "", key("k")).is(201).body)
		assert.Equal(t, []any{"webhook.test", "pending", 0.0, nil, nil, nil}, []any{sent.body["type"], sent.body["status"], sent.body["attempts"], sent.body["lastAttemptAt"], sent.body["lastStatus"], sent.body["lastError"]})
		assert.Equal(t, map[string]any{"applicationId": id, "message": "This is a test."}, sent.body["data"])
		require.NoError(t, srv.store.Enqueue(t.Context(), store.OutboxEvent{ApplicationID: id, Type: store.WebhookThreshold, Payload: `{"total":0.30}`}))

		// The sender takes the first one and fails.
		e, err := srv.store.ClaimOutboxEvent(t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.Equal(t, sent.text("id"), e.ID)
		one := hook + "/deliveries/" + e.ID
		assert.Nil(t, srv.call("GET", one, "").is(200).body["nextAttemptAt"])
		srv.call("POST", one+"/replay", "").is(409, "DELIVERY_IN_PROGRESS")
		outcome := store.OutboxOutcome{Status: store.OutboxFailed, HTTPStatus: 500, Error: "The host answered with the status 500."}
		require.NoError(t, srv.store.FinishOutboxEvent(t.Context(), e, outcome))
		failed := srv.call("GET", one, "").is(200)
		assert.Equal(t, []any{"failed", 1.0, 500.0, "The host answered with the status 500."}, []any{failed.body["status"], failed.body["attempts"], failed.body["lastStatus"], failed.body["lastError"]})
		assert.NotNil(t, failed.body["finishedAt"])

		for query, want := range map[string][]any{
			"": {"consumption.threshold", "webhook.test"}, "?sort=createdAt": {"webhook.test", "consumption.threshold"},
			"?status=failed": {"webhook.test"}, "?status=pending": {"consumption.threshold"}, "?status=delivered": nil,
			"?type=webhook.test": {"webhook.test"}, "?type=consumption.threshold&status=failed": nil,
		} {
			var got []any
			for _, item := range srv.call("GET", hook+"/deliveries"+query, "").is(200).body["items"].([]any) {
				got = append(got, item.(map[string]any)["type"])
				assert.NotContains(t, item, "data")
			}
			assert.Equal(t, want, got, query)
		}
		page := srv.call("GET", hook+"/deliveries?limit=1", "").is(200)
		rest := srv.call("GET", hook+"/deliveries?limit=1&cursor="+page.text("nextCursor"), "").is(200)
		assert.Equal(t, e.ID, rest.body["items"].([]any)[0].(map[string]any)["id"])
		assert.Nil(t, rest.body["nextCursor"])
		srv.call("GET", hook+"/deliveries?status=lost", "").is(400, "VALIDATION_ERROR")

		replayed := srv.call("POST", one+"/replay", "", key("again")).is(200)
		assert.Equal(t, []any{"pending", 0.0, nil}, []any{replayed.body["status"], replayed.body["attempts"], replayed.body["finishedAt"]})
		assert.NotNil(t, replayed.body["nextAttemptAt"])
		srv.call("POST", one+"/replay", "").is(200)
		again, err := srv.store.ClaimOutboxEvent(t.Context(), time.Minute, nil)
		require.NoError(t, err)
		require.NoError(t, srv.store.FinishOutboxEvent(t.Context(), again, store.OutboxOutcome{Status: store.OutboxDelivered, HTTPStatus: 200}))
		srv.call("POST", hook+"/deliveries/"+again.ID+"/replay", "").is(200)
		assert.Equal(t, []string{"webhook.create", "webhook.update", "webhook.test", "webhook.replay", "webhook.replay", "webhook.replay"}, srv.actionsOf(id))

		// An event of one application is unknown under another.
		srv.call("PUT", "/applications/any/webhook", `{"url":"https://any.example/hook"}`).is(200)
		srv.call("GET", "/applications/any/webhook/deliveries/"+e.ID, "").is(404)
		srv.call("POST", "/applications/any/webhook/deliveries/"+e.ID+"/replay", "").is(404)
		assert.Equal(t, 0.0, srv.call("GET", "/applications/any/webhook/deliveries", "").body["total"])

		srv.call("PUT", hook, `{"url":"https://crm.example/hook","enabled":false}`).is(200)
		srv.call("POST", one+"/replay", "").is(409, "WEBHOOK_DISABLED")
		assert.Equal(t, 0.0, srv.call("GET", hook+"/deliveries?status=pending", "").body["total"], "what waits for it fails")
		srv.call("DELETE", hook, "").is(204)
		srv.call("POST", one+"/replay", "").is(409, "WEBHOOK_DISABLED")
		srv.call("GET", one, "").is(200)
	})
}
