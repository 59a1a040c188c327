package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"consentsync/internal/store"
)

// Whoever does not hold the key can make no other chain than ours that verifies:
// against the key and a checkpoint that were noted down, whatever is in a file,
// nothing wrong is found only if it is what was sealed.
func FuzzVerify(f *testing.F) {
	var last store.ID // the same ids in each process that takes part
	header, links := chainedBy(ours, func() store.ID { last[0]++; return last }, 2, 1)
	var file bytes.Buffer
	lines := json.NewEncoder(&file)
	for _, line := range []any{header, links[0], links[1]} {
		if err := lines.Encode(line); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(file.Bytes())
	forged, anew := chained(theirs, 1)
	var other bytes.Buffer
	for _, line := range []any{forged, anew[0]} {
		if err := json.NewEncoder(&other).Encode(line); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(other.Bytes())
	f.Add([]byte("{}\n{}\n"))
	f.Add([]byte(`{"horizons":{"audit":9,"changes":9223372036854775807},"head":{"number":-1,"hash":""}}` + "\n" + `{"number":2,"first":-9223372036854775808,"last":9223372036854775807}`))
	f.Add([]byte(`{}` + "\n" + `{"number":1,"first":9223372036854710271,"last":9223372036854775807,"previous":"` + strings.Repeat("00", 32) + `","root":"` + strings.Repeat("00", 32) + `","hash":"` + strings.Repeat("00", 32) + `"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var v *Verifier
		var read []Link
		for line := range bytes.Lines(file) {
			if v == nil {
				var h Header
				if json.Unmarshal(line, &h) != nil {
					return
				}
				v = NewVerifier(h, ours.Public(), header.Head)
				continue
			}
			var l Link
			if json.Unmarshal(line, &l) != nil {
				return
			}
			v.Link(&l)
			read = append(read, l)
		}
		if v == nil {
			return
		}
		r := v.End()
		if len(r.Problems) > 0 {
			return
		}
		if r.OrganizationID != "acme" || r.End.String() != header.Head.String() || r.Links != 2 || r.Records != 3 || r.Removed != 0 || r.Erased != 0 {
			t.Fatalf("it passes for the chain, with %+v", r)
		}
		for i := range read {
			for j, record := range read[i].Records {
				var got, want bytes.Buffer
				if json.Compact(&got, record.Record) != nil || json.Compact(&want, links[i].Records[j].Record) != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
					t.Errorf("link %d passes with the record %s", i+1, record.Record)
				}
			}
		}
	})
}
