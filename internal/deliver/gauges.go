package deliver

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// licences are the plans of the licences that this node holds, as metrics.
// What they are labelled with is bounded: of single licences, of which there
// can be many, only since when the first of them are held.
type licences struct {
	node string
	now  func() time.Time

	mu   sync.Mutex
	held map[string]tended
	// counted is what the store has counted of each integration, as it was seen
	// last, and grown what came to it while this process held the licence: a count
	// that another node's work is part of would jump when a licence changes hands.
	counted map[string]map[string]int64
	grown   map[string]float64
}

// tended is how a licence stands, beside its plan.
type tended struct {
	plan store.LicencePlan
	// withdrawal is since when the oldest withdrawal is due that is not in effect;
	// zero if there is none.
	withdrawal consent.Time
	statuses   map[store.IntegrationStatus]int
	differing  int            // integrations whose table is not as in the snapshot
	lanes      map[string]int // integrations by the state of their bulk lane
}

var (
	dueDesc        = prometheus.NewDesc("consentsync_due_people", "People who are due, by class.", []string{"class"}, nil)
	oldestDesc     = prometheus.NewDesc("consentsync_oldest_due_seconds", "How long the first in the queue has waited, by class.", []string{"class"}, nil)
	withdrawalDesc = prometheus.NewDesc("consentsync_oldest_withdrawal_seconds", "Age of the oldest live withdrawal that is not in effect: in the queue, under way, or waiting for its next try. 0 if there is none.", nil, nil)
	statusDesc     = prometheus.NewDesc("consentsync_integrations", "Integrations of the licences held by this node, by status.", []string{"status"}, nil)
	differDesc     = prometheus.NewDesc("consentsync_integrations_table_differs", "Integrations of which the table in Actito is no longer as in the snapshot.", nil, nil)
	lanesDesc      = prometheus.NewDesc("consentsync_bulk_lanes", "Integrations by the state of their bulk lane: open, closed after a fault, or off since no ETL is set.", []string{"state"}, nil)
	paceDesc       = prometheus.NewDesc("consentsync_calls_per_minute", "Calls a minute that the licences held by this node may make: in force, and as configured.", []string{"limit"}, nil)
	outageDesc     = prometheus.NewDesc("consentsync_licences_in_outage", "Licences of which Actito is out of reach.", nil, nil)
	eventsDesc     = prometheus.NewDesc("consentsync_events_delivered_total", "Events that made somebody due and were looked at.", nil, nil)
	savedDesc      = prometheus.NewDesc("consentsync_calls_saved_total", "Calls to Actito that were not made, by reason.", []string{"reason"}, nil)
	sinceDesc      = prometheus.NewDesc("consentsync_licence_held_since_timestamp_seconds", "When this node took a licence, in seconds since 1970; of the first 100 by name.", []string{"licence"}, nil)
	nodeDesc       = prometheus.NewDesc("consentsync_node_info", "The name under which this process holds licences.", []string{"node"}, nil)
	heldDesc       = prometheus.NewDesc("consentsync_licences_held", "Licences that this node delivers for.", nil, nil)
)

// mostTold is of how many licences it is told by name.
const mostTold = 100

// The states of a bulk lane.
const (
	laneOpen, laneClosed, laneOff = "open", "closed", "off"
)

func newLicences(node string, now func() time.Time) *licences {
	return &licences{node: node, now: now, held: make(map[string]tended), counted: make(map[string]map[string]int64), grown: make(map[string]float64)}
}

func (l *licences) set(licence string, t tended) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[licence] = t
	for id, i := range t.plan.Integrations {
		if was, known := l.counted[id]; known {
			for name, n := range i.Counts {
				l.grown[name] += float64(max(0, n-was[name]))
			}
		}
		l.counted[id] = i.Counts
	}
}

func (l *licences) drop(licence string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.held[licence].plan.Integrations {
		delete(l.counted, id)
	}
	delete(l.held, licence)
}

