package oauth

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxForm bounds the parameters of one request: far above any real one, far below what hurts.
const maxForm = 64 << 10

// repeatable parameters may occur more than once (RFC 8707 §2); all others must not (RFC 6749 §3.1, §3.2).
func repeatable(name string) bool { return name == "resource" }

// formOf returns the parameters of a POST from its body alone: secrets and codes in the query would end up in logs.
func formOf(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("The request body must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, invalidRequest("The request body could not be read.")
	}
	if len(body) > maxForm {
		return nil, invalidRequest("The request body is larger than 64 KiB.")
	}
	return parseForm(string(body))
}

// parseForm decodes encoded parameters and refuses repeated ones. Parameters without a value count as absent.
func parseForm(encoded string) (url.Values, error) {
	if len(encoded) > maxForm {
		return nil, invalidRequest("The parameters are larger than 64 KiB.")
	}
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, invalidRequest("The parameters are not properly encoded.")
	}
	for name, values := range form {
		if !isText(name) || !isText(strings.Join(values, "")) {
			return nil, invalidRequest("The parameters must be UTF-8 text without null characters.")
		}
	}
	for name, values := range form {
		if len(values) > 1 && !repeatable(name) {
			return form, invalidRequest("The parameter " + quoted(name) + " must not occur more than once.")
		}
		if values[0] == "" {
			delete(form, name)
		}
	}
	return form, nil
}

// isText reports whether s is something that a database can compare and a client can get back as it was: PostgreSQL
// refuses null characters and bytes that are not UTF-8, which would make a stranger's input look like a server fault.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// quoted makes a parameter name of the caller safe to repeat in a description (RFC 6749 §5.2 allows few characters).
func quoted(s string) string {
	out := make([]byte, 0, len(s)+2)
	for i := 0; i < len(s) && i < 40; i++ {
		if b := s[i]; b >= 0x20 && b < 0x7f && b != '"' && b != '\\' {
			out = append(out, b)
		}
	}
	return "'" + string(out) + "'"
}
