package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The shared cluster lives in a folder of ours with two locks. Test processes hold users.lock shared for their life. The
// one that finds no server (start.lock lets one look at a time) starts a supervisor: the same test binary again, in a
// session of its own, told by an environment variable. The supervisor runs postgres as its child and deletes everything
// when nobody has held users.lock for a while. So packages tested one after the other share a server, and nothing is left
// behind when a test process is killed.
const (
	superviseDir = "STORETEST_SUPERVISE_DIR"
	superviseBin = "STORETEST_SUPERVISE_BIN"
	idleGrace    = 3 * time.Second
	startTimeout = time.Minute
)

// The supervisor has to take over before the testing package runs this binary's tests, and the packages that import us
// need not know about it (a TestMain in each would have to). Only package initialisation comes early enough.
var _ = superviseIfAsked()

func superviseIfAsked() struct{} {
	if dir := os.Getenv(superviseDir); dir != "" {
		if err := supervise(dir, os.Getenv(superviseBin)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	return struct{}{}
}

// usersLock is never closed: it ends with the process. That nothing reads it is what keeps the collector from closing it.
//
//lint:ignore U1000 see above
var usersLock *os.File

// sharedCluster returns the URL of the cluster of this run, which it starts if need be.
func sharedCluster() (string, error) {
	bin, err := findServer()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(bin))
	dir := filepath.Join(memoryDir(), fmt.Sprintf("storetest-%d-%s", os.Getuid(), hex.EncodeToString(sum[:4])))
	if err := ownDir(dir); err != nil {
		return "", err
	}
	start, err := lockFile(filepath.Join(dir, "start.lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer start.Close()
	// Taken before the ping: from here on a running supervisor cannot decide to stop.
	if usersLock, err = lockFile(filepath.Join(dir, "users.lock"), syscall.LOCK_SH); err != nil {
		return "", err
	}
	admin := socketURL(filepath.Join(dir, "socket"))
	if ping(admin) == nil {
		return admin, nil
	}
	return admin, startSupervisor(dir, bin, admin)
}

// startSupervisor runs this binary again and waits for its server. Output goes to a file: with a pipe, go test would wait
// for the supervisor to end.
func startSupervisor(dir, bin, admin string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), superviseDir+"="+dir, superviseBin+"="+bin)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := awaitServer(admin, ended); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("start PostgreSQL for tests: %w\n%s", err, text)
	}
	return nil
}

func awaitServer(admin string, ended <-chan error) error {
	deadline := time.After(startTimeout)
	for ping(admin) != nil {
		select {
		case err := <-ended:
			return fmt.Errorf("ended: %w", errors.Join(err))
		case <-deadline:
			return errors.New("not ready in time")
		case <-time.After(15 * time.Millisecond):
		}
	}
	return nil
}

func ping(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// supervise runs postgres until nobody needs it. It is the whole life of the supervisor process.
func supervise(dir, bin string) error {
	runtime.LockOSThread() // postgres dies with the thread that started it, see dieWithParent
	work, socket := filepath.Join(dir, "work"), filepath.Join(dir, "socket")
	defer os.RemoveAll(socket)
	defer os.RemoveAll(work)
	pg, err := startPostgres(bin, work, socket, os.Stdout, careless)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- pg.Wait() }()
	users, err := os.OpenFile(filepath.Join(dir, "users.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	for idle := time.Duration(0); ; {
		const look = 250 * time.Millisecond
		select {
		case err := <-ended:
			return fmt.Errorf("postgres ended: %w", errors.Join(err))
		case <-time.After(look):
		}
		if syscall.Flock(int(users.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			idle = 0
			continue
		}
		if idle += look; idle < idleGrace {
			_ = syscall.Flock(int(users.Fd()), syscall.LOCK_UN)
			continue
		}
		// We hold the lock alone now: newcomers wait until this process is gone and then start afresh.
		_ = pg.Process.Signal(syscall.SIGQUIT)
		<-ended
		return nil
	}
}

// startPostgres makes a new cluster in work and starts it on a socket that only we can reach.
func startPostgres(bin, work, socket string, log *os.File, settings string) (*exec.Cmd, error) {
	for _, dir := range []string{work, socket} {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if c := unprivileged(); c != nil {
			if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
				return nil, err
			}
		}
	}
	initdb := command(filepath.Join(bin, "initdb"), "-D", filepath.Join(work, "data"), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C", "-N", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return runPostgres(bin, work, socket, log, settings)
}

// Settings of a server: one for tests, whose data may be lost, and one for measurements, which pay what production pays.
const (
	careless = "fsync=off synchronous_commit=off full_page_writes=off wal_level=minimal max_wal_senders=0 autovacuum=off deadlock_timeout=50ms"
	durable  = "fsync=on synchronous_commit=on"
)

// runPostgres starts a cluster that exists.
func runPostgres(bin, work, socket string, log *os.File, settings string) (*exec.Cmd, error) {
	args := []string{"-D", filepath.Join(work, "data"), "-k", socket}
	for _, setting := range strings.Fields(`listen_addresses= unix_socket_permissions=0700 max_connections=300
		shared_buffers=128MB jit=off dynamic_shared_memory_type=mmap timezone=UTC ` + settings) {
		args = append(args, "-c", setting)
	}
	pg := command(filepath.Join(bin, "postgres"), args...)
	dieWithParent(pg.SysProcAttr)
	pg.Stdout, pg.Stderr = log, log
	return pg, pg.Start()
}

// A Cluster is a PostgreSQL server of one test alone, to stop and start.
type Cluster struct {
	URL string // of an empty database

	bin, work, socket string
	settings          string
	log               *os.File
	process           *exec.Cmd // nil while there is none
	ended             chan error
}

// NewCluster starts a server that ends with the test. It needs the server's programs: TEST_DATABASE_URL is not enough.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	return newCluster(t, careless)
}

// NewDurableCluster starts one that keeps what was committed when it is killed.
func NewDurableCluster(t testing.TB) *Cluster {
	t.Helper()
	return newCluster(t, durable)
}

func newCluster(t testing.TB, settings string) *Cluster {
	t.Helper()
	bin, err := findServer()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(memoryDir(), "storetest-one") // not t.TempDir: its long path does not fit a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the server's user must pass; what is inside is its own alone
		t.Fatal(err)
	}
	c := &Cluster{bin: bin, work: filepath.Join(dir, "work"), socket: filepath.Join(dir, "socket"), settings: settings}
	c.URL = socketURL(c.socket)
	if c.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.tell(t) })
	process, err := startPostgres(bin, c.work, c.socket, c.log, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(t) })
	if err := c.await(process); err != nil {
		t.Fatal(err)
	}
	return c
}

