package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// maxRoles is how many an application can have, and so somebody in it.
const maxRoles = 200

// countedHolders is how many holders of a role are looked at before it is deleted.
const countedHolders = 10_000

var (
	errManyRoles    = problem.New(http.StatusConflict, "TOO_MANY_ROLES", "The application has as many roles as it can have. Delete one first.")
	errRoleAssigned = problem.New(http.StatusConflict, "ROLE_ASSIGNED", "People or clients hold this role. Take it from them first, or delete it with force=true.")
)

func (h *Handler) mountRoles(api huma.API) {
	const all, one = "/applications/{id}/roles", "/applications/{id}/roles/{key}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutRoles(operation("listRoles", http.MethodGet, all, "List the roles of an application", http.StatusOK, notFound)), h.listRoles)
	huma.Register(api, aboutRoles(operation("createRole", http.MethodPost, all, "Add a role to an application", http.StatusCreated, notFound, conflict)), h.createRole)
	huma.Register(api, aboutRoles(operation("deleteRoleInCollection", http.MethodDelete, all, "Delete the role whose key is in the query or the body", http.StatusNoContent, notFound, conflict)), h.deleteRoleInCollection)
	huma.Register(api, aboutRoles(operation("getRole", http.MethodGet, one, "Get a role", http.StatusOK, notFound)), h.getRole)
	huma.Register(api, aboutRoles(operation("updateRole", http.MethodPatch, one, "Change a role", http.StatusOK, notFound)), h.updateRole)
	huma.Register(api, aboutRoles(operation("deleteRole", http.MethodDelete, one, "Delete a role", http.StatusNoContent, notFound, conflict)), h.deleteRole)
}

// A Role is a set of an application's permissions that people and clients can hold.
type Role struct {
	ID            string   `json:"id"`
	ApplicationID string   `json:"applicationId"`
	Key           string   `json:"key"`
	Name          string   `json:"name"`
	Description   *string  `json:"description"`
	IsDefault     bool     `json:"isDefault" doc:"True when everybody holds it."`
	Permissions   []string `json:"permissions" doc:"Keys, sorted."`
	CreatedAt     Moment   `json:"createdAt"`
	UpdatedAt     Moment   `json:"updatedAt"`
}

func showRole(r *store.Role) Role {
	return Role{
		ID: r.ID, ApplicationID: r.ApplicationID, Key: r.Key, Name: r.Name, Description: orNull(r.Description),
		IsDefault: r.IsDefault, Permissions: list(r.Permissions), CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt),
	}
}

func (h *Handler) listRoles(ctx context.Context, in *listKeysRequest) (*listResponse[Role], error) {
	query, err := h.keyQuery(ctx, in)
	if err != nil {
		return nil, err
	}
	page, err := h.Store.Roles(ctx, query)
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showRole, func(r *store.Role) (any, string) {
		return keyPlace(in.Sort, r.Key, r.Name, r.CreatedAt, r.ID)
	}), nil
}

// A RoleInput makes a role.
type RoleInput struct {
	Key         string             `json:"key" maxLength:"64" doc:"What tokens say, such as editor; it never changes."`
	Name        Optional[string]   `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"What operators see. Default: the key."`
	Description Optional[string]   `json:"description,omitzero" maxLength:"500"`
	IsDefault   Optional[bool]     `json:"isDefault,omitzero" doc:"True gives the role to everybody. Default: false."`
	Permissions Optional[[]string] `json:"permissions,omitzero" maxItems:"500" maxLength:"64" doc:"Keys of the application's permissions. Default: none."`
}

func (in *RoleInput) row() *store.Role {
	r := &store.Role{Key: in.Key, Name: in.Key, Permissions: []string{}}
	patch := in.patch()
	patch.apply(r)
	return r
}

// patch makes what there is already the same.
func (in *RoleInput) patch() RolePatch {
	return RolePatch{in.Name, in.Description, in.IsDefault, in.Permissions}
}

