package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"auth-service/problem"
)

// Sizes of what goes into and comes out of Argon2id (RFC 9106 §3.1).
const (
	saltLength = 16
	keyLength  = 32
)

var (
	errPasswordTooShort = problem.New(http.StatusBadRequest, "PASSWORD_TOO_SHORT", "The password is too short.")
	errPasswordTooLong  = problem.New(http.StatusBadRequest, "PASSWORD_TOO_LONG", "The password is too long.")
	errPasswordBusy     = problem.New(http.StatusServiceUnavailable, "PASSWORD_BUSY",
		"Too many people are signing in right now. Please try again in a moment.").WithHeader("Retry-After", "2")
)

// Argon2 are the cost parameters of Argon2id.
type Argon2 struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

// A Hasher hashes and verifies passwords with Argon2id, a bounded number at a time: each takes MemoryKiB and a core, so
// an unbounded burst of sign-ins would exhaust the memory and starve every other route. Callers beyond Queue, and those
// who wait longer than QueueTimeout, are told to come back (503 PASSWORD_BUSY).
type Hasher struct {
	Argon2
	Concurrency  int // at once; zero means the number of cores
	Queue        int // how many may wait
	QueueTimeout time.Duration

	setUp   sync.Once
	slots   chan struct{}
	dummy   string
	waiting atomic.Int64
	hashed  atomic.Uint64
}

// Hashed counts the hashes computed so far, those against the dummy included.
func (h *Hasher) Hashed() uint64 { return h.hashed.Load() }

// Hash returns the PHC string of password under the present parameters and a new salt.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails: crypto/rand ends the program instead
	key, err := h.derive(ctx, password, salt, h.Argon2, keyLength)
	if err != nil {
		return "", err
	}
	return phc{h.Argon2, salt, key}.String(), nil
}

// Verify reports whether password is the one behind encoded, and whether the hash was made with other parameters than
// the present ones and should be made anew. An empty encoded, of somebody unknown or without a password, costs the same
// time as any other and never matches: the time must not tell whether the account exists.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (ok, stale bool, err error) {
	known := encoded != ""
	if !known {
		h.ready()
		encoded = h.dummy
	}
	want, err := parsePHC(encoded)
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	got, err := h.derive(ctx, password, want.salt, want.Argon2, uint32(len(want.key)))
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(got, want.key) == 1 && known
	return ok, ok && want.Argon2 != h.Argon2, nil
}

// derive waits for a slot and computes the key.
func (h *Hasher) derive(ctx context.Context, password string, salt []byte, cost Argon2, length uint32) ([]byte, error) {
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	h.hashed.Add(1)
	return argon2.IDKey(normalize(password), salt, cost.Iterations, cost.MemoryKiB, cost.Parallelism, length), nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	h.ready()
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(h.Queue) {
		return errPasswordBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.QueueTimeout, errPasswordBusy)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ready makes what a literal cannot. The dummy's key need not be derived: nothing is ever meant to match it.
func (h *Hasher) ready() {
	h.setUp.Do(func() {
		n := h.Concurrency
		if n <= 0 {
			n = runtime.GOMAXPROCS(0)
		}
		h.slots = make(chan struct{}, n)
		salt, key := make([]byte, saltLength), make([]byte, keyLength)
		rand.Read(salt)
		rand.Read(key)
		h.dummy = phc{h.Argon2, salt, key}.String()
	})
}

// normalize makes a password typed on one machine equal to the same one typed on another (NIST SP 800-63B §3.1.1.2).
// NFKC and not NFC, because the system that we replace hashed NFKC and its passwords are to go on working.
func normalize(password string) []byte { return norm.NFKC.Bytes([]byte(password)) }

// A PasswordPolicy bounds the length of new passwords, counted in characters.
type PasswordPolicy struct{ MinLength, MaxLength int }

// Check refuses a new password of the wrong length. The bytes are looked at first: normalizing megabytes is work, too.
func (p PasswordPolicy) Check(password string) error {
	if len(password) > p.maxBytes() {
		return errPasswordTooLong
	}
	switch n := utf8.RuneCount(normalize(password)); {
	case n < p.MinLength:
		return errPasswordTooShort
	case n > p.MaxLength:
		return errPasswordTooLong
	}
	return nil
}

func (p PasswordPolicy) maxBytes() int { return p.MaxLength * utf8.UTFMax }

// phc is a hash in the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
type phc struct {
	Argon2
	salt, key []byte
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.MemoryKiB, p.Iterations, p.Parallelism, b64(p.salt), b64(p.key))
}

var errHashFormat = errors.New("not an Argon2id PHC string") // without the string: it is a password hash

// parsePHC refuses costs that no valid configuration makes (see config): a row written by somebody else must not cost us gigabytes.
func parsePHC(encoded string) (phc, error) {
	var p phc
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errHashFormat
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Iterations, &p.Parallelism); err != nil {
		return p, errHashFormat
	}
	var saltErr, keyErr error
	p.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	p.key, keyErr = base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(p.salt) == 0 || len(p.key) < 16 || len(p.key) > 128 {
		return p, errHashFormat
	}
	if p.MemoryKiB > 4<<20 || p.Iterations < 1 || p.Iterations > 100 || p.Parallelism < 1 || p.Parallelism > 16 {
		return p, errHashFormat
	}
	return p, nil
}
