package consent

import "encoding/binary"

// The stored form of a state. A million people each have one, and every
// accepted event reads and writes one, so it is compact: a version, then
// tables in the order of their keys; a string is its length and its bytes; a
// number is a varint. A mark is written as its distance from the mark before
// it, since the choices of one event share their times and the event's id.
//
// The form is canonical: a state has one form, and a form that is not the one
// that MarshalBinary would write is refused.
const codecVersion = 1

// SaysNothing is how the form of a Didomi user begins, and of nobody else, from whom
// nothing follows for the person that they are linked to: of whom no choice, no list
// of values, no text and no deletion is known. That is so of whoever was only ever
// seen under the person's id.
const SaysNothing = "\x01\x00\x00\x00\x00"

// The bits that say which marks of a record and which parts of a state follow.
const (
	allMarks = 1<<5 - 1

	hasLink   = 1
	isGone    = 2
	wasErased = 4
	allParts  = hasLink | isGone | wasErased
)

// MarshalBinary writes the canonical form.
func (s *State) MarshalBinary() ([]byte, error) {
	return s.AppendBinary(make([]byte, 0, 128*(1+len(s.choices)+len(s.lists)+len(s.texts))))
}

// AppendBinary appends the canonical form to b.
func (s *State) AppendBinary(b []byte) ([]byte, error) {
	e := encoder{b: append(b, codecVersion)}
	e.count(len(s.choices))
	for _, c := range s.choices {
		e.strings(c.key.Regulation, c.key.Purpose, c.key.Preference, c.key.Channel, c.key.Value)
		e.b = append(e.b, byte(c.key.Kind))
		e.record(c.value)
	}
	e.count(len(s.lists))
	for _, l := range s.lists {
		e.strings(l.key.Regulation, l.key.Purpose, l.key.Preference)
		e.record(l.value.Rest)
		e.stamp(l.value.Newest.At, l.value.Newest.EventID)
		e.count(len(l.value.Order))
		e.strings(l.value.Order...)
	}
	e.count(len(s.texts))
	for _, t := range s.texts {
		e.strings(t.key.Regulation, t.key.Name, string(t.value.Value))
		e.stamp(t.value.At, t.value.EventID)
	}
	e.count(len(s.deleted))
	for _, d := range s.deleted {
		e.strings(string(d.key))
		e.time(d.value)
	}
	var parts byte
	if s.link != nil {
		parts |= hasLink
	}
	if s.gone {
		parts |= isGone
	}
	if s.erased != 0 {
		parts |= wasErased
	}
	e.b = append(e.b, parts)
	if s.link != nil {
		e.strings(s.link.OrganizationUserID)
		e.stamp(s.link.At, s.link.EventID)
	}
	if s.erased != 0 {
		e.time(s.erased)
	}
	return e.b, nil
}

type encoder struct {
	b    []byte
	last Mark
}

func (e *encoder) count(n int) { e.b = binary.AppendUvarint(e.b, uint64(n)) } //nolint:gosec // lengths are not negative

func (e *encoder) strings(list ...string) {
	for _, s := range list {
		e.count(len(s))
		e.b = append(e.b, s...)
	}
}

func (e *encoder) time(t Time) { e.b = binary.AppendVarint(e.b, int64(t)) }

func (e *encoder) record(r Record) {
	at := len(e.b)
	e.b = append(e.b, 0)
	for i, m := range [...]*Mark{r.Grant, r.Off, r.Undated, r.SnapOn, r.SnapOff} {
		if m != nil {
			e.b[at] |= 1 << i
			e.mark(*m)
		}
	}
}

func (e *encoder) mark(m Mark) {
	e.stamp(m.At, m.EventID)
	e.time(m.Arrived - e.last.Arrived)
	e.last.Arrived = m.Arrived
}

// stamp writes an event id as its length plus one, and zero for the same again.
func (e *encoder) stamp(at Time, eventID string) {
	e.time(at - e.last.At)
	if eventID == e.last.EventID {
		e.count(0)
	} else {
		e.count(len(eventID) + 1)
		e.b = append(e.b, eventID...)
	}
	e.last.At, e.last.EventID = at, eventID
}
