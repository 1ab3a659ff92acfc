package admin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestInvitations(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		id := srv.organization("acme")
		a := srv.call("POST", "/organizations/acme/invitations", `{"email":"Carl@Example.com","role":"owner","expiresIn":3600}`).is(201)
		invitation := a.text("id")
		assert.Equal(t, map[string]any{
			"id": invitation, "organizationId": id, "email": "carl@example.com", "role": "owner", "status": "pending", "inviterId": "alice",
			"createdAt": a.text("createdAt"), "expiresAt": a.text("expiresAt"), "acceptUrl": "https://auth.example.com/accept-invitation?id=" + invitation,
		}, a.body)
		expires, err := time.Parse(time.RFC3339, a.text("expiresAt"))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(time.Hour), expires, time.Minute)
		assert.Equal(t, []any{a.body}, srv.call("GET", "/organizations/"+id+"/invitations", "").is(200).body["items"])
		assert.Equal(t, "invitation.create", srv.latest(id).Action)

		srv.call("POST", "/organizations/acme/invitations", `{"email":"carl@example.com"}`).is(409, "ALREADY_INVITED")
		b := srv.call("POST", "/organizations/acme/invitations", `{"email":"carl@example.com","resend":true}`).is(201)
		assert.Equal(t, []any{invitation, "member"}, []any{b.body["id"], b.body["role"]})
		srv.join("acme", "ulla", store.MemberPlain)
		srv.call("POST", "/organizations/acme/invitations", `{"email":"ulla@example.com"}`).is(409, "ALREADY_MEMBER")
		srv.call("POST", "/organizations/nothing/invitations", `{"email":"x@example.com"}`).is(404, "ORGANIZATION_NOT_FOUND")
		srv.call("POST", "/organizations/acme/invitations", `{"email":"x"}`).is(400, "INVALID_EMAIL")
		for _, body := range []string{
			`{}`, `{"email":"x@example.com","role":"superadmin"}`, `{"email":"x@example.com","expiresIn":59}`, `{"email":"x@example.com","expiresIn":2592001}`,
			`{"email":"x@example.com","id":"known"}`, `{"email":"x@example.com","status":"accepted"}`, `{"email":"x@example.com","inviterId":"root"}`,
		} {
			srv.call("POST", "/organizations/acme/invitations", body).is(400, "VALIDATION_ERROR")
		}
		machine := srv.call("POST", "/organizations/acme/invitations", `{"email":"m@example.com"}`, bearer("machine"), header{"Idempotency-Key": "k"}).is(201)
		assert.Nil(t, machine.body["inviterId"])
		assert.Equal(t, machine.body, srv.call("POST", "/organizations/acme/invitations", `{"email":"m@example.com"}`, bearer("machine"), header{"Idempotency-Key": "k"}).is(201).body)

		srv.call("DELETE", "/organizations/acme/invitations/"+invitation, "").is(204)
		srv.call("DELETE", "/organizations/acme/invitations/"+invitation, "").is(404, "INVITATION_NOT_FOUND")
		srv.call("DELETE", "/organizations/acme/invitations/a%00b", "").is(404, "NOT_FOUND")
		event := srv.latest(id)
		assert.Equal(t, "invitation.cancel", event.Action)
		assert.Equal(t, map[string]store.Change{"status": {Before: "pending", After: "canceled"}}, event.Changes)
		canceled := srv.call("GET", "/organizations/acme/invitations?status=canceled", "").is(200).body["items"].([]any)
		require.Len(t, canceled, 1)
		assert.Equal(t, []any{invitation, nil}, []any{canceled[0].(map[string]any)["id"], canceled[0].(map[string]any)["acceptUrl"]}, "a link that leads nowhere")
		emails, _, total := srv.listed("/organizations/acme/invitations?status=pending", "email")
		assert.Equal(t, []string{"m@example.com"}, emails)
		assert.Equal(t, 1.0, total)
		for _, limit := range []int{1, 200} {
			assert.Equal(t, []string{"carl@example.com", "m@example.com"}, srv.walk("/organizations/acme/invitations", "email", "createdAt", limit, 2))
			assert.Equal(t, []string{"m@example.com", "carl@example.com"}, srv.walk("/organizations/acme/invitations", "email", "", limit, 2))
		}
		for search, want := range map[string][]string{"CARL@": {"carl@example.com"}, "m": {"m@example.com"}, "arl": nil, "example": nil, "%25": nil, "+m@example.com+": {"m@example.com"}} {
			emails, _, total := srv.listed("/organizations/acme/invitations?search="+search, "email")
			assert.Equal(t, want, emails, search)
			assert.InDelta(t, len(want), total, 0, search)
		}
		for query, field := range map[string]string{"search=a%00b": "query.search", "sort=email": "query.sort", "status=open": "query.status", "cursor=x": "query.cursor"} {
			assert.NotEmpty(t, srv.call("GET", "/organizations/acme/invitations?"+query, "").is(400, "VALIDATION_ERROR").errors()[field], query)
		}
	})
}
