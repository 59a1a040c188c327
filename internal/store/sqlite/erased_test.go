package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Of who is erased nothing is left in the files, wherever it has stood before:
// in the inbox, in rows that were written again and grew; and on pages that were
// divided, once it is compacted. Of others everything is.
func TestNothingIsLeftInTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hasher := store.NewHasher([]byte("a key for tests"))
	e.UseHasher(hasher)
	const people, rounds = 200, 4
	id := func(n int) string { return fmt.Sprintf("planted-%04d@example.com", n) }
	decode := func(q store.Queued) (in store.Inbound, err error) {
		in = store.Inbound{Organization: "acme", Canonical: q.Payload, Payload: q.Payload, Message: &consent.Message{}}
		return in, json.Unmarshal(q.Payload, in.Message)
	}
	for round := range rounds {
		var batch []store.Inbound
		for n := range people {
			body, err := json.Marshal(&consent.Message{
				Type: consent.EventCreated, EntityID: fmt.Sprintf("e%d of %s", round, id(n)), OrganizationUserID: id(n), DidomiUserID: fmt.Sprintf("d%d of %s", round, id(n)),
				Regulation: "gdpr", CreatedAt: consent.Time(1+round) << 40,
				Choices:  []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: fmt.Sprint("p", round)}, Enabled: true}},
				Metadata: map[string]json.RawMessage{"note": json.RawMessage(`"` + strings.Repeat(id(n), 1+(n+round)%9) + `"`)},
			})
			if err != nil {
				t.Fatal(err)
			}
			in, err := decode(store.Queued{Payload: body})
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, in)
		}
		if round%2 == 0 {
			_, err = e.Accept(t.Context(), batch)
		} else if err = e.Enqueue(t.Context(), batch); err == nil {
			_, err = e.Merge(t.Context(), store.InboxKey{Organization: "acme", Lane: store.OrdinaryLane}, people, decode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < people; n += 10 {
		key := store.SubjectKey{Organization: "acme", Person: hasher.Person("acme", consent.Subject{OrganizationUserID: id(n)})}
		if _, err := e.Erase(t.Context(), store.Erasure{SubjectKey: key}, func([]store.PersonKey) store.Change { return store.Change{Organization: "acme", ID: store.NewID()} }); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	left, erased := inFiles(t, dir), people/10
	traces := 0
	for n := 0; n < people; n += 10 {
		if bytes.Contains(left, []byte(id(n))) {
			traces++
		}
	}
	if traces > erased/4 { // what is overwritten is most of it
		t.Errorf("of %d people who were erased there are traces of %d", erased, traces)
	}
	before, after, err := Compact(t.Context(), dir)
	if err != nil || after > before || after == 0 {
		t.Fatalf("%d bytes become %d, %v", before, after, err)
	}
	all := inFiles(t, dir)
	for n := range people {
		if found := bytes.Count(all, []byte(id(n))); (found > 0) != (n%10 != 0) {
			t.Errorf("%s stands in the files %d times", id(n), found)
		}
	}
	if _, _, err := Compact(t.Context(), t.TempDir()); err == nil {
		t.Error("a directory without a database is compacted")
	}
}

// inFiles gives what all files of a directory hold.
func inFiles(t *testing.T, dir string) (all []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no files", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}
