package consent

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The world of the properties is small, so that ties and clashes abound.
var (
	people      = []string{"ana", "bob"}
	users       = []string{"", "d1", "d2", "d3"}
	eventIDs    = []string{"", "e1", "e2", "e3", "e4"}
	regulations = []string{"gdpr", "cpra"}
	values      = []string{"a", "b", "c"}
	choices     = []Choice{
		purpose("p"),
		{Kind: OfChannel, Channel: "c"},
		{Kind: OfPreferenceChannel, Purpose: "p", Preference: "f", Channel: "c"},
		{Kind: OfValue, Purpose: "p", Preference: "f", Value: "a"},
	}
	// asked are all that a view can be asked about; the last is never named.
	asked = append(slices.Clone(choices),
		Choice{Kind: OfValue, Purpose: "p", Preference: "f", Value: "b"},
		Choice{Kind: OfValue, Purpose: "p", Preference: "f", Value: "c"},
		Choice{Kind: OfValue, Purpose: "p", Preference: "f", Value: "never"},
	)
)

func genMessage(nested bool) *rapid.Generator[*Message] {
	return rapid.Custom(func(t *rapid.T) *Message {
		when := rapid.SampledFrom([]Time{0, at(1), at(2), at(3), at(4), at(9)})
		m := &Message{
			Type:               rapid.SampledFrom(MessageTypes).Draw(t, "type"),
			EntityID:           rapid.SampledFrom(eventIDs).Draw(t, "id"),
			OrganizationUserID: rapid.SampledFrom(append(people, "ana", "")).Draw(t, "person"),
			DidomiUserID:       rapid.SampledFrom(users).Draw(t, "user"),
			Regulation:         rapid.SampledFrom(regulations).Draw(t, "regulation"),
			RegulationsDiffer:  rapid.IntRange(0, 15).Draw(t, "differ") == 0,
			Pending:            rapid.IntRange(0, 7).Draw(t, "pending") == 0,
			CreatedAt:          when.Draw(t, "created"),
			UpdatedAt:          when.Draw(t, "updated"),
			Choices: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Said {
				return Said{rapid.SampledFrom(choices).Draw(t, "choice"), rapid.Bool().Draw(t, "on")}
			}), 0, 3).Draw(t, "choices"),
		}
		if rapid.Bool().Draw(t, "selects") {
			chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(values), 0, 3, rapid.ID[string]).Draw(t, "values")
			m = m.choosing("p", "f", chosen...)
		}
		if rapid.Bool().Draw(t, "tells") {
			m = m.with("k", rapid.SampledFrom([]string{`"x"`, `"y"`, "null"}).Draw(t, "metadata"))
			m.Country = json.RawMessage(rapid.SampledFrom([]string{`"BE"`, `"FR"`}).Draw(t, "country"))
		}
		if !nested && m.Type == UserUpdated && rapid.Bool().Draw(t, "caused") {
			m.Cause = genMessage(true).Draw(t, "cause")
			m.Cause.Type = EventCreated
		}
		return m
	})
}

// genArrivals draws messages that arrive within minutes, some of them before
// the time that they bear.
func genArrivals() *rapid.Generator[[]arrival] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arrival {
		return arrival{genMessage(false).Draw(t, "message"), at(rapid.IntRange(0, 5).Draw(t, "arrived"))}
	}), 1, 12)
}

func fill(messages []arrival) *book {
	b := newBook()
	for _, m := range messages {
		b.accept(m)
	}
	return b
}

func rulesOf(regulations ...string) Rules {
	r := Rules{
		Regulations:   regulations,
		Attributes:    []Mapping{{"country", "user_country"}, {"k", "user_metadata_k"}, {"chosen", "consents_purposes_p_values_f_value"}},
		Subscriptions: []Mapping{{"not in the table", "consents_purposes_p_enabled"}},
		Snapshot:      Snapshot{Attributes: []Attribute{{Name: "country", Kind: String}, {Name: "k", Kind: String}, {Name: "chosen", Kind: String}}},
	}
	for _, c := range asked {
		r.Subscriptions = append(r.Subscriptions, Mapping{c.Path(), c.Path()})
		r.Snapshot.Subscriptions = append(r.Snapshot.Subscriptions, Subscription{Name: c.Path()})
	}
	return r
}

