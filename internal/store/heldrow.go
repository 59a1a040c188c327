package store

import (
	"bytes"
	"encoding/binary"
	"errors"
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

// HeldBlock is what one part of an export has for one slice. An export comes in the
// order of its table, which is any order of keys: kept row by row it would change a
// page of the database for each, in blocks it changes one for each block.
type HeldBlock struct {
	Slice byte
	Rows  []byte // for each row the person's key, how long the cells are, and the cells
}

// HeldBlocks packs the rows of a part.
func HeldBlocks(rows []HeldRow) (blocks []HeldBlock) {
	var packed [HeldSlices][]byte
	for _, r := range rows {
		slice := r.Person[0]
		packed[slice] = append(binary.AppendUvarint(append(packed[slice], r.Person[:]...), uint64(len(r.Cells))), r.Cells...)
	}
	for slice, rows := range packed {
		if len(rows) > 0 {
			blocks = append(blocks, HeldBlock{byte(slice), rows})
		}
	}
	return blocks
}

var errHeldBlock = errors.New("a stored block of an export's rows is cut off")

// unpack calls f with each row of a block and its packed form.
func unpack(block []byte, f func(r HeldRow, packed []byte)) error {
	for len(block) > 0 {
		var r HeldRow
		at := copy(r.Person[:], block)
		size, n := binary.Uvarint(block[at:])
		if n <= 0 || size > uint64(len(block)-at-n) { //nolint:gosec // none of them is below 0
			return errHeldBlock
		}
		end := at + n + int(size) //nolint:gosec // at most the length of the block
		r.Cells = string(block[at+n : end])
		f(r, block[:end])
		block = block[end:]
	}
	return nil
}

// HeldRows unpacks the blocks of a slice, given in the order in which they came:
// the last row of each person, by key.
func HeldRows(blocks [][]byte) (rows []HeldRow, err error) {
	for _, block := range blocks {
		if err := unpack(block, func(r HeldRow, _ []byte) { rows = append(rows, r) }); err != nil {
			return nil, err
		}
	}
	slices.Reverse(rows)
	slices.SortStableFunc(rows, func(a, b HeldRow) int { return a.Person.compare(b.Person) })
	return slices.CompactFunc(rows, func(a, b HeldRow) bool { return a.Person == b.Person }), nil
}

// WithoutHeld gives a block without the rows of a person, and whether it had any.
func WithoutHeld(block []byte, person PersonKey) (rest []byte, had bool, err error) {
	if !bytes.Contains(block, person[:]) {
		return block, false, nil
	}
	err = unpack(block, func(r HeldRow, packed []byte) {
		if r.Person == person {
			had = true
		} else {
			rest = append(rest, packed...)
		}
	})
	return rest, had, err
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
