package consent

import (
	"cmp"
	"maps"
	"slices"

	"pgregory.net/rapid"
)

// book is the reference for a store: it keeps the states and routes what
// messages say to them.
type book struct {
	states map[Subject]*State
	buried map[string]Time             // tombstones by event id, the earliest
	about  map[string]map[Subject]bool // whom the events are about
}

func newBook() *book {
	return &book{map[Subject]*State{}, map[string]Time{}, map[string]map[Subject]bool{}}
}

func (b *book) state(s Subject) *State {
	if b.states[s] == nil {
		b.states[s] = &State{}
	}
	return b.states[s]
}

func (b *book) accept(a arrival) {
	e := Resolve(a.Message, a.Arrived)
	for _, st := range e.Statements {
		b.state(e.Subject).Apply(st)
		b.record(st.EventID, e.Subject)
	}
	if t := e.Tombstone; t != nil {
		if old, held := b.buried[t.EventID]; !held || t.At < old {
			b.buried[t.EventID] = t.At
		}
		for s := range b.about[t.EventID] {
			b.state(s).Delete(*t)
		}
	}
	user := Subject{DidomiUserID: e.DidomiUserID}
	if e.Link != nil {
		b.state(user).Identify(*e.Link)
	}
	if e.Unlink {
		b.state(user).Leave()
	}
}

// record keeps whom an event is about and applies its deletion if that came first.
func (b *book) record(event string, s Subject) {
	if event == "" {
		return
	}
	if b.about[event] == nil {
		b.about[event] = map[Subject]bool{}
	}
	b.about[event][s] = true
	if t, held := b.buried[event]; held {
		b.state(s).Delete(Tombstone{event, t})
	}
}

func (b *book) subjects() []Subject {
	return slices.SortedFunc(maps.Keys(b.states), func(x, y Subject) int {
		return cmp.Or(cmp.Compare(x.OrganizationUserID, y.OrganizationUserID), cmp.Compare(x.DidomiUserID, y.DidomiUserID))
	})
}

// linked gives the Didomi users of a person, in the random order of a map.
func (b *book) linked(person string) map[Subject]*State {
	users := map[Subject]*State{}
	for subject, s := range b.states {
		if !subject.Person() && s.LinkedTo() == person {
			users[subject] = s
		}
	}
	return users
}

func (b *book) view(person string) View {
	own := b.states[Subject{OrganizationUserID: person}]
	if own == nil {
		own = &State{}
	}
	return Combine(person, own, slices.Collect(maps.Values(b.linked(person))))
}

// bytes gives the stored form of all states.
func (b *book) bytes(tb rapid.TB) []byte {
	tb.Helper()
	var all []byte
	for _, s := range b.subjects() {
		all = append(all, s.OrganizationUserID+"/"+s.DidomiUserID+":"...)
		var err error
		if all, err = b.states[s].AppendBinary(all); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// reopen puts every state through its stored form.
func (b *book) reopen(tb rapid.TB) {
	tb.Helper()
	for subject, s := range b.states {
		b.states[subject] = stored(tb, s)
	}
}

func stored(tb rapid.TB, s *State) *State {
	tb.Helper()
	data, err := s.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	var back State
	if err := back.UnmarshalBinary(data); err != nil {
		tb.Fatalf("a state's own form is refused: %v", err)
	}
	return &back
}
