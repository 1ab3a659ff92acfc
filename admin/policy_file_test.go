package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/admin"
)

// Everything that is wrong is reported at once, with where it is.
func TestPolicyFaults(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(`{"name":"Other","type":"web","redirectUris":["https://other.example/cb"]}`)
		apply(t, srv.store, `applications: [{slug: other, clients: [{clientId: taken, type: m2m}]}]`, admin.PolicyOptions{})
		for _, tt := range []struct {
			name, text string
			want       []string
		}{
			{"values", `
applications:
  - slug: Bad Slug
    name: ""
    type: server
    redirectUris: [http://a.example, 5]
    permissions: [{key: UPPER}, {key: a}, {key: a}]
    roles:
      - {key: r, permissions: [a, a]}
      - {}
    plans:
      - {key: p, features: {seats: -1}, price: {amount: 1, currency: euro, interval: month}}
      - {key: q, isDefault: true}
      - {key: r, isDefault: true}
    clients: [{clientId: x y, codeLifetime: 5}]
  - slug: crm
    accessTokenLifetime: 1e2
    roles:
    plans: {}
  - slug: crm`, []string{
				"3 applications[0].slug: Use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end.",
				"4 applications[0].name: Expected length >= 1.",
				`5 applications[0].type: Expected value to be one of "web, spa, native, m2m".`,
				"6 applications[0].redirectUris[0]: http is allowed only for localhost, 127.0.0.1 and [::1]: use https.",
				"6 applications[0].redirectUris[1]: This must be text.",
				"7 applications[0].permissions[0].key: Use 1 to 64 lower-case letters, digits and _ . : - for a key, beginning with a letter or digit.",
				"7 applications[0].permissions[2].key: This comes twice: remove one.",
				"9 applications[0].roles[0].permissions[1]: This is listed twice: remove one.",
				"10 applications[0].roles[1].key: This field is required.",
				"12 applications[0].plans[0].features.seats: Use a number from 0 to 9007199254740991 with up to six decimals, or null for no limit.",
				"12 applications[0].plans[0].price.currency: Use the three upper-case letters of ISO 4217, such as EUR.",
				"14 applications[0].plans[2].isDefault: The plan q is the default already, and there is one at most.",
				"15 applications[0].clients[0].codeLifetime: This field is not known here.",
				"17 applications[1].accessTokenLifetime: This value has the wrong form.",
				"18 applications[1].roles: This list is empty: write [] for none, or leave it out to keep what there is.",
				"19 applications[1].plans: This must be a list.",
				"20 applications[2].slug: This comes twice: remove one.",
			}},
			{"what does not fit to what there is", `
applications:
  - slug: new
    clients: [{clientId: c, type: m2m}]
  - slug: crm
    clientId: another
    type: m2m
    permissions: [{key: a}]
    roles: [{key: r, permissions: [a, b]}]
    plans: [{key: p}]
    clients: [{clientId: c}, {clientId: taken, type: m2m}, {clientId: d, type: m2m, grantTypes: [refresh_token]}]
  - slug: other
    roles: [{key: r, permissions: [none]}]
    plans: [{key: p, name: P, isDefault: true, active: false}]
  - slug: third
    name: Third
    type: web`, []string{
				"3 applications[0].name: There is no such thing yet, and a new one needs this field.",
				"3 applications[0].type: There is no such thing yet, and a new one needs this field.",
				"6 applications[1].clientId: ", // names the generated id
				"5 applications[1].grantTypes: An m2m client acts for nobody: only client_credentials is possible.",
				"9 applications[1].roles[0].permissions[1]: The application has no permission b: create it first, or leave it out.",
				"10 applications[1].plans[0].name: There is no such thing yet, and a new one needs this field.",
				"11 applications[1].clients[0].type: There is no such thing yet, and a new one needs this field.",
				"11 applications[1].clients[1]: Another client has this client_id. Choose another one.",
				"11 applications[1].clients[2].grantTypes: An m2m client acts for nobody: only client_credentials is possible.",
				"13 applications[2].roles[0].permissions[0]: The application has no permission none: create it first, or leave it out.",
				"14 applications[2].plans[0].active: The default plan has to be active: make another one the default first.",
				"15 applications[3].redirectUris: The authorization_code grant needs a redirect URI: add at least one.",
			}},
			{"settings of the first client in its own entry", `applications: [{slug: third, name: Third, type: m2m, clientId: t, clients: [{clientId: t, scopes: [a]}]}]`, []string{
				"1 applications[0].clients[0]: This is the application's first client, whose settings are the application's own: leave only clientId, name and disabled here.",
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got := wrong(t, srv.store, tt.text, admin.PolicyOptions{})
				for _, want := range tt.want {
					found := false
					for _, fault := range got {
						found = found || fault == want || strings.HasSuffix(want, ": ") && strings.HasPrefix(fault, want)
					}
					assert.True(t, found, "%s\nnot in\n%s", want, strings.Join(got, "\n"))
				}
				assert.Len(t, got, len(tt.want), strings.Join(got, "\n"))
			})
		}
	})
}

