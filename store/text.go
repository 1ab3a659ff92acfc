package store

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsKey reports whether the text can be the key of a permission, a role, a plan, a feature or of what is used:
// ^[a-z0-9][a-z0-9_.:-]{0,63}$. It is asked of each use, so it is no regular expression.
func IsKey(text string) bool {
	const longest = 64
	for i, b := range []byte(text) {
		switch {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9':
		case i > 0 && (b == '_' || b == '.' || b == ':' || b == '-'):
		default:
			return false
		}
	}
	return 0 < len(text) && len(text) <= longest
}

// Printable refuses what a database cannot keep (NUL, broken UTF-8) and what turns the direction of text around where people read
// it, on a consent screen or where they pick an organization, so that a name reads as another.
func Printable(text string) bool {
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return true
	}
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	})
}
