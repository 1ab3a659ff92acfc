package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// countedGrants is how many grants are looked at for Counts.
const countedGrants = 1000

var errSlugTaken = func() error {
	e := problem.New(http.StatusConflict, "SLUG_TAKEN", "Another application has this slug. Choose another one.")
	e.Fields = map[string]string{"slug": "Another application has this slug."}
	return e
}()

func (h *Handler) mountApplications(api huma.API) {
	const all, one = "/applications", "/applications/{id}"
	huma.Register(api, operation("listApplications", http.MethodGet, all, "List applications", http.StatusOK), h.listApplications)
	huma.Register(api, operation("createApplication", http.MethodPost, all, "Create an application and its first client", http.StatusCreated, http.StatusConflict), h.createApplication)
	huma.Register(api, operation("getApplication", http.MethodGet, one, "Get an application", http.StatusOK, http.StatusNotFound), h.getApplication)
	huma.Register(api, operation("updateApplication", http.MethodPatch, one, "Change an application and its first client", http.StatusOK, http.StatusNotFound, http.StatusConflict), h.updateApplication)
	huma.Register(api, operation("deleteApplication", http.MethodDelete, one, "Revoke all grants of an application and delete it", http.StatusNoContent, http.StatusNotFound), h.deleteApplication)
}

type listApplicationsRequest struct {
	PageRequest
	Search string `query:"search" maxLength:"200" doc:"A part of the name, the slug or a client_id."`
	Sort   string `query:"sort" enum:"createdAt,-createdAt,name,-name,updatedAt,-updatedAt" default:"-createdAt"`
	Type   string `query:"type" enum:"web,spa,native,m2m" doc:"Applications with a client of this type."`
}

func (h *Handler) listApplications(ctx context.Context, in *listApplicationsRequest) (*listResponse[Application], error) {
	paging, bad := in.paging(in.Sort)
	bad.search(in.Search)
	if err := bad.err(); err != nil {
		return nil, err
	}
	page, err := h.Store.Applications(ctx, store.ApplicationQuery{Paging: paging, Search: in.Search, Type: in.Type})
	if err != nil {
		return nil, err
	}
	return showPage(page, in.Sort, showApplication, func(a *store.Application) (any, string) {
		switch paging.Sort {
		case store.ByName:
			return a.Name, a.ID
		case store.ByUpdate:
			return a.UpdatedAt, a.ID
		}
		return a.CreatedAt, a.ID
	}), nil
}

type createApplicationRequest struct {
	Idempotent
	Body ApplicationInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createApplicationRequest) Resolve(huma.Context) []error {
	return applicationFaults(in.Body.rows()).findings(in.Body)
}

// CreatedApplication is a new application with the secret of its client, which is never shown again.
type CreatedApplication struct {
	ApplicationDetail
	ClientSecret *string `json:"clientSecret" doc:"Shown only now. Null for a public client."`
}

type createApplicationResponse struct {
	Replay
	Body CreatedApplication
}

func (h *Handler) createApplication(ctx context.Context, in *createApplicationRequest) (*createApplicationResponse, error) {
	body, replay, err := once(ctx, h, in.Idempotent, "createApplication", in.Body, func(ctx context.Context) (CreatedApplication, error) {
		a, secret, err := CreateApplication(ctx, h.Store, actorIn(ctx), in.Body)
		if err != nil {
			return CreatedApplication{}, err
		}
		detail := ApplicationDetail{Application: showApplication(a), Clients: showClients(a.Clients), Counts: Counts{Clients: 1}}
		return CreatedApplication{detail, orNull(secret)}, nil
	})
	return &createApplicationResponse{replay, body}, err
}

// CreateApplication makes an application with its first client and returns it together with the client's secret, which
// is stored nowhere; it is empty for a public client. Bad input is a *problem.Error with a sentence for every bad field.
func CreateApplication(ctx context.Context, s *store.Store, actor Actor, in ApplicationInput) (*store.Application, string, error) {
	a, c := in.rows()
	if err := applicationFaults(a, c).err(); err != nil {
		return nil, "", err
	}
	if err := actor.mayChange(*c); err != nil {
		return nil, "", err
	}
	var secret string
	slug := a.Slug
	err := s.Tx(ctx, func(ctx context.Context) error {
		a.Slug = slug // a transaction may run again
		if err := insertApplication(ctx, s, a); err != nil {
			return err
		}
		c.ApplicationID = a.ID
		var err error
		if secret, err = insertClient(ctx, s, c); err != nil {
			return err
		}
		a.Clients = []store.Client{*c}
		return s.Audit(ctx, actor.event("application.create", "application", a.ID, a.ID, changes(nil, showApplication(a))))
	})
	return a, secret, err
}

// applicationFaults checks all of an application and its first client.
func applicationFaults(a *store.Application, c *store.Client) faults {
	f := faults{}
	f.applicationValues(a)
	f.clientValues(c)
	if c.ID != "" {
		f.add("clientId", clientIDFault(c.ID))
	}
	f.applicationRules(a)
	f.clientRules(c)
	return f
}

