package store_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"auth-service/store"
	"auth-service/store/storetest"
)

// fillAudit inserts planRows events whose every property is that of few others, besides what most events have.
func (f *fixture) fillAudit() {
	f.Helper()
	var events []store.AuditEvent
	for i := range planRows {
		few := fmt.Sprintf("%d", i%50)
		events = append(events, store.AuditEvent{ID: fmt.Sprintf("%06d", i), CreatedAt: noon.Add(-time.Duration(i) * time.Minute), ActorType: "kind-" + few,
			ActorID: "actor-" + few, Action: "noun" + few + ".verb", TargetType: "type-" + few, TargetID: "target-" + few, ApplicationID: "app-" + few,
			OrganizationID: "org-" + few, Changes: map[string]store.Change{}})
	}
	require.NoError(f, f.DB(f.Context()).Session(&gorm.Session{CreateBatchSize: 100}).Create(events).Error)
	if f.Dialect() == "postgres" {
		exec(f.T, f.Store, "ANALYZE")
	}
}

// sorts are steps that bring rows into order, which an index is to do: sorting reads all that match, however few are wanted.
var sorts = regexp.MustCompile(`(?m)Seq Scan on audit_events|^\s*SCAN audit_events$|Sort|TEMP B-TREE`)

// A page of the audit log costs the same wherever it is and whatever it filters by.
func TestAuditFiltersUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fillAudit()
		after := &store.Position{Value: noon.Add(-time.Hour), ID: "000060"}
		for _, tt := range []struct {
			name  string
			query store.AuditQuery
			index string
		}{
			{"all", store.AuditQuery{}, "audit_events_created_at"},
			{"time", store.AuditQuery{From: noon.Add(-1000 * time.Hour), To: noon}, "audit_events_created_at"},
			{"actor", store.AuditQuery{ActorID: "actor-7"}, "audit_events_actor_id"},
			{"kind of actor", store.AuditQuery{ActorType: "kind-7"}, "audit_events_actor_type"},
			{"action", store.AuditQuery{Action: "noun7.verb"}, "audit_events_action"},
			{"actions", store.AuditQuery{Action: "noun7."}, "audit_events_noun"},
			{"target", store.AuditQuery{TargetID: "target-7"}, "audit_events_target_id"},
			{"kind of target", store.AuditQuery{TargetType: "type-7"}, "audit_events_target_type"},
			{"application", store.AuditQuery{ApplicationID: "app-7"}, "audit_events_application_id"},
			{"organization", store.AuditQuery{OrganizationID: "org-7"}, "audit_events_organization_id"},
		} {
			for _, at := range []*store.Position{nil, after} {
				tt.query.After, tt.query.Limit = at, 5
				ctx, calls := storetest.Trace(f.Context())
				_, err := f.AuditEvents(ctx, tt.query)
				require.NoError(f, err, tt.name)
				require.Len(f, calls.SQL(), 1, tt.name)
				plan := f.auditPlan(ctx, tt.query, calls.SQL()[0])
				require.Contains(f, plan, tt.index, "%s: %s", tt.name, calls.SQL()[0])
				require.NotRegexp(f, sorts, plan, "%s: %s", tt.name, calls.SQL()[0])
			}
		}
		// SQLite has no statistics: what one person did must not be found by reading what all people did.
		every := store.AuditQuery{Paging: store.Paging{Limit: 50}, ActorType: "kind-7", ActorID: "actor-7", Action: "noun7.", TargetType: "type-7", TargetID: "target-7", ApplicationID: "app-7", OrganizationID: "org-7", From: noon.Add(-1000 * time.Hour), To: noon.Add(time.Minute)}
		ctx, calls := storetest.Trace(f.Context())
		page, err := f.AuditEvents(ctx, every)
		require.NoError(f, err)
		require.Len(f, page.Items, 40)
		if f.Dialect() == "sqlite" {
			require.Contains(f, f.plan(calls.SQL()[0], ""), "audit_events_target_id")
		}
		parameter := map[string]string{"sqlite": "?", "postgres": "$1"}[f.Dialect()]
		require.Regexp(f, sorts, f.plan("SELECT id FROM audit_events WHERE ip = "+parameter, ""), "this test would see one")
	})
}

// auditPlan gives PostgreSQL the values: with a limit that it does not know it plans for reading a tenth of the table.
func (f *fixture) auditPlan(ctx context.Context, q store.AuditQuery, statement string) string {
	f.Helper()
	if f.Dialect() == "sqlite" {
		return f.plan(statement, "")
	}
	return f.plan(statement, strings.Join(f.auditArguments(ctx, q), ", "))
}

// auditArguments are the values that the statement of q has, in its order.
func (f *fixture) auditArguments(ctx context.Context, q store.AuditQuery) []string {
	f.Helper()
	args := []string{"'user'", "'client'"}
	for _, value := range []string{q.TargetID, q.ActorID, q.OrganizationID, q.ApplicationID} {
		if value != "" {
			args = append(args, "'"+value+"'")
		}
	}
	if noun, prefix := strings.CutSuffix(q.Action, "."); prefix {
		args = append(args, "'"+noun+"'")
	} else if q.Action != "" {
		args = append(args, "'"+q.Action+"'")
	}
	for _, value := range []string{q.TargetType, q.ActorType} {
		if value != "" {
			args = append(args, "'"+value+"'")
		}
	}
	at := func(t time.Time) string { return "'" + t.Format(time.RFC3339Nano) + "'" }
	if !q.From.IsZero() {
		args = append(args, at(q.From))
	}
	if q.After != nil {
		args = append(args, at(q.After.Value.(time.Time)), "'"+q.After.ID+"'")
	} else if !q.To.IsZero() {
		args = append(args, at(q.To))
	}
	return append(args, fmt.Sprint(q.Limit+1))
}

func TestAuditTotals(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fillAudit()
		beyond := &store.Position{Value: noon.Add(-10000 * time.Hour)}
		for _, tt := range []struct {
			name       string
			query      store.AuditQuery
			total      int64
			estimated  bool
			statements int
		}{
			{"not asked for", store.AuditQuery{}, 0, false, 1},
			{"counted", store.AuditQuery{Paging: store.Paging{CountTo: planRows}}, planRows, false, 1},
			{"too many to count", store.AuditQuery{Paging: store.Paging{CountTo: 100}}, planRows, true, 2},
			{"too many matches to count", store.AuditQuery{Paging: store.Paging{CountTo: 10}, Action: "noun1."}, 11, true, 1},
			{"few matches", store.AuditQuery{Paging: store.Paging{CountTo: 100}, Action: "noun1."}, 40, false, 1},
			{"no match", store.AuditQuery{Paging: store.Paging{CountTo: 100}, Action: "noun."}, 0, false, 1},
			{"beyond the end", store.AuditQuery{Paging: store.Paging{CountTo: 100, After: beyond}, Action: "noun1.verb"}, 40, false, 2},
		} {
			tt.query.Limit = 3
			ctx, calls := storetest.Trace(f.Context())
			page, err := f.AuditEvents(ctx, tt.query)
			require.NoError(f, err, tt.name)
			require.Equal(f, tt.total, page.Total, tt.name)
			require.Equal(f, tt.estimated, page.Estimated, tt.name)
			require.Len(f, calls.SQL(), tt.statements, tt.name)
		}
	})
}
