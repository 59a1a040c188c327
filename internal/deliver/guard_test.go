package deliver

import (
	"context"
	"testing"
	"time"

	"consentsync/internal/store"
)

// faulty stands for a fault of ours, wherever it is asked.
type faulty struct{ Targets }

func (faulty) Target(*store.Integration) (Target, error)          { panic("a fault of ours") }
func (faulty) Tell(context.Context, []TellEvent) ([]error, error) { panic("a fault of ours") }

// noted keeps how calls ended.
type noted struct {
	Store
	ends []store.Finish
}

func (s *noted) Finish(_ context.Context, _ store.Lease, f store.Finish) error {
	s.ends = append(s.ends, f)
	return nil
}

// A fault of ours in telling Didomi, or in a bulk lane, ends neither the process
// nor the lane, and what was begun does not stay in flight.
func TestAFaultOfOursStaysWhereItIs(t *testing.T) {
	t.Parallel()
	s := &noted{}
	c := courierOf(s)
	c.targets, c.metrics, c.random = faulty{}, newMetrics(nil, "node", time.Now), func() float64 { return .5 }
	i := &store.Integration{Organization: "acme", ID: "i", Status: store.Active}
	c.tellAll(t.Context(), i, faulty{}, []*telling{{Delivery: readDue(1), events: []TellEvent{{ID: "e"}}}})
	if len(s.ends) != 1 || s.ends[0].State != store.Waiting || s.ends[0].NextAt == 0 {
		t.Errorf("recorded is %+v, want that it waits for the next try", s.ends)
	}
	l := &loader{running: true}
	c.lane(t.Context(), i, l)
	if l.running || l.nextAt <= c.clock() {
		t.Errorf("the lane runs: %v, and goes on at %v; want it to go on later", l.running, l.nextAt)
	}
}
