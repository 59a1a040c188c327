package backfill

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// What an export says is compared with what is wanted and known; what follows
// depends on the policy. No policy turns anything on by itself (R23).
func TestDrift(t *testing.T) {
	t.Parallel()
	const exported = noon - 1000
	yes, no := true, false
	fact := func(on bool, at consent.Time) map[string]consent.Fact {
		return map[string]consent.Fact{"News": {Value: on, ConfirmedAt: at}}
	}
	type follows struct {
		Report store.DriftReport
		Learnt map[string]bool
		Off    bool
		Read   bool
		Found  bool
	}
	for name, x := range map[string]struct {
		policy  store.Policy
		hooks   bool
		chose   *bool
		state   store.DeliveryState
		known   map[string]consent.Fact
		absent  bool
		is      string
		follows follows
	}{
		"agreed":                                      {chose: &yes, known: fact(true, exported-1), is: "1", follows: follows{Report: store.DriftReport{Agree: 1}}},
		"agreed, not known before":                    {chose: &yes, is: "1", follows: follows{Report: store.DriftReport{Agree: 1, Learnt: 1}, Learnt: map[string]bool{"News": true}}},
		"nobody chose":                                {is: "1", follows: follows{Report: store.DriftReport{Unsaid: 1}}},
		"the export says nothing":                     {chose: &yes, is: "-", follows: follows{}},
		"written since":                               {chose: &no, known: fact(false, exported+1), is: "1", follows: follows{Report: store.DriftReport{ChangedSince: 1}}},
		"due anyway":                                  {chose: &no, state: store.Pending, is: "1", follows: follows{Report: store.DriftReport{ChangedSince: 1}}},
		"should be off":                               {chose: &no, is: "1", follows: follows{Report: store.DriftReport{ShouldBeOff: 1, Learnt: 1, Off: 1}, Learnt: map[string]bool{"News": true}, Off: true}},
		"should be off, report":                       {policy: store.PolicyReport, chose: &no, is: "1", follows: follows{Report: store.DriftReport{ShouldBeOff: 1}}},
		"turned on":                                   {chose: &no, known: fact(false, exported-1), is: "1", follows: follows{Report: store.DriftReport{TurnedOn: 1, Learnt: 1, Off: 1}, Learnt: map[string]bool{"News": true}, Off: true}},
		"should be on":                                {chose: &yes, is: "0", follows: follows{Report: store.DriftReport{ShouldBeOn: 1}}},
		"should be on, all":                           {policy: store.PolicyAll, chose: &yes, is: "0", follows: follows{Report: store.DriftReport{ShouldBeOn: 1, Learnt: 1, On: 1}, Learnt: map[string]bool{"News": false}}},
		"turned off":                                  {chose: &yes, known: fact(true, exported-1), is: "0", follows: follows{Report: store.DriftReport{TurnedOff: 1}}},
		"turned off, two-way":                         {hooks: true, chose: &yes, known: fact(true, exported-1), is: "0", follows: follows{Report: store.DriftReport{TurnedOff: 1, Read: 1}, Read: true}},
		"turned off, two-way, all":                    {policy: store.PolicyAll, hooks: true, chose: &yes, known: fact(true, exported-1), is: "0", follows: follows{Report: store.DriftReport{TurnedOff: 1, Read: 1}, Read: true}},
		"turned off, two-way, report":                 {policy: store.PolicyReport, hooks: true, chose: &yes, known: fact(true, exported-1), is: "0", follows: follows{Report: store.DriftReport{TurnedOff: 1}}},
		"turned off, all":                             {policy: store.PolicyAll, chose: &yes, known: fact(true, exported-1), is: "0", follows: follows{Report: store.DriftReport{TurnedOff: 1, Learnt: 1, On: 1}, Learnt: map[string]bool{"News": false}}},
		"no profile any more":                         {chose: &no, known: fact(false, exported-1), absent: true, follows: follows{Report: store.DriftReport{MissingProfiles: 1}}},
		"no profile, as is known":                     {chose: &no, state: store.Unmatched, absent: true, follows: follows{}},
		"a profile where there was none, grants":      {chose: &yes, state: store.Unmatched, is: "0", follows: follows{Report: store.DriftReport{FoundProfiles: 1}}},
		"a profile where there was none, grants, all": {policy: store.PolicyAll, chose: &yes, state: store.Unmatched, is: "0", follows: follows{Report: store.DriftReport{FoundProfiles: 1, On: 1}, Found: true}},
		"a profile where there was none":              {chose: &no, state: store.Unmatched, is: "1", follows: follows{Report: store.DriftReport{FoundProfiles: 1}, Found: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := &store.Integration{
				Settings: store.Settings{
					EnableWebhooks: x.hooks, Mappings: []consent.Mapping{{ID: "News", Value: "consents_purposes_news_enabled"}},
					Properties: store.Properties{Regulations: []string{consent.DefaultRegulation}},
				},
				Snapshot: consent.Snapshot{Subscriptions: []consent.Subscription{{Name: "News"}}},
			}
			if x.policy == "" {
				x.policy = store.PolicyWithdrawals
			}
			if x.state == "" {
				x.state = store.Synced
			}
			c := &store.Compared{Key: store.PersonKey{7}, Standing: store.Standing{State: x.state, Known: consent.Known{Subscriptions: x.known}}}
			c.Person.OrganizationUserID = "ana"
			if x.chose != nil {
				c.Person.State.Apply(consent.Statement{
					EventID: "e", Regulation: consent.DefaultRegulation, At: noon - 5000, Arrived: noon - 5000,
					Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "news"}, Enabled: *x.chose}},
				})
			}
			p := drifting{i: i, rules: i.Rules(), now: noon, r: &store.Reconciliation{Policy: x.policy, AsOf: exported, Columns: []string{"News"}}}
			p.compare(c, store.HeldRow{Person: c.Key, Cells: x.is}, !x.absent)
			got := follows{Report: p.r.Report}
			for _, l := range p.step.Learnt {
				got.Learnt = l.Subscriptions
			}
			for _, d := range p.step.Due {
				if !d.HoldGrants || d.Class != store.BackfilledRefusal {
					t.Errorf("it is due as %+v", d)
				}
				got.Off, got.Found = x.state != store.Unmatched, x.state == store.Unmatched
			}
			got.Read = len(p.step.Read) > 0
			x.follows.Report.People = 1
			if !x.absent {
				x.follows.Report.Profiles = 1
			}
			if diff := cmp.Diff(x.follows, got, cmpopts.IgnoreFields(store.DriftReport{}, "Examples"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// An export of many rows, of whom few are known, is compared in parts.
func TestReconciliationOfALargeExport(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	i := connect(t, db, "acme")
	settleReprojection(t, db, i)
	if _, err := db.Accept(t.Context(), []store.Inbound{person("acme", 1), person("acme", 2), person("acme", 3)}); err != nil {
		t.Fatal(err)
	}
	c := &Reconciler{Store: db, Hasher: h, Holds: func(string) bool { return true }, Due: func() {}, Changed: func() {}}
	k := store.IntegrationKey{Organization: "acme", ID: i.ID}
	v, err := c.Start(t.Context(), k, ReconcileInput{AsOf: "2026-01-01T00:00:00Z", Policy: "report", Columns: []string{"News"}})
	if err != nil {
		t.Fatal(err)
	}
	const rows = mostHeld + 2*mostPartRows
	for from := 0; from < rows; from += mostPartRows {
		if v, err = c.Take(t.Context(), k, v.ID, HeldPart{From: int64(from), Body: heldLines(from, from+mostPartRows)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.End(t.Context(), k, v.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err = c.Get(t.Context(), k, v.ID); err != nil {
		t.Fatal(err)
	}
	if r := v.Report; v.State != store.ReconciliationDone || r.People != 3 || r.Profiles != 3 || r.UnknownProfiles != rows-3 {
		t.Errorf("it came to %+v", v)
	}
}

// Pages of people and of rows end at different places: everybody and every row is
// met once, and whoever is on one side alone is counted, though the comparison is
// interrupted after every other page.
func TestReconciliationMeetsEverybodyOnce(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	i := connect(t, db, "acme")
	settleReprojection(t, db, i)
	var batch []store.Inbound
	for n := range 3*walkPage + 7 {
		batch = append(batch, person("acme", n))
	}
	if _, err := db.Accept(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	pages := 0
	holds := func(string) bool {
		pages++
		return pages%3 > 0
	}
	c := &Reconciler{Store: db, Hasher: h, Holds: holds, Due: func() {}, Changed: func() {}}
	k := store.IntegrationKey{Organization: "acme", ID: i.ID}
	v, err := c.Start(t.Context(), k, ReconcileInput{AsOf: "2026-01-01T00:00:00Z", Policy: "report", Columns: []string{"News", "Gone"}})
	if err != nil {
		t.Fatal(err)
	}
	const first, last = walkPage, 6 * walkPage
	for from := first; from < last; from += 1000 {
		if v, err = c.Take(t.Context(), k, v.ID, HeldPart{From: int64(from - first), Body: heldLines(from, min(last, from+1000))}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Take(t.Context(), k, v.ID, HeldPart{From: 7, Body: heldLines(0, 1)}); consent.KindOf(err) != consent.Conflict {
		t.Errorf("rows in the wrong place: %v", err)
	}
	if _, err := c.End(t.Context(), k, v.ID); err != nil {
		t.Fatal(err)
	}
	rounds := 0
	for v.State != store.ReconciliationDone && rounds < 20 {
		rounds++
		if err := c.work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v, err = c.Get(t.Context(), k, v.ID); err != nil {
			t.Fatal(err)
		}
	}
	if rounds < 2 {
		t.Error("it was never interrupted")
	}
	r := v.Report
	if v.State != store.ReconciliationDone || r.People != 3*walkPage+7 || r.Profiles != 2*walkPage+7 || r.UnknownProfiles != last-3*walkPage-7 ||
		r.ChangedSince != 2*walkPage+7 || len(r.UnknownSubscriptions) != 1 {
		t.Errorf("it came to %+v", v)
	}
	left, err := db.ForgetHeld(t.Context(), k, store.ID{}, 1)
	if err != nil || left {
		t.Errorf("rows are left: %v, %v", left, err)
	}
}
