package admin_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/admin"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/store/storetest"
)

func TestCreateApplicationDefaults(t *testing.T) {
	people := []any{"openid", "profile", "email", "offline_access"}
	codeAndRefresh := []any{"authorization_code", "refresh_token"}
	each(t, func(t *testing.T, srv *server) {
		for _, tt := range []struct {
			kind   string
			scopes []any
			grants []any
			method string
			secret bool
		}{
			{"web", people, codeAndRefresh, "client_secret_basic", true},
			{"spa", people, codeAndRefresh, "none", false},
			{"native", people, codeAndRefresh, "none", false},
			{"m2m", []any{}, []any{"client_credentials"}, "client_secret_basic", true},
		} {
			t.Run(tt.kind, func(t *testing.T) {
				srv.t = t
				a := srv.call("POST", "/applications", with(tt.kind, nil)).is(201)
				assert.Equal(t, tt.scopes, a.body["scopes"])
				assert.Equal(t, tt.grants, a.body["grantTypes"])
				assert.Equal(t, tt.method, a.body["tokenEndpointAuthMethod"])
				assert.Equal(t, "RS256", a.body["idTokenSignedResponseAlg"])
				assert.Equal(t, "jwt", a.body["accessTokenFormat"])
				assert.Equal(t, true, a.body["requirePkce"])
				assert.Equal(t, false, a.body["skipConsent"])
				assert.Equal(t, false, a.body["disabled"])
				for _, null := range []string{"codeLifetime", "accessTokenLifetime", "idTokenLifetime", "refreshTokenIdleLifetime", "refreshTokenLifetime", "logoUri", "homepageUri", "policyUri", "tosUri"} {
					assert.Contains(t, a.body, null)
					assert.Nil(t, a.body[null], null)
				}
				assert.Regexp(t, `^cl_[a-z2-7]{20}$`, a.text("clientId"))
				assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, a.text("createdAt"))
				if !tt.secret {
					assert.Nil(t, a.body["clientSecret"])
					return
				}
				assert.Regexp(t, `^cs_[A-Za-z0-9_-]{43}$`, a.text("clientSecret"))
				c, err := srv.store.ClientByID(t.Context(), a.text("clientId"))
				require.NoError(t, err)
				require.Len(t, c.Secrets, 1)
				assert.Equal(t, store.HashSecret(a.text("clientSecret")), c.Secrets[0].Hash)
			})
		}
	})
}

