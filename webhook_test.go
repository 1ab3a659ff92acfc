package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/store/storetest"
)

// genuine is how the README has receivers verify a message.
func genuine(key []byte, h http.Header, body []byte) bool {
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), seconds, body)
	for signature := range strings.SplitSeq(h.Get("webhook-signature"), " ") {
		got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signature, "v1,"))
		if err == nil && hmac.Equal(got, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// The whole way: an operator sets a webhook, tries it, and the application verifies what comes. Unless the operator of this
// server allows the network, it does not come.
func TestWebhookReachesTheApplication(t *testing.T) {
	for name, databaseURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(name, func(t *testing.T) {
			type message struct {
				header http.Header
				body   []byte
			}
			received := make(chan message, 1)
			application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				received <- message{r.Header, body}
			}))
			defer application.Close()

			cfg := testConfig(t, databaseURL(t))
			cfg.Admin = config.Admin{Email: "root@example.org", Password: matrixPassword}
			cfg.Outgoing.AllowedNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			i := start(t, cfg)
			require.Equal(t, 200, i.do("POST", "/api/auth/sign-in/email", `{"email":"root@example.org","password":"`+matrixPassword+`"}`).StatusCode)
			const crm = "/api/admin/applications/crm"
			require.Equal(t, 201, i.do("POST", "/api/admin/applications", `{"name":"CRM","slug":"crm","type":"m2m"}`).StatusCode)
			assert.Equal(t, 400, i.do("PUT", crm+"/webhook", `{"url":"http://127.0.0.2/hook"}`).StatusCode)
			set := i.do("PUT", crm+"/webhook", `{"url":"`+application.URL+`"}`)
			require.Equal(t, 200, set.StatusCode, set.body)
			key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(set.json(t)["secret"].(string), "whsec_"))
			require.NoError(t, err)
			sent := i.do("POST", crm+"/webhook/test", "", "Origin", i.url)
			require.Equal(t, 201, sent.StatusCode, sent.body)

			m := <-received
			id := sent.json(t)["id"].(string)
			assert.Equal(t, id, m.header.Get("webhook-id"))
			assert.True(t, genuine(key, m.header, m.body))
			assert.False(t, genuine(key, m.header, append(m.body, ' ')))
			require.Eventually(t, func() bool {
				return i.do("GET", crm+"/webhook/deliveries/"+id, "").json(t)["status"] == "delivered"
			}, 10*time.Second, 5*time.Millisecond)
			require.NoError(t, i.wait())
			assert.NotContains(t, i.logs.String(), "whsec_")
		})
	}
}
