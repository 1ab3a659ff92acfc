package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"auth-service/problem"
	"auth-service/store"
)

var errPolicySize = problem.New(http.StatusRequestEntityTooLarge, "POLICY_TOO_LARGE",
	fmt.Sprintf("The file would have more than the %d MiB that can be applied at once. Name fewer applications at a time.", maxPolicy>>20))

const policyHeading = `# Applications with their clients, permissions, roles and plans, as "auth-service export" wrote them. Secrets are not among them.
# See what applying this file would change:  auth-service apply --dry-run -f FILE
# Apply it:                                  auth-service apply -f FILE
`

// An applicationDocument is an ApplicationPolicy in which nothing is left out.
type applicationDocument struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	ClientID string `json:"clientId"`
	Disabled bool   `json:"disabled"`
	ClientProperties
	ApplicationProperties
	Clients     []any                `json:"clients"` // firstClientDocument, then clientDocument
	Permissions []permissionDocument `json:"permissions"`
	Roles       []roleDocument       `json:"roles"`
	Plans       []planDocument       `json:"plans"`
}

type firstClientDocument struct {
	ClientID string `json:"clientId"`
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

type clientDocument struct {
	ClientID string `json:"clientId"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Disabled bool   `json:"disabled"`
	ClientProperties
}

type permissionDocument struct {
	Key         string  `json:"key"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
}

type roleDocument struct {
	Key         string   `json:"key"`
	Name        string   `json:"name"`
	Description *string  `json:"description"`
	IsDefault   bool     `json:"isDefault"`
	Permissions []string `json:"permissions"`
}

type planDocument struct {
	Key         string          `json:"key"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	IsDefault   bool            `json:"isDefault"`
	Active      bool            `json:"active"`
	Price       Optional[Price] `json:"price"`
	Features    []Feature       `json:"features"`
}

// ExportPolicy returns a file that makes the applications what they are now: those with the references, which are ids, slugs
// or client_ids, or all when there is none. For the same state it is the same, byte for byte.
func ExportPolicy(ctx context.Context, s *store.Store, references ...string) ([]byte, error) {
	slugs, err := exported(ctx, s, references)
	if err != nil {
		return nil, err
	}
	documents := []applicationDocument{}
	err = s.Tx(ctx, func(ctx context.Context) error { // which keeps the parts of an application together
		defined, err := s.LockDefinitions(ctx, slugs)
		documents = documents[:0]
		for i := range defined {
			documents = append(documents, documentOf(&defined[i]))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return writePolicy(documents)
}

// exported returns the slugs of the applications with the references, or of all.
func exported(ctx context.Context, s *store.Store, references []string) ([]string, error) {
	if len(references) == 0 {
		return s.ApplicationSlugs(ctx)
	}
	var slugs, unknown []string
	for _, ref := range references {
		a, err := s.ApplicationByRef(ctx, ref)
		switch {
		case errors.Is(err, store.ErrNotFound):
			unknown = append(unknown, ref)
		case err != nil:
			return nil, err
		default:
			slugs = append(slugs, a.Slug)
		}
	}
	if len(unknown) > 0 {
		return nil, problem.New(http.StatusNotFound, "NOT_FOUND", "There is no application "+strings.Join(unknown, ", ")+".")
	}
	slices.Sort(slugs)
	return slices.Compact(slugs), nil
}

func writePolicy(documents []applicationDocument) ([]byte, error) {
	text, err := json.Marshal(map[string]any{"applications": documents})
	if err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	out := bytes.NewBufferString(policyHeading)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(toYAML(text, "price", "features")); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	if out.Len() > maxPolicy {
		return nil, errPolicySize
	}
	return out.Bytes(), nil
}

func documentOf(d *store.Definition) applicationDocument {
	first := &d.Clients[0]
	out := applicationDocument{
		Slug: d.Slug, Name: d.Name, Type: first.Type, ClientID: first.ID, Disabled: d.Disabled,
		ClientProperties: showProperties(first), ApplicationProperties: showApplicationProperties(&d.Application),
		Clients:     []any{firstClientDocument{first.ID, first.Name, first.Disabled}},
		Permissions: make([]permissionDocument, len(d.Permissions)),
		Roles:       make([]roleDocument, len(d.Roles)), Plans: make([]planDocument, len(d.Plans)),
	}
	further := slices.Clone(d.Clients[1:])
	slices.SortFunc(further, func(a, b store.Client) int { return strings.Compare(a.ID, b.ID) })
	for i := range further {
		c := &further[i]
		out.Clients = append(out.Clients, clientDocument{c.ID, c.Name, c.Type, c.Disabled, showProperties(c)})
	}
	for i := range d.Permissions {
		p := showPermission(&d.Permissions[i])
		out.Permissions[i] = permissionDocument{p.Key, p.Name, p.Description}
	}
	for i := range d.Roles {
		r := showRole(&d.Roles[i])
		out.Roles[i] = roleDocument{r.Key, r.Name, r.Description, r.IsDefault, r.Permissions}
	}
	for i := range d.Plans {
		p := showPlan(&d.Plans[i])
		out.Plans[i] = planDocument{p.Key, p.Name, p.Description, p.IsDefault, p.Active, p.Price, p.Features}
	}
	return out
}