// outcome is all that can be seen of a book.
type outcome struct {
	States      []byte
	Choices     [][]Held
	Projections []Projection
}

func (b *book) outcome(t *rapid.T) outcome {
	o := outcome{States: b.bytes(t)}
	for _, person := range people {
		v := b.view(person)
		o.Choices = append(o.Choices, v.Choices)
		o.Projections = append(o.Projections, Project(v, rulesOf("gdpr")), Project(v, rulesOf("cpra", "gdpr")))
	}
	return o
}

func TestAnyOrderRepetitionAndBatching(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		messages := genArrivals().Draw(t, "messages")
		want := fill(messages).outcome(t)

		again := rapid.SliceOfN(rapid.SampledFrom(messages), 0, 6).Draw(t, "again")
		other := newBook()
		for _, m := range rapid.Permutation(append(slices.Clone(messages), again...)).Draw(t, "order") {
			other.accept(m)
			if rapid.Bool().Draw(t, "batch ends") {
				other.reopen(t)
			}
		}
		if diff := cmp.Diff(want, other.outcome(t)); diff != "" {
			t.Fatalf("another order, repetition or batching gives another book (-first +other):\n%s", diff)
		}
	})
}

func TestTheMergeAgreesWithTheRulesInPlainWords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		messages := genArrivals().Draw(t, "messages")
		b, o := fill(messages), newOracle(messages)
		for _, person := range people {
			v := b.view(person)
			for _, regulation := range regulations {
				for _, c := range asked {
					verdict, _, said := v.on(regulation, c.Path())
					if got, want := answerOf(verdict, said), o.says(person, Key{regulation, c}); got != want {
						t.Fatalf("%s, %s: %s is %q, the rules say %q", person, regulation, c.Path(), got, want)
					}
				}
			}
		}
	})
}

// A withdrawal is never undone by a grant that is older or of equal time.
func TestR3AWithdrawalIsUndoneByANewerGrantOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		messages := genArrivals().Draw(t, "messages")
		b, o := fill(messages), newOracle(messages)
		for _, c := range asked {
			k := Key{"gdpr", c}
			withdrawn, granted := Time(0), Time(0)
			for _, a := range o.answers(Subject{OrganizationUserID: "ana"}, k) {
				switch {
				case a.refuse() && !a.Snapshot && !a.Undated:
					withdrawn = max(withdrawn, a.At)
				case a.grant():
					granted = max(granted, a.At)
				}
			}
			v := b.view("ana")
			if verdict, _, _ := v.on("gdpr", c.Path()); withdrawn > 0 && granted <= withdrawn && verdict.Enabled {
				t.Fatalf("%s is on though withdrawn at %d and granted at %d", c.Path(), withdrawn, granted)
			}
		}
	})
}

func TestR5ASnapshotNeverTurnsAWithdrawalIntoAGrant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := fill(genArrivals().Draw(t, "messages"))
		before := b.view("ana")
		said := yes("p")
		said.Choice = rapid.SampledFrom(choices).Draw(t, "choice")
		updated := rapid.SampledFrom([]Time{0, at(2), at(100)}).Draw(t, "updated")
		b.accept(arrival{record(updated, said).choosing("p", "f", values...), at(99)})
		after := b.view("ana")
		for _, c := range asked {
			was, _, held := before.on("gdpr", c.Path())
			if is, _, _ := after.on("gdpr", c.Path()); held && !was.Enabled && is.Enabled {
				t.Fatalf("a snapshot turned %s on", c.Path())
			}
		}
	})
}

