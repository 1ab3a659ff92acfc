package problem

import (
	"bytes"
	"encoding"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// jsonFormat is huma's JSON, except that property names match exactly. encoding/json also fills a field from "EMAIL",
// which the validation, looking at "email", never saw: {"email": "a@example.com", "EMAIL": "anything"} would pass.
var jsonFormat = huma.Format{
	Marshal: marshal,
	Unmarshal: func(data []byte, v any) error {
		target := reflect.TypeOf(v).Elem()
		if target.Kind() == reflect.Interface { // the validator's own look at the body
			return json.Unmarshal(data, v)
		}
		if shape := shapeOf(target); !shape.fits(data) {
			var tree any
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.UseNumber()
			if err := decoder.Decode(&tree); err != nil {
				return err
			}
			if shape.dropInexact(tree) {
				pruned, err := json.Marshal(tree)
				if err != nil {
					return err
				}
				data = pruned
			}
		}
		return json.Unmarshal(data, v)
	},
}

// An Appender is an answer that writes itself, as encoding/json would.
type Appender interface{ AppendJSON(to []byte) []byte }

func marshal(w io.Writer, v any) error {
	answer, ok := v.(Appender)
	if !ok {
		return huma.DefaultJSONFormat.Marshal(w, v)
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer release(buffer)
	buffer.Write(append(answer.AppendJSON(buffer.AvailableBuffer()), '\n'))
	_, err := w.Write(buffer.Bytes())
	return err
}

var unmarshalers = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}

// A shape is what of a type its JSON has to fit: the fields of a struct, or what a list or a map consists of. Of all else, and of
// types that read themselves, it is empty.
type shape struct {
	fields map[string]*shape
	items  *shape
}

// shapes keeps the shapes of the types that bodies have.
var shapes sync.Map

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := newShape(t, map[reflect.Type]*shape{})
	shapes.Store(t, s)
	return s
}

// newShape knows the shapes that it is making already: a type may hold itself.
func newShape(t reflect.Type, begun map[reflect.Type]*shape) *shape {
	if s := begun[t]; s != nil {
		return s
	}
	if t.Kind() == reflect.Pointer {
		return newShape(t.Elem(), begun)
	}
	s := &shape{}
	begun[t] = s
	for _, own := range unmarshalers {
		if reflect.PointerTo(t).Implements(own) {
			return s
		}
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		s.items = newShape(t.Elem(), begun)
	case reflect.Struct:
		s.fields = map[string]*shape{}
		for name, field := range fieldTypes(t) {
			s.fields[name] = newShape(field, begun)
		}
	}
	return s
}

// dropInexact removes from tree the properties that only differ in case from a field, and reports whether there were any.
func (s *shape) dropInexact(tree any) bool {
	dropped := false
	switch node := tree.(type) {
	case []any:
		for _, item := range node {
			dropped = s.items != nil && s.items.dropInexact(item) || dropped
		}
	case map[string]any:
		for key, value := range node {
			switch field, exact := s.fields[key]; {
			case exact:
				dropped = field.dropInexact(value) || dropped
			case s.fields != nil:
				delete(node, key)
				dropped = true
			case s.items != nil:
				dropped = s.items.dropInexact(value) || dropped
			}
		}
	}
	return dropped
}

// fieldTypes maps the JSON names of a struct's fields, embedded ones included, to their types.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
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
	return out
}
