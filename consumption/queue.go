package consumption

import (
	"context"
	"errors"
	"sync"
	"time"

	"auth-service/store"
)

const (
	// maxGroup is how many uses go into a transaction, or one request: more would not make it cheaper, but keep those in it waiting,
	// and other workers, who may need one of its counters.
	maxGroup = 250
	// maxQueued is how many uses wait at most. Who comes then is told to come back.
	maxQueued = 20_000
	// weightAlone is to how many uses in a common transaction one of its own comes.
	weightAlone = 20
	// maxWriting is how long a transaction may take, with all its tries.
	maxWriting = 15 * time.Second
	// maxSettling is how often a group is settled anew because another replica was faster with an idempotency key.
	maxSettling = 10
)

// A queue gathers what is to be written. While a transaction is under way, what arrives waits and goes together into the next
// one: the more callers there are, the less each costs, and one who comes alone does not wait. There are a few lines, and an
// account is in one of them at a time, so that those who work at them do not wait for each other's locks.
type queue struct {
	mu      sync.RWMutex
	lines   []*line // nil: nobody works
	waiting waiting
	places  places
}

// waiting is how much of the room for maxQueued uses is taken, by application. None gets more than it leaves free to the
// others, so that one that sends too much is told so while they still find room: alone it may have half of it, two that do so a
// third each.
type waiting struct {
	mu    sync.Mutex
	total int64
	of    map[string]int64
}

func (w *waiting) enter(applicationID string, weight int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[applicationID]+weight > maxQueued-w.total-weight {
		return false
	}
	w.total += weight
	w.of[applicationID] += weight
	return true
}

func (w *waiting) leave(applicationID string, weight int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total -= weight
	if w.of[applicationID] -= weight; w.of[applicationID] == 0 {
		delete(w.of, applicationID)
	}
}

func (w *waiting) all() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// A job is a request, which shares a transaction with others, or something that needs one of its own.
type job struct {
	account store.Account // at which most callers may meet
	request *request
	alone   func(ctx context.Context) error
	done    chan error // has room for the outcome, so that nobody waits for a caller who has gone
}

func (j *job) weight() int64 {
	if j.request == nil {
		return weightAlone
	}
	return int64(len(j.request.uses))
}

// A line is of jobs that wait for each other, and for two workers who take turns: while one has its group committed, the other prepares
// the next. So the database always has something to do, and the groups are no smaller for it.
type line struct {
	jobs chan *job
	turn sync.Mutex // whose it is gathers, until only the COMMIT is left
	last *flight    // of the turn before
}

// A flight is a group that is being committed.
type flight struct {
	keys map[store.RecordKey]bool // under which it records
	done chan struct{}
}

func newFlight(group []*job) *flight {
	f := &flight{map[store.RecordKey]bool{}, make(chan struct{})}
	for _, j := range group {
		if j.request == nil {
			continue
		}
		for i := range j.request.uses {
			if key := j.request.uses[i].IdempotencyKey; key != "" {
				f.keys[store.RecordKey{ApplicationID: j.request.caller.ApplicationID, IdempotencyKey: key}] = true
			}
		}
	}
	return f
}

// follow has the group wait for the one before where it repeats something of that, which is not to be seen before it is committed.
func (l *line) follow(group []*job) *flight {
	f := newFlight(group)
	if l.last != nil {
		for key := range f.keys {
			if l.last.keys[key] {
				<-l.last.done
				break
			}
		}
	}
	l.last = f
	return f
}

// Run gathers what is recorded at the same time into common transactions, until ctx ends and all that waits is written.
func (s *Service) Run(ctx context.Context) {
	count, workers := s.lines()
	lines := make([]*line, count)
	var working sync.WaitGroup
	for i := range lines {
		lines[i] = &line{jobs: make(chan *job, maxQueued)}
		for range workers {
			working.Go(func() { s.work(context.WithoutCancel(ctx), lines[i]) })
		}
	}
	s.queue.open(lines)
	<-ctx.Done()
	s.queue.close()
	working.Wait()
}

// lines is how many there are, and how many work at each. SQLite has one writer. On PostgreSQL others work while one waits for the
// disk, or for a counter that is being written.
func (s *Service) lines() (count, workers int) {
	switch {
	case s.Store.Dialect() == "sqlite":
		return 1, 1
	case s.Lines > 0:
		return s.Lines, 2
	}
	return 4, 2
}

func (q *queue) open(lines []*line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines, q.waiting.of, q.places.of = lines, map[string]int64{}, map[store.Account]*spot{}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range q.lines {
		close(line.jobs)
	}
	q.lines = nil
}

// put queues j and reports whether anybody will see to it.
func (q *queue) put(j *job) (queued bool, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.lines == nil {
		return false, nil
	}
	if !q.waiting.enter(j.account.ApplicationID, j.weight()) {
		return false, errBusy
	}
	q.lines[q.lineOf(j)].jobs <- j // it has room for all that may wait
	return true, nil
}

