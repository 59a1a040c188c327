package consent

import (
	"testing"
)

func value(purpose, preference, id string) Choice {
	return Choice{Kind: OfValue, Purpose: purpose, Preference: preference, Value: id}
}

func TestR10Paths(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Choice{
		"":                                 {},
		"consents_channels_e_mail_enabled": {Kind: OfChannel, Channel: "e_mail"},
		"consents_purposes_p_enabled":      {Kind: OfPurpose, Purpose: "p"},
		"consents_purposes_p_preferences_f_enabled":            {Kind: OfPurposePreference, Purpose: "p", Preference: "f"},
		"consents_purposes_p_channels_c_enabled":               {Kind: OfPurposeChannel, Purpose: "p", Channel: "c"},
		"consents_purposes_p_preferences_f_channels_c_enabled": {Kind: OfPreferenceChannel, Purpose: "p", Preference: "f", Channel: "c"},
		"consents_purposes_p_values_f_v_enabled":               {Kind: OfValue, Purpose: "p", Preference: "f", Value: "v"},
	} {
		if got := c.Path(); got != want {
			t.Errorf("%+v builds %q, want %q", c, got, want)
		}
	}
}

func TestR10PathForms(t *testing.T) {
	t.Parallel()
	const subscription, attribute, neither = "subscription", "attribute", "neither"
	for path, want := range map[string]string{
		"consents_purposes_p_enabled":               subscription,
		"consents_channels_c_enabled":               subscription,
		"consents_purposes_p_values_f_v_enabled":    subscription,
		"user_country":                              attribute,
		"user_organization_user_id":                 attribute,
		"user_metadata_k":                           attribute,
		"consents_purposes_p_values_f_value":        attribute,
		"consents_purposes__values__values_f_value": attribute, // of the purpose "_values" if need be
		"":                                           neither,
		"consents_purposes__enabled":                 neither,
		"consents_channels__enabled":                 neither,
		"consents_purposes_enabled":                  neither,
		"consents_purposes_p":                        neither,
		"consents_vendors_v_enabled":                 neither,
		"user_metadata_":                             neither,
		"user_metadata":                              neither,
		"consents_purposes_value":                    neither,
		"consents_purposes__value":                   neither,
		"consents_purposes__values__value":           neither,
		"consents_purposes_p_values__value":          neither,
		"consents_purposes__values_f_value":          neither,
		"consents_purposes_p_value":                  neither,
		"Consents_purposes_p_enabled":                neither,
		" consents_purposes_p_enabled":               neither,
		"consents.purposes.p.enabled":                neither,
		"consents_purposes_p_enabled_but_not_at_end": neither,
	} {
		got := neither
		switch {
		case CheckSubscriptionPath(path) == nil:
			got = subscription
		case CheckAttributePath(path) == nil:
			got = attribute
		}
		if got != want {
			t.Errorf("%q is the path of %s, want %s", path, got, want)
		}
	}
}

func TestR10OfOneStringTheRestrictiveChoiceCounts(t *testing.T) {
	t.Parallel()
	twin := Choice{Kind: OfPurposeChannel, Purpose: "p", Channel: "c"} // as the purpose p_channels_c
	tests := map[string]struct {
		said   []*Message
		path   Choice
		answer string
		since  Time
		shared bool
	}{
		"one alone":           {[]*Message{event("e1", at(1), yes("p_channels_c"))}, twin, "on", at(1), false},
		"both on":             {[]*Message{event("e1", at(1), yes("p_channels_c")), event("e2", at(2), Said{twin, true})}, twin, "on", at(2), true},
		"the older is off":    {[]*Message{event("e1", at(1), no("p_channels_c")), event("e2", at(2), Said{twin, true})}, twin, "off", at(1), true},
		"the newer is off":    {[]*Message{event("e1", at(1), yes("p_channels_c")), event("e2", at(2), Said{twin, false})}, twin, "off", at(2), true},
		"both off, the newer": {[]*Message{event("e1", at(1), no("p_channels_c")), event("e2", at(2), Said{twin, false})}, twin, "off", at(2), true},
		"under another regulation there is no twin": {
			[]*Message{event("e1", at(1), yes("p_channels_c")), event("e2", at(2), Said{twin, false}).under("cpra")}, twin, "on", at(1), false,
		},
		"a list that names neither is a third": {
			[]*Message{event("e1", at(1)).choosing("p", "f_g", "v"), event("e2", at(2)).choosing("p", "f")}, value("p", "f", "g_v"), "off", at(2), true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := told(t, come(tt.said...)...)
			verdict, shared, said := v.on("gdpr", tt.path.Path())
			if got := answerOf(verdict, said); got != tt.answer || shared != tt.shared || verdict.At != tt.since {
				t.Errorf("%s since %v, shared %v; want %s since %v, shared %v",
					got, verdict.At.Std(), shared, tt.answer, tt.since.Std(), tt.shared)
			}
			p := Project(v, rulesFor("s", tt.path.Path(), "cpra", "gdpr"))
			if p.Subscriptions["s"].Shared != tt.shared {
				t.Error("the projection does not say the same")
			}
		})
	}
}

