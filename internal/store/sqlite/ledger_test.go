package sqlite

import (
	"fmt"
	"slices"
	"testing"

	"consentsync/internal/store"
)

// A ledger that was copied here lies in the slices of its people: each message is known
// again, each event leads to whom it was about, and it can be copied page by page from
// here.
func TestACopiedLedgerIsInSlices(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{Copy: true})
	table := tableOf("ledger")
	if err := e.BeginCopy(t.Context(), "elsewhere"); err != nil {
		t.Fatal(err)
	}
	var entries []store.LedgerEntry
	var rows []store.CopyRow
	for n := range 600 {
		entry := store.LedgerEntry{
			Organization: fmt.Sprintf("o%d", n%2), Entity: store.Digest{byte(n * 7), byte(n), byte(n >> 8)}, Content: store.Digest{1},
			Person: store.PersonKey{byte(n * 31), byte(n * 17), byte(n >> 8)}, SeenAt: 99,
		}
		entries = append(entries, entry)
		rows = append(rows, store.CopyRow{entry.Organization, entry.Entity[:], entry.Content[:], entry.Person[:], int64(entry.SeenAt)})
	}
	if err := e.WriteRows(t.Context(), table, rows, store.CopyState{}); err != nil {
		t.Fatal(err)
	}
	err := e.inTx(t.Context(), func(tx *transaction) error {
		accepting := e.acceptTx(tx)
		known, err := accepting.Remember(t.Context(), entries)
		if err != nil || slices.Contains(known, true) {
			t.Errorf("of what was copied not all is known again, %v", err)
		}
		for _, entry := range entries {
			people, err := accepting.PeopleOf(t.Context(), entry.Organization, entry.Entity)
			if err != nil || len(people) != 1 || people[0].Person != entry.Person {
				t.Errorf("it was about %v, %v, not about %v", people, err, entry.Person)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
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
