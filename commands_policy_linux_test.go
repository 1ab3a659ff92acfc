package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"auth-service/store/storetest"
)

// openTerminal returns both ends of a pseudo-terminal: a person's, and the one that a program takes for a terminal.
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { terminal.Close() })
	return person, terminal
}

// At a terminal the operator is asked before anything is deleted, sees colours, and no is the answer of an empty line.
func TestPolicyAtTerminal(t *testing.T) {
	testConfig(t, storetest.NewSQLiteURL(t))
	putFile(t, "a.yaml", "applications: [{slug: a, name: A, type: m2m, permissions: [{key: b}, {key: c}]}]")
	putFile(t, "b.yaml", "applications: [{slug: a, permissions: [{key: b}]}]")
	_, err := command(t, "", "apply", "-f", "a.yaml")
	require.NoError(t, err)
	for _, tt := range []struct {
		typed   string
		applied bool
	}{{"\n", false}, {"n\n", false}, {"yesterday\n", false}, {"\x04", false}, {"Yes\n", true}} {
		person, terminal := openTerminal(t)
		_, err := io.WriteString(person, tt.typed)
		require.NoError(t, err)
		var asked bytes.Buffer
		root := (&cli{in: terminal, out: terminal, err: &asked}).command()
		root.SetArgs([]string{"apply", "-f", "b.yaml"})
		err = root.ExecuteContext(t.Context())
		assert.Contains(t, asked.String(), "Delete 1, and apply the rest? [y/N] ")
		if tt.applied {
			require.NoError(t, err)
		} else {
			assert.EqualError(t, err, "nothing was applied", "%q", tt.typed)
		}
		require.NoError(t, terminal.Close())
		shown, _ := io.ReadAll(person) // ends with an error, because nobody is at the other end any more
		assert.Contains(t, string(shown), "\x1b[31m- permission c\x1b[0m")
		assert.Equal(t, tt.applied, strings.Contains(string(shown), "applied"))
	}
	out, err := command(t, "", "apply", "-f", "b.yaml")
	require.NoError(t, err)
	assert.Equal(t, "nothing to change\n", out)
}
