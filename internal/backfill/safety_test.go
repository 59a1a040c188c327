package backfill

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/store"
)

// told is what came in, by whichever way.
type told struct {
	grant, refusal consent.Time // the newest event
	shownOff       consent.Time // the newest record
	shownOn        bool
}

// R5, R23: whatever comes by whichever way in whatever order, as a webhook, out of
// a file or by a catch-up, event or record, once or several times: a choice is on
// only by an event newer than every refusal that came, or by a record where nothing
// else came. What came out of a file makes nobody's grants due. And after a
// catch-up of everybody we hold what Didomi holds.
func TestR5NoWayUndoesAWithdrawal(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		organization := fmt.Sprint("organization ", run)
		i := connect(t, db, organization)
		settleReprojection(t, db, i)
		d := &truth{}
		for n := range rapid.IntRange(1, 6).Draw(rt, "events") {
			d.events = append(d.events, fact{
				id: fmt.Sprint("e", n), person: rapid.SampledFrom([]string{"ana", "bob"}).Draw(rt, "person"), purpose: rapid.SampledFrom([]string{"news", "sms"}).Draw(rt, "purpose"),
				at: noon.Add(-time.Duration(20-n) * time.Minute), on: rapid.Bool().Draw(rt, "on"),
			})
		}
		c, m := fetching(db, h, d), importing(db, h)
		m.Little = rapid.SampledFrom([]int64{0, -1}).Draw(rt, "little") // -1 stages every row
		files, err := db.OpenImport(context.Background(), organization, "files")
		if err != nil {
			rt.Fatal(err)
		}
		came, live := map[string]*told{}, map[string]bool{}
		hear := func(f fact) {
			x := came[f.person+" "+f.purpose]
			if x == nil {
				x = &told{}
				came[f.person+" "+f.purpose] = x
			}
			if f.on {
				x.grant = max(x.grant, f.at)
			} else {
				x.refusal = max(x.refusal, f.at)
			}
		}
		see := func(person string, after int) {
			latest, updated := map[string]fact{}, consent.Time(0)
			for _, f := range d.events[:after] {
				if f.person == person {
					latest[f.purpose], updated = f, f.at
				}
			}
			for purpose, f := range latest {
				x := came[person+" "+purpose]
				if x == nil {
					x = &told{}
					came[person+" "+purpose] = x
				}
				if f.on {
					x.shownOn = true
				} else {
					x.shownOff = max(x.shownOff, updated)
				}
			}
		}
		rows := int64(0)
		var staged []func() // what is known once they are merged
		merge := func() {
			if err := m.mergeUntil(context.Background(), files.ImportKey, func(*store.Import) bool { return false }); err != nil {
				rt.Fatal(err)
			}
			for _, known := range staged {
				known()
			}
			staged = nil
		}
		take := func(line []byte, known func()) {
			v, err := m.Take(context.Background(), files.ImportKey, Part{File: "f", From: rows, Body: line})
			if err != nil || len(v.Refused) > 0 || v.Stopped != nil {
				rt.Fatalf("%+v, %v", v, err)
			}
			if rows = v.Rows; v.Outcomes[queued] > 0 {
				staged = append(staged, known)
			} else {
				known()
			}
		}
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			f := rapid.SampledFrom(d.events).Draw(rt, "event")
			after := rapid.IntRange(1, len(d.events)).Draw(rt, "after")
			switch rapid.SampledFrom([]string{"webhook", "file of events", "file of users", "merge", "catch-up"}).Draw(rt, "way") {
			case "webhook":
				webhook, _, _, _ := didomi.ParseRow(f.json(organization))
				accept(t, db, organization, webhook)
				hear(f)
				live[f.person] = true
			case "file of events":
				take(f.json(organization), func() { hear(f) })
			case "file of users":
				if record, ok := d.record(f.person, after); ok {
					take(record, func() { see(f.person, after) })
				}
			case "merge":
				merge()
			case "catch-up":
				catchUp(t, c, i, d)
				for _, p := range d.people() {
					see(p, len(d.events))
					live[p] = true
				}
				for _, f := range d.events {
					hear(f) // at most: it fetches events where it needs them
				}
			}
			checkSafety(rt, db, h, organization, i, came, live)
		}
		merge()
		checkSafety(rt, db, h, organization, i, came, live)
		catchUp(t, c, i, d)
		want := map[string]bool{}
		for _, f := range d.events {
			want[f.person+" "+f.purpose] = f.on // later ones are newer
		}
		is := map[string]bool{}
		for _, p := range d.people() {
			for _, held := range choices(t, db, h, organization, p) {
				is[p+" "+held.Purpose] = held.Enabled
			}
		}
		if diff := cmp.Diff(want, is); diff != "" {
			rt.Fatalf("after a catch-up (-Didomi +held):\n%s", diff)
		}
	})
}

// checkSafety holds what is held and due to the rule.
func checkSafety(rt *rapid.T, db interface {
	Store
	Delivery(ctx context.Context, k store.DeliveryKey) (*store.Delivery, error)
}, h *store.Hasher, organization string, i *store.Integration, came map[string]*told, live map[string]bool,
) {
	for _, person := range []string{"ana", "bob"} {
		key := h.Person(organization, consent.Subject{OrganizationUserID: person})
		p, err := db.Person(context.Background(), organization, key)
		if consent.KindOf(err) == consent.NotFound {
			continue
		}
		if err != nil {
			rt.Fatal(err)
		}
		for _, held := range p.View().Choices {
			x := came[person+" "+held.Purpose]
			if x == nil {
				rt.Fatalf("%s of %s is invented", held.Purpose, person)
			}
			refused := max(x.refusal, x.shownOff)
			proven := x.grant > refused || x.grant == 0 && refused == 0 && x.shownOn
			if held.Enabled && !proven {
				rt.Fatalf("%s of %s is on, of which this came: %+v", held.Purpose, person, *x)
			}
		}
		delivery, err := db.Delivery(context.Background(), store.DeliveryKey{Organization: organization, Integration: i.ID, Target: store.TargetActito, Person: key})
		if err == nil && !delivery.HoldGrants && !live[person] {
			rt.Fatalf("what came out of a file lets grants of %s go", person)
		}
	}
}
