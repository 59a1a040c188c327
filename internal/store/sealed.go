package store

import "slices"

// SealedColumn is a column that holds a secret which auth.Sealer has sealed for a
// context: what it is of, then the key of its row.
type SealedColumn struct {
	Table, Column string
	Key           []string // the columns of the table's key, which are texts
	Of            string   // the first word of the context
}

// SealedColumns are all that hold such secrets. When the key changes that seals
// them, every row is sealed anew; a test fails where a column with that name is
// missing here. Where the column is empty there is no secret.
var SealedColumns = []SealedColumn{
	{"integrations", "sealed", []string{"organization", "id"}, "integration"},
	{"setups", "sealed", []string{"organization", "id"}, "setup"},
}

// Sealed is a secret that is stored.
type Sealed struct {
	Key    []string // of its row
	Secret []byte
}

// Context is what a secret was sealed for.
func (c SealedColumn) Context(s Sealed) []string { return slices.Concat([]string{c.Of}, s.Key) }

// ScanSealed reads the key of a row and its secret.
func (c SealedColumn) ScanSealed(row Row) (Sealed, error) {
	s := Sealed{Key: make([]string, len(c.Key))}
	var fields []any
	for i := range s.Key {
		fields = append(fields, &s.Key[i])
	}
	return s, row.Scan(append(fields, &s.Secret)...)
}
