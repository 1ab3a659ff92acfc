package oauth

import (
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"

	"auth-service/store"
)

// session is what fosite carries from the authorization to the tokens. It is built anew from rows for each request and
// never stored, so nothing in it can go stale; expiry is decided by the rows and by our token code.
type session struct {
	user      *store.User // nil for client credentials
	sessionID string
	authTime  time.Time
	acr       string
	amr       []string
	nonce     string
	challenge string
	claims    store.ClaimsRequest
	orgID     string              // what the code or grant is bound to
	entitled  *store.Entitlements // nil before the code is exchanged

	id *jwt.IDTokenClaims
}

var _ openid.Session = (*session)(nil)

func (s *session) SetExpiresAt(fosite.TokenType, time.Time)       {}
func (s *session) GetExpiresAt(fosite.TokenType) (zero time.Time) { return zero }
func (s *session) GetUsername() string                            { return "" }

func (s *session) GetSubject() string {
	if s.user == nil {
		return ""
	}
	return s.user.ID
}

// Clone returns s itself: fosite clones to keep a stored session apart from a request's, and ours is not stored.
func (s *session) Clone() fosite.Session { return s }

// IDTokenClaims exists for fosite's handlers, which insist on a subject. The ID token is built by idTokenStrategy.
func (s *session) IDTokenClaims() *jwt.IDTokenClaims {
	if s.id == nil {
		s.id = &jwt.IDTokenClaims{Subject: s.GetSubject()}
	}
	return s.id
}

func (s *session) IDTokenHeaders() *jwt.Headers { return &jwt.Headers{} }
