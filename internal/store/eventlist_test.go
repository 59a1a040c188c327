package store_test

import (
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// dated makes an event that arrived at a minute; its id is made so much later.
func dated(minute int, later time.Duration, outcome consent.Outcome) store.Event {
	at := consent.TimeOf(time.Unix(1_700_000_000, 0)).Add(time.Duration(minute) * time.Minute)
	e := store.Event{ArrivedAt: at, Outcome: outcome, ID: store.FirstID(at.Add(later))}
	e.ID[15] = byte(minute)
	return e
}

// A page holds what arrived between two times, though ids are made later, and
// ends where nothing older can be asked for.
func TestEventsOfATime(t *testing.T) {
	t.Parallel()
	var all []store.Event // the newest first
	for minute := 60; minute >= 0; minute-- {
		all = append(all, dated(minute, 10*time.Second, consent.Applied))
	}
	f := store.EventFilter{From: all[50].ArrivedAt, To: all[40].ArrivedAt}
	start := f.Start(store.ID{})
	var from []store.Event
	for _, e := range all {
		if e.ID.String() < start.String() {
			from = append(from, e)
		}
	}
	page, next := store.PageOf(from, f, 100)
	if len(page) != 10 || page[0].ArrivedAt != all[41].ArrivedAt || page[9].ArrivedAt != all[50].ArrivedAt || next != (store.ID{}) {
		t.Errorf("the page has %d events, from %v; next is %v", len(page), page[0].ArrivedAt, next)
	}
	page, next = store.PageOf(from, f, 4)
	if len(page) != 4 || next != page[3].ID || f.Start(next) != next {
		t.Errorf("the page has %d events; next is %v, and begins at %v", len(page), next, f.Start(next))
	}
}

// A filter that hardly anything passes goes on where it stopped looking.
func TestAPageMayBeEmptyAndGoOn(t *testing.T) {
	t.Parallel()
	var some []store.Event
	for range store.MostLooked {
		some = append(some, dated(1, 0, consent.Applied))
	}
	f := store.EventFilter{Outcome: consent.Duplicate}
	if page, next := store.PageOf(some, f, 10); len(page) != 0 || next != some[len(some)-1].ID {
		t.Errorf("the page has %d events; next is %v", len(page), next)
	}
	if page, next := store.PageOf(some[:100], f, 10); len(page) != 0 || next != (store.ID{}) {
		t.Errorf("the last page has %d events; next is %v", len(page), next)
	}
}
