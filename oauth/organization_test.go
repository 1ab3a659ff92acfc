package oauth_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

const orgScopes = "openid profile email offline_access roles plan org"

// organized is a world with a client that asks for organizations, and Ada in two of three.
type organized struct {
	*world
	client             *store.Client
	acme, beta, theirs *store.Organization
}

func eachOrganized(t *testing.T, test func(w *organized)) {
	each(t, func(w *world) { test(w.organized()) })
}

func (w *world) organized() *organized {
	o := &organized{world: w}
	o.client = w.newClient(&store.Client{ID: "crm-org", ApplicationID: w.web.ApplicationID, Type: store.ClientWeb, TokenEndpointAuthMethod: store.AuthMethodBasic,
		RedirectURIs: []string{redirectURI}, Scopes: []string{"openid", "profile", "email", "offline_access", "roles", "plan", "org"}})
	require.NoError(w, w.store.SaveConsent(w.Context(), w.person.ID, o.client.ID, o.client.Scopes))
	o.acme, o.beta, o.theirs = w.newOrganization("acme"), w.newOrganization("beta"), w.newOrganization("theirs")
	w.join(o.acme, w.person, store.MemberAdmin)
	w.join(o.beta, w.person, store.MemberPlain)
	w.join(o.theirs, w.newPerson("eve@example.com"), store.MemberOwner)
	return o
}

func (w *world) newOrganization(slug string) *store.Organization {
	o := &store.Organization{Slug: slug, Name: "The " + slug, Metadata: map[string]any{}}
	require.NoError(w, w.store.CreateOrganization(w.Context(), o))
	return o
}

func (w *world) join(o *store.Organization, u *store.User, role string) *store.Member {
	m := &store.Member{OrganizationID: o.ID, UserID: u.ID, Role: role}
	require.NoError(w, w.store.CreateMember(w.Context(), m))
	return m
}

// leave ends the person's membership as package account does.
func (w *world) leave(o *store.Organization, u *store.User) {
	w.Helper()
	m, err := w.store.MemberOf(w.Context(), o.ID, u.ID)
	require.NoError(w, err)
	require.NoError(w, w.store.Tx(w.Context(), func(ctx context.Context) error { return w.store.EndMembership(ctx, m) }))
}

// tokens goes through the code flow for the organization.
func (w *organized) tokens(b *browser, organization string, extra ...string) tokens {
	w.Helper()
	return b.tokens(w.client, append([]string{"scope", orgScopes, "organization", organization}, extra...)...)
}

// speaksFor asserts of which organization the tokens and userinfo speak; nil for none.
func (w *organized) speaksFor(t tokens, o *store.Organization, role string) {
	w.Helper()
	want := map[string]any{}
	if o != nil {
		want = map[string]any{"org_id": o.ID, "org_slug": o.Slug, "org_role": role}
	}
	sources := map[string]map[string]any{
		"access token": w.claims(t.Access), "userinfo": w.userinfo(t.Access).json(), "introspection": w.inspect(w.client, t.Access).json(),
	}
	if t.ID != "" {
		sources["ID token"] = w.claims(t.ID)
	}
	for name, claims := range sources {
		got := map[string]any{}
		for _, claim := range []string{"org_id", "org_slug", "org_role"} {
			if value, there := claims[claim]; there {
				got[claim] = value
			}
		}
		require.Equal(w, want, got, name)
	}
}

