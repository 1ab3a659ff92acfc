package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"auth-service/store"
)

var errCursor = errors.New("not a cursor of this list")

// countedExactly is how many matches of a list are counted before the total becomes a guess.
const countedExactly = 10_000

// PageRequest is what every list takes. Its sort orders are each list's own. Huma sees only exported embedded structs.
type PageRequest struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"1000" doc:"nextCursor of the page before, asked for with the same sort."`
}

// sortColumns are the columns of the sort orders that lists have; each list names those it knows in its request.
var sortColumns = map[string]string{
	"createdAt": store.ByCreation, "updatedAt": store.ByUpdate, "name": store.ByName, "email": store.ByEmail, "slug": store.BySlug, "key": store.ByKey,
}

// paging reads the request of a list that sorts by sort: the name of a column, descending with a minus before it. The list's
// own name and a colon may come first, to tell its cursors from those of other lists.
func (in *PageRequest) paging(sort string) (store.Paging, faults) {
	name, descending := strings.CutPrefix(sort[strings.Index(sort, ":")+1:], "-")
	q := store.Paging{Sort: sortColumns[name], Descending: descending, Limit: in.Limit, CountTo: countedExactly}
	bad := faults{}
	if in.Cursor != "" {
		var err error
		if q.After, err = position(in.Cursor, sort, q.Sort); err != nil {
			bad.add("query.cursor", "This is not a nextCursor of a list with this sort: start again without a cursor.")
		}
	}
	return q, bad
}

// search checks what a list is searched for.
func (f faults) search(text string) {
	if !store.Printable(text) {
		f.add("query.search", "The search has control characters: remove them.")
	}
}

// A List is one page of a list.
type List[T any] struct {
	Items           []T     `json:"items"`
	NextCursor      *string `json:"nextCursor" doc:"Null on the last page."`
	Total           int64   `json:"total" doc:"How many there are on all pages."`
	TotalIsEstimate bool    `json:"totalIsEstimate" doc:"True above 10,000, and where more would have to be looked at to count."`
}

type listResponse[T any] struct{ Body List[T] }

// showPage shows a page. at is the place of its last row in the order sort: what the list is sorted by, and the id.
func showPage[R, T any](page *store.Page[R], sort string, show func(*R) T, at func(*R) (value any, id string)) *listResponse[T] {
	out := List[T]{Items: make([]T, len(page.Items)), Total: page.Total, TotalIsEstimate: page.Estimated}
	for i := range page.Items {
		out.Items[i] = show(&page.Items[i])
	}
	if page.More {
		value, id := at(&page.Items[len(page.Items)-1])
		next := cursorAfter(sort, value, id).String()
		out.NextCursor = &next
	}
	return &listResponse[T]{out}
}

// showAll is a list of one page, for what is never so much that it needs more.
func showAll[R, T any](rows []R, show func(*R) T) *listResponse[T] {
	page := &store.Page[R]{Items: rows, Total: int64(len(rows))}
	return showPage(page, "", show, nil)
}

func cursorAfter(sort string, value any, id string) cursor {
	if at, ok := value.(time.Time); ok {
		value = at.UTC().Format(time.RFC3339Nano)
	}
	return cursor{Sort: sort, Value: value.(string), ID: id}
}

// A cursor says where a page ended. Nothing in it is secret or trusted: a forged one reads from another place of a list
// that its bearer may read in full.
type cursor struct {
	Sort  string `json:"s"`
	Value string `json:"v"`
	ID    string `json:"i"`
}

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // three strings
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// position reads a cursor that was made for the same sort order. The database must not see what it cannot compare.
func position(raw, sort, column string) (*store.Position, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(raw)
	if err != nil {
		return nil, errCursor
	}
	var c cursor
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil || c.Sort != sort || !store.Printable(c.ID) || !store.Printable(c.Value) {
		return nil, errCursor
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errCursor
	}
	if column != store.ByCreation && column != store.ByUpdate {
		return &store.Position{Value: c.Value, ID: c.ID}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, c.Value)
	if err != nil || at.Year() < 1 || at.Year() > 9999 {
		return nil, errCursor
	}
	return &store.Position{Value: at.UTC(), ID: c.ID}, nil
}
