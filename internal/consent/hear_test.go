package consent

import "testing"

// Each row of docs/two-way.md, in its order.
func TestR25WhatAChangeInActitoMeans(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	on, off := WantedSubscription{On: true, At: 100}, WantedSubscription{At: 100}
	confirmed := Fact{Value: false, ConfirmedAt: 110}
	seenOn := Fact{Value: true, ConfirmedAt: 130}
	wroteOn, wroteOff := OwnWrite{On: true, At: 120}, OwnWrite{At: 120}
	for _, x := range []struct {
		name   string
		rumour Rumour
		want   Hearing
	}{
		{"off, nothing of ours: a refusal, at once", Rumour{Wanted: on, Said: true}, HearWithdrawal},
		{"off, of which nobody ever chose", Rumour{}, HearWithdrawal},
		{"off, in a new profile", Rumour{Created: true, Wanted: on, Said: true}, HearDefault},
		{"off, told long before the person agreed", Rumour{Wanted: WantedSubscription{On: true, At: Time(MaxAhead.Microseconds()) + 101}, Said: true, ArrivedAt: 100}, HearCorrect},
		{"off, told at about the time at which the person agreed", Rumour{Wanted: WantedSubscription{On: true, At: Time(MaxAhead.Microseconds()) + 100}, Said: true, ArrivedAt: 100}, HearWithdrawal},
		{"on, in a new profile, of which nobody ever chose", Rumour{On: true, Created: true, Read: &yes}, HearDefault},
		{"on, in a new profile, although off is wanted", Rumour{On: true, Created: true, Wanted: off, Said: true, Known: confirmed, Read: &yes}, HearCorrect},
		{"off, as wanted", Rumour{Wanted: off, Said: true}, HearAgreed},
		{"off, our last write", Rumour{Wanted: off, Said: true, Writes: []OwnWrite{wroteOff}}, HearEcho},
		{"off, our last write, although a newer grant waits", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff}}, HearEcho},
		{"off, our last write, but the profile was seen to be on after it", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff}, Known: seenOn}, HearUnsure},
		{"off, our last write, but Actito told of on after it", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff}, Known: Fact{Value: false, ConfirmedAt: 121, SeenOnAt: 125}}, HearUnsure},
		{"off, our last write, but the profile was seen to be on before it", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff}, Known: Fact{Value: true, ConfirmedAt: 119}}, HearEcho},
		{"off, an older write of ours only", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff, wroteOn}}, HearUnsure},
		{"the same, and the profile is on", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff, wroteOn}, Read: &yes}, HearEcho},
		{"the same, and the profile is off", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOff, wroteOn}, Read: &no}, HearWithdrawal},
		{"the same, and off is wanted by now", Rumour{Wanted: off, Said: true, Writes: []OwnWrite{wroteOff, wroteOn}, Read: &no}, HearAgreed},
		{"off, after a write of on", Rumour{Wanted: on, Said: true, Writes: []OwnWrite{wroteOn}}, HearWithdrawal},
		{"on, our last write", Rumour{On: true, Wanted: on, Said: true, Writes: []OwnWrite{wroteOn}}, HearEcho},
		{"on, our last write, although a refusal waits", Rumour{On: true, Wanted: off, Said: true, Writes: []OwnWrite{wroteOn}}, HearEcho},
		{"on, as wanted", Rumour{On: true, Wanted: on, Said: true}, HearAgreed},
		{"on, not wanted", Rumour{On: true, Wanted: off, Said: true, Known: confirmed}, HearUnsure},
		{"the same, and the profile is off", Rumour{On: true, Wanted: off, Said: true, Known: confirmed, Read: &no}, HearEcho},
		{"the same, and it is on, after our refusal was in effect", Rumour{On: true, Wanted: off, Said: true, Known: confirmed, Read: &yes}, HearGrant},
		{"the same, and the refusal was never seen in effect", Rumour{On: true, Wanted: off, Said: true, Known: Fact{Value: true, ConfirmedAt: 110}, Read: &yes}, HearCorrect},
		{"the same, and a newer refusal has come since", Rumour{On: true, Wanted: WantedSubscription{At: 130}, Said: true, Known: confirmed, Read: &yes}, HearCorrect},
		{"the same, and a call is under way", Rumour{On: true, Wanted: off, Said: true, Known: Fact{Value: false, ConfirmedAt: 110, Unknown: true}, Read: &yes}, HearCorrect},
		{"on, an older write of ours, then a refusal", Rumour{On: true, Wanted: off, Said: true, Known: confirmed, Writes: []OwnWrite{wroteOn, wroteOff}}, HearUnsure},
		{"the same, and the profile is on: perhaps our own, late", Rumour{On: true, Wanted: off, Said: true, Known: confirmed, Writes: []OwnWrite{wroteOn, wroteOff}, Read: &yes}, HearCorrect},
		{"on, of which nobody ever chose", Rumour{On: true}, HearUnsure},
		{"the same, and the profile is on", Rumour{On: true, Read: &yes}, HearGrant},
	} {
		if got := Hear(x.rumour); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

func TestWhatAPathSpeaksOf(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]Choice{
		"consents_channels_email_enabled":                {Kind: OfChannel, Channel: "email"},
		"consents_purposes_news_letter_enabled":          {Kind: OfPurpose, Purpose: "news_letter"},
		"consents_purposes_p_preferences_q_enabled":      {},
		"consents_purposes_p_channels_sms_enabled":       {},
		"consents_purposes_p_values_topic_sport_enabled": {},
		"consents_channels__enabled":                     {},
		"user_country":                                   {},
	} {
		got, ok := Invert(path)
		if got != want || ok != (want != Choice{}) {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
		if ok && got.Path() != path {
			t.Errorf("%s comes back as %s", path, got.Path())
		}
	}
}

// A refusal of which Actito tells proves what the profile holds only if it was
// not on in the last minutes: the news may have come in another order.
func TestWhenARefusalMayBeOvertaken(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		rumour Rumour
		want   bool
	}{
		"nothing happened lately":  {Rumour{Known: Fact{Value: true, ConfirmedAt: 10, SeenOnAt: 99}}, false},
		"Actito told of on":        {Rumour{Known: Fact{SeenOnAt: 100}}, true},
		"we wrote on":              {Rumour{Writes: []OwnWrite{{On: true, At: 120}, {At: 121}}}, true},
		"we wrote nothing but off": {Rumour{Writes: []OwnWrite{{At: 120}}}, false},
	} {
		if got := x.rumour.Overtaken(100); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What Actito tells during a call is not forgotten when the call ends.
func TestWhatIsToldDuringACallIsRecalled(t *testing.T) {
	t.Parallel()
	known := Known{Subscriptions: map[string]Fact{"a": {Value: true, ConfirmedAt: 1, DoubtedAt: 5}, "b": {Value: true, ConfirmedAt: 1}}}
	refusal := Difference{Subscriptions: map[string]bool{"a": false}}
	told := known.Doubt(refusal).Heard(Difference{Subscriptions: map[string]bool{"a": true}}, []string{"b", "c"}, 10)
	after := known.Confirm(refusal, 20).Recall(told)
	if a := after.Subscriptions["a"]; !a.Unknown || a.DoubtedAt != 10 {
		t.Errorf("the doubt is forgotten: %+v", a)
	}
	if b := after.Subscriptions["b"]; b.Unknown || b.SeenOnAt != 10 {
		t.Errorf("what was seen is forgotten: %+v", b)
	}
	if b := after.Confirm(Difference{Subscriptions: map[string]bool{"b": true}}, 30).Subscriptions["b"]; b.SeenOnAt != 10 {
		t.Errorf("what was seen is forgotten with the next call: %+v", b)
	}
	if c := after.Subscriptions["c"]; c.SeenOnAt != 10 {
		t.Errorf("what was seen of one that was not known is forgotten: %+v", c)
	}
	if c := told.Subscriptions["c"]; !c.Unknown {
		t.Errorf("what it holds counts as known, which was only told: %+v", c)
	}
	// What was told before the call is settled by it.
	if again := after.Confirm(refusal, 30).Recall(told); again.Subscriptions["a"].Unknown {
		t.Errorf("an old doubt comes back: %+v", again.Subscriptions["a"])
	}
}
