package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/store/storetest"
)

// snippet is the code in a language under a heading of the README. The one in TypeScript is run by e2e/tests/readme.spec.ts.
func snippet(t *testing.T, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n### "+heading+"\n")
	require.True(t, found, "the README has no section %q", heading)
	section, _, _ = strings.Cut(section, "\n## ")
	code := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)\n```\n").FindStringSubmatch(section)
	require.NotNil(t, code, "there is no %s under %q", language, heading)
	return code[1]
}

// What people copy has to work as it stands.
func TestReadmeRecords(t *testing.T) {
	shell, program := snippet(t, "How an application records", "sh"), snippet(t, "How an application records", "go")
	source, err := os.Getwd()
	require.NoError(t, err)
	cfg := testConfig(t, storetest.NewSQLiteURL(t))
	cfg.Admin = config.Admin{Email: "root@example.org", Password: matrixPassword}
	s := newShop(t, start(t, cfg))
	run := func(dir, name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "AUTH="+s.url, "CLIENT_ID="+s.clientID, "CLIENT_SECRET="+s.secret, "USER_ID="+s.people[0])
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))

	for range 2 { // the second time everything has its idempotency key, but for the job
		out := run(".", "bash", "-euc", shell)
		assert.Contains(t, out, `"amount":0.3,"total":0.3,`)
		assert.Contains(t, out, `"allowed":true`)
		assert.Contains(t, out, `"key":"storage_gb","amount":2.5,"total":2.5,`)
	}
	assert.Equal(t, "total: 14.1\n", run(source, "go", "run", file), "0.3 and 1, then 12.5, then 0.3")
	assert.Equal(t, "total: 14.1\n", run(source, "go", "run", file), "the first answer again")
	require.NoError(t, s.wait())
}
