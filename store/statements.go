package store

import (
	"context"
	"database/sql"
	"strings"
	"sync"
)

// maxStatements bounds the cache: lists of varying length make ever new statements.
const maxStatements = 256

// statements keeps prepared statements for SQLite, where preparing costs as much as a look-up by key does. pgx has a cache
// of its own, and database/sql's on top of it would prepare everything twice.
//
// A prepared statement serves one cursor per connection, so inside a transaction read a result to its end before you run
// the same statement again. GORM does.
type statements struct {
	db *sql.DB

	mu      sync.RWMutex
	byQuery map[string]*sql.Stmt

	aside sync.WaitGroup // those being prepared on the side
}

// settle waits for what is being prepared on the side, before the database is closed.
func (s *statements) settle() {
	if s != nil {
		s.aside.Wait()
	}
}

// of returns the prepared statement for query, or nil where preparing does not pay.
func (s *statements) of(ctx context.Context, query string) *sql.Stmt {
	if s == nil || !repeated(query) {
		return nil
	}
	if stmt := s.known(query); stmt != nil {
		return stmt
	}
	stmt, err := s.db.PrepareContext(ctx, query)
	if err != nil {
		return nil // running it will say why
	}
	return s.keep(query, stmt)
}

// known returns the statement if it has been prepared.
func (s *statements) known(query string) *sql.Stmt {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byQuery[query]
}

// in returns the prepared statement on the connection of tx. A new one is prepared on the side, for the next time: tx may
// hold the last free connection, and asking for another would wait for itself.
func (s *statements) in(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	if stmt := s.known(query); stmt != nil {
		return tx.StmtContext(ctx, stmt)
	}
	if s != nil && repeated(query) {
		s.aside.Go(func() { s.of(context.WithoutCancel(ctx), query) })
	}
	return nil
}

// keep remembers stmt, in place of any other when the cache is full. Closing that one waits for whoever uses it.
func (s *statements) keep(query string, stmt *sql.Stmt) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.byQuery[query]; first != nil {
		go stmt.Close()
		return first
	}
	if len(s.byQuery) >= maxStatements {
		for other, old := range s.byQuery {
			delete(s.byQuery, other)
			go old.Close()
			break
		}
	}
	s.byQuery[query] = stmt
	return stmt
}

func repeated(query string) bool {
	verb, _, _ := strings.Cut(query, " ")
	switch verb {
	case "SELECT", "WITH", "INSERT", "UPDATE", "DELETE":
		return len(query) < 4096
	}
	return false
}
