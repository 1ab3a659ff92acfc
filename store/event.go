package store

import "context"

// An EventKind says what changed.
type EventKind string

// The events that caches in this process live by.
const (
	EventRevocation         EventKind = "revocation"          // Revocation is set
	EventClientChanged      EventKind = "client.changed"      // ID is the client_id
	EventApplicationChanged EventKind = "application.changed" // ID is the application's; it concerns all its clients
	EventSigningKeysChanged EventKind = "signing_keys.changed"
	EventOutboxFilled       EventKind = "outbox.filled"
)

// An Event tells this process of a committed write, so that what it keeps in memory obeys at once. Other replicas do not
// get it: they poll.
type Event struct {
	Kind       EventKind
	ID         string
	Revocation *Revocation
}

// Subscribe has fn called after each commit that published events, before the writing call returns. It runs on the
// writer's goroutine and must be quick; it may read from the store, with a context of its own.
func (s *Store) Subscribe(fn func(Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers[:len(s.subscribers):len(s.subscribers)], fn)
}

// publish delivers e once the transaction in ctx commits, and at once when there is none. A rollback drops it.
func (s *Store) publish(ctx context.Context, e Event) {
	s.AfterCommit(ctx, func() {
		s.mu.RLock()
		subscribers := s.subscribers
		s.mu.RUnlock()
		for _, fn := range subscribers {
			fn(e)
		}
	})
}
