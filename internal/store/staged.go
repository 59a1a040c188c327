package store

import (
	"cmp"
	"encoding/binary"
	"slices"

	"consentsync/internal/consent"
)

// StagedRow is a row of a file that was taken and is not merged yet.
type StagedRow struct {
	Person    PersonKey // whom it is about; zero for nobody
	File      string
	Row       int64 // its number in the file
	ArrivedAt consent.Time
	Payload   []byte // a webhook that says the same
}

// Staged is what an import has of such rows.
type Staged struct {
	Rows   int64
	Bytes  int64
	Blocks int64 // that there ever were, by which they are numbered
}

// StagedSlices is how many slices of people's keys the rows are kept in. They are
// merged slice by slice, so that what lies together in the database is changed
// together: a page of people once, instead of once for each.
const StagedSlices = 512

// StagedSliceOf gives where the rows of a person are.
func StagedSliceOf(person PersonKey) int64 { return int64(binary.BigEndian.Uint16(person[:]) >> 7) }

// StagedPlace names a block of an import. Places are compared by slice and number,
// which is from 1: the zero value comes before all.
type StagedPlace struct{ Slice, Number int64 }

// StagedBlock is rows about people of one slice.
type StagedBlock struct {
	StagedPlace
	// Count and Size are how many rows it was made of, and how many bytes; what is
	// erased of it changes neither.
	Count, Size int64
	Rows        []byte // see AppendToBlock
}

// A block has no more than these: it is merged as a whole, for which webhooks wait.
const (
	mostBlockRows  = 800
	mostBlockBytes = 1 << 20 // but for a row that is larger by itself
)

// StagedBlocks packs rows, in the order of slices, and within one as they come. The
// blocks have no number yet.
func StagedBlocks(rows []StagedRow) (blocks []StagedBlock) {
	var of [StagedSlices][]StagedRow
	for _, r := range rows {
		slice := StagedSliceOf(r.Person)
		of[slice] = append(of[slice], r)
	}
	for slice, rows := range of {
		b := StagedBlock{StagedPlace: StagedPlace{Slice: int64(slice)}}
		for _, r := range rows {
			if b.Count == mostBlockRows || b.Count > 0 && b.Size+int64(len(r.Payload)) > mostBlockBytes {
				blocks = append(blocks, b)
				b = StagedBlock{StagedPlace: b.StagedPlace}
			}
			b.add(r)
		}
		if b.Count > 0 {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

func (b *StagedBlock) add(r StagedRow) {
	rest := binary.AppendUvarint(nil, uint64(r.Row)) //nolint:gosec // rows are counted from 1
	rest = binary.AppendVarint(rest, int64(r.ArrivedAt))
	rest = binary.AppendUvarint(rest, uint64(len(r.File)))
	rest = append(append(rest, r.File...), r.Payload...)
	b.Rows = AppendToBlock(b.Rows, r.Person, rest)
	b.Count, b.Size = b.Count+1, int64(len(b.Rows))
}

// Unpack gives the rows of a block, which share its memory.
func (b *StagedBlock) Unpack() (rows []StagedRow, err error) {
	broken := eachInBlock(b.Rows, func(person PersonKey, rest, _ []byte) {
		r := StagedRow{Person: person}
		number, n := binary.Uvarint(rest)
		arrived, m := binary.Varint(rest[max(n, 0):])
		size, k := binary.Uvarint(rest[max(n, 0)+max(m, 0):])
		at := n + m + k
		if n <= 0 || m <= 0 || k <= 0 || size > uint64(len(rest)-at) { //nolint:gosec // none of them is below 0
			err = errBlock
			return
		}
		r.Row, r.ArrivedAt = int64(number), consent.Time(arrived)              //nolint:gosec // see add
		r.File, r.Payload = string(rest[at:at+int(size)]), rest[at+int(size):] //nolint:gosec // at most the length of the row
		rows = append(rows, r)
	})
	return rows, cmp.Or(broken, err)
}

// SortStaged puts rows in the order of people, those about one as they came.
func SortStaged(rows []StagedRow) {
	slices.SortStableFunc(rows, func(a, b StagedRow) int { return a.Person.compare(b.Person) })
}

// MergeStep merges blocks of an import, all in one transaction.
type MergeStep struct {
	ImportKey
	// Blocks are those that go, as they were read; Conflict if one has been changed
	// since, or is gone.
	Blocks []StagedBlock
	// Rest are those rows of Blocks that stay, under numbers of Blocks.
	Rest    []StagedBlock
	Batch   []Inbound // of their rows, those that can be merged
	Refused []ImportRefusal
}

// Taken is the error of blocks that are not there any more.
func (s *MergeStep) Taken() error {
	return consent.Errorf(consent.Conflict, "store.MergeRows", "rows of the import were merged or erased meanwhile")
}

// StagedColumns are those that ScanStaged reads.
const StagedColumns = `slice, number, count, size, rows`

// ScanStaged reads StagedColumns.
func ScanStaged(row Row) (b StagedBlock, err error) {
	err = row.Scan(&b.Slice, &b.Number, &b.Count, &b.Size, &b.Rows)
	return b, err
}

// StagedOf is a block with the import that it is of.
type StagedOf struct {
	Import string
	StagedBlock
}

// ScanStagedOf reads import and StagedColumns.
func ScanStagedOf(row Row) (b StagedOf, err error) {
	err = row.Scan(&b.Import, &b.Slice, &b.Number, &b.Count, &b.Size, &b.Rows)
	return b, err
}

// StagedPage takes blocks, in their order, that are merged one after the other: those
// of a slice, unless they are too many to be held in memory, and of several slices
// as long as they are few.
type StagedPage struct {
	Blocks []StagedBlock
	rows   int64
	bytes  int64
}

// MostStagedPage bounds how many blocks are read at once, and mostPageBytes how many
// bytes, but for the last block.
const (
	MostStagedPage = 4000
	mostPageBytes  = 16 << 20
)

// Add takes a block; false if it belongs to the next page.
func (p *StagedPage) Add(b StagedBlock) bool {
	if n := len(p.Blocks); n > 0 && (p.bytes >= mostPageBytes || p.rows >= mostBlockRows && b.Slice != p.Blocks[n-1].Slice) {
		return false
	}
	p.Blocks = append(p.Blocks, b)
	p.rows += b.Count
	p.bytes += b.Size
	return true
}
