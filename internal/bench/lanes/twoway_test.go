package lanes

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/simulator"
)

// People change their minds on both sides at once, while calls fail, take
// effect and lose their answers, are applied late, and Actito tells of changes
// late, twice and out of order. It always falls silent, both ends agree in the
// end, and the number of calls is bounded (R24 to R27).
func TestTwoWayFallsSilent(t *testing.T) {
	t.Parallel()
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run("", func(t *testing.T) { twoWays(t, seed) })
	}
}

// model is what people last chose, on whichever side, as somebody who sees both
// ends would say.
type model struct {
	*world
	random  *rand.Rand
	people  []string
	chosen  map[string]mind // in Didomi
	changes int
}

type mind struct {
	on bool
	at consent.Time
}

func twoWays(t *testing.T, seed uint64) {
	t.Helper()
	m := &model{random: rand.New(rand.NewPCG(seed, 5)), chosen: map[string]mind{}}
	opts := simulator.ActitoOptions{
		Latency: 150 * time.Millisecond, Seed: seed,
		Webhooks: simulator.WebhookOptions{Delay: time.Duration(m.random.IntN(8)) * time.Second, Reverse: m.random.IntN(2) == 0, Duplicate: 0.3, UniqueKeys: m.random.IntN(2) == 0},
	}
	betweenEnds(t, opts, 6, false, func(w *world, people []string) {
		m.world, m.people = w, people
		for _, f := range []simulator.Fault{
			{Kind: simulator.KindUpdate, Effect: simulator.EffectStatusAfter, Status: http.StatusInternalServerError, Probability: 0.1},
			{Kind: simulator.KindUpdate, Effect: simulator.EffectStatus, Status: http.StatusBadGateway, ApplyLate: 3 * time.Second, Probability: 0.05},
			{Effect: simulator.EffectStatus, Status: http.StatusServiceUnavailable, Probability: 0.05},
			{Latency: 5 * time.Second, Probability: 0.05},
		} {
			w.actito.Inject(f)
		}
		w.deliver(func() {
			for range 40 {
				m.act()
				time.Sleep(time.Duration(m.random.IntN(8_000)) * time.Millisecond)
			}
			w.actito.ClearFaults()
			m.settle()
			m.agree()
		})
	})
}

// act has somebody choose something, in Didomi or in Actito.
func (m *model) act() {
	person, on := m.people[m.random.IntN(len(m.people))], m.random.IntN(2) == 0
	m.changes++
	if m.random.IntN(2) == 0 {
		in := m.choice(person, on)
		m.accept(in)
		m.choose(person, mind{on, in.Message.CreatedAt})
		return
	}
	_, err := m.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": person}, map[string]bool{"Newsletter": on})
	m.must(err)
}

// choose keeps the newest choice; of two at the same instant, the refusal.
func (m *model) choose(person string, now mind) {
	if was := m.chosen[person]; now.at > was.at || now.at == was.at && !now.on {
		m.chosen[person] = now
	}
}

// settle waits until nothing happens any more, and sees that it stays so.
func (m *model) settle() {
	m.actito.Settle()
	for quiet, calls := 0, m.actito.CallCount(); quiet < 8; quiet++ {
		time.Sleep(time.Minute)
		if now := m.actito.CallCount(); now != calls {
			quiet, calls = 0, now
		}
	}
	told := len(m.didomi.Events())
	calls := m.actito.CallCount()
	time.Sleep(10 * time.Minute)
	if n := m.actito.CallCount() - calls; n > 0 {
		m.Errorf("%d calls were made in ten minutes in which nobody chose anything", n)
	}
	if n := len(m.didomi.Events()) - told; n > 0 {
		m.Errorf("Didomi was told %d things in ten minutes in which nobody chose anything", n)
	}
	// Every change may cost a write, its two reads after an unclear answer, and
	// one to decide what it means.
	if most := 6 * m.changes; calls > most {
		m.Errorf("%d calls were made for %d changes", calls, m.changes)
	}
}

// agree compares the two ends.
func (m *model) agree() {
	for _, e := range m.didomi.Events() {
		user, _ := e.Body["user"].(map[string]any)
		person, _ := user["organization_user_id"].(string)
		at, err := time.Parse(time.RFC3339Nano, e.Body["created_at"].(string))
		m.must(err)
		consents, _ := e.Body["consents"].(map[string]any)
		purposes, _ := consents["purposes"].([]any)
		first, _ := purposes[0].(map[string]any)
		m.choose(person, mind{first["enabled"] == true, consent.TimeOf(at)})
	}
	for _, person := range m.people {
		p, there := m.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", person)
		if !there {
			m.Errorf("%s has no profile", person)
		}
		if mind, chose := m.chosen[person]; chose && p.Subscriptions["Newsletter"] != mind.on {
			m.Errorf("%s: Actito says %v, Didomi says %v", person, p.Subscriptions["Newsletter"], mind.on)
		}
	}
}
