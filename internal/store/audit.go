package store

import (
	"encoding/binary"
	"time"

	"consentsync/internal/consent"
)

// AuditKind says what a sealed record is.
type AuditKind string

// The kinds of records. Events and calls are decisions about somebody's
// consent; a call is sealed together with its answer.
const (
	AuditEvent  AuditKind = "event"
	AuditChange AuditKind = "change"
	AuditCall   AuditKind = "call"
	// AuditBegun is a call that has had no answer for an hour, which may have
	// taken effect. Should an answer come all the same, it is sealed as a call.
	AuditBegun AuditKind = "begun"
)

// AuditWalks are the kinds that are looked for one after the other; begun calls
// are found beside the others.
var AuditWalks = []AuditKind{AuditEvent, AuditChange, AuditCall}

// AuditRecord is one that is sealed, or is to be: where it stands in the chain,
// and the record itself, of which one is set unless it is gone.
type AuditRecord struct {
	Position int64 // from 1, without a gap; 0 if it is not sealed
	Kind     AuditKind
	ID       ID
	Person   PersonKey // zero if it is about nobody
	Digest   [32]byte  // of its sealed form, see Hasher.Sealed

	Event  *AuditedEvent
	Change *Change
	Call   *AuditedCall
}

// AuditedEvent is the header of an event with what stands for its erased
// entity id.
type AuditedEvent struct {
	Event
	// ErasedEntity is the keyed hash of the entity id that was erased; zero if
	// the id is there.
	ErasedEntity Digest
}

// Erased tells whether what was personal in the header is erased.
func (e *AuditedEvent) Erased() bool { return e.ErasedEntity != Digest{} }

// AuditedCall is a call with the salt of its commitments.
type AuditedCall struct {
	Call
	Salt     []byte // 16 bytes; none in calls of before there was an audit
	Resalted bool   // whether the salt is to be stored
	// Erasure are the commitments to what was erased; empty if nothing was.
	Erasure []byte
}

// Erased tells whether what was personal in the call is erased.
func (c *AuditedCall) Erased() bool { return len(c.Erasure) > 0 }

// AuditHead is the end of an organization's chain, and who may add to it.
type AuditHead struct {
	Organization string
	Number       int64    // of the last link; 0 if there is none
	Position     int64    // of the last record
	Hash         [32]byte // of the last link
	// Epoch grows with every change of who seals; what is added under an older
	// one is refused.
	Epoch int64
	// Cursors tell how far each kind is sealed.
	Cursors map[AuditKind]AuditCursor
	// Retention tells what retention removes.
	Retention Retention
}

// AuditCursor tells how far records of a kind are sealed: the walk that
// follows what happens, and the one that comes an hour later for what was
// written late.
type AuditCursor struct {
	Lead  []byte `json:"lead,omitempty"`
	Trail []byte `json:"trail,omitempty"`
}

// AuditTrail is how much later than the first walk the second one comes: what
// is written later than that after its time is not sealed.
const AuditTrail = time.Hour

// AuditLink is a link of an organization's chain: a batch of records, and the
// checkpoint after it.
type AuditLink struct {
	Organization string
	Number       int64 // from 1
	First, Last  int64 // positions of its records
	At           consent.Time
	Previous     [32]byte // hash of the link before; zero before the first
	Root         [32]byte // of the tree over its records
	Hash         [32]byte // over all the above
	Key          string   // names the key of the signature
	Signature    []byte   // over the hash
}

// CallCursor is the place of a call in the order in which calls are answered.
func CallCursor(c *Call) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(max(0, c.AnsweredAt)))
	return append(append(b, c.Person[:]...), c.ID[:]...)
}

// ReadCallCursor reads a CallCursor; anything else is the beginning, after all
// that are not answered.
func ReadCallCursor(b []byte) (answered consent.Time, person PersonKey, id ID) {
	if len(b) != 8+len(person)+len(id) {
		copy(person[:], Newest(ID{}))
		copy(id[:], Newest(ID{}))
		return 0, person, id
	}
	copy(person[:], b[8:])
	copy(id[:], b[8+len(person):])
	return consent.Time(binary.BigEndian.Uint64(b)), person, id //nolint:gosec // CallCursor wrote it
}

// RecordCursor is the place of a record in the order of its walk.
func RecordCursor(r *AuditRecord) []byte {
	if r.Call != nil {
		return CallCursor(&r.Call.Call)
	}
	return r.ID[:]
}

// NotSealed is a record that was looked at, and whether it is sealed already.
type NotSealed struct {
	AuditRecord
	Sealed bool
}

// Walked sorts what a walk has looked at: what is to be sealed, and where the
// walk has come to. Without anything it is where it was.
func Walked(found []NotSealed, after []byte) (open []AuditRecord, next []byte) {
	next = after
	for i := range found {
		if !found[i].Sealed {
			open = append(open, found[i].AuditRecord)
		}
		next = RecordCursor(&found[i].AuditRecord)
	}
	return open, next
}

// ErrSealedElsewhere is the error of whoever adds to a chain that has another
// end by now, or that another seals.
func ErrSealedElsewhere(op string) error {
	return consent.Errorf(consent.Conflict, op, "the audit chain is sealed by another node")
}
