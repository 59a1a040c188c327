package backfill

import (
	"context"
	"encoding/binary"
	"math"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/store"
)

const (
	// walkPage is how many people are read at once, and walkAhead how many ranges of
	// about as many are, while the one before them is worked on.
	walkPage  = 500
	walkAhead = 2
	// leastWidth bounds the number of ranges, to 4096.
	leastWidth = 1 << 52
)

// walk gives everybody after a key to f, page by page, in the order of their keys.
// A page holds everybody up to end; at the end of all, end is empty.
//
// What it reads may be some pages old when f gets it: f has to bear that.
func walk(ctx context.Context, people People, k store.IntegrationKey, after []byte, f func(page []*store.Compared, end []byte) error) error {
	first, err := people.ComparePage(ctx, k, store.Keys{After: after}, walkPage)
	if err != nil {
		return err
	}
	if len(first) < walkPage {
		return f(first, nil)
	}
	last := first[walkPage-1].Key
	if err := f(first, last[:]); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	ranges := make(chan chan part, walkAhead-1)
	g.Go(func() error {
		defer close(ranges)
		// A little less than a page, so that most ranges are one.
		for between := range rangesAfter(last, (position(last[:])-position(after))/5*4) {
			parts := make(chan part, 1)
			select {
			case ranges <- parts:
			case <-ctx.Done():
				return ctx.Err()
			}
			g.Go(func() error {
				defer close(parts)
				read(ctx, people, k, between, parts)
				return nil
			})
		}
		return nil
	})
	g.Go(func() error {
		for parts := range ranges {
			for p := range parts {
				if p.err != nil {
					return p.err
				}
				if err := f(p.people, p.end); err != nil {
					return err
				}
			}
			if ctx.Err() != nil { // the range may have been cut off
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// part is a page, and up to where it holds everybody; or why it cannot be read. The
// error comes in the order of the pages: one that overtook them, or that they
// overtook, would have those after the gap taken for the next.
type part struct {
	people []*store.Compared
	end    []byte
	err    error
}

// rangesAfter divides the keys after one into ranges of a width. Keys are keyed
// hashes, spread evenly, so that each has about as many people.
func rangesAfter(last store.PersonKey, width uint64) func(yield func(store.Keys) bool) {
	width = max(width, leastWidth)
	return func(yield func(store.Keys) bool) {
		at := position(last[:])
		for after := last[:]; after != nil; {
			var before []byte
			if at <= math.MaxUint64-width {
				at += width
				before = binary.BigEndian.AppendUint64(nil, at)
			}
			if !yield(store.Keys{After: after, Before: before}) {
				return
			}
			after = before
		}
	}
}

// position is where a key lies among all, of which the first eight bytes tell.
func position(key []byte) uint64 {
	var first [8]byte
	copy(first[:], key)
	return binary.BigEndian.Uint64(first[:])
}

// read reads a range, page by page.
func read(ctx context.Context, people People, k store.IntegrationKey, between store.Keys, parts chan<- part) {
	for {
		page, err := people.ComparePage(ctx, k, between, walkPage)
		p := part{page, between.Before, err}
		if len(page) == walkPage {
			p.end = page[walkPage-1].Key[:]
		}
		select {
		case parts <- p:
		case <-ctx.Done():
			return
		}
		if err != nil || len(page) < walkPage {
			return
		}
		between.After = p.end
	}
}
