package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// twoWay is the program between an Actito that tells of changes and a Didomi
// that can be told.
type twoWay struct {
	*bundle
	didomi *simulator.DidomiAPI
	id     string
	secret string
	hook   string // where Actito sends its webhooks
	// leads is where that leads, the program's address.
	leads atomic.Value
	// between stands before the program, as a proxy may; nil for none.
	between atomic.Value
}

// setupTwoWay starts the program with an integration that goes both ways, whose
// settings may be changed first.
func setupTwoWay(t *testing.T, opts simulator.ActitoOptions, change func(object)) *twoWay {
	t.Helper()
	w := newTwoWay(t, opts)
	t.Cleanup(w.stop)
	w.start()
	w.leads.Store(w.url)
	w.enrol()
	w.integrateBothWays(change)
	return w
}

// newTwoWay makes the ends alone; the program is still to be started.
func newTwoWay(t *testing.T, opts simulator.ActitoOptions) *twoWay {
	t.Helper()
	w := &twoWay{didomi: simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: organization, Key: "didomi-key", Secret: "didomi-secret"})}
	api := httptest.NewServer(w.didomi)
	t.Cleanup(api.Close)
	// Actito reaches the program under an address that is known before it starts.
	public := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		leads, _ := w.leads.Load().(string)
		to, err := url.Parse(leads)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }
		if between, ok := w.between.Load().(func(http.ResponseWriter, *http.Request, http.Handler)); ok {
			between(rw, r, proxy)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(public.Close)
	opts.AllowHTTPWebhooks = true
	w.bundle = newBundle(t, opts)
	w.cfg.DidomiURL, w.cfg.PublicURL = api.URL+"/v1", public.URL
	return w
}

func (w *twoWay) integrateBothWays(change func(object)) {
	w.t.Helper()
	var view struct {
		ID      string
		Webhook struct {
			URL, Header, Secret, Reason string
			Registered                  bool
		}
	}
	body := w.settings(func(in object) {
		in["enable_webhooks"] = true
		in["authentication"] = object{"private_api_key": simulator.SampleKey, "didomi_api_key": "didomi-key", "didomi_api_secret": "didomi-secret"}
		if change != nil {
			change(in)
		}
	})
	w.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+organization, body, http.StatusCreated, &view)
	if !view.Webhook.Registered || view.Webhook.Header != "X-Consentsync-Secret" || view.Webhook.Secret == "" {
		w.t.Fatalf("the webhooks are not registered: %+v", view.Webhook)
	}
	w.id, w.secret, w.hook = view.ID, view.Webhook.Secret, view.Webhook.URL
}

// told gives what Didomi was told of a person: "purpose" or "-purpose".
func (w *twoWay) told(email string) []string {
	var all []string
	for _, e := range w.didomi.Events() {
		user, _ := e.Body["user"].(object)
		if user["organization_user_id"] != email {
			continue
		}
		if !e.DisableIntegrations {
			w.t.Errorf("an event would go round in a loop: %+v", e)
		}
		consents, _ := e.Body["consents"].(object)
		for _, kind := range []string{"purposes", "channels"} {
			list, _ := consents[kind].([]any)
			for _, x := range list {
				c, _ := x.(object)
				text := fmt.Sprint(c["id"])
				if c["enabled"] == false {
					text = "-" + text
				}
				all = append(all, text)
			}
		}
	}
	return all
}

// metric sums up a metric over its labels, or those that are given.
func (w *twoWay) metric(name string, labels ...string) (sum float64) {
	_, text := w.ask(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(string(text)) {
		named := strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ")
		if named && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(line, l) }) {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err == nil {
				sum += n
			}
		}
	}
	return sum
}

// edit does what somebody does in Actito.
func (w *twoWay) edit(email string, subscriptions map[string]bool) {
	w.t.Helper()
	if _, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": email}, subscriptions); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twoWay) says(email, path string) (enabled, said bool) {
	for _, c := range w.person(email).Choices {
		if c.Path == path {
			return c.Enabled, true
		}
	}
	return false, false
}

