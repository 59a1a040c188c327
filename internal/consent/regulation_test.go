package consent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestR8Regulations(t *testing.T) {
	t.Parallel()
	gdpr, cpra := event("e1", at(1), yes("p")), event("e2", at(2), no("p")).under("cpra")
	both := event("e3", at(3), yes("p")).under("cpra")
	tests := map[string]struct {
		messages []*Message
		listed   []string
		want     map[string]WantedSubscription
	}{
		"none holds it":             {nil, []string{"gdpr", "cpra"}, nil},
		"one of the listed":         {[]*Message{gdpr}, []string{"cpra", "gdpr"}, wants(true, at(1))},
		"both allow it":             {[]*Message{gdpr, both}, []string{"gdpr", "cpra"}, wants(true, at(3))},
		"one refuses":               {[]*Message{gdpr, cpra}, []string{"gdpr", "cpra"}, wants(false, at(2))},
		"in the other order":        {[]*Message{gdpr, cpra}, []string{"cpra", "gdpr"}, wants(false, at(2))},
		"refused in one not listed": {[]*Message{gdpr, cpra}, []string{"gdpr"}, wants(true, at(1))},
		"both refuse, the newer dates it": {
			[]*Message{event("e1", at(1), no("p")), cpra},
			[]string{"gdpr", "cpra"},
			wants(false, at(2)),
		},
		"an older refusal beats a newer grant": {
			[]*Message{event("e1", at(9), yes("p")), cpra},
			[]string{"gdpr", "cpra"},
			wants(false, at(2)),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Project(told(t, come(tt.messages...)...), rulesFor("news", purpose("p").Path(), tt.listed...))
			if len(p.Subscriptions)+len(tt.want) > 0 && !cmp.Equal(p.Subscriptions, tt.want) {
				t.Error(cmp.Diff(tt.want, p.Subscriptions))
			}
		})
	}
}

func wants(on bool, since Time) map[string]WantedSubscription {
	return map[string]WantedSubscription{"news": {On: on, At: since, Path: purpose("p").Path(), Reason: ByEvent}}
}

func rulesFor(subscription, path string, regulations ...string) Rules {
	return Rules{
		Regulations:   regulations,
		Subscriptions: []Mapping{{subscription, path}},
		Snapshot:      Snapshot{Subscriptions: []Subscription{{Name: subscription}}},
	}
}

func TestR8TheTwoDiffer(t *testing.T) {
	t.Parallel()
	m := event("e1", at(1), no("p")).of("ana", "d1")
	m.RegulationsDiffer = true
	if e := Resolve(m, at(2)); len(e.Statements) > 0 || e.Link != nil || e.Outcome != RegulationConflict {
		t.Errorf("it is applied: %+v", e)
	}
}

func TestProjectionSaysWhatIsLeftOutAndWhy(t *testing.T) {
	t.Parallel()
	m := event("e1", at(1), yes("p")).with("email", `"a@b.c"`)
	m.Metadata["age"], m.Metadata["updated"], m.Metadata["shoe"] = []byte(`"old"`), []byte("1"), []byte("44")
	m.Metadata["lang"] = []byte(`"fr"`)
	v := told(t, come(m)...)
	r := Rules{
		Regulations: []string{"gdpr"}, AllMetadata: true, UniqueKey: "email",
		Subscriptions: []Mapping{{"gone", purpose("p").Path()}, {"quiet", purpose("q").Path()}, {"news", purpose("p").Path()}},
		Snapshot: Snapshot{
			Subscriptions: []Subscription{{Name: "quiet"}, {Name: "news"}},
			Attributes:    []Attribute{{Name: "email", Kind: String}, {Name: "age", Kind: Integer}, {Name: "updated", Generated: true}, {Name: "lang"}},
		},
	}
	want := Projection{
		Subscriptions: map[string]WantedSubscription{"news": {On: true, At: at(1), Path: purpose("p").Path(), Reason: ByEvent}},
		Attributes:    map[string]WantedAttribute{"lang": {"fr", "user_metadata_lang"}},
		LeftOut: []LeftOut{
			{Name: "gone", Reason: "the snapshot of the table has no such subscription", Attribute: false},
			{Name: "quiet", Reason: "no choice is known for consents_purposes_q_enabled", Attribute: false},
			{Name: "age", Reason: "the value is not a whole number", Attribute: true},
			{Name: "email", Reason: "it is the unique key, which is never overwritten", Attribute: true},
			{Name: "shoe", Reason: "the snapshot of the table has no such attribute", Attribute: true},
			{Name: "updated", Reason: "Actito itself writes this attribute", Attribute: true},
		},
	}
	if diff := cmp.Diff(want, Project(v, r)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"quiet", "news"}, r.Snapshot.SubscriptionNames()); diff != "" {
		t.Error(diff)
	}
}
