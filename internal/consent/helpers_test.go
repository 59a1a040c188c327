package consent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// noon is when the story of a test begins; at counts minutes from it.
const noon = Time(1_767_268_800_000_000)

func at(minutes int) Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func purpose(id string) Choice { return Choice{Kind: OfPurpose, Purpose: id} }

func yes(id string) Said { return Said{purpose(id), true} }

func no(id string) Said { return Said{purpose(id), false} }

// event is an event.created of the person ana.
func event(id string, created Time, said ...Said) *Message {
	return &Message{
		Type: EventCreated, EntityID: id, OrganizationUserID: "ana", Regulation: "gdpr",
		CreatedAt: created, Choices: said,
	}
}

// record is a user.updated of the person ana.
func record(updated Time, said ...Said) *Message {
	return &Message{
		Type: UserUpdated, OrganizationUserID: "ana", Regulation: "gdpr", UpdatedAt: updated, Choices: said,
	}
}

func deletion(id string) *Message {
	return &Message{Type: EventDeleted, EntityID: id, Regulation: "gdpr"}
}

// by gives the message as one of an unidentified Didomi user.
func (m Message) by(user string) *Message {
	m.OrganizationUserID, m.DidomiUserID = "", user
	return &m
}

// of gives the message as one of an identified Didomi user.
func (m Message) of(person, user string) *Message {
	m.OrganizationUserID, m.DidomiUserID = person, user
	return &m
}

// under gives the message under another regulation.
func (m Message) under(regulation string) *Message {
	m.Regulation = regulation
	return &m
}

func (m Message) updated(t Time) *Message {
	m.Type, m.UpdatedAt = EventUpdated, t
	return &m
}

func (m Message) choosing(purpose, preference string, values ...string) *Message {
	m.Selections = append(m.Selections, Selection{purpose, preference, values})
	return &m
}

func (m Message) with(key, value string) *Message {
	m.Metadata = map[string]json.RawMessage{key: json.RawMessage(value)}
	return &m
}

// arrival is a message and when it came, which stays with it.
type arrival struct {
	*Message
	Arrived Time
}

// GoString shows it in the report of a property that fails.
func (a arrival) GoString() string { return fmt.Sprintf("%+v at %d\n", *a.Message, a.Arrived-noon) }

// come lets messages arrive a minute apart, an hour after noon.
func come(messages ...*Message) []arrival {
	all := make([]arrival, len(messages))
	for i, m := range messages {
		all[i] = arrival{m, at(60 + i)}
	}
	return all
}

// told gives the view of ana once the messages have come, in their order and,
// to be sure of it, in the opposite one.
func told(t *testing.T, messages ...arrival) View {
	t.Helper()
	forth, back := newBook(), newBook()
	for i := range messages {
		forth.accept(messages[i])
		back.accept(messages[len(messages)-1-i])
	}
	if !bytes.Equal(forth.bytes(t), back.bytes(t)) {
		t.Error("the opposite order of arrival gives another book")
	}
	return forth.view("ana")
}

// want checks what a view says of a purpose: "on", "off" or "" for nothing,
// with the reason.
func want(t *testing.T, v View, id, answer string, reason Reason) {
	t.Helper()
	verdict, _, said := v.on("gdpr", purpose(id).Path())
	if got := answerOf(verdict, said); got != answer || verdict.Reason != reason {
		t.Errorf("%s is %q because of %q, want %q because of %q", id, got, verdict.Reason, answer, reason)
	}
}

func answerOf(v Verdict, said bool) string {
	switch {
	case !said:
		return ""
	case v.Enabled:
		return "on"
	}
	return "off"
}
