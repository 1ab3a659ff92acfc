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
	facts        *store.ConsumerFacts
	charged      store.Account
	own, theirs  map[string]store.RunningCounter // counters of the account, and of whoever is charged
	reservations map[store.Balance]store.Amount
}

// standings returns how things stand now with each key that the account used or that its plan sells; with one key if one is named.
func (s *Service) standings(ctx context.Context, account store.Account, key string) (map[string]*keyStanding, error) {
	o := &outlook{now: s.now(), account: account}
	if err := o.read(ctx, s.Store); err != nil {
		return nil, err
	}
	keys := []string{key}
	if key == "" {
		keys = o.keys()
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
	if o.own, err = from.RunningCounters(ctx, o.account, o.now, o.period); err != nil {
		return err
	}
	if len(o.own) == 0 {
		if err := there(o.account, &facts[0]); err != nil {
			return err
		}
	}
	if o.theirs = o.own; o.charged != o.account {
		o.theirs, err = from.RunningCounters(ctx, o.charged, o.now, o.period)
	}
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

// keys are those that were used, and those that the plan sells.
func (o *outlook) keys() []string {
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
	var charged store.Amount
	if c := o.theirs[key].Current; c != nil {
		charged = c.Charged
	}
	reserved := o.reservations[store.Balance{Account: o.charged, Key: key}]
	counter := counterNow(o.charged, quota, key, o.now)
	out := &keyStanding{Standing: standingOf(o.facts, limit, counter, charged, reserved, quota != nil && quota.Hard)}
	if c := o.own[key].Current; c != nil {
		out.used = c.Tally
	}
	if c := o.own[key].Head; c != nil {
		out.resetAt = c.ResetAt
	}
	return out, nil
}
