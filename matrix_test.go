package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/config"
	"auth-service/store/storetest"
)

// A matrix is every route of the document against everybody who might call it, on the whole program. It is made from the
// document, so a route that is added later is in it.
type matrix struct {
	*instance
	routes                    []route
	people                    map[string]*http.Client // by the part of their address before @
	ids                       map[string]string       // of people, by the same
	victim, rival             customer
	narrow                    string // an access token without the scope admin
	victimSession, crmsClient string
	delivery                  string // an event for the webhook of crm
}

type route struct {
	method, path string
	security     []map[string][]string
}

// A customer is an organization with what belongs to it.
type customer struct{ id, slug, member, invitation string }

const (
	matrixPassword = "correct horse battery staple"
	secretName     = "Victim Corporation" // stands in whatever shows the organization
)

func newMatrix(t *testing.T, databaseURL string) *matrix {
	cfg := testConfig(t, databaseURL)
	cfg.Admin = config.Admin{Email: "root@example.org", Password: matrixPassword}
	m := &matrix{instance: start(t, cfg), people: map[string]*http.Client{}, ids: map[string]string{}}
	m.readDocument()
	m.signIn("root")
	for name, role := range map[string]string{"admin": "admin", "owner": "user", "member": "user", "rival": "user", "nobody": "user"} {
		m.ids[name] = m.made("/api/admin/users", `{"name":"`+name+`","email":"`+name+`@example.org","password":"`+matrixPassword+`","role":"`+role+`"}`)["id"].(string)
		m.signIn(name)
	}
	m.victim, m.rival = m.customer(secretName, "victim", "owner", "member"), m.customer("Rival", "rival", "rival", "nobody")
	for _, slug := range []string{"crm", "other"} {
		made := m.made("/api/admin/applications", `{"name":"`+slug+`","slug":"`+slug+`","type":"m2m","scopes":["reports"]}`)
		if slug == "crm" {
			m.crmsClient, m.narrow = made["clientId"].(string), m.machineToken(made)
		}
	}
	m.made("/api/admin/applications/crm/clients", `{"type":"m2m"}`)
	m.made("/api/admin/applications/crm/permissions", `{"key":"thing"}`)
	m.made("/api/admin/applications/crm/roles", `{"key":"thing","permissions":["thing"]}`)
	m.made("/api/admin/applications/crm/plans", `{"key":"thing","name":"Thing","features":{"seats":1}}`)
	require.Equal(m.t, 200, m.as("root", "PUT", "/api/admin/applications/crm/webhook", `{"url":"https://hooks.invalid/crm"}`).StatusCode)
	m.delivery = m.made("/api/admin/applications/crm/webhook/test", "")["id"].(string)
	sessions := m.as("root", "GET", "/api/admin/users/"+m.ids["member"]+"/sessions", "").json(t)["items"].([]any)
	m.victimSession = sessions[0].(map[string]any)["id"].(string)
	return m
}

