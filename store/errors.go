package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotFound means no row matched.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that a unique value is taken, or that a row which a foreign key names is missing or still in use.
	// The second is a conflict too, and not ErrNotFound, because SQLite does not say which of the two it was.
	ErrConflict = errors.New("conflict with existing data")
	// ErrUnavailable means that the database is away, full or overloaded. The same call may succeed later. A write may have
	// happened all the same when the connection broke while the database answered.
	ErrUnavailable = errors.New("database unavailable")
)

// known puts the error of a database into our words, so that callers need neither gorm nor a driver. The cause stays wrapped
// for the log and for Tx; its text names tables and constraints and must not reach clients.
func known(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case sqliteCode(err) == sqlite3.SQLITE_INTERRUPT: // how a row that was being read reports it
		return fmt.Errorf("%w: %w", context.Canceled, err)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict), errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case conflicts(err):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case unavailable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// conflicts reports whether a unique or foreign key constraint was violated, whether or not GORM saw the error first.
func conflicts(err error) bool {
	if code := postgresCode(err); code != "" {
		return code == "23505" || code == "23503"
	}
	err = sqliteDialector{}.Translate(err)
	return errors.Is(err, gorm.ErrDuplicatedKey) || errors.Is(err, gorm.ErrForeignKeyViolated)
}

// unavailable reports whether err is the database's trouble and not the statement's.
func unavailable(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) { // also when the wait was for a free connection
		return true
	}
	if code := postgresCode(err); code != "" {
		return awayCode(code) || serializationCode(code)
	}
	switch code := sqliteCode(err); code & 0xff {
	case 0:
		return broken(err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// broken reports whether the connection died, or could not be made.
func broken(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err)
}

// awayCode reports whether PostgreSQL's SQLSTATE says "not now": connection trouble, out of resources, shutting down or
// starting up, an operator's cancel or timeout, a system error, or a primary that has become a standby.
func awayCode(code string) bool {
	switch code[:2] {
	case "08", "53", "57", "58":
		return true
	}
	return code == "25006" || code == "55P03"
}

func serializationCode(code string) bool { return code == "40001" || code == "40P01" }

// collided reports whether the database gave up a transaction that clashed with another one. Nothing of it was written.
func collided(err error) bool {
	if code := postgresCode(err); code != "" {
		return serializationCode(code)
	}
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return false
}

// stale reports whether err is the fault of one pooled connection, so that a new one may serve: its server process was
// ended, its server became a standby, or a migration changed the type of a result that it had prepared.
func stale(err error) bool {
	var connect *pgconn.ConnectError
	if err == nil || errors.As(err, &connect) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false // a new connection failed as well, or nobody waits any more
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P0") || strings.HasPrefix(pg.Code, "08") || pg.Code == "25006" ||
			pg.Code == "0A000" && strings.Contains(pg.Message, "cached plan")
	}
	return sqliteCode(err) == 0 && broken(err)
}

func postgresCode(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && len(pg.Code) == 5 {
		return pg.Code
	}
	return ""
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// touched returns ErrNotFound when a write found no row.
func touched(res *gorm.DB) error {
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return known(res.Error)
}