func TestOrganizationPicker(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		path := b.asked("/select-organization", request(w.client, "scope", orgScopes))
		page := b.get(path).json()
		require.Equal(w, "organization", page["next"])
		require.Equal(w, []any{
			map[string]any{"id": w.acme.ID, "name": "The acme", "slug": "acme", "logo": nil, "role": "admin"},
			map[string]any{"id": w.beta.ID, "name": "The beta", "slug": "beta", "logo": nil, "role": "member"},
		}, page["organizations"], "and no organization of others")
		require.NotContains(w, page, "organization")

		// Insecure direct object reference: an organization of others is refused like one that does not exist.
		for _, id := range []string{w.theirs.ID, "theirs", "nothing", "", "a\u0000"} {
			b.post(path+"/organization", `{"organizationId":"`+url.PathEscape(id)+`"}`).problem(400, "VALIDATION_ERROR")
		}
		require.Equal(w, "organization", b.get(path).json()["next"], "nothing was recorded")
		code := b.post(path+"/organization", `{"organizationId":"`+w.beta.ID+`"}`).answered().Get("code")
		got := w.redeem(w.client, code).tokens()
		w.speaksFor(got, w.beta, "member")
		b.post(path+"/organization", `{"organizationId":"`+w.acme.ID+`"}`).problem(410, "REQUEST_COMPLETED")

		// Cross-site request forgery: another site's page cannot choose.
		path = b.asked("/select-organization", request(w.client, "scope", orgScopes))
		b.do("POST", path+"/organization", nil, "Content-Type", "application/json", "Origin", "https://evil.example").problem(403, "INVALID_ORIGIN")

		ses := b.signIn(w.person)
		require.Empty(w, ses.ActiveOrganizationID, "choosing for one application does not choose for the browser")
	})
}

// Consent comes after the organization, says for which one it is given, and is given anew by whoever chooses another.
func TestConsentForAnOrganization(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		path := b.asked("/select-organization", request(w.client, "scope", orgScopes, "prompt", "consent"))
		page := b.post(path+"/organization", `{"organizationId":"`+w.acme.ID+`"}`).json()
		require.Equal(w, "consent", page["next"])
		require.Equal(w, "acme", page["organization"].(map[string]any)["slug"])
		require.Len(w, page["organizations"], 2, "the person may change their mind")
		page = b.post(path+"/organization", `{"organizationId":"beta"}`).json()
		require.Equal(w, "beta", page["organization"].(map[string]any)["slug"])
		got := w.redeem(w.client, b.post(path+"/consent", `{"accept":true}`).answered().Get("code")).tokens()
		w.speaksFor(got, w.beta, "member")

		path = b.asked("/consent", request(w.client, "scope", orgScopes, "prompt", "consent", "organization", "acme"))
		require.Len(w, b.get(path).json()["organizations"], 1, "the client chose")
		b.post(path+"/organization", `{"organizationId":"beta"}`)
		without := w.redeem(w.client, b.post(path+"/consent", `{"accept":true,"scopes":["openid","profile"]}`).answered().Get("code")).tokens()
		w.speaksFor(without, nil, "")
		page = b.get(b.asked("/consent", request(w.client, "scope", orgScopes, "prompt", "consent", "organization", "acme"))).json()
		require.Equal(w, "acme", page["organization"].(map[string]any)["slug"])
	})
}

func TestOrganizationWithoutAChoice(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		w.leave(w.beta, w.person)
		w.speaksFor(w.signedIn(w.person).tokens(w.client, "scope", orgScopes), w.acme, "admin")
		w.leave(w.acme, w.person)
		got := w.signedIn(w.person).tokens(w.client, "scope", orgScopes)
		w.speaksFor(got, nil, "")
		require.Equal(w, orgScopes, got.Scope, "the request goes on")
		w.speaksFor(w.signedIn(w.person).tokens(w.client, "scope", "openid"), nil, "")
	})
}

