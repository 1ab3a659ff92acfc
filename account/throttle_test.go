package account_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

// Guessing gets slower with each failure, and the wait ends by itself.
func TestFailuresMakeGuessingSlow(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		stranger := s.browser()
		wrong := func() response { return stranger.signIn(email, "not the password") }
		for range 5 {
			wrong().refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		}
		for _, wait := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
			before := s.svc.Hasher.Hashed()
			for _, guess := range []string{"not the password", password} { // the right one opens nothing either
				r := stranger.signIn(email, guess)
				r.refused(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS")
				require.Equal(t, strconv.Itoa(wait), r.Header().Get("Retry-After"))
			}
			require.Equal(t, before, s.svc.Hasher.Hashed(), "refused before hashing")
			s.clock.Pass(time.Duration(wait) * time.Second)
			wrong().refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		}
		s.clock.Pass(15 * time.Minute)
		stranger.signIn(email, password).ok()
	})
}

// Success forgets the failures before it, and being throttled leaves a trace for the operator.
func TestSuccessResetsAndThrottlingIsAudited(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		id := s.browser().signUp(email).json()["user"].(object)["id"].(string)
		for range 3 {
			for range 4 {
				s.browser().signIn(email, "not the password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
			}
			s.browser().signIn(email, password).ok()
		}
		throttled := func() (n int) {
			trail, err := s.store.AuditTrail(t.Context(), "user", id, 100)
			require.NoError(t, err)
			for _, event := range trail {
				if event.Action == "sign_in.throttle" {
					n++
				}
			}
			return n
		}
		require.Zero(t, throttled())
		for range 10 {
			s.browser().signIn(email, "not the password")
		}
		require.Equal(t, 1, throttled(), "one for the wait, none for the refusals")
	})
}

// Lock-out as an attack: a stranger's failures never keep a person out of a browser where they signed in before.
func TestAKnownDeviceIsNotLockedOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		known := s.browser()
		known.signUp(email)
		known.post("sign-out", "{}").ok()
		stranger := s.browser() // even at the same address
		for range 10 {
			stranger.signIn(email, "not the password")
		}
		for s.svc.Throttle.Addresses.Allow(stranger.address, 1) == nil { // and with that address used up
		}
		stranger.signIn("unknown@example.com", password).refused(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS")
		stranger.signIn(email, password).refused(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS")
		known.signIn(email, "mistyped").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		known.signIn(email, password).ok()

		// What the device earned is a counter of its own, not freedom to guess.
		for range 5 {
			known.signIn(email, "not the password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		}
		known.signIn(email, password).refused(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS")
	})
}

// A device cookie counts for the person it was given for, as it was given, alone.
func TestDeviceCookiesCannotBeForged(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		const device = "__Host-auth_device"
		ada, eve := s.browser(), s.browser()
		ada.signUp(email)
		eve.signUp("eve@example.com")
		for range 10 {
			s.browser().signIn(email, "not the password")
		}
		mark := ada.cookies[device]
		id, mac, _ := strings.Cut(mark, ".")
		for name, cookie := range map[string]string{
			"another person's": eve.cookies[device],
			"another id":       "AAAAAAAAAAAAAAAAAAAAAA." + mac,
			"another MAC":      id + "." + strings.Repeat("A", 43),
			"no MAC":           id + ".",
			"garbage":          strings.Repeat("~", 100) + mac,
			"too many":         strings.Repeat(eve.cookies[device]+"~", 8) + mark,
		} {
			b := s.browser()
			b.cookies[device] = cookie
			r := b.signIn(email, password)
			require.Equal(t, http.StatusTooManyRequests, r.Code, name)
		}
		family := s.browser() // one browser, two people
		family.cookies[device] = eve.cookies[device] + "~" + mark
		family.signIn(email, password).ok()
		require.Equal(t, eve.cookies[device]+"~"+mark, family.cookies[device], "known already")
		family.signIn("eve@example.com", password).ok()

		cookie := cookieNamed(s.browser().signIn("eve@example.com", password), device)
		require.True(t, cookie.HttpOnly && cookie.Secure && cookie.SameSite == http.SameSiteLaxMode && cookie.Domain == "")
	})
}

// A browser that many people use keeps a bounded cookie and forgets whoever came first.
func TestDeviceCookieIsBounded(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.svc.Throttle.Addresses.Burst = 1000
		b := s.browser()
		for i := range 12 {
			b.signUp(fmt.Sprintf("u%d@example.com", i))
		}
		require.Len(t, strings.Split(b.cookies["__Host-auth_device"], "~"), 8)
	})
}

// Throttling bypass: a client cannot choose the address that it is counted under.
func TestForwardedForDoesNotEscapeTheThrottle(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.svc.Throttle.Addresses.Burst = 10
		b := s.browser()
		statuses := map[int]int{}
		for i := range 30 {
			b.header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
			b.header.Set("X-Real-Ip", fmt.Sprintf("198.51.100.%d", i))
			statuses[b.signIn(fmt.Sprintf("u%d@example.com", i), "not the password").Code]++
		}
		require.Equal(t, map[int]int{http.StatusUnauthorized: 10, http.StatusTooManyRequests: 20}, statuses)

		// Behind a proxy that is trusted it is the proxy that says, and what the client put before that is not believed.
		s.echo.IPExtractor = echo.ExtractIPFromXFFHeader(echo.TrustLoopback(false), echo.TrustPrivateNet(true))
		b.address = "10.0.0.1"
		statuses = map[int]int{}
		for i := range 30 {
			b.header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 203.0.113.7", i))
			statuses[b.signIn(fmt.Sprintf("v%d@example.com", i), "not the password").Code]++
		}
		require.Equal(t, map[int]int{http.StatusUnauthorized: 10, http.StatusTooManyRequests: 20}, statuses)
	})
}

