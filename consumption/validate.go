package consumption

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// Limits of what an application may say about a use.
const (
	maxRecords        = 500
	maxMetadata       = 4 << 10
	maxIdempotencyKey = 255
)

// faults collects what is wrong: a sentence per field that says how to mend it. The first one about a field stays.
type faults map[string]string

func (f faults) add(field, sentence string) {
	if _, twice := f[field]; !twice && sentence != "" {
		f[field] = sentence
	}
}

// move adds what is wrong with the use at a place of the list, and empties it for the next.
func (f faults) move(own faults, i int) {
	for field, sentence := range own {
		f.add(join(place(i), field), sentence)
	}
	clear(own)
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return problem.Invalid(f)
}

// findings is the form in which huma adds the faults of a body to its own.
func (f faults) findings() []error {
	if len(f) == 0 {
		return nil
	}
	var out []error
	for _, field := range slices.Sorted(maps.Keys(f)) {
		out = append(out, &problem.Finding{Field: field, Sentence: f[field]})
	}
	return out
}

func (f faults) required(field, value string) {
	if value == "" {
		f.add(field, "This field is required.")
	}
}

// named checks what names something: what a database would choke on is no id.
func (f faults) named(field, ref string) {
	if !store.Printable(ref) {
		f.add(field, "This has control characters: remove them.")
	}
}

func (f faults) key(field, key string) {
	if !store.IsKey(key) {
		f.add(field, "Use 1 to 64 lower-case letters, digits and _ . : - for a key, beginning with a letter or digit.")
	}
}

func (f faults) idempotencyKey(field, key string) {
	invisible := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(key) > maxIdempotencyKey || strings.ContainsFunc(key, invisible) {
		f.add(field, fmt.Sprintf("Use 1 to %d visible ASCII characters without spaces.", maxIdempotencyKey))
	}
}

// A Quantity is an amount as a request sends it: a number, or text that is one. It stays raw until it is read, so that nothing is
// rounded and a fault has its path.
type Quantity struct{ json.RawMessage }

// Schema is that of both.
func (Quantity) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString}}}
}

// quantity reads an amount above zero; one when there is none.
func (f faults) quantity(field string, q Quantity) store.Amount {
	if q.RawMessage == nil {
		return store.NewAmount(1)
	}
	amount, err := store.ParseAmount(strings.Trim(string(q.RawMessage), `"`))
	if err != nil || amount.IsZero() {
		f.add(field, fmt.Sprintf("Use a number above 0 and up to %d with up to %d decimals.", int64(store.MaxAmount), store.AmountDecimals))
	}
	return amount
}

// An Instant is a time as a request sends it. It stays raw until it is read: an error would end the decoding, and the fields after
// it would seem to be missing.
type Instant struct{ json.RawMessage }

// Schema is that of a date-time.
func (Instant) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// instant reads a time, which is zero when there is none.
func (f faults) instant(field string, in Instant) time.Time {
	if in.RawMessage == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, strings.Trim(string(in.RawMessage), `"`))
	if err != nil || at.IsZero() { // the year 1 is what some clients send for a time that they do not have
		f.add(field, "This must be a date and time such as 2026-01-31T12:00:00Z.")
	}
	return at.UTC().Truncate(time.Microsecond)
}

// Metadata is a JSON object of the application's own. It stays as it was sent, without blanks.
type Metadata struct{ json.RawMessage }

// Schema is that of any object.
func (Metadata) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

func (f faults) metadata(field string, m Metadata) json.RawMessage {
	if m.RawMessage == nil || string(m.RawMessage) == "null" {
		return nil
	}
	var compact bytes.Buffer
	compact.Grow(min(len(m.RawMessage), maxMetadata))
	switch err := json.Compact(&compact, m.RawMessage); {
	case err != nil || !utf8.Valid(compact.Bytes()):
		f.add(field, "This is not an object in UTF-8.")
	case compact.Len() > maxMetadata:
		f.add(field, fmt.Sprintf("This is %d bytes of JSON, and %d at most are possible.", compact.Len(), maxMetadata))
	}
	return compact.Bytes()
}
