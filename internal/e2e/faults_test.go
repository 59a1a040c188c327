package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Whatever Actito answers once or a few times, the profile ends right, and no
// two calls for it are ever under way together.
func TestScriptedAnswers(t *testing.T) {
	t.Parallel()
	const anna = "anna@example.com"
	key := "emailAddress=" + anna
	for name, fault := range map[string]simulator.Fault{
		"500":                       {Effect: simulator.EffectStatus, Status: 500, Times: 2},
		"500 after applying":        {Effect: simulator.EffectStatusAfter, Status: 500, Times: 1},
		"503 with Retry-After":      {Effect: simulator.EffectStatus, Status: 503, RetryAfter: time.Second, Times: 1},
		"429":                       {Effect: simulator.EffectStatus, Status: 429, Times: 2},
		"429 with Retry-After":      {Effect: simulator.EffectStatus, Status: 429, RetryAfter: time.Second, Times: 1},
		"reset before applying":     {Effect: simulator.EffectResetBefore, Times: 2},
		"reset after applying":      {Effect: simulator.EffectResetAfter, Times: 1},
		"truncated answer":          {Effect: simulator.EffectTruncate, Times: 1},
		"token refused":             {Effect: simulator.EffectStatus, Status: 401, Times: 1},
		"late application of a 500": {Effect: simulator.EffectStatus, Status: 500, ApplyLate: 50 * time.Millisecond, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
			mustPut(t, b, anna)
			b.integrate(nil)
			fault.Kind, fault.Key = simulator.KindUpdate, key
			b.actito.Inject(fault)
			now := time.Now()
			b.send(event("e1", anna, now, simulator.Choices{"newsletter": yes(), "promotions": yes()}))
			b.send(event("e2", anna, now.Add(time.Second), simulator.Choices{"newsletter": no()}))
			right := func() bool {
				p, _ := b.profile(anna)
				return b.person(anna).status() == "synced" && !p.Subscriptions["Newsletter"] && p.Subscriptions["Promotions"]
			}
			b.eventually("the profile is right and known to be", right)
			b.actito.Settle()
			b.eventually("it is still right when late calls have landed", right)
			if n := b.actito.MaxOverlap(); n > 1 && fault.ApplyLate == 0 {
				t.Errorf("%d calls were under way for one profile at once", n)
			}
		})
	}
}

// One bad attribute holds up neither the subscriptions nor the other
// attributes (R17).
func TestR17OneBadAttribute(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	const anna = "anna@example.com"
	mustPut(t, b, anna)
	b.integrate(nil)
	// Actito takes only M or F for sex, which its structure does not tell.
	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()},
		Metadata: map[string]any{"sex": "unsaid", "firstName": "Anna", "shop": "Ghent"},
	}))
	b.eventually("all but the bad attribute is there", func() bool {
		p, _ := b.profile(anna)
		return p.Subscriptions["Newsletter"] && p.Attributes["firstName"] == "Anna" && p.Attributes["shop"] == "Ghent"
	})
	b.eventually("the bad one is reported", func() bool {
		p := b.person(anna)
		for _, l := range p.Integrations[0].LeftOut {
			if l.Name == "sex" {
				return p.status() == "synced"
			}
		}
		return false
	})
}

// A table that is gone suspends the integration; nobody becomes unmatched for
// it, and deliveries go on when it is back (R18).
func TestR18TableGone(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	const anna = "anna@example.com"
	mustPut(t, b, anna)
	id := b.integrate(func(in object) { in["upsert_mode"] = false })
	b.actito.RemoveTable(simulator.SampleEntity, simulator.SampleTableID)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": no()}))
	var view struct {
		Status string
		Reason string `json:"status_reason"`
	}
	b.eventually("the integration is suspended", func() bool {
		b.must(http.MethodGet, "/v1/marketplace/integrations/"+id, "", http.StatusOK, &view)
		return view.Status == "suspended"
	})
	if view.Reason == "" {
		t.Error("no reason is given")
	}
	b.eventually("the person stays due", func() bool { return b.person(anna).status() == "pending" })
	b.actito.RestoreTable(simulator.SampleEntity, simulator.SampleTableID)
	b.eventually("deliveries go on by themselves", func() bool { return b.person(anna).status() == "synced" })
}

// A revoked key suspends the integration; a new one by PATCH brings it back.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	const anna = "anna@example.com"
	mustPut(t, b, anna)
	id := b.integrate(nil)
	b.actito.RevokeKey(simulator.SampleKey)
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	var view struct{ Status string }
	b.eventually("the integration is suspended", func() bool {
		b.must(http.MethodGet, "/v1/marketplace/integrations/"+id, "", http.StatusOK, &view)
		return view.Status == "suspended"
	})
	b.actito.AddKey("another-key")
	b.must(http.MethodPatch, "/v1/marketplace/integrations/"+id, `{"authentication":{"private_api_key":"another-key"}}`, http.StatusOK, &view)
	b.eventually("the consent arrived with the new key", func() bool {
		p, _ := b.profile(anna)
		return p.Subscriptions["Newsletter"]
	})
}
