package problem

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

func (p *problem) Error() string               { return p.err.Error() }
func (p *problem) Unwrap() error               { return p.err }
func (p *problem) GetStatus() int              { return p.Status }
func (p *problem) ContentType(_ string) string { return ContentType }

// newHumaError replaces huma.NewError. It keeps the error itself, for Handler, and none of huma's wording around it.
func newHumaError(status int, message string, errs ...error) huma.StatusError {
	e := humaError(status, message, errs)
	p := show(e, "")
	p.err = e
	return &p
}

func humaError(status int, message string, errs []error) *Error {
	if status == 0 { // huma asks for a specimen, for the schema
		return New(0, "", "")
	}
	for _, err := range errs {
		if known := Of(err); err != nil && known.Status != http.StatusInternalServerError {
			return known
		}
	}
	switch status {
	case http.StatusInternalServerError:
		return Of(errors.Join(errs...)).orMessage(message)
	case http.StatusUnprocessableEntity:
		return Invalid(fields(errs))
	case http.StatusBadRequest:
		return badBody(errs)
	}
	return ofStatus(status)
}

// orMessage keeps huma's words for the log when there is no error behind a 500.
func (e *Error) orMessage(message string) *Error {
	if e.cause != nil {
		return e
	}
	return e.Because(errors.New(message))
}

// badBody is a body that is missing or that no JSON parser understands. The parser's words quote the body, so they stay here.
func badBody(errs []error) *Error {
	if len(errs) == 0 {
		return New(http.StatusBadRequest, "INVALID_JSON", "The request needs a JSON body.")
	}
	return New(http.StatusBadRequest, "INVALID_JSON", "The request body is not valid JSON.")
}

// fields turns huma's findings into sentences by field path. The submitted values, which huma attaches, are dropped:
// they may be passwords, and error bodies end up in logs.
func fields(errs []error) map[string]string {
	out := map[string]string{}
	for _, err := range errs {
		if own, ok := err.(*Finding); ok {
			if _, twice := out[own.Field]; !twice {
				out[own.Field] = own.Sentence
			}
			continue
		}
		detail, ok := err.(huma.ErrorDetailer)
		if !ok {
			out["body"] = "This has the wrong form."
			continue
		}
		d := detail.ErrorDetail()
		path, text := sentence(strings.TrimPrefix(d.Location, "body."), d.Message)
		if _, twice := out[path]; !twice {
			out[path] = text
		}
	}
	return out
}

var missingProperty = regexp.MustCompile(`^expected required property (.+) to be present$`)
var missingBecause = regexp.MustCompile(`^expected property (.+) to be present when .+ is present$`)

// sentence rewrites one of huma's messages. Those that end in a parser's words are cut before them: they quote the value.
func sentence(path, message string) (string, string) {
	for _, missing := range []*regexp.Regexp{missingProperty, missingBecause} {
		if m := missing.FindStringSubmatch(message); m != nil {
			return join(path, m[1]), "This field is required."
		}
	}
	if strings.HasPrefix(message, "required ") && strings.HasSuffix(message, " is missing") {
		return path, "This parameter is required."
	}
	if text, ok := plain[message]; ok {
		return path, text
	}
	for _, w := range words {
		if strings.HasPrefix(message, w.prefix) {
			return path, w.sentence
		}
	}
	for _, quoting := range []string{"expected length", "expected number", "expected array length", "expected value to be one of", "expected object with at", "expected string to be ", "expected string to match"} {
		if strings.HasPrefix(message, quoting) {
			return path, asSentence(message)
		}
	}
	return path, "This value has the wrong form."
}

func join(path, name string) string {
	if path == "" || path == "body" {
		return name
	}
	return path + "." + name
}

func asSentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

// words are our sentences for huma's messages, by the beginning of the message; the first match wins.
var words = []struct{ prefix, sentence string }{
	{"unexpected property", "This field is not known here."},
	{"unknown query parameter", "This parameter is not known here."},
	{"expected at most one value", "This must be given once."},
	{"expected boolean", "This must be true or false."},
	{"invalid boolean", "This must be true or false."},
	{"expected integer", "This must be a whole number."},
	{"invalid integer", "This must be a whole number."},
	{"invalid float", "This must be a number."},
	{"expected string to be RFC 5322 email", "This must be an e-mail address."},
	{"expected string to be RFC 3986 uri", "This must be a URI."},
	{"expected string to be RFC 4122 uuid", "This must be a UUID."},
	{"expected string to be RFC 3339 date-time", "This must be a date and time such as 2026-01-31T12:00:00Z."},
	{"expected string to be RFC 3339 date", "This must be a date such as 2026-01-31."},
	{"expected string to be regex", "This must be a regular expression."},
	{"expected duration", "This must be a duration."},
	{"invalid date/time", "This must be a date and time such as 2026-01-31T12:00:00Z."},
	{"expected array items to be unique", "The items must differ from one another."},
}

// plain are the messages that stand alone; they are prefixes of others, so they have to match whole.
var plain = map[string]string{
	"expected string": "This must be text.",
	"expected number": "This must be a number.",
	"expected array":  "This must be a list.",
	"expected object": "This must be an object.",
}
