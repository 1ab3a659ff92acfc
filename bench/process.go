package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A target is a running server whose cost is being measured.
type target struct {
	address  string // host:port
	process  *exec.Cmd
	database int // process id of PostgreSQL's postmaster, zero for SQLite, which lives in the server
	started  time.Duration
	ended    chan struct{} // closed when it has
}

// clockTick is USER_HZ, in which /proc counts; it has been 100 on every Linux for decades.
const clockTick = 10 * time.Millisecond

// patience is how long a server may take to answer first: it may have to build indexes of a million rows.
const patience = 5 * time.Minute

// start runs a server and waits until it answers.
func start(ctx context.Context, database int, cmd *exec.Cmd, address string) (*target, error) {
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &target{address: address, process: cmd, database: database, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(t.ended)
	}()
	client := &http.Client{Timeout: time.Second}
	for ctx.Err() == nil && time.Since(began) < patience {
		res, err := client.Get("http://" + address + "/health/live")
		if err == nil {
			_ = res.Body.Close() // only the status matters
			if res.StatusCode == http.StatusOK {
				t.started = time.Since(began)
				return t, nil
			}
		}
		select {
		case <-t.ended:
			return nil, fmt.Errorf("%s ended before it answered: %s", cmd.Path, cmd.ProcessState)
		case <-time.After(2 * time.Millisecond):
		}
	}
	t.stop()
	return nil, fmt.Errorf("%s did not answer within %s", cmd.Path, patience)
}

func (t *target) stop() {
	_ = t.process.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	<-t.ended
}

// cpu is the processor time that the server, and the database beside it, have used so far.
func (t *target) cpu() time.Duration {
	total := processTime(t.process.Process.Pid)
	if t.database == 0 {
		return total
	}
	total += processTime(t.database)
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range entries {
		if fields := stat(path); len(fields) > 1 && fields[1] == strconv.Itoa(t.database) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			total += processTime(pid)
		}
	}
	return total
}

// stat returns the fields of /proc/PID/stat after the name: state, parent and so on.
func stat(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil // it has ended
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

// processTime is a process's own time and that of its children that have ended.
func processTime(pid int) time.Duration {
	fields := stat(fmt.Sprintf("/proc/%d/stat", pid))
	var ticks int64
	if len(fields) > 14 {
		for _, text := range fields[11:15] {
			n, _ := strconv.ParseInt(text, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick
}

// resident is the server's memory in KiB.
func (t *target) resident() int { return status(t.process.Process.Pid, "VmRSS:") }

// peak is the most memory that the server ever had, in KiB.
func (t *target) peak() int { return status(t.process.Process.Pid, "VmHWM:") }

func status(pid int, key string) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// freeAddress finds a port on the loopback interface that nobody uses.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
