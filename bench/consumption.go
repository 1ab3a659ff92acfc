package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"auth-service/store"
)

// How consumption is measured, and what is asked of it.
const (
	recordCallers  = 64 // who record one by one
	batchCallers   = 8
	batchSize      = 100
	ofCommits      = 0.50                  // single records of the commits that a bare server gets out of the database over HTTP
	ofSpread       = 0.80                  // records of one counter of those of many
	batchedRecords = 20_000                // a second, where the machine can insert as many at all
	readTarget     = 10 * time.Millisecond // for 99 of 100 reads
)

// usage is an application that records, with a default plan whose quota counts by the month.
type usage struct {
	registered
	address string
	token   string
	next    atomic.Int64 // gives each request a person and an idempotency key
	run     string       // tells the keys of this run from those of others
}

// prepareUsage registers the application through the server's own API.
func prepareUsage(address string) (*usage, error) {
	u := &usage{address: address, run: store.NewID()}
	b := &bed{address: address}
	admin, err := b.sign("in", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, password))
	if err != nil {
		return nil, err
	}
	const application = `{"name":"bench usage","type":"m2m","scopes":["read"],"tokenEndpointAuthMethod":"client_secret_post"}`
	if err := b.call(admin, "/api/admin/applications", application, &u.registered); err != nil {
		return nil, err
	}
	const plan = `{"key":"metered","name":"Metered","isDefault":true,"features":[{"key":"api_calls","type":"quota","value":1000000000000,"period":"month"}]}`
	return u, b.call(admin, "/api/admin/applications/"+u.ID+"/plans", plan, nil)
}

func (u *usage) refresh(b *bed) error {
	c := &caller{address: u.address}
	defer c.close()
	t, err := b.tokens(c, form(tokenPath, u.machine("client_credentials")))
	u.token = t.Access
	return err
}

// A metered scenario is a path of /api/consumption. A target of what it measures may be missed, which is said.
type metered struct {
	name    string
	callers int
	records int // in one request
	request func(u *usage, i int) []byte
	floor   func(f *bareInserts, ctx context.Context, o options) (perSecond float64, name string, err error)
	http    string // path of the floor server that does the same
	missed  func(got measurement, floor, spread float64) bool
}

func meteredScenarios(o options) []metered {
	slowRead := func(got measurement, _, _ float64) bool { return got.p99 > readTarget }
	return []metered{
		{"record", recordCallers, 1, func(u *usage, i int) []byte { return u.record(i) }, (*bareInserts).commits, "/commit",
			func(got measurement, floor, _ float64) bool { return got.perSecond < ofCommits*floor }},
		{"record, one counter", recordCallers, 1, func(u *usage, _ int) []byte { return u.record(busiest) }, (*bareInserts).commits, "/commit",
			func(got measurement, floor, spread float64) bool {
				return got.perSecond < max(ofCommits*floor, ofSpread*spread)
			}},
		{"batch of 100", batchCallers, batchSize, func(u *usage, i int) []byte { return u.batch(i*batchSize, 1) }, (*bareInserts).rows, "",
			func(got measurement, floor, _ float64) bool {
				return got.perSecond*batchSize < min(batchedRecords, floor)
			}},
		{"batch of 100, one counter", batchCallers, batchSize, func(u *usage, _ int) []byte { return u.batch(busiest, 0) }, (*bareInserts).rows, "",
			func(got measurement, floor, _ float64) bool {
				return got.perSecond*batchSize < min(batchedRecords, floor)
			}},
		{"check", o.callers, 0, func(u *usage, i int) []byte {
			return u.post("/check", `{"userId":"`+usagePerson(i)+`","key":"api_calls"}`)
		}, nil, "", slowRead},
		{"running total", o.callers, 0, func(u *usage, i int) []byte { return u.get(usagePerson(i), "") }, nil, "", slowRead},
		{"a month by day", o.callers, 0, func(u *usage, i int) []byte { return u.get(usagePerson(i), "?granularity=day") }, nil, "", slowRead},
		{"a month by day of the busiest", o.callers, 0, func(u *usage, _ int) []byte { return u.get(usagePerson(busiest), "?granularity=day") }, nil, "", slowRead},
	}
}

// busiest is the person who has used most.
const busiest = 0

func (u *usage) post(path, body string) []byte {
	return raw("POST", "/api/consumption"+path, "application/json", "Authorization: Bearer "+u.token+"\r\n", body)
}

