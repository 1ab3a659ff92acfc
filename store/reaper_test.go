package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// rows counts a table.
func (f *fixture) rows(table string) (n int64) {
	f.Helper()
	require.NoError(f, f.DB(f.Context()).Table(table).Count(&n).Error)
	return n
}

const day = 24 * time.Hour

// Each kind of row is deleted when nobody can need it any more, and not a moment before.
func TestReap(t *testing.T) {
	kinds := []struct {
		table  string
		kept   time.Duration // from noon, how long the row must stay
		insert func(f *fixture)
	}{
		{"authorization_codes", time.Minute + day, func(f *fixture) { f.code("sig") }},
		{"sign_in_throttles", time.Hour + time.Minute + day, func(f *fixture) {
			policy := store.ThrottlePolicy{Free: 5, Base: time.Second, Max: time.Minute, Window: time.Hour}
			_, _, err := f.ReserveAttempt(f.Context(), "ada", policy, noon)
			require.NoError(f, err)
		}},
		{"authorization_requests", 2*time.Hour + day, func(f *fixture) {
			r := &store.AuthorizationRequest{ID: "request", ClientID: "crm-web", CreatedAt: noon, ExpiresAt: noon.Add(2 * time.Hour)}
			require.NoError(f, f.CreateAuthorizationRequest(f.Context(), r))
		}},
		{"signing_keys", 3*time.Hour + day, func(f *fixture) {
			k, expires := f.key("ES256", "a", true), noon.Add(3*time.Hour)
			k.RetiredAt, k.ExpiresAt = &k.CreatedAt, &expires
			require.NoError(f, f.CreateSigningKey(f.Context(), k))
		}},
		{"client_secrets", 4*time.Hour + day, func(f *fixture) {
			expires := noon.Add(4 * time.Hour)
			secret := &store.ClientSecret{ID: "1", ClientID: "crm-web", Hash: []byte("x"), CreatedAt: noon, ExpiresAt: &expires}
			require.NoError(f, f.DB(f.Context()).Create(secret).Error)
		}},
		{"revocations", store.MaxAccessTokenLifetime + day, func(f *fixture) {
			require.NoError(f, f.RevokeToken(f.Context(), "jti"))
		}},
		{"idempotency_keys", day + time.Hour + day, func(f *fixture) {
			f.forward(time.Hour)
			_, _, err := f.Once(f.Context(), store.IdempotentRequest{Actor: "a", Key: "k", Hash: []byte("h")}, answering("{}"))
			require.NoError(f, err)
		}},
		{"sessions", 2*time.Hour + 30*day, func(*fixture) {}},
		{"invitations", 3*time.Hour + 30*day, func(f *fixture) {
			f.invite(f.organization("acme"), "carl@example.com", 2*time.Hour)
		}},
		{"grants", time.Hour + 30*day + day, func(f *fixture) { f.grant(f.ada, "crm-web") }},
		{"consumption_reservations", 2*time.Hour + 31*day, func(f *fixture) {
			r := &store.ConsumptionReservation{ID: "r", ApplicationID: f.crm.ID, State: store.ReservationOpen, CreatedAt: noon, ExpiresAt: noon.Add(2*time.Hour + day)}
			require.NoError(f, f.CreateReservation(f.Context(), r))
		}},
		{"daily_statistics", 400*day + 12*time.Hour - time.Microsecond, func(f *fixture) {
			exec(f.T, f.Store, "INSERT INTO daily_statistics VALUES ('2026-11-23', '', 'sign_ins', 1)")
		}},
		{"monthly_statistics", 407*day + 12*time.Hour - time.Microsecond, func(f *fixture) {
			exec(f.T, f.Store, "INSERT INTO monthly_statistics VALUES ('2026-11', 'crm', 'tokens', 1)")
		}},
	}
	installed(t, func(f *fixture) {
		for _, kind := range kinds {
			kind.insert(f)
		}
		for _, kind := range kinds { // the first to go comes first
			f.now.Store(int64(kind.kept))
			require.NoError(f, f.Reap(f.Context(), store.Retention{}))
			require.EqualValues(f, 1, f.rows(kind.table), "%s are still needed", kind.table)
			f.forward(time.Microsecond)
			require.NoError(f, f.Reap(f.Context(), store.Retention{}))
			require.Zero(f, f.rows(kind.table), kind.table)
		}
		require.EqualValues(f, 2, f.rows("users"))
		require.EqualValues(f, 2, f.rows("clients"))
	})
}

