package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// inOrder makes an event of each of the people, each a little after the last.
func inOrder(people []string, from time.Time, purposes, channels simulator.Choices) (list []object) {
	for i, email := range people {
		at := from.Add(time.Duration(i) * time.Millisecond)
		list = append(list, simulator.EventCreated(organization, simulator.Event{
			ID: email + at.Format("-150405.000"), OrganizationUserID: email, CreatedAt: at, Purposes: purposes, Channels: channels,
		}))
	}
	return list
}

// A file has one set of columns, every cell of it is filled, and nothing but
// subscriptions is in it. Who has another set of columns goes by another load,
// or alone (R22).
func TestR22EveryCellIsFilled(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1})
	files := b.keepFiles()
	both, off, on, sms := crowd("both", 200), crowd("off", 40), crowd("on", 20), crowd("sms", 120)
	everybody := slices.Concat(both, off, on, sms)
	putAll(t, b, everybody, map[string]bool{"PartnerOffers": true})
	id := b.integrate(bulky(nil))
	now := time.Now().Add(-time.Minute)
	b.sendAll(inOrder(off, now, simulator.Choices{"promotions": no()}, nil))
	b.sendAll(inOrder(on, now, simulator.Choices{"promotions": yes()}, nil))
	b.looks("some are known", func() bool { return b.allSynced(slices.Concat(off, on)) })
	now = now.Add(time.Second)
	b.pile(id, inOrder(both, now, simulator.Choices{"newsletter": yes(), "promotions": no()}, nil),
		inOrder(slices.Concat(off, on), now, simulator.Choices{"newsletter": yes()}, nil),
		inOrder(sms, now, nil, simulator.Choices{"sms": yes()}))
	w := wants{}
	w.set(everybody, map[string]bool{"Newsletter": true, "Promotions": false, "SmsAlerts": false, "PartnerOffers": true})
	w.set(on, map[string]bool{"Promotions": true})
	w.set(sms, map[string]bool{"Newsletter": false, "SmsAlerts": true})
	b.begun(id)
	b.sees(id, "the load is done", loadView.done)
	b.slow()
	b.looks("a second load is begun", func() bool { return len(b.plan(id).Loads) == 2 })
	b.hurry()
	b.settle("everybody", w)

	list, started := files.all(), b.plan(id).Loads
	if len(list) != len(started) {
		t.Fatalf("%d files, and the loads %+v", len(list), started)
	}
	var seen []string
	for n, file := range list {
		seen = append(seen, checkFile(t, w, file)...)
		if load := started[len(started)-1-n]; load.People != len(file)-1 {
			t.Errorf("file %d has %d rows, the load %d people", n+1, len(file)-1, load.People)
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(seen) {
		t.Error("somebody was in two loads")
	}
	heads := []string{strings.Join(list[0][0], " "), strings.Join(list[1][0], " ")}
	if heads[0] != "emailAddress subscriptions#Newsletter subscriptions#Promotions" || heads[1] != "emailAddress subscriptions#SmsAlerts" {
		t.Errorf("the files have the columns %q", heads)
	}
	// Who refused promotions before has that cell filled once more; a grant is
	// never written once more.
	in := func(email string) bool { return slices.Contains(seen, email) }
	if !slices.Contains(slices.Collect(keysOf(list[0])), off[39]) || slices.ContainsFunc(on, in) || !in(sms[119]) {
		t.Error("the wrong people were in the loads")
	}
}

// keysOf gives the first cells of a file's rows.
func keysOf(file [][]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, row := range file[1:] {
			if !yield(row[0]) {
				return
			}
		}
	}
}

// checkFile wants each row to say what the person chose, and gives the people.
func checkFile(t *testing.T, w wants, file [][]string) (people []string) {
	t.Helper()
	for _, row := range file[1:] {
		if len(row) != len(file[0]) || w[row[0]] == nil {
			t.Errorf("a row %q under the columns %q", row, file[0])
			continue
		}
		people = append(people, row[0])
		for i, cell := range row[1:] {
			name, ok := strings.CutPrefix(file[0][i+1], "subscriptions#")
			if want := map[bool]string{true: "TRUE", false: "FALSE"}[w[row[0]][name]]; !ok || cell != want {
				t.Errorf("%s has %s %q, want %q", row[0], name, cell, want)
			}
		}
	}
	return people
}

// A row that Actito refuses: who granted is failed with the reason, who refused
// something goes alone, and everybody else is synced.
func TestR22RefusedRows(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1})
	granting, refusing := crowd("g", 110), crowd("r", 90)
	putAll(t, b, granting, nil)
	putAll(t, b, refusing, map[string]bool{"Promotions": true})
	id := b.integrate(bulky(nil))
	refused := []string{granting[108], granting[109], refusing[88], refusing[89]}
	b.actito.RefuseInLoads(func(key string) string {
		if slices.Contains(refused, key) {
			return "not in this segment"
		}
		return ""
	})
	now := time.Now().Add(-time.Minute)
	b.pile(id, inOrder(granting, now, simulator.Choices{"newsletter": yes(), "promotions": yes()}, nil),
		inOrder(refusing, now, simulator.Choices{"newsletter": yes(), "promotions": no()}, nil))
	b.sees(id, "the load is done", loadView.done)
	if load := b.load(id); load.Outcome != "confirmed" || load.Refused != 4 || load.Withdrawals < 20 || load.People-load.Withdrawals != 110 {
		t.Errorf("the load is %+v", load)
	}
	for _, email := range refused[:2] {
		if p := b.person(email).Integrations[0]; p.Status != "failed" || !strings.Contains(p.LastError, "not in this segment") {
			t.Errorf("who only granted is %s: %q", p.Status, p.LastError)
		}
	}
	for _, email := range refused[2:] {
		if p := b.person(email).Integrations[0]; p.Status != "pending" || !strings.Contains(p.LastError, "not in this segment") {
			t.Errorf("who refused something is %s: %q", p.Status, p.LastError)
		}
	}
	if got := b.trace(granting[109]); !slices.Equal(got, []string{"call load", "answer load invalid"}) {
		t.Errorf("the trace has %v", got)
	}
	w := wants{}
	w.set(granting[:108], map[string]bool{"Newsletter": true, "Promotions": true})
	w.set(refusing, map[string]bool{"Newsletter": true, "Promotions": false})
	b.hurry()
	b.settle("everybody else", w)
	for _, email := range refused[2:] {
		if calls := b.callsFor(email, simulator.KindUpdate); len(calls) == 0 || calls[0].Subscriptions["Promotions"] != false {
			t.Errorf("the calls for who refused are %+v", calls)
		}
	}
}
