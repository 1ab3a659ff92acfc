package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// maxPermissions is how many an application can have, and so a role.
const maxPermissions = 500

var errManyPermissions = problem.New(http.StatusConflict, "TOO_MANY_PERMISSIONS", "The application has as many permissions as it can have. Delete one first.")

func (h *Handler) mountPermissions(api huma.API) {
	const all, one = "/applications/{id}/permissions", "/applications/{id}/permissions/{key}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, aboutRoles(operation("listPermissions", http.MethodGet, all, "List the permissions of an application", http.StatusOK, notFound)), h.listPermissions)
	huma.Register(api, aboutRoles(operation("createPermission", http.MethodPost, all, "Add a permission to an application", http.StatusCreated, notFound, conflict)), h.createPermission)
	huma.Register(api, aboutRoles(operation("deletePermissionInCollection", http.MethodDelete, all, "Delete the permission whose key is in the query or the body", http.StatusNoContent, notFound)), h.deletePermissionInCollection)
	huma.Register(api, aboutRoles(operation("getPermission", http.MethodGet, one, "Get a permission", http.StatusOK, notFound)), h.getPermission)
	huma.Register(api, aboutRoles(operation("updatePermission", http.MethodPatch, one, "Change a permission", http.StatusOK, notFound)), h.updatePermission)
	huma.Register(api, aboutRoles(operation("deletePermission", http.MethodDelete, one, "Take a permission out of its roles and delete it", http.StatusNoContent, notFound)), h.deletePermission)
}

func aboutRoles(op huma.Operation) huma.Operation {
	op.Tags = []string{"Roles"}
	return op
}

// A Permission is something that an application can allow.
type Permission struct {
	ID            string  `json:"id"`
	ApplicationID string  `json:"applicationId"`
	Key           string  `json:"key"`
	Name          string  `json:"name"`
	Description   *string `json:"description"`
	CreatedAt     Moment  `json:"createdAt"`
	UpdatedAt     Moment  `json:"updatedAt"`
}

func showPermission(p *store.Permission) Permission {
	return Permission{
		ID: p.ID, ApplicationID: p.ApplicationID, Key: p.Key, Name: p.Name, Description: orNull(p.Description),
		CreatedAt: moment(p.CreatedAt), UpdatedAt: moment(p.UpdatedAt),
	}
}

func (h *Handler) listPermissions(ctx context.Context, in *listKeysRequest) (*listResponse[Permission], error) {
	query, err := h.keyQuery(ctx, in)
	if err != nil {
		return nil, err
	}
	page, err := h.Store.Permissions(ctx, query)
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showPermission, func(p *store.Permission) (any, string) {
		return keyPlace(in.Sort, p.Key, p.Name, p.CreatedAt, p.ID)
	}), nil
}

// A PermissionInput makes a permission.
type PermissionInput struct {
	Key         string           `json:"key" maxLength:"64" doc:"What tokens say, such as invoice:read; it never changes."`
	Name        Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"What operators see. Default: the key."`
	Description Optional[string] `json:"description,omitzero" maxLength:"500"`
}

func (in *PermissionInput) row() *store.Permission {
	p := &store.Permission{Key: in.Key, Name: in.Key}
	patch := in.patch()
	patch.apply(p)
	return p
}

// patch makes what there is already the same.
func (in *PermissionInput) patch() PermissionPatch { return PermissionPatch{in.Name, in.Description} }

// A PermissionPatch changes a permission.
type PermissionPatch struct {
	Name        Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100" doc:"What operators see. Null: the key."`
	Description Optional[string] `json:"description,omitzero" maxLength:"500"`
}

func (in *PermissionPatch) apply(p *store.Permission) {
	in.Name.into(&p.Name, p.Key)
	p.Name = strings.TrimSpace(p.Name)
	in.Description.into(&p.Description, "")
}

func permissionFaults(p *store.Permission) faults {
	f := faults{}
	f.keyValues(p.Key, p.Name, p.Description)
	return f
}

type createPermissionRequest struct {
	ApplicationPath
	Idempotent
	Body PermissionInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createPermissionRequest) Resolve(huma.Context) []error {
	return permissionFaults(in.Body.row()).findings(in.Body)
}

type createPermissionResponse struct {
	Replay
	Body Permission
}

