package backfill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// littleStaged is up to how many rows are merged as soon as they are taken.
	littleStaged = 1000
	// mostStaged is beyond how many bytes nothing more is taken until some are merged.
	// The more wait, the more of them share a page of the database. Beyond an eighth
	// Run begins to merge, while more comes.
	mostStaged = 1 << 30
	eager      = 8
	// roomWait is how long a part waits for room.
	roomWait = 20 * time.Second
	// idle is for how long nothing must have come of an import before what is staged
	// is merged without its end, and nothing been merged before another node goes on.
	idle = 10 * time.Second
	// oldest is for how long rows wait at most before Run begins to merge, though more
	// come all the time.
	oldest = 30 * time.Second
	// turn is how long one import is merged before the next has its turn.
	turn = 2 * time.Second
)

// merging is how far the merging of an import is on this node.
type merging struct {
	after store.StagedPlace
	asked bool         // it is merged to its end, by Run
	seen  consent.Time // since when Run has seen rows of it
	gone  bool         // Run has seen none the last time
}

// Run merges what is staged until ctx ends: of imports that End was asked for, of
// those that have much, or have had something for long, and of those that nothing has
// come of for a while.
func (m *Importer) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		more, err := m.work(ctx)
		if err != nil && ctx.Err() == nil {
			m.Log.ErrorContext(ctx, "rows of imports could not be merged, trying again", "error", err)
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// work visits each import that is this node's to merge, and tells whether one of
// them has more. An error of one holds up no other of this round.
func (m *Importer) work(ctx context.Context) (more bool, err error) {
	staged, err := m.Store.StagedImports(ctx)
	if err != nil {
		return false, err
	}
	now, err := m.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	m.see(staged, now)
	for _, i := range staged {
		if now.Sub(i.UpdatedAt) < idle && !m.asked(i.ImportKey, now) {
			continue
		}
		left, e := m.visit(ctx, i.ImportKey)
		if consent.KindOf(e) == consent.Conflict {
			m.ask(i.ImportKey) // another node or request merges it: in a second it is looked at again
			continue
		}
		if left && e == nil {
			m.ask(i.ImportKey)
			more = true
		}
		err = errors.Join(err, e)
	}
	return more, err
}

// finish merges what is staged of an import, and leaves to Run what is not done soon.
func (m *Importer) finish(ctx context.Context, k store.ImportKey) {
	m.ask(k)
	if _, err := m.visit(ctx, k); err != nil && consent.KindOf(err) != consent.Conflict && ctx.Err() == nil {
		m.complain(ctx, k, err)
	}
}

func (m *Importer) complain(ctx context.Context, k store.ImportKey, err error) {
	m.Log.ErrorContext(ctx, "rows of an import could not be merged, trying again", "organization", k.Organization, "import", k.ID, "error", err)
}

// visit merges for a while, and tells whether something is left. Conflict if another
// node, or another request, merges the same.
func (m *Importer) visit(ctx context.Context, k store.ImportKey) (left bool, err error) {
	until := m.Now().Add(turn)
	err = m.mergeUntil(ctx, k, func(*store.Import) bool { left = !m.Now().Before(until); return left })
	return left, err
}

// awaitRoom waits while too much of an import is staged; Transient if that takes too
// long.
func (m *Importer) awaitRoom(ctx context.Context, k store.ImportKey) error {
	for began := time.Now(); ; {
		staged, err := m.Store.StagedImports(ctx)
		if err != nil {
			return err
		}
		full := slices.ContainsFunc(staged, func(i *store.Import) bool { return i.ImportKey == k && i.Staged.Bytes > cmp.Or(m.Room, mostStaged) })
		switch {
		case !full:
			return nil
		case time.Since(began) > roomWait:
			return &consent.Error{Kind: consent.Transient, Op: "backfill.Take", Message: "so much is staged that it has to be merged first", RetryAfter: time.Second}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// follow merges what was just staged if it is little, and has Run merge it if it is
// much. It tells what became of the rows of the part. They are taken already: what
// goes wrong is tried again by Run.
func (m *Importer) follow(ctx context.Context, staged *store.Import, part int64) map[consent.Outcome]int64 {
	later := map[consent.Outcome]int64{queued: part}
	if staged.Staged.Rows > cmp.Or(m.Little, littleStaged) {
		if staged.Staged.Bytes > cmp.Or(m.Room, mostStaged)/eager {
			m.ask(staged.ImportKey)
		}
		return later
	}
	is, until := staged, m.Now().Add(turn)
	err := m.mergeUntil(ctx, staged.ImportKey, func(i *store.Import) bool { is = i; return !m.Now().Before(until) })
	if err != nil && consent.KindOf(err) != consent.Conflict && ctx.Err() == nil {
		m.complain(ctx, staged.ImportKey, err)
	}
	outcomes, rows := since(staged.Outcomes, is.Outcomes), int64(0)
	for _, n := range outcomes {
		rows += n
	}
	if rows != part { // not all of them, or others' too
		return later
	}
	return outcomes
}

// since gives by how much outcomes have grown.
func since(before, now map[consent.Outcome]int64) map[consent.Outcome]int64 {
	grown := make(map[consent.Outcome]int64)
	for outcome, n := range now {
		if n > before[outcome] {
			grown[outcome] = n - before[outcome]
		}
	}
	return grown
}

// mergeUntil merges what is staged of an import, slice by slice, from where this node
// left it, until enough says so or nothing is left. Conflict if somebody else does.
func (m *Importer) mergeUntil(ctx context.Context, k store.ImportKey, enough func(*store.Import) bool) error {
	for {
		from := m.place(k)
		n, again := 0, false
		for c := range m.ahead(ctx, k, from) {
			if c.err != nil {
				return c.err
			}
			i, err := m.merge(ctx, &c.step)
			if again = consent.KindOf(err) == consent.Conflict && n > 0; again {
				break // what was read ahead is not as it was: somebody was erased, or a row was at fault
			}
			if err != nil {
				return err
			}
			n++
			m.leave(k, c.place)
			if enough(i) {
				return nil
			}
		}
		if again {
			continue
		}
		m.leave(k, store.StagedPlace{})
		if n == 0 && from == (store.StagedPlace{}) || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// merge merges rows in one transaction. Where that fails for a reason that may lie in
// one of them, they are merged block by block and by halves, until only that one is
// refused.
func (m *Importer) merge(ctx context.Context, s *store.MergeStep) (i *store.Import, err error) {
	i, err = m.try(ctx, s)
	if !mayLieInARow(ctx, s, err) {
		return i, err
	}
	m.Log.ErrorContext(ctx, "rows of an import cannot be merged, looking for the one at fault", "organization", s.Organization, "import", s.ID, "error", err)
	for n := range s.Blocks {
		if i, err = m.mergeBlock(ctx, s.ImportKey, s.Blocks[n]); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// mergeBlock merges the rows of a block, fewer at once where one is at fault, and more
// again after it.
func (m *Importer) mergeBlock(ctx context.Context, k store.ImportKey, b store.StagedBlock) (i *store.Import, err error) {
	rows, err := b.Unpack()
	if err != nil {
		return nil, err
	}
	for size := len(rows); ; {
		s := store.MergeStep{ImportKey: k, Blocks: []store.StagedBlock{b}}
		decodeRows(&s, rows[:size])
		if s.Rest = store.StagedBlocks(rows[size:]); len(s.Rest) > 0 {
			s.Rest[0].Number = b.Number
		}
		i, err = m.try(ctx, &s)
		switch fault := mayLieInARow(ctx, &s, err); {
		case fault && size > 1:
			size /= 2
			continue
		case fault:
			s.Batch = nil
			s.Refused = []store.ImportRefusal{{File: rows[0].File, Row: rows[0].Row, Reason: "it cannot be merged, which is a fault of consentsync"}}
			i, err = m.try(ctx, &s)
		}
		if err != nil || len(s.Rest) == 0 {
			return i, err
		}
		b, rows = s.Rest[0], rows[size:]
		size = min(2*size, len(rows))
	}
}

func mayLieInARow(ctx context.Context, s *store.MergeStep, err error) bool {
	switch consent.KindOf(err) {
	case consent.Transient, consent.Conflict, consent.NotFound:
		return false
	}
	return err != nil && ctx.Err() == nil && len(s.Batch) > 0
}

// try merges in one transaction, and tells who is to know.
func (m *Importer) try(ctx context.Context, s *store.MergeStep) (i *store.Import, err error) {
	defer func() {
		// A fault of ours in one row must not end the process, which would meet it
		// again.
		if p := recover(); p != nil {
			i, err = nil, &consent.Error{Kind: consent.Internal, Op: "backfill.merge", Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	i, receipts, err := m.Store.MergeRows(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, r := range receipts {
		if r.Due {
			m.Due()
			break
		}
	}
	if i.Ended {
		m.Changed()
	}
	return i, nil
}

// place tells after which block this node goes on with an import.
func (m *Importer) place(k store.ImportKey) store.StagedPlace {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := m.going[k]; g != nil {
		return g.after
	}
	return store.StagedPlace{}
}

func (m *Importer) leave(k store.ImportKey, after store.StagedPlace) {
	m.change(k, func(g *merging) { g.after = after })
}

// asked tells whether Run is to merge an import now, though more may come.
func (m *Importer) asked(k store.ImportKey, now consent.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.going[k]
	return g != nil && (g.asked || g.seen != 0 && now.Sub(g.seen) >= oldest)
}

func (m *Importer) ask(k store.ImportKey) {
	m.change(k, func(g *merging) { g.asked, g.gone = true, false })
}

// see notes which imports have rows, and forgets those that had none twice: one may
// just be about to have.
func (m *Importer) see(staged []*store.Import, now consent.Time) {
	for _, i := range staged {
		m.change(i.ImportKey, func(g *merging) { g.seen, g.gone = cmp.Or(g.seen, now), false })
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.going, func(k store.ImportKey, g *merging) bool {
		was := g.gone
		g.gone = !slices.ContainsFunc(staged, func(i *store.Import) bool { return i.ImportKey == k })
		return was && g.gone
	})
}

func (m *Importer) change(k store.ImportKey, f func(*merging)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.going == nil {
		m.going = make(map[store.ImportKey]*merging)
	}
	if m.going[k] == nil {
		m.going[k] = &merging{}
	}
	f(m.going[k])
}
