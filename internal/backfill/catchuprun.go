package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/store"
)

// catchUpRun is a catch-up under way on this node.
type catchUpRun struct {
	*CatchUps
	row         store.CatchUp
	source      Source
	licence     string
	regulations []string
}

// all goes on page by page to the end, or until it fails, the licence is given
// away, or ctx ends.
func (r *catchUpRun) all(ctx context.Context) error {
	for ctx.Err() == nil && r.Holds(r.licence) {
		more, err := r.page(ctx)
		if err != nil && ctx.Err() == nil {
			return r.fail(ctx, err)
		}
		if !more || err != nil {
			return err
		}
		if err := pause(ctx, r.Pause); err != nil {
			return nil
		}
	}
	return nil
}

// fail notes what went wrong, and when it is tried again.
func (r *catchUpRun) fail(ctx context.Context, err error) error {
	if consent.KindOf(err) == consent.Conflict {
		return err // another node or a request was faster
	}
	now, clock := r.Store.Now(ctx)
	if clock != nil {
		return err
	}
	r.Metrics.caughtUp(catchUpFailed)
	r.row.Failures++
	r.row.LastError = "Didomi could not be asked"
	if message := consent.MessageOf(err); message != "" {
		r.row.LastError = message
	}
	if consent.KindOf(err) == consent.Invalid {
		r.row.Cursor = "" // an old cursor may be good no more: its regulation begins anew
	}
	wait := min(time.Hour, 10*time.Second<<min(r.row.Failures-1, 9))
	r.row.NextAt = now.Add(max(wait, consent.RetryAfter(err)))
	return errors.Join(err, r.Store.SaveCatchUp(ctx, &r.row))
}

// page fetches and merges a page of users, and stores that it did; more tells
// that there are others.
func (r *catchUpRun) page(ctx context.Context) (more bool, err error) {
	if r.row.Regulation == "" && len(r.regulations) > 0 {
		r.row.Regulation = r.regulations[0]
	}
	users, next, err := r.source.Users(ctx, r.row.Regulation, r.row.Cursor)
	if err != nil {
		return false, err
	}
	if err := r.take(ctx, users); err != nil {
		return false, err
	}
	r.row.Cursor, r.row.Failures, r.row.LastError, r.row.NextAt = next, 0, "", 0
	if next == "" {
		n, found := slices.BinarySearch(r.regulations, r.row.Regulation)
		if found { // otherwise it is no longer wanted, and n is the one after it
			n++
		}
		if n >= len(r.regulations) {
			return false, r.end(ctx)
		}
		r.row.Regulation = r.regulations[n]
	}
	return true, r.save(ctx)
}

// save stores how far it is, and that this node is there.
func (r *catchUpRun) save(ctx context.Context) error {
	now, err := r.Store.Now(ctx)
	if err != nil {
		return err
	}
	if r.Every > 0 {
		r.row.AliveAt = now
		r.Metrics.stands(&r.row)
	}
	return r.Store.SaveCatchUp(ctx, &r.row)
}

// end says that nothing was missed before the catch-up was begun. What may have
// been missed since, because nobody was there for a while, is fetched by the next.
func (r *catchUpRun) end(ctx context.Context) error {
	now, err := r.Store.Now(ctx)
	if err != nil {
		return err
	}
	r.row.Running, r.row.EndedAt, r.row.Regulation = false, now, ""
	if r.row.Since <= missedSince(r.row) {
		r.row.Done, r.row.AliveAt = true, max(r.row.AliveAt, r.row.StartedAt)
		if r.row.MissedAt <= r.row.StartedAt {
			r.row.MissedAt, r.row.Away = 0, false
		}
	}
	if r.row.Counted {
		if err := r.Store.Recompare(ctx, r.row.Organization); err != nil {
			return err
		}
		defer r.Changed()
	}
	if err := r.Store.SaveCatchUp(ctx, &r.row); err != nil {
		return err
	}
	r.Metrics.caughtUp(catchUpEnded)
	return nil
}

// take merges the users of a page that have changed, and proves what they show.
func (r *catchUpRun) take(ctx context.Context, users []json.RawMessage) error {
	var batch []store.Inbound
	for _, raw := range users {
		r.row.Users++
		in, err := r.read(consent.UserCreated, raw)
		if err != nil {
			r.unreadable(ctx, err)
			continue
		}
		if at := max(in.Message.CreatedAt, in.Message.UpdatedAt); at > 0 && at < r.row.Since {
			continue
		}
		r.row.Changed++
		batch = append(batch, in)
	}
	if err := r.accept(ctx, batch); err != nil {
		return err
	}
	for i := range batch {
		if err := r.prove(ctx, batch[i].Message); err != nil {
			return err
		}
	}
	return nil
}

