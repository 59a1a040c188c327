package store

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
)

// Email says how the messages of one type are sent in an organization; there is
// one for each type.
type Email struct {
	Organization string
	ID           string
	Integration  string // through which it is sent
	Settings     mail.Settings
	// Revision grows with every change, so that one based on an old reading is
	// refused.
	Revision  int64
	CreatedAt consent.Time
	UpdatedAt consent.Time
}

// MessageState says how far a message is.
type MessageState string

// The states of a message; docs/emailing.md draws how they follow one another.
const (
	MessagePending  MessageState = "pending"
	MessageInFlight MessageState = "in_flight"
	MessageSent     MessageState = "sent"
	MessageFailed   MessageState = "failed"  // Actito refuses it
	MessageUnclear  MessageState = "unclear" // it may have been sent, or not
	MessageDropped  MessageState = "dropped" // too old, or nobody to send it to
)

// MessageStates lists them all.
var MessageStates = []MessageState{MessagePending, MessageInFlight, MessageSent, MessageFailed, MessageUnclear, MessageDropped}

// Rank orders messages among what is due.
type Rank int8

// The ranks, the more urgent first.
const (
	Validating Rank = iota // an event waits for what it asks
	Telling
)

// RankOf gives the rank of a type.
func RankOf(t mail.Type) Rank {
	if t.Validates() {
		return Validating
	}
	return Telling
}

// Message is one that is to be sent, or was. Of one that has been sent only
// keyed hashes stay, for ever: there is none with the same type, event and
// person again.
type Message struct {
	Organization string
	ID           ID
	Integration  string
	Email        string // the id of its settings
	Type         mail.Type
	Person       PersonKey
	Event        Digest // of what caused it
	Origin       Origin
	Rank         Rank
	State        MessageState
	// Again says that it is sent again where it is unclear whether it was sent.
	Again     bool
	CreatedAt consent.Time
	ExpiresAt consent.Time // it is dropped if it was not sent by then
	// NextAt is when it may be sent; of one in flight when that began.
	NextAt   consent.Time
	EndedAt  consent.Time
	Attempts int   // calls begun
	Epoch    int64 // of the lease under which it is, or was, in flight
	Body     []byte
	Reason   string
	// Interaction is Actito's id of what was sent, if it was told.
	Interaction string
}

// Origin says why a message is sent.
type Origin string

// The origins.
const (
	OfEvent   Origin = "event"
	OfRequest Origin = "request"
	OfTest    Origin = "test"
)

// KeepBody is how long what a message says is kept when it was not sent, so that
// it can be sent again.
const KeepBody = 7 * 24 * time.Hour

// LongestCall is after how long a call that sends a message has ended for sure.
const LongestCall = 5 * time.Minute

// Interrupted is why it is unclear whether a message was sent whose sender died.
const Interrupted = "consentsync ended, or lost the licence to another node, before Actito had answered"

// Orphaned is why messages end whose integration is gone.
const Orphaned = "the integration was deleted"

// RestoredMessage is why it is unclear whether a message was sent that was to be
// sent when a backup was made.
const RestoredMessage = "it was still to be sent in the backup that was restored, and may have been sent since the backup was made"

// NotRepeatable is the error of whoever wants to have a message sent again that
// is not to be.
func NotRepeatable(op string) error {
	return consent.Errorf(consent.Conflict, op, "only a message that is failed, unclear or dropped can be sent again, and only for 7 days, after which what it says is forgotten")
}

// Repeatable tells whether somebody may have it sent again.
func (m *Message) Repeatable() bool {
	switch m.State {
	case MessageFailed, MessageUnclear, MessageDropped:
		return len(m.Body) > 0
	}
	return false
}

// MessageEnd says how a call that sends a message ended.
type MessageEnd struct {
	*Message
	State       MessageState // pending where it is tried again at NextAt
	NextAt      consent.Time
	Reason      string
	Interaction string
	Call        Call
}

// The engines keep the same columns of messages, and read them in the same order.
const (
	EmailColumns   = `organization, id, integration, settings, revision, created_at, updated_at`
	MessageColumns = `organization, id, integration, email, type, person, event, origin, rank, state, again, created_at, expires_at, next_at, ended_at,
	attempts, epoch, body, reason, interaction`
)

// ScanEmail reads EmailColumns.
func ScanEmail(row Row) (*Email, error) {
	var e Email
	var settings string
	if err := row.Scan(&e.Organization, &e.ID, &e.Integration, &settings, &e.Revision, &e.CreatedAt, &e.UpdatedAt); err != nil {
		return nil, err
	}
	return &e, FromJSON(settings, &e.Settings)
}

// ScanMessage reads MessageColumns.
func ScanMessage(row Row) (*Message, error) {
	var m Message
	var id, person, event []byte
	if err := row.Scan(&m.Organization, &id, &m.Integration, &m.Email, &m.Type, &person, &event, &m.Origin, &m.Rank, &m.State, &m.Again,
		&m.CreatedAt, &m.ExpiresAt, &m.NextAt, &m.EndedAt, &m.Attempts, &m.Epoch, &m.Body, &m.Reason, &m.Interaction); err != nil {
		return nil, err
	}
	m.ID, m.Person, m.Event = ID(id), PersonKey(person), Digest(event)
	return &m, nil
}

// Occasion gives the digest of what causes a message.
func (h *Hasher) Occasion(organization string, o Origin, id string) Digest {
	return h.sum('m', organization, string(o), id)
}

// NewMessage makes one of an e-mail's. at is when it was caused.
func NewMessage(e *Email, o Origin, person PersonKey, event Digest, at, now consent.Time, body []byte) Message {
	return Message{
		Organization: e.Organization, ID: NewID(), Integration: e.Integration, Email: e.ID, Type: e.Settings.EmailType, Person: person, Event: event,
		Origin: o, Rank: RankOf(e.Settings.EmailType), State: MessagePending, Again: e.Settings.Properties.RepeatUnclear,
		CreatedAt: now, ExpiresAt: at.Add(e.Settings.Properties.MaxAge()), NextAt: now, Body: body,
	}
}

// Compare puts messages in the order in which they are stored, which is that of
// the key that keeps them from being stored twice (R9).
func (m *Message) Compare(o *Message) int {
	return cmp.Or(cmp.Compare(m.Organization, o.Organization), m.Person.compare(o.Person), cmp.Compare(m.Type, o.Type), cmp.Compare(string(m.Event[:]), string(o.Event[:])))
}

// MessageList is what lists messages.
type MessageList interface {
	// Messages gives those of an organization, in one state unless it is empty,
	// the newest first, from before one; the zero id is the beginning.
	Messages(ctx context.Context, organization string, state MessageState, before ID, limit int) ([]*Message, error)
	// MessageCounts counts those in each state, up to MostCountedMessages.
	MessageCounts(ctx context.Context, organization string) (map[MessageState]int64, error)
}

// MostCountedMessages bounds how far the messages in one state are counted.
const MostCountedMessages = 10_000

// SealedBody is the body of a message that somebody asked for: it may hold links
// that let people in.
type SealedBody struct {
	Sealed []byte `json:"sealed"`
}

// SealedIn gives what is sealed in a body; nil if nothing is.
func SealedIn(body []byte) []byte {
	var b SealedBody
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	return b.Sealed
}
