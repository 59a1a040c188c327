package lanes

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// A withdrawal in Actito is taken at once, however long the reads take for which
// other news wait.
func TestSlowReadsHoldUpNoWithdrawal(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 6, false, func(w *world, people []string) {
		w.deliver(func() {
			w.accept(w.choice(people[5], true))
			w.idle()
			time.Sleep(5 * time.Second)
			w.actito.Inject(simulator.Fault{Kind: simulator.KindRead, Latency: 50 * time.Second})
			for _, p := range people[:5] {
				w.edit(p, true) // a grant costs a read
			}
			w.within(5*time.Second, "a profile is being read", func() bool { return w.actito.CallCount(simulator.KindRead) == 1 })
			w.edit(people[5], false)
			w.within(3*time.Second, "Didomi is told of the withdrawal", func() bool { return len(w.told(people[5])) == 1 })
			if n := w.actito.CallCount(simulator.KindRead); n != 1 {
				w.Errorf("%d reads were begun, want the first still under way", n)
			}
			w.within(10*time.Minute, "the grants follow", func() bool { return len(w.didomi.Events()) == 6 })
			for _, p := range people[:5] {
				w.toldOnly(p, "on")
			}
		})
	})
}

// panicking panics the first time a profile is read.
type panicking struct {
	deliver.Targets
	reads *int
}

type panickingTarget struct {
	deliver.Target
	reads *int
}

func (p panicking) Target(i *store.Integration) (deliver.Target, error) {
	t, err := p.Targets.Target(i)
	return panickingTarget{t, p.reads}, err
}

func (p panickingTarget) ReadID(ctx context.Context, profileID string) (deliver.Held, error) {
	if *p.reads++; *p.reads == 1 {
		panic("an answer that nobody thought of")
	}
	return p.Target.ReadID(ctx, profileID)
}

// A fault of ours in some news concerns them alone, and they are tried again.
func TestAPanicOverNewsConcernsThemAlone(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 3, false, func(w *world, people []string) {
		reads := 0
		w.wrap = func(t deliver.Targets) deliver.Targets { return panicking{t, &reads} }
		w.deliver(func() {
			for _, p := range people {
				w.edit(p, true)
			}
			w.within(time.Minute, "all are looked into", func() bool { return w.heard(consent.HearGrant) == 3 })
			w.within(time.Second, "Didomi is told", func() bool { return len(w.didomi.Events()) == 3 })
			if reads != 4 {
				w.Errorf("profiles were read %d times, want 3 and the one that was tried again", reads)
			}
		})
	})
}

// News that cannot be looked into are tried for a week, and hold up nothing
// meanwhile.
func TestNewsAreGivenUpAfterAWeek(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 2, false, func(w *world, people []string) {
		w.deliver(func() {
			w.actito.Inject(simulator.Fault{Kind: simulator.KindRead, Key: fmt.Sprint(w.profile(people[0]).ID), Effect: simulator.EffectStatus, Status: http.StatusServiceUnavailable})
			pass := func(d time.Duration) {
				w.ahead.Add(int64(d))
				time.Sleep(time.Minute) // the lease is taken anew, and all that waited is tried
			}
			w.edit(people[0], true)
			pass(0)
			pass(6 * 24 * time.Hour)
			if n := w.heard("given_up"); n > 0 {
				w.Error("they were given up within six days")
			}
			w.edit(people[1], true)
			w.within(time.Minute, "others are looked into", func() bool { return w.heard(consent.HearGrant) == 1 })
			reads := w.actito.CallCount(simulator.KindRead)
			pass(23 * time.Hour)
			if n := w.actito.CallCount(simulator.KindRead); n == reads {
				w.Error("they are not tried any more within the seventh day")
			}
			pass(2 * time.Hour)
			if n := w.heard("given_up"); n != 1 {
				w.Errorf("%v were given up after a week, want 1", n)
			}
			reads = w.actito.CallCount(simulator.KindRead)
			pass(time.Hour)
			if n := w.actito.CallCount(simulator.KindRead) - reads; n > 0 {
				w.Errorf("%d reads were made for what was given up", n)
			}
			w.toldOnly(people[0])
			w.actito.ClearFaults()
			w.edit(people[0], false)
			w.within(time.Minute, "what comes after it counts", func() bool { return len(w.told(people[0])) == 1 })
		})
	})
}

