package deliver

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	c.metrics.licences.set(c.currentLease().Licence, p)
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

// licences are the plans of the licences that this node holds, as metrics.
// What they are labelled with is bounded: of single licences, of which there
// can be many, only since when the first of them are held.
type licences struct {
	node  string
	mu    sync.Mutex
	plans map[string]store.LicencePlan
}

var (
	dueDesc    = prometheus.NewDesc("consentsync_due_people", "People who are due, by class.", []string{"class"}, nil)
	oldestDesc = prometheus.NewDesc("consentsync_oldest_due_seconds", "How long the first in the queue has waited, by class.", []string{"class"}, nil)
	paceDesc   = prometheus.NewDesc("consentsync_calls_per_minute", "Calls a minute that the licences held by this node may make: in force, and as configured.", []string{"limit"}, nil)
	outageDesc = prometheus.NewDesc("consentsync_licences_in_outage", "Licences of which Actito is out of reach.", nil, nil)
	eventsDesc = prometheus.NewDesc("consentsync_events_delivered_total", "Events that made somebody due and were looked at, since ever, of the integrations held by this node.", nil, nil)
	savedDesc  = prometheus.NewDesc("consentsync_calls_saved_total", "Calls to Actito that were not made, since ever, of the integrations held by this node, by reason.", []string{"reason"}, nil)
	sinceDesc  = prometheus.NewDesc("consentsync_licence_held_since_timestamp_seconds", "When this node took a licence, in seconds since 1970; of the first 100 by name.", []string{"licence"}, nil)
	nodeDesc   = prometheus.NewDesc("consentsync_node_info", "The name under which this process holds licences.", []string{"node"}, nil)
	heldDesc   = prometheus.NewDesc("consentsync_licences_held", "Licences that this node delivers for.", nil, nil)
)

// mostTold is of how many licences it is told by name.
const mostTold = 100

func (l *licences) set(licence string, p store.LicencePlan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plans[licence] = p
}

func (l *licences) drop(licence string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.plans, licence)
}

// Describe is asked by the registry.
func (l *licences) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{dueDesc, oldestDesc, paceDesc, outageDesc, eventsDesc, savedDesc, sinceDesc, nodeDesc, heldDesc} {
		ch <- d
	}
}

// Collect is asked by the registry.
func (l *licences) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due, oldest, counts := map[string]float64{}, map[string]float64{}, map[string]float64{}
	var inForce, configured, outages float64
	for _, p := range l.plans {
		inForce += float64(p.CallsPerMinute)
		configured += float64(p.MostCallsPerMinute)
		if p.Outage {
			outages++
		}
		for _, i := range p.Integrations {
			for class, q := range i.Due {
				due[class] += float64(q.People)
				oldest[class] = max(oldest[class], q.OldestWaitSeconds)
			}
			for name, n := range i.Counts {
				counts[name] += float64(n)
			}
		}
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, class := range store.ClassNames {
		gauge(dueDesc, due[class], class)
		gauge(oldestDesc, oldest[class], class)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	counter(eventsDesc, counts[store.CountEvents])
	counter(savedDesc, counts[store.CountCoalesced], "coalesced")
	counter(savedDesc, counts[store.CountUnchanged], "unchanged")
	counter(savedDesc, counts[store.CountLoaded], "bulk")
	gauge(paceDesc, inForce, "in_force")
	gauge(paceDesc, configured, "configured")
	gauge(outageDesc, outages)
	gauge(nodeDesc, 1, l.node)
	gauge(heldDesc, float64(len(l.plans)))
	names := slices.Sorted(maps.Keys(l.plans))
	for _, name := range names[:min(len(names), mostTold)] {
		gauge(sinceDesc, float64(l.plans[name].Since)/1e6, name)
	}
}
