// Package plan decides what the next call is spent on, how fast calls are made,
// when none are made, and what goes by bulk instead. It is pure: it is told the
// time and what happened; whoever shares it between goroutines locks it.
//
// It guarantees that a live withdrawal goes before everything else, that lower
// classes get at most one call in twenty while a higher one has anything due,
// and none while a live withdrawal has waited over two seconds (Tally); that
// the integrations of a licence are served in turn (Turns); that the pace
// follows what Actito can take, within the ceiling (Pace); that an outage is
// met with probes, not with a storm (Circuit); and that bulk loads are spent
// where calls are too slow, withdrawals first, and never the last two of the
// day (Lanes).
package plan

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Classes is how many classes there are.
const Classes = 3

const (
	// oneIn is the share of calls that lower classes keep while a higher one
	// has anything due: one in so many.
	oneIn = 20
	// patience is how long a live withdrawal may wait before lower classes
	// get nothing at all.
	patience = 2 * time.Second
)

// Head is the first that is due in a class.
type Head struct {
	Due   bool
	Since consent.Time // since when it is due
}

// Tally remembers how many calls were spent while lower classes waited. The
// zero value is ready.
type Tally struct{ spent int }

// Choose gives the class to serve next; ok is false when nothing is due. The
// tally counts the call, so Choose is called once for each call made.
func (t *Tally) Choose(heads [Classes]Head, now consent.Time) (class store.Class, ok bool) {
	first, lower := -1, -1
	for c, h := range heads {
		switch {
		case !h.Due:
		case first < 0:
			first = c
		case lower < 0:
			lower = c
		}
	}
	if first < 0 {
		return 0, false
	}
	if lower < 0 {
		t.spent = 0
		return store.Class(first), true
	}
	t.spent++
	withdrawal := heads[store.LiveWithdrawal]
	late := withdrawal.Due && now.Sub(withdrawal.Since) > patience
	if t.spent >= oneIn && !late {
		t.spent = 0
		return store.Class(lower), true
	}
	return store.Class(first), true
}
