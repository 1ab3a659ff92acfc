package admin_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

// person creates somebody. Their address begins with the id.
func (s *server) person(id, role string) {
	s.t.Helper()
	now := time.Now().UTC()
	require.NoError(s.t, s.store.CreateUser(s.t.Context(), &store.User{ID: id, Email: id + "@example.com", Name: id, Role: role, CreatedAt: now, UpdatedAt: now}))
}

// session signs somebody in, in one more browser.
func (s *server) session(userID string) string {
	s.t.Helper()
	now := time.Now().UTC()
	ses := &store.Session{
		ID: store.NewID(), UserID: userID, AMR: []string{"pwd"}, ACR: "1", UserAgent: "Firefox", IP: "192.0.2.1", AuthTime: now,
		CreatedAt: now, LastSeenAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
	}
	ses.SecretHash = store.HashSecret(ses.ID)
	require.NoError(s.t, s.store.CreateSession(s.t.Context(), ses))
	return ses.ID
}

func (s *server) signedIn(userID string) int {
	s.t.Helper()
	rows, err := s.store.UserSessions(s.t.Context(), userID, time.Now().UTC())
	require.NoError(s.t, err)
	return len(rows)
}

func (s *server) user(id string) *store.User {
	s.t.Helper()
	u, err := s.store.UserByID(s.t.Context(), id)
	require.NoError(s.t, err)
	return u
}

func (s *server) trail(userID string) []store.AuditEvent {
	s.t.Helper()
	events, err := s.store.AuditTrail(s.t.Context(), "user", userID, 20)
	require.NoError(s.t, err)
	return events
}

func (s *server) emails(query string) (emails []string, next string, total float64) {
	s.t.Helper()
	a := s.call("GET", "/users?"+query, "").is(200)
	for _, item := range a.body["items"].([]any) {
		name, _, _ := strings.Cut(item.(map[string]any)["email"].(string), "@")
		emails = append(emails, name)
	}
	next, _ = a.body["nextCursor"].(string)
	return emails, next, a.body["total"].(float64)
}

func TestCreateUser(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		a := srv.call("POST", "/users", `{"name":" Ada ","email":"Ada@Example.com","password":"correct horse battery"}`).is(201)
		id := a.text("id")
		assert.Equal(t, map[string]any{
			"id": id, "name": "Ada", "email": "ada@example.com", "emailVerified": false, "image": nil, "role": "user", "disabled": false,
			"disabledReason": nil, "disabledUntil": nil, "createdAt": a.text("createdAt"), "updatedAt": a.text("updatedAt"),
		}, a.body, "and nothing about the password")
		assert.Equal(t, a.body, srv.call("GET", "/users/"+id, "").is(200).body)
		assert.True(t, strings.HasPrefix(srv.user(id).PasswordHash, "$argon2id$"))
		events := srv.trail(id)
		require.Len(t, events, 1)
		assert.Equal(t, []string{"user.create", "user", "alice"}, []string{events[0].Action, events[0].ActorType, events[0].ActorID})
		assert.Equal(t, store.Change{After: "ada@example.com"}, events[0].Changes["email"])
		assert.NotContains(t, fmt.Sprint(events), "correct horse")
		assert.NotContains(t, fmt.Sprint(events), "argon2")

		none := srv.call("POST", "/users", `{"name":"B","email":"b@example.com"}`, bearer("machine")).is(201).text("id")
		assert.Empty(t, srv.user(none).PasswordHash)
		assert.Equal(t, store.ActorClient, srv.trail(none)[0].ActorType)
		assert.NotEmpty(t, srv.call("POST", "/users", `{"name":"B","email":"B@EXAMPLE.com"}`).is(409, "EMAIL_TAKEN").errors()["email"])

		for body, code := range map[string]string{
			`{"name":"C","email":"c@example.com","password":""}`:        "PASSWORD_TOO_SHORT",
			`{"name":"C","email":"c@example.com","password":"short"}`:   "PASSWORD_TOO_SHORT",
			`{"name":"C","email":"c"}`:                                  "INVALID_EMAIL",
			`{"name":"C\u0000","email":"c@example.com"}`:                "VALIDATION_ERROR",
			`{"name":" ","email":"c@example.com"}`:                      "VALIDATION_ERROR",
			`{"email":"c@example.com"}`:                                 "VALIDATION_ERROR",
			`{"name":"C","email":"c@example.com","role":"owner"}`:       "VALIDATION_ERROR",
			`{"name":"C","email":"c@example.com","password":1}`:         "VALIDATION_ERROR",
			`{"name":"C","email":"c@example.com","id":"root"}`:          "VALIDATION_ERROR", // mass assignment
			`{"name":"C","email":"c@example.com","passwordHash":"x"}`:   "VALIDATION_ERROR",
			`{"name":"C","email":"c@example.com","emailVerified":true}`: "VALIDATION_ERROR",
		} {
			srv.call("POST", "/users", body).is(400, code)
		}
	})
}

