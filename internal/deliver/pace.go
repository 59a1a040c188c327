package deliver

import (
	"context"
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// adapt brings the budget to what the integrations allow and the other end
// takes well. The caller holds c.mu.
func (c *courier) adapt(most plan.Ceiling) {
	now := c.now()
	if c.pace == nil {
		c.pace = plan.NewPace(most)
	}
	c.pace.SetCeiling(most)
	force := c.pace.Now(c.clock())
	if c.spend == nil {
		c.spend = newBudget(force.PerMinute, force.Width, now, c.quietFor(now))
		c.blocked = c.lease.BlockedUntil
	}
	c.spend.set(force.PerMinute, force.Width)
}

// meter learns from a request how well the other end takes our pace.
func (c *courier) meter(e Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	switch {
	case c.pace == nil:
	case e.Status == http.StatusTooManyRequests:
		c.pace.Limited(now)
	case e.Status == 0 || e.Status >= 500:
		c.pace.Failed(now)
	case e.Writes && e.Status < 300: // reads and refusals are answered at another speed
		c.pace.Answered(e.Took, now)
	}
}

// definite notes an answer about a profile that leaves nothing open: the other
// end works.
func (c *courier) definite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.circuit.Open() {
		c.pace.Restart(c.clock())
	}
	c.circuit.Succeeded()
}

// trouble notes a call that failed for no fault of the profile. After several
// profiles in a row no profile is called, so that an outage does not turn into
// a storm, and the other end is probed until it answers.
func (c *courier) trouble(ctx context.Context, profile string) {
	c.mu.Lock()
	was := c.circuit.Open()
	c.circuit.Failed(profile, c.clock(), c.random())
	opened := !was && c.circuit.Open()
	c.mu.Unlock()
	if opened {
		c.log.WarnContext(ctx, "the licence is out of reach: profiles wait, and Actito is probed")
	}
}

// outage tells whether the other end is believed to be out of reach, and sees
// to it that it is probed then: with a harmless read of a table's structure.
func (c *courier) outage(calls context.Context) bool {
	c.mu.Lock()
	now := c.clock()
	open, due := c.circuit.Open(), c.circuit.ProbeDue(now) && !c.busy[""]
	var probed *store.Integration
	for _, i := range c.current {
		if i.Status == store.Active {
			probed = i
			break
		}
	}
	if due = due && probed != nil; due {
		c.circuit.Probing(now)
	}
	c.mu.Unlock()
	if due {
		c.occupy("", func() { c.probeOutage(calls, probed) })
	}
	return open
}

// rests tells whether the licence may not be called now, because Actito asked
// for it or is out of reach.
func (c *courier) rests() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.circuit.Open() || c.blocked > c.clock()
}

// answers tells whether an error is an answer of the other end, be it a no.
func answers(err error) bool {
	k := consent.KindOf(err)
	return k != consent.Transient && k != consent.Unclear
}

func (c *courier) probeOutage(ctx context.Context, i *store.Integration) {
	target, err := c.targets.Target(i)
	if err == nil {
		ctx := c.targets.Paced(ctx, c.budget().limiter.Wait, nil)
		_, err = c.checkTable(ctx, i, target)
	}
	answered := err == nil || answers(err)
	c.mu.Lock()
	c.circuit.Probed(answered, c.clock(), c.random())
	if answered {
		c.pace.Restart(c.clock())
	}
	c.mu.Unlock()
	if answered {
		c.log.InfoContext(ctx, "the licence is within reach again")
	}
}
