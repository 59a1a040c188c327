package lanes

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/actito"
	"consentsync/internal/app"
	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/didomi"
	"consentsync/internal/integration"
	"consentsync/internal/outbound"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

const organization = "acme-org"

// world is the program's delivery with a simulated Actito, in the time of a
// synctest bubble.
type world struct {
	*testing.T
	engine *sqlite.Engine
	hasher *store.Hasher
	actito *simulator.Actito
	key    store.IntegrationKey
	due    func()
	didomi *simulator.DidomiAPI
	doors  hosts // beside Actito; nil for none
	// metrics are those of delivery.
	metrics *prometheus.Registry
	// ahead is how far the program's clock goes before the bubble's.
	ahead atomic.Int64
	// through and wrap change what delivery works with; nil for nothing.
	through func(deliver.Store) deliver.Store
	wrap    func(deliver.Targets) deliver.Targets

	mu      sync.Mutex
	changes []simulator.Change
}

// now is the program's clock.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// settings alter the integration before it is made.
type settings func(*store.Properties)

// inWorld runs f in a world of its own, and ends everything afterwards.
func inWorld(t *testing.T, opts simulator.ActitoOptions, set settings, f func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{T: t, hasher: store.NewHasher([]byte("a key for benchmarks")), actito: simulator.NewActito(opts), due: func() {}, metrics: prometheus.NewRegistry()}
		defer w.actito.Close()
		w.actito.OnChange(func(c simulator.Change) {
			if !c.Edit {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.changes = append(w.changes, c)
			}
		})
		var err error
		w.engine, err = sqlite.Open(t.Context(), dir, sqlite.Options{Now: w.now})
		w.must(err)
		defer func() { w.must(w.engine.Close()) }()
		w.engine.UseHasher(w.hasher)
		w.integrate(set)
		f(w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) integrate(set settings) {
	w.Helper()
	now := consent.TimeOf(time.Now())
	i := &store.Integration{
		Organization: organization, ID: "lanes", Status: store.Active, Revision: 1, Licence: "one", Sealed: []byte{0},
		Settings: store.Settings{
			TypeID: "actito",
			Properties: store.Properties{
				BaseURL: "https://actito.example", EntityID: simulator.SampleEntity, TableName: "Profiles", UserUniqueKey: "emailAddress",
				Regulations: []string{consent.DefaultRegulation}, CallsPerMinute: perMinute, Concurrency: 4, ETLUpdatesOnly: true,
			},
			Mappings: []consent.Mapping{{ID: "Newsletter", Value: "consents_purposes_newsletter_enabled"}},
		},
		Snapshot:  consent.Snapshot{TakenAt: now, TableID: simulator.SampleTableID, Subscriptions: []consent.Subscription{{Name: "Newsletter", Since: now}}},
		CreatedAt: now, UpdatedAt: now,
	}
	if set != nil {
		set(&i.Settings.Properties)
	}
	w.key = store.IntegrationKey{Organization: organization, ID: i.ID}
	w.must(w.engine.CreateIntegration(w.Context(), i))
	r, _, err := w.engine.Reprojection(w.Context(), w.key)
	w.must(err)
	r.State = store.ReprojectionDone
	w.must(w.engine.AdvanceReprojection(w.Context(), r, nil))
}

// targets lead to the simulated Actito.
func (w *world) targets() *app.Targets {
	network := hosts{"actito.example": w.actito}
	maps.Copy(network, w.doors)
	client := outbound.New(outbound.Options{Network: network, Timeout: 2 * time.Minute})
	return &app.Targets{
		Accounts: actito.NewAccounts(client), Didomis: didomi.NewAccounts(client), DidomiURL: "https://didomi.example/v1", Hasher: w.hasher,
		Secrets: func(*store.Integration) (integration.Authentication, error) {
			return integration.Authentication{PrivateAPIKey: simulator.SampleKey, DidomiAPIKey: "key", DidomiAPISecret: "secret"}, nil
		},
	}
}

// deliver lets the delivery engine run until f returns.
func (w *world) deliver(f func()) {
	w.Helper()
	var engine deliver.Store = w.engine
	if w.through != nil {
		engine = w.through(engine)
	}
	var targets deliver.Targets = w.targets()
	if w.wrap != nil {
		targets = w.wrap(targets)
	}
	d := deliver.New(engine, targets, deliver.Options{Node: "node", Now: w.now, Log: slog.New(slog.DiscardHandler), Registerer: w.metrics})
	w.due = d.Wake
	ctx, stop := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() { // f may end the test
		stop()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}()
	f()
}

// profiles makes so many people who have a profile, subscribed or not.
func (w *world) profiles(n int, subscribed bool) []string {
	w.Helper()
	people := make([]string, n)
	for i := range people {
		people[i] = fmt.Sprintf("person.%07d@example.com", i)
		_, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID,
			map[string]any{"emailAddress": people[i]}, map[string]bool{"Newsletter": subscribed})
		w.must(err)
	}
	return people
}

