package backfill

import (
	"cmp"
	"maps"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

const (
	// mostReasons bounds how many kinds of what is left out are told apart:
	// attributes may be named by whatever keys the metadata have.
	mostReasons = 500
	// examplesEach and mostExamples bound the examples: of each subscription,
	// either way, and in all.
	examplesEach, mostExamples = 3, 60
)

// tally adds up a simulation, a person at a time. It is pure: the same people
// give the same figures, in whatever order they come; only which of them stand
// as examples depends on it.
type tally struct {
	integration *store.Integration
	rules       consent.Rules
	simulation  Simulation
	fields      map[string]*SimulatedField
	texts       map[string]*SimulatedText
	leftOut     map[consent.LeftOut]int64
	more        int64 // left out beyond mostReasons
	examples    map[example]int
	cost        costs
	projection  store.Reprojection // counts what R23 asks by
}

type example struct {
	subscription string
	to           bool
}

func newTally(i *store.Integration) *tally {
	t := &tally{
		integration: i, rules: i.Rules(), fields: map[string]*SimulatedField{}, texts: map[string]*SimulatedText{},
		leftOut: map[consent.LeftOut]int64{}, examples: map[example]int{}, projection: store.Reprojection{State: store.ReprojectionCounting},
		cost: newCosts(&i.Snapshot),
	}
	for _, m := range i.Settings.Mappings {
		_, there := i.Snapshot.Subscription(m.ID)
		t.fields[m.ID] = &SimulatedField{Name: m.ID, Path: m.Value, Missing: !there}
	}
	return t
}

// add counts one person.
func (t *tally) add(c *store.Compared) {
	p := &t.simulation.People
	p.Looked++
	if c.Err != nil {
		p.Unreadable++
		return
	}
	g := gap(c, t.rules)
	look(&t.projection, c, g.difference, 0)
	missing := c.State == store.Unmatched
	switch {
	case len(g.projection.Subscriptions)+len(g.projection.Attributes) == 0:
		p.Unsaid++
	case g.difference.Empty():
		p.Unchanged++
	case missing && !t.integration.Settings.UpsertMode:
		p.Unmatched++
		t.cost.retry()
	default:
		p.Changed++
		switch {
		case c.Closing():
			p.DueAlready++
		case missing:
			p.Created++
		}
		if !missing && !c.Known.Confirmed() {
			p.ProfileUnknown++
		}
		t.change(c, g)
		t.cost.add(t.integration, c, g.difference)
	}
	t.stay(c, g)
}

// change counts what would be sent.
func (t *tally) change(c *store.Compared, g compared) {
	for name, on := range g.difference.Subscriptions {
		f := t.fields[name]
		from := held(c, name)
		if on {
			f.On++
		} else {
			f.Off++
		}
		if from == nil {
			f.Unknown++
		}
		t.example(c, g, name, from)
	}
	for name, value := range g.difference.Attributes {
		if value == nil {
			t.text(name).Cleared++
		} else {
			t.text(name).Written++
		}
	}
}

// held tells what Actito holds of a subscription; nil where it is not known.
func held(c *store.Compared, name string) *bool {
	fact, written := c.Known.Subscriptions[name]
	on, known := fact.Value.(bool)
	if !written || fact.Unknown || !known {
		return nil
	}
	return &on
}

// stay counts what would not be sent, and why.
func (t *tally) stay(c *store.Compared, g compared) {
	for name := range g.projection.Subscriptions {
		if _, differs := g.difference.Subscriptions[name]; !differs {
			t.fields[name].Stay++
		}
	}
	refused := c.Known.Refusals(g.projection)
	for name := range g.projection.Attributes {
		_, differs := g.difference.Attributes[name]
		if !differs && !slices.ContainsFunc(refused, func(l consent.LeftOut) bool { return l.Name == name }) {
			t.text(name).Stay++
		}
	}
	for _, l := range slices.Concat(g.projection.LeftOut, refused) {
		t.leave(l)
	}
}

func (t *tally) leave(l consent.LeftOut) {
	l.Detail = "" // what Actito said of one value
	if f := t.fields[l.Name]; !l.Attribute && l.Reason == consent.ReasonUnsaid(f.Path) {
		f.Unsaid++
		return
	}
	if l.Attribute && t.unfit(l) {
		t.text(l.Name).Unfit++
	}
	if _, known := t.leftOut[l]; !known && len(t.leftOut) >= mostReasons {
		t.more++
		return
	}
	t.leftOut[l]++
}

// unfit tells whether an attribute is left out because of the person's value,
// and not because of what the attribute is.
func (t *tally) unfit(l consent.LeftOut) bool {
	a, there := t.rules.Snapshot.Attribute(l.Name)
	return there && !a.Generated && a.Name != t.rules.UniqueKey && l.Reason != consent.ReasonRefused
}

func (t *tally) text(name string) *SimulatedText {
	x := t.texts[name]
	if x == nil {
		x = &SimulatedText{Name: name}
		t.texts[name] = x
	}
	return x
}

func (t *tally) example(c *store.Compared, g compared, name string, from *bool) {
	w := g.projection.Subscriptions[name]
	kind := example{name, w.On}
	if t.examples[kind] >= examplesEach || len(t.simulation.Examples) >= mostExamples {
		return
	}
	t.examples[kind]++
	e := Example{
		OrganizationUserID: c.Person.OrganizationUserID, Subscription: name, From: from, To: w.On, Path: w.Path, Reason: w.Reason, At: w.At,
	}
	for _, h := range g.view.Choices {
		if h.Path() == w.Path && h.Enabled == w.On && h.At == w.At && slices.Contains(t.rules.Regulations, h.Regulation) {
			e.Regulation, e.EventID = h.Regulation, h.EventID
			break
		}
	}
	t.simulation.Examples = append(t.simulation.Examples, e)
}

// end gives the figures.
func (t *tally) end(lanes plan.Lanes) *Simulation {
	s := &t.simulation
	s.Assumptions, s.Subscriptions, s.Attributes, s.LeftOut = []string{}, []SimulatedField{}, []SimulatedText{}, []SimulatedLeftOut{}
	for _, m := range t.integration.Settings.Mappings {
		f := *t.fields[m.ID]
		s.Subscriptions = append(s.Subscriptions, f)
		s.Total.On += f.On
		s.Total.Off += f.Off
		s.Total.Unknown += f.Unknown
		s.Total.Stay += f.Stay
	}
	for _, name := range slices.Sorted(maps.Keys(t.texts)) {
		s.Attributes = append(s.Attributes, *t.texts[name])
	}
	for l, people := range t.leftOut {
		s.LeftOut = append(s.LeftOut, SimulatedLeftOut{store.LeftOutTotal{Name: l.Name, Reason: l.Reason, People: people}, l.Attribute})
	}
	slices.SortFunc(s.LeftOut, func(a, b SimulatedLeftOut) int {
		return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Reason, b.Reason))
	})
	if t.more > 0 {
		s.Assumptions = append(s.Assumptions, "More is left out than stands in left_out, which has the first kinds that were met.")
	}
	if s.Examples == nil {
		s.Examples = []Example{}
	}
	slices.SortStableFunc(s.Examples, func(a, b Example) int { return cmp.Compare(a.Subscription, b.Subscription) })
	s.Cost = t.cost.end(t.integration, lanes)
	p := t.projection
	s.Approval = Approval{Asks: p.Grants > MostGrants(p.People), Grants: p.Grants, MostGrants: MostGrants(p.People), Withdrawals: p.Withdrawals}
	return s
}
