package consent

// Mark is the trace that one statement leaves on one choice.
type Mark struct {
	At      Time   `json:"t"`           // consent time
	Arrived Time   `json:"a,omitempty"` // when we received it
	EventID string `json:"e,omitempty"` // Didomi's id of the event, if it has one
}

// newer orders marks: consent time, then event id. The order is total but for
// the arrival, which join settles.
func (m Mark) newer(o Mark) bool {
	if m.At != o.At {
		return m.At > o.At
	}
	return m.EventID > o.EventID
}

// join gives the newer of two marks. It is commutative, associative and
// idempotent, which is what makes the state independent of order.
func join(a, b *Mark) *Mark {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case b.newer(*a):
		return b
	case a.newer(*b):
		return a
	case b.Arrived < a.Arrived: // the same statement twice: its first arrival counts
		return b
	}
	return a
}

// Record is what was said about one choice: the newest mark of each sort of
// statement. Keeping the sorts apart is what lets the verdict be a function of
// the set of inputs, whatever their order (R3, R5, R6, R7).
type Record struct {
	Grant   *Mark `json:"g,omitempty"`  // newest grant by a confirmed event
	Off     *Mark `json:"o,omitempty"`  // newest withdrawal by a confirmed event
	Undated *Mark `json:"u,omitempty"`  // newest withdrawal that had no time of its own
	SnapOn  *Mark `json:"sn,omitempty"` // newest snapshot that shows a grant
	SnapOff *Mark `json:"sf,omitempty"` // newest snapshot that shows a refusal
}

func (r Record) join(o Record) Record {
	return Record{
		Grant:   join(r.Grant, o.Grant),
		Off:     join(r.Off, o.Off),
		Undated: join(r.Undated, o.Undated),
		SnapOn:  join(r.SnapOn, o.SnapOn),
		SnapOff: join(r.SnapOff, o.SnapOff),
	}
}

// Verdict is what follows from a record.
type Verdict struct {
	Enabled bool
	At      Time   // since when, in consent time
	EventID string // the event behind it, empty if there is none
	Reason  Reason
}

// Reason says in one word what a verdict rests on.
type Reason string

// The reasons a verdict can have.
const (
	ByEvent    Reason = "event"         // a confirmed consent event
	BySnapshot Reason = "snapshot"      // a user record; no event seen
	ByDeletion Reason = "event_deleted" // the event behind the grant was deleted
)

// withdrawals gives the record's refusals alone, a deleted grant among them.
func (r Record) withdrawals(deleted map[string]Time) Record {
	w := Record{Off: r.Off, Undated: r.Undated, SnapOff: r.SnapOff}
	if m, ok := r.deletion(deleted); ok {
		w.Off = join(w.Off, &m)
	}
	return w
}

func (r Record) refused(deleted map[string]Time) bool {
	_, gone := r.deletion(deleted)
	return gone || r.Off != nil || r.Undated != nil || r.SnapOff != nil
}

// deletion gives the withdrawal that follows from the deletion of the event
// behind the newest grant. It is dated at the deletion, and never before the
// grant that it ends.
func (r Record) deletion(deleted map[string]Time) (Mark, bool) {
	if r.Grant == nil || r.Grant.EventID == "" {
		return Mark{}, false
	}
	at, ok := deleted[r.Grant.EventID]
	if !ok {
		return Mark{}, false
	}
	return Mark{At: max(at, r.Grant.At+1), Arrived: at, EventID: r.Grant.EventID}, true
}

// verdict decides. Every refusal is asked whether it stands against the
// newest grant; the newest that does is the verdict. A grant needs to be newer
// than every refusal (R3: at equal times the restrictive value), and a
// snapshot's grant counts only where nothing else is known (R5).
func (r Record) verdict(deleted map[string]Time) (Verdict, bool) {
	var off *Verdict
	refuse := func(m Mark, reason Reason) {
		if off == nil || m.At > off.At || m.At == off.At && m.EventID > off.EventID {
			off = &Verdict{At: m.At, EventID: m.EventID, Reason: reason}
		}
	}
	if m, ok := r.deletion(deleted); ok {
		refuse(m, ByDeletion)
	}
	if r.Off != nil && (r.Grant == nil || r.Off.At >= r.Grant.At) {
		refuse(*r.Off, ByEvent)
	}
	if r.SnapOff != nil && (r.Grant == nil || r.SnapOff.At >= r.Grant.At) {
		refuse(*r.SnapOff, BySnapshot)
	}
	if u := r.Undated; u != nil {
		switch {
		case r.Grant == nil || r.Grant.At <= u.Arrived:
			refuse(*u, ByEvent)
		case r.Grant.Arrived <= u.Arrived:
			// The grant was here first though dated ahead: an undated
			// withdrawal is one microsecond newer than what it has to beat (R2).
			refuse(Mark{At: r.Grant.At + 1, EventID: u.EventID}, ByEvent)
		}
	}
	switch {
	case off != nil:
		return *off, true
	case r.Grant != nil:
		return Verdict{Enabled: true, At: r.Grant.At, EventID: r.Grant.EventID, Reason: ByEvent}, true
	case r.SnapOn != nil && !r.refused(deleted):
		return Verdict{Enabled: true, At: r.SnapOn.At, EventID: r.SnapOn.EventID, Reason: BySnapshot}, true
	}
	return Verdict{}, false
}
