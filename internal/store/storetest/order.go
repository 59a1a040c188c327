package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var order = group{
	"R3 any order, repetition and batching gives what the domain alone gives": anyOrder,
	"whoever holds another view is due, at once where a choice went off":      changesAreDue,
}

// The world of the properties is small, so that ties and clashes abound.
var (
	someone     = []string{"ana", "bob"}
	regulations = []string{"gdpr", "cpra"}
	choices     = []consent.Choice{
		purpose("p"),
		{Kind: consent.OfChannel, Channel: "c"},
		{Kind: consent.OfValue, Purpose: "p", Preference: "f", Value: "a"},
	}
)

// arrival is a message and when it came, which stays with it.
type arrival struct {
	*consent.Message
	Arrived consent.Time
}

// GoString shows it in the report of a property that fails.
func (a arrival) GoString() string {
	content, err := json.Marshal(a.Message)
	return fmt.Sprintf("%s at %d (%v)\n", content, a.Arrived-noon, err)
}

func messages(nested bool) *rapid.Generator[*consent.Message] {
	return rapid.Custom(func(t *rapid.T) *consent.Message {
		when := rapid.SampledFrom([]consent.Time{0, at(1), at(2), at(3), at(9)})
		m := &consent.Message{
			Type:               rapid.SampledFrom(append(slices.Clone(consent.MessageTypes), consent.EventCreated, consent.EventCreated, consent.EventDeleted, consent.UserUpdated)).Draw(t, "type"),
			EntityID:           rapid.SampledFrom([]string{"", "e1", "e1", "e2", "e2", "e3"}).Draw(t, "id"),
			OrganizationUserID: rapid.SampledFrom([]string{"ana", "ana", "bob", ""}).Draw(t, "person"),
			DidomiUserID:       rapid.SampledFrom([]string{"", "d1", "d2"}).Draw(t, "user"),
			Regulation:         rapid.SampledFrom(regulations).Draw(t, "regulation"),
			RegulationsDiffer:  rapid.IntRange(0, 15).Draw(t, "differ") == 0,
			Pending:            rapid.IntRange(0, 7).Draw(t, "pending") == 0,
			CreatedAt:          when.Draw(t, "created"),
			UpdatedAt:          when.Draw(t, "updated"),
			Choices: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) consent.Said {
				return consent.Said{Choice: rapid.SampledFrom(choices).Draw(t, "choice"), Enabled: rapid.Bool().Draw(t, "on")}
			}), 0, 2).Draw(t, "choices"),
		}
		if rapid.IntRange(0, 3).Draw(t, "selects") == 0 {
			chosen := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b"}), 0, 2, rapid.ID[string]).Draw(t, "values")
			m.Selections = []consent.Selection{{Purpose: "p", Preference: "f", Values: chosen}}
		}
		if rapid.IntRange(0, 3).Draw(t, "tells") == 0 {
			m.Metadata = map[string]json.RawMessage{"k": json.RawMessage(rapid.SampledFrom([]string{`"x"`, `"y"`, "null"}).Draw(t, "metadata"))}
		}
		if !nested && m.Type == consent.UserUpdated && rapid.Bool().Draw(t, "caused") {
			m.Cause = messages(true).Draw(t, "cause")
			m.Cause.Type = consent.EventCreated
		}
		return m
	})
}

func arrivals() *rapid.Generator[[]arrival] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arrival {
		return arrival{messages(false).Draw(t, "message"), at(rapid.IntRange(0, 3).Draw(t, "arrived"))}
	}), 1, 10)
}

// rules let a projection show all that the properties choose.
func rules() consent.Rules {
	r := consent.Rules{
		Regulations: regulations, AllMetadata: true,
		Snapshot: consent.Snapshot{Attributes: []consent.Attribute{{Name: "k", Kind: consent.String}}},
	}
	for _, c := range append(slices.Clone(choices), consent.Choice{Kind: consent.OfValue, Purpose: "p", Preference: "f", Value: "never"}) {
		r.Subscriptions = append(r.Subscriptions, consent.Mapping{ID: c.Path(), Value: c.Path()})
		r.Snapshot.Subscriptions = append(r.Snapshot.Subscriptions, consent.Subscription{Name: c.Path()})
	}
	return r
}

