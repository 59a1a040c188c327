package consent

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var emptyIsNil = cmpopts.EquateEmpty()

func TestR13DifferSubscriptions(t *testing.T) {
	t.Parallel()
	old, stale, fresh := at(530), at(540), at(550)
	const send, leave = true, false
	tests := map[string]struct {
		want  WantedSubscription
		known map[string]Fact
		due   bool
	}{
		"never written":                           {WantedSubscription{On: true, At: at(1)}, nil, send},
		"never written, nor refused elsewhere":    {WantedSubscription{On: false, At: at(1)}, nil, send},
		"the same":                                {WantedSubscription{On: true, At: at(1)}, fact(true, fresh, false), leave},
		"another":                                 {WantedSubscription{On: true, At: at(1)}, fact(false, fresh, false), send},
		"the same, but unknown":                   {WantedSubscription{On: true, At: at(1)}, fact(true, fresh, true), send},
		"a refusal, but unknown":                  {WantedSubscription{On: false, At: at(1)}, fact(false, fresh, true), send},
		"a newer refusal, confirmed long ago":     {WantedSubscription{On: false, At: at(590)}, fact(false, old, false), send},
		"a newer refusal, confirmed just stale":   {WantedSubscription{On: false, At: at(590)}, fact(false, stale, false), send},
		"a newer refusal, confirmed of late":      {WantedSubscription{On: false, At: at(590)}, fact(false, fresh, false), leave},
		"an older refusal, confirmed long ago":    {WantedSubscription{On: false, At: at(500)}, fact(false, old, false), leave},
		"a refusal as old, confirmed long ago":    {WantedSubscription{On: false, At: old}, fact(false, old, false), leave},
		"a newer grant is not sent again":         {WantedSubscription{On: true, At: at(590)}, fact(true, old, false), leave},
		"R12: known before it was created anew":   {WantedSubscription{On: true, At: at(1)}, fact(true, at(399), false), send},
		"R12: known since it was created":         {WantedSubscription{On: true, At: at(1)}, fact(true, at(400), false), leave},
		"R12: a refusal known of the old one":     {WantedSubscription{On: false, At: at(1)}, fact(false, at(399), false), send},
		"a value that is no boolean is not known": {WantedSubscription{On: true, At: at(1)}, fact("true", fresh, false), send},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Projection{Subscriptions: map[string]WantedSubscription{"s": tt.want}}
			snapshot := &Snapshot{Subscriptions: []Subscription{{Name: "s", Since: at(400)}}}
			d := Differ(p, Known{Subscriptions: tt.known}, snapshot, stale)
			if on, due := d.Subscriptions["s"]; due != tt.due || due && on != tt.want.On {
				t.Errorf("the difference is %v, want it due: %v", d.Subscriptions, tt.due)
			}
			if d.Empty() == tt.due {
				t.Errorf("empty is %v", d.Empty())
			}
		})
	}
}

func fact(value any, confirmed Time, unknown bool) map[string]Fact {
	return map[string]Fact{"s": {Value: value, ConfirmedAt: confirmed, Unknown: unknown}}
}

