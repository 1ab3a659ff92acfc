package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
)

// idTokenStrategy builds ID tokens (OIDC Core §2). fosite's own checks prompt and max_age again at this point, from
// parameters that authorize.go has already decided about.
type idTokenStrategy struct{ *Provider }

// GenerateIDToken signs an ID token with the algorithm that the client registered.
func (t *idTokenStrategy) GenerateIDToken(ctx context.Context, lifetime time.Duration, r fosite.Requester) (string, error) {
	c, s := r.GetClient().(*client), r.GetSession().(*session)
	now := t.now()
	claims := personClaims(s.user, entitledBy(s.entitled).inToken(), r.GetGrantedScopes(), c.registeredClaims(s.claims.IDToken))
	for name, value := range map[string]any{
		"iss": t.issuer, "sub": s.user.ID, "aud": c.ID, "azp": c.ID, "sid": s.sessionID,
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "auth_time": s.authTime.Unix(), "acr": s.acr, "amr": s.amr,
	} {
		claims[name] = value
	}
	if s.nonce != "" {
		claims["nonce"] = s.nonce
	}
	alg := c.IDTokenAlg
	if alg == "" {
		alg = string(jose.RS256)
	}
	if response, ok := ctx.Value(fosite.AccessResponseContextKey).(fosite.AccessResponder); ok {
		claims["at_hash"] = accessTokenHash(alg, response.GetAccessToken())
	}
	return t.keys.sign(alg, typIDToken, claims)
}

// accessTokenHash is at_hash (OIDC Core §3.1.3.6): half of the hash that belongs to the algorithm; Ed25519's is SHA-512.
func accessTokenHash(alg, token string) string {
	if alg == string(jose.EdDSA) {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// hint is what an id_token_hint says. It may be expired, but we must have issued it.
type hint struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	SessionID string `json:"sid"`
}

func (p *Provider) readHint(ctx context.Context, token string) (*hint, error) {
	payload, err := p.keys.verify(ctx, typIDToken, token)
	if err != nil {
		return nil, invalidRequest("The id_token_hint was not issued by this server.")
	}
	var h hint
	if err := json.Unmarshal(payload, &h); err != nil || h.Issuer != p.issuer || h.Subject == "" {
		return nil, invalidRequest("The id_token_hint was not issued by this server.")
	}
	return &h, nil
}