// The request's fingerprint is kept for a day: a password in it could be guessed at the speed of SHA-256.
func TestCreateUserOnce(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		const ada = `{"name":"Ada","email":"ada@example.com","password":"%s"}`
		first := srv.call("POST", "/users", fmt.Sprintf(ada, "correct horse"), header{"Idempotency-Key": "k"}).is(201)
		again := srv.call("POST", "/users", fmt.Sprintf(ada, "battery staple"), header{"Idempotency-Key": "k"}).is(201)
		assert.Equal(t, first.body, again.body)
		assert.Equal(t, "true", again.Header().Get("Idempotent-Replayed"))
		srv.call("POST", "/users", `{"name":"B","email":"b@example.com"}`, header{"Idempotency-Key": "k"}).is(422, "IDEMPOTENCY_KEY_REUSED")
		for range 2 {
			a := srv.call("POST", "/users/ulla/disable", `{"reason":"left"}`, header{"Idempotency-Key": "d"}).is(200)
			assert.Equal(t, true, a.body["disabled"])
		}
		assert.Len(t, srv.trail("ulla"), 1)
	})
}

func TestUpdateUser(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		g, ses := srv.grant(clientID, "ulla"), srv.session("ulla")
		a := srv.call("PATCH", "/users/ulla", `{"name":" Ulla U ","image":"https://a.example/u.png","emailVerified":true}`).is(200)
		assert.Equal(t, []any{"Ulla U", "https://a.example/u.png", true}, []any{a.body["name"], a.body["image"], a.body["emailVerified"]})
		assert.Equal(t, 1, srv.signedIn("ulla"), ses)
		assert.Equal(t, map[string]store.Change{
			"name": {Before: "ulla", After: "Ulla U"}, "image": {After: "https://a.example/u.png"}, "emailVerified": {Before: false, After: true},
		}, srv.trail("ulla")[0].Changes)
		srv.call("PATCH", "/users/ulla", `{"name":"Ulla U","email":"ULLA@example.com"}`).is(200)
		assert.Len(t, srv.trail("ulla"), 1, "a change of nothing is recorded")
		assert.True(t, srv.user("ulla").EmailVerified)
		assert.Nil(t, srv.call("PATCH", "/users", `{"id":"ulla","image":null}`).is(200).body["image"])

		// Whoever holds a session or a token proved to own the former address.
		a = srv.call("PATCH", "/users", `{"id":"ulla","email":"New@example.com"}`).is(200)
		assert.Equal(t, []any{"new@example.com", false}, []any{a.body["email"], a.body["emailVerified"]})
		assert.Zero(t, srv.signedIn("ulla"))
		assert.True(t, srv.revoked(store.RevokedUser, "ulla"))
		ended, err := srv.store.GrantByID(t.Context(), g.ID)
		require.NoError(t, err)
		assert.Equal(t, store.ReasonEmailChanged, ended.RevokeReason)
		assert.Equal(t, store.Change{Before: "ulla@example.com", After: "new@example.com"}, srv.trail("ulla")[0].Changes["email"])
		assert.Equal(t, true, srv.call("PATCH", "/users/ulla", `{"email":"newer@example.com","emailVerified":true}`).is(200).body["emailVerified"])

		srv.session("ulla")
		srv.call("PATCH", "/users/ulla", `{"email":"alice@example.com"}`).is(409, "EMAIL_TAKEN")
		assert.Equal(t, 1, srv.signedIn("ulla"), "a refused change signed out")
		srv.call("PATCH", "/users/nobody", `{"name":"X"}`).is(404, "NOT_FOUND")
		srv.call("PATCH", "/users", `{"name":"X"}`).is(400, "VALIDATION_ERROR")
		srv.call("PATCH", "/users", `{"id":"a\u0000","name":"X"}`).is(404, "NOT_FOUND")
		for _, body := range []string{
			`{"name":null}`, `{"email":null}`, `{"role":null}`, `{"emailVerified":null}`, `{"name":""}`, `{"image":"javascript:alert(1)"}`,
			`{"role":"owner"}`, `{"id":"root"}`, `{"passwordHash":"x"}`, `{"disabled":true}`, `{"createdAt":"2020-01-01T00:00:00Z"}`,
		} {
			srv.call("PATCH", "/users/ulla", body).is(400, "VALIDATION_ERROR")
		}
	})
}

