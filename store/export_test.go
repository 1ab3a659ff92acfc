package store

import (
	"context"
	"slices"
	"strconv"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// What tests of this package reach into. They live in store_test, because storetest imports store.

var (
	Known    = known
	Describe = describe
)

func (s *Store) DB(ctx context.Context) *gorm.DB { return s.db(ctx) }

func (s *Store) Changed(ctx context.Context, applicationID string) error {
	return s.changed(ctx, applicationID)
}

// KeptPolicies is how many policies are kept of as many applications.
func KeptPolicies(applications int) int {
	var p policies
	for i := range applications {
		p.keep(strconv.Itoa(i), &policy{})
		p.keep(strconv.Itoa(i), &policy{})
	}
	return len(p.byApplication)
}

func (s *Store) Publish(ctx context.Context, e Event) { s.publish(ctx, e) }

func (s *Store) MigrateList(ctx context.Context, list []*gormigrate.Migration) error {
	return s.migrate(ctx, list)
}

// MigrationsBefore are those that come before the one with the id.
func MigrationsBefore(id string) []*gormigrate.Migration {
	all := migrations()
	return all[:slices.IndexFunc(all, func(m *gormigrate.Migration) bool { return m.ID == id })]
}

func (s *Store) PendingList(ctx context.Context, list []*gormigrate.Migration) ([]string, error) {
	return s.pending(ctx, list)
}

// MigrateUnderLockRow migrates as on a database without advisory locks.
func (s *Store) MigrateUnderLockRow(ctx context.Context, list []*gormigrate.Migration) error {
	return s.migrateUnderLockRow(ctx, list)
}

func (s *Store) Direct(ctx context.Context) gorm.ConnPool { return s.direct(ctx) }

func (s *Store) PageOf(ctx context.Context, q ApplicationQuery) *gorm.DB {
	return s.applicationListing(ctx, q).cut(s.db(ctx), q.Paging)
}

// AuthorizationCodeBySignature is EntitledCode for tests of the code alone.
func (s *Store) AuthorizationCodeBySignature(ctx context.Context, signature []byte) (*AuthorizationCode, error) {
	c, err := s.EntitledCode(ctx, signature, Acting{})
	if c != nil {
		c.Entitlements = nil
	}
	return c, err
}

// UsageLookups are the statements of usage that look rows up, for PostgreSQL.
func UsageLookups() map[string]string {
	return map[string]string{
		"facts": consumerFacts.postgres, "records": recordsByKey.postgres, "counters": countersByID.postgres, "history": historyOf.postgres,
		"reserved": reservedOf.postgres,
	}
}

// RecordsByKey is the half of FactsAndRecords that finds records.
func (s *Store) RecordsByKey(ctx context.Context, keys []RecordKey) (map[RecordKey]*ConsumptionRecord, error) {
	_, found, err := s.FactsAndRecords(ctx, nil, keys, s.now())
	return found, err
}
