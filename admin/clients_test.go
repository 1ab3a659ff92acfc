package admin_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func TestClients(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, first := srv.create(webApplication)
		a := srv.call("POST", "/applications/"+first+"/clients", `{"name":"Worker","type":"m2m","scopes":["reports"]}`).is(201)
		worker := a.text("clientId")
		assert.Equal(t, id, a.text("applicationId"))
		assert.Regexp(t, `^cs_`, a.text("clientSecret"))
		assert.NotEqual(t, first, worker)
		spa := srv.call("POST", "/applications/crm/clients", `{"type":"spa","redirectUris":["https://spa.example/"]}`).is(201)
		assert.Equal(t, "CRM", spa.text("name"))
		assert.Nil(t, spa.body["clientSecret"])

		listed := srv.call("GET", "/applications/crm/clients", "").is(200)
		var ids []any
		for _, item := range listed.body["items"].([]any) {
			ids = append(ids, item.(map[string]any)["clientId"])
		}
		assert.Equal(t, []any{first, worker, spa.text("clientId")}, ids)
		assert.Equal(t, 3.0, listed.body["total"])
		assert.Contains(t, listed.body, "nextCursor")
		assert.NotContains(t, listed.Body.String(), a.text("clientSecret"))

		patched := srv.call("PATCH", "/applications/crm/clients/"+worker, `{"scopes":null,"disabled":true}`).is(200)
		assert.Equal(t, "Worker", patched.text("name"))
		assert.Equal(t, []any{}, patched.body["scopes"])
		assert.Equal(t, true, patched.body["disabled"])
		assert.Equal(t, patched.body, srv.call("GET", "/applications/crm/clients/"+worker, "").is(200).body)
		assert.Equal(t, first, srv.call("GET", "/applications/"+worker, "").text("clientId"), "the application is found by any of its clients and shows its first")

		srv.call("PATCH", "/applications/crm", `{"name":"Sales"}`).is(200)
		assert.Equal(t, "Worker", srv.call("GET", "/applications/crm/clients/"+worker, "").text("name"))

		srv.call("DELETE", "/applications/crm/clients/"+worker, "").is(204)
		assert.True(t, srv.revoked(store.RevokedClient, worker))
		srv.call("GET", "/applications/crm/clients/"+worker, "").is(404, "NOT_FOUND")
		srv.call("DELETE", "/applications/crm/clients/"+first, "").is(204)
		assert.Equal(t, "spa", srv.call("GET", "/applications/crm", "").text("type"), "the next one is the first now")
		srv.call("DELETE", "/applications/crm/clients/"+spa.text("clientId"), "").is(409, "LAST_CLIENT")
	})
}

func TestClientValidation(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		for _, tt := range []struct {
			name, method, body string
			bad                []string
		}{
			{"no type", "POST", `{}`, []string{"type"}},
			{"all at once", "POST", `{"name":" ","type":"web","redirectUris":["javascript:1"],"codeLifetime":60,"disabled":true}`, []string{"name", "redirectUris[0]", "codeLifetime", "disabled"}},
			{"spa with a secret", "POST", `{"type":"spa","redirectUris":["https://a.example/"],"tokenEndpointAuthMethod":"client_secret_basic"}`, []string{"tokenEndpointAuthMethod"}},
			{"merged", "PATCH", `{"grantTypes":["client_credentials"]}`, []string{"redirectUris"}},
			{"null type", "PATCH", `{"type":null}`, []string{"type"}},
			{"fields of the application", "PATCH", `{"slug":"x","metadata":{}}`, []string{"slug", "metadata"}},
			// Mass assignment: a client must not move to another application.
			{"another application", "PATCH", `{"applicationId":"x","clientId":"y","secrets":[]}`, []string{"applicationId", "clientId", "secrets"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				srv.t = t
				path := "/applications/crm/clients"
				if tt.method == "PATCH" {
					path += "/" + clientID
				}
				a := srv.call(tt.method, path, tt.body).is(400, "VALIDATION_ERROR")
				for _, field := range tt.bad {
					assert.NotEmpty(t, a.errors()[field], field)
				}
				assert.Len(t, a.errors(), len(tt.bad), a.errors())
			})
		}
	})
}

// IDOR: the path names an application and a client; a client of another application is unknown under it.
func TestClientOfAnotherApplication(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		_, foreign := srv.create(with("web", fields{"name": "Other"}))
		before := srv.call("GET", "/applications/other", "").Body.String()
		one := "/applications/crm/clients/" + foreign
		for _, tt := range []struct{ method, path, body string }{
			{"GET", one, ""},
			{"PATCH", one, `{"redirectUris":["https://evil.example/"]}`},
			{"POST", one + "/rotate-secret", ""},
			{"DELETE", one, ""},
		} {
			srv.call(tt.method, tt.path, tt.body).is(404, "NOT_FOUND")
		}
		assert.Equal(t, before, srv.call("GET", "/applications/other", "").Body.String())
	})
}

func TestClientLimit(t *testing.T) {
	srv := newServer(t, storetest.New(t))
	srv.create(webApplication)
	for range 49 {
		srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201)
	}
	srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(409, "TOO_MANY_CLIENTS")
}

// secrets returns the live ones of an application's first client, as the token endpoint will find them.
func (s *server) secrets(clientID string, now time.Time) map[string]*time.Time {
	s.t.Helper()
	c, err := s.store.ClientByID(s.t.Context(), clientID)
	require.NoError(s.t, err)
	live := map[string]*time.Time{}
	for _, secret := range c.Secrets {
		if secret.ExpiresAt == nil || now.Before(*secret.ExpiresAt) {
			live[string(secret.Hash)] = secret.ExpiresAt
		}
	}
	return live
}

