package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"consentsync/internal/integration"
	"consentsync/internal/simulator"
)

// The changes of which the calls to Actito are counted.
const (
	twoWayPeople  = 300
	twoWayWrites  = 3   // of ours to each, that come back as news
	changesOfEach = 100 // withdrawals in Actito, and grants
)

// twoWay measures what comes from Actito: how fast its webhooks are accepted,
// and what the echoes of our own writes and real changes cost.
func (b *bench) twoWay(ctx context.Context, r *report) error {
	if err := b.acceptOfBoth(ctx, r); err != nil {
		return err
	}
	return b.echoes(ctx, r)
}

// acceptOfBoth compares, in one program, how fast the webhooks of the two ends
// are accepted. The integration is paused: what they mean is found out later.
func (b *bench) acceptOfBoth(ctx context.Context, r *report) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	didomis, err := b.ours(ctx, data)
	if err != nil {
		return err
	}
	p := didomis.process
	defer func() { err = errors.Join(err, p.stop()) }()
	actitos := b.news(p, data)
	for n := range b.rounds {
		for _, s := range []*side{actitos, didomis} {
			if err := s.measure(ctx, b.round); err != nil {
				return err
			}
		}
		progress("round %d: Actito's %.0f/s, Didomi's %.0f/s, ratio %.2f", n+1,
			actitos.perSecond[n], didomis.perSecond[n], actitos.perSecond[n]/didomis.perSecond[n])
	}
	r.actitos, r.didomis = actitos.figures(), didomis.figures()
	return nil
}

// news is the side of Actito's webhooks.
func (b *bench) news(p *process, data filled) *side {
	header := http.Header{integration.WebhookHeader: {data.Secret}}
	return &side{process: p, load: newLoad(p.url+"/webhooks/actito/"+data.Integration, header, b.clients, newsOf(data.People))}
}

// newsOf makes webhooks of Actito's in the form of its samples: each tells that
// somebody has subscribed or unsubscribed.
func newsOf(people int) func([]byte, *rand.Rand) []byte {
	return func(b []byte, r *rand.Rand) []byte {
		return fmt.Appendf(b, `{"id":"%08x-%04x-4%03x-8%03x-%012x","eventType":"UPDATED_SUBSCRIPTION","data":{"profileId":%d,"Newsletter":%t},`+
			`"_links":{"webhook":{"href":"/webhooks/v4/entity/%s/webhookSubscription/1"}}}`,
			r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xfff, r.Uint32()&0xfff, r.Uint64()&0xffffffffffff, 1+r.IntN(people), r.IntN(2) == 0, simulator.SampleEntity)
	}
}

// ends is the program between an Actito that tells it of changes and a Didomi
// that it tells.
type ends struct {
	*process
	actito *simulator.Actito
	didomi *simulator.DidomiAPI
	load   *load // Didomi's webhooks
	people []string
}

// echoes counts the calls to Actito that the echoes of our own writes cost, and
// those that changes made in Actito cost.
func (b *bench) echoes(ctx context.Context, r *report) (err error) {
	e, stop, err := b.betweenEnds(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	progress("counting calls to Actito for what it tells")
	e.actito.ResetCounters()
	for n := range twoWayWrites {
		channels := map[string]bool{}
		if n == 0 { // it stays off, so that whoever turns it on in Actito did so by themselves
			channels["sms"] = false
		}
		if err := e.choose(ctx, map[string]bool{"newsletter": n%2 == 0, "promotions": n%2 == 1}, channels); err != nil {
			return err
		}
	}
	told := e.told()
	r.echoes = counted{told, e.actito.CallCount() - twoWayWrites*twoWayPeople}
	if n := len(e.didomi.Events()); n > 0 {
		return fmt.Errorf("didomi was told %d times of what it said itself", n)
	}
	for _, change := range []struct {
		people []string
		to     map[string]bool
		result *counted
	}{
		{e.people[:changesOfEach], map[string]bool{"Newsletter": false}, &r.withdrawals},
		{e.people[changesOfEach : 2*changesOfEach], map[string]bool{"SmsAlerts": true}, &r.grants},
	} {
		e.actito.ResetCounters()
		before := len(e.didomi.Events())
		for _, person := range change.people {
			if _, err := e.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, object{"emailAddress": person}, change.to); err != nil {
				return err
			}
		}
		if err := until(ctx, func() (bool, error) { return len(e.didomi.Events())-before >= len(change.people), nil }); err != nil {
			return err
		}
		if err := e.quiet(ctx); err != nil {
			return err
		}
		*change.result = counted{len(change.people), e.actito.CallCount()}
		if n := len(e.didomi.Events()) - before; n != len(change.people) {
			return fmt.Errorf("didomi was told %d times of %d changes", n, len(change.people))
		}
	}
	return nil
}

