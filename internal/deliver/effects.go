package deliver

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// effects counts what came into effect until it is stored. A crash loses the
// last seconds of it: it is for a chart, and what matters stands elsewhere.
type effects struct {
	mu     sync.Mutex
	counts map[store.IntegrationKey]map[store.Effect]int64 // by effects without people
	stored time.Time
}

// storeEffectsEvery is how often effects are stored at most.
const storeEffectsEvery = 5 * time.Second

// add counts somebody whose choice came into effect at a time.
func (e *effects) add(k store.IntegrationKey, withdrawal bool, due, now consent.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = make(map[store.IntegrationKey]map[store.Effect]int64)
	}
	if e.counts[k] == nil {
		e.counts[k] = make(map[store.Effect]int64)
	}
	e.counts[k][store.Effect{At: store.EffectInterval(now), Withdrawal: withdrawal, Step: store.EffectStep(now.Sub(due))}]++
}

// take gives what was counted, and begins anew; nil if it is not time yet.
func (e *effects) take(now time.Time) map[store.IntegrationKey]map[store.Effect]int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.stored) < storeEffectsEvery {
		return nil
	}
	e.stored = now
	counts := e.counts
	e.counts = nil
	return counts
}

// tellEffects stores what came into effect.
func (c *courier) tellEffects(ctx context.Context) {
	for k, counts := range c.effects.take(c.now()) {
		list := slices.SortedFunc(maps.Keys(counts), func(a, b store.Effect) int { return cmp.Compare(a.At, b.At) })
		for i := range list {
			list[i].People = counts[list[i]]
		}
		if err := c.store.AddEffects(ctx, c.currentLease(), k, list); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "what came into effect is missing in the chart", "integration", k.ID, "error", err)
		}
	}
}
