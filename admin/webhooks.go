package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

const (
	// webhookSecretPrefix is how libraries for Standard Webhooks recognize a secret; base64 follows.
	webhookSecretPrefix = "whsec_"
	webhookSecretBytes  = 32
)

var errWebhookDisabled = problem.New(http.StatusConflict, "WEBHOOK_DISABLED", "The application has no webhook that is enabled. Set one first.")

func (h *Handler) mountWebhooks(api huma.API) {
	const one = "/applications/{id}/webhook"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutWebhooks(operation("getWebhook", http.MethodGet, one, "Get the webhook of an application", http.StatusOK, notFound)), h.getWebhook)
	huma.Register(api, aboutWebhooks(operation("setWebhook", http.MethodPut, one, "Say where an application wants to be told of events", http.StatusOK, notFound)), h.setWebhook)
	huma.Register(api, aboutWebhooks(operation("deleteWebhook", http.MethodDelete, one, "Remove the webhook of an application; events that wait for it fail", http.StatusNoContent, notFound)), h.deleteWebhook)
	huma.Register(api, aboutWebhooks(operation("rotateWebhookSecret", http.MethodPost, one+"/rotate-secret", "Give a webhook a new secret", http.StatusOK, notFound)), h.rotateWebhookSecret)
	huma.Register(api, aboutWebhooks(operation("testWebhook", http.MethodPost, one+"/test", "Send an event of the type webhook.test", http.StatusCreated, notFound, conflict)), h.testWebhook)
}

func aboutWebhooks(op huma.Operation) huma.Operation {
	op.Tags = []string{"Webhooks"}
	return op
}

// A Webhook is where an application is told of events. There is no field for its secret, so none can leak.
type Webhook struct {
	ApplicationID           string  `json:"applicationId"`
	URL                     string  `json:"url"`
	Enabled                 bool    `json:"enabled" doc:"False also after the receiver answered with the status 410."`
	PreviousSecretExpiresAt *Moment `json:"previousSecretExpiresAt" nullable:"true" doc:"Until then messages are signed with the previous secret as well. Null when there is none."`
	CreatedAt               Moment  `json:"createdAt"`
	UpdatedAt               Moment  `json:"updatedAt"`
}

func (h *Handler) showWebhook(w *store.Webhook) Webhook {
	out := Webhook{ApplicationID: w.ApplicationID, URL: w.URL, Enabled: w.Enabled, CreatedAt: moment(w.CreatedAt), UpdatedAt: moment(w.UpdatedAt)}
	if w.PreviousSecretUntil != nil && h.Now().Before(*w.PreviousSecretUntil) {
		out.PreviousSecretExpiresAt = nullableMoment(w.PreviousSecretUntil)
	}
	return out
}

type webhookResponse struct{ Body Webhook }

func (h *Handler) getWebhook(ctx context.Context, in *ApplicationPath) (*webhookResponse, error) {
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	w, err := h.Store.WebhookByApplication(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	return &webhookResponse{h.showWebhook(w)}, nil
}

// WebhookInput says where a webhook goes.
type WebhookInput struct {
	URL     string         `json:"url" minLength:"1" maxLength:"2000" doc:"An https URL at a public address; http and private addresses only in the networks that the configuration allows."`
	Enabled Optional[bool] `json:"enabled,omitzero" doc:"False: no events are written, and those that wait fail. Default: true."`
}

type setWebhookRequest struct {
	ApplicationPath
	Idempotent
	Body WebhookInput
}

// SetWebhook is a webhook, when it is new with its secret, which is never shown again.
type SetWebhook struct {
	Webhook
	Secret *string `json:"secret" doc:"Shown only when the webhook is made; else null."`
}

type setWebhookResponse struct {
	Replay
	Body SetWebhook
}

func (h *Handler) setWebhook(ctx context.Context, in *setWebhookRequest) (*setWebhookResponse, error) {
	f := faults{}
	f.add("url", h.WebhookFault(in.Body.URL))
	if err := f.err(); err != nil {
		return nil, err
	}
	body, replay, err := once(ctx, h, in.Idempotent, "setWebhook", []any{in.ID, in.Body}, func(ctx context.Context) (out SetWebhook, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			next := &store.Webhook{ApplicationID: a.ID, URL: in.Body.URL, Enabled: true}
			in.Body.Enabled.into(&next.Enabled, true)
			was, err := h.Store.WebhookByApplication(ctx, a.ID)
			if errors.Is(err, store.ErrNotFound) {
				out, err = h.createWebhook(ctx, next)
				return err
			}
			if err != nil {
				return err
			}
			out.Webhook, err = h.updateWebhook(ctx, was, next)
			return err
		})
		return out, err
	})
	return &setWebhookResponse{replay, body}, err
}

// createWebhook makes a webhook with its first secret. The application is locked.
func (h *Handler) createWebhook(ctx context.Context, w *store.Webhook) (SetWebhook, error) {
	secret, text := newWebhookSecret()
	if err := h.Store.CreateWebhook(ctx, w, secret); err != nil {
		return SetWebhook{}, err
	}
	out := SetWebhook{h.showWebhook(w), &text}
	return out, h.auditWebhook(ctx, "webhook.create", w.ApplicationID, changes(nil, out.Webhook))
}

