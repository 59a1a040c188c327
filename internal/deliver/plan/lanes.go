package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// reserve is how many of the day's loads are never spent: an operator can
	// still load by hand, and a load that was not counted does no harm.
	reserve = 2
	// forWithdrawals are kept for withdrawals alone, so that a day of many
	// grants leaves them a way.
	forWithdrawals = 4
	// MinRows is how many people make a load worth one of the day's.
	MinRows = 100
	// freeLoads may be started at once for other than withdrawals; then a
	// load for them waits a quarter of an even share of the day.
	freeLoads = 6
	day       = 24 * time.Hour
)

// WithdrawalLimit is how long a live withdrawal may wait where nothing else is
// set.
const WithdrawalLimit = 10 * time.Minute

// Backlog is what is due of one class of one integration.
type Backlog struct {
	Due        int           // people
	OldestWait time.Duration // of whoever is due for longest
}

// Lanes is what is known when it is decided whether the backlog of one
// integration goes by bulk or one by one. Limits and loads that are 0 have
// their defaults.
type Lanes struct {
	Now             consent.Time
	PerMinute       int            // calls a minute this integration can count on
	DrainLimit      time.Duration  // a backlog slower than this goes by bulk; 15 minutes
	WithdrawalLimit time.Duration  // no live withdrawal waits longer where bulk can help; 10 minutes
	LoadTime        time.Duration  // how long a load is expected to take; 2 minutes
	LoadsToday      []consent.Time // when loads were started; those older than 24 h count for nothing
	LoadsPerDay     int            // that Actito allows in any 24 h; 24
	ByClass         [Classes]Backlog
	BulkOpen        bool // the integration may load in bulk
	UnderWay        bool // one load of this integration is under way
}

// Decision is how the backlog of an integration goes.
type Decision struct {
	Bulk   bool        // a load is to be started now
	Class  store.Class // the most urgent that is in the load; lower ones may fill the file
	Leave  int         // people at the head of the queue who stay in the single lane, which is faster for them
	Reason string      // why, in words for people

	SingleDrain time.Duration // how long all that is due takes one by one
	BulkDrain   time.Duration // how long it takes with a load started now
	LoadsLeft   int           // that may still be started now, the reserve taken off
}

// Decide guarantees that no load is started beyond the day's loads less the
// reserve, nor while one is under way; that loads for other than withdrawals
// are spread over the day; and that more withdrawals, or older ones, never turn
// a load down.
func (l Lanes) Decide() Decision {
	l = l.withDefaults()
	total := l.total()
	d := Decision{SingleDrain: l.drain(total), LoadsLeft: l.loadsLeft()}
	if total == 0 {
		d.Reason = "nothing is due"
		return d
	}
	d.BulkDrain = l.LoadTime
	urgent, needed, why := l.need(d.SingleDrain)
	if !needed {
		d.Reason = why
		return d
	}
	// Never more than can be served in half the limit: the load may take longer.
	leave := min(total/2, int(min(l.LoadTime, l.WithdrawalLimit/2).Minutes()*float64(l.PerMinute)))
	if obstacle := l.obstacle(urgent, total-leave, d.LoadsLeft); obstacle != "" {
		d.Reason = why + ", but " + obstacle
		return d
	}
	d.Bulk, d.Leave, d.Class, d.Reason = true, leave, l.firstAfter(leave), why
	return d
}

// need tells whether a load would help, for withdrawals or for all there is,
// and why or why not.
func (l Lanes) need(drain time.Duration) (urgent, needed bool, why string) {
	withdrawals := l.ByClass[store.LiveWithdrawal]
	own := l.drain(withdrawals.Due)
	// The oldest may not reach the limit before the load ends, though the load
	// takes half as long again as expected.
	late := withdrawals.OldestWait + l.LoadTime + l.LoadTime/2
	switch {
	case own > l.LoadTime && own > l.WithdrawalLimit:
		return true, true, "one by one the last withdrawal would wait " + spell(own)
	case own > l.LoadTime && late >= l.WithdrawalLimit:
		return true, true, "the oldest withdrawal has waited " + spell(withdrawals.OldestWait) + ", and one by one the last takes " + spell(own) + " more"
	case drain > l.DrainLimit && drain <= l.LoadTime:
		return false, false, "the backlog drains in " + spell(drain) + ", a load takes " + spell(l.LoadTime)
	case drain > l.DrainLimit:
		return false, true, "one by one the backlog would take " + spell(drain)
	}
	return false, false, "the backlog drains in " + spell(drain)
}

// obstacle tells why a load that would help cannot be started; empty when it
// can.
func (l Lanes) obstacle(urgent bool, rows, left int) string {
	if !l.BulkOpen {
		return "bulk loads are not open"
	}
	if l.UnderWay {
		return "a load is under way"
	}
	if rows < MinRows {
		return fmt.Sprintf("a load is not worth it below %d people", MinRows)
	}
	if !urgent && left > 0 && left <= forWithdrawals {
		return fmt.Sprintf("%d of %d loads are used, the last %d are for withdrawals", len(l.LoadsToday), l.LoadsPerDay, forWithdrawals)
	}
	if left == 0 {
		return fmt.Sprintf("%d of %d loads are used, %d are kept", len(l.LoadsToday), l.LoadsPerDay, reserve)
	}
	if wait := l.spacing(); !urgent && wait > 0 {
		return "loads are spread over the day, the next may start in " + spell(wait)
	}
	return ""
}

// spacing tells how long a load for other than withdrawals is to wait.
func (l Lanes) spacing() time.Duration {
	if len(l.LoadsToday) < freeLoads {
		return 0
	}
	apart := day / time.Duration(l.LoadsPerDay-reserve) / 4
	return max(0, apart-l.Now.Sub(slices.Max(l.LoadsToday)))
}

func (l Lanes) loadsLeft() int { return max(0, l.LoadsPerDay-reserve-len(l.LoadsToday)) }

// firstAfter gives the class of the first who is not left to the single lane.
func (l Lanes) firstAfter(leave int) store.Class {
	for class, b := range l.ByClass {
		if leave < b.Due {
			return store.Class(class)
		}
		leave -= b.Due
	}
	return store.Ordinary
}

func (l Lanes) total() int {
	n := 0
	for _, b := range l.ByClass {
		n += b.Due
	}
	return n
}

// drain gives how long so many people take one by one; a year at most, so that
// no backlog overflows.
func (l Lanes) drain(due int) time.Duration {
	minutes := float64(due) / float64(l.PerMinute)
	return time.Duration(min(minutes, 365*24*60) * float64(time.Minute))
}

// withDefaults sets what is 0 and leaves out the loads that no longer count.
func (l Lanes) withDefaults() Lanes {
	l.PerMinute = max(1, l.PerMinute)
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&l.DrainLimit, 15 * time.Minute},
		{&l.WithdrawalLimit, WithdrawalLimit},
		{&l.LoadTime, 2 * time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if l.LoadsPerDay == 0 {
		l.LoadsPerDay = 24
	}
	var counted []consent.Time
	for _, at := range l.LoadsToday {
		if l.Now.Sub(at) <= day {
			counted = append(counted, at)
		}
	}
	l.LoadsToday = counted
	return l
}

// spell writes a duration for people: seconds below a minute, else minutes.
func spell(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	s := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(s, "h0m") {
		return strings.TrimSuffix(s, "0m")
	}
	return s
}