func TestR13DifferAttributes(t *testing.T) {
	t.Parallel()
	p := Projection{Attributes: map[string]WantedAttribute{"s": {Value: "x"}}}
	for name, tt := range map[string]struct {
		known map[string]Fact
		want  map[string]any
	}{
		"never written": {nil, map[string]any{"s": "x"}},
		"the same":      {fact("x", at(1), false), nil},
		"another":       {fact("y", at(1), false), map[string]any{"s": "x"}},
		"unknown":       {fact("x", at(1), true), map[string]any{"s": "x"}},
	} {
		d := Differ(p, Known{Attributes: tt.known}, &Snapshot{}, at(540))
		if diff := cmp.Diff(tt.want, d.Attributes, emptyIsNil); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestR13DoubtUntilADefiniteAnswer(t *testing.T) {
	t.Parallel()
	p := Projection{
		Subscriptions: map[string]WantedSubscription{"news": {On: false, At: at(1)}, "offers": {On: true, At: at(1)}},
		Attributes:    map[string]WantedAttribute{"age": {Value: int64(7)}, "old": {}},
	}
	differ := func(k Known) Difference { return Differ(p, k, &Snapshot{}, 0) }

	var none Known
	d := differ(none)
	doubted := none.Doubt(d)
	if diff := cmp.Diff(d, differ(doubted)); diff != "" {
		t.Errorf("while in doubt, something else is due:\n%s", diff)
	}
	confirmed := reread(t, doubted.Confirm(d, at(2)))
	if left := differ(confirmed); !left.Empty() {
		t.Errorf("once confirmed, %v is due", left)
	}
	again := confirmed.Doubt(Difference{Subscriptions: map[string]bool{"news": false}})
	if diff := cmp.Diff(map[string]bool{"news": false}, differ(again).Subscriptions); diff != "" {
		t.Errorf("a call with one field puts others in doubt:\n%s", diff)
	}
	if len(none.Subscriptions) > 0 || confirmed.Subscriptions["news"].Unknown {
		t.Error("what was known is changed in place")
	}
}

// reread puts what is known through its stored form.
func reread(t *testing.T, k Known) (back Known) {
	t.Helper()
	data, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestSameValueSurvivesStorage(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		nil, "", "x", "7", true, false, int64(7), int64(9_007_199_254_740_993), 7.5, 0.1, 1e21, 1e-7,
		[]any{"a", "b"},
		[]any{int64(9_007_199_254_740_993), 1e21},
		[]any{},
	} {
		back := reread(t, Known{Attributes: map[string]Fact{"a": {Value: v}}}).Attributes["a"].Value
		if !SameValue(v, back) || !SameValue(back, v) {
			t.Errorf("%v comes back as %v, which differs", v, back)
		}
	}
	for _, pair := range [][2]any{{int64(7), "7"}, {7.0, int64(7)}, {json.Number("7.0"), int64(7)}, {true, "true"}, {nil, ""}} {
		if !SameValue(pair[0], pair[1]) {
			t.Errorf("%v and %v differ", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]any{{int64(7), int64(8)}, {"a", "A"}, {[]any{"a"}, "a"}, {nil, false}, {nil, int64(0)}} {
		if SameValue(pair[0], pair[1]) {
			t.Errorf("%v and %v are the same", pair[0], pair[1])
		}
	}
}

// An attribute that was accepted for anybody may go along with a withdrawal; a
// suspect one never does (R17).
func TestR17ProvenAttributesGoAlong(t *testing.T) {
	t.Parallel()
	d := Difference{Subscriptions: map[string]bool{"news": false}, Attributes: map[string]any{"a": "x", "b": "y"}}
	now, rest := d.Portion(Known{}, nil, map[string]bool{"a": true})
	if _, along := now.Attributes["a"]; !along || len(now.Attributes) != 1 || !rest {
		t.Errorf("now %v, rest %v; want the proven attribute along and the other to follow", now, rest)
	}
	suspect := Known{}.Suspect(map[string]any{"a": "x"}, false, "no")
	if now, rest := d.Portion(suspect, nil, map[string]bool{"a": true}); len(now.Attributes) != 0 || !rest {
		t.Errorf("now %v, rest %v; want a suspect attribute to stay behind", now, rest)
	}
}

func TestR17Portion(t *testing.T) {
	t.Parallel()
	off, on := map[string]bool{"s": false}, map[string]bool{"s": true}
	two := map[string]any{"a": "x", "b": "x"}
	accepted := Known{Attributes: map[string]Fact{"a": {Value: "y"}}}
	suspect := Known{}.Suspect(two, false, "")
	tests := map[string]struct {
		all        Difference
		known      Known
		distrusted map[string]bool
		want       Difference
		rest       bool
	}{
		"a grant travels with all":                     {Difference{on, two}, Known{}, nil, Difference{on, two}, false},
		"a withdrawal with what was accepted once":     {Difference{off, two}, accepted, nil, Difference{off, map[string]any{"a": "x"}}, true},
		"a withdrawal without what is in doubt":        {Difference{off, two}, accepted.Doubt(Difference{Attributes: two}), nil, Difference{off, nil}, true},
		"suspects follow":                              {Difference{on, two}, suspect, nil, Difference{on, nil}, true},
		"suspects go one by one":                       {Difference{nil, two}, suspect, nil, Difference{nil, map[string]any{"a": "x"}}, true},
		"so do those refused for others":               {Difference{nil, two}, Known{}, map[string]bool{"a": true}, Difference{nil, map[string]any{"b": "x"}}, true},
		"the last suspect goes alone and leaves none":  {Difference{nil, map[string]any{"b": "x"}}, suspect, nil, Difference{nil, map[string]any{"b": "x"}}, false},
		"a withdrawal never takes a suspect, accepted": {Difference{off, two}, accepted.Suspect(two, false, ""), nil, Difference{off, nil}, true},
		"nothing due":                                  {Difference{}, Known{}, nil, Difference{}, false},
	}
	for name, tt := range tests {
		now, rest := tt.all.Portion(tt.known, tt.distrusted, nil)
		if diff := cmp.Diff(tt.want, now, emptyIsNil); diff != "" || rest != tt.rest {
			t.Errorf("%s: rest %v\n%s", name, rest, diff)
		}
	}
	if d := (Difference{map[string]bool{"s": false, "g": true}, two}).WithoutGrants(); d.Grants() || !d.Withdraws() || len(d.Attributes) != 2 {
		t.Errorf("without grants, %v is left", d)
	}
}

func TestR17ARefusedValueIsNotSentAgain(t *testing.T) {
	t.Parallel()
	bad := Projection{Attributes: map[string]WantedAttribute{"a": {Value: int64(1)}, "b": {Value: "x"}}}
	good := Projection{Attributes: map[string]WantedAttribute{"a": {Value: int64(2)}, "b": {Value: "x"}}}
	differ := func(p Projection, k Known) map[string]any {
		return Differ(p, k, &Snapshot{}, 0).Attributes
	}

	known := reread(t, Known{}.Suspect(map[string]any{"a": int64(1)}, true, "too small"))
	if diff := cmp.Diff(map[string]any{"b": "x"}, differ(bad, known)); diff != "" {
		t.Errorf("the refused value:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"a": int64(2), "b": "x"}, differ(good, known)); diff != "" {
		t.Errorf("another value:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"a": int64(1), "b": "x"}, differ(bad, known.Forgive())); diff != "" {
		t.Errorf("the refused value, forgiven:\n%s", diff)
	}
	want := []LeftOut{{Name: "a", Reason: "Actito refused the value", Attribute: true, Detail: "too small"}}
	if diff := cmp.Diff(want, known.Refusals(bad)); diff != "" || known.Refusals(good) != nil {
		t.Errorf("the refusals:\n%s", diff)
	}
}
