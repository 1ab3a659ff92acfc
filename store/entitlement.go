package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Entitlements are what a person may do and have at one application, perhaps for an organization: what a token says of it.
type Entitlements struct {
	Roles       []string // keys, sorted; never nil
	Permissions []string // keys, sorted; never nil
	Plan        string   // its key; empty when there is none
	Features    []Feature
	// Organization is the one the person acts for; nil when it is none, or none of which the person is a member now.
	Organization *Membership
}

// A Membership is an organization as its member's tokens name it.
type Membership struct{ ID, Slug, Role string }

// Acting says at which application, and for which organization, entitlements are asked for.
type Acting struct {
	ApplicationID string
	// Organization is an id or a slug, empty for none; nil means the one that the grant or code is bound to.
	Organization *string
}

// The entitlements come with the row that a token is issued from, in one statement however many roles there are: who is
// acting, the roles that they hold, and the subscription in force, the organization's before the person's. Its parameters
// are the row's key, the application, the time and, unless it is the row's own, the organization.
//
// SQLite keeps the order of a CROSS JOIN; left to itself, and without statistics, it would read all of role_permissions.
//
// A role held in an organization needs no look at the membership: its foreign key ends it with that.
const (
	actingBound  = "SELECT user_id, organization_id FROM %s"
	actingChosen = `SELECT user_id, named.id AS organization_id FROM %s LEFT JOIN organizations AS named ON named.id =
 coalesce((SELECT id FROM organizations WHERE id = $4), (SELECT id FROM organizations WHERE slug = $4))`
	actingAlone = "SELECT user_id, CAST(NULL AS text) AS organization_id FROM %s"

	entitledHead = `WITH acting AS (%s WHERE %s = $1),
held AS (SELECT roles.id, roles.key FROM roles WHERE roles.application_id = $2 AND roles.is_default
 UNION SELECT roles.id, roles.key FROM acting
 JOIN role_assignments ON role_assignments.user_id = acting.user_id AND role_assignments.application_id = $2
 AND (role_assignments.organization_id IS NULL OR role_assignments.organization_id = acting.organization_id)
 JOIN roles ON roles.id = role_assignments.role_id)
SELECT `

	entitledColumns = `,
 (SELECT string_agg(held.key, ' ') FROM held),
 (SELECT string_agg(permissions.key, ' ') FROM permissions WHERE permissions.id IN
 (SELECT role_permissions.permission_id FROM held CROSS JOIN role_permissions WHERE role_permissions.role_id = held.id)),
 plans.key, plans.features, CASE WHEN theirs.id IS NOT NULL THEN theirs.overrides ELSE own.overrides END,
 members.organization_id, organizations.slug, members.role`

	entitledJoins = ` CROSS JOIN acting
 LEFT JOIN members ON members.organization_id = acting.organization_id AND members.user_id = acting.user_id
 LEFT JOIN organizations ON organizations.id = members.organization_id
 LEFT JOIN subscriptions AS theirs ON theirs.organization_id = members.organization_id AND theirs.application_id = $2
 AND theirs.starts_at <= $3 AND (theirs.ends_at IS NULL OR theirs.ends_at > $3)
 LEFT JOIN subscriptions AS own ON own.user_id = acting.user_id AND own.application_id = $2
 AND own.starts_at <= $3 AND (own.ends_at IS NULL OR own.ends_at > $3)
 LEFT JOIN plans ON plans.id = coalesce(theirs.plan_id, own.plan_id,
 (SELECT standard.id FROM plans AS standard WHERE standard.application_id = $2 AND standard.is_default))`
)

// entitledQueries are the statements for one table: for the organization that the row is bound to, for another one, and for
// none.
type entitledQueries struct{ bound, chosen, alone string }

// entitled makes them of a statement for the row alone: its columns, and what follows from FROM on, ending in the condition
// that the column key is $1.
func entitled(table, key, columns, joins string) entitledQueries {
	statement := func(acting string) string {
		return fmt.Sprintf(entitledHead, fmt.Sprintf(acting, table), key) + columns + entitledColumns + " FROM " + table + joins + entitledJoins + " WHERE " + key + " = $1"
	}
	return entitledQueries{statement(actingBound), statement(actingChosen), statement(actingAlone)}
}

// takeEntitled reads the row of a key into targets, and what the person behind it may do and have.
func (s *Store) takeEntitled(ctx context.Context, q entitledQueries, targets []any, key any, as Acting) (*Entitlements, error) {
	var row entitledRow
	query, args := q.bound, []any{key, as.ApplicationID, s.now()}
	switch {
	case as.Organization == nil:
	case *as.Organization == "":
		query = q.alone
	default:
		query, args = q.chosen, append(args, *as.Organization)
	}
	if err := s.take(ctx, append(targets, row.targets()...), query, args...); err != nil {
		return nil, err
	}
	return row.entitlements(), nil
}

// entitledRow is how a statement of entitled says it.
type entitledRow struct {
	roles, permissions, plan sql.NullString
	features, overrides      []Feature
	organization, slug, role sql.NullString
}

func (r *entitledRow) targets() []any {
	return []any{&r.roles, &r.permissions, &r.plan, orNothing{fromJSON{&r.features}}, orNothing{fromJSON{&r.overrides}},
		&r.organization, &r.slug, &r.role}
}

func (r *entitledRow) entitlements() *Entitlements {
	e := &Entitlements{Roles: keysIn(r.roles.String), Permissions: keysIn(r.permissions.String), Plan: r.plan.String}
	if r.plan.Valid {
		e.Features = withOverrides(r.features, r.overrides)
	}
	if r.organization.Valid {
		e.Organization = &Membership{r.organization.String, r.slug.String, r.role.String}
	}
	return e
}

// keysIn takes apart what string_agg put together: keys have no blanks. No keys are an empty list, and not nil. Their order is by bytes on both engines only here.
func keysIn(text string) []string {
	keys := strings.Fields(text)
	slices.Sort(keys)
	return keys
}

// withOverrides puts what a subscription overrides in the place of the plan's features, and what it adds beside them.
func withOverrides(plan, overrides []Feature) []Feature {
	if len(overrides) == 0 {
		return plan
	}
	out := slices.Clone(plan)
	for _, f := range overrides {
		if i := slices.IndexFunc(out, func(of Feature) bool { return of.Key == f.Key }); i >= 0 {
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	return out
}

// FeatureValues is the JSON object of the features' values by key.
func FeatureValues(features []Feature) json.RawMessage {
	byKey := func(a, b Feature) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(features, byKey) { // a plan's are; what a subscription adds comes behind
		features = slices.SortedFunc(slices.Values(features), byKey)
	}
	out := []byte{'{'}
	for i, f := range features {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), f.Key...), `":`...), f.Value...) // a key needs no escaping
	}
	return append(out, '}')
}
