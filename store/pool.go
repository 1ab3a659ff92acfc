package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// A pool is what GORM talks to instead of *sql.DB. Every statement passes here, so this is the place to observe them and
// to replace connections that died while they were idle.
type pool struct {
	db         *sql.DB
	dialect    string
	idle       int         // how many idle connections db keeps
	statements *statements // SQLite's
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
	if stmt := p.statements.of(ctx, query); stmt != nil {
		res, err := stmt.ExecContext(ctx, args...)
		return res, because(ctx, err)
	}
	res, err := p.db.ExecContext(ctx, query, args...)
	if stale(err) {
		p.heal() // for the next call: this write may have happened, so it is not sent again
	}
	return res, because(ctx, err)
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	observe(ctx, query)
	if stmt := p.statements.of(ctx, query); stmt != nil {
		rows, err := stmt.QueryContext(ctx, args...)
		return rows, because(ctx, err)
	}
	args = p.planning(ctx, args)
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
	if stmt := p.statements.of(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	row := p.db.QueryRowContext(ctx, query, args...)
	if stale(row.Err()) {
		p.heal()
		if reads(query) {
			row = p.db.QueryRowContext(ctx, query, args...)
		}
	}
	return row
}

type plannedKey struct{}

// planned returns a context whose queries PostgreSQL plans for their values. A statement that is prepared once it plans, after
// the fifth time, for any values: a good way to find one person, and the wrong one for all that begin with a letter.
func planned(ctx context.Context) context.Context { return context.WithValue(ctx, plannedKey{}, true) }

// planning adds to the arguments of a planned query that it is not to be kept prepared, which is an argument to pgx. What it
// keeps instead, the types of the arguments, costs no second round trip, which a pooler in between could send elsewhere.
func (p *pool) planning(ctx context.Context, args []any) []any {
	if p.dialect != dialectPostgres || ctx.Value(plannedKey{}) == nil {
		return args
	}
	return append([]any{pgx.QueryExecModeCacheDescribe}, args...)
}

// BeginTx implements gorm.ConnPoolBeginner, for what GORM puts into a transaction by itself, such as CreateInBatches.
func (p *pool) BeginTx(ctx context.Context, _ *sql.TxOptions) (gorm.ConnPool, error) {
	t, err := p.begin(ctx)
	if err != nil {
		return nil, err // not t: a nil *txPool in an interface is not nil
	}
	return t, nil
}

// begin takes a connection for a transaction. PostgreSQL hears of it with its first statement.
func (p *pool) begin(ctx context.Context) (t *txPool, err error) {
	observe(ctx, "BEGIN")
	t = &txPool{pool: p, ctx: ctx}
	if p.dialect == dialectPostgres {
		t.conn, err = p.db.Conn(ctx)
		t.session, t.waiting = t.conn, []*statement{{query: "BEGIN"}}
	} else {
		t.tx, err = p.db.BeginTx(ctx, nil)
		t.session = t.tx
	}
	if err != nil {
		return nil, because(ctx, err)
	}
	return t, nil
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
	session    session
	tx         *sql.Tx      // SQLite's
	conn       *sql.Conn    // PostgreSQL's, which begins and ends the transaction by statements like any other
	waiting    []*statement // what PostgreSQL gets with the next statement, BEGIN above all
	begun      bool
	aborted    error           // by an exchange
	ctx        context.Context // of BEGIN, as in *sql.Tx: its end is the transaction's
	failure    error
	committing bool
}

// A session is a *sql.Tx or a *sql.Conn.
type session interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (t *txPool) GetDBConn() (*sql.DB, error) { return t.pool.db, nil }

func (t *txPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := t.catchUp(ctx); err != nil {
		return nil, err
	}
	return t.session.PrepareContext(ctx, query)
}

func (t *txPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	observe(ctx, query)
	if stmt := t.pool.statements.in(ctx, t.tx, query); stmt != nil {
		res, err := stmt.ExecContext(ctx, args...)
		return res, t.remember(ctx, err)
	}
	if err := t.catchUp(ctx); err != nil {
		return nil, err
	}
	res, err := t.session.ExecContext(ctx, query, args...)
	return res, t.remember(ctx, err)
}

func (t *txPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	observe(ctx, query)
	if stmt := t.pool.statements.in(ctx, t.tx, query); stmt != nil {
		rows, err := stmt.QueryContext(ctx, args...)
		return rows, t.remember(ctx, err)
	}
	if err := t.catchUp(ctx); err != nil {
		return nil, err
	}
	rows, err := t.session.QueryContext(ctx, query, t.pool.planning(ctx, args)...)
	return rows, t.remember(ctx, err)
}

func (t *txPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	observe(ctx, query)
	if err := t.catchUp(ctx); err != nil {
		return t.session.QueryRowContext(endedBy{ctx, err}, query, args...) // a *sql.Row with an error comes from database/sql alone
	}
	row := t.session.QueryRowContext(ctx, query, args...)
	_ = t.remember(ctx, row.Err()) // the caller gets it from Scan
	return row
}

// endedBy is a context that an error has ended, so that a driver which looks at it first says just that.
type endedBy struct {
	context.Context
	err error
}

func (endedBy) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c endedBy) Err() error { return c.err }

func (t *txPool) remember(ctx context.Context, err error) error {
	if err != nil && t.failure == nil {
		t.failure = err
	}
	return because(ctx, err)
}

// Commit and Rollback implement gorm.TxCommitter.
func (t *txPool) Commit() error {
	observe(t.ctx, "COMMIT")
	t.committing = true
	if t.tx != nil {
		return because(t.ctx, t.tx.Commit())
	}
	return t.commitPostgres()
}

// Rollback undoes the transaction. When it fails the connection is gone, and the server has rolled back by itself.
func (t *txPool) Rollback() error {
	observe(t.ctx, "ROLLBACK")
	if t.tx != nil {
		return t.tx.Rollback()
	}
	return t.rollbackPostgres()
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
