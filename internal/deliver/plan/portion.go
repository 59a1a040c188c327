package plan

import (
	"maps"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Portion gives what of a difference the next write of an integration carries;
// rest tells that something has to follow in a write of its own.
//
// It guarantees, beside what [consent.Difference.Portion] does, that where a
// write carries one subscription only no grant goes before a withdrawal of the
// same profile, and attributes go last.
func Portion(i *store.Integration, d consent.Difference, known consent.Known, distrusted, proven map[string]bool) (now consent.Difference, rest bool) {
	now, rest = d.Portion(known, distrusted, proven)
	if !i.Settings.Properties.Dialect.Apart() {
		return now, rest
	}
	one := first(now)
	return one, rest || !now.Without(one).Empty()
}

// first gives a withdrawal, or else a grant, or else the attributes.
func first(d consent.Difference) consent.Difference {
	for _, on := range []bool{false, true} {
		for _, name := range slices.Sorted(maps.Keys(d.Subscriptions)) {
			if d.Subscriptions[name] == on {
				return consent.Difference{Subscriptions: map[string]bool{name: on}}
			}
		}
	}
	return consent.Difference{Attributes: d.Attributes}
}

// Requests tells how many requests a write takes where it is not refused, at
// least and at most.
func Requests(i *store.Integration, d consent.Difference) (least, most int64) {
	switch {
	case !i.Settings.Properties.Dialect.Apart():
		return 1, 1
	case len(d.Attributes) > 0: // the profile is looked for first
		return 2, 2
	case d.Withdraws(): // looked at where it may be off already
		return 1, 2
	}
	return 1, 1
}
