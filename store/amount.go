package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

const (
	// AmountDecimals is how many places an amount may have.
	AmountDecimals = 6
	// MaxAmount is the most that one record may say, in whole units. Totals may be nine million times that.
	MaxAmount = 1_000_000_000_000

	microsPerUnit = 1_000_000
)

// ErrInvalidAmount means that a text is not a number from 0 to MaxAmount with up to six decimals.
var ErrInvalidAmount = errors.New("not an amount")

// An Amount is an exact decimal that is not negative. It is kept as two integers, so that both engines add it without rounding
// and a counter of bytes does not overflow: units up to 9 quintillion, and millionths below one million.
type Amount struct{ whole, micros int64 }

// NewAmount returns that many whole units.
func NewAmount(units int64) Amount { return Amount{whole: units} }

// ParseAmount reads a decimal as JSON writes it, with an exponent or without: 1.5, 2e3. It never passes through a float, which
// would round. It returns ErrInvalidAmount for all else, and for what has more than six places or is above MaxAmount.
func ParseAmount(text string) (Amount, error) {
	a, err := parseDecimal(text)
	if err != nil {
		return Amount{}, err
	}
	if a.Compare(NewAmount(MaxAmount)) > 0 {
		return Amount{}, fmt.Errorf("%w: above %d", ErrInvalidAmount, int64(MaxAmount))
	}
	return a, nil
}

// parseDecimal is ParseAmount without the bound of a record: limits and totals may be higher.
func parseDecimal(text string) (Amount, error) {
	if a, ok := parsePlain(text); ok {
		return a, nil
	}
	const longest = 64 // characters: nothing that fits needs more, and exponents stay small
	if len(text) > longest || text == "" || text[0] == '-' || text[0] == '+' || strings.ContainsAny(text, "_/xXpPbBoOiI") {
		return Amount{}, fmt.Errorf("%w: %.64q", ErrInvalidAmount, text)
	}
	if _, exponent, found := strings.Cut(strings.ToLower(text), "e"); found {
		if n, err := strconv.Atoi(exponent); err != nil || n > longest || n < -longest {
			return Amount{}, fmt.Errorf("%w: %q", ErrInvalidAmount, text)
		}
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return Amount{}, fmt.Errorf("%w: %q", ErrInvalidAmount, text)
	}
	exact.Mul(exact, big.NewRat(microsPerUnit, 1))
	if !exact.IsInt() {
		return Amount{}, fmt.Errorf("%w: %q has more than %d decimals", ErrInvalidAmount, text, AmountDecimals)
	}
	whole, micros := new(big.Int).DivMod(exact.Num(), big.NewInt(microsPerUnit), new(big.Int))
	if !whole.IsInt64() {
		return Amount{}, fmt.Errorf("%w: %q is too large", ErrInvalidAmount, text)
	}
	return Amount{whole: whole.Int64(), micros: micros.Int64()}, nil
}

// parsePlain reads what nearly all amounts look like, digits and perhaps up to six more after a point, at a tenth of the cost.
func parsePlain(text string) (Amount, bool) {
	const longest = 18 // digits, which an int64 holds
	whole, fraction, pointed := strings.Cut(text, ".")
	if whole == "" || len(whole) > longest || len(fraction) > AmountDecimals || pointed && fraction == "" {
		return Amount{}, false
	}
	var a Amount
	for _, digit := range []byte(whole) {
		if digit < '0' || digit > '9' {
			return Amount{}, false
		}
		a.whole = a.whole*10 + int64(digit-'0')
	}
	for i := range AmountDecimals {
		a.micros *= 10
		if i < len(fraction) {
			if fraction[i] < '0' || fraction[i] > '9' {
				return Amount{}, false
			}
			a.micros += int64(fraction[i] - '0')
		}
	}
	return a, true
}

// IsZero reports whether there is nothing.
func (a Amount) IsZero() bool { return a == Amount{} }

// Add returns the sum.
func (a Amount) Add(b Amount) Amount {
	micros := a.micros + b.micros
	return Amount{whole: a.whole + b.whole + micros/microsPerUnit, micros: micros % microsPerUnit}
}

// Minus returns what is left of a when b is taken away; nothing when b is more.
func (a Amount) Minus(b Amount) Amount {
	if a.Compare(b) <= 0 {
		return Amount{}
	}
	whole, micros := a.whole-b.whole, a.micros-b.micros
	if micros < 0 {
		whole, micros = whole-1, micros+microsPerUnit
	}
	return Amount{whole: whole, micros: micros}
}

// Compare returns -1, 0 or +1 as a is less than, equal to or more than b.
func (a Amount) Compare(b Amount) int {
	switch {
	case a.whole < b.whole, a.whole == b.whole && a.micros < b.micros:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// Percent returns n hundredths of a, rounded up to a millionth, so that what reaches it has reached the share.
func (a Amount) Percent(n int) Amount {
	hundreds, rest := a.whole/100, (a.whole%100)*microsPerUnit+a.micros
	micros := (rest*int64(n) + 99) / 100
	return Amount{whole: hundreds*int64(n) + micros/microsPerUnit, micros: micros % microsPerUnit}
}

// String writes the amount in the one way to write it: 10, 0.3.
func (a Amount) String() string { return string(a.Append(nil)) }

// Append appends what String returns.
func (a Amount) Append(to []byte) []byte {
	to = strconv.AppendInt(to, a.whole, 10)
	if a.micros == 0 {
		return to
	}
	point := len(to)
	to = strconv.AppendInt(to, microsPerUnit+a.micros, 10) // has a 1 where the point belongs
	to[point] = '.'
	return bytes.TrimRight(to, "0")
}

// MarshalJSON writes a number.
func (a Amount) MarshalJSON() ([]byte, error) { return a.Append(nil), nil }

// UnmarshalJSON reads a number, or text that is one, as those send it whose numbers are floats. It returns ErrInvalidAmount.
func (a *Amount) UnmarshalJSON(text []byte) error {
	bare := string(text)
	if len(bare) >= 2 && bare[0] == '"' {
		bare = bare[1 : len(bare)-1]
	}
	parsed, err := parseDecimal(bare)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
