package problem

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// jsonFormat is huma's JSON, except that property names match exactly. encoding/json also fills a field from "EMAIL",
// which the validation, looking at "email", never saw: {"email": "a@example.com", "EMAIL": "anything"} would pass.
var jsonFormat = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		target := reflect.TypeOf(v).Elem()
		if target.Kind() == reflect.Interface { // the validator's own look at the body
			return json.Unmarshal(data, v)
		}
		var tree any
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&tree); err != nil {
			return err
		}
		if dropInexact(target, tree) {
			pruned, err := json.Marshal(tree)
			if err != nil {
				return err
			}
			data = pruned
		}
		return json.Unmarshal(data, v)
	},
}

var unmarshalers = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}

// dropInexact removes from tree the properties that only differ in case from a field of t, and reports whether there were any.
func dropInexact(t reflect.Type, tree any) bool {
	for _, own := range unmarshalers {
		if reflect.PointerTo(t).Implements(own) {
			return false
		}
	}
	dropped := false
	switch t.Kind() {
	case reflect.Pointer:
		return dropInexact(t.Elem(), tree)
	case reflect.Slice, reflect.Array:
		items, _ := tree.([]any)
		for _, item := range items {
			dropped = dropInexact(t.Elem(), item) || dropped
		}
	case reflect.Map:
		object, _ := tree.(map[string]any)
		for _, value := range object {
			dropped = dropInexact(t.Elem(), value) || dropped
		}
	case reflect.Struct:
		object, _ := tree.(map[string]any)
		names := fieldTypes(t)
		for key, value := range object {
			if field, exact := names[key]; exact {
				dropped = dropInexact(field, value) || dropped
			} else {
				delete(object, key)
				dropped = true
			}
		}
	}
	return dropped
}

// fieldsByType keeps what fieldTypes found: a list of records would have it look at the same struct for each of them.
var fieldsByType sync.Map

// fieldTypes maps the JSON names of a struct's fields, embedded ones included, to their types.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldsByType.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	out := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-", !field.IsExported() && !field.Anonymous, field.Anonymous && name == "":
		case name == "":
			out[field.Name] = field.Type
		default:
			out[name] = field.Type
		}
	}
	fieldsByType.Store(t, out)
	return out
}
