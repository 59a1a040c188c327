package deliver

import (
	"context"
	"errors"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// listener is the ear of one integration: what Actito told of its profiles is
// looked into, and what people chose there is told to Didomi. It is guarded by
// the courier's lock.
type listener struct {
	running bool
	nextAt  consent.Time
	// reading are the news for which profiles are being read, which may take
	// long; all others go on meanwhile.
	reading map[store.ID]bool
}

const (
	// hearEvery is how often it is looked for news without being woken.
	hearEvery = 500 * time.Millisecond
	hearBatch = 200
	// readBatch is for how many news profiles are read before it is looked again
	// which are the most urgent.
	readBatch = 4
	// hearFor is for how long news are tried that cannot be looked into.
	hearFor = 7 * 24 * time.Hour
)

// listen lets the ears of the integrations go on. It never waits.
func (c *courier) listen(calls context.Context) {
	for _, i := range c.integrations() {
		if !i.Settings.EnableWebhooks || i.Status != store.Active {
			continue
		}
		k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
		c.mu.Lock()
		l := c.listeners[k]
		if l == nil {
			l = &listener{reading: make(map[store.ID]bool)}
			c.listeners[k] = l
		}
		due := !l.running && l.nextAt <= c.clock()
		l.running = l.running || due
		c.mu.Unlock()
		if due {
			c.calls.Go(func() {
				more := c.listenStep(calls, i, l)
				c.mu.Lock()
				l.running, l.nextAt = false, c.clock().Add(hearEvery)
				if more {
					l.nextAt = 0
				}
				c.mu.Unlock()
				if more {
					c.nudge()
				}
			})
		}
	}
}

// listenStep looks into some news and tells Didomi what is due; more says that
// there may be more to do at once. A fault of one does not hold up the other.
func (c *courier) listenStep(ctx context.Context, i *store.Integration, l *listener) (more bool) {
	heard, err := c.hear(ctx, i, l)
	told, tellErr := c.tell(ctx, i)
	if err = errors.Join(err, tellErr); err != nil {
		if ctx.Err() == nil {
			c.log.ErrorContext(ctx, "two-way met an error, and tries again", "integration", i.ID, "error", err)
		}
		return false
	}
	return heard || told
}

// hear looks into the news that are due. Those that take a while are left to a
// step of their own, a few at a time.
func (c *courier) hear(ctx context.Context, i *store.Integration, l *listener) (any bool, err error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	news, err := c.store.NextNews(ctx, k, hearBatch)
	if err != nil || len(news) == 0 {
		return false, err
	}
	if changed, err := c.changed(ctx, i); err != nil || changed {
		return false, err
	}
	target, err := c.targets.Target(i)
	if err != nil {
		return false, nil // the single lane tells what is wrong
	}
	var toRead []*inquiry
	for _, n := range news {
		c.mu.Lock()
		busy := l.reading[n.NewsID]
		c.mu.Unlock()
		if busy {
			continue
		}
		q := &inquiry{courier: c, i: i, target: target, news: n}
		switch err := q.settle(ctx); {
		case errors.Is(err, errLater):
			toRead = append(toRead, q)
		case err != nil:
			return any, err
		default:
			any = true
		}
	}
	c.readOn(ctx, l, toRead)
	return any, nil
}

// readOn looks into news whose profiles have to be read, unless that is being
// done.
func (c *courier) readOn(ctx context.Context, l *listener, inquiries []*inquiry) {
	inquiries = inquiries[:min(readBatch, len(inquiries))]
	c.mu.Lock()
	start := len(inquiries) > 0 && len(l.reading) == 0
	for _, q := range inquiries {
		if start {
			l.reading[q.news.NewsID] = true
		}
	}
	c.mu.Unlock()
	if !start {
		return
	}
	c.calls.Go(func() {
		for _, q := range inquiries {
			q.mayWait = true
			if err := q.settle(ctx); err != nil && ctx.Err() == nil {
				c.log.ErrorContext(ctx, "two-way met an error, and tries again", "integration", q.i.ID, "error", err)
			}
		}
		c.mu.Lock()
		clear(l.reading)
		l.nextAt = 0
		c.mu.Unlock()
		c.nudge()
	})
}
