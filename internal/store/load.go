package store

import (
	"slices"
	"time"

	"consentsync/internal/consent"
)

// LoadState says how far a bulk load is.
type LoadState string

// The states of a load, in their order.
const (
	LoadBuilding LoadState = "building" // people are put into it; Actito knows nothing of it
	LoadStarted  LoadState = "started"  // its file is being handed over, or was when we crashed
	LoadRunning  LoadState = "running"  // Actito works on it
	LoadEnding   LoadState = "ending"   // how it ended is being recorded, person by person
	LoadDone     LoadState = "done"
)

// LoadOutcome says what is certain about a load that has ended.
type LoadOutcome string

// The outcomes of a load.
const (
	// LoadConfirmed: every row that was not refused is in effect.
	LoadConfirmed LoadOutcome = "confirmed"
	// LoadUntold: Actito says that it went well, and nothing of single rows.
	LoadUntold LoadOutcome = "untold"
	// LoadNotApplied: certainly nothing of it is or will be in effect.
	LoadNotApplied LoadOutcome = "not_applied"
	// LoadUnclear: anything of it may be in effect, or may still come to be.
	LoadUnclear LoadOutcome = "unclear"
)

// Load is one bulk load of an integration: a file of profiles, handed to Actito
// in one call.
type Load struct {
	IntegrationKey
	LoadID      ID
	State       LoadState
	Epoch       int64    // of the lease under which it was built
	Columns     []string // the subscriptions in the file
	People      int64
	Withdrawals int64 // people of whom a subscription is turned off
	Refused     int64 // rows
	Execution   string
	Outcome     LoadOutcome
	Reason      string // why it did not go well, in plain words
	CreatedAt   consent.Time
	StartedAt   consent.Time // when it was handed over; zero if it never was
	EndedAt     consent.Time
}

// RowState says what is still to be done about a row of a load.
type RowState int8

// The states of a row.
const (
	RowOpen    RowState = iota
	RowSampled          // is read back, to tell about the others
	RowAgain            // is watched while the load can still take effect
	RowDone
	RowSingle // has left a load that takes too long, and goes once more at its end
)

// LoadRow is one person in a load.
type LoadRow struct {
	Row     int // counted from 1
	Person  PersonKey
	UserID  string // read along, not stored
	Version int64  // of the delivery when it was put in
	Class   Class
	DueAt   consent.Time
	On      []bool // one for each column
	Rest    bool   // more is to be sent than the file can hold
	// Stranger says that there may be no such profile, and that the load makes
	// none: Actito may pass over the row and count it as no error.
	Stranger bool
	Refused  string // why Actito refused the row
	// Doubtful says that it may be a row beside this one that was refused.
	Doubtful bool
	State    RowState
}

// Withdraws tells whether the row turns a subscription off.
func (r *LoadRow) Withdraws() bool { return slices.Contains(r.On, false) }

// Difference is what the row writes.
func (r *LoadRow) Difference(columns []string) consent.Difference {
	d := consent.Difference{Subscriptions: make(map[string]bool, len(columns))}
	for i, name := range columns {
		d.Subscriptions[name] = r.On[i]
	}
	return d
}

// Joining is a delivery on its way into a load, with what is known of the
// profile from then on (R22: the fields that the file carries are unknown).
type Joining struct {
	LoadRow
	Doubt consent.Known
}

// RowRefusal says that Actito refused a row, which is named by the profile's
// key or else by its number, which may be one off.
type RowRefusal struct {
	Row    int
	UserID string
	Reason string
}

