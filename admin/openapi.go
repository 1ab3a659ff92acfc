package admin

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
)

func describeSecurity(api huma.API) {
	components := api.OpenAPI().Components
	if components.SecuritySchemes == nil {
		components.SecuritySchemes = map[string]*huma.SecurityScheme{}
	}
	components.SecuritySchemes["session"] = &huma.SecurityScheme{
		Type: "apiKey", In: "cookie", Name: "auth_session", Description: "The browser session; the cookie is called __Host-auth_session on https.",
	}
	components.SecuritySchemes["bearer"] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An access token.",
	}
	components.SecuritySchemes["client"] = &huma.SecurityScheme{
		Type: "http", Scheme: "basic", Description: "client_id and client_secret, each form-url-encoded (RFC 6749 §2.3.1); or both in the form (client_secret_post).",
	}
}

//go:embed docs.html docs.css
var documentFiles embed.FS

var documentPage = template.Must(template.ParseFS(documentFiles, "docs.html"))

// documentPolicy lets the page load its style sheet and nothing else.
const documentPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A Document serves what the API says about itself: /api/openapi.json, and for people /api/docs.
type Document struct {
	API huma.API
}

// Mount registers the routes. Both are rendered when somebody first asks: by then all other routes are registered.
func (d *Document) Mount(e *echo.Echo) {
	serve := func(path, contentType string, render func() ([]byte, error)) {
		render = sync.OnceValues(render)
		e.GET(path, func(c echo.Context) error {
			body, err := render()
			if err != nil {
				return fmt.Errorf("render %s: %w", path, err)
			}
			c.Response().Header().Set("Cache-Control", "no-cache")
			c.Response().Header().Set("Content-Security-Policy", documentPolicy)
			c.Response().Header().Set("X-Content-Type-Options", "nosniff")
			return c.Blob(http.StatusOK, contentType, body)
		})
	}
	serve("/api/openapi.json", "application/json", func() ([]byte, error) { return json.Marshal(d.API.OpenAPI()) })
	serve("/api/docs", "text/html; charset=utf-8", d.page)
	serve("/api/docs.css", "text/css; charset=utf-8", func() ([]byte, error) { return documentFiles.ReadFile("docs.css") })
}

// What the page shows; its template needs no logic beyond loops.
type (
	docPage struct {
		Title, Version string
		Groups         []docGroup
		Schemas        []docSchema
	}
	docGroup struct {
		Name       string
		Operations []docOperation
	}
	docOperation struct {
		ID, Method, Path, Summary, Description, Access string
		Parameters                                     []docField
		Bodies, Answers                                []docContent
	}
	docContent struct {
		Name, Description string // a content type, or a status
		Type              docType
		Fields            []docField
	}
	docSchema struct {
		Name   string
		Fields []docField
	}
	docField struct {
		Name, Place, Description string
		Required                 bool
		Type                     docType
	}
	docType struct{ Text, Ref string } // Ref names a schema on the page
)

func (d *Document) page() ([]byte, error) {
	api := d.API.OpenAPI()
	page := docPage{Title: api.Info.Title, Version: api.Info.Version}
	groups := map[string][]docOperation{}
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil && len(op.Tags) > 0 {
				groups[op.Tags[0]] = append(groups[op.Tags[0]], showOperation(op))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(api.Webhooks)) {
		op := api.Webhooks[name].Post
		groups[op.Tags[0]] = append(groups[op.Tags[0]], showOperation(op))
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		page.Groups = append(page.Groups, docGroup{name, groups[name]})
	}
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		page.Schemas = append(page.Schemas, docSchema{name, showFields(schemas[name])})
	}
	var out bytes.Buffer
	err := documentPage.Execute(&out, page)
	return out.Bytes(), err
}

func showOperation(op *huma.Operation) docOperation {
	out := docOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	var access []string
	for _, alternative := range op.Security {
		access = append(access, strings.Join(slices.Sorted(maps.Keys(alternative)), " and "))
	}
	out.Access = strings.Join(access, " or ")
	for _, p := range op.Parameters {
		out.Parameters = append(out.Parameters, docField{Name: p.Name, Place: p.In, Description: withLimits(p.Description, p.Schema), Required: p.Required, Type: showType(p.Schema)})
	}
	if op.RequestBody != nil {
		out.Bodies = showContents("", "", op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if len(r.Content) == 0 {
			out.Answers = append(out.Answers, docContent{Name: status, Description: r.Description})
		}
		out.Answers = append(out.Answers, showContents(status, r.Description, r.Content)...)
	}
	return out
}

func showContents(status, description string, contents map[string]*huma.MediaType) []docContent {
	var out []docContent
	for _, contentType := range slices.Sorted(maps.Keys(contents)) {
		shown := docContent{Name: strings.TrimSpace(status + " " + contentType), Description: description}
		if schema := contents[contentType].Schema; schema != nil {
			shown.Type = showType(schema)
			shown.Fields = showFields(schema)
		}
		out = append(out, shown)
	}
	return out
}

func showFields(s *huma.Schema) []docField {
	var out []docField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		out = append(out, docField{Name: name, Description: withLimits(property.Description, property), Required: slices.Contains(s.Required, name), Type: showType(property)})
	}
	return out
}

// showType puts a schema into words.
func showType(s *huma.Schema) docType {
	var out docType
	switch {
	case s == nil:
		return out
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return docType{Text: name, Ref: name}
	case len(s.Enum) > 0:
		var values []string
		for _, value := range s.Enum {
			values = append(values, fmt.Sprint(value))
		}
		out.Text = strings.Join(values, " | ")
	case len(s.OneOf) > 0:
		var choices []string
		for _, choice := range s.OneOf {
			choices = append(choices, showType(choice).Text)
		}
		out.Text = strings.Join(choices, " or ")
	case s.Type == huma.TypeArray:
		item := showType(s.Items)
		out = docType{Text: "list of " + item.Text, Ref: item.Ref}
	case s.Type == "":
		out.Text = "anything"
	default:
		out.Text = s.Type
	}
	if s.Format != "" && s.Format != "int64" {
		out.Text += " (" + s.Format + ")"
	}
	if s.Nullable {
		out.Text += " or null"
	}
	return out
}

// withLimits adds a schema's limits to its description.
func withLimits(text string, s *huma.Schema) string {
	if s == nil {
		return text
	}
	var limits []string
	add := func(label string, value any) { limits = append(limits, fmt.Sprintf("%s %v", label, value)) }
	if s.Minimum != nil {
		add("at least", int64(*s.Minimum))
	}
	if s.Maximum != nil {
		add("at most", int64(*s.Maximum))
	}
	if s.MaxLength != nil {
		add("characters up to", *s.MaxLength)
	}
	if s.MaxItems != nil {
		add("entries up to", *s.MaxItems)
	}
	if s.Default != nil {
		add("default", s.Default)
	}
	if len(limits) == 0 {
		return text
	}
	return strings.TrimSpace(text + " (" + strings.Join(limits, ", ") + ")")
}
