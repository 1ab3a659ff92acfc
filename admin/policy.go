package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"auth-service/problem"
	"auth-service/store"
)

// A Policy is what a file says about applications, each with its permissions, roles and plans. Fields are called as on the wire.
// There are none for ids, secrets and times, so a file cannot set them.
type Policy struct {
	Applications []ApplicationPolicy

	places *places
}

// policyFile is the outermost object of the file.
type policyFile struct {
	Applications []ApplicationPolicy `json:"applications" maxItems:"10000"`
}

// An ApplicationPolicy says how an application is to be. A setting that it leaves out stays as it is, or takes the default of
// a new application; of a list that it leaves out nothing changes.
type ApplicationPolicy struct {
	Slug     string           `json:"slug" maxLength:"63"`
	Name     Optional[string] `json:"name,omitzero" minLength:"1" maxLength:"100"`
	Type     Optional[string] `json:"type,omitzero" enum:"web,spa,native,m2m"`
	ClientID Optional[string] `json:"clientId,omitzero" minLength:"1" maxLength:"64"`
	Disabled Optional[bool]   `json:"disabled,omitzero"`
	ClientSettings
	ApplicationSettings
	Clients     Optional[[]ClientPolicy]    `json:"clients,omitzero" maxItems:"50"`
	Permissions Optional[[]PermissionInput] `json:"permissions,omitzero" maxItems:"500"`
	Roles       Optional[[]RoleInput]       `json:"roles,omitzero" maxItems:"200"`
	Plans       Optional[[]PlanPolicy]      `json:"plans,omitzero" maxItems:"100"`
}

// A ClientPolicy says how a client is to be. Of an application's first client it has the name and whether it is disabled.
type ClientPolicy struct {
	ClientID string `json:"clientId" minLength:"1" maxLength:"255"`
	ClientPatch
}

// A PlanPolicy says how a plan is to be.
type PlanPolicy struct {
	Key string `json:"key" minLength:"1" maxLength:"64"`
	PlanPatch
}

// ReadPolicy reads a policy in YAML, which JSON is too. All that is wrong with it is one *InvalidPolicy.
func ReadPolicy(in io.Reader) (*Policy, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	where, err := readYAML(text)
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(where.json, &value); err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	bad := faults(problem.NewForm[policyFile]().Faults(value))
	var file policyFile
	mistyped := (*json.UnmarshalTypeError)(nil) // the form has said so already, and what could be read is checked all the same
	if err := json.Unmarshal(where.json, &file); err != nil && !errors.As(err, &mistyped) {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	p := &Policy{file.Applications, where}
	distinctKeys(bad, "applications", "slug", p.Applications, func(a *ApplicationPolicy) string { return a.Slug })
	for i := range p.Applications {
		bad.applicationPolicy(fmt.Sprintf("applications[%d]", i), &p.Applications[i])
	}
	if err := where.invalid(bad); err != nil {
		return nil, err
	}
	return p, nil
}

// applicationPolicy checks what can be checked without knowing how the application is now.
func (f faults) applicationPolicy(path string, in *ApplicationPolicy) {
	f.add(path+".slug", slugFault(in.Slug))
	patch := in.patch()
	f.within(path, applicationPatchFaults(&patch), *in)
	if id := in.ClientID.pointer(); id != nil {
		f.add(path+".clientId", clientIDFault(*id))
	}
	f.whole(path+".clients", in.Clients.Null)
	f.whole(path+".permissions", in.Permissions.Null)
	f.whole(path+".roles", in.Roles.Null)
	f.whole(path+".plans", in.Plans.Null)
	distinctKeys(f, path+".clients", "clientId", in.Clients.Value, func(c *ClientPolicy) string { return c.ClientID })
	distinctKeys(f, path+".permissions", "key", in.Permissions.Value, func(p *PermissionInput) string { return p.Key })
	distinctKeys(f, path+".roles", "key", in.Roles.Value, func(r *RoleInput) string { return r.Key })
	distinctKeys(f, path+".plans", "key", in.Plans.Value, func(p *PlanPolicy) string { return p.Key })
	for i := range in.Clients.Value {
		c := &in.Clients.Value[i]
		f.within(fmt.Sprintf("%s.clients[%d]", path, i), clientPatchFaults(&c.ClientPatch), c.ClientPatch)
	}
	for i, p := range in.Permissions.Value {
		f.within(fmt.Sprintf("%s.permissions[%d]", path, i), permissionFaults(p.row()), p)
	}
	for i, r := range in.Roles.Value {
		f.within(fmt.Sprintf("%s.roles[%d]", path, i), roleFaults(r.row()), r)
	}
	f.planPolicies(path+".plans", in.Plans.Value)
}

func (f faults) planPolicies(path string, plans []PlanPolicy) {
	standard := ""
	for i := range plans {
		place, bad := fmt.Sprintf("%s[%d]", path, i), faults{}
		plans[i].apply(&store.Plan{Key: plans[i].Key, Name: plans[i].Key}, bad)
		f.within(place, bad, plans[i].PlanPatch)
		switch {
		case !plans[i].IsDefault.Value:
		case standard != "":
			f.add(place+".isDefault", fmt.Sprintf("The plan %s is the default already, and there is one at most.", standard))
		default:
			standard = plans[i].Key
		}
	}
}

// within adds what is wrong with the fields of the body at the path.
func (f faults) within(path string, bad faults, body any) {
	for _, field := range mistyped(body) {
		f.add(path+"."+field, "This value has the wrong form.")
	}
	for field, sentence := range bad {
		f.add(path+"."+field, sentence)
	}
}

// whole refuses a list that was begun and is not there: taken for "none" it would delete all there is.
func (f faults) whole(path string, null bool) {
	if null {
		f.add(path, "This list is empty: write [] for none, or leave it out to keep what there is.")
	}
}

func distinctKeys[T any](f faults, path, field string, items []T, key func(*T) string) {
	seen := map[string]bool{}
	for i := range items {
		if k := key(&items[i]); seen[k] && k != "" {
			f.add(fmt.Sprintf("%s[%d].%s", path, i, field), "This comes twice: remove one.")
		} else {
			seen[k] = true
		}
	}
}

func (in *ApplicationPolicy) patch() ApplicationPatch {
	return ApplicationPatch{
		Name: in.Name, Type: in.Type, Disabled: in.Disabled, ClientSettings: in.ClientSettings, ApplicationSettings: in.ApplicationSettings,
	}
}

// An InvalidPolicy is all that keeps a policy from being applied, in the order of the file.
type InvalidPolicy struct {
	Faults []PolicyFault
	More   bool // there are others besides
}

// A PolicyFault says how to mend one value.
type PolicyFault struct {
	Line     int    // 0: there is none
	Path     string // such as applications[2].roles[0].permissions[3]; empty for the whole file
	Sentence string
}

// Error returns one line for each fault.
func (e *InvalidPolicy) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	if e.More {
		lines = append(lines, "and more")
	}
	return strings.Join(lines, "\n")
}

func (f PolicyFault) String() string {
	parts := []string{f.Sentence}
	if f.Path != "" {
		parts = slices.Insert(parts, 0, f.Path)
	}
	if f.Line > 0 {
		parts = slices.Insert(parts, 0, fmt.Sprintf("line %d", f.Line))
	}
	return strings.Map(visible, strings.Join(parts, ": "))
}

// visible keeps what a file says from moving the cursor of a terminal, or turning its text around.
func visible(r rune) rune {
	if store.Printable(string(r)) {
		return r
	}
	return '?'
}