func TestApplicationRoundTrip(t *testing.T) {
	everything := fields{
		"name": "  Café CRM ", "slug": "crm", "redirectUris": []any{"https://crm.example/cb"}, "postLogoutRedirectUris": []any{"https://crm.example/"},
		"allowedOrigins": []any{"https://crm.example"}, "scopes": []any{"openid", "crm:read"}, "grantTypes": []any{"authorization_code"},
		"tokenEndpointAuthMethod": "client_secret_post", "idTokenSignedResponseAlg": "ES256", "skipConsent": true, "requirePkce": false,
		"audiences": []any{"https://api.crm.example"}, "accessTokenFormat": "opaque", "codeLifetime": 30.0, "accessTokenLifetime": 300.0, "idTokenLifetime": 301.0,
		"refreshTokenIdleLifetime": 302.0, "refreshTokenLifetime": 303.0, "logoUri": "https://crm.example/l.svg", "homepageUri": "https://crm.example/",
		"policyUri": "https://crm.example/p", "tosUri": "https://crm.example/t", "metadata": map[string]any{"team": "sales", "n": 1.5},
	}
	each(t, func(t *testing.T, srv *server) {
		created := srv.call("POST", "/applications", with("web", everything)).is(201)
		want := maps.Clone(everything)
		want["name"] = "Café CRM"
		for _, ref := range []string{created.text("id"), "crm", created.text("clientId")} {
			got := srv.call("GET", "/applications/"+ref, "").is(200)
			for field, value := range want {
				assert.Equal(t, value, got.body[field], field)
			}
			assert.NotContains(t, got.Body.String(), created.text("clientSecret"), "a secret is shown once")
			assert.Equal(t, map[string]any{"clients": 1.0, "grants": 0.0, "users": 0.0, "atLeast": false}, got.body["counts"])
			client := got.body["clients"].([]any)[0].(map[string]any)
			secret := client["secrets"].([]any)[0].(map[string]any)
			assert.Equal(t, created.text("clientSecret")[:8], secret["hint"])
			assert.Nil(t, secret["expiresAt"])
		}

		t.Run("PATCH keeps what is absent", func(t *testing.T) {
			srv.t = t
			got := srv.call("PATCH", "/applications/crm", `{"name":"New"}`).is(200)
			for field, value := range want {
				if field != "name" {
					assert.Equal(t, value, got.body[field], field)
				}
			}
			assert.Equal(t, "New", got.body["name"])
			assert.Equal(t, "New", got.body["clients"].([]any)[0].(map[string]any)["name"], "the first client is called like the application")
		})
		t.Run("PATCH clears what is null", func(t *testing.T) {
			srv.t = t
			got := srv.call("PATCH", "/applications/crm", `{"postLogoutRedirectUris":null,"allowedOrigins":null,"scopes":null,"grantTypes":null,
				"tokenEndpointAuthMethod":null,"idTokenSignedResponseAlg":null,"skipConsent":null,"requirePkce":null,"audiences":null,"accessTokenFormat":null,
				"codeLifetime":null,"accessTokenLifetime":null,"idTokenLifetime":null,"refreshTokenIdleLifetime":null,"refreshTokenLifetime":null,
				"logoUri":null,"homepageUri":null,"policyUri":null,"tosUri":null,"metadata":null,"disabled":null}`).is(200)
			fresh := srv.call("POST", "/applications", with("web", fields{"name": "New", "redirectUris": want["redirectUris"]})).is(201)
			for _, own := range []string{"id", "slug", "clientId", "clients", "clientSecret", "createdAt", "updatedAt"} {
				delete(got.body, own)
				delete(fresh.body, own)
			}
			assert.Equal(t, fresh.body, got.body)
		})
	})
}

func TestSlugs(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		for _, tt := range []struct{ name, slug string }{
			{"Café Zürich (beta)", "cafe-zurich-beta"},
			{"Café Zürich (beta)", "cafe-zurich-beta-2"},
			{"--A  b--", "a-b"},
			{"日本", "app"},
			{"中国", "app-2"},
			{strings.Repeat("a", 100), strings.Repeat("a", 63)},
			{strings.Repeat("a", 100), strings.Repeat("a", 61) + "-2"},
			{"0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee", "app-3"},
		} {
			assert.Equal(t, tt.slug, srv.call("POST", "/applications", with("web", fields{"name": tt.name})).is(201).text("slug"), tt.name)
		}
		a := srv.call("POST", "/applications", with("web", fields{"slug": "app"})).is(409, "SLUG_TAKEN")
		assert.NotEmpty(t, a.errors()["slug"])
		srv.call("PATCH", "/applications/app-2", `{"slug":"app"}`).is(409, "SLUG_TAKEN")
		assert.Equal(t, "asia", srv.call("PATCH", "/applications/app-2", `{"slug":"asia"}`).is(200).text("slug"))
	})
}

// Confusion of names: an admin takes a client_id for the slug of an application of their own, and a superadmin who names the
// client gives the scope admin, or a redirect URI, to the admin's client.
func TestSlugIsNoClientIDOfAnother(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		in := admin.ApplicationInput{Name: "Console", Type: store.ClientM2M, ClientID: "ops"}
		console, _, err := admin.CreateApplication(t.Context(), srv.store, admin.System(), in)
		require.NoError(t, err)
		srv.call("POST", "/applications", with("web", fields{"slug": "ops"})).is(409, "SLUG_TAKEN")
		assert.Equal(t, "ops-2", srv.call("POST", "/applications", with("web", fields{"name": "Ops"})).is(201).text("slug"))
		srv.call("PATCH", "/applications/ops-2", `{"slug":"ops"}`).is(409, "SLUG_TAKEN")
		assert.Equal(t, console.ID, srv.call("GET", "/applications/ops", "").is(200).text("id"))
		assert.Equal(t, "ops", srv.call("PATCH", "/applications/console", `{"slug":"ops"}`).is(200).text("slug"))

		in.Name, in.ClientID = "Third", "ops-2"
		_, _, err = admin.CreateApplication(t.Context(), srv.store, admin.System(), in)
		assert.Equal(t, "CLIENT_ID_TAKEN", problem.Of(err).Code)
	})
}

