package consent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Key names a choice under a regulation.
type Key struct {
	Regulation string
	Choice
}

func (k Key) compare(o Key) int {
	if c := strings.Compare(k.Regulation, o.Regulation); c != 0 {
		return c
	}
	if c := cmp.Compare(k.Kind, o.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(k.Purpose, o.Purpose); c != 0 {
		return c
	}
	if c := strings.Compare(k.Preference, o.Preference); c != 0 {
		return c
	}
	if c := strings.Compare(k.Channel, o.Channel); c != 0 {
		return c
	}
	return strings.Compare(k.Value, o.Value)
}

func (k Key) list() listKey { return listKey{k.Regulation, k.Purpose, k.Preference} }

// listKey names a preference of which values are chosen. Within a State its
// records are kept a value at a time, with one more for all the values that
// no list has named yet.
type listKey struct{ Regulation, Purpose, Preference string }

func (k listKey) compare(o listKey) int { return k.key("").compare(o.key("")) }

func (k listKey) key(value string) Key {
	return Key{k.Regulation, Choice{Kind: OfValue, Purpose: k.Purpose, Preference: k.Preference, Value: value}}
}

type list struct {
	Rest   Record   // what every list so far says of a value that none names
	Newest *Mark    // the list that gives the order of the values as text
	Order  []string // the values of that list
}

// join merges two lists; of two that are equally new the greater gives the order.
func (l list) join(o list) list {
	j := list{Rest: l.Rest.join(o.Rest), Newest: l.Newest, Order: l.Order}
	if o.Newest != nil && (l.Newest == nil || o.Newest.newer(*l.Newest) ||
		!l.Newest.newer(*o.Newest) && slices.Compare(o.Order, l.Order) > 0) {
		j.Newest, j.Order = o.Newest, o.Order
	}
	return j
}

type textKey struct{ Regulation, Name string }

func (k textKey) compare(o textKey) int {
	if c := strings.Compare(k.Regulation, o.Regulation); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

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

type eventID string

func (id eventID) compare(o eventID) int { return strings.Compare(string(id), string(o)) }

// tombstones tell when events were deleted.
type tombstones = table[eventID, Time]

// State is all that was said about one subject. The zero value is ready to
// use. Its binary form is canonical: equal states have equal bytes.
type State struct {
	choices table[Key, Record]
	lists   table[listKey, list]
	texts   table[textKey, Text]
	deleted tombstones
	link    *Link // of a Didomi user
	gone    bool  // the Didomi user was deleted
	erased  Time  // when all that was said before was erased; 0 for never
}

// Change says what an input did to a state.
type Change struct {
	Changed  bool // the state is another than before
	Withdrew bool // a choice is off now that was not, or is off anew
	// Chose says that events alone, user records apart, say something of a choice
	// that they did not say before. So it does not depend on whether the record
	// of an event came before the event itself.
	Chose bool
}

func (c *Change) add(o Change) {
	c.Changed = c.Changed || o.Changed
	c.Withdrew = c.Withdrew || o.Withdrew
	c.Chose = c.Chose || o.Chose
}

// Apply merges a statement into the state (R3, R4, R5).
func (s *State) Apply(st Statement) Change {
	var c Change
	if s.Forgot(&st) {
		return c
	}
	fresh := s.fresh(&st)
	for _, said := range st.Choices {
		if fresh || !said.Enabled {
			c.add(s.put(Key{st.Regulation, said.Choice}, st.record(said.Enabled)))
		}
	}
	for _, sel := range st.Selections {
		if !fresh {
			sel.Values = nil // what it grants is not to be taken, so that it only refuses
		}
		c.add(s.putList(st, sel))
	}
	if !fresh {
		return c
	}
	for name, value := range st.Metadata {
		c.add(s.putText(textKey{st.Regulation, metadataPrefix + name}, st, value))
	}
	if st.Country != nil {
		c.add(s.putText(textKey{st.Regulation, countryPath}, st, st.Country))
	}
	return c
}

// Erased is the state of a subject of whom all was erased at a time. What is
// kept is the time alone.
func Erased(at Time) State { return State{erased: at} }

// ErasedAt tells when all that was said of the subject was erased; 0 for never.
func (s *State) ErasedAt() Time { return s.erased }

// Forgot tells whether a statement is about what was erased: whoever fetches it or
// hands it in later only brings that back. What is told at once is never that.
func (s *State) Forgot(st *Statement) bool {
	return s.erased != 0 && st.Retold && (st.Undated || st.At <= s.erased)
}

// fresh tells whether a statement may grant: of somebody who was erased only an
// event with a date after that does. A record of the user tells of what was chosen
// at any time, and what has no date may be as old as anything. What is told later
// must not be what was erased, in another dress: it has to be dated by when it was
// made, and so long after the erasure that no clock which is ahead explains it.
func (s *State) fresh(st *Statement) bool {
	switch {
	case s.erased == 0:
		return true
	case st.Snapshot || st.Undated:
		return false
	case st.Retold:
		return !st.Revised && st.At > s.erased.Add(MaxAhead)
	}
	return st.At > s.erased
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

// of gives what the state says of a choice. A value of a preference that no
// list has named is refused by all the lists that there were.
func (s *State) of(k Key) Record {
	r, held := s.choices.get(k)
	if held || k.Kind != OfValue {
		return r
	}
	l, _ := s.lists.get(k.list())
	return l.Rest
}

func (s *State) put(k Key, r Record) Change {
	_, held := s.choices.get(k)
	old := s.of(k)
	now := old.join(r)
	if held && now == old {
		return Change{}
	}
	s.choices.set(k, now)
	return s.change(old, now)
}

func (s *State) change(old, now Record) Change {
	was, _ := old.verdict(old.ended(s.deleted))
	is, said := now.verdict(now.ended(s.deleted))
	return Change{Changed: true, Withdrew: said && !is.Enabled && is != was, Chose: s.chose(old, now)}
}

func (s *State) chose(old, now Record) bool {
	was, before := old.spoken().verdict(old.ended(s.deleted))
	is, after := now.spoken().verdict(now.ended(s.deleted))
	return after && (!before || was.Enabled != is.Enabled)
}

// Spoken tells whether an event ever said anything of the subject's choices.
func (s *State) Spoken() bool {
	for _, e := range s.choices {
		if e.value.spoken() != (Record{}) {
			return true
		}
	}
	for _, e := range s.lists {
		if e.value.Rest.spoken() != (Record{}) {
			return true
		}
	}
	return false
}

// putList applies a list of chosen values: the values in it are granted, all
// others are refused, those that we have not heard of yet included.
func (s *State) putList(st Statement, sel Selection) Change {
	var c Change
	lk := listKey{st.Regulation, sel.Purpose, sel.Preference}
	for _, v := range sel.Values {
		c.add(s.put(lk.key(v), st.record(true)))
	}
	for _, e := range s.choices {
		if e.key.Kind == OfValue && e.key.list() == lk && !slices.Contains(sel.Values, e.key.Value) {
			c.add(s.put(e.key, st.record(false)))
		}
	}
	old, held := s.lists.get(lk)
	now := old.join(list{
		Rest:   st.record(false),
		Newest: &Mark{At: st.At, EventID: st.EventID},
		Order:  slices.Clone(sel.Values),
	})
	if held && now.Rest == old.Rest && now.Newest == old.Newest {
		return c
	}
	s.lists.set(lk, now)
	// Values that nobody has named may be mapped: to them the list is a refusal.
	c.add(s.change(old.Rest, now.Rest))
	return c
}

func (s *State) putText(k textKey, st Statement, value json.RawMessage) Change {
	t := Text{At: st.At, EventID: st.EventID, Value: value}
	if old, held := s.texts.get(k); held && !t.newer(old) {
		return Change{}
	}
	s.texts.set(k, t)
	return Change{Changed: true}
}

// Delete applies the deletion of an event, whether the event has come already
// or not (R6). Of two deletions of one event the earlier counts.
func (s *State) Delete(t Tombstone) Change {
	id := eventID(t.EventID)
	if at, held := s.deleted.get(id); held && at <= t.At {
		return Change{}
	}
	c := Change{Changed: true}
	for _, e := range s.choices {
		if g := e.value.Grant; g != nil && g.EventID == t.EventID {
			v, _ := e.value.verdict(e.value.ended(s.deleted))
			c.Withdrew = c.Withdrew || v.Enabled
		}
	}
	s.deleted.set(id, t.At)
	return c
}

// Identify records under which organization user id the Didomi user was seen.
// The earliest sighting is the link (R7).
func (s *State) Identify(l Link) Change {
	if s.link != nil && !l.Before(*s.link) {
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

// Gone tells whether the Didomi user was deleted.
func (s *State) Gone() bool { return s.gone }

// Empty tells whether nothing was ever said.
func (s *State) Empty() bool {
	return s.Silent() && len(s.deleted) == 0 && s.link == nil && !s.gone && s.erased == 0
}

// Silent tells whether no choice and no text was ever said of the subject.
func (s *State) Silent() bool { return len(s.choices)+len(s.lists)+len(s.texts) == 0 }
