package account

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"auth-service/problem"
	"auth-service/store"
)

// signUpCost is how many sign-ins a sign-up counts as against its address: it tells whether an address is taken, and
// leaves a row behind.
const signUpCost = 5

var (
	errInvalidCredentials = problem.New(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD", "The e-mail address or the password is wrong.")
	errBanned             = problem.New(http.StatusForbidden, "BANNED_USER", "This account has been disabled. Please ask an administrator.")
	errSignUpDisabled     = problem.New(http.StatusBadRequest, "EMAIL_PASSWORD_SIGN_UP_DISABLED", "New accounts are created by administrators only.")
)

func (s *Service) mountSignIn(api huma.API) {
	register(api, http.MethodPost, "sign-up/email", "signUpEmail", "Creates an account and signs in", s.signUp, withForm)
	register(api, http.MethodPost, "sign-in/email", "signInEmail", "Signs in with a password", s.signIn, withForm)
	register(api, http.MethodPost, "sign-out", "signOut", "Ends the session of this browser", s.signOut)
}

type signUpRequest struct {
	Name        string `json:"name" maxLength:"200"`
	Email       string `json:"email" maxLength:"254"`
	Password    string `json:"password" maxLength:"4096"`
	Image       string `json:"image,omitempty" maxLength:"2048"`
	CallbackURL string `json:"callbackURL,omitempty" maxLength:"2048"`
	RememberMe  *bool  `json:"rememberMe,omitempty" doc:"Whether the session outlives the browser; true when absent."`
	reserved
}

type signUpAnswer struct {
	Token string   `json:"token" doc:"The id of the session; the session itself is in the cookie."`
	User  userBody `json:"user"`
}

// signUp creates an account and signs in. As that works or does not, its status tells whether the address is taken: that
// cannot be hidden before addresses are confirmed by mail. What can be done is done: the text is the same for every
// address, the password is hashed before the address is looked at, so that both outcomes take as long, and sign-ups
// are rationed by address prefix. Where that is too much, sign_up.enabled: false answers everybody the same.
func (s *Service) signUp(ctx context.Context, in *input[signUpRequest]) (*answer[signUpAnswer], error) {
	c, req := exchange(ctx), &in.Body
	if !s.SignUpEnabled {
		return nil, errSignUpDisabled
	}
	if err := errors.Join(req.check(), s.Origins.CheckCallback(req.CallbackURL)); err != nil {
		return nil, err
	}
	if err := s.Throttle.Addresses.Allow(c.RealIP(), signUpCost); err != nil {
		return nil, err
	}
	user := &store.User{Email: req.Email, Name: req.Name, Image: req.Image}
	if err := s.PrepareUser(ctx, store.Actor{}, user, &req.Password); err != nil {
		return nil, err
	}
	var ses *store.Session
	err := s.Store.Tx(ctx, func(ctx context.Context) (err error) {
		if err := s.InsertUser(ctx, ActorOf(c, user.ID), user); err != nil {
			return err
		}
		ses, err = s.begin(ctx, c, user, orTrue(req.RememberMe))
		return err
	})
	if err != nil {
		return nil, err
	}
	s.countSignIn(user.ID)
	return reply(signUpAnswer{ses.ID, showUser(user)}), nil
}

type signInRequest struct {
	Email       string `json:"email" maxLength:"254"`
	Password    string `json:"password" maxLength:"4096"`
	CallbackURL string `json:"callbackURL,omitempty" maxLength:"2048"`
	RememberMe  *bool  `json:"rememberMe,omitempty" doc:"Whether the session outlives the browser; true when absent."`
}

type signInAnswer struct {
	Redirect bool     `json:"redirect"`
	Token    string   `json:"token" doc:"The id of the session; the session itself is in the cookie."`
	URL      string   `json:"url,omitempty"`
	User     userBody `json:"user"`
}

// signedInAnswer is signIn's: the body, and where a browser goes next.
type signedInAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Location     string `header:"Location" doc:"The callbackURL, if there was one."`
	Body         signInAnswer
}

// signIn verifies a password. Whoever has no account gets the same answer, after the same work, as whoever mistypes.
func (s *Service) signIn(ctx context.Context, in *input[signInRequest]) (*signedInAnswer, error) {
	c, req := exchange(ctx), &in.Body
	if err := s.Origins.CheckCallback(req.CallbackURL); err != nil {
		return nil, err
	}
	email, err := normalizeEmail(req.Email)
	if err != nil {
		return nil, err
	}
	user, ses, err := s.trySignIn(ctx, c, email, req.Password, orTrue(req.RememberMe))
	if errors.Is(err, store.ErrConflict) {
		// The stored hash changed while this one was verified: by a change of password, or by another sign-in that made
		// it anew. Against the new one it proves right or wrong.
		user, ses, err = s.trySignIn(ctx, c, email, req.Password, orTrue(req.RememberMe))
	}
	if err != nil {
		s.countFailure(err)
		return nil, err
	}
	s.countSignIn(user.ID)
	body := signInAnswer{Redirect: req.CallbackURL != "", Token: ses.ID, URL: req.CallbackURL, User: showUser(user)}
	return &signedInAnswer{noStore, req.CallbackURL, body}, nil
}

func (s *Service) countSignIn(userID string) {
	s.Counters.Add(store.MetricSignIns, "")
	s.Counters.Seen(userID)
}

// countFailure leaves out what is not the person's: a request that makes no sense, a server that is busy.
func (s *Service) countFailure(err error) {
	if errors.Is(err, errInvalidCredentials) || errors.Is(err, errTooManyAttempts) || errors.Is(err, errBanned) {
		s.Counters.Add(store.MetricSignInFailures, "")
	}
}

