package consent

import "testing"

func TestR7Linking(t *testing.T) {
	t.Parallel()
	grant, refusal := event("e1", at(1), yes("p")).by("d1"), event("e2", at(2), no("p")).by("d1")
	link := event("e9", at(9)).of("ana", "d1")
	other := event("e8", at(8)).of("ana", "d2")
	tests := map[string]struct {
		messages []*Message
		answer   string
		reason   Reason
	}{
		"not identified, not propagated":              {[]*Message{refusal}, "", ""},
		"withdrawals follow":                          {[]*Message{refusal, link}, "off", ByEvent},
		"a newer withdrawal beats the own grant":      {[]*Message{event("e3", at(1), yes("p")), refusal, link}, "off", ByEvent},
		"an older one does not":                       {[]*Message{event("e3", at(3), yes("p")), refusal, link}, "on", ByEvent},
		"a snapshot's refusal follows":                {[]*Message{record(at(1), no("p")).by("d1"), link}, "off", BySnapshot},
		"an undated withdrawal follows":               {[]*Message{event("e2", 0, no("p")).by("d1"), link}, "off", ByUndated},
		"a grant follows":                             {[]*Message{grant, link}, "on", ByEvent},
		"a snapshot's grant follows":                  {[]*Message{record(at(1), yes("p")).by("d1"), link}, "on", BySnapshot},
		"not where the person withdrew, even before":  {[]*Message{event("e0", at(0), no("p")), grant, link}, "off", ByEvent},
		"nor where a record of the person refuses":    {[]*Message{record(at(0), no("p")), grant, link}, "off", BySnapshot},
		"nor where the person's grant was deleted":    {[]*Message{event("e0", at(0), yes("p")), deletion("e0"), grant, link}, "off", ByDeletion},
		"nor where another user withdrew":             {[]*Message{event("e0", at(0), no("p")).by("d2"), other, grant, link}, "off", ByEvent},
		"the user's own withdrawal is older":          {[]*Message{event("e0", at(0), no("p")).by("d1"), grant, link}, "on", ByEvent},
		"the user's own withdrawal is newer":          {[]*Message{grant, refusal, link}, "off", ByEvent},
		"its grant was deleted":                       {[]*Message{grant, deletion("e1"), link}, "off", ByDeletion},
		"its grant was deleted, the own one is newer": {[]*Message{event("e3", at(3), yes("p")), grant, deletion("e1"), link}, "on", ByEvent},
		"its grant was deleted, the own one is older": {[]*Message{event("e0", at(0), yes("p")), grant, deletion("e1"), link}, "off", ByDeletion},
		"of two deleted grants one is newer": {[]*Message{
			event("e3", at(3), yes("p")), grant, link, event("e5", at(5), yes("p")).by("d2"), other, deletion("e1"), deletion("e5"),
		}, "off", ByDeletion},
		"linked to another person":                   {[]*Message{refusal, event("e9", at(9)).of("bob", "d1")}, "", ""},
		"the first identification counts":            {[]*Message{refusal, event("e9", at(9)).of("bob", "d1"), event("e8", at(8)).of("ana", "d1")}, "off", ByEvent},
		"a later one does not":                       {[]*Message{refusal, event("e9", at(9)).of("bob", "d1"), event("e8", at(10)).of("ana", "d1")}, "", ""},
		"later events follow the id that they carry": {[]*Message{event("e9", at(9)).of("bob", "d1"), event("e8", at(10), no("p")).of("ana", "d1")}, "off", ByEvent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, told(t, come(tt.messages...)...), "p", tt.answer, tt.reason)
		})
	}
}

func TestR7TheFirstLink(t *testing.T) {
	t.Parallel()
	first := Link{"bob", at(1), "e2"}
	for name, later := range map[string]Link{
		"a later time":         {"ana", at(2), "e1"},
		"a greater event id":   {"ana", at(1), "e3"},
		"a greater person's":   {"zoe", at(1), "e2"},
		"the very same, again": first,
	} {
		for _, order := range [][2]Link{{first, later}, {later, first}} {
			var s State
			s.Identify(order[0])
			s.Identify(order[1])
			if s.LinkedTo() != "bob" {
				t.Errorf("%s: linked to %q", name, s.LinkedTo())
			}
		}
	}
	if s := (&State{}); s.LinkedTo() != "" || !s.Empty() || !s.Silent() {
		t.Error("a new state is linked or not empty")
	}
}
