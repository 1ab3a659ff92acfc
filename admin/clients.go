package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

const (
	// secretPrefix lets people and secret scanners recognize a client secret where it should not be.
	secretPrefix = "cs_"
	secretBytes  = 32
	// secretHint is how much of a secret is shown later: it tells two apart and leaves more than 200 bits to guess.
	secretHint = len(secretPrefix) + 5
)

var (
	errPublicClient = problem.New(http.StatusBadRequest, "PUBLIC_CLIENT", "This client is public and has no secret.")
	errLastClient   = problem.New(http.StatusConflict, "LAST_CLIENT", "This is the application's only client. Delete the application instead.")
	errManyClients  = problem.New(http.StatusConflict, "TOO_MANY_CLIENTS", "The application has as many clients as it can have.")
	errClientID     = problem.New(http.StatusConflict, "CLIENT_ID_TAKEN", "Another client has this client_id. Choose another one.")
)

func (h *Handler) mountClients(api huma.API) {
	const all, one = "/applications/{id}/clients", "/applications/{id}/clients/{clientId}"
	const notFound, conflict = http.StatusNotFound, http.StatusConflict
	huma.Register(api, operation("listClients", http.MethodGet, all, "List the clients of an application", http.StatusOK, notFound), h.listClients)
	huma.Register(api, operation("createClient", http.MethodPost, all, "Add a client to an application", http.StatusCreated, notFound, conflict), h.createClient)
	huma.Register(api, operation("getClient", http.MethodGet, one, "Get a client", http.StatusOK, notFound), h.getClient)
	huma.Register(api, operation("updateClient", http.MethodPatch, one, "Change a client", http.StatusOK, notFound), h.updateClient)
	huma.Register(api, operation("deleteClient", http.MethodDelete, one, "Revoke all grants of a client and delete it", http.StatusNoContent, notFound, conflict), h.deleteClient)
	huma.Register(api, operation("rotateClientSecret", http.MethodPost, one+"/rotate-secret", "Give a client a new secret", http.StatusOK, notFound), h.rotateClientSecret)
	huma.Register(api, operation("rotateApplicationSecret", http.MethodPost, "/applications/{id}/rotate-secret", "Give an application's first client a new secret", http.StatusOK, notFound), h.rotateApplicationSecret)
}

// ClientPath is the part of a path that names a client of an application.
type ClientPath struct {
	ApplicationPath
	ClientID reference `path:"clientId" maxLength:"255"`
}

// ClientList is all clients of an application; there are never so many that they need pages.
type ClientList struct {
	Items           []Client `json:"items"`
	NextCursor      *string  `json:"nextCursor" doc:"Always null."`
	Total           int64    `json:"total"`
	TotalIsEstimate bool     `json:"totalIsEstimate" doc:"Always false."`
}

type clientListResponse struct{ Body ClientList }

func (h *Handler) listClients(ctx context.Context, in *ApplicationPath) (*clientListResponse, error) {
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &clientListResponse{ClientList{Items: showClients(a.Clients), Total: int64(len(a.Clients))}}, nil
}

type createClientRequest struct {
	ApplicationPath
	Idempotent
	Body ClientInput
}

// Resolve reports what the schema cannot know together with what it finds.
func (in *createClientRequest) Resolve(huma.Context) []error {
	return clientFaults(in.Body.row("any")).findings(in.Body)
}

func (in *ClientInput) row(applicationName string) *store.Client {
	c := newClient(in.Type)
	c.Name = applicationName
	in.Name.into(&c.Name, applicationName)
	c.Name = strings.TrimSpace(c.Name)
	c.ID = in.ClientID
	in.ClientSettings.create(c)
	return c
}

func clientFaults(c *store.Client) faults {
	f := faults{}
	f.clientValues(c)
	f.clientRules(c)
	return f
}

// CreatedClient is a new client with its secret, which is never shown again.
type CreatedClient struct {
	Client
	ClientSecret *string `json:"clientSecret" doc:"Shown only now. Null for a public client."`
}

type createClientResponse struct {
	Replay
	Body CreatedClient
}

func (h *Handler) createClient(ctx context.Context, in *createClientRequest) (*createClientResponse, error) {
	request := []any{in.ID, in.Body}
	body, replay, err := once(ctx, h, in.Idempotent, "createClient", request, func(ctx context.Context) (out CreatedClient, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			c, secret, err := CreateClient(ctx, h.Store, actorIn(ctx), a, in.Body)
			if err == nil {
				out = CreatedClient{showClient(c), orNull(secret)}
			}
			return err
		})
		return out, err
	})
	return &createClientResponse{replay, body}, err
}

