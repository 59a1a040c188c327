package main

import (
	"fmt"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// sight is what one look at a server showed.
type sight struct {
	server       string
	at           time.Time // by the server's clock
	integrations []listed
}

// text writes it in lines that fit a width as far as words allow.
func (s *sight) text(width int) string {
	b := &sheet{width: min(max(width, 60), 100)}
	b.para(fmt.Sprintf("as of %s at %s", s.at.UTC().Format("2006-01-02 15:04:05 UTC"), s.server))
	for _, i := range s.integrations {
		b.para("")
		b.integration(i, consent.TimeOf(s.at))
	}
	return b.String()
}

// sheet is lines with a label in front.
type sheet struct {
	strings.Builder
	width int
}

const labelWidth = 14

// para writes a text over the whole width.
func (b *sheet) para(text string) {
	for _, line := range wrap(printable(text), b.width) {
		b.WriteString(line + "\n")
	}
}

// say writes a text behind a label.
func (b *sheet) say(label, text string) {
	b.block(label, wrap(printable(text), b.width-labelWidth))
}

// block writes lines behind a label.
func (b *sheet) block(label string, lines []string) {
	for _, line := range lines {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s%s", labelWidth, "  "+label, line), " ") + "\n")
		label = ""
	}
}

func (b *sheet) integration(i listed, now consent.Time) {
	b.para(fmt.Sprintf("%s  %s / %s", i.ID, i.Properties.EntityID, i.Properties.TableName))
	b.say("status", because(i.Status, i.StatusReason))
	if r := i.Reprojection; r != nil {
		b.reprojection(r)
	}
	if d := i.Snapshot.Differs; d != nil {
		b.say("table", schemaText(d)+": POST .../refresh takes it over")
	}
	p := &i.plan
	b.licence(p.Licence, now)
	if p.Licence == nil || p.Lanes.Bulk.Reason == "" { // whoever has looked at it gives a reason
		b.say("due", "not known yet: this integration has not been looked at so far")
	} else {
		b.block("due", dueTable(p.Due))
		b.lanes(p)
	}
	b.loads(p.Loads, now)
	b.spent(p.Spent)
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func (b *sheet) reprojection(r *integration.ReprojectionView) {
	switch r.State {
	case store.ReprojectionAsking:
		b.say("asks", fmt.Sprintf("a change of this integration would turn subscriptions on for %s; they wait for a yes: POST .../resume with approve_grants",
			of(r.Grants, "person", "people")))
	case store.ReprojectionDone:
	default:
		b.say("compares", fmt.Sprintf("everybody again after a change, %s so far", of(r.People, "person", "people")))
	}
}

// silence is for how long a licence may go without a report: one is repeated
// every minute when nothing changes.
const silence = 90 * time.Second

func (b *sheet) licence(l *integration.LicenceView, now consent.Time) {
	if l == nil {
		b.say("pace", "not known yet: nobody has delivered for this licence so far")
		return
	}
	b.say("pace", paceOf(l))
	if l.Outage {
		b.say("Actito", "is out of reach: no profile is called, it is only probed")
	}
	if l.BlockedUntil != nil && *l.BlockedUntil > now {
		b.say("blocked", fmt.Sprintf("Actito asked not to be called until %s, for %s more",
			l.BlockedUntil.Std().Format("15:04:05 UTC"), spell(l.BlockedUntil.Sub(now))))
	}
	if age := now.Sub(l.ReportedAt); age > silence {
		b.say("old", fmt.Sprintf("the figures of this licence are %s old: whoever delivers for it has said nothing since", spell(age)))
	}
}

func paceOf(l *integration.LicenceView) string {
	return because(fmt.Sprintf("%s of %s calls a minute, %d of %d at once",
		count(l.CallsPerMinute), count(l.MostCallsPerMinute), l.Concurrency, l.MostConcurrency), l.PaceReason)
}

func dueTable(due map[string]integration.QueueView) []string {
	rows := [][]string{{"", "people", "oldest wait"}}
	for _, class := range store.ClassNames {
		q := due[class]
		wait := "-"
		if q.People > 0 {
			wait = spell(seconds(q.OldestWaitSeconds))
		}
		rows = append(rows, []string{class, people(q.People), wait})
	}
	return aligned(rows)
}

// people writes how many are due; they are not counted beyond a bound.
func people(n int64) string {
	if n >= store.MostCounted {
		return count(n) + " or more"
	}
	return count(n)
}

func total(due map[string]integration.QueueView) (n int64) {
	for _, q := range due {
		n += q.People
	}
	return n
}

func (b *sheet) lanes(p *integration.PlanView) {
	single, bulk := "nothing to send", ""
	if total(p.Due) > 0 {
		single = "done in " + spell(seconds(p.Lanes.Single.DrainSeconds))
		if p.Lanes.Bulk.Open && p.Lanes.Bulk.DrainSeconds > 0 {
			bulk = "done in " + spell(seconds(p.Lanes.Bulk.DrainSeconds)) + ", "
		}
	}
	b.say("one by one", single)
	if !p.Lanes.Bulk.Open {
		b.say("by bulk", because("closed", p.Lanes.Bulk.Reason))
		return
	}
	b.say("by bulk", because(fmt.Sprintf("%s%s left today, %d made", bulk, of(p.Lanes.Bulk.LoadsLeft, "load", "loads"), p.Lanes.Bulk.LoadsToday), p.Lanes.Bulk.Reason))
}

// loads shows those that are not over, and of the others the last.
func (b *sheet) loads(loads []integration.LoadView, now consent.Time) {
	over := true
	for _, l := range loads {
		if l.State != store.LoadDone {
			over = false
			b.say("load", loadText(l, now))
		}
	}
	if over && len(loads) > 0 {
		b.say("last load", loadText(loads[0], now))
	}
}

var (
	stateWords = map[store.LoadState]string{
		store.LoadBuilding: "people are put into a file",
		store.LoadStarted:  "the file is handed over",
		store.LoadRunning:  "Actito works on it",
	}
	outcomeWords = map[store.LoadOutcome]string{
		store.LoadConfirmed:  "applied",
		store.LoadUntold:     "applied as Actito says, profiles are read to see",
		store.LoadNotApplied: "not applied",
		store.LoadUnclear:    "not known whether it was applied",
	}
)

func loadText(l integration.LoadView, now consent.Time) string {
	what := fmt.Sprintf("%s, %s", of(l.People, "person", "people"), of(l.Withdrawals, "withdrawal", "withdrawals"))
	if l.EndedAt == nil {
		since := l.CreatedAt
		if l.StartedAt != nil {
			since = *l.StartedAt
		}
		return fmt.Sprintf("%s since %s (%s), %s", stateWords[l.State], since.Std().Format("15:04:05 UTC"), spell(now.Sub(since)), what)
	}
	if l.Refused > 0 {
		what += ", " + of(l.Refused, "row", "rows") + " refused"
	}
	text := fmt.Sprintf("ended at %s (%s ago), %s: %s", l.EndedAt.Std().Format("15:04:05 UTC"), spell(now.Sub(*l.EndedAt)), what,
		because(outcomeWords[l.Outcome], l.Reason))
	if l.State != store.LoadDone {
		text += "; not all of its people are settled yet"
	}
	return text
}

func (b *sheet) spent(c integration.CountsView) {
	b.say("spent", of(c.Calls, "call", "calls")+" for "+of(c.Events, "event", "events"))
	saved, without := saving(c)
	if saved == 0 {
		b.say("saved", savedText(c))
		return
	}
	b.block("saved", aligned([][]string{
		{"shared the call of another event", count(c.Saved.Coalesced), percent(c.Saved.Coalesced, without)},
		{"Actito held it already", count(c.Saved.Unchanged), percent(c.Saved.Unchanged, without)},
		{"went by bulk", count(c.Saved.Bulk), percent(c.Saved.Bulk, without)},
		{"in all", count(saved), percent(saved, without)},
	}))
}

// saving gives how many calls were saved, and how many it would have been
// without.
func saving(c integration.CountsView) (saved, without int64) {
	saved = c.Saved.Coalesced + c.Saved.Unchanged + c.Saved.Bulk
	return saved, saved + c.Calls
}

func savedText(c integration.CountsView) string {
	saved, without := saving(c)
	if saved == 0 {
		return "no calls yet"
	}
	return fmt.Sprintf("%s of %s (%s)", count(saved), of(without, "call", "calls"), percent(saved, without))
}

// schemaText tells what a table has otherwise than its snapshot.
func schemaText(d *consent.SchemaDifference) string {
	var parts []string
	tell := func(what string, names []string) {
		const most = 5
		if len(names) == 0 {
			return
		}
		text := strings.Join(names[:min(most, len(names))], ", ")
		if more := len(names) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, what+" "+text)
	}
	tell("it has new subscriptions", d.SubscriptionsAdded)
	tell("it no longer has the subscriptions", d.SubscriptionsRemoved)
	tell("it has new attributes", d.AttributesAdded)
	tell("it no longer has the attributes", d.AttributesRemoved)
	var changed []string
	for _, c := range d.AttributesChanged {
		changed = append(changed, c.Is.Name)
	}
	tell("it takes something else for the attributes", changed)
	return "the snapshot is no longer as the table: " + strings.Join(parts, "; ")
}
