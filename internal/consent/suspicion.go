package consent

import (
	"maps"
	"slices"
	"strings"
)

func (f Fact) refuses(value any) bool { return f.Refused != nil && *f.Refused == TextOf(value) }

// Portion gives what of a difference may go in the next call; rest tells that
// something has to follow.
//
// A withdrawal never travels with attributes that the CRM has not accepted
// once, for this profile or, as proven tells, for another (R17). Suspect
// attributes, and those that the caller distrusts because they were refused for
// others, go last and one by one, so that one bad value costs the others
// nothing.
func (d Difference) Portion(known Known, distrusted, proven map[string]bool) (now Difference, rest bool) {
	now = Difference{Subscriptions: d.Subscriptions, Attributes: map[string]any{}}
	for name, value := range d.Attributes {
		fact, held := known.Attributes[name]
		suspect := fact.Suspect || distrusted[name]
		accepted := held && !fact.Unknown || proven[name]
		if !suspect && (accepted || !d.Withdraws()) {
			now.Attributes[name] = value
		}
	}
	if now.Empty() && len(d.Attributes) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(d.Attributes)))
		now.Attributes[first] = d.Attributes[first]
	}
	return now, len(now.Attributes) < len(d.Attributes)
}

// Suspect gives what is known once a call with these attributes was refused.
// When the call carried nothing but one of them, that value is refused for
// certain; otherwise each may be the bad one.
func (k Known) Suspect(attributes map[string]any, certain bool, why string) Known {
	k = k.clone()
	for name, value := range attributes {
		f, held := k.Attributes[name]
		if !held {
			f.Unknown = true
		}
		if certain {
			text := TextOf(value)
			f.Refused, f.Why, f.Suspect = &text, why, false
		} else {
			f.Suspect = true
		}
		k.Attributes[name] = f
	}
	return k
}

// Forgive gives what is known without any memory of refusals, so that what was
// refused is tried again.
func (k Known) Forgive() Known {
	k = k.clone()
	for name, f := range k.Attributes {
		f.Suspect, f.Refused, f.Why = false, nil, ""
		k.Attributes[name] = f
	}
	return k
}

// WithoutGrants gives the difference without what it turns on.
func (d Difference) WithoutGrants() Difference {
	off := make(map[string]bool)
	for name, on := range d.Subscriptions {
		if !on {
			off[name] = false
		}
	}
	return Difference{Subscriptions: off, Attributes: d.Attributes}
}

// ReasonRefused is why a value is left out that the CRM refused.
const ReasonRefused = "Actito refused the value"

// Refusals lists the wanted attributes that the CRM refused.
func (k Known) Refusals(p Projection) []LeftOut {
	var out []LeftOut
	for name, want := range p.Attributes {
		if f := k.Attributes[name]; f.refuses(want.Value) {
			out = append(out, LeftOut{Name: name, Reason: ReasonRefused, Detail: f.Why, Attribute: true})
		}
	}
	slices.SortFunc(out, func(a, b LeftOut) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Withdraws tells whether a subscription should be off.
func (p Projection) Withdraws() bool {
	for _, w := range p.Subscriptions {
		if !w.On {
			return true
		}
	}
	return false
}

// Grants tells whether a subscription should be on.
func (p Projection) Grants() bool {
	for _, w := range p.Subscriptions {
		if w.On {
			return true
		}
	}
	return false
}
