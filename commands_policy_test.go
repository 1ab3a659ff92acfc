package main

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store/storetest"
)

// helpedPolicy is the example that the help of apply shows.
func helpedPolicy(t *testing.T) string {
	t.Helper()
	_, rest, found := strings.Cut(policyHelp, "\n\n")
	require.True(t, found)
	example, _, found := strings.Cut(rest, "\n\n")
	require.True(t, found)
	return example
}

func putFile(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

// An operator's way: look, apply, look again, change a line, be asked, export.
func TestPolicyCommands(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			testConfig(t, newURL(t))
			example := helpedPolicy(t)
			putFile(t, "crm.yaml", example)
			putFile(t, "less.yaml", strings.NewReplacer("value: 10}", "value: 5}", `- {key: reader, isDefault: true, permissions: ["invoice:read"]}`, "").Replace(example))
			putFile(t, "wrong.yaml", "applications:\n  - slug: crm\n    secret: x\n")
			const added = "crm\n  + application crm\n  + client crm-worker\n  + permission invoice:read\n  + permission invoice:void\n  + role accountant\n  + role reader\n  + plan free\n  + plan pro\n8 to add, 0 to change, 0 to delete\n"
			const less = "crm\n  - role reader\n  ~ plan pro: features.seats 10 → 5\n0 to add, 1 to change, 1 to delete\n"
			for _, tt := range []struct {
				name, stdin string
				args        []string
				want, fails string
				status      int
			}{
				{"nothing there to export", "", []string{"export"}, "applications: []\n", "", 0},
				{"no file", "", []string{"apply"}, "", `"file" not set`, 1},
				{"a file that is not there", "", []string{"apply", "-f", "none.yaml"}, "", "none.yaml", 1},
				{"a wrong file", "", []string{"apply", "-f", "wrong.yaml"}, "", "wrong.yaml cannot be applied:\nline 3: applications[0].secret: This field is not known here.", 1},
				{"dry", "", []string{"apply", "-f", "crm.yaml", "--dry-run"}, added, "exit status 2", 2},
				{"apply", "", []string{"apply", "-f", "crm.yaml"}, added + "applied\ncrm: client_id crm-web, client_secret cs_X\ncrm: client_id crm-worker, client_secret cs_X\nThe secrets are shown only now.\n", "", 0},
				{"again", "", []string{"apply", "-f", "crm.yaml"}, "nothing to change\n", "", 0},
				{"dry again", "", []string{"apply", "-f", "crm.yaml", "--dry-run"}, "nothing to change\n", "", 0},
				{"export", "", []string{"export", "crm", "-f", "exported.yaml"}, "", "", 0},
				{"what was exported", "", []string{"apply", "-f", "exported.yaml"}, "nothing to change\n", "", 0},
				{"export of nobody", "", []string{"export", "crn"}, "", "There is no application crn.", 1},
				// A pipeline in which a line got lost must not delete anything by itself.
				{"deleting unasked", "y\n", []string{"apply", "-f", "less.yaml"}, less, "1 would be deleted, and there is nobody to ask: use --yes", 1},
				{"keeping", "", []string{"apply", "-f", "less.yaml", "--no-prune"}, "crm\n  ~ plan pro: features.seats 10 → 5\n0 to add, 1 to change, 0 to delete\napplied\n", "", 0},
				{"back", example, []string{"apply", "-f", "-"}, "crm\n  ~ plan pro: features.seats 5 → 10\n0 to add, 1 to change, 0 to delete\napplied\n", "", 0},
				{"deleting", "", []string{"apply", "-f", "less.yaml", "--yes"}, less + "applied\n", "", 0},
			} {
				out, err := command(t, tt.stdin, tt.args...)
				if tt.fails != "" {
					if assert.Error(t, err, tt.name) {
						assert.Contains(t, explain(err), tt.fails, tt.name)
						assert.Equal(t, tt.status, exitCode(err), tt.name)
					}
				} else {
					require.NoError(t, err, tt.name)
				}
				if tt.name == "nothing there to export" {
					assert.True(t, strings.HasSuffix(out, tt.want), out)
				} else {
					assert.Equal(t, tt.want, regexp.MustCompile(`cs_\S+`).ReplaceAllString(out, "cs_X"), tt.name)
				}
			}
		})
	}
}

// A secret goes to whoever asked for it, and to no log (OWASP ASVS 7.1.1).
func TestPolicySecretsAreNotLogged(t *testing.T) {
	testConfig(t, storetest.NewSQLiteURL(t))
	t.Setenv("AUTH_LOG_LEVEL", "debug")
	putFile(t, "a.yaml", "applications: [{slug: a, name: A, type: m2m}]")
	var out, logs bytes.Buffer
	root := (&cli{in: strings.NewReader(""), out: &out, err: &logs}).command()
	root.SetArgs([]string{"apply", "-f", "a.yaml"})
	require.NoError(t, root.ExecuteContext(t.Context()))
	assert.Contains(t, out.String(), "client_secret cs_")
	assert.NotContains(t, logs.String(), "cs_")
}

func TestExitCode(t *testing.T) {
	assert.Equal(t, 1, exitCode(errors.New("anything")))
	assert.Equal(t, 2, exitCode(wouldChange))
}
