package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How the lists are measured, and what is asked of them.
const (
	listRequests = 240
	warmUp       = 8                // requests before them
	listPatience = 20 * time.Second // for all requests of one kind; what is this slow needs no more of them
	listTarget   = 50 * time.Millisecond
	adminPath    = "/api/admin"
)

// A list is a route of /api/admin with the filters and the order of one kind of request. The i-th request may be about
// something else than the one before, so that not only what is cached is measured.
type list struct {
	name   string
	path   func(i int) string
	search func(i int) string // something to look for; nil when the list has no search
}

// A console reads lists as an administrator does.
type console struct {
	server   *target
	cookie   string
	callers  int
	world    *world
	document map[string][]string // the parameters of each GET route that the server documents
}

func openConsole(server *target, cookie string, callers int, w *world) (*console, error) {
	c := &console{server: server, cookie: cookie, callers: callers, world: w, document: map[string][]string{}}
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	a, err := c.get(&caller{address: server.address}, "/api/openapi.json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		return nil, fmt.Errorf("the server's OpenAPI document: %w", err)
	}
	for path, operations := range document.Paths {
		if get, ok := operations["get"]; ok {
			c.document[path] = []string{}
			for _, p := range get.Parameters {
				c.document[path] = append(c.document[path], p.Name)
			}
		}
	}
	return c, nil
}

func (c *console) get(from *caller, path string) (*answer, error) {
	a, err := from.send(get(path, c.cookie))
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", path, a.status, a.body)
	}
	return a, err
}

// missing says what of a request the server does not have: the route itself, or one of the parameters.
func (c *console) missing(request string) string {
	u, err := url.Parse(request)
	if err != nil {
		return err.Error()
	}
	for path, parameters := range c.document {
		if !matches(path, u.Path) {
			continue
		}
		for name := range u.Query() {
			if !slices.Contains(parameters, name) {
				return "parameter " + name + " not there yet"
			}
		}
		return ""
	}
	return "route not there yet"
}

// matches compares a path with one of the document, where {id} stands for any segment.
func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") && g != "" })
}

// measureLists prints how long the pages of each list take: the first one, pages anywhere in the middle, and what a search
// finds. The processor time, of the server and the database, tells a slow query from a busy machine. Only lists whose names
// only chooses are measured. It returns how many pages miss the target.
func (c *console) measureLists(ctx context.Context, only string) (missed int, err error) {
	fmt.Printf(listHead, "list", "page", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "requests")
	for _, l := range c.world.lists() {
		if ctx.Err() != nil {
			break
		}
		if !chosen(l.name, only) {
			continue
		}
		if lacks := c.missing(adminPath + l.path(0)); lacks != "" {
			fmt.Printf(listOther, l.name, "", lacks)
			continue
		}
		for _, page := range c.pages(l) {
			missed += c.measurePage(ctx, l.name, page)
		}
	}
	return missed, ctx.Err()
}

// chosen reports whether a name begins with one of the words between commas.
func chosen(name, only string) bool {
	return slices.ContainsFunc(strings.Split(only, ","), func(word string) bool { return strings.HasPrefix(name, word) })
}

// The columns are as wide as they must be: a row shows as soon as it is measured, which takes minutes for all.
const (
	listHead  = "%-66s %-6s %8s %8s %8s %8s %8s\n"
	listRow   = "%-66s %-6s %8.1f %8.1f %8.1f %8.1f %8d  %s\n"
	listOther = "%-66s %-6s  %s\n"
)

// A page is one kind of request, or why there is none.
type page struct {
	name string
	path func(i int) string
	none string
}

func (c *console) pages(l list) []page {
	pages := []page{{name: "first", path: l.path}}
	if deep, more := c.deep(l); more {
		pages = append(pages, deep)
	}
	if l.search != nil {
		searched := func(i int) string { return with(l.path(i), "search", l.search(i)) }
		pages = append(pages, page{name: "search", path: searched, none: c.missing(adminPath + searched(0))})
	}
	return pages
}

func (c *console) measurePage(ctx context.Context, name string, p page) int {
	if p.none != "" {
		fmt.Printf(listOther, name, p.name, p.none)
		return 0
	}
	before := c.server.cpu()
	times, err := c.time(ctx, p.path)
	cpu := (c.server.cpu() - before) / time.Duration(len(times)+warmUp)
	if err != nil {
		fmt.Printf(listOther, name, p.name, err)
		return 1
	}
	slices.Sort(times)
	at := func(percent int) time.Duration { return times[len(times)*percent/100] }
	verdict, missed := "pass", 0
	if at(95) > listTarget {
		verdict, missed = "FAIL", 1
	}
	fmt.Printf(listRow, name, p.name, ms(at(50)), ms(at(95)), ms(at(99)), ms(cpu), len(times), verdict)
	return missed
}

// time lets the callers make their requests and returns how long each took.
func (c *console) time(ctx context.Context, path func(i int) string) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	var next atomic.Int64
	var mu sync.Mutex
	var times []time.Duration
	var failed error
	var wg sync.WaitGroup
	for range c.callers {
		wg.Go(func() {
			from := &caller{address: c.server.address}
			defer from.close()
			for i := int(next.Add(1)); i <= listRequests+warmUp && ctx.Err() == nil; i = int(next.Add(1)) {
				started := time.Now()
				_, err := c.get(from, adminPath+path(i))
				took := time.Since(started)
				mu.Lock()
				if i > warmUp {
					times = append(times, took)
				}
				failed = errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if failed == nil && len(times) == 0 {
		failed = fmt.Errorf("nothing was answered within %s", listPatience)
	}
	return times, failed
}

// deep makes requests for pages anywhere in the list, if it has more than one. They have the form of a cursor that the
// server gave, with another place in it: to walk there would take ten thousand requests.
func (c *console) deep(l list) (p page, more bool) {
	p.name = "deep"
	from := &caller{address: c.server.address}
	defer from.close()
	a, err := c.get(from, adminPath+l.path(0))
	if err != nil {
		p.none = err.Error()
		return p, true
	}
	var shown struct{ NextCursor string }
	if err := json.Unmarshal(a.body, &shown); err != nil || shown.NextCursor == "" {
		return p, false
	}
	var place map[string]string
	text, err := base64.RawURLEncoding.DecodeString(shown.NextCursor)
	if err == nil {
		err = json.Unmarshal(text, &place)
	}
	if err != nil {
		p.none = "the cursor has an unknown form"
	}
	p.path = func(i int) string { return with(l.path(i), "cursor", c.world.elsewhere(place, i)) }
	return p, true
}

// elsewhere is the cursor of another place in the same list.
func (w *world) elsewhere(place map[string]string, i int) string {
	value := string([]byte{'a' + byte(w.pick(chooseOther, i, 26)), 'a' + byte(w.pick(chooseSize, i, 26))})
	if _, err := time.Parse(time.RFC3339Nano, place["v"]); err == nil {
		value = w.at(w.pick(chooseOther, i, w.users), w.users).Format(time.RFC3339Nano)
	}
	forged := maps.Clone(place)
	forged["v"] = value
	text, err := json.Marshal(forged)
	if err != nil {
		panic(err) // strings
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// with adds a parameter to a path that may have some already.
func with(path, name, value string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + name + "=" + url.QueryEscape(value)
}