// Where the API key may not read profiles a refusal counts and a grant does not;
// what says nothing without a read waits until it may, and is not asked for
// again and again.
func TestWithoutTheRightToReadProfiles(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 4, false, func(w *world, people []string) {
		toggled, granting, stranger := people[0], people[1], people[2]
		w.deliver(func() {
			for _, on := range []bool{false, true} {
				w.accept(w.choice(toggled, on))
				w.idle()
				time.Sleep(5 * time.Second)
			}
			granted := w.actito.Inject(simulator.Fault{Kind: simulator.KindRead, Effect: simulator.EffectStatus, Status: http.StatusForbidden})
			w.actito.ResetCounters()
			w.actito.DeliverWebhooks(simulator.WebhookOptions{UniqueKeys: true})
			w.edit(toggled, false) // an older write of ours is off: it could be its echo
			w.within(5*time.Second, "the refusal counts", func() bool { return len(w.told(toggled)) == 1 })
			w.edit(granting, true)
			time.Sleep(5 * time.Second)
			if w.heard(consent.HearGrant) > 0 {
				w.Error("a grant counts that was not looked at")
			}
			// Whose it is, or what it says, only the profile tells.
			w.hears(fmt.Sprintf(`[{"id":"a-1","data":{"profileId":%d,"Newsletter":false}},{"id":"a-2","data":{"profileId":%d}}]`,
				w.profile(stranger).ID, w.profile(toggled).ID))
			time.Sleep(3 * time.Minute)
			w.toldOnly(toggled, "off")
			w.toldOnly(granting)
			w.toldOnly(stranger)
			if n := w.actito.CallCount(simulator.KindRead); n == 0 || n > 4 {
				w.Errorf("%d reads were tried in three minutes, want one a minute at most", n)
			}
			granted()
			w.within(15*time.Minute, "the rest is looked into", func() bool { return len(w.told(stranger)) == 1 && w.actito.CallCount(simulator.KindRead) > 2 })
			time.Sleep(30 * time.Second)
			w.toldOnly(stranger, "off")
			w.toldOnly(toggled, "off")
		})
	})
}

// A refusal that was accepted and is not merged yet counts against a grant in
// Actito, which is looked into only after it.
func TestAGrantWaitsForAcceptedWebhooks(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 2, true, func(w *world, people []string) {
		w.deliver(func() {
			for _, p := range people {
				w.accept(w.choice(p, false))
			}
			w.idle()
			w.actito.SettleWebhooks()
			time.Sleep(11 * time.Minute) // no write of ours explains anything any more
			again := w.choice(people[0], false)
			w.must(w.engine.Enqueue(w.Context(), []store.Inbound{again}))
			w.edit(people[0], true)
			w.edit(people[1], true)
			time.Sleep(10 * time.Second)
			if n := len(w.didomi.Events()); n > 0 {
				w.Errorf("%d grants count although a refusal may be in the inbox", n)
			}
			k := store.InboxKey{Organization: organization, Lane: store.LaneOf(&again)}
			_, err := w.engine.Merge(w.Context(), k, 10, func(store.Queued) (store.Inbound, error) { return again, nil })
			w.must(err)
			w.due()
			w.within(5*time.Minute, "both are looked into", func() bool { return !w.on(people[0]) && len(w.told(people[1])) == 1 })
			time.Sleep(time.Minute)
			w.toldOnly(people[0])
			w.toldOnly(people[1], "on")
		})
	})
}

// A refusal made in Actito between our write and its delayed read-back is not
// written over, though Actito tells of it later, or never (R25).
func TestR25ARefusalThatAReadBackFinds(t *testing.T) {
	t.Parallel()
	for name, webhooks := range map[string]simulator.WebhookOptions{
		"told later": {Delay: 3 * time.Minute}, "told never": {Drop: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			betweenEnds(t, simulator.ActitoOptions{Latency: latency, Webhooks: webhooks}, 1, false, func(w *world, people []string) {
				anna := people[0]
				w.deliver(func() {
					w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectStatusAfter, Status: http.StatusInternalServerError, Times: 1})
					w.accept(w.choice(anna, true))
					w.within(time.Minute, "written again, and read", func() bool { return w.actito.CallCount(simulator.KindRead) == 1 })
					time.Sleep(5 * time.Second)
					refused := time.Now()
					w.edit(anna, false)
					w.within(time.Minute, "Didomi is told", func() bool { return len(w.told(anna)) == 1 })
					time.Sleep(10 * time.Minute)
					w.toldOnly(anna, "off")
					if w.on(anna) || len(w.changed(refused, true)) > 0 {
						w.Error("the refusal was written over")
					}
				})
			})
		})
	}
}

// What a read-back finds is written over where a write of ours may explain it: a
// call that was given up and took effect late (R16).
func TestR16ALateWriteOfOursIsNoRefusal(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency, Webhooks: simulator.WebhookOptions{Drop: 1}}, 1, true, func(w *world, people []string) {
		anna := people[0]
		w.deliver(func() {
			w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectStatus, Status: http.StatusBadGateway, ApplyLate: 20 * time.Second, Times: 1})
			w.accept(w.choice(anna, false))
			w.within(time.Minute, "it is given up", func() bool { return w.delivery(anna, store.TargetActito).State == store.Waiting })
			w.accept(w.choice(anna, true))
			w.within(30*time.Second, "it lands late", func() bool { return len(w.changed(time.Time{}, false)) == 1 })
			w.within(2*time.Minute, "it is corrected", func() bool { return w.on(anna) })
			time.Sleep(time.Minute)
			w.toldOnly(anna)
		})
	})
}

