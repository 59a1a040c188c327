package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

const noon = consent.Time(1_767_268_800_000_000)

// world is a store with one integration, in memory.
type world struct {
	Store       // what is not here is never asked
	integration store.Integration
	people      []*store.Compared // sorted by key
	running     store.Reprojection
	due         map[store.PersonKey]store.Due
}

func (w *world) Now(context.Context) (consent.Time, error) { return noon, nil }

func (w *world) Integration(context.Context, store.IntegrationKey) (*store.Integration, error) {
	return &w.integration, nil
}

func (w *world) Reprojections(context.Context) ([]store.Reprojection, error) {
	if slices.Contains([]store.ReprojectionState{store.ReprojectionCounting, store.ReprojectionGranting}, w.running.State) {
		return []store.Reprojection{w.running}, nil
	}
	return nil, nil
}

func (w *world) AdvanceReprojection(_ context.Context, r store.Reprojection, due []store.Due, _ ...store.Change) error {
	w.running = r
	for _, d := range due {
		w.due[d.Person] = d
	}
	return nil
}

func (w *world) ComparePage(_ context.Context, _ store.IntegrationKey, between store.Keys, limit int) ([]*store.Compared, error) {
	var page []*store.Compared
	for _, c := range w.people {
		if string(c.Key[:]) > string(between.After) && string(c.Key[:]) < string(between.End()) && len(page) < limit {
			page = append(page, c)
		}
	}
	return page, nil
}

// purposes are those that people of a world choose.
var purposes = []string{"a", "b", "c"}

func path(purpose string) string {
	return consent.Choice{Kind: consent.OfPurpose, Purpose: purpose}.Path()
}

// drawWorld makes people who chose anything, of whose profiles anything is
// known, and an integration of any settings.
func drawWorld(t *rapid.T) *world {
	w := &world{due: map[store.PersonKey]store.Due{}}
	w.integration = store.Integration{Organization: "acme", ID: "i", Settings: store.Settings{
		UpsertMode: rapid.Bool().Draw(t, "upsert"),
		Properties: store.Properties{Regulations: []string{"gdpr"}, UserUniqueKey: "mail", CallsPerMinute: 60},
	}}
	for _, name := range []string{"News", "Promo", "Sms"} {
		if rapid.Bool().Draw(t, "mapped") {
			w.integration.Settings.Mappings = append(w.integration.Settings.Mappings, consent.Mapping{ID: name, Value: path(rapid.SampledFrom(purposes).Draw(t, "path"))})
		}
		if rapid.IntRange(0, 4).Draw(t, "there") > 0 {
			w.integration.Snapshot.Subscriptions = append(w.integration.Snapshot.Subscriptions, consent.Subscription{Name: name, Since: noon})
		}
	}
	w.integration.Snapshot.Attributes = []consent.Attribute{{Name: "mail", Kind: consent.String}, {Name: "age", Kind: consent.Integer}, {Name: "shop", Kind: consent.String}}
	for n := range rapid.IntRange(0, 260).Draw(t, "people") {
		w.people = append(w.people, drawPerson(t, n))
	}
	return w
}

func drawPerson(t *rapid.T, n int) *store.Compared {
	c := &store.Compared{Key: store.PersonKey{byte(n >> 8), byte(n), 1}}
	c.Person.OrganizationUserID = fmt.Sprint("p", n)
	for at, purpose := range purposes {
		if said := rapid.IntRange(0, 2).Draw(t, "choice"); said > 0 {
			c.Person.State.Apply(consent.Statement{
				EventID: fmt.Sprint(purpose, n), Regulation: "gdpr", At: noon.Add(time.Duration(at-99) * time.Minute), Arrived: noon,
				Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: purpose}, Enabled: said == 1}},
			})
		}
	}
	if metadata := rapid.IntRange(0, 9).Draw(t, "metadata"); metadata < 4 {
		age := []string{`"41"`, `"many"`, `null`, `7`}[metadata]
		c.Person.State.Apply(consent.Statement{Regulation: "gdpr", At: noon, Metadata: map[string]json.RawMessage{"age": json.RawMessage(age), "shoe": json.RawMessage(`1`)}})
	}
	c.State = rapid.SampledFrom([]store.DeliveryState{"", store.Pending, store.InFlight, store.Sent, store.Waiting, store.Synced, store.Synced, store.Unmatched, store.Failed}).Draw(t, "state")
	c.HoldGrants = rapid.IntRange(0, 5).Draw(t, "held") == 0
	if c.State == "" || c.State == store.Unmatched {
		return c // nothing is known of a profile
	}
	for _, name := range []string{"News", "Promo", "Sms"} {
		switch rapid.IntRange(0, 3).Draw(t, "known") {
		case 0:
			c.Known = c.Known.Confirm(consent.Difference{Subscriptions: map[string]bool{name: true}}, noon)
		case 1:
			c.Known = c.Known.Confirm(consent.Difference{Subscriptions: map[string]bool{name: false}}, noon)
		case 2:
			d := consent.Difference{Subscriptions: map[string]bool{name: rapid.Bool().Draw(t, "doubted")}}
			c.Known = c.Known.Confirm(d, noon).Doubt(d)
		}
	}
	return c
}

