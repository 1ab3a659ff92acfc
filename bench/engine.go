package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// openEngine makes two empty databases, one for the server and one for the floor.
func openEngine(ctx context.Context, name, dir string, o options) (engine, func(), error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return engine{}, nil, err
	}
	switch name {
	case "sqlite":
		e := engine{name: name, server: "sqlite:" + filepath.Join(dir, "server.db"), floor: "sqlite:" + filepath.Join(dir, "floor.db")}
		return e, func() {}, nil
	}
	return engine{}, nil, fmt.Errorf("no such engine")
}
