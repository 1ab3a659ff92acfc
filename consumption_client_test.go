package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/consumption/client"
	"auth-service/store/storetest"
)

// A shop is an instance with an application that records what its people use: 1000 calls a month, and 10 exports in all,
// no more.
type shop struct {
	*instance
	people           []string
	acme             string // an organization with a subscription
	clientID, secret string
}

// newShop fills a running instance.
func newShop(t *testing.T, i *instance) *shop {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	i.client = &http.Client{Jar: jar}
	s := &shop{instance: i}
	s.made("POST", "/api/auth/sign-in/email", `{"email":"root@example.org","password":"`+matrixPassword+`"}`)
	for _, name := range []string{"ann", "bob", "cid"} {
		person := s.made("POST", "/api/admin/users", `{"name":"`+name+`","email":"`+name+`@example.org","password":"`+matrixPassword+`"}`)
		s.people = append(s.people, person["id"].(string))
	}
	app := s.made("POST", "/api/admin/applications", `{"name":"Shop","slug":"shop","type":"m2m"}`)
	s.clientID, s.secret = app["clientId"].(string), app["clientSecret"].(string)
	s.made("POST", "/api/admin/applications/shop/plans", `{"key":"metered","name":"Metered","isDefault":true,"features":[
		{"key":"api_calls","type":"quota","value":1000,"period":"month"},{"key":"exports","type":"quota","value":100,"hard":true}]}`)
	s.acme = s.made("POST", "/api/admin/organizations", `{"name":"Acme","slug":"acme","ownerId":"`+s.people[0]+`"}`)["id"].(string)
	s.made("PUT", "/api/admin/organizations/acme/applications/shop/plan", `{"plan":"metered"}`)
	return s
}

func (s *shop) made(method, path, body string) map[string]any {
	s.t.Helper()
	r := s.do(method, path, body)
	require.Less(s.t, r.StatusCode, 300, r.body)
	return r.json(s.t)
}

// recorder is the shop's client, at the server or at a proxy before it.
func (s *shop) recorder(url string) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Options{BaseURL: url, ClientID: s.clientID, ClientSecret: s.secret, Backoff: time.Millisecond})
	require.NoError(s.t, err)
	return c
}

func eachShop(t *testing.T, fn func(t *testing.T, s *shop)) {
	t.Helper()
	for engine, url := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(engine, func(t *testing.T) {
			cfg := testConfig(t, url(t))
			cfg.Admin = config.Admin{Email: "root@example.org", Password: matrixPassword}
			i := start(t, cfg)
			fn(t, newShop(t, i))
			require.NoError(t, i.wait())
		})
	}
}

// newLossyProxy stands before the server and lets no request through at its first tries: the first answer is lost after the
// server has done its work, the second request never gets there, and the third is answered too late.
func newLossyProxy(t *testing.T, server string) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	tries := map[string]int{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		mu.Lock()
		tries[r.URL.Path+string(body)]++
		try := tries[r.URL.Path+string(body)]
		mu.Unlock()
		if try == 2 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		forward, err := http.NewRequestWithContext(r.Context(), r.Method, server+r.URL.RequestURI(), strings.NewReader(string(body)))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		forward.Header = r.Header.Clone()
		res, err := http.DefaultClient.Do(forward)
		if err != nil || try == 1 {
			panic(http.ErrAbortHandler) // which closes the connection
		}
		defer res.Body.Close()
		if try == 3 {
			w.WriteHeader(http.StatusGatewayTimeout)
			return
		}
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body) // the client sees what is missing
	}))
	t.Cleanup(proxy.Close)
	return proxy
}

