package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// routes are all of them, with a body that would be accepted.
var routes = []struct{ method, path, body string }{
	{"GET", "/applications", ""},
	{"POST", "/applications", webApplication},
	{"GET", "/applications/crm", ""},
	{"PATCH", "/applications/crm", `{"name":"Other"}`},
	{"POST", "/applications/crm/rotate-secret", `{}`},
	{"GET", "/applications/crm/clients", ""},
	{"POST", "/applications/crm/clients", `{"type":"m2m"}`},
	{"GET", "/applications/crm/clients/crm-web", ""},
	{"PATCH", "/applications/crm/clients/crm-web", `{"name":"Other"}`},
	{"POST", "/applications/crm/clients/crm-web/rotate-secret", `{}`},
	{"GET", "/applications/crm/permissions", ""},
	{"POST", "/applications/crm/permissions", `{"key":"invoice:read"}`},
	{"GET", "/applications/crm/permissions/invoice:read", ""},
	{"PATCH", "/applications/crm/permissions/invoice:read", `{"name":"Other"}`},
	{"GET", "/applications/crm/roles", ""},
	{"POST", "/applications/crm/roles", `{"key":"editor","isDefault":true}`},
	{"GET", "/applications/crm/roles/editor", ""},
	{"PATCH", "/applications/crm/roles/editor", `{"isDefault":true}`},
	{"GET", "/applications/crm/clients/crm-web/roles", ""},
	{"PUT", "/applications/crm/clients/crm-web/roles", `{"roles":["editor"]}`},
	{"GET", "/users/ulla/applications/crm/explain?feature=seats", ""},
	{"GET", "/users/ulla/applications/crm/roles", ""},
	{"PUT", "/users/ulla/applications/crm/roles", `{"roles":["editor"]}`},
	{"DELETE", "/applications/crm/roles/editor", ""},
	{"DELETE", "/applications/crm/roles?key=editor&force=true", ""},
	{"DELETE", "/applications/crm/permissions/invoice:read", ""},
	{"DELETE", "/applications/crm/permissions", `{"key":"invoice:read"}`},
	{"GET", "/audit", ""},
	{"DELETE", "/applications/crm/clients/crm-web", ""},
	{"DELETE", "/applications/crm", ""},
	{"GET", "/users", ""},
	{"POST", "/users", `{"name":"Eve","email":"eve@example.com"}`},
	{"PATCH", "/users", `{"id":"ulla","name":"Other"}`},
	{"GET", "/users/ulla", ""},
	{"PATCH", "/users/ulla", `{"name":"Other"}`},
	{"POST", "/users/ulla/disable", `{}`},
	{"POST", "/users/ulla/enable", ""},
	{"GET", "/users/ulla/sessions", ""},
	{"DELETE", "/users/ulla/sessions", ""},
	{"DELETE", "/users/ulla/sessions/session-ulla", ""},
	{"GET", "/users/ulla/organizations", ""},
	{"DELETE", "/users/ulla", ""},
	{"GET", "/organizations", ""},
	{"POST", "/organizations", `{"name":"Acme"}`},
	{"GET", "/organizations/acme", ""},
	{"PATCH", "/organizations/acme", `{"name":"Other"}`},
	{"GET", "/organizations/acme/members", ""},
	{"POST", "/organizations/acme/members", `{"userId":"ulla"}`},
	{"PATCH", "/organizations/acme/members/ulla/role", `{"role":"admin"}`},
	{"DELETE", "/organizations/acme/members/ulla", ""},
	{"GET", "/organizations/acme/invitations", ""},
	{"POST", "/organizations/acme/invitations", `{"email":"eve@example.com"}`},
	{"DELETE", "/organizations/acme/invitations/x", ""},
	{"DELETE", "/organizations/acme", ""},
}

