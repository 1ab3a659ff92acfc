package admin

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"auth-service/export"
	"auth-service/problem"
	"auth-service/store"
)

const (
	// maxImportLine bounds a line in bytes, and so the memory for what is not yet a line.
	maxImportLine = 64 << 10
	// namedFields is how many unknown fields of a line are named.
	namedFields = 10
)

var (
	errLineTooLong = problem.New(http.StatusBadRequest, "LINE_TOO_LONG", "This line is longer than 64 KiB, or a quotation mark is missing. Nothing was read from here on.")
	errBrokenLine  = problem.New(http.StatusBadRequest, "BROKEN_LINE", "The quotation marks of this line are broken. Nothing was read from here on.")
	errNoObject    = problem.New(http.StatusBadRequest, "INVALID_JSON", "This line is not one JSON object.")
	errNotUTF8     = problem.New(http.StatusBadRequest, "INVALID_ENCODING", "This line is not UTF-8.")
)

// importFields are the fields that a line may have, and none else: the password's hash aside, a person has no others that
// somebody could set by the back door. Each gives the place of its value.
var importFields = map[string]func(*store.UserImport) any{
	"id":             func(u *store.UserImport) any { return &u.ID },
	"email":          func(u *store.UserImport) any { return &u.Email },
	"emailVerified":  func(u *store.UserImport) any { return &u.EmailVerified },
	"name":           func(u *store.UserImport) any { return &u.Name },
	"image":          func(u *store.UserImport) any { return &u.Image },
	"role":           func(u *store.UserImport) any { return &u.Role },
	"password":       func(u *store.UserImport) any { return &u.Password },
	"passwordHash":   func(u *store.UserImport) any { return &u.PasswordHash },
	"disabled":       func(u *store.UserImport) any { return &u.Disabled },
	"disabledReason": func(u *store.UserImport) any { return &u.DisabledReason },
	"disabledUntil":  func(u *store.UserImport) any { return &u.DisabledUntil },
	"createdAt":      func(u *store.UserImport) any { return &u.CreatedAt },
	"updatedAt":      func(u *store.UserImport) any { return &u.UpdatedAt },
}

// A userLine is a line of a file with the person on it, or with the reason why there is none.
type userLine struct {
	number int
	person store.UserImport
	err    error
}

// userLines reads a file line by line.
type userLines interface {
	// next returns io.EOF at the end, and any other error where the file can be read no further; the line has its number then.
	next() (userLine, error)
}

// readUsers begins to read a file. For a table it reads the names of the columns.
func readUsers(format string, r io.Reader) (userLines, error) {
	if format == export.CSV {
		return newUserTable(r)
	}
	scanner := bufio.NewScanner(withoutBOM(r))
	scanner.Buffer(nil, maxImportLine)
	return &userObjects{scanner: scanner}, nil
}

// withoutBOM skips the mark that some programs put before UTF-8.
func withoutBOM(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if mark, _ := buffered.Peek(3); string(mark) == "\ufeff" { // an error comes back with the next read
		_, _ = buffered.Discard(3)
	}
	return buffered
}

// userObjects are people as one JSON object per line.
type userObjects struct {
	scanner *bufio.Scanner
	number  int
}

func (o *userObjects) next() (userLine, error) {
	for o.scanner.Scan() {
		o.number++
		if text := bytes.TrimSpace(o.scanner.Bytes()); len(text) > 0 {
			return readObject(o.number, text), nil
		}
	}
	line := userLine{number: o.number + 1}
	switch err := o.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return line, errLineTooLong
	case err != nil:
		return line, err
	}
	return line, io.EOF
}

func readObject(number int, text []byte) userLine {
	line := userLine{number: number}
	var fields map[string]json.RawMessage
	switch {
	case !utf8.Valid(text): // encoding/json would put something else in place of it
		line.err = errNotUTF8
		return line
	case json.Unmarshal(text, &fields) != nil || fields == nil:
		line.err = errNoObject
		return line
	}
	bad, unknown := faults{}, 0
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		place, known := importFields[name]
		if !known {
			if unknown++; unknown <= namedFields {
				bad.add(shortened(name), "This field is not known here.")
			}
			continue
		}
		at := place(&line.person)
		if json.Unmarshal(fields[name], at) != nil {
			bad.add(name, wrongForm(at))
		}
	}
	line.person.Faults = bad
	return line
}

