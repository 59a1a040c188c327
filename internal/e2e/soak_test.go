package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

const (
	killRounds = 50

	// senders is how many send webhooks at once, each for people of its own,
	// so that nobody but the sender has to know what a person chose.
	senders          = 5
	peopleOfASender  = 4
	peopleOfARush    = 40  // who send at the same moment
	mostEventsOfSoak = 400 // of one person: a trace shows 500

	// longestGap is how long a webhook is sent again before it counts as lost.
	// Didomi goes on for five minutes.
	longestGap = 60 * time.Second
)

// The program is killed again and again, in the middle of everything, and
// started on what it left behind. Whatever it acknowledged is there in the
// end, and every profile is as the person chose.
func TestKillMinus9(t *testing.T) {
	parallelUnlessShort(t, crashes)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	b := newBundle(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 20 * time.Millisecond, Seed: seed})
	b.cfg.ReadbackDelay = time.Second
	firstStarts(t, b, random)
	p := b.spawn()
	b.url = p.ready()
	b.enrol()
	b.integrate(nil)
	for _, f := range []simulator.Fault{
		{Latency: 300 * time.Millisecond, Probability: 0.1}, // it outlives a kill
		{Effect: simulator.EffectResetBefore},
		{Effect: simulator.EffectResetAfter},
		{Effect: simulator.EffectTruncate},
		{Effect: simulator.EffectStatusAfter, Status: http.StatusInternalServerError},
		{Effect: simulator.EffectStatus, Status: http.StatusServiceUnavailable},
		{Effect: simulator.EffectStatus, Status: http.StatusTooManyRequests, Probability: 0.003}, // after it the licence rests
	} {
		if f.Probability == 0 {
			f.Probability = 0.015
		}
		b.actito.Inject(f)
	}
	s := startSoak(t, b, seed)

	// Without a crash, and without calls that are applied late, there are
	// never two calls under way for a profile.
	pause(2 * time.Second)
	if n := b.actito.MaxOverlap(); n > 1 {
		t.Errorf("%d calls were under way for one profile at once", n)
	}
	b.actito.Inject(simulator.Fault{
		Effect: simulator.EffectStatus, Status: http.StatusBadGateway, ApplyLate: 120 * time.Millisecond, Probability: 0.02,
	})
	restarts := 0
	for range killRounds {
		pause(time.Duration(random.IntN(450)) * time.Millisecond)
		p.kill()
		for random.IntN(4) == 0 { // and once more while it starts
			p = b.spawn()
			restarts++
			pause(time.Duration(random.IntN(60)) * time.Millisecond)
			p.kill()
		}
		p = b.spawn()
		restarts++
		s.url.Store(new(p.ready()))
	}
	s.finish()
	p.kill()
	b.actito.ClearFaults()
	b.actito.Settle()
	p = b.spawn()
	b.url = p.ready()

	s.checkAcknowledged()
	s.checkEnd()
	t.Logf("%d kills, %d starts, %d events of %d people acknowledged in %d posts, %d of them by way of the inbox, %d calls, %d overlaps at most",
		killRounds, restarts, s.sent.Load(), len(s.people), s.posts.Load(), s.queued.Load(), b.actito.CallCount(), b.actito.MaxOverlap())
	if s.queued.Load() == 0 {
		t.Error("no rush was ever taken into the inbox")
	}
	p.terminate()
	if code := p.exit(); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d: %s", code, &p.stderr)
	}
}

// firstStarts kills the program while it makes its data directory.
func firstStarts(t *testing.T, b *bundle, random *rand.Rand) {
	t.Helper()
	for range 6 {
		p := b.spawn()
		pause(time.Duration(random.IntN(60)) * time.Millisecond)
		p.kill()
	}
}

// soak sends webhooks and keeps account of them.
type soak struct {
	*bundle
	url    atomic.Pointer[string]
	client *http.Client
	stop   chan struct{}
	wg     sync.WaitGroup
	// renews has others come in the place of people of whom enough was sent, so
	// that a soak can last.
	renews bool
	mu     sync.Mutex
	people []*chooser
	order  *order
	sent   atomic.Int64 // events acknowledged
	queued atomic.Int64 // of them, those that went into the inbox
	posts  atomic.Int64 // that it took
	gap    gap          // without an acceptance
}

func startSoak(t *testing.T, b *bundle, seed uint64) *soak {
	t.Helper()
	s := newSoak(t, b)
	s.start(seed)
	return s
}

func newSoak(t *testing.T, b *bundle) *soak {
	t.Helper()
	s := &soak{bundle: b, client: &http.Client{Timeout: 10 * time.Second}, stop: make(chan struct{}), order: watchOrder(b)}
	t.Cleanup(s.client.CloseIdleConnections)
	s.url.Store(new(b.url))
	return s
}

// start lets everybody send.
func (s *soak) start(seed uint64) {
	s.t.Helper()
	s.gap.begin()
	for i := range senders {
		random := rand.New(rand.NewPCG(seed, uint64(1+i)))
		var own []*chooser
		for j := range peopleOfASender {
			own = append(own, s.newcomer(fmt.Sprintf("p%d%d", i, j), chooserKind(j%int(kinds)), j%2 == 0, random))
		}
		s.wg.Go(func() { s.send(own, random) })
	}
	random := rand.New(rand.NewPCG(seed, 100))
	var rush []*chooser
	for i := range peopleOfARush {
		rush = append(rush, s.newcomer(fmt.Sprintf("r%d", i), plain, true, random))
	}
	s.wg.Go(func() { s.sendAtOnce(rush, random) })
}

