package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/store"
	"auth-service/store/storetest"
)

// onBoth runs fn with the commands on an empty database of each engine; renew gives them another one.
func onBoth(t *testing.T, fn func(t *testing.T, renew func())) {
	for engine, newURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			testConfig(t, newURL(t))
			fn(t, func() { t.Setenv("AUTH_DATABASE_URL", newURL(t)) })
		})
	}
}

// people returns everybody, as the database has them.
func people(t *testing.T) []store.User {
	t.Helper()
	cfg, err := config.Load("")
	require.NoError(t, err)
	db, _, err := open(t.Context(), cfg, zerolog.Nop())
	require.NoError(t, err)
	defer db.Close()
	users, err := db.ListUsers(t.Context(), "", 100_000)
	require.NoError(t, err)
	return users
}

func write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
}

// What is exported comes back in an empty database, so that an export of that is the same file. Superadmins and their
// passwords come along: whoever runs commands owns the database anyway.
func TestExportAndImportCommands(t *testing.T) {
	onBoth(t, func(t *testing.T, renew func()) {
		_, err := command(t, "correct horse", "user", "create", "--email", "ada@example.com", "--role", "superadmin")
		require.NoError(t, err)
		out, err := command(t, `{"email":"bob@example.com","name":"=1+1","disabled":true,"disabledReason":"left"}`+"\n"+`{"email":"cleo@example.com","password":"correct horse"}`,
			"user", "import", "-", "--format", "jsonl")
		require.NoError(t, err)
		assert.Equal(t, "lines: 2, created: 2, updated: 0, skipped: 0, refused: 0\n", out)

		for _, name := range []string{"people.csv", "people.jsonl"} {
			_, err = command(t, "", "user", "export", "--output", name, "--include-password-hashes")
			require.NoError(t, err)
			about, err := os.Stat(name)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), about.Mode().Perm(), "it holds password hashes")
			file, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.Equal(t, 2, strings.Count(string(file), "$argon2id$"))

			renew()
			out, err = command(t, "", "user", "import", name)
			require.NoError(t, err)
			assert.Equal(t, "lines: 3, created: 3, updated: 0, skipped: 0, refused: 0\n", out)
			again, err := command(t, "", "user", "export", "--format", strings.TrimPrefix(filepath.Ext(name), "."), "--include-password-hashes")
			require.NoError(t, err)
			assert.Equal(t, string(file), again, name)
		}
		left, err := command(t, "", "user", "export", "--disabled", "true", "--format", "jsonl")
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(left, "\n"))
		assert.NotContains(t, left, "argon2id")
		files, err := filepath.Glob("*")
		require.NoError(t, err)
		assert.NotContains(t, strings.Join(files, " "), "people.csv.", "no part is left behind")
	})
}

// Lines that were refused make the command fail, are told one by one, and don't keep the others from being imported.
func TestImportCommandRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, _ func()) {
		write(t, "people.csv", "email,role,name\nada@example.com,superadmin,Ada\nno address,god,\nada@example.com,,\x1b[2J\nbob@example.com,,Bob\n")
		out, err := command(t, "", "user", "import", "people.csv", "--dry-run")
		require.EqualError(t, err, "2 of 4 lines were refused")
		assert.Contains(t, out, "lines: 4, created: 2, updated: 0, skipped: 0, refused: 2 (dry run: nothing was written)\n")
		assert.Empty(t, people(t))

		out, err = command(t, "", "user", "import", "people.csv")
		require.EqualError(t, err, "2 of 4 lines were refused")
		assert.Equal(t, "line 3 no address: email: This is not an e-mail address. role: The role must be user, admin or superadmin.\n"+
			"line 4 ada@example.com: name: This must not have control characters.\nlines: 4, created: 2, updated: 0, skipped: 0, refused: 2\n", out)
		require.Len(t, people(t), 2)

		out, err = command(t, "", "user", "import", "people.csv", "--on-conflict", "update", "--report", "refused.jsonl")
		require.EqualError(t, err, "2 of 4 lines were refused")
		assert.Equal(t, "lines: 4, created: 0, updated: 0, skipped: 2, refused: 2\n", out)
		report, err := os.ReadFile("refused.jsonl")
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(report)), "\n")
		require.Len(t, lines, 2)
		var first map[string]any
		require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
		assert.Equal(t, []any{3.0, "no address", "VALIDATION_ERROR"}, []any{first["line"], first["email"], first["code"]})

		write(t, "broken.csv", "email\ncleo@example.com\n\"\n")
		out, err = command(t, "", "user", "import", "broken.csv")
		require.ErrorContains(t, err, "read up to line 3")
		assert.Contains(t, out, "lines: 1, created: 1")
		require.Len(t, people(t), 3)

		write(t, "many.csv", "email\n"+strings.Repeat("x\n", 30))
		out, err = command(t, "", "user", "import", "many.csv")
		require.EqualError(t, err, "30 of 30 lines were refused")
		assert.Equal(t, 22, strings.Count(out, "\n"), "twenty of them, a hint, and the sum")
	})
}

func TestUserFileArguments(t *testing.T) {
	testConfig(t, storetest.NewSQLiteURL(t))
	write(t, "people.csv", "email,password_hash\nada@example.com,x\n")
	for want, args := range map[string][]string{
		"--format must be one of csv, jsonl":              {"user", "import", "people.csv", "--format", "xml"},
		"--on-conflict must be one of fail, skip, update": {"user", "import", "people.csv", "--on-conflict", "replace"},
		"no such file": {"user", "import", "nobody.csv"},
		"password_hash: This column is not known":       {"user", "import", "people.csv"},
		"--role must be one of user, admin, superadmin": {"user", "export", "--role", "owner"},
		"--disabled must be one of true, false":         {"user", "export", "--disabled", "yes"},
		"no such file or directory":                     {"user", "export", "--output", "nowhere/people.csv"},
	} {
		_, err := command(t, "", args...)
		if assert.Error(t, err, want) {
			assert.Contains(t, explain(err), want)
		}
	}
}

// A command that was broken off leaves no file that could pass for a whole one.
func TestWriteFileIsWholeOrAbsent(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "people.csv", "before")
	broken := errors.New("broken off")
	require.ErrorIs(t, writeFile("people.csv", func(w io.Writer) error {
		_, _ = io.WriteString(w, "a part")
		return broken
	}), broken)
	files, err := filepath.Glob("*")
	require.NoError(t, err)
	assert.Equal(t, []string{"people.csv"}, files)
	content, err := os.ReadFile("people.csv")
	require.NoError(t, err)
	assert.Equal(t, "before", string(content))
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	bar := &progress{out: &out, terminal: true, size: 100}
	source := bar.watch(strings.NewReader(strings.Repeat("x", 50)))
	_, err := io.ReadFull(source, make([]byte, 50))
	require.NoError(t, err)
	bar.show(7, 1)
	bar.end()
	assert.Equal(t, "\r["+strings.Repeat("█", 15)+strings.Repeat("░", 15)+"]  50 %  7 lines, 1 refused\x1b[K\n", out.String())

	out.Reset()
	bar = &progress{out: &out, terminal: true} // of the standard input nobody knows the size
	bar.show(7, 0)
	assert.Equal(t, "\r7 lines, 0 refused\x1b[K", out.String())

	out.Reset()
	bar = &progress{out: &out, size: 100}
	for lines := 500; lines <= 20_500; lines += 500 {
		bar.show(lines, 0)
	}
	bar.end()
	assert.Equal(t, "10000 lines, 0 refused\n20000 lines, 0 refused\n", out.String(), "a log is no place for a bar")
}
