package store

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// A manyStatement works on many rows of values at once, in the same words however many they are, so that it stays prepared.
type manyStatement struct{ sqlite, postgres string }

// many makes a statement of a query in which @rows stands for the rows, as x. Each of the columns is a name and a type of
// PostgreSQL's. Other parameters come first, so many of them. PostgreSQL must not see how many rows there are: it would plan
// each statement for one row anew, because a plan for the ten that it assumes otherwise looks dearer. It does not look behind now(),
// which it knows only when it runs.
func many(query string, others int, columns ...string) manyStatement {
	names, arrays, extracts := make([]string, len(columns)), make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		name, kind, _ := strings.Cut(column, " ")
		names[i] = name
		arrays[i] = fmt.Sprintf("CASE WHEN now() IS NOT NULL THEN $%d::%s[] END", others+i+1, kind)
		extracts[i] = fmt.Sprintf("value ->> %d AS %s", i, name)
	}
	return manyStatement{
		sqlite: strings.Replace(joins.ReplaceAllString(query, "$1"), "@rows", fmt.Sprintf("(SELECT %s FROM json_each($%d)) AS x", strings.Join(extracts, ", "), others+1), 1),
		postgres: strings.Replace(joins.ReplaceAllString(query, "$2"), "@rows", fmt.Sprintf("unnest(%s) AS x (%s)",
			strings.Join(arrays, ", "), strings.Join(names, ", ")), 1),
	}
}

// join joins a table, by its alias, to the rows of a statement of many. Each row looks its own up in an index. PostgreSQL, left to
// itself, reads a table that was small when it planned, on this connection, to its end; it has no better plan until autovacuum comes by,
// and a ledger is large by then. It does not see through OFFSET. SQLite keeps the order of a CROSS JOIN and of a LEFT one.
func join(kind, table, alias, condition string) string {
	end := ""
	if kind == "LEFT" {
		end = " ON true"
	}
	return fmt.Sprintf("@{%[1]s JOIN %[2]s AS %[3]s ON %[4]s@|%[1]s JOIN LATERAL (SELECT %[3]s.* FROM %[2]s AS %[3]s WHERE %[4]s OFFSET 0) AS %[3]s%[5]s@}",
		kind, table, alias, condition, end)
}

// joins finds what join wrote: SQLite's words, and PostgreSQL's.
var joins = regexp.MustCompile(`(?s)@\{(.*?)@\|(.*?)@\}`)

// queryMany runs a statement of many for the rows, given as a list for each column: []string, []int64, []bool, []time.Time or
// []*time.Time. It calls scan for each row of the result.
func (s *Store) queryMany(ctx context.Context, m manyStatement, others []any, rows []any, scan func(row scanner) error) error {
	return s.together(ctx, s.manyQuery(m, others, rows, scan))
}

// manyQuery is the statement that queryMany runs.
func (s *Store) manyQuery(m manyStatement, others []any, rows []any, scan func(row scanner) error) *statement {
	query, args := s.bindMany(m, others, rows)
	return &statement{query: query, args: args, scan: scan}
}

// queryRows runs a statement and calls scan for each row of its result.
func (s *Store) queryRows(ctx context.Context, query string, args []any, scan func(row scanner) error) error {
	result, err := s.direct(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return known(err)
	}
	defer result.Close()
	for result.Next() {
		if err := scan(result); err != nil {
			return known(err)
		}
	}
	return known(result.Err())
}

// execMany is queryMany for a statement without a result, which may wait for the next one. An error is put into words by fail.
func (s *Store) execMany(ctx context.Context, m manyStatement, others []any, rows []any, fail func(error) error) error {
	query, args := s.bindMany(m, others, rows)
	return s.later(ctx, &statement{query: query, args: args, fail: fail})
}

func (s *Store) bindMany(m manyStatement, others []any, rows []any) (query string, args []any) {
	if s.Dialect() == dialectPostgres {
		return m.postgres, append(others, rows...)
	}
	return m.sqlite, append(others, rowsJSON(rows))
}

// rowsJSON turns columns into a JSON list of rows, for an engine without arrays. Each row is the text of a list, because SQLite
// would make such a text of a list itself to hand it on, at a quarter of the cost of a record.
func rowsJSON(columns []any) string {
	out := []byte{'['}
	for i, n := 0, lengthOf(columns[0]); i < n; i++ {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"', '[')
		for j, column := range columns {
			if j > 0 {
				out = append(out, ',')
			}
			out = appendValue(out, column, i)
		}
		out = append(out, ']', '"')
	}
	return string(append(out, ']'))
}

func lengthOf(column any) int {
	switch list := column.(type) {
	case []string:
		return len(list)
	case []int64:
		return len(list)
	}
	panic(fmt.Sprintf("rows begin with %T", column))
}

func appendValue(out []byte, column any, i int) []byte {
	switch list := column.(type) {
	case []string:
		return appendText(out, list[i])
	case []int64:
		return strconv.AppendInt(out, list[i], 10)
	case []bool:
		return strconv.AppendBool(out, list[i])
	case []time.Time:
		return strconv.AppendInt(out, list[i].UnixMicro(), 10)
	case []*time.Time:
		if list[i] == nil {
			return append(out, "null"...)
		}
		return strconv.AppendInt(out, list[i].UnixMicro(), 10)
	}
	panic(fmt.Sprintf("rows have a column of %T", column))
}

// appendText writes a string of a list that is in a string. Most are ids and keys, in which there is nothing to escape: with
// apostrophes around them, which SQLite reads as JSON5 has it, they need not be escaped in the outer one either.
func appendText(out []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '\'' {
			inner, _ := json.Marshal(text) // text always encodes
			outer, _ := json.Marshal(string(inner))
			return append(out, outer[1:len(outer)-1]...)
		}
	}
	out = append(out, '\'')
	out = append(out, text...)
	return append(out, '\'')
}

// A moment scans a time that may be NULL, also where SQLite has forgotten that its integer is one: in what RETURNING returns
// and aggregates compute.
type moment struct{ into **time.Time }

func (m moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*m.into = nil
		return nil
	case int64:
		t := time.UnixMicro(v).UTC()
		*m.into = &t
		return nil
	case time.Time:
		t := v.UTC()
		*m.into = &t
		return nil
	}
	return fmt.Errorf("time column holds %T", value)
}

// ScanTimestamptz is Scan without the way through database/sql.
func (m moment) ScanTimestamptz(v pgtype.Timestamptz) error {
	if !v.Valid {
		*m.into = nil
		return nil
	}
	t := v.Time.UTC()
	*m.into = &t
	return nil
}

// An instant is a moment that is never NULL.
type instant struct{ into *time.Time }

func (m instant) Scan(value any) error {
	var at *time.Time
	if err := (moment{&at}).Scan(value); err != nil {
		return err
	}
	if at == nil {
		return fmt.Errorf("time column holds nothing")
	}
	*m.into = *at
	return nil
}

// ScanTimestamptz is Scan without the way through database/sql.
func (m instant) ScanTimestamptz(v pgtype.Timestamptz) error {
	if !v.Valid {
		return fmt.Errorf("time column holds nothing")
	}
	*m.into = v.Time.UTC()
	return nil
}
