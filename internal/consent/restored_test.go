package consent

import (
	"strings"
	"testing"
)

// What was restored is older than Actito: it knows neither the withdrawals nor
// the grants of the meantime. So grants from before are held, by whatever is
// known, and whatever is newer is sent, whatever was known.
func TestR13AfterARestore(t *testing.T) {
	t.Parallel()
	restored, approved := Snapshot{RestoredAt: at(40)}, Snapshot{RestoredAt: at(40), GrantsApproved: true}
	never := Snapshot{}
	on, off := []*Message{event("e", at(1), yes("p"))}, []*Message{event("e", at(1), no("p"))}
	newer := func(s Said) []*Message { return []*Message{event("e", at(1), yes("p")), event("e2", at(50), s)} }
	for name, tt := range map[string]struct {
		said     []*Message
		snapshot Snapshot
		known    map[string]Fact
		want     string // sent: "on", "off" or "" for nothing
		held     bool
	}{
		"a grant that was in effect":                 {on, restored, fact(true, at(2), false), "", true},
		"a grant that was not sent yet":              {on, restored, nil, "", true},
		"a grant that was under way":                 {on, restored, fact(true, at(2), true), "", true},
		"a grant of which a read shows the opposite": {on, restored, fact(false, at(55), false), "", true},
		"a grant as old as the restore":              {[]*Message{event("e", at(40), yes("p"))}, restored, nil, "", true},
		"a refusal that was in effect":               {off, restored, fact(false, at(2), false), "", false},
		"a refusal that was not sent yet":            {off, restored, fact(true, 0, false), "off", false},
		"a newer grant, on as it seems":              {newer(yes("p")), restored, fact(true, at(2), false), "on", false},
		"a newer refusal, off as it seems":           {newer(no("p")), restored, fact(false, at(39), false), "off", false},
		"a refusal from before that comes late":      {[]*Message{event("e2", at(30), no("p"))}, restored, fact(false, at(20), false), "off", false},
		"a newer grant that was sent":                {newer(yes("p")), restored, fact(true, at(55), false), "", false},
		"a newer refusal that was sent":              {newer(no("p")), restored, fact(false, at(55), false), "", false},
		"approved, in effect":                        {on, approved, fact(true, at(2), false), "", false},
		"approved, not sent yet":                     {on, approved, nil, "on", false},
		"approved, but it comes late":                {[]*Message{event("e2", at(30), yes("p"))}, approved, fact(true, at(20), false), "on", false},
		"never restored, in effect":                  {on, never, fact(true, at(2), false), "", false},
		"never restored, not sent yet":               {on, never, nil, "on", false},
		"never restored, a newer grant":              {newer(yes("p")), never, fact(true, at(2), false), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rulesFor("news", purpose("p").Path(), "gdpr")
			tt.snapshot.Subscriptions = []Subscription{{Name: "news"}}
			r.Snapshot = tt.snapshot
			known := Known{Subscriptions: map[string]Fact{}}
			if f, is := tt.known["s"]; is {
				known.Subscriptions["news"] = f
			}
			p := Project(told(t, come(tt.said...)...), r)
			send, sent := Differ(p, known, &r.Snapshot, at(-9999)).Subscriptions["news"]
			if got := answerOf(Verdict{Enabled: send}, sent); got != tt.want {
				t.Errorf("it sends %q, want %q", got, tt.want)
			}
			held := len(p.LeftOut) == 1 && strings.Contains(p.LeftOut[0].Reason, "before a backup was restored")
			if held != tt.held {
				t.Errorf("left out is %v, want it held: %v", p.LeftOut, tt.held)
			}
		})
	}
}

// A subscription that needs two regulations' grants is held for the older.
func TestR8AfterARestoreEveryGrantHasToBeNewer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		second Time
		held   bool
	}{"one is newer": {at(30), true}, "both are": {at(55), false}} {
		r := rulesFor("news", purpose("p").Path(), "gdpr", "cpra")
		r.Snapshot.RestoredAt = at(40)
		v := told(t, come(event("e1", at(50), yes("p")), event("e2", tt.second, yes("p")).under("cpra"))...)
		if p := Project(v, r); (len(p.Subscriptions) == 0) != tt.held {
			t.Errorf("%s: wanted is %v", name, p.Subscriptions)
		}
	}
}
