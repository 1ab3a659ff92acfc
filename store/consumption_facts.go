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

// The features of a plan come with the first of those who have it.
var consumerFacts = many(`SELECT x.n, users.id IS NOT NULL, organizations.id IS NOT NULL,
 plans.id, plans.key, CASE WHEN row_number() OVER (PARTITION BY plans.id ORDER BY x.n) = 1 THEN plans.features END,
 theirs.id IS NOT NULL, own.id IS NOT NULL, CASE WHEN theirs.id IS NOT NULL THEN theirs.overrides ELSE own.overrides END,
 EXISTS (SELECT 1 FROM consumption_reservations AS r WHERE r.application_id = x.application_id
 AND r.account_user_id = x.user_id AND r.account_organization_id = '' AND r.state = 'open' AND r.expires_at > $1)
 OR x.organization_id <> '' AND EXISTS (SELECT 1 FROM consumption_reservations AS r WHERE r.application_id = x.application_id
 AND r.account_user_id = '' AND r.account_organization_id = x.organization_id AND r.state = 'open' AND r.expires_at > $1)
 FROM @rows LEFT JOIN users ON users.id = x.user_id LEFT JOIN organizations ON organizations.id = x.organization_id`+
	effectivePlan("x.application_id", "x.user_id", "x.organization_id", "$1"), 1,
	"n bigint", "application_id text", "user_id text", "organization_id text")

// ConsumerFacts returns the facts of each of who, in their order, as EffectivePlan finds them, in one statement.
func (s *Store) ConsumerFacts(ctx context.Context, who []Account, now time.Time) ([]ConsumerFacts, error) {
	rows := newAccountRows(len(who))
	for _, account := range who {
		rows.add(account)
	}
	facts := make([]ConsumerFacts, len(who))
	plans, planOf := map[string][]Feature{}, make([]string, len(who))
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
		if features != nil {
			plans[id.String] = features
		}
		f.Plan, f.Source = plan.String, sourceOf(id.Valid, theirs, own)
		facts[n], planOf[n], overrides[n] = f, id.String, changed
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read plans in force: %w", err)
	}
	for i := range facts {
		facts[i].features = withOverrides(plans[planOf[i]], overrides[i])
	}
	return facts, nil
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

// SQLite keeps the order of a CROSS JOIN: the rows first.
var recordsByKey = many(`SELECT r.application_id, r.idempotency_key, r.id, r.user_id, r.organization_id, r.key, r.whole, r.micros, r.answer
 FROM @rows CROSS JOIN consumption_records AS r
 WHERE r.application_id = x.application_id AND r.idempotency_key = x.idempotency_key AND r.idempotency_key <> ''`, 0,
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
