package admin_test

import (
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

// permission adds one to an application.
func (s *server) permission(application string, keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		s.call("POST", "/applications/"+application+"/permissions", fmt.Sprintf(`{"key":%q}`, key)).is(201)
	}
}

// keys returns a page of a list of things with keys.
func (s *server) keys(path string) (keys []string, next string, total float64) {
	s.t.Helper()
	a := s.call("GET", path, "").is(200)
	for _, item := range a.body["items"].([]any) {
		keys = append(keys, item.(map[string]any)["key"].(string))
	}
	next, _ = a.body["nextCursor"].(string)
	return keys, next, a.body["total"].(float64)
}

func TestPermissions(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, clientID := srv.create(webApplication)
		a := srv.call("POST", "/applications/"+clientID+"/permissions", `{"key":"invoice:read","name":" Read invoices ","description":"All of them."}`).is(201)
		assert.Equal(t, []any{id, "invoice:read", "Read invoices", "All of them."}, []any{a.body["applicationId"], a.body["key"], a.body["name"], a.body["description"]})
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, a.text("createdAt"))
		assert.Equal(t, a.body, srv.call("GET", "/applications/crm/permissions/invoice:read", "").is(200).body)

		plain := srv.call("POST", "/applications/crm/permissions", `{"key":"a_b.c-d","name":null,"description":null}`).is(201)
		assert.Equal(t, []any{"a_b.c-d", nil}, []any{plain.body["name"], plain.body["description"]}, "called like its key")

		patched := srv.call("PATCH", "/applications/crm/permissions/invoice:read", `{"description":null}`).is(200)
		assert.Equal(t, []any{"Read invoices", nil}, []any{patched.body["name"], patched.body["description"]})
		patched = srv.call("PATCH", "/applications/crm/permissions/invoice:read", `{"name":null,"description":"New"}`).is(200)
		assert.Equal(t, []any{"invoice:read", "New"}, []any{patched.body["name"], patched.body["description"]})
		assert.Equal(t, patched.body, srv.call("GET", "/applications/crm/permissions/invoice:read", "").body)

		assert.NotEmpty(t, srv.call("POST", "/applications/crm/permissions", `{"key":"invoice:read"}`).is(409, "KEY_TAKEN").errors()["key"])
		srv.create(with("web", fields{"slug": "other"}))
		srv.permission("other", "invoice:read")

		keys, _, total := srv.keys("/applications/crm/permissions?sort=key")
		assert.Equal(t, []string{"a_b.c-d", "invoice:read"}, keys)
		assert.Equal(t, 2.0, total)
		srv.call("DELETE", "/applications/crm/permissions/invoice:read", "").is(204)
		srv.call("GET", "/applications/crm/permissions/invoice:read", "").is(404, "NOT_FOUND")
		srv.call("DELETE", "/applications/crm/permissions/invoice:read", "").is(404, "NOT_FOUND")
		srv.call("GET", "/applications/other/permissions/invoice:read", "").is(200)
	})
}

// A permission that is gone must not stay in roles, where one of the same key would come back to life.
func TestDeletePermissionTakesItOutOfRoles(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.permission("crm", "read", "write")
		srv.role("crm", `{"key":"editor","permissions":["write","read"]}`)
		srv.role("crm", `{"key":"author","permissions":["write"]}`)
		id := srv.call("GET", "/applications/crm/permissions/write", "").text("id")
		srv.call("DELETE", "/applications/crm/permissions/write", "").is(204)
		srv.permission("crm", "write")
		assert.Equal(t, []any{"read"}, srv.call("GET", "/applications/crm/roles/editor", "").body["permissions"])
		assert.Equal(t, []any{}, srv.call("GET", "/applications/crm/roles/author", "").body["permissions"])

		events, err := srv.store.AuditTrail(t.Context(), "permission", id, 10)
		require.NoError(t, err)
		require.Len(t, events, 2)
		assert.Equal(t, "permission.delete", events[0].Action)
		assert.Equal(t, store.Change{Before: []any{"author", "editor"}}, events[0].Changes["roles"])
	})
}

