package consent

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// typical is what a state looks like after a while: six choices, four texts.
func typical() *State {
	var s State
	for i := range 6 {
		m := event(fmt.Sprintf("3f1c9a52-7a3e-4c7f-9d2b-0c5f6f1e000%d", i/3), at(i/3),
			Said{purpose(fmt.Sprintf("newsletter-%d", i)), i%2 == 0})
		if i < 4 {
			m = m.with(fmt.Sprintf("key_%d", i), `"some text"`)
		}
		for _, st := range Resolve(m, at(i/3)+25_000).Statements {
			s.Apply(st)
		}
	}
	return &s
}

// What accepting one event does to a person's state.
func BenchmarkDecodeApplyEncode(b *testing.B) {
	data, err := typical().MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	st := Resolve(event("9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", at(5), no("newsletter-4")), at(5)).Statements[0]
	b.ReportAllocs()
	for b.Loop() {
		var s State
		if err := s.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
		s.Apply(st)
		if _, err := s.MarshalBinary(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data)), "bytes/state")
}

// What delivery does before a call.
func BenchmarkCombineProject(b *testing.B) {
	s := typical()
	var r Rules
	r.Regulations, r.AllMetadata = []string{"gdpr"}, true
	for i := range 6 {
		name := fmt.Sprintf("newsletter-%d", i)
		r.Subscriptions = append(r.Subscriptions, Mapping{name, purpose(name).Path()})
		r.Snapshot.Subscriptions = append(r.Snapshot.Subscriptions, Subscription{Name: name})
		r.Snapshot.Attributes = append(r.Snapshot.Attributes, Attribute{Name: fmt.Sprintf("key_%d", i), Kind: String})
	}
	b.ReportAllocs()
	for b.Loop() {
		Project(Combine("ana", s, nil), r)
	}
}

func TestStoredFormIsRefusedWhenItIsAnother(t *testing.T) {
	t.Parallel()
	whole, err := typical().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	empty, _ := new(State).MarshalBinary()
	swapped := table[eventID, Time]{{"b", 1}, {"a", 1}}
	unsorted, _ := (&State{deleted: swapped}).MarshalBinary()
	tests := map[string][]byte{
		"nothing":           {},
		"another version":   append([]byte{codecVersion + 1}, empty[1:]...),
		"more than a state": append(bytes.Clone(whole), 0),
		"an unknown part":   append(bytes.Clone(empty[:len(empty)-1]), allParts+1),
		"a long varint":     append([]byte{codecVersion, 0x80, 0}, empty[2:]...),
		"keys out of order": unsorted,
		"an id repeated":    {codecVersion, 0, 0, 0, 0, hasLink, 1, 'a', 0, 1},
		"a false count":     {codecVersion, 0xff, 0xff, 0xff, 0xff, 0x0f},
	}
	for i := range whole {
		tests[fmt.Sprintf("cut off after %d bytes", i)] = whole[:i]
	}
	for name, data := range tests {
		s := typical()
		if err := s.UnmarshalBinary(data); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if now, _ := s.MarshalBinary(); !bytes.Equal(now, whole) {
			t.Errorf("%s is refused and changes the state all the same", name)
		}
	}
}

// What is accepted is written again byte for byte.
func FuzzStoredForm(f *testing.F) {
	book := fill(come(
		event("e1", at(1), yes("p"), no("q")).with("k", `"x"`).choosing("p", "f", "a", "b"),
		event("e2", 0, no("p")).by("d1"), event("e3", at(2), yes("r")).of("ana", "d1"),
		record(at(9), yes("p"), no("r")), deletion("e1"),
		&Message{Type: UserDeleted, DidomiUserID: "d1", Regulation: "gdpr"},
	))
	for _, s := range append(book.subjects(), Subject{OrganizationUserID: "nobody"}) {
		data, err := book.state(s).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s State
		if s.UnmarshalBinary(data) != nil {
			return
		}
		if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is accepted and written as %x, %v", data, again, err)
		}
		Project(Combine("ana", &s, []*State{stored(t, &s)}), rulesOf("gdpr")) // must not panic
	})
}

func TestStoredFormIsIdentity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for subject, s := range fill(genArrivals().Draw(t, "messages")).states {
			want, _ := s.MarshalBinary()
			got, _ := stored(t, s).MarshalBinary()
			if !bytes.Equal(want, got) {
				t.Fatalf("%v is stored as %x, then as %x", subject, want, got)
			}
		}
	})
}

// By how the stored form begins it is seen whether anything follows from a linked
// Didomi user: then, and only then, does it say something of its own; and whoever is
// linked to one that says nothing is as they are without.
func TestSaysNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		states := []*State{{}, {gone: true}, {link: &Link{OrganizationUserID: "ana", At: at(1)}}, {deleted: tombstones{{"e", 1}}}}
		for _, s := range fill(genArrivals().Draw(t, "messages")).states {
			states = append(states, s)
		}
		for _, s := range states {
			form, _ := s.MarshalBinary()
			nothing := bytes.HasPrefix(form, []byte(SaysNothing))
			if nothing != (s.Silent() && len(s.deleted) == 0) {
				t.Fatalf("%x says nothing: %t", form, nothing)
			}
			for _, own := range states {
				if nothing && !reflect.DeepEqual(Combine("ana", own, nil), Combine("ana", own, []*State{s})) {
					t.Fatalf("%x adds to a person", form)
				}
			}
		}
	})
}
