package store

import (
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"
)

// A column that is added to a model and forgotten in its hand-written list would silently be empty on the hot paths, and
// two that are swapped would be each other's.
func TestHandReadRowsAreWhole(t *testing.T) {
	useJSON()
	user, session, grant, code := &User{}, &Session{}, &Grant{}, &AuthorizationCode{}
	for _, row := range []struct {
		model   any
		columns string
		targets []any
	}{
		{user, userColumns, user.targets()},
		{session, sessionColumns, session.targets()},
		{grant, grantColumns, grant.targets()},
		{code, codeColumns, code.targets()},
	} {
		s, err := schema.Parse(row.model, &sync.Map{}, schema.NamingStrategy{})
		require.NoError(t, err)
		columns := strings.Split(strings.ReplaceAll(row.columns, s.Table+".", ""), ", ")
		require.ElementsMatch(t, s.DBNames, columns, s.Table)
		require.Len(t, row.targets, len(columns), s.Table)
		for i, column := range columns {
			target := row.targets[i]
			if j, ok := target.(fromJSON); ok {
				target = j.into
			}
			field := s.FieldsByDBName[column].ReflectValueOf(t.Context(), reflect.ValueOf(row.model))
			require.Equal(t, field.Addr().Pointer(), reflect.ValueOf(target).Pointer(), "%s.%s", s.Table, column)
		}
	}
}

// The values that are inserted are those that are read back, in the same order.
func TestHandWrittenRowsAreWhole(t *testing.T) {
	user, grant, code := &User{}, &Grant{}, &AuthorizationCode{}
	for _, row := range []struct{ targets, values []any }{
		{user.targets(), user.values()},
		{grant.targets(), grant.values()},
		{code.targets(), code.values()},
	} {
		require.Len(t, row.values, len(row.targets))
		for i, target := range row.targets {
			want := func() reflect.Type { return reflect.TypeOf(target).Elem() }
			if _, ok := target.(fromJSON); ok {
				require.IsType(t, "", row.values[i], "JSON is written as text")
				continue
			}
			require.Equal(t, want(), reflect.TypeOf(row.values[i]))
		}
	}
}
