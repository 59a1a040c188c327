package didomi

import "unicode/utf8"

// appendJSON writes the canonical form of a value: names sorted, no space
// between, numbers as they were sent, and in texts only escaped what must be.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case trueKind:
		return append(b, "true"...)
	case falseKind:
		return append(b, "false"...)
	case numberKind:
		return append(b, n.text...)
	case textKind:
		return appendQuoted(b, n.text)
	case listKind:
		b = append(b, '[')
		for i, kid := range n.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = kid.appendJSON(b)
		}
		return append(b, ']')
	case objectKind:
		b = append(b, '{')
		for i, kid := range n.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(b, kid.key)
			b = append(b, ':')
			b = kid.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' || c >= utf8.RuneSelf {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		} else {
			b = append(b, '\\', c)
		}
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}
