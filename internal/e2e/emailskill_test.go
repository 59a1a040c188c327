package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// The program is killed again and again while it sends messages, before Actito
// has sent them and after. Nobody gets one twice, and each is sent, or shown as
// unclear: none is lost.
func TestKillMinus9WhileMessagesAreSent(t *testing.T) {
	for name, x := range map[string]struct {
		database func(t *testing.T) string
		kills    int
	}{
		"sqlite": {func(*testing.T) string { return "" }, 3},
		// The lease of the dead lasts 10 s there.
		"postgres": {func(t *testing.T) string { t.Helper(); return pgtest.Database(t) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			parallelUnlessShort(t, crashes)
			b := newBundle(t, simulator.ActitoOptions{CallsPerMinute: -1})
			b.cfg.Database = x.database(t)
			killWhileMessagesAreSent(b, x.kills)
		})
	}
}

func killWhileMessagesAreSent(b *bundle, kills int) {
	const people = 24
	seed := uint64(time.Now().UnixNano())
	b.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := b.spawn()
	b.url = p.ready()
	b.enrol()
	b.integrate(mails)
	b.email("confirm-consent-changed", simulator.SampleConfirmation, nil)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindMail, Latency: 100 * time.Millisecond, Probability: 0.5})
	who := crowd("m", people)
	b.sendAll(events(who, time.Now(), simulator.Choices{"newsletter": yes()}))
	for range kills {
		// Two are sent, and their answers never come; others are still to be sent.
		before := len(b.actito.Outbox())
		b.actito.Inject(simulator.Fault{Kind: simulator.KindMail, Effect: simulator.EffectWithholdAfter, Times: 2})
		b.eventually("two are sent", func() bool { return len(b.actito.Outbox()) >= before+2 })
		pause(time.Duration(random.IntN(120)) * time.Millisecond)
		p.kill()
		p = b.spawn()
		b.url = p.ready()
	}
	b.actito.ClearFaults()
	b.looks("each message is settled", func() bool { return len(b.messages("pending"))+len(b.messages("in_flight")) == 0 })
	states := map[string]int{}
	for _, m := range b.messages("") {
		states[m.State]++
		sent := len(b.outbox(m.OrganizationUserID))
		switch {
		case sent > 1, m.State == "sent" && sent != 1, m.State != "sent" && m.State != "unclear":
			b.t.Errorf("%s is %s and was sent %d times", m.OrganizationUserID, m.State, sent)
		case m.State == "unclear" && (m.Reason == "" || m.Attempts != 1):
			b.t.Errorf("an unclear one is shown as %+v", m)
		}
	}
	b.t.Logf("%v, of which Actito has sent %d", states, len(b.actito.Outbox()))
	if states["sent"]+states["unclear"] != people || states["unclear"] == 0 || states["sent"] == 0 {
		b.t.Errorf("of %d messages: %v", people, states)
	}
}

// A message writes the profile, or makes it, with subscriptions that nobody
// chose. What Actito tells of that is no choice of the person's (R25).
func TestR25AMessageIsNoChoice(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1, BornWith: []string{"Newsletter", "Promotions"}}, func(in object) {
		mails(in)
		in["upsert_mode"] = false
	})
	w.email("validation-double-optin", simulator.SampleDoubleOptIn, object{"links": object{"confirm_url": "https://privacy.example.com/{event_id}"}})
	w.send(event("e1", anna, time.Now(), simulator.Choices{"promotions": no()}))
	w.eventually("anna is unmatched", func() bool { return w.person(anna).status() == "unmatched" })
	w.send(simulator.EventCreated(organization, simulator.Event{
		ID: "e2", OrganizationUserID: anna, CreatedAt: time.Now(), Status: "pending_approval", Purposes: simulator.Choices{"newsletter": yes()},
	}))
	w.eventually("anna is asked", func() bool { return slices.Equal(w.outbox(anna), []string{simulator.SampleDoubleOptIn}) })
	w.actito.SettleWebhooks()
	w.eventually("her refusal reaches the profile that Actito has made", func() bool { return w.synced(anna) && !w.on(anna, "Promotions") })
	w.eventually("what Actito told is looked into", func() bool { return w.metric("consentsync_news_total") >= 2 })
	w.quiet(time.Second)
	if told := w.told(anna); len(told) > 0 {
		t.Errorf("Didomi was told %q", told)
	}
	if p := w.person(anna); len(p.Choices) != 1 || p.Choices[0].Enabled {
		t.Errorf("her choices are %+v", p.Choices)
	}
	var counts map[string]int
	w.must(http.MethodGet, "/v1/emails/messages/counts?organization_id="+organization, "", http.StatusOK, &counts)
	if counts["sent"] != 1 {
		t.Errorf("counted are %v", counts)
	}
}
