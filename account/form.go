package account

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
)

// formRequest shows an HTML form to huma as the JSON that it stands for.
type formRequest struct {
	humaContext
	body io.Reader
}

type humaContext huma.Context // embedded under another name, because huma.Context has a method Context

// Unwrap lets the adapter find its own context.
func (f formRequest) Unwrap() huma.Context { return f.humaContext }

func (f formRequest) BodyReader() io.Reader { return f.body }

func (f formRequest) Header(name string) string {
	if name == "Content-Type" {
		return "application/json"
	}
	return f.humaContext.Header(name)
}

// withForm makes a route accept HTML forms beside JSON.
var withForm = option{middleware: acceptForms, document: func(op *huma.Operation) {
	op.RequestBody.Content["application/x-www-form-urlencoded"] = op.RequestBody.Content["application/json"]
}}

// acceptForms translates a form-encoded body. One that cannot be read goes on as it is and is refused as broken JSON.
func acceptForms(ctx huma.Context, next func(huma.Context)) {
	kind, _, err := mime.ParseMediaType(ctx.Header("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		next(ctx)
		return
	}
	// One byte more than is allowed, so that huma sees that the body is too large.
	raw, err := io.ReadAll(io.LimitReader(ctx.BodyReader(), maxBody+1))
	if err == nil && len(raw) <= maxBody {
		raw = formToJSON(raw)
	}
	next(formRequest{ctx, io.MultiReader(bytes.NewReader(raw), failing{err})})
}

// failing passes on the error with which a body ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// formToJSON returns the form as an object. A field given twice becomes a list, which no field of ours is, so it is
// refused instead of guessed at. Of our fields rememberMe alone is no text.
func formToJSON(raw []byte) []byte {
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return raw
	}
	object := make(map[string]any, len(values))
	for name, list := range values {
		switch {
		case len(list) > 1:
			object[name] = list
		case name == "rememberMe" && (list[0] == "true" || list[0] == "false"):
			object[name] = list[0] == "true"
		default:
			object[name] = list[0]
		}
	}
	b, err := json.Marshal(object)
	if err != nil {
		return raw
	}
	return b
}
