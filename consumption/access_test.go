package consumption_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

// Broken access control (OWASP API1, API3, API5): every route against everybody who might call it. An application speaks of its own
// usage, people see theirs, owners and admins their organization's, administrators all; nobody else learns or changes anything.
func TestAccess(t *testing.T) {
	eachServer(t, func(s *server) {
		acme := s.organization("acme", map[string]string{"ann": store.MemberPlain, "bob": store.MemberOwner, "eve": store.MemberAdmin})
		s.person("carol", store.RoleUser)
		s.organization("other", map[string]string{"carol": store.MemberOwner})
		s.record(`{"userId":"ann","key":"calls","organizationId":"` + acme.ID + `"}`)
		s.record(`{"userId":"ann","key":"calls"}`)
		s.call("POST", "", `{"userId":"ann","key":"calls"}`, bearer("erp")).is(200)
		open := s.call("POST", "/reservations", `{"userId":"ann","key":"calls"}`).is(201).body["id"].(string)
		org, use := "/organizations/"+acme.ID+"/crm", `{"userId":"ann","key":"calls"}`

		machine, reader := []string{"crm"}, []string{"crm", "console", "alice-at-erp", "alice", "root"}
		routes := []struct {
			method, path, body string
			may                []string // who gets through
		}{
			{"POST", "", use, append(machine, "erp", "console")}, // each for its own application
			{"POST", "/check", use, append(machine, "erp", "console")},
			{"POST", "/reservations", use, append(machine, "erp", "console")},
			{"GET", "/reservations/" + open, "", append(machine, "console")}, // crm-console is a client of crm, too
			{"GET", "/ann/crm", "", append(reader, "ann", "ann-at-crm")},
			{"GET", "/ann/crm?organizationId=" + acme.ID, "", append(reader, "ann", "ann-at-crm")},
			{"GET", org, "", append(reader, "bob", "eve")},
			{"GET", "/export?applicationId=crm", "", reader},
			{"DELETE", "/ann/crm/calls", "", reader},
			{"DELETE", "/ann/crm/calls?organizationId=" + acme.ID, "", reader},
			{"DELETE", org + "/calls", "", reader},
			{"POST", "/reservations/" + open + "/commit", "{}", append(machine, "console")},
			{"POST", "/reservations/" + open + "/release", "", nil}, // it is committed by then
		}
		callers := map[string]header{
			"": {}, "ann": signedIn("ann"), "bob": signedIn("bob"), "eve": signedIn("eve"), "carol": signedIn("carol"), "alice": signedIn("alice"), "root": signedIn("root"),
			"nonsense": bearer("nonsense"), "basic": {"Authorization": "Basic YTpi"}, "empty": {"Authorization": "Bearer "},
			"token beside a session": {"Authorization": "Bearer nonsense", "Cookie": "who=root"}, // must not fall back on it
		}
		for name := range s.tokens {
			callers[name] = bearer(name)
		}
		codes := map[string]string{}
		for _, route := range routes {
			for _, caller := range sorted(callers) {
				a := s.call(route.method, route.path, route.body, callers[caller])
				where := route.method + " " + route.path + " as " + caller
				if slices.Contains(route.may, caller) {
					assert.Less(s, a.Code, 300, "%s: %s", where, a.Body)
					continue
				}
				if a.Code != 401 && a.Code != 403 && !strings.Contains(route.path, "/reservations/") {
					s.Errorf("%s: %d %s", where, a.Code, a.Body)
				}
				require.GreaterOrEqual(s, a.Code, 400, where)
				if code, ok := a.body["code"].(string); ok {
					codes[caller+" "+route.method+" "+route.path] = code
				}
			}
		}
		for where, code := range map[string]string{
			" POST ": "UNAUTHORIZED", "ann POST ": "MACHINE_ONLY", "ann-at-crm POST ": "MACHINE_ONLY", "alice POST /check": "MACHINE_ONLY", "off POST ": "INVALID_TOKEN",
			"nonsense POST ": "INVALID_TOKEN", "basic POST ": "UNAUTHORIZED", "empty POST ": "UNAUTHORIZED", "token beside a session GET /ann/crm": "INVALID_TOKEN",
			"erp GET /ann/crm": "FOREIGN_APPLICATION", "ann-at-erp GET /ann/crm": "FOREIGN_APPLICATION", "bob GET /ann/crm": "FORBIDDEN", "alice-narrow GET /ann/crm": "FORBIDDEN",
			"ann DELETE /ann/crm/calls": "FORBIDDEN", "ann-at-crm DELETE /ann/crm/calls": "FORBIDDEN", "bob DELETE " + org + "/calls": "FORBIDDEN",
			"ann GET " + org: "FORBIDDEN", "carol GET " + org: "FORBIDDEN", "off GET /ann/crm": "INVALID_TOKEN", "erp GET /reservations/" + open: "RESERVATION_NOT_FOUND",
		} {
			assert.Equal(s, code, codes[where], where)
		}
		assert.Equal(s, `Bearer realm="auth-service"`, s.call("GET", "/ann/crm", "", callers[""]).Header().Get("WWW-Authenticate"))
		assert.Equal(s, `Bearer realm="auth-service", error="invalid_token"`, s.call("GET", "/ann/crm", "", callers["nonsense"]).Header().Get("WWW-Authenticate"))
		s.call("GET", "/ann/crm", "", bearer("database-away")).is(503, "UNAVAILABLE")
		s.call("GET", "/ann/crm", "", signedIn("database-away")).is(503, "UNAVAILABLE")
	})
}

