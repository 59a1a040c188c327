package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// However Actito writes what it tells, it is understood: one event or an array,
// its data one object or an array, values and ids as themselves, as texts or as
// digits, with and without an id, a type or the person's key.
func TestEveryShapeOfWhatActitoTells(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	var shapes []simulator.WebhookOptions
	for _, shape := range []simulator.WebhookShape{simulator.ShapeObject, simulator.ShapeArray, simulator.ShapeDataArray} {
		for _, values := range []simulator.WebhookValues{simulator.ValuesTyped, simulator.ValuesText, simulator.ValuesDigits} {
			shapes = append(shapes, simulator.WebhookOptions{Shape: shape, Values: values, UniqueKeys: len(shapes)%2 == 0, NoID: len(shapes)%3 == 0, NoEventType: len(shapes)%4 == 0})
		}
	}
	refusing, granting := crowd("off", len(shapes)), crowd("on", len(shapes))
	w.actito.DeliverWebhooks(simulator.WebhookOptions{Drop: 1})
	putAll(t, w.bundle, refusing, map[string]bool{"Newsletter": true})
	putAll(t, w.bundle, granting, nil)
	w.actito.SettleWebhooks()
	for i, shape := range shapes {
		w.actito.DeliverWebhooks(shape)
		w.edit(refusing[i], map[string]bool{"Newsletter": false})
		w.edit(granting[i], map[string]bool{"Newsletter": true})
		w.actito.SettleWebhooks()
	}
	for _, d := range w.actito.WebhookDeliveries() {
		if !d.Taken && !d.Dropped {
			t.Errorf("answered %d: %s", d.Status, d.Body)
		}
	}
	for i, shape := range shapes {
		for email, want := range map[string]string{refusing[i]: "-newsletter", granting[i]: "newsletter"} {
			w.eventually(fmt.Sprintf("Didomi is told %s, told as %+v", want, shape), func() bool {
				got := w.told(email)
				return len(got) == 1 && got[0] == want
			})
		}
	}
}

// Whatever else a webhook holds has an outcome that is recorded, changes
// nothing, and is not tried for ever.
func TestWhatCannotBeMeantChangesNothing(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.actito.DeliverWebhooks(simulator.WebhookOptions{Drop: 1})
	// A profile that somebody made without the key.
	nameless, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, object{"firstName": "Nobody"}, map[string]bool{"Newsletter": true})
	if err != nil {
		t.Fatal(err)
	}
	w.send(event("e1", anna, time.Now().Add(-time.Minute), simulator.Choices{"newsletter": yes()}))
	w.eventually("Anna is subscribed", func() bool { return w.on(anna, "Newsletter") && w.synced(anna) })
	p, _ := w.profile(anna)
	for _, x := range []struct{ name, body, hearing string }{
		{"an unknown profile", `{"id":"n-1","data":{"profileId":424242,"Newsletter":false}}`, "gone"},
		{"an id that is none", `{"id":"n-2","data":{"profileId":"../7","Newsletter":false}}`, "unreadable"},
		{"nobody at all", `{"id":"n-3","data":{"Newsletter":false}}`, "nobody"},
		{"an id with a NUL", `{"id":"n-4","data":{"profileId":"1\u00002","emailAddress":"a\u0000b","Newsletter":false}}`, "nobody"},
		{"a profile without the unique key", fmt.Sprintf(`{"id":"n-5","data":{"profileId":%d,"Newsletter":false}}`, nameless), "nobody"},
	} {
		before := w.metric("consentsync_news_total", `hearing="`+x.hearing+`"`)
		if status, answer := w.ask(http.MethodPost, "/webhooks/actito/"+w.id, x.body, "X-Consentsync-Secret", w.secret, "Authorization", ""); status != http.StatusOK {
			t.Errorf("%s: answered %d: %s", x.name, status, answer)
		}
		w.eventually(x.name+" is recorded as "+x.hearing, func() bool { return w.metric("consentsync_news_total", `hearing="`+x.hearing+`"`) == before+1 })
	}
	// A subscription that the table, or the mapping, does not have.
	for id, field := range map[string]string{"n-6": `"Whatever":false`, "n-7": `"PartnerOffers":true`} {
		body := fmt.Sprintf(`{"id":%q,"data":{"profileId":%d,%s}}`, id, p.ID, field)
		if status, answer := w.ask(http.MethodPost, "/webhooks/actito/"+w.id, body, "X-Consentsync-Secret", w.secret, "Authorization", ""); status != http.StatusOK {
			t.Errorf("%s: answered %d: %s", body, status, answer)
		}
	}
	w.quiet(3 * time.Second)
	if n := len(w.didomi.Events()); n != 0 {
		t.Errorf("Didomi was told of %d things", n)
	}
	if !w.on(anna, "Newsletter") || w.traced(anna, "actito.subscription_changed") != 0 {
		t.Error("something was changed")
	}
	if p, _ := w.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "profileId", fmt.Sprint(nameless)); !p.Subscriptions["Newsletter"] {
		t.Error("the profile without the key was changed")
	}
}

