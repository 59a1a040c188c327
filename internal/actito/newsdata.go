package actito

import (
	"strings"
	"unicode"
)

// telling is what an event tells of something that may be a subscription.
type telling struct {
	name  string
	value any
}

// look finds attributes and subscriptions in an event's data. They stand side by
// side in it, as far as is known; places that a profile's answer has are looked
// into as well.
func (r *newsReader) look(data map[string]any) (keys map[string]string, told []telling) {
	keys = map[string]string{}
	places := []map[string]any{data}
	if profile, ok := field(data, "profile").(map[string]any); ok {
		places = append(places, profile)
	}
	for _, place := range places {
		flat := []map[string]any{place}
		if attributes, ok := pairs(field(place, "attributes"), nil, "value", "values"); ok {
			flat = append(flat, attributes)
		}
		for _, object := range flat {
			for name, v := range object {
				told = append(told, telling{name, v})
				if value := scalar(v); value != "" && !strings.ContainsRune(value, 0) && !r.known.resembles(name) {
					keys[name] = value
				}
			}
		}
		told = append(told, subscriptionsIn(place)...)
	}
	return keys, told
}

// subscriptionsIn reads what stands under "subscriptions": values by name, a
// list of names with values, or one name, whose value may stand beside it. A
// name alone tells nothing.
func subscriptionsIn(place map[string]any) (told []telling) {
	for _, key := range []string{"subscriptions", "subscription", "subscriptionName"} {
		switch v := field(place, key).(type) {
		case string:
			told = append(told, telling{v, field(place, subscriptionValue...)})
		case []any:
			for _, element := range v {
				if object, ok := element.(map[string]any); ok {
					told = append(told, telling{nameOf(object), object})
				}
			}
		case map[string]any:
			if name := text(field(v, "name")); name != "" && has(v, subscriptionValue...) {
				told = append(told, telling{name, v})
				continue
			}
			for name, value := range v {
				told = append(told, telling{name, value})
			}
		}
	}
	return told
}

// knownNames are a table's subscriptions, to be found in any letter case.
type knownNames struct {
	exact  map[string]bool
	folded map[string][]string
}

func newKnownNames(names []string) knownNames {
	k := knownNames{exact: map[string]bool{}, folded: map[string][]string{}}
	for _, name := range names {
		if !k.exact[name] {
			k.exact[name] = true
			k.folded[fold(name)] = append(k.folded[fold(name)], name)
		}
	}
	return k
}

func (k knownNames) resembles(name string) bool { return len(k.folded[fold(name)]) > 0 }

// settle gives the subscriptions that are on or off without doubt.
func (k knownNames) settle(told []telling) map[string]bool {
	spelled := map[string]string{} // how a name was told, by its folded form
	doubtful := map[string]bool{}  // told in two spellings: only an exact one counts
	for _, t := range told {
		folded := fold(t.name)
		if before, again := spelled[folded]; again && before != t.name {
			doubtful[folded] = true
		}
		spelled[folded] = t.name
	}
	on, off := map[string]bool{}, map[string]bool{}
	for _, t := range told {
		name, folded := t.name, fold(t.name)
		if !k.exact[name] {
			like := k.folded[folded]
			if len(like) != 1 || doubtful[folded] {
				continue
			}
			name = like[0]
		}
		value := t.value
		if object, ok := value.(map[string]any); ok {
			value = field(object, subscriptionValue...)
		}
		if yes, ok := truth(value); ok {
			on[name], off[name] = on[name] || yes, off[name] || !yes
		}
	}
	settled := map[string]bool{}
	for name, yes := range on {
		if yes != off[name] {
			settled[name] = yes
		}
	}
	return settled
}

// fold gives one form to all texts that strings.EqualFold takes for equal.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}