// Describe is asked by the registry.
func (l *licences) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		dueDesc, oldestDesc, withdrawalDesc, statusDesc, differDesc, lanesDesc, paceDesc, outageDesc, eventsDesc, savedDesc, sinceDesc, nodeDesc, heldDesc,
	} {
		ch <- d
	}
}

// Collect is asked by the registry.
func (l *licences) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	s := l.sum()
	for _, class := range store.ClassNames {
		gauge(dueDesc, s.due[class], class)
		gauge(oldestDesc, s.oldest[class], class)
	}
	gauge(withdrawalDesc, s.withdrawal)
	for _, status := range []store.IntegrationStatus{store.Active, store.Paused, store.Suspended} {
		gauge(statusDesc, s.statuses[status], string(status))
	}
	gauge(differDesc, s.differing)
	for _, state := range []string{laneOpen, laneClosed, laneOff} {
		gauge(lanesDesc, s.lanes[state], state)
	}
	counter(eventsDesc, l.grown[store.CountEvents])
	counter(savedDesc, l.grown[store.CountCoalesced], "coalesced")
	counter(savedDesc, l.grown[store.CountUnchanged], "unchanged")
	counter(savedDesc, l.grown[store.CountLoaded], "bulk")
	gauge(paceDesc, s.inForce, "in_force")
	gauge(paceDesc, s.configured, "configured")
	gauge(outageDesc, s.outages)
	gauge(nodeDesc, 1, l.node)
	gauge(heldDesc, float64(len(l.held)))
	names := slices.Sorted(maps.Keys(l.held))
	for _, name := range names[:min(len(names), mostTold)] {
		gauge(sinceDesc, float64(l.held[name].plan.Since)/1e6, name)
	}
}

// sums are over all licences of this node.
type sums struct {
	due, oldest, lanes             map[string]float64
	statuses                       map[store.IntegrationStatus]float64
	withdrawal, differing, outages float64
	inForce, configured            float64
}

// sum adds up what is held. The caller holds l.mu.
func (l *licences) sum() sums {
	s := sums{
		due: map[string]float64{}, oldest: map[string]float64{}, lanes: map[string]float64{}, statuses: map[store.IntegrationStatus]float64{},
	}
	now := consent.TimeOf(l.now())
	for _, t := range l.held {
		s.inForce += float64(t.plan.CallsPerMinute)
		s.configured += float64(t.plan.MostCallsPerMinute)
		s.differing += float64(t.differing)
		if t.plan.Outage {
			s.outages++
		}
		if t.withdrawal > 0 {
			s.withdrawal = max(s.withdrawal, now.Sub(t.withdrawal).Seconds())
		}
		for status, n := range t.statuses {
			s.statuses[status] += float64(n)
		}
		for state, n := range t.lanes {
			s.lanes[state] += float64(n)
		}
		for _, i := range t.plan.Integrations {
			for class, q := range i.Due {
				s.due[class] += float64(q.People)
				s.oldest[class] = max(s.oldest[class], q.OldestWaitSeconds)
			}
		}
	}
	return s
}

// State is how delivery goes on this node, for whoever asks how the program is.
type State struct {
	Licences, Outages int // held, and of which Actito is out of reach
	Suspended         int // integrations
	// Withdrawal is the age of the oldest live withdrawal that is not in effect;
	// zero if there is none.
	Withdrawal time.Duration
	// Renewed is when the leases were last renewed; zero if they never were.
	Renewed time.Time
}

// State tells how delivery goes.
func (e *Engine) State() State {
	l := e.metrics.licences
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sum()
	state := State{
		Licences: len(l.held), Outages: int(s.outages), Suspended: int(s.statuses[store.Suspended]),
		Withdrawal: time.Duration(s.withdrawal * float64(time.Second)),
	}
	if at := e.renewed.Load(); at != 0 {
		state.Renewed = time.Unix(0, at)
	}
	return state
}