// An application may name the organization. One that the person is not in is refused like one that does not exist, and no
// page asks for another.
func TestOrganizationOfTheClientsChoice(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		w.speaksFor(w.tokens(b, "acme"), w.acme, "admin")
		w.speaksFor(w.tokens(b, w.beta.ID), w.beta, "member")
		refusals := map[string]url.Values{}
		for _, name := range []string{"theirs", w.theirs.ID, "nothing"} {
			refusals[name] = b.authorize(request(w.client, "scope", orgScopes, "organization", name)).sentBack()
		}
		require.Equal(w, "access_denied", refusals["nothing"].Get("error"))
		require.Equal(w, refusals["nothing"], refusals["theirs"])
		require.Equal(w, refusals["nothing"], refusals[w.theirs.ID])
		require.Equal(w, "invalid_request", b.authorize(request(w.client, "scope", "openid", "organization", "acme")).sentBack().Get("error"))
		require.Equal(w, "interaction_required", b.authorize(request(w.client, "scope", orgScopes, "prompt", "none")).sentBack().Get("error"))
		require.NotEmpty(w, b.authorize(request(w.client, "scope", orgScopes, "prompt", "none", "organization", "acme")).sentBack().Get("code"))

		// The waiting request is decided by who finishes it, and by what holds then.
		stranger := w.newBrowser()
		path := stranger.asked("/sign-in", request(w.client, "scope", orgScopes, "organization", "acme"))
		stranger.signIn(w.newPerson("mallory@example.com"))
		require.Contains(w, stranger.get(path).json()["redirectTo"], "error=access_denied")
	})
}

// Enumeration: without a page that the person would see, a client that they never consented to must not learn of which
// organizations they are a member, nor of how many.
func TestSilentRequestsTellNoMembership(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		require.NoError(w, w.store.RemoveConnection(w.Context(), w.person.ID, w.client.ID))
		b := w.signedIn(w.person)
		ask := func(extra ...string) url.Values {
			return b.authorize(request(w.client, append([]string{"scope", orgScopes, "prompt", "none"}, extra...)...)).sentBack()
		}
		want := ask("organization", "acme")
		require.Equal(w, "consent_required", want.Get("error"))
		for _, name := range []string{"beta", "theirs", w.theirs.ID, "nothing"} {
			require.Equal(w, want, ask("organization", name), name)
		}
		require.Equal(w, want, ask())
		require.NoError(w, w.store.SaveConsent(w.Context(), w.person.ID, w.client.ID, w.client.Scopes))
		require.Equal(w, "access_denied", ask("organization", "theirs").Get("error"))
		require.Equal(w, "interaction_required", ask().Get("error"))
	})
}

// Tenant confusion: who finishes a request must not act for the organization that somebody else chose in it, before they
// signed in at the same computer or to send them the address of the page.
func TestOrganizationThatSomebodyElseChose(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		bob := w.newPerson("bob@example.com")
		require.NoError(w, w.store.SaveConsent(w.Context(), bob.ID, w.client.ID, w.client.Scopes))
		w.join(w.acme, bob, store.MemberPlain)
		w.join(w.theirs, bob, store.MemberPlain)
		ada := w.signedIn(w.person)
		path := ada.asked("/select-organization", request(w.client, "scope", orgScopes, "prompt", "consent"))
		require.Equal(w, "consent", ada.post(path+"/organization", `{"organizationId":"acme"}`).json()["next"])

		b := w.signedIn(bob)
		require.Equal(w, "organization", b.get(path).json()["next"])
		require.Equal(w, "consent", b.post(path+"/organization", `{"organizationId":"theirs"}`).json()["next"])
		require.Equal(w, "organization", ada.get(path).json()["next"])
		got := w.redeem(w.client, b.post(path+"/consent", `{"accept":true}`).answered().Get("code")).tokens()
		w.speaksFor(got, w.theirs, "member")
	})
}