func simulate(t *rapid.T, w *world) *Simulation {
	s, err := Simulate(context.Background(), w, Simulated{Integration: &w.integration, Lanes: plan.Lanes{PerMinute: 60}}, func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if !s.Complete || s.People.Looked != int64(len(w.people)) {
		t.Fatalf("of %d people %+v was looked at", len(w.people), s.People)
	}
	return s
}

// reproject does what follows a change, and gives it as it ended or asks.
func (w *world) reproject(t *rapid.T) store.Reprojection {
	w.running = store.Reprojection{IntegrationKey: store.IntegrationKey{Organization: "acme", ID: "i"}, State: store.ReprojectionCounting, Cursor: []byte{}}
	if err := NewReprojector(w, func(string) bool { return true }, func() {}, slog.New(slog.DiscardHandler)).work(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w.running
}

// deliver writes to every profile what delivery would write, and gives how
// often it turned each subscription on and off, and the calls that it took.
func (w *world) deliver() (on, off map[string]int64, people int64) {
	on, off = map[string]int64{}, map[string]int64{}
	for _, c := range w.people {
		_, isDue := w.due[c.Key]
		if !isDue && !c.Closing() {
			continue
		}
		d := consent.Differ(consent.Project(c.Person.View(), w.integration.Rules()), c.Known, &w.integration.Snapshot, 0)
		if c.State == store.Unmatched && !w.integration.Settings.UpsertMode || d.Empty() {
			continue
		}
		people++
		for name, yes := range d.Subscriptions {
			if yes {
				on[name]++
			} else {
				off[name]++
			}
		}
		c.Known, c.State = c.Known.Confirm(d, noon), store.Synced
	}
	return on, off, people
}

// counted is what a simulation has to count of everybody, worked out anew.
func (w *world) counted() (unknown map[string]int64, grants, withdrawals int64) {
	unknown = map[string]int64{}
	for _, c := range w.people {
		d := consent.Differ(consent.Project(c.Person.View(), w.integration.Rules()), c.Known, &w.integration.Snapshot, 0)
		live := !c.HoldGrants && (c.State == store.Pending || c.State == store.InFlight || c.State == store.Sent)
		if d.Grants() && !live {
			grants++
		}
		if d.Withdraws() && !live {
			withdrawals++
		}
		for name := range d.Subscriptions {
			fact, held := c.Known.Subscriptions[name]
			if (c.State != store.Unmatched || w.integration.Settings.UpsertMode) && (!held || fact.Unknown) {
				unknown[name]++
			}
		}
	}
	return unknown, grants, withdrawals
}

// What is simulated is what then happens: the same people are made due, the
// same subscriptions are written, the same yes is asked for, and once it is
// done nothing is left to be simulated.
func TestSimulationIsWhatHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		s := simulate(t, w)
		p := s.People
		if p.Looked != p.Changed+p.Unchanged+p.Unmatched+p.Unsaid+p.Unreadable || p.Created+p.ProfileUnknown > p.Changed || p.DueAlready > p.Changed {
			t.Fatalf("the people do not add up: %+v", p)
		}
		unknown, grants, withdrawals := w.counted()
		if s.Approval.Grants != grants || s.Approval.Withdrawals != withdrawals {
			t.Fatalf("%d grants and %d withdrawals, simulated %+v", grants, withdrawals, s.Approval)
		}
		for _, f := range s.Subscriptions {
			if f.Unknown != unknown[f.Name] {
				t.Fatalf("%s is unknown of %d, simulated %+v", f.Name, unknown[f.Name], f)
			}
		}
		r := w.reproject(t)
		if asks := r.State == store.ReprojectionAsking; asks != s.Approval.Asks || r.Withdrawals != s.Approval.Withdrawals || r.Grants != s.Approval.Grants {
			t.Fatalf("the re-projection became %+v, simulated %+v", r, s.Approval)
		} else if asks {
			r.State, r.Cursor = store.ReprojectionGranting, []byte{}
			w.running = r
			if err := NewReprojector(w, func(string) bool { return true }, func() {}, slog.New(slog.DiscardHandler)).work(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		on, off, people := w.deliver()
		if people != p.Changed {
			t.Fatalf("%d profiles were written, simulated %d", people, p.Changed)
		}
		for _, f := range s.Subscriptions {
			if f.On != on[f.Name] || f.Off != off[f.Name] || f.On+f.Off+f.Stay+f.Unsaid > p.Looked || f.Unknown > f.On+f.Off {
				t.Fatalf("%s was turned on %d times and off %d, simulated %+v", f.Name, on[f.Name], off[f.Name], f)
			}
		}
		for c := range maps.Values(w.due) {
			if c.HoldGrants && s.Approval.Grants == 0 {
				t.Fatal("grants are held that nobody counted")
			}
		}
		again := simulate(t, w)
		if again.People.Changed != 0 || again.Total.On+again.Total.Off != 0 || again.People.Unmatched != p.Unmatched || again.Approval.Withdrawals > p.Unmatched {
			t.Fatalf("after it was done the simulation still gives %+v %+v", again.People, again.Total)
		}
	})
}

// An unreadable person, one with a wrong value and one whom nothing is known of
// are told apart.
func TestSimulationOfThoseLeftOut(t *testing.T) {
	t.Parallel()
	w := &world{integration: store.Integration{Organization: "acme", ID: "i", Settings: store.Settings{
		Mappings:   []consent.Mapping{{ID: "News", Value: path("a")}, {ID: "Gone", Value: path("b")}},
		Properties: store.Properties{Regulations: []string{"gdpr"}},
	}}}
	w.integration.Snapshot.Subscriptions = []consent.Subscription{{Name: "News"}}
	w.integration.Snapshot.Attributes = []consent.Attribute{{Name: "age", Kind: consent.Integer}}
	person := func(n byte, st ...consent.Statement) *store.Compared {
		c := &store.Compared{Key: store.PersonKey{n}}
		c.Person.OrganizationUserID = fmt.Sprint("p", n)
		for _, s := range st {
			s.Regulation, s.At, s.Arrived = "gdpr", noon, noon
			c.Person.State.Apply(s)
		}
		return c
	}
	yes := consent.Statement{EventID: "e1", Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "a"}, Enabled: true}}}
	w.people = []*store.Compared{
		person(1, yes, consent.Statement{Metadata: map[string]json.RawMessage{"age": json.RawMessage(`"old"`), "shoe": json.RawMessage(`1`)}}),
		person(2),
		{Key: store.PersonKey{3}, Err: consent.Errorf(consent.Internal, "", "unreadable")},
	}
	s, err := Simulate(t.Context(), w, Simulated{Integration: &w.integration, Lanes: plan.Lanes{PerMinute: 60}}, func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	want := &Simulation{
		Complete: true, Assumptions: []string{},
		People:        SimulatedPeople{Looked: 3, Changed: 1, Unsaid: 1, Unreadable: 1, ProfileUnknown: 1},
		Total:         SimulatedTotal{On: 1, Unknown: 1},
		Subscriptions: []SimulatedField{{Name: "News", Path: path("a"), SimulatedTotal: SimulatedTotal{On: 1, Unknown: 1}, Unsaid: 1}, {Name: "Gone", Path: path("b"), Missing: true}},
		Attributes:    []SimulatedText{{Name: "age", Unfit: 1}},
		LeftOut: []SimulatedLeftOut{
			{store.LeftOutTotal{Name: "Gone", Reason: "the snapshot of the table has no such subscription", People: 2}, false},
			{store.LeftOutTotal{Name: "age", Reason: "the value is not a whole number", People: 1}, true},
			{store.LeftOutTotal{Name: "shoe", Reason: "the snapshot of the table has no such attribute", People: 1}, true},
		},
		Examples: []Example{{OrganizationUserID: "p1", Subscription: "News", To: true, Path: path("a"), Regulation: "gdpr", Reason: consent.ByEvent, EventID: "e1", At: noon}},
		Cost: Cost{
			CallsPerMinute: 60, Single: SingleCost{LeastCalls: 1, MostCalls: 1, LeastSeconds: 1, MostSeconds: 1},
			Bulk: BulkCost{Reason: "properties.etl_id is not set", Calls: 1, Seconds: 1},
		},
		Approval: Approval{Grants: 1, MostGrants: 100},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Grants from before a restore wait for newer consent, and are left out for that
// reason, not because nobody chose.
func TestSimulationAfterARestore(t *testing.T) {
	t.Parallel()
	w := &world{integration: store.Integration{Organization: "acme", ID: "i", Settings: store.Settings{
		Mappings: []consent.Mapping{{ID: "News", Value: path("a")}}, Properties: store.Properties{Regulations: []string{"gdpr"}},
	}}}
	w.integration.Snapshot = consent.Snapshot{Subscriptions: []consent.Subscription{{Name: "News"}}, RestoredAt: noon.Add(time.Hour)}
	c := &store.Compared{Key: store.PersonKey{1}}
	c.Person.State.Apply(consent.Statement{
		EventID: "e1", Regulation: "gdpr", At: noon, Arrived: noon,
		Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "a"}, Enabled: true}},
	})
	w.people = []*store.Compared{c}
	s, err := Simulate(t.Context(), w, Simulated{Integration: &w.integration, Lanes: plan.Lanes{PerMinute: 60}}, func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if s.Subscriptions[0].Unsaid != 0 || len(s.LeftOut) != 1 || s.LeftOut[0].People != 1 || s.Total.On != 0 || s.Approval.Grants != 0 {
		t.Errorf("%+v, left out %+v", s.Subscriptions, s.LeftOut)
	}
}

