package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const tokenPath = "/api/auth/oauth2/token"

// tokens keep the one token that all calls share.
type tokens struct {
	turn  chan struct{} // holds one element while somebody reads, gets or drops the token; unlike a mutex, nobody waits longer than their context
	value string
	until time.Time
}

// refused is an error of the token endpoint. Another token would not help against it.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// token returns the one that there is, or gets one; callers at the same time wait for the same.
func (c *Client) token(ctx context.Context) (string, error) {
	select {
	case c.tokens.turn <- struct{}{}:
		defer func() { <-c.tokens.turn }()
	case <-ctx.Done():
		return "", lost{ctx.Err()}
	}
	if time.Now().Before(c.tokens.until) {
		return c.tokens.value, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(c.options.ClientID), url.QueryEscape(c.options.ClientSecret)) // RFC 6749 §2.3.1
	var answer struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	asked := time.Now()
	if err := c.send(r, &answer); err != nil {
		return "", refused{err}
	}
	lifetime := time.Duration(answer.ExpiresIn) * time.Second
	c.tokens.value = answer.Token
	c.tokens.until = asked.Add(lifetime * 9 / 10) // it must still be good when the request arrives
	return answer.Token, nil
}

// forget drops a token that was refused, unless somebody else has replaced it.
func (t *tokens) forget(token string) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if t.value == token {
		t.until = time.Time{}
	}
}