// Parallel creates must neither fail nor share a slug when it is made from the name; of those that insist on one slug exactly one wins.
func TestParallelCreates(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		const parallel = 12
		run := func(body string) (codes map[int]int, slugs map[string]bool) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			codes, slugs = map[int]int{}, map[string]bool{}
			for range parallel {
				wg.Go(func() {
					a := srv.call("POST", "/applications", body)
					mu.Lock()
					defer mu.Unlock()
					codes[a.Code]++
					if slug, ok := a.body["slug"].(string); ok {
						slugs[slug] = true
					}
				})
			}
			wg.Wait()
			return codes, slugs
		}
		codes, slugs := run(with("web", fields{"name": "Same"}))
		assert.Equal(t, map[int]int{201: parallel}, codes)
		assert.Len(t, slugs, parallel)
		codes, _ = run(with("web", fields{"slug": "mine"}))
		assert.Equal(t, map[int]int{201: 1, 409: parallel - 1}, codes)
		assert.EqualValues(t, parallel+1, srv.call("GET", "/applications", "").body["total"])
	})
}

// grant gives the client a live grant of the person.
func (s *server) grant(clientID, userID string) *store.Grant {
	s.t.Helper()
	now := time.Now().UTC()
	g := &store.Grant{
		ID: store.NewID(), ClientID: clientID, UserID: userID, Scopes: []string{"openid"}, Audiences: []string{}, AMR: []string{}, Salt: []byte{1},
		Offline: true, AuthTime: now, RotatedAt: now, CreatedAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
	}
	require.NoError(s.t, s.store.CreateGrant(s.t.Context(), g))
	return g
}

func (s *server) revoked(kind, id string) bool {
	s.t.Helper()
	rows, err := s.store.RevocationsSince(s.t.Context(), time.Time{})
	require.NoError(s.t, err)
	return slices.ContainsFunc(rows, func(r store.Revocation) bool { return r.Kind == kind && r.ID == id })
}

func TestDisableAndDelete(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, first := srv.create(webApplication)
		second := srv.call("POST", "/applications/crm/clients", `{"type":"spa","redirectUris":["https://spa.example/"]}`).is(201).text("clientId")
		_, other := srv.create(with("web", fields{"name": "Other"}))
		grants := map[string]*store.Grant{}
		for _, clientID := range []string{first, second, other} {
			grants[clientID] = srv.grant(clientID, "ulla")
		}
		srv.grant(first, "alice")
		live := func(clientID string) bool {
			g, err := srv.store.GrantByID(t.Context(), grants[clientID].ID)
			require.NoError(t, err)
			return g.RevokedAt == nil
		}
		assert.Equal(t, map[string]any{"clients": 2.0, "grants": 3.0, "users": 2.0, "atLeast": false}, srv.call("GET", "/applications/crm", "").body["counts"])

		srv.call("PATCH", "/applications/crm/clients/"+second, `{"disabled":true}`).is(200)
		assert.False(t, live(second))
		assert.True(t, live(first))
		assert.True(t, srv.revoked(store.RevokedClient, second), "access tokens of the client live on")

		a := srv.call("PATCH", "/applications/crm", `{"disabled":true}`).is(200)
		assert.Equal(t, true, a.body["disabled"])
		assert.Equal(t, 0.0, a.body["counts"].(map[string]any)["grants"])
		assert.False(t, live(first))
		assert.True(t, srv.revoked(store.RevokedClient, first))
		assert.Equal(t, false, srv.call("PATCH", "/applications/crm", `{"disabled":false}`).is(200).body["disabled"])

		srv.grant(first, "ulla")
		srv.call("DELETE", "/applications/crm", "").is(204)
		srv.call("GET", "/applications/crm", "").is(404, "NOT_FOUND")
		srv.call("DELETE", "/applications/crm", "").is(404, "NOT_FOUND")
		_, err := srv.store.ClientByID(t.Context(), first)
		assert.ErrorIs(t, err, store.ErrNotFound)
		_, err = srv.store.GrantByID(t.Context(), grants[first].ID)
		assert.ErrorIs(t, err, store.ErrNotFound)
		assert.True(t, live(other), "another application's grant was revoked")
		assert.False(t, srv.revoked(store.RevokedClient, other))
	})
}

