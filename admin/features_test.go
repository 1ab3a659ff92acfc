package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store/storetest"
)

// featuresOf returns the features of an answer as they are on the wire, so that no number is rounded.
func (a *answer) featuresOf() string {
	a.t.Helper()
	var body struct{ Features json.RawMessage }
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &body), a.Body)
	return string(body.Features)
}

func TestFeatureForms(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for i, tt := range []struct{ name, features, want string }{
			{"empty map", `{}`, `[]`},
			{"empty list", `[]`, `[]`},
			{"null", `null`, `[]`},
			{"map", ` { "theme":"dark", "seats":10, "export":true, "beta":false } `,
				`[{"key":"beta","type":"boolean","value":false},{"key":"export","type":"boolean","value":true},{"key":"seats","type":"limit","value":10},{"key":"theme","type":"string","value":"dark"}]`},
			{"list", `[{"key":"z","type":"string","value":""},{"key":"calls","type":"quota","value":1000,"period":"month","hard":true},{"key":"all","type":"quota","value":null},{"key":"b:1","type":"boolean","value":false},{"key":"a.b-c_d","type":"limit","value":null}]`,
				`[{"key":"a.b-c_d","type":"limit","value":null},{"key":"all","type":"quota","value":null},{"key":"b:1","type":"boolean","value":false},{"key":"calls","type":"quota","value":1000,"period":"month","hard":true},{"key":"z","type":"string","value":""}]`},
			{"thresholds", `[{"key":"a","type":"quota","value":1,"thresholds":[100,5e1,1000,1]},{"key":"b","type":"quota","value":1,"thresholds":[]},{"key":"c","type":"quota","value":1,"thresholds":null}]`,
				`[{"key":"a","type":"quota","value":1,"thresholds":[1,50,100,1000]},{"key":"b","type":"quota","value":1,"thresholds":[]},{"key":"c","type":"quota","value":1}]`},
			{"what says nothing", `[{"hard":false,"period":null,"value":1,"type":"limit","key":"a"}]`, `[{"key":"a","type":"limit","value":1}]`},
			{"longest text", `{"t":"` + strings.Repeat("ü", 500) + `"}`, `[{"key":"t","type":"string","value":"` + strings.Repeat("ü", 500) + `"}]`},
			{"longest key", `{"` + strings.Repeat("k", 64) + `":true}`, `[{"key":"` + strings.Repeat("k", 64) + `","type":"boolean","value":true}]`},
		} {
			body := fmt.Sprintf(`{"key":"p%d","name":"P","features":%s}`, i, tt.features)
			assert.Equal(t, tt.want, srv.call("POST", "/applications/crm/plans", body).is(201).featuresOf(), tt.name)
			assert.Equal(t, tt.want, srv.call("GET", fmt.Sprintf("/applications/crm/plans/p%d", i), "").is(200).featuresOf(), tt.name)
		}
	})
}

// A float would round: 0.1 has none that equals it, and above 2^53 not even every whole number has one.
func TestFeatureNumbersAreExact(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.call("POST", "/applications/crm/plans", `{"key":"p","name":"P","features":{}}`).is(201)
		for sent, want := range map[string]string{
			"0": "0", "1": "1", "10": "10", "0.1": "0.1", "0.30000000000000004e1": "", "10.50": "10.5", "10.000000": "10", "0.000001": "0.000001",
			"1e3": "1000", "1E3": "1000", "1e+3": "1000", "1.5e3": "1500", "1.23456e2": "123.456", "1000e-3": "1", "1e-6": "0.000001", "12e-1": "1.2", "0e99": "0", "0.0": "0",
			"9007199254740991": "9007199254740991", "9007199254740990.123456": "9007199254740990.123456", "9007199254740991.000000": "9007199254740991",
			"0.9007199254740991e16": "9007199254740991", "1e-7": "", "0.0000001": "", "1e16": "", "1e15": "1000000000000000", "1e300": "", "1e-300": "",
			"9007199254740992": "", "9007199254740991.000001": "", "-1": "", "-0": "", "-0.5": "", "0.1" + strings.Repeat("0", 80): "",
		} {
			a := srv.call("PATCH", "/applications/crm/plans/p", `{"features":{"n":`+sent+`}}`)
			if want == "" {
				assert.Contains(t, a.is(400, "VALIDATION_ERROR").errors(), "features.n", sent)
				continue
			}
			assert.Equal(t, `[{"key":"n","type":"limit","value":`+want+`}]`, a.is(200).featuresOf(), sent)
		}

		// Both are the same float, and yet one must replace the other, and the log must say so.
		srv.call("PATCH", "/applications/crm/plans/p", `{"features":{"n":9007199254740990.1}}`).is(200)
		a := srv.call("PATCH", "/applications/crm/plans/p", `{"features":{"n":9007199254740990.2}}`).is(200)
		assert.Contains(t, srv.call("GET", "/applications/crm/plans/p", "").featuresOf(), "9007199254740990.2")
		assert.Equal(t, "plan.update", srv.audited("plan", a.text("id"))[0].Action)
	})
}

