package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"consentsync/internal/simulator"
)

const organization = "bench"

// Markers stand in a template where each webhook has something of its own.
const (
	markEvent  = "@event@"
	markPerson = "@person@"
	markDidomi = "@didomi@"
)

// markTime is written by the simulator as markTimeText.
var markTime = time.Date(2001, 2, 3, 4, 5, 6, int(789*time.Millisecond), time.UTC)

const markTimeText = "2001-02-03T04:05:06.789Z"

// webhooks makes bodies of event.created in the documented form, cheaply enough
// not to compete with the servers for the processor: it fills in templates, one
// for each combination of grants and withdrawals.
type webhooks struct {
	templates [][]string // pieces of text and markers by turns
	people    int
}

func newWebhooks(people int) (*webhooks, error) {
	w := &webhooks{people: people}
	for bits := range 8 {
		on := func(bit int) *bool { v := bits>>bit&1 == 1; return &v }
		body, err := json.Marshal(simulator.EventCreated(organization, simulator.Event{
			ID: markEvent, DidomiUserID: markDidomi, OrganizationUserID: markPerson, Country: "BE", CreatedAt: markTime,
			Purposes: simulator.Choices{"newsletter": on(0), "promotions": on(1), "profiling": nil},
			Channels: simulator.Choices{"sms": on(2), "email": nil},
			Metadata: map[string]any{
				"firstName": "Clémentine", "lastName": "Vandenbroucke-Lemaire", "shop": "Brussels Sainte-Catherine",
				"language": "fr", "loyaltyCard": "BE-2026-000731", "age": 41,
			},
		}))
		if err != nil {
			return nil, err
		}
		w.templates = append(w.templates, cut(string(body)))
	}
	return w, nil
}

// cut splits a text at its markers and keeps them.
func cut(text string) []string {
	var pieces []string
	for {
		at, mark := len(text), ""
		for _, m := range []string{markEvent, markPerson, markDidomi, markTimeText} {
			if i := strings.Index(text, m); i >= 0 && i < at {
				at, mark = i, m
			}
		}
		pieces = append(pieces, text[:at], mark)
		if mark == "" {
			return pieces
		}
		text = text[at+len(mark):]
	}
}

// of appends a webhook of a person to b.
func (w *webhooks) of(b []byte, r *rand.Rand, person int, at time.Time) []byte {
	for _, piece := range w.templates[r.IntN(len(w.templates))] {
		switch piece {
		case markEvent:
			b = fmt.Appendf(b, "%016x-%016x", r.Uint64(), r.Uint64())
		case markPerson:
			b = fmt.Appendf(b, "person.%07d@example.com", person)
		case markDidomi:
			b = fmt.Appendf(b, "00000000-0000-4000-8000-%012d", person)
		case markTimeText:
			b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
		default:
			b = append(b, piece...)
		}
	}
	return b
}

// next appends a webhook of any of the people, dated now.
func (w *webhooks) next(b []byte, r *rand.Rand) []byte {
	return w.of(b, r, r.IntN(w.people), time.Now())
}
