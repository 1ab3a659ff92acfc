package problem_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/problem"
)

// A file is checked like a request, names of another case included, and nothing of what it says is repeated.
func TestForm(t *testing.T) {
	form := problem.NewForm[person]()
	for body, want := range map[string]map[string]string{
		`{"email":"a@b.example","password":"12345678"}`:                                      {},
		`{"EMAIL":"hunter2","password":5,"links":["https://a.example",{}],"address":{}}`:     {"EMAIL": "This field is not known here.", "email": "This field is required.", "password": "This must be text.", "links[1]": "This must be text.", "address.city": "This field is required."},
		`{"email":"a@b.example","password":"12345678","address":{"city":"Bern","zip":3000}}`: {"address.zip": "This field is not known here."},
		`["hunter2"]`: {"": "This must be an object."},
	} {
		var value any
		require.NoError(t, json.Unmarshal([]byte(body), &value))
		assert.Equal(t, want, form.Faults(value), body)
	}
}