// A RolePatch changes a role.
type RolePatch struct {
	Name        Optional[string]   `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"What operators see. Null: the key."`
	Description Optional[string]   `json:"description,omitzero" maxLength:"500"`
	IsDefault   Optional[bool]     `json:"isDefault,omitzero" doc:"True gives the role to everybody."`
	Permissions Optional[[]string] `json:"permissions,omitzero" maxItems:"500" maxLength:"64" doc:"Keys of the application's permissions. They replace those that the role has."`
}

func (in *RolePatch) apply(r *store.Role) {
	in.Name.into(&r.Name, r.Key)
	r.Name = strings.TrimSpace(r.Name)
	in.Description.into(&r.Description, "")
	in.IsDefault.into(&r.IsDefault, false)
	in.Permissions.into(&r.Permissions, []string{})
}

func roleFaults(r *store.Role) faults {
	f := faults{}
	f.keyValues(r.Key, r.Name, r.Description)
	f.list("permissions", r.Permissions, maxPermissions, keyFault)
	return f
}

// checkRole checks a role of the application, and sorts its permissions.
func checkRole(ctx context.Context, s *store.Store, a *store.Application, r *store.Role) error {
	if err := roleFaults(r).err(); err != nil {
		return err
	}
	known, err := s.KnownPermissions(ctx, a.ID, r.Permissions)
	if err != nil {
		return err
	}
	f := faults{}
	f.knownKeys("permissions", "permission", r.Permissions, known)
	r.Permissions = known
	return f.err()
}

type createRoleRequest struct {
	ApplicationPath
	Idempotent
	Body RoleInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createRoleRequest) Resolve(huma.Context) []error {
	return roleFaults(in.Body.row()).findings(in.Body)
}

type createRoleResponse struct {
	Replay
	Body Role
}

func (h *Handler) createRole(ctx context.Context, in *createRoleRequest) (*createRoleResponse, error) {
	request := []any{in.ID, in.Body}
	body, replay, err := once(ctx, h, in.Idempotent, "createRole", request, func(ctx context.Context) (out Role, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			r, err := CreateRole(ctx, h.Store, actorIn(ctx), a, in.Body)
			if err == nil {
				out = showRole(r)
			}
			return err
		})
		return out, err
	})
	return &createRoleResponse{replay, body}, err
}

