package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store/pgtest"
)

// The program is killed again and again while Actito tells of refusals. Each
// that was acknowledged reaches Didomi, once, and each is in the person's trace,
// once, whatever was lost, repeated and begun anew.
func TestKillMinus9WhileActitoTells(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(t *testing.T) string{
		"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { t.Helper(); return pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 10 * time.Millisecond})
			w.cfg.Database, w.cfg.ReadbackDelay = database(t), time.Second
			killWhileActitoTells(w)
		})
	}
}

func killWhileActitoTells(w *twoWay) {
	const tellers, ofEach, atLeast = 6, 30, 4
	seed := uint64(time.Now().UnixNano())
	w.t.Logf("seed %d", seed)
	p := w.spawn()
	w.url = p.ready()
	w.leads.Store(w.url)
	w.enrol()
	people := crowd("p", tellers*ofEach)
	putAll(w.t, w.bundle, people, map[string]bool{"Newsletter": true}) // before Actito is asked to tell
	w.integrateBothWays(nil)
	w.actito.DeliverWebhooks(simulator.WebhookOptions{Drop: 1}) // it is told below, and counted
	client := &http.Client{Timeout: 10 * time.Second}
	w.t.Cleanup(client.CloseIdleConnections)

	// How far Actito has come in its telling when the program dies is left to
	// chance, but each teller stops short of its end until it died often enough.
	var acknowledged, posts, deaths atomic.Int64
	var telling sync.WaitGroup
	over := make(chan struct{})
	for i := range tellers {
		own := people[i*ofEach : (i+1)*ofEach]
		random := rand.New(rand.NewPCG(seed, uint64(i+1)))
		telling.Go(func() {
			for len(own) > 0 {
				n := min(len(own), 1+random.IntN(4))
				for int64(len(own)-n) < ofEach-ofEach*(deaths.Load()+1)/(atLeast+1) {
					pause(5 * time.Millisecond)
				}
				body, err := w.refusals(own[:n])
				if err != nil {
					w.t.Error(err)
					return
				}
				for ok := false; !ok; pause(time.Duration(random.IntN(60)) * time.Millisecond) {
					posts.Add(1)
					ok = w.tell(client, body)
				}
				acknowledged.Add(int64(n))
				own = own[n:]
			}
		})
	}
	go func() {
		telling.Wait()
		close(over)
	}()
	random := rand.New(rand.NewPCG(seed, 0))
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-time.After(time.Duration(20+random.IntN(200)) * time.Millisecond):
		}
		p.kill()
		deaths.Add(1)
		p = w.spawn()
		w.leads.Store(p.ready())
	}
	w.url, _ = w.leads.Load().(string)
	w.t.Logf("%d kills, %d refusals acknowledged in %d posts", deaths.Load(), acknowledged.Load(), posts.Load())
	if deaths.Load() < atLeast || acknowledged.Load() != int64(len(people)) {
		w.t.Errorf("%d kills, %d of %d acknowledged: this tests too little", deaths.Load(), acknowledged.Load(), len(people))
	}

	w.within(60*time.Second, "Didomi was told of all", func() bool { return len(w.didomi.Events()) >= len(people) })
	w.quiet(2 * time.Second)
	for _, email := range people {
		if got := w.told(email); !slices.Equal(got, []string{"-newsletter"}) {
			w.t.Errorf("of %s Didomi was told %q", email, got)
		}
		if on, said := w.says(email, newsletterPath); on || !said {
			w.t.Errorf("of %s the state says on %v, said %v", email, on, said)
		}
		if n := w.traced(email, "actito.subscription_changed"); n != 1 {
			w.t.Errorf("%s: the refusal is %d times in the trace", email, n)
		}
	}
}

// refusals makes the webhook that tells that people have unsubscribed, which
// they then have.
func (w *twoWay) refusals(people []string) ([]byte, error) {
	var list []object
	for i, email := range people {
		if _, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, object{"emailAddress": email}, map[string]bool{"Newsletter": false}); err != nil {
			return nil, err
		}
		profile, _ := w.profile(email)
		data := object{"profileId": profile.ID, "Newsletter": false}
		if i%2 == 0 {
			data["emailAddress"] = email
		}
		list = append(list, object{"id": "refusal-of-" + email, "eventType": simulator.EventUpdatedSubscription, "data": data})
	}
	if len(list) == 1 {
		return json.Marshal(list[0])
	}
	return json.Marshal(list)
}

// tell posts a webhook as Actito does, and tells whether it was acknowledged.
func (w *twoWay) tell(client *http.Client, body []byte) bool {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.hook, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("X-Consentsync-Secret", w.secret)
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadGateway && resp.StatusCode != http.StatusServiceUnavailable {
		w.t.Errorf("the webhook was answered %d", resp.StatusCode)
	}
	return resp.StatusCode == http.StatusOK
}

// traced counts the events of a type in a person's trace.
func (w *twoWay) traced(email, kind string) (n int) {
	w.t.Helper()
	var trace struct{ Data []struct{ Kind, Type string } }
	w.must(http.MethodGet, "/v1/users/"+email+"/trace?organization_id="+organization, "", http.StatusOK, &trace)
	for _, e := range trace.Data {
		if e.Kind == "event" && e.Type == kind {
			n++
		}
	}
	return n
}
