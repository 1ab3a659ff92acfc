package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// Tests run side by side on one server, so what one writes must not be seen by another.
func TestDatabasesAreSeparate(t *testing.T) {
	ctx := t.Context()
	for engine, open := range map[string]func(testing.TB, ...Option) *store.Store{"sqlite": New, "postgres": NewPostgres} {
		t.Run(engine, func(t *testing.T) {
			one, other := open(t), open(t)
			require.NoError(t, one.Audit(ctx, store.AuditEvent{Action: "test.ran"}))
			traced, calls := Trace(ctx)
			require.NoError(t, other.Audit(traced, store.AuditEvent{Action: "test.ran"}))
			require.Equal(t, []string{"W audit_events"}, calls.List())
		})
	}
}

// A killed run leaves databases on a server of TEST_DATABASE_URL; the next run finds and drops them.
func TestAbandonedDatabasesAreDropped(t *testing.T) {
	_ = NewPostgresURL(t)
	s, err := sharedServer()
	require.NoError(t, err)
	stamp := func(age time.Duration) string { return fmt.Sprint(time.Now().Add(-age).Unix()) }
	old := databasePrefix + stamp(2*time.Hour) + "_1_1"
	young := databasePrefix + stamp(0) + "_1_1"
	require.NoError(t, s.exec("CREATE DATABASE "+old))
	require.NoError(t, s.exec("CREATE DATABASE "+young))
	t.Cleanup(func() { require.NoError(t, s.exec("DROP DATABASE "+young)) })
	require.NoError(t, s.dropAbandoned(context.Background()))
	require.ErrorContains(t, s.exec("DROP DATABASE "+old), "does not exist")

	require.True(t, abandoned(templatePrefix+"0123", stamp(48*time.Hour)))
	require.False(t, abandoned(templatePrefix+"0123", stamp(2*time.Hour)))
	require.False(t, abandoned(templatePrefix+"0123", "somebody else's comment"))
	require.False(t, abandoned(databasePrefix+"not_a_time", ""))
}

// Another user could make the folder with the predictable name first, and serve our tests from it.
func TestForeignStateFolderIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	require.NoError(t, ownDir(dir))
	require.NoError(t, ownDir(dir), "the next process finds it")
	require.NoError(t, os.Chmod(dir, 0o777))
	require.ErrorContains(t, ownDir(dir), "not a folder of ours alone")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	require.ErrorContains(t, ownDir(link), "not a folder of ours alone")
	if os.Getuid() == 0 {
		require.NoError(t, os.Chmod(dir, 0o755))
		require.NoError(t, os.Chown(dir, 65534, 65534))
		require.ErrorContains(t, ownDir(dir), "not a folder of ours alone")
	}
}

// The npm package ships its libraries without the links that the loader looks for.
func TestHydrateMakesTheMissingLinks(t *testing.T) {
	native := filepath.Join(t.TempDir(), "native")
	require.NoError(t, os.MkdirAll(filepath.Join(native, "lib"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(native, "lib", "libpq.so.5.17"), []byte("elf"), 0o644))
	links := `[{"source": "native/lib/libpq.so.5.17", "target": "native/lib/libpq.so.5"}]`
	require.NoError(t, os.WriteFile(filepath.Join(native, "pg-symlinks.json"), []byte(links), 0o644))
	hydrate(native)
	hydrate(native)
	text, err := os.ReadFile(filepath.Join(native, "lib", "libpq.so.5"))
	require.NoError(t, err)
	require.Equal(t, "elf", string(text))
}
