package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

const maxDescription = 500

var errKeyTaken = func() error {
	e := problem.New(http.StatusConflict, "KEY_TAKEN", "The application has this key already. Choose another one, or change what has it.")
	e.Fields = map[string]string{"key": "The application has this key already."}
	return e
}()

// KeyPath is the part of a path that names something of an application by its key.
type KeyPath struct {
	ApplicationPath
	Key reference `path:"key" maxLength:"255"`
}

// NamedKey is a body that does so.
type NamedKey struct {
	Key string `json:"key" minLength:"1" maxLength:"255"`
}

// KeyInCollection names it where the path names only the collection: in the query or in the body, as clients of the replaced
// system do.
type KeyInCollection struct {
	ApplicationPath
	Key  string `query:"key" maxLength:"255" doc:"Here or in the body."`
	Body *NamedKey
}

// Resolve makes sure that there is one key: of two that differ, either could be the wrong one to delete.
func (in *KeyInCollection) Resolve(huma.Context) []error {
	f := faults{}
	switch {
	case in.Key == "" && in.Body == nil:
		f.add("key", "Say which one to delete: its key belongs into the path, into ?key= or into the body.")
	case in.Key != "" && in.Body != nil && in.Key != in.Body.Key:
		f.add("key", "The query and the body have different keys: send one of them.")
	}
	return f.findings(struct{}{})
}

// path is what the path would have been.
func (in *KeyInCollection) path() KeyPath {
	if in.Body != nil {
		return KeyPath{in.ApplicationPath, reference(in.Body.Key)}
	}
	return KeyPath{in.ApplicationPath, reference(in.Key)}
}

// inKey runs fn in a transaction that has locked the application, with the key of something that belongs to it.
func (h *Handler) inKey(ctx context.Context, in KeyPath, fn func(ctx context.Context, a *store.Application, key string) error) error {
	key, err := in.Key.text()
	if err != nil {
		return err
	}
	return h.inApplication(ctx, in.ID, func(ctx context.Context, a *store.Application) error { return fn(ctx, a, key) })
}

// atKey is inKey for those who only read.
func (h *Handler) atKey(ctx context.Context, in *KeyPath) (applicationID, key string, err error) {
	if key, err = in.Key.text(); err != nil {
		return "", "", err
	}
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return "", "", err
	}
	return a.ID, key, nil
}

type listKeysRequest struct {
	ApplicationPath
	PageRequest
	Search string `query:"search" maxLength:"200" doc:"How the key begins, or a part of the name."`
	Sort   string `query:"sort" enum:"createdAt,-createdAt,key,-key,name,-name" default:"-createdAt"`
}

func (h *Handler) keyQuery(ctx context.Context, in *listKeysRequest) (store.KeyQuery, error) {
	paging, bad := in.paging(in.Sort)
	bad.search(in.Search)
	if err := bad.err(); err != nil {
		return store.KeyQuery{}, err
	}
	a, err := h.applicationNamed(ctx, in.ID)
	if err != nil {
		return store.KeyQuery{}, err
	}
	return store.KeyQuery{Paging: paging, ApplicationID: a.ID, Search: in.Search}, nil
}

// keyPlace is the place of a row in the order of such a list.
func keyPlace(sort, key, name string, createdAt time.Time, id string) (any, string) {
	switch strings.TrimPrefix(sort, "-") {
	case "key":
		return key, id
	case "name":
		return name, id
	}
	return createdAt, id
}

// keyValues checks each field that whatever has a key has, by itself.
func (f faults) keyValues(key, name, description string) {
	f.add("key", keyFault(key))
	if name != key { // else there is nothing more to say
		f.add("name", nameFault(name))
	}
	f.add("description", descriptionFault(description))
}

func keyFault(key string) string {
	if !store.IsKey(key) {
		return "Use 1 to 64 lower-case letters, digits and _ . : - for a key, beginning with a letter or digit."
	}
	return ""
}

func descriptionFault(description string) string {
	switch length := utf8.RuneCountInString(description); {
	case length > maxDescription:
		return fmt.Sprintf("The description has %d characters, and %d at most are possible.", length, maxDescription)
	case !store.Printable(description):
		return "The description has invisible control characters: remove them."
	}
	return ""
}

// knownKeys reports each of the keys that is not among the known ones of the application.
func (f faults) knownKeys(field, noun string, keys, known []string) {
	for i, key := range keys {
		if !slices.Contains(known, key) {
			f.add(fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("The application has no %s %s: create it first, or leave it out.", noun, key))
		}
	}
}