func (u *usage) get(person, query string) []byte {
	return raw("GET", "/api/consumption/"+person+"/"+u.ID+query, "", "Authorization: Bearer "+u.token+"\r\n", "")
}

// one is a record as an application sends it, with an idempotency key.
func (u *usage) one(person int) string {
	return fmt.Sprintf(`{"userId":%q,"key":"api_calls","amount":"1.5","idempotencyKey":"%s-%d"}`, usagePerson(person), u.run, u.next.Add(1))
}

func (u *usage) record(person int) []byte { return u.post("", u.one(person)) }

// batch has records of people who are so far apart.
func (u *usage) batch(first, apart int) []byte {
	records := make([]string, batchSize)
	for i := range records {
		records[i] = u.one(first + i*apart)
	}
	return u.post("", `{"records":[`+strings.Join(records, ",")+`]}`)
}

// steps let each caller make requests about one person after the other.
func (u *usage) steps(m metered) []step {
	var next atomic.Int64
	steps := make([]step, m.callers)
	for i := range steps {
		steps[i] = func(c *caller) error { return expect(http.StatusOK, m.request(u, int(next.Add(1))))(c) }
	}
	return steps
}

// measureUsage prints what records cost beside what the database does alone, and how fast their sums are read.
func measureUsage(ctx context.Context, e engine, server, bare *target, b *bed, u *usage, o options) error {
	u.address = server.address
	inserts, err := openBareInserts(ctx, e)
	if err != nil {
		return err
	}
	defer inserts.close()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer out.Flush()
	fmt.Fprintf(os.Stdout, "\nconsumption, %d records before\n\n", o.consumption)
	fmt.Fprintln(out, "path\tcallers\treq/s\trecords/s\tp50 ms\tp99 ms\tCPU s/1000\tMiB\tfloor\t/s\tof floor\tover HTTP\tof it\t\t")
	spread := 0.0
	for _, m := range meteredScenarios(o) {
		if !chosen(m.name, o.only) {
			continue
		}
		if err := u.refresh(b); err != nil {
			return err
		}
		least, err := m.least(ctx, inserts, bare, o)
		if err != nil {
			return fmt.Errorf("floor of %s: %w", m.name, err)
		}
		got, err := measure(ctx, server, o.duration, u.steps(m))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		verdict := "pass"
		if m.missed(got, least.reachable(), spread) {
			verdict = "FAIL"
		}
		if spread == 0 {
			spread = got.perSecond
		}
		fmt.Fprintf(out, "%s\t%d\t%.0f\t%s\t%.1f\t%.1f\t%.2f\t%.0f\t%s\t%s\t\n", m.name, m.callers, got.perSecond, m.recordsOf(got), ms(got.p50), ms(got.p99),
			got.cpuPerThousand().Seconds(), float64(got.residentKiB)/1024, m.beside(got, least), verdict)
	}
	return nil
}

// floors are what the database does alone, and what a bare server does with it. Zero is none.
type floors struct {
	name                string
	perSecond, overHTTP float64
}

// reachable is the floor for requests. On a machine that the database shares with a server, and with those who send to it, a server that
// does nothing but commit gets about half of the commits that the database does alone.
func (f floors) reachable() float64 {
	if f.overHTTP > 0 {
		return min(f.perSecond, f.overHTTP)
	}
	return f.perSecond
}

func (m metered) least(ctx context.Context, f *bareInserts, bare *target, o options) (least floors, err error) {
	if m.floor == nil {
		return least, nil
	}
	if least.perSecond, least.name, err = m.floor(f, ctx, o); err != nil || m.http == "" {
		return least, err
	}
	callers := &bed{callers: m.callers}
	got, err := measure(ctx, bare, o.duration, callers.same(raw("POST", m.http, "text/plain", "", "")))
	least.overHTTP = got.perSecond
	return least, err
}

func (m metered) recordsOf(got measurement) string {
	if m.records == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", got.perSecond*float64(m.records))
}

// beside fills the columns of the floors.
func (m metered) beside(got measurement, least floors) string {
	share := func(floor float64) string {
		if floor == 0 {
			return "\t"
		}
		return fmt.Sprintf("%.0f\t%.0f %%", floor, 100*got.perSecond*float64(m.records)/floor)
	}
	return least.name + "\t" + share(least.perSecond) + "\t" + share(least.overHTTP)
}