// What the person withdrew, no linked Didomi user's grant turns on.
func TestR7ALinkedGrantNeverBeatsTheOwnWithdrawal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		messages := genArrivals().Draw(t, "messages")
		b, o := fill(messages), newOracle(messages)
		ana := Subject{OrganizationUserID: "ana"}
		alone, linked := Combine("ana", b.state(ana), nil), b.view("ana")
		for _, c := range asked {
			if !slices.ContainsFunc(o.answers(ana, Key{"gdpr", c}), answer.refuse) {
				continue
			}
			own, _, _ := alone.on("gdpr", c.Path())
			if all, _, _ := linked.on("gdpr", c.Path()); all.Enabled && !own.Enabled {
				t.Fatalf("a linked user turned %s on", c.Path())
			}
		}
	})
}

func TestNothingIsMadeUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		messages := genArrivals().Draw(t, "messages")
		b, o := fill(messages), newOracle(messages)
		for _, person := range people {
			v := b.view(person)
			for _, h := range v.Choices {
				named := false
				for s := range o.subjects {
					named = named || len(o.answers(s, h.Key)) > 0
				}
				if !named {
					t.Errorf("%s shows %v, which nobody mentioned", person, h.Key)
				}
			}
			rules := rulesOf("gdpr")
			for name := range Project(v, rules).Subscriptions {
				_, there := rules.Snapshot.Subscription(name)
				if !there || !slices.ContainsFunc(rules.Subscriptions, func(m Mapping) bool { return m.ID == name }) {
					t.Errorf("%s is projected, outside of mapping and snapshot", name)
				}
			}
		}
	})
}

// Apply and Delete tell truly whether the state is another, and never keep
// quiet about a choice that went off.
func TestChangeTellsTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s State
		for _, m := range genArrivals().Draw(t, "messages") {
			e := Resolve(m.Message, m.Arrived)
			before := stored(t, &s)
			var c Change
			for _, st := range e.Statements {
				c.add(s.Apply(st))
			}
			if e.Tombstone != nil {
				c.add(s.Delete(*e.Tombstone))
			}
			was, _ := before.MarshalBinary()
			is, _ := s.MarshalBinary()
			if c.Changed == bytes.Equal(was, is) {
				t.Fatalf("changed is %v after %+v", c.Changed, m.Message)
			}
			old, now := Combine("", before, nil), Combine("", &s, nil)
			for _, choice := range asked {
				o, _, held := old.on("gdpr", choice.Path())
				n, _, said := now.on("gdpr", choice.Path())
				if said && !n.Enabled && (!held || o.Enabled) && !c.Withdrew {
					t.Fatalf("%s went off unnoticed by %+v", choice.Path(), m.Message)
				}
			}
		}
	})
}

func genRecord() *rapid.Generator[Record] {
	mark := rapid.Ptr(rapid.Custom(func(t *rapid.T) Mark {
		return Mark{
			At:      Time(rapid.IntRange(1, 3).Draw(t, "at")),
			Arrived: Time(rapid.IntRange(1, 3).Draw(t, "arrived")),
			EventID: rapid.SampledFrom(eventIDs).Draw(t, "id"),
		}
	}), true)
	return rapid.Custom(func(t *rapid.T) Record {
		return Record{
			Grant: mark.Draw(t, "grant"), Off: mark.Draw(t, "off"), Undated: mark.Draw(t, "undated"),
			SnapOn: mark.Draw(t, "on"), SnapOff: mark.Draw(t, "off"),
		}
	})
}

func TestMergeIsCommutativeAssociativeIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genRecord().Draw(t, "a"), genRecord().Draw(t, "b"), genRecord().Draw(t, "c")
		for law, pair := range map[string][2]Record{
			"commutative": {a.join(b), b.join(a)},
			"associative": {a.join(b).join(c), a.join(b.join(c))},
			"idempotent":  {a.join(b), a.join(b).join(b)},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("merging is not %s:\n%s", law, diff)
			}
		}
		if j := a.join(b); j.join(b) != j {
			t.Error("merging the same again makes a new record")
		}
	})
}
