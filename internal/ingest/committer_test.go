package ingest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// gate is a Store whose commits wait to be let through, so that a test decides
// what shares a batch.
type gate struct {
	open    chan struct{}
	entered chan int
	fail    func(batch []store.Inbound) error

	mu      sync.Mutex
	batches [][]string
}

func newGate(fail func([]store.Inbound) error) *gate {
	return &gate{open: make(chan struct{}), entered: make(chan int, 100), fail: fail}
}

func (g *gate) Accept(_ context.Context, batch []store.Inbound) ([]store.Receipt, error) {
	g.entered <- len(batch)
	<-g.open
	var names []string
	for _, in := range batch {
		names = append(names, string(in.Payload))
	}
	g.mu.Lock()
	g.batches = append(g.batches, names)
	g.mu.Unlock()
	if err := g.fail(batch); err != nil {
		return nil, err
	}
	return make([]store.Receipt, len(batch)), nil
}

// submit hands payloads in, the first alone so that the others wait together,
// and gives each one's error.
func submit(t *testing.T, g *gate, payloads ...string) map[string]error {
	t.Helper()
	c := newCommitter(g, func() {}, newMetrics(nil))
	var mu sync.Mutex
	errs := make(map[string]error)
	var done sync.WaitGroup
	hand := func(p string) {
		done.Go(func() {
			_, err := c.Accept(context.Background(), store.Inbound{Payload: []byte(p)})
			mu.Lock()
			defer mu.Unlock()
			errs[p] = err
		})
	}
	hand(payloads[0])
	<-g.entered
	for _, p := range payloads[1:] {
		hand(p)
	}
	deadline := time.Now().Add(5 * time.Second)
	for len(c.queue) < len(payloads)-1 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	close(g.open)
	done.Wait()
	c.Close()
	return errs
}

// One bad event never fails its batch-mates (R9).
func TestR9OneBadEventFailsAlone(t *testing.T) {
	t.Parallel()
	g := newGate(func(batch []store.Inbound) error {
		for _, in := range batch {
			if string(in.Payload) == "bad" {
				return errors.New("a value that the database refuses")
			}
		}
		return nil
	})
	errs := submit(t, g, "first", "a", "bad", "b")
	for p, err := range errs {
		if (err != nil) != (p == "bad") {
			t.Errorf("%s: %v", p, err)
		}
	}
	if len(g.batches) != 5 || len(g.batches[1]) != 3 {
		t.Errorf("the batches were %q, want the three that waited together, then each alone", g.batches)
	}
}

// When the database is at fault nothing is tried one by one: that would only
// make everybody wait.
func TestADatabaseFaultFailsTheBatch(t *testing.T) {
	t.Parallel()
	g := newGate(func([]store.Inbound) error { return consent.Errorf(consent.Transient, "test", "disk full") })
	errs := submit(t, g, "first", "a", "b")
	for p, err := range errs {
		if consent.KindOf(err) != consent.Transient {
			t.Errorf("%s: %v", p, err)
		}
	}
	if len(g.batches) != 2 {
		t.Errorf("the batches were %q", g.batches)
	}
}

func TestARequestThatEndsIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	g := newGate(func([]store.Inbound) error { return nil })
	c := newCommitter(g, func() {}, newMetrics(nil))
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := c.Accept(ctx, store.Inbound{})
		failed <- err
	}()
	<-g.entered
	cancel()
	if err := <-failed; consent.KindOf(err) != consent.Transient {
		t.Errorf("got %v", err)
	}
	close(g.open)
	c.Close()
}
