package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
)

// Kinds of audit actors.
const (
	ActorUser   = "user"
	ActorClient = "client"
	ActorSystem = "system" // the command line, or the server itself
)

// An Actor is who does something, for the audit log and for the ladder of roles.
type Actor struct {
	Type          string // ActorUser, ActorClient or ActorSystem
	ID            string
	Administrator bool // acts with the rights of the console, not just for themselves
	Superadmin    bool // may grant, change and remove the roles above that of a user; a client never may
	IP            string
	UserAgent     string
	RequestID     string
}

// Event returns what a does to the target, ready to be completed and given to Audit.
func (a Actor) Event(action, targetType, targetID string) AuditEvent {
	return AuditEvent{
		ActorType: a.Type, ActorID: a.ID, Action: action, TargetType: targetType, TargetID: targetID,
		IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID,
	}
}

// An AuditEvent records who did what to whom. Changes holds before and after of the fields that changed, secrets left out.
type AuditEvent struct {
	ID             string `gorm:"primaryKey"`
	CreatedAt      time.Time
	ActorType      string
	ActorID        string
	Action         string // noun.verb: "application.create", "session.end"
	TargetType     string
	TargetID       string
	ApplicationID  string
	OrganizationID string
	IP             string `gorm:"column:ip"`
	UserAgent      string
	RequestID      string
	Changes        map[string]Change `gorm:"serializer:json"`
}

// A Change is the value of a field before and after a write.
type Change struct {
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// Audit writes e. Call it in the transaction of the act that it records, so that neither exists without the other.
func (s *Store) Audit(ctx context.Context, e AuditEvent) error {
	return s.AuditAll(ctx, []AuditEvent{e})
}

// AuditAll is Audit for what happens many times at once, in one statement for each 1000 events.
func (s *Store) AuditAll(ctx context.Context, events []AuditEvent) error {
	for batch := range slices.Chunk(events, auditBatch) {
		for i := range batch {
			batch[i].ID, batch[i].CreatedAt = NewID(), s.now()
			if batch[i].Changes == nil {
				batch[i].Changes = map[string]Change{}
			}
		}
		if err := s.db(ctx).Create(&batch).Error; err != nil {
			return fmt.Errorf("audit %s: %w", batch[0].Action, known(err))
		}
	}
	return nil
}

// auditBatch is how many events go into a statement.
const auditBatch = 1000

// AuditTrail returns what was done to one target, the latest first.
func (s *Store) AuditTrail(ctx context.Context, targetType, targetID string, limit int) ([]AuditEvent, error) {
	var events []AuditEvent
	err := s.db(ctx).Order("created_at DESC, id DESC").Limit(limit).
		Find(&events, "target_type = ? AND target_id = ?", targetType, targetID).Error
	if err != nil {
		return nil, fmt.Errorf("audit trail of %s %q: %w", targetType, targetID, known(err))
	}
	return events, nil
}

// An AuditQuery selects a page of audit events, the latest first whatever Paging says. Empty fields select all.
type AuditQuery struct {
	Paging
	ActorType      string
	ActorID        string
	Action         string // one action; or, when it ends in a dot, all that begin with it
	TargetType     string
	TargetID       string
	ApplicationID  string
	OrganizationID string
	From           time.Time // the earliest moment, itself included
	To             time.Time // the moment before which they happened
}

// An AuditEntry is an event with what its actor is called now; empty when there is no such actor any more.
type AuditEntry struct {
	AuditEvent
	ActorName  string
	ActorEmail string // of a person
}

// AuditEvents returns one page in one statement, however long it is; another one completes a total that the page cannot tell.
func (s *Store) AuditEvents(ctx context.Context, q AuditQuery) (*Page[AuditEntry], error) {
	l := listing{
		matching: func() *gorm.DB { return s.matchingAudit(ctx, q) },
		columns:  "audit_events.*, coalesce(users.name, clients.name, '') AS actor_name, coalesce(users.email, '') AS actor_email",
	}
	everything := q
	everything.Paging = Paging{}
	if everything == (AuditQuery{}) {
		l.whole = "audit_events"
	}
	var rows []counted[AuditEntry]
	err := s.auditPage(ctx, l, q).WithContext(planned(ctx)).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list audit events: %w", known(err))
	}
	page, err := completePage(ctx, s, q.Paging, s.untilTo(l, q), rows)
	if err != nil {
		return nil, fmt.Errorf("count audit events: %w", err)
	}
	return page, nil
}

