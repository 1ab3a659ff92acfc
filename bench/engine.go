package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"auth-service/store/storetest"
)

// openEngine makes two empty databases of a kind, one for the server and one for the floor, on the same disk.
func openEngine(ctx context.Context, name, dir string, o options) (engine, func(), error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return engine{}, nil, err
	}
	switch name {
	case "sqlite":
		e := engine{name: name, server: "sqlite:" + filepath.Join(dir, "server.db"), floor: "sqlite:" + filepath.Join(dir, "floor.db")}
		return e, func() {}, nil
	case "postgres":
		return openPostgres(ctx, o)
	}
	return engine{}, nil, fmt.Errorf("no such engine")
}

// openPostgres uses the given database for both, or starts a server. Processor time of a given one is not counted: it may
// run anywhere.
func openPostgres(ctx context.Context, o options) (engine, func(), error) {
	if o.postgres != "" {
		return engine{name: "postgres (given)", server: o.postgres, floor: o.postgres}, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "bench") // short: its path becomes the name of a socket
	if err != nil {
		return engine{}, nil, err
	}
	at, pid, stop, err := storetest.StartDurable(dir)
	if err != nil {
		return engine{}, nil, err
	}
	end := func() {
		stop()
		_ = os.RemoveAll(dir) // a leftover in the temporary folder
	}
	e := engine{name: "postgres", server: named(at, "server"), floor: named(at, "floor"), postmaster: pid}
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		end()
		return engine{}, nil, err
	}
	defer conn.Close(ctx)
	for _, database := range []string{"server", "floor"} {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+database); err != nil {
			end()
			return engine{}, nil, err
		}
	}
	return e, end, nil
}

// named is the URL of another database of the same server.
func named(at, database string) string {
	u, err := url.Parse(at)
	if err != nil {
		return at // it was parsed to connect
	}
	u.Path = "/" + database
	return u.String()
}