// CreateRole adds a role to the application, which is locked in the transaction of ctx. Bad input is a *problem.Error with a
// sentence for every bad field.
func CreateRole(ctx context.Context, s *store.Store, actor Actor, a *store.Application, in RoleInput) (*store.Role, error) {
	r := in.row()
	if err := checkRole(ctx, s, a, r); err != nil {
		return nil, err
	}
	n, err := s.CountRoles(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	if n >= maxRoles {
		return nil, errManyRoles
	}
	r.ApplicationID = a.ID
	if err := s.CreateRole(ctx, r); errors.Is(err, store.ErrConflict) {
		return nil, errKeyTaken
	} else if err != nil {
		return nil, err
	}
	return r, s.Audit(ctx, actor.event("role.create", "role", r.ID, a.ID, changes(nil, showRole(r))))
}

type roleResponse struct{ Body Role }

func (h *Handler) getRole(ctx context.Context, in *KeyPath) (*roleResponse, error) {
	applicationID, key, err := h.atKey(ctx, in)
	if err != nil {
		return nil, err
	}
	r, err := h.Store.RoleByKey(ctx, applicationID, key)
	if err != nil {
		return nil, err
	}
	return &roleResponse{showRole(r)}, nil
}

type updateRoleRequest struct {
	KeyPath
	Body RolePatch
}

// Resolve checks each field that is there by itself.
func (in *updateRoleRequest) Resolve(huma.Context) []error {
	r := &store.Role{Key: "any", Name: "any"}
	in.Body.apply(r)
	return roleFaults(r).findings(in.Body)
}

func (h *Handler) updateRole(ctx context.Context, in *updateRoleRequest) (out *roleResponse, err error) {
	err = h.inKey(ctx, in.KeyPath, func(ctx context.Context, a *store.Application, key string) error {
		r, err := UpdateRole(ctx, h.Store, actorIn(ctx), a, key, in.Body)
		if err == nil {
			out = &roleResponse{showRole(r)}
		}
		return err
	})
	return out, err
}

// UpdateRole changes the role with the key of the application, which is locked in the transaction of ctx.
func UpdateRole(ctx context.Context, s *store.Store, actor Actor, a *store.Application, key string, in RolePatch) (*store.Role, error) {
	r, err := s.RoleByKey(ctx, a.ID, key)
	if err != nil {
		return nil, err
	}
	was := *r
	in.apply(r)
	if err := checkRole(ctx, s, a, r); err != nil {
		return nil, err
	}
	diff := changes(showRole(&was), showRole(r))
	if len(diff) == 0 {
		return r, nil
	}
	if err := s.UpdateRole(ctx, &was, r); err != nil {
		return nil, err
	}
	return r, s.Audit(ctx, actor.event("role.update", "role", r.ID, a.ID, diff))
}

type deleteRoleRequest struct {
	KeyPath
	Force bool `query:"force" doc:"True takes the role from all who hold it."`
}

func (h *Handler) deleteRole(ctx context.Context, in *deleteRoleRequest) (*struct{}, error) {
	return nil, h.inKey(ctx, in.KeyPath, func(ctx context.Context, a *store.Application, key string) error {
		return DeleteRole(ctx, h.Store, actorIn(ctx), a, key, in.Force)
	})
}

type deleteRoleInCollectionRequest struct {
	KeyInCollection
	Force bool `query:"force" doc:"True takes the role from all who hold it."`
}

func (h *Handler) deleteRoleInCollection(ctx context.Context, in *deleteRoleInCollectionRequest) (*struct{}, error) {
	return h.deleteRole(ctx, &deleteRoleRequest{in.path(), in.Force})
}

// DeleteRole deletes the role with the key of the application, which is locked in the transaction of ctx. One that was given
// to somebody stays, unless force takes it from them.
func DeleteRole(ctx context.Context, s *store.Store, actor Actor, a *store.Application, key string, force bool) error {
	r, err := s.RoleByKey(ctx, a.ID, key)
	if err != nil {
		return err
	}
	holders, err := s.CountRoleHolders(ctx, r.ID, countedHolders)
	if err != nil {
		return err
	}
	if holders != (store.RoleHolders{}) && !force {
		return errRoleAssigned
	}
	if err := s.DeleteRole(ctx, r); err != nil {
		return err
	}
	diff := changes(showRole(r), nil)
	if force {
		diff["assignments"], diff["clients"] = store.Change{Before: holders.Assignments}, store.Change{Before: holders.Clients}
	}
	return s.Audit(ctx, actor.event("role.delete", "role", r.ID, a.ID, diff))
}

// rolesByKey returns the application's roles with the keys, and refuses those that it does not have.
func (h *Handler) rolesByKey(ctx context.Context, a *store.Application, keys []string) ([]store.Role, error) {
	roles, err := h.Store.RolesByKey(ctx, a.ID, keys)
	if err != nil {
		return nil, err
	}
	f := faults{}
	known := make([]string, len(roles))
	for i := range roles {
		known[i] = roles[i].Key
	}
	f.knownKeys("roles", "role", keys, known)
	return roles, f.err()
}

// changedRoles is what the audit log keeps of a set of roles that was replaced; nothing when it is the same.
func changedRoles(was []string, held *store.HeldRoles) map[string]store.Change {
	if slices.Equal(was, held.Assigned) {
		return nil
	}
	return map[string]store.Change{"roles": {Before: was, After: held.Assigned}}
}
