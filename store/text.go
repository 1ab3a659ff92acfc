package store

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var keyPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.:-]{0,63}$`)

// IsKey reports whether the text can be the key of a permission, a role, a plan, a feature or of what is used.
func IsKey(text string) bool { return keyPattern.MatchString(text) }

// Printable refuses what a database cannot keep (NUL, broken UTF-8) and what turns the direction of text around where people read
// it, on a consent screen or where they pick an organization, so that a name reads as another.
func Printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	})
}
