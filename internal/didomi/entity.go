package didomi

import (
	"encoding/json"
	"strings"

	"consentsync/internal/consent"
)

// confirmed is the only status that counts; an absent one means it too.
const confirmed = "confirmed"

// readEvent reads a consent event that check has found no fault with.
func readEvent(t consent.MessageType, n *node, envelopes string) *consent.Message {
	m := readEntity(t, n, envelopes)
	readPerson(m, n.field("user"))
	status := n.field("status").string()
	m.Pending = status != "" && status != confirmed
	return m
}

// readUser reads a user record that check has found no fault with.
func readUser(t consent.MessageType, n *node, envelopes string) *consent.Message {
	m := readEntity(t, n, envelopes)
	readPerson(m, n)
	return m
}

// readEntity reads what events and users have in common, given the
// regulation of the envelope.
func readEntity(t consent.MessageType, n *node, envelopes string) *consent.Message {
	m := &consent.Message{
		Type:      t,
		EntityID:  n.field("id").string(),
		CreatedAt: n.field("created_at").time(),
		UpdatedAt: n.field("updated_at").time(),
	}
	own := n.field("regulation").regulation()
	switch {
	case own != "":
		m.Regulation = own
		m.RegulationsDiffer = envelopes != "" && envelopes != own
	case envelopes != "":
		m.Regulation = envelopes
	default:
		m.Regulation = consent.DefaultRegulation
	}
	readConsents(m, n.field("consents"))
	return m
}

func (n *node) regulation() string { return strings.ToLower(strings.TrimSpace(n.string())) }

func (n *node) time() consent.Time {
	s := n.string()
	if s == "" {
		return 0
	}
	t, _ := parseTime(s)
	return t
}

func readPerson(m *consent.Message, n *node) {
	m.DidomiUserID = n.field("id").string()
	m.OrganizationUserID = n.field("organization_user_id").string()
	if country := n.field("country"); country != nil {
		m.Country = country.raw()
	}
	metadata := n.field("metadata").items()
	if len(metadata) == 0 {
		return
	}
	m.Metadata = make(map[string]json.RawMessage, len(metadata))
	for _, kid := range metadata {
		m.Metadata[kid.key] = kid.raw()
	}
}

// raw gives the canonical form.
func (n *node) raw() json.RawMessage {
	return n.appendJSON(make([]byte, 0, max(len("null"), len(n.text)+len(`""`))))
}

// items gives the members of a list or an object.
func (n *node) items() []*node {
	if n == nil {
		return nil
	}
	return n.kids
}

// readConsents reads a tree of choices, of Didomi's version 1 or 2, in the
// order in which it was sent.
func readConsents(m *consent.Message, n *node) {
	channels, purposes := n.field("channels").items(), n.field("purposes").items()
	for _, channel := range channels {
		say(m, channel, consent.Choice{Kind: consent.OfChannel, Channel: itemID(channel)})
	}
	for _, purpose := range purposes {
		readPurpose(m, purpose)
	}
}

func readPurpose(m *consent.Message, n *node) {
	purpose := itemID(n)
	say(m, n, consent.Choice{Kind: consent.OfPurpose, Purpose: purpose})
	for _, preference := range n.field("values").items() {
		if value := preference.field("value"); value.given() {
			m.Selections = append(m.Selections, consent.Selection{
				Purpose: purpose, Preference: preference.key, Values: selected(value),
			})
		}
	}
	for _, item := range n.field("preferences").items() {
		preference := itemID(item)
		say(m, item, consent.Choice{Kind: consent.OfPurposePreference, Purpose: purpose, Preference: preference})
		for _, channel := range item.field("channels").items() {
			say(m, channel, consent.Choice{
				Kind: consent.OfPreferenceChannel, Purpose: purpose, Preference: preference, Channel: itemID(channel),
			})
		}
	}
	for _, channel := range n.field("channels").items() {
		say(m, channel, consent.Choice{Kind: consent.OfPurposeChannel, Purpose: purpose, Channel: itemID(channel)})
	}
}

// say records an explicit answer; null and absent are none.
func say(m *consent.Message, n *node, c consent.Choice) {
	enabled := n.field("enabled")
	if !enabled.given() {
		return
	}
	if m.Choices == nil {
		m.Choices = make([]consent.Said, 0, 4)
	}
	m.Choices = append(m.Choices, consent.Said{Choice: c, Enabled: enabled.kind == trueKind})
}

// selected gives the ids of the chosen values. It is never nil: the empty
// selection refuses all.
func selected(n *node) []string {
	ids := make([]string, 0, 1+len(n.kids)+strings.Count(n.text, ","))
	keep := func(id string) {
		if id = strings.TrimSpace(id); id != "" {
			ids = append(ids, id)
		}
	}
	if n.kind == listKind {
		for _, kid := range n.kids {
			keep(kid.string())
		}
		return ids
	}
	for id := range strings.SplitSeq(n.text, ",") {
		keep(id)
	}
	return ids
}

// choices counts the answers in a message, chosen values included.
func choices(m *consent.Message) int {
	if m == nil {
		return 0
	}
	n := len(m.Choices) + len(m.Selections)
	for _, s := range m.Selections {
		n += len(s.Values)
	}
	return n
}
