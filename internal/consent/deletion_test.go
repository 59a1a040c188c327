package consent

import "testing"

func TestR6EventDeleted(t *testing.T) {
	t.Parallel()
	grant, later := event("e1", at(1), yes("p")), event("e2", at(2), yes("p"))
	tests := map[string]struct {
		messages []*Message
		answer   string
		reason   Reason
	}{
		"the event behind the grant in force":    {[]*Message{grant, deletion("e1")}, "off", ByDeletion},
		"an event that we never saw":             {[]*Message{grant, deletion("e7")}, "on", ByEvent},
		"an event without an id":                 {[]*Message{event("", at(1), yes("p")), deletion("")}, "on", ByEvent},
		"the event behind an older grant":        {[]*Message{grant, later, deletion("e1")}, "on", ByEvent},
		"the event behind the newer grant":       {[]*Message{grant, later, deletion("e2")}, "off", ByDeletion},
		"the event behind a withdrawal":          {[]*Message{grant, event("e2", at(2), no("p")), deletion("e2")}, "off", ByEvent},
		"the event behind a grant since refused": {[]*Message{grant, event("e2", at(2), no("p")), deletion("e1")}, "off", ByEvent},
		"a grant newer than the deleted one":     {[]*Message{grant, deletion("e1"), later}, "on", ByEvent},
		"the event that was updated to a grant":  {[]*Message{event("e1", at(1), no("p")), event("e1", at(1), yes("p")).updated(at(3)), deletion("e1")}, "off", ByDeletion},
		"of two of equal time the greater id":    {[]*Message{grant, event("e0", at(1), yes("p")), deletion("e0")}, "on", ByEvent},
		"the cause of a user record":             {[]*Message{cause(record(at(2)), grant), deletion("e1")}, "off", ByDeletion},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, told(t, come(tt.messages...)...), "p", tt.answer, tt.reason)
		})
	}
}

func cause(m, event *Message) *Message {
	m.Cause = event
	return m
}

func TestR6TheDeletionDatesTheWithdrawal(t *testing.T) {
	t.Parallel()
	grant := event("e1", at(64), yes("p"))
	tests := map[string]struct {
		deleted []Time
		want    Time
	}{
		"at the deletion's time":           {[]Time{at(70)}, at(70)},
		"at the earlier of two":            {[]Time{at(80), at(70)}, at(70)},
		"never before the grant it ends":   {[]Time{at(61)}, at(64) + 1},
		"nor at the same time as that one": {[]Time{at(64)}, at(64) + 1},
	}
	for name, tt := range tests {
		came := []arrival{{grant, at(60)}}
		for _, d := range tt.deleted {
			came = append(came, arrival{deletion("e1"), d})
		}
		v := told(t, came...)
		if verdict, _, _ := v.on("gdpr", purpose("p").Path()); verdict.At != tt.want || verdict.EventID != "e1" {
			t.Errorf("%s: %v by %q, want %v", name, verdict.At.Std(), verdict.EventID, tt.want.Std())
		}
	}
}

func TestR6UserDeleted(t *testing.T) {
	t.Parallel()
	link := event("e9", at(9)).of("ana", "d1")
	gone := &Message{Type: UserDeleted, EntityID: "d1", DidomiUserID: "d1", Regulation: "gdpr"}
	tests := map[string]struct {
		messages []*Message
		answer   string
		reason   Reason
	}{
		"what it withdrew stays":         {[]*Message{event("e1", at(1), no("p")).by("d1"), link, gone}, "off", ByEvent},
		"what it granted is not ours":    {[]*Message{event("e1", at(1), yes("p")).by("d1"), link, gone}, "", ""},
		"nor what a record of it shows":  {[]*Message{record(at(1), yes("p")).by("d1"), link, gone}, "", ""},
		"its deleted grant stays off":    {[]*Message{event("e1", at(1), yes("p")).by("d1"), link, deletion("e1"), gone}, "off", ByDeletion},
		"the person's own stays, of old": {[]*Message{event("e1", at(1), yes("p")).of("ana", "d1"), gone}, "on", ByEvent},
		"another user is not touched":    {[]*Message{event("e1", at(1), yes("p")).by("d2"), event("e8", at(8)).of("ana", "d2"), link, gone}, "on", ByEvent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, told(t, come(tt.messages...)...), "p", tt.answer, tt.reason)
		})
	}
}

