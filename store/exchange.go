package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// maxRollingBack is how long a connection is tried to be kept whose transaction failed.
const maxRollingBack = 5 * time.Second

// A scanner is a row of a result.
type scanner interface{ Scan(targets ...any) error }

// A statement is one of several that PostgreSQL gets together, in one exchange.
type statement struct {
	query string
	args  []any
	scan  func(row scanner) error // nil without a result
	fail  func(err error) error   // puts an error into words; nil leaves it as it is
}

// together runs statements one after the other, each of which a query begins. In a transaction on PostgreSQL all are one exchange.
func (s *Store) together(ctx context.Context, statements ...*statement) error {
	if t := transactionIn(ctx); t != nil && t.pool.conn != nil {
		for _, st := range statements {
			observe(ctx, st.query)
		}
		return known(t.pool.exchange(ctx, statements))
	}
	for _, st := range statements {
		if err := s.queryRows(ctx, st.query, st.args, st.scan); err != nil {
			return err
		}
	}
	return nil
}

// later runs a statement whose result nobody needs to go on. In a transaction on PostgreSQL it goes with the next one, at the latest with
// the COMMIT, which then says what is wrong with it.
func (s *Store) later(ctx context.Context, st *statement) error {
	if t := transactionIn(ctx); t != nil && t.pool.conn != nil {
		observe(ctx, st.query)
		t.pool.waiting = append(t.pool.waiting, st)
		return nil
	}
	_, err := s.direct(ctx).ExecContext(ctx, st.query, st.args...)
	return st.failed(err)
}

func (st *statement) failed(err error) error {
	if err == nil || st.fail == nil {
		return known(err)
	}
	return st.fail(known(err))
}

// catchUp sends what waits. After an exchange that failed it refuses whatever comes: perhaps not even BEGIN arrived, and it would be
// outside of the transaction.
func (t *txPool) catchUp(ctx context.Context) error {
	switch {
	case t.aborted != nil:
		return fmt.Errorf("transaction has failed before: %w", t.aborted)
	case len(t.waiting) == 0:
		return nil
	}
	return t.exchange(ctx, nil)
}

// exchange sends what waits, and then the statements. The first that fails ends it.
func (t *txPool) exchange(ctx context.Context, statements []*statement) error {
	if t.aborted != nil {
		return t.catchUp(ctx)
	}
	statements, t.waiting, t.begun = append(t.waiting, statements...), nil, true
	t.aborted = t.conn.Raw(func(conn any) error { return send(ctx, conn.(*stdlib.Conn).Conn(), statements) })
	return t.remember(ctx, t.aborted)
}

func send(ctx context.Context, conn *pgx.Conn, statements []*statement) error {
	batch := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, 0, len(statements))}
	for _, st := range statements {
		batch.Queue(st.query, st.args...)
	}
	results := conn.SendBatch(ctx, batch)
	for _, st := range statements {
		if err := st.receive(results); err != nil {
			err = st.failed(err)
			_ = results.Close() // says the same again
			return err
		}
	}
	return results.Close()
}

func (st *statement) receive(results pgx.BatchResults) error {
	if st.scan == nil {
		done, err := results.Exec()
		if err == nil && st.query == "COMMIT" && done.String() == "ROLLBACK" { // of a transaction that had failed
			return pgx.ErrTxCommitRollback
		}
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := st.scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// commitPostgres sends what waits with the COMMIT. A transaction without statements is none.
func (t *txPool) commitPostgres() error {
	defer t.conn.Close() // gives it back
	if !t.begun && len(t.waiting) == 1 {
		return because(t.ctx, t.ctx.Err())
	}
	err := t.exchange(t.ctx, []*statement{{query: "COMMIT"}})
	if err != nil {
		_ = t.undo() // err is the one that explains
	}
	return err
}

func (t *txPool) rollbackPostgres() error {
	defer t.conn.Close()
	if !t.begun {
		return nil
	}
	return t.undo()
}

// undo leaves a connection that others may have.
func (t *txPool) undo() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), maxRollingBack)
	defer cancel()
	return t.conn.Raw(func(conn any) error {
		if _, err := conn.(*stdlib.Conn).Conn().Exec(ctx, "ROLLBACK"); err != nil {
			return driver.ErrBadConn // nobody shall get it with half a transaction
		}
		return nil
	})
}
