package mail

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// Settings are taken or refused by field, and what is taken is called at Actito's
// own host, in whatever way its path is written, and links to a web page.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{
		`{"type_id":"actito","email_type":"consents-user-created","properties":{"email_campaign_name":"Welcome","links":{"privacy_center_url":"https://acme.example/{event_id}"}}}`,
		`{"type_id":"actito","email_type":"validation-double-optin","properties":{"sms_campaign_name":"c","path":"/sms/{entity}/{campaign}/@evil.example","links":{"a":"http://x/?{organization_user_id}"},"max_age_seconds":60}}`,
		`{"properties":{"path":"//evil.example/{campaign}","email_campaign_name":".."}}`, `{"properties":{"path":"/%2e%2e/{campaign}","attributes":[{"id":"a","value":"b"},{"id":"a","value":"c"}]}}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var s Settings
		if json.Unmarshal(body, &s) != nil {
			return
		}
		s.Complete()
		problems := s.Check()
		for field, problem := range problems {
			if field == "" || problem == "" {
				t.Errorf("%q: %q", field, problem)
			}
		}
		if len(problems) > 0 {
			return
		}
		called := strings.NewReplacer("{entity}", "acme", "{campaign}", "c").Replace(s.Properties.Path)
		if u, err := url.Parse("https://api.actito.com" + called); err != nil || u.Host != "api.actito.com" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("the path %q leads to %v, %v", s.Properties.Path, u, err)
		}
		for name, link := range s.Properties.Links {
			if u, err := url.Parse(expand(link, Order{EventID: "e", UserID: "u"}, "o")); err != nil || u.Scheme != "https" && u.Scheme != "http" {
				t.Errorf("the link %q of %q is %v, %v", link, name, u, err)
			}
		}
	})
}
