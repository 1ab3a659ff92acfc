package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"auth-service/store"
)

var errCursor = errors.New("not a cursor of this list")

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

// cursorAfter points behind the last application of a page.
func cursorAfter(a *store.Application, sort, column string) cursor {
	c := cursor{Sort: sort, ID: a.ID}
	switch column {
	case store.ByName:
		c.Value = a.Name
	case store.ByUpdate:
		c.Value = a.UpdatedAt.UTC().Format(time.RFC3339Nano)
	default:
		c.Value = a.CreatedAt.UTC().Format(time.RFC3339Nano)
	}
	return c
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
	if err := decoder.Decode(&c); err != nil || c.Sort != sort || !printable(c.ID) || !printable(c.Value) {
		return nil, errCursor
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errCursor
	}
	if column == store.ByName || column == store.ByEmail {
		return &store.Position{Value: c.Value, ID: c.ID}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, c.Value)
	if err != nil || at.Year() < 1 || at.Year() > 9999 {
		return nil, errCursor
	}
	return &store.Position{Value: at.UTC(), ID: c.ID}, nil
}
