package consumption

import (
	"context"
	"fmt"
	"time"

	"auth-service/store"
)

// A request is a call that is recorded as a whole or not at all. Once it is settled, out or err holds its outcome.
type request struct {
	caller Caller
	uses   []Usage
	// promised is what was reserved for the one use, when a reservation is committed.
	promised *promise
	// reserving is what is written instead of a record when the one use is only reserved.
	reserving *store.ConsumptionReservation

	out []Recorded
	err error
}

// A promise is a reservation that is committed: so much is never refused, even if the person has left.
type promise struct {
	amount   store.Amount
	recordID string // which the record is to have
}

// A settlement is the transaction that records a group of requests. Each stands alone: what is wrong with one refuses that one,
// and its numbers are what they would be if the requests had come one after the other.
type settlement struct {
	store    *store.Store
	now      time.Time
	requests []*request

	facts   map[store.Account]*store.ConsumerFacts // of a person, and the organization they act for
	limits  map[*store.Feature]*store.Amount       // of quotas: those of a plan are the same for all who have it
	earlier map[store.RecordKey]*store.ConsumptionRecord

	uses     []*use                                        // those of all requests, and after decide those that are accepted
	byKey    map[store.RecordKey]*use                      // accepted ones
	repeated []*use                                        // that repeat one of byKey
	held     map[store.CounterID]*store.ConsumptionCounter // nil where nothing can be refused
	charged  map[store.CounterID]store.Amount              // by what was accepted so far
	reserved map[store.Balance]store.Amount
	counted  map[store.CounterID]*store.ConsumptionCounter
}

// A use is a Usage with all that decides about it.
type use struct {
	Usage
	*request
	out   *Recorded
	index int
	facts *store.ConsumerFacts
	quota *store.Feature // nil without one
	limit *store.Amount  // nil without one
	// account is who is charged, and counter what counts for the limit.
	account store.Account
	counter store.CounterID
	first   *use // the one that it repeats
}

// settle runs in a transaction. store.ErrConflict means that another replica recorded something under one of the idempotency keys
// in the meantime: roll back, and settle again.
func (s *Service) settle(ctx context.Context, requests []*request) error {
	w := &settlement{store: s.Store, now: s.now(), requests: requests, limits: map[*store.Feature]*store.Amount{}}
	if err := w.read(ctx); err != nil {
		return err
	}
	if err := w.prepare(); err != nil {
		return err
	}
	if err := w.hold(ctx); err != nil {
		return err
	}
	w.decide()
	if len(w.uses) == 0 {
		return nil
	}
	if w.requests[0].reserving != nil { // it is alone
		return w.reserve(ctx)
	}
	if err := w.count(ctx); err != nil {
		return err
	}
	if err := w.remember(ctx); err != nil {
		return err
	}
	return w.announce(ctx)
}

// read looks up who uses, with the plans in force, and what was recorded before under the same idempotency keys.
func (w *settlement) read(ctx context.Context) error {
	var who []store.Account
	var keys []store.RecordKey
	w.facts = map[store.Account]*store.ConsumerFacts{}
	for _, r := range w.requests {
		r.out, r.err = make([]Recorded, len(r.uses)), nil
		for i := range r.uses {
			u := &r.uses[i]
			account := store.Account{ApplicationID: r.caller.ApplicationID, UserID: u.UserID, OrganizationID: u.OrganizationID}
			if _, known := w.facts[account]; !known {
				w.facts[account] = nil
				who = append(who, account)
			}
			if u.IdempotencyKey != "" {
				keys = append(keys, store.RecordKey{ApplicationID: r.caller.ApplicationID, IdempotencyKey: u.IdempotencyKey})
			}
		}
	}
	if w.requests[0].reserving != nil {
		keys = nil // it has one of its own
	}
	facts, earlier, err := w.store.FactsAndRecords(ctx, who, keys, w.now)
	if err != nil {
		return err
	}
	for i := range facts {
		w.facts[who[i]] = &facts[i]
	}
	w.earlier = earlier
	return nil
}

// prepare finds out who is charged for each use, and against which limit.
func (w *settlement) prepare() error {
	for _, r := range w.requests {
		for i := range r.uses {
			u := &use{Usage: r.uses[i], request: r, out: &r.out[i], index: i}
			u.facts = w.facts[store.Account{ApplicationID: r.caller.ApplicationID, UserID: u.UserID, OrganizationID: u.OrganizationID}]
			if u.At.IsZero() {
				u.At = w.now
			}
			if err := w.resolve(u); err != nil {
				return err
			}
			w.uses = append(w.uses, u)
		}
	}
	return nil
}

