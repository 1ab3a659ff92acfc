package problem_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/problem"
)

type address struct {
	City string `json:"city" minLength:"2"`
}

type person struct {
	Email    string         `json:"email" format:"email"`
	Password string         `json:"password" minLength:"8" maxLength:"128"`
	Image    string         `json:"image,omitempty" pattern:"^https://"`
	Age      int            `json:"age,omitempty"`
	Address  *address       `json:"address,omitempty"`
	Links    []string       `json:"links,omitempty" format:"uri"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

type echoed struct{ Body person }

func (s *server) register(path string, wrap func(huma.Operation) huma.Operation) {
	op := huma.Operation{OperationID: "create" + strings.ReplaceAll(path, "/", "-"), Method: "POST", Path: path, DefaultStatus: 201}
	huma.Register(s.api, wrap(op), func(_ context.Context, in *struct{ Body person }) (*echoed, error) {
		return &echoed{in.Body}, nil
	})
}

func strict(op huma.Operation) huma.Operation { return op }

func TestValidation(t *testing.T) {
	s := newServer()
	s.register("/strict", strict)
	for _, tt := range []struct {
		name   string
		body   string
		errors map[string]string
	}{
		{"missing fields", `{}`, map[string]string{"email": "This field is required.", "password": "This field is required."}},
		{"missing field below", `{"email":"a@b.example","password":"12345678","address":{}}`, map[string]string{"address.city": "This field is required."}},
		{"too short", `{"email":"a@b.example","password":"hunter2"}`, map[string]string{"password": "Expected length >= 8."}},
		{"not an address", `{"email":"hunter2, hunter2","password":"12345678"}`, map[string]string{"email": "This must be an e-mail address."}},
		{"wrong types", `{"email":5,"password":true,"age":"hunter2"}`, map[string]string{"email": "This must be text.", "password": "This must be text.", "age": "This must be a whole number."}},
		{"a number too large for the field", `{"email":"a@b.example","password":"12345678","age":9223372036854775808}`, map[string]string{"body": "This value has the wrong form."}},
		{"an item of a list", `{"email":"a@b.example","password":"12345678","links":["https://a.example",5]}`, map[string]string{"links[1]": "This must be text."}},
		{"unknown field", `{"email":"a@b.example","password":"12345678","role":"hunter2"}`, map[string]string{"role": "This field is not known here."}},
		{"another case", `{"EMAIL":"a@b.example","password":"12345678"}`, map[string]string{"email": "This field is required.", "EMAIL": "This field is not known here."}},
		{"not an object", `["hunter2"]`, map[string]string{"body": "This must be an object."}},
		{"null", `null`, map[string]string{"body": "This must be an object."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, d := s.do(t, jsonRequest("POST", "/strict", tt.body))
			assert.Equal(t, 400, rec.Code)
			assert.Equal(t, "VALIDATION_ERROR", d.Code)
			assert.Equal(t, tt.errors, d.Errors)
			// huma repeats what was submitted; a mistyped password must not travel into logs that way.
			assert.NotContains(t, rec.Body.String()+s.log.String(), "hunter2")
			assert.NotContains(t, rec.Body.String(), "json:")
		})
	}
}

func TestBodies(t *testing.T) {
	s := newServer()
	s.register("/strict", strict)
	const good = `{"email":"a@b.example","password":"12345678"}`
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		code                    string
	}{
		{"good", "application/json; charset=utf-8", good, 201, ""},
		{"broken", "application/json", `{"password":"hunter2`, 400, "INVALID_JSON"},
		{"something after the end", "application/json", good + good, 400, "INVALID_JSON"},
		{"empty", "application/json", "", 400, "INVALID_JSON"},
		{"form", "application/x-www-form-urlencoded", "email=a", 415, "UNSUPPORTED_MEDIA_TYPE"},
		// Browsers send these two across sites without a preflight.
		{"text", "text/plain", good, 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"no type", "", good, 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"too large", "application/json", `{"email":"` + strings.Repeat("a", 3000) + `"}`, 413, "PAYLOAD_TOO_LARGE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				req := jsonRequest("POST", "/strict", tt.body)
				req.Header.Del("Content-Type")
				if tt.contentType != "" {
					req.Header.Set("Content-Type", tt.contentType)
				}
				if chunked {
					req.ContentLength = -1
				}
				rec, d := s.do(t, req)
				assert.Equal(t, tt.status, rec.Code, rec.Body)
				assert.Equal(t, tt.code, d.Code)
				assert.NotContains(t, rec.Body.String(), "hunter2")
				assert.NotContains(t, rec.Body.String(), "$schema")
			}
		})
	}
	assert.Empty(t, s.log.String())
}

