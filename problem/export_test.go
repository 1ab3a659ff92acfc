package problem

import (
	"encoding/json"
	"reflect"
)

// Exactness says of JSON text what the scan says, and what building the tree of it finds.
func Exactness[T any](text []byte) (fits, drops bool) {
	var tree any
	s := shapeOf(reflect.TypeFor[T]())
	if err := json.Unmarshal(text, &tree); err != nil {
		return s.fits(text), false
	}
	return s.fits(text), s.dropInexact(tree)
}
