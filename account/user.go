package account

import (
	"context"
	"errors"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"auth-service/problem"
	"auth-service/store"
)

// Limits of what a profile holds, in characters for the name and in bytes for the others.
const (
	maxName  = 200
	maxEmail = 254 // RFC 5321 §4.5.3.1.3
	maxURL   = 2048
)

var (
	errInvalidEmail   = problem.New(http.StatusBadRequest, "INVALID_EMAIL", "This is not an e-mail address.")
	errInvalidRole    = problem.New(http.StatusBadRequest, "INVALID_ROLE", "The role must be user, admin or superadmin.")
	errForbidden      = problem.New(http.StatusForbidden, "FORBIDDEN", "Only a superadmin may grant, change or remove this role.")
	errLastSuperadmin = problem.New(http.StatusConflict, "LAST_SUPERADMIN", "The last superadmin must stay: appoint another one first.")
	errDisableSelf    = problem.New(http.StatusConflict, "CANNOT_DISABLE_SELF", "You cannot disable your own account.")

	// errUserExists has one text for all addresses. That it exists at all tells who tries that the address is taken; see signUp.
	errUserExists = problem.New(http.StatusUnprocessableEntity, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL",
		"This address cannot be used for a new account. If it is yours, sign in.")
)

// A NewUser is somebody to be created. Role may be empty for a plain user.
type NewUser struct {
	Email         string
	Name          string
	Image         string
	Password      string
	Role          string
	EmailVerified bool
}

// CreateUser creates a person, for the command line, the first start and administrators. The error is one of package
// problem's for everything that the caller can mend.
func (s *Service) CreateUser(ctx context.Context, by Actor, in NewUser) (*store.User, error) {
	if in.Role == "" {
		in.Role = store.RoleUser
	}
	if rung(in.Role) < 0 {
		return nil, errInvalidRole
	}
	if in.Role != store.RoleUser && !by.mayAppoint() {
		return nil, errForbidden
	}
	user, err := s.newUser(ctx, in)
	if err != nil {
		return nil, err
	}
	return user, s.Store.Tx(ctx, func(ctx context.Context) error { return s.insertUser(ctx, by, user) })
}

// newUser checks what was given and hashes the password, which takes long and so happens outside any transaction.
func (s *Service) newUser(ctx context.Context, in NewUser) (*store.User, error) {
	email, err := normalizeEmail(in.Email)
	if err != nil {
		return nil, err
	}
	name, err := checkName(in.Name)
	if err != nil {
		return nil, err
	}
	if err := checkImage(in.Image); err != nil {
		return nil, err
	}
	if err := s.Policy.Check(in.Password); err != nil {
		return nil, err
	}
	hash, err := s.Hasher.Hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	now := s.now()
	return &store.User{
		ID: store.NewID(), Email: email, EmailVerified: in.EmailVerified, Name: name, Image: in.Image,
		Role: in.Role, PasswordHash: hash, CreatedAt: now, UpdatedAt: now,
	}, nil
}

func (s *Service) insertUser(ctx context.Context, by Actor, user *store.User) error {
	if err := s.Store.CreateUser(ctx, user); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return errUserExists.Because(err)
		}
		return err
	}
	event := by.event("user.create", "user", user.ID)
	event.Changes = map[string]store.Change{"role": {After: user.Role}}
	return s.Store.Audit(ctx, event)
}

// SetRole moves a person on the ladder. Whoever stands above the rung of a user, before or after, is a superadmin's
// concern alone, and the last superadmin stays. It ends the person's sessions and grants: what they hold was given to
// somebody with other rights.
func (s *Service) SetRole(ctx context.Context, by Actor, userID, role string) error {
	if rung(role) < 0 {
		return errInvalidRole
	}
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.UserByID(ctx, userID)
		if err != nil {
			return err
		}
		if user.Role == role {
			return nil
		}
		if !by.mayAppoint() { // one of the two rungs is above user, since they differ
			return errForbidden
		}
		if err := s.Store.SetRole(ctx, userID, role, s.now()); err != nil {
			return lastSuperadmin(err)
		}
		if err := s.signOutEverywhere(ctx, userID, store.ReasonRoleChanged); err != nil {
			return err
		}
		event := by.event("user.set_role", "user", userID)
		event.Changes = map[string]store.Change{"role": {Before: user.Role, After: role}}
		return s.Store.Audit(ctx, event)
	})
}