// auditPage selects the rows of a page, and one more that tells whether there is another page.
func (s *Store) auditPage(ctx context.Context, l listing, q AuditQuery) *gorm.DB {
	var page *gorm.DB
	if q.CountTo > 0 {
		page = l.matching().Select(l.columns+", (?) AS total", s.untilTo(l, q).count(s.db(ctx), q.Paging))
	} else {
		page = l.matching().Select(l.columns)
	}
	page = page.Joins("LEFT JOIN users ON audit_events.actor_type = ? AND users.id = audit_events.actor_id", ActorUser).
		Joins("LEFT JOIN clients ON audit_events.actor_type = ? AND clients.id = audit_events.actor_id", ActorClient)
	switch at := q.After; {
	case at != nil && (q.To.IsZero() || at.Value.(time.Time).Before(q.To)): // it bounds more than To, and SQLite seeks by one bound only
		page = page.Where("(audit_events.created_at, audit_events.id) < (?, ?)", at.Value, at.ID)
	case !q.To.IsZero():
		page = page.Where("audit_events.created_at < ?", q.To)
	}
	return page.Order("audit_events.created_at DESC, audit_events.id DESC").Limit(q.Limit + 1)
}

// untilTo is the listing with the later end of its time, for counting.
func (s *Store) untilTo(l listing, q AuditQuery) listing {
	if q.To.IsZero() {
		return l
	}
	all := l.matching
	l.matching = func() *gorm.DB { return all().Where("audit_events.created_at < ?", q.To) }
	return l
}

// matchingAudit selects the events that q is about, but for the later end of their time. The most selective condition
// comes first. SQLite has no statistics to tell it which that is, so a plus hides the other columns from its planner: an
// index of the people among the actors is no way to find one of them.
func (s *Store) matchingAudit(ctx context.Context, q AuditQuery) *gorm.DB {
	db, hide := s.db(ctx).Model(&AuditEvent{}), ""
	only := func(condition string, values ...any) {
		db = db.Where(strings.ReplaceAll(condition, "@", hide), values...)
		if s.Dialect() == dialectSQLite {
			hide = "+"
		}
	}
	if q.TargetID != "" {
		only("@audit_events.target_id = ?", q.TargetID)
	}
	if q.ActorID != "" {
		only("@audit_events.actor_id = ?", q.ActorID)
	}
	if q.OrganizationID != "" { // with the condition of the index, which the planners look for word by word
		only("@audit_events.organization_id = ? AND audit_events.organization_id <> ''", q.OrganizationID)
	}
	if q.ApplicationID != "" {
		only("@audit_events.application_id = ? AND audit_events.application_id <> ''", q.ApplicationID)
	}
	if strings.HasSuffix(q.Action, ".") {
		noun, rest, _ := strings.Cut(q.Action, ".")
		only("@"+auditNoun(s.Dialect())+" = ?", noun)
		if rest != "" { // only then: PostgreSQL would take it for one more thing that few events have in common
			db = db.Where("substr(audit_events.action, 1, ?) = ?", utf8.RuneCountInString(q.Action), q.Action)
		}
	} else if q.Action != "" {
		only("@audit_events.action = ?", q.Action)
	}
	if q.TargetType != "" {
		only("@audit_events.target_type = ?", q.TargetType)
	}
	if q.ActorType != "" {
		only("@audit_events.actor_type = ?", q.ActorType)
	}
	if !q.From.IsZero() {
		db = db.Where("audit_events.created_at >= ?", q.From)
	}
	return db
}

// auditNoun is the SQL for what an action says before its first dot. There is an index of it: unlike a range of actions it
// yields the events in the order of the log, and unlike LIKE it does so under every collation.
func auditNoun(dialect string) string {
	if dialect == dialectSQLite {
		return "substr(action, 1, instr(action, '.') - 1)"
	}
	return "split_part(action, '.', 1)"
}