// One machine has 2^64 IPv6 addresses; they count as one. And an address that rests is let in again.
func TestAddressLimiter(t *testing.T) {
	c := newClock()
	l := &account.AddressLimiter{Rate: 0.5, Burst: 4, Now: c.Now}
	for i := range 4 {
		require.NoError(t, l.Allow(fmt.Sprintf("2001:db8::%x", i+1), 1))
	}
	refusal := func(err error) string {
		require.Error(t, err)
		rec := recordError(t, err)
		require.Equal(t, http.StatusTooManyRequests, rec.Code)
		return rec.Header().Get("Retry-After")
	}
	require.Equal(t, "2", refusal(l.Allow("2001:db8::ffff", 1)))
	for range 100 {
		require.Equal(t, "2", refusal(l.Allow("2001:db8::ffff", 1)), "knocking on does not prolong the wait")
	}
	require.NoError(t, l.Allow("2001:db8:0:1::1", 1), "the next /64")
	require.NoError(t, l.Allow("192.0.2.1", 4))
	require.Equal(t, "2", refusal(l.Allow("::ffff:192.0.2.1", 1)), "the same in other clothes")
	require.NoError(t, l.Allow("192.0.2.2", 1))
	c.Pass(2 * time.Second)
	require.NoError(t, l.Allow("2001:db8::1", 1))
	require.Equal(t, "2", refusal(l.Allow("2001:db8::1", 1)))
}

// Rotating through addresses costs a bounded memory.
func TestAddressLimiterForgetsTheOldest(t *testing.T) {
	c := newClock()
	l := &account.AddressLimiter{Rate: 1, Burst: 1, Size: 2, Now: c.Now}
	for _, step := range []struct {
		address string
		ok      bool
	}{
		{"192.0.2.1", true}, {"192.0.2.2", true}, {"192.0.2.1", false}, // .2 is the oldest now
		{"192.0.2.3", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
	} {
		require.Equal(t, step.ok, l.Allow(step.address, 1) == nil, step.address)
	}
}

// Parallel guesses: a hundred at once get no more through than the policy allows one after another, on two replicas.
func TestParallelGuesses(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(name, func(t *testing.T) {
			c, address := newClock(), url(t)
			clocked := func(o *store.Options) { o.Now = c.Now }
			replicas := []*server{newServer(t, storetest.Open(t, address, clocked), c), newServer(t, storetest.Open(t, address, clocked), c)}
			replicas[0].browser().signUp(email)
			before := replicas[0].svc.Hasher.Hashed()

			var mu sync.Mutex
			var wg sync.WaitGroup
			statuses := map[int]int{}
			for i := range 100 {
				wg.Go(func() {
					b := replicas[i%2].browser()
					b.address = fmt.Sprintf("198.51.100.%d", i)
					r := b.signIn(email, "guess number "+strconv.Itoa(i))
					mu.Lock()
					defer mu.Unlock()
					statuses[r.Code]++
				})
			}
			wg.Wait()
			require.Equal(t, map[int]int{http.StatusUnauthorized: 5, http.StatusTooManyRequests: 95}, statuses)
			require.Equal(t, uint64(5), replicas[0].svc.Hasher.Hashed()-before+replicas[1].svc.Hasher.Hashed())
		})
	}
}

// A stolen session is no licence to guess the password, and its guesses do not keep the owner out.
func TestGuessingWithAStolenSession(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		owner, thief := s.browser(), s.browser()
		owner.signUp(email)
		thief.signIn(email, password).ok()
		guesses := []func() response{
			func() response { return thief.post("verify-password", object{"password": "guess one"}) },
			func() response {
				return thief.post("change-password", object{"currentPassword": "guess two", "newPassword": "something else"})
			},
			func() response { return thief.post("delete-user", object{"password": "guess three"}) },
		}
		for i := range 5 {
			guesses[i%3]().refused(http.StatusBadRequest, "INVALID_PASSWORD")
		}
		for _, guess := range guesses {
			r := guess()
			r.refused(http.StatusTooManyRequests, "TOO_MANY_ATTEMPTS")
			require.Equal(t, "1", r.Header().Get("Retry-After"))
		}
		owner.post("verify-password", object{"password": password}).ok()
		s.browser().signIn(email, password).ok()
	})
}

// A server too busy to verify a password does not count the attempt: it would throttle whoever knocks in a rush hour.
func TestBusyIsNotFailed(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		s.browser().signUp(email)
		release := s.svc.Hasher.OccupySlots()
		s.svc.Hasher.Queue = 0
		for range 20 {
			r := s.browser().signIn(email, password)
			r.refused(http.StatusServiceUnavailable, "PASSWORD_BUSY")
			require.NotEmpty(t, r.Header().Get("Retry-After"))
		}
		release()
		s.svc.Hasher.Queue = 1000
		for range 4 {
			s.browser().signIn(email, "not the password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		}
		s.browser().signIn(email, password).ok()
	})
}

// recordError renders err as the server does.
func recordError(t *testing.T, err error) response {
	t.Helper()
	e := echo.New()
	s := &server{t: t, echo: e}
	e.GET("/api/auth/x", func(echo.Context) error { return err })
	e.HTTPErrorHandler = problem.Handler(nop)
	return s.browser().get("x")
}
