package admin

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/export"
	"auth-service/store"
)

func (h *Handler) mountAudit(api huma.API) {
	list := operation("listAuditEvents", http.MethodGet, "/audit", "List who did what, the latest first", http.StatusOK)
	download := operation("exportAuditEvents", http.MethodGet, "/audit/export", "Download who did what, the latest first", http.StatusOK)
	list.Tags, download.Tags = []string{"Audit"}, []string{"Audit"}
	download.Responses = export.Responses("events", "AuditEvent", auditColumns)
	huma.Register(api, list, h.listAudit)
	huma.Register(api, download, h.exportAudit)
}

// AuditFilter selects events; what is left out selects all. Huma sees only exported embedded structs.
type AuditFilter struct {
	ActorType      string    `query:"actorType" enum:"user,client,system"`
	ActorID        string    `query:"actorId" maxLength:"255" doc:"The id of a user, or a client_id."`
	Action         string    `query:"action" maxLength:"100" doc:"One action such as session.end; or, with a dot at its end as in session., all that begin with it."`
	TargetType     string    `query:"targetType" maxLength:"100"`
	TargetID       string    `query:"targetId" maxLength:"255"`
	ApplicationID  string    `query:"applicationId" maxLength:"255"`
	OrganizationID string    `query:"organizationId" maxLength:"255"`
	From           time.Time `query:"from" doc:"The earliest moment, itself included."`
	To             time.Time `query:"to" doc:"The moment before which it happened."`
}

func (in *AuditFilter) query() (store.AuditQuery, faults) {
	bad := faults{}
	for field, text := range map[string]string{
		"actorId": in.ActorID, "action": in.Action, "targetType": in.TargetType, "targetId": in.TargetID,
		"applicationId": in.ApplicationID, "organizationId": in.OrganizationID,
	} {
		if !store.Printable(text) {
			bad.add("query."+field, "This has control characters: remove them.")
		}
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		bad.add("query.to", "This must be later than from.")
	}
	return store.AuditQuery{
		ActorType: in.ActorType, ActorID: in.ActorID, Action: in.Action, TargetType: in.TargetType, TargetID: in.TargetID,
		ApplicationID: in.ApplicationID, OrganizationID: in.OrganizationID, From: in.From.UTC(), To: in.To.UTC(),
	}, bad
}

type listAuditRequest struct {
	AuditFilter
	PageRequest
}

// An AuditEvent is who did what to whom.
type AuditEvent struct {
	ID             string                 `json:"id"`
	CreatedAt      Moment                 `json:"createdAt"`
	Actor          AuditActor             `json:"actor"`
	Action         string                 `json:"action" doc:"noun.verb, such as application.create."`
	Target         AuditTarget            `json:"target"`
	ApplicationID  *string                `json:"applicationId" doc:"Null when it is about no application."`
	OrganizationID *string                `json:"organizationId" doc:"Null when it is about no organization."`
	IP             string                 `json:"ip"`
	UserAgent      string                 `json:"userAgent"`
	RequestID      string                 `json:"requestId"`
	Changes        map[string]AuditChange `json:"changes" doc:"By field; secrets are left out."`
}

// An AuditActor is who did it, called as it is called now.
type AuditActor struct {
	Type  string `json:"type" enum:"user,client,system"`
	ID    string `json:"id" doc:"Empty for the system, and for whoever is not known."`
	Name  string `json:"name,omitempty" doc:"Absent when there is no such user or client any more."`
	Email string `json:"email,omitempty" doc:"Of a user."`
}

// An AuditTarget is to whom, or to what.
type AuditTarget struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// An AuditChange is a field before and after; absent where there was none, or is none any more.
type AuditChange struct {
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// auditOrder is the one order of this list, for its cursors.
const auditOrder = "audit:-createdAt"

func (h *Handler) listAudit(ctx context.Context, in *listAuditRequest) (*listResponse[AuditEvent], error) {
	query, bad := in.query()
	paging, worse := in.paging(auditOrder)
	maps.Copy(bad, worse)
	if err := bad.err(); err != nil {
		return nil, err
	}
	query.Paging = paging
	page, err := h.Store.AuditEvents(ctx, query)
	if err != nil {
		return nil, err
	}
	return showPage(page, auditOrder, showAuditEvent, func(e *store.AuditEntry) (any, string) { return e.CreatedAt, e.ID }), nil
}

func showAuditEvent(e *store.AuditEntry) AuditEvent {
	out := AuditEvent{
		ID: e.ID, CreatedAt: moment(e.CreatedAt), Actor: AuditActor{e.ActorType, e.ActorID, e.ActorName, e.ActorEmail},
		Action: e.Action, Target: AuditTarget{e.TargetType, e.TargetID},
		ApplicationID: orNull(e.ApplicationID), OrganizationID: orNull(e.OrganizationID),
		IP: e.IP, UserAgent: e.UserAgent, RequestID: e.RequestID, Changes: map[string]AuditChange{},
	}
	for field, change := range e.Changes {
		out.Changes[field] = AuditChange(change)
	}
	return out
}
