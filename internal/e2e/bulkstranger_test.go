package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Without upsert_mode, and without etl_updates_only, only people who are known
// to have a profile go by bulk: the ETL could make one (R22).
func TestR22OnlyKnownProfilesGoByBulk(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1})
	files := b.keepFiles()
	unknown, nowhere, known := crowd("u", 50), crowd("n", 20), crowd("k", 120)
	putAll(t, b, slices.Concat(known, unknown), nil)
	id := b.integrate(bulky(func(p object) {
		p["etl_id"], p["etl_updates_only"] = simulator.SampleETLUpsert, false
	}))
	now := time.Now().Add(-time.Minute)
	b.sendAll(inOrder(known, now, simulator.Choices{"promotions": no()}, nil))
	b.looks("some are known", func() bool { return b.allSynced(known) })
	now = now.Add(time.Second)
	b.pile(id, inOrder(slices.Concat(unknown, nowhere, known), now, simulator.Choices{"newsletter": yes()}, nil))
	b.begun(id)
	w := wants{}
	w.set(slices.Concat(known, unknown), map[string]bool{"Newsletter": true})
	b.settle("everybody with a profile", w)
	b.looks("the others are unmatched", func() bool {
		return !slices.ContainsFunc(nowhere, func(email string) bool { return b.person(email).status() != "unmatched" })
	})
	if people := checkFile(t, w, files.all()[0]); slices.ContainsFunc(people, func(email string) bool { return !slices.Contains(known, email) }) {
		t.Errorf("people of whom nothing is known went by bulk: %v", people)
	}
	if n := len(b.actito.Profiles(simulator.SampleEntity, simulator.SampleTableID)); n != len(w) {
		t.Errorf("there are %d profiles, want %d", n, len(w))
	}
}

// With upsert_mode a load makes the profiles that are missing.
func TestR22ALoadMakesProfiles(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1})
	people := crowd("p", 180)
	id := b.integrate(func(in object) {
		bulky(func(p object) { p["etl_id"], p["etl_updates_only"] = simulator.SampleETLUpsert, false })(in)
		in["upsert_mode"] = true
	})
	b.pile(id, inOrder(people, time.Now().Add(-time.Minute), simulator.Choices{"newsletter": yes(), "promotions": no()}, nil))
	b.begun(id)
	w := wants{}
	w.set(people, map[string]bool{"Newsletter": true, "Promotions": false})
	b.settle("everybody", w)
	p := b.plan(id)
	if n := b.actito.CallCount(simulator.KindCreate); p.Spent.PeopleLoaded < 100 || p.Loads[0].Outcome != "confirmed" || n != len(people)-p.Spent.PeopleLoaded {
		t.Errorf("%d profiles were made one by one, beside the loads %+v", n, p.Loads)
	}
}

// Where a profile needs more than its key, none is made by bulk.
func TestR22MandatoryAttributesKeepFromBulk(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1})
	table := simulator.SampleTable()
	table.ID, table.Name = "17", "Strict"
	table.Attributes[slices.IndexFunc(table.Attributes, func(a simulator.Attribute) bool { return a.Name == "shop" })].Mandatory = true
	b.actito.AddTable(simulator.SampleEntity, table)
	b.actito.AddETL(simulator.SampleEntity, simulator.ETL{ID: "90", Table: "17", Key: "emailAddress", Mode: simulator.CreateUpdate})
	people := crowd("p", 180)
	id := b.integrate(func(in object) {
		bulky(func(p object) { p["etl_id"], p["table_name"] = "90", "Strict" })(in)
		in["upsert_mode"] = true
	})
	var webhooks []object
	for _, email := range people {
		webhooks = append(webhooks, simulator.EventCreated(organization, simulator.Event{
			ID: email, OrganizationUserID: email, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()},
			Metadata: map[string]any{"shop": "Ghent"},
		}))
	}
	b.pile(id, webhooks)
	b.looks("it is told why nothing goes by bulk", func() bool {
		p := b.plan(id)
		return !p.Lanes.Bulk.Open && strings.Contains(p.Lanes.Bulk.Reason, "too few people")
	})
	b.hurry()
	b.looks("everybody has a profile", func() bool {
		return len(b.actito.Profiles(simulator.SampleEntity, "17")) == len(people) && b.allSynced(people)
	})
	if n := b.actito.CallCount(simulator.KindTrigger); n != 0 {
		t.Errorf("%d loads were started", n)
	}
}