// An explicit list is the whole selection for its preference.
func TestR10Lists(t *testing.T) {
	t.Parallel()
	a := event("e1", at(1)).choosing("p", "f", "a")
	tests := map[string]struct {
		said []*Message
		want map[string]string // by value
	}{
		"no list":                   {nil, map[string]string{"a": "", "b": ""}},
		"of another preference":     {[]*Message{event("e1", at(1)).choosing("p", "g", "a")}, map[string]string{"a": "", "b": ""}},
		"under another regulation":  {[]*Message{a.under("cpra")}, map[string]string{"a": "", "b": ""}},
		"one chosen":                {[]*Message{a}, map[string]string{"a": "on", "b": "off", "": ""}},
		"none chosen":               {[]*Message{event("e1", at(1)).choosing("p", "f")}, map[string]string{"a": "off", "b": "off"}},
		"another chosen later":      {[]*Message{a, event("e2", at(2)).choosing("p", "f", "b")}, map[string]string{"a": "off", "b": "on", "c": "off"}},
		"another chosen before":     {[]*Message{a, event("e2", at(0)).choosing("p", "f", "b")}, map[string]string{"a": "on", "b": "off", "c": "off"}},
		"two at one time":           {[]*Message{a, event("e2", at(1)).choosing("p", "f", "b")}, map[string]string{"a": "off", "b": "off"}},
		"a record shows it":         {[]*Message{record(at(1)).choosing("p", "f", "a")}, map[string]string{"a": "on", "b": "off"}},
		"a record shows it gone":    {[]*Message{a, record(at(2)).choosing("p", "f")}, map[string]string{"a": "off"}},
		"a record shows it back":    {[]*Message{event("e1", at(1)).choosing("p", "f"), record(at(2)).choosing("p", "f", "a")}, map[string]string{"a": "off"}},
		"a value by name, older":    {[]*Message{a, event("e2", at(0), Said{value("p", "f", "b"), true})}, map[string]string{"a": "on", "b": "off"}},
		"a value by name, newer":    {[]*Message{a, event("e2", at(2), Said{value("p", "f", "b"), true})}, map[string]string{"a": "on", "b": "on"}},
		"its event deleted":         {[]*Message{a, deletion("e1")}, map[string]string{"a": "off", "b": "off"}},
		"of a linked user":          {[]*Message{a.by("d1"), event("e2", at(2)).of("ana", "d1")}, map[string]string{"a": "on", "b": "off"}},
		"not against the own list":  {[]*Message{a.by("d1"), event("e2", at(0)).of("ana", "d1").choosing("p", "f")}, map[string]string{"a": "off"}},
		"a linked list's refusal":   {[]*Message{a, event("e3", at(3)).choosing("p", "f", "b").by("d1"), event("e4", at(4)).of("ana", "d1")}, map[string]string{"a": "off", "b": "off"}},
		"a linked list, but older ": {[]*Message{a, event("e0", at(0)).choosing("p", "f", "b").by("d1"), event("e4", at(4)).of("ana", "d1")}, map[string]string{"a": "on", "b": "off"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := told(t, come(tt.said...)...)
			for id, want := range tt.want {
				verdict, _, said := v.on("gdpr", value("p", "f", id).Path())
				if got := answerOf(verdict, said); got != want {
					t.Errorf("%q is %q, want %q", id, got, want)
				}
			}
		})
	}
}

func FuzzPaths(f *testing.F) {
	for kind := OfChannel; kind <= OfValue+1; kind++ {
		f.Add(uint8(kind), "p", "f", "c", "v")
	}
	f.Add(uint8(OfValue), "p_values_f", "_values_", "_enabled", "_value")
	f.Add(uint8(OfPurpose), "consents_purposes_", "user_metadata_k", "user_country", "user_organization_user_id")
	f.Fuzz(func(t *testing.T, kind uint8, purpose, preference, channel, v string) {
		c := Choice{ChoiceKind(kind), purpose, preference, channel, v}
		path := c.Path()
		whole := purpose != "" && preference != "" && channel != "" && v != ""
		if known := c.Kind >= OfChannel && c.Kind <= OfValue; whole && known && CheckSubscriptionPath(path) != nil {
			t.Errorf("%+v builds %q, which is refused", c, path)
		}
		if text := selectionPath(purpose, preference); whole && CheckAttributePath(text) != nil {
			t.Errorf("the list of %q, %q is %q, which is refused", purpose, preference, text)
		}
		for _, p := range []string{path, selectionPath(purpose, preference), purpose, preference + v} {
			if CheckSubscriptionPath(p) == nil && CheckAttributePath(p) == nil {
				t.Errorf("%q is both a subscription's path and an attribute's", p)
			}
		}
	})
}
