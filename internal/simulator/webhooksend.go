package simulator

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// webhook is one with what it has to tell.
type webhook struct {
	WebhookSubscription
	queue   []event
	running bool // something delivers the queue
}

// event is one change of a profile, for one webhook.
type event struct {
	id, kind string
	// data holds values as the table does, unique those of unique attributes
	// that are not in it.
	data, unique map[string]any
}

// webhooks holds all that has to do with telling others; mu guards it. It is
// taken after Actito.mu.
type webhooks struct {
	mu      sync.Mutex
	settled *sync.Cond
	options WebhookOptions
	rand    *rand.Rand
	lastID  int
	list    []*webhook
	held    int
	busy    int // events queued or being told
	keep    int
	log     []*WebhookDelivery
}

func newWebhooks(opts ActitoOptions) *webhooks {
	if err := opts.Webhooks.check(); err != nil {
		panic(err)
	}
	w := &webhooks{
		options: opts.Webhooks, keep: opts.KeepCalls,
		rand: rand.New(rand.NewPCG(opts.Seed, opts.Seed+1)), //nolint:gosec // has to be repeatable
	}
	w.settled = sync.NewCond(&w.mu)
	return w
}

// DeliverWebhooks changes how webhooks are delivered from now on. It panics on
// options that make no sense.
func (a *Actito) DeliverWebhooks(o WebhookOptions) {
	if err := o.check(); err != nil {
		panic(err)
	}
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	a.webhooks.options = o
}

// HoldWebhooks keeps the events to come back until each hold is released. They
// make one batch, which is what an order or a block is made of.
func (a *Actito) HoldWebhooks() (release func()) {
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	a.webhooks.held++
	return sync.OnceFunc(func() {
		a.webhooks.mu.Lock()
		defer a.webhooks.mu.Unlock()
		a.webhooks.held--
		a.startWebhooks()
	})
}

// SettleWebhooks returns when everything has been told or given up. It does not
// return while webhooks are held.
func (a *Actito) SettleWebhooks() {
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	for a.webhooks.busy > 0 {
		a.webhooks.settled.Wait()
	}
}

// endWebhooks drops what was not told, after the simulation's life has ended.
func (a *Actito) endWebhooks() {
	a.webhooks.mu.Lock()
	for _, w := range a.webhooks.list {
		if !w.running {
			a.webhooks.drop(w)
		}
	}
	a.webhooks.mu.Unlock()
	a.SettleWebhooks()
	a.opts.WebhookHTTP.CloseIdleConnections()
}

// drop forgets a webhook's queue, with mu held.
func (h *webhooks) drop(w *webhook) {
	h.busy -= len(w.queue)
	w.queue = nil
	h.settled.Broadcast()
}

// tell queues a change for the webhooks that it concerns. It never waits for a
// delivery. It is called with Actito.writing held, so in the order of changes.
func (a *Actito) tell(c Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	if len(a.webhooks.list) == 0 || a.life.Err() != nil {
		return
	}
	t, err := a.table(c.Entity, c.Table)
	if err != nil {
		return // removed in this moment
	}
	unique := slices.Collect(maps.Keys(t.unique))
	for _, w := range a.webhooks.list {
		if !w.Active || w.Entity != c.Entity || w.Table != c.Table {
			continue
		}
		if e, ok := w.eventOf(c, unique); ok {
			w.queue = append(w.queue, e)
			a.webhooks.busy++
		}
	}
	a.startWebhooks()
}

