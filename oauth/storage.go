package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	fositestorage "github.com/ory/fosite/storage"

	"auth-service/store"
)

// storage is fosite's view of our rows. A code is one row with everything its exchange needs, so the separate PKCE and
// OpenID sessions of fosite are views of it; access tokens are not stored; refresh tokens are generations of a grant.
type storage struct{ *Provider }

var (
	_ fosite.Storage                     = (*storage)(nil)
	_ oauth2.CoreStorage                 = (*storage)(nil)
	_ oauth2.TokenRevocationStorage      = (*storage)(nil)
	_ openid.OpenIDConnectRequestStorage = (*storage)(nil)
	_ pkce.PKCERequestStorage            = (*storage)(nil)
	// Without this fosite would silently run its writes outside a transaction.
	_ fositestorage.Transactional = (*storage)(nil)
)

func (s *storage) BeginTX(ctx context.Context) (context.Context, error) { return s.Store.BeginTX(ctx) }
func (s *storage) Commit(ctx context.Context) error                     { return s.Store.Commit(ctx) }
func (s *storage) Rollback(ctx context.Context) error                   { return s.Store.Rollback(ctx) }

// firstGeneration is that of the refresh token which a code yields.
const firstGeneration = 1

// exchange is the state of one token request: fosite asks for the code in several calls, and it must be read once.
type exchange struct {
	by      store.Actor // whoever asks, without an id
	client  *client     // who asks, once it has proved that
	code    *store.AuthorizationCode
	salt    []byte
	refresh *refreshing
	// notRevoked is why a replay could not end its grant: fosite answers as if it had.
	notRevoked error
}

type exchangeKey struct{}

func withExchange(ctx context.Context, by store.Actor) context.Context {
	x := &exchange{by: by, salt: make([]byte, 16)}
	rand.Read(x.salt) // never fails: crypto/rand ends the program instead
	return context.WithValue(ctx, exchangeKey{}, x)
}