func TestAccess(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id, _ := srv.create(webApplication)
		before := srv.call("GET", "/applications/"+id, "").is(200).Body.String()
		disabled := &store.User{ID: "dora", Email: "dora@example.com", Role: store.RoleAdmin, DisabledAt: ptr(time.Now().UTC()), CreatedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC()}
		require.NoError(t, srv.store.CreateUser(t.Context(), disabled))
		srv.tokens["delegated-disabled"] = token{"dora", "cl_console", []string{"admin"}}
		for _, tt := range []struct {
			name      string
			header    header
			status    int
			code      string
			challenge string
		}{
			{"nobody", asNobody, 401, "UNAUTHORIZED", `Bearer realm="auth-service"`},
			{"session of somebody unknown", header{"Cookie": "who=nobody"}, 401, "UNAUTHORIZED", `Bearer realm="auth-service"`},
			{"session of a user", asUser, 403, "FORBIDDEN", ""},
			{"session of a disabled admin", header{"Cookie": "who=dora"}, 403, "FORBIDDEN", ""},
			{"database away for the session", header{"Cookie": "who=database-away"}, 503, "UNAVAILABLE", ""},
			{"unknown token", bearer("nonsense"), 401, "INVALID_TOKEN", `Bearer realm="auth-service", error="invalid_token"`},
			{"token without the scope", bearer("machine-narrow"), 403, "INSUFFICIENT_SCOPE", `Bearer realm="auth-service", error="insufficient_scope", scope="admin"`},
			// The scope is what the client may do; the person behind it must be an admin, too, and still be one.
			{"token of a user", bearer("delegated-user"), 403, "FORBIDDEN", ""},
			{"token of a disabled admin", bearer("delegated-disabled"), 403, "FORBIDDEN", ""},
			{"token of a deleted person", bearer("delegated-gone"), 401, "INVALID_TOKEN", `Bearer realm="auth-service", error="invalid_token"`},
			{"database away for the token", bearer("database-away"), 503, "UNAVAILABLE", ""},
			// A request that carries a bad token must not fall back on the session beside it.
			{"bad token beside a good session", header{"Authorization": "Bearer nonsense"}, 401, "INVALID_TOKEN", `Bearer realm="auth-service", error="invalid_token"`},
			{"client credentials", header{"Authorization": "Basic YTpi"}, 401, "UNAUTHORIZED", `Bearer realm="auth-service"`},
			{"empty token", header{"Authorization": "Bearer "}, 401, "UNAUTHORIZED", `Bearer realm="auth-service"`},
			{"token in the query", header{"Cookie": "", "X-Query": "access_token=machine"}, 401, "UNAUTHORIZED", `Bearer realm="auth-service"`},
		} {
			for _, route := range routes {
				t.Run(tt.name+" "+route.method+" "+route.path, func(t *testing.T) {
					srv.t = t
					path := route.path
					if tt.header["X-Query"] != "" {
						path += map[bool]string{false: "?", true: "&"}[strings.Contains(path, "?")] + tt.header["X-Query"]
					}
					a := srv.call(route.method, path, route.body, tt.header).is(tt.status, tt.code)
					assert.Equal(t, tt.challenge, a.Header().Get("WWW-Authenticate"))
				})
			}
		}
		srv.t = t
		assert.Equal(t, before, srv.call("GET", "/applications/"+id, "").is(200).Body.String(), "somebody without access changed something")
		assert.EqualValues(t, 1, srv.call("GET", "/applications", "").body["total"])
	})
}

func ptr[T any](v T) *T { return &v }

func TestAccessGranted(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		for name, h := range map[string]header{
			"admin": {}, "superadmin": asRoot, "machine": bearer("machine"), "token of an admin": bearer("delegated"),
			"token of a superadmin": bearer("delegated-root"), "scheme in another case": {"Cookie": "", "Authorization": "bEARER machine"},
			// Who is demoted in the browser may hold a token for more; the token alone decides.
			"token beside a session of a user": {"Cookie": "who=ulla", "Authorization": "Bearer machine"},
		} {
			a := srv.call("GET", "/applications", "", h)
			require.Equal(t, 200, a.Code, name)
			require.Equal(t, "no-store", a.Header().Get("Cache-Control"))
		}
	})
}

// CSRF: another site's page makes the browser of an admin send the cookie. It cannot make it send a bearer token.
func TestCrossSiteWrites(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, route := range routes {
			if route.method != http.MethodGet {
				srv.call(route.method, route.path, route.body, header{"Sec-Fetch-Site": "cross-site"}).is(403, "INVALID_ORIGIN")
			}
		}
		// A form can send this type across sites without asking first.
		srv.call("POST", "/applications", webApplication, header{"Content-Type": "text/plain"}).is(415, "UNSUPPORTED_MEDIA_TYPE")
		srv.call("POST", "/applications", `{"name":"Machine's","type":"m2m"}`, header{"Sec-Fetch-Site": "cross-site"}, bearer("machine")).is(201)
	})
}

// The ladder: whoever gives a client the scope admin, or gets hold of such a client's secret or redirect URI, becomes an
// admin, or even the superadmin who signs in through it. So only superadmins do.
func TestAdminScopeNeedsSuperadmin(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		const withAdmin = `{"name":"Console","slug":"console","type":"web","redirectUris":["https://c.example/"],"scopes":["openid","admin"]}`
		climbers := map[string]header{"admin": {}, "machine": bearer("machine"), "token of an admin": bearer("delegated")}
		srv.create(webApplication)
		for name, h := range climbers {
			t.Run(name, func(t *testing.T) {
				srv.t = t
				srv.call("POST", "/applications", withAdmin, h).is(403, "SUPERADMIN_REQUIRED")
				srv.call("PATCH", "/applications/crm", `{"scopes":["admin"]}`, h).is(403, "SUPERADMIN_REQUIRED")
				srv.call("POST", "/applications/crm/clients", `{"type":"m2m","scopes":["admin"]}`, h).is(403, "SUPERADMIN_REQUIRED")
				clientID := srv.call("GET", "/applications/crm", "").text("clientId")
				srv.call("PATCH", "/applications/crm/clients/"+clientID, `{"scopes":["admin"]}`, h).is(403, "SUPERADMIN_REQUIRED")
			})
		}
		srv.t = t
		_, clientID := srv.create(withAdmin, asRoot)
		srv.call("POST", "/applications/console/clients", `{"type":"m2m"}`).is(201) // has no scope admin itself
		for name, h := range climbers {
			t.Run(name+" on a client that has it", func(t *testing.T) {
				srv.t = t
				one := "/applications/console/clients/" + clientID
				for _, write := range []struct{ method, path, body string }{
					{"PATCH", "/applications/console", `{"redirectUris":["https://evil.example/"]}`},
					{"PATCH", "/applications/console", `{"scopes":["openid"]}`},
					{"POST", "/applications/console/rotate-secret", ``},
					{"DELETE", "/applications/console", ``},
					{"PATCH", one, `{"skipConsent":true}`},
					{"POST", one + "/rotate-secret", ``},
					{"DELETE", one, ``},
				} {
					srv.call(write.method, write.path, write.body, h).is(403, "SUPERADMIN_REQUIRED")
				}
			})
		}
		srv.t = t
		srv.call("PATCH", "/applications/console", `{"redirectUris":["https://d.example/"]}`, asRoot).is(200)
		srv.call("POST", "/applications/console/rotate-secret", "", bearer("delegated-root")).is(200)
		srv.call("PATCH", "/applications/crm", `{"scopes":["admin"]}`, asRoot).is(200)
	})
}

