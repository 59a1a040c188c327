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

// parse reads JSON into nodes. What is JSON is left to encoding/json; on top
// of it names must be unique and texts must be UTF-8, since otherwise two
// readers may understand two different things.
func parse(body []byte) (*node, error) {
	if !utf8.Valid(body) {
		return nil, consent.Errorf(consent.Invalid, op, "the payload is not UTF-8")
	}
	if !json.Valid(body) {
		return nil, syntaxError(body)
	}
	p := parser{src: string(body)}
	p.reserve()
	root := p.value("")
	switch {
	case p.count > maxValues:
		return nil, consent.Errorf(consent.Invalid, op, "the payload holds more than %d values", maxValues)
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

// parser builds nodes from a text that is known to be JSON, which is why it
// checks nothing.
type parser struct {
	src     string
	pos     int
	count   int
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

func (p *parser) value(key string) *node {
	p.space()
	n := p.node(key)
	if p.count > maxValues {
		p.pos = len(p.src)
		return n
	}
	switch p.src[p.pos] {
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
		p.pos += len("true")
	case 'f':
		n.kind = falseKind
		p.pos += len("false")
	case 'n':
		n.kind = nullKind
		p.pos += len("null")
	default:
		n.kind = numberKind
		end := p.pos
		for end < len(p.src) && strings.IndexByte("+-.0123456789Ee", p.src[end]) >= 0 {
			end++
		}
		n.text = p.src[p.pos:end]
		p.pos = end
	}
	return n
}

// members reads what stands between the brackets of an object or a list.
func (p *parser) members(closing byte) []*node {
	mark := len(p.open)
	for p.pos < len(p.src) { // beyond it only when there are too many values
		p.pos++ // the opening bracket or the comma
		p.space()
		if p.src[p.pos] == closing {
			p.pos++
			break
		}
		key := ""
		if closing == '}' {
			key = p.quoted()
			p.space()
			p.pos++ // the colon
		}
		kid := p.value(key)
		p.open = append(p.open, kid)
		p.space()
		if p.pos < len(p.src) && p.src[p.pos] == closing {
			p.pos++
			break
		}
	}
	kids := p.link(p.open[mark:])
	p.open = p.open[:mark]
	return kids
}

// quoted reads a text in quotes and what is escaped in it.
func (p *parser) quoted() string {
	start, escaped := p.pos, false
	p.pos++
	for p.src[p.pos] != '"' {
		if p.src[p.pos] == '\\' {
			escaped = true
			p.pos++
		}
		p.pos++
	}
	p.pos++
	if !escaped {
		return p.src[start+1 : p.pos-1]
	}
	var s string
	if err := json.Unmarshal([]byte(p.src[start:p.pos]), &s); err != nil {
		panic("didomi: valid JSON holds an invalid text") // cannot happen
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
