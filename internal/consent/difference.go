package consent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
)

// Fact is what the CRM was last known to hold in one field of a profile.
type Fact struct {
	Value any `json:"v"`
	// ConfirmedAt is when the CRM last confirmed it.
	ConfirmedAt Time `json:"c,omitempty"`
	// Unknown is set while a call that carries the field has no definite
	// answer (R13). What the field holds is then anybody's guess, and differs
	// from whatever is wanted.
	Unknown bool `json:"u,omitempty"`
	// SeenOnAt is when Actito last told that the subscription is on. It may
	// have told late.
	SeenOnAt Time `json:"o,omitempty"`
	// DoubtedAt is when what Actito told last put it in doubt.
	DoubtedAt Time `json:"d,omitempty"`
	// Suspect says that a call with this attribute among others was refused:
	// it goes alone from now on.
	Suspect bool `json:"s,omitempty"`
	// Refused is the value, as plain text, that the CRM refused for this
	// attribute, and Why what it said. It is not sent again.
	Refused *string `json:"r,omitempty"`
	Why     string  `json:"w,omitempty"`
}

// Known is what the CRM was last known to hold of a profile. A field that is
// not in it was never written nor read by us.
type Known struct {
	Subscriptions map[string]Fact `json:"s,omitempty"`
	Attributes    map[string]Fact `json:"a,omitempty"`
}

// UnmarshalJSON keeps the digits of a number as they were written: a whole
// number beyond 2^53 must not come back as another one, which would differ
// from what is wanted for ever.
func (k *Known) UnmarshalJSON(b []byte) error {
	if read, ok := readKnown(string(b)); ok && k.Subscriptions == nil && k.Attributes == nil {
		*k = read
		return nil
	}
	type fields Known
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode((*fields)(k)); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("consent: more than what is known of one profile")
	}
	return nil
}

// Difference is what has to be written to close the gap: only these fields.
type Difference struct {
	Subscriptions map[string]bool `json:"subscriptions,omitempty"`
	Attributes    map[string]any  `json:"attributes,omitempty"` // nil clears
}

// Empty tells whether nothing has to be written.
func (d Difference) Empty() bool { return len(d.Subscriptions)+len(d.Attributes) == 0 }

// Withdraws tells whether it turns a subscription off.
func (d Difference) Withdraws() bool {
	for _, on := range d.Subscriptions {
		if !on {
			return true
		}
	}
	return false
}

// Grants tells whether it turns a subscription on.
func (d Difference) Grants() bool {
	for _, on := range d.Subscriptions {
		if on {
			return true
		}
	}
	return false
}

// Without gives the difference less the fields of another.
func (d Difference) Without(o Difference) Difference {
	d.Subscriptions, d.Attributes = maps.Clone(d.Subscriptions), maps.Clone(d.Attributes)
	for name := range o.Subscriptions {
		delete(d.Subscriptions, name)
	}
	for name := range o.Attributes {
		delete(d.Attributes, name)
	}
	return d
}

// Differ compares what is wanted with what is known (R13). A withdrawal that
// is newer than what is known is due again when that was last confirmed at
// stale or before, since the CRM may have changed unseen; 0 trusts all that was
// ever confirmed. Whatever is newer than what was known when the database was
// restored is due.
func Differ(p Projection, known Known, snapshot *Snapshot, stale Time) Difference {
	d := Difference{Subscriptions: map[string]bool{}, Attributes: map[string]any{}}
	for name, want := range p.Subscriptions {
		fact, held := known.Subscriptions[name]
		subscription, _ := snapshot.Subscription(name)
		recreated := fact.ConfirmedAt < subscription.Since
		again := want.At > fact.ConfirmedAt && (snapshot.outdated(fact) || !want.On && fact.ConfirmedAt <= stale)
		if !held || fact.Unknown || recreated || again || fact.Value != any(want.On) {
			d.Subscriptions[name] = want.On
		}
	}
	for name, want := range p.Attributes {
		fact, held := known.Attributes[name]
		if fact.refuses(want.Value) {
			continue
		}
		if !held || fact.Unknown || !SameValue(fact.Value, want.Value) {
			d.Attributes[name] = want.Value
		}
	}
	return d
}

// Doubt gives what is known once a call with d is under way: the fields that
// it carries are unknown until a definite answer.
func (k Known) Doubt(d Difference) Known {
	k = k.clone()
	for name := range d.Subscriptions {
		f := k.Subscriptions[name]
		f.Unknown = true
		k.Subscriptions[name] = f
	}
	for name := range d.Attributes {
		f := k.Attributes[name]
		f.Unknown = true
		k.Attributes[name] = f
	}
	return k
}

// Confirm gives what is known once the CRM has said that it holds d.
func (k Known) Confirm(d Difference, at Time) Known {
	k = k.clone()
	for name, on := range d.Subscriptions {
		was := k.Subscriptions[name]
		k.Subscriptions[name] = Fact{Value: on, ConfirmedAt: at, SeenOnAt: was.SeenOnAt, DoubtedAt: was.DoubtedAt}
	}
	for name, value := range d.Attributes {
		k.Attributes[name] = Fact{Value: value, ConfirmedAt: at}
	}
	return k
}

// Heard gives what is known once the CRM has told of changes: doubt is what may
// be otherwise by now, seenOn what was told to be on.
func (k Known) Heard(doubt Difference, seenOn []string, at Time) Known {
	k = k.Doubt(doubt)
	for name := range doubt.Subscriptions {
		f := k.Subscriptions[name]
		f.DoubtedAt = at
		k.Subscriptions[name] = f
	}
	for _, name := range seenOn {
		f, held := k.Subscriptions[name]
		f.SeenOnAt, f.Unknown = at, f.Unknown || !held
		k.Subscriptions[name] = f
	}
	return k
}

// Recall gives what is known when a call has ended that began with less: what
// the CRM told meanwhile, as stored has it, is not forgotten.
func (k Known) Recall(stored Known) Known {
	k = k.clone()
	for name, told := range stored.Subscriptions {
		f := k.Subscriptions[name]
		if told.DoubtedAt > f.DoubtedAt {
			f.DoubtedAt, f.Unknown = told.DoubtedAt, true
			k.Subscriptions[name] = f
		}
		if told.SeenOnAt > f.SeenOnAt {
			f.SeenOnAt = told.SeenOnAt
			k.Subscriptions[name] = f
		}
	}
	return k
}

// Confirmed tells whether the CRM ever confirmed anything of the profile: then
// there is one.
func (k Known) Confirmed() bool {
	for _, facts := range []map[string]Fact{k.Subscriptions, k.Attributes} {
		for _, f := range facts {
			if f.ConfirmedAt > 0 {
				return true
			}
		}
	}
	return false
}

func (k Known) clone() Known {
	c := Known{Subscriptions: maps.Clone(k.Subscriptions), Attributes: maps.Clone(k.Attributes)}
	if c.Subscriptions == nil {
		c.Subscriptions = map[string]Fact{}
	}
	if c.Attributes == nil {
		c.Attributes = map[string]Fact{}
	}
	return c
}

// SameValue compares two attribute values by what they say: 7, 7.0 and "7" are
// one value, since Actito may give back as text what was written as a number.
func SameValue(a, b any) bool { return TextOf(a) == TextOf(b) }

// TextOf writes an attribute's value as text, as it would stand in a key.
func TextOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			if f, err := v.Float64(); err == nil {
				return TextOf(f)
			}
		}
		return v.String()
	case int64, int, bool:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
