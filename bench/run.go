package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// An engine is a database to measure on.
type engine struct {
	name       string
	server     string // URL for the server
	floor      string // URL for the floor, another database of the same kind on the same disk
	postmaster int
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp(".", ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if info, err := os.Stat(o.server); err == nil {
		fmt.Printf("binary %.1f MB, %d callers, %s a path; sqlite synchronous=full\n", float64(info.Size())/1e6, o.connections, o.duration)
	}
	for _, name := range strings.Split(o.engines, ",") {
		e, stop, err := openEngine(ctx, name, dir, o)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		err = measureEngine(ctx, e, filepath.Join(dir, name), o)
		stop()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func measureEngine(ctx context.Context, e engine, data string, o options) error {
	first, err := startServer(ctx, e, data, o) // migrates, makes keys and the superadmin
	if err != nil {
		return err
	}
	u, err := prepareUsage(first.address)
	first.stop()
	if err != nil {
		return err
	}
	if err := fillUsage(ctx, os.Stdout, e.server, u, o.consumption, time.Now()); err != nil {
		return err
	}
	server, err := startServer(ctx, e, data, o)
	if err != nil {
		return err
	}
	defer server.stop()
	time.Sleep(500 * time.Millisecond) // what starting allocated is given back
	idle := server.resident()
	b, err := prepare(server.address, o.connections)
	if err != nil {
		return err
	}
	bare, err := startFloor(ctx, e.postmaster, e.floor)
	if err != nil {
		return err
	}
	defer bare.stop()
	fmt.Printf("\n%s: answers %d ms after its start on a migrated database, %.0f MiB idle\n\n", e.name, server.started.Milliseconds(), float64(idle)/1024)
	if o.consumption == 0 {
		if err := measureScenarios(ctx, server, bare, b, o); err != nil {
			return err
		}
	}
	if err := measureUsage(ctx, e, server, bare, b, u, o); err != nil {
		return err
	}
	fmt.Printf("\n%.0f MiB at the most\n", float64(server.peak())/1024)
	return nil
}

func measureScenarios(ctx context.Context, server, bare *target, b *bed, o options) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "path\treq/s\tp50 ms\tp99 ms\tCPU s/1000\tMiB\tfloor\treq/s\tCPU s/1000\tof floor\t")
	defer out.Flush()
	for _, s := range scenarios {
		if !chosen(s.name, o.only) {
			continue
		}
		steps, err := s.steps(b)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		method := "POST"
		if s.floor == "/static" {
			method = "GET"
		}
		floor, err := measure(ctx, bare, o.duration, b.same(raw(method, s.floor, "text/plain", "", "")))
		if err != nil {
			return fmt.Errorf("floor %s: %w", s.floor, err)
		}
		got, err := measure(ctx, server, o.duration, steps)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.1f\t%.1f\t%.2f\t%.0f\t%s\t%.0f\t%.2f\t%.0f %%\t\n", s.name, got.perSecond, ms(got.p50), ms(got.p99),
			got.cpuPerThousand().Seconds(), float64(got.residentKiB)/1024, strings.TrimPrefix(s.floor, "/"), floor.perSecond,
			floor.cpuPerThousand().Seconds(), 100*got.perSecond/floor.perSecond)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// startServer runs the binary as an operator would, with limits that a bench from one address would hit set aside.
func startServer(ctx context.Context, e engine, data string, o options) (*target, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	binary, err := filepath.Abs(o.server)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Dir = filepath.Dir(data)
	cmd.Env = append(os.Environ(), "AUTH_DATA_DIR="+data, "AUTH_DATABASE_URL="+e.server, "AUTH_LISTEN_HOST=127.0.0.1", "AUTH_LISTEN_PORT="+port,
		"AUTH_PUBLIC_URL=http://"+address, "AUTH_ADMIN_EMAIL="+adminEmail, "AUTH_ADMIN_PASSWORD="+password, "AUTH_LOG_FORMAT=json",
		"AUTH_LOG_LEVEL=info", "AUTH_THROTTLE_PER_ADDRESS_RATE=1000000", "AUTH_THROTTLE_PER_ADDRESS_BURST=1000000")
	log, err := os.Create(data + ".log")
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	return start(ctx, e.postmaster, cmd, address)
}
