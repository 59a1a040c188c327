package audit

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"consentsync/internal/store"
)

var (
	ours   = NewSigner([]byte("a secret of 32 bytes for signing"))
	theirs = NewSigner([]byte("another secret with as many byte"))
)

// chained makes a chain of links with so many changes each, as it is exported.
func chained(s *Signer, links ...int) (Header, []Link) { return chainedBy(s, store.NewID, links...) }

// chainedBy makes one whose records have the ids that newID gives.
func chainedBy(s *Signer, newID func() store.ID, links ...int) (Header, []Link) {
	h := store.AuditHead{Organization: "acme"}
	hasher := store.NewHasher([]byte("a key for tests"))
	var all []Link
	for _, n := range links {
		records := make([]store.AuditRecord, n)
		views := make([]RecordView, n)
		for i := range records {
			c := store.Change{Organization: "acme", ID: newID(), Action: "x"}
			records[i] = store.AuditRecord{Kind: store.AuditChange, ID: c.ID, Change: &c}
			form, _ := hasher.Sealed(&records[i])
			records[i].Digest = store.SealDigest(form)
			views[i].Record = form
		}
		l := s.next(&h, records, store.AuditLink{At: 1})
		for i, r := range records {
			views[i].Position, views[i].Kind, views[i].ID, views[i].Person, views[i].Digest = r.Position, r.Kind, r.ID, r.Person[:], r.Digest[:]
		}
		h.Number, h.Position, h.Hash = l.Number, l.Last, l.Hash
		v := viewOf(&l)
		v.Records = views
		all = append(all, v)
	}
	return Header{OrganizationID: "acme", PublicKey: s.Public(), Head: Checkpoint{h.Number, h.Hash[:]}, Oldest: 1}, all
}

func verified(h Header, links []Link, noted ...Checkpoint) Report {
	v := NewVerifier(h, ours.Public(), noted...)
	for i := range links {
		v.Link(&links[i])
	}
	return v.End()
}

// Every record of a link leads to its root over its own path, and no other does.
func TestPaths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "leaves")
		leaves := make([][32]byte, n)
		for i := range leaves {
			leaves[i][0] = byte(i + 1)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "which")
		path := pathOf(leaves, i)
		if climb(leaves[i], path) != rootOf(leaves) {
			t.Fatal("a leaf does not lead to the root")
		}
		if climb([32]byte{99}, path) == rootOf(leaves) {
			t.Fatal("another leaf leads to the root")
		}
	})
}

// A whole chain verifies, also after it went through JSON; one that somebody
// has made anew with a key of their own does not, whatever it says of itself.
func TestForgery(t *testing.T) {
	t.Parallel()
	h, links := chained(ours, 3, 1, 2)
	text, err := json.MarshalIndent(links, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	var read []Link
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if r := verified(h, read); len(r.Problems) > 0 || r.Records != 6 {
		t.Fatalf("a whole chain: %+v", r)
	}
	forged, anew := chained(theirs, 3, 1, 2)
	has(t, verified(forged, anew), "its signature was not made with the key", "forged")
	// Only the last link is made anew, with its predecessor's hash, by our key's
	// name: as whoever holds the database, but not the key, would do it.
	last := anew[2]
	last.Previous, last.Key = links[1].Hash, links[1].Key
	l, _ := last.link("acme")
	theirs.sign(&l)
	signed := viewOf(&l)
	signed.Records = last.Records
	signed.Key = ours.Public().Name()
	has(t, verified(h, []Link{links[0], links[1], signed}), "link 3: its signature")
	// A link that we have made, but after another one: of before a restore.
	_, other := chained(ours, 3, 1, 2)
	has(t, verified(h, []Link{links[0], other[1], links[2]}), "link 2: it was made after another link 1", "link 3: it was made after another link 2")
}

func has(t *testing.T, r Report, wants ...string) {
	t.Helper()
	var all []string
	for _, p := range r.Problems {
		all = append(all, p.String())
	}
	for _, want := range wants {
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("problems %q, want one with %q", all, want)
		}
	}
}

// What is done to an exported file is found, and where.
func TestAnExportThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	h, links := chained(ours, 3, 2, 2)
	clone := func() []Link {
		text, _ := json.Marshal(links)
		var c []Link
		_ = json.Unmarshal(text, &c)
		return c
	}
	for what, x := range map[string]struct {
		do    func(c []Link) []Link
		wants []string
	}{
		"a link is removed":        {func(c []Link) []Link { return append(c[:1], c[2]) }, []string{"link 3: it follows on link 1"}},
		"links change places":      {func(c []Link) []Link { c[1], c[2] = c[2], c[1]; return c }, []string{"link 3: it follows on link 1", "link 2: it follows on link 3"}},
		"the end is cut off":       {func(c []Link) []Link { return c[:2] }, []string{"the chain ends with link 2, its end was cut off"}},
		"all is cut off":           {func(c []Link) []Link { return nil }, []string{"the chain ends with link 0"}},
		"the beginning is cut off": {func(c []Link) []Link { return c[1:] }, []string{"no sealed record tells that retention did it"}},
		"a record is removed":      {func(c []Link) []Link { c[0].Records = append(c[0].Records[:1], c[0].Records[2]); return c }, []string{"link 1, record 2: it was removed"}},
		"a record is emptied":      {func(c []Link) []Link { c[0].Records[1].Record = nil; return c }, []string{"link 1, record 2: the change", "was removed"}},
		"a record is changed":      {func(c []Link) []Link { c[1].Records[0].Record = json.RawMessage(`{"action":"y"}`); return c }, []string{"link 2, record 4: the change", "changed after it was sealed"}},
		"records change places":    {func(c []Link) []Link { r := c[0].Records; r[0], r[1] = r[1], r[0]; return c }, []string{"link 1, record 1: it does not belong here"}},
		"records change positions": {func(c []Link) []Link { r := c[0].Records; r[0].ID, r[1].ID = r[1].ID, r[0].ID; return c }, []string{"link 1: records 1 to 3 are not those that were sealed"}},
		"a hash is cut":            {func(c []Link) []Link { c[0].Root = c[0].Root[:3]; return c }, []string{"link 1: a hash of it was changed"}},
		"its time is changed":      {func(c []Link) []Link { c[2].At++; return c }, []string{"link 3: it was changed"}},
		"a digest is changed, too": {func(c []Link) []Link {
			d := store.SealDigest([]byte(`{}`))
			c[0].Records[0].Record, c[0].Records[0].Digest = json.RawMessage(`{}`), d[:]
			return c
		}, []string{"link 1: records 1 to 3"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			has(t, verified(h, x.do(clone())), x.wants...)
		})
	}
	// Whoever cuts off the end and the note of it is found by what was noted down.
	shorter, cut := chained(ours, 3)
	if r := verified(shorter, cut); len(r.Problems) > 0 {
		t.Errorf("a shorter chain is one, too: %v", r.Problems)
	}
	has(t, verified(shorter, cut, h.Head), "link 3: it is not there: the chain ends with link 1")
	// Whoever holds the key can make another chain of the same length.
	same, anew := chained(ours, 3, 2, 2)
	has(t, verified(same, anew, h.Head), "link 3: it is another link than the checkpoint tells that was noted down")
	noted, err := ParseCheckpoint(h.Head.String())
	if err != nil || verified(h, links, noted).Problems == nil || len(verified(h, links, noted).Problems) > 0 {
		t.Errorf("a checkpoint that was noted down: %v", err)
	}
}
