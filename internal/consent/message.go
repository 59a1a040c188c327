package consent

import "encoding/json"

// MessageType is the type of a webhook of Didomi.
type MessageType string

// The six types of webhook that Didomi sends
// (https://developers.didomi.io/integrations/generic-integrations/webhooks).
const (
	EventCreated MessageType = "event.created"
	EventUpdated MessageType = "event.updated"
	EventDeleted MessageType = "event.deleted"
	UserCreated  MessageType = "user.created"
	UserUpdated  MessageType = "user.updated"
	UserDeleted  MessageType = "user.deleted"
)

// MessageTypes lists them all, for messages that tell what is allowed.
var MessageTypes = []MessageType{EventCreated, EventUpdated, EventDeleted, UserCreated, UserUpdated, UserDeleted}

// OfUser tells whether such a webhook is about a user record, not about an event.
func (t MessageType) OfUser() bool { return t == UserCreated || t == UserUpdated || t == UserDeleted }

// DefaultRegulation applies where neither the entity nor the envelope names one.
const DefaultRegulation = "gdpr"

// Message is one webhook of Didomi, decoded and freed from its dialects.
type Message struct {
	Type MessageType
	// EntityID is the id of the event or of the Didomi user; empty if absent.
	EntityID string
	// DidomiUserID is Didomi's own id of the user; OrganizationUserID is the
	// organization's. Either may be empty.
	DidomiUserID       string
	OrganizationUserID string
	// Regulation is the entity's, else the envelope's, else gdpr.
	Regulation string
	// RegulationsDiffer says that entity and envelope name different ones:
	// the message is then recorded and not applied (R8).
	RegulationsDiffer bool
	// Pending says that the event awaits approval: recorded, not applied.
	Pending bool
	// CreatedAt and UpdatedAt are the entity's; zero if absent.
	CreatedAt, UpdatedAt Time
	Choices              []Said
	Selections           []Selection
	// Metadata is user.metadata; a JSON null clears a key.
	Metadata map[string]json.RawMessage
	// Country is user.country as JSON; nil if absent.
	Country json.RawMessage
	// Cause is the event that a user.updated names as its source, if any.
	Cause *Message
}

// Said is one explicit answer. An answer of null is no answer and never
// becomes a Said.
type Said struct {
	Choice  Choice
	Enabled bool
}

// Selection is the explicit list of the chosen values of a preference. It is
// the whole selection: a value that is not in it is refused.
type Selection struct {
	Purpose, Preference string
	Values              []string
}

// Withdraws tells whether the message refuses anything by name.
func (m *Message) Withdraws() bool {
	for _, s := range m.Choices {
		if !s.Enabled {
			return true
		}
	}
	// A list refuses whatever is not in it.
	return len(m.Selections) > 0 || m.Cause != nil && m.Cause.Withdraws()
}
