package backfill

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"consentsync/internal/store"
)

// crowd is people by key alone.
type crowd struct {
	keys  []store.PersonKey
	reads atomic.Int64
	fails int64 // the read that fails; 0 for none
}

var errRead = errors.New("it cannot be read")

func (c *crowd) ComparePage(_ context.Context, _ store.IntegrationKey, between store.Keys, limit int) (page []*store.Compared, err error) {
	if c.reads.Add(1) == c.fails {
		return nil, errRead
	}
	for _, k := range c.keys {
		if bytes.Compare(k[:], between.After) > 0 && bytes.Compare(k[:], between.End()) < 0 && len(page) < limit {
			page = append(page, &store.Compared{Key: k})
		}
	}
	return page, nil
}

// Everybody after a key comes once, in order, whether keys lie evenly or in heaps;
// each page ends where it says.
func TestWalkMeetsEverybodyOnceInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &crowd{}
		for range rapid.IntRange(0, 4).Draw(t, "heaps") {
			first := rapid.Byte().Draw(t, "first")
			spread := rapid.SampledFrom([]int{1, 7, 97}).Draw(t, "spread")
			for n := range rapid.IntRange(0, walkPage+50).Draw(t, "people") {
				c.keys = append(c.keys, store.PersonKey{first + byte(n*spread>>8), byte(n * spread), byte(n >> 8), byte(n)})
			}
		}
		slices.SortFunc(c.keys, func(a, b store.PersonKey) int { return bytes.Compare(a[:], b[:]) })
		c.keys = slices.Compact(c.keys)
		after := rapid.SampledFrom([][]byte{nil, {0x40}, {0xff, 0xff}}).Draw(t, "after")
		var met []store.PersonKey
		ended := false
		last := after
		err := walk(t.Context(), c, store.IntegrationKey{}, after, func(page []*store.Compared, end []byte) error {
			for _, p := range page {
				if bytes.Compare(p.Key[:], last) <= 0 || len(end) > 0 && bytes.Compare(p.Key[:], end) > 0 {
					t.Errorf("%x is in the page from %x to %x", p.Key, last, end)
				}
				met = append(met, p.Key)
			}
			last, ended = end, len(end) == 0
			return nil
		})
		want := slices.DeleteFunc(slices.Clone(c.keys), func(k store.PersonKey) bool { return bytes.Compare(k[:], after) <= 0 })
		if err != nil || !ended || !slices.Equal(met, want) {
			t.Errorf("%d people were met, want %d; ended %v, %v", len(met), len(want), ended, err)
		}
	})
}

// What cannot be read ends the walk, and nothing after it is given as if it were
// the next, though it was read ahead.
func TestWalkThatFails(t *testing.T) {
	t.Parallel()
	var keys []store.PersonKey
	for n := range 12 * walkPage {
		keys = append(keys, store.PersonKey{byte(n >> 5), byte(n << 3)})
	}
	for n := range 200 {
		c := &crowd{keys: keys, fails: int64(2 + n%10)}
		met := 0
		err := walk(t.Context(), c, store.IntegrationKey{}, nil, func(page []*store.Compared, _ []byte) error {
			for _, p := range page {
				if p.Key != keys[met] {
					t.Fatalf("person %d is %x", met, p.Key)
				}
				met++
			}
			return nil
		})
		if !errors.Is(err, errRead) || met == len(keys) {
			t.Errorf("%d people, %v", met, err)
		}
	}
}
