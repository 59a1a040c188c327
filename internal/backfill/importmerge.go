package backfill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// turn is how long one import is merged before the next has its turn.
	turn = 2 * time.Second
)

// merging is how far the merging of an import is on this node.
type merging struct {
	after store.StagedPlace
	// asked tells that it is merged to its end, by Run.
	asked bool
}

// Run merges what is staged until ctx ends: of imports that End was asked for, of
// those that have much, and of those that nothing has come of for a while.
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
// them has more. An error of one holds up no other.
func (m *Importer) work(ctx context.Context) (more bool, err error) {
	staged, err := m.Store.StagedImports(ctx)
	if err != nil {
		return false, err
	}
	now, err := m.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	for _, i := range staged {
		if now.Sub(i.UpdatedAt) < idle && !m.asked(i.ImportKey) {
			continue
		}
		left, e := m.visit(ctx, i.ImportKey)
		m.ask(i.ImportKey, left && e == nil)
		more = more || left
		err = errors.Join(err, e)
	}
	return more, err
}

// finish merges what is staged of an import, and leaves to Run what is not done soon.
func (m *Importer) finish(ctx context.Context, k store.ImportKey) {
	left, err := m.visit(ctx, k)
	if err != nil && ctx.Err() == nil {
		m.Log.ErrorContext(ctx, "rows of an import could not be merged, trying again", "organization", k.Organization, "import", k.ID, "error", err)
	}
	m.ask(k, left || err != nil)
}

// visit merges for a while, and tells whether something is left. Where another node,
// or another request, merges the same, it leaves it to that.
func (m *Importer) visit(ctx context.Context, k store.ImportKey) (left bool, err error) {
	until := m.Now().Add(turn)
	err = m.mergeUntil(ctx, k, func(*store.Import) bool { left = m.Now().After(until); return left })
	if consent.KindOf(err) == consent.Conflict {
		return false, nil
	}
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
			m.ask(staged.ImportKey, true)
		}
		return later
	}
	is := staged
	err := m.mergeUntil(ctx, staged.ImportKey, func(i *store.Import) bool { is = i; return false })
	switch {
	case err != nil && consent.KindOf(err) != consent.Conflict && ctx.Err() == nil:
		m.Log.ErrorContext(ctx, "rows of an import could not be merged, trying again", "organization", is.Organization, "import", is.ID, "error", err)
		return later
	case err != nil || is.Staged.Rows > 0:
		return later
	}
	return since(staged.Outcomes, is.Outcomes)
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
		n := 0
		for c := range m.ahead(ctx, k, from) {
			if c.err != nil {
				return c.err
			}
			i, err := m.merge(ctx, &c.step)
			if err != nil {
				return err
			}
			n++
			m.leave(k, c.step.Blocks[len(c.step.Blocks)-1].StagedPlace)
			if enough(i) {
				return nil
			}
		}
		m.leave(k, store.StagedPlace{})
		if n == 0 && from == (store.StagedPlace{}) || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// decoded is what is merged next, or why it cannot be read.
type decoded struct {
	step store.MergeStep
	err  error
}

// ahead reads and decodes what is merged next while that before it is.
func (m *Importer) ahead(ctx context.Context, k store.ImportKey, after store.StagedPlace) func(yield func(decoded) bool) {
	return func(yield func(decoded) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		read := make(chan decoded, 1)
		give := func(d decoded) bool {
			select {
			case read <- d:
				return d.err == nil
			case <-ctx.Done():
				return false
			}
		}
		go func() {
			defer close(read)
			for {
				blocks, err := m.Store.NextStaged(ctx, k, after)
				if err == nil && len(blocks) == 0 {
					return
				}
				if err != nil {
					give(decoded{err: err})
					return
				}
				after = blocks[len(blocks)-1].StagedPlace
				for step, err := range steps(k, blocks) {
					if !give(decoded{step, err}) {
						return
					}
				}
			}
		}()
		for d := range read {
			if !yield(d) {
				return
			}
		}
	}
}

