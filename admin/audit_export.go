package admin

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/export"
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
	first, err := events.First(ctx)
	if err != nil {
		return nil, err
	}
	return events.Answer(h.file("audit", in.Format), first), nil
}

func (h *Handler) auditExport(query store.AuditQuery) *export.Export[store.AuditEntry, AuditEvent] {
	return &export.Export[store.AuditEntry, AuditEvent]{
		Page: func(ctx context.Context, limit int, after *store.Position) (*store.Page[store.AuditEntry], error) {
			query.Limit, query.After = limit, after
			return h.Store.AuditEvents(ctx, query)
		},
		At:   func(e *store.AuditEntry) store.Position { return store.Position{Value: e.CreatedAt, ID: e.ID} },
		Show: showAuditEvent, Columns: auditColumns, Cells: auditCells, Allowed: stillAllowed,
	}
}

// file is how an export is answered.
func (h *Handler) file(name, format string) export.File {
	return export.File{Name: name, Format: format, Now: h.Now, Log: h.Log}
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
