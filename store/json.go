package store

import (
	"context"
	"reflect"
	"sync"

	"gorm.io/gorm/schema"
)

// settleJSON replaces GORM's serializer once per process; GORM keeps them in a package variable.
var settleJSON sync.Once

// useJSON makes the tag serializer:json write an absent list as [] and an absent map as {}, never as NULL: the columns
// are NOT NULL, and a reader need not tell absent from empty.
func useJSON() {
	settleJSON.Do(func() { schema.RegisterSerializer("json", jsonSerializer{}) })
}

type jsonSerializer struct{ schema.JSONSerializer }

func (s jsonSerializer) Value(ctx context.Context, field *schema.Field, dst reflect.Value, value any) (any, error) {
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() == reflect.Slice && v.IsNil():
		return "[]", nil
	case v.Kind() == reflect.Map && v.IsNil():
		return "{}", nil
	}
	return s.JSONSerializer.Value(ctx, field, dst, value)
}
