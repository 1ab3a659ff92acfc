package store

import (
	"cmp"
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
// else the default one. What a plan is says the application's policy, which is kept in memory: the first row of an application tells of
// which version it has to be. Who exists, and who has reserved something, is looked up for each row by a query in its place: joined,
// PostgreSQL would rather read thousands to find a few.
var consumerFacts = many(`SELECT x.n, CASE WHEN x.is_first THEN (SELECT applications.policy_version FROM applications WHERE applications.id = x.application_id) END,
 (SELECT users.id FROM users WHERE users.id = x.user_id) IS NOT NULL,
 (SELECT organizations.id FROM organizations WHERE organizations.id = x.organization_id) IS NOT NULL,
 theirs.plan_id, own.plan_id, CASE WHEN theirs.plan_id IS NOT NULL THEN theirs.overrides ELSE own.overrides END,
 (SELECT 1 FROM consumption_reservations AS r WHERE r.application_id = x.application_id
 AND r.account_user_id = x.user_id AND r.account_organization_id = '' AND r.state = 'open' AND r.expires_at > $1 LIMIT 1) IS NOT NULL
 OR x.organization_id <> '' AND (SELECT 1 FROM consumption_reservations AS r WHERE r.application_id = x.application_id
 AND r.account_user_id = '' AND r.account_organization_id = x.organization_id AND r.state = 'open' AND r.expires_at > $1 LIMIT 1) IS NOT NULL
 FROM @rows `+join("LEFT", "subscriptions", "theirs", `x.organization_id <> '' AND theirs.organization_id = x.organization_id AND theirs.application_id = x.application_id
 AND theirs.starts_at <= $1 AND (theirs.ends_at IS NULL OR theirs.ends_at > $1)`)+`
 `+join("LEFT", "subscriptions", "own", `own.user_id = x.user_id AND own.application_id = x.application_id
 AND own.starts_at <= $1 AND (own.ends_at IS NULL OR own.ends_at > $1)`), 1,
	"n bigint", "application_id text", "user_id text", "organization_id text", "is_first boolean")

// ConsumerFacts returns the facts of each of who, in their order, as EffectivePlan finds them, in one statement.
func (s *Store) ConsumerFacts(ctx context.Context, who []Account, now time.Time) ([]ConsumerFacts, error) {
	facts, _, err := s.FactsAndRecords(ctx, who, nil, now)
	return facts, err
}

// FactsAndRecords returns ConsumerFacts and, in the same exchange with the database, as much of those records that exist under the keys as
// tells a repetition from another use, with the answer.
func (s *Store) FactsAndRecords(ctx context.Context, who []Account, keys []RecordKey, now time.Time) ([]ConsumerFacts, map[RecordKey]*ConsumptionRecord, error) {
	for {
		read := s.newFactsReading(who)
		records := map[RecordKey]*ConsumptionRecord{}
		statements := []*statement{read.statement(now)}
		if len(keys) > 0 {
			statements = append(statements, s.recordsByKey(keys, records))
		}
		if err := s.together(ctx, statements...); err != nil {
			return nil, nil, fmt.Errorf("read plans in force: %w", err)
		}
		current, err := read.policies(ctx)
		if err != nil {
			return nil, nil, err
		}
		if current {
			return read.facts(), records, nil
		}
	}
}

// A factsReading is what was found out about accounts, before their plans are known by more than their ids.
type factsReading struct {
	store    *Store
	who      []Account
	found    []foundFacts
	versions map[string]string // of the applications' policies
	policy   map[string]*policy
}

type foundFacts struct {
	user, organization, reserving bool
	theirs, own                   sql.NullString // plans
	overrides                     []Feature
}

func (s *Store) newFactsReading(who []Account) *factsReading {
	return &factsReading{s, who, make([]foundFacts, len(who)), map[string]string{}, map[string]*policy{}}
}

func (r *factsReading) statement(now time.Time) *statement {
	rows, first := newAccountRows(len(r.who)), make([]bool, len(r.who))
	for i, account := range r.who {
		rows.add(account)
		_, known := r.versions[account.ApplicationID]
		first[i] = !known
		r.versions[account.ApplicationID] = ""
	}
	return r.store.manyQuery(consumerFacts, []any{now}, append(append([]any{rows.n}, rows.columns()...), first), func(row scanner) error {
		var n int
		var version sql.NullString
		var f foundFacts
		err := row.Scan(&n, &version, &f.user, &f.organization, &f.theirs, &f.own, orNothing{fromJSON{&f.overrides}}, &f.reserving)
		if err != nil {
			return err
		}
		r.found[n] = f
		if version.Valid {
			r.versions[r.who[n].ApplicationID] = version.String
		}
		return nil
	})
}

// policies finds what the plans are, and reports whether they were so when the facts were read.
func (r *factsReading) policies(ctx context.Context) (current bool, err error) {
	current = true
	for application, version := range r.versions {
		p, err := r.store.policy(ctx, application)
		if err != nil {
			return false, err
		}
		if p.version != version {
			if _, err := r.store.readPolicy(ctx, application); err != nil {
				return false, err
			}
			current = false
		}
		r.policy[application] = p
	}
	return current, nil
}

func (r *factsReading) facts() []ConsumerFacts {
	out := make([]ConsumerFacts, len(r.found))
	for i := range r.found {
		f := &r.found[i]
		out[i] = ConsumerFacts{UserFound: f.user, OrganizationFound: f.organization, Reserving: f.reserving}
		plan := r.policy[r.who[i].ApplicationID].plan(cmp.Or(f.theirs.String, f.own.String))
		if plan == nil {
			continue
		}
		out[i].Plan, out[i].features = plan.key, withOverrides(plan.features, f.overrides)
		out[i].Source = f.source()
	}
	return out
}

func (f *foundFacts) source() string {
	switch {
	case f.theirs.Valid:
		return PlanOfOrganization
	case f.own.Valid:
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

// recordsByKey finds as much of those records that exist as tells a repetition from another use, and the answer.
func (s *Store) recordsByKey(keys []RecordKey, out map[RecordKey]*ConsumptionRecord) *statement {
	applications, texts := make([]string, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		applications[i], texts[i] = key.ApplicationID, key.IdempotencyKey
	}
	return s.manyQuery(recordsByKey, nil, []any{applications, texts}, func(row scanner) error {
		var r ConsumptionRecord
		err := row.Scan(&r.ApplicationID, &r.IdempotencyKey, &r.ID, &r.UserID, &r.OrganizationID, &r.Key, &r.Amount.whole, &r.Amount.micros, &r.Answer)
		out[RecordKey{r.ApplicationID, r.IdempotencyKey}] = &r
		return err
	})
}
