package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"auth-service/problem"
	"auth-service/store"
)

// Authentication context classes and methods of a password sign-in (contract.md "Claims", RFC 8176).
const (
	acrOneFactor = "1"
	amrPassword  = "pwd"
)

// secretBytes of randomness make a session cookie; what the base64url text of as many looks like, secretLength says.
const (
	secretBytes  = 32
	secretLength = 43
)

var errUnauthorized = problem.New(http.StatusUnauthorized, "UNAUTHORIZED", "Sign in first.")

// Sessions keeps browser sessions: a cookie with a random secret, and a row under the secret's SHA-256. It is a
// sessions.Store of gorilla/sessions, whose registry makes all who ask during one request share one look-up.
type Sessions struct {
	Store    *store.Store
	Secure   bool          // the public URL is https
	Idle     time.Duration // a session unseen for so long is over
	Absolute time.Duration // and each is after so long
	Short    time.Duration // instead of Absolute for those not to be remembered
	Touch    time.Duration // least time between two notes that the session was seen
	Counters Counters
	Now      func() time.Time
	Log      zerolog.Logger
}

// state is what a gorilla session of ours holds. The row is looked up when somebody asks.
type state struct {
	secret string // as the cookie has it
	looked bool
	row    *store.Session
}

type stateKey struct{}

// CookieName is that of the session cookie. The __Host- prefix keeps subdomains from planting one (RFC 6265bis §4.1.3.2).
func (s *Sessions) CookieName() string { return cookieName("auth_session", s.Secure) }

