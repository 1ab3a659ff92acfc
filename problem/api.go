package problem

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
)

// settleHuma changes huma's package variables, which exist once per process and must not change while requests run.
var settleHuma sync.Once

// NewAPI returns huma on top of e, with what huma finds wrong and what its handlers return rendered by e's error handler,
// so that errors look the same on every route. A huma handler may return any error: *Error, one of store's, or a bug.
//
// Request bodies are application/json, at most 1 MiB unless the operation says otherwise, and must not have properties
// that the operation does not know, unless it is wrapped in IgnoreUnknown. Operations must name their OperationID.
// Neither the document nor a rendered page of it is served here.
func NewAPI(e *echo.Echo, title, version string) huma.API {
	settle()
	cfg := huma.DefaultConfig(title, version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // huma's page loads scripts from a CDN, which our CSP forbids
	cfg.CreateHooks = nil                                       // they add $schema to every body
	cfg.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	cfg.Transformers = []huma.Transformer{catch}
	cfg.OnAddOperation = append(cfg.OnAddOperation, checkOperation)
	router := humaecho.New(e, huma.Config{OpenAPI: &huma.OpenAPI{}}).Adapter()
	return huma.NewAPI(cfg, adapter{router})
}

func settle() {
	settleHuma.Do(func() {
		huma.NewError = newHumaError      // huma's own repeats submitted values, passwords among them
		huma.DefaultArrayNullable = false // a list is [] when empty, never null
		huma.ValidateStrictCasing = true  // "Email" is not "email"; see jsonFormat
	})
}

const ignoreUnknown = "ignoreUnknown"

// IgnoreUnknown makes an operation accept bodies with properties it does not know, and forget them. The account routes
// need it: clients of the replaced system send extra fields.
func IgnoreUnknown(op huma.Operation) huma.Operation {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[ignoreUnknown] = true
	return op
}

const unprocessable = "unprocessable"

// Unprocessable makes an operation answer fields that need another value with 422 in place of 400. Machines that record need to
// tell a body that no retry mends from one that was garbled on its way.
func Unprocessable(op huma.Operation) huma.Operation {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[unprocessable] = true
	return op
}

// checkOperation runs once per operation, at start.
func checkOperation(api *huma.OpenAPI, op *huma.Operation) {
	if _, derived := op.Metadata["_convenience_id"]; derived || op.OperationID == "" {
		panic("problem: " + op.Method + " " + op.Path + " needs an explicit OperationID: clients name their functions after it")
	}
	documentValidation(op)
	if op.Metadata[ignoreUnknown] == true && op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			allowUnknown(api.Components.Schemas, media.Schema, map[*huma.Schema]bool{})
		}
	}
}

// documentValidation moves what huma says about bad input to the status that we answer with. An operation that has a 422
// of its own names it, and then it is there twice.
func documentValidation(op *huma.Operation) {
	const ours, humas = "400", "422"
	named := 0
	for _, status := range op.Errors {
		if status == http.StatusUnprocessableEntity {
			named++
		}
	}
	if named != 1 || op.Metadata[unprocessable] == true {
		return
	}
	if op.Responses[ours] == nil {
		op.Responses[ours] = &huma.Response{Description: http.StatusText(http.StatusBadRequest), Content: op.Responses[humas].Content}
	}
	delete(op.Responses, humas)
}

func allowUnknown(registry huma.Registry, s *huma.Schema, seen map[*huma.Schema]bool) {
	if s == nil {
		return
	}
	if s.Ref != "" {
		s = registry.SchemaFromRef(s.Ref)
	}
	if seen[s] {
		return
	}
	seen[s] = true
	if closed, ok := s.AdditionalProperties.(bool); ok && !closed {
		s.AdditionalProperties = true
	}
	for _, property := range s.Properties {
		allowUnknown(registry, property, seen)
	}
	allowUnknown(registry, s.Items, seen)
}

// adapter runs huma's handlers such that errors leave through echo's error handler instead of huma's writer.
type adapter struct{ huma.Adapter }

func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	a.Adapter.Handle(op, func(request huma.Context) {
		ctx := &exchange{inner: request}
		if err := checkContentType(ctx, op); err != nil {
			ctx.err = err
		} else {
			handler(ctx)
		}
		if ctx.err != nil {
			if op.Metadata[unprocessable] == true {
				ctx.err = asUnprocessable(ctx.err)
			}
			humaecho.Unwrap(request).Error(ctx.err)
		}
	})
}

func asUnprocessable(err error) error {
	if e := Of(err); e.Code == codeValidation {
		moved := *e
		moved.Status = http.StatusUnprocessableEntity
		return &moved
	}
	return err
}

// checkContentType refuses a body that does not say what it is. A browser sends such a body, and text/plain, across
// sites without asking first; application/json it does not (Fetch, "CORS-safelisted request-header").
func checkContentType(ctx *exchange, op *huma.Operation) error {
	if op.RequestBody == nil || ctx.Header("Content-Type") != "" {
		return nil
	}
	if humaecho.Unwrap(ctx.inner).Request().ContentLength == 0 {
		return nil
	}
	return ofStatus(http.StatusUnsupportedMediaType)
}

// exchange is one request as huma sees it. Once an error is known, what huma writes about it goes nowhere.
type exchange struct {
	inner // embedded under another name, because huma.Context has a method Context
	err   error
}

type inner huma.Context

func (x *exchange) Unwrap() huma.Context { return x.inner }

func (x *exchange) SetStatus(code int) {
	if x.err == nil {
		x.inner.SetStatus(code)
	}
}

func (x *exchange) SetHeader(name, value string) {
	if x.err == nil {
		x.inner.SetHeader(name, value)
	}
}

func (x *exchange) AppendHeader(name, value string) {
	if x.err == nil {
		x.inner.AppendHeader(name, value)
	}
}

func (x *exchange) BodyWriter() io.Writer {
	if x.err != nil {
		return io.Discard
	}
	return x.inner.BodyWriter()
}

// catch is the one place through which every answer of huma passes before its status is sent: it keeps the errors.
func catch(ctx huma.Context, _ string, v any) (any, error) {
	failure, ok := v.(*problem)
	if !ok {
		return v, nil
	}
	for {
		if x, ok := ctx.(*exchange); ok {
			x.err = failure.err
			return v, nil
		}
		outer, ok := ctx.(interface{ Unwrap() huma.Context })
		if !ok {
			return nil, errors.New("problem: the request did not come through NewAPI")
		}
		ctx = outer.Unwrap()
	}
}
