package account

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"auth-service/problem"
	"auth-service/store"
)

// maxReason bounds why somebody is disabled, in characters.
const maxReason = 500

// Bounds of the costs of an imported hash: whoever signs in with it makes us pay them.
const (
	maxImportedMemoryKiB   = 64 << 10
	maxImportedIterations  = 10
	maxImportedParallelism = 8
)

var (
	errIDTaken = problem.New(http.StatusConflict, "ID_TAKEN", "Another person has this id. Leave it out, or choose another one.")
	errOtherID = problem.New(http.StatusConflict, "ID_DIFFERS", "The person with this address has another id. Correct the id, or leave it out.")

	// errRehearsed ends the transaction of a dry run.
	errRehearsed = errors.New("a dry run writes nothing")

	importedID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// ImportUsers creates people, and changes those who are there where the rules say so: but for their password, their id and
// when they were created. Lines are written together, each whole or not at all: one that is refused leaves the others
// alone. The results are in the order of the lines. An error is the database's; then the results end with the last line
// that was dealt with.
func (s *Service) ImportUsers(ctx context.Context, by store.Actor, lines []store.UserImport, rules store.ImportRules) ([]store.Imported, error) {
	prepared, err := s.prepareImport(ctx, by, lines, rules)
	if err != nil {
		return nil, err
	}
	out, err := s.importTogether(ctx, by, lines, prepared, rules)
	if err == nil {
		return out, nil
	}
	if !refuses(err) {
		return nil, err
	}
	// A change was refused when some of it had been written, or somebody took an address meanwhile. By themselves the
	// other lines go through.
	out = prepared
	for i := range lines {
		if prepared[i].Err != nil {
			continue
		}
		one, err := s.importTogether(ctx, by, lines[i:i+1], prepared[i:i+1], rules)
		switch {
		case err == nil:
			out[i] = one[0]
		case refuses(err):
			out[i].Err = err
		default:
			return out[:i], err
		}
	}
	return out, nil
}

// refuses reports whether an error is about what a line says, and not about the database.
func refuses(err error) bool {
	var p *problem.Error
	return errors.As(err, &p) && p.Status < http.StatusInternalServerError || errors.Is(err, store.ErrConflict)
}

// prepareImport checks the lines and hashes passwords, which takes long and so happens outside any transaction.
func (s *Service) prepareImport(ctx context.Context, by store.Actor, lines []store.UserImport, rules store.ImportRules) ([]store.Imported, error) {
	var ids []string
	for i := range lines {
		if lines[i].ID != nil {
			ids = append(ids, *lines[i].ID)
		}
	}
	var clients []string
	if len(ids) > 0 {
		var err error
		if clients, err = s.Store.ClientIDs(ctx, ids); err != nil {
			return nil, err
		}
	}
	out := make([]store.Imported, len(lines))
	for i := range lines {
		in := &lines[i]
		if out[i].User, out[i].Err = s.newcomer(by, in, clients); out[i].Err != nil || in.Password == nil || rules.Rehearsal != nil {
			continue
		}
		out[i].User.PasswordHash, out[i].Err = s.Hasher.Hash(ctx, *in.Password)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return out, nil
}

// newcomer makes the person of a line, or says everything that is wrong with it.
func (s *Service) newcomer(by store.Actor, in *store.UserImport, clients []string) (*store.User, error) {
	bad := importFaults{}
	maps.Copy(bad, in.Faults)
	bad.values(s, in, clients)
	user := &store.User{Role: store.RoleUser}
	for _, part := range []struct {
		field string
		patch store.UserPatch
	}{
		{"email", store.UserPatch{Email: in.Email}}, {"emailVerified", store.UserPatch{EmailVerified: in.EmailVerified}},
		{"name", store.UserPatch{Name: in.Name}}, {"image", store.UserPatch{Image: in.Image}}, {"role", store.UserPatch{Role: in.Role}},
	} {
		if next, err := patched(user, part.patch); err != nil {
			bad.note(part.field, err)
		} else {
			user = next
		}
	}
	if in.Email == nil {
		bad.add("email", "This field is required.")
	}
	if len(bad) > 0 {
		return nil, problem.Invalid(bad)
	}
	if user.Name == "" {
		user.Name, _, _ = strings.Cut(user.Email, "@")
	}
	s.complete(user, in)
	return user, mayManage(by, user)
}

// complete fills in what only a new person takes from a line.
func (s *Service) complete(user *store.User, in *store.UserImport) {
	now := s.now()
	user.ID, user.PasswordHash = orElse(in.ID, ""), orElse(in.PasswordHash, "")
	if user.ID == "" {
		user.ID = store.NewID()
	}
	user.CreatedAt = orElse(in.CreatedAt, now).UTC().Truncate(time.Microsecond)
	user.UpdatedAt = orElse(in.UpdatedAt, now).UTC().Truncate(time.Microsecond)
	if orElse(in.Disabled, false) {
		user.DisabledAt, user.DisabledUntil, user.DisabledReason = &now, in.DisabledUntil, orElse(in.DisabledReason, "")
	}
}

func orElse[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}

// importFaults are sentences by field. The first one about a field stays.
type importFaults map[string]string

func (f importFaults) add(field, sentence string) {
	if _, twice := f[field]; !twice && sentence != "" {
		f[field] = sentence
	}
}

func (f importFaults) note(field string, err error) {
	p := problem.Of(err)
	f.add(field, cmp.Or(p.Fields[field], p.Detail))
}

// values checks what only an import brings. An id of a client would make the tokens of the person look like those that
// the client gets for itself (RFC 9068 §5).
func (f importFaults) values(s *Service, in *store.UserImport, clients []string) {
	switch {
	case in.ID == nil:
	case !importedID.MatchString(*in.ID):
		f.add("id", "Use 1 to 64 letters, digits, hyphens and underscores.")
	case slices.Contains(clients, *in.ID):
		f.add("id", "This is the id of a client: choose another one.")
	}
	if in.Password != nil {
		if err := s.Policy.Check(*in.Password); err != nil {
			f.note("password", err)
		}
	}
	if in.PasswordHash != nil {
		if in.Password != nil {
			f.add("passwordHash", "Give the password or its hash, not both.")
		}
		if !importable(*in.PasswordHash) {
			f.add("passwordHash", "Use an Argon2id hash in PHC format, with at most 64 MiB, 10 iterations and 8 lanes.")
		}
	}
	f.disabling(in)
	f.times(s.now(), in)
}

func (f importFaults) disabling(in *store.UserImport) {
	if in.DisabledReason != nil {
		f.add("disabledReason", reasonFault(*in.DisabledReason))
	}
	if orElse(in.Disabled, false) {
		return
	}
	const stray = "Only somebody who is disabled has this: set disabled, or leave it out."
	if orElse(in.DisabledReason, "") != "" {
		f.add("disabledReason", stray)
	}
	if in.DisabledUntil != nil {
		f.add("disabledUntil", stray)
	}
}

func reasonFault(reason string) string {
	switch {
	case utf8.RuneCountInString(reason) > maxReason:
		return "This must have at most 500 characters."
	case strings.ContainsFunc(reason, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }):
		return "This has invisible control characters: remove them."
	}
	return ""
}

// times lets nobody come from the future, in which they would sort before everybody who is created from now on.
func (f importFaults) times(now time.Time, in *store.UserImport) {
	for field, at := range map[string]*time.Time{"createdAt": in.CreatedAt, "updatedAt": in.UpdatedAt} {
		if at != nil && (at.After(now) || at.Year() < 1970) {
			f.add(field, "This must be a time between 1970 and now.")
		}
	}
	if in.DisabledUntil != nil && (in.DisabledUntil.Year() < 1970 || in.DisabledUntil.Year() > 9999) {
		f.add("disabledUntil", "This must be a time after 1970.")
	}
}

// importable reports whether somebody may sign in with a hash that was made elsewhere. It must be written as we would: what
// other programs might read differently is no hash of ours.
func importable(encoded string) bool {
	p, err := parsePHC(encoded)
	return err == nil && p.String() == encoded && len(p.salt) >= 8 && len(p.salt) <= 64 && len(p.key) <= 64 &&
		p.MemoryKiB >= 8*uint32(p.Parallelism) && p.MemoryKiB <= maxImportedMemoryKiB && // RFC 9106 §3.1
		p.Iterations <= maxImportedIterations && p.Parallelism <= maxImportedParallelism
}