// Clients of the replaced system name what they delete in the query or in the body.
func TestDeleteInCollection(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, all := range []string{"/applications/crm/permissions", "/applications/crm/roles"} {
			for _, key := range []string{"a", "b", "c", "d"} {
				srv.call("POST", all, fmt.Sprintf(`{"key":%q}`, key)).is(201)
			}
			srv.call("DELETE", all+"?key=a", "").is(204)
			srv.call("DELETE", all, `{"key":"b"}`).is(204)
			srv.call("DELETE", all+"?key=c", `{"key":"c"}`).is(204)
			for _, wrong := range []struct{ query, body string }{{"", ""}, {"", `{}`}, {"", `{"key":""}`}, {"", `{"key":null}`}, {"?key=", ""}, {"?key=d", `{"key":"a"}`}} {
				assert.NotEmpty(t, srv.call("DELETE", all+wrong.query, wrong.body).is(400, "VALIDATION_ERROR").errors()["key"], wrong)
			}
			srv.call("DELETE", all, `{"key":"d","id":"x"}`).is(400, "VALIDATION_ERROR")
			srv.call("DELETE", all+"?key=a", "").is(404, "NOT_FOUND")
			srv.call("DELETE", all+"?key=a%00", "").is(404, "NOT_FOUND")
			keys, _, _ := srv.keys(all)
			assert.Equal(t, []string{"d"}, keys)
		}
	})
}

func TestKeyValidation(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.permission("crm", "read")
		srv.role("crm", `{"key":"editor"}`)
		for _, tt := range []struct {
			name, method, path, body string
			bad                      []string
		}{
			{"no key", "POST", "permissions", `{}`, []string{"key"}},
			{"null key", "POST", "permissions", `{"key":null}`, []string{"key"}},
			{"empty key", "POST", "permissions", `{"key":""}`, []string{"key"}},
			{"capital", "POST", "permissions", `{"key":"Read"}`, []string{"key"}},
			{"space", "POST", "permissions", `{"key":"a b"}`, []string{"key"}},
			{"newline at the end", "POST", "permissions", `{"key":"a\n"}`, []string{"key"}},
			{"colon first", "POST", "permissions", `{"key":":a"}`, []string{"key"}},
			{"slash", "POST", "roles", `{"key":"a/b"}`, []string{"key"}},
			{"not ASCII", "POST", "roles", `{"key":"é"}`, []string{"key"}},
			{"long key", "POST", "roles", `{"key":"` + strings.Repeat("a", 65) + `"}`, []string{"key"}},
			{"all at once", "POST", "permissions", `{"key":"A","name":" ","description":"\u0000"}`, []string{"key", "name", "description"}},
			{"all of a role at once", "POST", "roles", `{"key":"A","name":"` + strings.Repeat("a", 101) + `","description":"` + strings.Repeat("a", 501) + `","isDefault":"yes","permissions":["a","B","a"]}`,
				[]string{"key", "name", "description", "isDefault", "permissions[1]", "permissions[2]"}},
			{"wrong types", "POST", "roles", `{"key":"a","name":1,"permissions":"read"}`, []string{"name", "permissions"}},
			{"501 permissions", "POST", "roles", fmt.Sprintf(`{"key":"a","permissions":["%s"]}`, strings.Join(many(501, "p%d"), `","`)), []string{"permissions"}},
			{"patch", "PATCH", "permissions/read", `{"name":"","description":1}`, []string{"name", "description"}},
			{"patch of a role", "PATCH", "roles/editor", `{"name":"\t","description":"` + "\u202e" + `","isDefault":1,"permissions":["read",""]}`, []string{"name", "description", "isDefault", "permissions[1]"}},
			// Mass assignment: neither the key, which tokens carry, nor the application changes, and nobody backdates a row.
			{"more of a permission", "POST", "permissions", `{"key":"a","id":"x","applicationId":"y","createdAt":"2020-01-01T00:00:00Z","updatedAt":"2020-01-01T00:00:00Z"}`, []string{"id", "applicationId", "createdAt", "updatedAt"}},
			{"more in a patch", "PATCH", "permissions/read", `{"key":"b","id":"x","applicationId":"y","createdAt":"2020-01-01T00:00:00Z"}`, []string{"key", "id", "applicationId", "createdAt"}},
			{"more of a role", "POST", "roles", `{"key":"a","id":"x","applicationId":"y","createdAt":"2020-01-01T00:00:00Z"}`, []string{"id", "applicationId", "createdAt"}},
			{"more in a patch of a role", "PATCH", "roles/editor", `{"key":"b","id":"x","applicationId":"y","assignments":[]}`, []string{"key", "id", "applicationId", "assignments"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				srv.t = t
				a := srv.call(tt.method, "/applications/crm/"+tt.path, tt.body).is(400, "VALIDATION_ERROR")
				for _, field := range tt.bad {
					assert.NotEmpty(t, a.errors()[field], field)
				}
				assert.Len(t, a.errors(), len(tt.bad), a.errors())
			})
		}
		srv.t = t
		for _, key := range []string{"0", strings.Repeat("a", 64), "a:b_c.d-e", "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"} {
			srv.permission("crm", key)
			srv.call("GET", "/applications/crm/permissions/"+key, "").is(200)
		}
		srv.call("POST", "/applications/nothing/permissions", `{"key":"a"}`).is(404, "NOT_FOUND")
		srv.call("POST", "/applications/nothing/roles", `{"key":"a"}`).is(404, "NOT_FOUND")
	})
}

