package account

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/problem"
	"auth-service/store"
)

// maxShown is how many members, or invitations, of an organization are shown at once.
const maxShown = 100

var (
	errNoActive    = problem.New(http.StatusBadRequest, "NO_ACTIVE_ORGANIZATION", "Name an organization, or make one active first.")
	errUnknownRole = problem.New(http.StatusBadRequest, "ROLE_NOT_FOUND", "The role must be owner, admin or member.")
)

// A wording is how the organization plugin of better-auth/client is told what the rules of this package refuse: by the
// status and the code that the replaced system has for it on the route. The sentences stay ours.
type wording map[*problem.Error]refusal

type refusal struct {
	status int
	code   string
}

func (w wording) of(err error) error {
	var e *problem.Error
	if !errors.As(err, &e) {
		return err
	}
	for rule, r := range w {
		if e.Is(rule) {
			told := *e
			told.Status, told.Code = r.status, r.code
			return &told
		}
	}
	return err
}

// A person is who is in front of the browser, with the rights that they have here: an administrator of the server is in every
// organization what its owners are.
type person struct {
	store.Actor
	session *store.Session
}

func (s *Service) person(ctx context.Context) (*person, error) {
	ses, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	by := ActorOf(exchange(ctx), ses.UserID)
	by.Administrator = ses.User.Administrator()
	return &person{by, ses}, nil
}

// chosen returns which organization a request is about: the first that it names by id or slug, else the session's active one.
func (p *person) chosen(names ...string) (string, error) {
	for _, name := range names {
		if name == "" {
			continue
		}
		if key(name) == "" { // and not the active one: the request is about another
			return "", errNoOrganization
		}
		return name, nil
	}
	if p.session.ActiveOrganizationID == "" {
		return "", errNoActive
	}
	return p.session.ActiveOrganizationID, nil
}

// key returns an id that came from outside, or nothing if no row can have it: PostgreSQL refuses NUL and what is not UTF-8.
func key(id string) string {
	if !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return ""
	}
	return id
}

// registerOrganization adds one route under /api/auth/organization. Its handler is called for whoever is signed in.
func registerOrganization[I, O any](s *Service, api huma.API, method, path, id, summary string, words wording, handler func(context.Context, *person, *I) (O, error), options ...option) {
	register(api, method, "organization/"+path, id, summary, func(ctx context.Context, in *I) (*answer[O], error) {
		p, err := s.person(ctx)
		if err != nil {
			return nil, err
		}
		body, err := handler(ctx, p, in)
		if err != nil {
			return nil, words.of(err)
		}
		return reply(body), nil
	}, append(options, signedIn, aboutOrganizations)...)
}

var aboutOrganizations = option{document: func(op *huma.Operation) {
	op.Tags = []string{"Account: organizations"}
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden} {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: op.Responses["401"].Content}
	}
}}

// memberRole is a role as requests name it: the replaced system has members with several, as a list or with commas between
// them. The highest one counts.
type memberRole string

// UnmarshalJSON takes both forms.
func (r *memberRole) UnmarshalJSON(b []byte) error {
	var names []string
	if json.Unmarshal(b, &names) != nil {
		return json.Unmarshal(b, (*string)(r))
	}
	*r = memberRole(strings.Join(names, ","))
	return nil
}

// Schema tells OpenAPI, and the validation by it, about it.
func (memberRole) Schema(huma.Registry) *huma.Schema {
	long, many := 200, 10
	text := &huma.Schema{Type: huma.TypeString, MaxLength: &long}
	return &huma.Schema{
		OneOf:       []*huma.Schema{text, {Type: huma.TypeArray, Items: text, MaxItems: &many}},
		Description: "owner, admin or member; of several the highest counts.",
	}
}

// highest returns the one role of ours that is meant, or errUnknownRole if one of them is none.
func (r memberRole) highest() (string, error) {
	ladder, rank := []string{store.MemberPlain, store.MemberAdmin, store.MemberOwner}, -1
	for name := range strings.SplitSeq(string(r), ",") {
		i := slices.Index(ladder, strings.TrimSpace(name))
		if i < 0 {
			return "", errUnknownRole
		}
		rank = max(rank, i)
	}
	return ladder[rank], nil
}

// An OrganizationBody is an organization as better-auth shows it, except that metadata is an object everywhere. Its name is
// exported, as are those of other bodies that are parts of larger ones, because huma documents no other parts.
type OrganizationBody struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Slug      string         `json:"slug"`
	Logo      *string        `json:"logo"`
	Metadata  map[string]any `json:"metadata"`
	CreatedAt timestamp      `json:"createdAt"`
}

func showOrganization(o *store.Organization) OrganizationBody {
	metadata := o.Metadata
	if metadata == nil {
		metadata = map[string]any{}
	}
	return OrganizationBody{ID: o.ID, Name: o.Name, Slug: o.Slug, Logo: orNull(o.Logo), Metadata: metadata, CreatedAt: timestamp(o.CreatedAt)}
}

type memberBody struct {
	ID             string          `json:"id"`
	OrganizationID string          `json:"organizationId"`
	UserID         string          `json:"userId"`
	Role           string          `json:"role" enum:"owner,admin,member"`
	CreatedAt      timestamp       `json:"createdAt"`
	User           *memberUserBody `json:"user,omitempty" doc:"Not where a member was changed."`
}

// memberUserBody is what members of one organization see of each other.
type memberUserBody struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Email string  `json:"email"`
	Image *string `json:"image"`
}

func showMember(m *store.Member) memberBody {
	body := memberBody{ID: m.ID, OrganizationID: m.OrganizationID, UserID: m.UserID, Role: m.Role, CreatedAt: timestamp(m.CreatedAt)}
	if m.User != nil {
		body.User = &memberUserBody{ID: m.User.ID, Name: m.User.Name, Email: m.User.Email, Image: orNull(m.User.Image)}
	}
	return body
}

func showMembers(members []store.Member) []memberBody {
	list := make([]memberBody, len(members))
	for i := range members {
		list[i] = showMember(&members[i])
	}
	return list
}

// An InvitationBody is an invitation as those who manage it and the invited person see it.
type InvitationBody struct {
	ID             string    `json:"id" doc:"The secret of the link."`
	OrganizationID string    `json:"organizationId"`
	Email          string    `json:"email"`
	Role           string    `json:"role" enum:"owner,admin,member"`
	Status         string    `json:"status" enum:"pending,accepted,rejected,canceled"`
	ExpiresAt      timestamp `json:"expiresAt" doc:"A pending invitation is dead from then on."`
	CreatedAt      timestamp `json:"createdAt"`
	InviterID      *string   `json:"inviterId" doc:"Null when no person invited, but a program or the operator."`
}

func showInvitation(i *store.Invitation) InvitationBody {
	return InvitationBody{
		ID: i.ID, OrganizationID: i.OrganizationID, Email: i.Email, Role: i.Role, Status: i.Status,
		ExpiresAt: timestamp(i.ExpiresAt), CreatedAt: timestamp(i.CreatedAt), InviterID: orNull(i.InviterID),
	}
}

func showInvitations(invitations []store.Invitation) []InvitationBody {
	list := make([]InvitationBody, len(invitations))
	for i := range invitations {
		list[i] = showInvitation(&invitations[i])
	}
	return list
}
