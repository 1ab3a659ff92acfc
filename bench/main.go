// Command bench measures the server under a closed loop of callers and prints, in one run, what each path does beside the
// floor of that path: a bare Echo handler that does only the unavoidable (sign a token, verify one, commit a row, read
// one, hash a password) on the same machine, database and load generator. Ratios can be compared between machines and
// runs; requests per second cannot. It is bounded in time: about three minutes.
//
// Start with run. The scenarios are in scenarios.go, the floors in floor.go.
package main

import (
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
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "bin/auth-service", "the server's binary")
	flag.IntVar(&o.connections, "connections", 16, "callers at once")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "how long each path is measured")
	flag.StringVar(&o.engines, "engines", "sqlite,postgres", "which databases")
	flag.StringVar(&o.postgres, "postgres", os.Getenv("BENCH_DATABASE_URL"), "an empty PostgreSQL database; one is started when not given")
	flag.StringVar(&o.only, "only", "", "measure only the path of this name")
	floor := flag.String("floor", "", "internal: serve the floors on this database")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *floor != "" {
		err = serveFloor(ctx, *floor)
	} else {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
