package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"auth-service/store/storetest"
)

// measureScale measures a server on a big database, and beside it one on a database without people.
func measureScale(ctx context.Context, o options) error {
	o.connections = o.callers
	c, err := openCluster(o.keep)
	if err != nil {
		return err
	}
	defer c.stop()
	w := newWorld(o.scale, o.grants, o.seed)
	big, empty := c.engine("big"), c.engine("empty")
	if err := c.fillOnce(ctx, big, w, o); err != nil {
		return err
	}
	if err := c.create(ctx, empty); err != nil {
		return err
	}
	many, err := occupy(ctx, big, c.data(big), o)
	if err != nil {
		return err
	}
	defer many.server.stop()
	console, err := openConsole(many.server, many.bed.cookie(many.bed.admin), o.callers, w)
	if err != nil {
		return err
	}
	fmt.Printf("\nlists of /api/admin, %d callers, target p95 ≤ %d ms\n\n", o.callers, listTarget.Milliseconds())
	missed, err := console.measureLists(ctx, o.only)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d kinds of pages miss the target; %.0f MiB at the most\n\n", missed, float64(many.server.peak())/1024)
	few, err := occupy(ctx, empty, c.data(empty), o)
	if err != nil {
		return err
	}
	defer few.server.stop()
	return measureIssue(ctx, many, few, o)
}

// A cluster is a PostgreSQL server with the folder that it, and what the servers keep beside it, is in.
type cluster struct {
	dir, url   string
	postmaster int
	stop       func()
}

// openCluster starts PostgreSQL in a folder to keep, or in one that goes with stop.
func openCluster(keep string) (*cluster, error) {
	dir, err := filepath.Abs(keep)
	if keep == "" {
		dir, err = os.MkdirTemp("", "bench")
	} else if err == nil {
		err = os.MkdirAll(dir, 0o711) //nolint:gosec // the server's user must pass
	}
	if err != nil {
		return nil, err
	}
	discard := func() {
		if keep == "" {
			_ = os.RemoveAll(dir) // a leftover in the temporary folder
		}
	}
	url, pid, stop, err := storetest.StartDurable(dir)
	if err != nil {
		discard()
		return nil, err
	}
	fmt.Printf("PostgreSQL is at %s\n", url)
	return &cluster{dir, url, pid, func() { stop(); discard() }}, nil
}

// engine is a database of the cluster.
func (c *cluster) engine(name string) engine {
	return engine{name: name, server: named(c.url, name), postmaster: c.postmaster}
}

// data is the folder with the secret of the server on e, which must stay as long as the database.
func (c *cluster) data(e engine) string { return filepath.Join(c.dir, "data-"+e.name) }

func (c *cluster) create(ctx context.Context, e engine) error {
	if err := os.RemoveAll(c.data(e)); err != nil {
		return err
	}
	return execute(ctx, c.url, "DROP DATABASE IF EXISTS "+e.name, "CREATE DATABASE "+e.name)
}

// execute runs statements on a connection of its own.
func execute(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// fillOnce fills the database unless an earlier run did so with the same world. The server comes first: it makes the
// administrator as whom we sign in, which it does only where there is none.
func (c *cluster) fillOnce(ctx context.Context, e engine, w *world, o options) error {
	made := fmt.Sprintf("seed %d: %v", w.seed, w.sizes())
	kept, err := c.holds(ctx, e, made)
	if err != nil {
		return err
	}
	if kept {
		fmt.Println("it is filled already")
		return forgetPeople(ctx, e)
	}
	if err := c.create(ctx, e); err != nil {
		return err
	}
	server, err := startServer(ctx, e, c.data(e), o)
	if err != nil {
		return err
	}
	server.stop()
	if err := fill(ctx, os.Stdout, e.server, w); err != nil {
		return err
	}
	return execute(ctx, c.url, "COMMENT ON DATABASE "+e.name+" IS '"+made+"'")
}

// holds reports whether the database is one that was filled as told.
func (c *cluster) holds(ctx context.Context, e engine, made string) (kept bool, err error) {
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2)", e.name, made).Scan(&kept)
	return kept, err
}

// forgetPeople removes those whom an earlier run signed up, who would be in the way of this one's.
func forgetPeople(ctx context.Context, e engine) error {
	return execute(ctx, e.server,
		"DELETE FROM users WHERE email LIKE 'person%@example.com'",
		"DELETE FROM applications WHERE name LIKE 'bench %'",
		"DELETE FROM organizations WHERE slug = 'bench-team'",
		"VACUUM (ANALYZE)")
}

// An occupied database has a server on it, and people with rights at an application.
type occupied struct {
	server *target
	bed    *bed
	rights rights
}

func occupy(ctx context.Context, e engine, data string, o options) (*occupied, error) {
	server, err := startServer(ctx, e, data, o)
	if err != nil {
		return nil, err
	}
	b, err := prepare(server.address, o.connections)
	if err == nil {
		var r rights
		if r, err = entitle(ctx, e.server, b); err == nil {
			return &occupied{server, b, r}, nil
		}
	}
	server.stop()
	return nil, errors.Join(fmt.Errorf("prepare the %s database", e.name), err)
}
