//go:build soak

package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

var soakTime = flag.Duration("soak", 5*time.Minute, "how long each of the soaks lasts, without its start and its end")

// tellSoak prints the summary line of a soak.
func tellSoak(t *testing.T, format string, args ...any) {
	t.Helper()
	verdict := "ok"
	if t.Failed() {
		verdict = "FAILED"
	}
	fmt.Fprintf(os.Stderr, "soak: %s: %s\n", verdict, fmt.Sprintf(format, args...))
}

// Three nodes under load, of which one after the other is killed, frozen for
// longer than its lease, or ended, for as long as is asked for.
func TestSoakOfNodes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1000))
	c := setupNodes(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed}, 3)
	c.integrate(nil)
	s := newSoak(t, c.bundle)
	s.renews = true
	s.start(seed)
	var kills, freezes, ends, calls, overlaps int
	var slowest time.Duration
	for began := time.Now(); time.Since(began) < *soakTime; {
		pause(time.Duration(1000+random.IntN(2000)) * time.Millisecond)
		n := c.nodes[random.IntN(len(c.nodes))]
		if random.IntN(3) > 0 { // most often the one that matters
			n = c.mustHold()
		}
		held := c.holds(n) == "1"
		switch kind := random.IntN(3); kind {
		case 0:
			kills++
			n.process.kill()
			if held {
				slowest = max(slowest, c.handedOver("a kill"))
			}
			c.start(n)
		case 1:
			freezes++
			signal(t, n.process, syscall.SIGSTOP)
			if held {
				slowest = max(slowest, c.handedOver("a freeze"))
			}
			pause(time.Duration(random.IntN(3000)) * time.Millisecond)
			overlaps += count(c.actito.MaxOverlap() > 1) // not what lands late, when it goes on
			s.order.allow(3 * time.Second)
			signal(t, n.process, syscall.SIGCONT)
			pause(3 * time.Second)
			calls += c.actito.CallCount()
			c.actito.ResetCounters()
		case 2:
			ends++
			c.end(n)
			c.start(n)
		}
	}
	overlaps += count(c.actito.MaxOverlap() > 1)
	if overlaps > 0 {
		t.Errorf("%d times two calls were under way for one profile", overlaps)
	}
	s.finish()
	s.checkAcknowledged()
	s.checkEnd()
	late := s.checkOrder()
	tellSoak(t, "%v, 3 nodes: %d killed, %d frozen, %d ended; a licence was handed over in %v at most; %d events of %d people acknowledged in %d posts, "+
		"%d by way of the inbox, none accepted for %v at most; %d calls, %d overlaps, %d older states after newer ones from nodes that went on, all put right",
		*soakTime, kills, freezes, ends, slowest.Round(time.Millisecond), s.sent.Load(), len(s.people), s.posts.Load(),
		s.queued.Load(), s.gap.begin().Round(time.Millisecond), calls+c.actito.CallCount(), overlaps, late)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A highly available PostgreSQL, as users run it: of three members the leader
// is killed under load, then another is made the leader. Nodes that know all
// three addresses go on by themselves, and nothing acknowledged is lost.
func TestSoakOfFailover(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ha := startPatroni(t)
	c := setupNodesOn(t, ha.address("consentsync"), simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed}, 3)
	c.integrate(nil)
	s := newSoak(t, c.bundle)
	s.renews = true
	s.start(seed)
	without := map[string][]time.Duration{}
	disturb := func(what string, f func()) {
		ha.settle()
		pause(3 * time.Second)
		s.gap.begin()
		sent := s.sent.Load()
		f()
		ha.settle()
		c.within(time.Minute, "webhooks are accepted again", func() bool { return s.sent.Load() > sent+200 })
		without[what] = append(without[what], s.gap.begin().Round(10*time.Millisecond))
	}
	for began := time.Now(); time.Since(began) < *soakTime; {
		disturb("the leader was killed", ha.killLeader)
		disturb("another was made the leader", ha.switchOver)
	}
	s.finish()
	s.checkAcknowledged()
	s.checkEnd()
	if n := c.actito.MaxOverlap(); n > 1 {
		t.Errorf("%d calls were under way for one profile at once", n)
	}
	for _, n := range c.nodes {
		c.end(n)
	}
	tellSoak(t, "%v, PostgreSQL of three members: none accepted for %v when the leader was killed, %v when another was made the leader; "+
		"%d events of %d people acknowledged in %d posts, none lost; %d calls",
		*soakTime, without["the leader was killed"], without["another was made the leader"], s.sent.Load(), len(s.people), s.posts.Load(), c.actito.CallCount())
}
