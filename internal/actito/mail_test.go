package actito_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/simulator"
)

const mailPath = "/email-campaigns/v4/entity/{entity}/transactionalmail/{campaign}/contact"

func letter() actito.Message {
	return actito.Message{
		Entity: "my entity", Path: mailPath, Campaign: "A/B", Source: "AGDPRSource", Way: "AGDPRWay",
		At:         consent.TimeOf(time.Date(2019, 9, 10, 22, 0, 0, 0, time.UTC)),
		Attributes: []actito.MessageAttribute{{Name: "emailAddress", Value: "john.smith@actito.com"}},
	}
}

// The body is the published sample, and the parameters have the form of a public
// client.
func TestAMessageHasTheDocumentedBody(t *testing.T) {
	t.Parallel()
	var path string
	var body any
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" {
			_, _ = w.Write([]byte(`{"accessToken":"t","expiresIn":"900s"}`))
			return
		}
		path = r.URL.EscapedPath()
		_ = json.NewDecoder(r.Body).Decode(&body)
		_, _ = w.Write([]byte(`{"interactionId":17}`))
	}))
	defer srv.Close()
	m := letter()
	m.Parameters = []actito.MessageParameter{{Key: "url", Values: []string{"https://example.com"}}}
	id, err := actito.NewClient(srv.Client(), srv.URL, "key").SendMessage(t.Context(), m)
	if err != nil || id != "17" {
		t.Errorf("got %q, %v", id, err)
	}
	if want := "/email-campaigns/v4/entity/my%20entity/transactionalmail/A%2FB/contact"; path != want {
		t.Errorf("the path is %s, want %s", path, want)
	}
	var want any
	_ = json.Unmarshal([]byte(`{
		"profile": {
			"attributes": [{"name": "emailAddress", "value": "john.smith@actito.com"}],
			"dataCollection": {"source": "AGDPRSource", "way": "AGDPRWay", "date": "10/09/2019 22:00:00"}
		},
		"parameters": [{"key": "url", "values": ["https://example.com"]}]
	}`), &want)
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever does not prove that nothing was sent is unclear: a 503 too.
func TestWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	sim := simulator.NewActito(simulator.ActitoOptions{})
	srv := httptest.NewServer(sim)
	t.Cleanup(func() {
		sim.Close()
		srv.Close()
	})
	client := actito.NewClient(srv.Client(), srv.URL, simulator.SampleKey)
	for name, x := range map[string]struct {
		fault simulator.Fault
		want  consent.Kind
	}{
		"400":                       {simulator.Fault{Effect: simulator.EffectStatus, Status: 400}, consent.Invalid},
		"404":                       {simulator.Fault{Effect: simulator.EffectStatus, Status: 404}, consent.NotFound},
		"429":                       {simulator.Fault{Effect: simulator.EffectStatus, Status: 429}, consent.RateLimited},
		"500":                       {simulator.Fault{Effect: simulator.EffectStatusAfter, Status: 500}, consent.Unclear},
		"503":                       {simulator.Fault{Effect: simulator.EffectStatusAfter, Status: 503}, consent.Unclear},
		"a reset after it was sent": {simulator.Fault{Effect: simulator.EffectResetAfter}, consent.Unclear},
	} {
		x.fault.Kind, x.fault.Times = simulator.KindMail, 1
		remove := sim.Inject(x.fault)
		m := letter()
		m.Entity, m.Campaign = simulator.SampleEntity, simulator.SampleWelcome
		if _, err := client.SendMessage(t.Context(), m); err == nil || consent.KindOf(err) != x.want {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		remove()
	}
	m := letter()
	m.Entity, m.Campaign = simulator.SampleEntity, simulator.SampleDraft
	if _, err := client.SendMessage(t.Context(), m); consent.KindOf(err) != consent.Invalid {
		t.Errorf("a campaign that is not in progress: %v", err)
	}
}

func TestCampaigns(t *testing.T) {
	t.Parallel()
	for name, unlisted := range map[string]bool{"listed": false, "no list": true} {
		sim := simulator.NewActito(simulator.ActitoOptions{NoCampaignList: unlisted})
		srv := httptest.NewServer(sim)
		t.Cleanup(func() {
			sim.Close()
			srv.Close()
		})
		list, known, err := actito.NewClient(srv.Client(), srv.URL, simulator.SampleKey).Campaigns(t.Context(), simulator.SampleEntity)
		if err != nil || known == unlisted {
			t.Fatalf("%s: known %v, %v", name, known, err)
		}
		stopped := map[string]bool{}
		for _, c := range list {
			stopped[c.Name] = c.Stopped()
		}
		want := map[string]bool{}
		if !unlisted {
			want = map[string]bool{simulator.SampleConfirmation: false, simulator.SampleWelcome: false, simulator.SampleDoubleOptIn: false, simulator.SampleDraft: true}
		}
		if diff := cmp.Diff(want, stopped); diff != "" {
			t.Errorf("%s: stopped (-want +got):\n%s", name, diff)
		}
	}
}
