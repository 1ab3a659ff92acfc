package account

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// freshFor is how long after signing in a person may delete the account without giving the password again.
const freshFor = 5 * time.Minute

var (
	errNoFields   = problem.New(http.StatusBadRequest, "NO_FIELDS_TO_UPDATE", "There is nothing to change.")
	errEmailField = problem.New(http.StatusBadRequest, "EMAIL_CAN_NOT_BE_UPDATED", "The e-mail address cannot be changed here.")
	errNotFresh   = problem.New(http.StatusBadRequest, "SESSION_EXPIRED", "Please give your password, or sign in again first.")
	errNotAllowed = problem.New(http.StatusBadRequest, "FIELD_NOT_ALLOWED", "")
	errNoPassword = problem.New(http.StatusBadRequest, "CREDENTIAL_ACCOUNT_NOT_FOUND", "This account has no password.")
)

func (s *Service) mountProfile(api huma.API) {
	register(api, http.MethodPost, "update-user", "updateUser", "Changes name and picture", s.updateUser, signedIn)
	register(api, http.MethodPost, "delete-user", "deleteUser", "Deletes the account for good", s.deleteUser, signedIn)
	register(api, http.MethodGet, "list-accounts", "listAccounts", "Lists the ways to sign in", s.listAccounts, signedIn)
}

// reserved are the fields of a person that only the server or an administrator sets. A body that names one is refused
// rather than stripped (mass assignment): whoever sends it believes that it counts.
type reserved struct {
	ID               any `json:"id,omitempty" hidden:"true"`
	Role             any `json:"role,omitempty" hidden:"true"`
	EmailVerified    any `json:"emailVerified,omitempty" hidden:"true"`
	Banned           any `json:"banned,omitempty" hidden:"true"`
	BanReason        any `json:"banReason,omitempty" hidden:"true"`
	BanExpires       any `json:"banExpires,omitempty" hidden:"true"`
	TwoFactorEnabled any `json:"twoFactorEnabled,omitempty" hidden:"true"`
	CreatedAt        any `json:"createdAt,omitempty" hidden:"true"`
	UpdatedAt        any `json:"updatedAt,omitempty" hidden:"true"`
}

func (r *reserved) check() error {
	for _, field := range []struct {
		name  string
		value any
	}{
		{"id", r.ID}, {"role", r.Role}, {"emailVerified", r.EmailVerified}, {"banned", r.Banned}, {"banReason", r.BanReason},
		{"banExpires", r.BanExpires}, {"twoFactorEnabled", r.TwoFactorEnabled}, {"createdAt", r.CreatedAt}, {"updatedAt", r.UpdatedAt},
	} {
		if field.value != nil {
			e := *errNotAllowed
			e.Detail = field.name + " is not allowed to be set."
			return &e
		}
	}
	return nil
}

type updateUserRequest struct {
	Name  *string  `json:"name,omitempty" maxLength:"200"`
	Image nullable `json:"image,omitempty" doc:"An https URL; null takes the picture away."`
	Email any      `json:"email,omitempty" hidden:"true"`
	reserved
}

func (s *Service) updateUser(ctx context.Context, in *input[updateUserRequest]) (*answer[statusBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	profile, err := in.Body.profile()
	if err != nil {
		return nil, err
	}
	by := ActorOf(exchange(ctx), ses.UserID)
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		if err := s.Store.UpdateProfile(ctx, ses.UserID, profile, s.now()); err != nil {
			return err
		}
		event := by.Event("user.update", "user", ses.UserID)
		event.Changes = map[string]store.Change{}
		if profile.Name != nil {
			event.Changes["name"] = store.Change{Before: ses.User.Name, After: *profile.Name}
		}
		if profile.Image != nil {
			event.Changes["image"] = store.Change{Before: ses.User.Image, After: *profile.Image}
		}
		return s.Store.Audit(ctx, event)
	})
	if err != nil {
		return nil, err
	}
	return reply(statusBody{true}), nil
}

func (r *updateUserRequest) profile() (store.Profile, error) {
	var p store.Profile
	if err := r.check(); err != nil {
		return p, err
	}
	if r.Email != nil {
		return p, errEmailField
	}
	if r.Name != nil {
		name, err := checkName(*r.Name)
		if err != nil {
			return p, err
		}
		p.Name = &name
	}
	if r.Image.Given {
		if err := checkImage(r.Image.Value); err != nil {
			return p, err
		}
		p.Image = &r.Image.Value
	}
	if p == (store.Profile{}) {
		return p, errNoFields
	}
	return p, nil
}

type deleteUserRequest struct {
	Password string `json:"password,omitempty" maxLength:"4096"`
}

// deleteUser deletes the person with everything that belongs to them, and revokes what relying parties hold. It wants the
// password, or a sign-in a moment ago: a browser left open must not be enough.
func (s *Service) deleteUser(ctx context.Context, in *struct {
	Body *deleteUserRequest
}) (*answer[successBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	c := exchange(ctx)
	switch {
	case in.Body != nil && in.Body.Password != "":
		if _, err := s.confirm(ctx, c, ses, in.Body.Password); err != nil {
			return nil, err
		}
	case s.now().Sub(ses.AuthTime) > freshFor:
		return nil, errNotFresh
	}
	err = s.Store.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.Store.LockUser(ctx, ses.UserID); err != nil {
			return err
		}
		return s.delete(ctx, ActorOf(c, ses.UserID), ses.UserID, nil)
	})
	if err != nil {
		return nil, err
	}
	if err := s.Sessions.Forget(c); err != nil {
		return nil, err
	}
	return reply(successBody{Success: true, Message: "User deleted"}), nil
}

type accountBody struct {
	ID         string    `json:"id"`
	ProviderID string    `json:"providerId" doc:"Always credential: the password."`
	AccountID  string    `json:"accountId"`
	UserID     string    `json:"userId"`
	CreatedAt  timestamp `json:"createdAt"`
	UpdatedAt  timestamp `json:"updatedAt"`
	Scopes     []string  `json:"scopes"`
}

func (s *Service) listAccounts(ctx context.Context, _ *struct{}) (*answer[[]accountBody], error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	u, list := ses.User, []accountBody{}
	if u.PasswordHash != "" {
		list = append(list, accountBody{
			ID: u.ID, ProviderID: "credential", AccountID: u.ID, UserID: u.ID,
			CreatedAt: timestamp(u.CreatedAt), UpdatedAt: timestamp(u.UpdatedAt), Scopes: []string{},
		})
	}
	return reply(list), nil
}