func (m *matrix) readDocument() {
	var document struct {
		Paths map[string]map[string]struct{ Security []map[string][]string }
	}
	require.NoError(m.t, json.Unmarshal([]byte(m.do("GET", "/api/openapi.json", "").body), &document))
	for path, item := range document.Paths {
		for method, op := range item {
			m.routes = append(m.routes, route{strings.ToUpper(method), path, op.Security})
		}
	}
	slices.SortFunc(m.routes, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	require.Greater(m.t, len(m.routes), 100)
}

func (m *matrix) signIn(name string) {
	jar, err := cookiejar.New(nil)
	require.NoError(m.t, err)
	m.people[name] = &http.Client{Jar: jar}
	r := m.as(name, "POST", "/api/auth/sign-in/email", `{"email":"`+name+`@example.org","password":"`+matrixPassword+`"}`)
	require.Equal(m.t, 200, r.StatusCode, r.body)
}

// as calls in the name of somebody; of nobody when the name is empty.
func (m *matrix) as(name, method, path, body string, header ...string) *reply {
	m.t.Helper()
	own := m.client
	defer func() { m.client = own }()
	if m.client = m.people[name]; name == "" {
		m.client = &http.Client{}
	}
	return m.do(method, path, body, append([]string{"Origin", m.url}, header...)...)
}

func (m *matrix) made(path, body string) map[string]any {
	m.t.Helper()
	r := m.as("root", "POST", path, body)
	require.Equal(m.t, 201, r.StatusCode, r.body)
	return r.json(m.t)
}

func (m *matrix) customer(name, slug, owner, member string) customer {
	id := m.made("/api/admin/organizations", `{"name":"`+name+`","slug":"`+slug+`","ownerId":"`+m.ids[owner]+`"}`)["id"].(string)
	base := "/api/admin/organizations/" + id
	return customer{
		id: id, slug: slug,
		member:     m.made(base+"/members", `{"userId":"`+m.ids[member]+`","role":"member"}`)["id"].(string),
		invitation: m.made(base+"/invitations", `{"email":"guest-of-`+slug+`@example.org","role":"member"}`)["id"].(string),
	}
}

func (m *matrix) machineToken(client map[string]any) string {
	secret := base64.StdEncoding.EncodeToString([]byte(client["clientId"].(string) + ":" + client["clientSecret"].(string)))
	r := m.as("", "POST", "/api/auth/oauth2/token", "grant_type=client_credentials", "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic "+secret)
	require.Equal(m.t, 200, r.StatusCode, r.body)
	return r.json(m.t)["access_token"].(string)
}

var pathParameter = regexp.MustCompile(`{(\w+)}`)

// fill puts the victim's ids into a path; of other in place of the first one, where that is not empty.
func (m *matrix) fill(path, other string) string {
	parents := map[string]string{"applications": "crm", "users": m.ids["member"], "organizations": m.victim.id, "reservations": "none"}
	children := map[string]string{"key": "thing", "clientId": m.crmsClient, "sessionId": m.victimSession, "appId": "crm",
		"member": m.victim.member, "invitation": m.victim.invitation, "userId": m.ids["member"], "organizationId": m.victim.id, "deliveryId": m.delivery}
	first := true
	parts := strings.Split(path, "/")
	for i, part := range parts {
		name := pathParameter.FindStringSubmatch(part)
		if name == nil {
			continue
		}
		value := children[name[1]]
		if name[1] == "id" {
			value = parents[parts[i-1]]
		}
		if first && other != "" {
			value = other
		}
		parts[i], first = value, false
	}
	return strings.Join(parts, "/")
}

// state is all that the routes could change of the victim, and whatever was recorded.
func (m *matrix) state() string {
	var out strings.Builder
	for _, path := range []string{
		"/organizations/victim", "/organizations/victim/members", "/organizations/victim/invitations", "/organizations/victim/applications/crm/plan",
		"/users/" + m.ids["member"], "/users/" + m.ids["member"] + "/applications/crm/roles", "/users/" + m.ids["member"] + "/sessions",
		"/applications", "/applications/crm/permissions", "/applications/crm/roles", "/applications/crm/plans", "/applications/crm/clients", "/applications/crm/webhook", "/users", "/organizations", "/audit",
	} {
		r := m.as("root", "GET", "/api/admin"+path, "")
		require.Equal(m.t, 200, r.StatusCode, "%s: %s", path, r.body)
		out.WriteString(path + " " + lastSeen.ReplaceAllString(r.body, "") + "\n")
	}
	return out.String()
}

// A session was seen whenever somebody looked.
var lastSeen = regexp.MustCompile(`"(lastSeenAt|expiresAt)":"[^"]*"`)

func eachMatrix(t *testing.T, test func(m *matrix)) {
	for name, databaseURL := range map[string]func(testing.TB) string{"sqlite": storetest.NewSQLiteURL, "postgres": storetest.NewPostgresURL} {
		t.Run(name, func(t *testing.T) {
			m := newMatrix(t, databaseURL(t))
			test(m)
			require.NoError(t, m.wait())
		})
	}
}

// Broken access control (OWASP API1, API5): whatever is the console's is refused to all below its rungs, on every route, and
// nothing is changed or even recorded by trying. What needs a session is refused to whoever has none.
func TestEveryRouteAsksWhoCalls(t *testing.T) {
	eachMatrix(t, func(m *matrix) {
		before := m.state()
		for _, r := range m.routes {
			name := r.method + " " + r.path
			if !strings.HasPrefix(r.path, "/api/admin/") {
				usage := strings.HasPrefix(r.path, "/api/consumption")
				if !usage && (len(r.security) != 1 || r.security[0]["session"] == nil) || strings.Contains(r.path, "/requests/") { // those say 404 of a request that is none
					continue
				}
				query, body := m.everything()
				got := m.as("", r.method, m.fill(r.path, "")+"?"+query, body)
				assert.Equal(m.t, 401, got.StatusCode, "%s without a session: %s", name, got.body)
				if usage {
					m.refuseUsage(r)
				}
				continue
			}
			for caller, status := range map[string]int{"": 401, "nobody": 403, "member": 403, "owner": 403, "rival": 403} {
				got := m.as(caller, r.method, m.fill(r.path, ""), "{}")
				assert.Equal(m.t, status, got.StatusCode, "%s as %q: %s", name, caller, got.body)
				assert.NotContains(m.t, got.body, secretName, name)
			}
			got := m.as("", r.method, m.fill(r.path, ""), "{}", "Authorization", "Bearer "+m.narrow)
			assert.Equal(m.t, 403, got.StatusCode, "%s with a token without the scope: %s", name, got.body)
			if r.method == "GET" { // and it is there for those who may
				query := map[string]string{"/api/admin/users/{id}/applications/{appId}/explain": "?feature=seats"}[r.path]
				got := m.as("admin", r.method, m.fill(r.path, "")+query, "")
				assert.Equal(m.t, 200, got.StatusCode, "%s as an admin: %s", name, got.body)
			}
		}
		// An admin exported people, which is recorded; everything else is as it was.
		assert.Equal(m.t, withoutAudit(before), withoutAudit(m.state()))
	})
}

// refuseUsage tries to learn or change what the victim used: neither people elsewhere nor another application may.
func (m *matrix) refuseUsage(r route) {
	for _, caller := range []string{"rival", "nobody"} {
		got := m.as(caller, r.method, m.fill(r.path, ""), "")
		assert.Equal(m.t, 403, got.StatusCode, "%s %s as %s: %s", r.method, r.path, caller, got.body)
	}
	if strings.Contains(r.path, "{appId}") {
		got := m.as("", r.method, strings.Replace(m.fill(r.path, ""), "/crm", "/other", 1), "", "Authorization", "Bearer "+m.narrow)
		assert.Equal(m.t, 403, got.StatusCode, "%s %s by another application: %s", r.method, r.path, got.body)
	}
}

func withoutAudit(state string) string {
	at := strings.Index(state, "/audit ")
	return state[:at]
}

// everything is a query and a body with all fields that the routes of people take, and the victim's ids in them.
func (m *matrix) everything() (query, body string) {
	fields := map[string]any{
		"organizationId": m.victim.id, "organizationSlug": m.victim.slug, "invitationId": m.victim.invitation, "id": m.victim.invitation,
		"memberId": m.victim.member, "memberIdOrEmail": "member@example.org", "userId": m.ids["member"], "email": "rival@example.org",
		"role": "owner", "slug": "taken-over", "name": "Taken over", "permissions": map[string]any{"organization": []string{"update"}},
		"data": map[string]any{"name": "Taken over", "slug": "taken-over"}, "resend": true,
		"token": m.victimSession, "password": matrixPassword, "currentPassword": matrixPassword, "newPassword": "another good password",
	}
	text, err := json.Marshal(fields)
	require.NoError(m.t, err)
	values := url.Values{}
	for name, value := range fields {
		if text, ok := value.(string); ok {
			values.Set(name, text)
		}
	}
	return values.Encode(), string(text)
}

// Insecure direct object references between tenants: on every route about organizations, with every id of the victim in every
// field that there is, nobody from outside learns or changes anything, and a plain member changes nothing.
func TestOrganizationsAreClosed(t *testing.T) {
	eachMatrix(t, func(m *matrix) {
		before := m.state()
		query, text := m.everything()
		tried := 0
		for _, r := range m.routes {
			if !strings.HasPrefix(r.path, "/api/auth/organization/") {
				continue
			}
			tried++
			for _, caller := range []string{"rival", "nobody", "member"} {
				if caller == "member" && (strings.HasSuffix(r.path, "/leave") || strings.HasSuffix(r.path, "/set-active")) {
					continue // theirs to do
				}
				path, body := r.path, text
				if r.method == "GET" {
					path, body = path+"?"+query, ""
				}
				got := m.as(caller, r.method, path, body)
				assert.Less(m.t, got.StatusCode, 500, "%s %s as %s: %s", r.method, r.path, caller, got.body)
				if caller == "member" {
					continue
				}
				for _, secret := range []string{secretName, "owner@example.org", "guest-of-victim"} {
					assert.NotContains(m.t, got.body, secret, "%s %s as %s", r.method, r.path, caller)
				}
			}
		}
		require.Greater(m.t, tried, 15)
		assert.Equal(m.t, before, m.state())
	})
}

// Insecure direct object references below a parent: what belongs to one application, person or organization is unknown under
// another, to whoever may change both.
func TestChildrenStayWithTheirParents(t *testing.T) {
	eachMatrix(t, func(m *matrix) {
		before := m.state()
		others := map[string]string{"applications": "other", "users": m.ids["nobody"], "organizations": m.rival.id}
		bodies := map[string]string{"PATCH": `{"name":"Taken over"}`, "PUT": `{"roles":[]}`, "POST": `{}`}
		tried := 0
		for _, r := range m.routes {
			parts := strings.Split(r.path, "/")
			if !strings.HasPrefix(r.path, "/api/admin/") || strings.Count(r.path, "{") < 2 || strings.Contains(r.path, "{appId}") {
				continue
			}
			tried++
			body := bodies[r.method]
			if strings.HasSuffix(r.path, "/role") {
				body = `{"role":"owner"}`
			}
			got := m.as("root", r.method, m.fill(r.path, others[parts[3]]), body)
			assert.Equal(m.t, 404, got.StatusCode, "%s %s: %s", r.method, r.path, got.body)
		}
		require.Greater(m.t, tried, 15)
		assert.Equal(m.t, before, m.state())
	})
}
