package account_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"auth-service/problem"
	"auth-service/store"
)

// Bodies that are too large, of another kind or sent another way get the contract's errors and change nothing.
func TestBadRequests(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		b := s.browser()
		b.signUp(email)
		huge := `{"name":"` + strings.Repeat("a", 40<<10) + `"}`
		deep := strings.Repeat("[", 15<<10) + strings.Repeat("]", 15<<10)
		for _, path := range []string{"sign-up/email", "sign-in/email", "change-password", "verify-password", "update-user", "delete-user", "revoke-session",
			"organization/create", "organization/update", "organization/invite-member", "organization/has-permission"} {
			b.post(path, huge).refused(http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE")
			for _, broken := range []string{"{", `{"name"`, "\x00", deep} {
				b.post(path, broken).refused(http.StatusBadRequest, "INVALID_JSON")
			}
			for _, wrong := range []string{"[]", "1", `"text"`} {
				b.post(path, wrong).refused(http.StatusBadRequest, "VALIDATION_ERROR")
			}
			for _, kind := range []string{"text/plain", "multipart/form-data; boundary=x", "application/xml"} {
				r := b.do(b.request(http.MethodPost, path, kind, strings.NewReader(`{"name":"Eve"}`)))
				r.refused(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
			}
			b.get(path).refused(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
		}
		form := b.do(b.request(http.MethodPost, "sign-in/email", "application/x-www-form-urlencoded", strings.NewReader("email="+strings.Repeat("a", 40<<10))))
		form.refused(http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE")
		form = b.do(b.request(http.MethodPost, "sign-in/email", "application/x-www-form-urlencoded", strings.NewReader("email=%zz")))
		form.refused(http.StatusBadRequest, "INVALID_JSON")
		b.post("get-session", "{}").refused(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
		b.get("nothing").refused(http.StatusNotFound, "NOT_FOUND")
		require.Equal(t, "Ada", b.user()["name"])
	})
}

// Passwords and session secrets are nowhere but where they belong: not in the log, not in the audit events, not in errors.
func TestSecretsStayOut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		const wrong = "a wrong password"
		b := s.browser()
		id := b.signUp(email).json()["user"].(object)["id"].(string)
		secrets := []string{password, wrong, "the new password", b.cookies[sessionCookie], b.cookies["__Host-auth_device"]}
		var answers strings.Builder
		for range 6 {
			answers.WriteString(b.signIn(email, wrong).Body.String())
		}
		answers.WriteString(b.post("sign-in/email", `{"email":"`+email+`","password":["`+wrong+`"]}`).Body.String())
		answers.WriteString(b.post("change-password", object{"currentPassword": password, "newPassword": "the new password"}).ok().Body.String())
		secrets = append(secrets, b.cookies[sessionCookie])
		answers.WriteString(b.post("sign-out", "{}").Body.String())
		trail, err := s.store.AuditTrail(t.Context(), "user", id, 100)
		require.NoError(t, err)
		require.NotEmpty(t, trail)
		audit, err := json.Marshal(trail)
		require.NoError(t, err)
		require.NotEmpty(t, s.log.String(), "refusals are logged")
		for _, secret := range secrets {
			require.NotEmpty(t, secret)
			require.NotContains(t, s.log.String(), secret)
			require.NotContains(t, string(audit), secret)
			require.NotContains(t, answers.String(), secret)
		}
	})
}

// The document is what clients are generated from: the names of their functions, forms where they are accepted, and
// null where there may be nobody.
func TestOpenAPI(t *testing.T) {
	e := echo.New()
	api := problem.NewAPI(e, "Account", "0")
	newService(&store.Store{}, newClock(), nop).Mount(e, api)
	doc := api.OpenAPI()
	ids := map[string]string{}
	for path, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op != nil {
				ids[strings.TrimPrefix(path, "/api/auth/")] = op.Method + " " + op.OperationID
			}
		}
	}
	require.Equal(t, map[string]string{
		"sign-up/email": "POST signUpEmail", "sign-in/email": "POST signInEmail", "sign-out": "POST signOut",
		"get-session": "GET getSession", "list-sessions": "GET listSessions", "revoke-session": "POST revokeSession",
		"revoke-sessions": "POST revokeSessions", "revoke-other-sessions": "POST revokeOtherSessions",
		"change-password": "POST changePassword", "verify-password": "POST verifyPassword", "update-user": "POST updateUser",
		"delete-user": "POST deleteUser", "list-accounts": "GET listAccounts", "ok": "GET getOk", "config": "GET getConfig",
		"organization/create": "POST organizationCreate", "organization/check-slug": "POST organizationCheckSlug",
		"organization/update": "POST organizationUpdate", "organization/delete": "POST organizationDelete",
		"organization/set-active": "POST organizationSetActive", "organization/list": "GET organizationList",
		"organization/get-full-organization": "GET organizationGetFull", "organization/has-permission": "POST organizationHasPermission",
		"organization/list-members": "GET organizationListMembers", "organization/get-active-member": "GET organizationGetActiveMember",
		"organization/get-active-member-role": "GET organizationGetActiveMemberRole", "organization/update-member-role": "POST organizationUpdateMemberRole",
		"organization/remove-member": "POST organizationRemoveMember", "organization/leave": "POST organizationLeave",
		"organization/invite-member": "POST organizationInviteMember", "organization/list-invitations": "GET organizationListInvitations",
		"organization/cancel-invitation": "POST organizationCancelInvitation", "organization/list-user-invitations": "GET organizationListUserInvitations",
		"organization/get-invitation": "GET organizationGetInvitation", "organization/accept-invitation": "POST organizationAcceptInvitation",
		"organization/reject-invitation": "POST organizationRejectInvitation",
	}, ids)
	for path, forms := range map[string]bool{"sign-up/email": true, "sign-in/email": true, "change-password": false} {
		_, ok := doc.Paths["/api/auth/"+path].Post.RequestBody.Content["application/x-www-form-urlencoded"]
		require.Equal(t, forms, ok, path)
	}
	session := doc.Paths["/api/auth/get-session"].Get.Responses["200"].Content["application/json"].Schema
	require.Equal(t, "null", session.OneOf[1].Type)
	raw, err := json.Marshal(doc)
	require.NoError(t, err)
	for _, internal := range []string{"passwordHash", "secretHash", "Reserved"} {
		require.NotContains(t, string(raw), internal)
	}
	require.NotContains(t, doc.Components.Schemas.Map()["SignUpRequest"].Properties, "role", "reserved fields are not offered")
}
