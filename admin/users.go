package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// People are the rules about persons: what a field may hold, the ladder of roles, the last superadmin, what ends with a
// change, and the audit trail of it. They are package account's, which shares them with the command line.
type People interface {
	// PrepareUser checks and completes somebody to be created; without a password they have none. It is slow.
	PrepareUser(ctx context.Context, by store.Actor, user *store.User, password *string) error
	InsertUser(ctx context.Context, by store.Actor, user *store.User) error
	UpdateUser(ctx context.Context, by store.Actor, id string, p store.UserPatch) (*store.User, error)
	Disable(ctx context.Context, by store.Actor, id, reason string, until *time.Time) error
	Enable(ctx context.Context, by store.Actor, id string) error
	DeleteUser(ctx context.Context, by store.Actor, id string) error
	// ImportUsers creates people, or changes who is there. Each line is carried out whole or not at all; an error is the
	// database's, and then the results end before the lines that nothing was done about.
	ImportUsers(ctx context.Context, by store.Actor, lines []store.UserImport, rules store.ImportRules) ([]store.Imported, error)
	EndSession(ctx context.Context, by store.Actor, userID, id string) error
	EndSessions(ctx context.Context, by store.Actor, userID string) error
}

var errEmailTaken = func() error {
	e := problem.New(http.StatusConflict, "EMAIL_TAKEN", "Another person has this address. Choose another one.")
	e.Fields = map[string]string{"email": "Another person has this address."}
	return e
}()

func (h *Handler) mountUsers(api huma.API) {
	const all, one = "/users", "/users/{id}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutUsers(operation("listUsers", http.MethodGet, all, "List people", http.StatusOK, notFound)), h.listUsers)
	huma.Register(api, aboutUsers(operation("createUser", http.MethodPost, all, "Create a person", http.StatusCreated, conflict)), h.createUser)
	huma.Register(api, aboutUsers(operation("updateUserInCollection", http.MethodPatch, all, "Change the person whose id is in the body", http.StatusOK, notFound, conflict)), h.updateUserInCollection)
	huma.Register(api, exportOfUsers(), h.exportUsers)
	huma.Register(api, importOfUsers(), h.importUsers)
	huma.Register(api, aboutUsers(operation("getUser", http.MethodGet, one, "Get a person", http.StatusOK, notFound)), h.getUser)
	huma.Register(api, aboutUsers(operation("updateUserAsAdmin", http.MethodPatch, one, "Change a person", http.StatusOK, notFound, conflict)), h.updateUser)
	huma.Register(api, aboutUsers(operation("deleteUserAsAdmin", http.MethodDelete, one, "Revoke all grants of a person and delete them", http.StatusNoContent, notFound, conflict)), h.deleteUser)
	huma.Register(api, aboutUsers(operation("disableUser", http.MethodPost, one+"/disable", "Shut a person out, with all sessions and grants", http.StatusOK, notFound, conflict)), h.disableUser)
	huma.Register(api, aboutUsers(operation("enableUser", http.MethodPost, one+"/enable", "Let a person in again", http.StatusOK, notFound)), h.enableUser)
}

func aboutUsers(op huma.Operation) huma.Operation {
	op.Tags = []string{"Users"}
	return op
}

// A User is a person. There is no field for the password's hash, so that it cannot leak.
type User struct {
	ID             string  `json:"id"`
	Name           string  `json:"name"`
	Email          string  `json:"email"`
	EmailVerified  bool    `json:"emailVerified"`
	Image          *string `json:"image"`
	Role           string  `json:"role" enum:"user,admin,superadmin"`
	Disabled       bool    `json:"disabled"`
	DisabledReason *string `json:"disabledReason"`
	DisabledUntil  *Moment `json:"disabledUntil" nullable:"true" doc:"Null also when the person stays disabled until somebody enables them."`
	CreatedAt      Moment  `json:"createdAt"`
	UpdatedAt      Moment  `json:"updatedAt"`
}

func (h *Handler) showUser(u *store.User) User { return showUser(u, h.Now()) }

func showUser(u *store.User, now time.Time) User {
	out := User{
		ID: u.ID, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified, Image: orNull(u.Image), Role: u.Role,
		CreatedAt: moment(u.CreatedAt), UpdatedAt: moment(u.UpdatedAt),
	}
	if u.Disabled(now) {
		out.Disabled, out.DisabledReason, out.DisabledUntil = true, orNull(u.DisabledReason), nullableMoment(u.DisabledUntil)
	}
	return out
}

