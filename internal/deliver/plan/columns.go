package plan

import (
	"maps"
	"slices"
	"strings"
)

// Cells is what a file could have of one person.
type Cells struct {
	Differ map[string]bool // what has to be written, by subscription: on or off
	Off    map[string]bool // what is off already, and does no harm when it is written once more
}

// In gives the person's row of a file with these columns; ok is false where the
// file would not have all that differs, or would have a cell that may not be
// written. A grant is never written once more: it could undo a choice that was
// made in Actito.
func (c Cells) In(columns []string) (on []bool, ok bool) {
	differing := 0
	for _, name := range columns {
		value, differs := c.Differ[name]
		switch {
		case differs:
			differing++
		case !c.Off[name]:
			return nil, false
		}
		on = append(on, value)
	}
	return on, differing == len(c.Differ)
}

// mostCandidates bounds how many sets of columns are tried.
const mostCandidates = 16

// Columns chooses the columns of a file, since a file has one set of them and
// every cell is filled, and tells how many of the sample it serves.
//
// It guarantees that none of the sixteen sets that most people's differences
// make, nor all of those together, would serve more people of the sample; of
// several that serve as many it gives a smallest one. The order of the sample
// does not matter. Columns are sorted.
func Columns(sample []Cells) (columns []string, people int) {
	for _, set := range candidates(sample) {
		n := 0
		for _, c := range sample {
			if _, ok := c.In(set); ok {
				n++
			}
		}
		if n > people || n == people && n > 0 && smaller(set, columns) {
			columns, people = set, n
		}
	}
	return columns, people
}

// candidates gives the sets of what differs that are the most frequent, and all
// of those together.
func candidates(sample []Cells) [][]string {
	sets, counts := make(map[string][]string), make(map[string]int)
	for _, c := range sample {
		if len(c.Differ) == 0 {
			continue
		}
		names := slices.Sorted(maps.Keys(c.Differ))
		key := strings.Join(names, "\x00")
		sets[key] = names
		counts[key]++
	}
	frequent := slices.SortedFunc(maps.Keys(sets), func(a, b string) int {
		if d := counts[b] - counts[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var all [][]string
	union := make(map[string]bool)
	for _, key := range frequent[:min(len(frequent), mostCandidates)] {
		all = append(all, sets[key])
		for _, name := range sets[key] {
			union[name] = true
		}
	}
	if len(all) < 2 {
		return all
	}
	return append(all, slices.Sorted(maps.Keys(union)))
}

// smaller orders sets of columns by size, then by name.
func smaller(a, b []string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return slices.Compare(a, b) < 0
}
