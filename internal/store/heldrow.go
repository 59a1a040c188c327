package store

import (
	"bytes"
	"slices"
)

// HeldRow is a row of an export: a cell for each column, '1' for on, '0' for off
// and '-' for what it does not say.
type HeldRow struct {
	Person PersonKey
	Cells  string
}

// Cell tells what a row says of a column; nil for nothing.
func (r HeldRow) Cell(n int) *bool {
	if n >= len(r.Cells) || r.Cells[n] == '-' {
		return nil
	}
	on := r.Cells[n] == '1'
	return &on
}

// HeldSlices is how many slices the rows of an export are kept in: one for each
// first byte of a person's key.
const HeldSlices = 256

// HeldBlock is what one part of an export has for one slice: see AppendToBlock.
type HeldBlock struct {
	Slice byte
	Rows  []byte
}

// HeldBlocks packs the rows of a part.
func HeldBlocks(rows []HeldRow) (blocks []HeldBlock) {
	var packed [HeldSlices][]byte
	for _, r := range rows {
		slice := r.Person[0]
		packed[slice] = AppendToBlock(packed[slice], r.Person, []byte(r.Cells))
	}
	for slice, rows := range packed {
		if len(rows) > 0 {
			blocks = append(blocks, HeldBlock{byte(slice), rows})
		}
	}
	return blocks
}

// HeldRows unpacks the blocks of a slice, given in the order in which they came:
// the last row of each person, by key.
func HeldRows(blocks [][]byte) (rows []HeldRow, err error) {
	for _, block := range blocks {
		if err := eachInBlock(block, func(person PersonKey, cells, _ []byte) { rows = append(rows, HeldRow{person, string(cells)}) }); err != nil {
			return nil, err
		}
	}
	slices.Reverse(rows)
	slices.SortStableFunc(rows, func(a, b HeldRow) int { return a.Person.compare(b.Person) })
	return slices.CompactFunc(rows, func(a, b HeldRow) bool { return a.Person == b.Person }), nil
}

// HeldSliceOf gives where the rows of a person are.
func HeldSliceOf(person PersonKey) int64 { return int64(person[0]) }

// StoredHeld is a block where it is stored.
type StoredHeld struct {
	Integration string
	Run         []byte
	Number      int64
	Rows        []byte
}

// ScanStoredHeld reads integration, run, number and rows.
func ScanStoredHeld(row Row) (h StoredHeld, err error) {
	err = row.Scan(&h.Integration, &h.Run, &h.Number, &h.Rows)
	return h, err
}

// compareHeld compares a row's key.
func compareHeld(r HeldRow, key []byte) int { return bytes.Compare(r.Person[:], key) }

// HeldUpTo divides sorted rows at a key: those up to it, and those after it; an
// empty key is after all.
func HeldUpTo(rows []HeldRow, key []byte) (upTo, after []HeldRow) {
	if len(key) == 0 {
		return rows, nil
	}
	n, found := slices.BinarySearchFunc(rows, key, compareHeld)
	if found {
		n++
	}
	return rows[:n], rows[n:]
}
