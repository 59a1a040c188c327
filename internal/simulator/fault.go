package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Effect is what a fault does to a call.
type Effect string

// The effects. Those that break a connection reset it.
const (
	// EffectNone lets the call through; the fault only takes its time.
	EffectNone Effect = ""
	// EffectStatus answers Status and changes nothing.
	EffectStatus Effect = "status"
	// EffectStatusAfter makes the change and answers Status all the same.
	EffectStatusAfter Effect = "status-after"
	// EffectResetBefore breaks the connection and changes nothing.
	EffectResetBefore Effect = "reset-before"
	// EffectResetAfter makes the change, then breaks the connection.
	EffectResetAfter Effect = "reset-after"
	// EffectWithholdBefore changes nothing and never answers.
	EffectWithholdBefore Effect = "withhold-before"
	// EffectWithholdAfter makes the change and never answers.
	EffectWithholdAfter Effect = "withhold-after"
	// EffectTruncate makes the change and answers the first half of the JSON.
	EffectTruncate Effect = "truncate"
	// EffectContent makes the change and answers Body instead, with 200 or Status.
	EffectContent Effect = "content"
	// EffectLoadStalls begins a load that changes nothing and never ends.
	EffectLoadStalls Effect = "load-stalls"
	// EffectLoadFails begins a load that changes nothing and fails.
	EffectLoadFails Effect = "load-fails"
	// EffectLoadFailsMidway begins a load that fails after half of its rows.
	EffectLoadFailsMidway Effect = "load-fails-midway"
	// EffectLoadPretends begins a load that changes nothing and says that all
	// went well.
	EffectLoadPretends Effect = "load-pretends"
)

// ofLoads tells whether an effect shows in a load after its call.
func (e Effect) ofLoads() bool {
	return e == EffectLoadStalls || e == EffectLoadFails || e == EffectLoadFailsMidway || e == EffectLoadPretends
}

// Fault is something that goes wrong with the calls it matches.
type Fault struct {
	// Kind limits the fault to one kind of call; empty matches all.
	Kind Kind
	// Key limits it to one profile, given as value or attribute=value. At
	// Didomi it is the id of an event or an organization user id.
	Key string

	// Skip lets that many matching calls through first.
	Skip int
	// Times is how often the fault strikes; 0 is until it is removed.
	Times int
	// Probability of striking a matching call; 0 is always.
	Probability float64

	Effect Effect
	// Latency passes before anything is done.
	Latency time.Duration
	// Status of EffectStatus, EffectStatusAfter and EffectContent.
	Status int
	// RetryAfter is sent along with Status, in whole seconds, unless it is 0.
	RetryAfter time.Duration
	// ApplyLate makes the change only that long after the answer was given, the
	// connection broken or, with a withheld answer, the client gone, whether the
	// effect is one before or after the change.
	ApplyLate time.Duration
	// Body and ContentType of EffectContent; a page of HTML by default.
	Body, ContentType string
}

func (f Fault) check() error {
	if f.Effect.ofLoads() && (f.Kind != KindTrigger || f.ApplyLate > 0) {
		return fmt.Errorf("simulator: the effect %s is for calls of kind %s, and not for late ones", f.Effect, KindTrigger)
	}
	switch f.Effect {
	case EffectNone, EffectTruncate:
		if f.ApplyLate > 0 {
			return errors.New("simulator: this effect shows the change's own answer, so it cannot be late")
		}
	case EffectStatus, EffectStatusAfter, EffectResetBefore, EffectResetAfter, EffectWithholdBefore, EffectWithholdAfter, EffectContent,
		EffectLoadStalls, EffectLoadFails, EffectLoadFailsMidway, EffectLoadPretends:
	default:
		return fmt.Errorf("simulator: there is no effect %q", f.Effect)
	}
	needsStatus := f.Effect == EffectStatus || f.Effect == EffectStatusAfter
	if (needsStatus || f.Status != 0) && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("simulator: %d is not a status to answer", f.Status)
	}
	return nil
}

