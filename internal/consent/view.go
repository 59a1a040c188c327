package consent

import (
	"encoding/json"
	"iter"
	"slices"
	"strconv"
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
	named   []Key // all that any state names, sorted, whether it has a verdict or not
	lists   table[listKey, list]
	texts   table[textKey, Text]
}

// Combine makes the view of a person. What a linked Didomi user withdrew
// follows always; what it granted follows only where neither the person nor
// another linked user holds a withdrawal of that choice (R7). A Didomi user
// that was deleted keeps its withdrawals only (R6).
//
// The result depends on the set of states, not on their order.
func Combine(organizationUserID string, own *State, linked []*State) View {
	v := View{OrganizationUserID: organizationUserID}
	all := append([]*State{own}, linked...)
	var deleted tombstones
	for _, s := range all {
		for _, e := range s.choices {
			v.named = append(v.named, e.key)
		}
		for _, e := range s.deleted {
			if at, held := deleted.get(e.key); !held || e.value < at {
				deleted.set(e.key, e.value)
			}
		}
		v.add(s)
	}
	slices.SortFunc(v.named, Key.compare)
	v.named = slices.Compact(v.named)
	for _, k := range v.named {
		if verdict, said := combine(k, all, deleted); said {
			v.Choices = append(v.Choices, Held{k, verdict})
		}
	}
	return v
}

// add takes over the lists and the texts of a state.
func (v *View) add(s *State) {
	for _, e := range s.lists {
		if s.gone {
			e.value = list{Rest: e.value.Rest}
		}
		old, _ := v.lists.get(e.key)
		v.lists.set(e.key, old.join(e.value))
	}
	if s.gone {
		return
	}
	for _, e := range s.texts {
		if old, held := v.texts.get(e.key); !held || e.value.newer(old) {
			v.texts.set(e.key, e.value)
		}
	}
}

// combine decides one choice from the states of which the first is the
// person's own.
func combine(k Key, states []*State, deleted tombstones) (Verdict, bool) {
	refusing := 0
	for _, s := range states {
		if s.of(k).holdsBack(deleted) {
			refusing++
		}
	}
	var total Record
	var end *ending
	for i, s := range states {
		r := s.of(k)
		others := refusing
		if r.holdsBack(deleted) {
			others--
		}
		end = end.join(r.ended(deleted))
		if i > 0 && (s.gone || others > 0) {
			r = r.refusals()
		}
		total = total.join(r)
	}
	return total.verdict(end)
}

// holdsBack tells whether the record withdraws the choice or ever did, so that
// no grant of another Didomi user may follow.
func (r Record) holdsBack(deleted tombstones) bool { return r.refused() || r.ended(deleted) != nil }

// on tells what the view says of a path under one regulation. When several
// choices build the same string the restrictive one counts and shared is set
// (R10).
func (v *View) on(regulation, path string) (verdict Verdict, shared, said bool) {
	consider := func(now Verdict) {
		shared = said
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
	for _, e := range v.lists {
		if e.key.Regulation != regulation {
			continue
		}
		value, ok := strings.CutPrefix(path, selectionPrefix(e.key.Purpose, e.key.Preference))
		if !ok {
			continue
		}
		value, ok = strings.CutSuffix(value, enabledSuffix)
		if !ok || value == "" || v.names(e.key.key(value)) {
			continue
		}
		if refusal, ok := e.value.Rest.verdict(nil); ok {
			consider(refusal)
		}
	}
	return verdict, shared, said
}

func (v *View) names(k Key) bool {
	_, found := slices.BinarySearchFunc(v.named, k, Key.compare)
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
		if t, held := v.texts.get(textKey{r, path}); held && (!said || t.newer(newest)) {
			newest, said = t, true
		}
	}
	if said {
		return newest.Value, true
	}
	return v.selectionText(regulations, path)
}

// selectionText gives the chosen values of a preference as Didomi writes them:
// ids in one string, separated by commas. Of several preferences that build
// the same path, the one chosen last counts.
func (v *View) selectionText(regulations []string, path string) (json.RawMessage, bool) {
	var found *entry[listKey, list]
	for i := range v.lists {
		e := &v.lists[i]
		if e.value.Newest != nil && slices.Contains(regulations, e.key.Regulation) &&
			selectionPath(e.key.Purpose, e.key.Preference) == path &&
			(found == nil || e.value.Newest.newer(*found.value.Newest)) {
			found = e
		}
	}
	if found == nil {
		return nil, false
	}
	chosen := []string{}
	for _, h := range v.Choices {
		if h.Kind == OfValue && h.list() == found.key && h.Enabled {
			chosen = append(chosen, h.Value)
		}
	}
	order := found.value.Order
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
	for _, e := range v.texts {
		if name, ok := strings.CutPrefix(e.key.Name, metadataPrefix); ok && slices.Contains(regulations, e.key.Regulation) {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Texts gives each text that is known, by the path that a mapping names it by;
// one that is known under several regulations comes as often.
func (v *View) Texts() iter.Seq2[string, Text] {
	return func(yield func(string, Text) bool) {
		for _, e := range v.texts {
			if !yield(e.key.Name, e.value) {
				return
			}
		}
	}
}

// Say gives what is known under a path as a text: of a text itself, of a choice
// "true" or "false". said is false where nothing is known, or a text was cleared.
func (v *View) Say(regulations []string, path string) (text string, said bool) {
	if w, _, said := wanted(v, regulations, path); said {
		return strconv.FormatBool(w.On), true
	}
	raw, said := v.text(regulations, path)
	if !said {
		return "", false
	}
	value, err := decodeValue(raw)
	if err != nil || value == nil {
		return "", false
	}
	return TextOf(value), true
}
