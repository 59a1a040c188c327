package didomi

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"consentsync/internal/consent"
)

// op names what failed in this package's errors.
const op = "didomi.Decode"

const (
	maxFaults = 20  // told of one payload
	maxPath   = 300 // bytes of a path told
)

// faults collects what is wrong with a payload. It is slow only if something
// is: a path is looked for when it has to be told.
type faults struct {
	root  *node // the payload as sent
	found map[string]string
}

// add says what a value has to be.
func (f *faults) add(n *node, must string) {
	if !f.full() {
		f.tell(f.path(n), must)
	}
}

// full spares the search for paths that will not be told.
func (f *faults) full() bool { return len(f.found) >= maxFaults }

// addMember says what a member, which need not be there, has to be.
func (f *faults) addMember(n *node, name, must string) {
	if f.full() {
		return
	}
	separator := "."
	if n.text != "" { // n is a container, made from flat names
		separator = flatSeparator
	}
	f.tell(f.path(n)+separator+name, must)
}

func (f *faults) tell(path, must string) {
	if f.full() {
		return
	}
	if f.found == nil {
		f.found = make(map[string]string)
	}
	f.found[cut(path)] = must
}

// cut shortens a path that the sender made absurdly long.
func cut(path string) string {
	if len(path) <= maxPath {
		return path
	}
	return strings.ToValidUTF8(path[:maxPath], "") + "..."
}

func (f *faults) err() error {
	if len(f.found) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(f.found)))
	err := consent.Errorf(consent.Invalid, op, "%s %s", first, f.found[first])
	if more := len(f.found) - 1; more > 0 {
		err.Message += ", and " + strconv.Itoa(more) + " more"
	}
	err.Fields = f.found
	return err
}

// path gives the path of a value as it was sent.
func (f *faults) path(n *node) string {
	steps := trail(f.root, n.at)
	if made := n.kind == objectKind || n.kind == listKind; made && n.text != "" && len(steps) > 0 {
		// A container that was not sent: the trail leads to one of the flat
		// names that it was made from.
		steps[0] = "." + n.text
	}
	slices.Reverse(steps)
	return strings.TrimPrefix(strings.Join(steps, ""), ".")
}

// trail gives the steps to the value at an offset, the last one first.
func trail(n *node, at int) []string {
	// Values are nested, so the value looked for is in the last member that
	// does not begin after it.
	var in *node
	step := ""
	for i, kid := range n.kids {
		if kid.at > at || in != nil && kid.at < in.at {
			continue
		}
		in = kid
		if step = "." + kid.key; n.kind == listKind {
			step = "[" + strconv.Itoa(i) + "]"
		}
	}
	if in == nil || n.at == at {
		return nil
	}
	return append(trail(in, at), step)
}
