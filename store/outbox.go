package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
)

// What an event of the outbox tells a webhook.
const (
	WebhookThreshold = "consumption.threshold" // a quota is used up to one of its thresholds
	WebhookTest      = "webhook.test"          // an operator tries the webhook
)

// How an event of the outbox stands.
const (
	OutboxPending   = "pending"
	OutboxDelivered = "delivered"
	OutboxFailed    = "failed" // it is not tried again, unless somebody asks for it
)

// NoWebhook is why an event fails that nobody is to get any more.
const NoWebhook = "The webhook was disabled or deleted."

const (
	outboxWebhook = "webhook" // the kind of events that go to an application's webhook, the only one so far
	// isDueWebhook is spelled out, so that the planner sees that the index of pending events serves it.
	isDueWebhook = "status = '" + OutboxPending + "' AND kind = '" + outboxWebhook + "' AND next_attempt_at <= $1"
	// maxOutboxError is how many characters of a sentence are kept.
	maxOutboxError = 300
)

// An OutboxEvent is something that the world is to be told, written in the transaction in which it became true. Its ID stays
// the same however often it is sent, so that who receives it twice can tell.
type OutboxEvent struct {
	ID            string `gorm:"primaryKey"`
	Kind          string
	ApplicationID string
	Type          string // one of the Webhook constants
	Payload       string // JSON
	Status        string
	Attempts      int        // since it was written, or last asked for again
	Sending       bool       // somebody tries it now, unless NextAttemptAt has passed
	NextAttemptAt time.Time  // of a pending event: when it is tried, or when whoever tries it has given up
	LastAttemptAt *time.Time // nil: never tried
	LastStatus    int        // of the last HTTP answer; 0 for none
	LastError     string     // a sentence of ours, never what the receiver said
	CreatedAt     time.Time
	FinishedAt    *time.Time // when it was delivered, or given up
}

// TableName is the word that our documents use; GORM would say outbox_events.
func (OutboxEvent) TableName() string { return "outbox" }

// Enqueue writes an event for the webhook of e.ApplicationID, with e.Type and e.Payload, in the transaction of ctx, and wakes
// the sender once that commits. Without an e.ID it makes one. It writes nothing when the application has no webhook, or a disabled one.
func (s *Store) Enqueue(ctx context.Context, e OutboxEvent) error {
	now := s.now()
	if e.ID == "" {
		e.ID = NewID()
	}
	queued, err := s.decide(ctx, `INSERT INTO outbox (id, kind, application_id, type, payload, status, attempts, sending, next_attempt_at, last_status, last_error, created_at)
		SELECT $1, '`+outboxWebhook+`', webhooks.application_id, $3, $4, '`+OutboxPending+`', 0, false, $5, 0, '', $5
		FROM webhooks WHERE webhooks.application_id = $2 AND webhooks.enabled`, e.ID, e.ApplicationID, e.Type, e.Payload, now)
	if err != nil {
		return fmt.Errorf("enqueue %s of application %s: %w", e.Type, e.ApplicationID, err)
	}
	if queued {
		s.publish(ctx, Event{Kind: EventOutboxFilled})
	}
	return nil
}

// ClaimOutboxEvent returns the event that has been due for longest, for the caller to send within the lease: for as long nobody
// else gets it. If the caller dies, it is due again after that. Events of the applications in except are passed over.
// ErrNotFound means that nothing is due.
func (s *Store) ClaimOutboxEvent(ctx context.Context, lease time.Duration, except []string) (*OutboxEvent, error) {
	now := s.now()
	args := []any{now, now.Add(lease)}
	due := "SELECT id FROM outbox WHERE " + isDueWebhook
	if len(except) > 0 {
		names := make([]string, len(except))
		for i, id := range except {
			args = append(args, id)
			names[i] = "$" + strconv.Itoa(len(args))
		}
		due += " AND application_id NOT IN (" + strings.Join(names, ", ") + ")"
	}
	due += " ORDER BY next_attempt_at, id LIMIT 1"
	if s.Dialect() == dialectPostgres {
		due += " FOR UPDATE SKIP LOCKED"
	}
	var id string
	err := s.take(ctx, []any{&id}, "UPDATE outbox SET sending = true, attempts = attempts + 1, next_attempt_at = $2 WHERE id = ("+due+") AND "+isDueWebhook+" RETURNING id", args...)
	if err != nil {
		return nil, fmt.Errorf("claim event: %w", err)
	}
	return s.outboxEvent(ctx, "id = ?", id)
}

// An OutboxOutcome is how an attempt ended.
type OutboxOutcome struct {
	Status        string // OutboxPending when it is to be tried again
	NextAttemptAt time.Time
	HTTPStatus    int // 0 without an answer
	Error         string
}

