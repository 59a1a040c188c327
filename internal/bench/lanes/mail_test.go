package lanes

import (
	"slices"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/deliver"
	"consentsync/internal/mail"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// Messages share the licence's calls (R21): what asks for a confirmation goes
// before grants, what only tells gets one call in twenty meanwhile, and a minute
// has no more calls than are allowed.
func TestMessagesShareTheBudget(t *testing.T) {
	t.Parallel()
	inWorld(t, simulator.ActitoOptions{Latency: 100 * time.Millisecond}, nil, func(w *world) {
		w.wrap = func(targets deliver.Targets) deliver.Targets {
			x, _ := targets.(*app.Targets)
			x.OpenOrder = func(m *store.Message) (mail.Order, error) { return mail.DecodeOrder(m.Body) }
			return x
		}
		i, err := w.engine.Integration(w.Context(), w.key)
		w.must(err)
		i.Settings.EnableEmailing, i.Revision = true, 2
		w.must(w.engine.UpdateIntegration(w.Context(), i))
		for typ, campaign := range map[mail.Type]string{mail.ValidationDoubleOptIn: simulator.SampleDoubleOptIn, mail.ConfirmConsentChanged: simulator.SampleConfirmation} {
			s := mail.Settings{TypeID: "actito", EmailType: typ, Enabled: true, Properties: mail.Properties{EmailCampaignName: campaign}}
			s.Complete()
			w.must(w.engine.CreateEmail(w.Context(), &store.Email{Organization: organization, ID: campaign, Integration: w.key.ID, Settings: s, Revision: 1}))
		}
		people := w.profiles(150, false)
		w.deliver(func() {
			w.accept(w.all(people, true)...)
			asks, tells := w.choice("asked@example.com", true), w.choice(people[0], false)
			asks.Live, asks.Message.Pending = true, true
			tells.Live = true
			w.accept(asks, tells)
			start := time.Now()
			w.idle()
			for len(w.actito.Outbox()) < 2 {
				time.Sleep(time.Second)
			}
			sent := map[string]time.Duration{}
			for _, m := range w.actito.Outbox() {
				sent[m.Campaign] = m.At.Sub(start)
			}
			if d := sent[simulator.SampleDoubleOptIn]; d > 5*time.Second {
				t.Errorf("somebody was asked after %v", d)
			}
			if d := sent[simulator.SampleConfirmation]; d < 5*time.Second || d > 40*time.Second {
				t.Errorf("somebody was told after %v, want about twenty calls later", d)
			}
			var calls []time.Time
			for _, c := range w.actito.Calls() {
				if c.Kind == simulator.KindUpdate || c.Kind == simulator.KindMail {
					calls = append(calls, c.Started)
				}
			}
			slices.SortFunc(calls, time.Time.Compare)
			for n := perMinute; n < len(calls); n++ {
				if calls[n].Sub(calls[n-perMinute]) < time.Minute {
					t.Fatalf("%d calls within %v", perMinute+1, calls[n].Sub(calls[n-perMinute]))
				}
			}
			counts, err := w.engine.MessageCounts(w.Context(), organization)
			w.must(err)
			if counts[store.MessageSent] != 2 {
				t.Errorf("counted are %v", counts)
			}
		})
	})
}