// eventOf makes of a change what a webhook tells of it, if it does.
func (s WebhookSubscription) eventOf(c Change, unique []string) (event, bool) {
	if c.After.ID == 0 {
		return event{}, false
	}
	told := map[string]any{}
	switch s.Event {
	case EventCreate:
		if c.Before.ID != 0 {
			return event{}, false
		}
		maps.Copy(told, c.After.clone().Attributes)
	case EventUpdatedSubscription:
		for name, on := range c.After.Subscriptions {
			if on != c.Before.Subscriptions[name] {
				told[name] = on
			}
		}
		if len(told) == 0 {
			return event{}, false
		}
	default:
		return event{}, false
	}
	filtered := func(name string) bool { _, in := told[name]; return in }
	if len(s.Fields) > 0 && !slices.ContainsFunc(s.Fields, filtered) {
		return event{}, false
	}
	e := event{id: newUUID(), kind: s.Event, data: told, unique: map[string]any{}}
	e.data[attrProfileID] = c.After.ID
	for _, name := range unique {
		if v, has := c.After.Attributes[name]; has {
			e.unique[name] = v
		}
	}
	return e, true
}

// startWebhooks has each queue delivered that is not, with webhooks.mu held.
func (a *Actito) startWebhooks() {
	if a.webhooks.held > 0 {
		return
	}
	for _, w := range a.webhooks.list {
		if len(w.queue) > 0 && !w.running {
			w.running = true
			go a.deliverWebhooks(w)
		}
	}
}

// deliverWebhooks tells a webhook's events, a batch after the other, until there
// are none, they are held, or the simulation ends.
func (a *Actito) deliverWebhooks(w *webhook) {
	h := a.webhooks
	for {
		h.mu.Lock()
		if a.life.Err() != nil {
			h.drop(w)
		}
		if len(w.queue) == 0 || h.held > 0 {
			w.running = false
			h.mu.Unlock()
			return
		}
		delay := h.options.Delay
		h.mu.Unlock()
		if a.opts.Sleep(a.life, delay) != nil {
			continue
		}
		told, deliveries := h.take(w, a.opts.Now())
		for _, d := range deliveries {
			a.post(d)
		}
		h.mu.Lock()
		h.busy -= told
		h.settled.Broadcast()
		h.mu.Unlock()
	}
}

// take makes deliveries of a webhook's queue.
func (h *webhooks) take(w *webhook, now time.Time) (events int, deliveries []*WebhookDelivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	posts := h.options.posts(w)
	events, w.queue = len(w.queue), nil
	return events, h.record(posts, now)
}

// record decides each POST's fate and notes it, with mu held.
func (h *webhooks) record(posts []*WebhookDelivery, now time.Time) []*WebhookDelivery {
	var all []*WebhookDelivery
	for _, d := range posts {
		d.Begun, d.Dropped = now, h.rand.Float64() < h.options.Drop
		all = append(all, d)
		if h.rand.Float64() < h.options.Duplicate && !d.Dropped {
			again := *d
			again.Repeated = true
			all = append(all, &again)
		}
	}
	h.log = append(h.log, all...)
	if len(h.log) > 2*h.keep {
		h.log = slices.Clone(h.log[len(h.log)-h.keep:])
	}
	return all
}

// post tells until it is taken or the retries are used up.
func (a *Actito) post(d *WebhookDelivery) {
	if d.Dropped {
		return
	}
	for _, wait := range append(slices.Clone(a.opts.WebhookRetries), -1) {
		status, err := a.postOnce(d)
		if a.noteAttempt(d, status, err) || wait < 0 || a.opts.Sleep(a.life, wait) != nil {
			return
		}
	}
}

// noteAttempt says whether the receiver has taken the webhook.
func (a *Actito) noteAttempt(d *WebhookDelivery, status int, err error) bool {
	a.webhooks.mu.Lock()
	defer a.webhooks.mu.Unlock()
	d.Attempts++
	d.Status, d.Taken, d.Error = status, status/100 == 2, ""
	if err != nil {
		d.Error = err.Error()
	}
	return d.Taken
}

func (a *Actito) postOnce(d *WebhookDelivery) (int, error) {
	req, err := http.NewRequestWithContext(a.life, http.MethodPost, d.Target, bytes.NewReader(d.Body))
	if err != nil {
		return 0, err
	}
	for name, value := range d.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.opts.WebhookHTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, nil
}