func TestSetRoleEndsSessionsAndGrants(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		g := srv.grant(clientID, "ulla")
		srv.session("ulla")
		assert.Equal(t, "admin", srv.call("PATCH", "/users/ulla", `{"role":"admin"}`, asRoot).is(200).body["role"])
		assert.Zero(t, srv.signedIn("ulla"))
		assert.True(t, srv.revoked(store.RevokedUser, "ulla"))
		ended, err := srv.store.GrantByID(t.Context(), g.ID)
		require.NoError(t, err)
		assert.Equal(t, store.ReasonRoleChanged, ended.RevokeReason)
		event := srv.trail("ulla")[0]
		assert.Equal(t, "user.set_role", event.Action)
		assert.Equal(t, map[string]store.Change{"role": {Before: "user", After: "admin"}}, event.Changes)
	})
}

// Privilege escalation: whatever is below a superadmin, a machine with the scope admin included, neither climbs nor
// pulls anybody down, by any route.
func TestUserLadder(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.person("bert", store.RoleAdmin)
		srv.person("rita", store.RoleSuperadmin)
		rows := func() (all []store.User) {
			for _, id := range []string{"root", "rita", "alice", "bert", "ulla"} {
				all = append(all, *srv.user(id))
			}
			return all
		}
		before, session := rows(), map[string]string{}
		for _, id := range []string{"bert", "rita", "alice"} {
			session[id] = srv.session(id)
		}
		for name, h := range map[string]header{"admin": {}, "machine": bearer("machine"), "token of an admin": bearer("delegated")} {
			t.Run(name, func(t *testing.T) {
				srv.t = t
				for _, role := range []string{"admin", "superadmin"} {
					srv.call("POST", "/users", `{"name":"X","email":"x@example.com","role":"`+role+`"}`, h).is(403, "SUPERADMIN_REQUIRED")
					srv.call("PATCH", "/users/ulla", `{"role":"`+role+`"}`, h).is(403, "SUPERADMIN_REQUIRED")
					srv.call("PATCH", "/users", `{"id":"ulla","role":"`+role+`"}`, h).is(403, "SUPERADMIN_REQUIRED")
					srv.call("PATCH", "/users/alice", `{"role":"`+role+`"}`, h).is(403, "SUPERADMIN_REQUIRED")
				}
				for _, id := range []string{"bert", "rita"} {
					for _, write := range []struct{ method, path, body string }{
						{"PATCH", "", `{"role":"user"}`},
						{"PATCH", "", `{"email":"mine@example.com"}`}, // and then a password reset
						{"PATCH", "", `{"name":"X"}`},
						{"POST", "/disable", ``},
						{"POST", "/enable", ``},
						{"DELETE", "/sessions", ``},
						{"DELETE", "/sessions/" + session[id], ``},
						{"DELETE", "", ``},
					} {
						srv.call(write.method, "/users/"+id+write.path, write.body, h).is(403, "SUPERADMIN_REQUIRED")
					}
					srv.call("PATCH", "/users", `{"id":"`+id+`","name":"X"}`, h).is(403, "SUPERADMIN_REQUIRED")
				}
			})
		}
		srv.t = t
		assert.Equal(t, before, rows())
		assert.Equal(t, 1, srv.signedIn("bert"))
		assert.Empty(t, srv.trail("bert"))
		_, _, total := srv.emails("")
		assert.Equal(t, 5.0, total)

		srv.call("PATCH", "/users/ulla", `{"role":"superadmin"}`, asRoot).is(200)
		srv.call("PATCH", "/users/bert", `{"role":"user"}`, bearer("delegated-root")).is(200)
		srv.call("PATCH", "/users/rita", `{"email":"r@example.com"}`, asRoot).is(200)
		srv.call("DELETE", "/users/alice/sessions", "", asRoot).is(204)
		srv.call("DELETE", "/users/alice", "", asRoot).is(204)
		srv.call("POST", "/users", `{"name":"X","email":"x@example.com","role":"admin"}`, asRoot).is(201)
	})
}

