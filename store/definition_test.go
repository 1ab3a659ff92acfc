package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// define gives the application a permission, a role with it, and a plan, each with the keys in this order.
func (f *fixture) define(a *store.Application, keys ...string) {
	f.Helper()
	for _, key := range keys {
		require.NoError(f, f.CreatePermission(f.Context(), &store.Permission{ApplicationID: a.ID, Key: key, Name: key}))
		require.NoError(f, f.CreateRole(f.Context(), &store.Role{ApplicationID: a.ID, Key: key, Name: key, Permissions: []string{key}}))
		require.NoError(f, f.CreatePlan(f.Context(), &store.Plan{ApplicationID: a.ID, Key: key, Name: key, Active: true, Features: []store.Feature{}}))
	}
}

func (f *fixture) definitions(slugs ...string) (out []store.Definition) {
	f.Helper()
	require.NoError(f, f.Tx(f.Context(), func(ctx context.Context) (err error) {
		out, err = f.LockDefinitions(ctx, slugs)
		return err
	}))
	return out
}

// Each application has what is its own, by key, in as many statements for fifty applications as for one.
func TestDefinitions(t *testing.T) {
	installed(t, func(f *fixture) {
		f.define(f.hr, "b", "a_b", "a:b", "a")
		f.define(f.crm, "z")
		require.NoError(f, f.CreateClient(f.Context(), newClient(f.crm.ID, "crm-worker")))
		newApplication(f.T, f.Store, "a-third", "third")

		ctx, calls := storetest.Trace(f.Context())
		got, err := f.LockDefinitions(ctx, []string{"hr", "nothing", "crm"})
		require.NoError(f, err)
		assert.Equal(f, []string{"R applications", "R clients", "R permissions", "R roles", "R role_permissions", "R plans"}, calls.List())
		require.Len(f, got, 2)
		assert.Equal(f, []string{"crm", "hr"}, []string{got[0].Slug, got[1].Slug})
		assert.Equal(f, "crm-worker", got[0].Clients[1].ID)
		var permissions, roles, plans []string
		for i := range got[1].Permissions {
			permissions = append(permissions, got[1].Permissions[i].Key)
			roles = append(roles, got[1].Roles[i].Key)
			plans = append(plans, got[1].Plans[i].Key)
			assert.Equal(f, []string{got[1].Roles[i].Key}, got[1].Roles[i].Permissions)
		}
		sorted := []string{"a", "a:b", "a_b", "b"} // by bytes on both engines
		assert.Equal(f, [][]string{sorted, sorted, sorted}, [][]string{permissions, roles, plans})

		slugs, err := f.ApplicationSlugs(f.Context())
		require.NoError(f, err)
		assert.Equal(f, []string{"a-third", "crm", "hr"}, slugs)
		assert.Empty(f, f.definitions())
	})
}

func TestManyDefinitions(t *testing.T) {
	installed(t, func(f *fixture) {
		slugs := []string{"crm", "hr"}
		for i := range 99 {
			slugs = append(slugs, fmt.Sprintf("app-%d", i))
			f.define(newApplication(f.T, f.Store, slugs[i+2], slugs[i+2]), slugs[i+2])
		}
		got := f.definitions(slugs...)
		slices.Sort(slugs)
		require.Len(f, got, len(slugs))
		for i := range got {
			assert.Equal(f, slugs[i], got[i].Slug)
			if got[i].Slug[:2] == "ap" {
				assert.Equal(f, got[i].Slug, got[i].Roles[0].Permissions[0])
			}
		}
	})
}

// Who reads a definition in order to change it must not have it changed in between.
func TestDefinitionsAreHeld(t *testing.T) {
	installed(t, func(f *fixture) {
		change := func(ctx context.Context) error {
			return f.Tx(ctx, func(ctx context.Context) error { _, err := f.LockApplication(ctx, "crm"); return err })
		}
		require.NoError(f, f.Tx(f.Context(), func(ctx context.Context) error {
			_, err := f.LockDefinitions(ctx, []string{"crm"})
			require.NoError(f, err)
			waiting, stop := context.WithTimeout(f.Context(), 100*time.Millisecond)
			defer stop()
			require.Error(f, change(waiting), "it waits")
			return nil
		}))
		require.NoError(f, change(f.Context()))
	})
}

func TestDefinitionStatementsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		f.fillRoles()
		ctx, calls := storetest.Trace(f.Context())
		_, err := f.LockDefinitions(ctx, []string{"application-7"})
		require.NoError(f, err)
		for i, index := range []string{"applications_slug", "clients_application_id", "permissions_key", "roles_key", "role_permissions key", "plans_key"} {
			statement := calls.SQL()[i]
			plan := f.plan(statement, "")
			if i == 4 || f.Dialect() == "sqlite" { // with a handful of rows in a table PostgreSQL reads it whole
				assert.Contains(f, plan, f.index(index), statement)
			}
		}
	})
}
