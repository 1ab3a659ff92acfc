package main

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/store/storetest"
)

// Recorders are stopped last: what comes in on a connection from before an upgrade began is recorded, and is there after it.
func TestRecordWhileStopping(t *testing.T) {
	m := newMatrix(t, storetest.NewSQLiteURL(t))
	body := fmt.Sprintf(`{"userId":%q,"key":"calls","amount":0.1}`, m.ids["member"])
	request := sendHead(t, m.instance, fmt.Sprintf("POST /api/consumption HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer %s\r\nContent-Length: %d\r\n", m.narrow, len(body)))
	m.stop()
	_, err := io.WriteString(request.conn, body)
	require.NoError(t, err)
	resp, err := http.ReadResponse(request.reader, nil)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	require.NoError(t, <-m.done)

	cfg, err := config.Load("")
	require.NoError(t, err)
	again := start(t, cfg)
	got := again.do("GET", "/api/consumption/"+m.ids["member"]+"/crm", "", "Authorization", "Bearer "+m.narrow)
	assert.Equal(t, 401, got.StatusCode, "the token names an issuer with another port")
	again.client.Jar = m.people["root"].Jar
	got = again.do("GET", "/api/consumption/"+m.ids["member"]+"/crm", "")
	require.Equal(t, 200, got.StatusCode, got.body)
	assert.Contains(t, got.body, `"total":0.1,"count":1`)
	require.NoError(t, again.wait())
}

// No page can make a browser send a token, so where one is sent nobody has to ask which site is behind it; and without one, the
// cookie of whoever is signed in opens nothing to other sites.
func TestRecordFromOtherSites(t *testing.T) {
	m := newMatrix(t, storetest.NewSQLiteURL(t))
	use := fmt.Sprintf(`{"userId":%q,"key":"calls"}`, m.ids["member"])
	elsewhere := []string{"Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site"}
	got := m.do("POST", "/api/consumption", use, append(elsewhere, "Authorization", "Bearer "+m.narrow)...)
	assert.Equal(t, 200, got.StatusCode, got.body)
	m.client = m.people["root"]
	got = m.do("DELETE", "/api/consumption/"+m.ids["member"]+"/crm/calls", "", elsewhere...)
	assert.Equal(t, 403, got.StatusCode, got.body)
	assert.Contains(t, got.body, "INVALID_ORIGIN")
	require.NoError(t, m.wait())
}