// UserFilter selects people; what is left out selects all. Huma sees only exported embedded structs.
type UserFilter struct {
	Search   string `query:"search" maxLength:"200" doc:"How the e-mail address or the name begins, or the id."`
	Role     string `query:"role" enum:"user,admin,superadmin"`
	Disabled string `query:"disabled" enum:"true,false"`

	OrganizationID string `query:"organizationId" maxLength:"255" doc:"The members of the organization with this id or slug."`
	ApplicationID  string `query:"applicationId" maxLength:"255" doc:"Those with a grant, past ones included, a role or a subscription in the application with this id, slug or client_id."`
}

func (in *UserFilter) query() (store.UserQuery, faults) {
	bad := faults{}
	bad.search(in.Search)
	bad.named("query.organizationId", in.OrganizationID)
	bad.named("query.applicationId", in.ApplicationID)
	q := store.UserQuery{Search: strings.TrimSpace(in.Search), Role: in.Role}
	if in.Disabled != "" {
		disabled := in.Disabled == "true"
		q.Disabled = &disabled
	}
	return q, bad
}

type listUsersRequest struct {
	PageRequest
	UserFilter
	Sort string `query:"sort" enum:"createdAt,-createdAt,email,-email,name,-name" default:"-createdAt"`
}

func (h *Handler) listUsers(ctx context.Context, in *listUsersRequest) (*listResponse[User], error) {
	q, bad := in.query()
	paging, worse := in.paging(in.Sort)
	maps.Copy(bad, worse)
	if err := bad.err(); err != nil {
		return nil, err
	}
	q.Paging = paging
	if err := in.resolve(ctx, h.Store, &q); err != nil {
		return nil, err
	}
	page, err := h.Store.Users(ctx, q)
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, h.showUser, func(u *store.User) (any, string) {
		switch paging.Sort {
		case store.ByEmail:
			return u.Email, u.ID
		case store.ByName:
			return u.Name, u.ID
		}
		return u.CreatedAt, u.ID
	}), nil
}

// resolve finds what the list is filtered by. An unknown one is an error, as the empty list would tell another story.
func (in *UserFilter) resolve(ctx context.Context, s *store.Store, q *store.UserQuery) error {
	if in.OrganizationID != "" {
		o, err := organizationNamed(ctx, s, in.OrganizationID)
		if err != nil {
			return err
		}
		q.OrganizationID = o.ID
	}
	if in.ApplicationID != "" {
		a, err := s.ApplicationByRef(ctx, in.ApplicationID)
		if err != nil {
			return err
		}
		q.ApplicationID = a.ID
	}
	return nil
}

// UserInput is a person to be created.
type UserInput struct {
	Name     string           `json:"name" minLength:"1" maxLength:"200"`
	Email    string           `json:"email" maxLength:"254"`
	Password Optional[string] `json:"password,omitzero" maxLength:"4096" doc:"Without one the person cannot sign in with a password."`
	Role     Optional[string] `json:"role,omitzero" enum:"user,admin,superadmin" doc:"Default: user. Only a superadmin may give another."`
}

type createUserRequest struct {
	Idempotent
	Body UserInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createUserRequest) Resolve(huma.Context) []error { return faults{}.findings(in.Body) }

type createUserResponse struct {
	Replay
	Body User
}

func (h *Handler) createUser(ctx context.Context, in *createUserRequest) (*createUserResponse, error) {
	by := actorIn(ctx).Actor
	user := &store.User{Name: in.Body.Name, Email: in.Body.Email, Role: in.Body.Role.Value}
	if err := h.People.PrepareUser(ctx, by, user, in.Body.Password.pointer()); err != nil {
		return nil, err
	}
	request := in.Body
	request.Password = Optional[string]{} // its fast hash would be kept for a day and undo what the slow one is for
	body, replay, err := once(ctx, h, in.Idempotent, "createUser", request, func(ctx context.Context) (User, error) {
		if err := h.People.InsertUser(ctx, by, user); err != nil {
			return User{}, emailTaken(err)
		}
		return h.showUser(user), nil
	})
	return &createUserResponse{replay, body}, err
}

func emailTaken(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return errEmailTaken
	}
	return err
}

// UserPath is the part of a path that names a person.
type UserPath struct {
	ID reference `path:"id" maxLength:"255"`
}

type userResponse struct{ Body User }

func (h *Handler) getUser(ctx context.Context, in *UserPath) (*userResponse, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	user, err := h.Store.UserByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return &userResponse{h.showUser(user)}, nil
}

