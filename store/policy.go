package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxPolicies bounds how many are kept, the largest of which take some hundred KiB.
	maxPolicies = 1000
	// policyTTL bounds how long a change goes unseen that was written past this package: by hand, or by the version of this program
	// before, while replicas are being replaced.
	policyTTL = time.Minute
)

// A policy is what the roles and plans of an application are, for everybody alike. It does not change: whatever writes them gives the
// application another version in the same transaction, and each statement that looks for somebody's roles says which version they
// are of. So a policy that is kept is never an old one, whichever replica the change came by.
type policy struct {
	version  string
	until    time.Time
	keys     []string // of the permissions, sorted: a keySet counts them
	roles    map[string]policyRole
	defaults policyRole // of all that everybody holds
	names    []string   // their keys
	plans    map[string]*policyPlan
	standard *policyPlan // nil: none
}

type policyRole struct {
	key       string
	isDefault bool
	allows    keySet
}

type policyPlan struct {
	key      string
	features []Feature
}

// A keySet has a bit for each of a policy's permissions.
type keySet []uint64

func (s keySet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s keySet) join(other keySet) {
	for i, word := range other {
		s[i] |= word
	}
}

func (s keySet) size() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// held returns the keys of the roles with the ids and of those that everybody holds, and of the permissions that they have, each
// sorted and never nil.
func (p *policy) held(ids []string) (roles, permissions []string) {
	roles, allowed := append(make([]string, 0, len(p.names)+len(ids)), p.names...), p.defaults.allows
	if len(ids) > 0 {
		allowed = slices.Clone(allowed)
	}
	for _, id := range ids {
		if role, ok := p.roles[id]; ok && !role.isDefault {
			allowed.join(role.allows)
			roles = append(roles, role.key)
		}
	}
	slices.Sort(roles)
	permissions = make([]string, 0, allowed.size())
	for i, word := range allowed {
		for ; word != 0; word &= word - 1 {
			permissions = append(permissions, p.keys[i*64+bits.TrailingZeros64(word)])
		}
	}
	return slices.Compact(roles), permissions
}

// empty reports whether nobody can have anything.
func (p *policy) empty() bool { return len(p.roles) == 0 && len(p.plans) == 0 }

// plan returns the one with the id, or without an id that of those who have no subscription, or nil.
func (p *policy) plan(id string) *policyPlan {
	if id == "" {
		return p.standard
	}
	return p.plans[id]
}

// policies are those that are kept, by application.
type policies struct {
	mu            sync.RWMutex
	byApplication map[string]*policy
}

func (p *policies) known(applicationID string) *policy {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byApplication[applicationID]
}

// keep remembers a policy, in place of any other when there is no room.
func (p *policies) keep(applicationID string, read *policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byApplication == nil {
		p.byApplication = map[string]*policy{}
	}
	if p.byApplication[applicationID] == nil && len(p.byApplication) >= maxPolicies {
		for other := range p.byApplication {
			delete(p.byApplication, other)
			break
		}
	}
	p.byApplication[applicationID] = read
}

// policy returns the application's as it is kept, which may be an old one, or reads it.
func (s *Store) policy(ctx context.Context, applicationID string) (*policy, error) {
	if p := s.policies.known(applicationID); p != nil && s.now().Before(p.until) {
		return p, nil
	}
	return s.readPolicy(ctx, applicationID)
}

func (s *Store) readPolicy(ctx context.Context, applicationID string) (*policy, error) {
	rows, err := s.policyRows(ctx, applicationID)
	if err != nil {
		return nil, fmt.Errorf("policy of application %s: %w", applicationID, known(err))
	}
	p, err := newPolicy(rows)
	if err != nil {
		return nil, fmt.Errorf("policy of application %s: %w", applicationID, err)
	}
	p.until = s.now().Add(policyTTL)
	s.policies.keep(applicationID, p)
	return p, nil
}

// A policyRow is a role with the keys of its permissions, a plan with its features, or, without a kind, the version.
type policyRow struct {
	Kind, ID, Key, Content string
	IsDefault              bool
}

// policyRows is one statement, so that all of it is of the version that it says.
func (s *Store) policyRows(ctx context.Context, applicationID string) ([]policyRow, error) {
	var rows []policyRow
	err := s.db(ctx).Raw(`SELECT '' AS kind, policy_version AS id, '' AS key, '' AS content, FALSE AS is_default FROM applications WHERE id = ?
		UNION ALL SELECT 'role', roles.id, roles.key, coalesce((SELECT string_agg(permissions.key, ' ') FROM role_permissions
		JOIN permissions ON permissions.id = role_permissions.permission_id WHERE role_permissions.role_id = roles.id), ''), roles.is_default
		FROM roles WHERE roles.application_id = ?
		UNION ALL SELECT 'plan', plans.id, plans.key, plans.features, plans.is_default FROM plans WHERE plans.application_id = ?`,
		applicationID, applicationID, applicationID).Scan(&rows).Error
	return rows, err
}

func newPolicy(rows []policyRow) (*policy, error) {
	p := &policy{roles: map[string]policyRole{}, plans: map[string]*policyPlan{}}
	for _, row := range rows {
		switch row.Kind {
		case "role":
			p.keys = append(p.keys, keysIn(row.Content)...)
		case "plan":
			plan := &policyPlan{key: row.Key}
			if err := json.Unmarshal([]byte(row.Content), &plan.features); err != nil {
				return nil, fmt.Errorf("features of plan %s: %w", row.ID, err)
			}
			p.plans[row.ID] = plan
			if row.IsDefault {
				p.standard = plan
			}
		default:
			p.version = row.ID
		}
	}
	p.addRoles(rows)
	return p, nil
}

// addRoles numbers the permissions of the roles, and then tells the roles by the numbers.
func (p *policy) addRoles(rows []policyRow) {
	slices.Sort(p.keys)
	p.keys = slices.Clip(slices.Compact(p.keys))
	words := (len(p.keys) + 63) / 64
	p.defaults.allows = make(keySet, words)
	for _, row := range rows {
		if row.Kind != "role" {
			continue
		}
		role := policyRole{row.Key, row.IsDefault, make(keySet, words)}
		for _, key := range strings.Fields(row.Content) {
			i, _ := slices.BinarySearch(p.keys, key)
			role.allows.add(i)
		}
		p.roles[row.ID] = role
		if role.isDefault {
			p.names = append(p.names, role.key)
			p.defaults.allows.join(role.allows)
		}
	}
}

// changed gives the application another version of its policy, and tells whoever remembers something of it. It comes after what
// changed: then nobody can take what was there before for the new version, even where there is no transaction around both.
func (s *Store) changed(ctx context.Context, applicationID string) error {
	err := s.db(ctx).Exec("UPDATE applications SET policy_version = ? WHERE id = ?", NewID(), applicationID).Error
	if err != nil {
		return fmt.Errorf("change policy: %w", known(err))
	}
	s.publish(ctx, Event{Kind: EventApplicationChanged, ID: applicationID})
	return nil
}
