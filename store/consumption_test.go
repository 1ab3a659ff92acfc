package store_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// What is recorded is held against the plan that the console shows and tokens name.
func TestConsumerFactsAreOfTheEffectivePlan(t *testing.T) {
	installed(t, func(f *fixture) {
		l := newLandscape(f, 5)
		for step := range 200 {
			l.change()
			l.compareFacts(fmt.Sprint("step ", step))
		}
	})
}

// compareFacts asks for everybody at once.
func (l *landscape) compareFacts(state string) {
	l.Helper()
	var who []store.Account
	for _, a := range l.applications {
		for _, user := range []string{l.users[0].ID, l.users[1].ID, "nobody", ""} {
			who = append(who, store.Account{ApplicationID: a.ID, UserID: user})
			for _, o := range l.organizations {
				who = append(who, store.Account{ApplicationID: a.ID, UserID: user, OrganizationID: o.ID})
			}
		}
	}
	facts, err := l.ConsumerFacts(l.Context(), who, l.at())
	require.NoError(l, err)
	for i, account := range who {
		want, err := l.EffectivePlan(l.Context(), account.ApplicationID, store.Subscriber{UserID: account.UserID, OrganizationID: account.OrganizationID}, l.at())
		require.NoError(l, err)
		plan, quotas := "", []store.Feature(nil)
		if want.Plan != nil {
			plan = want.Plan.Key
		}
		for _, feature := range want.Features {
			if feature.Type == store.FeatureQuota {
				quotas = append(quotas, feature.Feature)
			}
		}
		require.Equal(l, []any{plan, want.Source}, []any{facts[i].Plan, facts[i].Source}, "%s: %v", state, account)
		require.ElementsMatch(l, quotas, facts[i].Quotas(), "%s: %v", state, account)
		found := account.UserID != "nobody" && account.UserID != ""
		require.Equal(l, []bool{found, account.OrganizationID != ""}, []bool{facts[i].UserFound, facts[i].OrganizationFound}, "%s: %v", state, account)
	}
}

// used is a tally of one use.
func used(units int64, at time.Time) store.Tally {
	return store.Tally{Total: store.NewAmount(units), Charged: store.NewAmount(units), Count: 1, FirstAt: &at, LastAt: &at}
}

// listed are the steps in which SQLite reads the rows that a statement was given, or parts of itself.
var listed = regexp.MustCompile(`(?m)^SCAN (json_each VIRTUAL TABLE.*|\(subquery-\d+\)|x|y|z)$`)

// The statements of recording go by indexes, however much was recorded.
func TestConsumptionStatementsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fill()
		app := f.crm.ID
		counters, buckets := map[store.CounterID]store.Tally{}, map[store.BucketID]store.Tally{}
		var records []store.ConsumptionRecord
		for i := range planRows {
			account := store.Account{ApplicationID: app, UserID: fmt.Sprintf("%06d", i)}
			id := store.CounterID{Account: account, Key: "calls", StartsAt: store.Epoch}
			counters[id] = used(1, noon)
			id.Period, id.StartsAt = store.PeriodMonth, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			counters[id] = used(1, noon)
			buckets[store.BucketID{Account: account, Key: "calls", StartsAt: noon, Width: store.BucketHour}] = used(1, noon)
			records = append(records, store.ConsumptionRecord{ApplicationID: app, ID: store.NewID(), Kind: store.ConsumptionUsed, UserID: account.UserID,
				Key: "calls", Amount: store.NewAmount(1), OccurredAt: noon, RecordedAt: noon, IdempotencyKey: fmt.Sprint(i)})
			reservation := &store.ConsumptionReservation{ID: fmt.Sprint(i), ApplicationID: app, Account: account, UserID: account.UserID, Key: "calls",
				State: store.ReservationOpen, IdempotencyKey: fmt.Sprint(i), CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
			require.NoError(f, f.CreateReservation(f.Context(), reservation))
		}
		_, err := f.AddToCounters(f.Context(), counters)
		require.NoError(f, err)
		require.NoError(f, f.AddToBuckets(f.Context(), buckets))
		require.NoError(f, f.InsertRecords(f.Context(), records))
		if f.Dialect() == "postgres" {
			exec(f.T, f.Store, "ANALYZE")
		}
		account := store.Account{ApplicationID: app, UserID: "000007"}
		id := store.CounterID{Account: account, Key: "calls", Period: store.PeriodMonth, StartsAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
		_, err = f.ConsumerFacts(f.Context(), []store.Account{account}, f.at())
		require.NoError(f, err) // what the plans are is kept from now on
		for _, tt := range []struct {
			name    string
			run     func(ctx context.Context) error
			indexes []string
			args    string
		}{
			{"facts", func(ctx context.Context) error {
				_, err := f.ConsumerFacts(ctx, []store.Account{account, {ApplicationID: app, UserID: "000008", OrganizationID: "e000008"}}, f.at())
				return err
			}, []string{"users key", "organizations key", "subscriptions_organization_id", "subscriptions_user_id", "applications key", "consumption_reservations_account"}, ""},
			{"earlier records", func(ctx context.Context) error {
				_, err := f.RecordsByKey(ctx, []store.RecordKey{{ApplicationID: app, IdempotencyKey: "7"}})
				return err
			}, []string{"consumption_records_idempotency_key"}, ""},
			{"counters", func(ctx context.Context) error {
				_, err := f.Counters(ctx, []store.CounterID{id})
				return err
			}, []string{"consumption_counters key"}, ""},
			{"counters beside", func(ctx context.Context) error {
				return f.AddToExistingCounters(ctx, map[store.CounterID]store.Tally{id: used(1, noon)})
			}, []string{"consumption_counters key"}, ""},
			{"reset", func(ctx context.Context) error {
				return f.ResetCounters(ctx, []store.CounterID{id}, noon)
			}, []string{"consumption_counters key"}, ""},
			{"announced", func(ctx context.Context) error {
				_, err := f.NotifyCounter(ctx, id, 80)
				return err
			}, []string{"consumption_counters key"}, ""},
			{"history", func(ctx context.Context) error {
				_, err := f.HistoryOf(ctx, []store.CounterID{id})
				return err
			}, []string{"consumption_buckets key"}, ""},
			{"reserved", func(ctx context.Context) error {
				_, err := f.Reserved(ctx, []store.Balance{{Account: account, Key: "calls"}}, f.at())
				return err
			}, []string{"consumption_reservations_account"}, ""},
			{"open reservations", func(ctx context.Context) error {
				_, err := f.OpenReservations(ctx, store.Balance{Account: account, Key: "calls"}, f.at(), 10)
				return err
			}, []string{"consumption_reservations_account"}, ""},
			{"reservation by key", func(ctx context.Context) error {
				_, err := f.ReservationByKey(ctx, app, "7")
				return err
			}, []string{"consumption_reservations_idempotency_key"}, ""},
			{"commit reservation", func(ctx context.Context) error {
				_, err := f.CommitReservation(ctx, app, "7", "record", f.at())
				return err
			}, []string{"consumption_reservations key"}, ""},
			{"dead reservations", func(ctx context.Context) error {
				_, err := f.PurgeReservations(ctx, noon.Add(-365*day), 500)
				return err
			}, []string{"consumption_reservations_expires_at", "consumption_reservations key"}, "'2020-01-01', 500"},
			{"old hours", func(ctx context.Context) error {
				_, err := f.GatherHours(ctx, noon.Add(-365*day), 500)
				return err
			}, []string{"consumption_buckets_hours", "consumption_buckets key"}, "'2020-01-01', 500"},
			{"old records", func(ctx context.Context) error {
				_, err := f.PurgeRecords(ctx, app, noon.Add(-365*day), 500)
				return err
			}, []string{"consumption_records key"}, "'" + app + "', '00', 500"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), tt.name)
			plan := ""
			for _, statement := range calls.SQL() {
				plan += f.plan(statement, tt.args) + "\n"
			}
			for _, name := range tt.indexes {
				require.Contains(f, plan, f.index(name), "%s: %s", tt.name, calls.SQL())
			}
			require.NotRegexp(f, scans, listed.ReplaceAllString(plan, ""), "%s: %s", tt.name, calls.SQL())
		}
	})
}

