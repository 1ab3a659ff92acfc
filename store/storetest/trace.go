package storetest

import (
	"context"
	"sync"

	"auth-service/store"
)

// Calls collects what a traced context did to the database, in order.
type Calls struct {
	mu   sync.Mutex
	made []store.Call
}

// Trace returns a context whose database calls are collected. Put it into the request under test; a cache that is filled in
// the background with a context of its own does not show.
func Trace(ctx context.Context) (context.Context, *Calls) {
	c := &Calls{}
	return store.Observe(ctx, func(call store.Call) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.made = append(c.made, call)
	}), c
}

// List returns the calls as "BEGIN", "R clients", "W grants", "COMMIT".
func (c *Calls) List() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]string, 0, len(c.made))
	for _, call := range c.made {
		list = append(list, call.String())
	}
	return list
}

// SQL returns the statements of the calls, without parameters.
func (c *Calls) SQL() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]string, 0, len(c.made))
	for _, call := range c.made {
		list = append(list, call.SQL)
	}
	return list
}

// Reset forgets what was collected so far.
func (c *Calls) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = nil
}