// CreateClient adds a client to the application, which is locked in the transaction of ctx, and returns it together with its
// secret, which is stored nowhere; it is empty for a public client. Bad input is a *problem.Error with a sentence for every
// bad field.
func CreateClient(ctx context.Context, s *store.Store, actor Actor, a *store.Application, in ClientInput) (*store.Client, string, error) {
	c := in.row(a.Name)
	f := clientFaults(c)
	if c.ID != "" {
		f.add("clientId", clientIDFault(c.ID))
	}
	if err := f.err(); err != nil {
		return nil, "", err
	}
	if err := actor.mayChange(*c); err != nil {
		return nil, "", err
	}
	if len(a.Clients) >= maxClients {
		return nil, "", errManyClients
	}
	c.ApplicationID = a.ID
	secret, err := insertClient(ctx, s, c)
	if err != nil {
		return nil, "", err
	}
	return c, secret, s.Audit(ctx, actor.event("client.create", "client", c.ID, a.ID, changes(nil, showClient(c))))
}

// insertClient gives the client an id, unless it has one, and a secret, if it can keep one.
func insertClient(ctx context.Context, s *store.Store, c *store.Client) (secret string, err error) {
	if c.ID == "" {
		c.ID = "cl_" + randomText(20)
	}
	if err := s.CreateClient(ctx, c); errors.Is(err, store.ErrConflict) {
		return "", errClientID
	} else if err != nil {
		return "", err
	}
	if c.Public() {
		return "", nil
	}
	secret, _, err = renewSecret(ctx, s, c, 0)
	return secret, err
}

// renewSecret makes a secret and returns it with the time at which the one before it ends.
func renewSecret(ctx context.Context, s *store.Store, c *store.Client, overlap time.Duration) (string, *time.Time, error) {
	secret := secretPrefix + store.RandomToken(secretBytes)
	row := &store.ClientSecret{Hash: store.HashSecret(secret), Hint: secret[:secretHint]}
	ends, err := s.RotateClientSecret(ctx, c.ID, row, overlap)
	if err != nil {
		return "", nil, err
	}
	c.Secrets = []store.ClientSecret{*row}
	return secret, ends, nil
}

type clientResponse struct{ Body Client }

func (h *Handler) getClient(ctx context.Context, in *ClientPath) (*clientResponse, error) {
	c, err := h.client(ctx, in)
	if err != nil {
		return nil, err
	}
	return &clientResponse{showClient(c)}, nil
}

// client returns the client that a path names. Another application's is unknown here.
func (h *Handler) client(ctx context.Context, in *ClientPath) (*store.Client, error) {
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	c := a.Client(string(in.ClientID))
	if c == nil {
		return nil, store.ErrNotFound
	}
	return c, nil
}

type updateClientRequest struct {
	ClientPath
	Body ClientPatch
}

// Resolve checks each field that is there by itself. How the fields go together is known once they are merged.
func (in *updateClientRequest) Resolve(huma.Context) []error {
	return clientPatchFaults(&in.Body).findings(in.Body)
}

func clientPatchFaults(in *ClientPatch) faults {
	c := newClient(store.ClientNative) // what is allowed for no type is not allowed for native either
	c.Name = "any"
	in.apply(c, "any")
	f := faults{}
	f.clientValues(c)
	return f
}

func (h *Handler) updateClient(ctx context.Context, in *updateClientRequest) (out *clientResponse, err error) {
	err = h.inClient(ctx, &in.ClientPath, func(ctx context.Context, a *store.Application, c *store.Client) error {
		err := UpdateClient(ctx, h.Store, actorIn(ctx), a, c, in.Body)
		if err == nil {
			out = &clientResponse{showClient(c)}
		}
		return err
	})
	return out, err
}

// UpdateClient changes a client of the application, which is locked in the transaction of ctx. Bad input is a *problem.Error
// with a sentence for every bad field.
func UpdateClient(ctx context.Context, s *store.Store, actor Actor, a *store.Application, c *store.Client, in ClientPatch) error {
	was := *c
	if err := actor.mayChange(was); err != nil {
		return err
	}
	in.apply(c, a.Name)
	if err := clientFaults(c).err(); err != nil {
		return err
	}
	if err := actor.mayChange(*c); err != nil {
		return err
	}
	diff := changes(showClient(&was), showClient(c))
	if len(diff) == 0 {
		return nil
	}
	if err := storeClient(ctx, s, &was, c); err != nil {
		return err
	}
	return s.Audit(ctx, actor.event("client.update", "client", c.ID, a.ID, diff))
}

