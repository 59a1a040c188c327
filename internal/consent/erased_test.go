package consent

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Of somebody who was erased only the time of it is kept, and only an event of
// after that grants, well after it if it is told later; a refusal counts whatever its time.
func TestErased(t *testing.T) {
	t.Parallel()
	after := Time(101).Add(MaxAhead)
	p, q := Choice{Kind: OfPurpose, Purpose: "p"}, Choice{Kind: OfPurpose, Purpose: "q"}
	listed := Key{"gdpr", Choice{Kind: OfValue, Purpose: "p", Preference: "list", Value: "a"}}
	for name, x := range map[string]struct {
		at     Time
		change func(*Statement)
		grants bool
	}{
		"before":         {99, nil, false},
		"at the time":    {100, nil, false},
		"after":          {101, nil, true},
		"a record":       {101, func(s *Statement) { s.Snapshot = true }, false},
		"without a date": {101, func(s *Statement) { s.Undated = true }, false},
		"told later":     {after, func(s *Statement) { s.Retold = true }, true},
		"told later, and may be dated by a clock that is ahead": {after - 1, func(s *Statement) { s.Retold = true }, false},
		"told later, changed since":                             {after, func(s *Statement) { s.Retold, s.Revised = true, true }, false},
		"a record, told later":                                  {after, func(s *Statement) { s.Retold, s.Snapshot = true, true }, false},
	} {
		st := Statement{
			EventID: "e", At: x.at, Regulation: "gdpr", Choices: []Said{{p, true}, {q, false}},
			Selections: []Selection{{"p", "list", []string{"a"}}}, Metadata: map[string]json.RawMessage{"name": json.RawMessage(`"Ana"`)},
		}
		if x.change != nil {
			x.change(&st)
		}
		s := Erased(100)
		s.Apply(st)
		b, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var read State
		if err := read.UnmarshalBinary(b); err != nil || read.erased != 100 {
			t.Fatalf("%s: read back as erased at %d: %v", name, read.erased, err)
		}
		v := Combine("ana", &read, nil)
		on := map[Key]bool{}
		for _, h := range v.Choices {
			on[h.Key] = h.Enabled
		}
		off, refused := on[Key{"gdpr", q}]
		if on[Key{"gdpr", p}] != x.grants || on[listed] != x.grants || off || !refused {
			t.Errorf("%s: choices are %v", name, on)
		}
		if bytes.Contains(b, []byte("Ana")) != x.grants {
			t.Errorf("%s: metadata is kept as it should not be", name)
		}
	}
}
