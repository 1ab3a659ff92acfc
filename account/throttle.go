package account

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"auth-service/problem"
	"auth-service/store"
)

var errTooManyAttempts = problem.New(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS", "Too many attempts. Please wait and try again.")

func tooManyAttempts(wait time.Duration) error {
	seconds := max(1, int(math.Ceil(wait.Seconds()))) // who waits as told must not be refused again
	return errTooManyAttempts.WithHeader("Retry-After", strconv.Itoa(seconds))
}

// A Throttle slows down whoever guesses passwords. Failures are counted in the database, exactly and for all replicas,
// by account; somebody who signed in from a device before is counted by account and device instead, so that a stranger's
// failures never shut them out. Beside that each address may try so often, approximately, in this process alone.
// Every wait ends by itself.
type Throttle struct {
	Store *store.Store
	store.ThrottlePolicy
	Addresses *AddressLimiter
	Now       func() time.Time
}

// An attempt is one guess, counted as failed until it succeeds.
type attempt struct {
	key  string
	wait time.Duration // for whoever comes next, if this one fails
}

// reserve admits an attempt against the parts, which together name what is being guessed, or refuses it with 429.
// Unknown accounts are counted like known ones: being throttled must not tell that there is an account.
func (t *Throttle) reserve(ctx context.Context, parts ...string) (attempt, error) {
	key := throttleKey(parts)
	admitted, wait, err := t.Store.ReserveAttempt(ctx, key, t.ThrottlePolicy, t.now())
	if err != nil {
		return attempt{}, err
	}
	if !admitted {
		return attempt{}, tooManyAttempts(wait)
	}
	return attempt{key, wait}, nil
}

// succeeded forgets the attempts so far. Call it in the transaction that makes use of the success.
func (t *Throttle) succeeded(ctx context.Context, a attempt) error {
	return t.Store.ResetAttempts(ctx, a.key)
}

// abandoned takes back an attempt that was not carried out. It runs also when the caller has hung up.
func (t *Throttle) abandoned(ctx context.Context, a attempt) error {
	return t.Store.ReleaseAttempt(context.WithoutCancel(ctx), a.key, t.now())
}

func (t *Throttle) now() time.Time { return t.Now().UTC().Truncate(time.Microsecond) }

// throttleKey hashes the parts: people type passwords into the field for the address, and those must not be stored.
func throttleKey(parts []string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// An AddressLimiter bounds how often each client address may try, as a token bucket per address. It remembers the Size
// addresses seen last, so that rotating through addresses cannot fill the memory.
type AddressLimiter struct {
	Rate  float64 // attempts per second in the long run
	Burst int     // and at once
	Size  int     // zero means 65536
	Now   func() time.Time

	mu      sync.Mutex
	buckets map[netip.Prefix]*list.Element
	recent  *list.List // of *bucket, the one used last in front
}

type bucket struct {
	prefix  netip.Prefix
	limiter *rate.Limiter
}

// Allow takes cost from the bucket of the address, or refuses with 429.
func (l *AddressLimiter) Allow(address string, cost int) error {
	now, limiter := l.Now(), l.limiter(prefixOf(address))
	n := min(cost, l.Burst)
	if limiter.AllowN(now, n) {
		return nil
	}
	// Nothing was taken: otherwise knocking on would prolong the wait for ever.
	missing := max(0, float64(n)-limiter.TokensAt(now))
	return tooManyAttempts(time.Duration(missing / l.Rate * float64(time.Second)))
}

func (l *AddressLimiter) limiter(prefix netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil {
		l.buckets, l.recent = map[netip.Prefix]*list.Element{}, list.New()
	}
	if e, ok := l.buckets[prefix]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket).limiter
	}
	size := l.Size
	if size <= 0 {
		size = 1 << 16
	}
	if l.recent.Len() >= size {
		oldest := l.recent.Back()
		delete(l.buckets, oldest.Value.(*bucket).prefix)
		l.recent.Remove(oldest)
	}
	b := &bucket{prefix, rate.NewLimiter(rate.Limit(l.Rate), l.Burst)}
	l.buckets[prefix] = l.recent.PushFront(b)
	return b.limiter
}

// prefixOf is what one customer of a provider has: an IPv4 address, or the /64 of an IPv6 one, within which a single
// machine has 2^64 addresses to rotate through.
func prefixOf(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{} // all that we cannot read share one bucket
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
