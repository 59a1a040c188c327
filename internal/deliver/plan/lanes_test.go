package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// backlogs gives so many due of each class, none of them for long.
func backlogs(withdrawals, refusals, others int) [Classes]Backlog {
	return [Classes]Backlog{{Due: withdrawals}, {Due: refusals}, {Due: others}}
}

// loads gives n loads, the last so long ago and the others before it.
func loads(n int, last time.Duration) []consent.Time {
	var l []consent.Time
	for i := range n {
		l = append(l, laneNow.Add(-last-time.Duration(i)*time.Minute))
	}
	return l
}

// laneNow lies more than a day after the start of time.
const laneNow = consent.Time(1_000_000_000_000_000)

// R22: what is slow one by one goes by bulk, with plain words for it.
func TestR22WhatGoesByBulk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lanes Lanes
		want  Decision
	}{
		"nothing due": {Lanes{}, Decision{Reason: "nothing is due", LoadsLeft: 22}},
		"little": {
			Lanes{ByClass: backlogs(10, 0, 390)},
			Decision{Reason: "the backlog drains in 4m", SingleDrain: 4 * time.Minute},
		},
		"as much as may be": {
			Lanes{ByClass: backlogs(0, 0, 1500)},
			Decision{Reason: "the backlog drains in 15m", SingleDrain: 15 * time.Minute},
		},
		"more": {
			Lanes{ByClass: backlogs(0, 0, 1600)},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 200, Reason: "one by one the backlog would take 16m", SingleDrain: 16 * time.Minute},
		},
		"some withdrawals stay in the single lane": {
			Lanes{ByClass: backlogs(200, 0, 5800)},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 200, Reason: "one by one the backlog would take 1h", SingleDrain: time.Hour},
		},
		"refusals of old go along": {
			Lanes{ByClass: backlogs(199, 2, 5799)},
			Decision{Bulk: true, Class: store.BackfilledRefusal, Leave: 200, Reason: "one by one the backlog would take 1h", SingleDrain: time.Hour},
		},
		"withdrawals drain in time": {
			Lanes{ByClass: backlogs(1000, 0, 0)},
			Decision{Reason: "the backlog drains in 10m", SingleDrain: 10 * time.Minute},
		},
		"withdrawals do not": {
			Lanes{ByClass: backlogs(1040, 0, 0)},
			Decision{Bulk: true, Class: store.LiveWithdrawal, Leave: 200, Reason: "one by one the last withdrawal would wait 10m", SingleDrain: 10*time.Minute + 24*time.Second},
		},
		"an old withdrawal": {
			Lanes{ByClass: [Classes]Backlog{{300, 7 * time.Minute}}},
			Decision{Bulk: true, Class: store.LiveWithdrawal, Leave: 150, Reason: "the oldest withdrawal has waited 7m, and one by one the last takes 3m more", SingleDrain: 3 * time.Minute},
		},
		"an old withdrawal that need not hurry": {
			Lanes{ByClass: [Classes]Backlog{{300, 7*time.Minute - 1}}},
			Decision{Reason: "the backlog drains in 3m", SingleDrain: 3 * time.Minute},
		},
		"an old withdrawal that a load does not help": {
			Lanes{ByClass: [Classes]Backlog{{200, time.Hour}}},
			Decision{Reason: "the backlog drains in 2m", SingleDrain: 2 * time.Minute},
		},
		"a load is slower": {
			Lanes{ByClass: backlogs(0, 0, 3000), LoadTime: 40 * time.Minute},
			Decision{Reason: "the backlog drains in 30m, a load takes 40m", SingleDrain: 30 * time.Minute, BulkDrain: 40 * time.Minute},
		},
		"a load is slower for withdrawals": {
			Lanes{ByClass: backlogs(1200, 0, 0), LoadTime: 40 * time.Minute},
			Decision{Reason: "the backlog drains in 12m", SingleDrain: 12 * time.Minute, BulkDrain: 40 * time.Minute},
		},
		"no calls to count on": {
			Lanes{ByClass: backlogs(0, 0, 200), PerMinute: -1},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 2, Reason: "one by one the backlog would take 3h20m", SingleDrain: 200 * time.Minute},
		},
		"more than can be": {
			Lanes{ByClass: backlogs(0, 0, 1<<50)},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 200, Reason: "one by one the backlog would take 8760h", SingleDrain: 365 * 24 * time.Hour},
		},
		"one call a minute, few people": {
			Lanes{ByClass: backlogs(0, 0, 101), PerMinute: 1},
			Decision{Reason: "one by one the backlog would take 1h41m, but a load is not worth it below 100 people", SingleDrain: 101 * time.Minute},
		},
		"one call a minute, just enough people": {
			Lanes{ByClass: backlogs(0, 0, 102), PerMinute: 1},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 2, Reason: "one by one the backlog would take 1h42m", SingleDrain: 102 * time.Minute},
		},
		"a load is under way": {
			Lanes{ByClass: backlogs(6000, 0, 0), UnderWay: true},
			Decision{Reason: "one by one the last withdrawal would wait 1h, but a load is under way", SingleDrain: time.Hour},
		},
		"withdrawals take the last load": {
			Lanes{ByClass: backlogs(6000, 0, 0), LoadsToday: loads(21, 0)},
			Decision{Bulk: true, Class: store.LiveWithdrawal, Leave: 200, Reason: "one by one the last withdrawal would wait 1h", SingleDrain: time.Hour, LoadsLeft: 1},
		},
		"the reserve is kept": {
			Lanes{ByClass: backlogs(6000, 0, 0), LoadsToday: loads(22, time.Hour)},
			Decision{Reason: "one by one the last withdrawal would wait 1h, but 22 of 24 loads are used, 2 are kept", SingleDrain: time.Hour, LoadsLeft: -1},
		},
		"yesterday's loads are over": {
			Lanes{ByClass: backlogs(0, 0, 6000), LoadsToday: loads(24, day+1000)},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 200, Reason: "one by one the backlog would take 1h", SingleDrain: time.Hour},
		},
		"the first loads need not wait": {
			Lanes{ByClass: backlogs(0, 0, 6000), LoadsToday: loads(5, 0)},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 200, Reason: "one by one the backlog would take 1h", SingleDrain: time.Hour, LoadsLeft: 17},
		},
		"the next do": {
			Lanes{ByClass: backlogs(0, 0, 6000), LoadsToday: loads(6, 6*time.Minute)},
			Decision{Reason: "one by one the backlog would take 1h, but loads are spread over the day, the next may start in 10m", SingleDrain: time.Hour, LoadsLeft: 16},
		},
		"and have": {
			Lanes{ByClass: backlogs(0, 0, 6000), LoadsToday: loads(6, 17*time.Minute)},
			Decision{Bulk: true, Class: store.Ordinary, Leave: 200, Reason: "one by one the backlog would take 1h", SingleDrain: time.Hour, LoadsLeft: 16},
		},
		"fewer loads than the reserve": {
			Lanes{ByClass: backlogs(6000, 0, 0), LoadsPerDay: 1},
			Decision{Reason: "one by one the last withdrawal would wait 1h, but 0 of 1 loads are used, 2 are kept", SingleDrain: time.Hour, LoadsLeft: -1},
		},
	} {
		l, want := c.lanes, c.want
		l.Now, l.BulkOpen = laneNow, true
		if l.PerMinute == 0 {
			l.PerMinute = 100
		}
		switch want.LoadsLeft { // 0 stands for all, -1 for none
		case 0:
			want.LoadsLeft = 22
		case -1:
			want.LoadsLeft = 0
		}
		if want.BulkDrain == 0 && want.SingleDrain > 0 {
			want.BulkDrain = 2 * time.Minute
		}
		if diff := cmp.Diff(want, l.Decide()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	closed := Lanes{Now: laneNow, PerMinute: 100, ByClass: backlogs(6000, 0, 0)}
	if d := closed.Decide(); d.Bulk || d.Reason != "one by one the last withdrawal would wait 1h, but bulk loads are not open" {
		t.Errorf("bulk is not open: %+v", d)
	}
}

func drawLanes(t *rapid.T) Lanes {
	minutes := func(most int, label string) time.Duration {
		return time.Duration(rapid.IntRange(0, most*60).Draw(t, label+" s")) * time.Second
	}
	l := Lanes{
		Now:             laneNow,
		PerMinute:       rapid.IntRange(0, 200).Draw(t, "per minute"),
		DrainLimit:      minutes(30, "drain limit"),
		WithdrawalLimit: minutes(20, "withdrawal limit"),
		LoadTime:        minutes(20, "load time"),
		LoadsPerDay:     rapid.IntRange(0, 30).Draw(t, "loads per day"),
		BulkOpen:        rapid.IntRange(0, 4).Draw(t, "open") > 0,
		UnderWay:        rapid.IntRange(0, 4).Draw(t, "under way") == 0,
	}
	for range rapid.IntRange(0, 30).Draw(t, "loads") {
		l.LoadsToday = append(l.LoadsToday, laneNow.Add(-minutes(30*60, "load")))
	}
	for c := range l.ByClass {
		due := rapid.OneOf(rapid.IntRange(0, 500), rapid.IntRange(0, 20_000_000)).Draw(t, "due")
		l.ByClass[c] = Backlog{Due: due, OldestWait: minutes(30, "oldest")}
	}
	return l
}

// R22: never beyond the day's loads less the reserve, never where bulk is not
// open, never beside another load; and whatever goes is worth a load.
func TestR22LoadsAreNeverOverspent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drawLanes(t)
		d := l.Decide()
		perDay, used, total := l.LoadsPerDay, 0, 0
		if perDay == 0 {
			perDay = 24
		}
		for _, at := range l.LoadsToday {
			if laneNow.Sub(at) <= 24*time.Hour {
				used++
			}
		}
		for _, b := range l.ByClass {
			total += b.Due
		}
		if d.SingleDrain < 0 || d.BulkDrain < 0 || d.LoadsLeft < 0 || d.Leave < 0 || d.Leave > total/2 || d.Reason == "" {
			t.Fatalf("impossible: %+v", d)
		}
		if d.LoadsLeft != max(0, perDay-2-used) {
			t.Fatalf("%d of %d loads are used, %d left", used, perDay, d.LoadsLeft)
		}
		if !d.Bulk {
			return
		}
		if used >= perDay-2 || !l.BulkOpen || l.UnderWay || total-d.Leave < 100 || l.ByClass[d.Class].Due == 0 {
			t.Fatalf("%d of %d loads are used, %d people: %+v", used, perDay, total, d)
		}
	})
}

