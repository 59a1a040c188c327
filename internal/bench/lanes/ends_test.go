package lanes

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/ingest"
	"consentsync/internal/integration"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// betweenEnds runs f in a world that goes both ways: an Actito that tells us of
// changes, and a Didomi that we tell. So many people have had a profile before,
// subscribed or not.
func betweenEnds(t *testing.T, opts simulator.ActitoOptions, n int, subscribed bool, f func(w *world, people []string)) {
	t.Helper()
	doors := hosts{}
	opts.WebhookHTTP = &http.Client{Transport: doors}
	inWorld(t, opts, nil, func(w *world) {
		w.doors = doors
		people := w.profiles(n, subscribed)
		w.didomi = simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: organization})
		doors["didomi.example"] = w.didomi
		i, err := w.engine.Integration(w.Context(), w.key)
		w.must(err)
		i.Settings.EnableWebhooks = true
		w.change(i)
		trust := func(*store.Integration, string) (bool, error) { return true, nil }
		committer := ingest.NewCommitter(w.engine, func() { w.due() }, w.now, slog.New(slog.DiscardHandler), nil)
		defer committer.Close()
		mux := http.NewServeMux()
		mux.Handle("POST /webhooks/actito/{integration_id}",
			ingest.NewActito(committer, w.engine, integration.WebhookHeader, trust, slog.New(slog.DiscardHandler), nil))
		doors["us.example"] = mux
		client := w.targets().Accounts.Client("https://actito.example", simulator.SampleKey)
		for _, event := range []actito.WebhookEvent{actito.WebhookUpdatedSubscription, actito.WebhookCreate} {
			_, err := client.CreateWebhook(w.Context(), simulator.SampleEntity, actito.Subscription{
				TableID: simulator.SampleTableID, Event: event, TargetURL: "https://us.example" + w.hook(), Active: true,
			})
			w.must(err)
		}
		f(w, people)
		w.actito.Close() // nothing is told any more
	})
}

func (w *world) hook() string { return "/webhooks/actito/" + w.key.ID }

// hears hands a webhook of Actito's in.
func (w *world) hears(body string) {
	w.Helper()
	answer := httptest.NewRecorder()
	w.doors["us.example"].ServeHTTP(answer, httptest.NewRequestWithContext(w.Context(), http.MethodPost, w.hook(), strings.NewReader(body)))
	if answer.Code != http.StatusOK {
		w.Fatalf("the webhook is answered %d: %s", answer.Code, answer.Body)
	}
}

// edit does what somebody does in Actito.
func (w *world) edit(person string, on bool) {
	w.Helper()
	_, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": person}, map[string]bool{"Newsletter": on})
	w.must(err)
}

func (w *world) profile(person string) simulator.Profile {
	w.Helper()
	p, there := w.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", person)
	if !there {
		w.Fatalf("%s has no profile", person)
	}
	return p
}

func (w *world) on(person string) bool { return w.profile(person).Subscriptions["Newsletter"] }

// told gives what Didomi was told of a person, "on" and "off", in order.
func (w *world) told(person string) (all []string) {
	for _, e := range w.didomi.Events() {
		user, _ := e.Body["user"].(map[string]any)
		consents, _ := e.Body["consents"].(map[string]any)
		purposes, _ := consents["purposes"].([]any)
		first, _ := purposes[0].(map[string]any)
		if user["organization_user_id"] == person {
			all = append(all, map[bool]string{true: "on", false: "off"}[first["enabled"] == true])
		}
	}
	return all
}

// toldOnly wants Didomi to have been told exactly this of a person.
func (w *world) toldOnly(person string, want ...string) {
	w.Helper()
	if got := w.told(person); fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("of %s Didomi was told %v, want %v", person, got, want)
	}
}

// delivery is how far a target is about a person; empty if nothing was to be
// done yet.
func (w *world) delivery(person string, target store.Target) *store.Delivery {
	w.Helper()
	d, err := w.engine.Delivery(w.Context(), store.DeliveryKey{
		Organization: organization, Integration: w.key.ID, Target: target,
		Person: w.hasher.Person(organization, consent.Subject{OrganizationUserID: person}),
	})
	if consent.KindOf(err) == consent.NotFound {
		return &store.Delivery{}
	}
	w.must(err)
	return d
}

// heard counts the news that turned out to be something.
func (w *world) heard(hearing consent.Hearing) (n float64) {
	w.Helper()
	families, err := w.metrics.Gather()
	w.must(err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "consentsync_news_total" && m.GetLabel()[0].GetValue() == string(hearing) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// within waits until something is so.
func (w *world) within(d time.Duration, what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(d); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("still not: %s", what)
		}
	}
}

// hosts is a network of handlers by their host.
type hosts map[string]http.Handler

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	handler := h[r.URL.Host]
	if handler == nil {
		return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: http.ErrServerClosed}
	}
	return inProcess{handler}.RoundTrip(r)
}