func (w *settlement) resolve(u *use) (err error) {
	u.account = chargedAccount(u.caller.ApplicationID, &u.Usage, u.facts)
	u.quota = u.facts.Quota(u.Key)
	limit, known := w.limits[u.quota]
	if !known {
		if u.quota, limit, err = limitOf(u.quota); err != nil {
			return err
		}
		w.limits[u.quota] = limit
	}
	u.limit = limit
	u.counter = store.CounterID{Account: u.account, Key: u.Key}
	if u.quota != nil {
		u.counter.Period = u.quota.Period
	}
	u.counter.StartsAt, _ = store.PeriodAt(u.counter.Period, u.At)
	return nil
}

// chargedAccount is the organization where its subscription gives the plan, else the person.
func chargedAccount(applicationID string, u *Usage, facts *store.ConsumerFacts) store.Account {
	if facts.Source == store.PlanOfOrganization {
		return store.Account{ApplicationID: applicationID, OrganizationID: u.OrganizationID}
	}
	return store.Account{ApplicationID: applicationID, UserID: u.UserID}
}

// quotaOf returns the feature that limits a key, with its limit; nil for both where there is no limit.
func quotaOf(facts *store.ConsumerFacts, key string) (*store.Feature, *store.Amount, error) {
	return limitOf(facts.Quota(key))
}

func limitOf(quota *store.Feature) (*store.Feature, *store.Amount, error) {
	if quota == nil || string(quota.Value) == "null" {
		return nil, nil, nil
	}
	var limit store.Amount
	if err := limit.UnmarshalJSON(quota.Value); err != nil {
		return nil, nil, fmt.Errorf("quota of %s: %w", quota.Key, err)
	}
	return quota, &limit, nil
}

// enforced reports whether the use is refused when it exceeds the limit.
func (u *use) enforced() bool { return u.limit != nil && (u.Enforce || u.quota.Hard) }

func (u *use) balance() store.Balance { return store.Balance{Account: u.account, Key: u.Key} }

// hold locks all counters where one of them can refuse a use, and reads what is reserved. That is a statement after the lock:
// PostgreSQL shows a statement that had to wait nothing newer than the row it waited for.
func (w *settlement) hold(ctx context.Context) (err error) {
	refusing, reserving := w.requests[0].reserving != nil, false
	for _, u := range w.uses {
		refusing = refusing || u.enforced()
		reserving = reserving || u.facts.Reserving && u.limit != nil
	}
	if refusing {
		tallies := make(map[store.CounterID]store.Tally, 2*len(w.uses))
		for _, u := range w.uses {
			if u.unknown() == nil { // or whoever invents people would fill the counters
				u.tally(tallies, store.Tally{})
			}
		}
		if w.held, err = w.add(ctx, tallies); err != nil {
			return err
		}
	}
	if refusing || reserving {
		w.reserved, err = w.store.Reserved(ctx, w.balances(), w.now)
	}
	return err
}

// balances are those of which something may be reserved that matters.
func (w *settlement) balances() []store.Balance {
	out := map[store.Balance]bool{}
	for _, u := range w.uses {
		if u.limit != nil {
			out[u.balance()] = true
		}
	}
	return keysOf(out)
}

func keysOf[K comparable, V any](of map[K]V) []K {
	out := make([]K, 0, len(of))
	for key := range of {
		out = append(out, key)
	}
	return out
}

// tally adds t to the counters of all who are concerned: the person in all, and with an organization the person for it, and
// the organization. What is charged is so only to one of them.
func (u *use) tally(tallies map[store.CounterID]store.Tally, t store.Tally) {
	for _, account := range u.accounts() {
		id := store.CounterID{Account: account, Key: u.Key, StartsAt: store.Epoch}
		addTally(tallies, id, u.share(account, t))
		if u.counter.Period != "" {
			id.Period, id.StartsAt = u.counter.Period, u.counter.StartsAt
			addTally(tallies, id, u.share(account, t))
		}
	}
}

func (u *use) accounts() []store.Account {
	person := store.Account{ApplicationID: u.caller.ApplicationID, UserID: u.UserID}
	if u.OrganizationID == "" {
		return []store.Account{person}
	}
	within, whole := person, person
	within.OrganizationID, whole.OrganizationID, whole.UserID = u.OrganizationID, u.OrganizationID, ""
	return []store.Account{person, within, whole}
}

// share leaves out of t what is charged to another account.
func (u *use) share(account store.Account, t store.Tally) store.Tally {
	if account != u.account {
		t.Charged = store.Amount{}
	}
	return t
}

// once is the tally of this use.
func (u *use) once() store.Tally {
	return store.Tally{Total: u.Amount, Charged: u.Amount, Count: 1, FirstAt: &u.At, LastAt: &u.At}
}

