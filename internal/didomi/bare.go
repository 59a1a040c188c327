package didomi

import (
	"cmp"
	"encoding/json"
	"slices"

	"consentsync/internal/consent"
)

// ParseRow reads a webhook as it is, and makes one of an event or a user as Didomi's
// API and its daily export show them
// (https://developers.didomi.io/integrations/batch-export), together with whose it
// says that it is; empty if it does not say. What is no JSON comes back as it is, with
// the error, which is consent.Invalid; what else is wrong is said when the payload's
// message is read.
func ParseRow(raw []byte) (webhook []byte, organization string, p *Payload, err error) {
	p, err = Parse(raw)
	if err != nil {
		return raw, "", nil, err
	}
	entity := func(name string) *node { return p.root.field("parameters").field(name) }
	for _, n := range []*node{
		p.root.field("organization_id"), p.root.field("entity__organization_id"),
		entity("entity").field("organization_id"), entity("new_entity").field("organization_id"),
	} {
		organization = cmp.Or(organization, n.string())
	}
	user, consents := p.root.field("user"), p.root.field("consents")
	message := consent.UserCreated
	switch {
	case p.root.field("type") != nil || user == nil && consents == nil:
		return raw, organization, p, nil
	case user != nil:
		message = consent.EventCreated
	}
	webhook = Envelope(message, "", raw)
	p, err = Parse(webhook)
	return webhook, organization, p, err
}

// Envelope makes the webhook that would tell of an event or a user, under a
// regulation if it is not empty.
func Envelope(t consent.MessageType, regulation string, entity []byte) []byte {
	head := `{"type":"` + string(t) + `",`
	if regulation != "" {
		quoted, err := json.Marshal(regulation)
		if err == nil {
			head += `"regulation":` + string(quoted) + `,`
		}
	}
	return slices.Concat([]byte(head+`"parameters":{"entity":`), entity, []byte(`}}`))
}
