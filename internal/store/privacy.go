package store

import (
	"encoding/json"
	"maps"
	"slices"

	"consentsync/internal/consent"
)

// Kept is a kind of data that is kept for a time.
type Kept string

// The kinds. Whatever else there is is kept for ever, such as the ledger of
// what was seen, which holds keyed hashes only; or goes by itself.
const (
	KeptPayloads Kept = "payloads" // what messages said
	KeptEvents   Kept = "events"   // the headers of messages, with their payloads
	KeptCalls    Kept = "calls"
	KeptLoads    Kept = "loads" // bulk loads that have ended
	KeptChanges  Kept = "changes"
	KeptChain    Kept = "audit" // the digests of the audit chain, and its links
	// KeptRefusals are why rows of imports were refused, of imports of which
	// nothing came since.
	KeptRefusals Kept = "refusals"
	// KeptReconciliations are reconciliations that are not comparing, with their
	// examples and whatever rows they were given.
	KeptReconciliations Kept = "reconciliations"
)

// AllKept lists them, in the order in which they are removed.
var AllKept = []Kept{KeptPayloads, KeptEvents, KeptCalls, KeptLoads, KeptRefusals, KeptReconciliations, KeptChanges, KeptChain}

// Privacy is how an organization wants data to be kept.
type Privacy struct {
	// RetentionDays says for how many days each kind is kept; a kind that is not
	// named, or 0, for ever.
	RetentionDays map[Kept]int `json:"retention_days"`
	// EraseDeletedUsers erases a person when Didomi has deleted the last of
	// their users.
	EraseDeletedUsers bool `json:"erase_deleted_users"`
}

// Horizons tell what retention has removed of each kind: all before a time, of
// the chain all links before a number.
type Horizons map[Kept]int64

// Retention is how far retention has come.
type Retention struct {
	Horizons Horizons `json:"horizons,omitempty"`
	// Change is the record of those horizons: nothing is removed before it is
	// sealed.
	Change ID `json:"change"`
}

// Clone gives a copy that may be changed.
func (h Horizons) Clone() Horizons {
	if h == nil {
		return Horizons{}
	}
	return maps.Clone(h)
}

// PersonErased is the action of the change that tells of an erasure. It is kept
// for ever, and so is RetentionKept, by which what is missing is explained.
const (
	PersonErased  = "person.erased"
	RetentionKept = "retention.kept"
)

// Erasure says whom to erase.
type Erasure struct {
	SubjectKey
	// IfGone erases only if Didomi has deleted all the users that the person had.
	IfGone bool
	// Force erases though a withdrawal has not reached Actito yet.
	Force bool
}

// errUnderWay refuses an erasure for now.
func errUnderWay(what string) error {
	return consent.Errorf(consent.Conflict, "store.Erase", "%s", what)
}

// Refuse tells why somebody cannot be erased while deliveries are as they are.
func (x *Erasure) Refuse(deliveries []*Delivery) error {
	for _, d := range deliveries {
		switch {
		case d.State == InFlight || d.State == Sent:
			return errUnderWay("something about this person is on its way to the other end: try again in a few minutes")
		case !x.Force && (d.State == Pending || d.State == Waiting) && d.Class == LiveWithdrawal:
			return errUnderWay("a withdrawal of this person has not been delivered yet: try again when it has, or say that it need not be (force)")
		}
	}
	return nil
}

// Linked gives of the Didomi users seen under a person's id those that are
// linked to the person.
func Linked(own *Subject, users []*Subject) []*Subject {
	return slices.DeleteFunc(slices.Clone(users), func(u *Subject) bool {
		return u.State.LinkedTo() != own.OrganizationUserID
	})
}

// AllGone tells whether Didomi has deleted all the users of a person, of whom
// there must be one.
func AllGone(users []*Subject) bool {
	return len(users) > 0 && !slices.ContainsFunc(users, func(u *Subject) bool { return !u.State.Gone() })
}

// KeysOf gives the keys of subjects.
func KeysOf(subjects []*Subject) []PersonKey {
	keys := make([]PersonKey, len(subjects))
	for i, s := range subjects {
		keys[i] = s.Key
	}
	return keys
}

// Bury makes tombstones of subjects: what is left is when they were erased.
func Bury(subjects []*Subject, at consent.Time) {
	for _, s := range subjects {
		s.Subject, s.DidomiUsers, s.State = consent.Subject{}, nil, consent.Erased(at)
	}
}

// What erasures leave in the place of what named somebody.
const (
	ErasedMessage = "whom it was for was erased"
	ErasedRefusal = "it named somebody who was erased since"
)

// ErrMailing refuses an erasure while a message is being sent.
func ErrMailing() error {
	return errUnderWay("a message to this person is being sent: try again in a few minutes")
}

// Forget takes a person out of the examples, and gives what is stored then.
func (r *Reconciliation) Forget(userID string) (body string, err error) {
	r.Report.Examples = slices.DeleteFunc(r.Report.Examples, func(e DriftExample) bool { return e.OrganizationUserID == userID })
	return ToJSON(r)
}

// ErrNotGone is the error of an erasure that is for somebody of whom Didomi has
// not deleted all users.
func ErrNotGone(op string) error {
	return consent.Errorf(consent.Invalid, op, "Didomi has not deleted all users of this person")
}

// Quoted is a text as JSON quotes it.
func Quoted(text string) []byte {
	b, _ := json.Marshal(text) // texts can always be written
	return b
}