// A file is not a way around the API: ids, secrets, hashes and times are not for it to set (mass assignment).
func TestPolicyCannotSetWhatIsOurs(t *testing.T) {
	for _, text := range []string{
		`{slug: a, id: x}`, `{slug: a, createdAt: 2026-01-01}`, `{slug: a, clientSecret: cs_known}`, `{slug: a, secrets: [{hash: x}]}`, `{slug: a, NAME: x}`, `{slug: a, applicationId: x}`,
		`{slug: a, permissions: [{key: a, id: x}]}`, `{slug: a, roles: [{key: a, applicationId: x}]}`, `{slug: a, plans: [{key: a, createdAt: 2026-01-01}]}`, `{slug: a, plans: [{key: a, PRICE: null}]}`,
		`{slug: a, clients: [{clientId: a, clientSecret: cs_known}]}`, `{slug: a, clients: [{clientId: a, applicationId: x}]}`, `{slug: a, users: []}`,
	} {
		_, err := admin.ReadPolicy(strings.NewReader("applications: [" + text + "]"))
		faults := faultsIn(t, err)
		assert.Len(t, faults, 1, text)
		assert.Contains(t, faults[0], "This field is not known here.", text)
	}
}

// What is no policy is refused before anything is built of it. The bomb is the billion laughs of YAML: nine lines that stand
// for gigabytes.
func TestPolicyFile(t *testing.T) {
	bomb := "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	for _, tt := range []struct {
		name, text string
		want       string
	}{
		{"empty", "", "The file is empty."},
		{"only a comment", "# nothing\n", "The file is empty."},
		{"null", "---\n", "line 2: This must be an object."},
		{"a list", "- slug: a", "line 1: This must be an object."},
		{"no applications", "{}", "line 1: applications: This field is required."},
		{"not YAML", "applications:\n  - {slug: a\n  - b", "This is not YAML: did not find expected"},
		{"a tab", "applications:\n\t- slug: a", "line 2: This is not YAML:"},
		{"not UTF-8", "applications: [{slug: \"\xff\xfe\"}]", "This is not YAML:"},
		{"two documents", "applications: []\n---\napplications: []\n", "line 2: Here begins a second document"},
		{"an unfinished second document", "applications: []\n---\n[", "This is not YAML:"},
		{"a name twice", "applications:\n  - slug: a\n    name: A\n    name: B", `line 4: applications[0]: "name" is already in line 3: remove one.`},
		{"an alias", "applications:\n  - &a {slug: a}\n  - *a", "line 3: applications[1]: Aliases are not read: write the value out."},
		{"a merge", "applications:\n  - &a {slug: a}\n  - {<<: *a, slug: b}", "line 3: applications[1].<<: Aliases are not read: write the value out."},
		{"an alias to an unknown anchor", "applications: *a", "This is not YAML: unknown anchor 'a' referenced."},
		{"a bomb", bomb + "applications: *i", "line 2: b[0]: Aliases are not read: write the value out."},
		{"a tag", "applications: !!binary YQ==", "line 1: applications: Tags are not read: remove !!binary."},
		{"a tag of a name", "!!str applications: []", "line 1: The name of a field is plain text."},
		{"a name that is a list", "[a]: b", "line 1: The name of a field is plain text."},
		{"an octal number", "applications: [{slug: a, codeLifetime: 010}]", "line 1: applications[0].codeLifetime: Write a number in plain decimal digits"},
		{"infinity", "applications: [{slug: a, metadata: {a: .inf}}]", "applications[0].metadata.a: Write a number in plain decimal digits"},
		{"a number too large for any", "applications: [{slug: a, metadata: {a: 1e999}}]", "applications[0].metadata.a: Write a number in plain decimal digits"},
		{"deep", "applications: [{slug: a, metadata: {a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}}]", "This is nested more than 100 levels deep."},
		{"too deep for the parser", strings.Repeat("[", 20_000), "This is not YAML:"},
		{"large", "applications: []\n#" + strings.Repeat("x", 4<<20), "The file is larger than 4 MiB: divide it."},
		{"full of faults", "{" + strings.Repeat("a: 1, ", 100_000) + "}", "\nand more"},
		{"escape sequences", "applications: [{slug: a, \"\\e[2J\\u202e\": 1}]", "line 1: applications[0].?[2J?: This field is not known here."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := admin.ReadPolicy(strings.NewReader(tt.text))
			require.Error(t, err)
			assert.IsType(t, &admin.InvalidPolicy{}, err)
			assert.Contains(t, err.Error(), tt.want)
			assert.Less(t, len(err.Error()), 20_000)
		})
	}
	p := parsed(t, `{"applications":[{"slug":"a","name":"2026","metadata":{"n":12.50,"when":"x","yes":true}}]}`)
	assert.Equal(t, map[string]any{"n": 12.5, "when": "x", "yes": true}, p.Applications[0].Metadata.Value, "JSON is YAML")
	p = parsed(t, `{"applications":[{"slug":"a","metadata":{"a":"\ud83d\ude00 \\ud83d \/`+"\x7f\u0085\ufeff\u2028"+`"}}]}`)
	assert.Equal(t, map[string]any{"a": "😀 \\ud83d /\x7f\u0085\ufeff\u2028"}, p.Applications[0].Metadata.Value, "all of it")
	p = parsed(t, `applications: [{slug: a, metadata: {when: 2026-01-01, yes: no, 1: null}}]`)
	assert.Equal(t, map[string]any{"when": "2026-01-01", "yes": "no", "1": nil}, p.Applications[0].Metadata.Value)
}
