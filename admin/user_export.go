package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/export"
	"auth-service/problem"
	"auth-service/store"
)

var errHashes = problem.New(http.StatusForbidden, "SUPERADMIN_REQUIRED", "Only a superadmin may export password hashes. Leave includePasswordHashes out.")

// A UserExport is whom to export, and how.
type UserExport struct {
	UserFilter
	Format                string `query:"format" enum:"csv,jsonl" default:"csv" doc:"A table with one line per person, or one User as JSON per line."`
	IncludePasswordHashes bool   `query:"includePasswordHashes" doc:"With the hashes of passwords, as passwordHash, so that people keep theirs where they are imported. For superadmins alone."`
}

// An ExportedUser is a User in a file, with the hash of the password where it was asked for.
type ExportedUser struct {
	User
	PasswordHash *string `json:"passwordHash,omitempty"`
}

// exportUsers sends everybody whom the filters select.
func (h *Handler) exportUsers(ctx context.Context, in *UserExport) (*huma.StreamResponse, error) {
	people, first, err := in.begin(ctx, h.Store, actorIn(ctx), h.Now)
	if err != nil {
		return nil, err
	}
	return people.Answer(h.file("users", in.Format), first), nil
}

// ExportUsers writes everybody whom in selects to w, the first to come first. What was written before an error is a part.
func ExportUsers(ctx context.Context, s *store.Store, actor Actor, now func() time.Time, in UserExport, w io.Writer) error {
	people, first, err := in.begin(ctx, s, actor, now)
	if err != nil {
		return err
	}
	return people.Write(ctx, in.Format, w, first)
}

// begin checks who exports what, reads the first batch and records that it leaves the house.
func (in *UserExport) begin(ctx context.Context, s *store.Store, actor Actor, now func() time.Time) (*export.Export[store.User, ExportedUser], *store.Page[store.User], error) {
	query, bad := in.query()
	if err := bad.err(); err != nil {
		return nil, nil, err
	}
	if in.IncludePasswordHashes && !actor.Superadmin {
		return nil, nil, errHashes
	}
	if err := in.resolve(ctx, s, &query); err != nil {
		return nil, nil, err
	}
	people := in.export(s, query, now)
	first, err := people.First(ctx)
	if err != nil {
		return nil, nil, err
	}
	return people, first, s.Audit(ctx, actor.event("user.export", "user", "", "", changes(nil, map[string]any{
		"format": in.Format, "search": orNull(in.Search), "role": orNull(in.Role), "disabled": orNull(in.Disabled),
		"organizationId": orNull(query.OrganizationID), "applicationId": orNull(query.ApplicationID),
		"includePasswordHashes": in.IncludePasswordHashes,
	})))
}

func (in *UserExport) export(s *store.Store, query store.UserQuery, now func() time.Time) *export.Export[store.User, ExportedUser] {
	return &export.Export[store.User, ExportedUser]{
		Page: func(ctx context.Context, limit int, after *store.Position) (*store.Page[store.User], error) {
			query.Paging = store.Paging{Sort: store.ByCreation, Limit: limit, After: after}
			return s.Users(ctx, query)
		},
		At: func(u *store.User) store.Position { return store.Position{Value: u.CreatedAt, ID: u.ID} },
		Show: func(u *store.User) ExportedUser {
			out := ExportedUser{User: showUser(u, now())}
			if in.IncludePasswordHashes {
				out.PasswordHash = orNull(u.PasswordHash)
			}
			return out
		},
		Columns: in.columns(), Cells: in.cells, Allowed: stillAllowed,
	}
}

var userColumns = []string{"id", "email", "emailVerified", "name", "image", "role", "disabled", "disabledReason", "disabledUntil", "createdAt", "updatedAt"}

func (in *UserExport) columns() []string {
	if in.IncludePasswordHashes {
		return append(userColumns[:len(userColumns):len(userColumns)], "passwordHash")
	}
	return userColumns
}

func (in *UserExport) cells(u *ExportedUser) ([]string, error) {
	until := ""
	if u.DisabledUntil != nil {
		until = u.DisabledUntil.text()
	}
	cells := []string{u.ID, u.Email, strconv.FormatBool(u.EmailVerified), u.Name, orEmpty(u.Image), u.Role,
		strconv.FormatBool(u.Disabled), orEmpty(u.DisabledReason), until, u.CreatedAt.text(), u.UpdatedAt.text()}
	if in.IncludePasswordHashes {
		cells = append(cells, orEmpty(u.PasswordHash))
	}
	return cells, nil
}

func exportOfUsers() huma.Operation {
	op := aboutUsers(operation("exportUsers", http.MethodGet, "/users/export", "Download people, the first to come first", http.StatusOK))
	op.Responses = export.Responses("people", "User", userColumns)
	return op
}