// Who unsubscribes in Actito is unsubscribed in Didomi, without a call to
// Actito.
func TestAWithdrawalInActitoReachesDidomi(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.edit(anna, nil)
	w.send(event("e1", anna, time.Now().Add(-time.Minute), simulator.Choices{"newsletter": yes(), "promotions": yes()}))
	w.eventually("it is in Actito", func() bool { return w.on(anna, "Newsletter") && w.synced(anna) })
	w.quiet(time.Second)
	calls := w.actito.CallCount()
	w.edit(anna, map[string]bool{"Newsletter": false})
	w.eventually("Didomi is told", func() bool { return len(w.told(anna)) == 1 })
	if got := w.told(anna); got[0] != "-newsletter" {
		t.Errorf("Didomi was told %q", got)
	}
	w.eventually("it stands in the person's state", func() bool {
		on, said := w.says(anna, newsletterPath)
		return said && !on && w.synced(anna)
	})
	// The grant of a moment ago could have overtaken it: it is written once more.
	w.quiet(time.Second)
	if n := w.actito.CallCount() - calls; n != 1 {
		t.Errorf("%d calls to Actito were made for it", n)
	}
	// An older grant of Didomi's that comes late does not undo it.
	w.send(event("e0", anna, time.Now().Add(-2*time.Minute), simulator.Choices{"newsletter": yes()}))
	w.stays("it stays off, and nothing more is told", 1500*time.Millisecond, func() bool { return !w.on(anna, "Newsletter") && len(w.told(anna)) == 1 })
}

// Our own writes come back as webhooks, and are no news: they cost no call, and
// Didomi hears nothing of them.
func TestR25OurOwnWritesAreNoNews(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	people := crowd("p", 30)
	putAll(t, w.bundle, people, nil)
	w.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	w.eventually("all are in Actito", func() bool { return w.allSynced(people) })
	w.actito.SettleWebhooks()
	w.eventually("all echoes were heard", func() bool { return w.metric("consentsync_news_total") >= 30 })
	w.sendAll(events(people, time.Now().Add(time.Millisecond), simulator.Choices{"newsletter": no(), "promotions": yes()}))
	w.eventually("and changed", func() bool { return w.allSynced(people) && w.on(people[0], "Promotions") })
	w.actito.SettleWebhooks()
	w.quiet(time.Second)
	if n := w.actito.CallCount(simulator.KindRead); n > 1 {
		_, text := w.ask(http.MethodGet, "/metrics", "")
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "consentsync_news_total") {
				t.Log(strings.TrimSpace(line))
			}
		}
		for _, c := range w.actito.Calls() {
			if c.Kind == simulator.KindRead || c.Key == "emailAddress="+people[0] {
				t.Logf("%s %s %s %d", c.Started.Format("05.000"), c.Kind, c.Key, c.Status)
			}
		}
		t.Errorf("%d reads were made for echoes of 60 writes", n)
	}
	if n := len(w.didomi.Events()); n != 0 {
		t.Errorf("Didomi was told %d times of what it said itself", n)
	}
	for _, p := range people {
		if w.on(p, "Newsletter") || !w.on(p, "Promotions") {
			t.Fatalf("%s ended wrong", p)
		}
	}
}

// Who subscribes again in Actito, after a refusal that was in effect there, is
// believed; Didomi is told.
func TestAGrantInActitoAfterARefusal(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.send(event("e1", anna, time.Now().Add(-time.Minute), simulator.Choices{"newsletter": no()}))
	w.eventually("the refusal is in effect", func() bool { return !w.on(anna, "Newsletter") && w.synced(anna) })
	w.actito.SettleWebhooks()
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.eventually("Didomi is told", func() bool { got := w.told(anna); return len(got) == 1 && got[0] == "newsletter" })
	w.stays("it stays on", time.Second, func() bool { return w.on(anna, "Newsletter") })
}

// A grant in Actito that may be older than a refusal in Didomi is corrected.
func TestAGrantInActitoThatIsNotProven(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.actito.DeliverWebhooks(simulator.WebhookOptions{Drop: 1}) // what it has to tell is told below
	w.edit(anna, map[string]bool{"Newsletter": true})
	over := w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectStatus, Status: http.StatusServiceUnavailable})
	w.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": no()}))
	w.eventually("the refusal waits", func() bool { return w.person(anna).status() == "waiting" })
	// A grant of before the refusal, of which Actito tells only now.
	p, _ := w.profile(anna)
	body := fmt.Sprintf(`{"id":"late","data":{"profileId":%d,"Newsletter":true}}`, p.ID)
	if status, answer := w.ask(http.MethodPost, "/webhooks/actito/"+w.id, body, "X-Consentsync-Secret", w.secret, "Authorization", ""); status != http.StatusOK {
		t.Fatalf("answered %d: %s", status, answer)
	}
	w.eventually("the profile was looked at", func() bool { return w.actito.CallCount(simulator.KindRead) > 0 })
	over()
	w.eventually("it is off", func() bool { return !w.on(anna, "Newsletter") && w.synced(anna) })
	w.stays("and Didomi hears of no grant", time.Second, func() bool { return len(w.told(anna)) == 0 })
	if on, said := w.says(anna, newsletterPath); on || !said {
		t.Errorf("the state says on %v, said %v", on, said)
	}
}

