package consent

import (
	"encoding/json"
	"slices"
	"strings"
)

// Held is one choice of a view.
type Held struct {
	Key
	Verdict
}

// View is what follows from a person's own state and from the states of the
// Didomi users linked to them.
type View struct {
	OrganizationUserID string
	// Choices are sorted by regulation, then by choice.
	Choices []Held
	lists   map[listKey]list
	texts   map[textKey]Text
}

// Combine makes the view of a person. What a linked Didomi user withdrew
// follows always; what it granted follows only where neither the person nor
// another linked user holds a withdrawal of that choice (R7). A Didomi user
// that was deleted keeps its withdrawals only (R6).
//
// The result depends on the set of states, not on their order.
func Combine(organizationUserID string, own *State, linked []*State) View {
	v := View{
		OrganizationUserID: organizationUserID,
		lists:              make(map[listKey]list, len(own.lists)),
		texts:              make(map[textKey]Text, len(own.texts)),
	}
	all := append([]*State{own}, linked...)
	keys := make(map[Key]Record)
	for _, s := range all {
		for k := range s.choices {
			keys[k] = Record{}
		}
		for k, l := range s.lists {
			v.lists[k] = v.lists[k].join(l)
		}
	}
	for _, k := range sortedKeys(keys) {
		if verdict, said := combineChoice(k, own, linked); said {
			v.Choices = append(v.Choices, Held{k, verdict})
		}
	}
	for _, s := range all {
		if s.gone {
			continue
		}
		for k, t := range s.texts {
			if old, held := v.texts[k]; !held || t.newer(old) {
				v.texts[k] = t
			}
		}
	}
	return v
}

func (l list) join(o list) list {
	j := list{Rest: l.Rest.join(o.Rest), Newest: l.Newest, Order: l.Order}
	if o.Newest != nil && (l.Newest == nil || o.Newest.newer(*l.Newest) ||
		!l.Newest.newer(*o.Newest) && slices.Compare(o.Order, l.Order) > 0) {
		j.Newest, j.Order = o.Newest, o.Order
	}
	return j
}

// of gives what the state says of a choice. A value of a preference that the
// state never met is refused by all the lists that it did meet.
func (s *State) of(k Key) Record {
	if r, held := s.choices[k]; held || k.Kind != OfValue {
		return r
	}
	return s.lists[k.list()].Rest
}

func combineChoice(k Key, own *State, linked []*State) (Verdict, bool) {
	// Deletions are resolved state by state, so that the joined record needs
	// no tombstones but the person's own.
	total := own.of(k)
	refusals := 0
	if total.refused(own.deleted) {
		refusals++
	}
	records := make([]Record, len(linked))
	for i, s := range linked {
		records[i] = s.of(k)
		if records[i].refused(s.deleted) {
			refusals++
		}
	}
	for i, s := range linked {
		r := records[i]
		total = total.join(r.withdrawals(s.deleted))
		others := refusals
		if r.refused(s.deleted) {
			others--
		}
		_, deleted := r.deletion(s.deleted)
		if others == 0 && !s.gone && !deleted {
			total = total.join(Record{Grant: r.Grant, SnapOn: r.SnapOn})
		}
	}
	return total.verdict(own.deleted)
}

// on tells what the view says of a path under one regulation. When several
// choices build the same string the restrictive one counts and shared is set
// (R10).
func (v *View) on(regulation, path string) (verdict Verdict, shared, said bool) {
	consider := func(now Verdict) {
		if said {
			shared = true
		}
		if !said || !now.Enabled && verdict.Enabled || now.Enabled == verdict.Enabled && now.At > verdict.At {
			verdict = now
		}
		said = true
	}
	for _, h := range v.Choices {
		if h.Regulation == regulation && h.Path() == path {
			consider(h.Verdict)
		}
	}
	// A value that no list has named is refused by every list there is.
	for k, l := range v.lists {
		value, ok := strings.CutPrefix(path, selectionPrefix(k.Purpose, k.Preference))
		if k.Regulation != regulation || !ok {
			continue
		}
		value, ok = strings.CutSuffix(value, enabledSuffix)
		if !ok || value == "" || v.holds(k.key(value)) {
			continue
		}
		if refusal, ok := l.Rest.verdict(nil); ok {
			consider(refusal)
		}
	}
	return verdict, shared, said
}

func (v *View) holds(k Key) bool {
	_, found := slices.BinarySearchFunc(v.Choices, k, func(h Held, k Key) int { return compareKeys(h.Key, k) })
	return found
}

// text gives the newest text for a path among the regulations; said is false
// when nobody ever gave one. A cleared text is a JSON null.
func (v *View) text(regulations []string, path string) (value json.RawMessage, said bool) {
	if path == userIDPath {
		b, err := json.Marshal(v.OrganizationUserID)
		return b, err == nil
	}
	var newest Text
	for _, r := range regulations {
		if t, held := v.texts[textKey{r, path}]; held && (!said || t.newer(newest)) {
			newest, said = t, true
		}
	}
	if said {
		return newest.Value, true
	}
	return v.selectionText(regulations, path)
}

// selectionText gives the chosen values of a preference as Didomi writes them:
// ids in one string, separated by commas.
func (v *View) selectionText(regulations []string, path string) (json.RawMessage, bool) {
	var found *listKey
	for k := range v.lists {
		if slices.Contains(regulations, k.Regulation) && selectionPath(k.Purpose, k.Preference) == path &&
			(found == nil || compareKeys(k.key(""), found.key("")) < 0) {
			found = &k
		}
	}
	if found == nil {
		return nil, false
	}
	order := v.lists[*found].Order
	chosen := []string{}
	for _, h := range v.Choices {
		if h.Kind == OfValue && h.list() == *found && h.Enabled {
			chosen = append(chosen, h.Value)
		}
	}
	slices.SortStableFunc(chosen, func(a, b string) int { return place(order, a) - place(order, b) })
	b, err := json.Marshal(strings.Join(chosen, ","))
	return b, err == nil
}

func place(order []string, value string) int {
	if i := slices.Index(order, value); i >= 0 {
		return i
	}
	return len(order)
}

// metadataKeys lists the keys of metadata known under the regulations, sorted.
func (v *View) metadataKeys(regulations []string) []string {
	var keys []string
	for k := range v.texts {
		if name, ok := strings.CutPrefix(k.Name, metadataPrefix); ok && slices.Contains(regulations, k.Regulation) {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