func (h *Handler) createPermission(ctx context.Context, in *createPermissionRequest) (*createPermissionResponse, error) {
	request := []any{in.ID, in.Body}
	body, replay, err := once(ctx, h, in.Idempotent, "createPermission", request, func(ctx context.Context) (out Permission, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			p, err := CreatePermission(ctx, h.Store, actorIn(ctx), a, in.Body)
			if err == nil {
				out = showPermission(p)
			}
			return err
		})
		return out, err
	})
	return &createPermissionResponse{replay, body}, err
}

// CreatePermission adds a permission to the application, which is locked in the transaction of ctx. Bad input is a
// *problem.Error with a sentence for every bad field.
func CreatePermission(ctx context.Context, s *store.Store, actor Actor, a *store.Application, in PermissionInput) (*store.Permission, error) {
	p := in.row()
	if err := permissionFaults(p).err(); err != nil {
		return nil, err
	}
	n, err := s.CountPermissions(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	if n >= maxPermissions {
		return nil, errManyPermissions
	}
	p.ApplicationID = a.ID
	if err := s.CreatePermission(ctx, p); errors.Is(err, store.ErrConflict) {
		return nil, errKeyTaken
	} else if err != nil {
		return nil, err
	}
	return p, s.Audit(ctx, actor.event("permission.create", "permission", p.ID, a.ID, changes(nil, showPermission(p))))
}

type permissionResponse struct{ Body Permission }

func (h *Handler) getPermission(ctx context.Context, in *KeyPath) (*permissionResponse, error) {
	applicationID, key, err := h.atKey(ctx, in)
	if err != nil {
		return nil, err
	}
	p, err := h.Store.PermissionByKey(ctx, applicationID, key)
	if err != nil {
		return nil, err
	}
	return &permissionResponse{showPermission(p)}, nil
}

type updatePermissionRequest struct {
	KeyPath
	Body PermissionPatch
}

// Resolve checks each field that is there by itself.
func (in *updatePermissionRequest) Resolve(huma.Context) []error {
	p := &store.Permission{Key: "any", Name: "any"}
	in.Body.apply(p)
	return permissionFaults(p).findings(in.Body)
}

func (h *Handler) updatePermission(ctx context.Context, in *updatePermissionRequest) (out *permissionResponse, err error) {
	err = h.inKey(ctx, in.KeyPath, func(ctx context.Context, a *store.Application, key string) error {
		p, err := UpdatePermission(ctx, h.Store, actorIn(ctx), a, key, in.Body)
		if err == nil {
			out = &permissionResponse{showPermission(p)}
		}
		return err
	})
	return out, err
}

// UpdatePermission changes the permission with the key of the application, which is locked in the transaction of ctx.
func UpdatePermission(ctx context.Context, s *store.Store, actor Actor, a *store.Application, key string, in PermissionPatch) (*store.Permission, error) {
	p, err := s.PermissionByKey(ctx, a.ID, key)
	if err != nil {
		return nil, err
	}
	before := showPermission(p)
	in.apply(p)
	if err := permissionFaults(p).err(); err != nil {
		return nil, err
	}
	diff := changes(before, showPermission(p))
	if len(diff) == 0 {
		return p, nil
	}
	if err := s.UpdatePermission(ctx, p); err != nil {
		return nil, err
	}
	return p, s.Audit(ctx, actor.event("permission.update", "permission", p.ID, a.ID, diff))
}

func (h *Handler) deletePermission(ctx context.Context, in *KeyPath) (*struct{}, error) {
	return nil, h.inKey(ctx, *in, func(ctx context.Context, a *store.Application, key string) error {
		return DeletePermission(ctx, h.Store, actorIn(ctx), a, key)
	})
}

func (h *Handler) deletePermissionInCollection(ctx context.Context, in *KeyInCollection) (*struct{}, error) {
	path := in.path()
	return h.deletePermission(ctx, &path)
}

// DeletePermission deletes the permission with the key of the application, which is locked in the transaction of ctx, and
// takes it out of its roles.
func DeletePermission(ctx context.Context, s *store.Store, actor Actor, a *store.Application, key string) error {
	p, err := s.PermissionByKey(ctx, a.ID, key)
	if err != nil {
		return err
	}
	roles, err := s.RolesWithPermission(ctx, p.ID)
	if err != nil {
		return err
	}
	if err := s.DeletePermission(ctx, p); err != nil {
		return err
	}
	diff := changes(showPermission(p), nil)
	diff["roles"] = store.Change{Before: roles}
	return s.Audit(ctx, actor.event("permission.delete", "permission", p.ID, a.ID, diff))
}
