package store

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What is packed in parts comes out again: of each person the last row, by key; and
// nothing else of a person who was taken out.
func TestHeldRowsInBlocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.Custom(func(t *rapid.T) HeldRow {
			return HeldRow{
				Person: PersonKey{rapid.ByteRange(0, 2).Draw(t, "slice"), rapid.ByteRange(0, 9).Draw(t, "key")},
				Cells:  rapid.StringMatching(`[01-]{0,200}`).Draw(t, "cells"),
			}
		})
		gone := PersonKey{1, 1}
		last := map[PersonKey]HeldRow{}
		var whole, rest [HeldSlices][][]byte
		for _, part := range rapid.SliceOfN(rapid.SliceOfN(row, 0, 20), 0, 4).Draw(t, "parts") {
			for _, r := range part {
				last[r.Person] = r
			}
			for _, b := range HeldBlocks(part) {
				whole[b.Slice] = append(whole[b.Slice], b.Rows)
				without, had, err := withoutPerson(b.Rows, gone)
				if err != nil || had != slices.ContainsFunc(part, func(r HeldRow) bool { return r.Person == gone }) && int64(b.Slice) == HeldSliceOf(gone) {
					t.Fatalf("%v, %v", had, err)
				}
				rest[b.Slice] = append(rest[b.Slice], without)
			}
		}
		if n := unpacked(t, whole, last); n != len(last) {
			t.Fatalf("%d rows, want %d", n, len(last))
		}
		delete(last, gone)
		if n := unpacked(t, rest, last); n != len(last) {
			t.Fatalf("%d rows without one, want %d", n, len(last))
		}
	})
}

// unpacked counts the rows of all slices, which are the last ones.
func unpacked(t *rapid.T, slicesOf [HeldSlices][][]byte, last map[PersonKey]HeldRow) (n int) {
	for slice, blocks := range slicesOf {
		rows, err := HeldRows(blocks)
		if err != nil || !slices.IsSortedFunc(rows, func(a, b HeldRow) int { return a.Person.compare(b.Person) }) {
			t.Fatalf("%v, %v", rows, err)
		}
		for _, r := range rows {
			if int(r.Person[0]) != slice || r != last[r.Person] {
				t.Fatalf("slice %d has %v, want %v", slice, r, last[r.Person])
			}
		}
		n += len(rows)
	}
	return n
}

// A block that is cut off is no shorter list of rows.
func TestACutHeldBlock(t *testing.T) {
	t.Parallel()
	block := HeldBlocks([]HeldRow{{Person: PersonKey{1}, Cells: "101"}})[0].Rows
	for n := 1; n < len(block); n++ {
		if rows, err := HeldRows([][]byte{block[:n]}); err == nil {
			t.Errorf("%d bytes give %v", n, rows)
		}
	}
}