func TestLastSuperadmin(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.person("rita", store.RoleSuperadmin)
		srv.call("POST", "/users/root/disable", "", asRoot).is(409, "CANNOT_DISABLE_SELF")
		srv.call("POST", "/users/alice/disable", "").is(409, "CANNOT_DISABLE_SELF")
		srv.call("POST", "/users/rita/disable", "", asRoot).is(200)
		// A disabled one cannot act, so root is the last.
		srv.session("root")
		srv.call("PATCH", "/users/root", `{"role":"admin"}`, asRoot).is(409, "LAST_SUPERADMIN")
		srv.call("DELETE", "/users/root", "", asRoot).is(409, "LAST_SUPERADMIN")
		assert.Equal(t, 1, srv.signedIn("root"))
		assert.False(t, srv.revoked(store.RevokedUser, "root"), "a refused deletion revoked")
		srv.call("POST", "/users/rita/enable", "", asRoot).is(200)
		srv.call("DELETE", "/users/root", "", asRoot).is(204)
		srv.call("PATCH", "/users/rita", `{"role":"user"}`, header{"Cookie": "who=rita"}).is(409, "LAST_SUPERADMIN")
	})
}

// Two superadmins who remove each other in the same moment change different rows: one of them must stay, whatever the two
// requests are.
func TestLastSuperadminStaysWhenTwoRemoveEachOther(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		before := []string{"root"}
		removals := []func(by, id string) *answer{
			func(by, id string) *answer {
				return srv.call("PATCH", "/users/"+id, `{"role":"user"}`, header{"Cookie": "who=" + by})
			},
			func(by, id string) *answer {
				return srv.call("POST", "/users/"+id+"/disable", ``, header{"Cookie": "who=" + by})
			},
			func(by, id string) *answer {
				return srv.call("DELETE", "/users/"+id, ``, header{"Cookie": "who=" + by})
			},
		}
		for round := range 12 {
			a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
			srv.person(a, store.RoleSuperadmin)
			srv.person(b, store.RoleSuperadmin)
			for _, id := range before { // so that this round's two are the only ones
				if err := srv.store.DeleteUser(t.Context(), id, time.Now().UTC()); err != nil {
					require.ErrorIs(t, err, store.ErrNotFound)
				}
			}
			before = []string{a, b}
			codes, start := make([]int, 2), make(chan struct{})
			var wg sync.WaitGroup
			for i, pair := range [][2]string{{a, b}, {b, a}} {
				wg.Go(func() {
					<-start
					codes[i] = removals[(round+i*(round/3))%3](pair[0], pair[1]).Code
				})
			}
			close(start)
			wg.Wait()
			done := slices.DeleteFunc(slices.Clone(codes), func(code int) bool { return code >= 300 })
			assert.Len(t, done, 1, "round %d: %v", round, codes)
			left := 0
			for _, id := range []string{a, b} {
				u, err := srv.store.UserByID(t.Context(), id)
				if err == nil && u.Role == store.RoleSuperadmin && !u.Disabled(time.Now()) {
					left++
				}
			}
			assert.Equal(t, 1, left)
		}
	})
}