// Every order, walked page by page, shows each once, in that order and the same on both engines; nothing of another application.
func TestKeyPaging(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		srv.create(webApplication)
		srv.create(with("web", fields{"slug": "other"}))
		for _, noun := range []string{"permissions", "roles"} {
			srv.call("POST", "/applications/other/"+noun, `{"key":"foreign"}`).is(201)
			for i, body := range []string{`{"key":"b","name":"Zed"}`, `{"key":"a-a","name":"bob"}`, `{"key":"aa","name":"Bob"}`, `{"key":"a:a","name":"élan"}`, `{"key":"c","name":"Adam"}`} {
				srv.call("POST", "/applications/crm/"+noun, body).is(201)
				if i%2 == 1 {
					ticks.advance(time.Millisecond) // others are created in the same instant
				}
			}
			for _, tt := range []struct {
				sort string
				want []string
			}{
				{"", []string{"c", "a:a", "aa", "a-a", "b"}},
				{"createdAt", []string{"b", "a-a", "aa", "a:a", "c"}},
				{"key", []string{"a-a", "a:a", "aa", "b", "c"}}, // by bytes
				{"-key", []string{"c", "b", "aa", "a:a", "a-a"}},
				{"name", []string{"c", "a-a", "aa", "b", "a:a"}},
				{"-name", []string{"a:a", "b", "aa", "a-a", "c"}},
			} {
				for _, limit := range []int{1, 2, 5, 200} {
					query := url.Values{"limit": {fmt.Sprint(limit)}}
					if tt.sort != "" {
						query.Set("sort", tt.sort)
					}
					var got []string
					for pages := 0; ; pages++ {
						require.Less(t, pages, 10)
						keys, next, total := srv.keys("/applications/crm/" + noun + "?" + query.Encode())
						assert.Equal(t, 5.0, total)
						got = append(got, keys...)
						if next == "" {
							break
						}
						query.Set("cursor", next)
					}
					assert.Equal(t, tt.want, got, "%s %s by %d", noun, tt.sort, limit)
				}
			}
		}
	}, func(o *store.Options) { o.Now = ticks.now })
}

func TestKeySearch(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, noun := range []string{"permissions", "roles"} {
			for _, body := range []string{`{"key":"invoice:read","name":"Épicerie 100%"}`, `{"key":"invoice_x","name":"Write"}`, `{"key":"x"}`} {
				srv.call("POST", "/applications/crm/"+noun, body).is(201)
			}
			for search, want := range map[string][]string{
				"inv": {"invoice:read", "invoice_x"}, "INVOICE:": {"invoice:read"}, "read": nil, // a key by its beginning
				"rit": {"invoice_x"}, "PICERIE": {"invoice:read"}, "Épi": {"invoice:read"}, // a name by any part
				// Taken literally: neither wildcards nor SQL.
				"invoice_": {"invoice_x"}, "100%": {"invoice:read"}, "' OR 1=1 --": nil,
			} {
				keys, _, total := srv.keys("/applications/crm/" + noun + "?sort=key&search=" + url.QueryEscape(search))
				assert.Equal(t, want, keys, search)
				assert.EqualValues(t, len(want), total, search)
			}
			for query, field := range map[string]string{"sort=id": "query.sort", "sort=updatedAt": "query.sort", "search=a%00b": "query.search", "limit=0": "query.limit", "cursor=x": "query.cursor"} {
				assert.NotEmpty(t, srv.call("GET", "/applications/crm/"+noun+"?"+query, "").is(400, "VALIDATION_ERROR").errors()[field], query)
			}
			srv.call("GET", "/applications/nothing/"+noun, "").is(404, "NOT_FOUND")
		}
	})
}