func (s *Service) trySignIn(ctx context.Context, c echo.Context, email, password string, remember bool) (*store.User, *store.Session, error) {
	user, err := s.Store.UserByEmail(ctx, email)
	if isNotFound(err) {
		user = &store.User{} // nobody: no id, no password
	} else if err != nil {
		return nil, nil, err
	}
	verified, err := s.authenticate(ctx, c, email, user, password)
	if err != nil {
		return nil, nil, err
	}
	ses, err := s.signInVerified(ctx, c, user, verified, remember)
	return user, ses, err
}

// verified is a password that proved right.
type verified struct {
	attempt attempt
	rehash  string // the same password under the present parameters, when they changed
}

// authenticate counts the attempt, verifies the password, and only then tells that the person is disabled: that is
// nobody else's business.
func (s *Service) authenticate(ctx context.Context, c echo.Context, email string, user *store.User, password string) (verified, error) {
	var v verified
	err := s.admit(ctx, c, email, user, &v.attempt)
	if err != nil {
		return v, err
	}
	ok, stale, err := s.verify(ctx, v.attempt, user.PasswordHash, password)
	switch {
	case err != nil:
		return v, err
	case !ok:
		return v, s.failed(ctx, c, user.ID, v.attempt, errInvalidCredentials)
	case user.Disabled(s.now()):
		return v, errBanned
	case stale:
		// Under the new parameters from now on. If the hasher is busy, then at the next sign-in.
		if v.rehash, err = s.Hasher.Hash(ctx, password); err != nil && !errors.Is(err, errPasswordBusy) {
			return v, err
		}
	}
	return v, nil
}

// admit decides whether this attempt may be made. A browser in which the person signed in before has a counter of its
// own, which strangers cannot reach; all others share that of the account, and are rationed by address.
func (s *Service) admit(ctx context.Context, c echo.Context, email string, user *store.User, a *attempt) (err error) {
	if device, ok := s.Devices.known(c.Request(), user.ID); ok {
		*a, err = s.Throttle.reserve(ctx, "device", user.ID, device)
		return err
	}
	if err := s.Throttle.Addresses.Allow(c.RealIP(), 1); err != nil {
		return err
	}
	*a, err = s.Throttle.reserve(ctx, "account", email)
	return err
}

// verify compares the password, and takes the attempt back if that did not come about.
func (s *Service) verify(ctx context.Context, a attempt, hash, password string) (ok, stale bool, err error) {
	if len(password) > s.Policy.maxBytes() {
		return false, false, nil // longer than any that we accept; the account plays no part, so its saving time tells nothing
	}
	ok, stale, err = s.Hasher.Verify(ctx, hash, password)
	if err != nil {
		if release := s.Throttle.abandoned(ctx, a); release != nil {
			s.Log.Warn().Err(release).Msg("an attempt that was not made stays counted as failed")
		}
	}
	return ok, stale, err
}

// failed writes an audit event when this failure makes the next attempt wait: those alone are worth a row, and as the
// waits grow nobody fills the table with them. It returns answer.
func (s *Service) failed(ctx context.Context, c echo.Context, userID string, a attempt, answer error) error {
	if a.wait == 0 {
		return answer
	}
	by := ActorOf(c, "")
	event := by.Event("sign_in.throttle", "user", userID) // also for nobody, so that the time tells nothing
	event.Changes = map[string]store.Change{"waitSeconds": {After: a.wait.Seconds()}}
	if err := s.Store.Audit(ctx, event); err != nil {
		return err
	}
	return answer
}

// signInVerified makes the session. The password is held first: if it was changed since it was verified, whoever knew
// the old one must not get in, and the error is store.ErrConflict.
func (s *Service) signInVerified(ctx context.Context, c echo.Context, user *store.User, v verified, remember bool) (*store.Session, error) {
	var ses *store.Session
	err := s.Store.Tx(ctx, func(ctx context.Context) (err error) {
		if v.rehash != "" {
			err = s.Store.SetPassword(ctx, user.ID, user.PasswordHash, v.rehash, user.UpdatedAt)
		} else {
			err = s.Store.HoldPassword(ctx, user.ID, user.PasswordHash)
		}
		if err != nil {
			return err
		}
		if err := s.Throttle.succeeded(ctx, v.attempt); err != nil {
			return err
		}
		ses, err = s.begin(ctx, c, user, remember)
		return err
	})
	return ses, err
}

// begin starts a session by password and leaves the device known. It runs in a transaction.
func (s *Service) begin(ctx context.Context, c echo.Context, user *store.User, remember bool) (*store.Session, error) {
	ses, err := s.Sessions.Begin(ctx, c, SignIn{User: user, ACR: acrOneFactor, AMR: []string{amrPassword}, Remember: remember})
	if err != nil {
		return nil, err
	}
	s.Store.AfterCommit(ctx, func() { s.Devices.remember(c, user.ID) })
	return ses, s.Store.Audit(ctx, ActorOf(c, user.ID).Event("session.create", "session", ses.ID))
}

type successBody struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"`
}

// signOut ends the session, and is as content when there is none.
func (s *Service) signOut(ctx context.Context, _ *struct{}) (*answer[successBody], error) {
	if err := s.Sessions.End(ctx, exchange(ctx), store.ReasonSignedOut); err != nil {
		return nil, err
	}
	return reply(successBody{Success: true}), nil
}

func orTrue(b *bool) bool { return b == nil || *b }
