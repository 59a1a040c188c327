package consent

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// plain reads JSON as encoding/json writes it of what is stored most: objects, without
// a space between what they are made of, an escape or a list. Whatever else it meets
// makes it odd, and is left to encoding/json, which takes four times as long
// (BenchmarkStoredJSON) and was a fifth of comparing everybody with Actito.
//
// Of what is not odd it makes the same as encoding/json, which FuzzPlainJSON sees to.
type plain struct {
	text string
	at   int
	odd  bool
}

// whole tells whether all of the text was read and nothing was odd.
func (p *plain) whole() bool {
	return !p.odd && p.at == len(p.text) && utf8.ValidString(p.text)
}

// pass goes past a byte, if it is the next.
func (p *plain) pass(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// want goes past a byte, which has to be the next.
func (p *plain) want(c byte) { p.odd = !p.pass(c) || p.odd }

// object calls member for each, which has to read the value.
func (p *plain) object(member func(name string)) {
	p.want('{')
	for first := true; !p.odd && !p.pass('}'); first = false {
		if !first {
			p.want(',')
		}
		name := p.string()
		if p.want(':'); !p.odd {
			member(name)
		}
	}
}

// string shares the memory of the text.
func (p *plain) string() string {
	p.want('"')
	end := strings.IndexByte(p.text[p.at:], '"')
	if p.odd || end < 0 {
		p.odd = true
		return ""
	}
	s := p.text[p.at : p.at+end]
	p.at += end + 1
	for i := range len(s) {
		p.odd = p.odd || s[i] == '\\' || s[i] < ' '
	}
	return s
}

func (p *plain) time() (t Time) {
	p.odd = t.UnmarshalText([]byte(p.string())) != nil || p.odd
	return t
}

func (p *plain) bool() bool {
	on, yes := p.value().(bool)
	p.odd = p.odd || !yes
	return on
}

// value reads true, false, null, a string or a whole number.
func (p *plain) value() any {
	rest := p.text[p.at:]
	switch {
	case strings.HasPrefix(rest, `"`):
		return p.string()
	case strings.HasPrefix(rest, "true"):
		p.at += len("true")
		return true
	case strings.HasPrefix(rest, "false"):
		p.at += len("false")
		return false
	case strings.HasPrefix(rest, "null"):
		p.at += len("null")
		return nil
	}
	start := p.at
	p.pass('-')
	digits := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	p.odd = p.odd || p.at == digits || p.text[digits] == '0' && p.at > digits+1
	return json.Number(p.text[start:p.at])
}

// byName reads an object whose members are all of one kind.
func byName[V any](p *plain, read func(*plain) V) map[string]V {
	all := make(map[string]V)
	p.object(func(name string) {
		_, twice := all[name]
		p.odd = p.odd || twice
		all[name] = read(p)
	})
	return all
}

func (p *plain) fact() (f Fact) {
	p.object(func(name string) {
		switch name {
		case "v":
			f.Value = p.value()
		case "c":
			f.ConfirmedAt = p.time()
		case "u":
			f.Unknown = p.bool()
		case "o":
			f.SeenOnAt = p.time()
		case "d":
			f.DoubtedAt = p.time()
		case "s":
			f.Suspect = p.bool()
		case "r":
			refused := p.string()
			f.Refused = &refused
		case "w":
			f.Why = p.string()
		default:
			p.odd = true
		}
	})
	return f
}

// readKnown reads what is known of a profile; false if something is odd.
func readKnown(text string) (k Known, ok bool) {
	p := plain{text: text}
	p.object(func(name string) {
		switch {
		case name == "s" && k.Subscriptions == nil:
			k.Subscriptions = byName(&p, (*plain).fact)
		case name == "a" && k.Attributes == nil:
			k.Attributes = byName(&p, (*plain).fact)
		default:
			p.odd = true
		}
	})
	return k, p.whole()
}

// Links are Didomi users, by their ids, with the first sighting of each under a
// person's id.
type Links map[string]Link

// UnmarshalJSON reads what encoding/json wrote.
func (l *Links) UnmarshalJSON(b []byte) error {
	if read, ok := readLinks(string(b)); ok && *l == nil {
		*l = read
		return nil
	}
	return json.Unmarshal(b, (*map[string]Link)(l))
}

func readLinks(text string) (l Links, ok bool) {
	p := plain{text: text}
	l = byName(&p, (*plain).link)
	return l, p.whole()
}

func (p *plain) link() (l Link) {
	p.object(func(name string) {
		switch name {
		case "u":
			l.OrganizationUserID = p.string()
		case "t":
			l.At = p.time()
		case "e":
			l.EventID = p.string()
		default:
			p.odd = true
		}
	})
	return l
}
