package ingest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/store"
)

// Queued is the outcome of a webhook that is in the inbox: it is on disk, and
// what becomes of it is known when it is merged.
const Queued consent.Outcome = "queued"

// Inbox is what merging needs of the database.
type Inbox interface {
	store.Backlogs
	Merge(ctx context.Context, k store.InboxKey, limit int, decode store.Decode) (store.Merged, error)
	SetAside(ctx context.Context, k store.InboxKey, seq int64, reason string) error
	RetryAside(ctx context.Context) error
}

const (
	// mostMerged bounds a transaction, which other writers wait for: whatever is
	// accepted meanwhile is answered that much later. A merge does not wait for the
	// disk, so larger ones would gain little.
	mostMerged = 32
	// leastMerged is how many are merged at once in a rush, so that accepting
	// waits for a few milliseconds at most.
	leastMerged = 16
	// share is how much of the time merging takes in a rush: one part in so
	// many.
	share = 4
	// lag is how old the inbox may become before nothing more goes into it:
	// then webhooks wait for merging, which bounds both its size and how late
	// a withdrawal can be because of a flood.
	lag = 10 * time.Second
	// look is how often the inbox is looked at without being woken.
	look = time.Second
)

// merger merges what is in the inbox, what may turn something off first, and
// the organizations in turn.
//
// In a rush it keeps to a quarter of the time. That is far more than delivery
// can use, since Actito takes a hundred calls a minute, and leaves the rest to
// accepting, for which Didomi waits.
type merger struct {
	store   Inbox
	rush    func() bool  // more webhooks come than can be merged at once
	late    atomic.Bool  // the inbox has become older than lag
	behind  atomic.Int64 // how old it is, in nanoseconds
	due     func()
	log     *slog.Logger
	metrics *commitMetrics
	now     func() time.Time
	wake    chan struct{}
	served  string // the organization whose turn was last
}

// nudge says that something came into the inbox. It never blocks.
func (m *merger) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *merger) run(ctx context.Context) error {
	if err := m.store.RetryAside(ctx); err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "what was set aside of the inbox could not be put back", "error", err)
	}
	for ctx.Err() == nil {
		start := m.now()
		n, err := m.round(ctx)
		if err != nil && ctx.Err() == nil {
			m.log.ErrorContext(ctx, "the inbox could not be merged", "error", err)
		}
		switch {
		case n == 0 || err != nil:
			m.rest(ctx, look, m.wake)
		case m.rush():
			m.rest(ctx, (share-1)*m.now().Sub(start), nil)
		}
	}
	return nil
}

func (m *merger) rest(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

// round merges a part of the most urgent lane that is not empty, of each
// organization, or in a rush of one. It tells how many webhooks left the inbox.
func (m *merger) round(ctx context.Context) (n int, err error) {
	backlogs, err := m.store.Backlogs(ctx, "")
	if err != nil {
		return 0, err
	}
	lane, behind := store.AsideLane, time.Duration(0)
	for _, b := range backlogs {
		if b.Lane < store.AsideLane {
			behind = max(behind, m.now().Sub(b.Oldest.Std()))
		}
		lane = min(lane, b.Lane)
	}
	m.late.Store(behind > lag)
	m.behind.Store(int64(behind))
	m.metrics.behind.Set(behind.Seconds())
	if lane == store.AsideLane {
		return 0, nil
	}
	for _, k := range m.turn(backlogs, lane) {
		merged, err := m.merge(ctx, k)
		if err != nil {
			return n, err
		}
		m.served = k.Organization
		if n += merged; m.rush() {
			break
		}
	}
	return n, nil
}

// turn gives the inboxes that have something in a lane, those after the one
// that was served last first.
func (m *merger) turn(backlogs []store.Backlog, lane store.Lane) []store.InboxKey {
	var later, earlier []store.InboxKey
	for _, b := range backlogs { // sorted by organization
		switch {
		case b.Lane != lane:
		case b.Organization > m.served:
			later = append(later, b.InboxKey)
		default:
			earlier = append(earlier, b.InboxKey)
		}
	}
	return append(later, earlier...)
}

// merge merges a part of a lane. When that fails for a reason that may lie in
// one of its webhooks, the first is tried alone, and set aside if it fails too.
func (m *merger) merge(ctx context.Context, k store.InboxKey) (int, error) {
	limit := mostMerged
	if m.rush() {
		limit = leastMerged
	}
	merged, err := m.store.Merge(ctx, k, limit, decode)
	if err != nil && consent.KindOf(err) != consent.Transient && ctx.Err() == nil {
		if merged, err = m.store.Merge(ctx, k, 1, decode); err != nil && consent.KindOf(err) != consent.Transient && ctx.Err() == nil {
			m.log.ErrorContext(ctx, "a webhook of the inbox cannot be merged and is set aside", "organization", k.Organization, "error", err)
			m.metrics.aside.Inc()
			return 1, m.store.SetAside(ctx, k, merged.First, consent.MessageOf(err))
		}
	}
	if err != nil {
		return 0, err
	}
	m.metrics.merged.Add(float64(merged.Webhooks - merged.Aside))
	m.metrics.aside.Add(float64(merged.Aside))
	if merged.Aside > 0 {
		m.log.ErrorContext(ctx, "webhooks of the inbox cannot be read and are set aside", "organization", k.Organization, "webhooks", merged.Aside)
	}
	if merged.Due {
		m.due()
	}
	return merged.Webhooks, nil
}

// decode reads a webhook out of the inbox as it was read when it came: nothing
// else is ever put there.
func decode(q store.Queued) (store.Inbound, error) {
	in, err := Inbound(q.Organization, q.Payload)
	in.Live = true
	return in, err
}

// Said reads what a webhook that came to an organization's address says; Invalid
// if it cannot be read.
func Said(organization string, body []byte) (*consent.Message, error) {
	in, err := Inbound(organization, body)
	return in.Message, err
}

// Inbound decodes the body of a webhook that came to an organization's address;
// Invalid if it cannot be read. It counts as told of old, not as live, until
// whoever received it says otherwise (R28).
func Inbound(organization string, body []byte) (store.Inbound, error) {
	payload, err := didomi.Parse(body)
	if err != nil {
		return store.Inbound{}, err
	}
	message, err := payload.Message(organization)
	if err != nil {
		return store.Inbound{}, err
	}
	return store.Inbound{Organization: organization, Message: message, Canonical: payload.Canonical(), Payload: body}, nil
}