// R22: more withdrawals, or older ones, never turn a load down.
func TestR22MoreWithdrawalsNeverTurnALoadDown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drawLanes(t)
		before := l.Decide()
		w := &l.ByClass[store.LiveWithdrawal]
		w.Due += rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 10_000)).Draw(t, "more")
		w.OldestWait += time.Duration(rapid.IntRange(0, 600).Draw(t, "older s")) * time.Second
		if after := l.Decide(); before.Bulk && !after.Bulk {
			t.Fatalf("of %+v a load, with more withdrawals none: %+v", before, after)
		}
	})
}

// R22: while loads can be had, no withdrawal waits beyond the limit, however
// many come at once and though loads take half as long again as expected.
func TestR22NoWithdrawalWaitsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	const tick = 6 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		l := Lanes{Now: laneNow, PerMinute: 10 * rapid.IntRange(10, 20).Draw(t, "per tick"), LoadsPerDay: 10_000, BulkOpen: true}
		var queue, file []consent.Time // when they became due
		var ends consent.Time          // of the load with the file
		done := func(due []consent.Time) {
			if len(due) > 0 && l.Now.Sub(due[0]) > 10*time.Minute+tick {
				t.Fatalf("a withdrawal waited %v", l.Now.Sub(due[0]))
			}
		}
		for range rapid.IntRange(1, 600).Draw(t, "ticks") {
			l.Now = l.Now.Add(tick)
			if l.UnderWay && l.Now >= ends {
				done(file)
				l.UnderWay = false
			}
			n := min(len(queue), l.PerMinute/10)
			done(queue[:n])
			queue = queue[n:]
			for range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 5, 10, 20, 300, 1000, 2000}).Draw(t, "come") {
				queue = append(queue, l.Now)
			}
			w := &l.ByClass[store.LiveWithdrawal]
			if *w = (Backlog{Due: len(queue)}); len(queue) > 0 {
				w.OldestWait = l.Now.Sub(queue[0])
			}
			if d := l.Decide(); d.Bulk {
				queue, file = queue[:d.Leave:d.Leave], queue[d.Leave:]
				ends = l.Now.Add(time.Duration(rapid.IntRange(60, 180).Draw(t, "load s")) * time.Second)
				l.UnderWay = true
			}
		}
	})
}

// R22: loads for other than withdrawals leave some of the day for the rest of
// it: after six, one in sixteen minutes at most.
func TestR22OtherLoadsAreSpread(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Lanes{Now: laneNow, PerMinute: 100, BulkOpen: true, ByClass: backlogs(0, 0, 1_000_000)}
		for range 500 {
			l.Now = l.Now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "after s")) * time.Second)
			if l.Decide().Bulk {
				l.LoadsToday = append(l.LoadsToday, l.Now)
			}
		}
		for i, at := range l.LoadsToday {
			if i < 6 || at.Sub(l.LoadsToday[i-6]) > 24*time.Hour {
				continue
			}
			if apart := at.Sub(l.LoadsToday[i-1]); apart < 16*time.Minute {
				t.Fatalf("load %d came %v after the one before", i, apart)
			}
		}
	})
}
