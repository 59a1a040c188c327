package store

import (
	"cmp"
	"strings"

	"consentsync/internal/consent"
)

// Cells writes a row's values as the digits of its column cells.
func (r *LoadRow) Cells() string {
	var b strings.Builder
	for _, on := range r.On {
		if on {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	return b.String()
}

func fromCells(cells string) (on []bool) {
	for _, digit := range cells {
		on = append(on, digit == '1')
	}
	return on
}

// Around tells which rows a refusal by number may be about: numbers may count
// from one beside ours. ok is false if the load has none of them.
func (r *RowRefusal) Around(l *Load) (first, last int, ok bool) {
	return r.Row - 1, r.Row + 1, r.Row >= 1 && int64(r.Row) <= l.People+1
}

// Why is the reason that is stored.
func (r *RowRefusal) Why() string {
	return cmp.Or(r.Reason, "Actito refused the row and gave no reason")
}

// Call is the load as it stands in the trace of a person in it.
func (l *Load) Call(r *LoadRow, now consent.Time) Call {
	c := Call{
		Organization: l.Organization, Person: r.Person, ID: l.LoadID, Integration: l.ID, Operation: "load",
		Subscriptions: r.Difference(l.Columns).Subscriptions, StartedAt: l.StartedAt, AnsweredAt: now, Outcome: "ok",
	}
	switch {
	case l.Outcome == LoadUnclear:
		c.Outcome, c.Detail = consent.Unclear.String(), l.Reason
	case r.Refused != "":
		c.Outcome, c.Detail = consent.Invalid.String(), r.Refused
	case l.Outcome == LoadUntold:
		c.Detail = "Actito tells nothing of single rows: the profile is read"
	}
	return c
}

// RowEnd is what an engine records of a row whose load has ended.
type RowEnd struct {
	State   RowState
	Changed bool // the delivery is another
	Traced  bool // the load stands in the person's trace from now on
	Loaded  bool // it has spared the person a call
}

// EndOf is EndRow with what else follows.
func EndOf(l *Load, r *LoadRow, d *Delivery, now consent.Time) (e RowEnd) {
	was := d.State
	e.State, e.Changed = EndRow(l, r, d, now)
	e.Traced = (e.Changed || e.State != r.State) && l.State != LoadRunning && r.State != RowAgain && l.Outcome != LoadNotApplied
	e.Loaded = e.Traced && was == Sent && l.Outcome == LoadConfirmed && r.Refused == ""
	return e
}
