package admin_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"auth-service/store"
	"auth-service/store/storetest"
)

func key(k string) header { return header{"Idempotency-Key": k} }

func TestIdempotentCreate(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		count := func() any { return srv.call("GET", "/applications", "").body["total"] }
		first := srv.call("POST", "/applications", webApplication, key("k")).is(201)
		assert.Empty(t, first.Header().Get("Idempotent-Replayed"))
		again := srv.call("POST", "/applications", `{"type":"web", "redirectUris":["https://crm.example/cb"], "name":"CRM"}`, key("k")).is(201)
		assert.Equal(t, first.body, again.body, "the secret included: whoever lost the answer needs it")
		assert.Equal(t, "true", again.Header().Get("Idempotent-Replayed"))
		assert.Equal(t, 1.0, count())

		srv.call("POST", "/applications", with("spa", nil), key("k")).is(422, "IDEMPOTENCY_KEY_REUSED")
		srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`, key("k")).is(422, "IDEMPOTENCY_KEY_REUSED")
		assert.Equal(t, 1.0, count())

		// Another actor's key is another key: nobody gets at somebody else's answer by guessing it.
		other := srv.call("POST", "/applications", webApplication, key("k"), asRoot).is(201)
		assert.NotEqual(t, first.text("clientSecret"), other.text("clientSecret"))
		srv.call("POST", "/applications", webApplication, key("k"), bearer("machine")).is(201)
		assert.Equal(t, 3.0, count())

		// What failed did not happen, so the key is free.
		srv.call("POST", "/applications", with("web", fields{"slug": "crm"}), key("failed")).is(409, "SLUG_TAKEN")
		srv.call("POST", "/applications", with("web", fields{"slug": "free"}), key("failed")).is(201)

		ticks.advance(24*time.Hour - time.Second)
		assert.Equal(t, first.body, srv.call("POST", "/applications", webApplication, key("k")).is(201).body)
		ticks.advance(time.Second)
		late := srv.call("POST", "/applications", webApplication, key("k")).is(201)
		assert.NotEqual(t, first.text("id"), late.text("id"))
	}, func(o *store.Options) { o.Now = ticks.now })
}

func TestIdempotentSubCollections(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		srv.create(with("web", nil))
		first := srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`, key("client")).is(201)
		assert.Equal(t, first.body, srv.call("POST", "/applications/crm/clients", `{"type":"m2m"}`, key("client")).is(201).body)
		srv.call("POST", "/applications/any/clients", `{"type":"m2m"}`, key("client")).is(422, "IDEMPOTENCY_KEY_REUSED")

		for _, path := range []string{"/applications/crm/rotate-secret", "/applications/crm/clients/" + clientID + "/rotate-secret"} {
			once := srv.call("POST", path, `{"graceSeconds":60}`, key(path)).is(200)
			assert.Equal(t, once.body, srv.call("POST", path, `{"graceSeconds":60}`, key(path)).is(200).body)
			srv.call("POST", path, `{"graceSeconds":61}`, key(path)).is(422, "IDEMPOTENCY_KEY_REUSED")
			assert.Contains(t, srv.secrets(clientID, time.Now()), hash(once.text("clientSecret")), "the second attempt rotated again")
		}
	})
}

// A client that sends the same request twice at once, impatient or through two proxies, gets one application.
func TestParallelIdempotentCreates(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		const parallel = 10
		answers := make(chan string, parallel)
		var wg sync.WaitGroup
		for range parallel {
			wg.Go(func() {
				a := srv.call("POST", "/applications", webApplication, key("same"))
				assert.Equal(t, 201, a.Code, a.Body)
				answers <- a.Body.String()
			})
		}
		wg.Wait()
		close(answers)
		want := <-answers
		for got := range answers {
			assert.Equal(t, want, got)
		}
		assert.Equal(t, 1.0, srv.call("GET", "/applications", "").body["total"])
	})
}
