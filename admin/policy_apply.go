package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"auth-service/problem"
	"auth-service/store"
)

var (
	errPolicyMoved = problem.New(http.StatusConflict, "POLICY_MOVED",
		"The applications have changed since the difference was shown, so nothing was applied. Look at the new difference first.")

	// errPreview takes back what a preview did.
	errPreview = errors.New("a preview changes nothing")
)

const requiredWhenNew = "There is no such thing yet, and a new one needs this field."

// PolicyOptions say how far a policy goes.
type PolicyOptions struct {
	Keep  bool // what the lists of the policy do not name, instead of deleting it
	Force bool // deletes roles that somebody holds and plans that somebody subscribed to
}

// A NewSecret is the secret of a client that a policy made. It is stored nowhere.
type NewSecret struct{ Application, ClientID, Secret string }

// PreviewPolicy returns what ApplyPolicy would change. It finds out by doing it and taking it back, so that nothing is left
// to surprise. All that keeps the policy from being applied is one *InvalidPolicy.
func PreviewPolicy(ctx context.Context, s *store.Store, actor Actor, p *Policy, how PolicyOptions) (*PolicyDiff, error) {
	r := &policyRun{store: s, actor: actor, policy: p, how: how}
	err := s.Tx(ctx, func(ctx context.Context) error { return cmp.Or(r.do(ctx), errPreview) })
	if !errors.Is(err, errPreview) {
		return nil, err
	}
	return r.diff, nil
}

