package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWebhooksTellOfEveryWayToChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *bench)
		want   []string
	}{
		"update": {func(b *bench) {
			b.want("PATCH", annaPath, `{"attributes":{"age":43},"subscriptions":{"Newsletter":false,"Promotions":true,"SmsAlerts":false}}`, 200)
		}, []string{`UPDATED_SUBSCRIPTION {"Newsletter":false,"Promotions":true,"profileId":1}`}},
		"no difference": {func(b *bench) {
			b.want("PATCH", annaPath, turnOn, 200)
			b.want("PATCH", annaPath, `{"attributes":{"age":43}}`, 200)
		}, nil},
		"refused": {func(b *bench) { b.want("PATCH", annaPath, `{"subscriptions":{"Newsletter":false,"Nosuch":true}}`, 400) }, nil},
		"create": {func(b *bench) {
			b.want("POST", profilesPath, `{"key":{"emailAddress":"ben@example.com"},"attributes":{"age":7},"subscriptions":{"SmsAlerts":true,"Newsletter":false}}`, 201)
		}, []string{
			`CREATE {"age":7,"emailAddress":"ben@example.com","profileId":2}`,
			`UPDATED_SUBSCRIPTION {"SmsAlerts":true,"profileId":2}`,
		}},
		"replace": {func(b *bench) {
			b.want("PUT", profilesPath, `{"key":{"emailAddress":"anna@example.com"},"subscriptions":{"Promotions":true}}`, 200)
		}, []string{`UPDATED_SUBSCRIPTION {"Newsletter":false,"Promotions":true,"profileId":1}`}},
		"delete":         {func(b *bench) { b.want("DELETE", annaPath, "", 204) }, nil},
		"somebody there": {func(b *bench) { b.put("anna@example.com", false) }, []string{`UPDATED_SUBSCRIPTION {"Newsletter":false,"profileId":1}`}},
		"somebody new":   {func(b *bench) { b.put("ben@example.com", false) }, []string{`CREATE {"emailAddress":"ben@example.com","profileId":2}`}},
		"load": {func(b *bench) {
			b.load(SampleETLUpsert, "emailAddress,subscriptions#Newsletter\nanna@example.com,FALSE\nben@example.com,TRUE\n")
		}, []string{
			`UPDATED_SUBSCRIPTION {"Newsletter":false,"profileId":1}`,
			`CREATE {"emailAddress":"ben@example.com","profileId":2}`,
			`UPDATED_SUBSCRIPTION {"Newsletter":true,"profileId":2}`,
		}},
		"late": {func(b *bench) {
			b.Inject(Fault{Kind: KindUpdate, Effect: EffectStatus, Status: 504, ApplyLate: time.Nanosecond, Times: 1})
			b.want("PATCH", annaPath, turnOff, 504)
			b.Settle()
		}, []string{`UPDATED_SUBSCRIPTION {"Newsletter":false,"profileId":1}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, nil)
			b := serve(t, ActitoOptions{AllowHTTPWebhooks: true, LoadDelay: -1})
			b.AddTable(SampleEntity, Table{ID: "17", Name: "Others", Subscriptions: []string{"Newsletter"}})
			b.listen(r.URL, EventCreate, EventUpdatedSubscription, EventUpdate)
			c.change(b)
			if _, err := b.PutProfile(SampleEntity, "17", nil, map[string]bool{"Newsletter": true}); err != nil {
				t.Fatal(err)
			}
			b.SettleWebhooks()
			got := r.data(t)
			slices.Sort(got) // two webhooks keep no order between them
			slices.Sort(c.want)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestWhichWebhooksAreTold(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	b := serve(t, plainHTTP)
	listen := func(more string) {
		b.want("POST", webhooksPath, `{"on":"PROFILE_TABLE","onElementId":"16","eventType":"UPDATED_SUBSCRIPTION","targetUrl":"`+r.URL+`"`+more+`}`, 201)
	}
	listen(`,"isActive":false`)
	listen(`,"onFields":["Promotions","SmsAlerts"]`)
	listen(``)
	b.put("anna@example.com", false)
	b.SettleWebhooks()
	wantData(t, r, `UPDATED_SUBSCRIPTION {"Newsletter":false,"profileId":1}`)
	if got := b.WebhookDeliveries(); len(got) != 1 || got[0].Webhook != 3 || !got[0].Taken || got[0].Status != 200 || got[0].Attempts != 1 {
		t.Errorf("recorded %+v", got)
	}

	release := b.HoldWebhooks()
	b.put("anna@example.com", true)
	b.want("DELETE", webhooksPath+"/3", "", 204)
	release()
	b.SettleWebhooks()
	wantData(t, r, `UPDATED_SUBSCRIPTION {"Newsletter":false,"profileId":1}`) // and no more
	b.ResetCounters()
	b.want("PATCH", annaPath, `{"subscriptions":{"SmsAlerts":true}}`, 200)
	b.SettleWebhooks()
	if got := b.WebhookDeliveries(); len(got) != 1 || got[0].Webhook != 2 {
		t.Errorf("recorded %+v", got)
	}
}

func TestFormsOfWebhooks(t *testing.T) {
	t.Parallel()
	const links = `"_links":{"webhook":{"href":"/webhooks/v4/entity/acme/webhookSubscription/1"}}`
	for name, c := range map[string]struct {
		push    string
		options WebhookOptions
		want    []string
	}{
		"one by one": {PushOneByOne, WebhookOptions{}, []string{
			`{` + links + `,"data":{"Newsletter":false,"profileId":1},"eventType":"UPDATED_SUBSCRIPTION","id":"#"}`,
			`{` + links + `,"data":{"Newsletter":true,"profileId":1},"eventType":"UPDATED_SUBSCRIPTION","id":"#"}`,
		}},
		"bulk": {PushBulk, WebhookOptions{Values: ValuesText, NoEventType: true}, []string{
			`[{` + links + `,"data":{"Newsletter":"false","profileId":"1"},"id":"#"},{` + links + `,"data":{"Newsletter":"true","profileId":"1"},"id":"#"}]`,
		}},
		"array of data": {PushBulk, WebhookOptions{Shape: ShapeDataArray, Values: ValuesDigits, NoID: true}, []string{
			`{` + links + `,"data":[{"Newsletter":0,"profileId":1},{"Newsletter":1,"profileId":1}],"eventType":"UPDATED_SUBSCRIPTION"}`,
		}},
		"arrays of one, reversed, with keys": {PushOneByOne, WebhookOptions{Shape: ShapeArray, Reverse: true, UniqueKeys: true, NoEventType: true}, []string{
			`[{` + links + `,"data":{"Newsletter":true,"emailAddress":"anna@example.com","profileId":1},"id":"#"}]`,
			`[{` + links + `,"data":{"Newsletter":false,"emailAddress":"anna@example.com","profileId":1},"id":"#"}]`,
		}},
		"dropped": {PushOneByOne, WebhookOptions{Drop: 1}, nil},
		"twice": {PushBulk, WebhookOptions{Shape: ShapeObject, Duplicate: 1, NoEventType: true}, []string{
			`{` + links + `,"data":{"Newsletter":false,"profileId":1},"id":"#"}`,
			`{` + links + `,"data":{"Newsletter":false,"profileId":1},"id":"#"}`,
			`{` + links + `,"data":{"Newsletter":true,"profileId":1},"id":"#"}`,
			`{` + links + `,"data":{"Newsletter":true,"profileId":1},"id":"#"}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, nil)
			b := serve(t, ActitoOptions{AllowHTTPWebhooks: true, Webhooks: c.options})
			b.want("POST", webhooksPath, `{"on":"PROFILE_TABLE","onElementId":"16","eventType":"UPDATED_SUBSCRIPTION","webhookPushType":"`+c.push+`","targetUrl":"`+r.URL+`"}`, 201)
			release := b.HoldWebhooks()
			b.put("anna@example.com", false)
			b.put("anna@example.com", true)
			release()
			b.SettleWebhooks()
			var got []string
			ids := map[string]int{}
			for _, body := range r.bodies {
				id := regexp.MustCompile(`"id":"([-0-9a-f]{36})"`)
				for _, found := range id.FindAllStringSubmatch(body, -1) {
					ids[found[1]]++
				}
				got = append(got, id.ReplaceAllString(body, `"id":"#"`))
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if len(c.want) > 0 && !c.options.NoID && len(ids) != 2 {
				t.Errorf("ids %v", ids)
			}
			for _, d := range b.WebhookDeliveries() {
				if d.Dropped != (c.options.Drop == 1) || d.Taken == d.Dropped {
					t.Errorf("recorded %+v", d)
				}
			}
		})
	}
}

