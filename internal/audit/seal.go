package audit

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// SealStore is what sealing needs of the database.
type SealStore interface {
	Organizations(ctx context.Context, after string, limit int) ([]store.Organization, error)
	store.Backlogs
	AuditHead(ctx context.Context, organization string) (*store.AuditHead, error)
	ClaimAudit(ctx context.Context, organization, node string, life time.Duration) (*store.AuditHead, bool, error)
	Unsealed(ctx context.Context, organization string, kind store.AuditKind, after []byte, until consent.Time, limit int) ([]store.NotSealed, error)
	AppendAudit(ctx context.Context, h *store.AuditHead, l store.AuditLink, records []store.AuditRecord, erase []store.PersonKey) error
	Privacy(ctx context.Context, organization string) (store.Privacy, error)
}

// Sealer seals what was committed.
type Sealer struct {
	Store  SealStore
	Hasher *store.Hasher
	Signer *Signer
	Node   string
	// Lag is how old a record is when it is sealed: older than any transaction,
	// so that those before it are committed too.
	Lag time.Duration
	Now func() time.Time // the database's clock
	Log *slog.Logger

	seen   map[string]*watch
	oldest atomic.Int64 // what waits longest to be sealed, as consent.Time; 0 for nothing
}

// watch is how an organization is looked after.
type watch struct {
	// head is the end of the chain as it was last seen, with cursors that may
	// have come further than those that are stored.
	head   *store.AuditHead
	idle   time.Duration // until it is looked at again
	next   time.Time
	sealed time.Time // when it last came further
	// waits is when the oldest record was made that was found and is not sealed;
	// 0 for none.
	waits consent.Time
}

const (
	// mostSealed bounds the records of one link, and with it how long one
	// transaction takes.
	mostSealed = 256
	claimLife  = time.Minute
	// An organization in which nothing happens is looked at ever more rarely.
	shortestIdle, longestIdle = 2 * time.Second, 2 * time.Minute
	idleLags                  = 8 // and it is looked at before this many lags have passed
	// whileBusy is how often one link is sealed while webhooks wait to be merged.
	whileBusy = 10 * time.Second
	// resting is how much longer than it works the sealer rests.
	resting = 4
)