// A read that began before our own write ended tells of the time before: what it
// shows to be on was not turned on after the refusal.
func TestAReadThatIsOlderThanOurWrite(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.actito.DeliverWebhooks(simulator.WebhookOptions{Drop: 1}) // what it has to tell is told below
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Times: 1, Latency: 2 * time.Second})
	w.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": no()}))
	w.eventually("the refusal is being written", func() bool { return w.actito.CallCount(simulator.KindUpdate) > 0 })
	p, _ := w.profile(anna)
	w.actito.Inject(simulator.Fault{
		Kind: simulator.KindRead, Times: 1, Latency: 4 * time.Second, Effect: simulator.EffectContent, ContentType: "application/json",
		Body: fmt.Sprintf(`{"profileId":%d,"attributes":{"emailAddress":%q},"subscriptions":{"Newsletter":true}}`, p.ID, anna),
	})
	body := fmt.Sprintf(`{"id":"late","data":{"profileId":%d,"Newsletter":true}}`, p.ID)
	if status, answer := w.ask(http.MethodPost, "/webhooks/actito/"+w.id, body, "X-Consentsync-Secret", w.secret, "Authorization", ""); status != http.StatusOK {
		t.Fatalf("answered %d: %s", status, answer)
	}
	w.eventually("the profile is being read", func() bool { return w.actito.CallCount(simulator.KindRead) > 0 })
	w.eventually("the refusal is in effect", func() bool { return !w.on(anna, "Newsletter") && w.synced(anna) })
	if reads := w.actito.Calls(); slices.ContainsFunc(reads, func(c simulator.Call) bool { return c.Kind == simulator.KindRead && !c.Finished.IsZero() }) {
		t.Fatal("the profile was read before, so this tests nothing")
	}
	w.eventually("it was read again", func() bool { return w.actito.CallCount(simulator.KindRead) > 1 })
	w.stays("Didomi hears of no grant", time.Second, func() bool { return len(w.told(anna)) == 0 && !w.on(anna, "Newsletter") })
}

// Who has no profile is tried again when one appears (R20).
func TestR20AProfileThatAppears(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, func(in object) { in["upsert_mode"] = false })
	w.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	w.eventually("there is no profile", func() bool { return w.person(anna).status() == "unmatched" })
	w.edit(anna, nil)
	w.eventually("it is subscribed as soon as there is one", func() bool { return w.on(anna, "Newsletter") && w.synced(anna) })
}

// A person of whom nobody ever heard unsubscribes in Actito: Didomi is told.
func TestAStrangerUnsubscribes(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.actito.SettleWebhooks()
	w.edit(anna, map[string]bool{"Newsletter": false})
	w.eventually("Didomi is told", func() bool {
		got := w.told(anna)
		return len(got) > 0 && got[len(got)-1] == "-newsletter"
	})
}

func TestTheWebhookOfActitoRefuses(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	path := "/webhooks/actito/" + w.id
	for name, x := range map[string]struct {
		path, body, secret string
		status             int
	}{
		"no secret":               {path, `{"data":{"profileId":1,"Newsletter":false}}`, "", http.StatusUnauthorized},
		"a wrong secret":          {path, `{"data":{"profileId":1,"Newsletter":false}}`, "wrong", http.StatusUnauthorized},
		"another integration":     {"/webhooks/actito/nobody", `{"data":{"profileId":1}}`, w.secret, http.StatusUnauthorized},
		"no JSON":                 {path, `<xml/>`, w.secret, http.StatusBadRequest},
		"an unknown profile":      {path, `{"id":"x","data":{"profileId":424242,"Newsletter":false}}`, w.secret, http.StatusOK},
		"an unknown field":        {path, `{"id":"y","data":{"profileId":1,"Whatever":false}}`, w.secret, http.StatusOK},
		"one that cannot be read": {path, `[7,{"id":"z","data":{"profileId":424242,"Newsletter":false}}]`, w.secret, http.StatusOK},
		"an array":                {path, `[{"id":1,"data":[{"profileId":"1","Newsletter":"1"}]}]`, w.secret, http.StatusOK},
	} {
		if status, answer := w.ask(http.MethodPost, x.path, x.body, "X-Consentsync-Secret", x.secret, "Authorization", ""); status != x.status {
			t.Errorf("%s: answered %d, want %d: %s", name, status, x.status, answer)
		}
	}
	w.quiet(2 * time.Second)
	if n := len(w.didomi.Events()); n != 0 {
		t.Errorf("Didomi was told of %d things that were not so", n)
	}
}

