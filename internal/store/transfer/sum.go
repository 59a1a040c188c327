package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"consentsync/internal/store"
)

// Hash is that of what a table holds: the sum of the SHA-256 of its rows, modulo
// 2^256. It is the same on every engine and for every order of the rows, since a
// text that one engine cannot hold may sort elsewhere in the other. It finds
// what is missing or other than it was; it is no seal against a forger.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// add adds the hash of a row.
func (h *Hash) add(row [sha256.Size]byte) {
	var carry uint64
	for i := len(h) - 8; i >= 0; i -= 8 {
		var n uint64
		n, carry = bits.Add64(binary.BigEndian.Uint64(h[i:]), binary.BigEndian.Uint64(row[i:]), carry)
		binary.BigEndian.PutUint64(h[i:], n)
	}
}

// Sum is what a table holds.
type Sum struct {
	Table    string
	Rows     int64
	Hash     Hash
	replaced int64
}

func (s Sum) String() string { return fmt.Sprintf("%d rows, %s", s.Rows, s.Hash) }

// sum reads a table. report is told how many rows were read.
func sum(ctx context.Context, d Database, t *store.Table, pageRows int, report func(int64)) (Sum, error) {
	s := Sum{Table: t.Name}
	for after := []any(nil); ; {
		page, err := d.ReadRows(ctx, t, after, pageRows)
		if err != nil || len(page) == 0 {
			return s, err
		}
		after = append([]any(nil), page[len(page)-1][:len(t.Key)]...)
		for _, row := range page {
			s.replaced += plain(row)
			s.Hash.add(sha256.Sum256(encode(row)))
		}
		s.Rows += int64(len(page))
		report(s.Rows)
	}
}

// encode writes a row so that no two rows are the same.
func encode(row store.CopyRow) []byte {
	b := make([]byte, 0, row.Size())
	for _, v := range row {
		switch v := v.(type) {
		case string:
			b = binary.BigEndian.AppendUint64(append(b, 't'), uint64(len(v)))
			b = append(b, v...)
		case []byte:
			b = binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v)))
			b = append(b, v...)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v)) //nolint:gosec // any 64 bits
		case bool:
			if v {
				b = append(b, '1')
			} else {
				b = append(b, '0')
			}
		}
	}
	return b
}
