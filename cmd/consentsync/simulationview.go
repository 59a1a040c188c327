package main

import (
	"cmp"
	"fmt"

	"consentsync/internal/backfill"
)

// structureWords tell where the structure of the table was taken from.
var structureWords = map[backfill.StructureSource]string{
	backfill.FromLive: "as it is in Actito now", backfill.FromSnapshot: "as the snapshot has it", backfill.FromMapping: "not known: whatever is mapped is assumed to exist",
}

// simulation writes what a simulation came to.
func (b *sheet) simulation(s *backfill.Simulation) {
	p := s.People
	b.say("table", structureWords[s.Structure.Source])
	b.say("people", fmt.Sprintf("%s looked at: %s would change, %s not, %s without a profile, %s of whom nothing mapped is known",
		count(p.Looked), count(p.Changed), count(p.Unchanged), count(p.Unmatched), count(p.Unsaid)))
	if p.Created+p.ProfileUnknown > 0 {
		b.say("profiles", fmt.Sprintf("%s would be made, of %s it is not known whether there is one", count(p.Created), count(p.ProfileUnknown)))
	}
	if p.Unreadable > 0 {
		b.say("unreadable", of(p.Unreadable, "person", "people")+", which is a fault of consentsync")
	}
	if !s.Complete {
		b.say("", "the time was over before everybody was looked at; those who were are a fair sample")
	}
	rows := [][]string{{"subscription", "on", "off", "of these unknown before", "stay"}}
	for _, f := range s.Subscriptions {
		name := f.Name
		if f.Missing {
			name += " (not in the table)"
		}
		rows = append(rows, []string{printable(name), count(f.On), count(f.Off), count(f.Unknown), count(f.Stay)})
	}
	b.block("change", aligned(rows))
	if len(s.Attributes) > 0 {
		rows = [][]string{{"attribute", "written", "cleared", "stay", "of a wrong type"}}
		for _, a := range s.Attributes {
			rows = append(rows, []string{printable(a.Name), count(a.Written), count(a.Cleared), count(a.Stay), count(a.Unfit)})
		}
		b.block("attributes", aligned(rows))
	}
	const most = 10
	for n, l := range s.LeftOut[:min(most, len(s.LeftOut))] {
		b.say(first(n, "left out"), fmt.Sprintf("%s of %s: %s", l.Name, of(l.People, "person", "people"), l.Reason))
	}
	for n, e := range s.Examples[:min(most, len(s.Examples))] {
		b.say(first(n, "examples"), exampleText(e))
	}
	b.cost(s)
	for n, a := range s.Assumptions {
		b.say(first(n, "note"), a)
	}
}

func first(n int, label string) string {
	if n > 0 {
		return ""
	}
	return label
}

func exampleText(e backfill.Example) string {
	words := map[bool]string{true: "on", false: "off"}
	from := "unknown"
	if e.From != nil {
		from = words[*e.From]
	}
	return fmt.Sprintf("%s: %s %s -> %s, by %s of %s (%s %s)", e.OrganizationUserID, e.Subscription, from, words[e.To],
		e.Path, e.At.Std().Format("2006-01-02 15:04:05 UTC"), e.Reason, cmp.Or(e.EventID, "without an id"))
}

func (b *sheet) cost(s *backfill.Simulation) {
	one, bulk := s.Cost.Single, s.Cost.Bulk
	calls := of(one.MostCalls, "call", "calls")
	if one.LeastCalls != one.MostCalls {
		calls = count(one.LeastCalls) + " to " + calls
	}
	b.say("cost", fmt.Sprintf("one by one %s, %s at most at %d calls a minute", calls, spell(seconds(one.MostSeconds)), s.Cost.CallsPerMinute))
	if bulk.Chosen {
		b.say("", fmt.Sprintf("in bulk %s with %s, and %s beside them: about %s", of(bulk.Loads, "load", "loads"), of(bulk.People, "person", "people"),
			of(bulk.Calls, "call", "calls"), spell(seconds(bulk.Seconds))))
	} else if one.MostCalls > 0 {
		b.say("", "not in bulk: "+bulk.Reason)
	}
	a := s.Approval
	switch {
	case a.Asks:
		b.say("approval", fmt.Sprintf("would be asked for: subscriptions of %s would be turned on, more than %s", of(a.Grants, "person", "people"), count(a.MostGrants)))
	default:
		b.say("approval", fmt.Sprintf("not needed: subscriptions of %s would be turned on, at most %s need none", of(a.Grants, "person", "people"), count(a.MostGrants)))
	}
}