// An administrator can see that Actito's way to the program works, before Actito
// has anything to tell.
func TestTheWayOfActitoIsTested(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	path := "/v1/marketplace/integrations/" + w.id
	test := func() (reached bool, reason string) {
		var got struct {
			URL     string
			Reached bool
			Reason  string
		}
		w.must(http.MethodPost, path+"/webhook-test", "", http.StatusOK, &got)
		if got.URL != w.hook {
			t.Errorf("%q was called, not %q", got.URL, w.hook)
		}
		return got.Reached, got.Reason
	}
	if reached, reason := test(); !reached || reason != "" {
		t.Errorf("it is not reached: %s", reason)
	}
	w.between.Store(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("X-Consentsync-Secret")
		next.ServeHTTP(rw, r)
	})
	if reached, reason := test(); reached || !strings.Contains(reason, "X-Consentsync-Secret") {
		t.Errorf("without the header: %v, %q", reached, reason)
	}
	w.between.Store(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { rw.WriteHeader(http.StatusOK) })
	if reached, reason := test(); reached || !strings.Contains(reason, "--public-url") {
		t.Errorf("with somebody else there: %v, %q", reached, reason)
	}
}

// A secret is replaced without a gap, and Actito is given the new one.
func TestASecretIsReplaced(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.actito.SettleWebhooks()
	var view struct{ Webhook struct{ Secret string } }
	secrets := []string{w.secret}
	for range 2 {
		w.must(http.MethodPost, "/v1/marketplace/integrations/"+w.id+"/webhook-secret", "", http.StatusOK, &view)
		secrets = append(secrets, view.Webhook.Secret)
	}
	// A change of something else leaves it as it is: it may be entered by hand.
	w.must(http.MethodPatch, "/v1/marketplace/integrations/"+w.id, `{"properties":{"calls_per_minute":5000}}`, http.StatusOK, nil)
	for i, want := range []int{http.StatusUnauthorized, http.StatusOK, http.StatusOK} {
		body := fmt.Sprintf(`{"id":"s%d","data":{"profileId":424242}}`, i)
		if status, _ := w.ask(http.MethodPost, "/webhooks/actito/"+w.id, body, "X-Consentsync-Secret", secrets[i], "Authorization", ""); status != want {
			t.Errorf("secret %d: answered %d, want %d", i, status, want)
		}
	}
	w.edit(anna, map[string]bool{"Newsletter": false})
	w.eventually("Actito calls with the new one", func() bool { got := w.told(anna); return len(got) > 0 && got[len(got)-1] == "-newsletter" })
}

// With the integration its webhooks go.
func TestWebhooksGoWithTheIntegration(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, nil)
	w.must(http.MethodDelete, "/v1/marketplace/integrations/"+w.id, "", http.StatusNoContent, nil)
	w.edit(anna, map[string]bool{"Newsletter": true})
	w.actito.SettleWebhooks()
	if n := len(w.actito.WebhookDeliveries()); n != 0 {
		t.Errorf("Actito still tells of changes, %d times", n)
	}
}

// Credentials that Didomi refuses are refused at once, and change nothing. That
// Didomi is out of reach keeps nobody from connecting Actito.
func TestDidomiCredentialsAreChecked(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{}, nil)
	at := "/v1/marketplace/integrations/" + w.id
	wrong := `{"authentication":{"didomi_api_key":"didomi-key","didomi_api_secret":"wrong"}}`
	var refusal struct{ Errors map[string]string }
	w.must(http.MethodPatch, at, wrong, http.StatusBadRequest, &refusal)
	if said := refusal.Errors["authentication.didomi_api_secret"]; !strings.Contains(said, "Didomi refuses") {
		t.Errorf("the refusal is %+v", refusal)
	}
	w.didomi.Inject(simulator.Fault{Kind: simulator.KindSession, Effect: simulator.EffectResetBefore, Times: 2})
	w.must(http.MethodPatch, at, wrong, http.StatusOK, nil)
}