func (h *Handler) deleteClient(ctx context.Context, in *ClientPath) (*struct{}, error) {
	return nil, h.inClient(ctx, in, func(ctx context.Context, a *store.Application, c *store.Client) error {
		if len(a.Clients) == 1 {
			return errLastClient
		}
		if err := h.Store.RevokeClientGrants(ctx, c.ID, store.ReasonClientDeleted); err != nil {
			return err
		}
		if err := h.Store.DeleteClient(ctx, c.ID); err != nil {
			return err
		}
		return h.Store.Audit(ctx, actorIn(ctx).event("client.delete", "client", c.ID, a.ID, changes(showClient(c), nil)))
	})
}

// Rotation is how a secret is to be replaced.
type Rotation struct {
	GraceSeconds int64 `json:"graceSeconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the previous secret stays good, so that it can be replaced everywhere. Default: 0."`
}

type rotateApplicationRequest struct {
	ApplicationPath
	Idempotent
	Body *Rotation
}

type rotateClientRequest struct {
	ClientPath
	Idempotent
	Body *Rotation
}

// RotatedSecret is a client's new secret, which is never shown again.
type RotatedSecret struct {
	ClientID                string  `json:"clientId"`
	ClientSecret            string  `json:"clientSecret" doc:"Shown only now."`
	PreviousSecretExpiresAt *Moment `json:"previousSecretExpiresAt" nullable:"true" doc:"Null when the previous secret has ended already, or there was none."`
}

type rotateResponse struct {
	Replay
	Body RotatedSecret
}

func (h *Handler) rotateClientSecret(ctx context.Context, in *rotateClientRequest) (*rotateResponse, error) {
	request := []any{in.ID, in.ClientID, in.Body}
	body, replay, err := once(ctx, h, in.Idempotent, "rotateClientSecret", request, func(ctx context.Context) (out RotatedSecret, err error) {
		err = h.inClient(ctx, &in.ClientPath, func(ctx context.Context, a *store.Application, c *store.Client) error {
			out, err = h.rotate(ctx, a, c, in.Body)
			return err
		})
		return out, err
	})
	return &rotateResponse{replay, body}, err
}

func (h *Handler) rotateApplicationSecret(ctx context.Context, in *rotateApplicationRequest) (*rotateResponse, error) {
	request := []any{in.ID, in.Body}
	body, replay, err := once(ctx, h, in.Idempotent, "rotateApplicationSecret", request, func(ctx context.Context) (out RotatedSecret, err error) {
		err = h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
			out, err = h.rotate(ctx, a, &a.Clients[0], in.Body)
			return err
		})
		return out, err
	})
	return &rotateResponse{replay, body}, err
}

// rotate gives the client a new secret. The application is locked.
func (h *Handler) rotate(ctx context.Context, a *store.Application, c *store.Client, in *Rotation) (RotatedSecret, error) {
	actor := actorIn(ctx)
	if err := actor.mayChange(*c); err != nil {
		return RotatedSecret{}, err
	}
	if c.Public() {
		return RotatedSecret{}, errPublicClient
	}
	var overlap time.Duration
	if in != nil {
		overlap = time.Duration(in.GraceSeconds) * time.Second
	}
	secret, ends, err := renewSecret(ctx, h.Store, c, overlap)
	if err != nil {
		return RotatedSecret{}, err
	}
	out := RotatedSecret{ClientID: c.ID, ClientSecret: secret, PreviousSecretExpiresAt: nullableMoment(ends)}
	note := map[string]store.Change{"previousSecretExpiresAt": {After: out.PreviousSecretExpiresAt}}
	return out, h.Store.Audit(ctx, actor.event("client.rotate_secret", "client", c.ID, a.ID, note))
}

// inApplication runs fn in a transaction that has locked the application.
func (h *Handler) inApplication(ctx context.Context, id reference, fn func(ctx context.Context, a *store.Application) error) error {
	ref, err := id.text()
	if err != nil {
		return err
	}
	return h.Store.Tx(ctx, func(ctx context.Context) error {
		a, err := h.Store.LockApplication(ctx, ref)
		if err != nil {
			return err
		}
		return fn(ctx, a)
	})
}

// inClient does so for a client of the application, which the actor may change. Another application's is unknown here.
func (h *Handler) inClient(ctx context.Context, in *ClientPath, fn func(ctx context.Context, a *store.Application, c *store.Client) error) error {
	return h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error {
		c := a.Client(string(in.ClientID))
		if c == nil {
			return store.ErrNotFound
		}
		if err := actorIn(ctx).mayChange(*c); err != nil {
			return err
		}
		return fn(ctx, a, c)
	})
}
