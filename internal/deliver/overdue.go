package deliver

import (
	"sync"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// overdue keeps the live withdrawals of a licence that were tried and are not in
// effect: with a call under way, or waiting for the next try. The queue does not
// show those, and the ones that fail again and again are the very ones that
// somebody has to hear of.
//
// It is kept in memory: after a change of lease a withdrawal is in it again with
// its next try.
type overdue struct {
	mu    sync.Mutex
	tried map[store.DeliveryKey]tried
}

type tried struct {
	due, until consent.Time
}

const (
	// callBound is how long a call may be under way before it is forgotten here.
	callBound = 5 * time.Minute
	// queueBound is how long after its wait a withdrawal that is tried again is
	// remembered: meanwhile the queue shows it, or its next try is recorded.
	queueBound = 10 * time.Minute
)

// begun notes that a call about a withdrawal begins.
func (o *overdue) begun(d *store.Delivery, now consent.Time) {
	if d.Class == store.LiveWithdrawal {
		o.keep(d.DeliveryKey, tried{d.DueAt, now.Add(callBound)})
	}
}

// ended notes what became of it.
func (o *overdue) ended(d *store.Delivery, f *store.Finish, now consent.Time) {
	again := f.State == store.Waiting || f.State == store.Pending
	if !again || f.Class != store.LiveWithdrawal {
		o.forget(d.DeliveryKey)
		return
	}
	o.keep(d.DeliveryKey, tried{d.DueAt, max(f.NextAt, now).Add(queueBound)})
}

func (o *overdue) keep(k store.DeliveryKey, t tried) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tried == nil {
		o.tried = make(map[store.DeliveryKey]tried)
	}
	o.tried[k] = t
}

func (o *overdue) forget(k store.DeliveryKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.tried, k)
}

// oldest tells since when the first of them is due; zero if there is none.
func (o *overdue) oldest(now consent.Time) (first consent.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, t := range o.tried {
		switch {
		case t.until < now:
			delete(o.tried, k)
		case first == 0 || t.due < first:
			first = t.due
		}
	}
	return first
}
