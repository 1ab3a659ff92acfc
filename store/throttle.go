package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A SignInThrottle counts failed sign-ins under one key (an account, or an account with a device).
type SignInThrottle struct {
	ID           string `gorm:"primaryKey"` // a hash: the key may hold an e-mail address nobody registered
	Failures     int64
	BlockedUntil *time.Time
	UpdatedAt    time.Time
	ExpiresAt    time.Time
}

// A ThrottlePolicy says how many attempts are free of waiting, and how the wait after each further one grows: it doubles
// from Base to Max. A key that rested for Window, and Max before that, starts anew.
type ThrottlePolicy struct {
	Free      int
	Base, Max time.Duration
	Window    time.Duration
}

// delays returns the waits after the attempts Free, Free+1, …; the last one is for all that follow.
func (p ThrottlePolicy) delays() []time.Duration {
	var out []time.Duration
	for d := p.Base; d > 0 && d < p.Max; d *= 2 {
		out = append(out, d)
	}
	return append(out, p.Max)
}

// wait returns how long the key is blocked after its nth attempt.
func (p ThrottlePolicy) wait(n int64) time.Duration {
	delays := p.delays()
	i := n - int64(max(p.Free, 1))
	if i < 0 {
		return 0
	}
	return delays[min(i, int64(len(delays)-1))]
}

// ReserveAttempt counts an attempt under id as failed before its outcome is known and reports whether it may be made.
// Deciding and counting are one statement, so that of parallel guesses, on however many replicas, no more than the
// policy allows get through. A caller whose attempt succeeds resets the key.
//
// When the attempt may not be made, wait is how long until the next one may. When it may, wait is zero or, from the
// attempt on with which waiting begins, how long no other one will be admitted.
func (s *Store) ReserveAttempt(ctx context.Context, id string, p ThrottlePolicy, now time.Time) (admitted bool, wait time.Duration, err error) {
	var row SignInThrottle
	query, args := reserveAttempt(id, p, now)
	res := s.db(ctx).Raw(query, args...).Scan(&row)
	if res.Error != nil {
		return false, 0, fmt.Errorf("reserve attempt: %w", known(res.Error))
	}
	if res.RowsAffected > 0 {
		return true, p.wait(row.Failures), nil
	}
	err = known(s.db(ctx).Take(&row, "id = ?", id).Error)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && row.BlockedUntil == nil:
		return false, time.Second, nil // somebody else's attempt succeeded in between
	case err != nil:
		return false, 0, fmt.Errorf("read throttle: %w", err)
	}
	return false, max(row.BlockedUntil.Sub(now), time.Second), nil
}

// reserveAttempt builds the upsert. It inserts or counts a row unless the row is blocked, in which case nothing is
// returned. The block that belongs to a count is a CASE over the few delays, because neither powers nor adding to a
// time are portable SQL; a block that ends now is none.
func reserveAttempt(id string, p ThrottlePolicy, now time.Time) (string, []any) {
	expires := now.Add(p.Max + p.Window) // later than any block ends, or waiting would wipe the count
	args := []any{id, now.Add(p.wait(1)), now, expires}
	var blocked strings.Builder
	for n, last := int64(2), int64(max(p.Free, 1)+len(p.delays())-1); n < last; n++ {
		if p.wait(n) == 0 && p.wait(n+1) == 0 {
			continue // the next case covers this one
		}
		blocked.WriteString(" WHEN t.failures < ? THEN ?")
		args = append(args, n, now.Add(p.wait(n)))
	}
	args = append(args, now.Add(p.Max))
	return `INSERT INTO sign_in_throttles AS t (id, failures, blocked_until, updated_at, expires_at) VALUES (?, 1, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET
			failures = CASE WHEN t.expires_at <= excluded.updated_at THEN 1 ELSE t.failures + 1 END,
			blocked_until = CASE WHEN t.expires_at <= excluded.updated_at THEN excluded.blocked_until` + blocked.String() + ` ELSE ? END,
			updated_at = excluded.updated_at, expires_at = excluded.expires_at
		WHERE t.expires_at <= excluded.updated_at OR t.blocked_until IS NULL OR t.blocked_until <= excluded.updated_at
		RETURNING failures`, args
}

// ResetAttempts forgets the attempts under id: one of them succeeded.
func (s *Store) ResetAttempts(ctx context.Context, id string) error {
	if err := s.db(ctx).Delete(&SignInThrottle{}, "id = ?", id).Error; err != nil {
		return fmt.Errorf("reset attempts: %w", known(err))
	}
	return nil
}

// ReleaseAttempt takes back one admitted attempt that was never carried out, for instance because the server was too busy
// to verify the password. What was counted before stays counted.
func (s *Store) ReleaseAttempt(ctx context.Context, id string, now time.Time) error {
	err := s.db(ctx).Exec("UPDATE sign_in_throttles SET failures = failures - 1, blocked_until = ? WHERE id = ? AND failures > 0", now, id).Error
	if err != nil {
		return fmt.Errorf("release attempt: %w", known(err))
	}
	return nil
}

// PurgeAttempts deletes up to limit counters that rested long enough and reports how many.
func (s *Store) PurgeAttempts(ctx context.Context, now time.Time, limit int) (int64, error) {
	res := s.db(ctx).Exec(`DELETE FROM sign_in_throttles WHERE id IN (SELECT id FROM sign_in_throttles WHERE expires_at < ? LIMIT ?)`, now, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge attempts: %w", known(res.Error))
	}
	return res.RowsAffected, nil
}
