package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"consentsync/internal/simulator"
)

// chooserKind is what is special about the choices of a person.
type chooserKind int

const (
	plain     chooserKind = iota // any order, many at equal times
	anonymous                    // chooses promotions before anybody knows who it is
	deleting                     // has grants deleted again
	kinds
)

// chooser is a person who makes choices, and at the same time the oracle that
// tells what follows from them: per choice the newest statement counts, at
// equal times the one that refuses, and a grant whose event was deleted is a
// refusal.
type chooser struct {
	email, didomi string
	kind          chooserKind
	random        *rand.Rand
	count         int
	sent          []string // type and id of every message, without repetitions
	said          map[string]statement
	deleted       map[string]bool // by event id
	shop          statement
	shops         map[string]statement // every one, by its value
	newest        string               // event id of the last grant of a deleting person
	at            time.Time
	identified    bool
}

// statement is the newest that was said of something.
type statement struct {
	at    time.Time
	event string
	on    bool
	value string
}

// beats tells which of two statements counts: the newer, then the one that
// refuses, then the one of the greater event id.
func (s statement) beats(o statement) bool {
	switch {
	case !s.at.Equal(o.at):
		return s.at.After(o.at)
	case s.on != o.on:
		return o.on
	}
	return s.event > o.event
}

func newChooser(name string, kind chooserKind, random *rand.Rand) *chooser {
	return &chooser{
		email: name + "@example.com", didomi: "didomi-" + name, kind: kind, random: random,
		said: map[string]statement{}, deleted: map[string]bool{}, shops: map[string]statement{},
	}
}

// wants tells whether a choice is on.
func (c *chooser) wants(choice string) bool {
	s := c.said[choice]
	return s.on && !c.deleted[s.event]
}

// next makes the messages of the person's next act.
func (c *chooser) next() [][]byte {
	switch {
	case c.kind == deleting && c.newest != "" && c.random.IntN(3) == 0:
		return c.takeBack()
	case c.kind == deleting:
		return c.choose(c.now(), "newsletter", "promotions", "sms")
	case c.kind == anonymous && c.random.IntN(2) == 0:
		return c.chooseUnknown()
	case c.kind == anonymous:
		c.identified = true
		return c.choose(c.someTime(), "newsletter", "sms")
	}
	return c.choose(c.someTime(), "newsletter", "promotions", "sms")
}

// last makes what has to come in the end: whoever is anonymous identifies.
func (c *chooser) last() [][]byte {
	if c.kind != anonymous || c.identified {
		return nil
	}
	c.identified = true
	return c.choose(c.now(), "newsletter", "sms")
}

// someTime is any time of the last half hour, often one that was used before.
func (c *chooser) someTime() time.Time {
	if c.at.IsZero() || c.random.IntN(4) > 0 {
		c.at = time.Now().Add(-time.Duration(c.random.IntN(1800_000)) * time.Millisecond).Truncate(time.Millisecond)
	}
	return c.at
}

// now is later than everything that was acknowledged so far, deletions
// included: those are dated by their arrival.
func (c *chooser) now() time.Time {
	return time.Now().Add(2 * time.Millisecond).Truncate(time.Millisecond)
}

func (c *chooser) choose(at time.Time, of ...string) [][]byte {
	e := simulator.Event{ID: c.id(), DidomiUserID: c.didomi, OrganizationUserID: c.email, CreatedAt: at}
	c.fill(&e, of)
	if c.kind == plain && c.random.IntN(3) == 0 {
		e.Metadata = map[string]any{"shop": "shop " + e.ID}
		now := statement{at: at, event: e.ID, value: "shop " + e.ID}
		c.shops[now.value] = now
		if c.shop.event == "" || now.beats(c.shop) {
			c.shop = now
		}
	}
	return c.message("event.created", e.ID, simulator.EventCreated(organization, e))
}

func (c *chooser) chooseUnknown() [][]byte {
	e := simulator.Event{ID: c.id(), DidomiUserID: c.didomi, CreatedAt: c.someTime()}
	c.fill(&e, []string{"promotions"})
	return c.message("event.created", e.ID, simulator.EventCreated(organization, e))
}

// takeBack deletes the event of the last grant.
func (c *chooser) takeBack() [][]byte {
	id := c.newest
	c.newest = ""
	c.deleted[id] = true
	return c.message("event.deleted", id, simulator.EventDeleted(organization, simulator.Event{ID: id}))
}

// fill makes choices, of one at least, and takes account of them.
func (c *chooser) fill(e *simulator.Event, of []string) {
	e.Purposes, e.Channels = simulator.Choices{}, simulator.Choices{}
	for i, n := 0, 1+c.random.IntN(len(of)); i < n; i++ {
		choice, on := of[c.random.IntN(len(of))], c.random.IntN(2) == 0
		into := e.Purposes
		if choice == "sms" {
			into = e.Channels
		}
		if into[choice] != nil {
			continue
		}
		into[choice] = new(on)
		if on {
			c.newest = e.ID
		}
		now := statement{at: e.CreatedAt, event: e.ID, on: on}
		if was, before := c.said[choice]; !before || now.beats(was) {
			c.said[choice] = now
		}
	}
}

func (c *chooser) id() string { return fmt.Sprintf("%s-%06d", c.didomi, c.count) }

func (c *chooser) message(kind, id string, payload object) [][]byte {
	c.count++
	c.sent = append(c.sent, kind+" "+id)
	body, err := json.Marshal(payload)
	if err != nil {
		panic(err) // only a payload not made here
	}
	return [][]byte{body}
}
