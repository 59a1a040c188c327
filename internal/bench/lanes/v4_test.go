package lanes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// inV4 runs f in a world that speaks V4 of profiles, with three subscriptions
// and two attributes.
func inV4(t *testing.T, upsert bool, f func(w *world)) {
	t.Helper()
	inWorld(t, simulator.ActitoOptions{Latency: latency}, func(p *store.Properties) { p.Dialect = store.DialectV4 }, func(w *world) {
		i, err := w.engine.Integration(w.Context(), w.key)
		w.must(err)
		i.Settings.UpsertMode, i.Settings.Mappings, i.Snapshot.Subscriptions = upsert, nil, nil
		for _, name := range []string{"Newsletter", "Promotions", "SmsAlerts"} {
			i.Settings.Mappings = append(i.Settings.Mappings, consent.Mapping{ID: name, Value: "consents_purposes_" + strings.ToLower(name) + "_enabled"})
			i.Snapshot.Subscriptions = append(i.Snapshot.Subscriptions, consent.Subscription{Name: name, Since: i.CreatedAt})
		}
		i.Snapshot.Attributes = []consent.Attribute{{Name: "firstName", Kind: consent.String}, {Name: "shop", Kind: consent.String}}
		w.change(i)
		f(w)
	})
}

// said is one webhook by which a person chooses several things, written
// +newsletter or -newsletter, and gives metadata, written name=value.
func (w *world) said(person string, all ...string) store.Inbound {
	in := w.choice(person, false)
	in.Message.Choices, in.Message.Metadata = nil, map[string]json.RawMessage{}
	for _, x := range all {
		if name, value, is := strings.Cut(x, "="); is {
			in.Message.Metadata[name] = json.RawMessage(fmt.Sprintf("%q", value))
			continue
		}
		choice := consent.Choice{Kind: consent.OfPurpose, Purpose: x[1:]}
		in.Message.Choices = append(in.Message.Choices, consent.Said{Choice: choice, Enabled: x[0] == '+'})
	}
	return in
}

// calls gives the calls about a person's profile, such as DELETE Newsletter, GET
// or PUT, and GET s of the subscriptions.
func (w *world) calls(person string) (all []string) {
	for _, c := range w.actito.Calls() {
		switch _, name, _ := strings.Cut(c.Path, "/subscription/"); {
		case c.Key != "emailAddress="+person:
		case c.Kind == simulator.KindSubscriptions:
			all = append(all, "GET s")
		default:
			all = append(all, strings.TrimSpace(c.Method+" "+name))
		}
	}
	return all
}

func (w *world) called(person string, want ...string) {
	w.Helper()
	if got := w.calls(person); !slices.Equal(got, want) {
		w.Errorf("of %s the calls are %q, want %q", person, got, want)
	}
}

func (w *world) holds(person string, want ...string) {
	w.Helper()
	p := w.profile(person)
	var got []string
	for name, on := range p.Subscriptions {
		if on {
			got = append(got, name)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		w.Errorf("%s has %q, want %q", person, got, want)
	}
}

func (w *world) isIn(person string, state store.DeliveryState) {
	w.Helper()
	if d := w.delivery(person, store.TargetActito); d.State != state {
		w.Errorf("%s is %s (%s), want %s", person, d.State, d.LastError, state)
	}
}

// In V4 each subscription takes a call, and the attributes one: a person's
// withdrawals go first, and what one call made is certain before the next (R13,
// R17, R18).
func TestV4WritesOneThingAtATime(t *testing.T) {
	t.Parallel()
	inV4(t, false, func(w *world) {
		people := w.profiles(3, true)
		anna, bert, cleo, nobody, shy := people[0], people[1], people[2], "nobody@example.com", "shy@example.com"
		w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Key: bert, Skip: 1, Times: 2, Effect: simulator.EffectStatus, Status: http.StatusBadRequest})
		w.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "SmsAlerts")
		w.accept(w.said(cleo, "+smsalerts", "+promotions"))
		w.deliver(func() {
			w.idle()
			w.accept(w.said(anna, "+promotions", "-newsletter", "firstName=Anna"), w.said(bert, "-newsletter", "shop=Ghent", "firstName=Bert"),
				w.said(nobody, "-newsletter", "firstName=No"), w.said(shy, "firstName=Shy"))
			w.idle()
		})

		w.called(anna, "DELETE Newsletter", "POST Promotions", "GET", "PUT")
		w.holds(anna, "Promotions")
		w.isIn(anna, store.Synced)
		if p := w.profile(anna); p.Attributes["firstName"] != "Anna" {
			w.Errorf("Anna has %v", p.Attributes)
		}
		// Both attributes are refused together, then the first alone, for good.
		w.called(bert, "DELETE Newsletter", "GET", "PUT", "GET", "PUT", "GET", "PUT")
		w.holds(bert)
		w.isIn(bert, store.Synced)
		// A subscription that the table has no more is found out.
		w.called(cleo, "POST Promotions", "POST SmsAlerts", "GET s")
		w.holds(cleo, "Newsletter", "Promotions")
		w.isIn(cleo, store.Synced)
		w.called(nobody, "DELETE Newsletter", "GET s")
		w.isIn(nobody, store.Unmatched)
		w.called(shy, "GET") // a PUT might make a profile
		w.isIn(shy, store.Unmatched)
		if n := len(w.actito.Profiles(simulator.SampleEntity, simulator.SampleTableID)); n != 3 {
			w.Errorf("there are %d profiles, want the 3 of before", n)
		}
	})
}

