package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

var errDelivering = problem.New(http.StatusConflict, "DELIVERY_IN_PROGRESS", "This event is being sent at this moment. Wait for the outcome.")

func (h *Handler) mountDeliveries(api huma.API) {
	const all, one = "/applications/{id}/webhook/deliveries", "/applications/{id}/webhook/deliveries/{deliveryId}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutWebhooks(operation("listDeliveries", http.MethodGet, all, "List the events of the last 30 days and whether the webhook has them", http.StatusOK, notFound)), h.listDeliveries)
	huma.Register(api, aboutWebhooks(operation("getDelivery", http.MethodGet, one, "Get an event with its data", http.StatusOK, notFound)), h.getDelivery)
	huma.Register(api, aboutWebhooks(operation("replayDelivery", http.MethodPost, one+"/replay", "Send an event at once, with all its attempts before it", http.StatusOK, notFound, conflict)), h.replayDelivery)
}

// A Delivery is an event for a webhook and how far it got. It goes on until the receiver answers with a status from 200 to 299.
type Delivery struct {
	ID            string  `json:"id" doc:"The webhook-id of the message, the same at each attempt."`
	Type          string  `json:"type" enum:"consumption.threshold,webhook.test"`
	Status        string  `json:"status" enum:"pending,delivered,failed"`
	Attempts      int     `json:"attempts" doc:"Since it was written, or last replayed; eight at most."`
	NextAttemptAt *Moment `json:"nextAttemptAt" nullable:"true" doc:"Null when there will be none, and while there is one."`
	LastAttemptAt *Moment `json:"lastAttemptAt" nullable:"true"`
	LastStatus    *int    `json:"lastStatus" doc:"Of the last answer; null without one."`
	LastError     *string `json:"lastError" doc:"Why it is not delivered, in a sentence."`
	CreatedAt     Moment  `json:"createdAt"`
	FinishedAt    *Moment `json:"finishedAt" nullable:"true" doc:"When it was delivered or given up."`
}

// A DeliveryDetail is an event with what it tells.
type DeliveryDetail struct {
	Delivery
	Data EventData `json:"data"`
}

// EventData is an object that its type defines.
type EventData struct{ json.RawMessage }

// Schema leaves the inside to the type of the event.
func (EventData) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

func showDelivery(e *store.OutboxEvent) Delivery {
	out := Delivery{
		ID: e.ID, Type: e.Type, Status: e.Status, Attempts: e.Attempts, LastAttemptAt: nullableMoment(e.LastAttemptAt),
		LastStatus: orNull(e.LastStatus), LastError: orNull(e.LastError), CreatedAt: moment(e.CreatedAt), FinishedAt: nullableMoment(e.FinishedAt),
	}
	if e.Status == store.OutboxPending && !e.Sending {
		out.NextAttemptAt = nullableMoment(&e.NextAttemptAt)
	}
	return out
}

func showDeliveryDetail(e *store.OutboxEvent) DeliveryDetail {
	return DeliveryDetail{showDelivery(e), EventData{json.RawMessage(e.Payload)}}
}

type listDeliveriesRequest struct {
	ApplicationPath
	PageRequest
	Sort   string `query:"sort" enum:"createdAt,-createdAt" default:"-createdAt"`
	Status string `query:"status" enum:"pending,delivered,failed"`
	Type   string `query:"type" enum:"consumption.threshold,webhook.test"`
}

func (h *Handler) listDeliveries(ctx context.Context, in *listDeliveriesRequest) (*listResponse[Delivery], error) {
	paging, bad := in.paging(in.Sort)
	if err := bad.err(); err != nil {
		return nil, err
	}
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	page, err := h.Store.OutboxEvents(ctx, store.OutboxQuery{Paging: paging, ApplicationID: a.ID, Status: in.Status, Type: in.Type})
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showDelivery, func(e *store.OutboxEvent) (any, string) { return e.CreatedAt, e.ID }), nil
}

// DeliveryPath is the part of a path that names an event for an application's webhook.
type DeliveryPath struct {
	ApplicationPath
	DeliveryID reference `path:"deliveryId" maxLength:"255"`
}

func (h *Handler) getDelivery(ctx context.Context, in *DeliveryPath) (*deliveryDetailResponse, error) {
	id, err := in.DeliveryID.text()
	if err != nil {
		return nil, err
	}
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	e, err := h.Store.OutboxEventByID(ctx, a.ID, id)
	if err != nil {
		return nil, err
	}
	return &deliveryDetailResponse{showDeliveryDetail(e)}, nil
}

type deliveryDetailResponse struct{ Body DeliveryDetail }

type replayDeliveryRequest struct {
	DeliveryPath
	Idempotent
}

// replayDelivery takes pending events as well: whoever has mended their receiver does not want to wait for hours.
func (h *Handler) replayDelivery(ctx context.Context, in *replayDeliveryRequest) (*deliveryResponse, error) {
	id, err := in.DeliveryID.text()
	if err != nil {
		return nil, err
	}
	body, replay, err := once(ctx, h, in.Idempotent, "replayDelivery", []any{in.ID, id}, func(ctx context.Context) (out DeliveryDetail, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			if _, err := h.Store.OutboxEventByID(ctx, a.ID, id); err != nil {
				return err
			}
			w, err := h.Store.WebhookByApplication(ctx, a.ID)
			if errors.Is(err, store.ErrNotFound) || err == nil && !w.Enabled {
				return errWebhookDisabled
			}
			if err != nil {
				return err
			}
			e, err := h.Store.ReplayOutboxEvent(ctx, a.ID, id)
			if errors.Is(err, store.ErrConflict) {
				return errDelivering
			}
			if err != nil {
				return err
			}
			out = showDeliveryDetail(e)
			return h.auditWebhook(ctx, "webhook.replay", a.ID, map[string]store.Change{"delivery": {After: id}})
		})
		return out, err
	})
	return &deliveryResponse{replay, body}, err
}
