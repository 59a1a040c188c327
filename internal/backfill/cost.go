package backfill

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// costs adds up what closing the differences takes.
type costs struct {
	least, most         int64 // calls
	withdrawals, people int64
	sets                map[string]*columns // by the subscriptions that differ
	proven              map[string]bool     // every attribute of the table
}

func newCosts(snapshot *consent.Snapshot) costs {
	c := costs{sets: map[string]*columns{}, proven: map[string]bool{}}
	for _, a := range snapshot.Attributes {
		c.proven[a.Name] = true
	}
	return c
}

// columns are the people whose differences have the same set of subscriptions,
// so that they may share a file (R22).
type columns struct{ people, withdrawals, most, rest int64 }

// mostSets bounds how many sets are told apart; whoever has another goes one by
// one in the estimate.
const mostSets = 1000

// retry counts a person of whom no profile was found, who is looked for again.
func (c *costs) retry() {
	c.people++
	c.least++
	c.most++
}

// add counts a person.
func (c *costs) add(i *store.Integration, p *store.Compared, d consent.Difference) {
	least, _ := calls(i, d, p.Known, c.proven)
	_, most := calls(i, d, p.Known, nil)
	switch {
	case p.State == store.Unmatched: // and upsert_mode is on: looked for, then made
		least, most = least+1, most+1
	case !p.Known.Confirmed() && i.Settings.UpsertMode:
		most++
	}
	if p.Readback {
		most++
	}
	c.least += least
	c.most += most
	c.people++
	withdraws := d.Withdraws()
	if withdraws {
		c.withdrawals++
	}
	if len(d.Subscriptions) == 0 || p.Readback || !plan.Loadable(i, p.Known) {
		return
	}
	name := strings.Join(slices.Sorted(maps.Keys(d.Subscriptions)), "\x00")
	set := c.sets[name]
	if set == nil {
		if len(c.sets) >= mostSets {
			return
		}
		set = &columns{}
		c.sets[name] = set
	}
	set.people++
	set.most += most
	if withdraws {
		set.withdrawals++
	}
	_, rest := calls(i, consent.Difference{Attributes: d.Attributes}, p.Known, nil)
	set.rest += rest // follow one by one
}

// calls tells how many calls close a difference where none is refused, at least
// and at most; proven are the attributes that Actito has accepted of anybody
// (R17).
func calls(i *store.Integration, d consent.Difference, known consent.Known, proven map[string]bool) (least, most int64) {
	for !d.Empty() {
		now, _ := plan.Portion(i, d, known, nil, proven)
		few, many := plan.Requests(i, now)
		least, most = least+few, most+many
		d = d.Without(now)
	}
	return least, most
}

// end says how long it takes by each lane.
func (c *costs) end(i *store.Integration, lanes plan.Lanes) Cost {
	lanes.BulkOpen = i.Settings.Properties.ETLID != ""
	lanes.DrainLimit = time.Duration(i.Settings.Properties.BulkAfterSeconds) * time.Second
	lanes.WithdrawalLimit = time.Duration(i.Settings.Properties.BulkWithdrawalsAfterSeconds) * time.Second
	// A mapping's withdrawals go as refusals of old, behind live ones (R21).
	lanes.ByClass = [plan.Classes]plan.Backlog{
		store.BackfilledRefusal: {Due: int(c.withdrawals)}, store.Ordinary: {Due: int(c.people - c.withdrawals)},
	}
	d := lanes.Decide()
	seconds := func(calls int64) float64 { return float64(calls) / float64(max(1, lanes.PerMinute)) * 60 }
	cost := Cost{
		CallsPerMinute: lanes.PerMinute,
		Single:         SingleCost{LeastCalls: c.least, MostCalls: c.most, LeastSeconds: seconds(c.least), MostSeconds: seconds(c.most)},
		Bulk:           BulkCost{Open: lanes.BulkOpen, Chosen: d.Bulk, Reason: d.Reason},
	}
	b := &cost.Bulk
	b.Calls = c.most
	for _, set := range c.sets {
		if set.people < plan.MinRows {
			continue
		}
		b.Loads++
		b.People += set.people
		b.Calls -= set.most - set.rest
	}
	switch {
	case !b.Open:
		b.Reason = "properties.etl_id is not set"
	case b.Loads == 0 && d.Bulk:
		b.Chosen, b.Reason = false, fmt.Sprintf("fewer than %d people could share a file", plan.MinRows)
	}
	if !b.Chosen {
		b.Loads, b.People, b.Calls = 0, 0, c.most
	}
	// Calls go on beside the loads, which follow one another.
	b.Seconds = max(seconds(b.Calls), float64(b.Loads)*d.BulkDrain.Seconds())
	return cost
}
