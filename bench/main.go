// Command bench measures the server under a closed loop of callers and prints, in one run, what each path does beside the
// floor of that path: a bare Echo handler that does only the unavoidable (sign a token, verify one, commit a row, read
// one, hash a password) on the same machine, database and load generator. Ratios can be compared between machines and
// runs; requests per second cannot. It is bounded in time: about four minutes.
//
// With -scale it measures at size instead: it fills a PostgreSQL database with a million people and what they have, and
// prints whether each list of the administrators answers within its target, and what tokens cost beside an empty database.
//
// With -consumption it measures the recording of usage and its sums alone, beside a ledger of so many records; without, beside
// an empty one.
//
// Start with run, or with measureScale. The scenarios are in scenarios.go and consumption.go, the floors in floor.go and
// consumption_floor.go, the lists in routes.go.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are the flags.
type options struct {
	server      string
	connections int
	duration    time.Duration
	engines     string
	postgres    string
	only        string

	consumption int

	scale   float64
	callers int
	grants  int
	seed    uint64
	keep    string
	fill    string
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "bin/auth-service", "the server's binary")
	flag.IntVar(&o.connections, "connections", 16, "callers at once")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "how long each path is measured")
	flag.StringVar(&o.engines, "engines", "sqlite,postgres", "which databases")
	flag.StringVar(&o.postgres, "postgres", os.Getenv("BENCH_DATABASE_URL"), "an empty PostgreSQL database; one is started when not given")
	flag.StringVar(&o.only, "only", "", "measure only the paths that begin with one of these, parted by commas")
	flag.IntVar(&o.consumption, "consumption", 0, "measure consumption only, with so many records before")
	flag.Float64Var(&o.scale, "scale", 0, "measure at size: 1 is a million people")
	flag.IntVar(&o.callers, "callers", 4, "with -scale, how many administrators, or people, there are at once; and how many read consumption")
	flag.IntVar(&o.grants, "grants", 1_000_000, "how many grants there are at scale 1")
	flag.Uint64Var(&o.seed, "seed", 1, "what the people and all that they have are made from")
	flag.StringVar(&o.keep, "keep", "", "the folder in which to keep the database of this size, and to find that of an earlier run")
	flag.StringVar(&o.fill, "fill", "", "only fill this empty PostgreSQL database, with 1 as the default scale")
	floor := flag.String("floor", "", "internal: serve the floors on this database")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *floor != "":
		err = serveFloor(ctx, *floor)
	case o.fill != "":
		err = fill(ctx, os.Stdout, o.fill, newWorld(cmp.Or(o.scale, 1), o.grants, o.seed))
	case o.scale > 0:
		err = measureScale(ctx, o)
	default:
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
