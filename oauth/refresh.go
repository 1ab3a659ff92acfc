package oauth

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/ory/fosite"

	"auth-service/store"
)

// A refresh token is rt_ and, in base64url, the grant's id, the generation, and a MAC over both and the grant's salt.
// It is derived, not stored: the same generation always gives the same token, which is what the grace needs. The salt
// lives only in the database and the key only in the configuration, so neither alone can forge one.
const (
	refreshPrefix = "rt_"
	refreshLabel  = "refresh_token"
	refreshHead   = 16 + 8 // id and generation
)

type refreshToken struct {
	grantID    string
	generation int64
	head, mac  []byte
}

func (p *Provider) refreshTokenFor(g *store.Grant, generation int64) string {
	id := uuid.MustParse(g.ID) // grants are made by us, with a UUID
	head := binary.BigEndian.AppendUint64(id[:], uint64(generation))
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(append(head, p.Keyring.MAC(refreshLabel, slices.Concat(head, g.Salt))...))
}

func parseRefreshToken(token string) (*refreshToken, bool) {
	encoded, ok := strings.CutPrefix(token, refreshPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) != refreshHead+32 {
		return nil, false
	}
	return &refreshToken{
		grantID:    uuid.UUID(raw[:16]).String(),
		generation: int64(binary.BigEndian.Uint64(raw[16:refreshHead])),
		head:       raw[:refreshHead:refreshHead], mac: raw[refreshHead:],
	}, true
}

func (p *Provider) genuine(t *refreshToken, g *store.Grant) bool {
	return p.Keyring.VerifyMAC(refreshLabel, slices.Concat(t.head, g.Salt), t.mac)
}

var errRefreshRejected = invalidGrant("The refresh token is unknown, expired, revoked, already used, or was issued to another client.")

// refreshHandler is the refresh_token grant (RFC 6749 §6, RFC 9700 §4.14). It replaces fosite's, which knows neither
// scope narrowing nor a grace, and which reads and rotates in separate steps.
type refreshHandler struct {
	*Provider
	tokens *tokenStrategy
}

func (h *refreshHandler) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool {
	return false
}

func (h *refreshHandler) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(store.GrantRefreshToken)
}

// HandleTokenEndpointRequest finds the grant and checks everything that can be checked without changing it.
func (h *refreshHandler) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	c := r.GetClient().(*client)
	if !c.allows(store.GrantRefreshToken) {
		return errUnauthorizedClient
	}
	token, ok := parseRefreshToken(r.GetRequestForm().Get("refresh_token"))
	if !ok {
		return errRefreshRejected
	}
	scope, organization := r.GetRequestForm().Get("scope"), r.GetRequestForm().Get("organization")
	as := actingAt(c, scope, organization)
	g, err := h.liveGrant(ctx, c, token, as)
	if err != nil {
		return err
	}
	scopes, err := narrowed(c.registered(g.Scopes), strings.Fields(scope))
	if err != nil {
		return err
	}
	bound, err := switched(g, scopes, organization)
	if err != nil {
		return err
	}
	audience, err := narrowedAudience(c, g.Audiences, r.GetRequestForm()["resource"])
	if err != nil {
		return err
	}
	r.SetID(g.ID)
	r.SetSession(grantSession(g))
	for _, scope := range scopes {
		r.GrantScope(scope)
	}
	for _, resource := range audience {
		r.GrantAudience(resource)
	}
	exchangeIn(ctx).refresh = &refreshing{grant: g, token: token, as: as, organization: bound, switching: organization != ""}
	return nil
}

// liveGrant returns the grant that the token may refresh for this client. A token of a past generation beyond the grace
// was stolen or copied, so it ends the grant — but only for its own client: nobody else can end it (RFC 9700 §4.14.2).
func (h *refreshHandler) liveGrant(ctx context.Context, c *client, token *refreshToken, as store.Acting) (*store.Grant, error) {
	g, err := h.Store.EntitledGrant(ctx, token.grantID, as)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errRefreshRejected
	}
	if err != nil {
		return nil, err
	}
	if g.ClientID != c.ID || !h.genuine(token, g) || !g.Live(h.now()) {
		return nil, errRefreshRejected
	}
	if !h.current(g, token) && !h.inGrace(g, token) {
		if err := h.endGrant(ctx, g.ID, store.ReasonRefreshReused); err != nil {
			return nil, err
		}
		h.Log.Warn().Str("gid", g.ID).Str("client_id", c.ID).Str("sub", g.UserID).Msg("refresh token reused: grant revoked")
		return nil, errRefreshRejected
	}
	return g, nil
}

