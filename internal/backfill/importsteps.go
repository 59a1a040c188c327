package backfill

import (
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// decoded is what is merged next, or why it cannot be read.
type decoded struct {
	step  store.MergeStep
	place store.StagedPlace // of its last block
	err   error
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
				for d := range steps(k, blocks) {
					if !give(d) {
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
// own: several slices that have few rows at once, and one that has many in several
// steps.
func steps(k store.ImportKey, blocks []store.StagedBlock) func(yield func(decoded) bool) {
	return func(yield func(decoded) bool) {
		var few []store.StagedBlock
		flush := func() bool {
			if len(few) == 0 {
				return true
			}
			d := decoded{place: few[len(few)-1].StagedPlace}
			d.step, d.err = decode(k, few)
			few = nil
			return yield(d)
		}
		for len(blocks) > 0 {
			n := slices.IndexFunc(blocks, func(b store.StagedBlock) bool { return b.Slice != blocks[0].Slice })
			if n < 0 {
				n = len(blocks)
			}
			slice := blocks[:n:n]
			blocks = blocks[n:]
			if rowsIn(few)+rowsIn(slice) > littleStaged && !flush() {
				return
			}
			if rowsIn(slice) <= littleStaged {
				few = append(few, slice...)
				continue
			}
			for d := range sorted(k, slice) {
				if !yield(d) {
					return
				}
			}
		}
		flush()
	}
}

func rowsIn(blocks []store.StagedBlock) (rows int64) {
	for n := range blocks {
		rows += blocks[n].Count
	}
	return rows
}

// sorted merges the blocks of one slice in the order of people: the first step puts the
// rows of the others in that order.
func sorted(k store.ImportKey, blocks []store.StagedBlock) func(yield func(decoded) bool) {
	return func(yield func(decoded) bool) {
		rows, err := unpacked(blocks)
		if err != nil {
			yield(decoded{err: err})
			return
		}
		store.SortStaged(rows)
		order := store.StagedBlocks(rows)
		if len(order) > len(blocks) || len(order) == 0 { // rows so large that in another order they fit less well, or all erased
			order = blocks
		}
		for n := range order {
			order[n].Number = blocks[n].Number
		}
		for n := range order {
			d := decoded{place: order[n].StagedPlace}
			d.step, d.err = decode(k, order[n:n+1])
			if n == 0 {
				d.step.Blocks, d.step.Rest = blocks, order[1:]
			}
			if !yield(d) {
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

// decode reads the rows of blocks again. One that could be read when it was taken, and
// cannot now, is refused.
func decode(k store.ImportKey, blocks []store.StagedBlock) (store.MergeStep, error) {
	s := store.MergeStep{ImportKey: k, Blocks: blocks}
	rows, err := unpacked(blocks)
	decodeRows(&s, rows)
	return s, err
}

func decodeRows(s *store.MergeStep, rows []store.StagedRow) {
	for _, r := range rows {
		in, err := importedRow(s.Organization, r.Payload)
		if err != nil {
			s.Refused = append(s.Refused, store.ImportRefusal{File: r.File, Row: r.Row, Reason: consent.MessageOf(err)})
			continue
		}
		in.ArrivedAt = r.ArrivedAt
		s.Batch = append(s.Batch, in)
	}
}
