package consent

import "encoding/json"

// Outcome says what became of a message when it was accepted.
type Outcome string

// The outcomes a message can have.
const (
	Applied            Outcome = "applied"             // it changed what we hold
	Superseded         Outcome = "superseded"          // newer consent was there already
	PendingApproval    Outcome = "pending_approval"    // recorded until it is confirmed
	RegulationConflict Outcome = "regulation_conflict" // entity and envelope disagree (R8)
	NoPerson           Outcome = "no_person"           // it names nobody
	Unlinked           Outcome = "unlinked"            // a Didomi user not identified yet (R7)
	Duplicate          Outcome = "duplicate"           // the same message was accepted before (R1)
)

// Subject is whom a statement is about: a person by the organization's user
// id, or a Didomi user that nobody has identified yet. Exactly one is set.
type Subject struct {
	OrganizationUserID string
	DidomiUserID       string
}

// Person tells whether the subject is identified.
func (s Subject) Person() bool { return s.OrganizationUserID != "" }

// Statement is what one message says about one subject.
type Statement struct {
	// Snapshot says that it shows a state, not an act: it dates the record,
	// not each choice (R5).
	Snapshot   bool
	EventID    string
	Regulation string
	At         Time // consent time, clamped
	Arrived    Time
	Undated    bool // it had no time of its own that can be believed; At is its arrival
	Retold     bool // it was not told at once, but fetched or handed in
	Revised    bool // At is when the event was last changed, not when it was made
	Choices    []Said
	Selections []Selection
	Metadata   map[string]json.RawMessage
	Country    json.RawMessage
}

// Tombstone says that an event was deleted at a time (R6).
type Tombstone struct {
	EventID string
	At      Time
}

// Link says that a Didomi user was seen under an organization user id (R7).
type Link struct {
	OrganizationUserID string `json:"u"`
	At                 Time   `json:"t"`
	EventID            string `json:"e,omitempty"`
}

// Before orders links: the first one identifies the Didomi user.
func (l Link) Before(o Link) bool {
	switch {
	case l.At != o.At:
		return l.At < o.At
	case l.EventID != o.EventID:
		return l.EventID < o.EventID
	}
	return l.OrganizationUserID < o.OrganizationUserID
}

// Effects is all that one message says, sorted by whom it is about.
type Effects struct {
	// Outcome is Applied when there is something to apply; the state itself
	// then tells whether it changed anything.
	Outcome    Outcome
	Subject    Subject
	Statements []Statement // about Subject
	Tombstone  *Tombstone  // about whoever the event was about
	Link       *Link       // about the Didomi user DidomiUserID
	Unlink     bool        // the Didomi user DidomiUserID is gone
	// DidomiUserID is whom Link and Unlink are about.
	DidomiUserID string
}

// Resolve says what a message means, given when it arrived by the database's
// clock. It is where consent times are settled (R2), where pending and
// contradictory messages are set aside (R3, R8), and where snapshots are told
// from events (R5).
func Resolve(m *Message, arrived Time) Effects {
	e := Effects{
		Outcome:      Applied,
		Subject:      Subject{OrganizationUserID: m.OrganizationUserID},
		DidomiUserID: m.DidomiUserID,
	}
	if m.OrganizationUserID == "" {
		e.Subject.DidomiUserID = m.DidomiUserID
	}
	switch {
	case m.RegulationsDiffer:
		e.Outcome = RegulationConflict
		return e
	case m.Type == EventDeleted:
		if m.EntityID == "" {
			e.Outcome = NoPerson
			return e
		}
		e.Tombstone = &Tombstone{EventID: m.EntityID, At: arrived}
		return e
	case m.Type == UserDeleted:
		if m.DidomiUserID == "" {
			e.Outcome = NoPerson
			return e
		}
		e.Unlink = true
		return e
	case m.Pending:
		e.Outcome = PendingApproval
		return e
	case e.Subject == (Subject{}):
		e.Outcome = NoPerson
		return e
	}

	own := statement(m, arrived)
	e.Statements = append(e.Statements, own)
	if c := m.Cause; c.proves(m) {
		cause := statement(c, arrived)
		// An event without a date is no proof of anything newer (R5).
		cause.Snapshot = cause.Snapshot || cause.Undated
		e.Statements = append(e.Statements, cause)
	}
	if m.OrganizationUserID != "" && m.DidomiUserID != "" {
		e.Link = &Link{OrganizationUserID: m.OrganizationUserID, At: own.At, EventID: own.EventID}
	}
	return e
}

// proves tells whether the event that a user record names as its source may
// speak for itself: it is confirmed, it was not deleted, and it is not about
// another person.
func (m *Message) proves(record *Message) bool {
	return m != nil && m.Type != EventDeleted && !m.Pending && !m.RegulationsDiffer &&
		(m.OrganizationUserID == "" || m.OrganizationUserID == record.OrganizationUserID)
}

func statement(m *Message, arrived Time) Statement {
	s := Statement{
		Snapshot:   m.Type == UserCreated || m.Type == UserUpdated,
		Regulation: m.Regulation,
		Arrived:    arrived,
		Choices:    m.Choices,
		Selections: m.Selections,
		Metadata:   m.Metadata,
		Country:    m.Country,
	}
	if !s.Snapshot {
		s.EventID = m.EntityID
	}
	s.Revised = m.Type == EventUpdated
	s.At, s.Undated = consentTime(m, arrived)
	return s
}

// consentTime is R2: an event is dated by its creation, an updated one by its
// update, a user record by its last update; what has no time is dated by its
// arrival, and so is what lies too far ahead: such a time is as good as none.
func consentTime(m *Message, arrived Time) (at Time, undated bool) {
	switch m.Type {
	case EventUpdated, UserUpdated:
		at = m.UpdatedAt
	case UserCreated:
		if at = m.UpdatedAt; at == 0 {
			at = m.CreatedAt
		}
	default:
		at = m.CreatedAt
	}
	if at == 0 || at > arrived.Add(MaxAhead) {
		return arrived, true
	}
	return at, false
}
