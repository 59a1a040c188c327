package e2e_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"consentsync/internal/simulator"
)

// The main job: a consent collected in Didomi reaches the Actito profile.
func TestAConsentReachesTheProfile(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	const anna = "anna@example.com"
	mustPut(t, b, anna)
	b.integrate(nil)

	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "e1", DidomiUserID: "d1", OrganizationUserID: anna, CreatedAt: time.Now(),
		Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()},
		Channels: simulator.Choices{"sms": yes()},
		Metadata: map[string]any{"firstName": "Anna", "age": "41", "vip": true, "favourite": "tea", "emailAddress": "other@example.com"},
	}))
	b.eventually("the profile has what Anna chose", func() bool {
		p, _ := b.profile(anna)
		return p.Subscriptions["Newsletter"] && !p.Subscriptions["Promotions"] && p.Subscriptions["SmsAlerts"] &&
			p.Attributes["firstName"] == "Anna" && p.Attributes["vip"] == true
	})
	b.eventually("the person is synced", func() bool { return b.person(anna).status() == "synced" })

	p := b.person(anna)
	view := p.Integrations[0]
	if view.Wanted.Subscriptions["Newsletter"] != true || view.Known.Subscriptions["Promotions"] != false {
		t.Errorf("wanted %v, known %v", view.Wanted, view.Known)
	}
	reasons := map[string]string{}
	for _, l := range view.LeftOut {
		reasons[l.Name] = l.Reason
	}
	if reasons["favourite"] == "" || reasons["emailAddress"] == "" {
		t.Errorf("left out are %v, want favourite (not in the table) and emailAddress (the key)", reasons)
	}
	var trace struct {
		Data []struct{ Kind string }
	}
	b.must(http.MethodGet, "/v1/users/"+anna+"/trace?organization_id="+organization, "", http.StatusOK, &trace)
	kinds := map[string]int{}
	for _, e := range trace.Data {
		kinds[e.Kind]++
	}
	if kinds["event"] != 1 || kinds["decision"] != 1 || kinds["call"] == 0 || kinds["call"] != kinds["answer"] {
		t.Errorf("the trace has %v", kinds)
	}
}

func mustPut(t *testing.T, b *bundle, email string) {
	t.Helper()
	if _, err := b.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": email}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestUpsertCreatesTheProfile(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.integrate(nil)
	b.send(event("e1", "new@example.com", time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	b.eventually("the profile is there", func() bool {
		p, found := b.profile("new@example.com")
		return found && p.Subscriptions["Newsletter"] && !p.Subscriptions["Promotions"]
	})
}

func TestWithoutUpsertThePersonIsUnmatchedUntilTheProfileIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.integrate(func(in object) { in["upsert_mode"] = false })
	const bob = "bob@example.com"
	now := time.Now()
	b.send(event("e1", bob, now, simulator.Choices{"newsletter": yes()}))
	b.eventually("Bob is unmatched", func() bool { return b.person(bob).status() == "unmatched" })
	if _, found := b.profile(bob); found {
		t.Fatal("a profile was created though upsert_mode is off")
	}
	mustPut(t, b, bob)
	b.send(event("e2", bob, now.Add(time.Second), simulator.Choices{"promotions": yes()}))
	b.eventually("newer consent tried again and sent everything", func() bool {
		p, _ := b.profile(bob)
		return p.Subscriptions["Newsletter"] && p.Subscriptions["Promotions"]
	})
}

// A stock OAuth 2 client gets its token without special care.
func TestStockOAuthClient(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{
			ClientID: b.client.ID, ClientSecret: b.client.Secret, TokenURL: b.app.URL() + "/oauth/token", Scopes: []string{"webhooks"}, AuthStyle: style,
		}
		token, err := config.Token(context.Background())
		if err != nil {
			t.Fatalf("style %d: %v", style, err)
		}
		if left := time.Until(token.Expiry); left < 59*time.Minute || left > time.Hour {
			t.Errorf("style %d: the token lives for %v, want an hour", style, left)
		}
	}
}

// Equal state again costs no call; many events of a person cost few.
func TestOnlyDifferencesAreSent(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(nil)
	now := time.Now()
	const anna = "anna@example.com"
	b.send(event("e1", anna, now, simulator.Choices{"newsletter": yes()}))
	b.eventually("synced", func() bool { return b.person(anna).status() == "synced" })
	before := b.actito.CallCount()
	b.send(event("e2", anna, now.Add(time.Second), simulator.Choices{"newsletter": yes()}))
	b.send(event("e3", anna, now.Add(-time.Second), simulator.Choices{"newsletter": no()})) // older: superseded
	b.send(event("e3", anna, now.Add(-time.Second), simulator.Choices{"newsletter": no()})) // and again
	b.send(event("e4", "bert@example.com", now, simulator.Choices{"newsletter": yes()}))
	b.eventually("Bert, who came later, is synced", func() bool { return b.person("bert@example.com").status() == "synced" })
	b.eventually("Anna is settled", func() bool { return b.person(anna).status() == "synced" })
	calls := 0
	for _, c := range b.actito.Calls()[before:] {
		if c.Key == "emailAddress="+anna {
			calls++
		}
	}
	if calls != 0 {
		t.Errorf("%d calls were made for a person whose state did not change", calls)
	}
}

// A restart loses nothing: what was due is delivered afterwards.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	id := b.integrate(nil)
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/pause", "", http.StatusOK, nil)
	b.send(event("e1", "anna@example.com", time.Now(), simulator.Choices{"newsletter": yes()}))
	b.stop()
	b.start()
	b.send(event("e2", "anna@example.com", time.Now(), simulator.Choices{"promotions": yes()})) // the old token is still good
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", "", http.StatusOK, nil)
	b.eventually("both events arrived", func() bool {
		p, _ := b.profile("anna@example.com")
		return p.Subscriptions["Newsletter"] && p.Subscriptions["Promotions"]
	})
}