// UserPatch is what a request may change about a person.
type UserPatch struct {
	Name          Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"200"`
	Email         Optional[string] `json:"email,omitzero" maxLength:"254" doc:"A new address ends the person's sessions and grants, and is unverified unless emailVerified says otherwise."`
	EmailVerified Optional[bool]   `json:"emailVerified,omitzero"`
	Image         Optional[string] `json:"image,omitzero" maxLength:"2048" doc:"An https URL; null takes the picture away."`
	Role          Optional[string] `json:"role,omitzero" enum:"user,admin,superadmin" doc:"A new role ends the person's sessions and grants. Only a superadmin may give or take one above user."`
}

// nulls finds the fields that have no default to go back to.
func (in *UserPatch) nulls() faults {
	return nulls(map[string]bool{"name": in.Name.Null, "email": in.Email.Null, "emailVerified": in.EmailVerified.Null, "role": in.Role.Null})
}

func (in *UserPatch) patch() store.UserPatch {
	p := store.UserPatch{
		Name: in.Name.pointer(), Email: in.Email.pointer(), EmailVerified: in.EmailVerified.pointer(), Role: in.Role.pointer(),
	}
	if in.Image.Set {
		p.Image = &in.Image.Value // "" for null
	}
	return p
}

type updateUserRequest struct {
	UserPath
	Body UserPatch
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *updateUserRequest) Resolve(huma.Context) []error {
	return in.Body.nulls().findings(in.Body)
}

func (h *Handler) updateUser(ctx context.Context, in *updateUserRequest) (*userResponse, error) {
	return h.patchUser(ctx, in.ID, &in.Body)
}

// IdentifiedUserPatch is a UserPatch that says whom it is about.
type IdentifiedUserPatch struct {
	ID string `json:"id" minLength:"1" maxLength:"255"`
	UserPatch
}

type updateUserInCollectionRequest struct{ Body IdentifiedUserPatch }

// Resolve reports what the schema cannot know together with what it finds.
func (in *updateUserInCollectionRequest) Resolve(huma.Context) []error {
	return in.Body.nulls().findings(in.Body)
}

func (h *Handler) updateUserInCollection(ctx context.Context, in *updateUserInCollectionRequest) (*userResponse, error) {
	return h.patchUser(ctx, reference(in.Body.ID), &in.Body.UserPatch)
}

func (h *Handler) patchUser(ctx context.Context, ref reference, in *UserPatch) (*userResponse, error) {
	id, err := ref.text()
	if err != nil {
		return nil, err
	}
	user, err := h.People.UpdateUser(ctx, actorIn(ctx).Actor, id, in.patch())
	if err != nil {
		return nil, emailTaken(err)
	}
	return &userResponse{h.showUser(user)}, nil
}

func (h *Handler) deleteUser(ctx context.Context, in *UserPath) (*struct{}, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	return nil, h.People.DeleteUser(ctx, actorIn(ctx).Actor, id)
}

// Disabling is how somebody is shut out.
type Disabling struct {
	Reason    string `json:"reason,omitempty" maxLength:"500" doc:"For other operators; the person does not see it."`
	ExpiresIn int64  `json:"expiresIn,omitempty" minimum:"1" maximum:"315360000" doc:"Seconds. Without it the person stays disabled until somebody enables them."`
}

type disableUserRequest struct {
	UserPath
	Idempotent
	Body *Disabling
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *disableUserRequest) Resolve(huma.Context) []error {
	f := faults{}
	if in.Body != nil && !store.Printable(in.Body.Reason) {
		f.add("reason", "The reason has invisible control characters: remove them.")
	}
	return f.findings(struct{}{})
}

type replayedUserResponse struct {
	Replay
	Body User
}

func (h *Handler) disableUser(ctx context.Context, in *disableUserRequest) (*replayedUserResponse, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	var reason string
	var until *time.Time
	if in.Body != nil {
		reason = in.Body.Reason
		if in.Body.ExpiresIn > 0 {
			end := h.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(in.Body.ExpiresIn) * time.Second)
			until = &end
		}
	}
	return h.switchUser(ctx, in.Idempotent, "disableUser", id, in.Body, func(ctx context.Context) error {
		return h.People.Disable(ctx, actorIn(ctx).Actor, id, reason, until)
	})
}

type enableUserRequest struct {
	UserPath
	Idempotent
}

func (h *Handler) enableUser(ctx context.Context, in *enableUserRequest) (*replayedUserResponse, error) {
	id, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	return h.switchUser(ctx, in.Idempotent, "enableUser", id, nil, func(ctx context.Context) error {
		return h.People.Enable(ctx, actorIn(ctx).Actor, id)
	})
}

// switchUser runs act and shows the person as act left them.
func (h *Handler) switchUser(ctx context.Context, key Idempotent, operation, id string, body any, act func(ctx context.Context) error) (*replayedUserResponse, error) {
	shown, replay, err := once(ctx, h, key, operation, []any{id, body}, func(ctx context.Context) (out User, err error) {
		err = h.Store.Tx(ctx, func(ctx context.Context) error {
			if err := act(ctx); err != nil {
				return err
			}
			user, err := h.Store.UserByID(ctx, id)
			if err == nil {
				out = h.showUser(user)
			}
			return err
		})
		return out, err
	})
	return &replayedUserResponse{replay, shown}, err
}