func TestFeatureFaults(t *testing.T) {
	srv := newServer(t, storetest.New(t)) // nothing of this reaches the database
	srv.create(webApplication)
	long := strings.Repeat("k", 65)
	for _, tt := range []struct {
		name, features string
		bad            []string
	}{
		{"text", `"seats"`, []string{"features"}},
		{"number", `1`, []string{"features"}},
		{"true", `true`, []string{"features"}},
		{"every bad value of a map", `{"a":null,"b":{"value":1},"c":[1],"d":-1,"e":"x\u0007","ok":1}`, []string{"features.a", "features.b", "features.c", "features.d", "features.e"}},
		{"keys of a map", `{"A":1,"":1,"-a":1,"a b":1,"ü":1,"` + long + `":1}`, []string{"features.A", "features.", "features.-a", "features.a b", "features.ü", "features." + long}},
		{"a key of a map twice", `{"a":1,"a":2}`, []string{"features.a"}},
		{"long text", `{"a":"` + strings.Repeat("ü", 501) + `"}`, []string{"features.a"}},
		// NUL is what PostgreSQL does not keep, the other one turns the direction of text.
		{"text that is not printable", `{"a":"x\u0000","b":"\u202emoc"}`, []string{"features.a", "features.b"}},

		{"items that are no objects", `[1,"a",null,[],true]`, []string{"features[0]", "features[1]", "features[2]", "features[3]", "features[4]"}},
		{"nothing in an item", `[{}]`, []string{"features[0].key", "features[0].type", "features[0].value"}},
		{"wrong types in an item", `[{"key":1,"type":2,"value":3,"period":4,"hard":5}]`, []string{"features[0].key", "features[0].type", "features[0].period", "features[0].hard"}},
		{"unknown type", `[{"key":"a","type":"number","value":3}]`, []string{"features[0].type"}},
		{"unknown type in other case", `[{"key":"a","type":"Limit","value":3}]`, []string{"features[0].type"}},
		{"keys of a list", `[{"key":"","type":"limit","value":1},{"key":"A","type":"limit","value":1}]`, []string{"features[0].key", "features[1].key"}},
		{"a key of a list twice", `[{"key":"a","type":"limit","value":1},{"key":"a","type":"boolean","value":true}]`, []string{"features[1].key"}},
		{"a field twice", `[{"key":"a","type":"limit","value":1,"value":2}]`, []string{"features[0].value"}},
		{"unknown fields", `[{"key":"a","type":"limit","value":1,"Hard":true,"usage":0}]`, []string{"features[0].Hard", "features[0].usage"}},
		{"values of another type", `[{"key":"a","type":"boolean","value":1},{"key":"b","type":"boolean","value":null},{"key":"c","type":"limit","value":"1"},{"key":"d","type":"limit","value":true},
			{"key":"e","type":"quota","value":"1"},{"key":"f","type":"string","value":1},{"key":"g","type":"string","value":null},{"key":"h","type":"limit","value":-1},{"key":"i","type":"quota","value":{}}]`,
			[]string{"features[0].value", "features[1].value", "features[2].value", "features[3].value", "features[4].value", "features[5].value", "features[6].value", "features[7].value", "features[8].value"}},
		{"unknown period", `[{"key":"a","type":"quota","value":1,"period":"week"},{"key":"b","type":"quota","value":1,"period":""}]`, []string{"features[0].period", "features[1].period"}},
		{"what only a quota has", `[{"key":"a","type":"limit","value":1,"period":"day","hard":true},{"key":"b","type":"boolean","value":true,"hard":true},{"key":"c","type":"string","value":"","period":"day"}]`,
			[]string{"features[0].period", "features[0].hard", "features[1].hard", "features[2].period"}},
		{"hard that is no boolean", `[{"key":"a","type":"quota","value":1,"hard":"true"},{"key":"b","type":"quota","value":1,"hard":1}]`, []string{"features[0].hard", "features[1].hard"}},
		{"thresholds that are none", `[{"key":"a","type":"quota","value":1,"thresholds":[0,1001,80.5,"80",-1,null,80,80]},{"key":"b","type":"quota","value":1,"thresholds":80},
			{"key":"c","type":"limit","value":1,"thresholds":[80]},{"key":"d","type":"quota","value":1,"thresholds":[1,2,3,4,5,6,7,8,9,10,11]},{"key":"e","type":"limit","value":1,"thresholds":null}]`,
			[]string{"features[0].thresholds[0]", "features[0].thresholds[1]", "features[0].thresholds[2]", "features[0].thresholds[3]", "features[0].thresholds[4]", "features[0].thresholds[5]",
				"features[0].thresholds[7]", "features[1].thresholds", "features[2].thresholds", "features[3].thresholds"}},
		{"201 in a map", manyFeatures(201), []string{"features"}},
		{"201 in a list", `[` + strings.TrimSuffix(strings.Repeat(`{},`, 201), ",") + `]`, []string{"features"}},
	} {
		a := srv.call("POST", "/applications/crm/plans", `{"key":"p","name":"P","features":`+tt.features+`}`).is(400, "VALIDATION_ERROR")
		assert.ElementsMatch(t, tt.bad, slices.Collect(maps.Keys(a.errors())), "%s: %s", tt.name, a.Body)
	}
	srv.call("POST", "/applications/crm/plans", `{"key":"p","name":"P","features":`+manyFeatures(200)+`}`).is(201)
}

// manyFeatures returns a map of so many.
func manyFeatures(n int) string {
	return `{"` + strings.Join(many(n, "f%d"), `":true,"`) + `":true}`
}
