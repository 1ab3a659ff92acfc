package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A caller is one keep-alive connection. It writes HTTP/1.1 by hand: the generator shares the processors with what it
// measures, so it must cost little.
type caller struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
}

// An answer is a response read to its end.
type answer struct {
	status   int
	location string
	body     []byte
}

// send writes one raw request and reads the response. A connection that the server closed is opened again once.
func (c *caller) send(raw []byte) (*answer, error) {
	for attempt := 0; ; attempt++ {
		if c.conn == nil {
			conn, err := net.DialTimeout("tcp", c.address, 5*time.Second)
			if err != nil {
				return nil, err
			}
			c.conn, c.in = conn, bufio.NewReaderSize(conn, 16<<10)
		}
		a, err := c.roundTrip(raw)
		if err == nil {
			return a, nil
		}
		c.close()
		if attempt > 0 || !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
}

func (c *caller) roundTrip(raw []byte) (*answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(raw); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.Close {
		defer c.close()
	}
	return &answer{res.StatusCode, res.Header.Get("Location"), body}, nil
}

func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close() // it is of no more use either way
		c.conn = nil
	}
}

// A step is what one caller does again and again. It returns an error for any answer that a client would not accept, so
// that no error page is ever counted as throughput.
type step func(c *caller) error

// A measurement is what a closed loop of callers saw.
type measurement struct {
	requests    int
	perSecond   float64
	p50, p99    time.Duration
	cpu         time.Duration // of the server and the database, in all
	residentKiB int           // of the server, at the end
}

// cpuPerThousand is the processor time that a thousand requests took.
func (m measurement) cpuPerThousand() time.Duration {
	return m.cpu * 1000 / time.Duration(max(m.requests, 1))
}

// measure runs one step per caller for a warm-up and then for the duration.
func measure(ctx context.Context, t *target, duration time.Duration, steps []step) (measurement, error) {
	if _, err := loop(ctx, t.address, duration/4, steps); err != nil {
		return measurement{}, err
	}
	before := t.cpu()
	started := time.Now()
	times, err := loop(ctx, t.address, duration, steps)
	if err != nil {
		return measurement{}, err
	}
	elapsed := time.Since(started)
	slices.Sort(times)
	return measurement{
		requests: len(times), perSecond: float64(len(times)) / elapsed.Seconds(),
		p50: times[len(times)/2], p99: times[len(times)*99/100],
		cpu: t.cpu() - before, residentKiB: t.resident(),
	}, nil
}

// loop lets every caller repeat its step until the time is up, and returns how long each repetition took.
func loop(ctx context.Context, address string, duration time.Duration, steps []step) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	for _, one := range steps {
		wg.Go(func() {
			c := &caller{address: address}
			defer c.close()
			times, err := repeat(ctx, c, one)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	if failed == nil && len(all) == 0 {
		failed = fmt.Errorf("nothing was answered within %s", duration)
	}
	return all, failed
}

func repeat(ctx context.Context, c *caller, one step) ([]time.Duration, error) {
	var times []time.Duration
	for ctx.Err() == nil {
		started := time.Now()
		if err := one(c); err != nil {
			return times, err
		}
		times = append(times, time.Since(started))
	}
	return times, nil
}
