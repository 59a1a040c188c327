package deliver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
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
// together stay within the configured number; a hair less, so that rounding
// never lets one too many through.
func limitOf(perMinute int) rate.Limit {
	return rate.Limit(float64(perMinute-burstOf(perMinute)+1) / 60 * 0.9999)
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

// wait tells how long it is until a call may be made: 0 when one may be made
// now. It spends nothing.
func (b *budget) wait(now time.Time) time.Duration {
	missing := 1 - b.limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing/float64(b.limiter.Limit())*float64(time.Second)) + time.Millisecond
}

// purse pays for the requests of one attempt. The first is paid for when the
// purse is made, if the budget allows; those that follow (a fresh token, a
// structure, a read) when they are made, as soon as the budget allows.
type purse struct {
	limiter *rate.Limiter
	prepaid atomic.Bool
}

func (b *budget) purse(now time.Time) *purse {
	p := &purse{limiter: b.limiter}
	p.prepaid.Store(b.limiter.AllowN(now, 1))
	return p
}

func (p *purse) pay(ctx context.Context) error {
	if p.prepaid.CompareAndSwap(true, false) {
		return nil
	}
	return p.limiter.Wait(ctx)
}