// Only the session's default: whoever gets hold of the column, or is put out of the organization, gains nothing by it (the
// replaced service put whatever stood there into the token).
func TestActiveOrganizationIsOnlyTheDefault(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.newBrowser()
		activate := func(o *store.Organization) {
			b.signIn(w.person, func(ses *store.Session) { ses.ActiveOrganizationID = o.ID })
		}
		activate(w.beta)
		w.speaksFor(b.tokens(w.client, "scope", orgScopes), w.beta, "member")
		w.speaksFor(w.tokens(b, "acme"), w.acme, "admin")
		path := b.asked("/select-account", request(w.client, "scope", orgScopes, "prompt", "select_account"))
		page := b.post(path+"/select-account", "").json()
		require.Equal(w, "organization", page["next"], "who asks for the account asks for the organization, too")
		require.Equal(w, w.beta.ID, page["defaultOrganizationId"])
		activate(w.theirs)
		b.asked("/select-organization", request(w.client, "scope", orgScopes))
	})
}

// The organization is bound to the grant: two tabs with two organizations keep theirs, whatever the other does.
func TestTwoTabsKeepTheirOrganizations(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		first, second := w.tokens(b, "acme"), w.tokens(b, "beta")
		for range 3 {
			first, second = w.refresh(w.client, first.Refresh).tokens(), w.refresh(w.client, second.Refresh).tokens()
			w.speaksFor(first, w.acme, "admin")
			w.speaksFor(second, w.beta, "member")
		}
	})
}

// Switching is a refresh; no page is shown. What it is refused leaves the refresh token good.
func TestRefreshSwitchesTheOrganization(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		w.clock.stop() // within the grace
		first := w.tokens(w.signedIn(w.person), "acme")
		for _, name := range []string{"theirs", w.theirs.ID, "nothing", "a\tb"} {
			w.refresh(w.client, first.Refresh, "organization", name).refused(400, "access_denied")
		}
		w.refresh(w.client, first.Refresh, "organization", "beta", "scope", "openid").refused(400, "invalid_request")
		second := w.refresh(w.client, first.Refresh, "organization", "beta").tokens()
		w.speaksFor(second, w.beta, "member")
		w.speaksFor(tokens{Access: first.Access}, w.acme, "admin") // its own token speaks of what it spoke of
		third := w.refresh(w.client, second.Refresh).tokens()
		w.speaksFor(third, w.beta, "member")
		fourth := w.refresh(w.client, third.Refresh, "scope", "openid email").tokens()
		w.speaksFor(fourth, nil, "")
		fifth := w.refresh(w.client, fourth.Refresh, "organization", w.acme.ID).tokens()
		w.speaksFor(fifth, w.acme, "admin")

		// Also within the grace, where the answer of the switch may have been lost.
		sixth := w.refresh(w.client, fourth.Refresh, "organization", "beta").tokens()
		require.Equal(w, fifth.Refresh, sixth.Refresh)
		w.speaksFor(sixth, w.beta, "member")
		w.speaksFor(w.refresh(w.client, fourth.Refresh).tokens(), w.beta, "member")
		w.speaksFor(w.refresh(w.client, sixth.Refresh).tokens(), w.beta, "member")

		plain := w.signedIn(w.person).tokens(w.web, "scope", "openid offline_access")
		w.refresh(w.web, plain.Refresh, "organization", "acme").refused(400, "invalid_request")
	})
}

// Losing the organization ends, at once, what was bound to it: code, refresh token, access tokens of every grant, also of one
// that has moved on. The rest lives, and coming back does not bring the old tokens back.
func TestLostMembership(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		_, replica := w.replica(nil)
		bound, moved, other := w.tokens(b, "acme"), w.tokens(b, "acme"), w.tokens(b, "beta")
		elsewhere := b.tokens(w.client, "scope", "openid")
		code := b.code(w.client, "scope", orgScopes, "organization", "acme")
		still := w.refresh(w.client, moved.Refresh, "organization", "beta").tokens()
		w.alive(bound)

		w.leave(w.acme, w.person)
		w.over(w.client, bound)
		w.userinfo(moved.Access).refused(401, "invalid_token")
		require.False(w, w.active(moved.Access))
		w.redeem(w.client, code).refused(400, "invalid_grant")
		for _, live := range []tokens{other, still, elsewhere} {
			w.alive(live)
		}
		w.speaksFor(w.refresh(w.client, still.Refresh).tokens(), w.beta, "member")
		require.NoError(w, replica.provider.Maintain(w.Context()))
		require.False(w, replica.active(bound.Access), "other replicas hear of it")
		require.False(w, replica.active(moved.Access))

		w.clock.forward(time.Second)
		w.join(w.acme, w.person, store.MemberPlain)
		require.False(w, w.active(moved.Access), "a token from before came back")
		w.refresh(w.client, bound.Refresh).refused(400, "invalid_grant")
		w.speaksFor(w.tokens(b, "acme"), w.acme, "member")
	})
}

