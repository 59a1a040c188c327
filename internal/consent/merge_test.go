package consent

import (
	"encoding/json"
	"testing"
)

func TestR3Merge(t *testing.T) {
	t.Parallel()
	pending := event("e2", at(2), no("p"))
	pending.Pending = true
	confirmed := event("e2", at(2), yes("p")).updated(at(5))
	tests := map[string]struct {
		messages []*Message
		answer   string
		reason   Reason
	}{
		"nothing said":                         {nil, "", ""},
		"absence changes nothing":              {[]*Message{event("e1", at(1), yes("p")), event("e2", at(2), no("q"))}, "on", ByEvent},
		"the newer counts":                     {[]*Message{event("e1", at(1), yes("p")), event("e2", at(2), no("p"))}, "off", ByEvent},
		"a grant may be newer":                 {[]*Message{event("e1", at(1), no("p")), event("e2", at(2), yes("p"))}, "on", ByEvent},
		"at equal times the restrictive":       {[]*Message{event("e9", at(1), yes("p")), event("e1", at(1), no("p"))}, "off", ByEvent},
		"yes and no in one event":              {[]*Message{event("e1", at(1), yes("p"), no("p"))}, "off", ByEvent},
		"an update of the event":               {[]*Message{event("e1", at(1), no("p")), event("e1", at(1), yes("p")).updated(at(2))}, "on", ByEvent},
		"pending is not applied":               {[]*Message{event("e1", at(1), yes("p")), pending}, "on", ByEvent},
		"pending applies once it is confirmed": {[]*Message{event("e1", at(3), no("p")), pending, confirmed}, "on", ByEvent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, told(t, come(tt.messages...)...), "p", tt.answer, tt.reason)
		})
	}
}

func TestR3AtEqualTimesTheEventID(t *testing.T) {
	t.Parallel()
	v := told(t, come(event("e2", at(1), yes("p")), event("e9", at(1), yes("p")), event("e1", at(1), yes("p")))...)
	if verdict, _, _ := v.on("gdpr", purpose("p").Path()); verdict.EventID != "e9" {
		t.Errorf("the event behind it is %q, want e9", verdict.EventID)
	}
}

func TestR5Snapshot(t *testing.T) {
	t.Parallel()
	caused := func(updated Time, cause *Message, said ...Said) *Message {
		m := record(updated, said...)
		m.Cause = cause
		return m
	}
	unconfirmed, contradictory, another, gone := event("e2", at(5), yes("p")), event("e2", at(5), yes("p")), event("e2", at(5), yes("p")), event("e2", at(5), yes("p"))
	unconfirmed.Pending, contradictory.RegulationsDiffer = true, true
	another.OrganizationUserID, gone.Type = "bob", EventDeleted
	tests := map[string]struct {
		messages []*Message
		answer   string
		reason   Reason
	}{
		"sets what we hold nothing about":          {[]*Message{record(at(1), yes("p"))}, "on", BySnapshot},
		"may refuse it, too":                       {[]*Message{record(at(1), no("p"))}, "off", BySnapshot},
		"may turn off":                             {[]*Message{event("e1", at(1), yes("p")), record(at(2), no("p"))}, "off", BySnapshot},
		"turns off at an equal time":               {[]*Message{event("e1", at(2), yes("p")), record(at(2), no("p"))}, "off", BySnapshot},
		"does not turn off a newer grant":          {[]*Message{event("e1", at(3), yes("p")), record(at(2), no("p"))}, "on", ByEvent},
		"adds nothing to a grant":                  {[]*Message{event("e1", at(1), yes("p")), record(at(2), yes("p"))}, "on", ByEvent},
		"never undoes a withdrawal":                {[]*Message{event("e1", at(1), no("p")), record(at(2), yes("p"))}, "off", ByEvent},
		"never undoes an undated one":              {[]*Message{event("e1", 0, no("p")), record(at(90), yes("p"))}, "off", ByUndated},
		"never undoes a snapshot's refusal":        {[]*Message{record(at(1), no("p")), record(at(2), yes("p"))}, "off", BySnapshot},
		"never undoes a deletion":                  {[]*Message{event("e1", at(1), yes("p")), deletion("e1"), record(at(99), yes("p"))}, "off", ByDeletion},
		"does so with a newer event as its cause":  {[]*Message{event("e1", at(1), no("p")), caused(at(6), event("e2", at(5), yes("p")), yes("p"))}, "on", ByEvent},
		"not with an older one":                    {[]*Message{event("e1", at(5), no("p")), caused(at(6), event("e2", at(4), yes("p")), yes("p"))}, "off", ByEvent},
		"not with one of equal time":               {[]*Message{event("e1", at(5), no("p")), caused(at(6), event("e2", at(5), yes("p")), yes("p"))}, "off", ByEvent},
		"not with one about another choice":        {[]*Message{event("e1", at(1), no("p")), caused(at(6), event("e2", at(5), yes("q")), yes("p"))}, "off", ByEvent},
		"not with one without a date":              {[]*Message{event("e1", at(1), no("p")), caused(at(6), event("e2", 0, yes("p")), yes("p"))}, "off", ByEvent},
		"not with one that awaits approval":        {[]*Message{event("e1", at(1), no("p")), caused(at(6), unconfirmed, yes("p"))}, "off", ByEvent},
		"not with one of contradictory regulation": {[]*Message{event("e1", at(1), no("p")), caused(at(6), contradictory, yes("p"))}, "off", ByEvent},
		"not with one of another person":           {[]*Message{event("e1", at(1), no("p")), caused(at(6), another, yes("p"))}, "off", ByEvent},
		"not with one that was deleted":            {[]*Message{event("e1", at(1), no("p")), caused(at(6), gone, yes("p"))}, "off", ByEvent},
		"not with another record as its cause":     {[]*Message{event("e1", at(1), no("p")), caused(at(6), record(at(5), yes("p")), yes("p"))}, "off", ByEvent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, told(t, come(tt.messages...)...), "p", tt.answer, tt.reason)
		})
	}
}

