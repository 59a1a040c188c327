package lanes

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/simulator"
)

// aged makes the snapshot of the world's integration, of the table as it is, so
// old.
func (w *world) aged(d time.Duration) {
	w.Helper()
	i, err := w.engine.Integration(w.Context(), w.key)
	w.must(err)
	i.Snapshot.TakenAt = consent.TimeOf(time.Now().Add(-d))
	i.Snapshot.Subscriptions = nil
	for _, name := range simulator.SampleTable().Subscriptions {
		i.Snapshot.Subscriptions = append(i.Snapshot.Subscriptions, consent.Subscription{Name: name})
	}
	i.Revision++
	w.must(w.engine.UpdateIntegration(w.Context(), i))
}

// differs is what the last look at the table saw otherwise.
func (w *world) differs() (consent.SchemaDifference, consent.Time) {
	w.Helper()
	i, err := w.engine.Integration(w.Context(), w.key)
	w.must(err)
	return i.Snapshot.Differs(&i.Seen), i.Seen.LookedAt
}

// The table is looked at once a day, with one call and no sooner, and what is
// otherwise is kept; nothing is taken over.
func TestTheTableIsWatched(t *testing.T) {
	t.Parallel()
	inWorld(t, simulator.ActitoOptions{}, nil, func(w *world) {
		w.aged(24*time.Hour - time.Minute)
		w.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Gazette")
		w.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "SmsAlerts")
		w.deliver(func() {
			time.Sleep(50 * time.Second)
			if n := w.actito.CallCount(simulator.KindStructure); n != 0 {
				t.Errorf("it was looked at %d times too early", n)
			}
			time.Sleep(3 * time.Minute)
			if n := w.actito.CallCount(simulator.KindStructure); n != 1 {
				t.Errorf("it was looked at %d times", n)
			}
		})
		d, at := w.differs()
		if !slices.Equal(d.SubscriptionsAdded, []string{"Gazette"}) || !slices.Equal(d.SubscriptionsRemoved, []string{"SmsAlerts"}) || at == 0 {
			t.Errorf("at %v it differs by %+v", at, d)
		}
		i, err := w.engine.Integration(w.Context(), w.key)
		w.must(err)
		if _, taken := i.Snapshot.Subscription("Gazette"); taken || i.Revision != 2 {
			t.Errorf("it was taken over: %+v", i.Snapshot)
		}
	})
}

// A look that fails is not made again at once, and not forgotten.
func TestTheTableIsWatchedAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, simulator.ActitoOptions{}, nil, func(w *world) {
		w.aged(25 * time.Hour)
		w.actito.Inject(simulator.Fault{Kind: simulator.KindStructure, Effect: simulator.EffectStatus, Status: http.StatusInternalServerError, Times: 1})
		w.deliver(func() { time.Sleep(2 * time.Minute) })
		if _, at := w.differs(); at != 0 || w.actito.CallCount(simulator.KindStructure) != 1 {
			t.Errorf("after a failure it was looked at at %v, in %d calls", at, w.actito.CallCount(simulator.KindStructure))
		}
		w.metrics = prometheus.NewRegistry() // of whoever takes the licence next
		w.deliver(func() { time.Sleep(time.Minute) })
		if _, at := w.differs(); at == 0 {
			t.Error("it was never looked at again")
		}
	})
}