func (f Fault) matches(q *request) bool {
	return (f.Kind == "" || f.Kind == q.kind) &&
		(f.Key == "" || f.Key == q.key.value || f.Key == q.key.String() || slices.Contains(q.names, f.Key))
}

// happensFirst tells whether the change is made before the effect shows.
func (f Fault) happensFirst() bool {
	switch f.Effect {
	case EffectStatus, EffectResetBefore, EffectWithholdBefore:
		return false
	default:
		return f.ApplyLate == 0
	}
}

// faults are tried on each call in the order in which they were injected.
type faults struct {
	mu   sync.Mutex
	rand *rand.Rand
	list []*Fault
}

// Inject makes a fault strike from now on, until it has struck often enough, is
// removed or is cleared. Of several that match a call, those without an effect
// add up their latencies and the first with an effect decides. Faults strike
// calls that would otherwise be served, not those refused for their token or for
// being too many. Inject panics on a fault that makes no sense.
func (a *Actito) Inject(f Fault) (remove func()) { return a.faults.inject(f) }

// ClearFaults removes all faults. A call that met one before still ends as it
// has to.
func (a *Actito) ClearFaults() { a.faults.clear() }

func newFaults(seed uint64) *faults {
	return &faults{rand: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // has to be repeatable
}

func (c *faults) inject(f Fault) (remove func()) {
	if err := f.check(); err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	own := &f
	c.list = append(c.list, own)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.list = slices.DeleteFunc(c.list, func(f *Fault) bool { return f == own })
	}
}

func (c *faults) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

// meet gives the fault that strikes a call, the zero one if none does, and how
// long all that strike take.
func (c *faults) meet(q *request) (struck Fault, latency time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < len(c.list) && struck.Effect == EffectNone; i++ {
		f := c.list[i]
		if !f.matches(q) || !c.strikes(f) {
			continue
		}
		latency += f.Latency
		struck = *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				c.list = slices.Delete(c.list, i, i+1)
				i--
			}
		}
	}
	return struck, latency
}

func (c *faults) strikes(f *Fault) bool {
	if f.Skip > 0 {
		f.Skip--
		return false
	}
	return f.Probability == 0 || c.rand.Float64() < f.Probability
}

// carryOut does what was asked for in the way that a fault leaves of it.
func (a *Actito) carryOut(client context.Context, q *request, e *entry, f Fault) outcome {
	if f.Effect.ofLoads() {
		q.fate = f.Effect
	}
	return f.strike(struggle{
		do: func() outcome { return a.apply(q, e) },
		withhold: func() {
			if f.ApplyLate == 0 {
				e.leave()
			}
			a.outlast(client)
		},
		refuse: func(status int) outcome { return refused(refuse(status, "an injected fault")) },
	})
}

// struggle is a call that a fault may strike: what it asks for, how its answer
// is withheld, and how the party that was called refuses.
type struggle struct {
	do       func() outcome
	withhold func()
	refuse   func(status int) outcome
}

// strike gives what the fault leaves of a call.
func (f Fault) strike(s struggle) outcome {
	var done outcome
	if f.happensFirst() {
		done = s.do()
	}
	out := outcome{}
	switch f.Effect {
	case EffectStatus, EffectStatusAfter:
		out = s.refuse(f.Status)
		out.setRetryAfter(f.RetryAfter)
	case EffectResetBefore, EffectResetAfter:
		out.hangUp = true
	case EffectWithholdBefore, EffectWithholdAfter:
		s.withhold()
		out.hangUp = true
	case EffectTruncate:
		out = done
		out.body = out.body[:len(out.body)/2]
	case EffectContent:
		out = f.content()
	default:
		return done
	}
	out.late = f.ApplyLate
	return out
}

func (f Fault) content() outcome {
	out := outcome{status: f.Status, body: []byte(f.Body), header: http.Header{}}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	contentType := f.ContentType
	if f.Body == "" {
		out.body = []byte("<html><body><h1>Maintenance</h1></body></html>")
	}
	if contentType == "" {
		contentType = "text/html"
	}
	out.header.Set("Content-Type", contentType)
	out.setRetryAfter(f.RetryAfter)
	return out
}