func TestDeletedOrganization(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		bound, other := w.tokens(b, "acme"), w.tokens(b, "beta")
		require.NoError(w, w.store.Tx(w.Context(), func(ctx context.Context) error { return w.store.DeleteOrganization(ctx, w.acme.ID) }))
		w.over(w.client, bound)
		w.alive(other)
	})
}

// A race: the membership ends while a code is exchanged and grants are refreshed or switched for it. Whoever is first, no live
// grant and no live access token is left of it.
func TestMembershipEndsDuringExchanges(t *testing.T) {
	eachOrganized(t, func(w *organized) {
		b := w.signedIn(w.person)
		for range 8 {
			code := b.code(w.client, "scope", orgScopes, "organization", "acme")
			bound, other := w.tokens(b, "acme"), w.tokens(b, "beta")
			requests := []func() *reply{
				func() *reply { return w.redeem(w.client, code) },
				func() *reply { return w.refresh(w.client, bound.Refresh) },
				func() *reply { return w.refresh(w.client, bound.Refresh) }, // the loser is in the grace
				func() *reply { return w.refresh(w.client, other.Refresh, "organization", "acme") },
				func() *reply { return w.refresh(w.client, other.Refresh, "organization", "acme") },
			}
			replies, start := make([]*reply, len(requests)), make(chan struct{})
			var wg sync.WaitGroup
			for i, send := range requests {
				wg.Go(func() { <-start; replies[i] = send() })
			}
			wg.Go(func() { <-start; w.leave(w.acme, w.person) })
			close(start)
			wg.Wait()
			for i, r := range replies {
				if r.status != http.StatusOK {
					continue
				}
				got := r.tokens()
				require.False(w, w.active(got.Access), "request %d: the access token outlives the membership", i)
				w.refresh(w.client, got.Refresh).refused(400, "invalid_grant")
			}
			w.clock.forward(time.Second)
			w.join(w.acme, w.person, store.MemberAdmin)
		}
	})
}

func TestStoreCallsForOrganizations(t *testing.T) {
	traced(t, func(plain *world, calls func() []string) {
		w := plain.organized()
		b := w.signedIn(w.person)
		w.redeem(w.client, b.code(w.client)).tokens() // client and policy are kept from now on
		calls()
		code := b.code(w.client, "scope", orgScopes, "organization", "acme")
		require.Equal(w, []string{"R sessions", "R users", "W authorization_codes"}, calls(), "consent and organization in one query")
		first := w.redeem(w.client, code).tokens()
		require.Equal(w, []string{"R authorization_codes", "BEGIN", "W authorization_codes", "W grants", "COMMIT"}, calls(), "code exchange")
		second := w.refresh(w.client, first.Refresh).tokens()
		require.Equal(w, []string{"R grants", "W grants"}, calls(), "refresh")
		w.refresh(w.client, second.Refresh, "organization", "beta").tokens()
		require.Equal(w, []string{"R grants", "W grants"}, calls(), "switching costs no more")
		require.Equal(w, http.StatusOK, w.userinfo(second.Access).status)
		require.Equal(w, []string{"R grants"}, calls())
		require.Equal(w, true, w.inspect(w.client, second.Access).json()["active"])
		require.Empty(w, calls())
	})
}
