package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consentsync/internal/actito"
	"consentsync/internal/outbound"
	"consentsync/internal/simulator"
)

type hookView struct {
	Webhook struct {
		URL, Reason   string
		Registered    bool
		Secret        string
		NotInvertible []string `json:"not_invertible"`
	}
}

// inActito is somebody who has the right to everything in Actito.
func (w *twoWay) inActito() *actito.Client {
	client := outbound.New(outbound.Options{AllowPrivateNetworks: true})
	return actito.NewAccounts(client).Client(w.actitoURL, simulator.SampleKey)
}

func (w *twoWay) hooks() []simulator.WebhookSubscription {
	return slices.DeleteFunc(w.actito.WebhookSubscriptions(), func(s simulator.WebhookSubscription) bool { return s.TargetURL != w.hook })
}

// Webhooks that somebody removed, stopped or changed in Actito are repaired, and
// there are never two of a kind.
func TestWebhooksInActitoAreRepaired(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	client, ctx := w.inActito(), context.Background()
	there, err := client.Webhooks(ctx, simulator.SampleEntity)
	if err != nil || len(there) != 2 {
		t.Fatalf("there are %v, %v", there, err)
	}
	if err := client.DeleteWebhook(ctx, simulator.SampleEntity, there[0].ID); err != nil {
		t.Fatal(err)
	}
	there[1].Active, there[1].Headers = false, map[string]string{"X-Consentsync-Secret": "another"}
	if err := client.ReplaceWebhook(ctx, simulator.SampleEntity, there[1]); err != nil {
		t.Fatal(err)
	}
	w.refresh(w.id)
	hooks := w.hooks()
	if len(hooks) != 2 || hooks[0].Event == hooks[1].Event {
		t.Errorf("there are %+v", hooks)
	}
	for _, h := range hooks {
		if !h.Active || h.Headers["X-Consentsync-Secret"] != w.secret {
			t.Errorf("it is not repaired: %+v", h)
		}
	}
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.actito.SettleWebhooks()
	w.edit(anna, map[string]bool{"Newsletter": false})
	w.eventually("Actito tells", func() bool { got := w.told(anna); return len(got) > 0 && got[len(got)-1] == "-newsletter" })
}

// Without the right to make webhooks it is said what to enter by hand; what was
// entered works, and is adopted once the key has the right.
func TestWebhooksMadeByHand(t *testing.T) {
	t.Parallel()
	w := newTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1})
	t.Cleanup(w.stop)
	w.start()
	w.leads.Store(w.url)
	w.enrol()
	rights := []string{simulator.RightReadProfiles, simulator.RightWriteProfiles, simulator.RightReadTables}
	w.actito.AddKey("limited", rights...)
	var view hookView
	body := w.settings(func(in object) {
		in["enable_webhooks"] = true
		in["authentication"] = object{"private_api_key": "limited", "didomi_api_key": "didomi-key", "didomi_api_secret": "didomi-secret"}
		in["mappings"] = []object{
			{"id": "Newsletter", "value": newsletterPath},
			{"id": "Promotions", "value": "consents_purposes_topics_values_topic_sport_enabled"},
		}
	})
	var made struct {
		ID string
		hookView
	}
	w.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+organization, body, http.StatusCreated, &made)
	w.id, w.hook, w.secret, view = made.ID, made.Webhook.URL, made.Webhook.Secret, made.hookView
	for _, want := range []string{"write_webhooks", "Profiles", "UPDATED_SUBSCRIPTION", "CREATE", w.hook, "X-Consentsync-Secret"} {
		if !strings.Contains(view.Webhook.Reason, want) {
			t.Errorf("the reason does not say %q: %s", want, view.Webhook.Reason)
		}
	}
	if view.Webhook.Registered || view.Webhook.Secret == "" || !slices.Equal(view.Webhook.NotInvertible, []string{"Promotions"}) {
		t.Errorf("it says %+v", view.Webhook)
	}
	w.actito.DeliverWebhooks(simulator.WebhookOptions{UniqueKeys: true})
	for _, event := range []actito.WebhookEvent{actito.WebhookUpdatedSubscription, actito.WebhookCreate} {
		if _, err := w.inActito().CreateWebhook(context.Background(), simulator.SampleEntity, actito.Subscription{
			TableID: simulator.SampleTableID, Event: event, TargetURL: w.hook, Headers: map[string]string{"X-Consentsync-Secret": w.secret}, Active: true,
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.edit(anna, map[string]bool{"Newsletter": true, "Promotions": true})
	w.actito.SettleWebhooks()
	// What cannot be put as a choice of Didomi's is left alone.
	w.edit(anna, map[string]bool{"Newsletter": false, "Promotions": false})
	w.eventually("Didomi is told", func() bool { got := w.told(anna); return len(got) > 0 && got[len(got)-1] == "-newsletter" })
	if got := strings.Join(w.told(anna), " "); strings.Contains(got, "topic") {
		t.Errorf("Didomi was told %s", got)
	}

	w.actito.AddKey("limited", append(rights, simulator.RightReadWebhooks, simulator.RightWriteWebhooks)...)
	w.actito.ExpireTokens()
	w.refresh(w.id)
	w.must(http.MethodGet, "/v1/marketplace/integrations/"+w.id, "", http.StatusOK, &view)
	if !view.Webhook.Registered || view.Webhook.Reason != "" || len(w.hooks()) != 2 {
		t.Errorf("they are not adopted: %+v, %+v", view.Webhook, w.hooks())
	}
	w.must(http.MethodDelete, "/v1/marketplace/integrations/"+w.id, "", http.StatusNoContent, nil)
	if hooks := w.hooks(); len(hooks) != 0 {
		t.Errorf("left are %+v", hooks)
	}
}

// A server that does not know its own address says so, and what to enter.
func TestWebhooksWithoutAPublicAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	var view hookView
	body := b.settings(func(in object) { in["enable_webhooks"] = true })
	b.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+organization, body, http.StatusCreated, &view)
	if r := view.Webhook.Reason; view.Webhook.Registered || !strings.Contains(r, "--public-url") || !strings.Contains(r, "X-Consentsync-Secret") || view.Webhook.Secret == "" {
		t.Errorf("it says %+v", view.Webhook)
	}
	if n := len(b.actito.WebhookSubscriptions()); n != 0 {
		t.Errorf("%d webhooks were made that lead nowhere", n)
	}
}