// betweenEnds starts the program, with an integration that goes both ways and
// people who have a profile.
func (b *bench) betweenEnds(ctx context.Context) (e *ends, stop func() error, err error) {
	e = &ends{}
	var way redirect // where Actito's webhooks lead, which is known before the program's address
	sim, actitoURL, stopActito, err := actito(ctx, simulator.ActitoOptions{
		Latency: 50 * time.Millisecond, CallsPerMinute: -1, WebhookHTTP: &http.Client{Transport: &way}, AllowHTTPWebhooks: true,
		Webhooks: simulator.WebhookOptions{Reverse: true, Duplicate: 0.1},
	})
	if err != nil {
		return nil, nil, err
	}
	e.actito = sim
	e.didomi = simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: organization})
	didomiURL, stopDidomi, err := listen(ctx, e.didomi)
	if err != nil {
		stopActito()
		return nil, nil, err
	}
	stop = func() (err error) {
		if e.process != nil {
			err = e.stop()
		}
		stopDidomi()
		stopActito()
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	if e.process, err = b.serve(ctx, filepath.Join(b.dir, "twoway"), "--public-url", "http://consentsync.example", "--didomi-url", didomiURL+"/v1"); err != nil {
		return nil, nil, err
	}
	way.to = strings.TrimPrefix(e.url, "http://")
	for i := range twoWayPeople {
		person := fmt.Sprintf("person.%04d@example.com", i)
		e.people = append(e.people, person)
		if _, err := sim.PutProfile(simulator.SampleEntity, simulator.SampleTableID, object{"emailAddress": person}, map[string]bool{"SmsAlerts": true}); err != nil {
			return nil, nil, err
		}
	}
	made, err := setUp(ctx, e.url, actitoURL, func(in object) {
		in["enable_webhooks"] = true
		in["authentication"] = object{"private_api_key": simulator.SampleKey, "didomi_api_key": "key", "didomi_api_secret": "secret"}
		in["properties"].(object)["attributes"] = []any{}
	})
	if err != nil {
		return nil, nil, err
	}
	token, err := tokenFor(ctx, e.url, made.Client)
	if err != nil {
		return nil, nil, err
	}
	e.load = newLoad(e.url+"/webhooks/didomi/"+organization, bearer(token), b.clients, nil)
	return e, stop, nil
}

// choose has everybody choose the same in Didomi, and waits until Actito holds
// it and all that it then told has been looked into.
func (e *ends) choose(ctx context.Context, purposes, channels map[string]bool) error {
	var bodies [][]byte
	for _, person := range e.people {
		body, err := json.Marshal(simulator.EventCreated(organization, simulator.Event{
			ID: fmt.Sprintf("%016x", rand.Uint64()), OrganizationUserID: person, CreatedAt: time.Now(), //nolint:gosec // made-up traffic
			Purposes: choices(purposes), Channels: choices(channels),
		}))
		if err != nil {
			return err
		}
		bodies = append(bodies, body)
	}
	rand.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] }) //nolint:gosec // made-up traffic
	if err := e.load.send(ctx, bodies); err != nil {
		return err
	}
	for _, person := range e.people {
		if err := e.synced(ctx, person); err != nil {
			return err
		}
	}
	return e.quiet(ctx)
}

func choices(said map[string]bool) simulator.Choices {
	c := simulator.Choices{}
	for name, on := range said {
		c[name] = &on
	}
	return c
}

// told counts what Actito has told of changed subscriptions, repetitions
// included.
func (e *ends) told() (n int) {
	for _, d := range e.actito.WebhookDeliveries() {
		if d.Event == simulator.EventUpdatedSubscription && d.Taken {
			n++
		}
	}
	return n
}

// quiet waits until Actito has told all, all of it was looked into, and no call
// was made for a while.
func (e *ends) quiet(ctx context.Context) error {
	e.actito.SettleWebhooks()
	heard, calls, since := -1.0, -1, time.Now()
	return until(ctx, func() (bool, error) {
		h, err := e.sum(ctx, "consentsync_news_total")
		if c := e.actito.CallCount(); h != heard || c != calls {
			heard, calls, since = h, c, time.Now()
		}
		return time.Since(since) > 2*time.Second, err
	})
}

// until asks again and again.
func until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// redirect sends requests to another host than they name.
type redirect struct{ to string }

func (d *redirect) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = d.to
	return http.DefaultTransport.RoundTrip(r)
}