// Disable shuts a person out until the given time, or for good when it is nil, and ends their sessions and grants.
func (s *Service) Disable(ctx context.Context, by Actor, userID, reason string, until *time.Time) error {
	if by.Type == store.ActorUser && by.ID == userID {
		return errDisableSelf
	}
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.UserByID(ctx, userID)
		if err != nil {
			return err
		}
		if user.Administrator() && !by.mayAppoint() {
			return errForbidden
		}
		if err := s.Store.DisableUser(ctx, userID, reason, until, s.now()); err != nil {
			return lastSuperadmin(err)
		}
		if err := s.signOutEverywhere(ctx, userID, store.ReasonUserDisabled); err != nil {
			return err
		}
		event := by.event("user.disable", "user", userID)
		event.Changes = map[string]store.Change{"reason": {After: reason}}
		return s.Store.Audit(ctx, event)
	})
}

// Enable lets a person in again.
func (s *Service) Enable(ctx context.Context, by Actor, userID string) error {
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		user, err := s.Store.UserByID(ctx, userID)
		if err != nil {
			return err
		}
		if user.Administrator() && !by.mayAppoint() {
			return errForbidden
		}
		if err := s.Store.EnableUser(ctx, userID, s.now()); err != nil {
			return err
		}
		return s.Store.Audit(ctx, by.event("user.enable", "user", userID))
	})
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

// rung is the place of a role on the ladder, or -1.
func rung(role string) int {
	for i, r := range []string{store.RoleUser, store.RoleAdmin, store.RoleSuperadmin} {
		if r == role {
			return i
		}
	}
	return -1
}

// normalizeEmail returns the address in the one form under which we keep it: lower case, the domain in its ASCII form.
// The local part must be ASCII, so that no two addresses that look alike, or that a mail server folds into one, are two
// accounts.
func normalizeEmail(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	at := strings.LastIndexByte(raw, '@')
	if at < 1 || at > 64 || len(raw) > 4*maxEmail {
		return "", errInvalidEmail
	}
	domain, err := idna.Lookup.ToASCII(raw[at+1:])
	if err != nil || domain == "" {
		return "", errInvalidEmail
	}
	email := strings.ToLower(raw[:at]) + "@" + domain
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > maxEmail { // display names, comments, quotes, domain literals
		return "", errInvalidEmail
	}
	if strings.ContainsFunc(email, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf || r == '"' || r == 0x7f }) {
		return "", errInvalidEmail
	}
	return email, nil
}

func checkName(raw string) (string, error) {
	name := strings.TrimSpace(raw)
	switch {
	case name == "":
		return "", problem.Invalid(map[string]string{"name": "This field is required."})
	case utf8.RuneCountInString(name) > maxName:
		return "", problem.Invalid(map[string]string{"name": "This must have at most 200 characters."})
	case strings.ContainsFunc(name, unicode.IsControl): // PostgreSQL cannot keep a NUL, and nobody's name breaks lines
		return "", problem.Invalid(map[string]string{"name": "This must not have control characters."})
	}
	return name, nil
}

// checkImage lets through nothing but plain https URLs: the image goes out as the picture claim and into pages of
// relying parties, where javascript: or data: would be an attack on them.
func checkImage(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	bad := err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(raw) > maxURL ||
		strings.ContainsFunc(raw, func(r rune) bool {
			return r <= ' ' || r == '"' || r == '<' || r == '>' || r == '\\' || unicode.IsControl(r)
		})
	if bad {
		return problem.Invalid(map[string]string{"image": "This must be an https URL."})
	}
	return nil
}
