package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// sold adds a plan to the application crm.
func (f *fixture) sold(key string, change ...func(*store.Plan)) *store.Plan {
	f.Helper()
	p := &store.Plan{ApplicationID: f.crm.ID, Key: key, Name: key, Active: true, Features: []store.Feature{{Key: "seats", Type: store.FeatureLimit, Value: json.RawMessage("0.1")}}}
	for _, c := range change {
		c(p)
	}
	require.NoError(f, f.CreatePlan(f.Context(), p))
	return p
}

// subscribed gives Ada the plan from one time until another.
func (f *fixture) subscribed(p *store.Plan, from time.Time, until *time.Time) *store.Subscription {
	f.Helper()
	sub := &store.Subscription{ApplicationID: p.ApplicationID, PlanID: p.ID, UserID: &f.ada.ID, StartsAt: from, EndsAt: until}
	require.NoError(f, f.SaveSubscription(f.Context(), sub))
	return sub
}

func TestSubscriptionsCountBetweenTheirDates(t *testing.T) {
	installed(t, func(f *fixture) {
		ada := store.Subscriber{UserID: f.ada.ID}
		has := func(at time.Time) string {
			p, err := f.EffectivePlan(f.Context(), f.crm.ID, ada, at)
			require.NoError(f, err)
			if p.Plan == nil {
				return ""
			}
			return p.Plan.Key + " " + p.Source
		}
		pro, until := f.sold("pro"), noon.Add(time.Hour)
		assert.Empty(f, has(noon))
		f.subscribed(pro, noon, &until)
		for at, want := range map[time.Time]string{
			noon.Add(-time.Microsecond): "", noon: "pro user", until.Add(-time.Microsecond): "pro user", until: "",
		} {
			assert.Equal(f, want, has(at), at)
		}
		f.sold("free", func(p *store.Plan) { p.IsDefault = true })
		assert.Equal(f, "free default", has(until))

		// Another application's subscription, or another person's, gives nothing.
		p, err := f.EffectivePlan(f.Context(), f.hr.ID, ada, noon)
		require.NoError(f, err)
		assert.Nil(f, p.Plan)
		p, err = f.EffectivePlan(f.Context(), f.crm.ID, store.Subscriber{UserID: f.eve.ID}, noon)
		require.NoError(f, err)
		assert.Equal(f, "free", p.Plan.Key)
		// Nor does somebody of whom nothing is known, whose id is that of no one.
		p, err = f.EffectivePlan(f.Context(), f.crm.ID, store.Subscriber{}, noon)
		require.NoError(f, err)
		assert.Empty(f, p.Subscriptions)
	})
}

func TestSaveSubscriptionReplaces(t *testing.T) {
	installed(t, func(f *fixture) {
		first := f.subscribed(f.sold("pro"), noon, nil)
		f.forward(time.Hour)
		f.subscribed(f.sold("team"), noon, nil)
		got, err := f.SubscriptionOf(f.Context(), f.crm.ID, store.Subscriber{UserID: f.ada.ID})
		require.NoError(f, err)
		assert.Equal(f, []any{first.ID, "team", noon, f.at()}, []any{got.ID, got.Plan.Key, got.CreatedAt, got.UpdatedAt})
		assert.Equal(f, "0.1", string(got.Plan.Features[0].Value))
		_, err = f.SubscriptionOf(f.Context(), f.hr.ID, store.Subscriber{UserID: f.ada.ID})
		assert.ErrorIs(f, err, store.ErrNotFound)
		require.NoError(f, f.DeleteSubscription(f.Context(), got.ID))
		assert.ErrorIs(f, f.DeleteSubscription(f.Context(), got.ID), store.ErrNotFound)
	})
}

