package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"auth-service/store"
)

// bareInserts do to a database what recording cannot do without, from this process and by the same driver, without the
// server between: they tell what the machine gives at all.
type bareInserts struct {
	db     *sql.DB
	single int // connections that commit one row at a time
	sqlite bool
}

// openBareInserts migrates the floor's database, so that its ledger has the indexes of the real one.
func openBareInserts(ctx context.Context, e engine) (*bareInserts, error) {
	if err := migrate(ctx, e.floor); err != nil {
		return nil, err
	}
	f := &bareInserts{single: recordCallers}
	var err error
	if f.db, f.sqlite, err = openDatabase(e.floor); err != nil {
		return nil, err
	}
	if f.sqlite {
		f.single = 1 // it has one writer at a time, and more would only wait for each other
	}
	f.db.SetMaxOpenConns(f.single + 1)
	f.db.SetMaxIdleConns(f.single + 1)
	if _, err := f.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS floor_commits (id text PRIMARY KEY)"); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	return f, nil
}

func (f *bareInserts) close() { _ = f.db.Close() } // what was measured has been measured

// commits is how many small rows a second the database takes, each in a transaction of its own, from as many connections
// as there are callers.
func (f *bareInserts) commits(ctx context.Context, o options) (float64, string, error) {
	rate, err := f.repeat(ctx, f.single, o.duration, func(ctx context.Context) (int, error) {
		_, err := f.db.ExecContext(ctx, "INSERT INTO floor_commits VALUES ($1)", store.NewID())
		return 1, err
	})
	return rate, fmt.Sprintf("commit, %d connections", f.single), err
}

// rows is how many rows a second the ledger takes from two connections, in statements of as many as the server may write
// at once.
func (f *bareInserts) rows(ctx context.Context, o options) (float64, string, error) {
	const perStatement = 500
	insert := f.insertRows(perStatement)
	connections := 2
	if f.sqlite {
		connections = 1
	}
	rate, err := f.repeat(ctx, connections, o.duration, func(ctx context.Context) (int, error) {
		var values []any
		now := f.time(time.Now())
		for range perStatement {
			id := store.NewID()
			values = append(values, "floor", id, store.ConsumptionUsed, "floor", usagePerson(len(values)), "", "api_calls", 1, 500_000, now, now, id, "", "")
		}
		_, err := f.db.ExecContext(ctx, insert, values...)
		return perStatement, err
	})
	return rate, fmt.Sprintf("insert, %d connections", connections), err
}

// insertRows is a statement that puts so many rows into the ledger. SQLite's driver looks for a numbered parameter among all.
func (f *bareInserts) insertRows(rows int) string {
	columns := strings.Count(recordColumns, ",") + 1
	var b strings.Builder
	b.WriteString("INSERT INTO consumption_records (" + recordColumns + ") VALUES ")
	for i := range rows * columns {
		separator, parameter := ",", fmt.Sprintf("$%d", i+1)
		switch {
		case i == 0:
			separator = "("
		case i%columns == 0:
			separator = "),("
		}
		if f.sqlite {
			parameter = "?"
		}
		b.WriteString(separator + parameter)
	}
	return b.String() + ")"
}

// time is a time as the engine stores it.
func (f *bareInserts) time(t time.Time) any {
	if f.sqlite {
		return t.UnixMicro()
	}
	return t
}

// repeat lets connections work for the duration, after a warm-up, and returns what they did a second.
func (f *bareInserts) repeat(ctx context.Context, connections int, duration time.Duration, work func(context.Context) (int, error)) (float64, error) {
	for _, part := range []time.Duration{duration / 4, duration} {
		var done atomic.Int64
		var mu sync.Mutex
		var failed error
		var wg sync.WaitGroup
		began := time.Now()
		for range connections {
			wg.Go(func() {
				for time.Since(began) < part {
					n, err := work(ctx)
					if err != nil {
						mu.Lock()
						failed = errors.Join(failed, err)
						mu.Unlock()
						return
					}
					done.Add(int64(n))
				}
			})
		}
		wg.Wait()
		if failed != nil || part == duration {
			return float64(done.Load()) / time.Since(began).Seconds(), failed
		}
	}
	return 0, nil
}