// Taking the scope admin from a client has to end the tokens that carry it: this API accepts them by their scope.
func TestRemovingAdminScopeRevokes(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(with("m2m", fields{"scopes": []string{"admin", "other"}}), asRoot)
		srv.call("PATCH", "/applications/"+clientID, `{"scopes":["admin"]}`, asRoot).is(200)
		assert.False(t, srv.revoked(store.RevokedClient, clientID))
		srv.call("PATCH", "/applications/"+clientID, `{"scopes":["other"]}`, asRoot).is(200)
		assert.True(t, srv.revoked(store.RevokedClient, clientID))
	})
}

func TestAudit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		created := srv.call("POST", "/applications", webApplication, header{"User-Agent": "curl", "X-Request-Id": "r1"}).is(201)
		id, clientID := created.text("id"), created.text("clientId")
		srv.call("PATCH", "/applications/crm", `{"name":"New","logoUri":"https://a.example/l"}`, bearer("delegated-root")).is(200)
		srv.call("PATCH", "/applications/crm", `{"name":"New"}`).is(200) // changes nothing, so there is nothing to record
		rotated := srv.call("POST", "/applications/crm/rotate-secret", "", bearer("machine")).is(200)
		srv.call("PATCH", "/applications/crm", `{"name":""}`).is(400)
		srv.call("DELETE", "/applications/crm", "").is(204)

		events, err := srv.store.AuditTrail(t.Context(), "application", id, 10)
		require.NoError(t, err)
		require.Len(t, events, 3)
		slices.Reverse(events)
		assert.Equal(t, "application.create", events[0].Action)
		assert.Equal(t, []string{store.ActorUser, "alice", "curl", "r1", id}, []string{events[0].ActorType, events[0].ActorID, events[0].UserAgent, events[0].RequestID, events[0].ApplicationID})
		assert.Equal(t, store.Change{After: "CRM"}, events[0].Changes["name"])
		assert.Equal(t, "application.update", events[1].Action)
		assert.Equal(t, []string{store.ActorUser, "root"}, []string{events[1].ActorType, events[1].ActorID})
		assert.Equal(t, map[string]store.Change{"name": {Before: "CRM", After: "New"}, "logoUri": {After: "https://a.example/l"}}, events[1].Changes)
		assert.Equal(t, "application.delete", events[2].Action)
		assert.Equal(t, store.Change{Before: "New"}, events[2].Changes["name"])

		rotations, err := srv.store.AuditTrail(t.Context(), "client", clientID, 10)
		require.NoError(t, err)
		require.Len(t, rotations, 1)
		assert.Equal(t, []string{store.ActorClient, "cl_machine", "client.rotate_secret"}, []string{rotations[0].ActorType, rotations[0].ActorID, rotations[0].Action})
		for _, e := range append(events, rotations...) {
			text := fmt.Sprint(e)
			assert.NotContains(t, text, created.text("clientSecret"))
			assert.NotContains(t, text, rotated.text("clientSecret"))
		}
	})
}

// What oauth keeps in memory obeys at once: each write tells it, once it is committed.
func TestEvents(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		var events []store.Event
		srv.store.Subscribe(func(e store.Event) { events = append(events, e) })
		id, clientID := srv.create(webApplication)
		for _, tt := range []struct {
			method, path, body string
			want               []store.EventKind
		}{
			{"PATCH", "/applications/crm", `{"accessTokenLifetime":60}`, []store.EventKind{store.EventApplicationChanged}},
			{"PATCH", "/applications/crm", `{"skipConsent":true}`, []store.EventKind{store.EventApplicationChanged, store.EventClientChanged}},
			{"PATCH", "/applications/crm/clients/" + clientID, `{"skipConsent":false}`, []store.EventKind{store.EventClientChanged}},
			{"PATCH", "/applications/crm/clients/" + clientID, `{"skipConsent":false}`, nil},
			{"PATCH", "/applications/crm/clients/" + clientID, `{"redirectUris":[]}`, nil},
			{"POST", "/applications/crm/rotate-secret", ``, []store.EventKind{store.EventClientChanged}},
			{"DELETE", "/applications/crm", ``, []store.EventKind{store.EventRevocation, store.EventApplicationChanged}},
		} {
			events = nil
			srv.call(tt.method, tt.path, tt.body)
			var kinds []store.EventKind
			for _, e := range events {
				kinds = append(kinds, e.Kind)
				assert.Contains(t, []string{id, clientID}, e.ID)
			}
			assert.Equal(t, tt.want, kinds, tt.method+" "+tt.body)
		}
	})
}