// A second default is refused by the database too, whoever forgets to take it from the first.
func TestOneDefaultPlan(t *testing.T) {
	installed(t, func(f *fixture) {
		f.sold("free", func(p *store.Plan) { p.IsDefault = true })
		pro := f.sold("pro")
		pro.IsDefault = true
		assert.ErrorIs(f, f.UpdatePlan(f.Context(), pro), store.ErrConflict)
		gone := *pro
		gone.IsDefault, gone.ID = false, "gone"
		assert.ErrorIs(f, f.UpdatePlan(f.Context(), &gone), store.ErrNotFound)
		assert.ErrorIs(f, f.DeletePlan(f.Context(), &gone), store.ErrNotFound)
	})
}

// fillPlans adds applications that have few plans to all else.
func (f *fixture) fillPlans() {
	f.Helper()
	f.fill()
	var applications []store.Application
	var plans []store.Plan
	for i := range planRows {
		id := fmt.Sprintf("%06d", i)
		applications = append(applications, store.Application{ID: id, Slug: "app-" + id, CreatedAt: noon, UpdatedAt: noon})
		for _, key := range []string{"a", "b"} {
			plans = append(plans, store.Plan{ID: id + key, ApplicationID: id, Key: key, IsDefault: key == "a", CreatedAt: noon, UpdatedAt: noon})
		}
	}
	db := f.DB(f.Context())
	require.NoError(f, db.CreateInBatches(applications, 500).Error)
	require.NoError(f, db.CreateInBatches(plans, 500).Error)
	if f.Dialect() == "postgres" {
		exec(f.T, f.Store, "ANALYZE")
	}
}

// What a person has must cost the same however many plans and subscriptions there are.
func TestPlanStatementsUseIndexes(t *testing.T) {
	installed(t, func(f *fixture) {
		f.fillPlans()
		key := func(q store.KeyQuery) store.KeyQuery {
			q.ApplicationID, q.Limit, q.CountTo = "000007", 50, 10_000
			return q
		}
		for _, tt := range []struct {
			name    string
			run     func(ctx context.Context) error
			indexes []string
			args    string
		}{
			{"what somebody has", func(ctx context.Context) error {
				_, err := f.EffectivePlan(ctx, f.crm.ID, store.Subscriber{UserID: "000007", OrganizationID: "e000008"}, f.at())
				return err
			}, []string{"subscriptions_user_id", "subscriptions_organization_id", "plans key"}, ""},
			{"default plan", func(ctx context.Context) error {
				_, err := f.DefaultPlan(ctx, "000007")
				return err
			}, []string{"plans_default"}, ""},
			{"plan by key", func(ctx context.Context) error {
				_, err := f.PlanByKey(ctx, "000007", "a")
				return err
			}, []string{"plans_key"}, ""},
			{"plans of an application", func(ctx context.Context) error {
				_, err := f.CountPlans(ctx, "000007")
				return err
			}, []string{"plans_"}, ""},
			{"list", func(ctx context.Context) error {
				_, err := f.Plans(ctx, key(store.KeyQuery{Search: "a"}))
				return err
			}, []string{"plans_"}, ""},
			{"list by name", func(ctx context.Context) error {
				_, err := f.Plans(ctx, key(store.KeyQuery{Paging: store.Paging{Sort: store.ByName, After: &store.Position{Value: "a", ID: "a"}}}))
				return err
			}, []string{"plans_"}, ""},
			{"subscribers of a plan", func(ctx context.Context) error {
				_, err := f.CountSubscriptions(ctx, "000007")
				return err
			}, []string{"subscriptions_plan_id"}, "'000007', '2026-11-23'"},
		} {
			ctx, calls := storetest.Trace(f.Context())
			require.NoError(f, tt.run(ctx), tt.name)
			statement := calls.SQL()[0]
			plan := f.plan(statement, tt.args)
			for _, name := range tt.indexes {
				assert.Contains(f, plan, f.index(name), "%s: %s", tt.name, statement)
			}
			assert.NotRegexp(f, `Seq Scan|SCAN (plans|subscriptions)`, plan, "%s: %s", tt.name, statement)
		}
	})
}
