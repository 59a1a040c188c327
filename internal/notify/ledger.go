// Package notify tells an operator without Prometheus of the few things that
// cannot wait, by a webhook or by mail.
//
// Of one condition it tells that it began, every few hours that it lasts, and
// that it is over; never more than one message in a quarter of an hour. A message
// that could not be sent is tried again. No message holds personal data.
package notify

import (
	"slices"
	"strings"
	"time"
)

// Condition is something that is wrong now.
type Condition struct {
	Name string // of the sort, such as withdrawal_late
	Text string // one sentence
}

// Message is what is sent of a condition.
type Message struct {
	Event     string    `json:"event"` // began, lasts or over
	Condition string    `json:"condition"`
	Text      string    `json:"text"`
	Since     time.Time `json:"since"`
	Node      string    `json:"node"`
}

// The events of messages.
const (
	Began = "began"
	Lasts = "lasts"
	Over  = "over"
)

const (
	// holds is how long a condition is there before anybody is told.
	holds = 30 * time.Second
	// repeat is how often it is told that a condition lasts.
	repeat = 4 * time.Hour
	// pause is how long there is silence about a condition after each message.
	pause = 15 * time.Minute
)

// ledger knows what was told. It is no part of what is stored: after a restart
// what lasts is told anew.
type ledger map[string]*entry

type entry struct {
	text  string
	since time.Time
	// gone is since when the condition is not there; zero while it is.
	gone time.Time
	told time.Time // the last message; zero if there was none
	open bool      // it was told that it began, and not that it is over
}

// due takes what is wrong at a time and gives the messages that are due.
func (l ledger) due(now time.Time, wrong []Condition) (messages []Message) {
	for _, c := range wrong {
		e := l[c.Name]
		if e == nil {
			e = &entry{}
			l[c.Name] = e
		}
		if e.since.IsZero() || !e.gone.IsZero() && !e.open {
			e.since = now
		}
		e.text, e.gone = c.Text, time.Time{}
	}
	for name, e := range l {
		if e.gone.IsZero() && !slices.ContainsFunc(wrong, func(c Condition) bool { return c.Name == name }) {
			e.gone = now
		}
		if event := e.event(now); event != "" {
			messages = append(messages, Message{Event: event, Condition: name, Text: e.text, Since: e.since})
		}
		if !e.open && !e.gone.IsZero() && now.Sub(e.told) >= pause {
			delete(l, name)
		}
	}
	slices.SortFunc(messages, func(a, b Message) int { return strings.Compare(a.Condition, b.Condition) })
	return messages
}

// event names what is to be told of a condition now; empty for nothing.
func (e *entry) event(now time.Time) string {
	there := e.gone.IsZero()
	switch {
	case !e.told.IsZero() && now.Sub(e.told) < pause:
		return ""
	case !e.open && there && now.Sub(e.since) >= holds:
		return Began
	case e.open && there && now.Sub(e.told) >= repeat:
		return Lasts
	case e.open && !there && now.Sub(e.gone) >= holds:
		return Over
	}
	return ""
}

// sent notes that a message went out.
func (l ledger) sent(m Message, now time.Time) {
	if e := l[m.Condition]; e != nil {
		e.told, e.open = now, m.Event != Over
	}
}
