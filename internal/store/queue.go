package store

import "consentsync/internal/consent"

// What is counted of an integration, for ever.
const (
	CountEvents    = "events"    // that made a delivery due
	CountCalls     = "calls"     // made to the other end
	CountCoalesced = "coalesced" // events that shared the call, or the comparison, of another
	CountUnchanged = "unchanged" // deliveries that needed no call
	CountLoaded    = "loaded"    // people who went by a bulk load
)

// Queue is what is due in one class of an integration.
type Queue struct {
	Due int64 // counted up to MostCounted
	// Head is since when the first of them is due; zero if none is.
	Head consent.Time
}

// MostCounted bounds how far a queue is counted.
const MostCounted = 1_000_000

// DueCursor is a place in a class of what is due: after the delivery given.
type DueCursor struct {
	ConsentAt consent.Time
	Person    PersonKey
}

// After gives the cursor behind a delivery.
func After(d *Delivery) DueCursor { return DueCursor{d.ConsentAt, d.Person} }