func TestBlocksOfABulkWebhook(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	b := serve(t, plainHTTP)
	b.want("POST", webhooksPath, `{"on":"PROFILE_TABLE","onElementId":"16","eventType":"UPDATED_SUBSCRIPTION","webhookPushType":"BULK","maxBlockSize":2,"targetUrl":"`+r.URL+`"}`, 201)
	release := b.HoldWebhooks()
	for i := range 5 {
		b.put("anna@example.com", i%2 == 1)
	}
	release()
	b.SettleWebhooks()
	var sizes []int
	for _, body := range r.bodies {
		sizes = append(sizes, strings.Count(body, "profileId"))
	}
	if !slices.Equal(sizes, []int{2, 2, 1}) {
		t.Errorf("blocks of %v", sizes)
	}
}

func TestWebhookIsRetried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statuses []int // the last one for good
		attempts int
		taken    bool
	}{
		"at once":  {[]int{204}, 1, true},
		"at last":  {[]int{500, 302, 404, 200}, 4, true},
		"never":    {[]int{503}, 4, false},
		"redirect": {[]int{307}, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, func(w http.ResponseWriter, nth int) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.statuses[min(nth, len(c.statuses))-1])
			})
			var mu sync.Mutex
			var slept []time.Duration
			b := serve(t, ActitoOptions{AllowHTTPWebhooks: true, Sleep: func(ctx context.Context, d time.Duration) error {
				mu.Lock()
				defer mu.Unlock()
				if d > 0 {
					slept = append(slept, d)
				}
				return ctx.Err()
			}})
			b.listen(r.URL, EventUpdatedSubscription)
			b.put("anna@example.com", false)
			b.SettleWebhooks()
			got := b.WebhookDeliveries()
			if len(got) != 1 || got[0].Attempts != c.attempts || got[0].Taken != c.taken || got[0].Status != c.statuses[len(c.statuses)-1] {
				t.Errorf("recorded %+v", got)
			}
			if len(r.bodies) != c.attempts || slices.ContainsFunc(r.bodies, func(body string) bool { return body != r.bodies[0] }) {
				t.Errorf("sent %v", r.bodies)
			}
			waits := []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second}
			if !slices.Equal(slept, waits[:c.attempts-1]) {
				t.Errorf("slept %v", slept)
			}
			if r.header.Get("X-Secret") != "s3cret" || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", r.header)
			}
		})
	}
}

