package consent

import (
	"encoding/json"
	"slices"
)

// Subscription is one that the table had when the snapshot was taken.
type Subscription struct {
	Name string `json:"name"`
	// Since is when a snapshot first showed it. What we knew of a profile
	// before that is about another subscription of the same name (R12).
	Since Time `json:"since"`
}

// Snapshot is the structure of the profile table at activation. Only what
// stands in it is synchronized.
type Snapshot struct {
	TakenAt       Time           `json:"taken_at"`
	TableID       string         `json:"table_id"`
	Subscriptions []Subscription `json:"subscriptions"`
	Attributes    []Attribute    `json:"attributes"`
	// RestoredAt is when the database was last brought back to an older state.
	// What people chose and what the CRM confirmed between that state and then
	// is not known.
	RestoredAt Time `json:"restored_at,omitempty"`
	// GrantsApproved says that grants from before RestoredAt may be sent all the
	// same: somebody has seen to it that no withdrawal is missing.
	GrantsApproved bool `json:"grants_approved,omitempty"`
}

// HoldsGrants tells whether grants from before a restore are left out.
func (s *Snapshot) HoldsGrants() bool { return s.RestoredAt > 0 && !s.GrantsApproved }

// outdated tells whether a fact may have changed in the time that a restore has
// made us forget.
func (s *Snapshot) outdated(f Fact) bool { return s.RestoredAt > 0 && f.ConfirmedAt <= s.RestoredAt }

// Subscription finds a subscription by name.
func (s *Snapshot) Subscription(name string) (Subscription, bool) {
	i := slices.IndexFunc(s.Subscriptions, func(x Subscription) bool { return x.Name == name })
	if i < 0 {
		return Subscription{}, false
	}
	return s.Subscriptions[i], true
}

// Attribute finds an attribute by name.
func (s *Snapshot) Attribute(name string) (Attribute, bool) {
	i := slices.IndexFunc(s.Attributes, func(x Attribute) bool { return x.Name == name })
	if i < 0 {
		return Attribute{}, false
	}
	return s.Attributes[i], true
}

// SubscriptionNames lists the snapshot's subscriptions, in its order.
func (s *Snapshot) SubscriptionNames() []string {
	names := make([]string, len(s.Subscriptions))
	for i, x := range s.Subscriptions {
		names[i] = x.Name
	}
	return names
}

// Rules are what an integration says about how a view becomes a profile.
type Rules struct {
	Regulations   []string
	Subscriptions []Mapping
	// AllMetadata makes every key of the metadata an attribute of its own
	// name; otherwise Attributes tells which texts become attributes.
	AllMetadata bool
	Attributes  []Mapping
	UniqueKey   string
	Snapshot    Snapshot
}

// WantedSubscription is a subscription as it should be, and why.
type WantedSubscription struct {
	On   bool
	At   Time // consent time of the choice behind it
	Path string
	// Reason tells what it rests on.
	Reason Reason
	// Shared says that several choices build the mapped path and that the
	// restrictive one counted (R10).
	Shared bool
}

// WantedAttribute is an attribute as it should be; a nil Value clears it.
type WantedAttribute struct {
	Value any
	Path  string
}

// LeftOut is something that a mapping or the metadata names and that is not
// sent, and why.
type LeftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	// Attribute tells attributes from subscriptions.
	Attribute bool `json:"attribute,omitempty"`
	// Detail is what the other end said, where it did.
	Detail string `json:"detail,omitempty"`
}

// Projection is what the CRM should hold of a person. A subscription or
// attribute that does not occur in it is left as it is: absence is neither
// consent nor withdrawal.
type Projection struct {
	Subscriptions map[string]WantedSubscription
	Attributes    map[string]WantedAttribute
	LeftOut       []LeftOut
}

// Project says what one integration wants a person's profile to hold. A
// subscription is on only when every listed regulation that holds a choice for
// it allows it (R8).
func Project(v View, r Rules) Projection {
	p := Projection{
		Subscriptions: make(map[string]WantedSubscription, len(r.Subscriptions)),
		Attributes:    make(map[string]WantedAttribute),
	}
	for _, m := range r.Subscriptions {
		if _, there := r.Snapshot.Subscription(m.ID); !there {
			p.leaveOut(m.ID, "the snapshot of the table has no such subscription", false)
			continue
		}
		w, oldest, said := wanted(&v, r.Regulations, m.Value)
		switch {
		case !said:
			p.leaveOut(m.ID, ReasonUnsaid(m.Value), false)
		case w.On && oldest <= r.Snapshot.RestoredAt && r.Snapshot.HoldsGrants():
			p.leaveOut(m.ID, "granted before a backup was restored, which may lack a newer withdrawal: it waits for newer consent, or for a yes", false)
		default:
			p.Subscriptions[m.ID] = w
		}
	}
	for _, m := range r.attributeMappings(&v) {
		if raw, said := v.text(r.Regulations, m.Value); said {
			p.attribute(m, raw, &r)
		}
	}
	return p
}

// ReasonUnsaid is why a subscription is left out of which nobody chose the path.
func ReasonUnsaid(path string) string { return "no choice is known for " + path }

// wanted also gives the time of the oldest grant that the subscription needs, if
// it is on.
func wanted(v *View, regulations []string, path string) (w WantedSubscription, oldest Time, said bool) {
	w = WantedSubscription{On: true, Path: path}
	for _, regulation := range regulations {
		verdict, shared, ok := v.on(regulation, path)
		if !ok {
			continue
		}
		w.Shared = w.Shared || shared
		if !said || verdict.At < oldest {
			oldest = verdict.At
		}
		// The refusals among the regulations decide, the newest dates them;
		// where there is none, the newest grant dates the subscription.
		switch {
		case !said, w.On && !verdict.Enabled, w.On == verdict.Enabled && verdict.At > w.At:
			w.On, w.At, w.Reason = verdict.Enabled, verdict.At, verdict.Reason
		}
		said = true
	}
	return w, oldest, said
}

func (r *Rules) attributeMappings(v *View) []Mapping {
	if !r.AllMetadata {
		return r.Attributes
	}
	var all []Mapping
	for _, key := range v.metadataKeys(r.Regulations) {
		all = append(all, Mapping{ID: key, Value: metadataPrefix + key})
	}
	return all
}

func (p *Projection) attribute(m Mapping, raw json.RawMessage, r *Rules) {
	attribute, there := r.Snapshot.Attribute(m.ID)
	switch {
	case !there:
		p.leaveOut(m.ID, "the snapshot of the table has no such attribute", true)
	case m.ID == r.UniqueKey:
		p.leaveOut(m.ID, "it is the unique key, which is never overwritten", true)
	case attribute.Generated:
		p.leaveOut(m.ID, "Actito itself writes this attribute", true)
	default:
		value, err := attribute.Convert(raw)
		if err != nil {
			p.leaveOut(m.ID, "the value "+MessageOf(err), true)
			return
		}
		p.Attributes[m.ID] = WantedAttribute{Value: value, Path: m.Value}
	}
}

func (p *Projection) leaveOut(name, reason string, attribute bool) {
	p.LeftOut = append(p.LeftOut, LeftOut{Name: name, Reason: reason, Attribute: attribute})
}