func addTally[K comparable](tallies map[K]store.Tally, id K, t store.Tally) {
	sum := tallies[id]
	sum.Add(t)
	tallies[id] = sum
}

// add adds to counters. One of a period that was not counted until now begins with what history says.
func (w *settlement) add(ctx context.Context, tallies map[store.CounterID]store.Tally) (map[store.CounterID]*store.ConsumptionCounter, error) {
	counters, err := w.store.AddToCounters(ctx, tallies)
	if err != nil {
		return nil, err
	}
	var fresh []store.CounterID
	for id, added := range tallies {
		c, head := counters[id], counters[id.Head()]
		if id.Period != "" && c.Count == added.Count && c.ResetAt == nil && (head.Count > tallies[id.Head()].Count || head.ResetAt != nil) {
			fresh = append(fresh, id)
		}
	}
	if len(fresh) == 0 {
		return counters, nil
	}
	history, err := w.store.HistoryOf(ctx, fresh)
	if err != nil || len(history) == 0 {
		return counters, err
	}
	filled, err := w.store.AddToCounters(ctx, history)
	for id, c := range filled {
		counters[id] = c
	}
	return counters, err
}

// decide goes through the requests in the order in which they came, and keeps the uses of those that are accepted.
func (w *settlement) decide() {
	w.byKey, w.charged = map[store.RecordKey]*use{}, map[store.CounterID]store.Amount{}
	uses := w.uses
	w.uses = nil
	for _, r := range w.requests {
		w.decideRequest(r, uses[:len(r.uses)])
		uses = uses[len(r.uses):]
	}
}

func (w *settlement) decideRequest(r *request, uses []*use) {
	var refused UsageErrors
	accepted, repeated := len(w.uses), len(w.repeated)
	for _, u := range uses {
		if err := w.accept(u); err != nil {
			refused = append(refused, &UsageError{u.index, err})
		}
	}
	if refused == nil {
		return
	}
	r.err = refused
	for _, u := range w.uses[accepted:] {
		w.charged[u.counter] = w.charged[u.counter].Minus(u.Amount)
		delete(w.byKey, u.recordKey())
	}
	w.uses, w.repeated = w.uses[:accepted], w.repeated[:repeated]
	for _, e := range refused {
		if quota, ok := e.Err.(*QuotaError); ok { // how it stands without all of the request
			quota.Standing = w.standing(uses[e.Index], w.chargedSoFar(uses[e.Index]))
		}
	}
}

func (u *use) recordKey() store.RecordKey {
	return store.RecordKey{ApplicationID: u.caller.ApplicationID, IdempotencyKey: u.IdempotencyKey}
}

// accept decides about one use. A repetition gets the first answer, whatever has become of the person since.
func (w *settlement) accept(u *use) error {
	if u.IdempotencyKey != "" {
		if record := w.earlier[u.recordKey()]; record != nil {
			return u.repeat(record)
		}
		if first := w.byKey[u.recordKey()]; first != nil {
			u.first = first
			w.repeated = append(w.repeated, u)
			return u.sameAs(first.UserID, first.OrganizationID, first.Key, first.Amount)
		}
	}
	if err := u.unknown(); err != nil {
		return err
	}
	if u.enforced() && !w.fits(u) && (u.promised == nil || u.Amount.Compare(u.promised.amount) > 0) {
		return &QuotaError{Key: u.Key, Amount: u.Amount}
	}
	w.charged[u.counter] = w.charged[u.counter].Add(u.Amount)
	if u.IdempotencyKey != "" {
		w.byKey[u.recordKey()] = u
	}
	w.uses = append(w.uses, u)
	return nil
}

// unknown says who does not exist. What was promised is billed, even if the person has left.
func (u *use) unknown() error {
	switch {
	case u.promised != nil:
	case !u.facts.UserFound:
		return errUserNotFound
	case u.OrganizationID != "" && !u.facts.OrganizationFound:
		return errOrganizationNotFound
	}
	return nil
}

func (u *use) sameAs(userID, organizationID, key string, amount store.Amount) error {
	if userID != u.UserID || organizationID != u.OrganizationID || key != u.Key || amount != u.Amount {
		return errKeyReused
	}
	return nil
}

// repeat answers as the first time.
func (u *use) repeat(record *store.ConsumptionRecord) error {
	if err := u.sameAs(record.UserID, record.OrganizationID, record.Key, record.Amount); err != nil {
		return err
	}
	first, err := firstAnswer(record)
	if err != nil {
		return err
	}
	*u.out = *first
	return nil
}

// fits reports whether the limit allows the use beside what is charged and reserved.
func (w *settlement) fits(u *use) bool {
	return w.chargedSoFar(u).Add(w.reservedBeside(u)).Add(u.Amount).Compare(*u.limit) <= 0
}

