package didomix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"consentsync/internal/consent"
)

// Decoded is a webhook that was understood.
type Decoded struct {
	Message *consent.Message
	// Canonical is the payload with sorted keys and no insignificant space:
	// equal content gives equal bytes.
	Canonical []byte
}

// Decode reads a webhook addressed to an organization. Every error is a
// consent.Error of kind Invalid that names the field at fault.
func Decode(body []byte, organization string) (*Decoded, error) {
	root, err := parse(body)
	if err != nil {
		return nil, err
	}
	canonical, err := json.Marshal(root)
	if err != nil {
		return nil, consent.Errorf(consent.Invalid, "didomi.Decode", "the body cannot be read")
	}
	w := walker{organization: organization}
	m := w.message(root)
	if w.err != nil {
		return nil, w.err
	}
	return &Decoded{Message: m, Canonical: canonical}, nil
}

func parse(body []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, consent.Errorf(consent.Invalid, "didomi.Decode", "the body is not JSON: an error at byte %d", syntax.Offset)
		}
		return nil, consent.Errorf(consent.Invalid, "didomi.Decode", "the body is not whole JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, consent.Errorf(consent.Invalid, "didomi.Decode", "the body holds more than one JSON value")
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, consent.Errorf(consent.Invalid, "didomi.Decode", "the body must be a JSON object")
	}
	return root, nil
}

// message reads the envelope.
func (w *walker) message(root map[string]any) *consent.Message {
	t := consent.MessageType(w.text(root, "type", "type"))
	if w.err == nil && !slices.Contains(consent.MessageTypes, t) {
		w.fail("type", fmt.Sprintf("must be one of %v", consent.MessageTypes))
	}
	entity, path := w.entity(root, t)
	if w.err != nil {
		return nil
	}
	m := &consent.Message{Type: t}
	user := t == consent.UserCreated || t == consent.UserUpdated || t == consent.UserDeleted
	if user {
		w.user(m, entity, path)
	} else {
		w.event(m, entity, path)
	}
	w.regulation(m, w.text(entity, path+".regulation", "regulation"), w.text(root, "regulation", "regulation"))
	if t == consent.UserUpdated {
		w.cause(m, root)
	}
	return m
}

// regulation settles which regulation a message is under (R8).
func (w *walker) regulation(m *consent.Message, own, envelope string) {
	own, envelope = normalize(own), normalize(envelope)
	m.RegulationsDiffer = own != "" && envelope != "" && own != envelope
	switch {
	case own != "":
		m.Regulation = own
	case envelope != "":
		m.Regulation = envelope
	default:
		m.Regulation = consent.DefaultRegulation
	}
}

func normalize(regulation string) string { return strings.ToLower(strings.TrimSpace(regulation)) }

// entity finds what the message is about: in its parameters, or in one of the
// places where a flattened payload may have it.
func (w *walker) entity(root map[string]any, t consent.MessageType) (map[string]any, string) {
	root = unflatten(root)
	parameters := w.object(root, "parameters", "parameters")
	updated := t == consent.EventUpdated || t == consent.UserUpdated
	names := []string{"entity", "new_entity"}
	if updated {
		names = []string{"new_entity", "entity"}
	}
	for _, place := range []struct {
		in   map[string]any
		path string
	}{{parameters, "parameters."}, {root, ""}} {
		for _, name := range names {
			if e := w.object(place.in, place.path+name, name); e != nil {
				return unflatten(e), place.path + name
			}
		}
	}
	w.fail("parameters."+names[0], "is missing: it must be the object that the message is about")
	return nil, ""
}

// cause reads the event that a user.updated names as its source, if any. One
// about somebody else proves nothing and is dropped.
func (w *walker) cause(m *consent.Message, root map[string]any) {
	parameters := w.object(unflatten(root), "parameters", "parameters")
	source := w.object(parameters, "parameters.source", "source")
	if source == nil {
		return
	}
	source = unflatten(source)
	c := &consent.Message{Type: consent.EventCreated}
	w.event(c, source, "parameters.source")
	w.regulation(c, w.text(source, "parameters.source.regulation", "regulation"), m.Regulation)
	if c.OrganizationUserID != "" && c.OrganizationUserID != m.OrganizationUserID {
		return
	}
	c.OrganizationUserID = m.OrganizationUserID
	if c.DidomiUserID == "" {
		c.DidomiUserID = m.DidomiUserID
	}
	m.Cause = c
}
