package consent

// Mark is the trace that one statement leaves on one choice.
type Mark struct {
	At      Time   // consent time
	Arrived Time   // when we received it
	EventID string // Didomi's id of the event, if it has one
}

// newer orders marks: consent time, then event id.
func (m Mark) newer(o Mark) bool {
	if m.At != o.At {
		return m.At > o.At
	}
	return m.EventID > o.EventID
}

// join gives the newer of two marks; of equal consent times the greater event
// id and the first arrival count, even if they are of two events, since an
// undated withdrawal beats a time at which it met any grant. It is
// commutative, associative and idempotent, which is what makes the state
// independent of order; and it gives a itself when b adds nothing.
func join(a, b *Mark) *Mark {
	switch {
	case a == nil:
		return b
	case b == nil || b.At < a.At:
		return a
	case b.At > a.At:
		return b
	}
	m := Mark{At: a.At, Arrived: min(a.Arrived, b.Arrived), EventID: max(a.EventID, b.EventID)}
	switch m {
	case *a:
		return a
	case *b:
		return b
	}
	return &m
}

// Record is what was said about one choice: the newest mark of each sort of
// statement. Keeping the sorts apart is what lets the verdict be a function of
// the set of inputs, whatever their order (R3, R5, R6, R7).
type Record struct {
	Grant   *Mark // newest grant by a confirmed event
	Off     *Mark // newest withdrawal by a confirmed event
	Undated *Mark // newest withdrawal that had no time of its own
	SnapOn  *Mark // newest snapshot that shows a grant
	SnapOff *Mark // newest snapshot that shows a refusal
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
	ByUndated  Reason = "undated"       // a refusal that had no time of its own
	BySnapshot Reason = "snapshot"      // a user record; no event seen
	ByDeletion Reason = "event_deleted" // the event behind the grant was deleted
)

// refusals gives the record's refusals alone.
func (r Record) refusals() Record {
	return Record{Off: r.Off, Undated: r.Undated, SnapOff: r.SnapOff}
}

// spoken gives what events said, without the snapshots.
func (r Record) spoken() Record {
	return Record{Grant: r.Grant, Off: r.Off, Undated: r.Undated}
}

// refused tells whether the record holds a refusal, in force or not.
func (r Record) refused() bool { return r.refusals() != Record{} }

// ending is what the deletion of an event does to the grant that it gave (R6).
type ending struct {
	grant Mark
	at    Time
}

// ended gives the end of the newest grant; nil when its event stands. The
// deletion of an event behind any older grant changes nothing.
func (r Record) ended(deleted tombstones) *ending {
	if r.Grant == nil || r.Grant.EventID == "" {
		return nil
	}
	if at, held := deleted.get(eventID(r.Grant.EventID)); held {
		return &ending{*r.Grant, at}
	}
	return nil
}

// join gives the end of the newer grant, which is the one that can matter.
func (e *ending) join(o *ending) *ending {
	if e == nil || o != nil && o.grant.newer(e.grant) {
		return o
	}
	return e
}

// verdict decides. Every refusal is asked whether it stands against the
// newest grant; the newest that does is the verdict. A grant needs to be newer
// than every refusal (R3: at equal times the restrictive value). The deletion
// of its event ends a grant in force, and only that: not a newer one, and not
// one that a refusal has ended already (R6). A snapshot's grant counts only
// where nothing else is known (R5).
func (r Record) verdict(end *ending) (Verdict, bool) {
	var off Verdict
	refused := false
	refuse := func(at Time, eventID string, reason Reason) {
		if !refused || at > off.At || at == off.At && eventID > off.EventID {
			off = Verdict{At: at, EventID: eventID, Reason: reason}
		}
		refused = true
	}
	if r.Off != nil && (r.Grant == nil || r.Off.At >= r.Grant.At) {
		refuse(r.Off.At, r.Off.EventID, ByEvent)
	}
	if r.SnapOff != nil && (r.Grant == nil || r.SnapOff.At >= r.Grant.At) {
		refuse(r.SnapOff.At, r.SnapOff.EventID, BySnapshot)
	}
	if u := r.Undated; u != nil {
		switch {
		case r.Grant == nil || r.Grant.At <= u.Arrived:
			refuse(u.At, u.EventID, ByUndated)
		case r.Grant.Arrived <= u.Arrived:
			// The grant was here first though dated ahead: an undated
			// withdrawal is one microsecond newer than what it has to beat (R2).
			refuse(r.Grant.At+1, u.EventID, ByUndated)
		}
	}
	switch {
	case refused:
		return off, true
	case end != nil && (r.Grant == nil || !r.Grant.newer(end.grant)):
		at := max(end.at, end.grant.At+1) // never before the grant that it ends
		return Verdict{At: at, EventID: end.grant.EventID, Reason: ByDeletion}, true
	case r.Grant != nil:
		return Verdict{Enabled: true, At: r.Grant.At, EventID: r.Grant.EventID, Reason: ByEvent}, true
	case r.SnapOn != nil:
		return Verdict{Enabled: true, At: r.SnapOn.At, EventID: r.SnapOn.EventID, Reason: BySnapshot}, true
	}
	return Verdict{}, false
}
