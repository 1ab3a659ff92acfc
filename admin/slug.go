package admin

import (
	"crypto/rand"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

const maxSlug = 63

// slugOf makes a slug of a name: "Café Zürich (beta)" becomes cafe-zurich-beta. A name without a letter or digit gets the
// fallback.
func slugOf(name, fallback string) string {
	var out strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(name)) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			out.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // an accent, which NFKD parted from its letter
		case !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
	}
	slug := strings.Trim(out.String(), "-")
	slug = strings.Trim(slug[:min(len(slug), maxSlug)], "-")
	if slug == "" || uuid.Validate(slug) == nil {
		return fallback
	}
	return slug
}

// slugCandidates are the slug, then with numbers, then with something that nobody else can have taken.
func slugCandidates(slug string) []string {
	out := []string{slug}
	for n := 2; n <= 5; n++ {
		out = append(out, suffixed(slug, strconv.Itoa(n)))
	}
	return append(out, suffixed(slug, randomText(10)))
}

func suffixed(slug, suffix string) string {
	slug = slug[:min(len(slug), maxSlug-1-len(suffix))]
	return strings.TrimRight(slug, "-") + "-" + suffix
}

// randomText returns up to 26 random characters of base32 in lower case, five bits each.
func randomText(length int) string { return strings.ToLower(rand.Text()[:length]) }
