package store

import (
	"context"
	"strings"
)

// A Call is one exchange with the database.
type Call struct {
	Kind  string // R, W, BEGIN, COMMIT or ROLLBACK
	Table string // the first table that the statement names, outside of parentheses if there is one; empty for the last three kinds
	SQL   string // without its parameters, which may be personal
}

// String is how a call appears in a test's list: "R clients", "BEGIN".
func (c Call) String() string { return strings.TrimSpace(c.Kind + " " + c.Table) }

type observerKey struct{}

// Observe returns a context whose database calls are reported to fn as they are made. fn may run on several goroutines.
func Observe(ctx context.Context, fn func(Call)) context.Context {
	return context.WithValue(ctx, observerKey{}, fn)
}

// observe costs a look into ctx when nobody watches.
func observe(ctx context.Context, query string) {
	if fn, ok := ctx.Value(observerKey{}).(func(Call)); ok {
		fn(describe(query))
	}
}

// describe reads just enough of a statement to say what it does to which table: the first that it names, but one in a column's
// parentheses only if there is no other.
func describe(query string) Call {
	call := Call{Kind: "W", SQL: query}
	if reads(query) {
		call.Kind = "R"
	}
	words, depth := strings.Fields(query), 0
	for i, word := range words {
		switch verb := strings.ToUpper(word); verb {
		case "BEGIN", "COMMIT", "ROLLBACK":
			return Call{Kind: verb, SQL: query}
		case "FROM", "INTO", "UPDATE":
			if i+1 == len(words) || strings.HasPrefix(words[i+1], "(") || depth > 0 && call.Table != "" {
				break
			}
			call.Table = tableName(words[i+1])
			if depth == 0 || strings.EqualFold(words[0], "WITH") {
				return call
			}
		}
		depth += strings.Count(word, "(") - strings.Count(word, ")")
	}
	return call
}

// tableName strips quotes and a column list from the word after FROM, INTO or UPDATE.
func tableName(word string) string {
	name, _, _ := strings.Cut(word, "(")
	return strings.Trim(name, "`\",;)")
}

// reads reports whether a statement changes nothing, so that it may be sent twice.
func reads(query string) bool {
	query = strings.TrimLeft(query, " \t\n(")
	if len(query) < 6 {
		return false
	}
	switch strings.ToUpper(query[:4]) {
	case "SELE":
		return true
	case "WITH":
		upper := strings.ToUpper(query)
		return !strings.Contains(upper, "INSERT ") && !strings.Contains(upper, "UPDATE ") && !strings.Contains(upper, "DELETE ")
	}
	return false
}
