package oauth_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// counted returns the figures of today, by metric and application, after writing those that are in memory.
func (w *world) counted() map[string]int64 {
	w.Helper()
	require.NoError(w, w.counters.Flush(w.Context()))
	day := w.clock.now().UTC().Format(time.DateOnly)
	out := map[string]int64{}
	for name, id := range map[string]string{"web": w.web.ApplicationID, "machine": w.machine.ApplicationID, "all": ""} {
		rows, err := w.store.DailyStatistics(w.Context(), store.StatisticQuery{From: day, To: day, ApplicationID: id})
		require.NoError(w, err)
		for _, row := range rows {
			out[row.Metric+" "+name] = row.Value
		}
	}
	return out
}

func TestTokensAreCounted(t *testing.T) {
	each(t, func(w *world) {
		w.clock.stop()
		b := w.signedIn(w.person)
		code := b.code(w.web) // the person is asked, and says yes
		first := w.redeem(w.web, code).tokens()
		w.refresh(w.web, first.Refresh).tokens()
		w.redeem(w.spa, b.code(w.spa)).tokens() // another client of the same application
		require.NotEmpty(w, b.authorize(request(w.web)).location.Query().Get("code"), "nobody is asked")
		w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}}).tokens()
		require.Equal(w, map[string]int64{
			"authorizations web": 3, "tokens web": 3, "tokens machine": 1,
			"authorizations all": 3, "tokens all": 4, "active_users all": 1,
		}, w.counted())
	})
}

// Whoever names a client without being it must not make that client's figures look bad.
func TestTokenFailuresAreCounted(t *testing.T) {
	each(t, func(w *world) {
		w.clock.stop()
		w.redeem(w.web, "ac_unknown").refused(400, "invalid_grant")
		w.form(tokenPath, w.machine, url.Values{"grant_type": {"client_credentials"}, "scope": {"unknown"}}).refused(400, "invalid_scope")
		w.form(tokenPath, w.machine, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}).refused(400, "unauthorized_client")
		require.Equal(w, map[string]int64{"token_failures web": 1, "token_failures machine": 2, "token_failures all": 3}, w.counted())

		impostor := *w.web
		impostor.TokenEndpointAuthMethod = store.AuthMethodNone
		w.redeem(&impostor, "ac_unknown").refused(401, "invalid_client")
		w.form(tokenPath, w.machine, url.Values{"grant_type": {"password"}}).refused(400, "unsupported_grant_type")
		require.Equal(w, http.StatusBadRequest, w.form(tokenPath, w.machine, url.Values{}).status)
		require.Equal(w, map[string]int64{"token_failures web": 1, "token_failures machine": 2, "token_failures all": 6}, w.counted())
	})
}
