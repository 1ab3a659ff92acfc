package account

import (
	"context"
	"errors"
	"slices"
	"time"

	"auth-service/store"
)

// An importBatch are the lines of an import that are written in one transaction.
type importBatch struct {
	*Service
	by    store.Actor
	lines []store.UserImport
	rules store.ImportRules
	out   []store.Imported

	byID, byEmail map[string]*store.User // whom lines are about, as they are by now
	events        []store.AuditEvent
}

// importTogether writes lines, of which those that make sense have their users. Like all of a transaction it may run again,
// so it works on copies. An error that refuses leaves it open which line it is about, unless there is but one.
func (s *Service) importTogether(ctx context.Context, by store.Actor, lines []store.UserImport, prepared []store.Imported, rules store.ImportRules) ([]store.Imported, error) {
	var b *importBatch
	err := s.Store.Tx(ctx, func(ctx context.Context) error {
		b = &importBatch{
			Service: s, by: by, lines: lines, rules: rules, out: slices.Clone(prepared),
			byID: map[string]*store.User{}, byEmail: map[string]*store.User{},
		}
		if err := b.run(ctx); err != nil {
			return err
		}
		if rules.Rehearsal != nil {
			return errRehearsed
		}
		return nil
	})
	if err != nil && !errors.Is(err, errRehearsed) {
		return nil, err
	}
	if rules.Rehearsal != nil {
		for _, line := range b.out {
			if line.Outcome == store.ImportCreated {
				rules.Rehearsal.Add(line.User)
			}
		}
	}
	return b.out, nil
}

func (b *importBatch) run(ctx context.Context) error {
	rest, err := b.create(ctx)
	if err != nil {
		return err
	}
	if err := b.meet(ctx, rest); err != nil {
		return err
	}
	for _, i := range rest {
		if err := b.settle(ctx, i); err != nil {
			return err
		}
	}
	if event, changed := b.summary(); changed {
		b.events = append(b.events, event)
	}
	return b.Store.AuditAll(ctx, b.events)
}

// create inserts the people who are new and returns the lines that are about somebody who was there before, in the database
// or in a line above.
func (b *importBatch) create(ctx context.Context) (rest []int, err error) {
	var fresh []int
	var users []*store.User
	named := map[string]bool{} // no id has an @, and every address has
	for i, line := range b.out {
		switch u := line.User; {
		case line.Err != nil:
		case named[u.ID] || named[u.Email] || len(b.rules.Rehearsal.With(u.ID, u.Email)) > 0:
			rest = append(rest, i)
		default:
			fresh, users = append(fresh, i), append(users, u)
			named[u.ID], named[u.Email] = true, true
		}
	}
	inserted, err := b.Store.InsertUsers(ctx, users)
	if err != nil {
		return nil, err
	}
	for _, i := range fresh {
		u := b.out[i].User
		if !inserted[u.ID] {
			rest = append(rest, i)
			continue
		}
		b.out[i].Outcome = store.ImportCreated
		b.remember(u)
		event := b.by.Event("user.create", "user", u.ID)
		event.Changes = userChanges(&store.User{}, u)
		if u.DisabledAt != nil {
			note(event.Changes, "disabled", nil, true)
			note(event.Changes, "disabledReason", "", u.DisabledReason)
			note(event.Changes, "disabledUntil", "", stamp(u.DisabledUntil))
		}
		b.events = append(b.events, event)
	}
	slices.Sort(rest)
	return rest, nil
}

// meet reads and locks whom the lines are about.
func (b *importBatch) meet(ctx context.Context, rest []int) error {
	if len(rest) == 0 || b.rules.OnConflict == store.ConflictSkip {
		return nil
	}
	var ids, emails []string
	for _, i := range rest {
		u := b.out[i].User
		ids, emails = append(ids, u.ID), append(emails, u.Email)
		for _, known := range b.rules.Rehearsal.With(u.ID, u.Email) {
			b.remember(known)
		}
	}
	rows, err := b.Store.LockUsersWith(ctx, ids, emails)
	if err != nil {
		return err
	}
	for i := range rows {
		b.remember(&rows[i])
	}
	return nil
}