// Whatever is lost between an application and the server, each use counts, and counts once.
func TestClientCountsOnceThroughALossyProxy(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		c := s.recorder(newLossyProxy(t, s.url).URL)
		ann, bob := s.people[0], s.people[1]
		var callers sync.WaitGroup
		for range 40 {
			callers.Go(func() {
				r, err := c.Record(ctx, client.Record{UserID: ann, Key: "api_calls", Amount: "0.1"})
				if assert.NoError(t, err) {
					assert.True(t, r.Duplicate, "the answer of the first try")
				}
			})
		}
		many := make([]client.Record, 1100)
		for i := range many {
			many[i] = client.Record{UserID: bob, Key: "api_calls", Amount: "0.000001", OrganizationID: s.acme, Metadata: map[string]any{"row": i}}
		}
		callers.Go(func() {
			answers, err := c.RecordAll(ctx, many)
			if assert.NoError(t, err) && assert.Len(t, answers, len(many)) {
				assert.Equal(t, client.Amount("0.0011"), answers[len(many)-1].Total)
			}
		})
		callers.Wait()

		held, err := c.Reserve(ctx, client.Claim{UserID: ann, Key: "exports", Amount: "60", ExpiresIn: time.Hour})
		require.NoError(t, err)
		assert.Equal(t, client.Amount("60"), held.Reserved, "it is held once")
		assert.Equal(t, client.Amount("40"), *held.Remaining)
		done, err := c.Commit(ctx, held.ID, "12.5")
		require.NoError(t, err)
		assert.Equal(t, client.Amount("12.5"), done.Total)
		assert.Equal(t, client.Amount("87.5"), *done.Remaining)
		other, err := c.Reserve(ctx, client.Claim{UserID: ann, Key: "exports"})
		require.NoError(t, err)
		require.NoError(t, c.Release(ctx, other.ID))

		usage, err := c.Usage(ctx, client.Query{UserID: ann, Granularity: client.Day})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"api_calls": "4 in 40", "exports": "12.5 in 1"}, counted(usage))
		usage, err = c.Usage(ctx, client.Query{UserID: bob, OrganizationID: s.acme, Key: "api_calls"})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"api_calls": "0.0011 in 1100"}, counted(usage))
	})
}

func counted(u client.Usage) map[string]string {
	out := map[string]string{}
	for _, a := range u.Aggregates {
		out[a.Key] = fmt.Sprintf("%s in %d", a.Total, a.Count)
	}
	return out
}

func TestClientTellsRefusalsApart(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		ctx := t.Context()
		c := s.recorder(s.url)
		ann := s.people[0]
		_, err := c.Record(ctx, client.Record{UserID: ann, Key: "exports", Amount: "100.000001"})
		assert.ErrorIs(t, err, client.ErrQuotaExceeded)
		_, err = c.Record(ctx, client.Record{UserID: ann, Key: "api_calls", Amount: "1001", Enforce: true})
		assert.ErrorIs(t, err, client.ErrQuotaExceeded, "a soft quota, enforced")
		_, err = c.Record(ctx, client.Record{UserID: "nobody", Key: "exports"})
		assert.ErrorIs(t, err, client.ErrUserNotFound)
		_, err = c.Record(ctx, client.Record{UserID: ann, Key: "exports", OrganizationID: "nothing"})
		assert.ErrorIs(t, err, client.ErrOrganizationNotFound)

		_, err = c.RecordAll(ctx, []client.Record{{UserID: ann, Key: "exports"}, {UserID: ann, Key: "Exports", Amount: "-1"}})
		var e *client.Error
		require.ErrorAs(t, err, &e)
		assert.Contains(t, e.Fields, "records[1].key")
		assert.Contains(t, e.Fields, "records[1].amount")
		assert.NotEmpty(t, e.RequestID)

		first := client.Record{UserID: ann, Key: "exports", IdempotencyKey: client.NewIdempotencyKey()}
		_, err = c.Record(ctx, first)
		require.NoError(t, err)
		first.Amount = "2"
		_, err = c.Record(ctx, first)
		assert.ErrorIs(t, err, client.ErrIdempotencyKeyReused)

		_, err = c.Commit(ctx, "nothing", "")
		assert.ErrorIs(t, err, client.ErrReservationNotFound)
		held, err := c.Reserve(ctx, client.Claim{UserID: ann, Key: "exports"})
		require.NoError(t, err)
		require.NoError(t, c.Release(ctx, held.ID))
		_, err = c.Commit(ctx, held.ID, "")
		assert.ErrorIs(t, err, client.ErrReservationReleased)

		answer, err := c.Check(ctx, client.Question{UserID: ann, Key: "exports", Amount: "99"})
		require.NoError(t, err)
		assert.True(t, answer.Allowed)
		assert.Equal(t, "metered", answer.Plan)
		answer, err = c.Check(ctx, client.Question{UserID: ann, Key: "exports", Amount: "99.5"})
		require.NoError(t, err)
		assert.False(t, answer.Allowed, "one of them is used")

		wrong, err := client.New(client.Options{BaseURL: s.url, ClientID: s.clientID, ClientSecret: "wrong"})
		require.NoError(t, err)
		_, err = wrong.Check(ctx, client.Question{UserID: ann, Key: "exports"})
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "invalid_client", e.Code)
	})
}