func TestDisableUser(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		g := srv.grant(clientID, "ulla")
		srv.session("ulla")
		a := srv.call("POST", "/users/ulla/disable", `{"reason":"abuse","expiresIn":3600}`).is(200)
		assert.Equal(t, []any{true, "abuse"}, []any{a.body["disabled"], a.body["disabledReason"]})
		until, err := time.Parse(time.RFC3339, a.text("disabledUntil"))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(time.Hour), until, time.Minute)
		assert.Zero(t, srv.signedIn("ulla"))
		assert.True(t, srv.revoked(store.RevokedUser, "ulla"))
		ended, err := srv.store.GrantByID(t.Context(), g.ID)
		require.NoError(t, err)
		assert.Equal(t, store.ReasonUserDisabled, ended.RevokeReason)
		changed := srv.trail("ulla")[0].Changes
		assert.Equal(t, store.Change{Before: false, After: true}, changed["disabled"])
		assert.Equal(t, store.Change{After: "abuse"}, changed["disabledReason"])

		assert.Nil(t, srv.call("POST", "/users/ulla/disable", "").is(200).body["disabledUntil"], "for good now")
		assert.Equal(t, false, srv.call("POST", "/users/ulla/enable", "").is(200).body["disabled"])
		assert.Equal(t, "user.enable", srv.trail("ulla")[0].Action)
		srv.call("POST", "/users/ulla/enable", "").is(200)
		assert.Len(t, srv.trail("ulla"), 3, "enabling who is enabled is recorded")
		assert.Zero(t, srv.signedIn("ulla"), "what ended stays ended")

		for _, body := range []string{`{"expiresIn":0}`, `{"expiresIn":-1}`, `{"expiresIn":315360001}`, `{"reason":"\u0000"}`, `{"until":1}`} {
			srv.call("POST", "/users/ulla/disable", body).is(400, "VALIDATION_ERROR")
		}
		for _, verb := range []string{"disable", "enable"} {
			srv.call("POST", "/users/nobody/"+verb, "").is(404, "NOT_FOUND")
			srv.call("POST", "/users/a%00b/"+verb, "").is(404, "NOT_FOUND")
		}
	})
}

func TestDeleteUser(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		srv.grant(clientID, "ulla")
		srv.session("ulla")
		srv.call("DELETE", "/users/ulla", "").is(204)
		srv.call("GET", "/users/ulla", "").is(404, "NOT_FOUND")
		srv.call("DELETE", "/users/ulla", "").is(404, "NOT_FOUND")
		assert.Zero(t, srv.signedIn("ulla"))
		assert.True(t, srv.revoked(store.RevokedUser, "ulla"), "access tokens of the person live on")
		event := srv.trail("ulla")[0]
		assert.Equal(t, "user.delete", event.Action)
		assert.Equal(t, store.Change{Before: "ulla@example.com"}, event.Changes["email"])
	})
}

func TestUserSessions(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, clientID := srv.create(webApplication)
		one, two, others := srv.session("ulla"), srv.session("ulla"), srv.session("alice")
		bound := srv.grant(clientID, "ulla")
		bound.ID, bound.SessionID, bound.Offline = store.NewID(), one, false
		require.NoError(t, srv.store.CreateGrant(t.Context(), bound))

		a := srv.call("GET", "/users/ulla/sessions", "").is(200)
		assert.Equal(t, 2.0, a.body["total"])
		item := a.body["items"].([]any)[1].(map[string]any)
		assert.Equal(t, []any{one, "192.0.2.1", "Firefox", "1", []any{"pwd"}}, []any{item["id"], item["ipAddress"], item["userAgent"], item["acr"], item["amr"]})
		assert.NotContains(t, a.Body.String(), base64.StdEncoding.EncodeToString(store.HashSecret(one)))

		// One person's path must not end another's session.
		srv.call("DELETE", "/users/ulla/sessions/"+others, "").is(404, "NOT_FOUND")
		assert.Equal(t, 1, srv.signedIn("alice"))
		srv.call("DELETE", "/users/ulla/sessions/"+one, "").is(204)
		srv.call("DELETE", "/users/ulla/sessions/"+one, "").is(404, "NOT_FOUND")
		assert.Equal(t, 1, srv.signedIn("ulla"))
		ended, err := srv.store.GrantByID(t.Context(), bound.ID)
		require.NoError(t, err)
		assert.Equal(t, store.ReasonSignedOut, ended.RevokeReason)
		events, err := srv.store.AuditTrail(t.Context(), "session", one, 5)
		require.NoError(t, err)
		require.Len(t, events, 1)
		assert.Equal(t, []string{"session.end", "alice"}, []string{events[0].Action, events[0].ActorID})

		srv.call("DELETE", "/users/ulla/sessions", "").is(204)
		assert.Zero(t, srv.signedIn("ulla"), two)
		assert.Equal(t, "session.end_all", srv.trail("ulla")[0].Action)
		srv.call("DELETE", "/users/ulla/sessions", "").is(204)
		for _, path := range []string{"/users/nobody/sessions", "/users/a%00b/sessions"} {
			srv.call("GET", path, "").is(404, "NOT_FOUND")
			srv.call("DELETE", path, "").is(404, "NOT_FOUND")
			srv.call("DELETE", path+"/x", "").is(404, "NOT_FOUND")
		}
		srv.call("DELETE", "/users/ulla/sessions/a%00b", "").is(404, "NOT_FOUND")
	})
}

