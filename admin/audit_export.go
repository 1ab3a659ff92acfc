package admin

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

type exportAuditRequest struct {
	AuditFilter
	Format string `query:"format" enum:"csv,jsonl" default:"csv" doc:"A table with one line per event, or one AuditEvent as JSON per line."`
}

// exportAudit sends everything that the filters select.
func (h *Handler) exportAudit(ctx context.Context, in *exportAuditRequest) (*huma.StreamResponse, error) {
	query, bad := in.query()
	if err := bad.err(); err != nil {
		return nil, err
	}
	events := h.auditExport(query)
	first, err := events.batch(ctx, nil)
	if err != nil {
		return nil, err
	}
	return events.answer(h, "audit", in.Format, first), nil
}

func (h *Handler) auditExport(query store.AuditQuery) *export[store.AuditEntry, AuditEvent] {
	return &export[store.AuditEntry, AuditEvent]{
		page: func(ctx context.Context, limit int, after *store.Position) (*store.Page[store.AuditEntry], error) {
			query.Limit, query.After = limit, after
			return h.Store.AuditEvents(ctx, query)
		},
		at:   func(e *store.AuditEntry) store.Position { return store.Position{Value: e.CreatedAt, ID: e.ID} },
		show: showAuditEvent, columns: auditColumns, cells: auditCells,
	}
}

var auditColumns = []string{"id", "createdAt", "actorType", "actorId", "actorName", "actorEmail", "action", "targetType", "targetId",
	"applicationId", "organizationId", "ip", "userAgent", "requestId", "changes"}

func auditCells(e *AuditEvent) ([]string, error) {
	changes, err := json.Marshal(e.Changes)
	if err != nil {
		return nil, err
	}
	return []string{e.ID, e.CreatedAt.text(), e.Actor.Type, e.Actor.ID, e.Actor.Name, e.Actor.Email, e.Action, e.Target.Type, e.Target.ID,
		orEmpty(e.ApplicationID), orEmpty(e.OrganizationID), e.IP, e.UserAgent, e.RequestID, string(changes)}, nil
}