// lineOf is where the account's jobs are already, and else the one for a new account.
func (q *queue) lineOf(j *job) int {
	q.places.mu.Lock()
	defer q.places.mu.Unlock()
	p := q.places.of[j.account]
	if p == nil {
		p = &spot{line: q.choose(j)}
		q.places.of[j.account] = p
	}
	p.jobs++
	return p.line
}

// choose is the first line for what comes one by one, until more than a group waits there: small groups cost more, and so it is for
// lists as long as few wait. Else it is the one in which the fewest wait. What needs a transaction of its own keeps out of the first
// one's way.
func (q *queue) choose(j *job) (best int) {
	single := j.request != nil && len(j.request.uses) == 1
	switch {
	case j.request == nil:
		best = min(1, len(q.lines)-1)
	case q.waiting.all() <= maxGroup/10, single && len(q.lines[0].jobs) < maxGroup:
		return 0
	}
	for i := best; i < len(q.lines); i++ {
		if len(q.lines[i].jobs) < len(q.lines[best].jobs) {
			best = i
		}
	}
	return best
}

// places are the lines in which the jobs of an account wait or are done.
type places struct {
	mu sync.Mutex
	of map[store.Account]*spot
}

type spot struct{ line, jobs int }

func (p *places) leave(jobs []*job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range jobs {
		at := p.of[j.account]
		if at.jobs--; at.jobs == 0 {
			delete(p.of, j.account)
		}
	}
}

// gather waits for a job and takes with it what else is there. It returns nothing once the line is closed and empty.
func (q *queue) gather(line *line) (group []*job) {
	first, open := <-line.jobs
	for next, weight := first, int64(0); open; {
		q.waiting.leave(next.account.ApplicationID, next.weight())
		group, weight = append(group, next), weight+next.weight()
		if weight >= maxGroup {
			break
		}
		select {
		case next, open = <-line.jobs:
		default:
			return group
		}
	}
	return group
}

// submit has a job done, and returns what is wrong with it. When ctx ends first it may be done all the same.
func (s *Service) submit(ctx context.Context, j *job) error {
	j.done = make(chan error, 1)
	queued, err := s.queue.put(j)
	if err != nil {
		return err
	}
	if !queued {
		s.write(ctx, []*job{j}, func() {})
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) work(ctx context.Context, line *line) {
	for s.takeTurn(ctx, line) {
	}
}

// takeTurn does what waits, and reports whether there was anything: a line that is closed has no more.
func (s *Service) takeTurn(ctx context.Context, line *line) bool {
	line.turn.Lock()
	pass := sync.OnceFunc(line.turn.Unlock)
	defer pass()
	group := s.queue.gather(line)
	if group == nil {
		return false
	}
	flight := line.follow(group)
	s.write(ctx, group, pass)
	close(flight.done)
	s.queue.places.leave(group)
	return true
}

// write does the jobs. The requests among them share a transaction, and once only its COMMIT is left it calls pass.
func (s *Service) write(ctx context.Context, jobs []*job, pass func()) {
	var requests []*job
	for _, j := range jobs {
		if j.request != nil {
			requests = append(requests, j)
		} else {
			j.done <- s.transact(ctx, j.alone)
		}
	}
	if len(requests) > 0 {
		s.writeRequests(ctx, requests, pass)
	}
}

// writeRequests settles requests together, and each half of them by itself when that fails for a reason that may lie in one of
// them: whoever sends such ones again and again must not have all others recorded one by one.
func (s *Service) writeRequests(ctx context.Context, jobs []*job, pass func()) {
	requests := make([]*request, len(jobs))
	for i, j := range jobs {
		requests[i] = j.request
	}
	err := s.transact(ctx, func(ctx context.Context) error {
		err := s.settle(ctx, requests)
		if err == nil {
			pass()
		}
		return err
	})
	if err == nil || len(jobs) == 1 || errors.Is(err, store.ErrUnavailable) {
		for _, j := range jobs {
			j.done <- err
		}
		return
	}
	s.Log.Warn().Err(err).Int("requests", len(jobs)).Msg("usage could not be recorded together; trying the halves")
	s.writeRequests(ctx, jobs[:len(jobs)/2], pass)
	s.writeRequests(ctx, jobs[len(jobs)/2:], pass)
}

// transact runs fn in a transaction, and anew when another replica was faster with an idempotency key.
func (s *Service) transact(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWriting)
	defer cancel()
	for try := 1; ; try++ {
		err := s.Store.Tx(ctx, fn)
		switch {
		case errors.Is(err, store.ErrTotalTooLarge):
			return errTotalTooLarge.Because(err)
		case !errors.Is(err, store.ErrConflict) || try == maxSettling:
			return err
		}
	}
}
