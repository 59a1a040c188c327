package e2e_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// planView is what the tests look at of a plan.
type planView struct {
	Licence struct {
		CallsPerMinute     int    `json:"calls_per_minute"`
		MostCallsPerMinute int    `json:"most_calls_per_minute"`
		Concurrency        int    `json:"concurrency"`
		PaceReason         string `json:"pace_reason"`
		Outage             bool
	}
	Due   map[string]struct{ People int }
	Lanes struct {
		Bulk struct {
			Open       bool
			Reason     string
			LoadsToday int `json:"loads_today"`
			LoadsLeft  int `json:"loads_left"`
		}
	}
	Loads []loadView
	Spent struct {
		PeopleLoaded int `json:"people_loaded"`
	}
}

type loadView struct {
	State, Outcome, Reason, Execution string
	Columns                           []string
	People, Withdrawals, Refused      int
}

func (b *bundle) plan(id string) (p planView) {
	b.t.Helper()
	b.must(http.MethodGet, "/v1/marketplace/integrations/"+id+"/plan", "", http.StatusOK, &p)
	return p
}

// load gives the oldest load of an integration; zero if there is none.
func (b *bundle) load(id string) loadView {
	b.t.Helper()
	loads := b.plan(id).Loads
	if len(loads) == 0 {
		return loadView{}
	}
	return loads[len(loads)-1]
}

// bulky are the settings of an integration whose backlog soon goes by bulk,
// once slow was called. change, if not nil, alters the properties.
func bulky(change func(properties object)) func(object) {
	return func(in object) {
		in["upsert_mode"] = false
		p := in["properties"].(object)
		p["bulk_after_seconds"], p["etl_id"], p["etl_updates_only"] = 5, simulator.SampleETL, true
		if change != nil {
			change(p)
		}
	}
}

// gate holds the loads of a simulated Actito back until it is opened.
type gate struct {
	opened chan struct{}
	once   sync.Once
}

