package sqlite

import (
	"slices"
	"strings"

	"consentsync/internal/store"
)

// lookup is a statement that finds rows by people's keys, many at once: to begin and
// to end one takes twice as long as to find a row.
type lookup struct{ texts []string } // for so many keys as lookupSizes has

// lookupSizes are few, since each text is kept.
var lookupSizes = []int{64, 8, 1}

// newLookup makes a statement that ends with the column in which the keys are.
func newLookup(text string) *lookup {
	l := &lookup{}
	for _, n := range lookupSizes {
		l.texts = append(l.texts, text+" IN (?"+strings.Repeat(",?", n-1)+")")
	}
	return l
}

// each calls f with statements and their arguments, which are those given and some
// of the keys, until all keys were looked for.
func (l *lookup) each(keys []store.PersonKey, first []any, f func(text string, args []any) error) error {
	for len(keys) > 0 {
		size := slices.IndexFunc(lookupSizes, func(n int) bool { return n <= len(keys) })
		args := slices.Clone(first)
		for n := range lookupSizes[size] {
			args = append(args, keys[n][:])
		}
		keys = keys[lookupSizes[size]:]
		if err := f(l.texts[size], args); err != nil {
			return err
		}
	}
	return nil
}