// The secret of one integration opens no other, and an integration that does not
// listen says so.
func TestTheSecretIsOfOneIntegration(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	first, secret := w.id, w.secret
	w.integrateBothWays(func(in object) {
		in["mappings"] = []object{{"id": "PartnerOffers", "value": "consents_purposes_partners_enabled"}}
	})
	post := func(id, secret string) int {
		status, _ := w.ask(http.MethodPost, "/webhooks/actito/"+id, `{"id":"x-1","data":{"profileId":424242}}`, "X-Consentsync-Secret", secret, "Authorization", "")
		return status
	}
	w.change(first, `{"enable_webhooks":false}`)
	for what, x := range map[string]struct{ got, want int }{
		"its own":               {post(w.id, w.secret), http.StatusOK},
		"the other's":           {post(w.id, secret), http.StatusUnauthorized},
		"an id and no secret":   {post(w.id, ""), http.StatusUnauthorized},
		"one that is not there": {post("none", w.secret), http.StatusUnauthorized},
		"one that is off":       {post(first, secret), http.StatusForbidden},
		"one off, wrong secret": {post(first, w.secret), http.StatusUnauthorized},
	} {
		if x.got != x.want {
			t.Errorf("%s: answered %d, want %d", what, x.got, x.want)
		}
	}
}

// What Didomi refuses of somebody stands among the failures, towards Didomi, and
// is told again when somebody asks for it: of all, or of one.
func TestWhatDidomiRefusesIsToldAgain(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	people := crowd("refused", 2)
	putAll(t, w.bundle, people, map[string]bool{"Newsletter": true})
	heal := w.didomi.Inject(simulator.Fault{Kind: simulator.KindEvents, Effect: simulator.EffectStatus, Status: 400})
	for _, email := range people {
		w.edit(email, map[string]bool{"Newsletter": false})
	}
	of := "/v1/marketplace/integrations/" + w.id
	var groups struct {
		Data []struct{ Target, Status, Reason string }
	}
	var refused struct {
		Data []struct {
			ID string `json:"organization_user_id"`
		}
	}
	w.eventually("both are among the failures", func() bool {
		w.must(http.MethodGet, of+"/troubled?status=failed&target=didomi", "", http.StatusOK, &refused)
		return len(refused.Data) == 2
	})
	w.must(http.MethodGet, of+"/troubles", "", http.StatusOK, &groups)
	if len(groups.Data) != 1 || groups.Data[0].Target != "didomi" || groups.Data[0].Status != "failed" {
		t.Errorf("the groups are %+v", groups)
	}
	w.must(http.MethodGet, of+"/troubled?status=failed", "", http.StatusOK, &refused)
	if len(refused.Data) > 0 {
		t.Errorf("towards Actito %+v failed", refused)
	}
	w.must(http.MethodPost, of+"/retry", `{"target": "didomi", "status": "unmatched"}`, http.StatusBadRequest, nil)
	w.must(http.MethodPost, of+"/replay", `{"target": "nobody", "organization_user_id": "x"}`, http.StatusBadRequest, nil)
	heal()
	w.must(http.MethodPost, of+"/replay", fmt.Sprintf(`{"target": "didomi", "organization_user_id": %q}`, people[0]), http.StatusAccepted, nil)
	w.eventually("Didomi is told of one", func() bool { return len(w.told(people[0])) == 1 })
	if told := w.told(people[1]); len(told) > 0 {
		t.Errorf("of the other it is told %v", told)
	}
	w.must(http.MethodPost, of+"/retry", fmt.Sprintf(`{"target": "didomi", "status": "failed", "reason": %q}`, groups.Data[0].Reason), http.StatusAccepted, nil)
	w.eventually("Didomi is told of the other", func() bool { return len(w.told(people[1])) == 1 })
	w.eventually("nobody failed", func() bool {
		w.must(http.MethodGet, of+"/troubles", "", http.StatusOK, &groups)
		return len(groups.Data) == 0
	})
}
