package didomi

import (
	"cmp"
	"slices"
	"strings"
)

// Didomi's console offers to flatten the payload: nested names become one
// name with this between. How members of lists are named is not documented;
// three ways are understood:
//
//	consents__purposes                        a list, left as it is
//	consents__purposes__0__id                 the place in the list
//	consents__purposes__newsletter__enabled   the id of the entry
//
// A number is always a place, never an id. An id may itself hold the
// separator: it ends where the first field that such an entry has begins.
const flatSeparator = "__"

// expander turns flat names into nested objects, wherever a documented object
// has flat names. Names that lead to nothing documented are left out.
type expander struct {
	faults *faults
	steps  []step // to where the name at hand leads
}

func (x *expander) expand(n *node, s *shape) *node {
	switch {
	case n.kind == objectKind && s.form == objectForm:
		if slices.ContainsFunc(n.kids, flatNamed) {
			n = x.nest(n, s)
		}
		return x.members(n, func(kid *node) *shape { return s.fields[kid.key] })
	case n.kind == objectKind && s.form == dictForm, n.kind == listKind && s.form == listForm:
		return x.members(n, func(*node) *shape { return s.each })
	}
	return n
}

func flatNamed(n *node) bool { return strings.Contains(n.key, flatSeparator) }

// members gives n with its members expanded.
func (x *expander) members(n *node, shapeOf func(*node) *shape) *node {
	out := n
	for i, kid := range n.kids {
		s := shapeOf(kid)
		if s == nil {
			continue
		}
		expanded := x.expand(kid, s)
		if expanded == kid {
			continue
		}
		if out == n { // which may be as sent
			changed := *n
			changed.kids = slices.Clone(n.kids)
			out = &changed
		}
		out.kids[i] = expanded
	}
	return out
}

// A place is where a container made from flat names belongs: the beginning of
// those names, and what it is.
type place struct {
	name  string
	shape *shape
}

// nest gives the object that n is the flat form of.
func (x *expander) nest(n *node, s *shape) *node {
	out := &node{kind: objectKind, at: n.at, key: n.key}
	made := map[place]*node{}
	containers := []*node{out} // in the order in which they were made
	for _, kid := range n.kids {
		if !x.resolve(kid, s) {
			continue
		}
		into := out
		last := len(x.steps) - 1
		for _, step := range x.steps[:last] {
			here := place{kid.key[:step.end], step.shape}
			next := made[here]
			if next == nil {
				next = &node{kind: step.shape.form.container(), at: kid.at, key: step.key, text: here.name}
				made[here] = next
				containers = append(containers, next)
				into.kids = append(into.kids, next)
			}
			into = next
		}
		leaf := *kid
		leaf.key = x.steps[last].key
		into.kids = append(into.kids, &leaf)
	}
	for _, container := range containers {
		x.finish(container)
	}
	return out
}

// finish puts the members of a container in order.
func (x *expander) finish(n *node) {
	slices.SortFunc(n.kids, byKey)
	if second := twice(n.kids); second != nil {
		x.faults.add(second, "is given twice")
	}
	if n.kind != listKind {
		return
	}
	slices.SortFunc(n.kids, byPlace)
	for _, kid := range n.kids {
		if isPlace(kid.key) {
			kid.key = "" // as in a list that was sent as one
		}
	}
}

// container gives the kind of what flat names are the members of.
func (f form) container() kind {
	if f == listForm || f == chosenForm {
		return listKind
	}
	return objectKind
}

// A step leads from a container to a member: its key there, its shape, and
// where in the flat name it ends.
type step struct {
	key   string
	shape *shape
	end   int
}

// resolve follows a flat name down the shapes, and tells whether it leads
// anywhere.
func (x *expander) resolve(n *node, s *shape) bool {
	x.steps = x.steps[:0]
	rest, used := n.key, 0
	for {
		key, member := s.first(rest)
		if member == nil {
			return false
		}
		used += len(key)
		x.steps = append(x.steps, step{key, member, used})
		if used == len(n.key) {
			return true
		}
		used += len(flatSeparator)
		rest, s = n.key[used:], member
		if !s.opens(rest) {
			x.faults.add(n, s.form.must())
			return false
		}
	}
}

// opens tells whether the rest of a flat name can lie below a value.
func (s *shape) opens(rest string) bool {
	switch s.form {
	case idForm, timeForm, flagForm:
		return false
	case chosenForm:
		return isPlace(rest)
	}
	return true
}

// first cuts the first key off a flat name and gives the shape of what it
// leads to, nil if nothing is known of it.
func (s *shape) first(name string) (string, *shape) {
	switch s.form {
	case objectForm:
		key, _, _ := strings.Cut(name, flatSeparator)
		return key, s.fields[key]
	case freeForm:
		return name, anything
	case chosenForm:
		return name, identifier
	case listForm:
		if key, _, _ := strings.Cut(name, flatSeparator); isPlace(key) {
			return key, s.each
		}
		return s.entry(name)
	case dictForm:
		return s.entry(name)
	}
	return "", nil
}

// entry cuts the id of an entry off a flat name.
func (s *shape) entry(name string) (string, *shape) {
	end := strings.Index(name, flatSeparator)
	if end < 0 {
		return name, s.each
	}
	for {
		below := name[end+len(flatSeparator):]
		field, rest, more := strings.Cut(below, flatSeparator)
		member := s.each.fields[field]
		if end > 0 && member != nil && (!more || member.opens(rest)) {
			return name[:end], s.each
		}
		if !more {
			return "", nil
		}
		end += len(flatSeparator) + len(field)
	}
}

// isPlace tells whether a key is the number of a place in a list.
func isPlace(key string) bool {
	if key == "" || len(key) > 9 || key[0] == '0' && len(key) > 1 {
		return false
	}
	for i := range len(key) {
		if key[i] < '0' || key[i] > '9' {
			return false
		}
	}
	return true
}

// byPlace puts places first, in order of their number.
func byPlace(a, b *node) int {
	switch pa, pb := isPlace(a.key), isPlace(b.key); {
	case pa && pb:
		return cmp.Or(cmp.Compare(len(a.key), len(b.key)), strings.Compare(a.key, b.key))
	case pa:
		return -1
	case pb:
		return 1
	}
	return strings.Compare(a.key, b.key)
}
