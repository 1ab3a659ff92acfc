package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"auth-service/problem"
	"auth-service/store"
)

// A listed kind is how a policy deals with permissions, roles or plans: rows R by key, which the policy says with In.
type listed[R, In any] struct {
	slug, noun string
	rowKey     func(*R) string
	key        func(*In) string
	first      func(*In) bool     // those to be dealt with before others; may be nil
	same       func(*R, *In) bool // there is nothing to change
	create     func(ctx context.Context, place string, in *In) error
	update     func(ctx context.Context, in *In) error
	remove     func(ctx context.Context, row *R) (note string, err error)
}

// reconcile makes the rows what a list of the policy says. It deletes first, so that what comes finds room.
func reconcile[R, In any](ctx context.Context, r *policyRun, path string, list Optional[[]In], rows []R, kind listed[R, In]) error {
	if !list.Set {
		return nil
	}
	if err := prune(ctx, r, path, list.Value, rows, kind); err != nil {
		return err
	}
	for _, i := range inOrder(list.Value, kind.first) {
		in, place, err := &list.Value[i], fmt.Sprintf("%s[%d]", path, i), error(nil)
		at := slices.IndexFunc(rows, func(row R) bool { return kind.rowKey(&row) == kind.key(in) })
		switch {
		case at < 0:
			err = kind.create(ctx, place, in)
		case !kind.same(&rows[at], in):
			err = kind.update(ctx, in)
		}
		if err := r.refused(place, err); err != nil {
			return err
		}
	}
	return nil
}

// inOrder returns the indices of the items, with those of the first ones before the others.
func inOrder[In any](items []In, first func(*In) bool) []int {
	var before, after []int
	for i := range items {
		if first != nil && first(&items[i]) {
			before = append(before, i)
		} else {
			after = append(after, i)
		}
	}
	return append(before, after...)
}

// prune deletes the rows that the list does not name.
func prune[R, In any](ctx context.Context, r *policyRun, path string, list []In, rows []R, kind listed[R, In]) error {
	if r.how.Keep {
		return nil
	}
	for i := range rows {
		key := kind.rowKey(&rows[i])
		if slices.ContainsFunc(list, func(in In) bool { return kind.key(&in) == key }) {
			continue
		}
		note, err := kind.remove(ctx, &rows[i])
		if err := r.refused(path+"."+key, err); err != nil {
			return err
		}
		if note != "" {
			r.notes[[3]string{kind.slug, kind.noun, key}] = note
		}
	}
	return nil
}

func (r *policyRun) permissions(a *store.Application) listed[store.Permission, PermissionInput] {
	return listed[store.Permission, PermissionInput]{
		slug: a.Slug, noun: "permission",
		rowKey: func(p *store.Permission) string { return p.Key },
		key:    func(in *PermissionInput) string { return in.Key },
		same: func(p *store.Permission, in *PermissionInput) bool {
			next, patch := *p, in.patch()
			patch.apply(&next)
			return len(changes(showPermission(p), showPermission(&next))) == 0
		},
		create: func(ctx context.Context, _ string, in *PermissionInput) error {
			_, err := CreatePermission(ctx, r.store, r.actor, a, *in)
			return err
		},
		update: func(ctx context.Context, in *PermissionInput) error {
			_, err := UpdatePermission(ctx, r.store, r.actor, a, in.Key, in.patch())
			return err
		},
		remove: func(ctx context.Context, p *store.Permission) (string, error) {
			return "", DeletePermission(ctx, r.store, r.actor, a, p.Key)
		},
	}
}

func (r *policyRun) roles(a *store.Application) listed[store.Role, RoleInput] {
	return listed[store.Role, RoleInput]{
		slug: a.Slug, noun: "role",
		rowKey: func(row *store.Role) string { return row.Key },
		key:    func(in *RoleInput) string { return in.Key },
		same: func(row *store.Role, in *RoleInput) bool {
			next, patch := *row, in.patch()
			patch.apply(&next)
			next.Permissions = slices.Sorted(slices.Values(next.Permissions))
			return len(changes(showRole(row), showRole(&next))) == 0
		},
		create: func(ctx context.Context, _ string, in *RoleInput) error {
			_, err := CreateRole(ctx, r.store, r.actor, a, *in)
			return err
		},
		update: func(ctx context.Context, in *RoleInput) error {
			_, err := UpdateRole(ctx, r.store, r.actor, a, in.Key, in.patch())
			return err
		},
		remove: func(ctx context.Context, row *store.Role) (string, error) { return r.removeRole(ctx, a, row) },
	}
}

func (r *policyRun) removeRole(ctx context.Context, a *store.Application, row *store.Role) (string, error) {
	n, err := r.store.CountRoleHolders(ctx, row.ID, countedHolders)
	if err != nil {
		return "", err
	}
	held := fmt.Sprintf("given to people %d times, and to %d clients", n.Assignments, n.Clients)
	if err := DeleteRole(ctx, r.store, r.actor, a, row.Key, r.how.Force); errors.Is(err, errRoleAssigned) {
		return "", problem.New(http.StatusConflict, errRoleAssigned.Code,
			"This role is not listed, which deletes it, but it was "+held+". Take it from them first, list it, or use --force.")
	} else if err != nil || n == (store.RoleHolders{}) {
		return "", err
	}
	return held, nil
}

func (r *policyRun) plans(a *store.Application) listed[store.Plan, PlanPolicy] {
	return listed[store.Plan, PlanPolicy]{
		slug: a.Slug, noun: "plan",
		rowKey: func(p *store.Plan) string { return p.Key },
		key:    func(in *PlanPolicy) string { return in.Key },
		first:  func(in *PlanPolicy) bool { return in.IsDefault.Value }, // then the one before it is free to be closed
		same: func(p *store.Plan, in *PlanPolicy) bool {
			next := *p
			in.apply(&next, faults{})
			return len(changes(showPlan(p), showPlan(&next))) == 0
		},
		create: func(ctx context.Context, place string, in *PlanPolicy) error {
			if !in.Name.Set {
				r.bad.add(place+".name", requiredWhenNew)
				return nil
			}
			_, err := CreatePlan(ctx, r.store, r.actor, a, PlanInput{Key: in.Key, Name: in.Name.Value, PlanSettings: in.PlanSettings, Features: in.Features})
			return err
		},
		update: func(ctx context.Context, in *PlanPolicy) error {
			_, err := UpdatePlan(ctx, r.store, r.actor, a, in.Key, in.PlanPatch)
			return err
		},
		remove: func(ctx context.Context, p *store.Plan) (string, error) { return r.removePlan(ctx, a, p) },
	}
}

func (r *policyRun) removePlan(ctx context.Context, a *store.Application, p *store.Plan) (string, error) {
	n, err := r.store.CountSubscriptions(ctx, p.ID)
	if err != nil {
		return "", err
	}
	if err := DeletePlan(ctx, r.store, r.actor, a, p.Key, r.how.Force); errors.Is(err, errPlanInUse(n)) {
		return "", problem.New(http.StatusConflict, "PLAN_IN_USE",
			fmt.Sprintf("This plan is not listed, which deletes it, but there are %d subscriptions to it. Move them first, list it, or use --force.", n))
	} else if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprintf("with %d subscriptions", n), nil
}