// dying is a store that can record nothing any more once it is dead.
type dying struct {
	deliver.Store
	dead *atomic.Bool
}

func (s dying) Finish(ctx context.Context, l store.Lease, f store.Finish) error {
	if s.dead.Load() {
		return &consent.Error{Kind: consent.Transient, Message: "the store is gone"}
	}
	return s.Store.Finish(ctx, l, f)
}

// A crash between the calls of a person loses nothing and repeats nothing that
// had an answer; the call that was under way is in doubt, so that a withdrawal of
// what it granted is sent, though no grant was ever recorded (R13, R16).
func TestV4CrashBetweenTwoCalls(t *testing.T) {
	t.Parallel()
	inV4(t, false, func(w *world) {
		anna := w.profiles(1, true)[0]
		var dead atomic.Bool
		w.through = func(s deliver.Store) deliver.Store { return dying{s, &dead} }
		w.accept(w.said(anna, "-promotions"))
		w.deliver(func() {
			w.idle()
			w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Key: anna, Skip: 1, Times: 1, Effect: simulator.EffectWithholdAfter})
			w.accept(w.said(anna, "+promotions", "-newsletter", "firstName=Anna"))
			w.within(time.Minute, "the grant is under way", func() bool { return w.actito.CallCount(simulator.KindUpdate) == 3 })
			dead.Store(true)
		})
		w.isIn(anna, store.InFlight)
		w.holds(anna, "Promotions")
		w.accept(w.said(anna, "-promotions"))
		dead.Store(false)
		w.metrics = prometheus.NewRegistry()
		w.deliver(func() {
			w.idle()
			time.Sleep(time.Minute) // the delayed read
		})
		w.holds(anna)
		w.isIn(anna, store.Synced)
		// Where a profile's answer lists no subscription, they are asked for.
		w.called(anna, "DELETE Promotions", "GET s", "DELETE Newsletter", "POST Promotions",
			"DELETE Promotions", "GET", "GET s", "GET", "PUT", "GET", "GET s", "GET", "GET s")
	})
}

// Where an answer is unclear the same thing is sent again, and read back, before
// anything else of the person; a missing profile is made with all that is wanted.
func TestV4UnclearAndMissing(t *testing.T) {
	t.Parallel()
	inV4(t, true, func(w *world) {
		anna, newcomer := w.profiles(1, true)[0], "new@example.com"
		w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Key: anna, Times: 1, Effect: simulator.EffectStatusAfter, Status: http.StatusInternalServerError})
		w.accept(w.said(anna, "+promotions", "-newsletter"), w.said(newcomer, "-newsletter", "+promotions", "+smsalerts", "firstName=New"))
		w.deliver(func() {
			w.idle()
			time.Sleep(time.Minute)
		})
		w.holds(anna, "Promotions")
		w.isIn(anna, store.Synced)
		w.called(anna, "DELETE Newsletter", "DELETE Newsletter", "GET s", "GET", "GET s", "POST Promotions", "GET", "GET")
		w.holds(newcomer, "Promotions", "SmsAlerts")
		w.isIn(newcomer, store.Synced)
	})
}