// FinishOutboxEvent writes the outcome of an attempt of e, as ClaimOutboxEvent returned it. It returns ErrNotFound when the lease
// has passed and somebody else goes on with e.
func (s *Store) FinishOutboxEvent(ctx context.Context, e *OutboxEvent, o OutboxOutcome) error {
	now := s.now()
	var finished *time.Time
	if o.Status != OutboxPending {
		finished, o.NextAttemptAt = &now, now
	}
	text := []rune(o.Error)
	done, err := s.decide(ctx, `UPDATE outbox SET status = $1, sending = false, next_attempt_at = $2, last_attempt_at = $3, last_status = $4, last_error = $5, finished_at = $6
		WHERE id = $7 AND sending AND next_attempt_at = $8`,
		o.Status, o.NextAttemptAt, now, o.HTTPStatus, string(text[:min(len(text), maxOutboxError)]), finished, e.ID, e.NextAttemptAt)
	if err == nil && !done {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("finish event %s: %w", e.ID, err)
	}
	return nil
}

// ReplayOutboxEvent makes the application's event due at once, with all its attempts before it, and returns it. It returns
// ErrConflict when somebody tries the event at this moment, and ErrNotFound when the application has none with the id.
func (s *Store) ReplayOutboxEvent(ctx context.Context, applicationID, id string) (*OutboxEvent, error) {
	done, err := s.decide(ctx, `UPDATE outbox SET status = '`+OutboxPending+`', sending = false, attempts = 0, next_attempt_at = $1, finished_at = NULL
		WHERE id = $2 AND application_id = $3 AND NOT (status = '`+OutboxPending+`' AND sending AND next_attempt_at > $1)`, s.now(), id, applicationID)
	if err != nil {
		return nil, fmt.Errorf("replay event %s: %w", id, err)
	}
	e, err := s.OutboxEventByID(ctx, applicationID, id)
	if err == nil && !done {
		err = fmt.Errorf("replay event %s: %w", id, ErrConflict)
	}
	if err != nil {
		return nil, err
	}
	s.publish(ctx, Event{Kind: EventOutboxFilled})
	return e, nil
}

// OutboxEventByID returns the application's event with the id, or ErrNotFound.
func (s *Store) OutboxEventByID(ctx context.Context, applicationID, id string) (*OutboxEvent, error) {
	return s.outboxEvent(ctx, "id = ? AND application_id = ?", id, applicationID)
}

func (s *Store) outboxEvent(ctx context.Context, condition, id string, args ...any) (*OutboxEvent, error) {
	var e OutboxEvent
	if err := s.db(ctx).Take(&e, append([]any{condition, id}, args...)...).Error; err != nil {
		return nil, fmt.Errorf("event %q: %w", id, known(err))
	}
	return &e, nil
}

// An OutboxQuery selects one page of an application's events, which sort by creation whatever Paging says.
type OutboxQuery struct {
	Paging
	ApplicationID string
	Status        string // empty for all
	Type          string // empty for all
}

// OutboxEvents returns one page.
func (s *Store) OutboxEvents(ctx context.Context, q OutboxQuery) (*Page[OutboxEvent], error) {
	page, err := findPage[OutboxEvent](ctx, s, q.Paging, listing{
		matching: func() *gorm.DB {
			db := s.db(ctx).Model(&OutboxEvent{}).Where("outbox.application_id = ?", q.ApplicationID)
			if q.Status != "" {
				db = db.Where("outbox.status = ?", q.Status)
			}
			if q.Type != "" {
				db = db.Where("outbox.type = ?", q.Type)
			}
			return db
		},
		columns: "outbox.*", key: "outbox.id", order: byColumn("outbox.created_at"),
	})
	if err != nil {
		return nil, fmt.Errorf("list events of application %s: %w", q.ApplicationID, err)
	}
	return page, nil
}

// giveUpPending fails what waits for a webhook that gets nothing any more. What is being sent right now ends by itself.
func (s *Store) giveUpPending(ctx context.Context, applicationID string) error {
	now := s.now()
	_, err := s.direct(ctx).ExecContext(ctx, `UPDATE outbox SET status = '`+OutboxFailed+`', next_attempt_at = $1, finished_at = $1, last_error = $2
		WHERE application_id = $3 AND status = '`+OutboxPending+`' AND NOT (sending AND next_attempt_at > $1)`, now, NoWebhook, applicationID)
	if err != nil {
		return fmt.Errorf("give up events of application %s: %w", applicationID, known(err))
	}
	return nil
}

// PurgeOutbox deletes up to limit events that were delivered or given up before the given time.
func (s *Store) PurgeOutbox(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.purge(ctx, "outbox", "id", "finished_at IS NOT NULL AND finished_at < ?", before, limit)
}
