package e2e_test

import (
	"sync"
	"time"

	"consentsync/internal/simulator"
)

// gap measures how long nothing was accepted.
type gap struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

// begin forgets what was, and gives the longest gap until now.
func (g *gap) begin() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	longest := g.longest
	g.last, g.longest = time.Now(), 0
	return longest
}

func (g *gap) accepted() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.longest, g.last = max(g.longest, now.Sub(g.last)), now
}

// order notes which shops profiles were given, one after the other.
type order struct {
	mu      sync.Mutex
	given   map[string][]givenShop // by profile
	allowed time.Time              // until when an older one may come after a newer one
}

type givenShop struct {
	value   string
	allowed bool
}

func watchOrder(b *bundle) *order {
	o := &order{given: map[string][]givenShop{}}
	b.actito.OnChange(func(c simulator.Change) {
		value, _ := c.After.Attributes["shop"].(string)
		if c.Edit || value == "" || value == c.Before.Attributes["shop"] {
			return
		}
		email, _ := c.After.Attributes["emailAddress"].(string)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.given[email] = append(o.given[email], givenShop{value, c.At.Before(o.allowed)})
	})
	return o
}

// allow lets older states come after newer ones for a while: what a frozen node
// had under its hands lands when it goes on, and is found by the read-back (R16).
func (o *order) allow(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.allowed = time.Now().Add(d)
}

// checkOrder wants no profile to have been given an older state after a newer
// one, and tells how often that happened where it is allowed.
func (s *soak) checkOrder() (allowed int) {
	s.t.Helper()
	s.order.mu.Lock()
	defer s.order.mu.Unlock()
	for _, c := range s.people {
		var newest statement
		for _, g := range s.order.given[c.email] {
			is := c.shops[g.value]
			switch {
			case newest.event == "" || is.beats(newest):
				newest = is
			case g.allowed:
				allowed++
			default:
				s.t.Errorf("%s was given %q after %q", c.email, g.value, newest.value)
			}
		}
	}
	return allowed
}
