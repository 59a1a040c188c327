package simulator

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Call is one call to a simulated party, as it was made and as it went.
type Call struct {
	Started time.Time `json:"started"`
	// Finished is zero while the call is under way. A change that is made late
	// comes after it.
	Finished time.Time `json:"finished,omitzero"`
	Kind     Kind      `json:"kind"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Entity   string    `json:"entity,omitempty"`
	Table    string    `json:"table,omitempty"`
	// Key is the profile's, in the form attribute=value.
	Key           string         `json:"key,omitempty"`
	Attributes    map[string]any `json:"attributes,omitempty"`
	Subscriptions map[string]any `json:"subscriptions,omitempty"`
	// ETL and Load are those that a call about loads names. FileBytes is the size
	// of the file that came with it. Rows are not recorded.
	ETL       string `json:"etl,omitempty"`
	Load      string `json:"load,omitempty"`
	FileBytes int    `json:"fileBytes,omitempty"`
	Campaign  string `json:"campaign,omitempty"`
	// Status is what was answered, 0 when nothing was.
	Status int `json:"status"`
	// Applied tells whether the call changed what is stored, or began a load.
	Applied bool `json:"applied"`
	// Fault is the effect of the fault that struck, if one did.
	Fault Effect `json:"fault,omitempty"`
}

// journal records calls and counts the writes under way for each profile.
type journal struct {
	mu       sync.Mutex
	keep     int
	calls    []*Call
	counts   map[Kind]int
	underWay map[string]int
	overlap  int
}

// entry is a call in the journal.
type entry struct {
	journal *journal
	call    *Call
	names   []string // those of the profile that is being written
}

func newJournal(keep int) *journal {
	return &journal{keep: keep, counts: map[Kind]int{}, underWay: map[string]int{}}
}

// begin opens a call's entry. Names are the names of the profile it writes, so
// that two calls meet that name one profile differently.
func (j *journal) begin(now time.Time, q *request, names []string) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	call := &Call{
		Started: now, Kind: q.kind, Method: q.method, Path: q.path,
		Entity: q.entity, Table: q.table, Key: q.key.String(),
		Attributes: q.attributes, Subscriptions: q.subscriptions,
		ETL: q.etl, Load: q.load, FileBytes: len(q.file), Campaign: q.campaign,
	}
	j.counts[q.kind]++
	j.calls = append(j.calls, call)
	if len(j.calls) > 2*j.keep {
		j.calls = slices.Clone(j.calls[len(j.calls)-j.keep:])
	}
	for _, name := range names {
		j.underWay[name]++
		j.overlap = max(j.overlap, j.underWay[name])
	}
	return &entry{j, call, names}
}

// leave says that the call will change nothing any more.
func (e *entry) leave() {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	for _, name := range e.names {
		if e.journal.underWay[name]--; e.journal.underWay[name] == 0 {
			delete(e.journal.underWay, name)
		}
	}
	e.names = nil
}

func (e *entry) answered(now time.Time, status int) {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.call.Finished, e.call.Status = now, status
}

// applied notes that the call changed something, or began a load.
func (e *entry) applied(load string) {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.call.Applied, e.call.Load = true, load
}

func (e *entry) met(effect Effect) {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.call.Fault = effect
}

// namesOf gives the names by which a write's profile is counted: the one that
// the call uses and, if there is such a profile, the one that every other way to
// name it leads to.
func (a *Actito) namesOf(q *request) []string {
	if !q.kind.hasBody() && q.kind != KindMail || q.key.attr == "" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	prefix := q.entity + "/" + q.table + "/"
	names := []string{prefix + q.key.String()}
	if _, p, err := a.existing(q); err == nil {
		names = append(names, prefix+profileKey{attrProfileID, text(p.ID)}.String())
	}
	return slices.Compact(names)
}

// Calls gives copies of the recorded calls in the order in which they came,
// those under way included.
func (a *Actito) Calls() []Call { return a.journal.all() }

func (j *journal) all() []Call {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Call, len(j.calls))
	for i, c := range j.calls {
		out[i] = *c
		out[i].Attributes = maps.Clone(c.Attributes)
		out[i].Subscriptions = maps.Clone(c.Subscriptions)
	}
	return out
}

// CallCount tells how many calls of these kinds came, of all kinds when none is
// named. It counts refused calls too.
func (a *Actito) CallCount(kinds ...Kind) int { return a.journal.count(kinds) }

func (j *journal) count(kinds []Kind) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for kind, count := range j.counts {
		if len(kinds) == 0 || slices.Contains(kinds, kind) {
			n += count
		}
	}
	return n
}

// MaxOverlap is the largest number of writes (update, create, replace) that were
// ever under way at once for one profile. A write is under way from its arrival
// until it can change nothing any more, which for one that is made late is after
// its client has got an error or has left.
func (a *Actito) MaxOverlap() int {
	a.journal.mu.Lock()
	defer a.journal.mu.Unlock()
	return a.journal.overlap
}

// MaxConcurrent is the largest number of requests of one licence that were ever
// there at once, those refused for being too many included. Asking for a token
// does not count.
func (a *Actito) MaxConcurrent() int { return a.limits.maxSeen() }

// ResetCounters forgets the calls and the deliveries of webhooks recorded, the
// maxima, the calls of the last minute and the loads of the day. Calls under way
// go on counting.
func (a *Actito) ResetCounters() {
	a.journal.mu.Lock()
	a.journal.calls, a.journal.overlap = nil, 0
	clear(a.journal.counts)
	a.journal.mu.Unlock()
	a.limits.reset()
	a.loads.newDay()
	a.webhooks.mu.Lock()
	a.webhooks.log = nil
	a.webhooks.mu.Unlock()
}
