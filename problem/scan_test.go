package problem_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/problem"
)

// nested has all that a name can be in.
type nested struct {
	A int               `json:"a"`
	B *nested           `json:"b"`
	C []nested          `json:"c"`
	D map[string]nested `json:"d"`
	E any               `json:"e"`
	F json.RawMessage   `json:"f"`
	G time.Time         `json:"g"`
}

// A name that only differs in case must not slip past the scan: it would fill a field that the validation never saw.
func TestScanFindsInexactNames(t *testing.T) {
	names := []string{"a", "A", "b", "B", "c", "d", "e", "f", "g", "x"}
	var value func(depth int) any
	value = func(depth int) any {
		switch kind := rand.N(8); {
		case depth > 4 || kind < 2:
			return []any{1, "x\"y\\", nil, true, -1.5e3, "{\"A\":1}"}[rand.N(6)]
		case kind < 4:
			list := []any{}
			for range rand.N(3) {
				list = append(list, value(depth+1))
			}
			return list
		}
		object := map[string]any{}
		for range rand.N(3) {
			object[names[rand.N(len(names))]] = value(depth + 1)
		}
		return object
	}
	for range 20_000 {
		text, err := json.MarshalIndent(value(0), "", strings.Repeat(" ", rand.N(2)))
		require.NoError(t, err)
		fits, drops := problem.Exactness[nested](text)
		require.NotEqual(t, fits, drops, "%s", text)
	}
	for text, fits := range map[string]bool{
		`{"\u0061":1}`: false, `{"\u0041":1}`: false, // escapes are left to the tree
		strings.Repeat(`{"b":`, 1000) + `{}` + strings.Repeat(`}`, 1000): false, strings.Repeat("[", 1<<20): false,
		`{"a"}`: false, `{"a":}`: false, `[}`: false, `{`: false, `"`: false, ``: false, `{"b":{"a":1}`: false,
	} {
		got, _ := problem.Exactness[nested]([]byte(text))
		require.Equal(t, fits, got, "%.50s", text)
	}
}
