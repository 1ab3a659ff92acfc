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

// PlainAccepts are what a request may want without huma being asked what that is.
var PlainAccepts = plainAccepts
