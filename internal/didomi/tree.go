package didomi

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"consentsync/internal/consent"
)

// maxValues limits the values of a payload, so that a small body cannot take
// much memory. 10,000 choices need about a third of it.
const maxValues = 200_000

type kind uint8

const (
	nullKind kind = iota
	trueKind
	falseKind
	numberKind
	textKind
	listKind
	objectKind
)

// A node is one value of a payload. Nodes are never changed after parsing.
type node struct {
	kind kind
	// at is the offset of the value in the payload, by which its path can be
	// found when it turns out to be wrong.
	at int
	// key is the value's name in the object that holds it, empty in a list.
	key string
	// text is the value of a text and the literal of a number. In a container
	// made from flat names it is the beginning that those have in common.
	text string
	// kids are the members: of a list as sent, of an object sorted by key.
	kids []*node
}

// field gives the member of that name, nil if there is none; so it does of a
// nil node.
func (n *node) field(name string) *node {
	if n == nil || n.kind != objectKind {
		return nil
	}
	for _, kid := range n.kids {
		if kid.key == name {
			return kid
		}
	}
	return nil
}

// given tells whether there is a value other than null.
func (n *node) given() bool { return n != nil && n.kind != nullKind }

// string gives the value of a text, empty for anything else.
func (n *node) string() string {
	if n == nil || n.kind != textKind {
		return ""
	}
	return n.text
}

func byKey(a, b *node) int { return strings.Compare(a.key, b.key) }

// twice gives the second of two members of the same name, nil if there is none.
func twice(sorted []*node) *node {
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].key == sorted[i].key {
			return sorted[i]
		}
	}
	return nil
}

// parse reads JSON into nodes. It takes what encoding/json takes (FuzzTree compares
// them), which says where a fault is. On top of that names must be unique and texts
// must be UTF-8, since otherwise two readers may understand two different things.
func parse(body []byte) (*node, error) {
	if !utf8.Valid(body) {
		return nil, consent.Errorf(consent.Invalid, op, "the payload is not UTF-8")
	}
	p := parser{src: string(body)}
	p.reserve()
	root := p.value("")
	p.space()
	switch {
	case p.count > maxValues:
		return nil, consent.Errorf(consent.Invalid, op, "the payload holds more than %d values", maxValues)
	case p.bad || p.pos < len(p.src):
		return nil, syntaxError(body)
	case p.doubled != nil:
		faults := faults{root: root}
		faults.add(p.doubled, "is given twice")
		return nil, faults.err()
	}
	return root, nil
}

func syntaxError(body []byte) error {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		return consent.Errorf(consent.Invalid, op, "the payload is not JSON: fault at byte %d", syntax.Offset)
	}
	return consent.Errorf(consent.Invalid, op, "the payload is not JSON")
}

// maxDepth is how deep encoding/json lets values stand in one another.
const maxDepth = 10_000

// parser builds nodes from a text. Where that is no JSON it turns bad, and is at the
// end of the text from then on.
type parser struct {
	src     string
	pos     int
	count   int
	depth   int
	bad     bool
	nodes   []node  // room for nodes
	links   []*node // room for lists of members
	open    []*node // members of the containers not closed yet
	doubled *node   // a member whose name is used twice
}

// reserve makes room for a usual payload at once.
func (p *parser) reserve() {
	n := 1 + strings.Count(p.src, ",") + strings.Count(p.src, "{") + strings.Count(p.src, "[")
	n = min(n, 256)
	p.nodes = make([]node, 0, n)
	p.links = make([]*node, 0, n)
	p.open = make([]*node, 0, n)
}

// next is the byte that comes next, and 0, which JSON has nowhere, at the end.
func (p *parser) next() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

// pass goes past a byte, if it is the next.
func (p *parser) pass(c byte) bool {
	if p.next() != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) fail() {
	p.bad, p.pos = true, len(p.src)
}

// want goes past what has to come next.
func (p *parser) want(text string) {
	if strings.HasPrefix(p.src[p.pos:], text) {
		p.pos += len(text)
	} else {
		p.fail()
	}
}

func (p *parser) value(key string) *node {
	p.space()
	n := p.node(key)
	if p.count > maxValues {
		p.fail()
		return n
	}
	switch p.next() {
	case '{':
		n.kind = objectKind
		n.kids = p.members('}')
		slices.SortFunc(n.kids, byKey)
		if second := twice(n.kids); second != nil {
			p.doubled = second
		}
	case '[':
		n.kind = listKind
		n.kids = p.members(']')
	case '"':
		n.kind = textKind
		n.text = p.quoted()
	case 't':
		n.kind = trueKind
		p.want("true")
	case 'f':
		n.kind = falseKind
		p.want("false")
	case 'n':
		n.kind = nullKind
		p.want("null")
	default:
		n.kind = numberKind
		n.text = p.number()
	}
	return n
}

// members reads what stands between the brackets of an object or a list.
func (p *parser) members(closing byte) []*node {
	if p.depth++; p.depth > maxDepth {
		p.fail()
		return nil
	}
	mark := len(p.open)
	p.pos++ // the opening bracket
	p.space()
	for !p.pass(closing) && !p.bad {
		if len(p.open) > mark {
			p.want(",")
		}
		key := ""
		if closing == '}' {
			p.space()
			key = p.quoted()
			p.space()
			p.want(":")
		}
		kid := p.value(key)
		p.open = append(p.open, kid)
		p.space()
	}
	p.depth--
	kids := p.link(p.open[mark:])
	p.open = p.open[:mark]
	return kids
}

// number reads a number, and gives it as it is written.
func (p *parser) number() string {
	start := p.pos
	p.pass('-')
	if !p.pass('0') {
		p.digits()
	}
	if p.pass('.') {
		p.digits()
	}
	if p.pass('e') || p.pass('E') {
		if !p.pass('+') {
			p.pass('-')
		}
		p.digits()
	}
	if p.bad {
		return ""
	}
	return p.src[start:p.pos]
}

// digits goes past at least one.
func (p *parser) digits() {
	start := p.pos
	for c := p.next(); '0' <= c && c <= '9'; c = p.next() {
		p.pos++
	}
	if p.pos == start {
		p.fail()
	}
}

// quoted reads a text in quotes and what is escaped in it.
func (p *parser) quoted() string {
	start, escaped := p.pos, false
	p.want(`"`)
	for !p.pass('"') {
		switch c := p.next(); {
		case c == '\\':
			escaped = true
			p.pos += 2 // what follows is looked at below
		case c < ' ':
			p.fail()
			return ""
		default:
			p.pos++
		}
	}
	if !escaped {
		return p.src[start+1 : p.pos-1]
	}
	var s string
	if err := json.Unmarshal([]byte(p.src[start:p.pos]), &s); err != nil {
		p.fail()
	}
	return s
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// node takes a node from the room there is, which never moves.
func (p *parser) node(key string) *node {
	if len(p.nodes) == cap(p.nodes) {
		p.nodes = make([]node, 0, 1024)
	}
	p.count++
	p.nodes = append(p.nodes, node{at: p.pos, key: key})
	return &p.nodes[len(p.nodes)-1]
}

// link keeps a list of members.
func (p *parser) link(kids []*node) []*node {
	if len(kids) == 0 {
		return nil
	}
	if cap(p.links)-len(p.links) < len(kids) {
		p.links = make([]*node, 0, max(1024, len(kids)))
	}
	start := len(p.links)
	p.links = append(p.links, kids...)
	return p.links[start:len(p.links):len(p.links)]
}
