package outbound

import (
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxExcerpt is how many characters an excerpt has at most.
const MaxExcerpt = 300

var (
	jsonEscape    = regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]`)
	percentEscape = regexp.MustCompile(`(?:%[0-9a-fA-F]{2})+`)
	tag           = regexp.MustCompile(`</?[a-zA-Z][^<>]*>`)
	// mail also hides addresses that we did not send.
	mail = regexp.MustCompile(`[^\s"'<>()\[\]{},;:=/]+@[^\s"'<>()\[\]{},;:=/]+`)
)

// Excerpt makes a few readable words of the body of a refusal, in which each
// of the hidden values is replaced by an ellipsis. Escapes are undone first,
// so that a value is found in whatever form it is echoed. Mail addresses are
// hidden in any case.
func Excerpt(body string, hidden []string) string {
	said := Readable(body)
	// The longest first, so that a value within another leaves no rest of it.
	hidden = slices.Clone(hidden)
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	for _, value := range hidden {
		plain := Readable(value)
		for _, form := range []string{value, plain, strings.ReplaceAll(plain, " ", "+")} {
			said = hide(said, form)
		}
	}
	said = mail.ReplaceAllString(said, "…")
	if runes := []rune(said); len(runes) > MaxExcerpt {
		said = string(runes[:MaxExcerpt-1]) + "…"
	}
	return said
}

// hide replaces a value everywhere, letters' case aside. One of up to three
// characters is replaced only where it stands alone: replaced everywhere, the
// "M" of a sex would eat the whole text.
func hide(said, value string) string {
	if value == "" || value == "…" || !utf8.ValidString(value) {
		return said // which is UTF-8, so that what is not cannot be in it
	}
	pattern := "(?i)" + regexp.QuoteMeta(value)
	if utf8.RuneCountInString(value) > 3 {
		return regexp.MustCompile(pattern).ReplaceAllString(said, "…")
	}
	pattern = `(^|[^\pL\pN])` + "(?i:" + regexp.QuoteMeta(value) + `)($|[^\pL\pN])`
	short := regexp.MustCompile(pattern)
	// Neighbours share the character between them, hence twice.
	said = short.ReplaceAllString(said, "${1}…${2}")
	return short.ReplaceAllString(said, "${1}…${2}")
}

// Readable undoes escapes, drops tags and what cannot be printed, and makes
// any white space one space.
func Readable(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = jsonEscape.ReplaceAllStringFunc(s, func(escape string) string {
		var plain string
		if json.Unmarshal([]byte(`"`+escape+`"`), &plain) != nil {
			return escape
		}
		return plain
	})
	s = percentEscape.ReplaceAllStringFunc(s, func(escape string) string {
		if plain, err := url.PathUnescape(escape); err == nil && utf8.ValidString(plain) {
			return plain
		}
		return escape
	})
	s = html.UnescapeString(tag.ReplaceAllString(s, " "))
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