// ApplyPolicy makes the applications what the policy says, all of them or, on an error, none, and returns the secrets of new
// clients. It changes what agreed says and refuses when that is no longer what there is to change.
func ApplyPolicy(ctx context.Context, s *store.Store, actor Actor, p *Policy, how PolicyOptions, agreed *PolicyDiff) ([]NewSecret, error) {
	r := &policyRun{store: s, actor: actor, policy: p, how: how}
	err := s.Tx(ctx, func(ctx context.Context) error {
		if err := r.do(ctx); err != nil {
			return err
		}
		if !r.diff.equal(agreed) {
			return errPolicyMoved
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.secrets, nil
}

// A policyRun is one attempt to apply a policy.
type policyRun struct {
	store  *store.Store
	actor  Actor
	policy *Policy
	how    PolicyOptions

	bad     faults
	secrets []NewSecret
	notes   map[[3]string]string
	diff    *PolicyDiff
}

// do applies the policy in the transaction of ctx. What it changed is the difference between what it found and what it left,
// so that nothing which followed from a change is missing.
func (r *policyRun) do(ctx context.Context) error {
	r.bad, r.secrets, r.notes = faults{}, nil, map[[3]string]string{} // a transaction may run again
	slugs := make([]string, len(r.policy.Applications))
	for i := range slugs {
		slugs[i] = r.policy.Applications[i].Slug
	}
	before, err := r.store.LockDefinitions(ctx, slugs)
	if err != nil {
		return err
	}
	for i := range r.policy.Applications {
		in := &r.policy.Applications[i]
		was := &store.Definition{}
		if at := slices.IndexFunc(before, func(d store.Definition) bool { return d.Slug == in.Slug }); at >= 0 {
			was = &before[at]
		}
		if err := r.application(ctx, fmt.Sprintf("applications[%d]", i), in, was); err != nil {
			return err
		}
	}
	if err := r.policy.places.invalid(r.bad); err != nil {
		return err
	}
	after, err := r.store.LockDefinitions(ctx, slugs)
	r.diff = difference(before, after, r.notes)
	return err
}

// refused keeps what whoever wrote the policy can mend, so that they learn all of it at once. Any other error ends the run.
func (r *policyRun) refused(path string, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) || p.Status >= http.StatusInternalServerError {
		return err
	}
	if len(p.Fields) == 0 {
		r.bad.add(path, p.Detail)
	}
	for field, sentence := range p.Fields {
		r.bad.add(path+"."+field, sentence)
	}
	return nil
}

// application brings one application about. was has no id when there is none yet.
func (r *policyRun) application(ctx context.Context, path string, in *ApplicationPolicy, was *store.Definition) error {
	r.references(path, in)
	a, err := r.settings(ctx, path, in, was)
	if err != nil || a == nil {
		return err
	}
	for i := range in.Clients.Value {
		place := fmt.Sprintf("%s.clients[%d]", path, i)
		if err := r.refused(place, r.client(ctx, place, a, &in.Clients.Value[i])); err != nil {
			return err
		}
	}
	if err := reconcile(ctx, r, path+".permissions", in.Permissions, was.Permissions, r.permissions(a)); err != nil {
		return err
	}
	if err := reconcile(ctx, r, path+".roles", in.Roles, was.Roles, r.roles(a)); err != nil {
		return err
	}
	return reconcile(ctx, r, path+".plans", in.Plans, was.Plans, r.plans(a))
}

// references finds permissions of roles that the policy itself takes away. A role that is in no other way to be changed would
// lose them without a word.
func (r *policyRun) references(path string, in *ApplicationPolicy) {
	if !in.Permissions.Set || r.how.Keep {
		return
	}
	known := make([]string, len(in.Permissions.Value))
	for i := range known {
		known[i] = in.Permissions.Value[i].Key
	}
	for i := range in.Roles.Value {
		r.bad.knownKeys(fmt.Sprintf("%s.roles[%d].permissions", path, i), "permission", in.Roles.Value[i].Permissions.Value, known)
	}
}

// settings brings the application itself about, with its first client. It returns nil when there is none to go on with.
func (r *policyRun) settings(ctx context.Context, path string, in *ApplicationPolicy, was *store.Definition) (*store.Application, error) {
	if was.ID == "" {
		return r.create(ctx, path, in)
	}
	a := was.Application
	a.Clients = slices.Clone(was.Clients)
	if id := in.ClientID.pointer(); id != nil && *id != a.Clients[0].ID {
		r.bad.add(path+".clientId", fmt.Sprintf("The first client of this application is %s, and a client_id never changes: write that, or leave it out.", a.Clients[0].ID))
	}
	return &a, r.refused(path, UpdateApplication(ctx, r.store, r.actor, &a, in.patch()))
}

func (r *policyRun) create(ctx context.Context, path string, in *ApplicationPolicy) (*store.Application, error) {
	for field, there := range map[string]bool{"name": in.Name.Set, "type": in.Type.Set} {
		if !there {
			r.bad.add(path+"."+field, requiredWhenNew)
		}
	}
	if !in.Name.Set || !in.Type.Set {
		return nil, nil
	}
	a, secret, err := CreateApplication(ctx, r.store, r.actor, ApplicationInput{
		Name: in.Name.Value, Slug: Set(in.Slug), Type: in.Type.Value, ClientSettings: in.ClientSettings, ApplicationSettings: in.ApplicationSettings,
		ClientID: in.ClientID.Value,
	})
	if err != nil {
		return nil, r.refused(path, err)
	}
	r.keepSecret(a, &a.Clients[0], secret)
	return a, UpdateApplication(ctx, r.store, r.actor, a, ApplicationPatch{Disabled: in.Disabled})
}

func (r *policyRun) keepSecret(a *store.Application, c *store.Client, secret string) {
	if secret != "" {
		r.secrets = append(r.secrets, NewSecret{a.Slug, c.ID, secret})
	}
}

func (r *policyRun) client(ctx context.Context, path string, a *store.Application, in *ClientPolicy) error {
	c := a.Client(in.ClientID)
	switch {
	case c == nil:
		return r.createClient(ctx, path, a, in)
	case c.ID == a.Clients[0].ID && (in.Type.Set || !reflect.ValueOf(in.ClientSettings).IsZero()):
		r.bad.add(path, "This is the application's first client, whose settings are the application's own: leave only clientId, name and disabled here.")
		return nil
	}
	return UpdateClient(ctx, r.store, r.actor, a, c, in.ClientPatch)
}

func (r *policyRun) createClient(ctx context.Context, path string, a *store.Application, in *ClientPolicy) error {
	if !in.Type.Set {
		r.bad.add(path+".type", requiredWhenNew)
		return nil
	}
	c, secret, err := CreateClient(ctx, r.store, r.actor, a, ClientInput{
		Name: in.Name, Type: in.Type.Value, ClientSettings: in.ClientSettings, ClientID: in.ClientID,
	})
	if err != nil {
		return err
	}
	a.Clients = append(a.Clients, *c)
	r.keepSecret(a, c, secret)
	return UpdateClient(ctx, r.store, r.actor, a, c, ClientPatch{Disabled: in.Disabled})
}
