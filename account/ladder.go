package account

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errLadder         = problem.New(http.StatusForbidden, "SUPERADMIN_REQUIRED", "Only a superadmin may appoint administrators or act upon them.")
	errLastSuperadmin = problem.New(http.StatusConflict, "LAST_SUPERADMIN", "The last superadmin must stay: appoint another one first.")
	errDisableSelf    = problem.New(http.StatusConflict, "CANNOT_DISABLE_SELF", "You cannot disable your own account.")
)

// mayManage refuses whoever stands above the rung of a user to all but superadmins.
func mayManage(by store.Actor, user *store.User) error {
	if user.Administrator() && !by.Superadmin {
		return errLadder
	}
	return nil
}

// UpdateUser changes fields of a person and returns what has become of them. The last superadmin stays one. A new role or
// address ends the person's sessions and grants: what they hold was given to somebody with other rights, or who proved to
// own another address. A new address counts as unverified unless p says otherwise.
func (s *Service) UpdateUser(ctx context.Context, by store.Actor, id string, p store.UserPatch) (*store.User, error) {
	var user *store.User
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		was, err := s.Store.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if err := mayManage(by, was); err != nil {
			return err
		}
		if user, err = patched(was, p); err != nil {
			return err
		}
		if err := mayManage(by, user); err != nil {
			return err
		}
		return s.storeUser(ctx, by, was, user)
	})
	if err != nil {
		return nil, err
	}
	return user, nil
}

// SetRole moves a person on the ladder.
func (s *Service) SetRole(ctx context.Context, by store.Actor, userID, role string) error {
	_, err := s.UpdateUser(ctx, by, userID, store.UserPatch{Role: &role})
	return err
}

// patched checks only what p names: the rest may have come from the replaced system, and must not stand in the way.
func patched(was *store.User, p store.UserPatch) (*store.User, error) {
	u := *was
	var err error
	if p.Role != nil {
		if u.Role, err = *p.Role, checkRole(*p.Role); err != nil {
			return nil, err
		}
	}
	if p.Name != nil {
		if u.Name, err = checkName(*p.Name); err != nil {
			return nil, err
		}
	}
	if p.Image != nil {
		if u.Image, err = *p.Image, checkImage(*p.Image); err != nil {
			return nil, err
		}
	}
	if p.Email != nil {
		if u.Email, err = normalizeEmail(*p.Email); err != nil {
			return nil, err
		}
		u.EmailVerified = was.EmailVerified && u.Email == was.Email
	}
	if p.EmailVerified != nil {
		u.EmailVerified = *p.EmailVerified
	}
	return &u, nil
}

// storeUser writes a changed person with what follows from the change.
func (s *Service) storeUser(ctx context.Context, by store.Actor, was, user *store.User) error {
	diff := userChanges(was, user)
	if len(diff) == 0 {
		return nil
	}
	user.UpdatedAt = s.now()
	if err := s.Store.UpdateUser(ctx, was, user); err != nil {
		return lastSuperadmin(emailTaken(err))
	}
	event := by.Event("user.update", "user", user.ID)
	event.Changes = diff
	ended := ""
	switch {
	case user.Role != was.Role:
		event.Action, ended = "user.set_role", store.ReasonRoleChanged
	case user.Email != was.Email:
		ended = store.ReasonEmailChanged
	}
	if ended != "" {
		if err := s.signOutEverywhere(ctx, user.ID, ended); err != nil {
			return err
		}
	}
	return s.Store.Audit(ctx, event)
}

// userChanges compares what the audit log keeps of a person, which is not the password hash.
func userChanges(was, is *store.User) map[string]store.Change {
	out := map[string]store.Change{}
	note(out, "email", was.Email, is.Email)
	note(out, "emailVerified", was.EmailVerified, is.EmailVerified)
	note(out, "name", was.Name, is.Name)
	note(out, "image", was.Image, is.Image)
	note(out, "role", was.Role, is.Role)
	return out
}

// note records a change; what was or became nothing is left out.
func note(out map[string]store.Change, field string, before, after any) {
	if before == after {
		return
	}
	if before == "" {
		before = nil
	}
	if after == "" {
		after = nil
	}
	out[field] = store.Change{Before: before, After: after}
}

// Disable shuts a person out until the given time, or for good when it is nil, and ends their sessions and grants.
func (s *Service) Disable(ctx context.Context, by store.Actor, userID, reason string, until *time.Time) error {
	if by.Type == store.ActorUser && by.ID == userID {
		return errDisableSelf
	}
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err := mayManage(by, user); err != nil {
			return err
		}
		now := s.now()
		if err := s.Store.DisableUser(ctx, userID, reason, until, now); err != nil {
			return lastSuperadmin(err)
		}
		if err := s.signOutEverywhere(ctx, userID, store.ReasonUserDisabled); err != nil {
			return err
		}
		event := by.Event("user.disable", "user", userID)
		event.Changes = disabling(user, true, reason, until, now)
		return s.Store.Audit(ctx, event)
	})
}

