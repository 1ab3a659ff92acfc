package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm/clause"
)

// What becomes of a line of an import whose address or id somebody has.
const (
	ConflictFail   = "fail"   // it is refused
	ConflictSkip   = "skip"   // it is passed over
	ConflictUpdate = "update" // the person becomes what it says
)

// What became of a line of an import that was not refused.
const (
	ImportCreated = "created"
	ImportUpdated = "updated"
	ImportSkipped = "skipped" // nothing changed
)

// A UserImport is a person as a line of an import has them; nil where it says nothing.
type UserImport struct {
	ID, Email, Name, Image, Role        *string
	Password, PasswordHash              *string // in clear, or as a PHC string
	DisabledReason                      *string
	EmailVerified, Disabled             *bool
	DisabledUntil, CreatedAt, UpdatedAt *time.Time

	// Faults are sentences about what could not be read, by field. With any the line is refused.
	Faults map[string]string
}

// ImportRules say how to import.
type ImportRules struct {
	OnConflict string // one of the Conflict constants
	// Rehearsal makes it a dry run, which finds out everything and writes nothing. One is used for all of an import.
	Rehearsal *Rehearsal
}

// A Rehearsal remembers whom a dry run would have created: later lines may be about them. Its zero value is ready.
type Rehearsal struct{ byID, byEmail map[string]*User }

// Add remembers somebody.
func (r *Rehearsal) Add(u *User) {
	if r.byID == nil {
		r.byID, r.byEmail = map[string]*User{}, map[string]*User{}
	}
	r.byID[u.ID], r.byEmail[u.Email] = u, u
}

// Knows reports whether somebody with the id is remembered.
func (r *Rehearsal) Knows(id string) bool { return r != nil && r.byID[id] != nil }

// With returns those who are remembered with the id or the address.
func (r *Rehearsal) With(id, email string) []*User {
	var found []*User
	if r == nil {
		return nil
	}
	for _, u := range []*User{r.byID[id], r.byEmail[email]} {
		if u != nil {
			found = append(found, u)
		}
	}
	return found
}

// Imported is what became of a line.
type Imported struct {
	Outcome string // one of the Import constants; empty when Err says why the line was refused
	User    *User  // as the line has them; nil when it makes no sense
	Err     error
}

// InsertUsers creates those of the people whose ids and addresses are free, in one statement, and reports whom, by id. No
// two of them may share an id or address.
func (s *Store) InsertUsers(ctx context.Context, users []*User) (map[string]bool, error) {
	inserted := map[string]bool{}
	if len(users) == 0 {
		return inserted, nil
	}
	var args []any
	for _, u := range users {
		args = append(args, u.values()...)
	}
	row := "(?" + strings.Repeat(", ?", len(args)/len(users)-1) + ")"
	query := "INSERT INTO users (" + strings.ReplaceAll(userColumns, "users.", "") + ") VALUES " + row + strings.Repeat(", "+row, len(users)-1) +
		" ON CONFLICT DO NOTHING RETURNING id"
	var ids []string
	if err := s.db(ctx).Raw(query, args...).Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("insert users: %w", known(err))
	}
	for _, id := range ids {
		inserted[id] = true
	}
	return inserted, nil
}

// LockUsersWith returns the people who have one of the ids or one of the addresses. Until the transaction in ctx ends,
// nobody else gets past this call or LockUser for them.
func (s *Store) LockUsersWith(ctx context.Context, ids, emails []string) ([]User, error) {
	var rows []User
	err := s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Find(&rows, "id IN ? OR email IN ?", ids, emails).Error
	if err != nil {
		return nil, fmt.Errorf("lock users: %w", known(err))
	}
	return rows, nil
}

// ClientIDs returns which of the ids are those of clients.
func (s *Store) ClientIDs(ctx context.Context, ids []string) ([]string, error) {
	var found []string
	if err := s.db(ctx).Model(&Client{}).Where("id IN ?", ids).Pluck("id", &found).Error; err != nil {
		return nil, fmt.Errorf("look for clients: %w", known(err))
	}
	return found, nil
}
