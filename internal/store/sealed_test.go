package store

import (
	"slices"
	"strings"
	"testing"
)

// Every column that holds a sealed secret follows when the key changes that
// seals them: it stands in SealedColumns, with the key of its table.
func TestSealedColumnsAreAll(t *testing.T) {
	t.Parallel()
	for i := range Tables {
		table := &Tables[i]
		for _, c := range table.Rest {
			secret := strings.Contains(c.Name, "sealed") || strings.Contains(c.Name, "secret") || table.Name == "messages" && c.Name == "body"
			if !secret || strings.HasSuffix(c.Name, "_hash") || table.Name == "secret_keys" { // those are sealed with the master key
				continue
			}
			if !slices.ContainsFunc(SealedColumns, func(s SealedColumn) bool { return s.Table == table.Name && s.Column == c.Name }) {
				t.Errorf("%s.%s is missing", table.Name, c.Name)
			}
		}
		for _, s := range SealedColumns {
			if s.Table != table.Name {
				continue
			}
			texts := table.Key
			if s.Enclosed {
				texts = texts[:len(texts)-1]
			}
			if Names(table.Key) != strings.Join(s.Key, ", ") || slices.ContainsFunc(texts, func(c Column) bool { return c.Kind != Text }) {
				t.Errorf("the key of %s is %s, not %v, or no text", table.Name, Names(table.Key), s.Key)
			}
		}
	}
}