// brokenOff is the body of a caller who hung up in its middle.
type brokenOff struct{ io.Reader }

func (b brokenOff) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestBodyBrokenOff(t *testing.T) {
	s := newServer()
	s.register("/strict", strict)
	req := jsonRequest("POST", "/strict", "")
	req.Body = io.NopCloser(brokenOff{strings.NewReader(`{"email":`)})
	req.ContentLength = 100
	rec, d := s.do(t, req)
	assert.Equal(t, 400, rec.Code)
	assert.Equal(t, "BAD_REQUEST", d.Code)
	assert.Empty(t, s.log.String())
}

// Clients of the replaced system send fields that we do not know. Ignoring them must not let a field in that differs
// only in case, since encoding/json would fill the checked field from the unchecked one.
func TestIgnoreUnknown(t *testing.T) {
	s := newServer()
	s.register("/open", problem.IgnoreUnknown)
	body := `{"email":"a@b.example","password":"12345678","EMAIL":"<script>","Image":"javascript:alert(1)","extra":{"a":1},
		"address":{"city":"Bern","CITY":"B","zip":3000},"metadata":{"Key":1,"key":12345678901234567890}}`
	rec, _ := s.do(t, jsonRequest("POST", "/open", body))
	assert.Equal(t, 201, rec.Code)
	assert.JSONEq(t, `{"email":"a@b.example","password":"12345678","address":{"city":"Bern"},
		"metadata":{"Key":1,"key":12345678901234567890}}`, rec.Body.String())

	rec, d := s.do(t, jsonRequest("POST", "/open", `{"EMAIL":"a@b.example","password":"12345678"}`))
	assert.Equal(t, 400, rec.Code)
	assert.Equal(t, map[string]string{"email": "This field is required."}, d.Errors)
}

func TestUnprocessable(t *testing.T) {
	s := newServer()
	documented := func(op huma.Operation) huma.Operation {
		op.Errors = []int{400}
		return op
	}
	s.register("/strict", documented)
	s.register("/unprocessable", func(op huma.Operation) huma.Operation { return problem.Unprocessable(documented(op)) })
	for body, status := range map[string]int{`{"email":"a@b.example"}`: 422, `{"email":"a@b.example"`: 400, `{"email":"a@b.example","password":"12345678"}`: 201} {
		rec, d := s.do(t, jsonRequest("POST", "/unprocessable", body))
		assert.Equal(t, status, rec.Code, rec.Body)
		if status == 422 {
			assert.Equal(t, "VALIDATION_ERROR", d.Code)
			assert.Equal(t, map[string]string{"password": "This field is required."}, d.Errors)
			assert.Equal(t, "Unprocessable Entity", d.Title)
		}
	}
	rec, _ := s.do(t, jsonRequest("POST", "/strict", `{}`))
	assert.Equal(t, 400, rec.Code, "others stay as they are")
	responses := s.api.OpenAPI().Paths["/unprocessable"].Post.Responses
	assert.Contains(t, responses, "422")
	assert.NotContains(t, s.api.OpenAPI().Paths["/strict"].Post.Responses, "422")
}

