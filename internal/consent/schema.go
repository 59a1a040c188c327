package consent

import "slices"

// SchemaDifference is what a table has otherwise than its snapshot. A
// subscription or an attribute that was renamed is one removed and one added:
// Actito says no more.
type SchemaDifference struct {
	SubscriptionsAdded   []string          `json:"subscriptions_added"`
	SubscriptionsRemoved []string          `json:"subscriptions_removed"`
	AttributesAdded      []string          `json:"attributes_added"`
	AttributesRemoved    []string          `json:"attributes_removed"`
	AttributesChanged    []AttributeChange `json:"attributes_changed"`
}

// AttributeChange is an attribute that takes something else than it did.
type AttributeChange struct {
	Was Attribute `json:"was"`
	Is  Attribute `json:"is"`
}

// Empty tells whether nothing differs.
func (d *SchemaDifference) Empty() bool {
	return len(d.SubscriptionsAdded)+len(d.SubscriptionsRemoved)+len(d.AttributesAdded)+len(d.AttributesRemoved)+len(d.AttributesChanged) == 0
}

// Seen is the structure of a table as it was looked at after its snapshot was
// taken.
type Seen struct {
	LookedAt Time `json:"looked_at"`
	// Subscriptions is empty where the answer did not tell them: every table of
	// Actito has at least one.
	Subscriptions []string    `json:"subscriptions"`
	Attributes    []Attribute `json:"attributes"`
}

// Same tells whether two looks saw the same.
func (s *Seen) Same(o *Seen) bool {
	return slices.Equal(s.Subscriptions, o.Subscriptions) && slices.Equal(s.Attributes, o.Attributes)
}

// Differs tells what a look saw otherwise than the snapshot has it. A look that
// is older than the snapshot tells nothing.
func (s *Snapshot) Differs(seen *Seen) SchemaDifference {
	d := SchemaDifference{
		SubscriptionsAdded: []string{}, SubscriptionsRemoved: []string{}, AttributesAdded: []string{}, AttributesRemoved: []string{},
		AttributesChanged: []AttributeChange{},
	}
	if seen.LookedAt <= s.TakenAt {
		return d
	}
	if len(seen.Subscriptions) > 0 {
		had := s.SubscriptionNames()
		d.SubscriptionsAdded = without(seen.Subscriptions, had)
		d.SubscriptionsRemoved = without(had, seen.Subscriptions)
	}
	for _, is := range seen.Attributes {
		was, had := s.Attribute(is.Name)
		switch {
		case !had:
			d.AttributesAdded = append(d.AttributesAdded, is.Name)
		case was != is:
			d.AttributesChanged = append(d.AttributesChanged, AttributeChange{was, is})
		}
	}
	for _, was := range s.Attributes {
		if !slices.ContainsFunc(seen.Attributes, func(is Attribute) bool { return is.Name == was.Name }) && len(seen.Attributes) > 0 {
			d.AttributesRemoved = append(d.AttributesRemoved, was.Name)
		}
	}
	return d
}

func without(names, others []string) []string {
	left := []string{}
	for _, name := range names {
		if !slices.Contains(others, name) {
			left = append(left, name)
		}
	}
	return left
}
