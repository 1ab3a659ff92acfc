package problem

import (
	"net/http"
	"strings"
)

// RFC 6750 §3: without credentials the challenge names no error.
const challenge = `Bearer realm="auth-service"`

var (
	// Unauthorized is for requests that say nothing about who calls.
	Unauthorized = New(http.StatusUnauthorized, "UNAUTHORIZED", "Sign in first, or send an access token.").WithHeader("WWW-Authenticate", challenge)
	// InvalidToken is for requests with a token that is no good, or no longer.
	InvalidToken = New(http.StatusUnauthorized, "INVALID_TOKEN", "The access token is not valid, or no longer.").
			WithHeader("WWW-Authenticate", challenge+`, error="invalid_token"`)
)

// InsufficientScope is for requests with a token that lacks the scope.
func InsufficientScope(scope string) *Error {
	return New(http.StatusForbidden, "INSUFFICIENT_SCOPE", "The access token does not have the scope "+scope+".").
		WithHeader("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+scope+`"`)
}

// BearerToken returns the access token in the header of a request (RFC 6750 §2.1), and whether there is any such header: who sends
// one must not fall back on whoever is signed in. The error is Unauthorized when it is of no use.
func BearerToken(r *http.Request) (token string, sent bool, err error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", true, Unauthorized
	}
	return token, true, nil
}