// newcomer is one more person, with a profile or without.
func (s *soak) newcomer(name string, kind chooserKind, profile bool, random *rand.Rand) *chooser {
	c := newChooser(name, kind, random)
	if profile {
		if _, err := s.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": c.email}, nil); err != nil {
			s.t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people = append(s.people, c)
	return c
}

// replaced gives whoever comes in the place of somebody of whom enough was
// sent; nil if nobody does.
func (s *soak) replaced(c *chooser, random *rand.Rand) *chooser {
	if !s.renews {
		return nil
	}
	for _, m := range c.last() {
		s.deliver(m)
	}
	name, _, _ := strings.Cut(c.email, "@")
	return s.newcomer(name+"'", c.kind, len(name)%2 == 0, random)
}

// sendAtOnce makes rushes: an event of each of some people in the same moment,
// more than can be merged at once.
func (s *soak) sendAtOnce(people []*chooser, random *rand.Rand) {
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		var rush sync.WaitGroup
		for i, c := range people {
			if c.count >= mostEventsOfSoak {
				if next := s.replaced(c, random); next != nil {
					people[i], c = next, next
				}
			}
			if c.count < mostEventsOfSoak {
				messages := c.next()
				rush.Go(func() {
					for _, m := range messages {
						s.deliver(m)
					}
				})
			}
		}
		rush.Wait()
		pause(time.Duration(100+random.IntN(300)) * time.Millisecond)
	}
}

// send makes up events of some people until the soak stops. Like Didomi it
// sends each until it is acknowledged.
func (s *soak) send(people []*chooser, random *rand.Rand) {
	for {
		select {
		case <-s.stop:
			for _, c := range people {
				for _, m := range c.last() {
					s.deliver(m)
				}
			}
			return
		default:
		}
		i := random.IntN(len(people))
		c := people[i]
		if c.count >= mostEventsOfSoak {
			if next := s.replaced(c, random); next != nil {
				people[i] = next
			} else {
				pause(10 * time.Millisecond)
			}
			continue
		}
		for _, m := range c.next() {
			s.deliver(m)
			if random.IntN(5) == 0 {
				s.deliver(m) // a duplicate
			}
		}
		pause(time.Duration(random.IntN(40)) * time.Millisecond)
	}
}

func (s *soak) deliver(m []byte) {
	for deadline := time.Now().Add(longestGap); ; pause(5 * time.Millisecond) {
		s.posts.Add(1)
		status, answer := s.attempt(m)
		switch status {
		case http.StatusOK:
			s.sent.Add(1)
			s.gap.accepted()
			if bytes.Contains(answer, []byte(`"queued"`)) {
				s.queued.Add(1)
			}
			return
		case 0, http.StatusServiceUnavailable:
			if time.Now().Before(deadline) {
				continue
			}
		}
		s.t.Errorf("a webhook was answered %d: %s", status, answer)
		return
	}
}

// attempt posts once; the status is 0 when there was no whole answer.
func (s *soak) attempt(m []byte) (int, []byte) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, *s.url.Load()+"/webhooks/didomi/"+organization, bytes.NewReader(m))
	if err != nil {
		return 0, nil
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// finish lets the senders have their last events acknowledged.
func (s *soak) finish() {
	close(s.stop)
	s.wg.Wait()
}

// checkAcknowledged looks for every acknowledged event in the traces: it is
// there, and once.
func (s *soak) checkAcknowledged() {
	s.t.Helper()
	// A trace shows what is merged, and waits for it for two seconds only.
	s.within(time.Minute, "what was accepted is merged", func() bool { return !s.person(s.people[0].email).CatchingUp })
	for _, c := range s.people {
		var trace struct {
			Data []struct {
				Kind, Type string
				EventID    string `json:"event_id"`
			}
		}
		s.must(http.MethodGet, "/v1/users/"+c.email+"/trace?organization_id="+organization, "", http.StatusOK, &trace)
		found := map[string]int{}
		for _, e := range trace.Data {
			if e.Kind == "event" {
				found[e.Type+" "+e.EventID]++
			}
		}
		for _, name := range c.sent {
			if found[name] != 1 {
				s.t.Errorf("%s: the acknowledged %s is %d times in the trace", c.email, name, found[name])
			}
		}
		if len(found) != len(c.sent) {
			s.t.Errorf("%s: %d events are in the trace, %d were sent", c.email, len(found), len(c.sent))
		}
	}
}

// checkEnd compares every profile with what the person chose, when nothing is
// left to be done and once more when everything late has landed.
func (s *soak) checkEnd() {
	s.t.Helper()
	right := func() bool {
		for _, c := range s.people {
			if !s.synced(c.email) || s.wrong(c) != "" {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(patience); !right() && time.Now().Before(deadline); {
		pause(20 * time.Millisecond)
	}
	s.quiet(2500 * time.Millisecond) // longer than the delay of a read
	for _, c := range s.people {
		if what := s.wrong(c); what != "" || !s.synced(c.email) {
			view, _ := json.Marshal(s.person(c.email))
			s.t.Errorf("%s is %s, and wrong is: %s\n%s", c.email, s.person(c.email).status(), what, view)
		}
	}
}

// wrong tells what of a profile is not as the person chose.
func (s *soak) wrong(c *chooser) string {
	profile, _ := s.profile(c.email)
	for choice, name := range map[string]string{"newsletter": "Newsletter", "promotions": "Promotions", "sms": "SmsAlerts"} {
		if want := c.wants(choice); profile.Subscriptions[name] != want {
			return fmt.Sprintf("%s is %v, should be %v", name, !want, want)
		}
	}
	if c.shop.value != "" && profile.Attributes["shop"] != c.shop.value {
		return fmt.Sprintf("shop is %v, should be %s", profile.Attributes["shop"], c.shop.value)
	}
	return ""
}
