package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
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
// acting, the roles that they were given, and the subscription in force, the organization's before the person's. What these
// roles and plans are, the same for everybody, is the application's policy, which is kept in memory: the statement says of
// which version it has to be. Its parameters are the row's key, the application, the time and, unless it is the row's own, the
// organization.
//
// A role held in an organization needs no look at the membership: its foreign key ends it with that.
const (
	entitledRoles = `, (SELECT string_agg(role_assignments.role_id, ' ') FROM role_assignments
 WHERE role_assignments.user_id = %[1]s.user_id AND role_assignments.application_id = $2 AND `
	rolesInOrganization = "(role_assignments.organization_id IS NULL OR role_assignments.organization_id = %[2]s.organization_id))"
	rolesAlone          = "role_assignments.organization_id IS NULL)"

	inOrganization = `, coalesce(theirs.plan_id, own.plan_id), CASE WHEN theirs.id IS NOT NULL THEN theirs.overrides ELSE own.overrides END,
 %[2]s.organization_id, organizations.slug, %[2]s.role`

	joinsOfSubscription = ` LEFT JOIN subscriptions AS own ON own.user_id = %[1]s.user_id AND own.application_id = $2
 AND own.starts_at <= $3 AND (own.ends_at IS NULL OR own.ends_at > $3)`
	joinsOfBound  = " LEFT JOIN organizations ON organizations.id = bound.organization_id"
	joinsOfChosen = ` LEFT JOIN organizations ON organizations.id = coalesce((SELECT named.id FROM organizations AS named WHERE named.id = $4),
 (SELECT named.id FROM organizations AS named WHERE named.slug = $4))
 LEFT JOIN members AS chosen ON chosen.organization_id = organizations.id AND chosen.user_id = %[1]s.user_id`
	joinsOfTheirs = ` LEFT JOIN subscriptions AS theirs ON theirs.organization_id = %[2]s.organization_id AND theirs.application_id = $2
 AND theirs.starts_at <= $3 AND (theirs.ends_at IS NULL OR theirs.ends_at > $3)`
)

// entitledQueries are the statements for one table: for the organization that the row is bound to, for another one, for none, and for
// none at an application that has neither roles nor plans.
type entitledQueries struct{ bound, chosen, alone, bare string }

// entitled makes them of a statement for the row alone: its columns, and what is joined to it, among it as bound the membership
// of the organization that the row is bound to. The column key is $1.
func entitled(table, key, columns, joins string) entitledQueries {
	statement := func(member, more, moreJoins string) string {
		joins := joins + " LEFT JOIN applications ON applications.id = $2" + moreJoins
		return "SELECT " + columns + ", applications.policy_version" + fmt.Sprintf(more+" FROM %[1]s"+joins+" WHERE %[3]s = $1", table, member, key)
	}
	return entitledQueries{
		bound:  statement("bound", entitledRoles+rolesInOrganization+inOrganization, joinsOfSubscription+joinsOfBound+joinsOfTheirs),
		chosen: statement("chosen", entitledRoles+rolesInOrganization+inOrganization, joinsOfSubscription+joinsOfChosen+joinsOfTheirs),
		alone:  statement("", entitledRoles+rolesAlone+", own.plan_id, own.overrides", joinsOfSubscription),
		bare:   statement("", "", ""),
	}
}

// about returns the statement that suits, its parameters, and what of a row it selects.
func (q entitledQueries) about(key any, as Acting, p *policy, now time.Time, row *entitledRow) (query string, args, targets []any) {
	args, targets = []any{key, as.ApplicationID, now}, row.targets()
	switch {
	case as.Organization == nil:
		return q.bound, args, targets
	case *as.Organization != "":
		return q.chosen, append(args, *as.Organization), targets
	case p.empty():
		return q.bare, args[:2], targets[:1]
	}
	return q.alone, args, targets[:4]
}

// takeEntitled reads the row of a key into targets, and what the person behind it may do and have. The policy is mostly known; when
// it turns out to be an old one, both are read again.
func (s *Store) takeEntitled(ctx context.Context, q entitledQueries, targets []any, key any, as Acting) (*Entitlements, error) {
	p, err := s.policy(ctx, as.ApplicationID)
	for err == nil {
		var row entitledRow
		query, args, more := q.about(key, as, p, s.now(), &row)
		if err := s.take(ctx, append(targets, more...), query, args...); err != nil {
			return nil, err
		}
		if p.version == row.version.String {
			return row.entitlements(p), nil
		}
		p, err = s.readPolicy(ctx, as.ApplicationID)
	}
	return nil, err
}

// entitledRow is how a statement of entitled says it.
type entitledRow struct {
	version, roles, plan     sql.NullString // the roles and the plan by id
	overrides                []Feature
	organization, slug, role sql.NullString
}

func (r *entitledRow) targets() []any {
	return []any{&r.version, &r.roles, &r.plan, orNothing{fromJSON{&r.overrides}}, &r.organization, &r.slug, &r.role}
}

func (r *entitledRow) entitlements(p *policy) *Entitlements {
	e := &Entitlements{}
	e.Roles, e.Permissions = p.held(strings.Fields(r.roles.String))
	if plan := p.plan(r.plan.String); plan != nil {
		e.Plan, e.Features = plan.key, withOverrides(plan.features, r.overrides)
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