// shaky fails as its functions say; nil is never.
type shaky struct {
	deliver.Store
	begin  func(store.Start) error
	finish func(store.Finish) error
}

func (s shaky) Begin(ctx context.Context, l store.Lease, start store.Start) (bool, error) {
	if err := s.begin(start); err != nil {
		return false, err
	}
	return s.Store.Begin(ctx, l, start)
}

func (s shaky) Finish(ctx context.Context, l store.Lease, f store.Finish) error {
	if err := s.finish(f); err != nil {
		return err
	}
	return s.Store.Finish(ctx, l, f)
}

// What Didomi was told is recorded, though the database cannot be written when
// it answers; and what was begun is told, though the next could not be begun.
func TestTellingsAreEnded(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 3, true, func(w *world, people []string) {
		begun, finished := 0, 0
		w.through = func(s deliver.Store) deliver.Store {
			away := func(target store.Target, n *int, when int) error {
				if target != store.TargetDidomi {
					return nil
				}
				if *n++; *n == when {
					return consent.Errorf(consent.Transient, "test", "the database is away")
				}
				return nil
			}
			return shaky{
				s,
				func(start store.Start) error { return away(start.Target, &begun, 2) },
				func(f store.Finish) error { return away(f.Target, &finished, 1) },
			}
		}
		release := w.actito.HoldWebhooks()
		for _, p := range people {
			w.edit(p, false)
		}
		release()
		w.actito.SettleWebhooks() // all are heard before anybody is told
		w.deliver(func() {
			w.within(20*time.Second, "all are told and recorded", func() bool {
				for _, p := range people {
					if d := w.delivery(p, store.TargetDidomi); d.State != store.Synced || d.LastError != "" {
						return false
					}
				}
				return true
			})
		})
		if begun < 4 || finished != 4 {
			w.Errorf("%d begun and %d finished, so this tests nothing", begun, finished)
		}
		for _, p := range people {
			w.toldOnly(p, "off")
		}
	})
}

// An answer that is lost, a refusal and a refused key end a telling each in its
// way; the same event is never there twice.
func TestTellingsThatFail(t *testing.T) {
	t.Parallel()
	betweenEnds(t, simulator.ActitoOptions{Latency: latency}, 3, true, func(w *world, people []string) {
		lost, refused, barred := people[0], people[1], people[2]
		w.didomi.Inject(simulator.Fault{Key: lost, Effect: simulator.EffectStatusAfter, Status: http.StatusInternalServerError, Times: 1})
		w.didomi.Inject(simulator.Fault{Key: refused, Effect: simulator.EffectStatus, Status: http.StatusBadRequest})
		w.deliver(func() {
			w.edit(lost, false)
			w.within(time.Minute, "it is told again", func() bool { return w.delivery(lost, store.TargetDidomi).State == store.Synced })
			w.toldOnly(lost, "off")
			if d := w.delivery(lost, store.TargetDidomi); d.Calls != 2 || d.LastError != "" {
				w.Errorf("after a lost answer: %d calls, %q", d.Calls, d.LastError)
			}
			w.edit(refused, false)
			w.within(time.Minute, "it fails", func() bool { return w.delivery(refused, store.TargetDidomi).State == store.Failed })
			if d := w.delivery(refused, store.TargetDidomi); d.LastError == "" || d.Calls != 1 {
				w.Errorf("refused: %d calls, %q", d.Calls, d.LastError)
			}
			allowed := w.didomi.Inject(simulator.Fault{Kind: simulator.KindEvents, Effect: simulator.EffectStatus, Status: http.StatusForbidden})
			w.edit(barred, false)
			w.within(time.Minute, "it waits", func() bool { return w.delivery(barred, store.TargetDidomi).State == store.Waiting })
			i, err := w.engine.Integration(w.Context(), w.key)
			if w.must(err); i.StatusReason == "" || i.Status != store.Active {
				w.Errorf("the status is %s: %q", i.Status, i.StatusReason)
			}
			calls := w.didomi.CallCount(simulator.KindEvents)
			time.Sleep(5 * time.Minute)
			if n := w.didomi.CallCount(simulator.KindEvents) - calls; n < 4 || n > 6 {
				w.Errorf("%d calls in five minutes, want one a minute", n)
			}
			allowed()
			w.within(2*time.Minute, "it is told", func() bool { return len(w.told(barred)) == 1 })
		})
	})
}