func TestParameters(t *testing.T) {
	s := newServer()
	huma.Register(s.api, huma.Operation{OperationID: "list", Method: "GET", Path: "/things/{id}", RejectUnknownQueryParameters: true},
		func(context.Context, *struct {
			ID    string `path:"id" maxLength:"5"`
			Limit int    `query:"limit" minimum:"1" maximum:"200"`
			Type  string `query:"type" enum:"web,spa"`
		}) (*struct{}, error) {
			return nil, nil
		})
	rec, d := s.do(t, httptest.NewRequest("GET", "/things/toolong?limit=x&type=no", nil))
	assert.Equal(t, 400, rec.Code)
	assert.Equal(t, map[string]string{
		"path.id":     "Expected length <= 5.",
		"query.limit": "This must be a whole number.",
		"query.type":  `Expected value to be one of "web, spa".`,
	}, d.Errors)
	assert.Equal(t, "[path.id] Expected length <= 5. (and 2 more)", d.Detail)

	_, d = s.do(t, httptest.NewRequest("GET", "/things/a?sorted=1", nil))
	assert.Equal(t, map[string]string{"query.sorted": "This parameter is not known here."}, d.Errors)
}

// huma's own constructors and middlewares end in our shape too.
func TestHumaErrors(t *testing.T) {
	s := newServer()
	group := huma.NewGroup(s.api, "/group")
	group.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		if ctx.Header("Authorization") == "" {
			_ = huma.WriteErr(s.api, huma.WithValue(ctx, struct{}{}, 1), 401, "no")
			return
		}
		next(ctx)
	})
	huma.Register(group, huma.Operation{OperationID: "get", Method: "GET", Path: "/thing"},
		func(context.Context, *struct{}) (*struct{}, error) { return nil, huma.Error404NotFound("nope") })
	rec, d := s.do(t, httptest.NewRequest("GET", "/group/thing", nil))
	assert.Equal(t, 401, rec.Code)
	assert.Equal(t, "UNAUTHORIZED", d.Code)

	req := httptest.NewRequest("GET", "/group/thing", nil)
	req.Header.Set("Authorization", "Bearer x")
	rec, d = s.do(t, req)
	assert.Equal(t, 404, rec.Code)
	assert.Equal(t, "NOT_FOUND", d.Code)
}

// Who takes the shortcut gets the form that huma would have chosen.
func TestPlainAccepts(t *testing.T) {
	s := newServer()
	for _, accept := range problem.PlainAccepts {
		chosen, err := s.api.Negotiate(accept)
		require.NoError(t, err)
		assert.Equal(t, "application/json", chosen, accept)
	}
}

func TestOpenAPI(t *testing.T) {
	s := newServer()
	s.register("/strict", strict)
	b, err := s.api.OpenAPI().MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(b), `"$ref":"#/components/schemas/Problem"`)
	assert.Contains(t, string(b), `"application/problem+json"`)
	assert.Contains(t, string(b), `"links":{"items":{"format":"uri","type":"string"},"type":"array"}`, "lists are never null")

	for path, statuses := range map[string][]string{"/one": {"400", "409", "500"}, "/two": {"400", "422", "500"}} {
		errors := map[string][]int{"/one": {409}, "/two": {400, 422}}[path]
		op := huma.Operation{OperationID: path, Method: "PUT", Path: path, Errors: errors}
		huma.Register(s.api, op, func(context.Context, *struct{ Body person }) (*struct{}, error) { return nil, nil })
		var documented []string
		for status := range s.api.OpenAPI().Paths[path].Put.Responses {
			documented = append(documented, status)
		}
		assert.ElementsMatch(t, append(statuses, "204"), documented, "bad input is a 400; a 422 is the operation's own")
	}

	assert.Panics(t, func() {
		huma.Get(s.api, "/nameless", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	}, "an operation without an explicit id")
	for _, path := range []string{"/docs", "/openapi.json", "/schemas/Person.json"} {
		rec, _ := s.do(t, httptest.NewRequest("GET", path, nil))
		assert.Equal(t, 404, rec.Code, path)
	}
}
