package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite" // the SQLite that runs: pure Go, so the binary needs no cgo
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	dialectSQLite   = "sqlite"
	dialectPostgres = "postgres"
)

// openDialect opens the pool that o.URL names, and the GORM dialect for it. It does not connect to PostgreSQL yet.
func openDialect(o Options) (gorm.Dialector, *pool, error) {
	if o.MaxConnections <= 0 {
		o.MaxConnections = 20
	}
	scheme, path, _ := strings.Cut(o.URL, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(path, o)
	case "postgres", "postgresql":
		return openPostgres(o)
	}
	return nil, nil, fmt.Errorf("database URL must begin with postgres:// or sqlite:, not with %q", scheme) // the rest may hold a password
}

func openPostgres(o Options) (gorm.Dialector, *pool, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, nil, err // pgx leaves the password out
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second // per host; a host that swallows packets would hold each request for minutes
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(prepareConnection))
	db.SetMaxOpenConns(o.MaxConnections)
	db.SetMaxIdleConns(o.MaxConnections) // fewer would close and open connections all day under changing load
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
	p := &pool{db: db, dialect: dialectPostgres, idle: o.MaxConnections}
	return postgres.New(postgres.Config{Conn: p}), p, nil
}

func prepareConnection(_ context.Context, conn *pgx.Conn) error {
	readTimesAsUTC(conn)
	writeArraysPlainly(conn)
	return nil
}

// readTimesAsUTC keeps the zone of the machine out of what we compare and show.
func readTimesAsUTC(conn *pgx.Conn) {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
}

func openSQLite(path string, o Options) (gorm.Dialector, *pool, error) {
	path = strings.TrimPrefix(path, "//") // sqlite:///var/lib/auth.db is absolute, sqlite://data/auth.db is not
	dsn, err := sqliteDSN(path, o.Synchronous)
	if err != nil {
		return nil, nil, err
	}
	if err := createPrivately(path); err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, nil, err
	}
	conns := min(o.MaxConnections, 8)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	p := &pool{db: db, dialect: dialectSQLite, idle: conns, statements: &statements{db: db, byQuery: map[string]*sql.Stmt{}}}
	return &sqliteDialector{sqlite.Dialector{Conn: p}}, p, nil
}

// sqliteDSN sets what every connection needs. Transactions are immediate, because a deferred one that reads before it
// writes fails under concurrency and no waiting helps (SQLITE_BUSY_SNAPSHOT). Times are integers of microseconds, because
// as text they compare wrong across zones.
func sqliteDSN(path, synchronous string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("database URL sqlite: needs a path")
	}
	switch synchronous {
	case "":
		synchronous = "full"
	case "full", "normal":
	default:
		return "", fmt.Errorf("synchronous must be full or normal, not %q", synchronous)
	}
	options := url.Values{
		"_pragma":              {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)"},
		"_txlock":              {"immediate"},
		"_time_integer_format": {"unix_micro"},
		"_inttotime":           {"1"},
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode(), nil
}

// createPrivately makes the file before SQLite would, readable by us alone: it holds password hashes. SQLite gives the
// files that it adds beside it the same mode. A file that exists is not touched: closing it would drop the locks that
// another Store of this process may hold on it (POSIX locks belong to the process, not to the descriptor).
func createPrivately(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// sqliteDialector is GORM's SQLite dialect with errors that it can read from modernc's driver.
type sqliteDialector struct{ sqlite.Dialector }

// Translate names constraint violations as GORM does for other databases.
func (sqliteDialector) Translate(err error) error {
	var named error
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID:
		named = gorm.ErrDuplicatedKey
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER: // the second is how it reports ON DELETE RESTRICT
		named = gorm.ErrForeignKeyViolated
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		named = gorm.ErrCheckConstraintViolated
	default:
		return err
	}
	return fmt.Errorf("%w: %w", named, err)
}
