package deliver

import (
	"context"
	"encoding/json"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

const (
	// reportEvery is how often the plan of a licence is stored at most,
	// repeatEvery how often when nothing of it has changed.
	reportEvery, repeatEvery = 2 * time.Second, time.Minute
)

// report is the last that was stored of a plan.
type report struct {
	at   time.Time
	plan string // without its time
}

// report stores what this node plans for the licence, so that it can be seen
// from every node.
func (c *courier) report(ctx context.Context) {
	now := c.now()
	if now.Sub(c.reported.at) < reportEvery || c.budget() == nil {
		return
	}
	p := c.plan()
	c.metrics.licences.set(c.currentLease().Licence, c.tended(p))
	same, err := json.Marshal(p)
	if err != nil || string(same) == c.reported.plan && now.Sub(c.reported.at) < repeatEvery {
		return
	}
	p.At = consent.TimeOf(now)
	text, err := json.Marshal(p)
	if err == nil {
		err = c.store.ReportPlan(ctx, c.currentLease(), text)
	}
	if err != nil {
		return // it is only told; what matters is logged where it fails
	}
	c.reported = report{now, string(same)}
}

// plan is how the licence's budget is spent now.
func (c *courier) plan() store.LicencePlan {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := plan.CeilingOf(c.current)
	force := c.pace.Now(c.clock())
	p := store.LicencePlan{
		Node: c.node, Since: c.lease.HeldSince, CallsPerMinute: force.PerMinute, MostCallsPerMinute: most.PerMinute,
		Concurrency: force.Width, MostConcurrency: most.Width, PaceReason: c.pace.Reason(), Outage: c.circuit.Open(),
		Integrations: map[string]store.IntegrationPlan{},
	}
	if c.blocked > c.clock() {
		p.BlockedUntil = c.blocked
	}
	for k, l := range c.loaders {
		if l.plan.Due != nil {
			p.Integrations[k.ID] = l.plan
		}
	}
	return p
}

// tended is how the licence stands, for metrics.
func (c *courier) tended(p store.LicencePlan) tended {
	now := c.clock()
	t := tended{plan: p, withdrawal: c.overdue.oldest(now), statuses: map[store.IntegrationStatus]int{}, lanes: map[string]int{}}
	withdrawals := store.ClassNames[store.LiveWithdrawal]
	for _, i := range p.Integrations {
		if q := i.Due[withdrawals]; q.People > 0 {
			since := now.Add(-time.Duration(q.OldestWaitSeconds * float64(time.Second)))
			if t.withdrawal == 0 || since < t.withdrawal {
				t.withdrawal = since
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.current {
		t.statuses[i.Status]++
		if i.Seen.LookedAt > 0 {
			if d := i.Snapshot.Differs(&i.Seen); !d.Empty() {
				t.differing++
			}
		}
		switch l := c.loaders[store.IntegrationKey{Organization: i.Organization, ID: i.ID}]; {
		case i.Settings.Properties.ETLID == "":
			t.lanes[laneOff]++
		case l != nil && l.closed > now && l.revision == i.Revision:
			t.lanes[laneClosed]++
		default:
			t.lanes[laneOpen]++
		}
	}
	return t
}