// The number of statements must not depend on the number of rows.
func TestStoreCalls(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		for i := range 7 {
			srv.create(with("web", fields{"name": fmt.Sprintf("App %d", i)}))
		}
		srv.call("POST", "/applications/app-0/clients", `{"type":"m2m"}`).is(201)
		clientID := srv.call("GET", "/applications/app-0", "").text("clientId")
		const session = "R users" // stands for that of account.Sessions
		for _, tt := range []struct {
			method, path, body string
			want               []string
		}{
			{"GET", "/applications", "", []string{session, "R applications", "R clients"}},
			{"GET", "/applications?search=app&type=web&sort=name&limit=3", "", []string{session, "R applications", "R clients"}},
			{"GET", "/applications?search=nothing", "", []string{session, "R applications"}},
			{"GET", "/applications/app-0", "", []string{session, "R applications", "R clients", "R client_secrets", "R grants"}},
			{"GET", "/applications/app-0/clients", "", []string{session, "R applications", "R clients", "R client_secrets"}},
			{"GET", "/applications/app-0/clients/" + clientID, "", []string{session, "R applications", "R clients", "R client_secrets"}},
			{"PATCH", "/applications/app-0", `{"metadata":{"a":1}}`, []string{session, "BEGIN", "R applications", "R clients", "R client_secrets", "R clients", "W applications", "W audit_events", "COMMIT", "R grants"}},
			{"POST", "/applications", `{"name":"More","type":"m2m"}`, []string{session, "BEGIN", "R clients", "W applications", "R applications", "W clients", "W client_secrets", "W client_secrets", "W audit_events", "COMMIT"}},
		} {
			ctx, calls := storetest.Trace(t.Context())
			require.Less(t, srv.callWith(ctx, tt.method, tt.path, tt.body).Code, 300, tt.path)
			assert.Equal(t, tt.want, calls.List(), tt.method+" "+tt.path)
		}
	})
}

// The command line goes through the same rules, and may choose the client_id.
func TestCreateApplicationForCommandLine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		create := func(in admin.ApplicationInput) (*store.Application, string, error) {
			return admin.CreateApplication(context.Background(), s, admin.System(), in)
		}
		in := admin.ApplicationInput{Name: "Bench", Type: store.ClientWeb, ClientID: "bench-web"}
		in.RedirectURIs = admin.Set([]string{"https://bench.example/cb"})
		in.Scopes = admin.Set([]string{"openid", "admin"})
		a, secret, err := create(in)
		require.NoError(t, err)
		assert.Equal(t, "bench", a.Slug)
		assert.Regexp(t, regexp.MustCompile(`^cs_`), secret)
		c, err := s.ClientByID(t.Context(), "bench-web")
		require.NoError(t, err)
		assert.Equal(t, a.ID, c.ApplicationID)

		_, _, err = create(in)
		assert.Equal(t, "CLIENT_ID_TAKEN", problem.Of(err).Code)
		_, err = s.ApplicationByRef(t.Context(), "bench-2")
		assert.ErrorIs(t, err, store.ErrNotFound, "half of a failed creation stayed")

		in.ClientID, in.RedirectURIs = "a b", admin.Set([]string{"http://bench.example"})
		_, _, err = create(in)
		assert.Len(t, problem.Of(err).Fields, 2)

		events, err := s.AuditTrail(t.Context(), "application", a.ID, 10)
		require.NoError(t, err)
		require.Len(t, events, 1)
		assert.Equal(t, store.ActorSystem, events[0].ActorType)
	})
}
