package consent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// Key names a choice under a regulation.
type Key struct {
	Regulation string
	Choice
}

// listKey names a preference of which values are chosen. Within a State its
// records are kept a value at a time, with one more for all the values that
// no list has named yet.
type listKey struct{ Regulation, Purpose, Preference string }

type list struct {
	Rest   Record // what every list so far says of a value that none names
	Newest *Mark  // the list that gives the order of the values as text
	Order  []string
}

type textKey struct{ Regulation, Name string }

// Text is a piece of the user's metadata, or the country, as JSON.
type Text struct {
	At      Time
	EventID string
	Value   json.RawMessage // null clears
}

func (t Text) newer(o Text) bool {
	switch {
	case t.At != o.At:
		return t.At > o.At
	case t.EventID != o.EventID:
		return t.EventID > o.EventID
	}
	return bytes.Compare(t.Value, o.Value) > 0
}

// State is all that was said about one subject. The zero value is ready to
// use. Its JSON form is canonical: equal states have equal bytes.
type State struct {
	choices map[Key]Record
	lists   map[listKey]list
	texts   map[textKey]Text
	deleted map[string]Time // tombstones by event id
	link    *Link           // of a Didomi user
	gone    bool            // the Didomi user was deleted
}

// Change says what an input did to a state.
type Change struct {
	Changed  bool // the state is another than before
	Withdrew bool // a choice is off now that was not, or is off anew
}

func (c *Change) add(o Change) {
	c.Changed = c.Changed || o.Changed
	c.Withdrew = c.Withdrew || o.Withdrew
}

// Apply merges a statement into the state (R3, R4, R5).
func (s *State) Apply(st Statement) Change {
	var c Change
	for _, said := range st.Choices {
		c.add(s.put(Key{st.Regulation, said.Choice}, st.record(said.Enabled)))
	}
	for _, sel := range st.Selections {
		c.add(s.putList(st, sel))
	}
	for name, value := range st.Metadata {
		c.add(s.putText(textKey{st.Regulation, metadataPrefix + name}, st, value))
	}
	if st.Country != nil {
		c.add(s.putText(textKey{st.Regulation, countryPath}, st, st.Country))
	}
	return c
}

// record gives the one-mark record that the statement leaves for an answer.
func (st *Statement) record(enabled bool) Record {
	m := &Mark{At: st.At, Arrived: st.Arrived, EventID: st.EventID}
	switch {
	case st.Snapshot && enabled:
		return Record{SnapOn: m}
	case enabled:
		return Record{Grant: m}
	case st.Undated:
		return Record{Undated: m}
	case st.Snapshot:
		return Record{SnapOff: m}
	}
	return Record{Off: m}
}

func (s *State) put(k Key, r Record) Change {
	old := s.choices[k]
	return s.replace(k, old, old.join(r))
}

func (s *State) replace(k Key, old, now Record) Change {
	if old == now {
		return Change{}
	}
	if s.choices == nil {
		s.choices = make(map[Key]Record)
	}
	s.choices[k] = now
	was, _ := old.verdict(s.deleted)
	is, said := now.verdict(s.deleted)
	return Change{Changed: true, Withdrew: said && !is.Enabled && is != was}
}

// putList applies a list of chosen values: the values in it are granted, all
// others are refused, those that we have not heard of yet included.
func (s *State) putList(st Statement, sel Selection) Change {
	var c Change
	lk := listKey{st.Regulation, sel.Purpose, sel.Preference}
	l, known := s.lists[lk]
	chosen := make(map[string]bool, len(sel.Values))
	for _, v := range sel.Values {
		chosen[v] = true
		k := lk.key(v)
		old, held := s.choices[k]
		if !held {
			old = l.Rest // all lists so far left it out
		}
		c.add(s.replace(k, old, old.join(st.record(true))))
	}
	for k := range s.choices {
		if k.Kind == OfValue && k.list() == lk && !chosen[k.Value] {
			c.add(s.put(k, st.record(false)))
		}
	}
	rest := l.Rest.join(st.record(false))
	newest := &Mark{At: st.At, EventID: st.EventID}
	order := l.Order
	if l.Newest == nil || newest.newer(*l.Newest) ||
		*newest == *l.Newest && slices.Compare(sel.Values, order) > 0 {
		order = slices.Clone(sel.Values)
	} else {
		newest = l.Newest
	}
	if known && rest == l.Rest && newest == l.Newest {
		return c
	}
	if s.lists == nil {
		s.lists = make(map[listKey]list)
	}
	s.lists[lk] = list{Rest: rest, Newest: newest, Order: order}
	// Values that nobody has named may be mapped: to them the list is a refusal.
	c.add(Change{Changed: true, Withdrew: true})
	return c
}

func (k listKey) key(value string) Key {
	return Key{k.Regulation, Choice{Kind: OfValue, Purpose: k.Purpose, Preference: k.Preference, Value: value}}
}

func (k Key) list() listKey { return listKey{k.Regulation, k.Purpose, k.Preference} }

func (s *State) putText(k textKey, st Statement, value json.RawMessage) Change {
	t := Text{At: st.At, EventID: st.EventID, Value: value}
	old, held := s.texts[k]
	if held && !t.newer(old) {
		return Change{}
	}
	if s.texts == nil {
		s.texts = make(map[textKey]Text)
	}
	s.texts[k] = t
	return Change{Changed: true}
}

// Delete applies the deletion of an event, whether the event has come already
// or not (R6). Of two deletions of one event the earlier counts.
func (s *State) Delete(t Tombstone) Change {
	if at, held := s.deleted[t.EventID]; held && at <= t.At {
		return Change{}
	}
	if s.deleted == nil {
		s.deleted = make(map[string]Time)
	}
	s.deleted[t.EventID] = t.At
	for _, r := range s.choices {
		if r.Grant != nil && r.Grant.EventID == t.EventID {
			return Change{Changed: true, Withdrew: true}
		}
	}
	return Change{Changed: true}
}

// Identify records under which organization user id the Didomi user was seen.
// The earliest sighting is the link (R7).
func (s *State) Identify(l Link) Change {
	if s.link != nil && !l.before(*s.link) {
		return Change{}
	}
	s.link = &l
	return Change{Changed: true}
}

// Leave records that the Didomi user was deleted: what it withdrew stays, what
// it granted follows no longer (R6).
func (s *State) Leave() Change {
	if s.gone {
		return Change{}
	}
	s.gone = true
	return Change{Changed: true}
}

// LinkedTo gives the organization user id that a Didomi user is linked to,
// empty if none.
func (s *State) LinkedTo() string {
	if s.link == nil {
		return ""
	}
	return s.link.OrganizationUserID
}

// Empty tells whether nothing was ever said.
func (s *State) Empty() bool {
	return len(s.choices)+len(s.lists)+len(s.texts)+len(s.deleted) == 0 && s.link == nil && !s.gone
}

// sortedKeys orders keys so that every walk over a state is the same walk.
func sortedKeys(m map[Key]Record) []Key {
	keys := make([]Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b Key) int {
	return cmp.Or(
		cmp.Compare(a.Regulation, b.Regulation),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Purpose, b.Purpose),
		cmp.Compare(a.Preference, b.Preference),
		cmp.Compare(a.Channel, b.Channel),
		cmp.Compare(a.Value, b.Value),
	)
}