func TestKeyLimits(t *testing.T) {
	srv := newServer(t, storetest.New(t))
	id, _ := srv.create(webApplication)
	keys := many(500, "p%03d")
	for i, key := range keys {
		if i < 499 {
			require.NoError(t, srv.store.CreatePermission(t.Context(), &store.Permission{ApplicationID: id, Key: key, Name: key}))
		}
		if i < 199 {
			require.NoError(t, srv.store.CreateRole(t.Context(), &store.Role{ApplicationID: id, Key: key, Name: key}))
		}
	}
	srv.permission("crm", "p499")
	srv.call("POST", "/applications/crm/permissions", `{"key":"more"}`).is(409, "TOO_MANY_PERMISSIONS")
	srv.role("crm", fmt.Sprintf(`{"key":"all","permissions":["%s"]}`, strings.Join(keys, `","`)))
	srv.call("POST", "/applications/crm/roles", `{"key":"more"}`).is(409, "TOO_MANY_ROLES")
	all := srv.call("GET", "/applications/crm/roles/all", "").is(200).body["permissions"].([]any)
	assert.Len(t, all, 500)
	assert.Equal(t, "p000", all[0])
}

// The same request twice adds one, and a key of another path is another request.
func TestIdempotentKeys(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(with("web", fields{"slug": "other"}))
		for _, noun := range []string{"permissions", "roles"} {
			path, body := "/applications/crm/"+noun, `{"key":"a"}`
			first := srv.call("POST", path, body, key(noun)).is(201)
			again := srv.call("POST", path, body, key(noun)).is(201)
			assert.Equal(t, first.body, again.body)
			assert.Equal(t, "true", again.Header().Get("Idempotent-Replayed"))
			srv.call("POST", path, `{"key":"b"}`, key(noun)).is(422, "IDEMPOTENCY_KEY_REUSED")
			srv.call("POST", "/applications/other/"+noun, body, key(noun)).is(422, "IDEMPOTENCY_KEY_REUSED")
			srv.call("POST", path, body, key("later")).is(409, "KEY_TAKEN")
			_, _, total := srv.keys(path)
			assert.Equal(t, 1.0, total)
		}
	})
}

// Of parallel creations of one key one wins, and parallel creations do not pass the limit.
func TestParallelKeys(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		const parallel = 8
		run := func(path string, body func(i int) string) map[int]int {
			codes := make(chan int, parallel)
			var wg sync.WaitGroup
			for i := range parallel {
				wg.Go(func() { codes <- srv.call("POST", path, body(i)).Code })
			}
			wg.Wait()
			close(codes)
			counts := map[int]int{}
			for code := range codes {
				counts[code]++
			}
			return counts
		}
		for _, path := range []string{"/applications/crm/permissions", "/applications/crm/roles"} {
			assert.Equal(t, map[int]int{201: 1, 409: parallel - 1}, run(path, func(int) string { return `{"key":"same"}` }))
		}
		for i := range 197 {
			require.NoError(t, srv.store.CreateRole(t.Context(), &store.Role{ApplicationID: id, Key: fmt.Sprint(i), Name: "any"}))
		}
		counts := run("/applications/crm/roles", func(i int) string { return fmt.Sprintf(`{"key":"r%d"}`, i) })
		assert.Equal(t, map[int]int{201: 2, 409: parallel - 2}, counts)
	})
}

func TestPermissionAudit(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		applicationID, _ := srv.create(webApplication)
		id := srv.call("POST", "/applications/crm/permissions", `{"key":"read"}`).is(201).text("id")
		srv.call("PATCH", "/applications/crm/permissions/read", `{"name":"Read","description":"All"}`).is(200)
		srv.call("PATCH", "/applications/crm/permissions/read", `{"name":"Read"}`).is(200) // changes nothing, so there is nothing to record
		srv.call("PATCH", "/applications/crm/permissions/read", `{"name":""}`).is(400)
		srv.call("DELETE", "/applications/crm/permissions/read", "", bearer("machine")).is(204)
		events, err := srv.store.AuditTrail(t.Context(), "permission", id, 10)
		require.NoError(t, err)
		require.Len(t, events, 3)
		slices.Reverse(events)
		assert.Equal(t, []string{"permission.create", "alice", applicationID}, []string{events[0].Action, events[0].ActorID, events[0].ApplicationID})
		assert.Equal(t, store.Change{After: "read"}, events[0].Changes["key"])
		assert.Equal(t, "permission.update", events[1].Action)
		assert.Equal(t, map[string]store.Change{"name": {Before: "read", After: "Read"}, "description": {After: "All"}}, events[1].Changes)
		assert.Equal(t, []string{"permission.delete", "cl_machine"}, []string{events[2].Action, events[2].ActorID})
		assert.Equal(t, store.Change{Before: "Read"}, events[2].Changes["name"])
		assert.NotContains(t, events[2].Changes, "createdAt")
	})
}