// choice is one webhook by which a person turns the newsletter on or off.
func (w *world) choice(person string, on bool) store.Inbound {
	id := store.NewID().String()
	return store.Inbound{
		Organization: organization, Canonical: []byte(id), Payload: []byte("{}"),
		Message: &consent.Message{
			Type: consent.EventCreated, EntityID: id, OrganizationUserID: person, Regulation: consent.DefaultRegulation,
			CreatedAt: consent.TimeOf(w.now()),
			Choices:   []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "newsletter"}, Enabled: on}},
		},
	}
}

// accept takes webhooks, as many at once as the program does.
func (w *world) accept(webhooks ...store.Inbound) {
	w.Helper()
	for batch := range slices.Chunk(webhooks, 256) {
		_, err := w.engine.Accept(w.Context(), batch)
		w.must(err)
	}
	w.due()
}

func (w *world) all(people []string, on bool) []store.Inbound {
	var all []store.Inbound
	for _, p := range people {
		all = append(all, w.choice(p, on))
	}
	return all
}

// changed gives the first change of each person since a moment by which the
// newsletter became as given.
func (w *world) changed(since time.Time, on bool) map[string]simulator.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := make(map[string]simulator.Change)
	for _, c := range w.changes {
		person, _ := c.After.Attributes["emailAddress"].(string)
		if _, seen := first[person]; !seen && !c.At.Before(since) && c.After.Subscriptions["Newsletter"] == on {
			first[person] = c
		}
	}
	return first
}

// idle waits until nothing is due or under way.
func (w *world) idle() {
	w.Helper()
	for {
		busy := false
		for class := range store.Class(3) {
			q, err := w.engine.Queue(w.Context(), w.key, store.TargetActito, class)
			w.must(err)
			busy = busy || q.Due > 0
		}
		open, err := w.engine.OpenLoads(w.Context(), w.key)
		w.must(err)
		if !busy && len(open) == 0 {
			return
		}
		time.Sleep(time.Second)
	}
}

// inProcess is a network that leads to a handler, without connections, so that
// the time of a bubble goes on while a call is under way.
type inProcess struct{ handler http.Handler }

func (n inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := make(chan *http.Response, 1)
	in := r.Clone(context.WithoutCancel(r.Context()))
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	go func() {
		defer func() {
			if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // a panic value, not an error chain
				close(answer) // the connection breaks
			} else if p != nil {
				panic(p)
			}
		}()
		recorder := httptest.NewRecorder()
		n.handler.ServeHTTP(recorder, in)
		_ = in.Body.Close()
		answer <- recorder.Result()
	}()
	select {
	case resp, whole := <-answer:
		if !whole {
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// change stores a changed integration, for which nobody is to be compared again.
func (w *world) change(i *store.Integration) {
	w.Helper()
	i.Revision++
	w.must(w.engine.UpdateIntegration(w.Context(), i))
	r, _, err := w.engine.Reprojection(w.Context(), w.key)
	w.must(err)
	r.State = store.ReprojectionDone
	w.must(w.engine.AdvanceReprojection(w.Context(), r, nil))
}
