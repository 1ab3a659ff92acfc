package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"auth-service/store"
)

// accessClaims are the claims of an access token (RFC 9068 §2.2 and the contract), in the order in which they are written.
type accessClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud,omitempty"`
	ClientID  string   `json:"client_id"`
	AZP       string   `json:"azp"`
	Scope     string   `json:"scope,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	GrantID   string   `json:"gid,omitempty"`
	ID        string   `json:"jti,omitempty"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	entitled
}

func (c *accessClaims) scopes() []string { return strings.Fields(c.Scope) }

func (c *accessClaims) has(scope string) bool { return slices.Contains(c.scopes(), scope) }

// newTokenID makes a jti that begins with the time in milliseconds. iat has only seconds, too coarse to say whether a
// token was issued before or after the revocation of everything issued until then.
func newTokenID(now time.Time) string {
	var b [18]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// issuedAt reads the time back. Of a jti of another make only the second is known; taking its start, no token survives a
// revocation of that second.
func (c *accessClaims) issuedAt() time.Time {
	raw, err := base64.RawURLEncoding.DecodeString(c.ID)
	if err != nil || len(raw) != 18 {
		return time.Unix(c.IssuedAt, 0)
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(raw[:8]) >> 16))
}

// opaquePrefix marks access tokens of applications that ask for opaque ones: the same claims, sealed instead of signed,
// so they too need no row.
const opaquePrefix = "at_"

const sealAccessToken = "access_token"

// tokenStrategy makes and recognises codes, access tokens and refresh tokens for fosite.
type tokenStrategy struct{ *Provider }

func (t *tokenStrategy) AccessTokenSignature(_ context.Context, token string) string { return token }

// GenerateAccessToken signs an access token. Nothing is stored.
func (t *tokenStrategy) GenerateAccessToken(_ context.Context, r fosite.Requester) (token, signature string, err error) {
	c, s := r.GetClient().(*client), r.GetSession().(*session)
	now := t.now()
	lifetime := c.GetEffectiveLifespan("", fosite.AccessToken, t.Lifetimes.AccessToken)
	claims := accessClaims{
		Issuer: t.issuer, Subject: c.ID, ClientID: c.ID, AZP: c.ID,
		Audience: r.GetGrantedAudience(), Scope: strings.Join(r.GetGrantedScopes(), " "),
		ID: newTokenID(now), IssuedAt: now.Unix(), ExpiresAt: now.Add(lifetime).Unix(),
	}
	if len(claims.Audience) == 0 {
		claims.Audience = c.audience()
	}
	if s.user != nil {
		claims.Subject, claims.SessionID, claims.GrantID = s.user.ID, s.sessionID, r.GetID()
		claims.AuthTime, claims.ACR, claims.AMR = s.authTime.Unix(), s.acr, s.amr
		claims.entitled = entitledBy(s.entitled).inToken()
	} else {
		claims.entitled = entitledBy(c.Entitlements).inToken()
	}
	if c.Application.AccessTokenFormat == store.TokenFormatOpaque {
		token, err = t.sealAccessToken(&claims)
	} else {
		token, err = t.keys.sign(string(jose.ES256), typAccessToken, &claims)
	}
	return token, token, err
}

func (t *tokenStrategy) ValidateAccessToken(ctx context.Context, _ fosite.Requester, token string) error {
	_, err := t.verifyAccessToken(ctx, token)
	return err
}

func (p *Provider) sealAccessToken(claims *accessClaims) (string, error) {
	plain, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return opaquePrefix + p.Keyring.Seal(sealAccessToken, plain), nil
}

// verifyAccessToken returns the claims of a live access token of ours, or errInvalidToken.
func (p *Provider) verifyAccessToken(ctx context.Context, token string) (*accessClaims, error) {
	claims, err := p.readAccessToken(ctx, token)
	if err == nil {
		err = p.alive(ctx, claims)
	}
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// alive returns errInvalidToken for the claims of a token that is expired or revoked, or whose client is gone or disabled:
// another replica that had not heard of it may have issued the token after the revocation.
func (p *Provider) alive(ctx context.Context, claims *accessClaims) error {
	if p.now().Unix() >= claims.ExpiresAt || p.revocations.covers(claims) {
		return errInvalidToken
	}
	_, err := p.clients.get(ctx, claims.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return errInvalidToken
	}
	return err
}

// readAccessToken returns the claims of an access token that we issued, dead or alive, or errInvalidToken. They are not to be changed:
// the next request with the token gets them too. What is remembered ends with the state of the key set, so no token outlives its key.
func (p *Provider) readAccessToken(ctx context.Context, token string) (*accessClaims, error) {
	seen := p.keys.current.Load().seen
	if claims, ok := seen.of(token); ok {
		return claims, nil
	}
	claims, err := p.parseAccessToken(ctx, token)
	if err == nil {
		seen.add(token, claims)
	}
	return claims, err
}

// parseAccessToken reads a token for the first time. ID tokens are signed by the same keys; their typ keeps them out.
func (p *Provider) parseAccessToken(ctx context.Context, token string) (*accessClaims, error) {
	var payload []byte
	var err error
	if sealed, ok := strings.CutPrefix(token, opaquePrefix); ok {
		payload, err = p.Keyring.Open(sealAccessToken, sealed)
	} else {
		payload, err = p.keys.verify(ctx, typAccessToken, token)
	}
	if err != nil {
		return nil, errInvalidToken
	}
	var claims accessClaims
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Issuer != p.issuer {
		return nil, errInvalidToken
	}
	return &claims, nil
}

// Authenticate says who an access token speaks for: the person, or the client itself, and then userID is empty. Other
// packages guard their APIs with it.
//
// Which of the two is not told by the subject: the id of a person may be whatever an import brought, that of a client too.
// But only a person's token comes of a grant.
func (p *Provider) Authenticate(ctx context.Context, token string) (userID, clientID string, scopes []string, err error) {
	claims, err := p.verifyAccessToken(ctx, token)
	if err != nil {
		return "", "", nil, err
	}
	if claims.GrantID != "" {
		userID = claims.Subject
	}
	return userID, claims.ClientID, claims.scopes(), nil
}

// ApplicationOf returns the application of an enabled client, or store.ErrNotFound when either is unknown or disabled. It comes
// from memory and is not to be changed.
func (p *Provider) ApplicationOf(ctx context.Context, clientID string) (*store.Application, error) {
	c, err := p.clients.get(ctx, clientID)
	if err != nil {
		return nil, err
	}
	return c.Application, nil
}

// codePrefix marks authorization codes, so that a leaked one is recognised for what it is.
const codePrefix = "ac_"

func (t *tokenStrategy) AuthorizeCodeSignature(_ context.Context, code string) string {
	return string(store.HashSecret(code))
}

func (t *tokenStrategy) GenerateAuthorizeCode(ctx context.Context, _ fosite.Requester) (code, signature string, err error) {
	code = codePrefix + store.RandomToken(32)
	return code, t.AuthorizeCodeSignature(ctx, code), nil
}

// ValidateAuthorizeCode has nothing to add: only a hash that is in the database leads here, and storage checks expiry.
func (t *tokenStrategy) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error {
	return nil
}
