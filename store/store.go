// Package store keeps every row that the provider owns and is the only package that knows SQL. It knows nothing about HTTP.
//
// Start with Open and Tx. Each noun has a file with its model and its queries; a query goes through s.db(ctx), so it
// works inside a transaction and outside, and returns known(err), so callers see only the errors declared here.
package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Options say which database to open and how.
type Options struct {
	// URL is postgres://… (several hosts are allowed) or sqlite:path.
	URL string
	// MaxConnections bounds the pool; zero means 20. SQLite uses at most eight: more only queue for its one write lock.
	MaxConnections int
	// Synchronous is SQLite's: "full" (also when empty) survives a power cut, "normal" may lose the last commits in one.
	Synchronous string
	// ConnectTimeout is how long Open waits for a PostgreSQL that is away. Zero asks once.
	ConnectTimeout time.Duration
	// Keyring seals the columns that must be read back.
	Keyring *Keyring
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log zerolog.Logger
}

// A Store reads and writes the database. It is safe for concurrent use.
type Store struct {
	conn    *gorm.DB
	pool    *pool
	keyring *Keyring
	clock   func() time.Time
	log     zerolog.Logger

	policies    policies
	mu          sync.RWMutex
	subscribers []func(Event)
}

// Open connects to the database. It does not touch the schema: see Migrate and PendingMigrations.
func Open(ctx context.Context, o Options) (*Store, error) {
	useJSON()
	s := &Store{keyring: o.Keyring, clock: o.Now, log: o.Log}
	if s.clock == nil {
		s.clock = time.Now
	}
	dialector, pool, err := openDialect(o)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s.pool = pool
	if err := s.await(ctx, o.ConnectTimeout); err != nil {
		return nil, closing(pool.db, fmt.Errorf("open database: %w", known(err)))
	}
	s.conn, err = gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction:   true, // one statement is atomic by itself; a transaction around it doubles its cost
		DisableNestedTransaction: true, // a nested Tx joins, see there
		DisableAutomaticPing:     true, // await did it
		TranslateError:           true,
		NowFunc:                  s.now,
		Logger:                   logger.Discard, // errors are returned, and statements may hold personal data
	})
	if err != nil {
		return nil, closing(pool.db, fmt.Errorf("open database: %w", known(err)))
	}
	return s, nil
}

// closing gives up db because of err, which it returns.
func closing(db *sql.DB, err error) error {
	_ = db.Close() // err is the one that explains
	return err
}

// Close ends every connection. Statements that still run fail.
func (s *Store) Close() error {
	s.pool.statements.settle()
	return s.pool.db.Close()
}

// Ping reports whether the database answers; ErrUnavailable when it does not.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.direct(ctx).QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("ping database: %w", known(err))
	}
	return nil
}

// Dialect is "sqlite" or "postgres".
func (s *Store) Dialect() string { return s.pool.dialect }

// now is the time as both engines can keep it, so that a value read back equals the value written.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// db returns the transaction in ctx, or else the pool.
func (s *Store) db(ctx context.Context) *gorm.DB {
	db := s.conn.WithContext(ctx)
	if t := transactionIn(ctx); t != nil {
		db.Statement.ConnPool = t.pool
	}
	return db
}

// direct is the transaction in ctx, or else the pool, without GORM around it. A read of one row costs less
// than half of the CPU here, so the hot paths use it (see BenchmarkHotPath). Number the parameters, $1 and so on: both engines read that.
// Bind times from s.now(), keep JSON text yourself, and return known(err) as everywhere.
func (s *Store) direct(ctx context.Context) gorm.ConnPool {
	if t := transactionIn(ctx); t != nil {
		return t.pool
	}
	return s.pool
}

// sharing holds the rows that a condition found until the transaction ends. SQLite has one writer at a time.
func (s *Store) sharing() string {
	if s.Dialect() == dialectPostgres {
		return " FOR SHARE"
	}
	return ""
}

// NewID returns a UUIDv7: ids made later sort later, so they fill an index from its right edge.
func NewID() string { return uuid.Must(uuid.NewV7()).String() } // fails only when the system's randomness does

// HashSecret is how a secret of high entropy (a token, a generated client secret) is stored. Passwords need more than this.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// RandomToken returns n random bytes as base64url text.
func RandomToken(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}