// Every order, walked page by page, shows each person once, in that order, also where the values are equal.
func TestUserPaging(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		start := time.Now().UTC().Truncate(time.Second).Add(time.Hour)
		for i, who := range []struct{ id, email, name string }{
			{"1", "c", "Zed"}, {"2", "a", "bob"}, {"3", "b", "Bob"}, {"4", "e-e", "élan"}, {"5", "ea", "Adam"},
		} {
			at := start.Add(time.Duration(i/2) * time.Microsecond) // two in one instant
			require.NoError(t, srv.store.CreateUser(t.Context(), &store.User{
				ID: who.id, Email: who.email + "@example.com", Name: who.name, Role: store.RoleUser, CreatedAt: at, UpdatedAt: at,
			}))
		}
		for _, tt := range []struct {
			sort string
			want []string
		}{
			{"", []string{"ea", "e-e", "b", "a", "c"}},
			{"createdAt", []string{"c", "a", "b", "e-e", "ea"}},
			{"email", []string{"a", "b", "c", "e-e", "ea"}},
			{"-email", []string{"ea", "e-e", "c", "b", "a"}},
			{"name", []string{"ea", "a", "b", "c", "e-e"}}, // by bytes on both engines, whatever the locale; case folded
			{"-name", []string{"e-e", "c", "b", "a", "ea"}},
		} {
			for _, limit := range []int{1, 2, 4, 200} {
				query := url.Values{"limit": {fmt.Sprint(limit)}}
				if tt.sort != "" {
					query.Set("sort", tt.sort)
				}
				var got []string
				for pages := 0; ; pages++ {
					require.Less(t, pages, 10)
					emails, next, total := srv.emails(query.Encode())
					assert.Equal(t, 8.0, total)
					for _, email := range emails {
						if !slices.Contains([]string{"alice", "root", "ulla"}, email) {
							got = append(got, email)
						}
					}
					if next == "" {
						break
					}
					query.Set("cursor", next)
				}
				assert.Equal(t, tt.want, got, "%s by %d", tt.sort, limit)
			}
		}
	})
}

func TestUserSearch(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		past, future, now := time.Now().Add(-time.Hour).UTC(), time.Now().Add(time.Hour).UTC(), time.Now().UTC()
		for _, u := range []store.User{
			{ID: "id-1", Email: "zoe.100%@example.com", Name: "Ada Lovelace", DisabledAt: &now},
			{ID: "id-2", Email: "adam@example.com", Name: "Éva", DisabledAt: &now, DisabledUntil: &future},
			{ID: "id-3", Email: "badam@example.com", Name: "ADA B", DisabledAt: &past, DisabledUntil: &past},
		} {
			u.Role, u.CreatedAt, u.UpdatedAt = store.RoleUser, now, now
			require.NoError(t, srv.store.CreateUser(t.Context(), &u))
		}
		for _, tt := range []struct {
			query string
			want  []string
		}{
			{"search=ada", []string{"adam", "badam", "zoe.100%"}},
			{"search=+ADA", []string{"adam", "badam", "zoe.100%"}},
			{"search=adam%40", []string{"adam"}},
			{"search=Lovelace", nil}, // a beginning, not a part
			{"search=id-2", []string{"adam"}},
			{"search=" + url.QueryEscape("Év"), []string{"adam"}},
			// Taken literally: neither wildcards nor SQL.
			{"search=" + url.QueryEscape("zoe.100%"), []string{"zoe.100%"}},
			{"search=" + url.QueryEscape("%"), nil},
			{"search=" + url.QueryEscape("a_am"), nil},
			{"search=" + url.QueryEscape("' OR 1=1 --"), nil},
			{"role=user&disabled=true", []string{"adam", "zoe.100%"}},
			{"disabled=true", []string{"adam", "zoe.100%"}},
			{"disabled=false", []string{"alice", "badam", "root", "ulla"}},
			{"role=admin", []string{"alice"}},
			{"role=superadmin", []string{"root"}},
			{"role=superadmin&disabled=true", nil},
			{"search=ada&disabled=false", []string{"badam"}},
		} {
			emails, next, total := srv.emails(tt.query + "&sort=email")
			assert.Equal(t, tt.want, emails, tt.query)
			assert.Empty(t, next)
			assert.EqualValues(t, len(tt.want), total, tt.query)
		}
	})
}

