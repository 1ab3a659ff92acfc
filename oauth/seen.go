package oauth

import (
	"crypto/sha256"
	"sync"
)

// maxSeenTokens bounds the memory: some three megabytes.
const maxSeenTokens = 4096

// seenTokens remembers tokens whose signature was good, with what they say. A machine sends the same token with each of its
// requests, and to check an ES256 signature is more work than all the rest of reading it. Only tokens of ours get in, so a
// stranger cannot fill it. Whether a token is still alive is asked each time.
type seenTokens struct {
	mu       sync.RWMutex
	payloads map[[sha256.Size]byte][]byte // never changed; the tokens themselves are not kept
}

func newSeenTokens() *seenTokens {
	return &seenTokens{payloads: map[[sha256.Size]byte][]byte{}}
}

func tokenSum(typ, token string) [sha256.Size]byte { return sha256.Sum256([]byte(typ + " " + token)) }

func (s *seenTokens) payload(typ, token string) ([]byte, bool) {
	sum := tokenSum(typ, token)
	s.mu.RLock()
	defer s.mu.RUnlock()
	payload, ok := s.payloads[sum]
	return payload, ok
}

func (s *seenTokens) add(typ, token string, payload []byte) {
	sum := tokenSum(typ, token)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.payloads) >= maxSeenTokens {
		clear(s.payloads)
	}
	s.payloads[sum] = payload
}
