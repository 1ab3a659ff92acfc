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

var errInvalidPassword = problem.New(http.StatusBadRequest, "INVALID_PASSWORD", "The password is wrong.")

func (s *Service) mountPassword(api huma.API) {
	register(api, http.MethodPost, "change-password", "changePassword", "Changes the password and signs out everywhere else", s.changePassword, signedIn)
	register(api, http.MethodPost, "verify-password", "verifyPassword", "Tells whether the password is right", s.verifyPassword, signedIn)
}

type changePasswordRequest struct {
	CurrentPassword     string `json:"currentPassword" maxLength:"4096"`
	NewPassword         string `json:"newPassword" maxLength:"4096"`
	RevokeOtherSessions *bool  `json:"revokeOtherSessions,omitempty" doc:"Accepted for compatibility; the other sessions always end."`
}

type changePasswordAnswer struct {
	Token string   `json:"token" doc:"The id of the new session."`
	User  userBody `json:"user"`
}

// changePassword replaces the password. Every session and every grant of the person ends, offline ones too, so that
// whoever knew the old password is out; this browser gets a new session.
func (s *Service) changePassword(ctx context.Context, in *input[changePasswordRequest]) (*answer[changePasswordAnswer], error) {
	c := exchange(ctx)
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Policy.Check(in.Body.NewPassword); err != nil {
		return nil, err
	}
	try, err := s.confirm(ctx, c, ses, in.Body.CurrentPassword)
	if err != nil {
		return nil, err
	}
	hash, err := s.Hasher.Hash(ctx, in.Body.NewPassword)
	if err != nil {
		return nil, err
	}
	begun, err := s.replacePassword(ctx, c, ses, try, hash)
	if err != nil {
		return nil, err
	}
	return reply(changePasswordAnswer{begun.ID, showUser(ses.User)}), nil
}

func (s *Service) replacePassword(ctx context.Context, c echo.Context, ses *store.Session, try attempt, hash string) (begun *store.Session, err error) {
	user, now := ses.User, s.now()
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		err := s.Store.SetPassword(ctx, user.ID, user.PasswordHash, hash, now)
		if errors.Is(err, store.ErrConflict) { // another request was faster, so the password that was given is the old one
			return errInvalidPassword.Because(err)
		}
		if err != nil {
			return err
		}
		if err := s.Throttle.succeeded(ctx, try); err != nil {
			return err
		}
		if err := s.signOutEverywhere(ctx, user.ID, store.ReasonPasswordChanged); err != nil {
			return err
		}
		if err := s.Store.Audit(ctx, ActorOf(c, user.ID).Event("user.change_password", "user", user.ID)); err != nil {
			return err
		}
		begun, err = s.begin(ctx, c, user, ses.Remember)
		return err
	})
	if err == nil {
		user.PasswordHash, user.UpdatedAt = hash, now
	}
	return begun, err
}

type verifyPasswordRequest struct {
	Password string `json:"password" maxLength:"4096"`
}

func (s *Service) verifyPassword(ctx context.Context, in *input[verifyPasswordRequest]) (*answer[statusBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	try, err := s.confirm(ctx, exchange(ctx), ses, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if err := s.Throttle.succeeded(ctx, try); err != nil {
		return nil, err
	}
	return reply(statusBody{true}), nil
}

// confirm makes sure that whoever holds the session also knows the password. Guesses are counted by session: a stolen
// cookie is no licence to guess, and its guesses do not shut the owner out elsewhere.
func (s *Service) confirm(ctx context.Context, c echo.Context, ses *store.Session, password string) (attempt, error) {
	if ses.User.PasswordHash == "" {
		return attempt{}, errNoPassword
	}
	try, err := s.Throttle.reserve(ctx, "session", ses.ID)
	if err != nil {
		return try, err
	}
	ok, _, err := s.verify(ctx, try, ses.User.PasswordHash, password)
	if err != nil {
		return try, err
	}
	if !ok {
		return try, s.failed(ctx, c, ses.UserID, try, errInvalidPassword)
	}
	return try, nil
}
