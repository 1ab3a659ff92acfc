package account

import (
	"context"
	"errors"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
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
	errInvalidEmail = problem.New(http.StatusBadRequest, "INVALID_EMAIL", "This is not an e-mail address.")
	errInvalidRole  = problem.New(http.StatusBadRequest, "INVALID_ROLE", "The role must be user, admin or superadmin.")

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

// CreateUser creates a person, for the command line and the first start. The error is one of package problem's for
// everything that the caller can mend.
func (s *Service) CreateUser(ctx context.Context, by store.Actor, in NewUser) (*store.User, error) {
	user := &store.User{Email: in.Email, EmailVerified: in.EmailVerified, Name: in.Name, Image: in.Image, Role: in.Role}
	if err := s.PrepareUser(ctx, by, user, &in.Password); err != nil {
		return nil, err
	}
	return user, s.InsertUser(ctx, by, user)
}

// PrepareUser checks and completes somebody to be created; nil is no password. It hashes the password, which takes long and
// so happens outside any transaction.
func (s *Service) PrepareUser(ctx context.Context, by store.Actor, user *store.User, password *string) error {
	if user.Role == "" {
		user.Role = store.RoleUser
	}
	if err := checkRole(user.Role); err != nil {
		return err
	}
	if err := mayManage(by, user); err != nil {
		return err
	}
	var err error
	if user.Email, err = normalizeEmail(user.Email); err != nil {
		return err
	}
	if user.Name, err = checkName(user.Name); err != nil {
		return err
	}
	if err := checkImage(user.Image); err != nil {
		return err
	}
	if password != nil {
		if err := s.Policy.Check(*password); err != nil {
			return err
		}
		if user.PasswordHash, err = s.Hasher.Hash(ctx, *password); err != nil {
			return err
		}
	}
	user.ID, user.CreatedAt = store.NewID(), s.now()
	user.UpdatedAt = user.CreatedAt
	return nil
}

// InsertUser creates somebody whom PrepareUser prepared.
func (s *Service) InsertUser(ctx context.Context, by store.Actor, user *store.User) error {
	return s.Store.Tx(ctx, func(ctx context.Context) error {
		if err := s.Store.CreateUser(ctx, user); err != nil {
			return emailTaken(err)
		}
		event := by.Event("user.create", "user", user.ID)
		event.Changes = userChanges(&store.User{}, user)
		return s.Store.Audit(ctx, event)
	})
}

func emailTaken(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return errUserExists.Because(err)
	}
	return err
}

func checkRole(role string) error {
	switch role {
	case store.RoleUser, store.RoleAdmin, store.RoleSuperadmin:
		return nil
	}
	return errInvalidRole
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
	if !isImage(raw) {
		return problem.Invalid(map[string]string{"image": "This must be an https URL."})
	}
	return nil
}

func isImage(raw string) bool {
	if raw == "" {
		return true
	}
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && len(raw) <= maxURL &&
		!strings.ContainsFunc(raw, func(r rune) bool {
			return r <= ' ' || r == '"' || r == '<' || r == '>' || r == '\\' || unicode.IsControl(r)
		})
}
