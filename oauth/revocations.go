package oauth

import (
	"context"
	"sync"
	"time"

	"auth-service/store"
)

// revocationOverlap is how far each poll looks back: it covers clock differences between replicas and transactions that
// commit late. A full reload every minute covers the rest.
const (
	revocationOverlap = 15 * time.Second
	revocationReload  = time.Minute
)

// revocationList is the part of the revocations table that is still alive, in memory: access tokens are checked against
// it without a query. What this process writes is obeyed at once, what others write after the next poll.
type revocationList struct {
	store *store.Store
	now   func() time.Time
	// clientRevoked is called when a client was disabled or deleted, maybe elsewhere: what is known of it is outdated.
	clientRevoked func()

	mu       sync.RWMutex
	rows     map[revocationKey]store.Revocation
	reloaded time.Time
}

type revocationKey struct{ kind, id string }

func newRevocationList(s *store.Store, now func() time.Time, clientRevoked func()) *revocationList {
	return &revocationList{store: s, now: now, clientRevoked: clientRevoked, rows: map[revocationKey]store.Revocation{}}
}

func (l *revocationList) add(rows ...store.Revocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		key := revocationKey{r.Kind, r.ID}
		if known, ok := l.rows[key]; !ok || known.IssuedUntil.Before(r.IssuedUntil) {
			l.rows[key] = r
			if r.Kind == store.RevokedClient {
				l.clientRevoked()
			}
		}
	}
}

// poll fetches what other replicas wrote lately.
func (l *revocationList) poll(ctx context.Context) error {
	l.mu.RLock()
	due := l.now().Sub(l.reloaded) >= revocationReload
	l.mu.RUnlock()
	if due {
		return l.load(ctx)
	}
	rows, err := l.store.RevocationsSince(ctx, l.now().Add(-revocationOverlap))
	if err != nil {
		return err
	}
	l.add(rows...)
	return nil
}

// load fetches every live revocation and forgets the expired ones.
func (l *revocationList) load(ctx context.Context) error {
	started := l.now()
	rows, err := l.store.RevocationsSince(ctx, time.Time{})
	if err != nil {
		return err
	}
	l.add(rows...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reloaded = started
	for key, r := range l.rows {
		if !started.Before(r.ExpiresAt) {
			delete(l.rows, key)
		}
	}
	return nil
}

// covers reports whether an access token with these claims was revoked.
func (l *revocationList) covers(t *accessClaims) bool {
	issued := t.issuedAt()
	keys := []revocationKey{
		{store.RevokedToken, t.ID}, {store.RevokedGrant, t.GrantID}, {store.RevokedUser, t.Subject}, {store.RevokedClient, t.ClientID},
	}
	if t.OrgID != "" {
		keys = append(keys, revocationKey{store.RevokedMember, store.MemberRevocationID(t.Subject, t.OrgID)}, revocationKey{store.RevokedOrganization, t.OrgID})
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, key := range keys {
		if r, ok := l.rows[key]; ok && !issued.After(r.IssuedUntil) {
			return true
		}
	}
	return false
}