// Enable lets a person in again.
func (s *Service) Enable(ctx context.Context, by store.Actor, userID string) error {
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err := mayManage(by, user); err != nil {
			return err
		}
		if user.DisabledAt == nil {
			return nil
		}
		now := s.now()
		if err := s.Store.EnableUser(ctx, userID, now); err != nil {
			return err
		}
		event := by.Event("user.enable", "user", userID)
		event.Changes = disabling(user, false, "", nil, now)
		return s.Store.Audit(ctx, event)
	})
}

func disabling(was *store.User, disabled bool, reason string, until *time.Time, now time.Time) map[string]store.Change {
	out := map[string]store.Change{}
	note(out, "disabled", was.Disabled(now), disabled)
	note(out, "disabledReason", was.DisabledReason, reason)
	note(out, "disabledUntil", stamp(was.DisabledUntil), stamp(until))
	return out
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// DeleteUser deletes a person with everything that belongs to them, and revokes what relying parties hold.
func (s *Service) DeleteUser(ctx context.Context, by store.Actor, userID string) error {
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err := mayManage(by, user); err != nil {
			return err
		}
		return s.delete(ctx, by, userID, userChanges(user, &store.User{}))
	})
}

// delete belongs into a transaction that has the person from LockUser. It revokes first: the grants are deleted with their
// person, and the revocations must outlive both.
func (s *Service) delete(ctx context.Context, by store.Actor, userID string, was map[string]store.Change) error {
	if err := s.leaveAll(ctx, by, userID); err != nil {
		return err
	}
	if err := s.signOutEverywhere(ctx, userID, store.ReasonUserDeleted); err != nil { // sessions before grants, as everybody locks them
		return err
	}
	if err := s.Store.DeleteUser(ctx, userID, s.now()); err != nil {
		return lastSuperadmin(err)
	}
	event := by.Event("user.delete", "user", userID)
	event.Changes = was
	return s.Store.Audit(ctx, event)
}

// EndSession ends one session of a person with the grants that are bound to it.
func (s *Service) EndSession(ctx context.Context, by store.Actor, userID, id string) error {
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.UserByID(ctx, userID)
		if err != nil {
			return err
		}
		if err := mayManage(by, user); err != nil {
			return err
		}
		return s.endSession(ctx, by, userID, id)
	})
}

// EndSessions ends all sessions of a person with the grants that are bound to them.
func (s *Service) EndSessions(ctx context.Context, by store.Actor, userID string) error {
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.UserByID(ctx, userID)
		if err != nil {
			return err
		}
		if err := mayManage(by, user); err != nil {
			return err
		}
		return s.endSessions(ctx, by, userID, "")
	})
}

// endSession belongs into a transaction.
func (s *Service) endSession(ctx context.Context, by store.Actor, userID, id string) error {
	if err := s.Store.EndSession(ctx, userID, id, store.ReasonSessionRevoked, s.now()); err != nil {
		return err
	}
	if err := s.Store.RevokeSessionGrants(ctx, []string{id}, store.ReasonSignedOut); err != nil {
		return err
	}
	event := by.Event("session.end", "session", id)
	event.Changes = map[string]store.Change{"reason": {After: store.ReasonSessionRevoked}}
	return s.Store.Audit(ctx, event)
}

// endSessions ends the sessions of the person except one, which may be empty. It belongs into a transaction.
func (s *Service) endSessions(ctx context.Context, by store.Actor, userID, except string) error {
	ids, err := s.Store.EndUserSessions(ctx, userID, except, store.ReasonSessionRevoked, s.now())
	if err != nil || len(ids) == 0 {
		return err
	}
	for batch := range slices.Chunk(ids, 500) { // a statement takes a bounded number of parameters
		if err := s.Store.RevokeSessionGrants(ctx, batch, store.ReasonSignedOut); err != nil {
			return err
		}
	}
	event := by.Event("session.end_all", "user", userID)
	event.Changes = map[string]store.Change{"sessions": {Before: len(ids), After: 0}}
	return s.Store.Audit(ctx, event)
}

// signOutEverywhere ends every session and every grant of the person.
func (s *Service) signOutEverywhere(ctx context.Context, userID, reason string) error {
	if _, err := s.Store.EndUserSessions(ctx, userID, "", reason, s.now()); err != nil {
		return err
	}
	return s.Store.RevokeUserGrants(ctx, userID, reason)
}

func lastSuperadmin(err error) error {
	if errors.Is(err, store.ErrLastSuperadmin) {
		return errLastSuperadmin
	}
	return err
}