func (w *settlement) chargedSoFar(u *use) store.Amount {
	so := w.charged[u.counter]
	if c := w.held[u.counter]; c != nil {
		so = so.Add(c.Charged)
	}
	return so
}

// reservedBeside is what running jobs hold in the period of the use: they end now or later, never in one that is over.
func (w *settlement) reservedBeside(u *use) store.Amount {
	if now, _ := store.PeriodAt(u.counter.Period, w.now); u.counter.StartsAt.Before(now) {
		return store.Amount{}
	}
	return w.reserved[u.balance()]
}

// standing says how the account of a use stands with the total.
func (w *settlement) standing(u *use, total store.Amount) Standing {
	return standingOf(u.facts, u.limit, u.counter, total, w.reservedBeside(u), u.enforced())
}

func standingOf(facts *store.ConsumerFacts, limit *store.Amount, counter store.CounterID, total, reserved store.Amount, hard bool) Standing {
	out := Standing{Total: total, Reserved: reserved, Limit: limit, Hard: hard, Plan: facts.Plan, ChargedTo: counter.Account}
	if counter.Period != "" {
		start, end := store.PeriodAt(counter.Period, counter.StartsAt)
		out.Start, out.End = &start, &end
	}
	if limit != nil {
		out.Exceeded = total.Compare(*limit) > 0
	}
	return out
}

// count adds the accepted uses to counters and history, and tells each its own total: the last one sees the counter as it is
// now, and those before it less what came after them.
func (w *settlement) count(ctx context.Context) (err error) {
	tallies := make(map[store.CounterID]store.Tally, 2*len(w.uses))
	for _, u := range w.uses {
		u.tally(tallies, u.once())
	}
	if w.counted, err = w.add(ctx, tallies); err != nil {
		return err
	}
	if err := w.countBeside(ctx); err != nil {
		return err
	}
	totals := map[store.CounterID]store.Amount{}
	for i := len(w.uses) - 1; i >= 0; i-- {
		u := w.uses[i]
		total, later := totals[u.counter]
		if !later {
			total = w.counted[u.counter].Charged
		}
		totals[u.counter] = total.Minus(u.Amount)
		*u.out = Recorded{ID: u.newID(), Key: u.Key, Amount: u.Amount, Standing: w.standing(u, total)}
	}
	for _, u := range w.repeated {
		*u.out = *u.first.out
		u.out.Duplicate = true
	}
	return nil
}

func (u *use) newID() string {
	if u.promised != nil {
		return u.promised.recordID
	}
	return store.NewID()
}

// countBeside adds to the counters of periods that are not those of the plan in force, but were, or are those of another plan
// that the person is counted by: so each is right whenever it matters again. This is a statement after the heads are held,
// because one before would not see the counters that another transaction creates at this moment.
func (w *settlement) countBeside(ctx context.Context) error {
	beside := map[store.CounterID]store.Tally{}
	for _, u := range w.uses {
		for _, account := range u.accounts() {
			id := store.CounterID{Account: account, Key: u.Key}
			for _, period := range w.counted[id.Head()].OtherPeriods(u.counter.Period) {
				id.Period = period
				id.StartsAt, _ = store.PeriodAt(period, u.At)
				addTally(beside, id, u.share(account, u.once()))
			}
		}
	}
	if len(beside) == 0 {
		return nil
	}
	return w.store.AddToExistingCounters(ctx, beside)
}

// remember writes history and the ledger.
func (w *settlement) remember(ctx context.Context) error {
	buckets := make(map[store.BucketID]store.Tally, len(w.uses))
	records := make([]store.ConsumptionRecord, len(w.uses))
	for i, u := range w.uses {
		for _, account := range u.accounts() {
			id := store.BucketID{Account: account, Key: u.Key, StartsAt: u.At.Truncate(time.Hour), Width: store.BucketHour}
			addTally(buckets, id, u.share(account, u.once()))
		}
		records[i] = store.ConsumptionRecord{
			ApplicationID: u.caller.ApplicationID, ID: u.out.ID, Kind: store.ConsumptionUsed, ClientID: u.caller.ClientID,
			UserID: u.UserID, OrganizationID: u.OrganizationID, Key: u.Key, Amount: u.Amount, OccurredAt: u.At, RecordedAt: w.now,
			IdempotencyKey: u.IdempotencyKey, Metadata: string(u.Metadata),
		}
		if u.IdempotencyKey != "" || u.promised != nil {
			records[i].Answer = writeAnswer(&u.out.Standing)
		}
	}
	if err := w.store.AddToBuckets(ctx, buckets); err != nil {
		return err
	}
	return w.store.InsertRecords(ctx, records)
}