// read decodes what Didomi shows as the webhook that would tell of it.
func (r *catchUpRun) read(t consent.MessageType, raw []byte) (in store.Inbound, err error) {
	webhook := didomi.Envelope(t, r.row.Regulation, raw)
	payload, err := didomi.Parse(webhook)
	if err != nil {
		return in, err
	}
	message, err := payload.Message(r.row.Organization)
	if err != nil {
		return in, err
	}
	in = store.Inbound{Organization: r.row.Organization, Message: message, Canonical: payload.Canonical(), Payload: webhook, Source: store.Fetched}
	if r.row.Counted {
		in.Source = store.Imported
	}
	return in, store.Check(message)
}

func (r *catchUpRun) unreadable(ctx context.Context, err error) {
	r.row.Unreadable++
	r.Log.WarnContext(ctx, "what Didomi shows of somebody cannot be taken and is left out", "organization", r.row.Organization, "error", err)
}

// accept merges a batch. Where that fails for a reason that may lie in one of it,
// each is merged alone.
func (r *catchUpRun) accept(ctx context.Context, batch []store.Inbound) error {
	if len(batch) == 0 {
		return nil
	}
	receipts, err := r.Store.Accept(ctx, batch)
	switch {
	case err != nil && (consent.KindOf(err) == consent.Transient || ctx.Err() != nil):
		return err
	case err != nil && len(batch) == 1:
		r.unreadable(ctx, err)
		return nil
	case err != nil:
		for i := range batch {
			if err := r.accept(ctx, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if slices.ContainsFunc(receipts, func(x store.Receipt) bool { return x.Due }) {
		r.Due()
	}
	return nil
}

// prove fetches the events of a person whose record shows a grant where we hold a
// withdrawal, or where all was erased. The record alone changes nothing then (R5);
// an event does, if it is the newer one.
func (r *catchUpRun) prove(ctx context.Context, record *consent.Message) error {
	if record.OrganizationUserID == "" {
		return nil // it leads to nobody's profile
	}
	key := r.Hasher.Person(r.row.Organization, consent.Subject{OrganizationUserID: record.OrganizationUserID})
	person, err := r.Store.Person(ctx, r.row.Organization, key)
	switch {
	case err == nil:
	case consent.KindOf(err) == consent.NotFound:
		person = nil // it said nothing that could be taken
	default:
		return err
	}
	if !doubted(person, record) {
		return nil
	}
	if err := pause(ctx, r.Pause); err != nil {
		return err
	}
	events, err := r.source.EventsOf(ctx, record.OrganizationUserID, r.row.Regulation)
	if err != nil {
		return err
	}
	var batch []store.Inbound
	for _, raw := range events {
		in, err := r.read(consent.EventCreated, raw)
		if err != nil {
			r.unreadable(ctx, err)
			continue
		}
		batch = append(batch, in)
	}
	r.row.Events += int64(len(batch))
	for part := range slices.Chunk(batch, 100) {
		if err := r.accept(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// doubted tells whether a record shows a grant that it cannot give, for which an event
// may. Of nobody, which is nil, nothing of the record was taken: then they were erased,
// if it shows any grant at all.
func doubted(p *store.Person, record *consent.Message) bool {
	granted := grantedBy(record)
	if p == nil {
		return len(granted) > 0
	}
	view := p.View()
	if p.State.ErasedAt() > 0 {
		for _, h := range view.Choices {
			if h.Enabled && h.Regulation == record.Regulation {
				delete(granted, h.Choice)
			}
		}
		return len(granted) > 0
	}
	return unproven(&view, record)
}

// unproven tells whether a record shows a grant of something that the view says is
// withdrawn, before the record was last changed.
func unproven(v *consent.View, record *consent.Message) bool {
	at := max(record.CreatedAt, record.UpdatedAt)
	granted := grantedBy(record)
	return slices.ContainsFunc(v.Choices, func(h consent.Held) bool {
		return !h.Enabled && h.Regulation == record.Regulation && granted[h.Choice] && (at == 0 || h.At <= at)
	})
}

// grantedBy gives what a record shows as granted.
func grantedBy(record *consent.Message) map[consent.Choice]bool {
	granted := make(map[consent.Choice]bool)
	for _, said := range record.Choices {
		if said.Enabled {
			granted[said.Choice] = true
		}
	}
	for _, s := range record.Selections {
		for _, value := range s.Values {
			granted[consent.Choice{Kind: consent.OfValue, Purpose: s.Purpose, Preference: s.Preference, Value: value}] = true
		}
	}
	return granted
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