// gated gives options with a gate for loads.
func gated(opts simulator.ActitoOptions) (simulator.ActitoOptions, *gate) {
	const held = time.Hour
	g := &gate{opened: make(chan struct{})}
	opts.CallsPerMinute, opts.LoadDelay = -1, held
	opts.Sleep = func(ctx context.Context, d time.Duration) error {
		if d <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		over := g.opened
		if d != held {
			over = nil
		}
		select {
		case <-over:
			return nil
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return opts, g
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// braking is an organization without people. Its integration spends the same
// licence as all others, and so can slow them down without changing them.
const (
	braking = "braking-org"
	slowly  = 30 // calls a minute
)

// slow has the licence make one call in two seconds, so that a load leaves
// sixty people at most to single calls.
func (b *bundle) slow() {
	b.t.Helper()
	if b.brake != "" {
		b.paced(b.brake, slowly)
		return
	}
	table := simulator.SampleTable()
	table.ID, table.Name = "99", "Nobody"
	b.actito.AddTable(simulator.SampleEntity, table)
	b.must(http.MethodPut, "/v1/premium-features/"+braking, `{"actito":true}`, http.StatusOK, nil)
	var view struct{ ID string }
	b.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+braking, b.settings(func(in object) {
		p := in["properties"].(object)
		p["table_name"], p["calls_per_minute"] = "Nobody", slowly
	}), http.StatusCreated, &view)
	b.brake = view.ID
}

// hurry ends what slow began: those who do not go by bulk are served at once.
func (b *bundle) hurry() {
	b.t.Helper()
	b.paced(b.brake, 6000)
}

// paced sets how many calls an integration makes a minute.
func (b *bundle) paced(id string, perMinute int) {
	b.t.Helper()
	b.change(id, fmt.Sprintf(`{"properties":{"calls_per_minute":%d}}`, perMinute))
}

// pile makes a backlog: all of the webhooks are accepted before anything is
// delivered, and then slowly.
func (b *bundle) pile(id string, webhooks ...[]object) {
	b.t.Helper()
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/pause", "", http.StatusOK, nil)
	b.unchecked(func() { b.sendAll(slices.Concat(webhooks...)) })
	b.caughtUp()
	b.slow()
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", "", http.StatusOK, nil)
}

// unchecked has f ask for very much without each answer being held to the API's
// document: others do that.
func (b *bundle) unchecked(f func()) {
	checking := b.http
	defer func() { b.http = checking }()
	b.http = http.DefaultClient
	f()
}

// caughtUp waits until every webhook that was accepted is merged. It is asked
// of somebody who chose nothing that is mapped.
func (b *bundle) caughtUp() {
	b.t.Helper()
	const marker = "marker@example.com"
	b.send(event("marker", marker, time.Now(), simulator.Choices{"other": yes()}))
	b.looks("all webhooks are merged", func() bool {
		status, answer := b.ask(http.MethodGet, "/v1/users/"+marker+"?organization_id="+organization, "")
		return status == http.StatusOK && !bytes.Contains(answer, []byte(`"catching_up":true`))
	})
}

// wants is what people chose, by person and subscription.
type wants map[string]map[string]bool

// set notes what these people chose.
func (w wants) set(people []string, subscriptions map[string]bool) {
	for _, email := range people {
		if w[email] == nil {
			w[email] = map[string]bool{}
		}
		maps.Copy(w[email], subscriptions)
	}
}

func (w wants) right(p simulator.Profile, email string) bool {
	for name, on := range w[email] {
		if p.Subscriptions[name] != on {
			return false
		}
	}
	return true
}

// observer looks at people again and again: whoever is shown as synced has the
// right profile at that moment.
type observer struct {
	*bundle
	w    wants
	seen map[string]bool // who was synced already
}

func (b *bundle) observer(w wants) *observer { return &observer{b, w, map[string]bool{}} }

// look looks at everybody who was not synced yet, and tells whether all are.
func (o *observer) look() bool {
	o.t.Helper()
	o.unchecked(o.lookAtAll)
	return len(o.seen) == len(o.w)
}

func (o *observer) lookAtAll() {
	o.t.Helper()
	for email := range o.w {
		if o.seen[email] || !o.synced(email) {
			continue
		}
		if p, _ := o.profile(email); !o.w.right(p, email) {
			view, _ := json.Marshal(o.person(email))
			o.t.Fatalf("%s is shown as synced, chose %v, and has %v: %s", email, o.w[email], p.Subscriptions, view)
		}
		o.seen[email] = true
	}
}

// settle waits until everybody is synced, and then looks at all of them once
// more.
func (o *observer) settle(what string) {
	o.t.Helper()
	deadline := time.Now().Add(patience)
	for began := time.Now(); !o.look(); began = time.Now() {
		if began.After(deadline) {
			o.t.Fatalf("%s is still not synced: %s", what, o.states())
		}
		pause(max(50*time.Millisecond, 2*time.Since(began))) // see poll
	}
	clear(o.seen)
	o.looks(what+" is still synced", o.look)
}

// states describes who is not synced, and the plan.
func (o *observer) states() string {
	o.t.Helper()
	states := map[string]int{}
	for email := range o.w {
		i := o.person(email).Integrations[0]
		states[i.Status+" "+i.LastError]++
	}
	_, list := o.ask(http.MethodGet, "/v1/marketplace/integrations?organization_id="+organization, "")
	var found struct{ Data []struct{ ID string } }
	_ = json.Unmarshal(list, &found)
	plan := []byte{}
	if len(found.Data) > 0 {
		_, plan = o.ask(http.MethodGet, "/v1/marketplace/integrations/"+found.Data[0].ID+"/plan", "")
	}
	return fmt.Sprintf("%v\n%s", states, plan)
}

// settle observes people until everybody is synced.
func (b *bundle) settle(what string, w wants) {
	b.t.Helper()
	b.observer(w).settle(what)
}

// sees waits until the oldest load of an integration is as wanted.
func (b *bundle) sees(id, what string, wanted func(loadView) bool) {
	b.t.Helper()
	b.looks(what, func() bool { return wanted(b.load(id)) })
}

// begun waits until there is a load, and then hurries: what is decided goes on
// quickly.
func (b *bundle) begun(id string) {
	b.t.Helper()
	b.sees(id, "a load is begun", func(l loadView) bool { return l.State != "" })
	b.hurry()
}

func (l loadView) running() bool { return l.State == "running" }
func (l loadView) done() bool    { return l.State == "done" }

// sent gives those of the people who are in a load that runs.
func (b *bundle) sent(people []string) (found []string) {
	b.t.Helper()
	b.unchecked(func() {
		for _, email := range people {
			if b.person(email).status() == "sent" {
				found = append(found, email)
			}
		}
	})
	return found
}

// files keeps what is handed to ETLs.
type files struct {
	mu   sync.Mutex
	list [][][]string // records, the header first
}

// keepFiles puts itself between the program and Actito. It has to be called
// before there is an integration.
func (b *bundle) keepFiles() *files {
	f := &files{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
			body, _ := io.ReadAll(r.Body)
			f.add(b.t, r.Header.Get("Content-Type"), body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		b.actito.ServeHTTP(w, r)
	}))
	b.t.Cleanup(server.Close)
	b.t.Cleanup(b.actito.Close)
	b.actitoURL = server.URL
	return f
}

func (f *files) add(t *testing.T, contentType string, body []byte) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Error(err)
		return
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil || len(form.File["inputFile"]) != 1 {
		t.Errorf("a form with other than one file: %v", err)
		return
	}
	part, err := form.File["inputFile"][0].Open()
	if err != nil {
		t.Error(err)
		return
	}
	defer part.Close()
	archive, err := zip.NewReader(part, form.File["inputFile"][0].Size)
	if err != nil || len(archive.File) != 1 {
		t.Errorf("no zip of one file: %v", err)
		return
	}
	text, err := archive.File[0].Open()
	if err != nil {
		t.Error(err)
		return
	}
	defer text.Close()
	records, err := csv.NewReader(text).ReadAll()
	if err != nil {
		t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, records)
}

func (f *files) all() [][][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}
