package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// How often, and for how long at most, a transaction that collided is run again.
const (
	maxTries  = 10
	maxTrying = 10 * time.Second
)

// errDoomed is what committing returns after a part of the transaction was rolled back.
var errDoomed = errors.New("transaction was rolled back by an inner part")

type transactionKey struct{}

// A transaction is the state that all who join it share. One goroutine at a time uses it, as with any connection.
type transaction struct {
	pool      *txPool
	after     []func()
	doomed    bool
	committed bool
}

// A frame is one BeginTX or Tx call. Only the frame that opened the transaction commits it.
type frame struct {
	*transaction
	outermost bool
	ended     bool
}

func frameIn(ctx context.Context) *frame {
	f, _ := ctx.Value(transactionKey{}).(*frame)
	return f
}

func transactionIn(ctx context.Context) *transaction {
	if f := frameIn(ctx); f != nil {
		return f.transaction
	}
	return nil
}

// Tx runs fn in one transaction and commits when fn returns nil. It travels in the context that fn gets.
//
// A call inside another Tx joins it, so the outermost call decides: an inner error that the outer one swallows undoes
// nothing. PostgreSQL refuses everything after a failed statement, so don't go on after one; use ON CONFLICT instead.
//
// When the database gives the transaction up because it collided with another, or the pooled connection turned out dead,
// the outermost fn runs again from its start, so it must not have effects elsewhere: leave those to AfterCommit.
func (s *Store) Tx(ctx context.Context, fn func(ctx context.Context) error) error {
	if t := transactionIn(ctx); t != nil {
		return fn(context.WithValue(ctx, transactionKey{}, &frame{transaction: t}))
	}
	start, healed := time.Now(), false // the real clock: this waits for real
	for try := 1; ; try++ {
		f, err := s.attempt(ctx, fn)
		switch {
		case err == nil:
			return nil
		case !healed && f.stale(err):
			s.pool.heal()
			healed = true
			continue
		case !f.collided(err) || try == maxTries || time.Since(start) > maxTrying:
			return known(err)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// attempt runs fn in a transaction once. The frame it returns knows what went wrong on the way.
func (s *Store) attempt(ctx context.Context, fn func(ctx context.Context) error) (f *frame, err error) {
	f, err = s.begin(ctx)
	if err != nil {
		return f, err
	}
	defer func() {
		if !f.ended { // fn failed or panicked
			f.ended = true
			_ = f.pool.Rollback()
		}
	}()
	if err := fn(context.WithValue(ctx, transactionKey{}, f)); err != nil {
		return f, err
	}
	return f, s.commit(f)
}

// begin opens a transaction. The frame is never nil.
func (s *Store) begin(ctx context.Context) (*frame, error) {
	f := &frame{transaction: &transaction{}, outermost: true}
	var err error
	if f.pool, err = s.pool.begin(ctx); err != nil {
		return f, fmt.Errorf("begin: %w", err)
	}
	return f, nil
}

// commit ends an outermost frame and runs what waits for it.
func (s *Store) commit(f *frame) error {
	f.ended = true
	if f.doomed {
		_ = f.pool.Rollback()
		return errDoomed
	}
	if err := f.pool.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	f.committed = true
	for _, fn := range f.after {
		fn()
	}
	return nil
}

// AfterCommit runs fn once the transaction in ctx has committed, and at once when there is none. A rollback drops it.
func (s *Store) AfterCommit(ctx context.Context, fn func()) {
	if t := transactionIn(ctx); t != nil && !t.committed {
		t.after = append(t.after, fn)
		return
	}
	fn()
}

// BeginTX, Commit and Rollback have the shape of fosite's storage.Transactional. Prefer Tx, which can run again: open one
// around the call into fosite and these three join it. A rollback then makes the outermost commit fail.
func (s *Store) BeginTX(ctx context.Context) (context.Context, error) {
	if t := transactionIn(ctx); t != nil {
		return context.WithValue(ctx, transactionKey{}, &frame{transaction: t}), nil
	}
	f, err := s.beginAtOnce(ctx)
	if err != nil && stale(err) {
		s.pool.heal()
		f, err = s.beginAtOnce(ctx)
	}
	if err != nil {
		return ctx, known(err)
	}
	return context.WithValue(ctx, transactionKey{}, f), nil
}

// beginAtOnce tells whether the database is there, as nothing of a transaction that spans calls can run again.
func (s *Store) beginAtOnce(ctx context.Context) (*frame, error) {
	f, err := s.begin(ctx)
	if err != nil {
		return f, err
	}
	if err := f.pool.catchUp(ctx); err != nil {
		_ = f.pool.Rollback()
		return f, fmt.Errorf("begin: %w", err)
	}
	if conn := f.pool.conn; conn != nil { // a *sql.Tx sees to it by itself
		// It is ended, as only given back it would keep its locks until somebody takes it. After Commit and Rollback this does nothing.
		context.AfterFunc(ctx, func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) })
	}
	return f, nil
}

// Commit ends what BeginTX began. Only the outermost one writes; until then hooks and events wait.
func (s *Store) Commit(ctx context.Context) error {
	f := frameIn(ctx)
	switch {
	case f == nil || f.ended:
		return sql.ErrTxDone
	case f.outermost:
		return known(s.commit(f))
	case f.doomed:
		f.ended = true
		return errDoomed
	}
	f.ended = true
	return nil
}

// Rollback undoes what BeginTX began, and so everything that it joined. After Commit it does nothing.
func (s *Store) Rollback(ctx context.Context) error {
	f := frameIn(ctx)
	if f == nil || f.ended {
		return nil
	}
	f.ended, f.doomed = true, true
	if f.outermost {
		_ = f.pool.Rollback()
	}
	return nil
}

// collided looks past err, too: whoever joined may have hidden the database's reason behind an answer for its client.
func (f *frame) collided(err error) bool {
	return collided(err) || f.pool != nil && collided(f.pool.failure)
}

// stale reports whether a new connection may help. When the commit itself broke, nobody knows whether it was carried
// out, so it is not run again.
func (f *frame) stale(err error) bool {
	if f.pool == nil {
		return stale(err)
	}
	return !f.pool.committing && (stale(err) || stale(f.pool.failure))
}

// pause waits before the next try: a random part of a limit that doubles, so that those who collided spread out.
func pause(ctx context.Context, try int) error {
	limit := 2 * time.Millisecond << min(try, 8)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return known(ctx.Err())
	case <-timer.C:
		return nil
	}
}

// Retry runs fn, which opens its own transactions, again while the database gives them up because they collided with
// others. Use it where a library decides what the transaction spans; else use Tx.
func (s *Store) Retry(ctx context.Context, fn func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		err := fn(ctx)
		if !collided(err) || try == maxTries {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}
