package didomi

import (
	"cmp"
	"encoding/json"
	"slices"

	"consentsync/internal/consent"
)

// bare is what tells an event and a user of Didomi's API or export, and a
// webhook, apart.
type bare struct {
	Type           json.RawMessage `json:"type"`
	User           json.RawMessage `json:"user"`
	Consents       json.RawMessage `json:"consents"`
	OrganizationID string          `json:"organization_id"`
	Flat           string          `json:"entity__organization_id"`
	Parameters     struct {
		Entity, NewEntity struct {
			OrganizationID string `json:"organization_id"`
		}
	} `json:"parameters"`
}

// AsWebhook gives a webhook as it is, and makes one of an event or a user as
// Didomi's API and its daily export show them
// (https://developers.didomi.io/integrations/batch-export), together with whose it
// says that it is; empty if it does not say. What is wrong with it is said when it
// is read as a webhook.
func AsWebhook(raw []byte) (webhook []byte, organization string) {
	var b bare
	_ = json.Unmarshal(raw, &b)
	organization = cmp.Or(b.OrganizationID, b.Flat, b.Parameters.Entity.OrganizationID, b.Parameters.NewEntity.OrganizationID)
	message := consent.UserCreated
	switch {
	case b.Type != nil || b.Consents == nil && b.User == nil:
		return raw, organization
	case b.User != nil:
		message = consent.EventCreated
	}
	return Envelope(message, "", raw), organization
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
