package account

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// timestamp is a time on the wire: UTC with milliseconds.
type timestamp time.Time

// MarshalJSON writes the form that JavaScript's Date writes.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// Schema tells OpenAPI about it.
func (timestamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// userBody is a person as better-auth shows them. It has no field for the password hash, so that cannot leak.
type userBody struct {
	ID               string     `json:"id"`
	Name             string     `json:"name"`
	Email            string     `json:"email"`
	EmailVerified    bool       `json:"emailVerified"`
	Image            *string    `json:"image"`
	CreatedAt        timestamp  `json:"createdAt"`
	UpdatedAt        timestamp  `json:"updatedAt"`
	Role             string     `json:"role" enum:"user,admin,superadmin"`
	Banned           bool       `json:"banned"`
	BanReason        *string    `json:"banReason"`
	BanExpires       *timestamp `json:"banExpires" nullable:"true"`
	TwoFactorEnabled bool       `json:"twoFactorEnabled"`
}

// showUser shows somebody who is signed in and therefore not disabled.
func showUser(u *store.User) userBody {
	return userBody{
		ID: u.ID, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified, Image: orNull(u.Image),
		CreatedAt: timestamp(u.CreatedAt), UpdatedAt: timestamp(u.UpdatedAt), Role: u.Role,
	}
}

// sessionBody is a session as better-auth shows it, except that token is the public id: it names the session where one
// is to be ended, and opens nothing.
type sessionBody struct {
	ID                   string    `json:"id"`
	Token                string    `json:"token" doc:"The id again; revoke-session takes it."`
	UserID               string    `json:"userId"`
	ExpiresAt            timestamp `json:"expiresAt"`
	CreatedAt            timestamp `json:"createdAt"`
	UpdatedAt            timestamp `json:"updatedAt" doc:"When the session was last seen, to the minute."`
	IPAddress            string    `json:"ipAddress"`
	UserAgent            string    `json:"userAgent"`
	ActiveOrganizationID *string   `json:"activeOrganizationId"`
	ImpersonatedBy       *string   `json:"impersonatedBy" doc:"Always null: nobody can act as somebody else here."`
}

func showSession(s *store.Session) sessionBody {
	return sessionBody{
		ID: s.ID, Token: s.ID, UserID: s.UserID, ExpiresAt: timestamp(s.IdleExpiresAt), CreatedAt: timestamp(s.CreatedAt),
		UpdatedAt: timestamp(s.LastSeenAt), IPAddress: s.IP, UserAgent: s.UserAgent,
		ActiveOrganizationID: orNull(s.ActiveOrganizationID),
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// statusBody is better-auth's answer to what has nothing else to say.
type statusBody struct {
	Status bool `json:"status"`
}

// nullable is a text field that may be absent, null or given: null takes the value away, absence leaves it.
type nullable struct {
	Given bool
	Value string
}

// UnmarshalJSON is called for null, too.
func (n *nullable) UnmarshalJSON(b []byte) error {
	n.Given = true
	return json.Unmarshal(b, &n.Value) // which leaves "" for null
}

// Schema tells OpenAPI, and the validation by it, about it.
func (nullable) Schema(huma.Registry) *huma.Schema {
	limit := maxURL
	return &huma.Schema{Type: huma.TypeString, Nullable: true, MaxLength: &limit}
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
