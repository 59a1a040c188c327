package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

// A configuration is taken or refused with the field at fault, and no refusal
// repeats a secret. One that is taken is taken again as it is shown.
func FuzzConfiguration(f *testing.F) {
	const secret = "planted-secret-0123456789"
	for _, seed := range []string{
		`{"type_id":"actito","authentication":{"private_api_key":"` + secret + `"},"properties":{"entity_id":"acme","table_name":"Customers","user_unique_key":"mail"},"mappings":[{"id":"News","value":"consents_purposes_news_enabled"}]}`,
		`{"type_id":"actito","authentication":{"private_api_key":"` + secret + `","didomi_api_key":"k","didomi_api_secret":"` + secret + `"},"properties":{"base_url":"https://x:y@api.actito.com","regulations":["gdpr"],"attributes":["a",{"id":"b","value":"user_metadata_b"}],"calls_per_minute":1e9},"mappings":[{"id":"News","value":"consents_channels_sms_enabled"}],"snapshot":{"taken_at":"x"}}`,
		`{"id":7}`, `{"properties":{"attributes":{}}}`, `[]`, `null`, `{"mappings":[{}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := ReadFile(body)
		if err != nil {
			if consent.KindOf(err) != consent.Invalid || strings.Contains(err.Error(), secret) {
				t.Errorf("%v", err)
			}
			return
		}
		shown, err := json.Marshal(map[string]any{
			"type_id": file.TypeID, "properties": file.Properties, "mappings": file.Mappings, "upsert_mode": file.UpsertMode,
			"enable_webhooks": false, "enable_emailing": file.EnableEmailing, "authentication": map[string]string{"private_api_key": "k"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(shown); err != nil {
			t.Errorf("what was taken is refused as %s: %v", shown, err)
		}
	})
}
