package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// HeldBuckets is how many buckets the rows of an export are kept in, by the first
// byte of the key of the person.
const HeldBuckets = 256

// HeldPart is how an engine keeps rows: those of one bucket that came together. Keys
// of people are as good as random, so that a row of its own for each would write
// another page of the database for each. Key is the bucket, and then a number that
// grows with what comes later.
type HeldPart struct {
	Key   []byte
	Cells string // of each row a line feed, the key of the person in hexadecimal, a colon, and the cells
}

// PackHeld puts rows into parts, the last of each person, by key.
func PackHeld(number int64, rows []HeldRow) []HeldPart {
	last := make(map[PersonKey]string, len(rows))
	for _, r := range rows {
		last[r.Person] = r.Cells
	}
	var parts []HeldPart
	var cells strings.Builder
	people := slices.SortedFunc(maps.Keys(last), PersonKey.compare)
	for n, person := range people {
		cells.WriteString(heldName(person) + last[person])
		if n+1 == len(people) || people[n+1][0] != person[0] {
			parts = append(parts, HeldPart{Key: binary.BigEndian.AppendUint64(person[:1:1], uint64(number)), Cells: cells.String()}) //nolint:gosec // it grows from 1
			cells.Reset()
		}
	}
	return parts
}

// heldName is what a row of a part begins with.
func heldName(p PersonKey) string { return "\n" + hex.EncodeToString(p[:]) + ":" }

// UnpackHeld gives the rows of the parts of one bucket, which are in the order of
// their keys: the last of each person, by person.
func UnpackHeld(parts []HeldPart) []HeldRow {
	rows := map[PersonKey]HeldRow{}
	add := func(p PersonKey, cells string) { rows[p] = HeldRow{Person: p, Cells: cells} }
	for _, part := range parts {
		if len(part.Key) == len(PersonKey{}) { // a row of its own, from before there were parts
			add(PersonKey(part.Key), part.Cells)
		}
	}
	for _, part := range parts {
		if len(part.Key) == len(PersonKey{}) {
			continue
		}
		for row := range strings.SplitSeq(part.Cells, "\n") {
			name, cells, _ := strings.Cut(row, ":")
			var p PersonKey
			if n, err := hex.Decode(p[:], []byte(name)); err == nil && n == len(p) { // else it was erased
				add(p, cells)
			}
		}
	}
	return slices.SortedFunc(maps.Values(rows), func(a, b HeldRow) int { return a.Person.compare(b.Person) })
}

// EraseHeld is what to replace in the cells of parts, and with what, so that they no
// longer name a person.
func EraseHeld(p PersonKey) (name, nobody string) { return heldName(p), "\n:" }

// HeldBucket gives the keys that the parts of a bucket lie between.
func HeldBucket(n byte) (from, to []byte) {
	return []byte{n}, append([]byte{n}, bytes.Repeat([]byte{0xff}, len(PersonKey{}))...)
}

// ScanHeldPart reads person, which is the key, and cells.
func ScanHeldPart(row Row) (h HeldPart, err error) {
	err = row.Scan(&h.Key, &h.Cells)
	return h, err
}