// Run seals until ctx ends.
func (s *Sealer) Run(ctx context.Context) error {
	for {
		worked, err := s.Pass(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "records could not be sealed, trying again", "error", err)
		}
		wait := max(worked*resting, 10*time.Millisecond)
		if worked == 0 {
			wait = min(max(s.Lag/16, wait), 5*time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Pass seals one link of each organization that has something to be sealed. It
// tells how long that took.
func (s *Sealer) Pass(ctx context.Context) (worked time.Duration, err error) {
	if s.seen == nil {
		s.seen = map[string]*watch{}
	}
	for _, organization := range s.organizations(ctx, &err) {
		w := s.seen[organization]
		if w == nil {
			w = &watch{}
			s.seen[organization] = w
		}
		if ctx.Err() != nil || s.Now().Before(w.next) {
			continue
		}
		if busy, e := s.busy(ctx, organization); e != nil || busy && s.Now().Before(w.sealed.Add(whileBusy)) {
			err = errors.Join(err, e)
			continue
		}
		start := time.Now()
		moved, e := s.seal(ctx, organization, w)
		if moved && e == nil {
			worked += time.Since(start)
			w.idle, w.next, w.sealed = 0, time.Time{}, s.Now()
			continue
		}
		err = errors.Join(err, e)
		w.idle = min(max(2*w.idle, min(shortestIdle, s.Lag)), longestIdle, idleLags*s.Lag)
		w.next = s.Now().Add(w.idle)
	}
	oldest := consent.Time(0)
	for _, w := range s.seen {
		if w.waits > 0 && (oldest == 0 || w.waits < oldest) {
			oldest = w.waits
		}
	}
	s.oldest.Store(int64(oldest))
	return worked, err
}

// organizations lists all, and what concerns all of them at its end.
func (s *Sealer) organizations(ctx context.Context, err *error) []string {
	var all []string
	for after := ""; ; {
		page, e := s.Store.Organizations(ctx, after, 500)
		if e != nil || len(page) == 0 {
			*err = errors.Join(*err, e)
			return append(all, store.Everywhere)
		}
		for _, o := range page {
			all = append(all, o.ID)
		}
		after = page[len(page)-1].ID
	}
}

// busy tells whether webhooks of the organization wait to be merged.
func (s *Sealer) busy(ctx context.Context, organization string) (bool, error) {
	backlogs, err := s.Store.Backlogs(ctx, organization)
	for _, b := range backlogs {
		if b.Lane != store.AsideLane {
			return true, err
		}
	}
	return false, err
}

// seal adds one link, if there is something to be sealed. It tells whether it
// has come further.
func (s *Sealer) seal(ctx context.Context, organization string, w *watch) (moved bool, err error) {
	if w.head == nil {
		if w.head, err = s.Store.AuditHead(ctx, organization); err != nil {
			return false, err
		}
	}
	head := *w.head
	head.Cursors = maps.Clone(head.Cursors)
	records, moved, err := s.collect(ctx, &head)
	if err != nil {
		return false, err // what was passed is not sealed, so the cursors stay
	}
	w.found(records)
	if len(records) == 0 {
		w.head = &head
		return moved, nil
	}
	now, ok, err := s.Store.ClaimAudit(ctx, organization, s.Node, claimLife)
	if err != nil || !ok {
		return false, err
	}
	if now.Number != head.Number {
		w.head = nil // another node has sealed meanwhile
		return false, nil
	}
	head.Epoch = now.Epoch
	if err := s.add(ctx, &head, records); err != nil {
		w.head = nil
		if consent.KindOf(err) == consent.Conflict {
			return false, nil
		}
		return false, err
	}
	w.head = &head
	if len(records) < mostSealed {
		w.waits = 0
	}
	return true, nil
}

// add seals records behind a head.
func (s *Sealer) add(ctx context.Context, head *store.AuditHead, records []store.AuditRecord) error {
	erase, err := s.toErase(ctx, head.Organization, records)
	if err != nil {
		return err
	}
	for i := range records {
		if err := s.digest(&records[i]); err != nil {
			return err
		}
	}
	l := s.Signer.next(head, records, store.AuditLink{At: consent.TimeOf(s.Now())})
	if err := s.Store.AppendAudit(ctx, head, l, records, erase); err != nil {
		return err
	}
	head.Number, head.Position, head.Hash = l.Number, l.Last, l.Hash
	s.Log.InfoContext(ctx, "audit checkpoint", "organization", head.Organization, "checkpoint", Checkpoint{l.Number, l.Hash[:]}.String(), "records", len(records))
	return nil
}

// collect finds what is to be sealed, and moves the cursors behind it.
func (s *Sealer) collect(ctx context.Context, h *store.AuditHead) (all []store.AuditRecord, moved bool, err error) {
	if h.Cursors == nil {
		h.Cursors = map[store.AuditKind]store.AuditCursor{}
	}
	until := consent.TimeOf(s.Now()).Add(-s.Lag)
	walk := func(kind store.AuditKind, after []byte, until consent.Time) (next []byte, err error) {
		room := mostSealed - len(all)
		if room <= 0 {
			return after, nil
		}
		found, err := s.Store.Unsealed(ctx, h.Organization, kind, after, until, room)
		open, next := store.Walked(found, after)
		all = append(all, open...)
		moved = moved || string(next) != string(after)
		return next, err
	}
	for _, kind := range store.AuditWalks {
		c := h.Cursors[kind]
		// The second walk goes first: what it finds is older, and what the first
		// one has sealed a moment ago it does not reach.
		if c.Trail, err = walk(kind, c.Trail, until.Add(-store.AuditTrail)); err != nil {
			return nil, false, err
		}
		if string(c.Lead) < string(c.Trail) {
			c.Lead = c.Trail
		}
		if c.Lead, err = walk(kind, c.Lead, until); err != nil {
			return nil, false, err
		}
		h.Cursors[kind] = c
	}
	came := moved // what has begun is looked at anew each time
	_, err = walk(store.AuditBegun, nil, until.Add(-store.AuditTrail))
	return all, came, err
}

// digest sets the digest of a record; a call of before there was an audit gets
// its salt.
func (s *Sealer) digest(r *store.AuditRecord) error {
	if r.Call != nil && len(r.Call.Salt) == 0 && !r.Call.Erased() {
		r.Call.Salt, r.Call.Resalted = store.NewSalt(), true
	}
	form, err := s.Hasher.Sealed(r)
	r.Digest = store.SealDigest(form)
	return err
}

// toErase lists whose users Didomi has deleted, if the organization wants them
// to be erased.
func (s *Sealer) toErase(ctx context.Context, organization string, records []store.AuditRecord) (people []store.PersonKey, err error) {
	for i := range records {
		if e := records[i].Event; e != nil && e.Type == consent.UserDeleted && e.Person != (store.PersonKey{}) {
			people = append(people, e.Person)
		}
	}
	if len(people) == 0 {
		return nil, nil
	}
	p, err := s.Store.Privacy(ctx, organization)
	if err != nil || !p.EraseDeletedUsers {
		return nil, err
	}
	return people, nil
}
