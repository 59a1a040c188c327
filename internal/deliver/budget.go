package deliver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"consentsync/internal/store"
)

// budget is how often and how widely a licence may be called. In any minute it
// lets at most the configured number of calls through, bursts included.
type budget struct {
	limiter *rate.Limiter

	mu          sync.Mutex
	perMinute   int
	concurrency int
}

// burstOf is how many calls may be made at once after a quiet time: one in
// eighteen of the minute's, which leaves the rest evenly spread.
func burstOf(perMinute int) int { return max(1, perMinute/18) }

// newBudget starts a budget. It is full when the licence has been quiet; after
// another owner it is as if emptied when that owner last called (R15).
func newBudget(perMinute, concurrency int, now time.Time, idleFor time.Duration) *budget {
	burst := burstOf(perMinute)
	b := &budget{limiter: rate.NewLimiter(limitOf(perMinute), burst), perMinute: perMinute, concurrency: concurrency}
	saved := min(float64(burst), float64(b.limiter.Limit())*idleFor.Seconds())
	b.limiter.AllowN(now, burst-int(saved))
	return b
}

// limitOf gives the calls a second at which a burst and a steady minute
// together stay within the configured number.
func limitOf(perMinute int) rate.Limit {
	return rate.Limit(float64(perMinute-burstOf(perMinute)+1) / 60)
}

// set changes the limits; the calls spent so far stay spent.
func (b *budget) set(perMinute, concurrency int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if perMinute == b.perMinute && concurrency == b.concurrency {
		return
	}
	b.perMinute, b.concurrency = perMinute, concurrency
	b.limiter.SetLimit(limitOf(perMinute))
	b.limiter.SetBurst(burstOf(perMinute))
}

func (b *budget) width() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.concurrency
}

// strictest gives the limits that all integrations of a licence agree to.
func strictest(integrations []*store.Integration) (perMinute, concurrency int) {
	for n, i := range integrations {
		p := i.Settings.Properties
		if n == 0 || p.CallsPerMinute < perMinute {
			perMinute = p.CallsPerMinute
		}
		if n == 0 || p.Concurrency < concurrency {
			concurrency = p.Concurrency
		}
	}
	return perMinute, concurrency
}

// take gives the right to one call now, or tells how long to wait for it.
func (b *budget) take(now time.Time) (ticket *rate.Reservation, wait time.Duration) {
	r := b.limiter.ReserveN(now, 1)
	if d := r.DelayFrom(now); d > 0 {
		r.CancelAt(now)
		return nil, d
	}
	return r, 0
}

// purse pays for the requests of one attempt: the first with the ticket that
// was taken for it, those that follow (a fresh token, a structure, a read)
// as the budget allows.
type purse struct {
	b      *budget
	mu     sync.Mutex
	ticket *rate.Reservation
	paid   int
}

func (p *purse) pay(ctx context.Context) error {
	p.mu.Lock()
	p.paid++
	prepaid := p.ticket != nil
	p.ticket = nil
	p.mu.Unlock()
	if prepaid {
		return nil
	}
	return p.b.limiter.Wait(ctx)
}

// giveBack returns a ticket that paid for nothing.
func (p *purse) giveBack(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ticket != nil {
		p.ticket.CancelAt(now)
		p.ticket = nil
	}
}
