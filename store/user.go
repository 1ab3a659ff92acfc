package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/clause"
)

// The rungs of the role ladder, lowest first.
const (
	RoleUser       = "user"
	RoleAdmin      = "admin"
	RoleSuperadmin = "superadmin"
)

// isSuperadmin is spelled out, and not a parameter, so that the planner sees that the index of the few roles above user serves it.
const isSuperadmin = "role = '" + RoleSuperadmin + "' AND role <> '" + RoleUser + "'"

// ofSuperadmin matches all superadmins if the person with the given id is one, and else nobody.
const ofSuperadmin = isSuperadmin + " AND (SELECT role FROM users WHERE id = ?) = '" + RoleSuperadmin + "'"

// ErrLastSuperadmin means that the write would leave nobody who can appoint administrators.
var ErrLastSuperadmin = errors.New("the last superadmin must stay")

// A User is a person. Email is kept in lower case and is unique.
type User struct {
	ID             string `gorm:"primaryKey"`
	Email          string
	EmailVerified  bool
	Name           string
	Image          string // an https URL, or empty
	Role           string
	PasswordHash   string // PHC string; empty when the person has no password
	DisabledAt     *time.Time
	DisabledUntil  *time.Time // nil: until enabled by hand
	DisabledReason string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Disabled reports whether the person may not sign in or hold tokens at the time now.
func (u *User) Disabled(now time.Time) bool {
	return u.DisabledAt != nil && (u.DisabledUntil == nil || now.Before(*u.DisabledUntil))
}

// Administrator reports whether the person may use the console at all.
func (u *User) Administrator() bool { return u.Role == RoleAdmin || u.Role == RoleSuperadmin }

// CreateUser inserts u. It returns ErrConflict when the address is taken.
func (s *Store) CreateUser(ctx context.Context, u *User) error {
	if err := s.db(ctx).Create(u).Error; err != nil {
		return fmt.Errorf("create user %s: %w", u.ID, known(err))
	}
	return nil
}

// UserByID returns the person, or ErrNotFound.
func (s *Store) UserByID(ctx context.Context, id string) (*User, error) {
	var u User
	if err := s.db(ctx).Take(&u, "id = ?", id).Error; err != nil {
		return nil, fmt.Errorf("user %q: %w", id, known(err))
	}
	return &u, nil
}

// UserByEmail returns the person with the address, which is to be in lower case, or ErrNotFound.
func (s *Store) UserByEmail(ctx context.Context, email string) (*User, error) {
	var u User
	if err := s.db(ctx).Take(&u, "email = ?", email).Error; err != nil {
		return nil, fmt.Errorf("user by e-mail: %w", known(err))
	}
	return &u, nil
}

// ListUsers returns up to limit people whose id comes after the given one, in the order of ids, which is that of creation.
func (s *Store) ListUsers(ctx context.Context, after string, limit int) ([]User, error) {
	var rows []User
	if err := s.db(ctx).Order("id").Limit(limit).Find(&rows, "id > ?", after).Error; err != nil {
		return nil, fmt.Errorf("list users: %w", known(err))
	}
	return rows, nil
}

// AnySuperadmin reports whether there is one, disabled or not.
func (s *Store) AnySuperadmin(ctx context.Context) (bool, error) {
	var ids []string
	if err := s.db(ctx).Model(&User{}).Where(isSuperadmin).Limit(1).Pluck("id", &ids).Error; err != nil {
		return false, fmt.Errorf("look for a superadmin: %w", known(err))
	}
	return len(ids) > 0, nil
}

// HoldPassword makes sure, until the transaction in ctx ends, that the password hash of the person is still the given
// one: a sign-in that verified a password while it was being changed must not yield a session. ErrConflict when not.
func (s *Store) HoldPassword(ctx context.Context, id, hash string) error {
	var ids []string
	err := s.db(ctx).Model(&User{}).Clauses(clause.Locking{Strength: "SHARE"}).
		Where("id = ? AND password_hash = ?", id, hash).Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("hold password of user %s: %w", id, known(err))
	}
	if len(ids) == 0 {
		return fmt.Errorf("password of user %s changed meanwhile: %w", id, ErrConflict)
	}
	return nil
}