// seen is all that can be seen of a view.
type seen struct {
	Choices    []consent.Held
	Projection consent.Projection
}

func look(v consent.View) seen { return seen{v.Choices, consent.Project(v, rules())} }

// take accepts messages of one arrival time in one batch.
func (b *bench) take(organization string, batch []arrival) {
	b.Helper()
	in := make([]store.Inbound, len(batch))
	for i, m := range batch {
		in[i] = inbound(organization, m.Message)
		// Equal messages of other arrivals are other inputs.
		in[i].Canonical = fmt.Appendf(in[i].Canonical, "%d", m.Arrived)
	}
	b.clock.set(batch[0].Arrived)
	_, err := b.Accept(b.Context(), in)
	b.must(err)
}

func anyOrder(b *bench) {
	var round atomic.Int64
	rapid.Check(b.T, func(t *rapid.T) {
		organization := fmt.Sprint("organization ", round.Add(1))
		all := arrivals().Draw(t, "messages")
		want := newReference()
		for _, m := range all {
			want.accept(m.Message, m.Arrived)
		}
		again := rapid.SliceOfN(rapid.SampledFrom(all), 0, 4).Draw(t, "again")
		shuffled := rapid.Permutation(append(slices.Clone(all), again...)).Draw(t, "order")
		for len(shuffled) > 0 {
			n := 1
			for n < len(shuffled) && shuffled[n].Arrived == shuffled[0].Arrived && rapid.IntRange(0, 3).Draw(t, "cut") > 0 {
				n++
			}
			b.take(organization, shuffled[:n])
			shuffled = shuffled[n:]
		}
		for _, person := range someone {
			if diff := cmp.Diff(look(want.view(person)), look(b.view(organization, person))); diff != "" {
				t.Fatalf("%s is another than the domain alone says (-domain +engine):\n%s", person, diff)
			}
		}
	})
}

func changesAreDue(b *bench) {
	var round atomic.Int64
	rapid.Check(b.T, func(t *rapid.T) {
		organization := fmt.Sprint("organization ", round.Add(1))
		k := b.integrate(organization, fmt.Sprint("integration ", round.Load()))
		all := arrivals().Draw(t, "messages")
		slices.SortStableFunc(all, func(x, y arrival) int { return int(x.Arrived - y.Arrived) })
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].Arrived == all[0].Arrived && rapid.Bool().Draw(t, "cut") {
				n++
			}
			var before [2]seen
			var due [2]store.Delivery
			for i, person := range someone {
				before[i], due[i] = look(b.view(organization, person)), b.dueNow(k, person)
			}
			b.take(organization, all[:n])
			all = all[n:]
			for i, person := range someone {
				after, now := look(b.view(organization, person)), b.dueNow(k, person)
				changed, off := compare(before[i].Projection, after.Projection)
				if changed && now.Version == due[i].Version {
					t.Fatalf("%s should hold another profile but was not made due:\n%s", person, cmp.Diff(before[i], after))
				}
				if off && now.Class != store.LiveWithdrawal {
					t.Fatalf("a subscription of %s went off but the class is %d:\n%s", person, now.Class, cmp.Diff(before[i], after))
				}
			}
		}
	})
}

// dueNow reads a delivery that may not be there.
func (b *bench) dueNow(k store.IntegrationKey, person string) store.Delivery {
	b.Helper()
	d, err := b.Delivery(b.Context(), b.deliveryKey(k, person))
	if consent.KindOf(err) == consent.NotFound {
		return store.Delivery{}
	}
	b.must(err)
	return *d
}

// compare tells whether the profile should hold anything else, and whether a
// subscription should be off that was not.
func compare(before, after consent.Projection) (changed, off bool) {
	for name, w := range after.Subscriptions {
		was, held := before.Subscriptions[name]
		changed = changed || !held || was.On != w.On
		off = off || !w.On && (!held || was.On)
	}
	for name, w := range after.Attributes {
		was, held := before.Attributes[name]
		changed = changed || !held || !consent.SameValue(was.Value, w.Value)
	}
	return changed, off
}

func sortedKeys(keys []store.PersonKey) []store.PersonKey {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(x, y store.PersonKey) int { return bytes.Compare(x[:], y[:]) })
	return keys
}
