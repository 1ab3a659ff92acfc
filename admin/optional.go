package admin

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// An Optional is a field that a request may leave out: absent keeps what is there (or takes the default of a new
// object), null goes back to the default, a value replaces. In an answer it is an object that there may not be, then null.
type Optional[T any] struct {
	Value T
	Set   bool // the field was there
	Null  bool // as null

	mistyped bool
}

// Set returns an Optional with a value, for callers in Go.
func Set[T any](value T) Optional[T] { return Optional[T]{Value: value, Set: true} }

// IsZero lets omitzero leave an absent field out again.
func (o Optional[T]) IsZero() bool { return !o.Set }

// UnmarshalJSON is called for present fields only, null included. A value of the wrong type is no error here: that would
// end the decoding, and the fields after it would seem to be missing. See mistyped.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	o.Set, o.Null = true, string(data) == "null"
	if o.Null {
		return nil
	}
	err := json.Unmarshal(data, &o.Value)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		o.mistyped = reflect.TypeFor[T]().Kind() != reflect.Slice // the items of a list are reported one by one
		return nil
	}
	return err
}

func (o Optional[T]) wrong() bool { return o.mistyped }

// mistyped names the fields of a request whose values are not of their types. The schema finds nearly all of them before;
// it takes 1e2, which Go does not, for a whole number.
func mistyped(body any) []string {
	var names []string
	v := reflect.ValueOf(body)
	for _, field := range reflect.VisibleFields(v.Type()) {
		if o, ok := v.FieldByIndex(field.Index).Interface().(interface{ wrong() bool }); ok && o.wrong() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// MarshalJSON is the reverse; the hash of an idempotent request is made of it.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.Null {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// Schema is that of T, or null.
func (Optional[T]) Schema(r huma.Registry) *huma.Schema {
	schema := *r.Schema(reflect.TypeFor[T](), false, "")
	schema.Nullable = true
	return &schema
}

// pointer returns the value, or nil for an absent field and for null.
func (o Optional[T]) pointer() *T {
	if !o.Set || o.Null {
		return nil
	}
	return &o.Value
}

// into merges the field into what is there.
func (o Optional[T]) into(current *T, fallback T) {
	switch {
	case o.Null:
		*current = fallback
	case o.Set:
		*current = o.Value
	}
}
