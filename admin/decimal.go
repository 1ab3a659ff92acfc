package admin

import (
	"regexp"
	"strconv"
	"strings"
)

const (
	// maxDecimal is the largest whole number that JavaScript keeps exactly.
	maxDecimal    = "9007199254740991"
	maxDecimals   = 6
	decimalFault  = "Use a number from 0 to " + maxDecimal + " with up to six decimals."
	longestNumber = 64 // characters: what we accept needs no more, and what is shifted by its exponent stays small
)

var decimalPattern = regexp.MustCompile(`^([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?$`)

// decimal returns the one way to write a number: 1e3 is 1000, and 010.50 is 10.5. It never passes through a float, which
// would round. Negative numbers, those above maxDecimal and those with too many decimals are not ok.
func decimal(text string) (canonical string, ok bool) {
	parts := decimalPattern.FindStringSubmatch(text)
	if parts == nil || len(text) > longestNumber {
		return "", false
	}
	whole, fraction := parts[1], parts[2]
	if parts[3] != "" {
		exponent, err := strconv.Atoi(parts[3])
		if err != nil {
			return "", false
		}
		whole, fraction = shift(whole, fraction, exponent)
	}
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if len(fraction) > maxDecimals || aboveMaximum(whole, fraction) {
		return "", false
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole, true
}

// shift moves the decimal point to the right by places, or to the left when they are negative.
func shift(whole, fraction string, places int) (string, string) {
	if places >= 0 {
		fraction += strings.Repeat("0", max(0, places-len(fraction)))
		return whole + fraction[:places], fraction[places:]
	}
	whole = strings.Repeat("0", max(0, -places-len(whole))) + whole
	at := len(whole) + places
	return whole[:at], whole[at:] + fraction
}

// aboveMaximum compares digits without zeros at the outer ends.
func aboveMaximum(whole, fraction string) bool {
	if len(whole) != len(maxDecimal) {
		return len(whole) > len(maxDecimal)
	}
	return whole > maxDecimal || whole == maxDecimal && fraction != ""
}
