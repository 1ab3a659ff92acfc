package problem

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// A Form checks what comes another way than in a request, such as in a file, by the schema of a type and in the words of
// the APIs.
type Form struct {
	registry huma.Registry
	schema   *huma.Schema
}

// NewForm returns the form of T, whose tags say what huma's schema of it is.
func NewForm[T any]() *Form {
	settle()
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return &Form{registry, registry.Schema(reflect.TypeFor[T](), true, "")}
}

// Faults returns one sentence for each place in v that needs another value, by its path; the path of v itself is empty. v is
// as encoding/json makes it for an any.
func (f *Form) Faults(v any) map[string]string {
	var result huma.ValidateResult
	huma.Validate(f.registry, f.schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, v, &result)
	return fields(result.Errors)
}
