package store

import (
	"encoding/json"
	"slices"
	"strings"
)

// SealedColumn is a column that holds a secret which auth.Sealer has sealed for a
// context: what it is of, then the key of its row.
type SealedColumn struct {
	Table, Column string
	Key           []string // the columns of the table's key
	Of            string   // the first word of the context
	// Enclosed says that the secret stands in a SealedBody, and that the last
	// column of the key is an ID; otherwise the whole key is texts.
	Enclosed bool
	Where    string // which rows may hold one; empty for all
}

// SealedColumns are all that hold such secrets. When the key changes that seals
// them, every row is sealed anew; a test fails where a column with that name is
// missing here. Where the column is empty there is no secret.
var SealedColumns = []SealedColumn{
	{Table: "integrations", Column: "sealed", Key: []string{"organization", "id"}, Of: "integration"},
	{Table: "setups", Column: "sealed", Key: []string{"organization", "id"}, Of: "setup"},
	{Table: "messages", Column: "body", Key: []string{"organization", "id"}, Of: "message", Enclosed: true, Where: " AND origin <> 'event'"},
}

// Sealed is a secret that is stored.
type Sealed struct {
	Key    []string // of its row
	Secret []byte   // empty where the row holds none
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
	var id []byte
	if c.Enclosed {
		fields[len(fields)-1] = &id
	}
	if err := row.Scan(append(fields, &s.Secret)...); err != nil || !c.Enclosed {
		return s, err
	}
	s.Key[len(s.Key)-1], s.Secret = ID(id).String(), SealedIn(s.Secret)
	return s, nil
}

// Stored is what the column holds of a secret.
func (c SealedColumn) Stored(secret []byte) ([]byte, error) {
	if !c.Enclosed {
		return secret, nil
	}
	return json.Marshal(SealedBody{secret})
}

// KeyArgs are the values of the columns of the key; empty texts come before all.
func (c SealedColumn) KeyArgs(key []string) ([]any, error) {
	args := make([]any, len(key))
	for i, k := range key {
		args[i] = k
	}
	if !c.Enclosed {
		return args, nil
	}
	var id ID
	if last := key[len(key)-1]; last != "" {
		if err := id.UnmarshalText([]byte(last)); err != nil {
			return nil, err
		}
	}
	args[len(args)-1] = id[:]
	return args, nil
}

// Query reads a page of the column; after are the placeholders of the key that it
// begins after, and limit that of how many rows it has.
func (c SealedColumn) Query(after []string, limit string) string {
	key := strings.Join(c.Key, ", ")
	return "SELECT " + key + ", " + c.Column + " FROM " + c.Table + " WHERE (" + key + ") > (" + strings.Join(after, ", ") + ") AND length(" + c.Column + ") > 0" +
		c.Where + " ORDER BY " + key + " LIMIT " + limit
}