// A simulation whose time is over says so, and its figures are of those seen.
func TestSimulationThatRunsOutOfTime(t *testing.T) {
	t.Parallel()
	w := &world{integration: store.Integration{Organization: "acme", ID: "i"}}
	for n := range 3 * walkPage {
		w.people = append(w.people, &store.Compared{Key: store.PersonKey{byte(n >> 8), byte(n), 1}})
	}
	looks := 0
	s, err := Simulate(t.Context(), w, Simulated{Integration: &w.integration}, func() bool { looks++; return looks > 2 })
	if err != nil || s.Complete || s.People.Looked < walkPage || s.People.Looked == 3*walkPage {
		t.Errorf("%+v, %v", s, err)
	}
}

// The lanes: one by one with the calls that attributes need, and in files once
// that would take too long.
func TestSimulatedCost(t *testing.T) {
	t.Parallel()
	i := &store.Integration{Settings: store.Settings{Properties: store.Properties{ETLID: "7", ETLUpdatesOnly: true}}}
	i.Snapshot.Attributes = []consent.Attribute{{Name: "age"}, {Name: "shop"}}
	c := newCosts(&i.Snapshot)
	off := consent.Difference{Subscriptions: map[string]bool{"News": false}, Attributes: map[string]any{"age": int64(1), "shop": "x"}}
	on := consent.Difference{Subscriptions: map[string]bool{"News": true, "Promo": true}}
	for range 2000 {
		c.add(i, &store.Compared{}, off)
		c.add(i, &store.Compared{}, on)
	}
	for range 50 {
		c.add(i, &store.Compared{}, consent.Difference{Subscriptions: map[string]bool{"Sms": true}})
	}
	cost := c.end(i, plan.Lanes{Now: noon, PerMinute: 60})
	if got, want := cost.Single, (SingleCost{4050, 6050, 4050, 6050}); got != want {
		t.Errorf("one by one %+v, want %+v", got, want)
	}
	// The attributes of 2,000 people and the 50 whom no file takes go beside.
	if b := cost.Bulk; !b.Open || !b.Chosen || b.Loads != 2 || b.People != 4000 || b.Calls != 2050 || b.Seconds != 2050 {
		t.Errorf("in bulk %+v", b)
	}
	i.Settings.Properties.ETLID = ""
	if b := c.end(i, plan.Lanes{Now: noon, PerMinute: 60}).Bulk; b.Open || b.Chosen || b.Loads != 0 || b.Calls != 6050 {
		t.Errorf("without an ETL %+v", b)
	}
}