// Rows come back as they went in, whatever is in them: each of a statement's columns, however it is passed.
func TestReservationIsReadBackAsWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := &store.ConsumptionReservation{
			ID: "r", ApplicationID: "a", ClientID: "c", UserID: "u", OrganizationID: "o", Account: store.Account{ApplicationID: "a", UserID: "u2", OrganizationID: "o2"},
			Key: "k", Amount: mustAmount(t, "1.5"), Enforce: true, State: store.ReservationOpen, RecordID: "d", IdempotencyKey: "i", Metadata: `{"a":1}`, Answer: `{}`,
			CreatedAt: noon, ExpiresAt: noon.Add(time.Microsecond),
		}
		require.NoError(t, s.CreateReservation(t.Context(), r))
		got, err := s.ReservationByID(t.Context(), "a", "r")
		require.NoError(t, err)
		require.Equal(t, r, got)
		require.ErrorIs(t, s.CreateReservation(t.Context(), r), store.ErrConflict)
	})
}

func mustAmount(t *testing.T, text string) store.Amount {
	t.Helper()
	a, err := store.ParseAmount(text)
	require.NoError(t, err)
	return a
}

// Keys and metadata may hold whatever JSON can, and SQLite gets them as JSON.
func TestRecordsAreReadBackAsWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for i, text := range []string{`plain`, `"quoted" and \ back`, "line\nbreak\ttab", "ünïcödé 漢字 🎉", `<b>&amp;'`, `{"a":"\u0000"}`} {
			r := store.ConsumptionRecord{ApplicationID: "a", ID: fmt.Sprint(i), Kind: store.ConsumptionUsed, UserID: "u", Key: "k", Amount: mustAmount(t, "0.000001"),
				OccurredAt: noon, RecordedAt: noon, IdempotencyKey: text, Answer: text}
			require.NoError(t, s.InsertRecords(t.Context(), []store.ConsumptionRecord{r}))
			found, err := s.RecordsByKey(t.Context(), []store.RecordKey{{ApplicationID: "a", IdempotencyKey: text}})
			require.NoError(t, err)
			require.Len(t, found, 1)
			for key, record := range found {
				require.Equal(t, []string{text, text, "0.000001"}, []string{key.IdempotencyKey, record.Answer, record.Amount.String()})
			}
			require.ErrorIs(t, s.InsertRecords(t.Context(), []store.ConsumptionRecord{r}), store.ErrConflict)
		}
	})
}

// A statement is planned when the first uses are recorded, and the plan stays until autovacuum comes by: what is quickest while the
// ledger is empty must not read it to its end when it is large.
func TestUsageIsLookedUpByIndexFromTheStart(t *testing.T) {
	installed(t, func(f *fixture) {
		if f.Dialect() == "sqlite" {
			return // the order of the joins is in the words, and TestConsumptionStatementsUseIndexes looks at it
		}
		for name, statement := range store.UsageLookups() {
			require.NotContains(f, f.plan(statement, ""), "Seq Scan", name)
		}
	})
}
