package postgres

import (
	"context"
	"sync"
	"testing"
	"time"
)

// A hint of one node is heard by the others, and not by itself; also after
// the connection was lost.
func TestHints(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	one, other := ready(t, address), ready(t, address)
	ctx, stop := context.WithCancel(t.Context())
	heard, own := make(chan struct{}, 100), make(chan struct{}, 100)
	var running sync.WaitGroup
	running.Go(func() { one.Hints(ctx, func() { own <- struct{}{} }) })
	running.Go(func() { other.Hints(ctx, func() { heard <- struct{}{} }) })
	late := time.After(30 * time.Second)
	for range 2 {
		// A hint that comes while nobody listens is lost, as it may be.
		for done := false; !done; {
			one.Hint()
			select {
			case <-heard:
				done = true
			case <-time.After(50 * time.Millisecond):
			case <-late:
				t.Fatal("no hint is heard")
			}
		}
		number(t, one, `SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN consentsync'`)
		for len(heard) > 0 {
			<-heard
		}
	}
	stop()
	running.Wait()
	if len(own) > 0 {
		t.Error("a node hears itself")
	}
}

// The clock of a node is the database's, whatever the node's own says.
func TestClock(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	e.clock.Store(&reading{at: time.Now().Add(-time.Minute), clock: 1})
	if d := e.Clock().Sub(time.UnixMicro(0)); d < time.Minute || d > 2*time.Minute {
		t.Errorf("it shows %v", d)
	}
	if _, err := e.Acquire(t.Context(), "node"); err != nil {
		t.Fatal(err)
	}
	now, err := e.Now(t.Context())
	if d := e.Clock().Sub(now.Std()); err != nil || d.Abs() > time.Second {
		t.Errorf("it is off by %v, %v", d, err)
	}
}
