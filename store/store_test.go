package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// A thing is a row for tests of this package alone.
type thing struct {
	ID string `gorm:"primaryKey"`
	N  int64
	At time.Time
}

// withThings adds the table of things to an empty database.
func withThings(t *testing.T, s *store.Store) {
	t.Helper()
	moment := map[string]string{"sqlite": "datetime", "postgres": "timestamptz"}[s.Dialect()]
	exec(t, s, "CREATE TABLE things (id text PRIMARY KEY, n bigint NOT NULL, at "+moment+" NOT NULL)")
	exec(t, s, "CREATE TABLE parts (id text PRIMARY KEY, thing_id text NOT NULL REFERENCES things (id) ON DELETE RESTRICT)")
}

func exec(t *testing.T, s *store.Store, sql string, args ...any) {
	t.Helper()
	require.NoError(t, s.DB(t.Context()).Exec(sql, args...).Error)
}

func count(t *testing.T, s *store.Store) (n int64) {
	t.Helper()
	require.NoError(t, s.DB(t.Context()).Model(&thing{}).Count(&n).Error)
	return n
}

func TestOpenAnswersAndIsMigrated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.Ping(t.Context()))
		require.Contains(t, t.Name(), s.Dialect())
		pending, err := s.PendingMigrations(t.Context())
		require.NoError(t, err)
		require.Empty(t, pending)
	})
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]store.Options{
		"other databases":     {URL: "mysql://root:hunter2@localhost/auth"},
		"nothing":             {URL: ""},
		"a file of no name":   {URL: "sqlite:"},
		"unknown synchronous": {URL: "sqlite:" + filepath.Join(t.TempDir(), "a.db"), Synchronous: "off"},
		"a malformed URL":     {URL: "postgres://auth:hunter2@[::1/auth"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), o)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2", "a password must not reach the log")
		})
	}
}

// The database holds password hashes: other users of the machine must not read it, whatever the umask.
func TestOpenCreatesPrivateFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "with space #1?.db")
	s := storetest.Open(t, "sqlite://"+path)
	exec(t, s, "CREATE TABLE t (id text)")
	for file, mode := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), file)
	}
}

func TestSQLiteSettings(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "a.db"), Log: zerolog.Nop()})
	require.NoError(t, err)
	defer s.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		require.NoError(t, s.DB(t.Context()).Raw("PRAGMA "+pragma).Scan(&got).Error)
		require.Equal(t, want, got, pragma)
	}
}

// Codes and sessions expire by comparison in SQL, so a value bound in another zone must compare as the same moment.
func TestTimesAreZoneProofAndExactToMicroseconds(t *testing.T) {
	india := time.FixedZone("IST", int(5.5*3600))
	clock := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, india)
	now := func(o *store.Options) { o.Now = func() time.Time { return clock } }
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		withThings(t, s)
		require.NoError(t, s.DB(t.Context()).Create(&thing{ID: "a", At: clock}).Error)
		var got thing
		require.NoError(t, s.DB(t.Context()).First(&got, "at <= ? AND at > ?", clock, clock.UTC().Add(-time.Second)).Error)
		require.Equal(t, time.UTC, got.At.Location())
		require.Equal(t, "2026-01-01T21:34:05.123456Z", got.At.Format(time.RFC3339Nano))
		require.Equal(t, got.At, s.DB(t.Context()).NowFunc(), "the store's clock has the precision of its columns")
	}, now)
}

func TestOpenWaitsForAnAwayDatabase(t *testing.T) {
	cluster := storetest.NewCluster(t)
	cluster.Stop(t)
	var log bytes.Buffer
	type opened struct {
		s   *store.Store
		err error
	}
	done := make(chan opened)
	logged := make(chan struct{}, 100)
	go func() {
		s, err := store.Open(t.Context(), store.Options{
			URL: cluster.URL, ConnectTimeout: time.Minute,
			Log: zerolog.New(&log).Hook(zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) { logged <- struct{}{} })),
		})
		done <- opened{s, err}
	}()
	<-logged // it has found nobody and says so
	cluster.Start(t)
	got := <-done
	require.NoError(t, got.err)
	require.NoError(t, got.s.Ping(t.Context()))
	require.NoError(t, got.s.Close())
	require.Contains(t, log.String(), "waiting for the database")
	require.LessOrEqual(t, strings.Count(log.String(), "\n"), 3, "a line per few tries")
}

func TestOpenGivesUp(t *testing.T) {
	cluster := storetest.NewCluster(t)
	t.Run("at once when it will never be let in", func(t *testing.T) {
		start := time.Now()
		_, err := store.Open(t.Context(), store.Options{
			URL: strings.Replace(cluster.URL, "/postgres?", "/nobody?", 1), ConnectTimeout: time.Minute,
		})
		require.ErrorContains(t, err, "nobody")
		require.Less(t, time.Since(start), 30*time.Second)
	})
	t.Run("after ConnectTimeout when it stays away", func(t *testing.T) {
		cluster.Stop(t)
		_, err := store.Open(t.Context(), store.Options{URL: cluster.URL, ConnectTimeout: 300 * time.Millisecond})
		require.ErrorIs(t, err, store.ErrUnavailable)
	})
}

func TestSecrets(t *testing.T) {
	require.Len(t, store.RandomToken(32), 43)
	require.NotEqual(t, store.RandomToken(32), store.RandomToken(32))
	require.Len(t, store.HashSecret("a"), 32)
	require.NotEqual(t, store.HashSecret("a"), store.HashSecret("b"))
	first, second := store.NewID(), store.NewID()
	require.Less(t, first, second, "ids sort by the time they were made")
}
