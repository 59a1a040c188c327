package store

import (
	"encoding/binary"
	"time"

	"consentsync/internal/consent"
)

// EventFilter narrows a list of events; what is empty asks for nothing.
type EventFilter struct {
	Person  PersonKey
	Type    consent.MessageType
	Outcome consent.Outcome
	// Those that arrived from one time to before another.
	From, To consent.Time
}

// MostLooked bounds how many events one page of a list looks at, so that a
// filter that hardly anything passes costs no more than another.
const MostLooked = 2000

// apart is how far the time in an event's id may be from its arrival, for all
// that lists care: it is merged a little later, and by a node whose clock is not
// the database's.
const apart = 5 * time.Minute

// Start gives the id before which the list begins that goes on before one.
func (f *EventFilter) Start(before ID) ID {
	if f.To == 0 {
		return before
	}
	start := FirstID(f.To.Add(apart))
	if before == (ID{}) || start.String() < before.String() {
		return start
	}
	return before
}

// Ended tells whether nothing that the filter asks for is as old as an event.
func (f *EventFilter) Ended(e *Event) bool {
	return f.From > 0 && e.ID.String() < FirstID(f.From.Add(-apart)).String()
}

// Passes tells whether the filter asks for an event.
func (f *EventFilter) Passes(e *Event) bool {
	return (f.Person == PersonKey{} || f.Person == e.Person) && (f.Type == "" || f.Type == e.Type) &&
		(f.Outcome == "" || f.Outcome == e.Outcome) && e.ArrivedAt >= f.From && (f.To == 0 || e.ArrivedAt < f.To)
}

// Look is how many events a page of so many looks at.
func (f *EventFilter) Look(limit int) int {
	if f.Type == "" && f.Outcome == "" && f.To == 0 {
		return limit
	}
	return MostLooked
}

// FirstID is no later than the id of anything that was made at a time or after.
func FirstID(at consent.Time) (first ID) {
	binary.BigEndian.PutUint64(first[:], uint64(max(0, at.Std().UnixMilli()))<<16)
	return first
}

// PageOf takes from events, the newest first, those that a filter asks for, up
// to a limit. next is the last that was looked at, if there may be more.
func PageOf(events []Event, f EventFilter, limit int) (page []Event, next ID) {
	for i := range events {
		e := &events[i]
		if f.Ended(e) {
			return page, ID{}
		}
		if !f.Passes(e) {
			continue
		}
		if page = append(page, *e); len(page) == limit {
			return page, e.ID
		}
	}
	if len(events) > 0 && len(events) == f.Look(limit) {
		next = events[len(events)-1].ID
	}
	return page, next
}