func TestWrongRequests(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		for _, tt := range []struct {
			name, method, path, body string
			header                   header
			status                   int
			code                     string
		}{
			{"method", "PUT", "/applications", `{}`, nil, 405, "METHOD_NOT_ALLOWED"},
			{"method of one", "POST", "/applications/crm", `{}`, nil, 405, "METHOD_NOT_ALLOWED"},
			{"unknown path", "GET", "/applications/crm/secrets", "", nil, 404, "NOT_FOUND"},
			{"form", "POST", "/applications", "name=a&type=web", header{"Content-Type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
			{"no type", "POST", "/applications", webApplication, header{"Content-Type": ""}, 415, "UNSUPPORTED_MEDIA_TYPE"},
			{"broken JSON", "POST", "/applications", `{"name":"a"`, nil, 400, "INVALID_JSON"},
			{"two objects", "POST", "/applications", webApplication + webApplication, nil, 400, "INVALID_JSON"},
			{"no body", "POST", "/applications", "", nil, 400, "INVALID_JSON"},
			{"list", "POST", "/applications", "[]", nil, 400, "VALIDATION_ERROR"},
			{"null", "PATCH", "/applications/crm", "null", nil, 400, "VALIDATION_ERROR"},
			{"unknown application", "GET", "/applications/nothing", "", nil, 404, "NOT_FOUND"},
			{"NUL in the id", "GET", "/applications/a%00b", "", nil, 404, "NOT_FOUND"},
			{"broken UTF-8 in the id", "DELETE", "/applications/%ff", "", nil, 404, "NOT_FOUND"},
			{"NUL in the client's id", "GET", "/applications/crm/clients/a%00", "", nil, 404, "NOT_FOUND"},
			{"SQL in the id", "PATCH", "/applications/x'%20OR%20'1'='1", `{"name":"b"}`, nil, 404, "NOT_FOUND"},
			{"negative grace", "POST", "/applications/crm/rotate-secret", `{"graceSeconds":-1}`, nil, 400, "VALIDATION_ERROR"},
			{"grace of 31 days", "POST", "/applications/crm/rotate-secret", `{"graceSeconds":2678400}`, nil, 400, "VALIDATION_ERROR"},
			{"a body of more than 1 MiB", "POST", "/applications", with("web", fields{"metadata": fields{"a": strings.Repeat("x", 1<<20)}}), nil, 413, "PAYLOAD_TOO_LARGE"},
			{"long idempotency key", "POST", "/applications", webApplication, header{"Idempotency-Key": string(make([]byte, 256))}, 400, "VALIDATION_ERROR"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				srv.t = t
				srv.call(tt.method, tt.path, tt.body, tt.header).is(tt.status, tt.code)
			})
		}
		srv.t = t
		require.EqualValues(t, 1, srv.call("GET", "/applications", "").body["total"])
	})
}

// PostgreSQL refuses text that is not UTF-8, and a header may be anything: it must not make every write of a caller fail.
func TestStrangeUserAgent(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id := srv.call("POST", "/applications", webApplication, header{"User-Agent": "caf\xe9 ", "X-Request-Id": "\xff"}).is(201).text("id")
		events, err := srv.store.AuditTrail(t.Context(), "application", id, 10)
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, "caf ", events[0].UserAgent)
	})
}

// Confused deputy: ids of people are whatever an import brought, and one that equals a client_id must make nobody of the other.
func TestPersonIsNoClient(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.person("cl_machine", store.RoleUser)
		srv.tokens["namesake"] = token{"cl_machine", "cl_machine", []string{"admin"}}
		srv.call("GET", "/applications", "", bearer("namesake")).is(403, "FORBIDDEN")
		srv.call("GET", "/applications", "", bearer("machine")).is(200)
	})
}