// What ended early is history for a month, then goes, although its lifetime would be longer.
func TestReapWhatEndedEarly(t *testing.T) {
	installed(t, func(f *fixture) {
		long := func(g *store.Grant) { g.IdleExpiresAt, g.ExpiresAt = noon.Add(90*day), noon.Add(90*day) }
		ended, live := f.grant(f.ada, "crm-web", offline, long), f.grant(f.ada, "hr-web", offline, long)
		other := browserSession(f.T, f.Store, f.ada.ID, "other")
		for _, id := range []string{f.hers.ID, other.ID} {
			exec(f.T, f.Store, "UPDATE sessions SET idle_expires_at = ?, expires_at = ? WHERE id = ?", noon.Add(90*day), noon.Add(90*day), id)
		}
		require.NoError(f, f.RevokeGrant(f.Context(), ended.ID, store.ReasonRevoked, store.AuditEvent{}))
		require.NoError(f, f.EndSession(f.Context(), f.ada.ID, f.hers.ID, store.ReasonSignedOut, noon))
		f.forward(30 * day)
		require.NoError(f, f.Reap(f.Context(), store.Retention{}))
		require.EqualValues(f, 2, f.rows("grants"))
		require.EqualValues(f, 2, f.rows("sessions"))
		f.forward(time.Microsecond)
		require.NoError(f, f.Reap(f.Context(), store.Retention{}))
		require.EqualValues(f, 1, f.rows("grants"))
		require.EqualValues(f, 1, f.rows("sessions"))
		_, err := f.GrantByID(f.Context(), live.ID)
		require.NoError(f, err)
		_, err = f.SessionBySecret(f.Context(), other.SecretHash, f.at())
		require.NoError(f, err)
	})
}

// Keys and secrets without an end stay, however old they are.
func TestReapSparesWhatHasNoEnd(t *testing.T) {
	installed(t, func(f *fixture) {
		require.NoError(f, f.CreateSigningKey(f.Context(), f.key("ES256", "a", true)))
		require.NoError(f, f.CreateSigningKey(f.Context(), f.key("ES256", "b", false)))
		_, err := f.RotateClientSecret(f.Context(), "crm-web", &store.ClientSecret{Hash: []byte("x")}, 0)
		require.NoError(f, err)
		require.NoError(f, f.SaveConsent(f.Context(), f.ada.ID, "crm-web", []string{"openid"}))
		require.NoError(f, f.Audit(f.Context(), store.AuditEvent{ActorType: store.ActorUser, ActorID: f.ada.ID, Action: "x"}))
		f.forward(3650 * day)
		require.NoError(f, f.Reap(f.Context(), store.Retention{}))
		for table, n := range map[string]int64{"signing_keys": 2, "client_secrets": 1, "consents": 1, "audit_events": 1, "users": 2, "clients": 2, "applications": 2} {
			require.Equal(f, n, f.rows(table), table)
		}
	})
}

// More rows than a batch, and several replicas at it: all go, and nobody fails.
func TestReapByManyReplicas(t *testing.T) {
	installed(t, func(f *fixture) {
		codes := make([]store.AuthorizationCode, 1201)
		for i := range codes {
			codes[i] = store.AuthorizationCode{Signature: []byte{byte(i >> 8), byte(i)}, Scopes: []string{}, Audiences: []string{}, AMR: []string{},
				AuthTime: noon, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute)}
		}
		require.NoError(f, f.DB(f.Context()).Omit("User", "Session").CreateInBatches(codes, 400).Error)
		f.forward(2 * day)
		f.code("fresh")
		for _, err := range together(4, func(int) error { return f.Reap(f.Context(), store.Retention{}) }) {
			require.NoError(f, err)
		}
		require.EqualValues(f, 1, f.rows("authorization_codes"))
	})
}

// Each deletion is bounded, so that it holds its locks for a moment only.
func TestReapInBatches(t *testing.T) {
	installed(t, func(f *fixture) {
		for _, id := range []string{"1", "2", "3"} {
			require.NoError(f, f.RevokeToken(f.Context(), id))
		}
		f.forward(3 * day)
		for _, want := range []int64{2, 1, 0} {
			n, err := f.PurgeRevocations(f.Context(), f.at(), 2)
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		ctx, calls := storetest.Trace(f.Context())
		require.NoError(f, f.Reap(ctx, store.Retention{}))
		require.Len(f, calls.List(), 15*3+1, "one transaction of one statement per kind when there is nothing to do, and a look for usage")
	})
}