func TestR4Metadata(t *testing.T) {
	t.Parallel()
	at1, at2 := event("e1", at(1)).with("k", `"old"`), event("e2", at(2)).with("k", `"new"`)
	tests := map[string]struct {
		messages []*Message
		want     string
	}{
		"never told":                        {nil, ""},
		"the newest counts":                 {[]*Message{at1, at2}, `"new"`},
		"at equal times the event id":       {[]*Message{event("e3", at(2)).with("k", `"third"`), at2}, `"third"`},
		"absent keeps":                      {[]*Message{at1, event("e2", at(2)).with("other", "1")}, `"old"`},
		"null clears":                       {[]*Message{at1, event("e2", at(2)).with("k", "null")}, "null"},
		"a record tells it, too":            {[]*Message{at1, record(at(2)).with("k", "7")}, "7"},
		"of another listed regulation":      {[]*Message{at1, at2.under("cpra")}, `"new"`},
		"not of a regulation that is not":   {[]*Message{at1, at2.under("lgpd")}, `"old"`},
		"of a linked user, being newer":     {[]*Message{at1, at2.by("d1"), event("e3", at(3)).of("ana", "d1")}, `"new"`},
		"of a linked user, not being newer": {[]*Message{at2, at1.by("d1"), event("e3", at(3)).of("ana", "d1")}, `"new"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := told(t, come(tt.messages...)...)
			if got, _ := v.text([]string{"gdpr", "cpra"}, "user_metadata_k"); string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestR4OfADeletedDidomiUserNoText(t *testing.T) {
	t.Parallel()
	v := told(t, come(
		event("e1", at(1)).with("k", `"x"`).choosing("p", "f", "a").by("d1"), event("e2", at(2)).of("ana", "d1"),
		&Message{Type: UserDeleted, DidomiUserID: "d1", Regulation: "gdpr"},
	)...)
	for _, path := range []string{"user_metadata_k", "consents_purposes_p_values_f_value"} {
		if text, said := v.text([]string{"gdpr"}, path); said {
			t.Errorf("%s is still %s", path, text)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	m := event("e1", at(1)).choosing("p", "f", "b", "a")
	m.Country = json.RawMessage(`"BE"`)
	v := told(t, come(
		m, event("e0", at(0)).choosing("p", "f", "c", "a"), // c is in the older list only
		event("e2", at(2)).choosing("p", "f", "b", "a").under("cpra"),
	)...)
	for path, want := range map[string]string{
		"user_country":                       `"BE"`,
		"user_organization_user_id":          `"ana"`,
		"consents_purposes_p_values_f_value": `"b,a"`,
		"consents_purposes_p_values_g_value": "",
	} {
		if got, _ := v.text([]string{"gdpr"}, path); string(got) != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	// Under both regulations the list chosen last counts.
	v = told(t, come(m, event("e2", at(2)).choosing("p", "f", "c").under("lgpd"))...)
	if got, _ := v.text([]string{"gdpr", "lgpd"}, "consents_purposes_p_values_f_value"); string(got) != `"c"` {
		t.Errorf("the list chosen last is %s", got)
	}
}
