package consumption

import (
	"context"
	"maps"
	"slices"
	"time"

	"auth-service/store"
)

// A keyStanding is how things stand with a key for whoever is charged, beside what was used by whomever a report is of. That is more
// where a person has used it for organizations that are charged, and less where the organization has other people.
type keyStanding struct {
	Standing
	used    store.Tally
	resetAt *time.Time
}

// An outlook is what is known of the usage of an account at one time.
type outlook struct {
	now          time.Time
	account      store.Account
	key          string // empty: all keys
	facts        *store.ConsumerFacts
	charged      store.Account
	own          map[string]store.RunningCounter               // of the account
	theirs       map[store.CounterID]*store.ConsumptionCounter // of whoever is charged, where that is another one
	reservations map[store.Balance]store.Amount
}

// standings returns how things stand now with each key that the account used or that its plan sells; with one key if one is named.
// Of more than maxAggregates it returns more than that, but not all.
func (s *Service) standings(ctx context.Context, account store.Account, key string) (map[string]*keyStanding, error) {
	o := &outlook{now: s.now(), account: account, key: key}
	if err := o.read(ctx, s.Store); err != nil {
		return nil, err
	}
	keys := o.keys()
	if err := o.readCharged(ctx, s.Store, keys); err != nil {
		return nil, err
	}
	if err := o.readReservations(ctx, s.Store, keys); err != nil {
		return nil, err
	}
	out := make(map[string]*keyStanding, len(keys))
	for _, key := range keys {
		standing, err := o.standing(key)
		if err != nil {
			return nil, err
		}
		out[key] = standing
	}
	return out, nil
}

func (o *outlook) read(ctx context.Context, from *store.Store) error {
	facts, err := from.ConsumerFacts(ctx, []store.Account{o.account}, o.now)
	if err != nil {
		return err
	}
	o.charge(&facts[0])
	if o.own, err = o.used(ctx, from); err != nil {
		return err
	}
	if len(o.own) == 0 {
		return there(o.account, &facts[0])
	}
	return nil
}

// used reads what the account used. An application may make up any number of keys, so that one is not looked for among all.
func (o *outlook) used(ctx context.Context, from *store.Store) (map[string]store.RunningCounter, error) {
	if o.key == "" {
		return from.RunningCounters(ctx, o.account, maxAggregates+1, o.now, o.period)
	}
	id := o.counter(o.account, o.key)
	counters, err := from.Counters(ctx, []store.CounterID{id, id.Head()})
	if err != nil || counters[id.Head()] == nil {
		return nil, err
	}
	return map[string]store.RunningCounter{o.key: {Head: counters[id.Head()], Current: counters[id]}}, nil
}

// counter is the one of an account that matters for a key now.
func (o *outlook) counter(account store.Account, key string) store.CounterID {
	return counterNow(account, &store.Feature{Period: o.period(key)}, key, o.now)
}

func (o *outlook) readCharged(ctx context.Context, from *store.Store, keys []string) (err error) {
	if o.charged == o.account {
		return nil
	}
	ids := make([]store.CounterID, len(keys))
	for i, key := range keys {
		ids[i] = o.counter(o.charged, key)
	}
	o.theirs, err = from.Counters(ctx, ids)
	return err
}

// charge finds who is charged for what the account uses. An organization without a plan of its own is not: each of its people is,
// so that nothing can be said of all of them.
func (o *outlook) charge(facts *store.ConsumerFacts) {
	o.facts, o.charged = facts, o.account
	switch {
	case facts.Source == store.PlanOfOrganization:
		o.charged.UserID = ""
	case o.account.UserID == "":
		o.facts = &store.ConsumerFacts{}
	default:
		o.charged.OrganizationID = ""
	}
}

// there refuses what names nobody. Of whom anything was used, usage remains when they are gone.
func there(account store.Account, facts *store.ConsumerFacts) error {
	switch {
	case account.UserID != "" && !facts.UserFound:
		return errUserNotFound
	case account.OrganizationID != "" && !facts.OrganizationFound:
		return errOrganizationNotFound
	}
	return nil
}

// period is the one in which a key counts. What no quota limits counts for all time.
func (o *outlook) period(key string) string {
	if quota, _, err := quotaOf(o.facts, key); err == nil && quota != nil {
		return quota.Period
	}
	return ""
}

// keys are those that were used, and those that the plan sells, unless one is named.
func (o *outlook) keys() []string {
	if o.key != "" {
		return []string{o.key}
	}
	keys := slices.Collect(maps.Keys(o.own))
	for _, quota := range o.facts.Quotas() {
		if _, used := o.own[quota.Key]; !used {
			keys = append(keys, quota.Key)
		}
	}
	return keys
}

func (o *outlook) readReservations(ctx context.Context, from *store.Store, keys []string) (err error) {
	if !o.facts.Reserving {
		return nil
	}
	balances := make([]store.Balance, len(keys))
	for i, key := range keys {
		balances[i] = store.Balance{Account: o.charged, Key: key}
	}
	o.reservations, err = from.Reserved(ctx, balances, o.now)
	return err
}

func (o *outlook) standing(key string) (*keyStanding, error) {
	quota, limit, err := quotaOf(o.facts, key)
	if err != nil {
		return nil, err
	}
	id, charged := o.counter(o.charged, key), store.Amount{}
	current := o.own[key].Current
	if o.charged != o.account {
		current = o.theirs[id]
	}
	if current != nil {
		charged = current.Charged
	}
	reserved := o.reservations[store.Balance{Account: o.charged, Key: key}]
	out := &keyStanding{Standing: standingOf(o.facts, limit, id, charged, reserved, quota != nil && quota.Hard)}
	if c := o.own[key].Current; c != nil {
		out.used = c.Tally
	}
	if c := o.own[key].Head; c != nil {
		out.resetAt = c.ResetAt
	}
	return out, nil
}
