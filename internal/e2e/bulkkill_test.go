package e2e_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/simulator"
)

const (
	bulkRounds    = 4
	peopleOfLoads = 190
	// restless is how many of them choose on their own meanwhile. So many of the
	// others differ in the same, however long it takes, that a load is worth it
	// beside the sixty that single calls serve.
	restless = 25
)

// decide makes the event of choices that are known, at a time after all that
// the person said before.
func (c *chooser) decide(choices map[string]bool) []byte {
	now := c.now()
	if !now.After(c.at) {
		now = c.at.Add(time.Millisecond)
	}
	c.at = now
	e := simulator.Event{ID: c.id(), DidomiUserID: c.didomi, OrganizationUserID: c.email, CreatedAt: now, Purposes: simulator.Choices{}}
	for choice, on := range choices {
		e.Purposes[choice] = new(on)
		c.said[choice] = statement{at: now, event: e.ID, on: on}
	}
	return c.message("event.created", e.ID, simulator.EventCreated(organization, e))[0]
}

// The program is killed again and again at random moments of loads, with consent
// arriving all the time. After each round whatever it acknowledged is there, and
// every profile is as the person chose.
func TestKillMinus9DuringLoads(t *testing.T) {
	parallelUnlessShort(t, crashes)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b, p := setupProcess(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: 500 * time.Millisecond, LoadRowsPerSecond: 200, LoadsPerDay: -1, Seed: seed})
	id := b.integrate(bulky(func(p object) { p["bulk_withdrawals_after_seconds"] = 5 }))
	s := newSoak(t, b)
	t.Cleanup(s.wg.Wait)
	for _, name := range crowd("k", peopleOfLoads) {
		c := newChooser(strings.TrimSuffix(name, "@example.com"), plain, random)
		mustPut(t, b, c.email)
		s.people = append(s.people, c)
	}
	restart := func() {
		p.kill()
		p = b.spawn()
		b.url = p.ready()
		s.url.Store(new(b.url))
	}
	found := map[string]int{}
	for n := range bulkRounds {
		loads, begun := len(b.plan(id).Loads), len(b.actito.Loads())
		b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/pause", "", http.StatusOK, nil)
		s.allChoose(n%2 == 0)
		b.slow()
		b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", "", http.StatusOK, nil)
		b.looks("a load is begun", func() bool { return len(b.plan(id).Loads) > loads })
		meanwhile, stop := context.WithCancel(t.Context())
		s.wg.Go(func() { s.chooseUntil(meanwhile, rand.New(rand.NewPCG(seed, uint64(n+1)))) })
		if n%2 == 1 { // however slow the machine is, Actito has some of them
			b.looks("Actito has the load", func() bool { return len(b.actito.Loads()) > begun })
		}
		for again := true; again; again = random.IntN(3) == 0 { // and while it recovers
			pause(time.Duration(random.IntN(1500)) * time.Millisecond)
			found[b.plan(id).Loads[0].State]++
			restart()
		}
		b.hurry()
		pause(time.Duration(random.IntN(700)) * time.Millisecond)
		stop()
		s.wg.Wait()
		b.actito.SettleLoads()
		s.checkEnd()
		if t.Failed() {
			t.Fatalf("so it was after round %d of %d: %+v", n+1, bulkRounds, b.plan(id).Loads)
		}
	}
	s.checkAcknowledged()
	t.Logf("killed %v; %d loads, %d events acknowledged in %d posts", found, len(b.actito.Loads()), s.sent.Load(), s.posts.Load())
}

// allChoose has everybody change both choices, so that they share a file, and
// withdraw one, so that the day's loads are not spread.
func (s *soak) allChoose(on bool) {
	var senders errgroup.Group
	senders.SetLimit(8)
	for _, c := range s.people {
		senders.Go(func() error {
			s.deliver(c.decide(map[string]bool{"newsletter": on, "promotions": !on}))
			return nil
		})
	}
	_ = senders.Wait() // deliver tells what went wrong
}

// chooseUntil has single people withdraw and grant, one after the other.
func (s *soak) chooseUntil(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		on := random.IntN(2) == 0
		s.deliver(s.people[random.IntN(restless)].decide(map[string]bool{"newsletter": on}))
		pause(time.Duration(random.IntN(30)) * time.Millisecond)
	}
}