func TestNobodyWaitsForAWebhook(t *testing.T) {
	t.Parallel()
	arrived, stuck := make(chan struct{}, 1), make(chan struct{})
	r := receive(t, func(http.ResponseWriter, int) {
		arrived <- struct{}{}
		<-stuck
	})
	defer close(stuck)
	b := serve(t, ActitoOptions{AllowHTTPWebhooks: true, WebhookHTTP: &http.Client{}}) // of endless patience
	b.listen(r.URL, EventUpdatedSubscription)
	b.want("PATCH", annaPath, turnOff, 200)
	<-arrived
	b.want("PATCH", annaPath, turnOn, 200)
	b.want("GET", webhooksPath, "", 200)
	b.Close() // does not wait for the receiver either
	b.SettleWebhooks()
	got := b.WebhookDeliveries()
	if len(got) != 1 || got[0].Taken || got[0].Error == "" {
		t.Errorf("recorded %+v", got)
	}
}

func TestCloseEndsHeldWebhooks(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	b := serve(t, plainHTTP)
	b.listen(r.URL, EventUpdatedSubscription)
	b.HoldWebhooks()
	b.put("anna@example.com", false)
	b.Close()
	b.put("anna@example.com", true)
	b.SettleWebhooks() // nothing is queued any more
	wantData(t, r)
}

func TestDelayGathersABatch(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	waiting, goOn := make(chan time.Duration), make(chan struct{})
	b := serve(t, ActitoOptions{
		AllowHTTPWebhooks: true, Webhooks: WebhookOptions{Delay: time.Minute, Reverse: true},
		Sleep: func(ctx context.Context, d time.Duration) error {
			if d > 0 {
				waiting <- d
				<-goOn
			}
			return ctx.Err()
		},
	})
	b.listen(r.URL, EventUpdatedSubscription)
	b.put("anna@example.com", false)
	if d := <-waiting; d != time.Minute {
		t.Errorf("waits for %v", d)
	}
	b.put("anna@example.com", true)
	goOn <- struct{}{}
	b.SettleWebhooks()
	wantData(t, r,
		`UPDATED_SUBSCRIPTION {"Newsletter":true,"profileId":1}`,
		`UPDATED_SUBSCRIPTION {"Newsletter":false,"profileId":1}`)
}

func TestWebhookOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	for _, o := range []WebhookOptions{{Drop: -1}, {Duplicate: 1.5}, {Shape: "round"}, {Values: "roman"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("taken: %+v", o)
				}
			}()
			b.DeliverWebhooks(o)
		}()
	}
}

func TestControlOfWebhooks(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	b := serve(t, plainHTTP)
	b.listen(r.URL, EventUpdatedSubscription)
	b.want("POST", "/_simulator/webhooks", `{"delay":"1ns","values":"text","noEventType":true}`, 204)
	for _, bad := range []string{`{"delay":"soon"}`, `{"drop":2}`, `{"dealy":""}`, ``} {
		b.want("POST", "/_simulator/webhooks", bad, 400)
	}
	b.want("PATCH", annaPath, turnOff, 200)
	b.SettleWebhooks()
	wantData(t, r, ` {"Newsletter":"false","profileId":"1"}`)

	_, raw := b.rawCall(t.Context(), "GET", "/_simulator/webhooks", "")
	var told []WebhookDelivery
	if err := json.Unmarshal(raw, &told); err != nil || len(told) != 1 || !told[0].Taken || told[0].Target != r.URL {
		t.Errorf("%v: %s", err, raw)
	}
	_, calls := b.rawCall(t.Context(), "GET", "/_simulator/calls", "")
	for _, shown := range []string{string(raw), string(calls)} {
		if strings.Contains(shown, "s3cret") {
			t.Errorf("the secret is shown: %s", shown)
		}
	}
}
