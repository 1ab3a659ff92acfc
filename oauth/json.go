package oauth

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"auth-service/problem"
)

var (
	errMediaType = problem.New(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json.")
	errBody      = problem.New(http.StatusBadRequest, "BAD_REQUEST", "The body is not the JSON object that this address reads.")
	errTooLarge  = problem.New(http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "The request body is larger than 64 KiB.")
)

// readJSON reads the body of a request of our own pages. Only application/json will do: other media types can be sent
// across sites without the browser asking first.
func readJSON(c echo.Context, into any) error {
	media, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return errMediaType
	}
	body, err := io.ReadAll(io.LimitReader(c.Request().Body, maxForm+1))
	switch {
	case err != nil:
		return errBody.Because(err)
	case len(body) > maxForm:
		return errTooLarge
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errBody.Because(err)
	}
	return nil
}

// timestamp is a time as our own APIs write it: RFC 3339, UTC, milliseconds.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
