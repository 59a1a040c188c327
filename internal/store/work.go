package store

import (
	"bytes"
	"slices"

	"consentsync/internal/consent"
)

// Person is a person with the Didomi users linked to them: all that a
// projection needs.
type Person struct {
	Subject
	Linked []*consent.State
}

// NewPerson gives a person with those of the Didomi users that are linked to
// them.
func NewPerson(own *Subject, users []*Subject) *Person {
	p := &Person{Subject: *own}
	for _, u := range users {
		if u.State.LinkedTo() == own.OrganizationUserID {
			p.Linked = append(p.Linked, &u.State)
		}
	}
	return p
}

// View gives what follows from all that was said.
func (p *Person) View() consent.View {
	return consent.Combine(p.OrganizationUserID, &p.State, p.Linked)
}

// IntegrationKey names an integration within its organization.
type IntegrationKey struct {
	Organization string
	ID           string
}

// Start says that a call is about to be made. The fields that it carries are
// stored as unknown first, with the version that they belong to (R13).
type Start struct {
	DeliveryKey
	Version int64         // the version that was read; the start is refused if it moved on
	Doubt   consent.Known // what is known while the call is under way
	Call    Call
}

// Finish says how a call ended.
type Finish struct {
	DeliveryKey
	Version int64 // that was sent
	// State is what follows if nothing newer came meanwhile.
	State DeliveryState
	// Class is what the delivery counts as if it stays due; see Start.
	Class      Class
	NextAt     consent.Time
	Attempts   int
	Known      consent.Known
	LeftOut    []consent.LeftOut
	LastError  string
	Readback   int
	ReadbackAt consent.Time
	// ProfileID is Actito's own id of the profile; empty if it was not told.
	ProfileID string
	Calls     []Call // the calls made, answered; the first is the one of Start
}

// Recall gives what is known at the end of a call, as JSON, with what Actito
// told during it: that stands in stored.
func (f *Finish) Recall(stored string) (string, error) {
	var told consent.Known
	if err := FromJSON(stored, &told); err != nil {
		return "", err
	}
	return ToJSON(f.Known.Recall(told))
}

// Forgive forgets of what is known, given and returned as JSON, which values
// Actito refused, so that they are tried again.
func Forgive(stored string) (string, error) {
	var known consent.Known
	if err := FromJSON(stored, &known); err != nil {
		return "", err
	}
	return ToJSON(known.Forgive())
}

// Settled says that a delivery needed no call.
type Settled struct {
	DeliveryKey
	Version int64
	LeftOut []consent.LeftOut
}

// Trace is the history of a person: what came, what was decided, what was
// called and what was answered.
type Trace struct {
	Events []Event
	Calls  []Call
}

// Sort puts what several subjects' rows tell into one order, the oldest first.
func (t *Trace) Sort() {
	slices.SortFunc(t.Events, func(a, b Event) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	slices.SortFunc(t.Calls, func(a, b Call) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// LeftOutTotal counts the people of whom something is left out for a reason.
type LeftOutTotal struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	People int64  `json:"people"`
}

// Totals sums up an integration.
type Totals struct {
	LeftOut []LeftOutTotal
}

// ReprojectionState says how far a re-projection is.
type ReprojectionState string

// The states of a re-projection.
const (
	ReprojectionCounting ReprojectionState = "counting" // withdrawals go out, grants are counted
	ReprojectionAsking   ReprojectionState = "asking"   // too many grants to go without a yes (R23)
	ReprojectionGranting ReprojectionState = "granting" // grants go out
	ReprojectionDone     ReprojectionState = "done"
)

// Reprojection is the background work after a new mapping, snapshot or
// integration: everyone is compared again (R12).
type Reprojection struct {
	IntegrationKey
	State       ReprojectionState
	Cursor      []byte // the last person done in this state
	People      int64
	Withdrawals int64
	Grants      int64 // people of whom a subscription would be turned on
	StartedAt   consent.Time
	// Only says whom it is about; the zero value is everybody.
	Only Only
}

// Behind tells whether r is what a node makes of a re-projection that others
// have brought further meanwhile, or have started anew.
func (r *Reprojection) Behind(stored Reprojection) bool {
	rank := func(s ReprojectionState) int {
		return slices.Index([]ReprojectionState{ReprojectionCounting, ReprojectionAsking, ReprojectionGranting, ReprojectionDone}, s)
	}
	switch {
	case stored.StartedAt != r.StartedAt:
		return true
	case stored.State != r.State:
		return rank(stored.State) > rank(r.State)
	}
	return bytes.Compare(stored.Cursor, r.Cursor) > 0
}
