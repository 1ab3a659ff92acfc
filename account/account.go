// Package account is what people do to their own account: sign up and in, see and end sessions, change password and
// profile, leave. Its wire is that of better-auth, so that better-auth/client works against it.
//
// The rules about people that administrators and the command line share, above all the ladder of roles, are here, too: see
// ladder.go. So are those about organizations, their members and invitations, which begin in organization.go; their routes
// begin in organization_routes.go. The administrators' HTTP routes are package admin's.
//
// Start with Service and its Mount. Sessions.Current is how the other packages learn who is in front of the browser, and
// Origins.SameOrigin keeps other sites from acting in their name. It issues no OAuth tokens: package oauth does, and reads
// the session.
package account

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"auth-service/problem"
	"auth-service/store"
)

// maxBody bounds the request bodies of this package, whose largest field is an URL.
const maxBody = 32 << 10

// Counters keep the statistics. They are called while requests run, so they neither wait nor fail.
type Counters interface {
	Add(metric, applicationID string)
	Seen(userID string)
}

// A Service holds the rules about people and serves them under /api/auth.
type Service struct {
	Store    *store.Store
	Sessions *Sessions
	Hasher   *Hasher
	Policy   PasswordPolicy
	Throttle *Throttle
	Devices  *Devices
	Origins  *Origins
	Counters Counters

	Organizations OrganizationPolicy

	SignUpEnabled bool
	AppName       string
	LogoURL       string
	Issuer        string
	Version       string

	Now func() time.Time
	Log zerolog.Logger
}

// Mount registers the routes. The caller puts Origins.SameOrigin in front of them.
func (s *Service) Mount(e *echo.Echo, api huma.API) {
	if e.IPExtractor == nil {
		// Echo would believe the leftmost X-Forwarded-For, which whoever guesses passwords chooses at will.
		e.IPExtractor = echo.ExtractIPDirect()
	}
	s.mountSignIn(api)
	s.mountSessions(api)
	s.mountPassword(api)
	s.mountProfile(api)
	s.mountOrganizations(api)
	s.mountMembers(api)
	s.mountInvitations(api)
	register(api, http.MethodGet, "ok", "getOk", "Tells that the server answers", s.ok)
	register(api, http.MethodGet, "config", "getConfig", "What the sign-in pages have to know", s.config)
}

type okBody struct {
	OK bool `json:"ok"`
}

func (s *Service) ok(context.Context, *struct{}) (*answer[okBody], error) {
	return reply(okBody{true}), nil
}

type configBody struct {
	AppName           string   `json:"appName"`
	LogoURL           string   `json:"logoUrl,omitempty"`
	SignUpEnabled     bool     `json:"signUpEnabled"`
	PasswordMinLength int      `json:"passwordMinLength"`
	PasswordMaxLength int      `json:"passwordMaxLength"`
	Version           string   `json:"version"`
	Locales           []string `json:"locales"`
	Issuer            string   `json:"issuer"`
}

func (s *Service) config(context.Context, *struct{}) (*answer[configBody], error) {
	return reply(configBody{
		AppName: s.AppName, LogoURL: s.LogoURL, SignUpEnabled: s.SignUpEnabled,
		PasswordMinLength: s.Policy.MinLength, PasswordMaxLength: s.Policy.MaxLength,
		Version: s.Version, Locales: []string{"en", "fr"}, Issuer: s.Issuer,
	}), nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// input is a request with a JSON body, answer a response with one.
type input[T any] struct{ Body T }

type answer[T any] struct {
	CacheControl string `header:"Cache-Control" doc:"Always no-store: the answer is about one person."`
	Body         T
}

const noStore = "no-store"

func reply[T any](body T) *answer[T] { return &answer[T]{noStore, body} }

// An option changes a route before it is registered, or what the OpenAPI document says about it. Either may be nil.
type option struct {
	middleware func(huma.Context, func(huma.Context))
	document   func(*huma.Operation)
}

// signedIn documents that a route answers 401 to whoever has no session.
var signedIn = option{document: func(op *huma.Operation) { op.Security = []map[string][]string{{"session": {}}} }}

// register adds one route under /api/auth. Bodies may have fields that we do not know, as clients of the replaced
// system send some.
func register[I, O any](api huma.API, method, path, id, summary string, handler func(context.Context, *I) (*O, error), options ...option) {
	op := huma.Operation{
		OperationID: id, Method: method, Path: "/api/auth/" + path, Summary: summary, Tags: []string{"Account"},
		MaxBodyBytes: maxBody, Errors: []int{401, 503}, Middlewares: huma.Middlewares{keepEcho},
	}
	if method == http.MethodPost {
		op.Errors = []int{400, 401, 403, 413, 415, 422, 429, 503}
	}
	for _, o := range options {
		if o.middleware != nil {
			op.Middlewares = append(op.Middlewares, o.middleware)
		}
	}
	op = problem.IgnoreUnknown(op)
	huma.Register(api, op, handler)
	item := api.OpenAPI().Paths[op.Path]
	registered := item.Get
	if method == http.MethodPost {
		registered = item.Post
	}
	for _, o := range options {
		if o.document != nil {
			o.document(registered)
		}
	}
}

type echoKey struct{}

// keepEcho lets handlers reach the request and its cookies.
func keepEcho(ctx huma.Context, next func(huma.Context)) {
	next(huma.WithValue(ctx, echoKey{}, humaecho.Unwrap(ctx)))
}

func exchange(ctx context.Context) echo.Context { return ctx.Value(echoKey{}).(echo.Context) }

// current returns the session of the request, or 401.
func (s *Service) current(ctx context.Context) (*store.Session, error) {
	ses, err := s.Sessions.Current(exchange(ctx).Request())
	if isNotFound(err) {
		return nil, errUnauthorized
	}
	if err == nil {
		exchange(ctx).Set("sub", ses.UserID) // for the access log
	}
	return ses, err
}
