package simulator

import (
	"context"
	"sync"
	"time"
)

// later is what a simulated party still does when a call is over.
type later struct {
	sleep func(ctx context.Context, d time.Duration) error
	// life ends with end.
	life context.Context
	end  context.CancelFunc

	settled *sync.Cond // guards pending
	pending int
}

func newLater(sleep func(context.Context, time.Duration) error) *later {
	l := &later{sleep: sleep, settled: sync.NewCond(&sync.Mutex{})}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// after does something that long from now, unless the simulation ends before,
// and leaves in either case.
func (l *later) after(d time.Duration, do, leave func()) {
	l.settled.L.Lock()
	l.pending++
	l.settled.L.Unlock()
	go func() {
		if l.sleep(l.life, d) == nil {
			do()
		}
		leave()
		l.settled.L.Lock()
		l.pending--
		l.settled.L.Unlock()
		l.settled.Broadcast()
	}()
}

// settle returns when nothing is outstanding.
func (l *later) settle() {
	l.settled.L.Lock()
	defer l.settled.L.Unlock()
	for l.pending > 0 {
		l.settled.Wait()
	}
}

// outlast returns when the client has left or the simulation ends.
func (l *later) outlast(client context.Context) {
	select {
	case <-client.Done():
	case <-l.life.Done():
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