// steps merges blocks in the order of people, so that each step changes pages of its
// own: the first puts the rows of the others in their order.
func steps(k store.ImportKey, blocks []store.StagedBlock) func(yield func(store.MergeStep, error) bool) {
	return func(yield func(store.MergeStep, error) bool) {
		rows, err := unpacked(blocks)
		if err != nil {
			yield(store.MergeStep{}, err)
			return
		}
		if len(rows) <= littleStaged {
			yield(decode(k, blocks, rows), nil)
			return
		}
		store.SortStaged(rows)
		sorted := store.StagedBlocks(rows)
		if len(sorted) > len(blocks) { // rows are so large that in another order they fit less well
			sorted = blocks
		}
		for n := range sorted {
			sorted[n].Number = blocks[n].Number
		}
		for n := range sorted {
			some, err := sorted[n].Unpack()
			step := decode(k, sorted[n:n+1], some)
			if n == 0 {
				step.Blocks, step.Rest = blocks, sorted[1:]
			}
			if !yield(step, err) {
				return
			}
		}
	}
}

func unpacked(blocks []store.StagedBlock) (rows []store.StagedRow, err error) {
	for n := range blocks {
		some, err := blocks[n].Unpack()
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// decode reads rows again. One that could be read when it was taken, and cannot now,
// is refused.
func decode(k store.ImportKey, blocks []store.StagedBlock, rows []store.StagedRow) store.MergeStep {
	s := store.MergeStep{ImportKey: k, Blocks: blocks}
	for _, r := range rows {
		in, err := importedRow(k.Organization, r.Payload)
		if err != nil {
			s.Refused = append(s.Refused, store.ImportRefusal{File: r.File, Row: r.Row, Reason: consent.MessageOf(err)})
			continue
		}
		in.ArrivedAt = r.ArrivedAt
		s.Batch = append(s.Batch, in)
	}
	return s
}

// merge merges rows in one transaction. Where that fails for a reason that may lie in
// one of them, they are merged one by one, until only that one is refused.
func (m *Importer) merge(ctx context.Context, s *store.MergeStep) (i *store.Import, err error) {
	i, err = m.try(ctx, s)
	if !mayLieInARow(ctx, s, err) {
		return i, err
	}
	m.Log.ErrorContext(ctx, "rows of an import cannot be merged, trying them one by one", "organization", s.Organization, "import", s.ID, "error", err)
	for n := range s.Blocks {
		if i, err = m.mergeRows(ctx, s.ImportKey, s.Blocks[n]); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// mergeRows merges the rows of a block one by one.
func (m *Importer) mergeRows(ctx context.Context, k store.ImportKey, b store.StagedBlock) (i *store.Import, err error) {
	rows, err := b.Unpack()
	if err != nil {
		return nil, err
	}
	for n, r := range rows {
		s := decode(k, []store.StagedBlock{b}, rows[n:n+1])
		if s.Rest = store.StagedBlocks(rows[n+1:]); len(s.Rest) > 0 {
			s.Rest[0].Number = b.Number
		}
		i, err = m.try(ctx, &s)
		if mayLieInARow(ctx, &s, err) {
			s.Batch = nil
			s.Refused = []store.ImportRefusal{{File: r.File, Row: r.Row, Reason: "it cannot be merged, which is a fault of consentsync"}}
			i, err = m.try(ctx, &s)
		}
		if err != nil {
			return nil, err
		}
		if len(s.Rest) > 0 {
			b = s.Rest[0]
		}
	}
	return i, nil
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

func (m *Importer) asked(k store.ImportKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.going[k] != nil && m.going[k].asked
}

func (m *Importer) ask(k store.ImportKey, asked bool) {
	m.change(k, func(g *merging) { g.asked = asked })
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
	if f(m.going[k]); *m.going[k] == (merging{}) {
		delete(m.going, k)
	}
}