func cookieName(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

// Current returns the session that the request's cookie names, with its User, or an error that is store.ErrNotFound when
// nobody is signed in or the person has been disabled. A database that is away is another error: nobody is signed out by it.
//
// The look-up is one statement however often a request asks, plus one to note that the session was seen, once per Touch.
// Ask before opening a transaction, not inside.
func (s *Sessions) Current(r *http.Request) (*store.Session, error) {
	ses, err := s.Get(r, s.CookieName())
	if err != nil {
		return nil, err
	}
	st := ses.Values[stateKey{}].(*state)
	if !st.looked {
		if st.row, err = s.load(r.Context(), st.secret); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		st.looked = true
	}
	if st.row == nil {
		return nil, fmt.Errorf("session: %w", store.ErrNotFound)
	}
	return st.row, nil
}

// load reads a session and notes that it was seen.
func (s *Sessions) load(ctx context.Context, secret string) (*store.Session, error) {
	if !ours(secret) {
		return nil, store.ErrNotFound
	}
	now := s.now()
	row, err := s.Store.SessionBySecret(ctx, store.HashSecret(secret), now)
	if err != nil {
		return nil, err
	}
	if row.User.Disabled(now) {
		return nil, store.ErrNotFound
	}
	s.Counters.Seen(row.UserID)
	if now.Sub(row.LastSeenAt) >= s.Touch {
		idle := earlier(now.Add(s.Idle), row.ExpiresAt)
		if err := s.Store.TouchSession(ctx, row.ID, now, now.Add(-s.Touch), idle); err != nil {
			// The session is good all the same. A database that only reads, for want of space, must not sign people out.
			s.Log.Warn().Err(err).Msg("session was seen but the note of it failed")
			return row, nil
		}
		row.LastSeenAt, row.IdleExpiresAt = now, idle
	}
	return row, nil
}

// Get is sessions.Store's: the session of this request, made once.
func (s *Sessions) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New is sessions.Store's. It asks the database nothing; see Current.
func (s *Sessions) New(r *http.Request, name string) (*sessions.Session, error) {
	ses := sessions.NewSession(s, name)
	ses.IsNew = true
	st := &state{}
	if cookie, err := r.Cookie(name); err == nil {
		st.secret = cookie.Value
	}
	ses.Values[stateKey{}] = st
	return ses, nil
}

// Save is sessions.Store's: it sends the cookie of a new session, or takes the cookie away when MaxAge is negative.
// The rows are Begin's and End's, and unchanged sessions need no cookie again: it lasts as long as the session may.
func (s *Sessions) Save(_ *http.Request, w http.ResponseWriter, ses *sessions.Session) error {
	st := ses.Values[stateKey{}].(*state)
	options := &sessions.Options{Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode, MaxAge: -1}
	value := ""
	if ses.Options.MaxAge >= 0 {
		if !ses.IsNew || st.row == nil {
			return nil
		}
		value, options.MaxAge, ses.IsNew = st.secret, 0, false
		if st.row.Remember {
			options.MaxAge = int(st.row.ExpiresAt.Sub(s.now()).Seconds())
		}
	}
	http.SetCookie(w, sessions.NewCookie(ses.Name(), value, options))
	return nil
}

// A SignIn says who proved to be whom, how, and whether the browser is to remember it.
type SignIn struct {
	User     *store.User
	ACR      string
	AMR      []string
	Remember bool
}

// Begin signs the person in, always with a new secret, so that a cookie planted beforehand is worth nothing (session
// fixation). A session of the same person goes on under it: who confirms the password for one application stays signed in
// to the others, whose grants are bound to that session. Any other session of the browser ends. Call it in a transaction;
// the cookie is sent after the commit.
func (s *Sessions) Begin(ctx context.Context, c echo.Context, in SignIn) (*store.Session, error) {
	ses, err := s.Get(c.Request(), s.CookieName())
	if err != nil {
		return nil, err
	}
	st := ses.Values[stateKey{}].(*state)
	secret := store.RandomToken(secretBytes)
	row := s.row(c, in, store.HashSecret(secret))
	if err := s.place(ctx, c, st.secret, row); err != nil {
		return nil, err
	}
	row.User = in.User
	s.Store.AfterCommit(ctx, func() {
		st.secret, st.row, st.looked = secret, row, true
		ses.IsNew = true
		s.send(c, ses)
	})
	return row, nil
}

// place writes row over the session behind the cookie's old secret when it is the same person's, else as a new one.
func (s *Sessions) place(ctx context.Context, c echo.Context, old string, row *store.Session) error {
	if len(old) == secretLength {
		err := s.Store.RenewSession(ctx, store.HashSecret(old), row)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := s.endBehind(ctx, c, old, store.ReasonReplaced); err != nil {
			return err
		}
	}
	return s.Store.CreateSession(ctx, row)
}

func (s *Sessions) row(c echo.Context, in SignIn, secretHash []byte) *store.Session {
	now := s.now()
	lifetime := s.Absolute
	if !in.Remember {
		lifetime = s.Short
	}
	return &store.Session{
		ID: store.NewID(), SecretHash: secretHash, UserID: in.User.ID, AuthTime: now, ACR: in.ACR, AMR: in.AMR,
		Remember: in.Remember, UserAgent: userAgent(c.Request()), IP: c.RealIP(), CreatedAt: now, LastSeenAt: now,
		IdleExpiresAt: now.Add(min(s.Idle, lifetime)), ExpiresAt: now.Add(lifetime),
	}
}

// End ends the session of the browser, with the grants bound to it, and takes the cookie away, also where there is no
// session any more.
func (s *Sessions) End(ctx context.Context, c echo.Context, reason string) error {
	ses, err := s.Get(c.Request(), s.CookieName())
	if err != nil {
		return err
	}
	st := ses.Values[stateKey{}].(*state)
	if ours(st.secret) {
		err = s.Store.Tx(ctx, func(ctx context.Context) error { return s.endBehind(ctx, c, st.secret, reason) })
	}
	if err != nil {
		return err
	}
	s.Store.AfterCommit(ctx, func() { s.forget(c, ses, st) })
	return nil
}

// Forget takes the cookie away after the rows were ended by other means.
func (s *Sessions) Forget(c echo.Context) error {
	ses, err := s.Get(c.Request(), s.CookieName())
	if err != nil {
		return err
	}
	s.forget(c, ses, ses.Values[stateKey{}].(*state))
	return nil
}

func (s *Sessions) forget(c echo.Context, ses *sessions.Session, st *state) {
	*st = state{looked: true}
	ses.Options = &sessions.Options{MaxAge: -1}
	s.send(c, ses)
	ses.Options = &sessions.Options{}
}

func (s *Sessions) send(c echo.Context, ses *sessions.Session) {
	if err := s.Save(c.Request(), c.Response(), ses); err != nil {
		s.Log.Error().Err(err).Msg("session cookie was not sent")
	}
}

// endBehind ends the session that a cookie's secret stands for, if there is one.
func (s *Sessions) endBehind(ctx context.Context, c echo.Context, secret, reason string) error {
	if !ours(secret) {
		return nil
	}
	old, err := s.Store.EndSessionBySecret(ctx, store.HashSecret(secret), reason, s.now())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.Store.RevokeSessionGrants(ctx, []string{old.ID}, store.ReasonSignedOut); err != nil {
		return err
	}
	event := ActorOf(c, old.UserID).Event("session.end", "session", old.ID)
	event.Changes = map[string]store.Change{"reason": {After: reason}}
	return s.Store.Audit(ctx, event)
}

// ours reports whether a cookie may hold a secret that we made, and so whether the database need be asked.
func ours(secret string) bool { return len(secret) == secretLength }

func (s *Sessions) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// userAgent returns the header as the database can keep it: it may be of any length and need not be UTF-8.
func userAgent(r *http.Request) string {
	const limit = 256
	text := r.UserAgent()
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
