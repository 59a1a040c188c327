package didomi

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"consentsync/internal/consent"
)

// Payload is the body of one webhook, parsed. It shares no memory with the
// bytes that it was parsed from.
type Payload struct {
	root *node
	flat bool // there may be flat names
}

// Parse reads the body of a webhook as JSON. The error is consent.Invalid.
func Parse(body []byte) (*Payload, error) {
	root, err := parse(body)
	if err != nil {
		return nil, err
	}
	return &Payload{root: root, flat: bytes.Contains(body, []byte(flatSeparator))}, nil
}

// Canonical gives the payload as canonical JSON: equal payloads have equal
// bytes, whatever the order of their names and the space between. The plain
// and the flattened form of one event are not equal payloads.
func (p *Payload) Canonical() []byte { return p.root.appendJSON(make([]byte, 0, 1024)) }

// Canonical gives the canonical JSON of a webhook's body, for deduplication.
// Where the message is wanted too, Parse spares parsing twice.
func Canonical(body []byte) ([]byte, error) {
	p, err := Parse(body)
	if err != nil {
		return nil, err
	}
	return p.Canonical(), nil
}

// Decode reads a webhook that came to an organization's address. The error is
// consent.Invalid.
func Decode(body []byte, organization string) (*consent.Message, error) {
	p, err := Parse(body)
	if err != nil {
		return nil, err
	}
	return p.Message(organization)
}

// Message reads what the webhook says. The error is consent.Invalid.
func (p *Payload) Message(organization string) (*consent.Message, error) {
	if p.root.kind != objectKind {
		return nil, consent.Errorf(consent.Invalid, op, "the payload must be an object")
	}
	d := decoder{faults: faults{root: p.root}, organization: organization}
	m := d.message(p.flat)
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	return m, nil
}

type decoder struct {
	faults       faults
	organization string
}

// message reads the payload; what it gives counts only if there are no faults.
func (d *decoder) message(flat bool) *consent.Message {
	root := d.faults.root
	t := consent.MessageType(root.field("type").string())
	if !slices.Contains(consent.MessageTypes, t) {
		d.faults.tell("type", "must be one of "+typeNames())
		return nil
	}
	entityShape, whole := eventEntity, eventEnvelope
	if t.OfUser() {
		entityShape, whole = userEntity, userEnvelope
	}
	if flat {
		x := expander{faults: &d.faults}
		root = x.expand(root, whole)
	}
	parameters := root.field("parameters")
	if parameters.given() && parameters.kind != objectKind {
		d.faults.add(parameters, objectForm.must())
		return nil
	}
	entity := d.entity(t, parameters, root)
	if entity == nil {
		return nil
	}
	var source *node
	if t == consent.UserUpdated {
		source = findSource(parameters, root)
	}

	d.faults.check(root.field("regulation"), identifier)
	d.check(entity, entityShape)
	d.check(source, eventEntity)
	if len(d.faults.found) > 0 {
		return nil
	}
	m := read(t, entity, source, root.field("regulation").regulation())
	if choices(m)+choices(m.Cause) > maxChoices {
		d.faults.addMember(entity, "consents", fmt.Sprintf("must hold at most %d choices", maxChoices))
	}
	return m
}

// entity finds the event or the user that the webhook is about.
func (d *decoder) entity(t consent.MessageType, holders ...*node) *node {
	names := []string{"entity", "new_entity"}
	if t == consent.EventUpdated || t == consent.UserUpdated {
		slices.Reverse(names)
	}
	for _, holder := range holders {
		for _, name := range names {
			if n := holder.field(name); n.given() {
				return n
			}
		}
	}
	d.faults.tell("parameters."+names[0], "must hold what the webhook is about")
	return nil
}

// findSource finds the event that caused the update of a user. What else can
// stand there is not documented, so that anything but an object is no cause
// and no fault: without a cause the update can only turn off what we hold.
func findSource(holders ...*node) *node {
	for _, holder := range holders {
		if n := holder.field("source"); n.given() && n.kind == objectKind {
			return n
		}
	}
	return nil
}

// check finds what is wrong with an event or a user.
func (d *decoder) check(n *node, s *shape) {
	d.faults.check(n, s)
	if of := n.field("organization_id"); of.string() != "" && of.text != d.organization {
		d.faults.add(of, "names another organization than the address")
	}
}

func read(t consent.MessageType, entity, source *node, envelopes string) *consent.Message {
	if !t.OfUser() {
		return readEvent(t, entity, envelopes)
	}
	m := readUser(t, entity, envelopes)
	if source != nil {
		m.Cause = readCause(m, source, envelopes)
	}
	return m
}

// readCause reads the event that caused the update of a user. It counts only
// if it is about the same user.
func readCause(m *consent.Message, n *node, envelopes string) *consent.Message {
	c := readEvent(consent.EventCreated, n, envelopes)
	if n.field("regulation").regulation() == "" {
		c.Regulation = m.Regulation
	}
	if c.OrganizationUserID == "" && (c.DidomiUserID == "" || c.DidomiUserID == m.DidomiUserID) {
		c.OrganizationUserID = m.OrganizationUserID
	}
	if c.DidomiUserID == "" {
		c.DidomiUserID = m.DidomiUserID
	}
	if c.OrganizationUserID != m.OrganizationUserID {
		return nil
	}
	return c
}

func typeNames() string {
	names := make([]string, len(consent.MessageTypes))
	for i, t := range consent.MessageTypes {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}