func exchangeIn(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// GetClient returns an enabled client.
func (s *storage) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	c, err := s.clients.get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// CreateAuthorizeCodeSession writes the code with all that belongs to it.
func (s *storage) CreateAuthorizeCodeSession(ctx context.Context, signature string, r fosite.Requester) error {
	c, ses := r.GetClient().(*client), r.GetSession().(*session)
	now := s.now()
	return s.Store.CreateAuthorizationCode(ctx, &store.AuthorizationCode{
		Signature: []byte(signature), GrantID: r.GetID(), ClientID: c.ID,
		UserID: ses.user.ID, SessionID: ses.sessionID, OrganizationID: ses.orgID,
		RedirectURI: r.GetRequestForm().Get("redirect_uri"),
		Scopes:      r.GetGrantedScopes(), Audiences: r.GetGrantedAudience(),
		CodeChallenge: ses.challenge, Nonce: ses.nonce, Claims: ses.claims,
		AuthTime: ses.authTime, ACR: ses.acr, AMR: ses.amr,
		CreatedAt: now, ExpiresAt: now.Add(c.GetEffectiveLifespan("", fosite.AuthorizeCode, s.Lifetimes.Code)),
	})
}

// GetAuthorizeCodeSession finds the code for the client that asks. A used code is reported as such, which ends its grant;
// another client's code is simply unknown, so that only its own client can end it by replay.
func (s *storage) GetAuthorizeCodeSession(ctx context.Context, signature string, _ fosite.Session) (fosite.Requester, error) {
	x := exchangeIn(ctx)
	caller, ok := ctx.Value(fosite.AccessRequestContextKey).(fosite.AccessRequester)
	if !ok {
		return nil, errCodeRejected
	}
	c := caller.GetClient().(*client)
	if x.code == nil {
		code, err := s.Store.EntitledCode(ctx, []byte(signature), actingAt(c, "", ""))
		if errors.Is(err, store.ErrNotFound) {
			return nil, errCodeRejected
		}
		if err != nil {
			return nil, err
		}
		x.code = code
	}
	if c.ID != x.code.ClientID { // nothing that was resolved for its application leaves this function
		return nil, errCodeRejected
	}
	if x.code.UsedAt != nil {
		return s.codeRequest(c, x.code, nil), fosite.ErrInvalidatedAuthorizeCode
	}
	if now := s.now(); !now.Before(x.code.ExpiresAt) || !x.code.Redeemable(now) {
		return nil, errCodeRejected
	}
	audience, err := narrowedAudience(c, x.code.Audiences, caller.GetRequestForm()["resource"])
	if err != nil {
		return nil, err
	}
	r := s.codeRequest(c, x.code, audience)
	if x.code.CodeChallenge != "" && !caller.GetRequestForm().Has("redirect_uri") {
		r.Form.Del("redirect_uri") // PKCE binds the code to its request; then the parameter may be left out (OAuth 2.1 §10.2)
	}
	return r, nil
}

// codeRequest is the authorization request behind a code, as fosite wants to see it again.
func (s *storage) codeRequest(c *client, code *store.AuthorizationCode, audience []string) *fosite.Request {
	return &fosite.Request{
		ID: code.GrantID, Client: c, RequestedAt: code.CreatedAt,
		RequestedScope: code.Scopes, GrantedScope: c.registered(code.Scopes), GrantedAudience: audience,
		Form: url.Values{"redirect_uri": {code.RedirectURI}, "code_challenge": {code.CodeChallenge}, "code_challenge_method": {"S256"}},
		Session: &session{
			user: code.User, sessionID: code.SessionID, orgID: code.OrganizationID,
			authTime: code.AuthTime, acr: code.ACR, amr: code.AMR, nonce: code.Nonce, claims: code.Claims, entitled: code.Entitlements,
		},
	}
}

// InvalidateAuthorizeCodeSession spends the code. Whoever loses the race has replayed it: fosite rolls back, and the
// token endpoint ends the winner's grant (RFC 6749 §4.1.2).
func (s *storage) InvalidateAuthorizeCodeSession(ctx context.Context, signature string) error {
	first, err := s.Store.ConsumeAuthorizationCode(ctx, []byte(signature), exchangeIn(ctx).code.OrganizationID)
	if err == nil && !first {
		return fosite.ErrInvalidatedAuthorizeCode
	}
	return err
}

// CreateAccessTokenSession writes no token. For a code it writes the grant, in the transaction that spends the code.
func (s *storage) CreateAccessTokenSession(ctx context.Context, _ string, r fosite.Requester) error {
	x := exchangeIn(ctx)
	if x.code == nil {
		return nil
	}
	c, now := r.GetClient().(*client), s.now()
	idle, absolute := s.refreshLifetimes(c)
	expires := now.Add(absolute)
	return s.Store.CreateGrant(ctx, &store.Grant{
		ID: x.code.GrantID, ClientID: c.ID, UserID: x.code.UserID, SessionID: x.code.SessionID, OrganizationID: x.code.OrganizationID,
		Scopes: x.code.Scopes, Audiences: x.code.Audiences, Claims: x.code.Claims, Offline: r.GetGrantedScopes().Has(scopeOffline),
		AuthTime: x.code.AuthTime, ACR: x.code.ACR, AMR: x.code.AMR, Salt: x.salt, Generation: firstGeneration,
		RotatedAt: now, CreatedAt: now, IdleExpiresAt: earlier(now.Add(idle), expires), ExpiresAt: expires,
	})
}

// refreshLifetimes are the idle and the absolute lifetime of a grant of c. A client without refresh tokens holds a grant
// only as long as its access token lives.
func (p *Provider) refreshLifetimes(c *client) (idle, absolute time.Duration) {
	if !c.allows(store.GrantRefreshToken) {
		life := c.GetEffectiveLifespan("", fosite.AccessToken, p.Lifetimes.AccessToken)
		return life, life
	}
	idle, absolute = p.Lifetimes.RefreshIdle, p.Lifetimes.RefreshAbsolute
	if seconds := c.Application.RefreshTokenIdleLifetime; seconds > 0 {
		idle = time.Duration(seconds) * time.Second
	}
	if seconds := c.Application.RefreshTokenLifetime; seconds > 0 {
		absolute = time.Duration(seconds) * time.Second
	}
	return idle, absolute
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// grantSession is the session of a refresh.
func grantSession(g *store.Grant) *session {
	return &session{
		user: g.User, sessionID: g.SessionID, orgID: g.OrganizationID,
		authTime: g.AuthTime, acr: g.ACR, amr: g.AMR, claims: g.Claims, entitled: g.Entitlements,
	}
}

// RevokeAccessToken and RevokeRefreshToken are called one after the other when a code is replayed: the first ends both.
func (s *storage) RevokeAccessToken(ctx context.Context, grantID string) error {
	s.Log.Warn().Str("gid", grantID).Msg("authorization code replayed: grant revoked")
	err := s.endGrant(ctx, grantID, store.ReasonCodeReplayed)
	exchangeIn(ctx).notRevoked = err
	return err
}

func (s *storage) RevokeRefreshToken(context.Context, string) error { return nil }

// The PKCE and OpenID views of the code. They outlive its invalidation, because fosite asks after it; nothing deletes
// the challenge apart from the code, which closes fosite's PKCE downgrade.

func (s *storage) GetPKCERequestSession(ctx context.Context, _ string, _ fosite.Session) (fosite.Requester, error) {
	x := exchangeIn(ctx)
	if x.code == nil || x.code.CodeChallenge == "" {
		return nil, fosite.ErrNotFound
	}
	c := ctx.Value(fosite.AccessRequestContextKey).(fosite.AccessRequester).GetClient().(*client)
	return s.codeRequest(c, x.code, nil), nil
}

func (s *storage) GetOpenIDConnectSession(ctx context.Context, _ string, r fosite.Requester) (fosite.Requester, error) {
	x := exchangeIn(ctx)
	if x.code == nil || !fosite.Arguments(x.code.Scopes).Has(scopeOpenID) {
		return nil, openid.ErrNoSessionFound
	}
	return s.codeRequest(r.GetClient().(*client), x.code, nil), nil
}

// What fosite's interfaces ask for and this design has no use for.

func (s *storage) CreatePKCERequestSession(context.Context, string, fosite.Requester) error {
	return nil
}
func (s *storage) DeletePKCERequestSession(context.Context, string) error { return nil }
func (s *storage) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error {
	return nil
}
func (s *storage) DeleteOpenIDConnectSession(context.Context, string) error { return nil }
func (s *storage) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}
func (s *storage) DeleteAccessTokenSession(context.Context, string) error { return nil }
func (s *storage) CreateRefreshTokenSession(context.Context, string, string, fosite.Requester) error {
	return nil
}
func (s *storage) GetRefreshTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}
func (s *storage) DeleteRefreshTokenSession(context.Context, string) error  { return nil }
func (s *storage) RotateRefreshToken(context.Context, string, string) error { return nil }
func (s *storage) ClientAssertionJWTValid(context.Context, string) error    { return fosite.ErrJTIKnown }
func (s *storage) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown
}
