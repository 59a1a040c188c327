// Package plan decides what the next call is spent on, how fast calls are made,
// when none are made, and what goes by bulk instead. It is pure: it is told the
// time and what happened; whoever shares it between goroutines locks it.
//
// It guarantees that a live withdrawal goes before everything else, that lower
// ranks get one call in twenty between them, in turn, while a higher one has
// anything due, and none while a live withdrawal has waited over two seconds
// (Tally); that
// the integrations of a licence are served in turn (Turns); that the pace
// follows what Actito can take, within the ceiling (Pace); that an outage is
// met with probes, not with a storm (Circuit); that bulk loads are spent
// where calls are too slow, withdrawals first, and never the last two of the
// day (Lanes); and that what nobody waits for takes only what is left (Spare).
package plan

import (
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Classes is how many classes of deliveries there are.
const Classes = 3

// Rank is a sort of work, in the order in which it goes first: the classes of
// deliveries, and between them the messages to people.
type Rank int

// The ranks. What asks somebody to confirm or approve an event goes before grants
// and refusals of old, for the event waits for it; messages that only tell go
// last.
const (
	Withdrawals Rank = iota
	ValidatingMessages
	OldRefusals
	OrdinaryDeliveries
	TellingMessages
	Ranks = 5
)

// Class is the class of deliveries that has this rank; ok is false for messages.
func (r Rank) Class() (c store.Class, ok bool) {
	switch r {
	case Withdrawals:
		return store.LiveWithdrawal, true
	case OldRefusals:
		return store.BackfilledRefusal, true
	case OrdinaryDeliveries:
		return store.Ordinary, true
	}
	return 0, false
}

const (
	// oneIn is the share of calls that all lower ranks together keep while a
	// higher one has anything due: one in so many.
	oneIn = 20
	// patience is how long a live withdrawal may wait before lower ranks get
	// nothing at all.
	patience = 2 * time.Second
)

// Head is the first that is due in a rank.
type Head struct {
	Due   bool
	Since consent.Time // since when it is due
}

// Tally remembers how many calls were spent while lower ranks waited, and which
// of them had the last call that was spared for them. The zero value is ready.
type Tally struct {
	spent int
	last  Rank
}

// Choose gives the rank to serve next; ok is false when nothing is due. The tally
// counts the call, so Choose is called once for each call made.
func (t *Tally) Choose(heads [Ranks]Head, now consent.Time) (rank Rank, ok bool) {
	first := Rank(slices.IndexFunc(heads[:], func(h Head) bool { return h.Due }))
	if first < 0 {
		return 0, false
	}
	lower, waits := t.below(first, heads)
	if !waits {
		t.spent = 0
		return first, true
	}
	t.spent++
	withdrawal := heads[Withdrawals]
	late := withdrawal.Due && now.Sub(withdrawal.Since) > patience
	if t.spent < oneIn || late {
		return first, true
	}
	t.spent, t.last = 0, lower
	return lower, true
}

// below gives the rank below first whose turn it is. They take turns, for a
// backlog of one may last for days, in which the others would get nothing: a
// message that tells becomes too old within the hour.
func (t *Tally) below(first Rank, heads [Ranks]Head) (lower Rank, waits bool) {
	for step := range Rank(Ranks) {
		if lower = (t.last + 1 + step) % Ranks; lower > first && heads[lower].Due {
			return lower, true
		}
	}
	return 0, false
}