// EndRow says what becomes of a delivery now that the load which it is in has
// ended, and what is still to be done about the row. While the load runs it lets
// the delivery leave it. It changes d, and tells whether it did. It is pure, so
// that all engines do the same.
func EndRow(l *Load, r *LoadRow, d *Delivery, now consent.Time) (state RowState, changed bool) {
	if d.State == InFlight {
		// Whatever is being written meets the load in an unknown order: the
		// row is looked at again when the call has ended.
		return r.State, false
	}
	sent := d.State == Sent
	asSent := sent && d.Version == r.Version
	switch {
	case l.State == LoadRunning:
		if sent {
			r.release(d, "a bulk load takes longer than a withdrawal may wait", now)
		}
		return RowSingle, sent
	case r.State == RowAgain:
		return r.watch(l, d, now)
	case l.Outcome == LoadUnclear:
		if sent {
			r.release(d, "it is not known whether a bulk load was applied", now)
			if r.Withdraws() {
				d.Readback = 2
			}
		} else {
			r.again(l, d, now) // what was sent meanwhile may have been overwritten already
		}
		return RowAgain, true
	case r.State == RowSampled:
		if sent { // it was read, and is compared by itself
			d.State, d.UpdatedAt = Pending, now
		}
		return RowDone, sent
	case l.Outcome == LoadNotApplied:
		if sent {
			r.release(d, l.Reason, now)
		}
		return RowDone, sent
	case r.Refused != "" && !r.Doubtful:
		if asSent && !r.Withdraws() {
			d.State, d.LastError, d.UpdatedAt = Failed, "invalid: "+r.Refused, now
		} else if sent {
			// A refusal is never given up for the bulk lane's sake: the single
			// lane gets its own answer.
			r.release(d, "invalid: "+r.Refused, now)
		}
		return RowDone, sent
	case !sent:
		// Something newer was sent meanwhile, and may have been overwritten by
		// the load (R22).
		r.again(l, d, now)
		return RowDone, true
	case l.Outcome == LoadUntold && asSent && !r.Withdraws() && !r.Doubtful:
		return r.State, false // the sample decides
	case l.Outcome == LoadUntold, r.Doubtful, r.Stranger && r.Withdraws():
		d.LastError = r.Refused
		d.Readback, d.ReadbackAt, d.UpdatedAt = max(1, d.Readback), now, now
		return RowDone, true
	}
	d.Known = d.Known.Confirm(r.Difference(l.Columns), now)
	d.State, d.LastError, d.Attempts, d.UpdatedAt = Synced, "", 0, now
	if r.Rest || !asSent {
		d.State, d.DueAt = Pending, now
	}
	return RowDone, true
}

// LateLoad is how long a load of which nothing is certain may still take effect.
const LateLoad = time.Hour

// watch looks after somebody of whom an unclear load may still write what they
// chose before: the profile is read now and then, and is written once more when
// nothing of the load can come any more.
func (r *LoadRow) watch(l *Load, d *Delivery, now consent.Time) (RowState, bool) {
	late, changed := now.Sub(l.EndedAt) >= LateLoad, d.Version > r.Version
	switch {
	case late && changed:
		r.again(l, d, now)
		return RowDone, true
	case late:
		return RowDone, false
	case changed && d.State == Synced:
		d.Readback, d.ReadbackAt, d.UpdatedAt = max(1, d.Readback), now, now
		return RowAgain, true
	}
	return RowAgain, false // the same values, or about to be written
}

// release makes a delivery due that waited for a load.
func (r *LoadRow) release(d *Delivery, why string, now consent.Time) {
	d.State, d.Class, d.LastError, d.UpdatedAt = Pending, min(d.Class, r.Class), why, now
	d.DueAt = min(d.DueAt, r.DueAt)
}

// again makes a delivery due whose profile the load may have overwritten: what
// the file carried is unknown. One that waits keeps its time.
func (r *LoadRow) again(l *Load, d *Delivery, now consent.Time) {
	d.Known = d.Known.Doubt(r.Difference(l.Columns))
	if d.State != Waiting {
		d.State = Pending
	}
	d.Class, d.DueAt, d.UpdatedAt = LiveWithdrawal, now, now
	d.Version++
}

// FirstLoadID is no later than the id of any load that was handed over after a
// time: ids are in the order in which loads were made, a day before at most.
func FirstLoadID(after consent.Time) ID { return FirstID(after.Add(-24 * time.Hour)) }
