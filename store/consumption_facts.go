package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ConsumerFacts are what has to be known of a person, perhaps on behalf of an organization, before their use is recorded.
type ConsumerFacts struct {
	UserFound, OrganizationFound bool
	Plan                         string // the key of the plan in force; empty without one
	Source                       string // PlanOfOrganization, PlanOfUser or PlanByDefault; empty without a plan
	Reserving                    bool   // something may be reserved at this moment

	features []Feature
}

// Quota returns what the plan in force says about the use of key. It is nil when it says nothing.
func (f *ConsumerFacts) Quota(key string) *Feature {
	for i := range f.features {
		if f.features[i].Key == key && f.features[i].Type == FeatureQuota {
			return &f.features[i]
		}
	}
	return nil
}

// Quotas returns all that the plan in force says about use.
func (f *ConsumerFacts) Quotas() []Feature {
	var out []Feature
	for _, feature := range f.features {
		if feature.Type == FeatureQuota {
			out = append(out, feature)
		}
	}
	return out
}

// The plan in force is that of EffectivePlan, with whom a test compares: of the organization's subscription before the person's, and
// else the default one. What a plan is comes with the first of those who have it. Who exists, and who has reserved something, is looked
// up for each row by a query in its place: joined, PostgreSQL would rather read thousands to find a few.
var consumerFacts = many(`SELECT y.n, y.user_found, y.organization_found, y.plan_id,
 CASE WHEN y.place = 1 THEN (SELECT plans.key FROM plans WHERE plans.id = y.plan_id) END,
 CASE WHEN y.place = 1 THEN (SELECT plans.features FROM plans WHERE plans.id = y.plan_id) END,
 y.theirs, y.own, y.overrides, y.reserving
 FROM (SELECT z.*, row_number() OVER (PARTITION BY z.plan_id ORDER BY z.n) AS place
 FROM (SELECT x.n, (SELECT users.id FROM users WHERE users.id = x.user_id) IS NOT NULL AS user_found,
 (SELECT organizations.id FROM organizations WHERE organizations.id = x.organization_id) IS NOT NULL AS organization_found,
 coalesce(theirs.plan_id, own.plan_id, (SELECT plans.id FROM plans WHERE plans.application_id = x.application_id AND plans.is_default)) AS plan_id,
 theirs.id IS NOT NULL AS theirs, own.id IS NOT NULL AS own,
 CASE WHEN theirs.id IS NOT NULL THEN theirs.overrides ELSE own.overrides END AS overrides,
 (SELECT 1 FROM consumption_reservations AS r WHERE r.application_id = x.application_id
 AND r.account_user_id = x.user_id AND r.account_organization_id = '' AND r.state = 'open' AND r.expires_at > $1 LIMIT 1) IS NOT NULL
 OR x.organization_id <> '' AND (SELECT 1 FROM consumption_reservations AS r WHERE r.application_id = x.application_id
 AND r.account_user_id = '' AND r.account_organization_id = x.organization_id AND r.state = 'open' AND r.expires_at > $1 LIMIT 1) IS NOT NULL AS reserving
 FROM @rows `+join("LEFT", "subscriptions", "theirs", `theirs.organization_id = x.organization_id AND theirs.application_id = x.application_id
 AND theirs.starts_at <= $1 AND (theirs.ends_at IS NULL OR theirs.ends_at > $1)`)+`
 `+join("LEFT", "subscriptions", "own", `own.user_id = x.user_id AND own.application_id = x.application_id
 AND own.starts_at <= $1 AND (own.ends_at IS NULL OR own.ends_at > $1)`)+") AS z) AS y", 1,
	"n bigint", "application_id text", "user_id text", "organization_id text")

// ConsumerFacts returns the facts of each of who, in their order, as EffectivePlan finds them, in one statement.
func (s *Store) ConsumerFacts(ctx context.Context, who []Account, now time.Time) ([]ConsumerFacts, error) {
	rows := newAccountRows(len(who))
	for _, account := range who {
		rows.add(account)
	}
	facts := make([]ConsumerFacts, len(who))
	plans, planOf := map[string]planInForce{}, make([]string, len(who))
	overrides := make([][]Feature, len(who))
	err := s.queryMany(ctx, consumerFacts, []any{now}, append([]any{rows.n}, rows.columns()...), func(row *sql.Rows) error {
		var n int
		var f ConsumerFacts
		var id, plan sql.NullString
		var theirs, own bool
		var features, changed []Feature
		err := row.Scan(&n, &f.UserFound, &f.OrganizationFound, &id, &plan, orNothing{fromJSON{&features}}, &theirs, &own,
			orNothing{fromJSON{&changed}}, &f.Reserving)
		if err != nil {
			return err
		}
		if plan.Valid {
			plans[id.String] = planInForce{plan.String, features}
		}
		f.Source = sourceOf(id.Valid, theirs, own)
		facts[n], planOf[n], overrides[n] = f, id.String, changed
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read plans in force: %w", err)
	}
	for i := range facts {
		plan := plans[planOf[i]]
		facts[i].Plan, facts[i].features = plan.key, withOverrides(plan.features, overrides[i])
	}
	return facts, nil
}

type planInForce struct {
	key      string
	features []Feature
}

func sourceOf(planned, theirs, own bool) string {
	switch {
	case !planned:
		return ""
	case theirs:
		return PlanOfOrganization
	case own:
		return PlanOfUser
	}
	return PlanByDefault
}

// accountRows are accounts as rows of a statement of many, numbered.
type accountRows struct {
	n                                  []int64
	applications, users, organizations []string
}

func newAccountRows(n int) *accountRows {
	return &accountRows{make([]int64, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)}
}

func (r *accountRows) add(a Account) {
	r.n = append(r.n, int64(len(r.n)))
	r.applications, r.users, r.organizations = append(r.applications, a.ApplicationID), append(r.users, a.UserID), append(r.organizations, a.OrganizationID)
}

func (r *accountRows) columns() []any { return []any{r.applications, r.users, r.organizations} }

// A RecordKey names a record by its idempotency key.
type RecordKey struct{ ApplicationID, IdempotencyKey string }

var recordsByKey = many(`SELECT r.application_id, r.idempotency_key, r.id, r.user_id, r.organization_id, r.key, r.whole, r.micros, r.answer
 FROM @rows `+join("CROSS", "consumption_records", "r",
	"r.application_id = x.application_id AND r.idempotency_key = x.idempotency_key AND r.idempotency_key <> ''"), 0,
	"application_id text", "idempotency_key text")

// RecordsByKey returns as much of those records that exist as tells a repetition from another use, and the answer.
func (s *Store) RecordsByKey(ctx context.Context, keys []RecordKey) (map[RecordKey]*ConsumptionRecord, error) {
	applications, texts := make([]string, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		applications[i], texts[i] = key.ApplicationID, key.IdempotencyKey
	}
	out := map[RecordKey]*ConsumptionRecord{}
	err := s.queryMany(ctx, recordsByKey, nil, []any{applications, texts}, func(row *sql.Rows) error {
		var r ConsumptionRecord
		err := row.Scan(&r.ApplicationID, &r.IdempotencyKey, &r.ID, &r.UserID, &r.OrganizationID, &r.Key, &r.Amount.whole, &r.Amount.micros, &r.Answer)
		out[RecordKey{r.ApplicationID, r.IdempotencyKey}] = &r
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find records by idempotency key: %w", err)
	}
	return out, nil
}
