package storetest

import "consentsync/internal/consent"

// reference is what the domain alone makes of messages: it keeps the states in
// memory and routes what messages say to them.
type reference struct {
	states map[consent.Subject]*consent.State
	buried map[string]consent.Time             // tombstones by event id, the earliest
	about  map[string]map[consent.Subject]bool // whom the events are about
}

func newReference() *reference {
	return &reference{map[consent.Subject]*consent.State{}, map[string]consent.Time{}, map[string]map[consent.Subject]bool{}}
}

func (r *reference) state(s consent.Subject) *consent.State {
	if r.states[s] == nil {
		r.states[s] = &consent.State{}
	}
	return r.states[s]
}

func (r *reference) accept(m *consent.Message, arrived consent.Time) {
	e := consent.Resolve(m, arrived)
	for _, st := range e.Statements {
		r.state(e.Subject).Apply(st)
		r.record(st.EventID, e.Subject)
	}
	if t := e.Tombstone; t != nil {
		if old, held := r.buried[t.EventID]; !held || t.At < old {
			r.buried[t.EventID] = t.At
		}
		for s := range r.about[t.EventID] {
			r.state(s).Delete(*t)
		}
	}
	user := consent.Subject{DidomiUserID: e.DidomiUserID}
	if e.Link != nil {
		r.state(user).Identify(*e.Link)
	}
	if e.Unlink {
		r.state(user).Leave()
	}
}

// record keeps whom an event is about and applies its deletion if that came
// first.
func (r *reference) record(event string, s consent.Subject) {
	if event == "" {
		return
	}
	if r.about[event] == nil {
		r.about[event] = map[consent.Subject]bool{}
	}
	r.about[event][s] = true
	if t, held := r.buried[event]; held {
		r.state(s).Delete(consent.Tombstone{EventID: event, At: t})
	}
}

func (r *reference) view(person string) consent.View {
	var linked []*consent.State
	for subject, s := range r.states {
		if !subject.Person() && s.LinkedTo() == person {
			linked = append(linked, s)
		}
	}
	own := r.states[consent.Subject{OrganizationUserID: person}]
	if own == nil {
		own = &consent.State{}
	}
	return consent.Combine(person, own, linked)
}