// StartDurable starts a server in dir that keeps its data safe as one in production does, for measurements, and returns
// its postmaster's process id with its URL. It ends with stop; its data stays in dir, for the next one that starts there.
func StartDurable(dir string) (url string, pid int, stop func(), err error) {
	bin, err := findServer()
	if err != nil {
		return "", 0, nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // see NewCluster
		return "", 0, nil, err
	}
	log, err := os.Create(filepath.Join(dir, "postgres.log"))
	if err != nil {
		return "", 0, nil, err
	}
	work, socket := filepath.Join(dir, "work"), filepath.Join(dir, "socket")
	begin := startPostgres
	if _, err := os.Stat(filepath.Join(work, "data", "PG_VERSION")); err == nil {
		begin = runPostgres
	}
	process, err := begin(bin, work, socket, log, durable)
	if err != nil {
		return "", 0, nil, err
	}
	stop = func() {
		_ = process.Process.Signal(syscall.SIGINT) // it may have ended by itself
		_ = process.Wait()                         // and its data is about to be deleted
		_ = log.Close()
	}
	for end := time.Now().Add(startTimeout); ping(socketURL(socket)) != nil; time.Sleep(15 * time.Millisecond) {
		if time.Now().After(end) {
			stop()
			return "", 0, nil, errors.New("PostgreSQL is not ready in time, see " + log.Name())
		}
	}
	return socketURL(socket), process.Process.Pid, stop, nil
}

// tell shows what the server said, if the test failed.
func (c *Cluster) tell(t testing.TB) {
	_ = c.log.Close()
	if text, err := os.ReadFile(c.log.Name()); err == nil && t.Failed() {
		t.Logf("PostgreSQL said:\n%s", text)
	}
}

// Start starts a stopped or killed server again, with its data, and waits until it answers. While the children of a killed
// one have not noticed yet, PostgreSQL refuses to start.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(startTimeout); ; time.Sleep(15 * time.Millisecond) {
		process, err := runPostgres(c.bin, c.work, c.socket, c.log, c.settings)
		if err == nil {
			err = c.await(process)
		}
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// await waits until the server answers, or has ended.
func (c *Cluster) await(process *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	if err := awaitServer(c.URL, ended); err != nil {
		_ = process.Process.Kill() // it may have ended by itself
		return err
	}
	c.process, c.ended = process, ended
	return nil
}

// Stop shuts the server down, ending every connection (a "fast" shutdown). On a stopped one it does nothing.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if c.process == nil {
		return
	}
	_ = c.process.Process.Signal(syscall.SIGINT)
	if err := <-c.ended; err != nil {
		t.Error(err)
	}
	c.process = nil
}

// Kill ends the server as a crash does, in the middle of whatever it is doing.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	if err := c.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	c.process = nil
}

func socketURL(dir string) string {
	return "postgres://postgres@/postgres?host=" + url.QueryEscape(dir)
}

func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return f, syscall.Flock(int(f.Fd()), how)
}

// ownDir creates dir, or checks that it is ours: its name is predictable, and in a folder that everybody can write to,
// somebody else could have made it and would then run our tests on a server of theirs.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // see NewCluster
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a folder of ours alone; remove it", dir)
	}
	return nil
}

// memoryDir prefers memory: creating a database takes 20 ms there, and 300 on a disk.
func memoryDir() string {
	var fs syscall.Statfs_t
	const shm, enough = "/dev/shm", 2 << 30
	if syscall.Statfs(shm, &fs) == nil && int64(fs.Bavail)*int64(fs.Bsize) > enough && syscall.Access(shm, 2) == nil {
		return shm
	}
	return os.TempDir()
}
