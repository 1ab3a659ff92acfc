package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// A pool is what GORM talks to instead of *sql.DB. Every statement passes here, so this is the place to observe them and
// to replace connections that died while they were idle.
type pool struct {
	db      *sql.DB
	dialect string
	idle    int // how many idle connections db keeps
}

var (
	_ gorm.ConnPool         = (*pool)(nil)
	_ gorm.ConnPoolBeginner = (*pool)(nil)
	_ gorm.GetDBConnector   = (*pool)(nil)
	_ gorm.TxCommitter      = (*txPool)(nil)
)

// GetDBConn lets GORM's migrator and Connection reach the pool.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.db, nil }

func (p *pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.db.PrepareContext(ctx, query)
}

func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	observe(ctx, query)
	res, err := p.db.ExecContext(ctx, query, args...)
	if stale(err) {
		p.heal() // for the next call: this write may have happened, so it is not sent again
	}
	return res, because(ctx, err)
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	observe(ctx, query)
	rows, err := p.db.QueryContext(ctx, query, args...)
	if stale(err) {
		p.heal()
		if reads(query) {
			rows, err = p.db.QueryContext(ctx, query, args...)
		}
	}
	return rows, because(ctx, err)
}

func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	observe(ctx, query)
	row := p.db.QueryRowContext(ctx, query, args...)
	if stale(row.Err()) {
		p.heal()
		if reads(query) {
			row = p.db.QueryRowContext(ctx, query, args...)
		}
	}
	return row
}

// BeginTx implements gorm.ConnPoolBeginner.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	observe(ctx, "BEGIN")
	tx, err := p.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, because(ctx, err)
	}
	return &txPool{pool: p, tx: tx}, nil
}

// heal drops every idle connection. After a restart or failover all of them are dead, and each would cost a caller an error.
func (p *pool) heal() {
	p.db.SetMaxIdleConns(0)
	p.db.SetMaxIdleConns(p.idle)
}

// A txPool is the one connection of a transaction. It remembers the first error, because whoever uses it may answer its
// own caller with another one.
type txPool struct {
	pool       *pool
	tx         *sql.Tx
	failure    error
	committing bool
}

func (t *txPool) GetDBConn() (*sql.DB, error) { return t.pool.db, nil }

func (t *txPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.tx.PrepareContext(ctx, query)
}

func (t *txPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	observe(ctx, query)
	res, err := t.tx.ExecContext(ctx, query, args...)
	return res, t.remember(ctx, err)
}

func (t *txPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	observe(ctx, query)
	rows, err := t.tx.QueryContext(ctx, query, args...)
	return rows, t.remember(ctx, err)
}

func (t *txPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	observe(ctx, query)
	row := t.tx.QueryRowContext(ctx, query, args...)
	_ = t.remember(ctx, row.Err()) // the caller gets it from Scan
	return row
}

func (t *txPool) remember(ctx context.Context, err error) error {
	if err != nil && t.failure == nil {
		t.failure = err
	}
	return because(ctx, err)
}

// Commit and Rollback implement gorm.TxCommitter, for migrations, which GORM's own Transaction runs.
func (t *txPool) Commit() error { return t.tx.Commit() }

// Rollback undoes the transaction.
func (t *txPool) Rollback() error { return t.tx.Rollback() }

func (t *txPool) commit(ctx context.Context) error {
	observe(ctx, "COMMIT")
	t.committing = true
	return because(ctx, t.tx.Commit())
}

// rollback has no error to return: when it fails the connection is gone, and the server has rolled back by itself.
func (t *txPool) rollback(ctx context.Context) {
	observe(ctx, "ROLLBACK")
	_ = t.tx.Rollback()
}

// because names the end of ctx as the reason where a driver reports only what the end of ctx did to it.
func because(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// await waits until the database answers, because at boot a service often starts before its database does.
func (s *Store) await(ctx context.Context, limit time.Duration) error {
	start := time.Now()
	for try := 1; ; try++ {
		err := s.pool.db.PingContext(ctx)
		if err == nil || ctx.Err() != nil || !mayArrive(err) {
			return because(ctx, err)
		}
		wait := min(time.Duration(try)*200*time.Millisecond, 2*time.Second)
		if time.Since(start)+wait > limit {
			return err
		}
		if try%5 == 1 {
			s.log.Warn().Err(err).Dur("waited", time.Since(start)).Msg("waiting for the database")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// mayArrive tells a database that is away from one that will never let us in: a wrong password or name does not heal.
func mayArrive(err error) bool {
	if code := postgresCode(err); code != "" {
		return awayCode(code)
	}
	return sqliteCode(err) == 0 && broken(err)
}
