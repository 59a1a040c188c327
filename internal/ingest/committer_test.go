package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// gate is a Store whose commits wait to be let through, so that a test decides
// what shares a batch.
type gate struct {
	Inbox
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

func (g *gate) Enqueue(_ context.Context, batch []store.Inbound) error {
	g.entered <- -len(batch)
	<-g.open
	return nil
}

func (g *gate) Hear(_ context.Context, batch []store.News) error {
	in := make([]store.Inbound, len(batch))
	for i := range batch {
		in[i].Payload = batch[i].Canonical
	}
	_, err := g.Accept(context.Background(), in)
	return err
}

// submit hands payloads in while all writers are busy, so that they wait
// together, and gives each one's error.
func submit(t *testing.T, g *gate, payloads ...string) map[string]error {
	t.Helper()
	c := NewCommitter(g, func() {}, time.Now, slog.New(slog.DiscardHandler), nil)
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
	for range writers {
		hand("busy")
		<-g.entered
	}
	for _, p := range payloads {
		hand(p)
	}
	deadline := time.Now().Add(5 * time.Second)
	for len(c.webhooks.queue) < len(payloads) && time.Now().Before(deadline) {
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
	errs := submit(t, g, "a", "bad", "b")
	for p, err := range errs {
		if (err != nil) != (p == "bad") {
			t.Errorf("%s: %v", p, err)
		}
	}
	together := slices.ContainsFunc(g.batches, func(b []string) bool { return len(b) == 3 })
	if len(g.batches) != writers+4 || !together {
		t.Errorf("the batches were %q, want the three that waited together, then each alone", g.batches)
	}
}

// When the database is at fault nothing is tried one by one: that would only
// make everybody wait.
func TestADatabaseFaultFailsTheBatch(t *testing.T) {
	t.Parallel()
	g := newGate(func([]store.Inbound) error { return consent.Errorf(consent.Transient, "test", "disk full") })
	errs := submit(t, g, "a", "b")
	for p, err := range errs {
		if consent.KindOf(err) != consent.Transient {
			t.Errorf("%s: %v", p, err)
		}
	}
	if len(g.batches) != writers+1 {
		t.Errorf("the batches were %q", g.batches)
	}
}

func TestARequestThatEndsIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	g := newGate(func([]store.Inbound) error { return nil })
	c := NewCommitter(g, func() {}, time.Now, slog.New(slog.DiscardHandler), nil)
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

// What concurrent webhooks of Actito's tell shares a transaction, one that
// cannot be stored fails alone.
func TestR9WebhooksOfActitoShareATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(func(batch []store.Inbound) error {
			if slices.ContainsFunc(batch, func(in store.Inbound) bool { return string(in.Payload) == "bad" }) {
				return errors.New("a value that the database refuses")
			}
			return nil
		})
		var woken atomic.Int64
		c := NewCommitter(g, func() { woken.Add(1) }, time.Now, slog.New(slog.DiscardHandler), nil)
		var failed sync.Map
		var done sync.WaitGroup
		tell := func(name string, told ...string) {
			done.Go(func() {
				var news []store.News
				for _, n := range told {
					news = append(news, store.News{Canonical: []byte(n)})
				}
				failed.Store(name, c.Hear(t.Context(), news) != nil)
			})
			synctest.Wait()
		}
		for range writers {
			tell("busy", "old")
		}
		tell("one", "a")
		tell("bad", "bad", "b")
		tell("several", "c", "old", "d")
		tell("many", slices.Repeat([]string{"e"}, mostInBatch)...)
		tell("the next", "f")
		close(g.open)
		done.Wait()
		c.Close()
		for _, name := range []string{"busy", "one", "bad", "several", "many", "the next"} {
			if got, _ := failed.Load(name); got != (name == "bad") {
				t.Errorf("%s failed: %v", name, got)
			}
		}
		together := 0
		for _, b := range g.batches {
			together = max(together, len(b))
		}
		if want := 1 + 2 + 3 + mostInBatch; together != want {
			t.Errorf("%d news shared a transaction at most, want %d: all that waited, and no more once that is enough", together, want)
		}
		if woken.Load() == 0 {
			t.Error("nobody is told that there is something to look into")
		}
	})
}

// A flood of what Actito tells, such as the echo of a bulk load, is no rush in
// which Didomi's webhooks would have to go into the inbox, or wait.
func TestNewsHoldUpNoConsent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		news, consents := newGate(func([]store.Inbound) error { return nil }), newGate(func([]store.Inbound) error { return nil })
		close(consents.open)
		c := NewCommitter(twoDoors{consents, news}, func() {}, time.Now, slog.New(slog.DiscardHandler), nil)
		var flood sync.WaitGroup
		for range 2 * mostInBatch {
			flood.Go(func() { _ = c.Hear(t.Context(), []store.News{{}}) })
		}
		synctest.Wait() // all of it waits for its transactions
		if r, err := c.Accept(t.Context(), store.Inbound{}); err != nil || r.Outcome == Queued {
			t.Errorf("a webhook of Didomi's: %+v, %v", r, err)
		}
		close(news.open)
		flood.Wait()
		c.Close()
	})
}

// twoDoors is a Store that keeps what Actito tells apart.
type twoDoors struct {
	*gate
	news *gate
}

func (d twoDoors) Hear(ctx context.Context, batch []store.News) error {
	return d.news.Hear(ctx, batch)
}

// In a rush webhooks go into the inbox, and are merged at once again when it is
// over.
func TestInARushWebhooksGoIntoTheInbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(func([]store.Inbound) error { return nil })
		c := NewCommitter(g, func() {}, time.Now, slog.New(slog.DiscardHandler), nil)
		var outcomes sync.Map
		var done sync.WaitGroup
		for n := range writers + crowd {
			done.Go(func() {
				r, err := c.Accept(t.Context(), store.Inbound{})
				if err != nil {
					t.Error(err)
				}
				outcomes.Store(n, r.Outcome)
			})
			synctest.Wait()
		}
		close(g.open)
		done.Wait()
		queued := 0
		outcomes.Range(func(_, outcome any) bool {
			if outcome == Queued {
				queued++
			}
			return true
		})
		if queued != crowd {
			t.Errorf("%d webhooks were queued, want those that found all writers busy", queued)
		}
		select {
		case <-c.merger.wake:
		default:
			t.Error("the merger was not told")
		}
		time.Sleep(calm)
		if r, err := c.Accept(t.Context(), store.Inbound{}); err != nil || r.Outcome == Queued {
			t.Errorf("after the rush: %+v, %v", r, err)
		}
		c.Close()
	})
}