func (h *refreshHandler) current(g *store.Grant, t *refreshToken) bool {
	return t.generation == g.Generation
}

// inGrace reports whether the token is the one just rotated: an answer may have been lost, or two tabs may have raced.
func (h *refreshHandler) inGrace(g *store.Grant, t *refreshToken) bool {
	return t.generation == g.Generation-1 && h.now().Sub(g.RotatedAt) < h.RefreshGrace
}

// refreshing is the state between the two halves of a refresh.
type refreshing struct {
	grant        *store.Grant
	token        *refreshToken
	as           store.Acting
	organization string // that the grant is bound to from now on
	switching    bool   // because the client asked for it
}

// PopulateTokenEndpointResponse rotates the grant and answers. The access token is signed first: should that fail, the
// client still holds a refresh token that works.
func (h *refreshHandler) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, resp fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	access, _, err := h.tokens.GenerateAccessToken(ctx, r)
	if err != nil {
		return err
	}
	state, c := exchangeIn(ctx).refresh, r.GetClient().(*client)
	if err := h.rotate(ctx, c, state); err != nil {
		return err
	}
	resp.SetAccessToken(access)
	resp.SetTokenType("Bearer")
	resp.SetExpiresIn(c.GetEffectiveLifespan("", fosite.AccessToken, h.Lifetimes.AccessToken))
	resp.SetScopes(r.GetGrantedScopes())
	resp.SetExtra("refresh_token", h.refreshTokenFor(state.grant, state.token.generation+1))
	return nil
}

// rotate moves the grant on unless that has happened. The loser of a race sees what the winner left: within the grace it
// gets the same successor, else it counts as reuse.
func (h *refreshHandler) rotate(ctx context.Context, c *client, s *refreshing) error {
	if !h.current(s.grant, s.token) {
		return h.holdOrganization(ctx, s) // in the grace, liveGrant checked
	}
	idle, _ := h.refreshLifetimes(c)
	until := earlier(h.now().Add(idle), s.grant.ExpiresAt)
	won, err := h.Store.RotateGrant(ctx, s.grant.ID, s.token.generation, s.organization, until)
	if won || err != nil {
		return err
	}
	if s.grant, err = h.liveGrant(ctx, c, s.token, s.as); err != nil {
		return err
	}
	if h.current(s.grant, s.token) { // nobody else has moved it: the membership ended since the grant was read
		return errNotMember
	}
	return h.holdOrganization(ctx, s)
}

// holdOrganization makes sure, for a refresh that does not move the grant, that the access token just signed speaks of an
// organization whose membership stands: whoever ends one waits for this, and revokes what was signed before.
func (h *refreshHandler) holdOrganization(ctx context.Context, s *refreshing) error {
	if s.organization == "" {
		return nil
	}
	if s.switching {
		won, err := h.Store.SwitchGrant(ctx, s.grant.ID, s.organization)
		if err == nil && !won {
			err = errNotMember
		}
		return err
	}
	err := h.Store.Tx(ctx, func(ctx context.Context) error {
		_, err := h.Store.HoldMember(ctx, s.organization, s.grant.UserID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return errRefreshRejected
	}
	return err
}

// narrowed returns the scopes asked for, which must be among the granted ones (RFC 6749 §6); all when none are named.
// The grant keeps its scopes: the next refresh may ask for the rest again.
func narrowed(granted, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	for _, scope := range asked {
		if !slices.Contains(granted, scope) {
			return nil, &Error{400, "invalid_scope", "A requested scope exceeds those that the person granted."}
		}
	}
	return asked, nil
}

// narrowedAudience returns the resources asked for, which must be among those of the grant, or of the application when
// the grant names none (RFC 8707 §2.2).
func narrowedAudience(c *client, granted, asked []string) ([]string, error) {
	if len(asked) == 0 {
		asked = granted
	}
	for _, resource := range asked {
		if len(granted) > 0 && !slices.Contains(granted, resource) || !slices.Contains(c.Application.Audiences, resource) {
			return nil, errInvalidTarget
		}
	}
	return asked, nil
}

// The refresh strategy of fosite's code handler: the first token of a grant. The grant's salt exists before the grant
// does, in the exchange.

func (t *tokenStrategy) RefreshTokenSignature(_ context.Context, token string) string { return token }

func (t *tokenStrategy) GenerateRefreshToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	token = t.refreshTokenFor(&store.Grant{ID: r.GetID(), Salt: exchangeIn(ctx).salt}, firstGeneration)
	return token, token, nil
}

func (t *tokenStrategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error {
	return nil
}
