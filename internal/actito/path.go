package actito

import "strings"

// segment encodes text as one segment of a path: only the unreserved
// characters of RFC 3986 stay. url.PathEscape leaves + = : & @ $ as they are,
// which servers read in their own ways.
func segment(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
