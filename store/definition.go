package store

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm/clause"
)

// definedAtOnce is how many definitions are read with the same statements, which bounds the number of their parameters.
const definedAtOnce = 50

// A Definition is an application with all that it is made of. Who holds its roles and subscribes to its plans is no part of it.
type Definition struct {
	Application // its clients do not have their secrets here
	// By key.
	Permissions []Permission
	Roles       []Role
	Plans       []Plan
}

// ApplicationSlugs returns the slugs of all applications, sorted.
func (s *Store) ApplicationSlugs(ctx context.Context) ([]string, error) {
	slugs := []string{}
	if err := s.db(ctx).Model(&Application{}).Order(s.bytewise("slug")).Pluck("slug", &slugs).Error; err != nil {
		return nil, fmt.Errorf("slugs of applications: %w", known(err))
	}
	return slugs, nil
}

// LockDefinitions returns those applications that have one of the slugs, in the order of the slugs and in six statements for
// each fifty of them. Like LockApplication it holds them until the transaction ends, so that their parts fit together.
func (s *Store) LockDefinitions(ctx context.Context, slugs []string) ([]Definition, error) {
	var out []Definition
	for some := range slices.Chunk(slices.Sorted(slices.Values(slugs)), definedAtOnce) { // in one order, lest two of them wait for each other
		var rows []Application
		err := s.db(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Order(s.bytewise("slug")).Find(&rows, "slug IN ?", some).Error
		if err == nil {
			err = s.loadClients(ctx, rows)
		}
		defined := make([]Definition, len(rows))
		for i := range rows {
			defined[i].Application = rows[i]
		}
		if err == nil {
			err = s.define(ctx, defined)
		}
		if err != nil {
			return nil, fmt.Errorf("definitions of applications: %w", known(err))
		}
		out = append(out, defined...)
	}
	return out, nil
}

// define reads what the applications have by keys.
func (s *Store) define(ctx context.Context, defined []Definition) error {
	if len(defined) == 0 {
		return nil
	}
	at := map[string]*Definition{}
	ids := make([]string, len(defined))
	for i := range defined {
		ids[i], at[defined[i].ID] = defined[i].ID, &defined[i]
	}
	permissions, err := ofApplications[Permission](ctx, s, ids)
	if err != nil {
		return err
	}
	roles, err := ofApplications[Role](ctx, s, ids)
	if err == nil {
		err = s.loadPermissions(ctx, roles)
	}
	if err != nil {
		return err
	}
	plans, err := ofApplications[Plan](ctx, s, ids)
	for _, p := range permissions {
		at[p.ApplicationID].Permissions = append(at[p.ApplicationID].Permissions, p)
	}
	for _, r := range roles {
		at[r.ApplicationID].Roles = append(at[r.ApplicationID].Roles, r)
	}
	for _, p := range plans {
		at[p.ApplicationID].Plans = append(at[p.ApplicationID].Plans, p)
	}
	return err
}

func ofApplications[T any](ctx context.Context, s *Store, ids []string) ([]T, error) {
	var rows []T
	err := s.db(ctx).Order(s.bytewise("key")).Find(&rows, "application_id IN ?", ids).Error
	return rows, err
}