// insertApplication takes the slug that was asked for, or the first free one of those made from the name.
func insertApplication(ctx context.Context, s *store.Store, a *store.Application) error {
	if a.Slug != "" {
		err := s.CreateApplication(ctx, a)
		if errors.Is(err, store.ErrConflict) {
			return errSlugTaken
		}
		return err
	}
	var err error
	for _, a.Slug = range slugCandidates(slugOf(a.Name, "app")) {
		if err = s.CreateApplication(ctx, a); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// ApplicationPath is the part of a path that names an application. Huma sees only exported embedded structs.
type ApplicationPath struct {
	ID reference `path:"id" maxLength:"255" doc:"The id, the slug or a client_id of the application."`
}

type applicationResponse struct{ Body ApplicationDetail }

// applicationNamed returns the application that a path or a query names: by its id, its slug or a client_id.
func (h *Handler) applicationNamed(ctx context.Context, ref reference) (*store.Application, error) {
	text, err := ref.text()
	if err != nil {
		return nil, err
	}
	return h.Store.ApplicationByRef(ctx, text)
}

func (h *Handler) getApplication(ctx context.Context, in *ApplicationPath) (*applicationResponse, error) {
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return h.detail(ctx, a)
}

func (h *Handler) detail(ctx context.Context, a *store.Application) (*applicationResponse, error) {
	n, err := h.Store.CountGrants(ctx, a, countedGrants+1)
	if err != nil {
		return nil, err
	}
	counts := Counts{Clients: len(a.Clients), Grants: min(n.Grants, countedGrants), Users: min(n.Users, countedGrants), AtLeast: n.Grants > countedGrants}
	return &applicationResponse{ApplicationDetail{showApplication(a), showClients(a.Clients), counts}}, nil
}

type updateApplicationRequest struct {
	ApplicationPath
	Body ApplicationPatch
}

// Resolve checks each field that is there by itself. How the fields go together is known once they are merged.
func (in *updateApplicationRequest) Resolve(huma.Context) []error {
	return applicationPatchFaults(&in.Body).findings(in.Body)
}

func applicationPatchFaults(in *ApplicationPatch) faults {
	a, c := newApplication(), newClient(store.ClientNative) // what is allowed for no type is not allowed for native either
	a.Name, a.Slug, c.Name = "any", "any", "any"
	in.apply(a, c)
	f := faults{}
	f.applicationValues(a)
	f.add("slug", slugFault(a.Slug))
	f.clientValues(c)
	return f
}

func (h *Handler) updateApplication(ctx context.Context, in *updateApplicationRequest) (*applicationResponse, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	var a *store.Application
	err = h.Store.Tx(ctx, func(ctx context.Context) error {
		if a, err = h.Store.LockApplication(ctx, ref); err != nil {
			return err
		}
		return UpdateApplication(ctx, h.Store, actorIn(ctx), a, in.Body)
	})
	if err != nil {
		return nil, err
	}
	return h.detail(ctx, a)
}

// UpdateApplication changes the application, which is locked in the transaction of ctx, and its first client. Bad input is a
// *problem.Error with a sentence for every bad field.
func UpdateApplication(ctx context.Context, s *store.Store, actor Actor, a *store.Application, in ApplicationPatch) error {
	if err := actor.mayChange(a.Clients...); err != nil {
		return err
	}
	c := &a.Clients[0]
	before, was := showApplication(a), *c
	disabled := a.Disabled
	in.apply(a, c)
	if err := applicationFaults(a, c).err(); err != nil {
		return err
	}
	if err := actor.mayChange(*c); err != nil {
		return err
	}
	diff := changes(before, showApplication(a))
	if len(diff) == 0 {
		return nil
	}
	if err := s.UpdateApplication(ctx, a); errors.Is(err, store.ErrConflict) {
		return errSlugTaken
	} else if err != nil {
		return err
	}
	if err := storeClient(ctx, s, &was, c); err != nil {
		return err
	}
	if a.Disabled && !disabled {
		if err := s.RevokeApplicationGrants(ctx, a.ID, store.ReasonClientDisabled); err != nil {
			return err
		}
	}
	return s.Audit(ctx, actor.event("application.update", "application", a.ID, a.ID, diff))
}

// storeClient writes a changed client with what follows from the change.
func storeClient(ctx context.Context, s *store.Store, was, c *store.Client) error {
	if reflect.DeepEqual(was, c) {
		return nil
	}
	if err := s.UpdateClient(ctx, c); err != nil {
		return err
	}
	if c.Public() && !was.Public() { // a secret that nobody may use must not come back with another change
		if err := s.DeleteClientSecrets(ctx, c.ID); err != nil {
			return err
		}
		c.Secrets = nil
	}
	switch {
	case c.Disabled && !was.Disabled:
		return s.RevokeClientGrants(ctx, c.ID, store.ReasonClientDisabled)
	case slices.Contains(was.Scopes, scopeAdmin) && !slices.Contains(c.Scopes, scopeAdmin):
		// Tokens with the scope are out there, and this API would go on accepting them.
		return s.RevokeClientGrants(ctx, c.ID, reasonScopeRemoved)
	}
	return nil
}

const reasonScopeRemoved = "scope_removed"

func (h *Handler) deleteApplication(ctx context.Context, in *ApplicationPath) (*struct{}, error) {
	ref, err := in.ID.text()
	if err != nil {
		return nil, err
	}
	return nil, h.Store.Tx(ctx, func(ctx context.Context) error {
		a, err := h.Store.LockApplication(ctx, ref)
		if err != nil {
			return err
		}
		actor := actorIn(ctx)
		if err := actor.mayChange(a.Clients...); err != nil {
			return err
		}
		if err := h.Store.RevokeApplicationGrants(ctx, a.ID, store.ReasonClientDeleted); err != nil {
			return err
		}
		if err := h.Store.DeleteApplication(ctx, a.ID); err != nil {
			return err
		}
		return h.Store.Audit(ctx, actor.event("application.delete", "application", a.ID, a.ID, changes(showApplication(a), nil)))
	})
}

// A reference is what a path names an object by.
type reference string

// text refuses, as unknown, what no id, slug or client_id can be and what a database would choke on.
func (r reference) text() (string, error) {
	if !store.Printable(string(r)) {
		return "", store.ErrNotFound
	}
	return string(r), nil
}