// shortened keeps the answer from growing with what somebody calls a field.
func shortened(name string) string {
	const limit = 64
	if utf8.RuneCountInString(name) > limit {
		return string([]rune(name)[:limit]) + "…"
	}
	return name
}

func wrongForm(place any) string {
	switch place.(type) {
	case **bool:
		return "This must be true or false."
	case **time.Time:
		return "This must be a date and time such as 2026-01-31T12:00:00Z."
	}
	return "This must be text."
}

// userTable are people as lines of a table, whose first line names the columns.
type userTable struct {
	table   *csv.Reader
	budget  *budget
	columns []string
	places  []func(*store.UserImport) any
	below   int // the number of the line after the one that was read last
}

// budget fails when more is read than there is left of it. Otherwise one missing quotation mark would bring all of a file
// into memory.
type budget struct {
	io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLineTooLong
	}
	n, err := b.Reader.Read(p)
	b.left -= n
	return n, err
}

func newUserTable(r io.Reader) (*userTable, error) {
	limited := &budget{withoutBOM(r), maxImportLine}
	t := &userTable{table: csv.NewReader(limited), budget: limited}
	header, err := t.table.Read()
	if errors.Is(err, io.EOF) {
		return nil, problem.Invalid(map[string]string{"columns": "The first line must name the columns."})
	}
	if err != nil {
		return nil, broken(err)
	}
	t.columns, t.below = header, 2
	return t, t.findPlaces()
}

// findPlaces refuses a table with a column that is not known: all its lines would be refused.
func (t *userTable) findPlaces() error {
	bad := faults{}
	for i, name := range t.columns {
		place, known := importFields[name]
		if !known {
			if len(bad) < namedFields {
				bad.add("columns."+shortened(strings.ToValidUTF8(name, "")), "This column is not known here: remove it. Known are "+strings.Join(slices.Sorted(maps.Keys(importFields)), ", ")+".")
			}
		} else if slices.Contains(t.columns[:i], name) {
			bad.add("columns."+name, "There are two columns with this name: remove one.")
		}
		t.places = append(t.places, place)
	}
	if !slices.Contains(t.columns, "email") {
		bad.add("columns.email", "This column is required.")
	}
	return bad.err()
}

func (t *userTable) next() (userLine, error) {
	t.budget.left = maxImportLine
	cells, err := t.table.Read()
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse) && errors.Is(err, csv.ErrFieldCount):
		sentence := fmt.Sprintf("There are %d fields in this line and %d columns in the table.", len(cells), len(t.columns))
		return userLine{number: parse.StartLine, err: problem.New(http.StatusBadRequest, "FIELD_COUNT", sentence)}, nil
	case errors.As(err, &parse):
		return userLine{number: parse.StartLine}, broken(err)
	case err != nil:
		return userLine{number: t.below}, err
	}
	return t.read(cells), nil
}

func broken(err error) error {
	if errors.Is(err, errLineTooLong) {
		return err
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return errBrokenLine.Because(err)
	}
	return err
}

// read takes an empty cell for one that says nothing.
func (t *userTable) read(cells []string) userLine {
	number, _ := t.table.FieldPos(0)
	line, bad := userLine{number: number}, faults{}
	t.below = number + 1
	for i, cell := range cells {
		t.below += strings.Count(cell, "\n")
		switch place := t.places[i](&line.person); {
		case cell == "":
		case !utf8.ValidString(cell):
			line.err = errNotUTF8
		case !readCell(place, t.original(i, cell)):
			bad.add(t.columns[i], wrongForm(place))
		}
	}
	line.person.Faults = bad
	return line
}

// original is a cell as it was before an export put an apostrophe before it. No export has passwords: an apostrophe in one is
// part of it.
func (t *userTable) original(column int, cell string) string {
	if t.columns[column] == "password" {
		return cell
	}
	return export.Original(cell)
}

func readCell(place any, text string) bool {
	switch p := place.(type) {
	case **string:
		*p = &text
	case **bool:
		yes := text == "true"
		*p = &yes
		return yes || text == "false"
	case **time.Time:
		at, err := time.Parse(time.RFC3339, text)
		*p = &at
		return err == nil
	}
	return true
}
