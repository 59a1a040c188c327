package audit

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// KeepStore is what keeping data for a time, and erasing whom Didomi has
// deleted, needs of the database.
type KeepStore interface {
	Organizations(ctx context.Context, after string, limit int) ([]store.Organization, error)
	store.Unmerged
	AuditHead(ctx context.Context, organization string) (*store.AuditHead, error)
	AuditLinks(ctx context.Context, organization string, after int64, limit int) ([]store.AuditLink, error)
	Privacy(ctx context.Context, organization string) (store.Privacy, error)
	SetRetention(ctx context.Context, organization string, r store.Retention, changes ...store.Change) error
	AnyOld(ctx context.Context, organization string, kind store.Kept, before int64) (bool, error)
	RemoveOld(ctx context.Context, organization string, kind store.Kept, before int64, limit int) (int64, error)
	SealedAt(ctx context.Context, organization string, kind store.AuditKind, id store.ID, person store.PersonKey) (store.AuditRecord, bool, error)
	Erasures(ctx context.Context, organization string, after store.PersonKey, limit int) ([]store.PersonKey, error)
	ForgetErasure(ctx context.Context, k store.SubjectKey) error
	Erase(ctx context.Context, x store.Erasure, change func([]store.PersonKey) store.Change) (int, error)
}

// Keeper lets data go whose time is over, and erases whom Didomi has deleted
// where that is wanted. Several nodes may do so at once.
type Keeper struct {
	Store KeepStore
	Every time.Duration // how often it looks
	Now   func() time.Time
	Log   *slog.Logger
}

const (
	// removeStep bounds the rows that one transaction removes.
	removeStep = 200
	// removePause is how long accepting has for itself between two of them, at
	// least.
	removePause = 20 * time.Millisecond
	mostErased  = 50 // in one page
	// longestKeep bounds how long one organization's data is removed in one pass,
	// so that others do not wait; the next pass goes on.
	longestKeep = 30 * time.Second
)

// Run keeps until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		if err := k.Pass(ctx); err != nil && ctx.Err() == nil {
			k.Log.WarnContext(ctx, "what is too old could not be removed, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(k.Every):
		}
	}
}

// Pass looks at every organization once.
func (k *Keeper) Pass(ctx context.Context) (err error) {
	for after := ""; ctx.Err() == nil; {
		page, e := k.Store.Organizations(ctx, after, 500)
		if e != nil || len(page) == 0 {
			return errors.Join(err, e)
		}
		for _, o := range page {
			err = errors.Join(err, k.erase(ctx, o.ID), k.keep(ctx, o.ID))
		}
		after = page[len(page)-1].ID
	}
	return err
}

// erase erases whom Didomi has deleted. Of whom something is under way is
// erased later; of whom there is another user is not erased.
func (k *Keeper) erase(ctx context.Context, organization string) error {
	// A row of a file may tell that one of their Didomi users is not gone.
	if any, err := k.Store.AnyStaged(ctx, organization); err != nil || any {
		return err
	}
	for after := (store.PersonKey{}); ; {
		people, err := k.Store.Erasures(ctx, organization, after, mostErased)
		if err != nil || len(people) == 0 {
			return err
		}
		if err := k.erasePeople(ctx, organization, people); err != nil {
			return err
		}
		after = people[len(people)-1]
	}
}

func (k *Keeper) erasePeople(ctx context.Context, organization string, people []store.PersonKey) error {
	for _, p := range people {
		key := store.SubjectKey{Organization: organization, Person: p}
		_, err := k.Store.Erase(ctx, store.Erasure{SubjectKey: key, IfGone: true}, func(people []store.PersonKey) store.Change {
			return erasedChange(ctx, k.Now(), organization, people, "user.deleted")
		})
		switch {
		case err == nil || consent.KindOf(err) == consent.NotFound || consent.KindOf(err) == consent.Invalid:
			if err := k.Store.ForgetErasure(ctx, key); err != nil {
				return err
			}
		case consent.KindOf(err) != consent.Conflict:
			return err
		}
	}
	return nil
}

// keep removes what is too old. What is to go is recorded first, and goes only
// when that record is sealed, so that the chain explains what is missing.
func (k *Keeper) keep(ctx context.Context, organization string) error {
	p, err := k.Store.Privacy(ctx, organization)
	if err != nil || len(p.RetentionDays) == 0 {
		return err
	}
	head, err := k.Store.AuditHead(ctx, organization)
	if err != nil {
		return err
	}
	r := store.Retention{Horizons: head.Retention.Horizons.Clone(), Change: head.Retention.Change}
	moved, err := k.move(ctx, organization, &p, r.Horizons)
	if err != nil {
		return err
	}
	if moved {
		var details []store.Detail
		for _, kind := range store.AllKept {
			if n, removed := r.Horizons[kind]; removed {
				details = append(details, store.Detail{Name: string(kind), Is: strconv.FormatInt(n, 10)})
			}
		}
		c := changes.New(ctx, k.Now(), organization, "", store.RetentionKept, details...)
		r.Change = c.ID
		return k.Store.SetRetention(ctx, organization, r, c)
	}
	if r.Change == (store.ID{}) {
		return nil
	}
	if _, sealed, err := k.Store.SealedAt(ctx, organization, store.AuditChange, r.Change, store.PersonKey{}); err != nil || !sealed {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, longestKeep)
	defer cancel()
	for _, kind := range store.AllKept {
		if err := k.remove(ctx, organization, kind, r.Horizons[kind]); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// move moves the horizons of kinds of which something is too old. They move by
// whole days, so that there is one record a day at most.
func (k *Keeper) move(ctx context.Context, organization string, p *store.Privacy, h store.Horizons) (moved bool, err error) {
	for _, kind := range store.AllKept {
		days := p.RetentionDays[kind]
		if days <= 0 {
			continue
		}
		before := consent.TimeOf(k.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days))
		horizon := int64(before)
		if kind == store.KeptChain {
			if horizon, err = k.firstLink(ctx, organization, before); err != nil {
				return false, err
			}
		}
		if horizon <= h[kind] {
			continue
		}
		any, err := k.Store.AnyOld(ctx, organization, kind, horizon)
		if err != nil {
			return false, err
		}
		if any {
			h[kind], moved = horizon, true
		}
	}
	return moved, nil
}

// firstLink gives the number of the first link that is not from before a time;
// the last link always stays.
func (k *Keeper) firstLink(ctx context.Context, organization string, before consent.Time) (first int64, err error) {
	for after := int64(0); ; after = first {
		links, err := k.Store.AuditLinks(ctx, organization, after, 500)
		if err != nil {
			return 0, err
		}
		for _, l := range links {
			if first = l.Number; l.At >= before {
				return first, nil
			}
		}
		if len(links) == 0 {
			return first, nil
		}
	}
}

// remove removes a kind of data, in steps, and only while nobody waits.
func (k *Keeper) remove(ctx context.Context, organization string, kind store.Kept, horizon int64) error {
	if horizon == 0 {
		return nil
	}
	removed := int64(0)
	for ctx.Err() == nil {
		start := time.Now()
		n, err := k.Store.RemoveOld(ctx, organization, kind, horizon, removeStep)
		if err != nil {
			return err
		}
		if removed += n; n == 0 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(resting*time.Since(start), removePause)):
		}
		if caughtUp, err := store.CaughtUp(ctx, k.Store, organization, time.Minute); err != nil || !caughtUp {
			return err // accepting comes first
		}
	}
	if removed > 0 {
		k.Log.InfoContext(ctx, "what was kept long enough was removed", "organization", organization, "kind", string(kind), "rows", removed)
	}
	return nil
}