// updateWebhook writes what next says about where was goes. The application is locked.
func (h *Handler) updateWebhook(ctx context.Context, was, next *store.Webhook) (Webhook, error) {
	before, after := h.showWebhook(was), *was
	after.URL, after.Enabled = next.URL, next.Enabled
	diff := changes(before, h.showWebhook(&after))
	if len(diff) == 0 {
		return before, nil
	}
	if err := h.Store.UpdateWebhook(ctx, &after); err != nil {
		return Webhook{}, err
	}
	return h.showWebhook(&after), h.auditWebhook(ctx, "webhook.update", was.ApplicationID, diff)
}

func newWebhookSecret() (secret []byte, text string) {
	secret = make([]byte, webhookSecretBytes)
	rand.Read(secret) // never fails: crypto/rand ends the program instead
	return secret, webhookSecretPrefix + base64.StdEncoding.EncodeToString(secret)
}

func (h *Handler) auditWebhook(ctx context.Context, action, applicationID string, diff map[string]store.Change) error {
	return h.Store.Audit(ctx, actorIn(ctx).event(action, "webhook", applicationID, applicationID, diff))
}

func (h *Handler) deleteWebhook(ctx context.Context, in *ApplicationPath) (*struct{}, error) {
	return nil, h.inWebhook(ctx, in.ID, func(ctx context.Context, w *store.Webhook) error {
		if err := h.Store.DeleteWebhook(ctx, w.ApplicationID); err != nil {
			return err
		}
		return h.auditWebhook(ctx, "webhook.delete", w.ApplicationID, changes(h.showWebhook(w), nil))
	})
}

// inWebhook runs fn in a transaction that has locked the application.
func (h *Handler) inWebhook(ctx context.Context, id reference, fn func(ctx context.Context, w *store.Webhook) error) error {
	return h.inApplication(ctx, id, func(ctx context.Context, a *store.Application) error {
		w, err := h.Store.WebhookByApplication(ctx, a.ID)
		if err != nil {
			return err
		}
		return fn(ctx, w)
	})
}

type rotateWebhookRequest struct {
	ApplicationPath
	Idempotent
	Body *Rotation
}

// RotatedWebhookSecret is a webhook's new secret, which is never shown again.
type RotatedWebhookSecret struct {
	Secret                  string  `json:"secret" doc:"Shown only now."`
	PreviousSecretExpiresAt *Moment `json:"previousSecretExpiresAt" nullable:"true" doc:"Until then messages are signed with both. Null when the previous secret has ended already."`
}

type rotateWebhookResponse struct {
	Replay
	Body RotatedWebhookSecret
}

func (h *Handler) rotateWebhookSecret(ctx context.Context, in *rotateWebhookRequest) (*rotateWebhookResponse, error) {
	var overlap time.Duration
	if in.Body != nil {
		overlap = time.Duration(in.Body.GraceSeconds) * time.Second
	}
	body, replay, err := once(ctx, h, in.Idempotent, "rotateWebhookSecret", []any{in.ID, in.Body}, func(ctx context.Context) (out RotatedWebhookSecret, err error) {
		err = h.inWebhook(ctx, in.ID, func(ctx context.Context, w *store.Webhook) error {
			secret, text := newWebhookSecret()
			if err := h.Store.RotateWebhookSecret(ctx, w, secret, overlap); err != nil {
				return err
			}
			out = RotatedWebhookSecret{text, nullableMoment(w.PreviousSecretUntil)}
			note := map[string]store.Change{"previousSecretExpiresAt": {After: out.PreviousSecretExpiresAt}}
			return h.auditWebhook(ctx, "webhook.rotate_secret", w.ApplicationID, note)
		})
		return out, err
	})
	return &rotateWebhookResponse{replay, body}, err
}

type testWebhookRequest struct {
	ApplicationPath
	Idempotent
}

type deliveryResponse struct {
	Replay
	Body DeliveryDetail
}

// testWebhook sends by way of the outbox, so that a test tries all that the others need.
func (h *Handler) testWebhook(ctx context.Context, in *testWebhookRequest) (*deliveryResponse, error) {
	body, replay, err := once(ctx, h, in.Idempotent, "testWebhook", in.ID, func(ctx context.Context) (out DeliveryDetail, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			payload, err := json.Marshal(map[string]string{"applicationId": a.ID, "message": "This is a test."})
			if err != nil {
				return fmt.Errorf("test webhook: %w", err)
			}
			e := store.OutboxEvent{ID: store.NewID(), ApplicationID: a.ID, Type: store.WebhookTest, Payload: string(payload)}
			if err := h.Store.Enqueue(ctx, e); err != nil {
				return err
			}
			queued, err := h.Store.OutboxEventByID(ctx, a.ID, e.ID)
			if errors.Is(err, store.ErrNotFound) {
				return errWebhookDisabled
			}
			if err != nil {
				return err
			}
			out = showDeliveryDetail(queued)
			return h.auditWebhook(ctx, "webhook.test", a.ID, map[string]store.Change{"delivery": {After: e.ID}})
		})
		return out, err
	})
	return &deliveryResponse{replay, body}, err
}
