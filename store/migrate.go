package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
)

// ErrNewerSchema means that a newer version of this program has migrated the database.
var ErrNewerSchema = errors.New("the database was migrated by a newer version of this program")

const (
	migrationsTable = "migrations"
	// migrationLock is the key of PostgreSQL's advisory lock. Any constant does that nobody else in the database uses.
	migrationLock = 0x6175746873657276 // "authserv"
)

// Migrate brings the schema up to date. Several replicas may call it at once: one works, the others wait and find it done.
// It returns ErrNewerSchema, and changes nothing, when the database knows migrations that this program does not.
func (s *Store) Migrate(ctx context.Context) error { return s.migrate(ctx, migrations()) }

// PendingMigrations lists what Migrate would run, oldest first. It returns ErrNewerSchema as Migrate does.
func (s *Store) PendingMigrations(ctx context.Context) ([]string, error) {
	return s.pending(ctx, migrations())
}

func (s *Store) pending(ctx context.Context, list []*gormigrate.Migration) ([]string, error) {
	var done []string
	db := s.db(ctx)
	if db.Migrator().HasTable(migrationsTable) {
		if err := db.Table(migrationsTable).Order("id").Pluck("id", &done).Error; err != nil {
			return nil, fmt.Errorf("read migrations: %w", known(err))
		}
	} else if err := s.Ping(ctx); err != nil { // HasTable says no as well when it could not ask
		return nil, err
	}
	var pending []string
	for _, m := range list {
		at := slices.Index(done, m.ID)
		if at < 0 {
			pending = append(pending, m.ID)
			continue
		}
		done = slices.Delete(done, at, at+1)
	}
	if len(done) > 0 {
		return nil, fmt.Errorf("%w (%s)", ErrNewerSchema, strings.Join(done, ", "))
	}
	return pending, nil
}

func (s *Store) migrate(ctx context.Context, list []*gormigrate.Migration) error {
	pending, err := s.pending(ctx, list)
	if err != nil || len(pending) == 0 {
		return err
	}
	advisory, err := s.hasAdvisoryLocks(ctx)
	if err != nil {
		return err
	}
	if !advisory {
		return s.migrateUnderLockRow(ctx, list)
	}
	for _, id := range pending {
		if err := s.migrateLocked(ctx, list, id); err != nil {
			return fmt.Errorf("migration %s: %w", id, known(err))
		}
		s.log.Info().Str("migration", id).Msg("migrated")
	}
	return nil
}

// migrateLocked runs one migration in one transaction, unless another replica did so first. The lock belongs to the
// transaction and not to the connection, so it cannot outlive a crash and works behind PgBouncer. SQLite needs none: an
// immediate transaction is alone from its start.
func (s *Store) migrateLocked(ctx context.Context, list []*gormigrate.Migration, id string) error {
	return s.Tx(ctx, func(ctx context.Context) error {
		if s.Dialect() == dialectPostgres {
			if err := s.db(ctx).Exec("SELECT pg_advisory_xact_lock(?)", migrationLock).Error; err != nil {
				return err
			}
		}
		return s.migrateTo(ctx, list, id)
	})
}

// migrateTo leaves to gormigrate what has run already, and the record of it.
func (s *Store) migrateTo(ctx context.Context, list []*gormigrate.Migration, id string) error {
	options := &gormigrate.Options{TableName: migrationsTable, IDColumnName: "id", IDColumnSize: 255}
	return gormigrate.New(s.db(ctx), options, list).MigrateTo(id)
}

// migrateUnderLockRow runs what is still pending once the lock is ours. It uses no transactions: it is for databases
// whose schema changes don't belong to one.
func (s *Store) migrateUnderLockRow(ctx context.Context, list []*gormigrate.Migration) error {
	return s.withLockRow(ctx, func(ctx context.Context) error {
		pending, err := s.pending(ctx, list)
		if err != nil {
			return err
		}
		for _, id := range pending {
			if err := s.migrateTo(ctx, list, id); err != nil {
				return fmt.Errorf("migration %s: %w", id, known(err))
			}
			s.log.Info().Str("migration", id).Msg("migrated")
		}
		return nil
	})
}

// hasAdvisoryLocks is false for the distributed databases that speak PostgreSQL's protocol: CockroachDB accepts the call
// and locks nothing, YugabyteDB refused it for most of its life.
func (s *Store) hasAdvisoryLocks(ctx context.Context) (bool, error) {
	if s.Dialect() == dialectSQLite {
		return true, nil
	}
	var version string
	if err := s.db(ctx).Raw("SELECT version()").Scan(&version).Error; err != nil {
		return false, fmt.Errorf("ask for the database's version: %w", known(err))
	}
	return !strings.Contains(version, "CockroachDB") && !strings.Contains(version, "-YB-"), nil
}

// How long a lock row is worth something without its holder, and how often the holder renews it.
const (
	leaseTime  = time.Minute
	leaseRenew = leaseTime / 4
)

// withLockRow runs fn while holding the one row of migration_lock. The row expires, because a holder may die.
func (s *Store) withLockRow(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := s.createLockTable(ctx); err != nil {
		return fmt.Errorf("create migration lock: %w", known(err))
	}
	holder := NewID()
	for try := 1; ; try++ {
		got, err := s.takeLockRow(ctx, holder)
		if err != nil {
			return fmt.Errorf("take migration lock: %w", known(err))
		}
		if got {
			break
		}
		if err := pause(ctx, 7+try%2); err != nil { // up to half a second
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		s.keepLockRow(ctx, cancel, holder)
	}()
	err := fn(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	cancel(nil)
	<-renewed
	release := s.db(context.WithoutCancel(ctx)).Exec("DELETE FROM migration_lock WHERE holder = ?", holder).Error
	return errors.Join(err, known(release))
}

// createLockTable tries again, because two replicas that create one table at once may both be told that it exists.
func (s *Store) createLockTable(ctx context.Context) (err error) {
	for try := range 5 {
		err = s.db(ctx).Exec("CREATE TABLE IF NOT EXISTS migration_lock (id bigint PRIMARY KEY, holder text NOT NULL, expires_at timestamptz NOT NULL)").Error
		if err == nil {
			return nil
		}
		if err := pause(ctx, try+4); err != nil {
			return err
		}
	}
	return err
}

// takeLockRow writes holder into the row if it is free, expired or ours. The database's clock decides, for all alike.
func (s *Store) takeLockRow(ctx context.Context, holder string) (bool, error) {
	res := s.db(ctx).Exec(`INSERT INTO migration_lock (id, holder, expires_at) VALUES (1, ?, now() + ? * interval '1 second')
		ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
		WHERE migration_lock.expires_at < now() OR migration_lock.holder = excluded.holder`, holder, int(leaseTime.Seconds()))
	return res.RowsAffected == 1, res.Error
}

// keepLockRow renews the row until ctx ends, and ends the work when the row is no longer ours.
func (s *Store) keepLockRow(ctx context.Context, cancel context.CancelCauseFunc, holder string) {
	ticker := time.NewTicker(leaseRenew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if got, err := s.takeLockRow(ctx, holder); err == nil && !got {
				cancel(errors.New("lost the migration lock to another replica"))
			}
		}
	}
}