// SetPassword replaces the password hash of the person if it is still old; ErrConflict when not.
func (s *Store) SetPassword(ctx context.Context, id, old, hash string, now time.Time) error {
	res := s.db(ctx).Exec("UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ? AND password_hash = ?", hash, now, id, old)
	if res.Error != nil {
		return fmt.Errorf("set password of user %s: %w", id, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("password of user %s changed meanwhile: %w", id, ErrConflict)
	}
	return nil
}

// A Profile is what people may change about themselves; nil leaves a field as it is.
type Profile struct{ Name, Image *string }

// UpdateProfile changes the fields that are given.
func (s *Store) UpdateProfile(ctx context.Context, id string, p Profile, now time.Time) error {
	set := map[string]any{"updated_at": now}
	if p.Name != nil {
		set["name"] = *p.Name
	}
	if p.Image != nil {
		set["image"] = *p.Image
	}
	return s.updateUser(ctx, id, set)
}

// A UserPatch is what administrators may change about people; nil leaves a field as it is.
type UserPatch struct {
	Name, Email, Image, Role *string
	EmailVerified            *bool
}

// LockUser is UserByID for those who will write: until the transaction in ctx ends, nobody else gets past this call for
// the same person. With a superadmin it locks them all, in one order, so that two who remove each other wait and don't
// deadlock.
func (s *Store) LockUser(ctx context.Context, id string) (*User, error) {
	var rows []User
	err := s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").
		Find(&rows, "id = ? OR "+ofSuperadmin, id, id).Error
	if err != nil {
		return nil, fmt.Errorf("lock user %q: %w", id, known(err))
	}
	for i := range rows {
		if rows[i].ID == id {
			return &rows[i], nil
		}
	}
	return nil, fmt.Errorf("lock user %q: %w", id, ErrNotFound)
}

// UpdateUser writes what a UserPatch may have changed of the person, whom the caller has from LockUser. It returns
// ErrConflict when the address is taken, and ErrLastSuperadmin when nobody would be left on the highest rung.
func (s *Store) UpdateUser(ctx context.Context, was, u *User) error {
	if was.Role == RoleSuperadmin && u.Role != RoleSuperadmin {
		if err := s.keepSuperadmin(ctx, u.ID, u.UpdatedAt); err != nil {
			return err
		}
	}
	return s.updateUser(ctx, u.ID, map[string]any{
		"name": u.Name, "email": u.Email, "email_verified": u.EmailVerified, "image": u.Image, "role": u.Role, "updated_at": u.UpdatedAt,
	})
}

// DisableUser shuts the person out until the given time, or until EnableUser when it is nil. It returns
// ErrLastSuperadmin; the caller runs it in a transaction.
func (s *Store) DisableUser(ctx context.Context, id, reason string, until *time.Time, now time.Time) error {
	if err := s.keepSuperadmin(ctx, id, now); err != nil {
		return err
	}
	return s.updateUser(ctx, id, map[string]any{
		"disabled_at": now, "disabled_until": until, "disabled_reason": reason, "updated_at": now,
	})
}

// EnableUser lets the person in again.
func (s *Store) EnableUser(ctx context.Context, id string, now time.Time) error {
	return s.updateUser(ctx, id, map[string]any{
		"disabled_at": nil, "disabled_until": nil, "disabled_reason": "", "updated_at": now,
	})
}

// DeleteUser deletes the person with all that belongs to them. It returns ErrLastSuperadmin, or ErrNotFound; the caller
// runs it in a transaction.
func (s *Store) DeleteUser(ctx context.Context, id string, now time.Time) error {
	if err := s.keepSuperadmin(ctx, id, now); err != nil {
		return err
	}
	res := s.db(ctx).Delete(&User{}, "id = ?", id)
	if res.Error != nil {
		return fmt.Errorf("delete user %s: %w", id, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("delete user %s: %w", id, ErrNotFound)
	}
	return nil
}

// keepSuperadmin returns ErrLastSuperadmin when the person is the only superadmin who can act. It locks all of them
// first: two superadmins who remove each other at once change different rows, so nothing else would make one of the two
// wait and see what the other did. (SQLite has one writer at a time anyway.) For anybody else it locks nobody: the caller may
// hold organizations by now, and whoever holds a superadmin may wait for one.
func (s *Store) keepSuperadmin(ctx context.Context, id string, now time.Time) error {
	var all []User
	err := s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Find(&all, ofSuperadmin, id).Error
	if err != nil {
		return fmt.Errorf("lock superadmins: %w", known(err))
	}
	is, others := false, 0
	for i := range all {
		switch {
		case all[i].ID == id:
			is = true
		case !all[i].Disabled(now):
			others++
		}
	}
	if is && others == 0 {
		return ErrLastSuperadmin
	}
	return nil
}

func (s *Store) updateUser(ctx context.Context, id string, set map[string]any) error {
	res := s.db(ctx).Model(&User{}).Where("id = ?", id).Updates(set)
	if res.Error != nil {
		return fmt.Errorf("update user %s: %w", id, known(res.Error))
	}
	if res.RowsAffected == 0 {
		return fmt.Errorf("update user %s: %w", id, ErrNotFound)
	}
	return nil
}
