package consumption

import (
	"context"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"auth-service/problem"
	"auth-service/store"
)

// A Service records what is used and says what is left. Without Run each call has a transaction of its own.
type Service struct {
	Store *store.Store
	Now   func() time.Time
	Log   zerolog.Logger
	// MaxAge is how old a use may be when it is recorded, and MaxSkew how far in the future, for clocks that differ. Zero is any.
	MaxAge, MaxSkew time.Duration
	// Lines is how many lines of what is recorded there are on PostgreSQL, each with two transactions at most; zero is a good number.
	Lines int

	queue queue
}

// now is the time as databases keep it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Record writes all of the uses, or none. UsageErrors are about single ones among them.
func (s *Service) Record(ctx context.Context, c Caller, uses []Usage) ([]Recorded, error) {
	if len(uses) == 0 {
		return nil, nil
	}
	var refused UsageErrors
	timely := make([]Usage, len(uses)) // a copy, which outlives a caller who goes away
	for i, u := range uses {
		u.At = u.At.UTC().Truncate(time.Microsecond)
		if err := s.checkTime(u.At); err != nil {
			refused = append(refused, &UsageError{i, err})
		}
		timely[i] = u
	}
	if refused != nil {
		return nil, refused
	}
	r := &request{caller: c, uses: timely}
	if err := s.submit(ctx, &job{account: shardOf(c, &timely[0]), request: r}); err != nil {
		return nil, err
	}
	return r.out, r.err
}

// shardOf is the account at which most callers may meet.
func shardOf(c Caller, u *Usage) store.Account {
	if u.OrganizationID != "" {
		return store.Account{ApplicationID: c.ApplicationID, OrganizationID: u.OrganizationID}
	}
	return store.Account{ApplicationID: c.ApplicationID, UserID: u.UserID}
}

// checkTime refuses what was used too long ago, or too far in the future.
func (s *Service) checkTime(at time.Time) error {
	now := s.now()
	switch {
	case at.IsZero():
		return nil
	case s.MaxAge > 0 && at.Before(now.Add(-s.MaxAge)):
		return timeError("TIMESTAMP_TOO_OLD", "This is longer ago than "+s.MaxAge.String()+", so that it cannot be recorded any more.")
	case s.MaxSkew > 0 && at.After(now.Add(s.MaxSkew)):
		return timeError("TIMESTAMP_IN_FUTURE", "This is more than "+s.MaxSkew.String()+" in the future. Leave it out to record that something was used now.")
	}
	return nil
}

func timeError(code, sentence string) error {
	e := problem.New(http.StatusUnprocessableEntity, code, sentence)
	e.Fields = map[string]string{"timestamp": sentence}
	return e
}

// Check says how the account that a use would be charged to stands, and whether the use would be recorded now. Nothing is
// written. Of the standing only Exceeded takes the use into account.
func (s *Service) Check(ctx context.Context, applicationID string, u Usage) (standing Standing, allowed bool, err error) {
	now := s.now()
	who := store.Account{ApplicationID: applicationID, UserID: u.UserID, OrganizationID: u.OrganizationID}
	facts, err := s.Store.ConsumerFacts(ctx, []store.Account{who}, now)
	if err != nil {
		return Standing{}, false, err
	}
	switch {
	case !facts[0].UserFound:
		return Standing{}, false, errUserNotFound
	case u.OrganizationID != "" && !facts[0].OrganizationFound:
		return Standing{}, false, errOrganizationNotFound
	}
	standing, err = s.standingNow(ctx, chargedAccount(applicationID, &u, &facts[0]), &facts[0], u.Key, now)
	if err != nil {
		return Standing{}, false, err
	}
	if standing.Limit == nil {
		return standing, true, nil
	}
	after := standing.Total.Add(u.Amount)
	standing.Hard = standing.Hard || u.Enforce
	allowed = !standing.Hard || after.Add(standing.Reserved).Compare(*standing.Limit) <= 0
	standing.Exceeded = after.Compare(*standing.Limit) > 0
	return standing, allowed, nil
}

// standingNow reads how an account stands with a key.
func (s *Service) standingNow(ctx context.Context, account store.Account, facts *store.ConsumerFacts, key string, now time.Time) (Standing, error) {
	quota, limit, err := quotaOf(facts, key)
	if err != nil {
		return Standing{}, err
	}
	id := counterNow(account, quota, key, now)
	counters, err := s.Store.Counters(ctx, []store.CounterID{id})
	if err != nil {
		return Standing{}, err
	}
	var total, reserved store.Amount
	if c := counters[id]; c != nil {
		total = c.Charged
	}
	if facts.Reserving {
		balance := store.Balance{Account: account, Key: key}
		held, err := s.Store.Reserved(ctx, []store.Balance{balance}, now)
		if err != nil {
			return Standing{}, err
		}
		reserved = held[balance]
	}
	return standingOf(facts, limit, id, total, reserved, quota != nil && quota.Hard), nil
}

// counterNow is the counter that matters for a quota now.
func counterNow(account store.Account, quota *store.Feature, key string, now time.Time) store.CounterID {
	id := store.CounterID{Account: account, Key: key}
	if quota != nil {
		id.Period = quota.Period
	}
	id.StartsAt, _ = store.PeriodAt(id.Period, now)
	return id
}
