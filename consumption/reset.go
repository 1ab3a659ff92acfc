package consumption

import (
	"context"
	"time"

	"auth-service/store"
)

// Reset begins the counters of an account's key anew and returns what the one that matters now showed. History and ledger
// stay; the ledger gets an entry.
func (s *Service) Reset(ctx context.Context, actor store.Actor, account store.Account, key string) (previous store.Amount, at time.Time, err error) {
	type outcome struct {
		previous store.Amount
		at       time.Time
	}
	var out outcome
	caller := Caller{ApplicationID: account.ApplicationID}
	shard := shardOf(caller, &Usage{UserID: account.UserID, OrganizationID: account.OrganizationID})
	err = s.submit(ctx, &job{account: shard, alone: func(ctx context.Context) (err error) {
		out.at = s.now()
		out.previous, err = s.reset(ctx, actor, account, key, out.at)
		return err
	}})
	if err != nil {
		return store.Amount{}, time.Time{}, err
	}
	return out.previous, out.at, nil
}

func (s *Service) reset(ctx context.Context, actor store.Actor, account store.Account, key string, now time.Time) (store.Amount, error) {
	previous, err := s.beginAnew(ctx, account, key, now)
	if err != nil {
		return store.Amount{}, err
	}
	entry := store.ConsumptionRecord{
		ApplicationID: account.ApplicationID, ID: store.NewID(), Kind: store.ConsumptionReset, UserID: account.UserID,
		OrganizationID: account.OrganizationID, Key: key, Amount: previous, OccurredAt: now, RecordedAt: now,
	}
	if actor.Type == store.ActorClient {
		entry.ClientID = actor.ID
	}
	if err := s.Store.InsertRecords(ctx, []store.ConsumptionRecord{entry}); err != nil {
		return store.Amount{}, err
	}
	return previous, s.Store.Audit(ctx, resetEvent(actor, account, key, previous))
}

// beginAnew empties the counters of all time and of every kind of period around now, also those that nobody looks at: they
// would otherwise be filled from history when a plan makes them matter, with what was used before.
func (s *Service) beginAnew(ctx context.Context, account store.Account, key string, now time.Time) (store.Amount, error) {
	facts, err := s.Store.ConsumerFacts(ctx, []store.Account{account}, now)
	if err != nil {
		return store.Amount{}, err
	}
	quota, _, err := quotaOf(&facts[0], key)
	if err != nil {
		return store.Amount{}, err
	}
	tallies := map[store.CounterID]store.Tally{}
	for _, period := range []string{"", store.PeriodDay, store.PeriodMonth, store.PeriodYear} {
		tallies[counterNow(account, &store.Feature{Period: period}, key, now)] = store.Tally{}
	}
	w := &settlement{store: s.Store, now: now}
	counters, err := w.add(ctx, tallies)
	if err != nil {
		return store.Amount{}, err
	}
	previous := counters[counterNow(account, quota, key, now)].Total
	return previous, s.Store.ResetCounters(ctx, keysOf(tallies), now)
}

func resetEvent(actor store.Actor, account store.Account, key string, previous store.Amount) store.AuditEvent {
	event := actor.Event("consumption.reset", "user", account.UserID)
	if account.UserID == "" {
		event.TargetType, event.TargetID = "organization", account.OrganizationID
	}
	event.ApplicationID, event.OrganizationID = account.ApplicationID, account.OrganizationID
	event.Changes = map[string]store.Change{key: {Before: previous, After: store.Amount{}}}
	return event
}
