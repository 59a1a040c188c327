package didomi

import "testing"

// A row of a file says whose it is in one of several places, and is a webhook, an
// event or a user.
func TestParseRow(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ raw, webhook, organization string }{
		"an event":              {`{"organization_id":"acme","user":{}}`, `{"type":"event.created","parameters":{"entity":{"organization_id":"acme","user":{}}}}`, "acme"},
		"a user":                {`{"organization_id":"acme","consents":{}}`, `{"type":"user.created","parameters":{"entity":{"organization_id":"acme","consents":{}}}}`, "acme"},
		"a webhook":             {`{"type":"event.created","parameters":{"entity":{"organization_id":"acme"}}}`, ``, "acme"},
		"a webhook of a change": {`{"type":"event.updated","parameters":{"new_entity":{"organization_id":"acme"}}}`, ``, "acme"},
		"a flat webhook":        {`{"type":"event.created","entity__organization_id":"acme","user":1}`, ``, "acme"},
		"says nothing":          {`{"a":1}`, ``, ""},
		"is no object":          {`[1]`, ``, ""},
		"is no JSON":            {`{"organization_id":"acme"`, ``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if x.webhook == "" {
				x.webhook = x.raw
			}
			webhook, organization, p, err := ParseRow([]byte(x.raw))
			if string(webhook) != x.webhook || organization != x.organization || (p == nil) != (name == "is no JSON") || (err == nil) != (p != nil) {
				t.Errorf("%s of %q, %v", webhook, organization, err)
			}
		})
	}
}
