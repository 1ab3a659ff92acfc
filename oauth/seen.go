package oauth

import (
	"crypto/sha256"
	"sync"
)

// maxSeenTokens bounds the memory: some five megabytes.
const maxSeenTokens = 4096

// seenTokens remembers access tokens that were found to be ours, with what they say. A machine sends the same token with each of its
// requests, and to check an ES256 signature is more work than all the rest of reading it, and to parse its claims most of that rest.
// Only tokens of ours get in, so a stranger cannot fill it. Whether a token is still alive is asked each time.
type seenTokens struct {
	mu     sync.RWMutex
	claims map[[sha256.Size]byte]*accessClaims // never changed; the tokens themselves are not kept
}

func newSeenTokens() *seenTokens {
	return &seenTokens{claims: map[[sha256.Size]byte]*accessClaims{}}
}

func tokenSum(token string) [sha256.Size]byte {
	var room [1 << 10]byte // nearly every token finds room on the stack
	return sha256.Sum256(append(room[:0], token...))
}

func (s *seenTokens) of(token string) (*accessClaims, bool) {
	sum := tokenSum(token)
	s.mu.RLock()
	defer s.mu.RUnlock()
	claims, ok := s.claims[sum]
	return claims, ok
}

func (s *seenTokens) add(token string, claims *accessClaims) {
	sum := tokenSum(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.claims) >= maxSeenTokens {
		clear(s.claims)
	}
	s.claims[sum] = claims
}