func TestBadUserListParameters(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		_, good, _ := srv.emails("limit=1&sort=email")
		encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		for query, field := range map[string]string{
			"limit=0": "query.limit", "limit=201": "query.limit", "sort=role": "query.sort", "sort=password_hash": "query.sort", "role=owner": "query.role",
			"disabled=maybe": "query.disabled", "search=a%00b": "query.search", "search=%ff": "query.search",
			"sort=name&cursor=" + good: "query.cursor", // made for another order
			"sort=email&cursor=" + encode(`{"s":"email","v":"a\u0000","i":"x"}`): "query.cursor",
			"cursor=" + encode(`{"s":"-createdAt","v":"a","i":"x"}`):             "query.cursor",
		} {
			assert.NotEmpty(t, srv.call("GET", "/users?"+query, "").is(400, "VALIDATION_ERROR").errors()[field], query)
		}
		emails, next, total := srv.emails("sort=email&cursor=" + encode(`{"s":"email","v":"zzz","i":""}`))
		assert.Empty(t, emails)
		assert.Empty(t, next)
		assert.Equal(t, 3.0, total, "also when the page is empty")
	})
}

// The number of statements must not depend on the number of rows.
func TestUserStoreCalls(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		for i := range 7 {
			srv.person(fmt.Sprintf("u%d", i), store.RoleUser)
			srv.session("ulla")
		}
		const session = "R users" // stands for that of account.Sessions
		for _, tt := range []struct {
			method, path, body string
			want               []string
		}{
			{"GET", "/users", "", []string{session, "R users"}},
			{"GET", "/users?search=u&role=user&disabled=false&sort=name&limit=3", "", []string{session, "R users"}},
			{"GET", "/users/ulla", "", []string{session, "R users"}},
			{"GET", "/users/ulla/sessions", "", []string{session, "R users", "R sessions"}},
			{"POST", "/users", `{"name":"N","email":"n@example.com"}`, []string{session, "BEGIN", "W users", "W audit_events", "COMMIT"}},
			{"PATCH", "/users/u0", `{"name":"N"}`, []string{session, "BEGIN", "R users", "W users", "W audit_events", "COMMIT"}},
			{"PATCH", "/users/u0", `{"name":"N"}`, []string{session, "BEGIN", "R users", "COMMIT"}},
			{"PATCH", "/users/ulla", `{"email":"e@example.com"}`, []string{session, "BEGIN", "R users", "W users", "W sessions", "W grants", "W revocations", "W audit_events", "COMMIT"}},
			{"POST", "/users/u1/disable", ``, []string{session, "BEGIN", "R users", "R users", "W users", "W sessions", "W grants", "W revocations", "W audit_events", "R users", "COMMIT"}},
			{"DELETE", "/users/u2", ``, []string{session, "BEGIN", "R users", "R organizations", "W sessions", "W grants", "W revocations", "R users", "W users", "W audit_events", "COMMIT"}},
		} {
			ctx, calls := storetest.Trace(t.Context())
			a := srv.callWith(ctx, tt.method, tt.path, tt.body)
			require.Less(t, a.Code, 300, a.Body)
			assert.Equal(t, tt.want, calls.List(), tt.method+" "+tt.path)
		}
	})
}
