package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"auth-service/store"
)

// A table is the rows that a world puts into one.
type table struct {
	name    string
	columns []string
	rows    iter.Seq[[]any]
}

// tables are in the order in which their foreign keys allow them to be filled.
func (w *world) tables() []table {
	return []table{
		w.userTable(), w.sessionTable(),
		w.organizationTable(), w.memberTable(), w.invitationTable(),
		w.applicationTable(), w.clientTable(), w.secretTable(),
		w.permissionTable(), w.roleTable(), w.rolePermissionTable(), w.clientRoleTable(), w.assignmentTable(),
		w.planTable(), w.subscriptionTable(),
		w.consentTable(), w.grantTable(), w.eventTable(),
		w.statisticTable(), w.activityTable(),
	}
}

// fill migrates a PostgreSQL database and writes a world into it. It says on out how far it is.
func fill(ctx context.Context, out io.Writer, url string, w *world) error {
	if err := migrate(ctx, url); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil { // what is half filled is of no use anyway
		return err
	}
	began := time.Now()
	for _, t := range w.tables() {
		started := time.Now()
		n, err := t.copyTo(ctx, conn)
		if err != nil {
			return fmt.Errorf("fill %s: %w", t.name, err)
		}
		fmt.Fprintf(out, "%12d %s in %.1f s\n", n, t.name, time.Since(started).Seconds())
	}
	// Autovacuum would do both in time; it shall not do so while something is measured.
	for _, statement := range append(slices.Clone(sumStatistics), "VACUUM (ANALYZE)", "CHECKPOINT") {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	fmt.Fprintf(out, "filled in %.0f s\n", time.Since(began).Seconds())
	return nil
}

func migrate(ctx context.Context, url string) error {
	s, err := store.Open(ctx, store.Options{URL: url, Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	err = s.Migrate(ctx)
	return errors.Join(err, s.Close())
}

func (t table) copyTo(ctx context.Context, conn *pgx.Conn) (int64, error) {
	next, stop := iter.Pull(t.rows)
	defer stop()
	return conn.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, _ := next() // without a row it is nil, which ends the copy
		return row, nil
	}))
}

// rows makes n of them.
func rows(n int, row func(i int) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := range n {
			if !yield(row(i)) {
				return
			}
		}
	}
}

// nested makes as many rows of each of n as there are of it.
func nested(n int, of func(i int) int, row func(i, j int) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := range n {
			for j := range of(i) {
				if !yield(row(i, j)) {
					return
				}
			}
		}
	}
}