// A value that a deleted Didomi user had chosen was not refused by it; one that
// its list left out was.
func TestR6UserDeletedAndLists(t *testing.T) {
	t.Parallel()
	v := told(t, come(
		event("e1", at(1)).choosing("p", "f", "a").by("d1"), event("e9", at(9)).of("ana", "d1"),
		&Message{Type: UserDeleted, DidomiUserID: "d1", Regulation: "gdpr"},
	)...)
	for value, want := range map[string]string{"a": "", "b": "off"} {
		verdict, _, said := v.on("gdpr", Choice{Kind: OfValue, Purpose: "p", Preference: "f", Value: value}.Path())
		if got := answerOf(verdict, said); got != want {
			t.Errorf("%s is %q, want %q", value, got, want)
		}
	}
}

func TestResolveOutcomes(t *testing.T) {
	t.Parallel()
	pending, contradictory := event("e", at(1), no("p")), event("e", at(1), no("p"))
	pending.Pending, contradictory.RegulationsDiffer = true, true
	tests := map[string]struct {
		*Message
		want Outcome
	}{
		"an event":                       {event("e", at(1)), Applied},
		"an anonymous event":             {event("e", at(1)).by("d1"), Applied},
		"an event of nobody":             {event("e", at(1)).of("", ""), NoPerson},
		"a pending event":                {pending, PendingApproval},
		"an event of two regulations":    {contradictory, RegulationConflict},
		"a deletion":                     {deletion("e"), Applied},
		"a deletion of no event":         {deletion(""), NoPerson},
		"a deletion of a user":           {&Message{Type: UserDeleted, DidomiUserID: "d1"}, Applied},
		"a deletion of a user not named": {&Message{Type: UserDeleted, OrganizationUserID: "ana"}, NoPerson},
	}
	for name, tt := range tests {
		e := Resolve(tt.Message, at(60))
		if e.Outcome != tt.want {
			t.Errorf("%s: %s, want %s", name, e.Outcome, tt.want)
		}
		if something := len(e.Statements) > 0 || e.Tombstone != nil || e.Unlink; something != (tt.want == Applied) {
			t.Errorf("%s: is %s and says %+v", name, e.Outcome, e)
		}
	}
}

func TestWithdraws(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		*Message
		want bool
	}{
		"a grant":              {event("e", at(1), yes("p")), false},
		"a refusal":            {event("e", at(1), yes("p"), no("q")), true},
		"a list":               {event("e", at(1)).choosing("p", "f", "a"), true},
		"the cause of another": {cause(record(at(2), yes("p")), event("e", at(1), no("p"))), true},
	} {
		if got := tt.Withdraws(); got != tt.want {
			t.Errorf("%s withdraws: %v", name, got)
		}
	}
}

// A store may keep the tombstone with either of the subjects that an event was
// about, or with both at different times.
func TestR6TombstonesOfAllStatesCount(t *testing.T) {
	t.Parallel()
	for name, deleted := range map[string][2]Time{
		"the own state's": {at(70), 0}, "a linked state's": {0, at(70)}, "the earlier": {at(80), at(70)}, "the earlier, own": {at(70), at(80)},
	} {
		var own, linked State
		own.Apply(Resolve(event("e1", at(1), yes("p")), at(60)).Statements[0])
		for i, s := range []*State{&own, &linked} {
			if deleted[i] != 0 {
				s.Delete(Tombstone{"e1", deleted[i]})
			}
		}
		v := Combine("ana", &own, []*State{&linked})
		if verdict, _, _ := v.on("gdpr", purpose("p").Path()); verdict.Reason != ByDeletion || verdict.At != at(70) {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}
