package account

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"auth-service/store"
)

// How many accounts a browser is remembered for, and how long.
const (
	maxDeviceMarks = 8
	deviceLifetime = 365 * 24 * time.Hour
)

const deviceLabel = "account/device"

// Devices recognizes browsers in which a person signed in before, by a cookie with one mark per person: a random device
// id with a MAC that binds it to that person. The cookie proves nothing but "was here once"; all that it earns is an
// own counter of failed sign-ins.
type Devices struct {
	Keyring *store.Keyring
	Secure  bool
}

func (d *Devices) cookieName() string { return cookieName("auth_device", d.Secure) }

// known returns the id of the device if the person signed in on it before.
func (d *Devices) known(r *http.Request, userID string) (device string, ok bool) {
	for _, mark := range d.marks(r) {
		if id, own := d.verify(mark, userID); own {
			return id, true
		}
	}
	return "", false
}

// remember marks the browser as one where the person signed in.
func (d *Devices) remember(c echo.Context, userID string) {
	if _, ok := d.known(c.Request(), userID); ok {
		return
	}
	id := store.RandomToken(16)
	mac := d.Keyring.MAC(deviceLabel, deviceData(id, userID))
	marks := append([]string{id + "." + base64.RawURLEncoding.EncodeToString(mac)}, d.marks(c.Request())...)
	marks = marks[:min(len(marks), maxDeviceMarks)]
	http.SetCookie(c.Response(), &http.Cookie{
		Name: d.cookieName(), Value: strings.Join(marks, "~"), Path: "/", HttpOnly: true, Secure: d.Secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(deviceLifetime.Seconds()),
	})
}

// marks returns those of the cookie, without any that could not be ours: they go back into a cookie.
func (d *Devices) marks(r *http.Request) []string {
	cookie, err := r.Cookie(d.cookieName())
	if err != nil {
		return nil
	}
	marks := strings.SplitN(cookie.Value, "~", maxDeviceMarks+1)
	marks = marks[:min(len(marks), maxDeviceMarks)]
	return slices.DeleteFunc(marks, func(mark string) bool { return len(mark) < 60 || len(mark) > 80 })
}

func (d *Devices) verify(mark, userID string) (id string, ok bool) {
	id, encoded, _ := strings.Cut(mark, ".")
	mac, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !d.Keyring.VerifyMAC(deviceLabel, deviceData(id, userID), mac) {
		return "", false
	}
	return id, true
}

func deviceData(id, userID string) []byte { return []byte(id + "\x00" + userID) }
