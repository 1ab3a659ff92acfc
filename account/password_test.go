package account_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/account"
	"auth-service/problem"
)

func TestHashIsAPHCString(t *testing.T) {
	h := &account.Hasher{Argon2: account.Argon2{MemoryKiB: 64, Iterations: 2, Parallelism: 1}, Queue: 1, QueueTimeout: time.Minute}
	one, err := h.Hash(t.Context(), password)
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=64,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, one)
	two, err := h.Hash(t.Context(), password)
	require.NoError(t, err)
	require.NotEqual(t, one, two, "each has its own salt")

	for _, tt := range []struct {
		encoded, password string
		ok                bool
	}{{one, password, true}, {one, password + " ", false}, {one, "", false}, {"", "", false}, {"", password, false}} {
		before := h.Hashed()
		ok, stale, err := h.Verify(t.Context(), tt.encoded, tt.password)
		require.NoError(t, err)
		require.Equal(t, tt.ok, ok)
		require.False(t, stale)
		require.Equal(t, uint64(1), h.Hashed()-before, "whatever the outcome, the same work")
	}
}

// A known answer, made with the reference implementation of Argon2 (libargon2's own test, argon2id, v=19, m=64 MiB, t=2).
func TestVerifyReadsHashesOfOthers(t *testing.T) {
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := &account.Hasher{Argon2: account.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, Queue: 1, QueueTimeout: time.Minute}
	ok, stale, err := h.Verify(t.Context(), reference, "password")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, stale, "made with other parameters")
	ok, stale, err = h.Verify(t.Context(), reference, "differentpassword")
	require.NoError(t, err)
	require.False(t, ok || stale)
}

// A row that somebody else wrote must neither pass nor cost gigabytes, and its hash must not reach the log.
func TestVerifyRefusesOtherFormats(t *testing.T) {
	h := &account.Hasher{Argon2: account.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, Queue: 1, QueueTimeout: time.Minute}
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, encoded := range []string{
		password, "$", "$argon2id$v=19$m=64,t=1,p=1$" + salt, "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=4294967295,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AA", "$argon2id$v=19$m=64,t=1,p=1$$" + key,
		"$argon2id$v=19$m=-1,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + key + "$x",
	} {
		before := h.Hashed()
		ok, _, err := h.Verify(t.Context(), encoded, password)
		require.Error(t, err, encoded)
		require.False(t, ok)
		require.NotContains(t, err.Error(), key)
		require.Equal(t, before, h.Hashed())
	}
}

// New parameters reach people as they sign in.
func TestRehashAtSignIn(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		id := s.browser().signUp(email).json()["user"].(object)["id"].(string)
		hash := func() string {
			u, err := s.store.UserByID(t.Context(), id)
			require.NoError(t, err)
			return u.PasswordHash
		}
		old := hash()
		s.browser().signIn(email, password).ok()
		require.Equal(t, old, hash(), "same parameters, same hash")

		s.svc.Hasher.Iterations = 2
		s.browser().signIn(email, "not the password").refused(http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD")
		require.Equal(t, old, hash(), "a wrong password changes nothing")
		s.browser().signIn(email, password).ok()
		require.True(t, strings.HasPrefix(hash(), "$argon2id$v=19$m=64,t=2,p=1$"), hash())
		s.browser().signIn(email, password).ok()
	})
}

// A burst must neither take more memory than Concurrency hashes do, nor keep the rest waiting for ever: those who do not
// fit into the queue are told so at once.
func TestABurstIsBounded(t *testing.T) {
	const each = 8 << 20
	h := &account.Hasher{
		Argon2: account.Argon2{MemoryKiB: each >> 10, Iterations: 1, Parallelism: 1}, Concurrency: 2, Queue: 20, QueueTimeout: time.Minute,
	}
	runtime.GC()
	var base runtime.MemStats
	runtime.ReadMemStats(&base)
	var peak atomic.Uint64
	done := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		var m runtime.MemStats
		for {
			select {
			case <-done:
				return
			default:
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc))
				runtime.Gosched()
			}
		}
	})
	var hashed, busy atomic.Int64
	var burst sync.WaitGroup
	for range 200 {
		burst.Go(func() {
			_, err := h.Hash(t.Context(), password)
			var refusal *problem.Error
			switch {
			case err == nil:
				hashed.Add(1)
			case errors.As(err, &refusal) && refusal.Code == "PASSWORD_BUSY" && refusal.Status == http.StatusServiceUnavailable:
				busy.Add(1)
			}
		})
	}
	burst.Wait()
	close(done)
	sampler.Wait()
	require.Equal(t, int64(200), hashed.Load()+busy.Load())
	require.GreaterOrEqual(t, hashed.Load(), int64(20), "those who fit are served")
	require.Positive(t, busy.Load(), "the others are refused")
	grown := int64(peak.Load()) - int64(base.HeapAlloc)
	require.Less(t, grown, int64(200*each/4), "far from one buffer for each of them")
}

// Waiting ends with the queue's deadline, and with the caller's patience.
func TestWaitingForAHashEnds(t *testing.T) {
	h := &account.Hasher{
		Argon2: account.Argon2{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, Concurrency: 1, Queue: 10, QueueTimeout: time.Millisecond,
	}
	release := h.OccupySlots()
	_, err := h.Hash(t.Context(), password)
	require.Equal(t, http.StatusServiceUnavailable, problem.Of(err).Status)
	require.Equal(t, "PASSWORD_BUSY", problem.Of(err).Code)

	h.QueueTimeout = time.Hour
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	_, err = h.Hash(ctx, password)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, h.Hashed())
	release()
	_, err = h.Hash(t.Context(), password)
	require.NoError(t, err)
}
