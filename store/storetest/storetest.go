// Package storetest opens throwaway, migrated stores on real databases for the tests of other packages.
//
// Start with Each, which runs a test on SQLite and on PostgreSQL. Where PostgreSQL comes from is told in postgres.go; when
// there is none, tests fail and say how to get one. They are never skipped.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"auth-service/store"
)

// An Option changes how a test's store is opened: its clock, its logger, the size of its pool.
type Option func(*store.Options)

// Each runs fn once on SQLite and once on PostgreSQL, each time with an empty, migrated database of its own.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store), options ...Option) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, New(t, options...)) })
	t.Run("postgres", func(t *testing.T) { fn(t, NewPostgres(t, options...)) })
}

// New returns a migrated store on SQLite that disappears with the test.
func New(t testing.TB, options ...Option) *store.Store {
	t.Helper()
	return Open(t, NewSQLiteURL(t), options...)
}

// NewPostgres returns a migrated store on PostgreSQL that disappears with the test.
func NewPostgres(t testing.TB, options ...Option) *store.Store {
	t.Helper()
	return Open(t, NewPostgresURL(t), options...)
}

// Open opens another store on a database of this package, as a second replica would. It ends with the test.
func Open(t testing.TB, url string, options ...Option) *store.Store {
	t.Helper()
	s, err := open(t.Context(), url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(ctx context.Context, url string, options ...Option) (*store.Store, error) {
	o := store.Options{
		URL:            url,
		MaxConnections: 8,        // many tests share one server
		Synchronous:    "normal", // a test's data need not survive a power cut
		Keyring:        Keyring(),
		Log:            zerolog.Nop(),
	}
	for _, option := range options {
		option(&o)
	}
	return store.Open(ctx, o)
}

// Keyring is the one of every test's store.
func Keyring() *store.Keyring {
	return store.NewKeyring("a secret for tests, which protects nothing at all")
}

var sqliteTemplate = sync.OnceValues(func() ([]byte, error) { return migratedSQLite(context.Background()) })

// NewSQLiteURL returns the URL of an empty, migrated SQLite database: a copy of one that is migrated once per process.
func NewSQLiteURL(t testing.TB) string {
	t.Helper()
	template, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "auth.db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// migratedSQLite returns the file of a migrated database.
func migratedSQLite(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	if err := migrate(ctx, "sqlite:"+path); err != nil {
		return nil, err
	}
	if err := foldLog(ctx, path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// foldLog writes the write-ahead log back into the database file. The last connection to close does so only if it finds
// nobody else there, and the driver may still be taking leave of the one before.
func foldLog(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	var busy, pages, folded int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &folded); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("template database is still in use")
	}
	return nil
}

func migrate(ctx context.Context, url string) error {
	s, err := open(ctx, url)
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		_ = s.Close()
		return err
	}
	return s.Close()
}