func (b *importBatch) remember(u *store.User) { b.byID[u.ID], b.byEmail[u.Email] = u, u }

// settle decides about a line whose address or id somebody has. What it refuses, it refuses before it writes.
func (b *importBatch) settle(ctx context.Context, i int) error {
	in, out := &b.lines[i], &b.out[i]
	switch b.rules.OnConflict {
	case store.ConflictSkip:
		out.Outcome = store.ImportSkipped
		return nil
	case store.ConflictUpdate:
	default:
		out.Err = b.taken(out.User)
		return nil
	}
	was, is, err := b.change(in, out.User)
	if err != nil {
		out.Err = err
		return nil
	}
	changed, err := b.write(ctx, was, is, in)
	if err != nil {
		return err
	}
	out.Outcome = store.ImportSkipped
	if changed {
		out.Outcome = store.ImportUpdated
	}
	return nil
}

// taken says what somebody else has already.
func (b *importBatch) taken(u *store.User) error {
	if b.byID[u.ID] != nil && b.byEmail[u.Email] == nil {
		return errIDTaken
	}
	return errUserExists.Because(store.ErrConflict)
}

// change finds whom a line is about, by the id or else by the address, and makes of them what it says.
func (b *importBatch) change(in *store.UserImport, u *store.User) (was, is *store.User, err error) {
	was, namesake := b.byID[u.ID], b.byEmail[u.Email]
	switch {
	case was == nil && namesake != nil && in.ID == nil:
		was = namesake
	case was == nil && namesake != nil:
		return nil, nil, errOtherID
	case was == nil, namesake != nil && namesake.ID != was.ID:
		return nil, nil, b.taken(u)
	}
	if err := mayManage(b.by, was); err != nil {
		return nil, nil, err
	}
	is, err = patched(was, store.UserPatch{Name: in.Name, Email: in.Email, EmailVerified: in.EmailVerified, Image: in.Image, Role: in.Role})
	return was, is, err
}

// write stores a changed person, with what follows from the change, and reports whether there was one.
func (b *importBatch) write(ctx context.Context, was, is *store.User, in *store.UserImport) (changed bool, err error) {
	disable, enable := b.switches(was, in)
	changed = len(userChanges(was, is)) > 0 || disable || enable
	if !changed || b.rules.Rehearsal.Knows(was.ID) {
		return changed, nil
	}
	if err := b.storeUser(ctx, b.by, was, is); err != nil {
		return false, err
	}
	switch {
	case disable:
		err = b.Disable(ctx, b.by, was.ID, orElse(in.DisabledReason, was.DisabledReason), in.DisabledUntil)
	case enable:
		err = b.Enable(ctx, b.by, was.ID)
	}
	if err != nil {
		return false, err
	}
	if disable || enable {
		if is, err = b.Store.UserByID(ctx, was.ID); err != nil {
			return false, err
		}
	}
	delete(b.byEmail, was.Email)
	b.remember(is)
	return true, nil
}

// switches tells whether a line shuts the person out, in another way than they are, or lets them in again.
func (b *importBatch) switches(was *store.User, in *store.UserImport) (disable, enable bool) {
	if in.Disabled == nil {
		return false, false
	}
	now := b.now()
	if !*in.Disabled {
		return false, was.Disabled(now)
	}
	same := was.Disabled(now) && orElse(in.DisabledReason, was.DisabledReason) == was.DisabledReason && sameInstant(in.DisabledUntil, was.DisabledUntil)
	return !same, false
}

// sameInstant compares to the millisecond, which is how an export writes it.
func sameInstant(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond))
}

// summary is the event that tells of the batch as a whole, unless nothing has changed.
func (b *importBatch) summary() (event store.AuditEvent, changed bool) {
	counts := map[string]int{}
	for _, line := range b.out {
		if line.Err != nil {
			counts["refused"]++
		} else {
			counts[line.Outcome]++
		}
	}
	event = b.by.Event("user.import", "user", "")
	event.Changes = map[string]store.Change{}
	for name, n := range counts {
		event.Changes[name] = store.Change{After: n}
	}
	return event, counts[store.ImportCreated]+counts[store.ImportUpdated] > 0
}
