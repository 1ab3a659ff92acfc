package client

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// An Amount is an exact decimal with at most six places, such as "0.3" or "10". It is sent as text, and read from a number
// as it was written.
type Amount string

// UnmarshalJSON keeps the digits of a number.
func (a *Amount) UnmarshalJSON(text []byte) error {
	var n json.Number
	if err := json.Unmarshal(bytes.Trim(text, `"`), &n); err != nil {
		return fmt.Errorf("amount: %w", err)
	}
	*a = Amount(n)
	return nil
}
