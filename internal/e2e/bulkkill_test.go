package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

const (
	bulkRounds    = 6 // of two kills each
	peopleOfLoads = 190
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

// The program is killed again and again while loads are built, handed over,
// under way and ended, with consent arriving all the time. Whatever it
// acknowledged is there in the end, and every profile is as the person chose.
func TestKillMinus9DuringLoads(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("what is killed is a process of its own, which the race detector does not see")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBundle(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: 500 * time.Millisecond, LoadRowsPerSecond: 200, LoadsPerDay: -1, Seed: seed})
	b.cfg.ReadbackDelay = time.Second
	p := b.spawn()
	b.url = p.ready()
	b.enrol()
	id := b.integrate(bulky(func(p object) { p["bulk_withdrawals_after_seconds"] = 5 }))
	s := &soak{bundle: b, client: &http.Client{Timeout: 10 * time.Second}, stop: make(chan struct{})}
	t.Cleanup(s.client.CloseIdleConnections)
	s.url.Store(new(b.url))
	for _, name := range crowd("k", peopleOfLoads) {
		c := newChooser(name[:len(name)-len("@example.com")], plain, random)
		mustPut(t, b, c.email)
		s.people = append(s.people, c)
	}
	reached := map[string]int{}
	for n := range bulkRounds {
		before := len(b.actito.Loads())
		b.slow()
		s.allChoose(n%2 == 0)
		restart := func() {
			p.kill()
			p = b.spawn()
			url := p.ready()
			b.url = url
			s.url.Store(&url)
		}
		restart() // what it finds when it starts goes by bulk at once
		stage := []string{"building", "started", "running", "ended"}[(n+int(seed%4))%4]
		if s.awaitStage(id, stage, before) {
			reached[stage]++
		} else {
			t.Logf("round %d never got to %s: %+v", n, stage, s.plan(id).Lanes)
		}
		stop := make(chan struct{})
		var meanwhile sync.WaitGroup
		meanwhile.Go(func() { s.chooseUntil(stop, rand.New(rand.NewPCG(seed, uint64(n+1)))) })
		pause(time.Duration(random.IntN(400)) * time.Millisecond)
		restart()
		b.hurry()
		pause(700 * time.Millisecond)
		close(stop)
		meanwhile.Wait()
		s.drain()
	}
	b.hurry()
	b.actito.SettleLoads()
	s.checkAcknowledged()
	s.checkEnd()
	t.Logf("%d times two kills, at %v; %d loads, %d events acknowledged in %d posts", bulkRounds, reached, len(b.actito.Loads()), s.sent.Load(), s.posts.Load())
	if len(b.actito.Loads()) == 0 {
		t.Error("no load was made, so this tests nothing")
	}
}

// allChoose has everybody change both choices, so that they share a file, and
// withdraw one, so that the day's loads are not spread.
func (s *soak) allChoose(on bool) {
	everybody := make(chan *chooser)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for c := range everybody {
				s.deliver(c.decide(map[string]bool{"newsletter": on, "promotions": !on}))
			}
		})
	}
	for _, c := range s.people {
		everybody <- c
	}
	close(everybody)
	senders.Wait()
}

// awaitStage waits, for a while, until a load after those before is at a stage.
func (s *soak) awaitStage(id, stage string, before int) bool {
	hurried := false
	for deadline := time.Now().Add(8 * time.Second); time.Now().Before(deadline); pause(5 * time.Millisecond) {
		loads := s.actito.Loads()
		if l := s.plan(id).Loads; !hurried && len(l) > 0 && l[0].State != "done" && l[0].Outcome == "" {
			if stage == "building" {
				return true
			}
			s.hurry() // once it is decided, all may go quickly
			hurried = true
		}
		switch stage {
		case "started":
			if len(loads) > before {
				return true
			}
		case "running":
			if len(loads) > before && loads[before].Rows > 20 {
				return true
			}
		case "ended":
			if len(loads) > before && !loads[before].Finished.IsZero() {
				return true
			}
		}
	}
	return false
}

// drain waits, for a while, until nearly everybody is served, so that the next
// load has whom to take.
func (s *soak) drain() {
	for deadline := time.Now().Add(25 * time.Second); time.Now().Before(deadline); pause(100 * time.Millisecond) {
		left := 0
		s.unchecked(func() {
			for _, c := range s.people {
				if !s.synced(c.email) {
					left++
				}
			}
		})
		if left < 20 {
			return
		}
	}
}

// chooseUntil has single people withdraw and grant, one after the other.
func (s *soak) chooseUntil(stop chan struct{}, random *rand.Rand) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		on := random.IntN(2) == 0
		s.deliver(s.people[random.IntN(len(s.people))].decide(map[string]bool{"newsletter": on}))
		pause(time.Duration(random.IntN(30)) * time.Millisecond)
	}
}