func hash(secret string) string { return string(store.HashSecret(secret)) }

func TestRotateSecret(t *testing.T) {
	time0 := &clock{}
	each2 := func(fn func(t *testing.T, srv *server)) {
		storetest.Each(t, func(t *testing.T, s *store.Store) { fn(t, newServer(t, s)) }, func(o *store.Options) { o.Now = time0.now })
	}
	each2(func(t *testing.T, srv *server) {
		created := srv.call("POST", "/applications", webApplication).is(201)
		clientID := created.text("clientId")
		rotate := func(body string) *answer {
			a := srv.call("POST", "/applications/crm/rotate-secret", body).is(200)
			assert.Equal(t, clientID, a.text("clientId"))
			return a
		}

		second := rotate(`{"graceSeconds":3600}`)
		ends := time0.now().Add(time.Hour)
		assert.Equal(t, ends.Format("2006-01-02T15:04:05.000Z"), second.text("previousSecretExpiresAt"))
		assert.Equal(t, map[string]*time.Time{hash(created.text("clientSecret")): &ends, hash(second.text("clientSecret")): nil}, srv.secrets(clientID, time0.now()))

		// A third one ends the first at once: never more than two.
		third := rotate(`{"graceSeconds":2592000}`)
		live := srv.secrets(clientID, time0.now())
		assert.Len(t, live, 2)
		assert.NotContains(t, live, hash(created.text("clientSecret")))
		assert.Contains(t, live, hash(second.text("clientSecret")))

		time0.advance(30*24*time.Hour + time.Second)
		assert.Equal(t, map[string]*time.Time{hash(third.text("clientSecret")): nil}, srv.secrets(clientID, time0.now()))
		shown := srv.call("GET", "/applications/crm/clients/"+clientID, "").body["secrets"].([]any)
		assert.Len(t, shown, 1, "an ended secret is not shown")

		fourth := rotate("")
		assert.Nil(t, fourth.body["previousSecretExpiresAt"])
		assert.Equal(t, map[string]*time.Time{hash(fourth.text("clientSecret")): nil}, srv.secrets(clientID, time0.now()))

		one := srv.call("POST", "/applications/crm/clients/"+clientID+"/rotate-secret", `{"graceSeconds":0}`).is(200)
		assert.Equal(t, map[string]*time.Time{hash(one.text("clientSecret")): nil}, srv.secrets(clientID, time0.now()))

		purged, err := srv.store.PurgeClientSecrets(t.Context(), time0.now().Add(time.Hour), 10)
		require.NoError(t, err)
		assert.Zero(t, purged, "the current secret has no end")
	})
}

func TestRotateSecretOfPublicClient(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(with("spa", nil))
		srv.call("POST", "/applications/any/rotate-secret", "").is(400, "PUBLIC_CLIENT")
		srv.call("POST", "/applications/any/clients/"+clientID+"/rotate-secret", "{}").is(400, "PUBLIC_CLIENT")

		// A client that became public must not have its old secret back when it becomes confidential again.
		_, web := srv.create(webApplication)
		srv.call("PATCH", "/applications/crm", `{"tokenEndpointAuthMethod":"none"}`).is(200)
		srv.call("POST", "/applications/crm/rotate-secret", "").is(400, "PUBLIC_CLIENT")
		srv.call("PATCH", "/applications/crm", `{"tokenEndpointAuthMethod":"client_secret_basic"}`).is(200)
		assert.Empty(t, srv.secrets(web, time.Now()))
		a := srv.call("POST", "/applications/crm/rotate-secret", `{"graceSeconds":60}`).is(200)
		assert.Nil(t, a.body["previousSecretExpiresAt"], "there was none")
	})
}

// Rotations that meet must leave at most two secrets, the last of which has no end.
func TestParallelRotations(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		const parallel = 10
		given := make(chan string, parallel)
		var wg sync.WaitGroup
		for range parallel {
			wg.Go(func() {
				a := srv.call("POST", "/applications/crm/rotate-secret", `{"graceSeconds":600}`)
				if assert.Equal(t, 200, a.Code, a.Body) {
					given <- hash(fmt.Sprint(a.body["clientSecret"]))
				}
			})
		}
		wg.Wait()
		close(given)
		known := map[string]bool{}
		for h := range given {
			known[h] = true
		}
		assert.Len(t, known, parallel)
		live, endless := srv.secrets(clientID, time.Now()), 0
		assert.Len(t, live, 2)
		for h, ends := range live {
			assert.True(t, known[h])
			if ends == nil {
				endless++
			}
		}
		assert.Equal(t, 1, endless)
	})
}

// Two admins who delete the last two clients at once must not leave an application without any.
func TestParallelClientDeletes(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, first := srv.create(webApplication)
		second := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`).is(201).text("clientId")
		codes := make(chan int, 2)
		var wg sync.WaitGroup
		for _, clientID := range []string{first, second} {
			wg.Go(func() { codes <- srv.call("DELETE", "/applications/crm/clients/"+clientID, "").Code })
		}
		wg.Wait()
		assert.ElementsMatch(t, []int{204, 409}, []int{<-codes, <-codes})
		assert.Equal(t, 1.0, srv.call("GET", "/applications/crm", "").is(200).body["clientCount"])
	})
}
