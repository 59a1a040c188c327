package sqlite

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"consentsync/internal/store"
)

// A ledger that was copied here lies in the slices of its people, and can be copied
// page by page from here.
func TestACopiedLedgerIsInSlices(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{Copy: true})
	table := &store.Tables[slices.IndexFunc(store.Tables, func(t store.Table) bool { return t.Name == "ledger" })]
	if err := e.BeginCopy(t.Context(), "elsewhere"); err != nil {
		t.Fatal(err)
	}
	var rows []store.CopyRow
	for n := range 600 {
		organization, entity, person := fmt.Sprintf("o%d", n%2), []byte{byte(n * 7), byte(n), byte(n >> 8)}, bytes.Repeat([]byte{byte(n * 31)}, 32)
		rows = append(rows, store.CopyRow{organization, entity, []byte("content"), person, int64(n)})
	}
	if err := e.WriteRows(t.Context(), table, rows, store.CopyState{}); err != nil {
		t.Fatal(err)
	}
	if astray := e.rows(t, `SELECT count(*) FROM ledger WHERE slice <> substr(person, 1, 1)`); astray[0][0] != "0" {
		t.Errorf("%s rows are in another slice", astray[0][0])
	}
	var back []store.CopyRow
	for after := []any(nil); ; {
		page, err := e.ReadRows(t.Context(), table, after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		back = append(back, page...)
		after = page[len(page)-1][:len(table.Key)]
	}
	sorted := func(rows []store.CopyRow) (texts []string) {
		for _, r := range rows {
			texts = append(texts, fmt.Sprintf("%q", r))
		}
		slices.Sort(texts)
		return texts
	}
	if got, want := sorted(back), sorted(rows); !slices.Equal(got, want) {
		t.Errorf("%d rows came back of %d, or others", len(got), len(want))
	}
}