// Whoever may not see a person's usage is told the same whether or not there is such a person, organization or application.
func TestNoEnumeration(t *testing.T) {
	eachServer(t, func(s *server) {
		acme := s.organization("acme", map[string]string{"bob": store.MemberOwner})
		s.record(`{"userId":"ann","key":"calls","organizationId":"` + acme.ID + `"}`)
		for _, caller := range []header{{}, signedIn("eve"), bearer("ann-at-erp"), bearer("nonsense")} {
			for _, pair := range [][2]string{
				{"GET /bob/crm", "GET /nobody/crm"}, {"GET /bob/crm", "GET /bob/nothing"}, {"DELETE /bob/crm/calls", "DELETE /nobody/crm/calls"},
				{"GET /organizations/" + acme.ID + "/crm", "GET /organizations/nothing/crm"}, {"DELETE /organizations/" + acme.ID + "/crm/calls", "DELETE /organizations/nothing/crm/calls"},
				{"GET /export?applicationId=crm", "GET /export?applicationId=nothing"},
			} {
				var answers [2]string
				for i, route := range pair {
					method, path, _ := strings.Cut(route, " ")
					a := s.call(method, path, "", caller)
					require.GreaterOrEqual(s, a.Code, 401, route)
					require.LessOrEqual(s, a.Code, 403, route)
					answers[i] = text(s, without(a.body, "requestId"))
				}
				assert.Equal(s, answers[0], answers[1], "%s and %s as %v", pair[0], pair[1], caller)
			}
		}
		for _, path := range []string{"/eve/crm?organizationId=" + acme.ID, "/eve/crm?organizationId=nothing"} {
			s.call("GET", path, "", signedIn("eve")).is(403, "FORBIDDEN")
		}
		for _, ref := range []string{"erp", s.erp.ID, "erp-service", "nothing"} {
			s.call("GET", "/ann/"+ref, "").is(403, "FOREIGN_APPLICATION")
			s.call("GET", "/export?applicationId="+ref, "").is(403, "FOREIGN_APPLICATION")
		}
	})
}

// Cross-site request forgery: a page of another site makes the browser of an administrator send a request, with the cookie.
func TestCrossSite(t *testing.T) {
	eachServer(t, func(s *server) {
		s.record(`{"userId":"ann","key":"calls"}`)
		elsewhere := header{"Sec-Fetch-Site": "cross-site"}
		s.call("DELETE", "/ann/crm/calls", "", signedIn("root"), elsewhere).is(403, "INVALID_ORIGIN")
		s.call("DELETE", "/organizations/x/crm/calls", "", signedIn("root"), elsewhere).is(403, "INVALID_ORIGIN")
		s.call("POST", "", `{"userId":"ann","key":"calls"}`, signedIn("root"), elsewhere).is(403, "INVALID_ORIGIN")
		s.call("DELETE", "/ann/crm/calls", "", bearer("crm"), elsewhere).is(200) // no page can make a browser send a token
	})
}

// Ids of the path and the query may hold what no database keeps.
func TestUnprintableNames(t *testing.T) {
	eachServer(t, func(s *server) {
		for _, path := range []string{"/a%00/crm", "/a%FF/crm", "/ann/crm?organizationId=%00", "/organizations/%00/crm"} {
			s.call("GET", path, "").is(404)
			s.call("GET", path, "", signedIn("root")).is(404)
		}
		s.call("GET", "/ann/%00", "", signedIn("root")).is(404, "APPLICATION_NOT_FOUND")
		s.call("GET", "/ann/%00", "").is(403)
		s.call("GET", "/reservations/%00", "").is(404, "RESERVATION_NOT_FOUND")
		s.call("GET", "/export?userId=%00", "").is(400)
		s.call("DELETE", "/ann/crm/%00", "").is(400)
		s.call("POST", "/reservations/%FF/release", "").is(404)
	})
}
